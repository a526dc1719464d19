//! `events sinks` and `events dead`

use std::process::ExitCode;

use clap::Args;

use super::Session;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::table::Column;
use crate::err;
use crate::events::desk::{Buried, MOST_ROWS, Sink};

/// Arguments of `events dead`.
#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    /// Only of this sink.
    #[arg(value_name = "SINK")]
    sink: Option<String>,
}

const SINKS: [Column; 6] = [
    Column::words("SINK"),
    Column::whole("REQUIRED"),
    Column::number("HAS HAD"),
    Column::number("BEHIND"),
    Column::whole("WAITING SINCE").if_any(),
    Column::number("DEAD LETTERS"),
];

/// Runs `events sinks`.
pub(super) fn run(session: &mut Session) -> Result<ExitCode> {
    let sinks = (session.open)()?.sinks()?;
    session.console.show_all(&SINKS, &sinks, sink_row)?;
    if sinks.is_empty() {
        session.console.tell("The log has no sinks.");
    }
    Ok(ExitCode::SUCCESS)
}

fn sink_row(console: &Console, sink: &Sink) -> Vec<String> {
    vec![
        sink.name.clone(),
        if sink.required { "yes" } else { "no" }.to_owned(),
        sink.cursor.to_string(),
        sink.behind.to_string(),
        sink.waiting_since.map(|at| console.second(at)).unwrap_or_default(),
        sink.dead.to_string(),
    ]
}

const LETTERS: [Column; 4] =
    [Column::words("SINK"), Column::number("NUMBER"), Column::whole("GIVEN UP"), Column::words("WHY")];

/// Runs `events dead`.
pub(super) fn dead(args: &DeadArgs, session: &mut Session) -> Result<ExitCode> {
    let mut asking = (session.open)()?;
    if let Some(name) = &args.sink {
        let sinks = asking.sinks()?;
        if !sinks.iter().any(|sink| sink.name == *name) {
            let known: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
            return Err(err!(Usage, "no sink {name:?}; the log knows: {}", known.join(", ")));
        }
    }
    let mut letters: Vec<Buried> = Vec::new();
    loop {
        let behind = letters.last().map(|letter| (letter.sink.clone(), letter.sequence));
        let page = asking.dead(args.sink.as_deref(), None, behind)?;
        let last = page.len() < MOST_ROWS;
        letters.extend(page);
        if last {
            break;
        }
    }
    session.console.show_all(&LETTERS, &letters, letter_row)?;
    session.console.tell(if letters.is_empty() {
        "There is no dead letter."
    } else {
        "watchlistd events show NUMBER shows the event."
    });
    Ok(ExitCode::SUCCESS)
}

fn letter_row(console: &Console, letter: &Buried) -> Vec<String> {
    vec![letter.sink.clone(), letter.sequence.to_string(), console.second(letter.at), letter.why.clone()]
}
