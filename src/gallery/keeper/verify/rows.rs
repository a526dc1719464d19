//! The proof that rows are bound as a whole: one that goes, comes, or goes back to what it was is found when the gallery is
//! opened, and by `verify`, by its table. Of the audit log, which has a chain of its own, this is its end.
//!
//! ```text
//!  a gallery ── closed ── SQL by somebody who can write the file ──▶ refused, naming the table
//!                                                    `verify` ──▶ names the table
//! ```

use rusqlite::Connection;

use super::fixture;
use crate::base::error::Kind;
use crate::gallery::command::{Change, Command, Desk as _, Review, Subject};
use crate::gallery::keeper::tests::{Site, actor, ask, record, try_ask, who};
use crate::gallery::keeper::{ChangeSet, Damaged, Keeper};
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::{Examination, ListUse, Person, Portrait, Receipt};
use crate::gallery::store::StoredSigner;

/// Everything of one gallery before somebody changed it.
struct Whole {
    site: Site,
    folder: tempfile::TempDir,
}

impl Whole {
    /// With something in every table, and an older copy of the file as `old.db` beside it.
    fn new() -> Self {
        let mut site = Site::new();
        let mut keeper = fixture::open(&site);
        let people = fixture::fill(&mut site, &mut keeper, 6, 3).ids;
        trust(&mut keeper, 1, 5);
        keeper.commit(&actor(), setting("a")).expect("stored");
        let forget = |n: usize| Command::Forget { who: who(&people[n].to_string()), reason: None };
        ask::<Receipt>(&mut keeper, forget(4), &[]);
        let folder = tempfile::tempdir().expect("a folder");
        keeper.store.copy_to(&folder.path().join("old.db")).expect("copied");

        trust(&mut keeper, 1, 9);
        trust(&mut keeper, 2, 3);
        keeper.commit(&actor(), setting("b")).expect("stored");
        ask::<Receipt>(&mut keeper, forget(5), &[]);
        let change = Change { off: [ListName::default()].into(), ..Change::default() };
        let id = who(&people[0].to_string());
        ask::<Person>(&mut keeper, Command::Change { who: id.clone(), change: Box::new(change) }, &[]);
        let stored = ask::<Portrait>(&mut keeper, Command::Show { who: id }, &[]).stored;
        ask::<Person>(&mut keeper, Command::RemoveTemplate { template: stored[0].id.to_string() }, &[]);
        let vip = List { threshold: Some(0.9), ..List::new(ListName::new("vip").expect("a list")) };
        ask::<ListUse>(&mut keeper, Command::SetList { list: vip }, &[]);
        drop(keeper);
        Self { site, folder }
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(self.site.path()).expect("a database");
        connection.pragma_update(None, "foreign_keys", 0).expect("set");
        let old = self.folder.path().join("old.db");
        connection.execute("ATTACH ?1 AS old", [old.to_string_lossy()]).expect("attached");
        connection
    }

    /// What somebody did, undone afterwards; what opening says, and what `verify` says of a gallery that does not open.
    fn changed(&self, sql: &str) -> (Option<String>, Vec<String>) {
        let before = std::fs::read(self.site.path()).expect("a file");
        let connection = self.connection();
        connection.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(connection.total_changes() > 0 || sql.contains("TRIGGER"), "{sql}: nothing changed");
        drop(connection);
        let outcome = match self.site.try_open() {
            Ok(mut keeper) => (None, ask::<Examination>(&mut keeper, Command::Verify, &[]).problems),
            Err(why) => {
                assert_eq!(why.kind(), Kind::Data, "{sql}: {}", why.chain());
                let said = why.chain();
                match Damaged::open(self.site.opening(), actor(), why) {
                    Ok(mut desk) => {
                        let looked = desk.ask(Command::Verify, Vec::new(), &mut |_| {});
                        let found = looked.map(|reply| {
                            serde_json::from_value::<Examination>(reply.value).expect("a report").problems
                        });
                        // Where nothing at all can be read, that is what it says.
                        (Some(said), found.unwrap_or_else(|why| vec![why.chain()]))
                    }
                    Err(why) => (Some(said), vec![why.chain()]),
                }
            }
        };
        for file in ["gallery.db-wal", "gallery.db-shm"] {
            let _ = std::fs::remove_file(self.site.folder().join(file));
        }
        std::fs::write(self.site.path(), before).expect("put back");
        outcome
    }
}

fn trust(keeper: &mut Keeper, number: u8, generation: u64) {
    let signer = StoredSigner {
        key: [number; 32],
        label: format!("box {number}"),
        added: keeper.clock.now().wall,
        generation: Some(generation),
        trusted: true,
    };
    keeper.commit(&actor(), ChangeSet { signers: vec![signer], ..ChangeSet::default() }).expect("stored");
}

fn setting(value: &str) -> ChangeSet {
    ChangeSet { settings: vec![("model.switch", Some(value.to_owned()))], ..ChangeSet::default() }
}

/// What somebody does who can write the file and has an older copy of it, with the table that must be named.
const CHANGES: [(&str, &str); 27] = [
    ("identities", "DELETE FROM templates WHERE identity = (SELECT min(id) FROM identities);
        DELETE FROM crops WHERE identity = (SELECT min(id) FROM identities);
        DELETE FROM identities WHERE id = (SELECT min(id) FROM identities)"),
    ("identities", "REPLACE INTO identities SELECT * FROM old.identities WHERE id = (SELECT min(id) FROM identities)"),
    ("identities", "INSERT OR IGNORE INTO identities SELECT * FROM old.identities"),
    ("templates", "DELETE FROM templates WHERE id = (SELECT max(id) FROM templates)"),
    ("templates", "INSERT OR IGNORE INTO templates SELECT * FROM old.templates
        WHERE identity IN (SELECT id FROM main.identities)"),
    ("crops", "DELETE FROM crops WHERE identity = (SELECT max(identity) FROM crops)"),
    ("crops", "INSERT OR IGNORE INTO crops SELECT * FROM old.crops
        WHERE identity IN (SELECT id FROM main.identities)"),
    ("keys", "DELETE FROM keys WHERE name = 'signing'; INSERT INTO keys SELECT 'other', wrapped FROM keys WHERE name = 'index'"),
    ("keys", "INSERT INTO keys VALUES ('other', x'00')"),
    ("lists", "DELETE FROM lists WHERE name = 'night'"),
    ("lists", "REPLACE INTO lists SELECT * FROM old.lists WHERE name = 'vip'"),
    ("forgotten", "DELETE FROM forgotten WHERE identity = (SELECT min(identity) FROM forgotten)"),
    ("forgotten", "DELETE FROM forgotten"),
    ("forgotten", "UPDATE forgotten SET templates = x''"),
    ("forgotten", "DELETE FROM forgotten; INSERT INTO forgotten SELECT * FROM old.forgotten"),
    ("signers", "INSERT INTO signers VALUES (randomblob(32), 'mine', '2026-03-01T12:00:00Z', NULL, 1)"),
    ("signers", "UPDATE signers SET generation = 0"),
    ("signers", "DELETE FROM signers WHERE label = 'box 2'"),
    ("signers", "DELETE FROM signers; INSERT INTO signers SELECT * FROM old.signers;
        DELETE FROM totals WHERE name = 'signers'; INSERT INTO totals SELECT * FROM old.totals WHERE name = 'signers'"),
    ("settings", "DELETE FROM settings WHERE key = 'model.switch'"),
    ("settings", "DELETE FROM settings; INSERT INTO settings SELECT * FROM old.settings;
        DELETE FROM totals WHERE name = 'settings'; INSERT INTO totals SELECT * FROM old.totals WHERE name = 'settings'"),
    ("meta", "UPDATE meta SET value = value - 1"),
    ("signers", "DELETE FROM totals"),
    ("settings", "DELETE FROM totals; INSERT INTO totals SELECT * FROM old.totals"),
    ("sqlite_schema", "CREATE TRIGGER t AFTER INSERT ON signers BEGIN DELETE FROM forgotten; END"),
    ("schema_version", "UPDATE schema_version SET applied = ''"),
    ("audit", "DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)"),
];

#[test]
fn no_row_goes_comes_or_goes_back_unnoticed() {
    let whole = Whole::new();
    assert_eq!(ask::<Examination>(&mut whole.site.open(), Command::Verify, &[]).problems, [""; 0]);
    let mut missed = Vec::new();
    for (table, sql) in CHANGES {
        let (refused, problems) = whole.changed(sql);
        let names = |text: &String| match table {
            "audit" => text.contains("the audit log does not end where"),
            _ => text.contains(&format!("the table {table} is not as")),
        };
        // Nothing can be said of totals without the keys.
        let lost = |text: &String| table == "keys" && text.contains("the key \"signing\" is damaged or gone");
        let tells = |text: &String| names(text) || lost(text);
        // Recognition goes on with a log that was cut off, and it is told.
        let refused_rightly =
            if table == "audit" { refused.is_none() } else { refused.as_ref().is_some_and(tells) };
        if !refused_rightly || !problems.iter().any(tells) {
            missed.push((sql, refused, problems));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!(ask::<Examination>(&mut whole.site.open(), Command::Verify, &[]).problems, [""; 0]);
}

/// Totals are made from what is there once, when an older store is brought up: to take them away must not have them made anew.
#[test]
fn a_store_does_not_pass_for_an_older_one() {
    let whole = Whole::new();
    let older = "DROP TABLE totals; DELETE FROM schema_version WHERE version = 3;
        ALTER TABLE signers DROP COLUMN trusted; ALTER TABLE forgotten DROP COLUMN templates;
        UPDATE signers SET generation = 0";
    let connection = whole.connection();
    connection.execute_batch(older).expect("made older");
    drop(connection);
    let refused = whole.site.try_open().err().expect("refused");
    assert_eq!(refused.kind(), Kind::Data);
    assert!(refused.chain().contains("of an older schema than its audit log"), "{}", refused.chain());
}

/// The next change must not take what somebody changed beside a running gallery for its own.
#[test]
fn a_row_that_is_changed_beside_a_running_gallery_is_not_taken_over() {
    for (sql, refused) in [
        ("INSERT INTO signers VALUES (randomblob(32), 'mine', '2026-03-01T12:00:00Z', NULL, 1)", true),
        ("UPDATE settings SET value = '/elsewhere' WHERE key = 'model.switch'", true),
        ("DELETE FROM lists WHERE name = 'night'", true),
        ("DELETE FROM forgotten", false),
        ("DELETE FROM templates WHERE id = (SELECT max(id) FROM templates)", false),
    ] {
        let mut whole = Whole::new();
        let mut keeper = fixture::open(&whole.site);
        Connection::open(whole.site.path()).expect("a database").execute_batch(sql).expect("changed");
        let (template, body, _) = whole.site.picture(40);
        let enrol =
            Command::Enrol { subject: Subject { record: record("Zoë") }, template, review: Review::Off };
        let done = try_ask::<serde_json::Value>(&mut keeper, enrol, &body);
        assert_eq!(done.as_ref().err().map(|e| e.kind()), refused.then_some(Kind::Data), "{sql}");
        let problems = ask::<Examination>(&mut keeper, Command::Verify, &[]).problems;
        assert!(problems.iter().any(|problem| problem.starts_with("the table ")), "{sql}: {problems:?}");
        drop(keeper);
        let error = whole.site.try_open().err().unwrap_or_else(|| panic!("{sql}: opens"));
        assert!(error.chain().contains("is not as this program left it"), "{sql}: {}", error.chain());
    }
}
