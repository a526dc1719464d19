//! From an event to its subject: `watchlistd.{box}.{list}.{camera}.{type}`.
//!
//! A token of a subject must not hold a dot, white space or a wildcard. What does is percent-encoded (RFC 3986, 2.1), so that two
//! cameras never share a subject. What there is none of is `_`, and something that is really called `_` is `%5F`.

use std::fmt::Write as _;

use crate::bail;
use crate::base::error::Result;
use crate::events::Event;

/// Stands for what there is none of.
const NONE: &str = "_";

/// A checked template, with the box filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The box's name, safe.
    Box(String),
    List,
    Camera,
    Type,
}

impl Template {
    /// Reads a template.
    pub(super) fn new(template: &str, box_name: &str) -> Result<Self> {
        if box_name.is_empty() {
            bail!(Config, "box: expected a name for the subjects of this box");
        }
        let parts: Vec<Part> =
            template.split('.').map(|token| part(token, box_name, template)).collect::<Result<_>>()?;
        if !matches!(parts.first(), Some(Part::Text(_))) {
            bail!(
                Config,
                "subject = {template:?}: expected plain text as the first token, as in watchlistd.{{box}}"
            );
        }
        Ok(Self(parts))
    }

    /// The subject of an event.
    pub(super) fn of(&self, event: &Event) -> String {
        self.join(|part| match part {
            Part::List => lists(event).first().map_or_else(|| NONE.to_owned(), |list| token(list)),
            Part::Camera => event.camera().map_or_else(|| NONE.to_owned(), token),
            Part::Type => token(type_name(event)),
            Part::Text(text) | Part::Box(text) => text.clone(),
        })
    }

    /// What a stream of every box has to take.
    pub(super) fn of_all_boxes(&self) -> String {
        self.join(|part| if let Part::Text(text) = part { text.clone() } else { "*".to_owned() })
    }

    /// What this box publishes.
    pub(super) fn of_this_box(&self) -> String {
        self.join(|part| match part {
            Part::Text(text) | Part::Box(text) => text.clone(),
            Part::List | Part::Camera | Part::Type => "*".to_owned(),
        })
    }

    fn join(&self, text: impl Fn(&Part) -> String) -> String {
        self.0.iter().map(text).collect::<Vec<_>>().join(".")
    }
}

fn part(token: &str, box_name: &str, template: &str) -> Result<Part> {
    Ok(match token {
        "{box}" => Part::Box(self::token(box_name)),
        "{list}" => Part::List,
        "{camera}" => Part::Camera,
        "{type}" => Part::Type,
        text if !text.is_empty() && text.bytes().all(is_safe) => Part::Text(text.to_owned()),
        other => bail!(
            Config,
            "subject = {template:?}: {other:?} is no token; expected {{box}}, {{list}}, {{camera}}, {{type}} or \
             plain text of a-z A-Z 0-9 _ -, with dots between them"
        ),
    })
}

/// The lists that the event is a recognition for, the highest priority first.
pub(super) fn lists(event: &Event) -> &[String] {
    event.identity().map_or(&[], |identity| &identity.lists)
}

/// `io.watchlistd.recognized.v1` is `recognized`.
fn type_name(event: &Event) -> &str {
    let name = event.kind.as_str();
    let name = name.strip_prefix("io.watchlistd.").unwrap_or(name);
    name.rsplit_once(".v").map_or(name, |(name, _)| name)
}

const fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// The text as one token of a subject. No two texts have the same.
pub(super) fn token(text: &str) -> String {
    match text {
        "" => NONE.to_owned(),
        NONE => "%5F".to_owned(),
        text => encode(text, is_safe),
    }
}

/// Percent-encodes the bytes that are not `safe`.
pub(super) fn encode(text: &str, safe: fn(u8) -> bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if safe(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// True if a subject can match both patterns.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// True if every subject that `narrow` matches, `wide` matches too.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some(_), Some(">")) => return false,
            (Some(wide), Some(narrow)) if wide == narrow || wide == "*" => {}
            _ => return false,
        }
    }
}
