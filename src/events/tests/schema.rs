//! The published schema: it is what the program gives, and every event keeps to it.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::json;

use super::*;
use crate::stats::counter::Label;

pub(super) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn validator(schema: &Value) -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).expect("a schema of draft 2020-12")
}

/// What is wrong with an event; nothing, if it is as the schema says.
pub(super) fn mistakes(validator: &Validator, event: &Value) -> Vec<String> {
    validator.iter_errors(event).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn the_published_schema_is_what_the_program_gives() {
    let text = serde_json::to_string_pretty(&json_schema()).expect("serialises") + "\n";
    let path = file(SCHEMA_FILE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, &text).expect("written");
    }
    let published = std::fs::read_to_string(&path).expect("docs/schema");
    assert!(published == text, "{SCHEMA_FILE} is out of date: run the tests with UPDATE_DOCS=1");
}

#[test]
fn the_schema_is_one_and_names_nothing_outside_itself() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(&schema));
    let text = schema.to_string();
    let references = text.matches("\"$ref\":").count();
    assert!(references > 5 && references == text.matches("\"$ref\":\"#/$defs/").count());
    assert!(!text.contains("\"null\""), "what does not apply is absent");
    assert!(!text.contains("additionalProperties") && !text.contains("unevaluated"), "fields may be added");
    assert!(!text.contains("[`"), "a description with a link of Rust's documentation");
}

#[test]
fn every_example_is_as_the_schema_says() {
    let validator = validator(&json_schema());
    for (name, event) in examples() {
        let json = serde_json::to_value(&event).expect("serialises");
        assert_eq!(mistakes(&validator, &json), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    let validator = validator(&json_schema());
    let recognized = examples().into_iter().find(|(name, _)| *name == "recognized").expect("there").1;
    let good = serde_json::to_value(&recognized).expect("serialises");
    let wrong: [(&str, Value); 9] = [
        ("/specversion", json!("0.3")),
        ("/id", json!("not a UUID")),
        ("/time", json!("yesterday")),
        ("/type", json!("org.example.other")),
        ("/data/schema", json!(2)),
        ("/data/sequence", json!(-1)),
        ("/data/decision", json!("unknown")),
        ("/data/stage", json!("certain")),
        ("/data/identity/id", json!(7)),
    ];
    for (place, value) in wrong {
        let mut event = good.clone();
        *event.pointer_mut(place).expect(place) = value;
        assert!(!validator.is_valid(&event), "{place}: {event}");
    }
    for (object, field) in [("/data", "log"), ("/data", "identity"), ("/data/identity", "id"), ("", "source")]
    {
        let mut event = good.clone();
        event.pointer_mut(object).and_then(Value::as_object_mut).expect(object).remove(field);
        assert!(!validator.is_valid(&event), "{object}/{field} is missing");
    }
}

#[test]
fn what_is_added_later_is_allowed() {
    let validator = validator(&json_schema());
    for (name, event) in examples() {
        let mut json = serde_json::to_value(&event).expect("serialises");
        json["data"]["added_later"] = json!({ "anything": [1, null] });
        json["traceparent"] = json!("an extension of CloudEvents");
        assert!(validator.is_valid(&json), "{name}: a new field");
        json["type"] = json!("io.watchlistd.added_later.v1");
        assert!(validator.is_valid(&json), "{name}: a new type");
    }
    let mut undecided = serde_json::to_value(event(&super::undecided(), at(1))).expect("serialises");
    undecided["data"]["reason"] = json!("a_reason_of_later");
    assert!(validator.is_valid(&undecided), "a new reason");
}

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let stage = prop::sample::select(vec![Stage::Preliminary, Stage::Confirmed, Stage::Withdrawn]);
    let reason = prop::sample::select(vec![
        Undecided::NoGoodShot,
        Undecided::TooShort,
        Undecided::Ambiguous,
        Undecided::Overload,
    ]);
    let refusal = prop::option::of(prop::sample::select(Refusal::ALL.to_vec()));
    prop_oneof![
        (any::<u128>(), prop::option::of(text()), prop::option::of(text()), stage).prop_map(
            |(id, name, external_id, stage)| Verdict::Recognized {
                identity: IdentityId(Uuid::from_u128(id)),
                name: name.map(Arc::from),
                external_id: external_id.map(Arc::from),
                stage,
            }
        ),
        Just(Verdict::Unknown),
        (reason, refusal).prop_map(|(reason, refusal)| Verdict::Undecided { reason, refusal }),
    ]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let publish = prop::sample::select(vec![Publish::Pseudonym, Publish::Name]);
    let numbers = (prop::option::of(-1f32..=1.0), prop::option::of(-1f32..=2.0), any::<u32>(), any::<u64>());
    let frames = prop::collection::vec(any::<u64>(), 0..40);
    let lists = prop::collection::vec(text(), 0..4);
    (any_verdict(), publish, numbers, frames, lists, any::<bool>()).prop_map(
        |(verdict, publish, (score, margin, shots, generation), frames, lists, boxed)| Decision {
            publish,
            score,
            margin,
            shots,
            generation,
            frames,
            lists: lists.into_iter().map(Arc::from).collect(),
            bbox: boxed.then(|| Rect::new(-1.0, 2.0, 30.5, f32::MAX)),
            ..decision(verdict)
        },
    )
}

fn any_listed() -> impl Strategy<Value = GalleryChange> {
    let listed = (any::<u128>(), prop::collection::vec(text(), 0..3))
        .prop_map(|(id, lists)| Listed { id: IdentityId(Uuid::from_u128(id)), lists });
    (prop::sample::select(GalleryAction::ALL.to_vec()), any::<u64>(), prop::collection::vec(listed, 0..5))
        .prop_map(|(what, count, identities)| GalleryChange { what, count, identities })
}

/// Events of every type, whatever their values.
pub(super) fn any_event() -> impl Strategy<Value = Event> {
    let camera = (
        prop::sample::select(CameraState::ALL.to_vec()),
        any::<u32>(),
        text(),
        prop::option::of(0u64..90_000),
    );
    let health =
        (prop::sample::select(HealthState::ALL.to_vec()), prop::option::of(text()), prop::option::of(text()));
    let lost = (prop::sample::select(LostReason::ALL.to_vec()), any::<u64>(), any::<bool>(), any::<bool>());
    prop_oneof![
        4 => any_decision().prop_map(|d| event(&d, at(13_000))),
        1 => (any::<u64>(), any::<u128>()).prop_map(|(sequence, visit)| {
            let mut appearance = appearance();
            (appearance.sight.sequence, appearance.visit) = (sequence, Uuid::from_u128(visit));
            maker().appeared(&appearance, at(70_000))
        }),
        2 => (prop::option::of(any_decision()), any::<u32>()).prop_map(|(decision, shots)| {
            let said = |d: Decision| Word { verdict: d.verdict, lists: d.lists, publish: d.publish };
            maker().left(&Departure { shots, ..departure(decision.map(said)) }, at(70_000))
        }),
        1 => camera.prop_map(|(state, epoch, message, retry)| {
            let error = SourceError { failure: Failure::Corrupt, message };
            let info = StreamInfo { size: Some(Size::new(epoch, 1)), ..StreamInfo::default() };
            let retry = retry.map(Duration::from_millis);
            let change = CameraChange { camera: &door(), epoch, state, error: Some(&error), retry, info: Some(&info) };
            maker().camera(&change, at(1))
        }),
        1 => (prop::collection::vec(any_listed(), 0..4), any::<u64>()).prop_map(|(changes, generation)| {
            maker().gallery(&GalleryNews { changes, generation, ..gallery_news() }, at(1))
        }),
        1 => health.prop_map(|(state, part, message)| {
            let change = HealthChange { state, component: part.as_deref(), message: message.as_deref() };
            maker().health(change, at(1))
        }),
        1 => lost.prop_map(|(reason, count, range, other)| {
            let range = range.then_some((count / 2, count));
            let lost = Lost { count, reason, range, of_log: other.then_some(RUN), ..super::lost() };
            maker().lost(lost, at(1))
        }),
        1 => (prop::sample::select(Basis::ALL.to_vec()), -1f32..1.0, any::<bool>()).prop_map(|(basis, threshold, range)| {
            let news = threshold_news();
            let per_day = news.estimate.per_day.filter(|_| range);
            let estimate = Estimate { basis, threshold, per_day, ..news.estimate };
            maker().threshold(&ThresholdNews { estimate, ..news }, at(1))
        }),
    ]
}

proptest! {
    #[test]
    fn any_event_is_as_the_schema_says(events in prop::collection::vec(any_event(), 1..20)) {
        let validator = validator(&json_schema());
        for event in events {
            let line = event.to_line();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(&serde_json::from_str::<Event>(&line).expect("reads"), &event);
            let json: Value = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(mistakes(&validator, &json), Vec::<String>::new(), "{}", line);
        }
    }
}
