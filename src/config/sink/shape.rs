//! Which events a sink gets, and what of them: `types`, `lists`, `cameras`, `min_score`, `fields`, `omit`.

use crate::config::raw::{Node, Section, Wrong, expected};
use crate::config::read::{self, Read};
use crate::config::suggest;
use crate::events::EventType;
use crate::gallery::record::ListName;
use crate::sinks::shape::{Fields, Omit, Shape};
use crate::types::ids::CameraId;

/// Reads a sink's keys.
pub(in crate::config) fn read(s: &mut Section<'_>) -> Shape {
    let d = Shape::default();
    let fields: Vec<_> = Fields::ALL.iter().map(|f| (f.as_str(), *f)).collect();
    Shape {
        types: s.get("types", d.types, read::unless("all", read::set("types of events", event_type))),
        lists: s.get("lists", d.lists, read::unless("all", read::set("names of lists", list))),
        cameras: s.get("cameras", d.cameras, read::unless("all", read::set("cameras' ids", camera))),
        min_score: s.get("min_score", d.min_score, read::unless("off", read::exact(0.0..=1.0))),
        fields: s.get("fields", d.fields, read::word(&fields)),
        omit: s.get("omit", d.omit, read::set_or_none("fields of an event's data", omit)),
    }
}

fn event_type(node: &Node) -> Read<EventType> {
    one_of(node, &EventType::ALL, |kind| kind.short())
}

fn omit(node: &Node) -> Read<Omit> {
    one_of(node, &Omit::ALL, |field| field.as_str())
}

/// One of a set that is too large to be told as a choice.
fn one_of<T: Copy>(node: &Node, all: &[T], name: impl Fn(&T) -> &'static str) -> Read<T> {
    let text = read::text(node).unwrap_or_default();
    if let Some(found) = all.iter().find(|one| name(one) == text) {
        return Ok(*found);
    }
    let names: Vec<_> = all.iter().map(name).collect();
    let hint = suggest::nearest(text, names.iter().copied());
    let hint = hint.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    expected(format!("{}{hint}", names.join(", ")))
}

fn list(node: &Node) -> Read<ListName> {
    match ListName::new(read::text(node)?) {
        Ok(name) => Ok(name),
        Err(_) => expected("a list's name, 1 to 64 of a-z 0-9 _ - . starting with a letter or digit"),
    }
}

fn camera(node: &Node) -> Read<CameraId> {
    match CameraId::new(read::text(node)?) {
        Ok(id) => Ok(id),
        Err(_) => Err(Wrong::Expected(
            "a camera's id, 1 to 64 of a-z A-Z 0-9 _ - . starting with a letter or digit".into(),
        )),
    }
}
