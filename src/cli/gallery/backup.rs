//! `gallery backup`, `restore`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::base::error::Result;
use crate::cli::desk::{Answer, Client};
use crate::cli::{input, output, table};
use crate::gallery::command::Command;
use crate::gallery::report::BackedUp;

/// Arguments of `gallery backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Write it there; a file that is there already is not overwritten.
    file: PathBuf,
}

/// Arguments of `gallery restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// The master key of the backup's time, in a file (mode 0600), if it was another one than today's.
    #[arg(long, value_name = "FILE")]
    backup_key_file: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn backup(args: &BackupArgs, client: &mut Client) -> Result<ExitCode> {
    output::check_new("FILE", &args.file)?;
    let Answer { report, body } = client.ask_with::<BackedUp>(Command::Backup, Vec::new())?;
    output::save(&args.file, &body)?;
    client.console.show(&report, |_| {
        format!(
            "{}: generation {}, {} identities, {} templates\n",
            table::plain(&args.file.display().to_string()),
            report.generation,
            report.identities,
            report.templates
        )
    })?;
    client.console.tell(&table::plain(&format!(
        "The backup does not hold the master key {}, and without it nothing in it can be read. Keep the key elsewhere: \
         watchlistd gallery key export --out FILE --passphrase",
        report.master_key
    )));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs, client: &mut Client) -> Result<ExitCode> {
    client.console.can_confirm(args.yes)?;
    let key = args.backup_key_file.as_deref();
    let key = key.map(|path| input::master_key("--backup-key-file", path)).transpose()?;
    let backup = input::file(&args.file)?;
    let question = format!(
        "The gallery is replaced by {}; what was changed since that backup is lost, and whoever was forgotten stays so.\n\
         Type restore to go on: ",
        args.file.display()
    );
    if !client.console.confirm(args.yes, &question, "restore")? {
        return Ok(ExitCode::FAILURE);
    }
    let report: BackedUp = client.ask_with(Command::Restore { key }, backup)?.report;
    client.console.show(&report, |_| {
        format!(
            "Restored generation {}: {} identities, {} templates; {} stay forgotten. The gallery's generation is {} now.\n",
            report.generation, report.identities, report.templates, report.forgotten, report.now
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
