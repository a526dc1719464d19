//! `gallery change`, `rename`, `reviewed`, `merge`, `split`, `move-template`, `remove-template`

use std::process::ExitCode;

use clap::Args;

use super::parse::{self, OrNone};
use super::people::{lists_of, standing_of};
use crate::bail;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::desk::Client;
use crate::cli::table::plain;
use crate::gallery::Name;
use crate::gallery::command::{Change, Command, Who};
use crate::gallery::dates::{self, Edge};
use crate::gallery::record::{ExternalId, ListName};
use crate::gallery::report::{Moved, Person, Portrait};

/// Arguments of `gallery change`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd gallery change E-1207 --onto staff --off visitors\n  \
    watchlistd gallery change \"Ada Lovelace\" --valid-until 2027-03-01 --review-date +90d\n  \
    watchlistd gallery change \"Ada Lovelace\" --notes none")]
pub struct ChangeArgs {
    /// Whom: an id, an external id, or a name that only one has.
    #[arg(value_parser = parse::who)]
    who: Who,
    /// Another name, in any script.
    #[arg(long, value_name = "NAME", value_parser = parse::name)]
    name: Option<Name>,
    /// The id another system knows the person by, or none.
    #[arg(long, value_name = "ID")]
    external_id: Option<OrNone<ExternalId>>,
    /// Onto this list; may be given several times.
    #[arg(long, value_name = "LIST")]
    onto: Vec<ListName>,
    /// Off this list; may be given several times. Whoever is on no list is not searched for.
    #[arg(long, value_name = "LIST")]
    off: Vec<ListName>,
    /// Why the person is looked for, or none.
    #[arg(long, value_name = "TEXT", value_parser = parse::words_or_none)]
    purpose: Option<OrNone<String>>,
    /// By whose authority, or the record of the consent, or none.
    #[arg(long, value_name = "TEXT", value_parser = parse::words_or_none)]
    authority: Option<OrNone<String>>,
    /// Where the pictures come from, or none.
    #[arg(long, value_name = "TEXT", value_parser = parse::words_or_none)]
    image_source: Option<OrNone<String>>,
    /// Searched for from then on: 2027-03-01, an RFC 3339 time, +90d, or none.
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Searched for until then; a date means the end of that day.
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// When somebody should look whether the identity still belongs here.
    #[arg(long, value_name = "TIME")]
    review_date: Option<String>,
    /// Anything else, or none.
    #[arg(long, value_name = "TEXT", value_parser = parse::words_or_none)]
    notes: Option<OrNone<String>>,
}

/// Arguments of `gallery rename`.
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Whom.
    #[arg(value_parser = parse::who)]
    who: Who,
    /// The new name, in any script.
    #[arg(value_name = "NEW", value_parser = parse::name)]
    new: Name,
}

/// Arguments of `gallery reviewed`.
#[derive(Debug, Args)]
pub struct ReviewedArgs {
    /// Whom.
    #[arg(value_parser = parse::who)]
    who: Who,
    /// When to look again: 2027-03-01, an RFC 3339 time, or +90d.
    #[arg(long, value_name = "TIME")]
    next: Option<String>,
}

/// Arguments of `gallery merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Who is dissolved.
    #[arg(value_parser = parse::who)]
    from: Who,
    /// Who is kept, with its record.
    #[arg(value_parser = parse::who)]
    into: Who,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `gallery split`. The new identity is on the same lists, for the same time and purpose.
#[derive(Debug, Args)]
pub struct SplitArgs {
    /// From whom.
    #[arg(value_parser = parse::who)]
    who: Who,
    /// Which templates.
    #[arg(value_name = "TEMPLATE", required = true)]
    templates: Vec<String>,
    /// The new identity's name.
    #[arg(long, value_name = "NEW", value_parser = parse::name)]
    name: Name,
}

/// Arguments of `gallery move-template`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Which: an id, or a part of it that no other has.
    template: String,
    /// To whom.
    #[arg(value_parser = parse::who)]
    to: Who,
}

/// Arguments of `gallery remove-template`.
#[derive(Debug, Args)]
pub struct RemoveTemplateArgs {
    /// Which: an id, or a part of it that no other has.
    template: String,
}

pub(super) fn change(args: ChangeArgs, client: &mut Client) -> Result<ExitCode> {
    let (who, change) = what_changes(args, &client.console)?;
    tell(client, Command::Change { who, change: Box::new(change) }, "changed")
}

pub(super) fn rename(args: RenameArgs, client: &mut Client) -> Result<ExitCode> {
    let change = Box::new(Change { name: Some(args.new), ..Change::default() });
    tell(client, Command::Change { who: args.who, change }, "renamed")
}

pub(super) fn reviewed(args: ReviewedArgs, client: &mut Client) -> Result<ExitCode> {
    let next = args.next.map(|text| moment(&text, &client.console, Edge::Start)).transpose()?.flatten();
    if next.is_some_and(|next| next <= client.console.now()) {
        bail!(Usage, "--next: the next review has to be in the future");
    }
    tell(client, Command::Reviewed { who: args.who, next }, "reviewed")
}

pub(super) fn merge(args: MergeArgs, client: &mut Client) -> Result<ExitCode> {
    if args.from == args.into {
        bail!(Usage, "FROM and INTO are the same: {:?}", args.from.0);
    }
    client.console.can_confirm(args.yes)?;
    let Some((from, into)) = agreed(args, client)? else { return Ok(ExitCode::FAILURE) };
    let merged: Moved = client.ask(Command::Merge { from, into })?;
    client.console.show(&merged, |console| {
        let line = in_a_line(&merged.person, "has the templates of both now", console);
        let repeated = match merged.repeated {
            0 => String::new(),
            n => format!(", {n} were of faces it has already, from the same pictures"),
        };
        format!("{line}{} of {} moved{repeated}.\n", count(merged.moved), merged.from)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Who is dissolved into whom: whoever was named, or, where the operator is asked, exactly those that were shown.
fn agreed(args: MergeArgs, client: &mut Client) -> Result<Option<(Who, Who)>> {
    if args.yes {
        return Ok(Some((args.from, args.into)));
    }
    let from: Portrait = client.ask(Command::Show { who: args.from })?;
    let into: Portrait = client.ask(Command::Show { who: args.into })?;
    let (from, into) = (&from.person, &into.person);
    let question = format!(
        "{} ({}, {}) is dissolved into {} ({}, {}), whose record stays; the record of {} is destroyed.\n\
         Type merge to go on: ",
        from.record.name,
        from.id,
        count(from.templates),
        into.record.name,
        into.id,
        count(into.templates),
        from.record.name,
    );
    let ids = (Who(from.id.to_string()), Who(into.id.to_string()));
    Ok(client.console.confirm(false, &question, "merge")?.then_some(ids))
}

/// `1 template`, `3 templates`.
fn count(templates: u64) -> String {
    if templates == 1 { "1 template".to_owned() } else { format!("{templates} templates") }
}

pub(super) fn split(args: SplitArgs, client: &mut Client) -> Result<ExitCode> {
    let command = Command::Split { who: args.who, templates: args.templates, name: args.name };
    tell(client, command, "is an identity of its own now")
}

pub(super) fn move_template(args: MoveArgs, client: &mut Client) -> Result<ExitCode> {
    let moved: Moved = client.ask(Command::MoveTemplate { template: args.template, to: args.to })?;
    client.console.show(&moved, |console| in_a_line(&moved.person, "has the template now", console))?;
    if moved.left == Some(0) {
        client.console.tell(&unseen(&moved.from.to_string()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove_template(args: RemoveTemplateArgs, client: &mut Client) -> Result<ExitCode> {
    let person =
        told(client, Command::RemoveTemplate { template: args.template }, "has the template no longer")?;
    if person.templates == 0 {
        client.console.tell(&unseen(&person.id.to_string()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Has it done, and says how the identity is afterwards.
fn tell(client: &mut Client, command: Command, what: &str) -> Result<ExitCode> {
    told(client, command, what).map(|_| ExitCode::SUCCESS)
}

fn told(client: &mut Client, command: Command, what: &str) -> Result<Person> {
    let person: Person = client.ask(command)?;
    client.console.show(&person, |console| in_a_line(&person, what, console))?;
    Ok(person)
}

/// Somebody whose last template went.
fn unseen(id: &str) -> String {
    format!("{id} has no template any more, so it is never recognised: enrol a picture, or forget it")
}

fn in_a_line(person: &Person, what: &str, console: &Console) -> String {
    let until = person.record.valid_until.map(|at| format!(" until {}", console.minute(at)));
    plain(&format!(
        "{} ({}) {what}: {}{}, lists {}, {}, revision {}",
        person.record.name,
        person.id,
        standing_of(person),
        until.unwrap_or_default(),
        lists_of(&person.record),
        count(person.templates),
        person.revision
    )) + "\n"
}

fn what_changes(args: ChangeArgs, console: &Console) -> Result<(Who, Change)> {
    if let Some(list) = args.onto.iter().find(|list| args.off.contains(list)) {
        bail!(Usage, "--onto {list} --off {list}: one of the two");
    }
    let time = |option: &str, text: Option<String>, edge| {
        let moment = text.map(|text| moment(&text, console, edge)).transpose();
        moment.map_err(|e| crate::err!(Usage, "{option}: {e}"))
    };
    let change = Change {
        name: args.name,
        external_id: args.external_id.map(OrNone::into_option),
        onto: args.onto.into_iter().collect(),
        off: args.off.into_iter().collect(),
        purpose: args.purpose.map(OrNone::into_option),
        authority: args.authority.map(OrNone::into_option),
        image_source: args.image_source.map(OrNone::into_option),
        valid_from: time("--valid-from", args.valid_from, Edge::Start)?,
        valid_until: time("--valid-until", args.valid_until, Edge::End)?,
        review: time("--review-date", args.review_date, Edge::Start)?,
        notes: args.notes.map(OrNone::into_option),
    };
    if change == Change::default() {
        bail!(Usage, "nothing to change: name what changes, such as --onto LIST or --valid-until DATE");
    }
    Ok((args.who, change))
}

/// What was typed as a time, where the operator is.
fn moment(text: &str, console: &Console, edge: Edge) -> Result<Option<jiff::Timestamp>> {
    dates::parse(text, console.now(), console.zone(), edge)
}
