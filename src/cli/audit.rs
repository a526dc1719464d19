//! `watchlistd audit ...`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::console::Console;
use super::desk::{Client, DeskArgs};

use super::gallery::{health, parse};
use super::table::{self, Column};
use crate::base::error::Result;
use crate::err;
use crate::gallery::command::{AuditFilter, Command, Who};
use crate::gallery::dates::{self, Edge};
use crate::gallery::report::{AuditEntry, AuditReport, Member};

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd audit show --since 2026-10-01 --action forgotten\n  \
    watchlistd audit at 2026-10-01T18:00:00Z\n  \
    watchlistd audit verify --head 1207:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\n\
    Exit status: 0 all well; 1 problems were found; others as watchlistd(1) says.")]
pub struct AuditArgs {
    #[command(subcommand)]
    pub(super) command: AuditCommand,
    #[command(flatten)]
    desk: DeskArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no entry was changed, removed, moved or added by anybody else.
    ///
    /// Whoever has both the box and its key can write a log anew. Only --head, with a head that was kept off the box, tells
    /// that. Exit status 1 when problems are found.
    Verify {
        /// A head that was kept elsewhere, as `watchlistd audit head` printed it then.
        #[arg(long, value_name = "COUNT:HEX", value_parser = parse::head)]
        head: Option<String>,
    },
    /// Print the count and the MAC of the last entry, to be kept off the box.
    Head,
    /// Take the log as it is, although the head kept on this box says otherwise: after a backup was put in its place, say.
    ///
    /// Look at it first with `audit verify --head` and a head that was kept off the box. An entry says that this was done,
    /// by whom, and what the head was. Exit status 1 when other problems are found.
    AcceptHead {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show entries, oldest first.
    Show(ShowArgs),
    /// Show who was on which list at some time.
    At {
        /// 2027-03-01 (its first moment, where this box is), an RFC 3339 time, or now.
        time: String,
    },
}

/// Arguments of `audit show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// About this identity; of one that was forgotten, by its id.
    #[arg(long, value_parser = parse::who)]
    who: Option<Who>,
    /// Of this action, such as enrolled, changed, expired, forgotten or imported.
    #[arg(long)]
    action: Option<String>,
    /// From then on.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before then; a date means the end of that day.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many, the newest of them.
    #[arg(long, value_name = "N")]
    most: Option<usize>,
}

/// Runs it.
///
/// # Errors
/// Wrong usage, no gallery, and what the command itself gives.
pub fn run(args: AuditArgs) -> Result<ExitCode> {
    args.command.carry_out(&mut Client::new(&args.desk)?)
}

impl AuditCommand {
    pub(super) fn carry_out(self, client: &mut Client) -> Result<ExitCode> {
        match self {
            Self::Verify { head } => verify(head, client),
            Self::Head => head(client),
            Self::AcceptHead { yes } => accept_head(yes, client),
            Self::Show(args) => show(args, client),
            Self::At { time } => at(&time, client),
        }
    }
}

fn verify(head: Option<String>, client: &mut Client) -> Result<ExitCode> {
    let against = head.is_some();
    let report: AuditReport = client.ask(Command::AuditVerify { head })?;
    client.console.show(&report, |_| {
        let about = table::fields(&[
            ("entries", Some(report.entries.to_string())),
            ("head", Some(report.head.clone())),
            (
                "checked against",
                Some(
                    if against { "the head that was given" } else { "the head kept on this box" }.to_owned(),
                ),
            ),
        ]);
        about + &health::problems(&report.problems)
    })?;
    Ok(health::verdict(&report.problems))
}

fn head(client: &mut Client) -> Result<ExitCode> {
    let head: String = client.ask(Command::AuditHead)?;
    client.console.show(&head, |_| format!("{}\n", table::plain(&head)))?;
    Ok(ExitCode::SUCCESS)
}

fn accept_head(yes: bool, client: &mut Client) -> Result<ExitCode> {
    client.console.can_confirm(yes)?;
    let question = "The head kept on this box is written anew, from the audit log as it is. If entries were cut off or written anew, \
                    only a head that was kept elsewhere shows it from then on.\nType accept to go on: ";
    if !client.console.confirm(yes, question, "accept")? {
        return Ok(ExitCode::FAILURE);
    }
    let report: AuditReport = client.ask(Command::AuditAcceptHead)?;
    client.console.show(&report, |_| {
        let about = table::fields(&[
            ("entries", Some(report.entries.to_string())),
            ("head kept on this box", Some(report.head.clone())),
        ]);
        about + &health::problems(&report.problems)
    })?;
    Ok(health::verdict(&report.problems))
}

fn show(args: ShowArgs, client: &mut Client) -> Result<ExitCode> {
    let time = |option: &str, text: Option<String>, edge| {
        text.map(|text| moment(option, &text, edge, &client.console)).transpose()
    };
    let filter = AuditFilter {
        who: args.who,
        action: args.action,
        since: time("--since", args.since, Edge::Start)?,
        until: time("--until", args.until, Edge::End)?,
        most: args.most,
    };
    let entries: Vec<AuditEntry> = client.ask(Command::AuditShow { filter })?;
    client.console.show_all(&ENTRIES, &entries, entry_row)?;
    if entries.is_empty() {
        client.console.tell("No entry fits.");
    }
    Ok(ExitCode::SUCCESS)
}

fn at(time: &str, client: &mut Client) -> Result<ExitCode> {
    let at = moment("TIME", time, Edge::Start, &client.console)?;
    let members: Vec<Member> = client.ask(Command::AuditAt { at })?;
    client.console.show_all(&MEMBERS, &members, member_row)?;
    Ok(ExitCode::SUCCESS)
}

fn moment(option: &str, text: &str, edge: Edge, console: &Console) -> Result<Timestamp> {
    let read =
        dates::parse(text, console.now(), console.zone(), edge).map_err(|e| err!(Usage, "{option}: {e}"))?;
    read.ok_or_else(|| err!(Usage, "{option}: {text:?}: expected a moment"))
}

const ENTRIES: [Column; 7] = [
    Column::number("ENTRY"),
    Column::whole("TIME"),
    Column::whole("ACTION"),
    Column::words("WHO"),
    Column::words("BY"),
    Column::words("DETAIL").if_any(),
    Column::whole("ID").if_any(),
];

fn entry_row(console: &Console, entry: &AuditEntry) -> Vec<String> {
    vec![
        entry.sequence.to_string(),
        console.second(entry.at),
        entry.action.clone(),
        entry.name.clone().unwrap_or_else(|| "-".to_owned()),
        entry.actor.clone(),
        detail(&entry.detail),
        entry.identity.map_or(String::new(), |id| id.to_string()),
    ]
}

/// `lists=["staff"] standing=active`
fn detail(detail: &serde_json::Map<String, serde_json::Value>) -> String {
    let fields: Vec<String> = detail
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key}={text}"),
            None => format!("{key}={value}"),
        })
        .collect();
    fields.join(" ")
}

const MEMBERS: [Column; 4] =
    [Column::words("NAME"), Column::words("LISTS"), Column::whole("STANDING"), Column::whole("ID")];

fn member_row(_: &Console, member: &Member) -> Vec<String> {
    let lists = if member.lists.is_empty() { "(none)".to_owned() } else { member.lists.join(", ") };
    vec![member.name.clone(), lists, member.standing.to_string(), member.identity.to_string()]
}
