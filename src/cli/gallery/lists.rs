//! `gallery lists`, `set-list`, `remove-list`

use std::process::ExitCode;

use clap::Args;

use super::parse::{self, OrNone};
use crate::bail;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::desk::{Client, Store};
use crate::cli::table::Column;
use crate::gallery::command::Command;
use crate::gallery::list::{List, Publish};
use crate::gallery::record::ListName;
use crate::gallery::report::{ListSet, ListUse};

/// Arguments of `gallery set-list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd gallery set-list staff --publish nothing --purpose \"opens the back door\""
)]
pub struct SetListArgs {
    /// Its name: 1 to 64 of a-z 0-9 _ - . starting with a letter or digit.
    name: ListName,
    /// Least similarity score of a recognition for this list, 0 to 1, or none: the camera's, else the configuration's, else
    /// the model's.
    #[arg(long, value_name = "SCORE", value_parser = parse::share_or_none)]
    threshold: Option<OrNone<f32>>,
    /// Of the lists somebody is on, the one with the highest comes first in events; -1000 to 1000.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: Option<i32>,
    /// What events may say of somebody on it: name and ids; the id alone; or nothing, so that no event is made.
    #[arg(long, value_name = "WHAT", value_parser = parse::publish())]
    publish: Option<Publish>,
    /// What the list is for, or none.
    #[arg(long, value_name = "TEXT", value_parser = parse::words_or_none)]
    purpose: Option<OrNone<String>>,
}

/// Arguments of `gallery remove-list`.
#[derive(Debug, Args)]
pub struct RemoveListArgs {
    /// Which.
    name: ListName,
}

pub(super) fn lists(client: &mut Client) -> Result<ExitCode> {
    let lists: Vec<ListUse> = client.ask(Command::Lists)?;
    client.console.show_all(&COLUMNS, &lists, row)?;
    Ok(ExitCode::SUCCESS)
}

/// What is not named stays as it is, so the settings that are there are asked for first.
pub(super) fn set(args: SetListArgs, client: &mut Client) -> Result<ExitCode> {
    client.open(Store::MadeIfMissing)?;
    let there: Vec<ListUse> = client.ask(Command::Lists)?;
    let known = there.into_iter().map(|used| used.list).find(|list| list.name == args.name);
    let list = changed(known.unwrap_or_else(|| List::new(args.name.clone())), args);
    let set: ListSet = client.ask(Command::SetList { list })?;
    client.console.show(&set, |console| console.table(&COLUMNS, vec![row(console, &set.used)]))?;
    if let Some(threshold) = set.used.list.threshold.filter(|t| *t < set.model_threshold.unwrap_or_default())
    {
        let usual = set.model_threshold.unwrap_or_default();
        client.console.tell(&format!(
            "The threshold {threshold} is below the model's {usual}: more strangers are taken for somebody on list {}{}.",
            set.used.list.name,
            if threshold <= 0.0 { ", in the end everybody who is seen" } else { "" }
        ));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove(args: RemoveListArgs, client: &mut Client) -> Result<ExitCode> {
    if args.name == ListName::default() {
        bail!(Usage, "{}: every gallery has this list", args.name);
    }
    let name = args.name.clone();
    let left: serde_json::Value = client.ask(Command::RemoveList { name: args.name })?;
    let left = left.as_array().map(Vec::as_slice).unwrap_or_default();
    client.console.show_each(left, |_| format!("List {name} is removed.\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn changed(mut list: List, args: SetListArgs) -> List {
    if let Some(threshold) = args.threshold {
        list.threshold = threshold.into_option();
    }
    if let Some(purpose) = args.purpose {
        list.purpose = purpose.into_option();
    }
    list.priority = args.priority.unwrap_or(list.priority);
    list.publish = args.publish.unwrap_or(list.publish);
    list
}

const COLUMNS: [Column; 6] = [
    Column::whole("LIST"),
    Column::number("IDENTITIES"),
    Column::number("THRESHOLD"),
    Column::number("PRIORITY"),
    Column::whole("PUBLISHES"),
    Column::words("PURPOSE").if_any(),
];

fn row(_: &Console, used: &ListUse) -> Vec<String> {
    let list = &used.list;
    vec![
        list.name.to_string(),
        used.identities.to_string(),
        list.threshold.map_or("-".to_owned(), |threshold| threshold.to_string()),
        list.priority.to_string(),
        match list.publish {
            Publish::Name => "name",
            Publish::Pseudonym => "pseudonym",
            Publish::Nothing => "nothing",
        }
        .to_owned(),
        list.purpose.clone().unwrap_or_default(),
    ]
}
