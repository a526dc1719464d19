//! What goes over the control socket, version 1.
//!
//! ```text
//!  client                                                                          watchlistd
//!    │── {"op":"status"}⏎ ───────────────────────────────────────────────────────────▶│
//!    │◀────────────────────────────────────────────────────────── {"status":{...}}⏎ ──│ and the connection ends
//!
//!    │── {"op":"gallery","version":1,"command":{"op":"describe"},"body":N}⏎ N bytes ──▶│
//!    │◀───────────────────────── {"progress":{"what":"templates","done":1,"of":9}}⏎ ──│ any number of them
//!    │◀──────────────────────────────────────────────── {"ok":VALUE,"body":M}⏎ M bytes ──│ or
//!    │◀─────────────────────────── {"error":{"kind":"data","message":"what to do"}}⏎ ──│
//!    │── the next request, when the answer is there ─────────────────────────────────▶│
//!
//!    │── {"op":"events","version":1,"command":{"op":"head"}}⏎ ────────────────────────▶│ events.rs; answered like those
//! ```
//!
//! - A line is JSON (RFC 8259) in UTF-8 without a line break, and ends with one (0x0A). A request's has at most 1 MiB.
//! - A body is raw bytes of the length the line gives, at most 1 GiB: a vector, a picture, a bundle, a backup. `body` may be
//!   left out for 0, `version` for 1. Unknown keys beside them are passed over.
//! - `command` is a [`Command`]; VALUE is the report that command gives. A command that fails is answered with `error`, and
//!   the connection goes on. After a request that is not one (no JSON, an unknown command, too long), after a refusal and
//!   after a failure of the daemon itself the connection ends.
//! - `kind` is a name of [`KINDS`]; it decides the exit code. The message never repeats what was in the request.

use std::io::Write;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::buffer::Buffer;
use crate::api::table::plain;
use crate::base::error::{Error, Kind, Result};
use crate::gallery::command::{Command, Progress};
use crate::stats::snapshot::Snapshot;
use crate::{bail, err};

/// The version of this protocol.
pub(super) const VERSION: u32 = 1;
/// Longest request line, in bytes.
pub(super) const MAX_LINE: usize = 1 << 20;
/// Longest request line of somebody who may only ask for the status.
pub(super) const MAX_STATUS_LINE: usize = 1024;
/// Longest body of a request or an answer, in bytes.
pub(super) const MAX_BODY: usize = 1 << 30;
/// Longest line of an answer, in bytes: a list of all identities is one.
pub(super) const MAX_ANSWER: usize = 256 << 20;
/// The request for the status, as it always was.
pub(super) const STATUS: &[u8] = b"{\"op\":\"status\"}\n";

/// What is asked, without the command itself: enough to tell who may ask it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Status,
    Gallery { body: usize },
    Events,
}

#[derive(Deserialize)]
struct Head {
    op: String,
    #[serde(default = "version")]
    version: u32,
    #[serde(default)]
    body: u64,
}

#[derive(Deserialize)]
struct Tail<C> {
    command: C,
}

#[derive(Serialize)]
struct Request<'a, C> {
    op: &'static str,
    version: u32,
    command: &'a C,
    body: usize,
}

fn version() -> u32 {
    VERSION
}

/// The line of a gallery request.
///
/// # Errors
/// `Data`, when line or body are longer than they may be.
pub(super) fn gallery_line(command: &Command, body: usize) -> Result<Buffer> {
    if body > MAX_BODY {
        return Err(too_large(body as u64));
    }
    request_line("gallery", command, body)
}

/// The line of a request.
///
/// # Errors
/// `Data`, when it is longer than it may be.
pub(super) fn request_line(op: &'static str, command: &impl Serialize, body: usize) -> Result<Buffer> {
    let mut line = Buffer::up_to(MAX_LINE + 1);
    serde_json::to_writer(&mut line, &Request { op, version: VERSION, command, body }).map_err(|e| {
        if e.is_io() { too_long(MAX_LINE) } else { err!(Software, "the command is no JSON").because(e) }
    })?;
    line.write_all(b"\n").map_err(|_| too_long(MAX_LINE))?;
    Ok(line)
}

/// Reads what is asked. The command is looked at later, by [`command`], if it may be given at all.
///
/// # Errors
/// `Data`, with what was expected.
pub(super) fn asked(line: &[u8], most: usize) -> Result<Asked> {
    let head: Head = serde_json::from_slice(line).map_err(|_| {
        err!(Data, "expected one line of JSON: {{\"op\":\"status\"}} or {{\"op\":\"gallery\",\"command\":{{...}},\"body\":N}}")
    })?;
    match head.op.as_str() {
        "status" => Ok(Asked::Status),
        "gallery" | "events" if head.version != VERSION => bail!(
            Data,
            "this watchlistd speaks version {VERSION} of the control protocol, the request is of version {}: use the \
             same watchlistd on both sides, and restart it after an upgrade",
            head.version
        ),
        "gallery" => match usize::try_from(head.body) {
            Ok(body) if body <= most => Ok(Asked::Gallery { body }),
            _ => Err(too_large(head.body)),
        },
        "events" if head.body == 0 => Ok(Asked::Events),
        "events" => bail!(Data, "a question about events has no body"),
        other => {
            let other: String = other.chars().take(32).collect();
            bail!(Data, "unknown op {other:?}; known: status, gallery, events")
        }
    }
}

/// Reads the command of a request.
///
/// # Errors
/// `Data`, which says where, and nothing of what is there: it may be a passphrase.
pub(super) fn command<C: DeserializeOwned>(line: &[u8]) -> Result<C> {
    serde_json::from_slice::<Tail<C>>(line).map(|tail| tail.command).map_err(|e| {
        err!(
            Data,
            "the command is not one of this watchlistd's, near byte {}: use the same watchlistd on both sides, and \
             restart it after an upgrade",
            e.column()
        )
    })
}

pub(super) fn too_large(body: u64) -> Error {
    err!(Data, "a body of {body} bytes: at most {MAX_BODY} go over the control socket")
}

pub(super) fn too_long(limit: usize) -> Error {
    err!(Data, "the request's line is longer than {limit} bytes; ask for less at a time")
}

/// A line of an answer, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Out<'a> {
    Status(&'a Snapshot),
    Progress(&'a Progress),
    Error(Fault),
    #[serde(untagged)]
    Ok {
        ok: &'a Value,
        body: usize,
    },
}

/// A line of an answer, as it is read.
#[derive(Debug)]
pub(super) enum Answer {
    Status(Box<Snapshot>),
    Progress(Progress),
    Ok { value: Value, body: usize },
    Error(Error),
}

#[derive(Deserialize)]
struct In {
    status: Option<Box<Snapshot>>,
    progress: Option<Progress>,
    #[serde(default, deserialize_with = "present")]
    ok: Option<Value>,
    #[serde(default)]
    body: u64,
    error: Option<Fault>,
}

#[derive(Serialize, Deserialize)]
struct Fault {
    kind: String,
    message: String,
}

/// A value that is there and `null` is there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

pub(super) fn status_line(snapshot: &Snapshot) -> Result<Buffer> {
    out(&Out::Status(snapshot))
}

pub(super) fn progress_line(progress: &Progress) -> Result<Buffer> {
    out(&Out::Progress(progress))
}

/// # Errors
/// `CannotCreate`, when the answer is longer than it may be.
pub(super) fn ok_line(value: &Value, body: usize) -> Result<Buffer> {
    if body > MAX_BODY {
        bail!(
            CannotCreate,
            "the answer has a body of {body} bytes, at most {MAX_BODY} go over the control socket: stop watchlistd \
             and ask again"
        );
    }
    out(&Out::Ok { ok: value, body })
}

pub(super) fn error_line(error: &Error) -> Result<Buffer> {
    out(&Out::Error(Fault { kind: kind_name(error.kind()).to_owned(), message: error.chain() }))
}

fn out(answer: &Out<'_>) -> Result<Buffer> {
    let mut line = Buffer::up_to(MAX_ANSWER);
    let written = serde_json::to_writer(&mut line, answer).map_err(std::io::Error::from);
    written.and_then(|()| line.write_all(b"\n")).map_err(|e| {
        err!(CannotCreate, "the answer is longer than {MAX_ANSWER} bytes; ask for less at a time").because(e)
    })?;
    Ok(line)
}

impl Answer {
    /// Reads a line of an answer.
    ///
    /// # Errors
    /// `Data`, when it is none.
    pub(super) fn parse(line: &[u8]) -> Result<Self> {
        let other =
            || err!(Data, "the watchlistd that runs is of another version; restart it after an upgrade");
        let answer: In = serde_json::from_slice(line).map_err(|_| other())?;
        match answer {
            In { error: Some(fault), .. } => Ok(Self::Error(fault.into_error())),
            In { progress: Some(progress), .. } => Ok(Self::Progress(progress)),
            In { status: Some(snapshot), .. } => Ok(Self::Status(snapshot)),
            In { ok: Some(value), body, .. } => match usize::try_from(body) {
                Ok(body) if body <= MAX_BODY => Ok(Self::Ok { value, body }),
                _ => Err(other()),
            },
            _ => Err(other()),
        }
    }
}

impl Fault {
    fn into_error(self) -> Error {
        Error::new(kind_of(&self.kind), plain(&self.message))
    }
}

/// Kinds of errors and their names.
pub(super) const KINDS: [(Kind, &str); 10] = [
    (Kind::Usage, "usage"),
    (Kind::Data, "data"),
    (Kind::NoInput, "no_input"),
    (Kind::Unavailable, "unavailable"),
    (Kind::Software, "software"),
    (Kind::CannotCreate, "cannot_create"),
    (Kind::Io, "io"),
    (Kind::Temporary, "temporary"),
    (Kind::Permission, "permission"),
    (Kind::Config, "config"),
];

fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("software", |(_, name)| name)
}

/// A kind that a later version may have is a failure all the same.
fn kind_of(name: &str) -> Kind {
    KINDS.iter().find(|(_, known)| *known == name).map_or(Kind::Software, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::command::SecretText;
    use crate::types::ids::ModelId;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let given = Command::Confusable { most: 5 };
        let line = gallery_line(&given, 7).expect("a line");
        assert_eq!(asked(&line, 7).expect("a request"), Asked::Gallery { body: 7 });
        assert_eq!(command::<Command>(&line).expect("a command"), given);
        assert_eq!(asked(STATUS, 0).expect("a request"), Asked::Status);
        // By hand, with as little as possible.
        let line = br#"{"command":{"op":"describe"},"op":"gallery"}"#;
        assert_eq!(asked(line, 0).expect("a request"), Asked::Gallery { body: 0 });
        assert_eq!(command::<Command>(line).expect("a command"), Command::Describe);
    }

    #[test]
    fn what_is_no_request_is_told_what_one_is() {
        let told = |line: &str| asked(line.as_bytes(), 10).expect_err("no request").to_string();
        assert!(told("GET / HTTP/1.1").contains("expected one line of JSON"));
        assert!(told(r#"{"op":"gallery","body":-1}"#).contains("expected one line of JSON"));
        assert!(told(r#"{"op":"reboot"}"#).contains("unknown op \"reboot\"; known: status, gallery, events"));
        assert!(told(r#"{"op":"gallery","version":2}"#).contains("version 2"));
        assert!(told(r#"{"op":"gallery","body":11}"#).contains("a body of 11 bytes"));
        assert!(told(r#"{"op":"gallery","body":18446744073709551615}"#).contains("bytes: at most"));
    }

    #[test]
    fn no_message_repeats_what_was_asked() {
        for text in [
            r#"{"op":"gallery","command":{"op":"key-export","recipients":[],"passphrase":["tulip"]}}"#,
            r#"{"op":"gallery","command":{"op":"key-export","recipients":"tulip"}}"#,
            r#"{"op":"gallery","command":{"op":"tulip"}}"#,
            r#"{"op":"gallery","command":"tulip"}"#,
        ] {
            let error = command::<Command>(text.as_bytes()).expect_err("no command").chain();
            assert!(error.contains("near byte") && !error.contains("tulip"), "{error}");
        }
        let error = asked(br#"{"op":"gallery","body":"tulip"}"#, 0).expect_err("no request").chain();
        assert!(!error.contains("tulip"), "{error}");
        let passphrase = Some(SecretText::new("tulip"));
        let line = gallery_line(&Command::KeyExport { recipients: vec![], passphrase }, 0).expect("a line");
        assert!(!format!("{line:?}").contains("tulip"));
    }

    #[test]
    fn every_kind_of_error_survives_the_wire() {
        for (kind, name) in KINDS {
            let error = Error::new(kind, "what to do").because(Error::new(Kind::Io, "disk full"));
            let line = error_line(&error).expect("a line");
            assert!(String::from_utf8_lossy(&line).contains(&format!("\"kind\":\"{name}\"")));
            let Answer::Error(read) = Answer::parse(&line).expect("an answer") else { panic!("no error") };
            assert_eq!((read.kind(), read.to_string()), (kind, "what to do: disk full".to_owned()));
        }
        let codes: std::collections::BTreeSet<u8> = KINDS.iter().map(|(kind, _)| kind.exit_code()).collect();
        assert_eq!(codes.len(), 10, "each kind once");
        assert_eq!(kind_of("of a later version"), Kind::Software);
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let line = ok_line(&Value::Null, 3).expect("a line");
        assert_eq!(&*line, b"{\"ok\":null,\"body\":3}\n");
        let answer = Answer::parse(&line).expect("an answer");
        assert!(matches!(answer, Answer::Ok { value: Value::Null, body: 3 }), "{answer:?}");
        let given = Progress { what: "templates".to_owned(), done: 1, of: 2 };
        let line = progress_line(&given).expect("a line");
        let Answer::Progress(read) = Answer::parse(&line).expect("an answer") else { panic!("no progress") };
        assert_eq!(read, given);
        // What the first version of the daemon answers to what it does not know.
        let old = Answer::parse(b"{\"error\":\"unknown op\"}").expect_err("no answer");
        assert!(old.to_string().contains("another version"), "{old}");
        for odd in ["{}", "[]", "", "{\"body\":1}", "{\"ok\":1,\"body\":99999999999999}", "\x00"] {
            assert!(Answer::parse(odd.as_bytes()).is_err(), "{odd}");
        }
    }

    #[test]
    fn too_much_is_refused_before_it_is_sent() {
        let sources = vec!["0".repeat(64); MAX_LINE / 64];
        let subject = serde_json::from_str(r#"{"record":{"name":"Ana"}}"#).expect("a subject");
        let known = Command::Known { subject, model: ModelId([7; 32]), sources };
        let error = gallery_line(&known, 0).expect_err("too long");
        assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
        let error = gallery_line(&Command::Restore { key: None }, MAX_BODY + 1).expect_err("too large");
        assert_eq!(error.kind(), Kind::Data);
        assert_eq!(ok_line(&Value::Null, MAX_BODY + 1).expect_err("too large").kind(), Kind::CannotCreate);
    }
}
