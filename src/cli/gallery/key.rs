//! `gallery key export`, `key recover`, `key rotate`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::parse;
use crate::base::error::Result;
use crate::cli::desk::{Answer, Client};
use crate::cli::{input, output, table};
use crate::gallery::command::Command;
use crate::gallery::escrow::{self, With};
use crate::gallery::master;
use crate::gallery::report::Rotated;

/// `gallery key ...`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Write the master key into a file, encrypted with age.
    ///
    /// Whoever can open that file and has a backup, or the box's disk, can read the gallery. Keep it away from both.
    #[command(
        after_help = "Examples:\n  watchlistd gallery key export --out gallery-key.age --passphrase\n  \
        watchlistd gallery key export --out gallery-key.age --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    )]
    Export(KeyExportArgs),
    /// Make a key file of an exported master key.
    ///
    /// Needs neither a gallery nor a daemon. The key file then goes where gallery.key_file says, or with --key-file.
    #[command(
        after_help = "Example:\n  watchlistd gallery key recover gallery-key.age --out /var/lib/watchlistd/gallery.key"
    )]
    Recover(KeyRecoverArgs),
    /// Replace the master key.
    ///
    /// All other keys are wrapped again under the new one. Earlier backups still need the old one: export it first.
    Rotate(KeyRotateArgs),
}

/// Arguments of `gallery key export`.
#[derive(Debug, Args)]
pub struct KeyExportArgs {
    /// Write it there; a file that is there already is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    lock: Lock,
}

/// Who can open what is written.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Lock {
    /// Encrypt it to this age recipient; may be given several times.
    #[arg(long, value_name = "RECIPIENT", value_parser = parse::recipient, conflicts_with_all = ["passphrase", "passphrase_file"])]
    to: Vec<String>,
    /// Encrypt it with a passphrase, which is asked for twice.
    #[arg(long, conflicts_with = "passphrase_file")]
    passphrase: bool,
    /// Encrypt it with the passphrase in the first line of this file (mode 0600), or of a descriptor: /dev/fd/3.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Arguments of `gallery key recover`.
#[derive(Debug, Args)]
pub struct KeyRecoverArgs {
    /// What `gallery key export` wrote.
    #[arg(value_name = "FILE")]
    exported: PathBuf,
    /// Write the key file there (mode 0600); a file that is there already is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Open it with the age identity in this file (mode 0600) as `age-keygen` writes it, and not with a passphrase.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    identity: Option<PathBuf>,
    /// Open it with the passphrase in the first line of this file (mode 0600), or of a descriptor: /dev/fd/3. Else it is asked
    /// for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Arguments of `gallery key rotate`.
#[derive(Debug, Args)]
pub struct KeyRotateArgs {
    /// Also give every identity a new key and encrypt everything again.
    #[arg(long)]
    deep: bool,
    /// The new master key, 64 hexadecimal digits in a file (mode 0600), where the key comes from a credential. Without it a key
    /// is made and written to the key file.
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

impl KeyCommand {
    pub(super) fn carry_out(self, client: &mut Client) -> Result<ExitCode> {
        match self {
            Self::Export(args) => export(args, client),
            Self::Recover(args) => recover(&args, client),
            Self::Rotate(args) => rotate(&args, client),
        }
    }
}

fn export(args: KeyExportArgs, client: &mut Client) -> Result<ExitCode> {
    output::check_new("--out", &args.out)?;
    let passphrase = match (&args.lock.passphrase_file, args.lock.passphrase) {
        (Some(path), _) => Some(input::passphrase("--passphrase-file", path)?),
        (None, true) => Some(client.console.new_passphrase()?),
        (None, false) => None,
    };
    let command = Command::KeyExport { recipients: args.lock.to, passphrase };
    let Answer { report, body } = client.ask_with::<serde_json::Value>(command, Vec::new())?;
    output::save(&args.out, &body)?;
    let out = table::plain(&args.out.display().to_string());
    client.console.show(&report, |_| format!("{out}: the master key, encrypted with age\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Done here: whoever needs the key back has no gallery that could be asked.
fn recover(args: &KeyRecoverArgs, client: &mut Client) -> Result<ExitCode> {
    output::check_new("--out", &args.out)?;
    let exported = input::file(&args.exported)?;
    let with = match (&args.identity, &args.passphrase_file) {
        (Some(path), _) => With::Identity(input::age_identity("--identity", path)?),
        (None, Some(path)) => With::Passphrase(input::passphrase("--passphrase-file", path)?),
        (None, None) => With::Passphrase(client.console.passphrase()?),
    };
    let key = escrow::recover(&exported, &with)?;
    master::write_new(&args.out, &key)?;
    let report = serde_json::json!({ "master_key": key.id().to_string(), "written": args.out });
    let out = table::plain(&args.out.display().to_string());
    client.console.show(&report, |_| format!("{out}: the master key {}\n", key.id()))?;
    Ok(ExitCode::SUCCESS)
}

fn rotate(args: &KeyRotateArgs, client: &mut Client) -> Result<ExitCode> {
    let key = args.new_key_file.as_deref();
    let key = key.map(|path| input::master_key("--new-key-file", path)).transpose()?;
    let report: Rotated = client.ask(Command::KeyRotate { key, deep: args.deep })?;
    client.console.show(&report, |_| {
        table::plain(&format!(
            "Master key {} instead of {}: {} keys wrapped again, {} values encrypted again",
            report.to, report.from, report.rewrapped, report.reencrypted
        )) + "\n"
            + &table::plain(&format!("The new key: {}", report.kept_in))
            + "\n"
    })?;
    client.console.tell(
        "Earlier backups still need the old key. Keep the new one elsewhere: watchlistd gallery key export --out FILE \
         --passphrase",
    );
    if args.new_key_file.is_some() {
        client.console.tell(
            "If the key comes from a credential, put the new one into it before the daemon starts again.",
        );
    }
    Ok(ExitCode::SUCCESS)
}
