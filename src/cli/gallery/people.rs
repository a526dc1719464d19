//! `gallery list`, `gallery show`

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::parse;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::desk::Client;
use crate::cli::table::{self, Column};
use crate::gallery::command::{Command, SourceKind, Who};
use crate::gallery::record::{ListName, Record, Standing};
use crate::gallery::report::{Person, Portrait, StoredTemplate};

/// Arguments of `gallery list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those on this list.
    #[arg(long, value_name = "LIST")]
    list: Option<ListName>,
    /// Only those in this standing: not searched for yet, searched for, or no longer.
    #[arg(long, value_parser = parse::standing())]
    standing: Option<Standing>,
    /// Only those whose review date has come: somebody should look whether they still belong here.
    #[arg(long)]
    review_due: bool,
    /// Only those whose name, external id or id holds this.
    text: Option<String>,
}

/// Arguments of `gallery show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Whom: an id, an external id, or a name that only one has.
    #[arg(value_parser = parse::who)]
    who: Who,
}

pub(super) fn list(args: ListArgs, client: &mut Client) -> Result<ExitCode> {
    let command = Command::List { list: args.list, standing: args.standing, text: args.text };
    let mut people: Vec<Person> = client.ask(command)?;
    if args.review_due {
        let now = client.console.now();
        people.retain(|person| is_due(&person.record, now));
    }
    client.console.show_all(&PEOPLE, &people, row)?;
    if people.is_empty() {
        client.console.tell("No identity fits.");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(args: ShowArgs, client: &mut Client) -> Result<ExitCode> {
    let portrait: Portrait = client.ask(Command::Show { who: args.who })?;
    client.console.show(&portrait, |console| in_words(&portrait, console))?;
    Ok(ExitCode::SUCCESS)
}

const PEOPLE: [Column; 8] = [
    Column::words("NAME"),
    Column::words("EXTERNAL ID").if_any(),
    Column::words("LISTS"),
    Column::whole("STANDING"),
    Column::whole("VALID UNTIL").if_any(),
    Column::whole("REVIEW").if_any(),
    Column::number("TEMPLATES"),
    Column::whole("ID"),
];

fn row(console: &Console, person: &Person) -> Vec<String> {
    let record = &person.record;
    let time = |at| console.minute(at);
    vec![
        record.name.to_string(),
        record.external_id.as_ref().map_or(String::new(), ToString::to_string),
        lists_of(record),
        standing_of(person),
        record.valid_until.map_or(String::new(), time),
        review(record, console).unwrap_or_default(),
        person.templates.to_string(),
        person.id.to_string(),
    ]
}

fn is_due(record: &Record, now: Timestamp) -> bool {
    record.review.is_some_and(|review| review <= now)
}

/// The review date, and whether it has come.
fn review(record: &Record, console: &Console) -> Option<String> {
    let due = if is_due(record, console.now()) { " (due)" } else { "" };
    record.review.map(|review| console.minute(review) + due)
}

/// `staff, vip`, or that it is on none.
pub(super) fn lists_of(record: &Record) -> String {
    let lists: Vec<&str> = record.lists.iter().map(ListName::as_str).collect();
    if lists.is_empty() { "(none)".to_owned() } else { lists.join(", ") }
}

/// `active`, and that there is nothing to recognise somebody by.
pub(super) fn standing_of(person: &Person) -> String {
    match person.templates {
        0 => format!("{}, no picture", person.standing),
        _ => person.standing.to_string(),
    }
}

/// All that is known of an identity, as shown before it is forgotten, too.
pub(super) fn in_words(portrait: &Portrait, console: &Console) -> String {
    let (person, record) = (&portrait.person, &portrait.person.record);
    let time = |at| console.minute(at);
    let about = table::fields(&[
        ("name", Some(record.name.to_string())),
        ("id", Some(person.id.to_string())),
        ("external id", record.external_id.as_ref().map(ToString::to_string)),
        ("lists", Some(lists_of(record))),
        ("standing", Some(standing_of(person))),
        ("valid from", record.valid_from.map(time)),
        ("valid until", record.valid_until.map(time)),
        ("review", review(record, console)),
        ("purpose", record.purpose.clone()),
        ("authority", record.authority.clone()),
        ("image source", record.image_source.clone()),
        ("notes", record.notes.clone()),
        ("enrolled", Some(console.minute(person.created))),
        ("revision", Some(person.revision.to_string())),
    ]);
    let templates = portrait.stored.iter().map(|template| template_row(console, template)).collect();
    format!("{about}\n{}", console.table(&TEMPLATES, templates))
}

const TEMPLATES: [Column; 7] = [
    Column::whole("TEMPLATE"),
    Column::whole("MODEL"),
    Column::number("QUALITY"),
    Column::number("NEAREST").if_any(),
    Column::whole("CROP"),
    Column::whole("STORED"),
    Column::words("SOURCE"),
];

fn template_row(console: &Console, template: &StoredTemplate) -> Vec<String> {
    let kind = match template.source.kind {
        SourceKind::File => "file",
        SourceKind::Event => "event",
        SourceKind::Import => "import",
        SourceKind::Crop => "crop",
    };
    vec![
        template.id.to_string(),
        template.model.to_string(),
        format!("{:.2}", template.quality),
        template.nearest_own.map_or(String::new(), |score| format!("{score:.3}")),
        if template.crop { "kept" } else { "-" }.to_owned(),
        console.minute(template.created),
        format!("{kind} {}", template.source.name),
    ]
}
