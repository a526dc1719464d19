//! The format's promises, and the examples of docs/events.md.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::base::clock::Moment;
use crate::calibrate::budget::{Basis, Estimate, Range};
use crate::source::{Failure, SourceError, StreamInfo};
use crate::stats::CameraState;
use crate::types::decision::{
    Appearance, Asked, Decision, Departure, Sight, Stage, ThresholdOrigin, Undecided, Verdict, Word,
};
use crate::types::face::Refusal;
use crate::types::geometry::{Rect, Size};
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

mod compatibility;
mod explain;
mod schema;

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
        asked: Asked { margin: 0.05, confirm: 2, fair_shots: 3, fair_look: Duration::from_secs(1) },
        looked: Duration::from_millis(1300),
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
        ("appeared", maker.appeared(&appearance(), at(61_030))),
        ("left", maker.left(&departure(Some(word(recognized(Stage::Confirmed)))), at(64_000))),
        ("left unnamed", maker.left(&departure(None), at(64_100))),
        ("gallery", maker.gallery(&gallery_news(), at(65_000))),
        (
            "ready",
            maker.health(
                HealthChange::of_all(HealthState::Ready, Some("2 cameras, 120 identities")),
                at(66_000),
            ),
        ),
        (
            "degraded",
            maker.health(
                HealthChange::of_part(HealthState::Degraded, "sink:file", "no space left on the disk"),
                at(67_000),
            ),
        ),
        ("lost", maker.lost(lost(), at(68_000))),
        ("not accepted", maker.lost(Lost::not_accepted(12), at(69_000))),
        ("threshold", maker.threshold(&threshold_news(), at(70_000))),
    ]
}

fn appearance() -> Appearance {
    let sight = Sight {
        since: at(60_600),
        captured: at(61_000),
        sequence: 1_530,
        bbox: Rect::new(812.26, 304.0, 931.74, 462.51),
    };
    let visit = Uuid::from_u128(0x0198_f3c2_8a11_7bb0_9000_0000_0000_0043);
    Appearance { track: TrackId { camera: door(), epoch: 2, number: 18 }, visit, sight }
}

fn word(verdict: Verdict) -> Word {
    let lists = if matches!(verdict, Verdict::Recognized { .. }) { vec!["vip".into()] } else { Vec::new() };
    Word { verdict, lists, publish: Publish::Name }
}

fn departure(word: Option<Word>) -> Departure {
    let Appearance { track, visit, sight } = appearance();
    Departure { track, visit, first_seen: sight.since, last_seen: at(62_100), shots: 4, word }
}

fn gallery_news() -> GalleryNews {
    let listed = |n: u128, lists: &[&str]| Listed {
        id: IdentityId(Uuid::from_u128(0x0198_0000_1111_7222_8333_4444_5555_0000 + n)),
        lists: lists.iter().map(|list| (*list).to_owned()).collect(),
    };
    let change = |what, count, identities| GalleryChange { what, count, identities };
    GalleryNews {
        generation: 42,
        identities: 120,
        templates: 391,
        model: ModelId(std::array::from_fn(|i| i as u8 * 7)),
        index: IndexKind::Exact,
        changes: vec![
            change(GalleryAction::Added, 2, vec![listed(1, &["vip", "guests"])]),
            change(GalleryAction::Deactivated, 1, vec![listed(2, &["guests"])]),
        ],
    }
}

fn threshold_news() -> ThresholdNews {
    let estimate = Estimate {
        threshold: 0.515,
        basis: Basis::Scores,
        per_day: Some(Range { low: 0.061, median: 0.27, high: 0.83 }),
        tracks_per_day: 412.4,
        days: 9,
        scores: 3_604,
        peaks: 541,
        fitness: 0.62,
        dispersion: 1.3,
        shape: -0.08,
    };
    let model = ModelId(std::array::from_fn(|i| i as u8 * 7));
    ThresholdNews { camera: door(), list: None, from: 0.45, budget: 1.0, estimate, model }
}

fn lost() -> Lost {
    let (since, until) = (Some(at(1_000).wall), Some(at(9_000).wall));
    Lost { since, until, ..Lost::range(LostReason::Budget, 4_001, 4_960) }
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
        let source = if event.camera().is_some() { "/watchlistd/box-7/door" } else { "/watchlistd/box-7" };
        assert_eq!(json["source"], source, "{name}");
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
fn the_log_gives_each_event_its_place() {
    let log = Uuid::from_u128(0x0198_f3c2_0000_7a10_8000_0000_0000_0007);
    for (name, mut event) in examples() {
        assert_eq!((event.log(), event.run()), (RUN, RUN), "{name}: the run, before there is a log");
        let before = serde_json::to_value(&event).expect("serialises");
        event.place(log, 4_711);
        assert_eq!((event.log(), event.sequence(), event.run()), (log, 4_711, RUN));
        let after = serde_json::to_value(&event).expect("serialises");
        let first = format!("\"data\":{{\"schema\":1,\"log\":\"{log}\",\"sequence\":4711,\"run\":\"{RUN}\",");
        assert!(event.to_line().contains(&first), "{name}: {}", event.to_line());
        for (key, value) in before["data"].as_object().expect("data") {
            assert!(["log", "sequence"].contains(&key.as_str()) || after["data"][key] == *value, "{key}");
        }
        assert_eq!(event.camera(), after["data"].get("camera").and_then(Value::as_str), "{name}");
        assert_eq!(event.identity().is_some(), after["data"].get("identity").is_some(), "{name}");
    }
}

#[test]
fn a_left_says_what_a_decision_may() {
    let json = |word| serde_json::to_value(maker().left(&departure(word), at(64_000))).expect("serialises");
    let nobody = json(None);
    for absent in ["decision", "stage", "identity", "reason", "refusal"] {
        assert!(nobody["data"].get(absent).is_none(), "{absent}");
    }
    assert_eq!(nobody["data"]["duration_ms"], 1_500);
    let named = json(Some(word(recognized(Stage::Confirmed))));
    assert_eq!(named["data"]["identity"]["name"], "Ada Lovelace");
    let pseudonym = Word { publish: Publish::Pseudonym, ..word(recognized(Stage::Confirmed)) };
    let pseudonym = json(Some(pseudonym));
    assert!(pseudonym["data"]["identity"]["id"].is_string());
    assert!(!pseudonym.to_string().contains("Ada") && !pseudonym.to_string().contains("HR-1815"));
}

#[test]
fn the_log_tells_of_a_loss_without_a_maker() {
    let made = maker().lost(lost(), at(68_000));
    let mut event = Event::lost("/watchlistd/box-7/", RUN, lost(), at(68_000), made.id);
    assert_eq!((event.sequence(), event.log()), (0, RUN), "before it has its place");
    event.place(made.log(), made.sequence());
    assert_eq!(event, made);
    assert_eq!(Event::lost("/", RUN, lost(), at(0), RUN).source, "/", "no event is without a source");
    assert_eq!(lost().count, 960, "both ends are of the range");
}

#[test]
fn a_type_is_found_by_either_name() {
    for kind in EventType::ALL {
        assert_eq!(EventType::named(kind.as_str()), Some(kind));
        assert_eq!(EventType::named(kind.short()), Some(kind));
    }
    assert_eq!(EventType::Recognized.short(), "recognized");
    assert_eq!(EventType::named("recognised"), None);
}

#[test]
fn a_batch_is_an_array_of_the_events_in_order() {
    let events: Vec<Event> = examples().into_iter().map(|(_, event)| event).collect();
    for count in 0..=events.len() {
        let lines: Vec<String> = events.iter().take(count).map(Event::to_line).collect();
        let read: Vec<Event> = serde_json::from_str(&cloud::batch(&lines)).expect("an array");
        assert_eq!(read, events[..count]);
    }
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
    let shown = [
        "appeared",
        "recognized",
        "gone",
        "undecided",
        "left",
        "camera",
        "gallery",
        "ready",
        "lost",
        "threshold",
    ];
    for name in shown {
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
        let data = &json["data"];
        for object in [&json, data, &data["identity"], &data["bbox"], &data["changes"][0]] {
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
    let own = GalleryAction::ALL.map(GalleryAction::as_str).into_iter();
    let own =
        own.chain(HealthState::ALL.map(HealthState::as_str)).chain(LostReason::ALL.map(LostReason::as_str));
    let own = own.chain(Basis::ALL.map(Basis::as_str));
    for word in kinds.into_iter().chain(states).chain(refusals).chain(own) {
        assert!(text.contains(&format!("`{word}`")), "`{word}` is not documented");
    }
}
