//! Events as a table: comma-separated values (RFC 4180), with nothing in a cell that a spreadsheet would take for a formula.

use std::io::{self, Write};

use super::words::word;
use crate::events::{Data, Event, Identity};

/// The columns, in their order. docs/event-log.md describes them; new ones are added at the end.
pub(super) const COLUMNS: [&str; 31] = [
    "sequence",
    "id",
    "time",
    "type",
    "source",
    "camera",
    "track",
    "visit",
    "decision",
    "stage",
    "identity",
    "name",
    "external_id",
    "lists",
    "score",
    "margin",
    "threshold",
    "quality",
    "shots",
    "reason",
    "refusal",
    "captured_at",
    "latency_ms",
    "first_seen",
    "last_seen",
    "duration_ms",
    "state",
    "component",
    "message",
    "first",
    "last",
];

/// A table that is being written.
pub(super) struct Table<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Table<W> {
    /// Writes the heading.
    ///
    /// # Errors
    /// As writing.
    pub fn begin(out: W) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(COLUMNS).map_err(io_error)?;
        Ok(Self { writer })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// As writing.
    pub fn row(&mut self, event: &Event) -> io::Result<()> {
        self.writer.write_record(cells(event)).map_err(io_error)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As writing.
    pub fn end(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => cause,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A row while it is filled.
struct Cells([String; COLUMNS.len()]);

impl Cells {
    /// A number, a time, or a word of ours.
    fn put(&mut self, column: &str, value: impl ToString) {
        let at = COLUMNS.iter().position(|name| *name == column);
        debug_assert!(at.is_some(), "{column}");
        if let Some(cell) = at.and_then(|at| self.0.get_mut(at)) {
            *cell = value.to_string();
        }
    }

    fn put_some(&mut self, column: &str, value: Option<impl ToString>) {
        value.into_iter().for_each(|value| self.put(column, value));
    }

    /// Words that somebody else chose.
    fn text(&mut self, column: &str, text: &str) {
        self.put(column, defused(text));
    }

    fn text_some(&mut self, column: &str, text: Option<&String>) {
        text.into_iter().for_each(|text| self.text(column, text));
    }

    fn identity(&mut self, identity: Option<&Identity>) {
        let Some(identity) = identity else { return };
        self.put("identity", identity.id);
        self.text_some("name", identity.name.as_ref());
        self.text_some("external_id", identity.external_id.as_ref());
        self.text("lists", &identity.lists.join(" "));
    }
}

/// The row of an event; what it does not have is empty.
fn cells(event: &Event) -> [String; COLUMNS.len()] {
    let mut cells = Cells(std::array::from_fn(|_| String::new()));
    cells.put("sequence", event.sequence());
    cells.put("id", event.id);
    cells.put("time", event.time);
    cells.put("type", event.kind.short());
    cells.text("source", &event.source);
    cells.text("camera", event.camera().unwrap_or_default());
    cells.identity(event.identity());
    match &event.data {
        Data::Sighting(data) => {
            cells.text("track", &data.track);
            cells.put("visit", data.visit);
            cells.put("decision", word(data.decision));
            cells.put_some("stage", data.stage.map(word));
            cells.put_some("score", data.score);
            cells.put_some("margin", data.margin);
            cells.put("threshold", data.threshold);
            cells.put_some("quality", data.quality);
            cells.put("shots", data.shots);
            cells.put_some("reason", data.reason.map(word));
            cells.put_some("refusal", data.refusal.map(word));
            cells.put("captured_at", data.captured_at);
            cells.put("latency_ms", data.latency_ms);
        }
        Data::Appeared(data) => {
            cells.text("track", &data.track);
            cells.put("visit", data.visit);
            cells.put("captured_at", data.captured_at);
            cells.put("latency_ms", data.latency_ms);
            cells.put("first_seen", data.first_seen);
        }
        Data::Left(data) => {
            cells.text("track", &data.track);
            cells.put("visit", data.visit);
            cells.put_some("decision", data.decision.map(word));
            cells.put_some("stage", data.stage.map(word));
            cells.put("shots", data.shots);
            cells.put_some("reason", data.reason.map(word));
            cells.put_some("refusal", data.refusal.map(word));
            cells.put("first_seen", data.first_seen);
            cells.put("last_seen", data.last_seen);
            cells.put("duration_ms", data.duration_ms);
        }
        Data::Counted(data) => {
            cells.put_some("decision", data.decision.map(word));
            cells.put_some("stage", data.stage.map(word));
        }
        Data::Camera(data) => {
            cells.put("state", word(data.state));
            cells.text_some("reason", data.failure.as_ref());
            cells.text_some("message", data.message.as_ref());
        }
        Data::Gallery(data) => {
            let changes = data.changes.iter().map(|change| format!("{} {}", change.count, word(change.what)));
            cells.text("message", &changes.collect::<Vec<_>>().join(", "));
        }
        Data::Health(data) => {
            cells.put("state", word(data.state));
            cells.text_some("component", data.component.as_ref());
            cells.text_some("message", data.message.as_ref());
        }
        Data::Threshold(data) => {
            cells.put("threshold", data.threshold);
            cells.put("reason", word(data.basis));
        }
        Data::Lost(data) => {
            cells.put("reason", word(data.reason));
            cells.put("message", super::gap::events(data.count));
            cells.put_some("first", data.first);
            cells.put_some("last", data.last);
        }
    }
    cells.0
}

/// Text that a spreadsheet takes for text: an apostrophe before what would begin a formula (OWASP, "CSV Injection").
fn defused(text: &str) -> String {
    let begins = |c: char| {
        matches!(
            c,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'
        )
    };
    // Blanks before it are dropped when the file is opened.
    let dangerous = text.starts_with(begins) || text.trim_start().starts_with(begins);
    if dangerous { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_a_formula() {
        for text in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠1"]
        {
            assert_eq!(defused(text), format!("'{text}"));
        }
        for text in ["", "Ada", "a=b", "O'Brien", "1-2", "王小明", " Ada"] {
            assert_eq!(defused(text), text);
        }
    }

    #[test]
    fn every_column_is_named_once() {
        let names: std::collections::BTreeSet<&str> = COLUMNS.into_iter().collect();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
