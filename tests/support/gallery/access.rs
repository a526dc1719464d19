//! The real gallery: how the tests open it, put the oracle's commands to it, and read what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use watchlistd::base::clock::SystemClock;
use watchlistd::base::error::{Kind, Result};
use watchlistd::gallery::command::{
    Actor, AuditFilter, Change, Command, Reply, Review, Source, SourceKind, Subject, TemplateData, Who,
};
use watchlistd::gallery::enrol::pack;
use watchlistd::gallery::keeper::Opening;
use watchlistd::gallery::list::List;
use watchlistd::gallery::lock::Holder;
use watchlistd::gallery::master::KeySource;
use watchlistd::gallery::record::{ExternalId, ListName, Record, Standing};
use watchlistd::gallery::report::{
    AuditEntry, Description, Enrolment, ListUse, Member, Person as Row, Portrait, StoredTemplate,
};
use watchlistd::gallery::{Keeper, Name};
use watchlistd::types::matching::IndexKind;

use super::model::{FIRST_MODEL, Held, Person, Step, Template, keeps_crop};
use super::models::{
    DIMENSION, Models, chip, id_of, in_use, manifest, model, number_of, template, use_for_faces,
};

/// Who gives the scripts' commands.
const ACTOR: &str = "script";
/// Files of another box.
pub const BUNDLE: &str = "bundle";
pub const SIGNER: &str = "signer";

/// Opens the gallery in `folder`.
pub fn open(folder: &Path) -> Result<Keeper> {
    let path = folder.join("gallery.db");
    let number = in_use(&path);
    let opening = Opening {
        path,
        key: KeySource::File(folder.join("gallery.key")),
        given_key: None,
        model: Some(model(number)),
        index: IndexKind::Exact.into(),
        keeps_crops: true,
        holder: Holder::this("test", None),
        // A child that another test starts holds a copy of our lock until it has become the other program.
        patience: Duration::from_secs(30),
        clock: Arc::new(SystemClock::new()),
    };
    let mut keeper = Keeper::open(opening, Box::new(drop))?.0;
    keeper.set_embedders(Arc::new(Models));
    use_for_faces(number);
    Ok(keeper)
}

fn ask<T: DeserializeOwned>(keeper: &mut Keeper, command: Command, body: &[u8]) -> Result<T> {
    let reply = send(keeper, command, body)?;
    Ok(serde_json::from_value(reply.value).expect("the command's report"))
}

fn send(keeper: &mut Keeper, command: Command, body: &[u8]) -> Result<Reply> {
    keeper.execute(&Actor(ACTOR.to_owned()), command, body, &mut |_| {})
}

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn list_name(text: &str) -> ListName {
    ListName::new(text).expect("a list's name")
}

fn in_2100() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().expect("a time")
}

/// What a step does, as the gallery is asked for it. `aside` is where files of other boxes are.
pub fn carry_out(keeper: &mut Keeper, step: &Step, aside: &Path) -> Result<()> {
    let change = |of: &str, change: Change| Command::Change { who: who(of), change: Box::new(change) };
    let lists = |list: &str| BTreeSet::from([list_name(list)]);
    let command = match step {
        Step::Enrol { name: of, external_id, pending, picture } => {
            let mut record = Record::new(name(of));
            record.external_id = external_id.as_deref().map(|id| ExternalId::new(id).expect("an id"));
            record.valid_from = pending.then(in_2100);
            return enrol(keeper, record, *picture, false);
        }
        Step::Again { name: of, picture } => {
            let shown: Portrait = ask(keeper, Command::Show { who: who(of) }, &[])?;
            return enrol(keeper, shown.person.record, *picture, true);
        }
        Step::Rename { name: of, to } => change(of, Change { name: Some(name(to)), ..Change::default() }),
        Step::Note { name: of, notes } => {
            change(of, Change { notes: Some(notes.clone()), ..Change::default() })
        }
        Step::Onto { name: of, list } => change(of, Change { onto: lists(list), ..Change::default() }),
        Step::Off { name: of, list } => change(of, Change { off: lists(list), ..Change::default() }),
        Step::Start { name: of } => change(of, Change { valid_from: Some(None), ..Change::default() }),
        Step::Reviewed { name: of } => Command::Reviewed { who: who(of), next: Some(in_2100()) },
        Step::SetList { list, priority } => {
            Command::SetList { list: List { priority: *priority, ..List::new(list_name(list)) } }
        }
        Step::RemoveList { list } => Command::RemoveList { name: list_name(list) },
        Step::Move { name: of, template, to } => {
            Command::MoveTemplate { template: template_id(keeper, of, *template)?, to: who(to) }
        }
        Step::Remove { name: of, template } => {
            Command::RemoveTemplate { template: template_id(keeper, of, *template)? }
        }
        Step::Merge { from, into } => Command::Merge { from: who(from), into: who(into) },
        Step::Split { name: of, templates, to } => {
            let ids = templates.iter().map(|&template| template_id(keeper, of, template));
            Command::Split { who: who(of), templates: ids.collect::<Result<_>>()?, name: name(to) }
        }
        Step::Forget { name: of } => Command::Forget { who: who(of), reason: None },
        Step::Reopen => unreachable!("the driver does it"),
        Step::Rotate { deep } => Command::KeyRotate { key: None, deep: *deep },
        Step::Export => Command::Export { lists: BTreeSet::new(), recipients: Vec::new(), crops: false },
        Step::Trust => {
            let key = std::fs::read_to_string(aside.join(SIGNER)).expect("the other box's key");
            Command::Trust { key, label: "other".to_owned() }
        }
        Step::Import => {
            let bundle = std::fs::read(aside.join(BUNDLE)).expect("the other box's bundle");
            let command = Command::Import { dry_run: false, force: true, identity: None };
            return send(keeper, command, &bundle).map(drop);
        }
        Step::Backup => {
            let backup = send(keeper, Command::Backup, &[])?;
            std::fs::write(backup_file(aside), backup.body).expect("written");
            return Ok(());
        }
        Step::Restore => {
            let backup = std::fs::read(backup_file(aside)).expect("a backup");
            return send(keeper, Command::Restore { key: None }, &backup).map(drop);
        }
        Step::Switch { model } => {
            Command::SwitchModel { manifest: manifest(*model), dry_run: false, force: true }
        }
        Step::Rollback => Command::RollbackModel,
    };
    send(keeper, command, &[]).map(drop)
}

/// Of the gallery in the current folder.
fn backup_file(aside: &Path) -> std::path::PathBuf {
    let folder = std::env::current_dir().expect("a folder");
    aside.join(format!("backup-{}", folder.file_name().expect("a name").display()))
}

fn enrol(keeper: &mut Keeper, record: Record, picture: u64, again: bool) -> Result<()> {
    let source =
        Source { kind: SourceKind::File, name: format!("{picture}.jpg"), sha256: format!("{picture:064x}") };
    let number = searched(keeper)?;
    let data = TemplateData { model: id_of(number), dimension: DIMENSION, quality: 0.75, source };
    let crop = keeps_crop(picture).then(|| chip(picture));
    let body = pack(&template((picture, number)), crop.as_ref())?;
    let command = Command::Enrol { subject: Subject { record }, template: data, review: Review::Off };
    match ask::<Enrolment>(keeper, command, &body)? {
        Enrolment::Stored { .. } if !again => Ok(()),
        Enrolment::AlreadyThere { .. } if again => Ok(()),
        other => panic!("picture {picture}: {other:?}"),
    }
}

/// The other box: its public key and a bundle of the oracle's people go to `aside`. False where bundles are not there yet.
pub fn make_bundle(aside: &Path) -> bool {
    let folder = super::super::faults::quick_folder();
    let mut keeper = open(folder.path()).expect("a gallery");
    for (of, pictures) in super::model::bundled() {
        for picture in pictures {
            enrol(&mut keeper, Record::new(name(&of)), picture, false).expect("enrolled");
        }
    }
    let export = Command::Export { lists: BTreeSet::new(), recipients: Vec::new(), crops: false };
    match send(&mut keeper, export, &[]) {
        Err(error) if error.kind() == Kind::Unavailable => false,
        reply => {
            std::fs::write(aside.join(BUNDLE), reply.expect("a bundle").body).expect("written");
            let trust: watchlistd::gallery::report::Trust =
                ask(&mut keeper, Command::Trusted, &[]).expect("the box's own key");
            std::fs::write(aside.join(SIGNER), trust.own).expect("written");
            true
        }
    }
}

fn portraits(keeper: &mut Keeper) -> Result<Vec<Portrait>> {
    let rows: Vec<Row> = ask(keeper, Command::List { list: None, standing: None, text: None }, &[])?;
    rows.iter().map(|row| ask(keeper, Command::Show { who: who(&row.id.to_string()) }, &[])).collect()
}

fn picture_of(source: &Source) -> u64 {
    u64::from_str_radix(&source.sha256, 16).expect("a script's picture")
}

fn template_of(stored: &StoredTemplate) -> Template {
    (picture_of(&stored.source), number_of(stored.model))
}

fn template_id(keeper: &mut Keeper, of: &str, template: Template) -> Result<String> {
    let shown: Portrait = ask(keeper, Command::Show { who: who(of) }, &[])?;
    let found: Vec<_> = shown.stored.iter().filter(|stored| template_of(stored) == template).collect();
    assert_eq!(found.len(), 1, "template {template:?} of {of}: {found:?}");
    Ok(found[0].id.to_string())
}

/// The model that is searched; of a gallery that was never used, the first.
fn searched(keeper: &mut Keeper) -> Result<u8> {
    let description: Description = ask(keeper, Command::Describe, &[])?;
    Ok(description.model.map_or(FIRST_MODEL, number_of))
}

/// What the gallery holds, by its own reports.
pub fn look(keeper: &mut Keeper) -> Result<Held> {
    let mut people = BTreeMap::new();
    for shown in portraits(keeper)? {
        let Row { record, standing, templates, .. } = shown.person;
        assert_eq!(templates as usize, shown.stored.len(), "two reports of {:?} differ", record.name);
        let person = Person {
            external_id: record.external_id.as_ref().map(|id| id.as_str().to_owned()),
            lists: record.lists.iter().map(|list| list.as_str().to_owned()).collect(),
            active: standing == Standing::Active,
            notes: record.notes.clone(),
            templates: shown.stored.iter().map(template_of).collect(),
            crops: shown.stored.iter().filter(|t| t.crop).map(|t| picture_of(&t.source)).collect(),
        };
        let twice = people.insert(record.name.as_str().to_owned(), person);
        assert!(twice.is_none(), "two are called {:?}", record.name);
    }
    let lists: Vec<ListUse> = ask(keeper, Command::Lists, &[])?;
    let lists = lists.into_iter().map(|l| (l.list.name.as_str().to_owned(), l.list.priority)).collect();
    let log: Vec<AuditEntry> = ask(keeper, Command::AuditShow { filter: AuditFilter::default() }, &[])?;
    // A backup that failed is on record twice, as begun and as failed.
    let failed = |entry: &AuditEntry| entry.detail.get("stage").is_some_and(|stage| stage == "failed");
    let ours = log.into_iter().filter(|entry| entry.actor == ACTOR && !failed(entry));
    let log = ours.map(|entry| entry.action).collect();
    Ok(Held { people, lists, model: searched(keeper)?, log })
}

/// Who is on which lists by the audit log alone, with name and standing.
pub fn members(keeper: &mut Keeper) -> Result<BTreeSet<(String, Vec<String>, bool)>> {
    let members: Vec<Member> = ask(keeper, Command::AuditAt { at: Timestamp::now() }, &[])?;
    Ok(members.into_iter().map(|m| (m.name, m.lists, m.standing == Standing::Active)).collect())
}

/// What `audit verify` finds wrong.
pub fn audit_problems(keeper: &mut Keeper) -> Result<Vec<String>> {
    let report: watchlistd::gallery::report::AuditReport =
        ask(keeper, Command::AuditVerify { head: None }, &[])?;
    Ok(report.problems)
}

/// What `gallery verify` finds wrong; nothing where there is no such command yet.
pub fn problems(keeper: &mut Keeper) -> Result<Vec<String>> {
    match ask::<watchlistd::gallery::report::Examination>(keeper, Command::Verify, &[]) {
        Err(error) if error.kind() == Kind::Unavailable => Ok(Vec::new()),
        examined => Ok(examined?.problems),
    }
}
