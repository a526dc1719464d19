//! A released schema is a promise: events of today keep to every schema that was ever released, and nothing that consumers may
//! rely on has gone.
//!
//! ```text
//!   docs/schema/released/event-v1.N.json ─┬─ validates every event of today of a type that it knows
//!                                         └─ compared with today's: no field, type, word or bound was dropped or changed
//! ```

use std::collections::BTreeSet;

use serde_json::json;

use super::schema::{any_event, file, mistakes, validator};
use super::*;

const RELEASED: &str = "docs/schema/released";

/// Every released schema, with its name.
fn released() -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(file(RELEASED)).expect(RELEASED);
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        (
            path.display().to_string(),
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        )
    };
    let all: Vec<(String, Value)> = entries.map(read).collect();
    assert!(!all.is_empty(), "{RELEASED} has no schema");
    all
}

/// Types that a schema knows, with the schema of their data.
fn branches(schema: &Value) -> Vec<(&str, &Value)> {
    let all = schema["allOf"].as_array().expect("a branch for each type");
    all.iter()
        .map(|branch| {
            let kind = branch["if"]["properties"]["type"]["const"].as_str().expect("its type");
            (kind, &branch["then"]["properties"]["data"])
        })
        .collect()
}

/// What of `old` does not hold in `new` any more; empty if a consumer of the old one can read events of the new one.
fn broken(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("event", &says(old, old), &says(new, new), (old, new), &mut found);
    let now = branches(new);
    for (kind, data) in branches(old) {
        match now.iter().find(|(name, _)| *name == kind) {
            Some((_, today)) => compare(kind, &says(old, data), &says(new, today), (old, new), &mut found),
            None => found.push(format!("{kind}: there is no such type any more")),
        }
    }
    found
}

/// All that a schema says about a place: itself, and what it refers to.
fn says<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut all = vec![schema];
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#'));
        all.extend(says(root, target.unwrap_or_else(|| panic!("{name} leads nowhere"))));
    }
    all
}

/// All that is said about a field.
fn of_field<'a>(root: &'a Value, said: &[&'a Value], name: &str) -> Vec<&'a Value> {
    let fields = said.iter().filter_map(|schema| schema["properties"].get(name));
    fields.flat_map(|field| says(root, field)).collect()
}

fn keyword<'a>(said: &[&'a Value], name: &str) -> Option<&'a Value> {
    said.iter().find_map(|schema| schema.get(name))
}

fn required<'a>(said: &[&'a Value]) -> BTreeSet<&'a str> {
    let lists = said.iter().filter_map(|schema| schema["required"].as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}

/// The words that a place names, and whether others are allowed.
fn words(said: &[&Value]) -> Option<(BTreeSet<String>, bool)> {
    let mut found = BTreeSet::new();
    let mut open = false;
    let choices = ["oneOf", "anyOf"].iter().filter_map(|name| keyword(said, name)?.as_array()).flatten();
    for choice in choices.chain(said.iter().copied()) {
        let named = choice["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
        found.extend(named.iter().chain(choice.get("const")).map(Value::to_string));
        open |= choice["type"] == "string" && choice.get("const").is_none() && choice.get("enum").is_none();
    }
    (!found.is_empty()).then_some((found, open))
}

const BOUNDS: [&str; 9] =
    ["type", "format", "minimum", "maximum", "pattern", "minLength", "maxLength", "minItems", "maxItems"];

fn compare(place: &str, before: &[&Value], now: &[&Value], roots: (&Value, &Value), found: &mut Vec<String>) {
    for name in BOUNDS {
        let (before, now) = (keyword(before, name), keyword(now, name));
        if before != now {
            found.push(format!("{place}: {name} was {before:?} and is {now:?}"));
        }
    }
    for field in required(before).difference(&required(now)) {
        found.push(format!("{place}: {field} was always there and need not be any more"));
    }
    match (words(before), words(now)) {
        (None, _) => {}
        (Some(_), None) => found.push(format!("{place}: no words are named any more")),
        (Some((before, open)), Some((now, _))) => {
            found.extend(before.difference(&now).map(|word| format!("{place}: {word} is gone")));
            let more = now.difference(&before).filter(|_| !open);
            found.extend(more.map(|word| format!("{place}: {word} is new, and the set was closed")));
        }
    }
    let fields = before.iter().filter_map(|schema| schema["properties"].as_object());
    for name in fields.flat_map(|fields| fields.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (of_field(roots.0, before, name), of_field(roots.1, now, name));
        match new.is_empty() {
            true => found.push(format!("{place}.{name} is gone")),
            false => compare(&format!("{place}.{name}"), &old, &new, roots, found),
        }
    }
    match (keyword(before, "items"), keyword(now, "items")) {
        (None, _) => {}
        (Some(_), None) => found.push(format!("{place}[] says nothing any more")),
        (Some(old), Some(new)) => {
            compare(&format!("{place}[]"), &says(roots.0, old), &says(roots.1, new), roots, found);
        }
    }
}

#[test]
fn nothing_that_was_released_has_gone_or_changed() {
    let today = json_schema();
    for (name, schema) in released() {
        assert_eq!(broken(&schema, &today), Vec::<String>::new(), "{name}: consumers of it break");
    }
}

#[test]
fn every_example_keeps_to_every_released_schema() {
    for (name, schema) in released() {
        let (validator, known) = (validator(&schema), branches(&schema));
        for (example, event) in examples() {
            if known.iter().any(|(kind, _)| *kind == event.kind.as_str()) {
                let json = serde_json::to_value(&event).expect("serialises");
                assert_eq!(mistakes(&validator, &json), Vec::<String>::new(), "{name}: {example}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_event_keeps_to_every_released_schema(events in prop::collection::vec(any_event(), 1..20)) {
        for (name, schema) in released() {
            let (validator, known) = (validator(&schema), branches(&schema));
            for event in events.iter().filter(|event| known.iter().any(|(kind, _)| *kind == event.kind.as_str())) {
                let json = serde_json::to_value(event).expect("serialises");
                prop_assert_eq!(mistakes(&validator, &json), Vec::<String>::new(), "{}: {}", name, json);
            }
        }
    }
}

/// A change to a schema that breaks consumers.
type Break = fn(&mut Value);

#[test]
fn every_way_to_break_a_consumer_is_found() {
    fn rename(place: &mut Value, from: &str, to: &str) {
        let map = place.as_object_mut().expect("an object");
        let field = map.remove(from).expect(from);
        map.insert(to.to_owned(), field);
    }
    fn without(list: &mut Value, name: &str) {
        let list = list.as_array_mut().expect("a list");
        let before = list.len();
        list.retain(|item| item != name && item["const"] != name);
        assert_eq!(list.len(), before - 1, "{name} was there");
    }
    let ways: [(&str, Break); 11] = [
        ("a field is renamed", |s| rename(&mut s["$defs"]["Sighting"]["properties"], "track", "track_id")),
        ("a field of the envelope goes", |s| {
            s["properties"].as_object_mut().expect("fields").remove("subject");
        }),
        ("a type is narrowed", |s| s["$defs"]["Sighting"]["properties"]["score"]["type"] = json!("integer")),
        ("a number becomes a text", |s| {
            s["$defs"]["LostData"]["properties"]["sequence"]["type"] = json!("string")
        }),
        ("a field is no longer required", |s| {
            without(&mut s["$defs"]["LeftData"]["required"], "duration_ms")
        }),
        ("a word goes", |s| without(&mut s["$defs"]["CameraState"]["anyOf"], "waiting")),
        ("a closed set gets a word", |s| {
            let words = s["$defs"]["Stage"]["oneOf"].as_array_mut().expect("words");
            words.push(json!({ "type": "string", "const": "certain" }));
        }),
        ("a fixed text changes", |s| {
            s["properties"]["dataschema"]["const"] = json!("urn:watchlistd:events:v2")
        }),
        ("a time is no longer one", |s| {
            s["$defs"]["CameraData"]["properties"]["published_at"]
                .as_object_mut()
                .expect("a field")
                .remove("format");
        }),
        ("a bound moves", |s| s["$defs"]["HealthData"]["properties"]["sequence"]["minimum"] = json!(-1)),
        ("a type of event goes", |s| {
            s["allOf"].as_array_mut().expect("branches").pop();
        }),
    ];
    let good = json_schema();
    assert_eq!(broken(&good, &good), Vec::<String>::new());
    for (name, change) in ways {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "{name}: the schema was changed");
        assert!(!broken(&good, &bad).is_empty(), "{name}: nobody noticed");
    }
}

#[test]
fn what_may_be_added_breaks_nobody() {
    let good = json_schema();
    let mut more = good.clone();
    more["$defs"]["Sighting"]["properties"]["added_later"] = json!({ "type": "string" });
    let reasons = more["$defs"]["Undecided"]["anyOf"].as_array_mut().expect("words");
    reasons.insert(0, json!({ "type": "string", "const": "a_reason_of_later" }));
    let branch = json!({
        "if": { "properties": { "type": { "const": "io.watchlistd.added_later.v1" } } },
        "then": { "properties": { "data": { "type": "object" } } },
    });
    more["allOf"].as_array_mut().expect("branches").push(branch);
    assert_eq!(broken(&good, &more), Vec::<String>::new());
    assert!(!broken(&more, &good).is_empty(), "the other way round they are gone");
}
