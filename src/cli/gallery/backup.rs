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
    /// Only say what would be done, and who would be removed.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
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
    client.console.can_confirm(args.yes || args.dry_run)?;
    let key = args.backup_key_file.as_deref();
    let key = key.map(|path| input::master_key("--backup-key-file", path)).transpose()?;
    let backup = input::file(&args.file)?;
    if !args.yes {
        let command = Command::RestorePreview { key: key.clone() };
        let preview: BackedUp = client.ask_with(command, backup.clone())?.report;
        if args.dry_run {
            client.console.show(&preview, |_| {
                format!(
                    "{}{}Nothing was changed.\n",
                    sum("It would restore", &preview),
                    gone(&preview, "would be")
                )
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        client.console.tell(gone(&preview, "will be").trim_end());
    }
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
        let sum = sum("Restored", &report);
        format!(
            "{} The gallery's generation is {} now.\n{}",
            sum.trim_end(),
            report.now,
            gone(&report, "are")
        ) + if report.whole {
            "Nobody was ever in the gallery here: the audit log, the signing key and the trusted signers are the backup's, too.\n"
        } else {
            ""
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn sum(what: &str, report: &BackedUp) -> String {
    format!(
        "{what} generation {}: {} identities, {} templates; {} stay forgotten.\n",
        report.generation, report.identities, report.templates, report.forgotten
    )
}

/// Who is here and not in the backup.
fn gone(report: &BackedUp, verb: &str) -> String {
    const MOST: usize = 20;
    let people = &report.gone;
    if people.is_empty() {
        return String::new();
    }
    let named = people
        .iter()
        .take(MOST)
        .map(|(id, name)| format!("  - {}\n", table::plain(&format!("{name} ({id})"))));
    let more = people.len().saturating_sub(MOST);
    let more = if more > 0 { format!("  and {more} more; --json has all\n") } else { String::new() };
    let count = people.len();
    format!(
        "{count} who {verb} removed, because the backup does not have them:\n{}{more}",
        named.collect::<String>()
    )
}
