//! `gallery verify`, `confusable`, `info`

use std::process::ExitCode;

use clap::Args;

use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::desk::Client;
use crate::cli::table::{self, Column};
use crate::gallery::command::Command;
use crate::gallery::report::{Description, Examination, Pair};

/// Arguments of `gallery confusable`.
#[derive(Debug, Args)]
pub struct ConfusableArgs {
    /// At most so many pairs, the closest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
}

pub(super) fn verify(client: &mut Client) -> Result<ExitCode> {
    let found: Examination = client.ask(Command::Verify)?;
    client.console.show(&found, |_| {
        let looked_at: Vec<String> = found.looked_at.iter().map(|(what, n)| format!("{n} {what}")).collect();
        let looked_at = table::fields(&[
            ("looked at", Some(looked_at.join(", "))),
            ("head of the audit log", Some(found.head.clone())),
        ]);
        let warnings = found.warnings.iter().map(|warning| format!("Warning: {}\n", table::plain(warning)));
        looked_at + &problems(&found.problems) + &warnings.collect::<String>()
    })?;
    Ok(verdict(&found.problems))
}

pub(super) fn confusable(args: &ConfusableArgs, client: &mut Client) -> Result<ExitCode> {
    let pairs: Vec<Pair> = client.ask(Command::Confusable { most: args.most })?;
    client.console.show_all(&PAIRS, &pairs, pair_row)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn info(client: &mut Client) -> Result<ExitCode> {
    let about: Description = client.ask(Command::Describe)?;
    client.console.show(&about, |_| {
        let standings: Vec<String> = about.standings.iter().map(|(s, n)| format!("{n} {s}")).collect();
        let some = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let templates = about.templates.iter().map(|(model, n)| {
            let searched = if about.model == Some(*model) { "" } else { " (not searched)" };
            format!("{n} of model {model}{searched}")
        });
        table::fields(&[
            ("generation", Some(about.generation.to_string())),
            ("model", Some(about.model.map_or("none yet".to_owned(), |model| model.hex()))),
            ("identities", Some(some(standings))),
            ("reviews due", Some(about.reviews_due.to_string())),
            ("templates", Some(some(templates.collect()))),
            ("enrolment crops", Some(if about.keeps_crops { "kept" } else { "not kept" }.to_owned())),
            ("master key", Some(about.master_key.clone())),
            ("audit log", Some(format!("{} entries", about.audit))),
        ])
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is wrong, a line each, or that nothing is.
pub(in crate::cli) fn problems(problems: &[String]) -> String {
    if problems.is_empty() {
        return "No problem was found.\n".to_owned();
    }
    let lines = problems.iter().map(|problem| format!("  - {}\n", table::plain(problem)));
    format!("Problems: {}\n{}", problems.len(), lines.collect::<String>())
}

/// Exit status 1 when there are problems.
pub(in crate::cli) fn verdict(problems: &[String]) -> ExitCode {
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Columns of [`pair_row`].
pub(in crate::cli) const PAIRS: [Column; 6] = [
    Column::number("SCORE"),
    Column::whole("CONFUSED"),
    Column::words("NAME"),
    Column::words("NAME"),
    Column::whole("ID"),
    Column::whole("ID"),
];

/// A pair in a table.
pub(in crate::cli) fn pair_row(_: &Console, pair: &Pair) -> Vec<String> {
    let [(id_a, name_a), (id_b, name_b)] = &pair.identities;
    vec![
        format!("{:.3}", pair.score),
        if pair.above_threshold { "YES" } else { "no" }.to_owned(),
        name_a.clone(),
        name_b.clone(),
        id_a.to_string(),
        id_b.to_string(),
    ]
}
