//! What a rotation leaves behind, at whatever moment it ends.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::super::tests::{Site, actor, ask, record, try_ask, who};
use super::super::verify::fixture::{self, People};
use super::*;
use crate::base::error::Kind;
use crate::gallery::command::{AuditFilter, Command};
use crate::gallery::escrow::With;
use crate::gallery::keeper::Opening;
use crate::gallery::report::{AuditEntry, Description, Examination, Receipt};
use crate::types::ids::IdentityId;

fn rotate(keeper: &mut Keeper, deep: bool) -> Rotated {
    ask(keeper, Command::KeyRotate { key: None, deep }, &[])
}

fn key_file(site: &Site) -> KeySource {
    KeySource::File(site.folder().join("gallery.key"))
}

fn key_in(site: &Site) -> Key {
    master::load(&key_file(site)).expect("a key")
}

fn problems(keeper: &mut Keeper) -> Vec<String> {
    ask::<Examination>(keeper, Command::Verify, &[]).problems
}

fn opening_with(site: &Site, path: PathBuf, key: &Key) -> Result<Keeper> {
    let opening = Opening { path, given_key: Some(key.clone()), ..site.opening() };
    Ok(Keeper::open(opening, Box::new(drop))?.0)
}

/// What every blob of a table is now.
fn blobs(site: &Site, sql: &str) -> Vec<Vec<u8>> {
    let connection = Connection::open(site.path()).expect("a database");
    let mut statement = connection.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a blob")).collect()
}

fn names_in_log(keeper: &mut Keeper, id: IdentityId) -> Vec<String> {
    let filter = AuditFilter { who: Some(who(&id.to_string())), ..AuditFilter::default() };
    let shown: Vec<AuditEntry> = ask(keeper, Command::AuditShow { filter }, &[]);
    shown.into_iter().filter_map(|entry| entry.name).collect()
}

#[test]
fn after_a_rotation_the_new_key_opens_everything_and_the_old_one_only_what_was_copied_before() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let (old, before) = (key_in(&site), ask::<Description>(&mut keeper, Command::Describe, &[]));
    let backup = site.folder().join("backup.db");
    keeper.store.copy_to(&backup).expect("copied");
    let sealed = blobs(&site, "SELECT record FROM identities UNION ALL SELECT sealed FROM templates");

    let rotated = rotate(&mut keeper, false);
    let new = key_in(&site);
    assert_eq!((rotated.from, rotated.to), (old.id().to_string(), new.id().to_string()));
    assert_eq!((rotated.rewrapped, rotated.reencrypted), (2 + 3, 0));
    assert!(rotated.kept_in.contains("gallery.key"), "{}", rotated.kept_in);
    assert!(!site.folder().join("gallery.key.next").exists());
    assert_eq!(blobs(&site, "SELECT record FROM identities UNION ALL SELECT sealed FROM templates"), sealed);
    let after: Description = ask(&mut keeper, Command::Describe, &[]);
    assert_eq!((after.generation, after.master_key), (before.generation, new.id().to_string()));
    assert_eq!(problems(&mut keeper), [""; 0]);
    site.enrol(&mut keeper, record("Cleo"), 3);
    drop(keeper);

    let refused = opening_with(&site, site.path(), &old).err().expect("the old key");
    assert_eq!(refused.kind(), Kind::Config, "{}", refused.chain());
    let mut keeper = site.open();
    assert_eq!(names_in_log(&mut keeper, ana), ["Ana"]);
    assert_eq!(problems(&mut keeper), [""; 0]);
    drop(keeper);
    let refused = opening_with(&site, backup.clone(), &new).err().expect("a backup from before");
    assert_eq!(refused.kind(), Kind::Config, "{}", refused.chain());
    assert!(opening_with(&site, backup, &old).is_ok());
}

#[test]
fn a_deep_rotation_seals_everything_again_and_names_in_the_log_stay_readable_until_they_are_forgotten() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    let People { ids, .. } = fixture::fill(&mut site, &mut keeper, 3, 2);
    let all = "SELECT record FROM identities UNION ALL SELECT sealed FROM templates UNION ALL SELECT sealed FROM crops
               UNION ALL SELECT wrapped_key FROM identities";
    let before = blobs(&site, all);
    let old = keeper.directory.expect(ids[0]).expect("there").identity.key.clone();
    let generation = ask::<Description>(&mut keeper, Command::Describe, &[]).generation;

    let rotated = rotate(&mut keeper, true);
    assert_eq!((rotated.rewrapped, rotated.reencrypted), (3 + 3, 3 * (1 + 2 + 1)));
    let after = blobs(&site, all);
    assert_eq!(before.len(), after.len());
    assert!(before.iter().all(|blob| !after.contains(blob)), "something was not sealed again");
    let opened = keeper.store.read(|tables| tables.templates_of(ids[0], &old));
    assert_eq!(opened.expect_err("the key before").kind(), Kind::Data);
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]).generation, generation);
    assert_eq!(problems(&mut keeper), [""; 0]);
    site.enrol(&mut keeper, record("person 0"), 0);
    assert_eq!(names_in_log(&mut keeper, ids[0]), ["person 0"; 2]);
    drop(keeper);

    let mut keeper = fixture::open(&site);
    rotate(&mut keeper, true);
    let identity = keeper.directory.expect(ids[0]).expect("there").identity.clone();
    assert_eq!((identity.older.len(), identity.older.last() == Some(&old)), (2, true));
    assert_eq!(names_in_log(&mut keeper, ids[0]), ["person 0"; 2]);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("person 0"), reason: None }, &[]);
    assert_eq!(names_in_log(&mut keeper, ids[0]), ["forgotten"; 2]);
    assert_eq!(names_in_log(&mut keeper, ids[1]), ["person 1"]);
    assert_eq!(problems(&mut keeper), [""; 0]);
}

#[test]
fn a_kill_at_any_step_leaves_a_gallery_that_opens_with_what_lies_there() {
    for (steps, deep) in [(1, false), (1, true), (2, false), (3, false), (2, true), (3, true)] {
        let mut site = Site::new();
        let mut keeper = site.open();
        let ana = site.enrol(&mut keeper, record("Ana"), 1);
        let (old, source) = (key_in(&site), key_file(&site));
        let next = Next::choose(&source, &old, None).expect("a key");
        next.put_beside(&source, &old).expect("written");
        let sealed = deep.then(|| keeper.give_keys(&[ana]).expect("sealed again"));
        if steps > 1 {
            keeper.wrap_under(&actor(), &next.key, sealed).expect("wrapped");
        }
        if steps > 2 {
            next.put_in_place(&source).expect("promoted");
        }
        // The process is gone, and its lock with it.
        drop(keeper);
        let mut keeper = site.open();
        let used = if steps > 1 { &next.key } else { &old };
        assert_eq!(keeper.store.keys().master(), used.id(), "{steps} steps");
        assert!(key_in(&site) == *used, "{steps} steps");
        assert_eq!(problems(&mut keeper), [""; 0], "{steps} steps");
        assert_eq!(names_in_log(&mut keeper, ana), ["Ana"]);
        let again = rotate(&mut keeper, false);
        assert_eq!(again.from, used.id().to_string());
        assert_eq!(problems(&mut keeper), [""; 0]);
    }
}

#[test]
fn an_identity_that_does_not_open_stops_a_rotation_before_anything_has_changed() {
    for deep in [false, true] {
        let mut site = Site::new();
        let mut keeper = site.open();
        let (ana, ben) =
            (site.enrol(&mut keeper, record("Ana"), 1), site.enrol(&mut keeper, record("Ben"), 2));
        let old = key_in(&site);
        let damage = Connection::open(site.path()).expect("a database");
        let table = if deep { "templates SET sealed" } else { "identities SET wrapped_key" };
        let id = if deep { "identity" } else { "id" };
        let sql = format!("UPDATE {table} = zeroblob(72) WHERE {id} = ?1");
        assert_eq!(damage.execute(&sql, [ben.0.as_bytes()]).expect("changed"), 1);
        let refused = try_ask::<Rotated>(&mut keeper, Command::KeyRotate { key: None, deep }, &[])
            .expect_err("damaged");
        assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
        assert!(deep || refused.to_string().contains(&ben.to_string()), "{refused}");
        assert!(key_in(&site) == old && keeper.store.keys().master() == old.id());
        // The log goes on where it was.
        ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ben"), reason: None }, &[]);
        assert_eq!(problems(&mut keeper), [""; 0]);
        assert_eq!(names_in_log(&mut keeper, ana), ["Ana"]);
        rotate(&mut keeper, deep);
    }
}

fn credential(site: &Site, name: &str, key: &Key) -> PathBuf {
    let path = site.folder().join(name);
    fs::write(&path, key.expose()).expect("written");
    path
}

fn open_with(site: &Site, key: KeySource) -> Result<Keeper> {
    Ok(Keeper::open(Opening { key, ..site.opening() }, Box::new(drop))?.0)
}

#[test]
fn a_credential_is_replaced_by_the_operator_and_the_rotation_says_how() {
    let mut site = Site::new();
    let [first, second, third] = [(); 3].map(|()| Key::generate().expect("random"));
    let source = KeySource::Credential(credential(&site, "gallery-key", &first));
    let mut keeper = open_with(&site, source.clone()).expect("a gallery");
    site.enrol(&mut keeper, record("Ana"), 1);
    let hex =
        |key: &Key| SecretText::new(key.expose().iter().map(|b| format!("{b:02x}")).collect::<String>());
    let try_rotate =
        |keeper: &mut Keeper, key| try_ask::<Rotated>(keeper, Command::KeyRotate { key, deep: false }, &[]);

    let refused = try_rotate(&mut keeper, None).expect_err("nothing to rotate to");
    assert!(refused.kind() == Kind::Usage && refused.to_string().contains("gallery-key.next"), "{refused}");
    let refused = try_rotate(&mut keeper, Some(hex(&first))).expect_err("the same");
    assert!(refused.kind() == Kind::Usage && refused.to_string().contains("already"), "{refused}");
    let rotated = try_rotate(&mut keeper, Some(hex(&second))).expect("given");
    assert!(
        rotated.to == second.id().to_string() && rotated.kept_in.contains("gallery-key"),
        "{}",
        rotated.kept_in
    );
    drop(keeper);
    let refused = open_with(&site, source.clone()).err().expect("the old credential");
    assert_eq!(refused.kind(), Kind::Config, "{}", refused.chain());
    credential(&site, "gallery-key", &second);

    let pending = credential(&site, "gallery-key.next", &third);
    let mut keeper = open_with(&site, source.clone()).expect("the new credential");
    let refused = try_rotate(&mut keeper, Some(hex(&first))).expect_err("two keys");
    assert!(refused.to_string().contains(&third.id().to_string()), "{refused}");
    let rotated = try_rotate(&mut keeper, None).expect("pending");
    assert!(rotated.to == third.id().to_string() && rotated.kept_in.contains(".next"), "{}", rotated.kept_in);
    drop(keeper);
    let mut keeper = open_with(&site, source).expect("opens with the pending one");
    assert!(pending.exists());
    assert_eq!(problems(&mut keeper), [""; 0]);
}

#[test]
fn a_key_file_that_was_named_is_the_one_that_is_replaced() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    drop(keeper);
    let elsewhere = site.folder().join("elsewhere");
    fs::rename(site.folder().join("gallery.key"), &elsewhere).expect("moved");
    let old = master::load(&KeySource::File(elsewhere.clone())).expect("a key");
    let opening = |file: &Path| site.opening().with_key_file(file);
    assert_eq!(opening(&site.folder().join("gallery.key")).err().expect("missing").kind(), Kind::NoInput);
    let mut keeper = Keeper::open(opening(&elsewhere).expect("a key"), Box::new(drop)).expect("opens").0;
    rotate(&mut keeper, false);
    drop(keeper);
    assert!(!site.folder().join("gallery.key").exists());
    assert!(master::load(&KeySource::File(elsewhere.clone())).expect("a key") != old);
    let mut keeper = Keeper::open(opening(&elsewhere).expect("a key"), Box::new(drop)).expect("opens").0;
    assert_eq!(problems(&mut keeper), [""; 0]);
}

/// An older backup knows neither the key of a later deep rotation nor those before it.
#[test]
fn a_restore_from_before_a_deep_rotation_keeps_the_names_in_the_log_readable() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    let backup = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup").body;
    let old = key_in(&site);
    let change =
        crate::gallery::command::Change { notes: Some(Some("later".to_owned())), ..Default::default() };
    ask::<serde_json::Value>(&mut keeper, Command::Change { who: who("Ana"), change: Box::new(change) }, &[]);
    rotate(&mut keeper, true);
    let hex: String = old.expose().iter().map(|b| format!("{b:02x}")).collect();
    ask::<serde_json::Value>(&mut keeper, Command::Restore { key: Some(SecretText::new(hex)) }, &backup);
    assert_eq!(problems(&mut keeper), [""; 0]);
    assert_eq!(names_in_log(&mut keeper, ana), ["Ana"; 3]);
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(names_in_log(&mut keeper, ana), ["Ana"; 3]);
}

/// A pair that was made for tests.
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

#[test]
fn an_exported_key_opens_the_gallery_and_the_log_says_for_how_many_it_was() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    rotate(&mut keeper, false);
    let export = |keeper: &mut Keeper, recipients: &[&str], passphrase: Option<&str>| {
        let recipients = recipients.iter().map(|r| (*r).to_owned()).collect();
        let command = Command::KeyExport { recipients, passphrase: passphrase.map(SecretText::new) };
        keeper.execute(&actor(), command, &[], &mut |_| {})
    };
    let audited = |keeper: &mut Keeper| ask::<Description>(keeper, Command::Describe, &[]).audit;
    let before = audited(&mut keeper);
    for (recipients, passphrase) in
        [(&[][..], None), (&[RECIPIENT], Some("tulip")), (&["age1tulip"], None), (&[], Some(""))]
    {
        let refused = export(&mut keeper, recipients, passphrase).expect_err("refused");
        assert!(refused.kind() == Kind::Usage && !refused.chain().contains("\"tulip"), "{}", refused.chain());
    }
    assert_eq!(audited(&mut keeper), before, "what was not given out is not on record");

    let reply = export(&mut keeper, &[RECIPIENT], None).expect("exported");
    let report: KeyExported = serde_json::from_value(reply.value).expect("a report");
    assert_eq!((report.recipients, report.passphrase), (1, false));
    let key = escrow::recover(&reply.body, &With::Identity(SecretText::new(IDENTITY))).expect("recovered");
    assert!(key == key_in(&site) && key.id().to_string() == report.master_key);
    let filter = AuditFilter { action: Some("key-exported".to_owned()), ..AuditFilter::default() };
    let shown: Vec<AuditEntry> = ask(&mut keeper, Command::AuditShow { filter }, &[]);
    assert_eq!((shown.len(), shown[0].detail["recipients"].as_u64()), (1, Some(1)));
    drop(keeper);
    let mut keeper = opening_with(&site, site.path(), &key).expect("opens with the recovered key");
    assert_eq!(problems(&mut keeper), [""; 0]);
}

/// Seconds that a rotation takes, for whoever documents it: `cargo test --release rotations_take -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn rotations_take() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    fixture::fill(&mut site, &mut keeper, 2000, 5);
    for deep in [false, true] {
        let start = std::time::Instant::now();
        let rotated = rotate(&mut keeper, deep);
        eprintln!("deep {deep}: {:.2} s for {rotated:?}", start.elapsed().as_secs_f64());
    }
    let start = std::time::Instant::now();
    let found: Examination = ask(&mut keeper, Command::Verify, &[]);
    eprintln!("verify: {:.2} s for {:?}", start.elapsed().as_secs_f64(), found.looked_at);
    assert_eq!(found.problems, [""; 0]);
}
