//! `[events]`: the log, and the sinks that are built in.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::raw::{Node, Raw, Section, Wrong, expected};
use super::read::{self, Read};
use super::sink::{self, Sink, SinkKind, jsonl, shape};
use super::{Events, defaults};
use crate::gallery::record::ListName;

/// Least budget of the log: its own tables, a transaction's journal and some thousand events fit in.
const LEAST_BUDGET: u64 = 16 << 20;
/// Most: what no disk has is a mistake.
const MOST_BUDGET: u64 = 1 << 50;

/// Reads the section. `gallery` is the gallery's path: the log is beside it where nobody says otherwise.
pub(super) fn read(mut s: Section<'_>, base: &Path, gallery: &Path) -> (Events, Vec<Sink>) {
    let d = Events { path: gallery.with_file_name(defaults::EVENTS_FILE), ..Events::default() };
    let events = Events {
        source: s.get("source", d.source, uri_reference),
        path: s.get("path", d.path, read::path(base)),
        retention: s.get("retention", d.retention, retention),
        budget: s.get("budget", d.budget, read::bytes(LEAST_BUDGET..=MOST_BUDGET)),
        lists: lists(s.table("lists")),
    };
    if s.clean() && events.path == gallery {
        s.conflict("path", "is the gallery's store; the event log needs a file of its own");
    }
    let stdout = s.get("stdout", true, read::flag).then(Sink::stdout);
    let journal = s.get("journal", true, read::flag).then(Sink::journal);
    let file = file(s.table("file"), base);
    s.finish();
    (events, [stdout, journal, file].into_iter().flatten().collect())
}

/// A minute to ten years.
fn retention(node: &Node) -> Read<Duration> {
    const DAY: u64 = 86_400;
    read::duration(Duration::from_secs(60)..=Duration::from_secs(3650 * DAY))(node)
}

fn lists(mut s: Section<'_>) -> BTreeMap<ListName, Duration> {
    let read = |name: &str, node: &Node| match ListName::new(name) {
        Ok(list) => retention(node).map(|time| (list, time)),
        Err(e) => Err(Wrong::Says(e.to_string())),
    };
    s.each(read).into_iter().collect()
}

/// `[events.file]`
fn file(mut s: Section<'_>, base: &Path) -> Option<Sink> {
    let path = s.get("path", None, read::unless("off", read::path(base)));
    let required = s.get("required", false, read::flag);
    let shape = shape::read(&mut s);
    let file = jsonl::read(&mut s, path.clone().unwrap_or_default());
    s.finish();
    path.map(|_| Sink { required, shape, ..Sink::new(sink::FILE, SinkKind::Jsonl(file)) })
}

/// CloudEvents 1.0: `source` is a URI-reference (RFC 3986) that is not empty.
fn uri_reference(node: &Node) -> Read<String> {
    let good =
        |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    match &node.value {
        Raw::Text(text) if !text.is_empty() && text.chars().all(good) => Ok(text.to_owned()),
        _ => expected("a URI reference, as \"/watchlistd\" or \"https://example.org/site-7\""),
    }
}
