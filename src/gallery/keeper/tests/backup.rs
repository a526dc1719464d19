//! The whole gallery as a file, and back.

use std::sync::atomic::{AtomicBool, Ordering};

use super::exchange::{all, crops, enrol_with_crop, export, introduce, take_in};
use super::*;
use crate::gallery::audit::Action;
use crate::gallery::command::Review;
use crate::gallery::command::{AuditFilter, SecretText};
use crate::gallery::crypt::Key;
use crate::gallery::master;
use crate::gallery::report::{AuditEntry, BackedUp, Trust};
use crate::gallery::store::{NewIdentity, Store};

fn backup(keeper: &mut Keeper) -> (BackedUp, Vec<u8>) {
    let reply = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup");
    (serde_json::from_value(reply.value).expect("a report"), reply.body)
}

fn restore(keeper: &mut Keeper, bytes: &[u8]) -> BackedUp {
    ask(keeper, Command::Restore { key: None }, bytes)
}

fn refused(keeper: &mut Keeper, key: Option<&Key>, bytes: &[u8]) -> (Kind, String) {
    let state = |keeper: &mut Keeper| (ask::<Description>(keeper, Command::Describe, &[]), all(keeper));
    let before = state(keeper);
    let key = key.map(|key| SecretText::new(hex(key.expose())));
    let error = try_ask::<BackedUp>(keeper, Command::Restore { key }, bytes).expect_err("refused");
    assert_eq!(state(keeper), before, "nothing was changed");
    (error.kind(), error.chain())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn master_key(site: &Site) -> Key {
    master::load(&KeySource::File(site.folder().join("gallery.key"))).expect("a key")
}

fn at(keeper: &mut Keeper, at: Timestamp) -> Vec<Member> {
    ask(keeper, Command::AuditAt { at }, &[])
}

fn sound(keeper: &mut Keeper) {
    assert_eq!(
        ask::<AuditReport>(keeper, Command::AuditVerify { head: None }, &[]).problems,
        Vec::<String>::new()
    );
}

fn change(keeper: &mut Keeper, name: &str, change: Change) {
    ask::<Person>(keeper, Command::Change { who: who(name), change: Box::new(change) }, &[]);
}

fn portraits(keeper: &mut Keeper) -> Vec<Portrait> {
    let people = all(keeper);
    people.iter().map(|p| ask(keeper, Command::Show { who: who(&p.id.to_string()) }, &[])).collect()
}

fn log(keeper: &mut Keeper, action: Action) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_string()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

fn external(name: &str, id: &str) -> Record {
    Record { external_id: Some(ExternalId::new(id).expect("an id")), ..record(name) }
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("readable").flatten();
    names
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("tmp"))
        .collect()
}

/// Everything that can happen between a backup and its restore, at once.
fn upheaval(site: &mut Site, keeper: &mut Keeper) {
    let external = |id: Option<&str>| Change {
        external_id: Some(id.map(|id| ExternalId::new(id).expect("an id"))),
        ..Change::default()
    };
    site.clock.advance(Duration::from_secs(60));
    ask::<Receipt>(keeper, Command::Forget { who: who("Dora"), reason: None }, &[]);
    // The external ids go round: Ana has Ben's, a new one has Ana's.
    change(keeper, "Ben", external(None));
    change(keeper, "Ana", external(Some("E2")));
    site.enrol(
        keeper,
        Record { external_id: Some(ExternalId::new("E1").expect("an id")), ..record("Zoë") },
        9,
    );
    // Templates too.
    let of = |keeper: &mut Keeper, name: &str| {
        ask::<Portrait>(keeper, Command::Show { who: who(name) }, &[]).stored
    };
    let anas = of(keeper, "Ana");
    ask::<Person>(keeper, Command::MoveTemplate { template: anas[0].id.to_string(), to: who("Ben") }, &[]);
    ask::<Person>(keeper, Command::RemoveTemplate { template: anas[1].id.to_string() }, &[]);
    site.enrol(keeper, record("Ben"), 2);
    ask::<Person>(keeper, Command::Merge { from: who("Cleo"), into: who("Ben") }, &[]);
    let staff = ListName::new("staff").expect("a list");
    ask::<Vec<ListUse>>(keeper, Command::RemoveList { name: ListName::new("vip").expect("a list") }, &[]);
    ask::<ListUse>(keeper, Command::SetList { list: List { threshold: Some(0.9), ..List::new(staff) } }, &[]);
    ask::<ListUse>(keeper, Command::SetList { list: List::new(ListName::new("new").expect("a list")) }, &[]);
    site.clock.advance(Duration::from_secs(60));
}

fn populated(site: &mut Site) -> Keeper {
    let mut keeper = site.open();
    for list in ["staff", "vip"] {
        let list = List { threshold: Some(0.6), ..List::new(ListName::new(list).expect("a list")) };
        ask::<ListUse>(&mut keeper, Command::SetList { list }, &[]);
    }
    for _ in 0..3 {
        site.enrol(&mut keeper, external("Ana", "E1"), 1);
    }
    let staff = [ListName::new("staff").expect("a list")].into();
    site.enrol(&mut keeper, Record { lists: staff, ..external("Ben", "E2") }, 2);
    site.enrol(&mut keeper, record("Cleo"), 3);
    site.enrol(&mut keeper, external("Dora", "E4"), 4);
    keeper
}

#[test]
fn a_restore_gives_the_backups_people_but_the_forgotten_and_the_log_goes_on() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (made, bytes) = backup(&mut keeper);
    assert_eq!((made.identities, made.templates, made.generation), (4, 6, made.now));
    let then: Vec<Portrait> =
        portraits(&mut keeper).into_iter().filter(|p| p.person.record.name.as_str() != "Dora").collect();
    let lists_then: Vec<List> =
        ask::<Vec<ListUse>>(&mut keeper, Command::Lists, &[]).into_iter().map(|l| l.list).collect();
    let searched_then: Vec<_> = (0..10).map(|person| best(&keeper, &site.people.template(person))).collect();

    upheaval(&mut site, &mut keeper);
    let before = site.clock.now().wall;
    let members_before = at(&mut keeper, before);
    assert_eq!(members_before.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["Ana", "Ben", "Zoë"]);
    let entries = keeper.chain.head().count;
    site.clock.advance(Duration::from_secs(60));
    let report = restore(&mut keeper, &bytes);

    assert_eq!((report.identities, report.templates, report.forgotten), (3, 5, 1));
    assert_eq!((report.generation, report.master_key), (made.generation, made.master_key));
    assert!(report.now > made.now && keeper.shared().current().generation() == report.now);
    assert_eq!(portraits(&mut keeper), then);
    let lists: Vec<List> =
        ask::<Vec<ListUse>>(&mut keeper, Command::Lists, &[]).into_iter().map(|l| l.list).collect();
    assert_eq!(lists, lists_then);
    let searched = |keeper: &Keeper, site: &mut Site| -> Vec<_> {
        (0..10).map(|person| best(keeper, &site.people.template(person))).collect()
    };
    let expected: Vec<_> =
        searched_then.into_iter().map(|name| name.filter(|name| &**name != "Dora")).collect();
    assert_eq!(searched(&keeper, &mut site), expected);

    // The log: what was, what is, and nothing of it lost.
    let [ana, ben, zoe] = <[Member; 3]>::try_from(members_before).expect("three");
    let zoe = Member { name: "removed by a restore".to_owned(), ..zoe };
    assert_eq!(at(&mut keeper, before), [ana, ben, zoe]);
    let now = site.clock.now().wall;
    assert_eq!(
        at(&mut keeper, now).iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
        ["Ana", "Ben", "Cleo"]
    );
    let told = log(&mut keeper, Action::Restored);
    assert_eq!((told[0].identity, &told[0].detail["generation"]), (None, &made.generation.into()));
    assert_eq!(told.len(), 1 + 4, "Ana, Ben, Cleo and Zoë: {told:?}");
    assert!(told[0].sequence > entries);
    sound(&mut keeper);

    drop(keeper);
    let mut keeper = site.open();
    assert_eq!((portraits(&mut keeper), searched(&keeper, &mut site)), (then, expected));
    sound(&mut keeper);
    // Once more: nothing is another.
    let again = restore(&mut keeper, &bytes);
    assert_eq!((again.now, again.forgotten), (report.now, 1));
    assert_eq!(log(&mut keeper, Action::Restored).len(), 5 + 1);
    assert!(names_in(site.folder()).is_empty());
}

#[test]
fn a_new_box_gets_the_old_ones_people_with_the_old_key_and_who_was_forgotten_there_stays_so() {
    let (mut old, new) = (Site::new(), Site::new());
    let mut keeper = populated(&mut old);
    let bundle = export(&mut keeper);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Dora"), reason: None }, &[]);
    let (made, bytes) = backup(&mut keeper);
    let then = portraits(&mut keeper);
    let mut fresh = new.open();
    let own = fresh.store.keys().master().to_string();
    let (kind, said) = refused(&mut fresh, None, &bytes);
    assert_eq!(kind, Kind::Config);
    assert!(
        said.contains(&made.master_key) && said.contains(&own) && said.contains("--backup-key-file"),
        "{said}"
    );
    let wrong = Key::generate().expect("random");
    let (kind, said) = refused(&mut fresh, Some(&wrong), &bytes);
    assert!(kind == Kind::Config && said.contains(&wrong.id().to_string()), "{said}");
    assert!(!said.contains(&hex(wrong.expose())), "a key was shown");

    let key = Some(SecretText::new(hex(master_key(&old).expose())));
    let report: BackedUp = ask(&mut fresh, Command::Restore { key }, &bytes);
    assert_eq!((report.identities, report.templates, report.master_key), (3, 5, made.master_key));
    assert_eq!(portraits(&mut fresh), then);
    assert_eq!(best(&fresh, &old.people.template(1)).as_deref(), Some("Ana"));
    // By id and by external id, also after the list beside the store is all there is.
    introduce(&mut keeper, &mut fresh);
    let imported = take_in(&mut fresh, &bundle);
    assert_eq!((imported.forgotten, imported.unchanged, imported.added), (1, 3, 0));
    let mut other = Site::new();
    other.pictures = 1000;
    let mut depot = other.open();
    other.enrol(&mut depot, external("D.", "E4"), 4);
    let key = ask::<Trust>(&mut depot, Command::Trusted, &[]).own;
    ask::<Trust>(&mut fresh, Command::Trust { key, label: "depot".to_owned() }, &[]);
    assert_eq!(take_in(&mut fresh, &export(&mut depot)).forgotten, 1);
    sound(&mut fresh);
    drop(fresh);
    let mut fresh = new.open();
    assert_eq!(portraits(&mut fresh), then, "under the new box's own key");
    assert_eq!(ask::<Description>(&mut fresh, Command::Describe, &[]).master_key, own);
    sound(&mut fresh);
}

#[test]
fn a_new_box_takes_a_backup_whole_and_takes_the_old_ones_place() {
    let (mut old, new, mut gate) = (Site::new(), Site::new(), Site::new());
    let mut keeper = populated(&mut old);
    gate.pictures = 1000;
    let mut sender = gate.open();
    gate.enrol(&mut sender, record("Zoë"), 9);
    introduce(&mut sender, &mut keeper);
    take_in(&mut keeper, &export(&mut sender));
    let trust = ask::<Trust>(&mut keeper, Command::Trusted, &[]);
    let until = old.clock.now().wall + jiff::SignedDuration::from_hours(1);
    old.enrol(&mut keeper, Record { valid_until: Some(until), ..record("Guest") }, 7);
    let (made, bytes) = backup(&mut keeper);
    let history: Vec<AuditEntry> = ask(&mut keeper, Command::AuditShow { filter: Default::default() }, &[]);
    let head: String = ask(&mut keeper, Command::AuditHead, &[]);
    let ben = all(&mut keeper).iter().find(|p| p.record.name.as_str() == "Ben").expect("Ben").id;
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ben"), reason: None }, &[]);
    drop(keeper);

    // The list of the forgotten came along; time went on.
    std::fs::copy(old.folder().join("gallery.forgotten"), new.folder().join("gallery.forgotten"))
        .expect("copied");
    new.clock.advance(Duration::from_secs(2 * 3600));
    let mut fresh = new.open();
    let own = fresh.store.keys().master().to_string();
    let key = Some(SecretText::new(hex(master_key(&old).expose())));
    let report: BackedUp = ask(&mut fresh, Command::Restore { key }, &bytes);
    assert!(report.whole);
    assert_eq!((report.identities, report.forgotten, report.generation), (5, 1, made.generation));
    assert!(report.now > made.now, "what is exported from now on is newer than what was");
    let look = |fresh: &mut Keeper| {
        let again: Vec<AuditEntry> = ask(fresh, Command::AuditShow { filter: Default::default() }, &[]);
        let same =
            |a: &AuditEntry, b: &AuditEntry| (a.sequence, a.at, &a.action) == (b.sequence, b.at, &b.action);
        assert!(history.iter().zip(&again).all(|(a, b)| same(a, b)), "{again:?}");
        assert!(again.len() > history.len());
        let verdict: AuditReport = ask(fresh, Command::AuditVerify { head: Some(head.clone()) }, &[]);
        assert_eq!(verdict.problems, Vec::<String>::new(), "a head that was kept elsewhere still holds");
        assert_eq!(ask::<Trust>(fresh, Command::Trusted, &[]), trust);
        assert_eq!(ask::<Description>(fresh, Command::Describe, &[]).master_key, own);
        let names: Vec<String> = all(fresh).iter().map(|p| p.record.name.to_string()).collect();
        assert_eq!(names, ["Ana", "Cleo", "Dora", "Guest", "Zoë"]);
        assert!(try_ask::<Portrait>(fresh, Command::Show { who: who(&ben.to_string()) }, &[]).is_err());
    };
    look(&mut fresh);
    for (person, name) in [(1, Some("Ana")), (2, None), (7, None), (9, Some("Zoë"))] {
        assert_eq!(best(&fresh, &old.people.template(person)).as_deref(), name, "{person}");
    }
    let now = new.clock.now().wall;
    let guest = at(&mut fresh, now).into_iter().find(|m| m.name == "Guest").expect("a member");
    assert_eq!(guest.standing, Standing::Expired, "with an entry of its own");
    drop(fresh);
    let mut fresh = new.open();
    look(&mut fresh);
    let verdict: report::Examination = ask(&mut fresh, Command::Verify, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    // Whose place it took would not notice.
    introduce(&mut fresh, &mut sender);
    assert!(take_in(&mut sender, &export(&mut fresh)).added > 0);
    // Once somebody is in, a restore is a change like others.
    let (_, bytes) = backup(&mut fresh);
    assert!(!restore(&mut fresh, &bytes).whole);
    sound(&mut fresh);
}

/// Every key wrapped again under a new master key, as a rotation does it.
fn rotate(site: &Site, keeper: &mut Keeper) {
    let new = Key::generate().expect("random");
    let keys = keeper.store.keys().under(&new);
    let content = crate::gallery::store::Content::Same;
    keeper.store.write(|tables, _| Ok((tables.write_keys(&keys)?, content))).expect("written");
    keeper.store.use_keys(keys);
    let directory = &keeper.directory;
    let rewrapped = keeper.store.write(|tables, _| {
        for identity in directory.iter().map(|entry| &entry.identity) {
            tables.update_identity(&NewIdentity {
                id: identity.id,
                record: &identity.record,
                standing: identity.standing,
                created: identity.created,
                revision: identity.revision,
                key: &identity.key,
                older: &identity.older,
            })?;
        }
        Ok(((), content))
    });
    rewrapped.expect("written");
    let file = site.folder().join("gallery.key");
    std::fs::write(file, format!("{}\n", hex(new.expose()))).expect("written");
}

#[test]
fn a_backup_of_before_a_rotation_needs_the_key_of_its_time() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (_, bytes) = backup(&mut keeper);
    let then = portraits(&mut keeper);
    let old = master_key(&site);
    rotate(&site, &mut keeper);
    drop(keeper);
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Zoë"), 9);
    assert_eq!(refused(&mut keeper, None, &bytes).0, Kind::Config);
    let key = Some(SecretText::new(hex(old.expose())));
    let report: BackedUp = ask(&mut keeper, Command::Restore { key: key.clone() }, &bytes);
    assert_eq!(report.master_key, old.id().to_string());
    assert_eq!(portraits(&mut keeper), then);
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(portraits(&mut keeper), then);
    assert_ne!(ask::<Description>(&mut keeper, Command::Describe, &[]).master_key, old.id().to_string());
    // A key that is not needed does no harm.
    let (_, bytes) = backup(&mut keeper);
    ask::<BackedUp>(&mut keeper, Command::Restore { key }, &bytes);
    sound(&mut keeper);
}

#[test]
fn what_is_no_backup_is_refused_in_words_and_changes_nothing() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (_, bytes) = backup(&mut keeper);
    upheaval(&mut site, &mut keeper);
    let foreign = site.folder().join("foreign.db");
    let other = rusqlite::Connection::open(&foreign).expect("a database");
    other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").expect("written");
    drop(other);
    let foreign = std::fs::read(foreign).expect("there");
    let plain = site.folder().join("plain.db");
    crate::gallery::store::plain_for_tests(&plain);
    let plain = std::fs::read(plain).expect("there");
    let cut = &bytes[..bytes.len() / 2];
    let garbage = vec![0x5a; 10_000];
    let page = &bytes[..100];
    for (what, bytes) in
        [("other", &foreign[..]), ("cut", cut), ("garbage", &garbage), ("page", page), ("none", &[])]
    {
        let (kind, said) = refused(&mut keeper, None, bytes);
        assert!(kind == Kind::Data && said.contains("watchlistd gallery backup"), "{what}: {kind:?} {said}");
        assert!(!said.contains("restore-tmp") && !said.contains("gallery.path"), "{what}: {said}");
    }
    let (kind, said) = refused(&mut keeper, None, &plain);
    assert!(kind == Kind::Data && said.contains("schema 1"), "{said}");
    // Any changed bit of what is sealed is found before anything is changed.
    let mut found = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        if try_ask::<BackedUp>(&mut keeper, Command::Restore { key: None }, &changed).is_err() {
            found += 1;
            refused(&mut keeper, None, &changed);
        }
    }
    assert!(found > 10, "{found} of 150 bits lie in what a restore takes over");
    assert!(names_in(site.folder()).is_empty());
    sound(&mut keeper);
    restore(&mut keeper, &bytes);
}

#[test]
fn a_changed_value_in_a_backup_is_named() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (_, bytes) = backup(&mut keeper);
    for (table, column) in [
        ("identities", "record"),
        ("identities", "wrapped_key"),
        ("templates", "sealed"),
        ("lists", "sealed"),
        ("keys", "wrapped"),
    ] {
        let file = site.folder().join(format!("{table}-{column}.db"));
        std::fs::write(&file, &bytes).expect("written");
        let connection = rusqlite::Connection::open(&file).expect("a database");
        let sql = format!("SELECT {column} FROM {table} LIMIT 1");
        let mut value: Vec<u8> = connection.query_row(&sql, [], |row| row.get(0)).expect("a row");
        let old = value.clone();
        let at = value.len() / 2;
        value[at] ^= 1;
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {column} = ?2");
        assert_eq!(connection.execute(&sql, (&value, &old)).expect("changed"), 1);
        drop(connection);
        let changed = std::fs::read(&file).expect("there");
        let (kind, said) = refused(&mut keeper, None, &changed);
        assert!(kind == Kind::Data && said.contains("damaged"), "{table}.{column}: {said}");
    }
}

#[test]
fn a_backup_holds_no_key_no_vector_no_name_and_says_that_it_was_made() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let (template, body, _) = site.picture(1);
    let subject = Subject { record: external("Ana Beltrán", "EXT-4711") };
    ask::<Enrolment>(&mut keeper, Command::Enrol { subject, template, review: Review::Off }, &body);
    let (_, bytes) = backup(&mut keeper);
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
    assert!(holds(b"SQLite format 3") && holds(b"backed-up"), "the search finds what is there");
    let master = master_key(&site);
    assert!(!holds(master.expose()) && !holds(hex(master.expose()).as_bytes()));
    assert!(body.chunks(32).all(|part| !holds(part)), "a part of the template stands in it");
    for secret in ["Ana", "Beltr", "EXT-4711"] {
        assert!(!holds(secret.as_bytes()), "{secret} stands in it");
    }
    let keys = keeper.store.keys();
    for key in [&keys.audit, &keys.index, &keys.signing] {
        assert!(!holds(key.expose()));
    }
    // It opens as a store by itself, and its log says that it is a backup.
    let file = site.folder().join("copy.db");
    std::fs::write(&file, &bytes).expect("written");
    let copy = Store::open_read_only(&file, &master).expect("opens");
    let last = copy.read(|tables| tables.last_audit_row()).expect("readable").expect("an entry");
    assert_eq!(last.entry().expect("an entry").action(), Some(Action::BackedUp));
    assert!(names_in(site.folder()).is_empty());
}

/// Pictures under the wrong name, put right, and then the person whom they show is forgotten: an older copy has them under the
/// wrong name still.
#[test]
fn a_picture_of_somebody_forgotten_does_not_come_back_under_another_name() {
    let mut site = Site::new();
    let keeping = |site: &Site| {
        Keeper::open(Opening { keeps_crops: true, ..site.opening() }, Box::new(drop)).expect("a gallery").0
    };
    let mut keeper = keeping(&site);
    // Two of Ana's three pictures, and one of Cleo's two, show Dora.
    for person in [1, 4, 4] {
        enrol_with_crop(&mut site, &mut keeper, record("Ana"), person);
    }
    for person in [3, 4] {
        enrol_with_crop(&mut site, &mut keeper, record("Cleo"), person);
    }
    enrol_with_crop(&mut site, &mut keeper, record("Ben"), 2);
    let (_, bytes) = backup(&mut keeper);
    let bundle = export(&mut keeper);
    keeper.store.checkpoint();
    let old = site.folder().join("old.db");
    keeper.store.copy_to(&old).expect("copied");
    let of = |keeper: &mut Keeper, name: &str| -> Vec<String> {
        let shown = ask::<Portrait>(keeper, Command::Show { who: who(name) }, &[]).stored;
        shown.iter().map(|template| template.id.to_string()).collect()
    };
    let (anas, cleos) = (of(&mut keeper, "Ana"), of(&mut keeper, "Cleo"));
    let name = Name::new("Dora").expect("a name");
    let split = Command::Split { who: who("Ana"), templates: anas[1..].to_vec(), name };
    ask::<Person>(&mut keeper, split, &[]);
    ask::<Person>(&mut keeper, Command::MoveTemplate { template: cleos[1].clone(), to: who("Dora") }, &[]);
    // One is removed before she is forgotten, and one is Ben's after all.
    ask::<Person>(&mut keeper, Command::RemoveTemplate { template: anas[2].clone() }, &[]);
    let bens = of(&mut keeper, "Ben");
    ask::<Person>(&mut keeper, Command::MoveTemplate { template: bens[0].clone(), to: who("Dora") }, &[]);
    ask::<Person>(&mut keeper, Command::MoveTemplate { template: bens[0].clone(), to: who("Ben") }, &[]);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Dora"), reason: None }, &[]);
    let (_, after) = backup(&mut keeper);

    let dora = site.people.template(4);
    let left = |keeper: &mut Keeper, how: &str| {
        let now: Vec<_> = ["Ana", "Ben", "Cleo"].iter().map(|name| of(keeper, name)).collect();
        assert_eq!(now, [&anas[..1], &bens[..], &cleos[..1]], "{how}");
        assert_eq!(best(keeper, &dora), None, "{how}");
        let found: report::Examination = ask(keeper, Command::Verify, &[]);
        assert_eq!(
            found.problems.iter().filter(|p| !p.starts_with("audit log: ")).count(),
            0,
            "{how}: {found:?}"
        );
    };
    left(&mut keeper, "forgotten");
    restore(&mut keeper, &bytes);
    left(&mut keeper, "restored");
    introduce_itself(&mut keeper);
    take_in(&mut keeper, &bundle);
    left(&mut keeper, "imported");

    // A new box that knows of it from a later backup only.
    let new = Site::new();
    std::fs::copy(site.folder().join("gallery.key"), new.folder().join("gallery.key")).expect("copied");
    let mut fresh = keeping(&new);
    restore(&mut fresh, &after);
    restore(&mut fresh, &bytes);
    left(&mut fresh, "restored on a new box");

    // An older copy of the store in its place.
    drop(keeper);
    std::fs::rename(&old, site.path()).expect("put back");
    let mut keeper = keeping(&site);
    left(&mut keeper, "an older store");
    drop(keeper);
    left(&mut keeping(&site), "and opened again");
}

fn introduce_itself(keeper: &mut Keeper) {
    let own = ask::<Trust>(keeper, Command::Trusted, &[]).own;
    ask::<Trust>(keeper, Command::Trust { key: own, label: "itself".to_owned() }, &[]);
}

#[test]
fn a_backup_that_was_killed_leaves_nothing_for_long() {
    let mut site = Site::new();
    let leave = || {
        for name in ["gallery.db.backup-tmp", "gallery.db.restore-tmp", "gallery.db.backup-tmp-journal"] {
            std::fs::write(site.folder().join(name), "half").expect("written");
        }
    };
    leave();
    let mut keeper = site.open();
    assert!(names_in(site.folder()).is_empty(), "gone at the next opening");
    leave();
    let (_, bytes) = backup(&mut keeper);
    restore(&mut keeper, &bytes);
    assert!(names_in(site.folder()).is_empty(), "gone at the next backup and restore");
    site.enrol(&mut keeper, record("Ana"), 1);
}

#[test]
fn searches_go_on_during_a_restore_and_see_the_old_gallery_or_the_new() {
    let mut site = Site::new();
    let mut keeper = site.open();
    for person in 0..20 {
        site.enrol(&mut keeper, record(&format!("Old {person}")), person);
    }
    let (_, bytes) = backup(&mut keeper);
    for person in 0..20 {
        let name = Name::new(&format!("New {person}")).expect("a name");
        change(&mut keeper, &format!("Old {person}"), Change { name: Some(name), ..Change::default() });
    }
    let probes: Vec<Embedding> = (0..20).map(|person| site.people.template(person)).collect();
    let shared = keeper.shared();
    let done = AtomicBool::new(false);
    let (old, new) = std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            let (mut old, mut new) = (0, 0);
            while !(done.load(Ordering::SeqCst) && old > 0) {
                let snapshot = shared.current();
                let names: Vec<String> = probes
                    .iter()
                    .map(|probe| snapshot.search(probe, 1).candidates.remove(0).name.to_string())
                    .collect();
                let all =
                    |word: &str| names.iter().enumerate().all(|(i, name)| *name == format!("{word} {i}"));
                assert!(all("Old") || all("New"), "half: {names:?}");
                if all("Old") { old += 1 } else { new += 1 }
            }
            (old, new)
        });
        restore(&mut keeper, &bytes);
        done.store(true, Ordering::SeqCst);
        searcher.join().expect("no half state")
    });
    assert!(old > 0, "{old} searches of what is there after it, {new} of what was before");
}

#[test]
fn crops_come_back_where_crops_are_kept() {
    let mut site = Site::new();
    let keeping = |site: &Site, keeps_crops| {
        Keeper::open(Opening { keeps_crops, ..site.opening() }, Box::new(drop)).expect("a gallery").0
    };
    let mut keeper = keeping(&site, true);
    enrol_with_crop(&mut site, &mut keeper, record("Ana"), 1);
    enrol_with_crop(&mut site, &mut keeper, record("Ben"), 2);
    let (_, bytes) = backup(&mut keeper);
    let ben = ask::<Portrait>(&mut keeper, Command::Show { who: who("Ben") }, &[]).stored.remove(0);
    ask::<Person>(&mut keeper, Command::RemoveTemplate { template: ben.id.to_string() }, &[]);
    restore(&mut keeper, &bytes);
    assert_eq!((crops(&mut keeper, "Ana"), crops(&mut keeper, "Ben")), (vec![true], vec![true]));
    ask::<Person>(&mut keeper, Command::RemoveTemplate { template: ben.id.to_string() }, &[]);
    drop(keeper);
    // Crops are not kept any more: those that are there stay, none come.
    let mut keeper = keeping(&site, false);
    restore(&mut keeper, &bytes);
    assert_eq!((crops(&mut keeper, "Ana"), crops(&mut keeper, "Ben")), (vec![true], vec![false]));
    let entry = keeper.directory.iter().find(|entry| !entry.crops.is_empty()).expect("Ana");
    let tag = entry.templates[0].source_tag;
    let stored = keeper.store.read(|tables| tables.crop(entry.identity.id, &entry.identity.key, &tag));
    assert_eq!(stored.expect("opens"), Some(super::exchange::crop().to_bytes().expect("bytes")));
    drop(keeper);
    keeping(&site, true);
}

#[test]
fn who_expired_since_the_backup_stays_expired() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let until = site.clock.now().wall + jiff::SignedDuration::from_hours(1);
    site.enrol(&mut keeper, Record { valid_until: Some(until), ..record("Ana") }, 1);
    let (_, bytes) = backup(&mut keeper);
    site.clock.advance(Duration::from_secs(3600));
    let notes = Change { notes: Some(Some("a note".to_owned())), ..Change::default() };
    change(&mut keeper, "Ana", notes);
    restore(&mut keeper, &bytes);
    assert_eq!(best(&keeper, &site.people.template(1)), None, "not for a moment");
    assert_eq!((all(&mut keeper)[0].standing, keeper.tick().expect("ticks")), (Standing::Expired, 0));
}

#[test]
fn a_damaged_gallery_that_was_put_aside_comes_back_from_its_backup() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (_, bytes) = backup(&mut keeper);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Dora"), reason: None }, &[]);
    let then = portraits(&mut keeper);
    drop(keeper);
    for name in ["gallery.db", "gallery.head"] {
        std::fs::rename(site.folder().join(name), site.folder().join(format!("{name}.damaged")))
            .expect("moved");
    }
    // The key and the list of the forgotten are still there.
    let mut keeper = site.open();
    let report = restore(&mut keeper, &bytes);
    assert_eq!((report.identities, report.forgotten), (3, 1));
    assert_eq!(portraits(&mut keeper), then);
    assert_eq!(best(&keeper, &site.people.template(4)), None);
    sound(&mut keeper);
}

#[test]
fn who_was_merged_into_somebody_who_was_forgotten_does_not_come_back_either() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let (bundle, (_, bytes)) = (export(&mut keeper), backup(&mut keeper));
    let own = ask::<Trust>(&mut keeper, Command::Trusted, &[]).own;
    ask::<Trust>(&mut keeper, Command::Trust { key: own, label: "itself".to_owned() }, &[]);
    let names = |keeper: &mut Keeper| -> Vec<String> {
        all(keeper).iter().map(|person| person.record.name.to_string()).collect()
    };
    let merge = |from: &str, into: &str| Command::Merge { from: who(from), into: who(into) };
    let forget = |name: &str| Command::Forget { who: who(name), reason: None };
    // Two that were merged, and are two again.
    ask::<Person>(&mut keeper, merge("Ana", "Dora"), &[]);
    restore(&mut keeper, &bytes);
    ask::<Receipt>(&mut keeper, forget("Dora"), &[]);
    assert_eq!(names(&mut keeper), ["Ana", "Ben", "Cleo"]);
    // By way of another.
    ask::<Person>(&mut keeper, merge("Cleo", "Ben"), &[]);
    ask::<Person>(&mut keeper, merge("Ben", "Ana"), &[]);
    ask::<Receipt>(&mut keeper, forget("Ana"), &[]);
    assert_eq!(restore(&mut keeper, &bytes).forgotten, 4);
    assert_eq!(take_in(&mut keeper, &bundle).forgotten, 4);
    assert_eq!(names(&mut keeper), Vec::<String>::new());
    for person in 1..5 {
        assert_eq!(best(&keeper, &site.people.template(person)), None);
    }
    drop(keeper);
    sound(&mut site.open());
}

#[test]
fn long_commands_tell_how_far_they_are() {
    let mut site = Site::new();
    let mut keeper = populated(&mut site);
    let bundle = export(&mut keeper);
    let own = ask::<Trust>(&mut keeper, Command::Trusted, &[]).own;
    ask::<Trust>(&mut keeper, Command::Trust { key: own, label: "itself".to_owned() }, &[]);
    let (_, bytes) = backup(&mut keeper);
    let export = Command::Export { lists: BTreeSet::new(), recipients: vec![], crops: false };
    let import = Command::Import { dry_run: false, force: false, identity: None };
    for (command, body, counted) in [
        (export, &[][..], Some(4)),
        (import, &bundle, Some(4)),
        (Command::Backup, &[], None),
        (Command::Restore { key: None }, &bytes, Some(6)),
    ] {
        let mut told = Vec::new();
        keeper.execute(&actor(), command, body, &mut |step| told.push(step)).expect("carried out");
        assert!(told.iter().all(|step| !step.what.is_empty() && step.done <= step.of), "{told:?}");
        let finished = told.iter().find(|step| step.done > 0 && step.done == step.of);
        assert_eq!((told.is_empty(), finished.map(|step| step.of)), (false, counted), "{told:?}");
    }
}

#[test]
fn what_is_in_the_clear_is_refused_before_it_is_written_to_the_disk() {
    let site = Site::new();
    let mut keeper = site.open();
    let plain = site.folder().join("plain.db");
    crate::gallery::store::plain_for_tests(&plain);
    let plain = std::fs::read(&plain).expect("there");
    // Nothing can be written there.
    std::fs::create_dir_all(site.folder().join("gallery.db.restore-tmp/x")).expect("made");
    for (bytes, says) in [(&plain[..], "schema 1"), (b"root:x:0:0", "no backup"), (b"", "empty")] {
        let (kind, message) = refused(&mut keeper, None, bytes);
        assert!(kind == Kind::Data && message.contains(says), "{message}");
    }
}
