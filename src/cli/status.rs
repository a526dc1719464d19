//! `watchlistd status`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{ConfigArgs, context, output};
use crate::api::control::client;
use crate::api::table;
use crate::base::error::Result;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print everything as one line of JSON.
    #[arg(long)]
    json: bool,
    /// The daemon's socket; without it control.socket of the configuration.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs it.
///
/// # Errors
/// `Unavailable`, when no daemon answers.
pub fn run(args: &StatusArgs) -> Result<ExitCode> {
    let socket = match &args.socket {
        Some(socket) => socket.clone(),
        None => context::load_for_tools(&args.config)?.control.socket,
    };
    let snapshot = client::query(&socket, PATIENCE)?;
    if args.json {
        output::json(&snapshot)?;
    } else {
        output::print(&table::render(&snapshot))?;
    }
    Ok(ExitCode::SUCCESS)
}
