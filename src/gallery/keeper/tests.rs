//! What the keeper promises.

mod backup;
mod enrol;
mod exchange;
mod failing;
mod figures;
mod opened;
mod others;
mod recovery;
mod review;
mod snapshots;
mod unfit;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::*;
use crate::base::clock::SimulatedClock;
use crate::base::error::Kind;
use crate::gallery::command::{Change, Review, Source, SourceKind, Subject, TemplateData, Who};
use crate::gallery::list::{List, Publish};
use crate::gallery::lock::Holder;
use crate::gallery::name::Name;
use crate::gallery::record::{ExternalId, ListName, Record, Standing};
use crate::gallery::report::{
    self, AuditReport, Description, Enrolment, ListUse, Member, Person, Portrait, Receipt,
};
use crate::index::synthetic::Population;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId};
use crate::types::matching::IndexKind;

const MODEL: ModelId = ModelId([1; 32]);
const DIMENSION: usize = 128;

/// A gallery in a folder of its own.
pub(in crate::gallery) struct Site {
    folder: tempfile::TempDir,
    pub(in crate::gallery) clock: Arc<SimulatedClock>,
    pub(in crate::gallery) people: Population,
    pictures: u32,
}

impl Site {
    pub(in crate::gallery) fn new() -> Self {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(SimulatedClock::new(start)),
            people: Population::new(MODEL, DIMENSION, 5),
            pictures: 0,
        }
    }

    pub(in crate::gallery) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(in crate::gallery) fn path(&self) -> PathBuf {
        self.folder.path().join("gallery.db")
    }

    pub(in crate::gallery) fn opening(&self) -> Opening {
        Opening {
            path: self.path(),
            key: KeySource::File(self.folder.path().join("gallery.key")),
            given_key: None,
            model: Some(Model { id: MODEL, dimension: DIMENSION, name: "test".to_owned(), threshold: 0.5 }),
            index: IndexKind::Exact.into(),
            keeps_crops: false,
            holder: Holder::this("test", None),
            // Another test's child has our files for as long as it is none but a copy of us.
            patience: Duration::from_secs(2),
            clock: self.clock.clone(),
        }
    }

    pub(in crate::gallery) fn open(&self) -> Keeper {
        self.try_open().expect("a gallery")
    }

    pub(in crate::gallery) fn try_open(&self) -> Result<Keeper> {
        Ok(Keeper::open(self.opening(), Box::new(drop))?.0)
    }

    /// Another picture of that person.
    pub(in crate::gallery) fn picture(&mut self, person: usize) -> (TemplateData, Vec<u8>, Embedding) {
        self.pictures += 1;
        let embedding = self.people.template(person);
        let data = TemplateData {
            model: MODEL,
            dimension: DIMENSION,
            quality: 0.75,
            source: Source {
                kind: SourceKind::File,
                name: format!("{}.jpg", self.pictures),
                sha256: format!("{:064x}", self.pictures),
            },
        };
        let body = embedding.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
        (data, body, embedding)
    }

    /// Enrols a picture of a person under a record.
    pub(in crate::gallery) fn enrol(
        &mut self,
        keeper: &mut Keeper,
        record: Record,
        person: usize,
    ) -> IdentityId {
        let (template, body, _) = self.picture(person);
        let command = Command::Enrol { subject: Subject { record }, template, review: Review::Off };
        match ask::<Enrolment>(keeper, command, &body) {
            Enrolment::Stored { identity, .. } => identity,
            other => panic!("{other:?}"),
        }
    }
}

pub(in crate::gallery) fn actor() -> Actor {
    Actor("uid 0".to_owned())
}

pub(in crate::gallery) fn try_ask<T: DeserializeOwned>(
    keeper: &mut Keeper,
    command: Command,
    body: &[u8],
) -> Result<T> {
    let reply = keeper.execute(&actor(), command, body, &mut |_| {})?;
    Ok(serde_json::from_value(reply.value).expect("the command's report"))
}

pub(in crate::gallery) fn ask<T: DeserializeOwned>(keeper: &mut Keeper, command: Command, body: &[u8]) -> T {
    try_ask(keeper, command, body).unwrap_or_else(|error| panic!("{}", error.chain()))
}

pub(in crate::gallery) fn record(name: &str) -> Record {
    Record::new(Name::new(name).expect("a name"))
}

pub(in crate::gallery) fn who(text: &str) -> Who {
    Who(text.to_owned())
}

fn best(keeper: &Keeper, probe: &Embedding) -> Option<Arc<str>> {
    let found = keeper.shared().current().search(probe, 1);
    found.best().filter(|c| c.score > 0.5).map(|c| c.name.clone())
}

#[test]
fn who_is_enrolled_is_found_at_once_and_after_a_restart() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let held = keeper.shared().current();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("王小明"), 2);
    let probe = site.people.template(1);
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Ana"));
    assert!(held.search(&probe, 1).candidates.is_empty(), "a snapshot in use does not change");
    let before: Vec<Person> = ask(&mut keeper, Command::List { list: None, standing: None, text: None }, &[]);
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Ana"));
    let after: Vec<Person> = ask(&mut keeper, Command::List { list: None, standing: None, text: None }, &[]);
    assert_eq!(before, after);
    let shown: Portrait = ask(&mut keeper, Command::Show { who: who("Ana") }, &[]);
    assert_eq!((shown.person.id, shown.stored.len()), (ana, 1));
    assert_eq!((shown.stored[0].source.name.as_str(), shown.stored[0].quality), ("1.jpg", 0.75));
}

#[test]
fn the_same_picture_again_changes_nothing() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let (template, body, _) = site.picture(1);
    let command =
        Command::Enrol { subject: Subject { record: record("Ana") }, template, review: Review::Off };
    assert!(matches!(ask(&mut keeper, command.clone(), &body), Enrolment::Stored { new_identity: true, .. }));
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    assert!(matches!(ask(&mut keeper, command, &body), Enrolment::AlreadyThere { .. }));
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    let sources = vec![format!("{:064x}", 1), format!("{:064x}", 2)];
    let known = Command::Known { subject: Subject { record: record("Ana") }, model: MODEL, sources };
    assert_eq!(ask::<Vec<bool>>(&mut keeper, known, &[]), [true, false]);
}

#[test]
fn two_people_of_one_name_are_told_apart_by_their_external_ids() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let with = |id: &str| Record { external_id: Some(ExternalId::new(id).expect("an id")), ..record("Ana") };
    let (first, second) = (site.enrol(&mut keeper, with("E1"), 1), site.enrol(&mut keeper, with("E2"), 2));
    assert_ne!(first, second);
    assert_eq!(site.enrol(&mut keeper, with("E2"), 2), second);
    let ambiguous =
        try_ask::<Portrait>(&mut keeper, Command::Show { who: who("Ana") }, &[]).expect_err("two");
    assert_eq!(ambiguous.kind(), Kind::Usage);
    assert!(ambiguous.to_string().contains("E1") && ambiguous.to_string().contains("E2"), "{ambiguous}");
    assert_eq!(ask::<Portrait>(&mut keeper, Command::Show { who: who("E2") }, &[]).person.id, second);
    let change =
        Change { external_id: Some(Some(ExternalId::new("E1").expect("an id"))), ..Change::default() };
    let taken = Command::Change { who: who("E2"), change: Box::new(change) };
    assert_eq!(try_ask::<Person>(&mut keeper, taken, &[]).expect_err("taken").kind(), Kind::Data);
    // What is one's external id and another's name is nobody's until somebody says which.
    let named = site.enrol(&mut keeper, Record { external_id: None, ..record("E1") }, 3);
    let both = try_ask::<Portrait>(&mut keeper, Command::Show { who: who("E1") }, &[]).expect_err("two");
    assert_eq!(both.kind(), Kind::Usage);
    assert!(
        both.to_string().contains(&first.to_string()) && both.to_string().contains(&named.to_string()),
        "{both}"
    );
    let nobody = try_ask::<Portrait>(&mut keeper, Command::Show { who: who("An") }, &[]).expect_err("nobody");
    assert!(nobody.to_string().contains("did you mean \"Ana\""), "{nobody}");
}

#[test]
fn a_changed_record_is_in_force_at_once_and_on_record() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let probe = site.people.template(1);
    let staff = ListName::new("staff").expect("a list");
    let onto = |list: &ListName| Change { onto: BTreeSet::from([list.clone()]), ..Change::default() };
    let change = |change: Change| Command::Change { who: who("Ana"), change: Box::new(change) };
    let missing = try_ask::<Person>(&mut keeper, change(onto(&staff)), &[]).expect_err("no such list");
    assert!(missing.to_string().contains("set-list staff"), "{missing}");
    let list =
        List { threshold: Some(0.7), priority: 5, publish: Publish::Pseudonym, ..List::new(staff.clone()) };
    ask::<ListUse>(&mut keeper, Command::SetList { list }, &[]);
    ask::<Person>(&mut keeper, change(onto(&staff)), &[]);
    let candidate = keeper.shared().current().search(&probe, 1).candidates.remove(0);
    let lists: Vec<&str> = candidate.lists.iter().map(|rule| &*rule.name).collect();
    assert_eq!((lists, candidate.lists[0].threshold), (vec!["staff", "watchlist"], Some(0.7)));
    // Off every list: still stored, and not looked for.
    let off = Change { off: BTreeSet::from([staff, ListName::default()]), ..Change::default() };
    assert!(ask::<Person>(&mut keeper, change(off), &[]).record.lists.is_empty());
    assert!(keeper.shared().current().search(&probe, 1).candidates.is_empty());
    let renamed = Change { name: Some(Name::new("Anna").expect("a name")), ..Change::default() };
    ask::<Person>(&mut keeper, change(renamed), &[]);
    let now = site.clock.now().wall;
    assert!(ask::<Vec<Member>>(&mut keeper, Command::AuditAt { at: now }, &[]).is_empty());
    assert!(ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
}

#[test]
fn validity_begins_and_ends_by_itself_with_an_entry_each() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let now = site.clock.now().wall;
    let hours = |n: i64| now + jiff::SignedDuration::from_hours(n);
    let limited = Record { valid_from: Some(hours(1)), valid_until: Some(hours(3)), ..record("Ana") };
    let ana = site.enrol(&mut keeper, limited, 1);
    let probe = site.people.template(1);
    assert_eq!((best(&keeper, &probe), keeper.tick().expect("ticks")), (None, 0));
    site.clock.advance(Duration::from_secs(3600));
    assert_eq!(keeper.tick().expect("ticks"), 1);
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Ana"));
    drop(keeper);
    site.clock.advance(Duration::from_secs(7200));
    let mut keeper = site.open();
    assert_eq!((keeper.tick().expect("ticks"), keeper.tick().expect("ticks")), (1, 0));
    assert_eq!(best(&keeper, &probe), None);
    let filter =
        crate::gallery::command::AuditFilter { who: Some(who(&ana.to_string())), ..Default::default() };
    let shown: Vec<report::AuditEntry> = ask(&mut keeper, Command::AuditShow { filter }, &[]);
    let actions: Vec<&str> = shown.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["enrolled", "started", "expired"]);
    let at = |keeper: &mut Keeper, at| ask::<Vec<Member>>(keeper, Command::AuditAt { at }, &[]);
    site.clock.advance(Duration::from_secs(3600));
    assert_eq!(at(&mut keeper, hours(2)).first().map(|m| m.standing), Some(Standing::Active));
    assert_eq!(at(&mut keeper, hours(4)).first().map(|m| m.standing), Some(Standing::Expired));
}

#[test]
fn who_is_forgotten_is_gone_for_good() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let copy = std::fs::read(site.path()).expect("a file");
    keeper.store.checkpoint();
    let old = site.folder().join("old.db");
    keeper.store.copy_to(&old).expect("copied");
    let receipt: Receipt = ask(&mut keeper, Command::Forget { who: who("Ana"), reason: None }, &[]);
    assert_eq!((receipt.identity, receipt.templates, receipt.probes, receipt.returned), (ana, 2, 2, 0));
    assert!(receipt.wiped && !receipt.beyond.is_empty());
    assert!(best(&keeper, &site.people.template(1)).is_none());
    assert!(try_ask::<Portrait>(&mut keeper, Command::Show { who: who("Ana") }, &[]).is_err());
    let at = site.clock.now().wall;
    let members: Vec<Member> = ask(&mut keeper, Command::AuditAt { at }, &[]);
    assert_eq!(members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["Ben"]);
    let shown: Vec<report::AuditEntry> =
        ask(&mut keeper, Command::AuditShow { filter: Default::default() }, &[]);
    let names: Vec<_> =
        shown.iter().filter(|e| e.identity == Some(ana)).filter_map(|e| e.name.clone()).collect();
    assert_eq!(names, ["forgotten", "forgotten"]);
    let text = serde_json::to_string(&shown).expect("JSON");
    assert!(!text.contains("Ana"), "{text}");
    assert!(ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
    drop((keeper, copy));
    // An older copy of the store in its place does not bring anybody back.
    std::fs::rename(&old, site.path()).expect("put back");
    let mut keeper = site.open();
    assert!(try_ask::<Portrait>(&mut keeper, Command::Show { who: who("Ana") }, &[]).is_err());
    assert!(ask::<Portrait>(&mut keeper, Command::Show { who: who("Ben") }, &[]).person.templates == 1);
    assert!(best(&keeper, &site.people.template(1)).is_none());
    let verdict: AuditReport = ask(&mut keeper, Command::AuditVerify { head: None }, &[]);
    assert!(!verdict.problems.is_empty(), "the log was put back too, and the head tells");
}

#[test]
fn a_threshold_that_is_read_again_is_in_force_at_once_and_on_record_once() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let above = |keeper: &mut Keeper| -> Vec<bool> {
        let pairs: Vec<report::Pair> = ask(keeper, Command::Confusable { most: 1 }, &[]);
        pairs.iter().map(|pair| pair.above_threshold).collect()
    };
    let told = |keeper: &mut Keeper| -> Vec<serde_json::Value> {
        let action = Some("threshold-changed".to_owned());
        let filter = crate::gallery::command::AuditFilter { action, ..Default::default() };
        let shown: Vec<report::AuditEntry> = ask(keeper, Command::AuditShow { filter }, &[]);
        shown.into_iter().map(|entry| entry.detail["to"].clone()).collect()
    };
    assert_eq!((above(&mut keeper), told(&mut keeper)), (vec![false], vec![]));
    keeper.note_model_threshold(ModelId([9; 32]), -1.0).expect("another model's");
    assert_eq!((above(&mut keeper), told(&mut keeper)), (vec![false], vec![]));
    for _ in 0..2 {
        keeper.note_model_threshold(MODEL, -1.0).expect("stored");
    }
    assert_eq!((above(&mut keeper), told(&mut keeper)), (vec![true], vec![(-1.0).into()]));
    drop(keeper);
    let model = Model { threshold: -1.0, ..site.opening().model.expect("a model") };
    let opening = Opening { model: Some(model), ..site.opening() };
    let mut keeper = Keeper::open(opening, Box::new(drop)).expect("a gallery").0;
    assert_eq!((above(&mut keeper), told(&mut keeper).len()), (vec![true], 1), "nothing new");
}

#[test]
fn templates_move_merge_split_and_go() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    for _ in 0..2 {
        site.enrol(&mut keeper, record("Ana"), 2);
    }
    site.enrol(&mut keeper, record("Ben"), 2);
    let probe = site.people.template(2);
    let stored = |keeper: &mut Keeper, name: &str| -> Vec<String> {
        let shown: Portrait = ask(keeper, Command::Show { who: who(name) }, &[]);
        shown.stored.iter().map(|t| t.id.to_string()).collect()
    };
    let anas = stored(&mut keeper, "Ana");
    let moved = Command::MoveTemplate { template: anas[1].clone(), to: who("Ben") };
    assert_eq!(ask::<Person>(&mut keeper, moved, &[]).templates, 2);
    let removed = Command::RemoveTemplate { template: anas[2].clone() };
    assert_eq!(ask::<Person>(&mut keeper, removed, &[]).templates, 1);
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Ben"));
    let merge = Command::Merge { from: who("Ben"), into: who("Ana") };
    assert_eq!(ask::<Person>(&mut keeper, merge, &[]).templates, 3);
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Ana"));
    let anas = stored(&mut keeper, "Ana");
    let name = Name::new("Cleo").expect("a name");
    let all = Command::Split { who: who("Ana"), templates: anas.clone(), name: name.clone() };
    assert_eq!(try_ask::<Person>(&mut keeper, all, &[]).expect_err("nothing left").kind(), Kind::Usage);
    let split = Command::Split { who: who("Ana"), templates: anas[1..].to_vec(), name };
    assert_eq!(ask::<Person>(&mut keeper, split, &[]).templates, 2);
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Cleo"));
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(best(&keeper, &probe).as_deref(), Some("Cleo"));
    assert_eq!(ask::<Portrait>(&mut keeper, Command::Show { who: who("Ana") }, &[]).person.id, ana);
    let at = site.clock.now().wall;
    let members: Vec<Member> = ask(&mut keeper, Command::AuditAt { at }, &[]);
    assert_eq!(members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["Ana", "Cleo"]);
}

#[test]
fn a_second_keeper_is_told_who_holds_it_and_another_key_opens_nothing() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let second = site.try_open().err().expect("held");
    assert_eq!(second.kind(), Kind::Temporary);
    assert!(second.to_string().contains("watchlistd test"), "{second}");
    drop(keeper);
    std::fs::remove_file(site.folder().join("gallery.key")).expect("there");
    let lost = site.try_open().err().expect("no key");
    assert_eq!(lost.kind(), Kind::NoInput, "{}", lost.chain());
    assert!(!site.folder().join("gallery.key").exists(), "no other key is made in its place");
    let other = crate::gallery::crypt::Key::generate().expect("random");
    let opening = Opening { given_key: Some(other), ..site.opening() };
    let wrong = Keeper::open(opening, Box::new(drop)).err().expect("another key");
    assert_eq!(wrong.kind(), Kind::Config, "{}", wrong.chain());
}

#[test]
fn nothing_of_a_person_stands_in_the_clear() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let full = Record {
        external_id: Some(ExternalId::new("EXT-4711").expect("an id")),
        notes: Some("wears a hat".to_owned()),
        ..record("Ana Beltrán")
    };
    let (template, body, _) = site.picture(1);
    let source = Source { name: "ana-front.jpg".to_owned(), ..template.source.clone() };
    let template = TemplateData { source, ..template };
    ask::<Enrolment>(
        &mut keeper,
        Command::Enrol { subject: Subject { record: full }, template: template.clone(), review: Review::Off },
        &body,
    );
    drop(keeper);
    let files: Vec<u8> = std::fs::read_dir(site.folder())
        .expect("a folder")
        .flatten()
        .filter(|file| file.file_name() != "gallery.key")
        .flat_map(|file| std::fs::read(file.path()).expect("readable"))
        .collect();
    let holds = |needle: &[u8]| files.windows(needle.len()).any(|part| part == needle);
    assert!(holds(b"watchlist") || holds(b"enrolled"), "the search finds what is there");
    for needle in ["Ana", "Beltr", "EXT-4711", "hat", "ana-front", &template.source.sha256] {
        assert!(!holds(needle.as_bytes()), "{needle} stands in a file");
    }
    assert!(!holds(&body[..64]), "a part of the template stands in a file");
}

#[test]
fn what_killed_writers_left_of_the_small_files_goes_when_the_gallery_is_opened() {
    let site = Site::new();
    let ours = [".gallery.key.new", ".gallery.key.next.new", ".gallery.head.new", ".gallery.forgotten.new"];
    let others = [".gallery.key.new.old", ".another.key.new", "gallery.key.new"];
    let left = |names: &[&str]| names.iter().filter(|name| site.folder().join(name).exists()).count();
    let keeper = site.open();
    for name in ours.iter().chain(&others) {
        std::fs::write(site.folder().join(name), "half of it").expect("written");
    }
    assert!(site.try_open().is_err(), "it is held");
    assert_eq!(left(&ours), ours.len(), "its holder may be writing them");
    drop(keeper);
    drop(site.open());
    assert_eq!((left(&ours), left(&others)), (0, others.len()));
}
