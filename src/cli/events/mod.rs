//! `watchlistd events ...`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output;
use crate::base::error::Result;
use crate::err;
use crate::events::json_schema;

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print the JSON Schema (draft 2020-12) of events.
    ///
    /// It is also in docs/schema/event-v1.json. Later versions of the program may add fields, types and words, which it allows.
    Schema,
}

/// Runs it.
///
/// # Errors
/// What the command itself gives.
pub fn run(args: &EventsArgs) -> Result<ExitCode> {
    match args.command {
        EventsCommand::Schema => schema(),
    }
}

fn schema() -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(&json_schema())
        .map_err(|e| err!(Software, "the schema of events cannot be printed").because(e))?;
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
