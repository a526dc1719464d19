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
use watchlistd::gallery::keeper::{Model, Opening};
use watchlistd::gallery::list::List;
use watchlistd::gallery::lock::Holder;
use watchlistd::gallery::master::KeySource;
use watchlistd::gallery::record::{ExternalId, ListName, Record, Standing};
use watchlistd::gallery::report::{AuditEntry, Enrolment, ListUse, Member, Person as Row, Portrait};
use watchlistd::gallery::{Keeper, Name};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::ModelId;
use watchlistd::types::matching::IndexKind;

use super::model::{Held, Person, Step};

pub const MODEL: ModelId = ModelId([1; 32]);
pub const DIMENSION: usize = 128;
/// Who gives the scripts' commands.
const ACTOR: &str = "script";
/// Files of another box.
pub const BUNDLE: &str = "bundle";
pub const SIGNER: &str = "signer";

/// Opens the gallery in `folder`.
pub fn open(folder: &Path) -> Result<Keeper> {
    let opening = Opening {
        path: folder.join("gallery.db"),
        key: KeySource::File(folder.join("gallery.key")),
        given_key: None,
        model: Some(Model { id: MODEL, dimension: DIMENSION, name: "test".to_owned(), threshold: 0.5 }),
        index: IndexKind::Exact,
        keeps_crops: false,
        holder: Holder::this("test", None),
        // A child that another test starts holds a copy of our lock until it has become the other program.
        patience: Duration::from_secs(30),
        clock: Arc::new(SystemClock::new()),
    };
    Ok(Keeper::open(opening, Box::new(drop))?.0)
}

/// The picture's template. Two pictures of one person (the same hundred) score about 0.6, of two people about 0.
pub fn template(picture: u64) -> Embedding {
    near(picture / 100, picture, 0.8)
}

/// A vector `noise` away from a person's centre.
pub fn near(person: u64, seed: u64, noise: f32) -> Embedding {
    let gaussian = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let uniform = move || (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
        std::iter::repeat_with(uniform).take(DIMENSION).collect::<Vec<f32>>()
    };
    let (centre, other) = (gaussian(person ^ 0x5EED_0000_0000), gaussian(seed ^ 0x0714_0000_0000));
    let vector = centre.iter().zip(&other).map(|(c, o)| c + noise * o).collect();
    Embedding::new(MODEL, vector).expect("a vector with a length")
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
        Step::Move { picture, to } => {
            Command::MoveTemplate { template: template_id(keeper, *picture)?, to: who(to) }
        }
        Step::Remove { picture } => Command::RemoveTemplate { template: template_id(keeper, *picture)? },
        Step::Merge { from, into } => Command::Merge { from: who(from), into: who(into) },
        Step::Split { name: of, pictures, to } => {
            let templates =
                pictures.iter().map(|&picture| template_id(keeper, picture)).collect::<Result<_>>()?;
            Command::Split { who: who(of), templates, name: name(to) }
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
    let data = TemplateData { model: MODEL, dimension: DIMENSION, quality: 0.75, source };
    let body: Vec<u8> = template(picture).as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
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

fn template_id(keeper: &mut Keeper, picture: u64) -> Result<String> {
    let stored = portraits(keeper)?.into_iter().flat_map(|shown| shown.stored);
    let found: Vec<_> = stored.filter(|template| picture_of(&template.source) == picture).collect();
    assert_eq!(found.len(), 1, "picture {picture}: {found:?}");
    Ok(found[0].id.to_string())
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
            pictures: shown.stored.iter().map(|template| picture_of(&template.source)).collect(),
        };
        let twice = people.insert(record.name.as_str().to_owned(), person);
        assert!(twice.is_none(), "two are called {:?}", record.name);
    }
    let lists: Vec<ListUse> = ask(keeper, Command::Lists, &[])?;
    let lists = lists.into_iter().map(|l| (l.list.name.as_str().to_owned(), l.list.priority)).collect();
    let log: Vec<AuditEntry> = ask(keeper, Command::AuditShow { filter: AuditFilter::default() }, &[])?;
    let log = log.into_iter().filter(|entry| entry.actor == ACTOR).map(|entry| entry.action).collect();
    Ok(Held { people, lists, log })
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
