//! Reads `[sinks]`: the keys that every type has, and the type's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::secret::Vault;
use super::{
    BUILT_IN, MOST, Retry, Sink, SinkKind, Start, jsonl, kafka, mqtt, nats, retry, shape, unix, webhook,
};
use crate::config::raw::{Node, Raw, Report, Section, Table, show_key};
use crate::config::{read, suggest};
use crate::sinks::shape::Shape;
use crate::types::ids::CameraId;

/// What sinks are read with.
pub(in crate::config) struct Around<'a> {
    /// The stores, by key: no sink writes into one.
    pub stores: [(&'static str, &'a Path); 3],
    /// Relative paths start here.
    pub base: &'a Path,
    /// The control socket.
    pub control: &'a Path,
    /// The value of `events.source`.
    pub source: &'a str,
    /// The cameras of the configuration, switched on or not.
    pub cameras: &'a BTreeSet<String>,
    /// Where secrets come from.
    pub credentials: &'a crate::config::credentials::Credentials,
}

/// Why a key of the runner's has no place at a sink that is read from.
const PULLED: &str =
    "is for sinks that events are sent to; a socket's readers come and go, and each keeps its own place";

/// A type of sink.
#[derive(Clone, Copy)]
enum Type {
    Jsonl,
    Kafka,
    Mqtt,
    Nats,
    Unix,
    Webhook,
}

const TYPES: [(&str, Type); 6] = [
    ("jsonl", Type::Jsonl),
    ("kafka", Type::Kafka),
    ("mqtt", Type::Mqtt),
    ("nats", Type::Nats),
    ("unix", Type::Unix),
    ("webhook", Type::Webhook),
];

/// Reads the tables of `[sinks]` and puts the sinks that are switched on after `built_in`.
pub(in crate::config) fn all(
    built_in: Vec<Sink>,
    tables: Table,
    around: &Around<'_>,
    report: &Report,
) -> Vec<Sink> {
    if tables.len() > MOST {
        report.problem("sinks", format!("expected at most {MOST} sinks, found {}", tables.len()), None);
    }
    let mut sinks = built_in;
    for (name, node) in tables {
        let path = format!("sinks.{}", show_key(&name));
        if let Err(message) = name_is_good(&name) {
            report.problem(path, message, node.origin_text());
            continue;
        }
        // The layers' shape was checked: a sink is a table.
        if let Node { value: Raw::Table(table), .. } = node {
            sinks.extend(one(name, Section::new(path, "sinks.*", table, report), around));
        }
    }
    warn_of_unknown_cameras(sinks.iter().map(|sink| (sink.key(), &sink.shape)), around.cameras, report);
    refuse_shared_paths(&sinks, &around.stores, report);
    sinks
}

fn name_is_good(name: &str) -> Result<(), String> {
    if BUILT_IN.contains(&name) {
        return Err(format!(
            "is the name of a sink that is built in, and set by events.{name}; choose another"
        ));
    }
    // The same names as cameras have: they stand in metrics, topics and file names.
    CameraId::new(name).map(drop).map_err(|_| {
        "a sink's name is 1 to 64 of a-z A-Z 0-9 _ - . starting with a letter or digit".to_owned()
    })
}

/// One sink; `None` if it is switched off or cannot be made.
fn one(name: String, mut s: Section<'_>, around: &Around<'_>) -> Option<Sink> {
    const STARTS: [(&str, Start); 2] = [("now", Start::Now), ("oldest", Start::Oldest)];
    if !s.has("type") {
        let types: Vec<String> = TYPES.iter().map(|(word, _)| format!("{word:?}")).collect();
        s.missing("type", &types.join(" or "));
    }
    let kind = s.read("type", read::word(&TYPES));
    let enabled = s.get("enabled", true, read::flag);
    let shape = shape::read(&mut s);
    // Of a type that is not known no key is.
    let kind = kind?;
    let pulled = matches!(kind, Type::Unix);
    if pulled {
        for key in ["required", "start", "backoff", "rate", "batch", "dead_letters"] {
            s.forbid(key, PULLED);
        }
    }
    let required = !pulled && s.get("required", false, read::flag);
    let start = if pulled { Start::Now } else { s.get("start", Start::Now, read::word(&STARTS)) };
    let retry = if pulled { Retry::default() } else { retry::read(&mut s) };
    let kind = own(kind, &mut s, &name, around, &retry);
    s.finish();
    let sink = Sink { name, required, start, shape, retry, kind: kind? };
    enabled.then_some(sink)
}

/// What the type has besides; `None` if it cannot be made.
fn own(kind: Type, s: &mut Section<'_>, name: &str, around: &Around<'_>, retry: &Retry) -> Option<SinkKind> {
    match kind {
        Type::Jsonl => file(s, around.base).map(SinkKind::Jsonl),
        Type::Kafka => kafka::read(s, name, around, retry).map(|kafka| SinkKind::Kafka(Box::new(kafka))),
        Type::Mqtt => mqtt::read(s, name, around, retry).map(|mqtt| SinkKind::Mqtt(Box::new(mqtt))),
        Type::Nats => nats::read(s, around, retry).map(|nats| SinkKind::Nats(Box::new(nats))),
        Type::Unix => Some(SinkKind::Unix(unix::read(s, around.base, around.control))),
        Type::Webhook => webhook::read(s, around, retry).map(|hook| SinkKind::Webhook(Box::new(hook))),
    }
}

fn file(s: &mut Section<'_>, base: &Path) -> Option<jsonl::EventFile> {
    if !s.has("path") {
        s.missing("path", "the path of a file");
    }
    let path = s.read("path", read::path(base));
    let complete = path.is_some();
    let file = jsonl::read(s, path.unwrap_or_default());
    complete.then_some(file)
}

/// A camera that is not there is likely mistyped: the sink, or reader, would wait for it for ever. Each comes with its key.
pub(super) fn warn_of_unknown_cameras<'s>(
    shapes: impl Iterator<Item = (String, &'s Shape)>,
    cameras: &BTreeSet<String>,
    report: &Report,
) {
    for (key, shape) in shapes {
        let chosen = shape.cameras.iter().flatten().map(CameraId::as_str);
        for camera in chosen.filter(|camera| !cameras.contains(*camera)) {
            let hint = suggest::hint(camera, cameras.iter().map(String::as_str));
            report.warn(format!("{key}.cameras: {camera} is no camera of this configuration{hint}"));
        }
    }
}

/// Two sinks that write to one file would tear each other's lines, and a store would be destroyed.
fn refuse_shared_paths(sinks: &[Sink], stores: &[(&'static str, &Path)], report: &Report) {
    for (i, sink) in sinks.iter().enumerate() {
        let Some(path) = path_of(sink) else { continue };
        let twin = sinks.iter().take(i).find(|other| path_of(other) == Some(path)).map(Sink::key);
        let store = stores.iter().find(|(_, store)| *store == path).map(|(key, _)| (*key).to_owned());
        if let Some(other) = twin.or(store) {
            let message = format!("is the path of {other} as well; each needs its own");
            report.problem(format!("{}.path", sink.key()), message, None);
        }
    }
}

fn path_of(sink: &Sink) -> Option<&PathBuf> {
    match &sink.kind {
        SinkKind::Jsonl(file) => Some(&file.path),
        SinkKind::Unix(socket) => Some(&socket.path),
        _ => None,
    }
}

impl<'a> Around<'a> {
    pub(super) fn vault(&self) -> Vault<'a> {
        Vault { credentials: self.credentials, base: self.base }
    }

    /// What the box is called where a sink needs a name for it: the last part of `events.source`.
    pub(super) fn box_name(&self) -> &'a str {
        let last = self.source.trim_end_matches('/').rsplit('/').next();
        last.filter(|name| !name.is_empty()).unwrap_or("watchlistd")
    }
}
