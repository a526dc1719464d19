//! The format's promises, and the examples of docs/events.md.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::base::clock::Moment;
use crate::source::{Failure, SourceError, StreamInfo};
use crate::stats::CameraState;
use crate::types::decision::{Decision, Stage, ThresholdOrigin, Undecided, Verdict};
use crate::types::face::Refusal;
use crate::types::geometry::{Rect, Size};
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

const RUN: Uuid = Uuid::from_u128(0x0198_f3c2_7d00_7a10_8000_0000_0000_0001);

fn at(ms: u64) -> Moment {
    let start: Timestamp = "2026-03-01T08:30:00Z".parse().expect("valid");
    let mono = Duration::from_millis(ms);
    Moment { mono, wall: start + mono }
}

fn maker() -> EventMaker {
    EventMaker::new("/watchlistd/box-7/", RUN, Ids::Numbered)
}

fn door() -> CameraId {
    CameraId::new("door").expect("valid")
}

fn decision(verdict: Verdict) -> Decision {
    Decision {
        track: TrackId { camera: door(), epoch: 2, number: 17 },
        visit: Uuid::from_u128(0x0198_f3c2_8a11_7bb0_9000_0000_0000_0042),
        lists: match verdict {
            Verdict::Recognized { .. } => vec!["vip".into(), "guests".into()],
            _ => Vec::new(),
        },
        verdict,
        publish: Publish::Name,
        score: Some(0.612_345_6),
        margin: Some(0.234_567),
        threshold: 0.42,
        threshold_origin: ThresholdOrigin::Model,
        shots: 3,
        agreeing: 3,
        quality: Some(0.876),
        captured: at(12_000),
        frames: vec![288, 293, 301],
        bbox: Some(Rect::new(812.26, 304.0, 931.74, 462.51)),
        model: ModelId(std::array::from_fn(|i| i as u8 * 7)),
        generation: 41,
        index: IndexKind::Exact,
    }
}

fn recognized(stage: Stage) -> Verdict {
    let identity = IdentityId(Uuid::from_u128(0x0198_0000_1111_7222_8333_4444_5555_6666));
    let (name, external_id) = (Some(Arc::from("Ada Lovelace")), Some(Arc::from("HR-1815")));
    Verdict::Recognized { identity, name, external_id, stage }
}

/// The event of a decision that is published.
fn event(decision: &Decision, published: Moment) -> Event {
    maker().decision(decision, published).expect("it may be published")
}

fn undecided() -> Decision {
    let reason = Undecided::NoGoodShot;
    let verdict = Verdict::Undecided { reason, refusal: Some(Refusal::ExtremePose) };
    Decision { score: None, margin: None, quality: None, shots: 0, agreeing: 0, ..decision(verdict) }
}

/// One event of every type, each stage and both kinds of camera news.
fn examples() -> Vec<(&'static str, Event)> {
    let maker = maker();
    let error = SourceError {
        failure: Failure::Unreachable,
        message: "rtsp://***@10.0.0.9/live: no route to host".to_owned(),
    };
    let info = StreamInfo {
        codec: Some("H264".into()),
        decoder: Some("avdec_h264".into()),
        size: Some(Size::new(1920, 1080)),
        fps: Some(25.0),
        transport: Some("tcp"),
    };
    let camera = &door();
    let change = CameraChange {
        camera,
        epoch: 2,
        state: CameraState::Connected,
        error: None,
        retry: None,
        info: Some(&info),
    };
    let failed = CameraChange {
        state: CameraState::Waiting,
        error: Some(&error),
        retry: Some(Duration::from_secs(4)),
        info: None,
        ..change
    };
    let sighting = |d: Decision, at| maker.decision(&d, at).expect("it may be published");
    let gone = Verdict::Recognized {
        identity: IdentityId(Uuid::from_u128(0x0198_0000_1111_7222_8333_4444_5555_6666)),
        name: None,
        external_id: None,
        stage: Stage::Withdrawn,
    };
    let gone = Decision { score: None, margin: None, publish: Publish::Pseudonym, ..decision(gone) };
    vec![
        ("connected", maker.camera(&change, at(1_000))),
        ("preliminary", sighting(decision(recognized(Stage::Preliminary)), at(12_140))),
        ("recognized", sighting(decision(recognized(Stage::Confirmed)), at(12_187))),
        ("withdrawn", sighting(decision(recognized(Stage::Withdrawn)), at(12_400))),
        ("unknown", sighting(decision(Verdict::Unknown), at(12_500))),
        ("undecided", sighting(undecided(), at(12_600))),
        ("camera", maker.camera(&failed, at(60_000))),
        ("gone", sighting(gone, at(61_000))),
    ]
}

#[test]
fn every_event_survives_json() {
    for (name, event) in examples() {
        let line = event.to_line();
        assert!(!line.contains('\n'), "{name}");
        assert_eq!(serde_json::from_str::<Event>(&line).expect(name), event);
    }
}

#[test]
fn every_type_has_an_example_and_its_name_in_json() {
    for kind in EventType::ALL {
        let named = serde_json::to_value(kind).expect("serialises");
        assert_eq!(named, Value::from(kind.as_str()));
        assert!(examples().iter().any(|(_, e)| e.kind == kind), "{}", kind.as_str());
    }
}

#[test]
fn the_envelope_is_a_cloud_event() {
    for (name, event) in examples() {
        let json: Value = serde_json::from_str(&event.to_line()).expect(name);
        for required in ["id", "source", "specversion", "type"] {
            assert!(json[required].as_str().is_some_and(|s| !s.is_empty()), "{name}: {required}");
        }
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["source"], "/watchlistd/box-7/door");
        // Names of attributes: lower-case letters and digits only, and at most 20 of them.
        for key in json.as_object().expect("object").keys() {
            assert!(key.len() <= 20 && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
        let time = json["time"].as_str().expect("text");
        assert!(time.ends_with('Z') && time.parse::<Timestamp>().is_ok(), "RFC 3339 in UTC: {time}");
        assert_eq!(json["time"], json["data"]["published_at"]);
    }
}

/// Walks a JSON value and returns the longest array of numbers and the longest text in it.
fn longest(value: &Value) -> (usize, usize) {
    match value {
        Value::Array(items) => {
            let numbers = items.iter().filter(|i| i.is_number()).count();
            let (inner, text) = items.iter().map(longest).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
            (numbers.max(inner), text)
        }
        Value::Object(map) => map.values().map(longest).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1))),
        Value::String(text) => (0, text.len()),
        _ => (0, 0),
    }
}

#[test]
fn no_event_holds_pixels_or_a_vector() {
    let long = Decision { frames: (0..10_000).collect(), ..decision(recognized(Stage::Confirmed)) };
    let mut events = examples();
    events.push(("many frames", event(&long, at(13_000))));
    for (name, event) in events {
        let json = serde_json::to_value(&event).expect("serialises");
        let (numbers, text) = longest(&json);
        assert!(numbers <= 64, "{name}: an array of {numbers} numbers");
        assert!(text <= 256, "{name}: a text of {text} bytes could hide pixels");
    }
    let Data::Sighting(data) = event(&long, at(13_000)).data else { panic!("a sighting") };
    assert_eq!(data.frames.last(), Some(&9_999), "the newest frames are the ones kept");
}

#[test]
fn the_walker_finds_a_vector() {
    let vector: Vec<f32> = vec![0.1; 512];
    assert_eq!(longest(&serde_json::json!({ "a": [{ "b": vector }] })).0, 512);
}

#[test]
fn only_what_applies_is_there() {
    let json = |d: &Decision| serde_json::to_value(event(d, at(13_000))).expect("serialises");
    let unknown = json(&decision(Verdict::Unknown));
    for absent in ["stage", "identity", "reason", "refusal"] {
        assert!(unknown["data"].get(absent).is_none(), "{absent}");
    }
    let undecided = json(&undecided());
    assert_eq!(undecided["data"]["reason"], "no_good_shot");
    assert_eq!(undecided["data"]["refusal"], "extreme_pose");
    assert!(undecided["data"].get("score").is_none());
}

#[test]
fn lists_say_how_much_an_event_tells() {
    let told = |publish, stage| {
        let decision = Decision { publish, ..decision(recognized(stage)) };
        maker().decision(&decision, at(13_000)).map(|e| serde_json::to_value(e).expect("serialises"))
    };
    for stage in [Stage::Preliminary, Stage::Confirmed, Stage::Withdrawn] {
        let all = told(Publish::Name, stage).expect("an event");
        assert_eq!(all["data"]["identity"]["name"], "Ada Lovelace");
        assert_eq!(all["data"]["identity"]["external_id"], "HR-1815");
        let pseudonym = told(Publish::Pseudonym, stage).expect("an event");
        let identity = pseudonym["data"]["identity"].as_object().expect("an identity");
        assert_eq!(identity.keys().collect::<Vec<_>>(), ["id", "lists"]);
        assert_eq!(identity["lists"], serde_json::json!(["vip", "guests"]));
        let text = pseudonym.to_string();
        assert!(!text.contains("Ada") && !text.contains("HR-1815"));
        assert_eq!(told(Publish::Nothing, stage), None);
    }
}

#[test]
fn what_is_not_published_leaves_no_gap() {
    let maker = maker();
    let silent = Decision { publish: Publish::Nothing, ..decision(recognized(Stage::Confirmed)) };
    let numbers: Vec<u64> = [&decision(Verdict::Unknown), &silent, &silent, &undecided()]
        .into_iter()
        .filter_map(|decision| maker.decision(decision, at(13_000)))
        .map(|event| event.sequence())
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn an_event_of_a_gallery_without_lists_is_as_before() {
    let before = Decision { lists: Vec::new(), ..decision(recognized(Stage::Confirmed)) };
    let json = serde_json::to_value(event(&before, at(13_000))).expect("serialises");
    assert!(json["data"]["identity"].get("lists").is_none());
    let old = r#"{"id":"01980000-1111-7222-8333-444455556666","name":"Ada Lovelace"}"#;
    let read: Identity = serde_json::from_str(old).expect("an identity of an earlier version");
    assert_eq!(read.name.as_deref(), Some("Ada Lovelace"));
}

#[test]
fn sequence_numbers_have_no_gap_and_ids_sort_by_time() {
    let all = examples();
    let numbers: Vec<u64> = all.iter().map(|(_, e)| e.sequence()).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    assert!(all.windows(2).all(|pair| pair[0].1.id < pair[1].1.id));
    let random = EventMaker::new("x", RUN, Ids::random());
    let ids: Vec<Uuid> = (0..1_000)
        .map(|_| random.decision(&decision(Verdict::Unknown), at(5)).expect("an event").id)
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "in order within one millisecond too");
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
}

#[test]
fn numbered_ids_are_the_same_each_time() {
    assert_eq!(examples(), examples());
}

#[test]
fn latency_is_measured_on_the_clock_that_never_jumps() {
    let published = Moment { mono: at(12_150).mono, wall: "2020-01-01T00:00:00Z".parse().expect("valid") };
    let event = event(&decision(Verdict::Unknown), published);
    let Data::Sighting(data) = event.data else { panic!("a sighting") };
    assert_eq!(data.latency_ms, 150);
}

proptest! {
    #[test]
    fn any_decision_survives_json(score in -1f32..=1.0, quality in 0f32..=1.0, shots: u32, name: String) {
        let identity = IdentityId(RUN);
        let verdict = Verdict::Recognized {
            identity,
            name: Some(name.as_str().into()),
            external_id: Some(name.as_str().into()),
            stage: Stage::Confirmed,
        };
        let decision = Decision { score: Some(score), quality: Some(quality), shots, ..decision(verdict) };
        let event = event(&decision, at(13_000));
        let line = event.to_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Event>(&line).expect("parses"), event);
    }
}

#[test]
fn a_number_that_json_cannot_hold_does_not_break_the_event() {
    for odd in [f32::NAN, f32::INFINITY, f32::MIN, -0.0] {
        let decision = Decision { score: Some(odd), ..decision(Verdict::Unknown) };
        let json: Value = serde_json::from_str(&event(&decision, at(13_000)).to_line()).expect("JSON");
        let score = json["data"]["score"].as_f64().expect("a number");
        assert!(score.is_finite() && !(score == 0.0 && score.is_sign_negative()), "{odd} became {score}");
    }
}

#[test]
fn the_examples_in_the_documentation_are_made_by_the_program() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let mut text = std::fs::read_to_string(&path).expect("docs/events.md");
    for (name, event) in examples() {
        let open = format!("<!-- example: {name} -->\n");
        let Some(start) = text.find(&open).map(|i| i + open.len()) else { continue };
        let json = serde_json::to_string_pretty(&event).expect("serialises");
        let block = format!("```json\n{json}\n```\n<!-- end -->");
        let end =
            start + text[start..].find("<!-- end -->").expect("a marker of the end") + "<!-- end -->".len();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            text.replace_range(start..end, &block);
        } else {
            assert_eq!(&text[start..end], block, "{name}: run the tests with UPDATE_DOCS=1");
        }
    }
    for name in ["recognized", "gone", "undecided", "camera"] {
        assert!(text.contains(&format!("<!-- example: {name} -->")), "{name} has no example");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
}

/// Every key of every event stands in a table row of docs/events.md.
#[test]
fn every_field_is_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).expect("docs");
    for (name, event) in examples() {
        let json = serde_json::to_value(&event).expect("serialises");
        for object in [&json, &json["data"], &json["data"]["identity"], &json["data"]["bbox"]] {
            for key in object.as_object().into_iter().flat_map(|o| o.keys()) {
                assert!(text.contains(&format!("`{key}`")), "{name}: `{key}` is not documented");
            }
        }
    }
    let kinds = EventType::ALL.map(EventType::as_str);
    let states = <CameraState as crate::stats::counter::Label>::ALL.iter().map(|s| {
        use crate::stats::counter::Label;
        s.as_str()
    });
    let refusals = Refusal::ALL.map(Refusal::as_str);
    for word in kinds.into_iter().chain(states).chain(refusals) {
        assert!(text.contains(&format!("`{word}`")), "`{word}` is not documented");
    }
}
