//! An event in a line, for people.

use serde::Serialize;

use super::desk::{Line, Piece};
use super::gap;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::table::Column;
use crate::err;
use crate::events::{Data, Event, Identity, LeftData, LostData, Sighting};

/// The columns of [`row`].
pub(super) const COLUMNS: [Column; 6] = [
    Column::number("NUMBER"),
    Column::whole("TIME"),
    Column::whole("TYPE"),
    Column::words("CAMERA"),
    Column::words("WHO"),
    Column::words("WHAT"),
];

/// Reads an event of the log.
pub(super) fn event(line: &Line) -> Result<Event> {
    serde_json::from_str(&line.json).map_err(|e| {
        err!(Data, "event {} is of a version that this program does not read", line.sequence).because(e)
    })
}

/// The cells of what stands in the log.
pub(super) fn row(console: &Console, piece: &Piece, event: Option<&Event>) -> Vec<String> {
    match (piece, event) {
        (Piece::Event(line), Some(event)) => vec![
            line.sequence.to_string(),
            console.second(event.time),
            event.kind.short().to_owned(),
            event.camera().unwrap_or_default().to_owned(),
            who(event),
            what(event),
        ],
        (Piece::Event(line), None) => vec![line.sequence.to_string()],
        (Piece::Gap(gap), _) => {
            let nothing = String::new;
            vec![gap.last.to_string(), nothing(), gap.word().to_owned(), nothing(), nothing(), gap_words(gap)]
        }
    }
}

fn gap_words(gap: &gap::Gap) -> String {
    if gap.count() == 1 { gap.words() } else { format!("{} ({})", gap.words(), gap.range()) }
}

/// Whom it is about.
pub(super) fn who(event: &Event) -> String {
    match &event.data {
        Data::Sighting(_) | Data::Left(_) => event.identity().map(identity).unwrap_or_default(),
        Data::Health(data) => data.component.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

fn identity(identity: &Identity) -> String {
    let name = identity.name.clone().unwrap_or_else(|| identity.id.to_string());
    if identity.lists.is_empty() { name } else { format!("{name} ({})", identity.lists.join(", ")) }
}

/// What it says.
pub(super) fn what(event: &Event) -> String {
    match &event.data {
        Data::Sighting(data) => sighting(data),
        Data::Left(data) => left(data),
        Data::Appeared(_) => String::new(),
        Data::Counted(data) => join(", ", [data.decision.map(word), data.stage.map(word)]),
        Data::Camera(data) => {
            let retry = data.retry_s.map(|seconds| format!("tried again in {seconds} s"));
            let size = data.width.zip(data.height).map(|(width, height)| format!("{width}x{height}"));
            let why = join(": ", [data.failure.clone(), data.message.clone()]);
            join(", ", [Some(word(data.state)), some(why), retry, size, data.decoder.clone()])
        }
        Data::Gallery(data) => {
            let changes = data.changes.iter().map(|change| format!("{} {}", change.count, word(change.what)));
            let identities = format!("{} identities", data.identities);
            let changes = changes.collect::<Vec<_>>().join(", ");
            join(
                ", ",
                [Some(format!("generation {}", data.gallery_generation)), some(changes), Some(identities)],
            )
        }
        Data::Health(data) => join(": ", [Some(word(data.state)), data.message.clone()]),
        Data::Lost(data) => lost(data),
        Data::Threshold(data) => {
            let budget = format!("for at most {} false alerts a day", data.false_alerts_per_day);
            let expected = data.expected.map(|expected| format!("{expected} expected"));
            let change = format!("{:.3} instead of {:.3}", data.threshold, data.threshold_before);
            join(", ", [Some(change), Some(budget), expected, Some(word(data.basis))])
        }
    }
}

fn sighting(data: &Sighting) -> String {
    let score = data.score.map(|score| format!("score {score:.2} of {:.2}", data.threshold));
    let reason = join(": ", [data.reason.map(word), data.refusal.map(word)]);
    let said = data.stage.map(word);
    join(", ", [said, some(reason), score])
}

fn left(data: &LeftData) -> String {
    let reason = join(": ", [data.reason.map(word), data.refusal.map(word)]);
    let there = format!("was there for {:.1} s", data.duration_ms as f64 / 1000.0);
    join(", ", [data.decision.map(word), data.stage.map(word), some(reason), Some(there)])
}

fn lost(data: &LostData) -> String {
    let range = data.first.zip(data.last).map(gap::range);
    let of = data.of_log.map(|log| format!("of log {log}"));
    let range = join(" ", [range, of]);
    join(", ", [Some(gap::events(data.count)), Some(word(data.reason)), some(range)])
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn join<const N: usize>(between: &str, parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(between)
}

/// The word that a value has in events.
pub(super) fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string())
}
