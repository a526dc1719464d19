//! `watchlistd man FOLDER`: one page for the program and one for each subcommand.

use std::path::Path;
use std::process::ExitCode;

use crate::base::error::{Error, Result};

/// Writes `watchlistd.1`, `watchlistd-run.1`, ...
///
/// # Errors
/// `Io` and its kin, naming the file.
pub fn write(command: clap::Command, folder: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, e))?;
    clap_mangen::generate_to(command, folder).map_err(|e| Error::io("write man pages into", folder, e))?;
    Ok(ExitCode::SUCCESS)
}
