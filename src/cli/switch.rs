//! `watchlistd models switch`, `models rollback`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::console::Console;
use super::desk::{Client, DeskArgs};
use super::gallery::health;
use super::table::{self, Column};
use crate::base::error::{Error, Result};
use crate::gallery::command::Command;
use crate::gallery::report::{ModelScores, Switched};

/// Arguments of `models switch`.
#[derive(Debug, Args)]
#[command(after_help = "Example: watchlistd models switch config/models/facenet-vggface2.toml --dry-run")]
pub struct SwitchArgs {
    /// The new embedder's manifest. A daemon has to be able to read it, too.
    manifest: PathBuf,
    /// Only say what it would mean.
    #[arg(long)]
    dry_run: bool,
    /// Even if identities would be lost, for want of a kept crop.
    #[arg(long)]
    force: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

/// Arguments of `models rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    desk: DeskArgs,
}

pub(super) fn switch(args: &SwitchArgs) -> Result<ExitCode> {
    switch_with(args, &mut Client::new(&args.desk)?)
}

pub(super) fn rollback(args: &RollbackArgs) -> Result<ExitCode> {
    rollback_with(args, &mut Client::new(&args.desk)?)
}

pub(super) fn switch_with(args: &SwitchArgs, client: &mut Client) -> Result<ExitCode> {
    let yes = args.yes || args.dry_run;
    // The daemon works in another folder.
    let manifest = args.manifest.canonicalize().map_err(|e| Error::io("read", &args.manifest, e))?;
    client.console.can_agree(yes)?;
    let question = format!(
        "The gallery is searched with the model of {} from now on; --dry-run says what that means.\nType switch to go on: ",
        args.manifest.display()
    );
    if !client.console.confirm(yes, &question, "switch")? {
        return Ok(ExitCode::FAILURE);
    }
    let command = Command::SwitchModel { manifest, dry_run: args.dry_run, force: args.force };
    let report: Switched = client.ask(command)?;
    client.console.show(&report, |console| in_words(&report, args.dry_run, console))?;
    Ok(if report.switched || args.dry_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn rollback_with(args: &RollbackArgs, client: &mut Client) -> Result<ExitCode> {
    client.console.can_agree(args.yes)?;
    let question = "The gallery is searched with the model before the last switch again; whoever was enrolled since then without \
        a template of it is not found.\nType rollback to go on: ";
    if !client.console.confirm(args.yes, question, "rollback")? {
        return Ok(ExitCode::FAILURE);
    }
    let report: Switched = client.ask(Command::RollbackModel)?;
    client.console.show(&report, |console| in_words(&report, false, console))?;
    Ok(if report.switched { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const SCORES: [Column; 5] = [
    Column::whole("MODEL"),
    Column::number("THRESHOLD"),
    Column::number("SAME PERSON"),
    Column::number("NEAREST OTHER"),
    Column::number("CONFUSABLE PAIRS"),
];

fn score_row(scores: &ModelScores) -> Vec<String> {
    let score = |mean: Option<f32>| mean.map_or("-".to_owned(), |mean| format!("{mean:.3}"));
    vec![
        scores.model.to_string(),
        format!("{:.3}", scores.threshold),
        score(scores.mated),
        score(scores.non_mated),
        scores.confusable.len().to_string(),
    ]
}

fn in_words(report: &Switched, dry_run: bool, console: &Console) -> String {
    let verdict = match (report.switched, dry_run) {
        (true, _) => "The gallery is searched with the new model now.",
        (false, true) => "Nothing was changed.",
        (false, false) => "Not switched: enrol new pictures of those who would be lost, or add --force.",
    };
    let mut text = format!(
        "From model {} to {}: {} identities ready, {} lost, {} templates made\n\n{}",
        report.from,
        report.to,
        report.ready,
        report.lost.len(),
        report.embedded,
        console.table(&SCORES, report.scores.iter().map(score_row).collect())
    );
    for scores in report.scores.iter().filter(|scores| !scores.confusable.is_empty()) {
        let pairs = scores.confusable.iter().map(|pair| health::pair_row(console, pair)).collect();
        text +=
            &format!("\nConfusable under model {}:\n{}", scores.model, console.table(&health::PAIRS, pairs));
    }
    if !report.lost.is_empty() {
        text += "\nThese have no kept crop and need new pictures:\n";
        let names = report.lost.iter().map(|(id, name)| format!("  - {} ({id})\n", table::plain(name)));
        text += &names.collect::<String>();
    }
    format!("{text}\n{verdict}\n")
}
