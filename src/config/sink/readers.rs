//! `[http.readers.NAME]`: who may come for events over HTTP, and what of them. They are shaped as sinks are.

use super::read::{Around, warn_of_unknown_cameras};
use super::{secret, shape};
use crate::base::secret::Secret;
use crate::config::raw::{Node, Raw, Report, Section, Table, show_key};
use crate::sinks::shape::{Fields, Shape};
use crate::types::ids::CameraId;

/// Most readers: each may have several connections.
const MOST: usize = 16;
/// Characters that a token has at least: it is all that a guess has to find.
const TOKEN: usize = 16;

/// Who may come for events over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpReader {
    /// Its name in metrics and logs: 1 to 64 of `a-z A-Z 0-9 _ - .`.
    pub name: String,
    /// What it says to be let in.
    pub token: Secret,
    /// Which events it gets, and what of them.
    pub shape: Shape,
    /// Whether it may fetch the pictures that they refer to.
    pub snapshots: bool,
}

impl HttpReader {
    /// With every option at its default: all of every event.
    pub fn new(name: impl Into<String>, token: Secret) -> Self {
        Self { name: name.into(), token, shape: Shape::default(), snapshots: false }
    }
}

/// Reads the tables of `[http.readers]`.
pub(in crate::config) fn all(tables: Table, around: &Around<'_>, report: &Report) -> Vec<HttpReader> {
    if tables.len() > MOST {
        let found = tables.len();
        report.problem("http.readers", format!("expected at most {MOST} readers, found {found}"), None);
    }
    let mut readers = Vec::new();
    for (name, node) in tables {
        let path = format!("http.readers.{}", show_key(&name));
        if CameraId::new(&name).is_err() {
            let message = "a reader's name is 1 to 64 of a-z A-Z 0-9 _ - . starting with a letter or digit";
            report.problem(path, message, node.origin_text());
            continue;
        }
        // The layers' shape was checked: a reader is a table.
        if let Node { value: Raw::Table(table), .. } = node {
            readers.extend(one(name, Section::new(path, "http.readers.*", table, report), around));
        }
    }
    refuse_twins(&readers, report);
    let shapes = readers.iter().map(|reader| (key(reader), &reader.shape));
    warn_of_unknown_cameras(shapes, around.cameras, report);
    readers
}

/// One reader; `None` if it is switched off or cannot be made.
fn one(name: String, mut s: Section<'_>, around: &Around<'_>) -> Option<HttpReader> {
    let enabled = s.get("enabled", true, crate::config::read::flag);
    if !s.has("token_file") {
        s.missing("token_file", "the path of a file that holds the reader's token");
    }
    secret::forbid(&mut s, "token", "token_file");
    let token = around.vault().one(&mut s, "token_file").map(secret::Named::secret);
    // A header holds visible ASCII (RFC 6750, section 2.1, asks for less still).
    let good = |token: &Secret| {
        let text = token.expose();
        text.len() >= TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if let Some(token) = &token
        && around.credentials.complete()
        && !good(token)
    {
        s.conflict(
            "token_file",
            format!("the token in it has to have {TOKEN} characters at least, letters, digits and signs without spaces"),
        );
    }
    let shape = shape::read(&mut s);
    let snapshots = s.get("snapshots", false, crate::config::read::flag);
    if snapshots && shape.fields != Fields::Name && s.clean() {
        s.conflict("snapshots", "needs fields = \"name\": a picture says who it is");
    }
    s.finish();
    enabled.then_some(HttpReader { name, token: token?, shape, snapshots })
}

/// Whose token it is has to be certain.
fn refuse_twins(readers: &[HttpReader], report: &Report) {
    for (i, reader) in readers.iter().enumerate() {
        let same = |other: &&HttpReader| other.token == reader.token && !reader.token.expose().is_empty();
        if let Some(other) = readers.iter().take(i).find(same) {
            let message = format!("the token in it is that of {} as well; each needs its own", key(other));
            report.problem(format!("{}.token_file", key(reader)), message, None);
        }
    }
}

fn key(reader: &HttpReader) -> String {
    format!("http.readers.{}", show_key(&reader.name))
}
