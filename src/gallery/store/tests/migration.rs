//! A store of the first version, with vectors in the clear, becomes one of the second, and keeps what it promised.

use super::*;
use crate::gallery::command::AuditFilter;
use crate::gallery::keeper::Keeper;
use crate::gallery::report::{AuditEntry, Examination};

/// What an earlier version left: two people with pictures each, in the clear.
struct Plain {
    site: Site,
    ids: Vec<IdentityId>,
    vectors: Vec<Embedding>,
}

const NAMES: [&str; 2] = ["Ana", "王小明"];
const EACH: usize = 3;

impl Plain {
    fn new() -> Self {
        let mut site = Site::new();
        let connection = Connection::open(site.path()).expect("a database");
        let (schema, application) = schema::plain_for_tests();
        connection.execute_batch(schema).expect("the old tables");
        connection
            .execute("INSERT INTO schema_version VALUES (1, '2025-01-01T00:00:00Z')", [])
            .expect("a version");
        connection.pragma_update(None, "application_id", application).expect("set");
        connection.execute("UPDATE meta SET value = 8", []).expect("set");
        let (mut ids, mut vectors) = (Vec::new(), Vec::new());
        for (person, name) in NAMES.iter().enumerate() {
            let id = IdentityId::generate();
            let created = "2025-01-02T00:00:00Z";
            connection
                .execute("INSERT INTO identities VALUES (?1, ?2, ?3)", (id.to_string(), name, created))
                .expect("new");
            for picture in 0..EACH {
                let vector = site.people.template(person);
                let sql = "INSERT INTO templates (identity, model_id, vector, quality, source, source_sha256, created)
                           VALUES (?1, ?2, ?3, 0.625, ?4, ?5, ?6)";
                let sha256 = [(10 * person + picture) as u8; 32];
                let row = (
                    id.to_string(),
                    &MODEL.0,
                    bytes_of(&vector),
                    format!("{name}-{picture}.jpg"),
                    sha256,
                    created,
                );
                connection.execute(sql, row).expect("new");
                vectors.push(vector);
            }
            ids.push(id);
        }
        Self { site, ids, vectors }
    }

    /// Vectors of which a part stands in the clear in a file.
    fn in_the_clear(&self) -> usize {
        let is =
            |vector: &&Embedding| bytes_of(vector).chunks(64).any(|part| on_disk(self.site.folder(), part));
        self.vectors.iter().filter(is).count()
    }

    fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let connection = Connection::open(self.site.path()).expect("a database");
        let mut statement =
            connection.prepare("SELECT identity, vector FROM templates ORDER BY id").expect("a query");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }

    fn check(&mut self, mut keeper: Keeper) {
        for (person, (name, id)) in NAMES.iter().zip(&self.ids).enumerate() {
            let found = keeper.shared().current().search(&self.site.people.template(person), 1);
            let best = found.best().expect("somebody");
            assert_eq!((best.identity, &*best.name), (*id, *name));
            let shown: Portrait = ask(&mut keeper, Command::Show { who: who(name) }, &[]);
            let files: Vec<_> =
                shown.stored.iter().map(|t| (t.source.name.clone(), t.quality, t.model)).collect();
            for picture in 0..EACH {
                assert!(files.contains(&(format!("{name}-{picture}.jpg"), 0.625, MODEL)), "{files:?}");
            }
            assert_eq!(shown.person.created.to_string(), "2025-01-02T00:00:00Z");
            let snapshot = keeper.shared().current();
            for vector in &self.vectors[EACH * person..][..EACH] {
                let near = snapshot.scores_of(*id, vector).into_iter().filter(|(_, score)| *score > 0.9999);
                assert_eq!(near.count(), 1, "the very vector");
            }
        }
        let found: Examination = ask(&mut keeper, Command::Verify, &[]);
        assert_eq!(found.problems, [""; 0]);
        assert_eq!((found.looked_at["identities"], found.looked_at["templates"]), (2, 2 * EACH as u64));
    }
}

#[test]
fn a_plain_store_is_sealed_and_finds_the_same_people() {
    let mut plain = Plain::new();
    assert_eq!(plain.in_the_clear(), plain.vectors.len(), "the search finds what is there");
    assert_eq!(Store::look(&plain.site.path()).expect("a store"), Found::Plain);
    let mut keeper = plain.site.open();
    assert_eq!(plain.in_the_clear(), 0, "while it is open");
    let all: Vec<AuditEntry> = ask(&mut keeper, Command::AuditShow { filter: AuditFilter::default() }, &[]);
    let told: Vec<_> = all.iter().map(|e| (e.action.as_str(), e.identity, e.name.as_deref())).collect();
    let mut enrolled: Vec<_> = plain.ids.iter().zip(NAMES).collect();
    enrolled.sort();
    assert_eq!(told[0], ("migrated", None, None));
    assert_eq!(told[1], ("key-made", None, None));
    for ((id, name), entry) in enrolled.into_iter().zip(&told[2..4]) {
        assert_eq!(*entry, ("enrolled", Some(*id), Some(name)));
    }
    plain.check(keeper);
    assert_eq!(plain.in_the_clear(), 0, "after it was closed");
    assert!(
        !on_disk(plain.site.folder(), "Ana-0.jpg".as_bytes())
            && !on_disk(plain.site.folder(), NAMES[1].as_bytes())
    );
    let again = plain.site.open();
    plain.check(again);
}

#[test]
fn a_migration_that_fails_half_way_leaves_the_plain_store_as_it_was() {
    let mut plain = Plain::new();
    let connection = Connection::open(plain.site.path()).expect("a database");
    // The last one that is sealed: everything before it has been written by then.
    let last = plain.ids.iter().max().expect("somebody").to_string();
    let sql = "SELECT id, vector FROM templates WHERE identity = ?1 ORDER BY id DESC LIMIT 1";
    let (id, vector): (i64, Vec<u8>) =
        connection.query_row(sql, [&last], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row");
    let put = |vector: &[u8]| {
        connection.execute("UPDATE templates SET vector = ?1 WHERE id = ?2", (vector, id)).expect("put")
    };
    put(&vec![0; vector.len()]);
    let before = plain.rows();
    let refused = error(plain.site.try_open());
    assert_eq!(refused.kind(), Kind::Data);
    assert!(refused.to_string().contains(&last), "{refused}");
    assert_eq!(Store::look(&plain.site.path()).expect("a store"), Found::Plain);
    assert_eq!(plain.rows(), before);
    put(&vector);
    drop(connection);
    let keeper = plain.site.open();
    plain.check(keeper);
    assert_eq!(plain.in_the_clear(), 0);
}

/// What a killed process leaves on the disk is what lies there in the middle of its transaction.
#[test]
fn a_kill_in_the_middle_of_a_migration_leaves_a_store_that_is_migrated_next_time() {
    let mut plain = Plain::new();
    let left = plain.site.folder().join("left");
    fs::create_dir(&left).expect("a folder");
    {
        let connection = Connection::open(plain.site.path()).expect("a database");
        for (pragma, value) in [("journal_mode", "wal"), ("cache_size", "1"), ("cache_spill", "1")] {
            connection.pragma_update(None, pragma, value).expect("set");
        }
        let half = "BEGIN IMMEDIATE;
                    DROP INDEX templates_by_model;
                    ALTER TABLE templates RENAME TO plain_templates;
                    ALTER TABLE identities RENAME TO plain_identities;
                    CREATE TABLE identities (id BLOB PRIMARY KEY);
                    CREATE TABLE filler (x BLOB);
                    INSERT INTO filler SELECT zeroblob(4000) FROM plain_templates, plain_templates AS b;
                    DELETE FROM plain_templates;";
        connection.execute_batch(half).expect("half done");
        for file in ["gallery.db", "gallery.db-wal"] {
            fs::copy(plain.site.folder().join(file), left.join(file)).expect("copied");
        }
        assert!(
            fs::metadata(left.join("gallery.db-wal")).expect("there").len() > 0,
            "something was half written"
        );
    }
    for file in ["gallery.db", "gallery.db-wal", "gallery.db-shm"] {
        let _ = fs::remove_file(plain.site.folder().join(file));
    }
    for file in ["gallery.db", "gallery.db-wal"] {
        fs::rename(left.join(file), plain.site.folder().join(file)).expect("moved");
    }
    fs::remove_dir(&left).expect("empty");
    assert_eq!(plain.rows().len(), plain.vectors.len());
    let keeper = plain.site.open();
    plain.check(keeper);
    assert_eq!(plain.in_the_clear(), 0);
}
