//! `watchlistd run`

use std::process::ExitCode;

use clap::Args;

use super::{ConfigArgs, context};
use crate::base::error::Result;
use crate::daemon::{logging, service};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs it.
///
/// # Errors
/// A wrong configuration, before anything opens; whatever could not be opened.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let loaded = context::load(&args.config)?;
    context::manifests_are_there(&loaded.config)?;
    logging::init(&loaded.config.log, loaded.config.goes_to_journal())?;
    let file = context::file(&args.config);
    service::run(loaded, file)?;
    Ok(ExitCode::SUCCESS)
}
