//! The JSON Schema of events (draft 2020-12), made from their types.
//!
//! ```text
//!   { envelope: Event,   if type is io.watchlistd.X.v1 then data is X, or counted,   $defs: each data and what is in it }
//! ```
//!
//! It promises what docs/events.md does: fields and types may be added, so it forbids none that it does not know; texts that
//! may get other values later accept any, and name those of today. Only `decision` and `stage` are closed.

use std::borrow::Cow;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::counted::Counted;
use super::own::{GalleryData, HealthData, LostData};
use super::presence::{AppearedData, LeftData};
use super::schema::{CameraData, DATA_SCHEMA, Event, EventType, Sighting};
use super::threshold::ThresholdData;

/// Where the schema stands in the sources and in the documentation that is installed.
pub const SCHEMA_FILE: &str = "docs/schema/event-v1.json";

/// Sets of words that never get another one within this version: consumers branch on them.
const CLOSED: [&str; 2] = ["DecisionName", "Stage"];

/// The schema of every event of this version.
pub fn json_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let branches: Vec<Value> = EventType::ALL.into_iter().map(|kind| branch(kind, &mut generator)).collect();
    let counted = generator.subschema_for::<Counted>().to_value();
    let mut root = generator.into_root_schema_for::<Event>().to_value();
    tidy(&mut root);
    if let Some(root) = root.as_object_mut() {
        root.insert("$id".to_owned(), json!(DATA_SCHEMA));
        root.insert("title".to_owned(), json!("An event of watchlistd"));
        root.insert("allOf".to_owned(), Value::Array(branches));
        // What is left of any type about people for a sink that only counts.
        let counts =
            json!({ "properties": { "subject": { "const": Counted::SUBJECT } }, "required": ["subject"] });
        root.insert("if".to_owned(), counts);
        root.insert("then".to_owned(), json!({ "properties": { "data": counted } }));
        fix_envelope(root);
        open_words(root);
    }
    root
}

/// What the data of one type is.
fn branch(kind: EventType, generator: &mut SchemaGenerator) -> Value {
    let data = match kind {
        EventType::Recognized => sighting("recognized", &["stage", "identity"], generator),
        EventType::Unknown => sighting("unknown", &[], generator),
        EventType::Undecided => sighting("undecided", &["reason"], generator),
        EventType::Camera => generator.subschema_for::<CameraData>().to_value(),
        EventType::Appeared => generator.subschema_for::<AppearedData>().to_value(),
        EventType::Left => generator.subschema_for::<LeftData>().to_value(),
        EventType::Gallery => generator.subschema_for::<GalleryData>().to_value(),
        EventType::Health => generator.subschema_for::<HealthData>().to_value(),
        EventType::Lost => generator.subschema_for::<LostData>().to_value(),
        EventType::Threshold => generator.subschema_for::<ThresholdData>().to_value(),
    };
    let whole =
        json!({ "type": { "const": kind.as_str() }, "subject": { "not": { "const": Counted::SUBJECT } } });
    json!({
        "if": { "properties": whole, "required": ["type"] },
        "then": { "properties": { "data": data } },
    })
}

/// The three types of a decision share their data; each has fields of its own that are always there.
fn sighting(decision: &str, required: &[&str], generator: &mut SchemaGenerator) -> Value {
    let mut data = generator.subschema_for::<Sighting>().to_value();
    if let Some(data) = data.as_object_mut() {
        data.insert("properties".to_owned(), json!({ "decision": { "const": decision } }));
        if !required.is_empty() {
            data.insert("required".to_owned(), json!(required));
        }
    }
    data
}

/// What the types cannot say: fixed texts, and that other types may come.
fn fix_envelope(root: &mut Map<String, Value>) {
    let fixed = [
        ("/properties/specversion", json!({ "const": "1.0" })),
        ("/properties/datacontenttype", json!({ "const": "application/json" })),
        ("/properties/dataschema", json!({ "const": DATA_SCHEMA })),
        (
            "/properties/type",
            json!({ "pattern": "^io\\.watchlistd\\.[a-z_]+\\.v1$", "examples": EventType::ALL }),
        ),
        ("/properties/source", json!({ "minLength": 1, "format": "uri-reference" })),
    ];
    let mut schema = Value::Object(std::mem::take(root));
    for (place, more) in fixed {
        if let (Some(Value::Object(to)), Value::Object(more)) = (schema.pointer_mut(place), more) {
            to.extend(more);
        }
    }
    if let Value::Object(fixed) = schema {
        *root = fixed;
    }
}

/// Takes out what is of Rust and not of JSON: the width of numbers, and `null` for what is left out.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let number = |format: &str| ["uint32", "uint64", "double", "float"].contains(&format);
            if map.get("format").and_then(Value::as_str).is_some_and(number) {
                map.remove("format");
            }
            map.remove("default");
            // What it forbids is nothing; that it allows everything need not be said.
            map.remove("additionalProperties");
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            without_null(map);
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// `anyOf: [X, null]` becomes X.
fn without_null(map: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = map.get("anyOf") else { return };
    let mut left: Vec<Value> = choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
    if left.len() == choices.len() {
        return;
    }
    map.remove("anyOf");
    match (left.len(), left.pop()) {
        (1, Some(Value::Object(only))) => map.extend(only),
        (_, Some(last)) => {
            left.push(last);
            map.insert("anyOf".to_owned(), Value::Array(left));
        }
        _ => {}
    }
}

/// Lets sets of words grow: those of today are named, any other text is valid too.
fn open_words(root: &mut Map<String, Value>) {
    let Some(Value::Object(definitions)) = root.get_mut("$defs") else { return };
    for (_, schema) in definitions.iter_mut().filter(|(name, _)| !CLOSED.contains(&name.as_str())) {
        let Some(map) = schema.as_object_mut() else { continue };
        let mut choices = match (map.remove("oneOf"), map.remove("enum")) {
            (Some(Value::Array(words)), None) => words,
            (None, Some(words)) => {
                map.remove("type");
                vec![json!({ "enum": words })]
            }
            _ => continue,
        };
        choices.push(json!({ "type": "string", "description": "A word that is added later." }));
        map.insert("anyOf".to_owned(), Value::Array(choices));
    }
}

/// A moment in UTC, as RFC 3339 writes it. The schema of `jiff::Timestamp`, which has none of its own.
pub(super) struct Time;

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}
