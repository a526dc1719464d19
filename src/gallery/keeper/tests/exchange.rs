//! Identities that go from box to box.

use age::secrecy::ExposeSecret as _;

use super::*;
use crate::gallery::audit::Action;
use crate::gallery::bundle::{self, SigningKey};
use crate::gallery::command::Review;
use crate::gallery::command::{AuditFilter, SecretText};
use crate::gallery::enrol::Chip;
use crate::gallery::report::{AuditEntry, Exported, Imported, Trust};
use crate::types::face::Detection;
use crate::types::frame::RgbImage;
use crate::types::geometry::{Point, Rect, Size};

const MORE: &str = "staff";

fn list(name: &str) -> ListName {
    ListName::new(name).expect("a list")
}

fn external(name: &str, id: &str) -> Record {
    Record { external_id: Some(ExternalId::new(id).expect("an id")), ..record(name) }
}

/// The bundle of everybody.
pub(super) fn export(keeper: &mut Keeper) -> Vec<u8> {
    exported(keeper, &[], &[], false).1
}

fn exported(keeper: &mut Keeper, lists: &[&str], to: &[String], crops: bool) -> (Exported, Vec<u8>) {
    let lists = lists.iter().map(|name| list(name)).collect();
    let command = Command::Export { lists, recipients: to.to_vec(), crops };
    let reply =
        keeper.execute(&actor(), command, &[], &mut |_| {}).unwrap_or_else(|e| panic!("{}", e.chain()));
    (serde_json::from_value(reply.value).expect("a report"), reply.body)
}

fn import(dry_run: bool, force: bool) -> Command {
    Command::Import { dry_run, force, identity: None }
}

pub(super) fn take_in(keeper: &mut Keeper, bundle: &[u8]) -> Imported {
    ask(keeper, import(false, false), bundle)
}

fn refused(keeper: &mut Keeper, command: Command, bundle: &[u8]) -> (Kind, String) {
    let before = (generation(keeper), all(keeper));
    let error = try_ask::<Imported>(keeper, command, bundle).expect_err("refused");
    assert_eq!((generation(keeper), all(keeper)), before, "nothing was changed");
    (error.kind(), error.chain())
}

fn sums(report: &Imported) -> [u64; 5] {
    [report.added, report.merged, report.unchanged, report.templates, report.forgotten]
}

/// `to` takes bundles of `from` in.
pub(super) fn introduce(from: &mut Keeper, to: &mut Keeper) {
    let own = ask::<Trust>(from, Command::Trusted, &[]).own;
    ask::<Trust>(to, Command::Trust { key: own, label: "headquarters".to_owned() }, &[]);
}

pub(super) fn all(keeper: &mut Keeper) -> Vec<Person> {
    ask(keeper, Command::List { list: None, standing: None, text: None }, &[])
}

fn generation(keeper: &mut Keeper) -> u64 {
    ask::<Description>(keeper, Command::Describe, &[]).generation
}

fn log(keeper: &mut Keeper, action: Action) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_string()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

fn sound(keeper: &mut Keeper) {
    let report: AuditReport = ask(keeper, Command::AuditVerify { head: None }, &[]);
    assert_eq!(report.problems, Vec::<String>::new());
}

#[test]
fn who_is_exported_trusted_previewed_and_imported_is_found_there_at_once() {
    let (mut a, b) = (Site::new(), Site::new());
    let (mut hq, mut gate) = (a.open(), b.open());
    let staff = List { threshold: Some(0.7), publish: Publish::Pseudonym, ..List::new(list(MORE)) };
    ask::<ListUse>(&mut hq, Command::SetList { list: staff.clone() }, &[]);
    let both = Record { lists: [list(MORE), ListName::default()].into(), ..external("王小明", "E2") };
    a.enrol(&mut hq, record("Ana"), 1);
    a.enrol(&mut hq, both.clone(), 2);
    a.enrol(&mut hq, both, 2);
    let bundle = export(&mut hq);

    let (kind, said) = refused(&mut gate, import(false, false), &bundle);
    assert_eq!(kind, Kind::Permission);
    let own = ask::<Trust>(&mut hq, Command::Trusted, &[]).own;
    assert!(said.contains(&own) && said.contains("gallery trust"), "{said}");
    introduce(&mut hq, &mut gate);

    let before = generation(&mut gate);
    let preview: Imported = ask(&mut gate, import(true, false), &bundle);
    assert_eq!((sums(&preview), preview.dry_run), ([2, 0, 0, 3, 0], true));
    assert_eq!(preview.lists, [MORE]);
    assert_eq!(
        (generation(&mut gate), all(&mut gate).len(), log(&mut gate, Action::Imported).len()),
        (before, 0, 0)
    );

    let held = gate.shared().current();
    let done = take_in(&mut gate, &bundle);
    assert_eq!((sums(&done), done.signer.as_str()), ([2, 0, 0, 3, 0], "headquarters"));
    assert_eq!(best(&gate, &a.people.template(1)).as_deref(), Some("Ana"));
    assert_eq!(best(&gate, &a.people.template(2)).as_deref(), Some("王小明"));
    assert!(held.search(&a.people.template(1), 1).candidates.is_empty(), "a snapshot in use does not change");
    // The lists came with it, and who is on them is the same here and there, by the same ids.
    let lists: Vec<ListUse> = ask(&mut gate, Command::Lists, &[]);
    assert!(lists.iter().any(|l| l.list == staff && l.identities == 1), "{lists:?}");
    let at =
        |keeper: &mut Keeper| ask::<Vec<Member>>(keeper, Command::AuditAt { at: a.clock.now().wall }, &[]);
    assert_eq!(at(&mut gate), at(&mut hq));
    let told = log(&mut gate, Action::Imported).remove(0).detail;
    assert_eq!((&told["added"], &told["signer"]), (&2.into(), &"headquarters".into()));
    let told = log(&mut hq, Action::Exported).remove(0).detail;
    assert_eq!((&told["identities"], &told["recipients"]), (&2.into(), &0.into()));
    // Each box has keys of its own.
    let key = |keeper: &Keeper, id| keeper.directory.get(id).expect("there").identity.key.clone();
    for id in all(&mut hq).iter().map(|person| person.id) {
        assert!(key(&hq, id) != key(&gate, id));
    }
    sound(&mut hq);
    sound(&mut gate);

    // Once more: nothing.
    let before = (generation(&mut gate), all(&mut gate));
    assert_eq!(sums(&take_in(&mut gate, &bundle)), [0, 0, 2, 0, 0]);
    assert_eq!((generation(&mut gate), all(&mut gate)), before);
    drop(gate);
    let mut gate = b.open();
    assert_eq!(all(&mut gate), before.1);
    assert_eq!(best(&gate, &a.people.template(2)).as_deref(), Some("王小明"));
    sound(&mut gate);
}

#[test]
fn changes_and_new_templates_merge_by_external_id_and_an_older_generation_does_not() {
    let (mut a, mut b) = (Site::new(), Site::new());
    b.pictures = 1000;
    let (mut hq, mut gate) = (a.open(), b.open());
    // Enrolled on both boxes, apart from each other.
    a.enrol(&mut hq, external("Ana", "E1"), 1);
    let here = b.enrol(
        &mut gate,
        Record { notes: Some("seen twice".to_owned()), ..external("A. Beltrán", "E1") },
        1,
    );
    introduce(&mut hq, &mut gate);
    let first = export(&mut hq);
    assert_eq!(sums(&take_in(&mut gate, &first)), [0, 1, 0, 1, 0]);
    let ana = all(&mut gate).remove(0);
    assert_eq!((ana.id, ana.templates, ana.revision), (here, 2, 2));
    assert_eq!((ana.record.name.as_str(), ana.record.notes.as_deref()), ("Ana", Some("seen twice")));

    let until = a.clock.now().wall + jiff::SignedDuration::from_hours(1);
    let change = Change { valid_until: Some(Some(until)), ..Change::default() };
    ask::<Person>(&mut hq, Command::Change { who: who("E1"), change: Box::new(change) }, &[]);
    a.enrol(&mut hq, external("Ana", "E1"), 1);
    // This box's clock decides.
    b.clock.advance(Duration::from_secs(7200));
    let second = export(&mut hq);
    assert_eq!(sums(&take_in(&mut gate, &second)), [0, 1, 0, 1, 0]);
    let ana = all(&mut gate).remove(0);
    assert_eq!((ana.templates, ana.standing, ana.record.valid_until), (3, Standing::Expired, Some(until)));
    assert_eq!(best(&gate, &a.people.template(1)), None);

    let (kind, said) = refused(&mut gate, import(false, false), &first);
    assert!(kind == Kind::Data && said.contains("--force"), "{said}");
    assert_eq!(sums(&ask(&mut gate, import(false, true), &first)), [0, 0, 1, 0, 0]);
    // From then on the lower one counts.
    assert_eq!(sums(&take_in(&mut gate, &first)), [0, 0, 1, 0, 0]);
    sound(&mut gate);
}

#[test]
fn another_models_bundle_and_a_changed_one_are_refused() {
    let (mut a, b) = (Site::new(), Site::new());
    let mut hq = a.open();
    a.enrol(&mut hq, record("Ana"), 1);
    let bundle = export(&mut hq);
    let other =
        Model { id: ModelId([2; 32]), dimension: DIMENSION, name: "other".to_owned(), threshold: 0.5 };
    let opening = Opening { model: Some(other), ..b.opening() };
    let mut gate = Keeper::open(opening, Box::new(drop)).expect("a gallery").0;
    introduce(&mut hq, &mut gate);
    let (kind, said) = refused(&mut gate, import(false, false), &bundle);
    assert!(kind == Kind::Data && said.contains("\"test\"") && said.contains("\"other\""), "{said}");
    drop(gate);
    let mut gate = b.open();
    for at in (0..bundle.len()).step_by(97) {
        let mut changed = bundle.clone();
        changed[at] ^= 1 << (at % 8);
        let kind = refused(&mut gate, import(false, true), &changed).0;
        assert!(matches!(kind, Kind::Data | Kind::Permission), "byte {at}: {kind:?}");
    }
    assert_eq!(refused(&mut gate, import(false, true), &bundle[..bundle.len() - 1]).0, Kind::Data);
    assert_eq!(sums(&take_in(&mut gate, &bundle)), [1, 0, 0, 1, 0]);
}

#[test]
fn who_was_forgotten_here_does_not_come_back_by_id_nor_by_external_id() {
    let (mut a, mut c, b) = (Site::new(), Site::new(), Site::new());
    c.pictures = 1000;
    let (mut hq, mut depot, mut gate) = (a.open(), c.open(), b.open());
    a.enrol(&mut hq, record("Ana"), 1);
    a.enrol(&mut hq, external("Ben", "E2"), 2);
    a.enrol(&mut hq, record("Cleo"), 3);
    // The same person on a third box: another id, the same external id.
    c.enrol(&mut depot, external("Benjamin", "E2"), 2);
    introduce(&mut hq, &mut gate);
    let key = ask::<Trust>(&mut depot, Command::Trusted, &[]).own;
    ask::<Trust>(&mut gate, Command::Trust { key, label: "depot".to_owned() }, &[]);
    let (bundle, theirs) = (export(&mut hq), export(&mut depot));
    take_in(&mut gate, &bundle);
    for name in ["Ana", "Ben"] {
        ask::<Receipt>(&mut gate, Command::Forget { who: who(name), reason: None }, &[]);
    }
    assert_eq!(sums(&take_in(&mut gate, &bundle)), [0, 0, 1, 0, 2]);
    assert_eq!(sums(&take_in(&mut gate, &theirs)), [0, 0, 0, 0, 1]);
    drop(gate);
    let mut gate = b.open();
    assert_eq!(sums(&take_in(&mut gate, &bundle)), [0, 0, 1, 0, 2]);
    for person in 1..=2 {
        assert_eq!(best(&gate, &a.people.template(person)), None);
    }
    // Somebody enrols him again, on purpose: then what comes for that external id is his.
    a.enrol(&mut gate, external("Ben", "E2"), 2);
    assert_eq!(sums(&take_in(&mut gate, &theirs)), [0, 1, 0, 1, 0]);
    assert_eq!(sums(&take_in(&mut gate, &bundle)), [0, 0, 1, 0, 2], "the id itself stays forgotten");
    sound(&mut gate);
}

#[test]
fn who_was_forgotten_does_not_come_back_under_an_external_id_of_before() {
    let (mut a, mut c) = (Site::new(), Site::new());
    c.pictures = 1000;
    let (mut gate, mut depot) = (a.open(), c.open());
    introduce(&mut depot, &mut gate);
    // The same three on another box: other ids, the external ids that two of them have no more here.
    for (person, id) in (1..).zip(["E1", "E2", "E3"]) {
        c.enrol(&mut depot, external(&format!("Person {person}"), id), person);
        a.enrol(&mut gate, external(&format!("Person {person}"), id), person);
    }
    let theirs = export(&mut depot);
    let other = Some(Some(ExternalId::new("N1").expect("an id")));
    let change = Change { external_id: other, ..Change::default() };
    ask::<Person>(&mut gate, Command::Change { who: who("Person 1"), change: Box::new(change) }, &[]);
    ask::<Person>(&mut gate, Command::Merge { from: who("Person 2"), into: who("Person 1") }, &[]);
    let forget = |name: &str| Command::Forget { who: who(name), reason: None };
    let receipt: Receipt = ask(&mut gate, forget("Person 1"), &[]);
    assert_eq!(receipt.dissolved.len(), 1);
    assert_eq!(
        log(&mut gate, Action::Forgotten)[0].detail["dissolved"],
        serde_json::json!([receipt.dissolved[0].to_string()])
    );
    assert_eq!(sums(&take_in(&mut gate, &theirs)), [0, 1, 0, 1, 2], "a picture of the third, and no more");
    drop(gate);
    let mut gate = a.open();
    assert_eq!(sums(&take_in(&mut gate, &theirs)), [0, 0, 1, 0, 2]);
    // The receipt is had under each of them.
    for id in ["E1", "N1", "E2"] {
        let again: Receipt = ask(&mut gate, forget(id), &[]);
        assert_eq!((again.identity, again.dissolved), (receipt.identity, receipt.dissolved.clone()), "{id}");
    }
    sound(&mut gate);
}

#[test]
fn an_encrypted_bundle_opens_for_its_recipient_and_says_nothing_to_others() {
    let (mut a, b) = (Site::new(), Site::new());
    let (mut hq, mut gate) = (a.open(), b.open());
    a.enrol(&mut hq, record("Ana Beltrán"), 1);
    let (mine, theirs) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let open = exported(&mut hq, &[], &[], false);
    let (report, bundle) = exported(&mut hq, &[], &[mine.to_public().to_string()], false);
    assert!(report.encrypted && !open.0.encrypted);
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&open.1, "Ana Beltrán") && !holds(&bundle, "Ana Beltrán"));
    introduce(&mut hq, &mut gate);
    let with = |identity: &age::x25519::Identity| {
        let identity = Some(SecretText::new(identity.to_string().expose_secret()));
        Command::Import { dry_run: false, force: false, identity }
    };
    assert_eq!(refused(&mut gate, import(false, false), &bundle).0, Kind::Usage);
    assert_eq!(refused(&mut gate, with(&theirs), &bundle).0, Kind::Permission);
    assert_eq!(sums(&ask(&mut gate, with(&mine), &bundle)), [1, 0, 0, 1, 0]);
    let entry = log(&mut hq, Action::Exported).remove(1);
    assert_eq!(entry.detail["recipients"], 1);
    assert!(!serde_json::to_string(&entry).expect("JSON").contains("age1"));
}

#[test]
fn one_list_goes_alone_and_expired_ones_go_too() {
    let mut a = Site::new();
    let mut hq = a.open();
    for name in [MORE, "suspects"] {
        ask::<ListUse>(&mut hq, Command::SetList { list: List::new(list(name)) }, &[]);
    }
    let on = |name: &str, lists: &[&str]| Record {
        lists: lists.iter().map(|l| list(l)).collect(),
        ..record(name)
    };
    a.enrol(&mut hq, on("Ana", &[MORE, "suspects"]), 1);
    a.enrol(&mut hq, on("Ben", &["suspects"]), 2);
    a.enrol(&mut hq, Record { valid_until: Some(a.clock.now().wall), ..on("Cleo", &[MORE]) }, 3);
    let (report, bytes) = exported(&mut hq, &[MORE], &[], false);
    assert_eq!((report.identities, report.templates), (2, 2));
    let signer = SigningKey::from_seed(&hq.store.keys().signing).public();
    let content = bundle::open(&bytes, &|key| (*key == signer).then(String::new)).expect("a bundle").content;
    assert_eq!(content.lists, [List::new(list(MORE))]);
    assert!(content.identities.iter().all(|identity| identity.record.lists == [list(MORE)].into()));
    assert!(content.identities.iter().any(|identity| identity.standing == Standing::Expired));
    let nowhere = Command::Export { lists: [list("nowhere")].into(), recipients: vec![], crops: false };
    assert_eq!(try_ask::<Exported>(&mut hq, nowhere, &[]).expect_err("no such list").kind(), Kind::NoInput);
    assert_eq!(log(&mut hq, Action::Exported).len(), 1);
}

/// A crop of a picture that does not exist.
pub(super) fn crop() -> Chip {
    let size = Size::new(200, 200);
    let pixels = (0..3 * 200 * 200).map(|i| (i % 251) as u8).collect();
    let picture = RgbImage::new(size, pixels).expect("a picture");
    let landmarks = [(80.0, 80.0), (120.0, 80.0), (100.0, 100.0), (85.0, 120.0), (115.0, 120.0)];
    let landmarks = landmarks.map(|(x, y)| Point { x, y });
    let face = Detection::new(Rect::new(60.0, 60.0, 140.0, 140.0), landmarks, 0.9, size).expect("a face");
    Chip::cut(&picture, &face).expect("a crop")
}

/// Enrols with a crop.
pub(super) fn enrol_with_crop(site: &mut Site, keeper: &mut Keeper, record: Record, person: usize) {
    let (template, mut body, _) = site.picture(person);
    body.extend_from_slice(&crop().to_bytes().expect("bytes"));
    let command = Command::Enrol { subject: Subject { record }, template, review: Review::Off };
    assert!(matches!(ask(keeper, command, &body), Enrolment::Stored { .. }));
}

pub(super) fn crops(keeper: &mut Keeper, name: &str) -> Vec<bool> {
    ask::<Portrait>(keeper, Command::Show { who: who(name) }, &[]).stored.iter().map(|t| t.crop).collect()
}

#[test]
fn crops_go_if_asked_and_are_kept_where_crops_are_kept() {
    let (mut a, b) = (Site::new(), Site::new());
    let keeping = |site: &Site, keeps_crops| {
        Keeper::open(Opening { keeps_crops, ..site.opening() }, Box::new(drop)).expect("a gallery").0
    };
    let (mut hq, mut gate) = (keeping(&a, true), keeping(&b, true));
    enrol_with_crop(&mut a, &mut hq, record("Ana"), 1);
    introduce(&mut hq, &mut gate);
    let (without, with) = (export(&mut hq), exported(&mut hq, &[], &[], true).1);
    assert!(with.len() > without.len() + 1000);
    take_in(&mut gate, &with);
    assert_eq!(crops(&mut gate, "Ana"), [true]);
    let stored = |keeper: &Keeper| {
        let entry = keeper.directory.iter().next().expect("somebody");
        let tag = entry.templates[0].source_tag;
        keeper.store.read(|tables| tables.crop(entry.identity.id, &entry.identity.key, &tag)).expect("opens")
    };
    assert_eq!(stored(&gate), Some(crop().to_bytes().expect("bytes")));
    for (keeps, bundle) in [(false, &with), (true, &without)] {
        let site = Site::new();
        let mut other = keeping(&site, keeps);
        introduce(&mut hq, &mut other);
        take_in(&mut other, bundle);
        assert_eq!(crops(&mut other, "Ana"), [false]);
        assert_eq!(stored(&other), None);
    }
}

#[test]
fn trust_is_given_by_key_taken_by_key_or_label_and_on_record() {
    let (a, b) = (Site::new(), Site::new());
    let (mut hq, mut gate) = (a.open(), b.open());
    let key = ask::<Trust>(&mut hq, Command::Trusted, &[]).own;
    let trust = |key: &str, label: &str| Command::Trust { key: key.to_owned(), label: label.to_owned() };
    for (key, label) in [("tulip", "hq"), (&*"00".repeat(32), "hq"), (&key, " "), (&key, "a\nb")] {
        assert!(try_ask::<Trust>(&mut gate, trust(key, label), &[]).is_err(), "{key} {label}");
    }
    ask::<Trust>(&mut gate, trust(&key.to_uppercase(), " hq "), &[]);
    let own = ask::<Trust>(&mut gate, Command::Trusted, &[]).own;
    let taken = try_ask::<Trust>(&mut gate, trust(&own, "hq"), &[]).expect_err("taken");
    assert!(taken.kind() == Kind::Usage && taken.to_string().contains(&key), "{taken}");
    let renamed: Trust = ask(&mut gate, trust(&key, "headquarters"), &[]);
    let [signer] = renamed.signers.as_slice() else { panic!("{renamed:?}") };
    assert_eq!((&signer.key, signer.label.as_str(), signer.generation), (&key, "headquarters", None));
    take_in(&mut gate, &export(&mut hq));
    let known: Trust = ask(&mut gate, Command::Trusted, &[]);
    assert_eq!(known.signers[0].generation, Some(generation(&mut hq)));

    let missing =
        try_ask::<Trust>(&mut gate, Command::Distrust { key: "hq".to_owned() }, &[]).expect_err("nobody");
    assert!(missing.kind() == Kind::NoInput && missing.to_string().contains("headquarters"), "{missing}");
    for name in ["headquarters".to_owned(), key.to_uppercase()] {
        ask::<Trust>(&mut gate, trust(&key, "headquarters"), &[]);
        assert!(ask::<Trust>(&mut gate, Command::Distrust { key: name }, &[]).signers.is_empty());
        assert_eq!(refused(&mut gate, import(false, true), &export(&mut hq)).0, Kind::Permission);
    }
    assert_eq!((log(&mut gate, Action::Trusted).len(), log(&mut gate, Action::Distrusted).len()), (3, 2));
    sound(&mut gate);
}

#[test]
fn who_is_trusted_again_gives_nothing_older_than_before() {
    let (mut a, b) = (Site::new(), Site::new());
    let (mut hq, mut gate) = (a.open(), b.open());
    a.enrol(&mut hq, record("Ana"), 1);
    introduce(&mut hq, &mut gate);
    let older = export(&mut hq);
    a.enrol(&mut hq, record("Ben"), 2);
    take_in(&mut gate, &export(&mut hq));
    let last = generation(&mut hq);
    for restart in [false, true] {
        let gone: Trust = ask(&mut gate, Command::Distrust { key: "headquarters".to_owned() }, &[]);
        assert!(gone.signers.is_empty());
        assert_eq!(refused(&mut gate, import(false, true), &older).0, Kind::Permission, "not even forced");
        if restart {
            drop(gate);
            gate = b.open();
        }
        introduce(&mut hq, &mut gate);
        let again: Trust = ask(&mut gate, Command::Trusted, &[]);
        assert_eq!(again.signers[0].generation, Some(last));
        let (kind, said) = refused(&mut gate, import(false, false), &older);
        assert!(kind == Kind::Data && said.contains("--force"), "{said}");
    }
    // The label of one who is not trusted any more is free.
    ask::<Trust>(&mut gate, Command::Distrust { key: "headquarters".to_owned() }, &[]);
    let other = ask::<Trust>(&mut gate, Command::Trusted, &[]).own;
    ask::<Trust>(&mut gate, Command::Trust { key: other, label: "headquarters".to_owned() }, &[]);
    sound(&mut gate);
}

#[test]
fn a_gallery_without_a_model_neither_gives_nor_takes() {
    let (mut a, b) = (Site::new(), Site::new());
    let mut hq = a.open();
    a.enrol(&mut hq, record("Ana"), 1);
    let bundle = export(&mut hq);
    let mut gate = Keeper::open(Opening { model: None, ..b.opening() }, Box::new(drop)).expect("a gallery").0;
    introduce(&mut hq, &mut gate);
    let (kind, said) = refused(&mut gate, import(false, false), &bundle);
    assert!(kind == Kind::Unavailable && said.contains("watchlistd run"), "{said}");
}
