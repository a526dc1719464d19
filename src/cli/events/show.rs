//! `events show`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::desk::{Asking, Line, Part, Piece};
use super::gap::{self, Gap};
use super::{Session, words};
use crate::base::error::{Error, Kind, Result};
use crate::cli::console::Console;
use crate::cli::table;
use crate::err;
use crate::events::Event;
use crate::events::desk::{Buried, Sink};

/// Arguments of `events show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The event's number in the log, or its id.
    #[arg(value_name = "NUMBER|ID", value_parser = which)]
    which: Which,
}

/// Names an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Sequence(u64),
    Id(Uuid),
}

/// Reads the name of an event.
pub fn which(text: &str) -> Result<Which, String> {
    let number = text.parse().ok().filter(|number| *number > 0).map(Which::Sequence);
    let id = || Uuid::try_parse(text).ok().map(Which::Id);
    number.or_else(id).ok_or_else(|| "expected a number from 1, or an id (a UUID)".to_owned())
}

/// An event, with what the log knows about it.
#[derive(Debug, Serialize)]
struct Shown {
    log: Uuid,
    sequence: u64,
    /// Of a loss event: it stands for all from here to `sequence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    accepted_at: Timestamp,
    sinks: Vec<Delivery>,
    event: Event,
}

/// What became of an event at a sink.
#[derive(Debug, Serialize)]
struct Delivery {
    sink: String,
    state: State,
    /// How many numbers come before the event's that the sink has not had.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The sink has had it, or it was not for it.
    Past,
    /// The sink has not had it.
    Waiting,
    /// The sink refused it for good.
    Refused,
}

/// Runs it.
pub(super) fn run(args: &ShowArgs, session: &mut Session) -> Result<ExitCode> {
    let mut asking = (session.open)()?;
    let (log, line) = fetch(&mut asking, args.which)?;
    let sinks = deliveries(&mut asking, line.sequence)?;
    let event = words::event(&line)?;
    let first = (line.first < line.sequence).then_some(line.first);
    let shown = Shown { log, sequence: line.sequence, first, accepted_at: line.at, sinks, event };
    session.console.show(&shown, |console| words(console, &shown))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the event, and the epoch of the log that it is in.
pub(super) fn fetch(asking: &mut Asking, which: Which) -> Result<(Uuid, Line)> {
    let sequence = match which {
        Which::Sequence(sequence) => sequence,
        Which::Id(id) => asking.find(id)?.sequence.ok_or_else(|| {
            err!(
                NoInput,
                "no event has the id {id}: it is not in the log any more (events.retention, events.budget), or it never was"
            )
        })?,
    };
    let part = asking.read(None, sequence - 1, 1, Duration::ZERO)?;
    found(sequence, part)
}

fn found(sequence: u64, part: Part) -> Result<(Uuid, Line)> {
    let last = part.last;
    match part.pieces.into_iter().next() {
        Some(Piece::Event(line)) => Ok((part.log, line)),
        Some(Piece::Gap(gap)) => Err(missing(sequence, &gap)),
        None => Err(err!(NoInput, "there is no event {sequence} yet: the log ends at {last}")),
    }
}

fn missing(sequence: u64, gap: &Gap) -> Error {
    let kind = if gap.is_wrong() { Kind::Data } else { Kind::NoInput };
    let range = if gap.count() > 1 { format!(" ({})", gap.range()) } else { String::new() };
    Error::new(kind, format!("event {sequence} cannot be shown: {}{range}", gap.words()))
}

fn deliveries(asking: &mut Asking, sequence: u64) -> Result<Vec<Delivery>> {
    let dead = asking.dead(None, Some(sequence), None)?;
    let sinks = asking.sinks()?;
    Ok(sinks.into_iter().map(|sink| delivery(sink, sequence, &dead)).collect())
}

fn delivery(sink: Sink, sequence: u64, dead: &[Buried]) -> Delivery {
    let letter = dead.iter().find(|letter| letter.sink == sink.name);
    let waiting = sink.cursor < sequence;
    let state = match letter {
        Some(_) => State::Refused,
        None if waiting => State::Waiting,
        None => State::Past,
    };
    Delivery {
        behind: waiting.then(|| sequence - sink.cursor - 1),
        sink: sink.name,
        state,
        at: letter.map(|letter| letter.at),
        why: letter.map(|letter| letter.why.clone()),
    }
}

fn words(console: &Console, shown: &Shown) -> String {
    let event = &shown.event;
    let stands_for = shown.first.map(|first| gap::range((first, shown.sequence)));
    let some = |text: String| (!text.is_empty()).then_some(text);
    let about = table::fields(&[
        ("number", Some(shown.sequence.to_string())),
        ("stands for", stands_for),
        ("log", Some(shown.log.to_string())),
        ("id", Some(event.id.to_string())),
        ("accepted", Some(console.second(shown.accepted_at))),
        ("type", Some(event.kind.short().to_owned())),
        ("camera", event.camera().map(str::to_owned)),
        ("who", some(words::who(event))),
        ("what", some(words::what(event))),
    ]);
    let sinks: String = shown.sinks.iter().map(|delivery| sink_line(console, delivery)).collect();
    let json = serde_json::to_string_pretty(event).unwrap_or_default();
    // Every control character is escaped in JSON, but not the marks that turn text around.
    let json: String = json.lines().map(|line| table::plain(line) + "\n").collect();
    format!("{about}{sinks}\n{json}")
}

fn sink_line(console: &Console, delivery: &Delivery) -> String {
    let said = match (delivery.state, delivery.behind) {
        (State::Refused, _) => {
            let at = delivery.at.map(|at| console.second(at)).unwrap_or_default();
            format!("refused it, {at}: {}", delivery.why.as_deref().unwrap_or_default())
        }
        (State::Waiting, Some(0)) => "has not had it; it is the next".to_owned(),
        (State::Waiting, behind) => format!("has not had it; {} before it", gap::events(behind.unwrap_or(0))),
        (State::Past, _) => "has had it, or does not get such events".to_owned(),
    };
    format!("sink {}: {}\n", table::plain(&delivery.sink), table::plain(&said))
}
