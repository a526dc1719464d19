//! `gallery forget`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{parse, people};
use crate::base::error::{Error, Kind, Result};
use crate::cli::console::Console;
use crate::cli::desk::Client;
use crate::cli::{output, table};
use crate::err;
use crate::gallery::command::{Command, Who};
use crate::gallery::report::{Portrait, Receipt};
use crate::types::ids::IdentityId;

/// Arguments of `gallery forget`.
// The id of somebody who is forgotten already gives the receipt again: one that was lost can be had.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd gallery forget \"Ada Lovelace\" --reason \"request of 2026-10-01\" --receipt ada.json"
)]
pub struct ForgetArgs {
    /// Whom: an id, an external id, or a name that only one has.
    #[arg(value_parser = parse::who)]
    who: Who,
    /// Why, for the audit log. It is kept, so it should not name the person.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Write the receipt there, as JSON. It does not hold the name.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

pub(super) fn forget(args: ForgetArgs, client: &mut Client) -> Result<ExitCode> {
    client.console.can_confirm(args.yes)?;
    if let Some(path) = &args.receipt {
        output::check_new("--receipt", path)?;
    }
    let Some(who) = chosen(args.who, args.yes, client)? else { return Ok(ExitCode::FAILURE) };
    let receipt: Receipt = client.ask(Command::Forget { who, reason: args.reason })?;
    // Printed whatever becomes of the file: the identity is gone, and this is what is left to show for it.
    let saved = args.receipt.map_or(Ok(()), |path| save(&receipt, &path));
    let printed = client.console.show(&receipt, |console| in_words(&receipt, console));
    printed.map_err(|e| {
        let again = format!("`watchlistd gallery forget {} --yes` prints it again", receipt.identity);
        Error::new(e.kind(), format!("the identity is forgotten, and its receipt is not printed: {again}"))
            .because(e)
    })?;
    saved?;
    Ok(if receipt.returned == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who is forgotten: whoever was named, or, where the operator is asked, exactly the one that was shown.
fn chosen(who: Who, yes: bool, client: &mut Client) -> Result<Option<Who>> {
    if yes {
        return Ok(Some(who));
    }
    let portrait: Portrait = match client.ask(Command::Show { who: who.clone() }) {
        // Nobody to destroy: whoever of that id was forgotten before has a receipt.
        Err(e) if e.kind() == Kind::NoInput && who.0.parse::<IdentityId>().is_ok() => return Ok(Some(who)),
        shown => shown?,
    };
    let shown = people::in_words(&portrait, &client.console);
    client.console.tell(&shown);
    let name = portrait.person.record.name.as_str();
    let agreed = client.console.confirm(false, "Type the name to forget: ", name)?;
    Ok(agreed.then(|| Who(portrait.person.id.to_string())))
}

fn save(receipt: &Receipt, path: &std::path::Path) -> Result<()> {
    let text = serde_json::to_string_pretty(receipt)
        .map_err(|e| err!(Software, "a receipt that is no JSON").because(e))?;
    output::save(path, (text + "\n").as_bytes()).map_err(|e| {
        err!(CannotCreate, "the identity is forgotten, but its receipt is not written").because(e)
    })
}

fn in_words(receipt: &Receipt, console: &Console) -> String {
    let wiped = if receipt.wiped {
        "the store's write-ahead log is emptied"
    } else {
        "the store's write-ahead log still holds earlier states of it, without the key"
    };
    if receipt.again {
        return again(receipt, console) + &dissolved(receipt) + &beyond(receipt);
    }
    let text = format!(
        "Forgotten on {}: {}\n\
         Removed: its key, its record, {}, {}{}; {wiped}.\n\
         Searched for with its own templates after that: {}, returned by {} of them (generation {}).\n\
         Entry {} of the audit log says so, without the name.\n",
        console.second(receipt.at),
        receipt.identity,
        count(receipt.templates, "template"),
        count(receipt.crops, "crop"),
        snapshots(receipt),
        count(receipt.probes, "search"),
        if receipt.returned == 0 { "none".to_owned() } else { receipt.returned.to_string() },
        receipt.generation,
        receipt.audit,
    );
    text + &dissolved(receipt) + &beyond(receipt)
}

/// Those who were merged into it go with it, and a backup of before has them under ids of their own.
fn dissolved(receipt: &Receipt) -> String {
    let line = |id: &IdentityId| format!("Forgotten with it, because it was merged into this one: {id}\n");
    receipt.dissolved.iter().map(line).collect()
}

/// The receipt of before, as far as the audit log has it.
fn again(receipt: &Receipt, console: &Console) -> String {
    format!(
        "Was forgotten on {}: {}\n\
         Removed then: its key, its record, {}, {}{} (generation {}).\n\
         Entry {} of the audit log says so, without the name.\n",
        console.second(receipt.at),
        receipt.identity,
        count(receipt.templates, "template"),
        count(receipt.crops, "crop"),
        snapshots(receipt),
        receipt.generation,
        receipt.audit,
    )
}

fn beyond(receipt: &Receipt) -> String {
    let lines = receipt.beyond.iter().map(|what| format!("  - {}\n", table::plain(what)));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("What this cannot reach:\n{lines}") }
}

/// Where snapshots are kept, how many went.
fn snapshots(receipt: &Receipt) -> String {
    if receipt.snapshots == 0 { String::new() } else { format!(", {}", count(receipt.snapshots, "snapshot")) }
}

/// `1 template`, `3 templates`, `2 searches`.
fn count(n: u64, what: &str) -> String {
    match (n, what.ends_with("ch")) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{n} {what}es"),
        (_, false) => format!("{n} {what}s"),
    }
}
