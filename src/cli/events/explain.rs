//! `explain`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::show::{Which, fetch, which};
use super::{From, Session, session, words};
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::table;
use crate::err;
use crate::events::explain::Explanation;
use crate::events::{Data, Event, Sighting};

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd explain 4711\n  \
    watchlistd explain 019ca885-c910-7000-8000-00000000000d --json\n\n\
    Exit status: 65 the event is no decision; 66 there is no such event; others as `watchlistd events`.")]
pub struct ExplainArgs {
    /// The event's number in the log, or its id: one of recognized, unknown or undecided.
    #[arg(value_name = "NUMBER|ID", value_parser = which)]
    which: Which,
    #[command(flatten)]
    from: From,
}

/// A decision in words, with the event it is of.
#[derive(Debug, Serialize)]
struct Explained {
    log: Uuid,
    sequence: u64,
    id: Uuid,
    #[serde(flatten)]
    explanation: Explanation,
}

/// Runs it.
///
/// # Errors
/// As `events show`; `Data`, for an event that is no decision.
pub fn run(args: ExplainArgs) -> Result<ExitCode> {
    let which = args.which;
    explain(which, &mut session(args.from)?)
}

pub(super) fn explain(which: Which, session: &mut Session) -> Result<ExitCode> {
    let (log, line) = fetch(&mut (session.open)()?, which)?;
    let event = words::event(&line)?;
    let seen = decision(&event, line.sequence)?;
    let explanation = Explanation::of(seen);
    let explained = Explained { log, sequence: line.sequence, id: event.id, explanation };
    session.console.show(&explained, |console| text(console, &event, seen, &explained))?;
    Ok(ExitCode::SUCCESS)
}

fn decision(event: &Event, sequence: u64) -> Result<&Sighting> {
    match &event.data {
        Data::Sighting(seen) => Ok(seen),
        _ => Err(err!(
            Data,
            "event {sequence} is of type {}: only recognized, unknown and undecided are decisions",
            event.kind.short()
        )),
    }
}

fn text(console: &Console, event: &Event, seen: &Sighting, explained: &Explained) -> String {
    let Explanation { decided, why, otherwise, made_with } = &explained.explanation;
    let mut text = table::fields(&[
        ("number", Some(explained.sequence.to_string())),
        ("captured", Some(console.second(seen.captured_at))),
        ("camera", event.camera().map(str::to_owned)),
        ("track", Some(seen.track.clone())),
    ]);
    text += &format!("\n{}\n", table::plain(decided));
    for (heading, sentences) in
        [("Why", why), ("What would have changed it", otherwise), ("Decided with", made_with)]
    {
        if !sentences.is_empty() {
            text += &format!("\n{heading}:\n");
            sentences.iter().for_each(|sentence| text += &format!("  - {}\n", table::plain(sentence)));
        }
    }
    text
}
