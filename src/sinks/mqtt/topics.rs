//! Topics: templates, and text that is safe as a level of one (MQTT 5.0, 4.7).

use crate::bail;
use crate::base::error::Result;
use crate::events::Event;
use crate::types::ids::IdentityId;

/// Longest topic in bytes that is published: two bytes hold its length, and some are left for a level below.
const MAX_TOPIC: usize = 60_000;

/// Stands where an event has no camera, identity or list.
pub const NONE: &str = "_";

/// What a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The box.
    Source,
    /// The camera's name.
    Camera,
    /// The event's type without prefix and version: `recognized`.
    Type,
    /// Who was recognised, by id.
    Identity,
    /// The first of the lists for which somebody was recognised.
    List,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 5] = [Field::Source, Field::Camera, Field::Type, Field::Identity, Field::List];

    const fn name(self) -> &'static str {
        match self {
            Field::Source => "source",
            Field::Camera => "camera",
            Field::Type => "type",
            Field::Identity => "identity",
            Field::List => "list",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A topic with fields in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads and checks a template; `key` is named in errors, `needed` must be in it.
    ///
    /// # Errors
    /// `Config`, when it is no topic, or names a field that is not in `fields`.
    pub fn new(key: &str, text: &str, fields: &[Field], needed: Option<Field>) -> Result<Self> {
        if text.is_empty()
            || text.len() > 1024
            || text.contains(['+', '#'])
            || text.starts_with('$')
            || !is_text(text)
        {
            bail!(
                Config,
                "{key}: {text:?}; expected a topic of 1 to 1024 bytes without + and #, that does not begin with $"
            );
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                bail!(Config, "{key}: {text:?}: a brace is open");
            };
            let Some(field) = fields.iter().copied().find(|field| field.name() == name) else {
                let known: Vec<String> = fields.iter().map(|field| format!("{{{}}}", field.name())).collect();
                bail!(Config, "{key}: {text:?}: {{{name}}} is not one of: {}", known.join(" "));
            };
            parts.extend([Part::Text(before.to_owned()), Part::Field(field)]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if let Some(field) = needed.filter(|field| !parts.contains(&Part::Field(*field))) {
            bail!(
                Config,
                "{key}: {text:?}: {{{}}} is not in it; without it all would be one topic",
                field.name()
            );
        }
        Ok(Self(parts))
    }

    /// The topic, with what `value` says for each field.
    pub fn fill(&self, value: impl Fn(Field) -> String) -> String {
        let mut topic = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Field(field) => topic.push_str(&value(*field)),
            }
        }
        let mut end = topic.len().min(MAX_TOPIC);
        while !topic.is_char_boundary(end) {
            end -= 1;
        }
        topic.truncate(end);
        topic
    }
}

/// A field's value for this event.
pub fn of_event(field: Field, source: &str, event: &Event) -> String {
    let text = match field {
        Field::Source => Some(source.to_owned()),
        Field::Camera => event.camera().map(level),
        Field::Type => Some(short(event.kind.as_str())),
        Field::Identity => event.identity().map(|identity| identity.id.to_string()),
        Field::List => event.identity().and_then(|identity| identity.lists.first()).map(|list| level(list)),
    };
    text.unwrap_or_else(|| NONE.to_owned())
}

/// A field's value for a person: nothing but the id and the box.
pub fn of_person(field: Field, source: &str, id: IdentityId) -> String {
    match field {
        Field::Source => source.to_owned(),
        Field::Identity => id.to_string(),
        _ => NONE.to_owned(),
    }
}

/// `io.watchlistd.recognized.v1` → `recognized`; `io.watchlistd.gallery.changed.v1` → `gallery.changed`.
fn short(kind: &str) -> String {
    let name = kind.strip_prefix("io.watchlistd.").unwrap_or(kind);
    let cut = name
        .rfind(".v")
        .filter(|at| name.get(at + 2..).is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit())));
    level(cut.and_then(|at| name.get(..at)).unwrap_or(name))
}

/// Any text as one level of a topic: what may not be in one becomes `_`, and so does nothing at all.
pub fn level(text: &str) -> String {
    let bad =
        |c: char| matches!(c, '/' | '+' | '#' | '$' | '{' | '}') || !is_text(c.encode_utf8(&mut [0; 4]));
    let level: String = text.chars().take(128).map(|c| if bad(c) { '_' } else { c }).collect();
    if level.is_empty() { NONE.to_owned() } else { level }
}

/// True for what a string of MQTT should hold: no control characters, no non-characters (MQTT 5.0, 1.5.4).
pub fn is_text(text: &str) -> bool {
    let bad =
        |c: char| c.is_control() || (c as u32 & 0xFFFE) == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    !text.chars().any(bad)
}
