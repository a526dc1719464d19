//! What is published for an event, without a broker.

use serde_json::Value;

use super::super::message::{Mapper, Message, Role};
use super::super::session::Bounds;
use super::*;

const BOUNDS: Bounds = Bounds { window: 64, packet: 1 << 20 };

fn mapper() -> Mapper {
    Mapper::new(&full(1883, Version::V5)).expect("valid")
}

/// Topics and payloads; `*` for what is retained.
fn plan(mapper: &mut Mapper, batch: &[Delivery]) -> Vec<(String, String)> {
    let plan = mapper.plan(batch, BOUNDS);
    assert!(plan.refused.is_none());
    plan.messages.iter().map(shown).collect()
}

fn shown(message: &Message<'_>) -> (String, String) {
    assert_eq!(message.retain, message.role == Role::Retained, "an event is never retained");
    let mark = if message.retain { "*" } else { "" };
    (format!("{mark}{}", message.topic), String::from_utf8(message.payload.to_vec()).expect("text"))
}

fn topics(planned: &[(String, String)]) -> Vec<&str> {
    planned.iter().map(|(topic, _)| topic.as_str()).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

const PERSON: &str = "00000000-0000-0000-0000-000000000001";

#[test]
fn a_camera_event_is_published_and_retained() {
    let planned = plan(&mut mapper(), &[changed(1, "door.2", CameraState::Waiting)]);
    let expected = [
        "*homeassistant/device/watchlistd-box-7/camera-door_2e-2/config",
        "watchlistd/box-7/door.2/camera",
        "*watchlistd/box-7/camera/door.2",
    ];
    assert_eq!(topics(&planned), expected);
    assert_eq!(planned[1].1, planned[2].1, "what is retained is the event");
}

#[test]
fn a_person_who_is_named_has_sensors_and_one_who_is_not_has_none() {
    let planned = plan(&mut mapper(), &[seen(1, "door", identity(1), Some("Ada"), Stage::Confirmed)]);
    let person = format!("*homeassistant/device/watchlistd-box-7/person-{PERSON}/config");
    let expected = [
        "*homeassistant/device/watchlistd-box-7/camera-door/config",
        &person,
        "watchlistd/box-7/door/recognized",
        "*watchlistd/box-7/camera/door/last_seen",
        &format!("*watchlistd/box-7/person/{PERSON}"),
    ];
    assert_eq!(topics(&planned), expected);
    let state = json(&planned[4].1);
    assert_eq!(
        (&state["name"], &state["camera"], &state["last_seen"]),
        (&"Ada".into(), &"door".into(), &"2026-03-01T08:30:00Z".into())
    );

    let planned = plan(&mut mapper(), &[seen(1, "door", identity(1), None, Stage::Confirmed)]);
    assert!(!topics(&planned).iter().any(|topic| topic.contains(PERSON)), "{planned:?}");
    let without = MqttConfig { person_topic: None, home_assistant: None, ..full(1883, Version::V5) };
    let planned = plan(
        &mut Mapper::new(&without).expect("valid"),
        &[seen(1, "door", identity(1), Some("Ada"), Stage::Confirmed)],
    );
    assert_eq!(
        topics(&planned),
        ["watchlistd/box-7/door/recognized", "*watchlistd/box-7/camera/door/last_seen"]
    );
}

#[test]
fn only_what_is_confirmed_is_retained_and_a_withdrawal_takes_it_back() {
    let mut mapper = mapper();
    let state = |planned: &[(String, String)]| {
        let topic = format!("*watchlistd/box-7/person/{PERSON}");
        planned.iter().find(|(t, _)| *t == topic).map(|(_, payload)| json(payload))
    };
    assert_eq!(
        state(&plan(&mut mapper, &[seen(1, "door", identity(1), Some("Ada"), Stage::Preliminary)])),
        None
    );
    // Nothing was told of this visit.
    assert_eq!(state(&plan(&mut mapper, &[seen(2, "door", identity(1), None, Stage::Withdrawn)])), None);
    let confirmed = seen(3, "door", identity(1), Some("Ada"), Stage::Confirmed);
    assert!(state(&plan(&mut mapper, std::slice::from_ref(&confirmed))).is_some());
    let withdrawn = seen(4, "door", identity(1), None, Stage::Withdrawn);
    for _ in 0..2 {
        let taken_back =
            state(&plan(&mut mapper, std::slice::from_ref(&withdrawn))).expect("also when it is sent again");
        assert!(
            taken_back["last_seen"].is_null()
                && taken_back["camera"].is_null()
                && taken_back.get("name").is_none()
        );
    }
    mapper.forget(identity(1));
    assert_eq!(state(&plan(&mut mapper, &[withdrawn])), None, "who was forgotten does not come back");
}

#[test]
fn forgetting_needs_nothing_but_the_id() {
    let messages = mapper().forget(identity(1));
    let shown: Vec<(String, String)> = messages.iter().map(shown).collect();
    let topics = [
        format!("*homeassistant/device/watchlistd-box-7/person-{PERSON}/config"),
        format!("*watchlistd/box-7/person/{PERSON}"),
    ];
    assert_eq!(shown, topics.map(|topic| (topic, String::new())));
    // Also where persons are not wanted any more.
    let mut config = full(1883, Version::V5);
    config.home_assistant.as_mut().expect("on").persons = false;
    assert_eq!(Mapper::new(&config).expect("valid").forget(identity(1)), messages);
}

#[test]
fn discovery_is_told_once_a_connection_and_again_when_it_changes() {
    let mut mapper = mapper();
    let count = |mapper: &mut Mapper, name: &str| {
        let batch = [seen(1, "door", identity(1), Some(name), Stage::Confirmed)];
        let plan = mapper.plan(&batch, BOUNDS);
        plan.messages.iter().for_each(|message| mapper.answered(message, &Ack { code: 0, reason: None }));
        plan.messages.iter().filter(|message| message.topic.ends_with("/config")).count()
    };
    let told = [count(&mut mapper, "Ada"), count(&mut mapper, "Ada"), count(&mut mapper, "Ada L.")];
    assert_eq!(told, [2, 0, 1]);
    mapper.connected();
    assert_eq!(count(&mut mapper, "Ada L."), 2, "another broker may have lost what it retained");
    mapper.forget(identity(1));
    assert_eq!(count(&mut mapper, "Ada L."), 1);
}

/// What Home Assistant asks of a device's discovery: `device` with identifiers, `origin` with a name, and of each component a
/// platform, a unique id and a topic that something is published to.
#[test]
fn discovery_is_what_home_assistant_asks_for() {
    let mut mapper = mapper();
    let mut all: Vec<(String, String)> = mapper.hello().iter().map(shown).collect();
    all.extend(plan(
        &mut mapper,
        &[
            changed(1, "door", CameraState::Connected),
            seen(2, "door", identity(1), Some("Ada"), Stage::Confirmed),
        ],
    ));
    let published: Vec<&str> = all.iter().map(|(topic, _)| topic.trim_start_matches('*')).collect();
    let (mut ids, mut devices) = (Vec::new(), Vec::new());
    for (topic, payload) in all.iter().filter(|(topic, _)| topic.starts_with("*homeassistant/")) {
        let parts: Vec<&str> = topic.split('/').collect();
        assert!(
            (parts[1], *parts.last().expect("some")) == ("device", "config")
                && (4..=5).contains(&parts.len()),
            "{topic}"
        );
        let allowed = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        assert!(parts[2..].iter().all(allowed), "{topic}");
        let config = json(payload);
        assert!(config["origin"]["name"].is_string(), "{config}");
        devices.push(config["device"]["identifiers"][0].as_str().expect("text").to_owned());
        let via = config["device"]["via_device"].as_str();
        assert!(via.is_none_or(|via| via == "watchlistd-box-7"), "{config}");
        assert_eq!(
            via.is_some(),
            config["availability_topic"] == "watchlistd/box-7/availability",
            "{config}"
        );
        for (_, sensor) in config["components"].as_object().expect("components") {
            assert!(["sensor", "binary_sensor"].contains(&sensor["platform"].as_str().expect("platform")));
            assert!(published.contains(&sensor["state_topic"].as_str().expect("topic")), "{sensor}");
            ids.push(sensor["unique_id"].as_str().expect("id").to_owned());
        }
    }
    assert_eq!((devices.len(), ids.len()), (3, 5), "{devices:?} {ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "unique ids are");
}

#[test]
fn any_text_is_one_level_of_a_topic() {
    for text in ["a/b", "+", "#", "", "a\u{0}b", "\u{FFFF}", "$SYS", "Tür", "{camera}"] {
        let level = level(text);
        assert!(
            !level.is_empty() && !level.contains(['/', '+', '#', '\u{0}', '$', '{']),
            "{text:?} → {level:?}"
        );
        assert_eq!(super::super::topics::level(&level), level, "once is enough");
    }
    assert_eq!(level("Tür"), "Tür");
}

#[test]
fn templates_take_their_fields_from_the_event() {
    let mut config = plain(1883, Version::V5);
    config.topic = "w/{source}/{list}/{identity}/{camera}/{type}".into();
    let mut mapper = Mapper::new(&config).expect("valid");
    let batch =
        [seen(1, "door", identity(1), None, Stage::Confirmed), changed(2, "yard", CameraState::Waiting)];
    let planned = plan(&mut mapper, &batch);
    let source = "watchlistd_box-7";
    assert_eq!(
        topics(&planned),
        [format!("w/{source}/vip/{PERSON}/door/recognized"), format!("w/{source}/_/_/yard/camera")]
    );
}
