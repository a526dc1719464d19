//! `gallery export`, `import`, `trust`, `distrust`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::parse;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::desk::{Answer, Client};
use crate::cli::table::{self, Column};
use crate::cli::{input, output};
use crate::gallery::command::Command;
use crate::gallery::record::ListName;
use crate::gallery::report::{Exported, ImportChange, Imported, Signer, Trust};

/// Arguments of `gallery export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd gallery export --list staff --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --out staff.bundle"
)]
pub struct ExportArgs {
    /// Write the bundle there; a file that is there already is not overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only identities on this list; may be given several times. All without it.
    #[arg(long, value_name = "LIST")]
    list: Vec<ListName>,
    /// Encrypt it to this age recipient; may be given several times.
    #[arg(long, value_name = "RECIPIENT", value_parser = parse::recipient)]
    to: Vec<String>,
    /// With the enrolment crops, where they are kept.
    #[arg(long)]
    crops: bool,
}

/// Arguments of `gallery import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The bundle.
    file: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Also a generation older than the last one from that box.
    #[arg(long)]
    force: bool,
    /// The age identity that opens an encrypted bundle, in a file (mode 0600) as `age-keygen` writes it.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// Arguments of `gallery trust`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd gallery trust 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29 --label \"gate north\"\n\n\
    Compare the key over another way than the one the bundle takes."
)]
pub struct TrustArgs {
    /// The other box's public key, as `watchlistd gallery trust` shows it there.
    #[arg(value_parser = parse::public_key, requires = "label")]
    key: Option<String>,
    /// Whose it is.
    #[arg(long, value_name = "WHO", requires = "key")]
    label: Option<String>,
}

/// Arguments of `gallery distrust`.
#[derive(Debug, Args)]
pub struct DistrustArgs {
    /// The key, or its label.
    #[arg(value_name = "KEY|LABEL")]
    key: String,
}

pub(super) fn export(args: ExportArgs, client: &mut Client) -> Result<ExitCode> {
    output::check_new("--out", &args.out)?;
    let command =
        Command::Export { lists: args.list.into_iter().collect(), recipients: args.to, crops: args.crops };
    let Answer { report, body } = client.ask_with::<Exported>(command, Vec::new())?;
    output::save(&args.out, &body)?;
    client.console.show(&report, |_| {
        format!(
            "{}: {} identities, {} templates of generation {}, signed with {}{}\nfingerprint of that key: {}\n",
            table::plain(&args.out.display().to_string()),
            report.identities,
            report.templates,
            report.generation,
            report.signer,
            if report.encrypted { ", encrypted" } else { "" },
            report.fingerprint
        )
    })?;
    if !report.encrypted {
        client.console.tell(
            "The bundle is signed but not encrypted: whoever reads it has names and templates. --to encrypts it.",
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn import(args: &ImportArgs, client: &mut Client) -> Result<ExitCode> {
    let identity =
        args.identity.as_deref().map(|path| input::age_identity("--identity", path)).transpose()?;
    let bundle = input::file(&args.file)?;
    let command = Command::Import { dry_run: args.dry_run, force: args.force, identity };
    let report: Imported = client.ask_with(command, bundle)?.report;
    client.console.show(&report, |console| imported(&report, console))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn trust(args: TrustArgs, client: &mut Client) -> Result<ExitCode> {
    let command = match (args.key, args.label) {
        (Some(key), Some(label)) => Command::Trust { key, label },
        _ => Command::Trusted,
    };
    trusted(command, client)
}

pub(super) fn distrust(args: DistrustArgs, client: &mut Client) -> Result<ExitCode> {
    trusted(Command::Distrust { key: args.key }, client)
}

fn trusted(command: Command, client: &mut Client) -> Result<ExitCode> {
    let trust: Trust = client.ask(command)?;
    client.console.show(&trust, |console| {
        let signers = trust.signers.iter().map(|signer| signer_row(console, signer)).collect();
        let table = match trust.signers.as_slice() {
            [] => "No other box is trusted: no bundle is taken in.\n".to_owned(),
            _ => console.table(&SIGNERS, signers),
        };
        format!("This box signs with {}\nfingerprint          {}\n\n{table}", trust.own, trust.fingerprint)
    })?;
    Ok(ExitCode::SUCCESS)
}

const CHANGES: [Column; 4] = [
    Column::words("NAME"),
    Column::words("EXTERNAL ID").if_any(),
    Column::whole("WHAT"),
    Column::number("NEW TEMPLATES"),
];

fn change_row(change: &ImportChange) -> Vec<String> {
    let external_id = change.external_id.clone().unwrap_or_default();
    vec![change.name.clone(), external_id, change.what.clone(), change.templates.to_string()]
}

/// A preview shows each identity; afterwards the sum is enough.
fn imported(report: &Imported, console: &Console) -> String {
    let preview = match report.dry_run {
        true => console.table(&CHANGES, report.changes.iter().map(change_row).collect()) + "\n",
        false => String::new(),
    };
    let sum = table::plain(&format!(
        "From {}, generation {}: {} added, {} merged, {} unchanged, {} templates, {} stay forgotten{}",
        report.signer,
        report.generation,
        report.added,
        report.merged,
        report.unchanged,
        report.templates,
        report.forgotten,
        if report.dry_run { "; nothing was changed" } else { "" }
    ));
    let lists = match report.lists.as_slice() {
        [] => String::new(),
        lists => format!(
            "New here, with the sender's settings: {} {}\n",
            if lists.len() == 1 { "list" } else { "lists" },
            table::plain(&lists.join(", "))
        ),
    };
    format!("{preview}{sum}\n{lists}")
}

const SIGNERS: [Column; 4] = [
    Column::words("LABEL"),
    Column::whole("TRUSTED SINCE"),
    Column::number("LAST GENERATION"),
    Column::whole("KEY"),
];

fn signer_row(console: &Console, signer: &Signer) -> Vec<String> {
    vec![
        signer.label.clone(),
        console.minute(signer.added),
        signer.generation.map_or("-".to_owned(), |generation| generation.to_string()),
        signer.key.clone(),
    ]
}
