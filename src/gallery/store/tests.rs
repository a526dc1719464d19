//! What the store promises, and what it says when it cannot keep it.

mod bound;
mod migration;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::base::error::{Error, Kind};
use crate::gallery::command::{Command, Source, SourceKind};
use crate::gallery::keeper::tests::{Site, ask, record, who};
use crate::gallery::lock::{Holder, Lock};
use crate::gallery::record::Standing;
use crate::gallery::report::{Person, Portrait, Receipt};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

const MODEL: ModelId = ModelId([1; 32]);

struct Home {
    folder: tempfile::TempDir,
    master: Key,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), master: Key::generate().expect("random") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("gallery.db")
    }

    fn try_open(&self, path: &Path) -> Result<Store> {
        Store::open(path, &self.master, PATIENCE)
    }

    fn open(&self) -> Store {
        self.try_open(&self.path()).expect("a store")
    }

    fn read_only(&self, path: &Path) -> Result<Store> {
        Store::open_read_only(path, &self.master)
    }
}

fn embedding(seed: u64) -> Embedding {
    let mut rng = fastrand::Rng::with_seed(seed);
    Embedding::new(MODEL, (0..64).map(|_| rng.f32() - 0.5).collect()).expect("a vector")
}

fn now() -> jiff::Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

/// Stores somebody with a template, or says why not.
fn try_enrol(store: &mut Store, name: &str, seed: u64) -> Result<IdentityId> {
    let (id, key, record) = (IdentityId::generate(), Key::generate()?, record(name));
    let embedding = embedding(seed);
    let source =
        Source { kind: SourceKind::File, name: "front.jpg".to_owned(), sha256: format!("{seed:064x}") };
    store.write(|tables, _| {
        tables.insert_identity(&NewIdentity {
            id,
            record: &record,
            standing: Standing::Active,
            created: now(),
            revision: 1,
            key: &key,
            older: &[],
        })?;
        let new = NewTemplate {
            id: TemplateId::generate(),
            embedding: &embedding,
            quality: 0.75,
            source: &source,
            created: now(),
        };
        tables.insert_template(id, &key, &new)?;
        Ok((id, Content::Changed))
    })
}

fn enrol(store: &mut Store, name: &str, seed: u64) -> IdentityId {
    try_enrol(store, name, seed).expect("stored")
}

fn people(store: &Store) -> Vec<StoredIdentity> {
    store.read(|t| t.identities()).expect("readable")
}

fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}

/// True if the bytes stand in any file of the folder.
fn on_disk(folder: &Path, needle: &[u8]) -> bool {
    let files = fs::read_dir(folder).expect("the folder");
    files
        .flatten()
        .any(|file| fs::read(file.path()).expect("a file").windows(needle.len()).any(|part| part == needle))
}

fn bytes_of(embedding: &Embedding) -> Vec<u8> {
    embedding.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn what_is_written_is_read_back_after_reopening() {
    let home = Home::new();
    let (ana, wang) = {
        let mut store = home.open();
        (enrol(&mut store, "Ana", 1), enrol(&mut store, "王小明", 2))
    };
    let store = home.read_only(&home.path()).expect("a store");
    let all = people(&store);
    let names: Vec<_> = all.iter().map(|i| (i.id, i.record.name.to_string())).collect();
    assert_eq!(names, [(ana, "Ana".to_owned()), (wang, "王小明".to_owned())]);
    let stored = store.read(|tables| tables.templates_of(ana, &all[0].key)).expect("readable");
    assert_eq!((stored.len(), stored[0].row.quality, stored[0].source.name.as_str()), (1, 0.75, "front.jpg"));
    assert!(stored[0].embedding.similarity(&embedding(1)).expect("same model") > 0.999_999);
    assert_eq!(store.read(|tables| tables.generation()).expect("readable"), 2);
    let swapped = store.read(|tables| tables.templates_of(ana, &all[1].key));
    assert_eq!(error(swapped).kind(), Kind::Data, "somebody else's key");
}

#[test]
fn the_generation_counts_changes_and_a_failed_change_leaves_nothing() {
    let home = Home::new();
    let mut store = home.open();
    let ana = enrol(&mut store, "Ana", 1);
    let failed = store.write(|tables, generation| {
        assert_eq!(generation, 1);
        tables.delete_identity(ana)?;
        Err::<((), Content), _>(crate::err!(Data, "something after it"))
    });
    assert_eq!(error(failed).to_string(), "something after it");
    assert_eq!(people(&store).len(), 1);
    store.write(|tables, _| Ok((tables.set_setting("a", Some("b"))?, Content::Same))).expect("set");
    assert_eq!(store.read(|tables| tables.generation()).expect("readable"), 1);
}

#[test]
fn a_removed_template_leaves_no_byte_in_any_file() {
    let mut site = Site::new();
    let mut keeper = site.open();
    for _ in 0..8 {
        site.enrol(&mut keeper, record("stays"), 1);
        site.enrol(&mut keeper, record("goes"), 2);
    }
    // What is stored is sealed: the bytes to look for are those of the sealed values and of the wrapped key.
    let sealed = |id: &str| -> Vec<Vec<u8>> {
        let connection = Connection::open(site.path()).expect("a database");
        let sql = format!(
            "SELECT t.sealed FROM templates t WHERE identity {id} UNION ALL SELECT record FROM identities WHERE id {id}
             UNION ALL SELECT wrapped_key FROM identities WHERE id {id}"
        );
        let mut statement = connection.prepare(&sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a blob")).collect()
    };
    let portrait: Portrait = ask(&mut keeper, Command::Show { who: who("goes") }, &[]);
    let is_gone = format!("= x'{}'", portrait.person.id.0.simple());
    let (gone, kept) = (sealed(&is_gone), sealed(&is_gone.replace('=', "!=")));
    let there = |blob: &Vec<u8>| on_disk(site.folder(), &blob[blob.len() - 24..]);
    assert!(
        gone.len() == 10 && kept.len() == 10 && gone.iter().chain(&kept).all(there),
        "the search finds what is there"
    );
    let first = portrait.stored[0].id.to_string();
    ask::<Person>(&mut keeper, Command::RemoveTemplate { template: first }, &[]);
    assert_eq!(gone.iter().filter(|blob| there(blob)).count(), 9);
    let receipt: Receipt = ask(&mut keeper, Command::Forget { who: who("goes"), reason: None }, &[]);
    assert_eq!((receipt.templates, receipt.wiped), (7, true));
    assert_eq!((gone.iter().filter(|b| there(b)).count(), kept.iter().all(there)), (0, true));
}

#[test]
fn a_connection_is_set_up_to_lose_nothing_and_to_leave_nothing_behind() {
    let home = Home::new();
    let store = home.open();
    let pragma = |store: &Store, name: &str| -> String {
        let value =
            store.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        match value.expect("a value") {
            rusqlite::types::Value::Integer(n) => n.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    };
    for (name, value) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("secure_delete", "1"),
        ("foreign_keys", "1"),
        ("temp_store", "2"),
        ("trusted_schema", "0"),
    ] {
        assert_eq!(pragma(&store, name), value, "{name}");
    }
    drop(store);
    let reader = home.read_only(&home.path()).expect("a store");
    for (name, value) in [("temp_store", "2"), ("trusted_schema", "0")] {
        assert_eq!(pragma(&reader, name), value, "{name}");
    }
}

#[test]
fn folder_and_files_belong_to_their_owner_alone() {
    let home = Home::new();
    let path = home.folder.path().join("state/watchlistd/gallery.db");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    let mut store = home.try_open(&path).expect("a store");
    enrol(&mut store, "Ana", 1);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    for file in ["gallery.db", "gallery.db-wal", "gallery.db-shm"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("ours");
    drop(home.try_open(&path).expect("a store"));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_is_no_gallery_is_refused_and_left_alone() {
    let home = Home::new();
    assert_eq!(error(home.try_open(home.folder.path())).kind(), Kind::Config);
    assert_eq!(error(home.read_only(&home.path())).kind(), Kind::NoInput);
    assert_eq!(Store::look(&home.path()).expect("nothing"), Found::Nothing);

    fs::write(home.path(), b"no database at all, but long enough to have had a header").expect("written");
    let refused = error(home.try_open(&home.path()));
    assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
    assert!(refused.chain().contains("gallery.db"), "{}", refused.chain());

    let strange = home.folder.path().join("strange.db");
    Connection::open(&strange).expect("a database").execute_batch("CREATE TABLE x (y)").expect("a table");
    let before = fs::read(&strange).expect("a file");
    for refused in
        [error(home.try_open(&strange)), error(home.read_only(&strange)), error(Store::look(&strange))]
    {
        assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
    }
    assert_eq!(fs::read(&strange).expect("a file"), before);

    let empty = home.folder.path().join("empty.db");
    fs::write(&empty, b"").expect("written");
    assert_eq!(error(home.read_only(&empty)).kind(), Kind::Data);
    assert_eq!(Store::look(&empty).expect("nothing yet"), Found::Nothing);
    assert!(people(&home.try_open(&empty).expect("an empty file becomes a store")).is_empty());
    assert_eq!(Store::look(&empty).expect("a store"), Found::Sealed(home.master.id()));
}

#[test]
fn a_newer_schema_is_refused() {
    let home = Home::new();
    drop(home.open());
    let connection = Connection::open(home.path()).expect("a database");
    connection.execute("INSERT INTO schema_version VALUES (99, 'later')", []).expect("written");
    let before = fs::read(home.path()).expect("a file");
    for refused in [error(home.try_open(&home.path())), error(home.read_only(&home.path()))] {
        assert_eq!(refused.kind(), Kind::Config);
        assert!(refused.to_string().contains("schema 99"), "{refused}");
    }
    assert_eq!(fs::read(home.path()).expect("a file"), before);
}

#[test]
fn a_damaged_file_is_refused() {
    let home = Home::new();
    let mut store = home.open();
    for n in 0..200 {
        enrol(&mut store, &format!("person {n}"), n);
    }
    drop(store);
    let mut bytes = fs::read(home.path()).expect("a file");
    bytes[8192..].iter_mut().for_each(|b| *b ^= 0x5A);
    fs::write(home.path(), &bytes).expect("written");
    let refused = error(home.try_open(&home.path()));
    assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
    bytes.truncate(6000);
    fs::write(home.path(), &bytes).expect("written");
    assert_eq!(error(home.try_open(&home.path())).kind(), Kind::Data);
}

#[test]
fn a_damaged_row_is_named() {
    let home = Home::new();
    let mut store = home.open();
    let ana = enrol(&mut store, "Ana", 1);
    let identity = people(&store).remove(0);
    let template = store.read(|t| t.template_rows()).expect("readable")[0].id;
    let connection = Connection::open(home.path()).expect("a database");
    for (table, column, damage) in [
        ("templates", "sealed", "zeroblob(256)"),
        ("templates", "sealed", "x''"),
        ("templates", "quality", "0.5"),
        ("identities", "record", "zeroblob(256)"),
        ("identities", "revision", "-1"),
        ("identities", "wrapped_key", "x''"),
    ] {
        let kept = format!("CREATE TEMP TABLE kept AS SELECT {column} AS was FROM {table}");
        connection.execute_batch(&kept).expect("kept");
        connection.execute(&format!("UPDATE {table} SET {column} = {damage}"), []).expect("written");
        let (refused, named) = match table {
            "templates" => {
                (error(store.read(|t| t.templates_of(ana, &identity.key))), format!("template {template}"))
            }
            _ => (error(store.read(|t| t.identities())), format!("identity {ana}")),
        };
        assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
        assert!(refused.to_string().contains(&named), "{column}: {refused}");
        let back = format!("UPDATE {table} SET {column} = (SELECT was FROM kept); DROP TABLE kept");
        connection.execute_batch(&back).expect("put back");
    }
    assert_eq!(people(&store), [identity]);
}

/// More than one thread opens at once.
#[test]
fn many_templates_come_in_the_order_of_the_file_and_a_damaged_one_is_named() {
    let home = Home::new();
    let mut store = home.open();
    let (id, key, record) = (IdentityId::generate(), Key::generate().expect("random"), record("Ana"));
    let ids: Vec<TemplateId> = (0..1_000).map(|_| TemplateId::generate()).collect();
    let enrolled = store.write(|tables, _| {
        let (standing, created) = (Standing::Active, now());
        let new = NewIdentity { id, record: &record, standing, created, revision: 1, key: &key, older: &[] };
        tables.insert_identity(&new)?;
        for (seed, id_of) in (0..).zip(&ids) {
            let (kind, name) = (SourceKind::File, "front.jpg".to_owned());
            let source = Source { kind, name, sha256: format!("{seed:064x}") };
            let (embedding, quality) = (&embedding(seed), 0.75);
            let new = NewTemplate { id: *id_of, embedding, quality, source: &source, created };
            tables.insert_template(id, &key, &new)?;
        }
        Ok(((), Content::Changed))
    });
    enrolled.expect("stored");
    let key_of = |_| Some(key.clone());
    let read = |most: usize| {
        let mut seen = Vec::new();
        let all = store.read(|tables| {
            tables.each_template(Some(MODEL), &key_of, |template| {
                let template = template?;
                assert!(template.embedding.as_slice() == embedding(seen.len() as u64).as_slice());
                seen.push(template.row.id);
                if seen.len() < most { Ok(()) } else { Err(err!(Data, "enough")) }
            })
        });
        (all, seen)
    };
    let (all, seen) = read(usize::MAX);
    assert!(all.is_ok() && seen == ids);
    let (ended, seen) = read(500);
    assert!(error(ended).to_string().contains("enough") && seen == ids[..500], "who has enough ends it");
    let sql = "UPDATE templates SET quality = 0.5 WHERE id = ?1";
    let connection = Connection::open(home.path()).expect("a database");
    assert_eq!(connection.execute(sql, [ids[700].0.as_bytes()]).expect("written"), 1);
    let (refused, seen) = read(usize::MAX);
    assert!(error(refused).to_string().contains(&format!("template {}", ids[700])));
    assert_eq!(seen, ids[..700]);
}

#[test]
fn a_locked_store_says_so_and_a_read_only_one_too() {
    let home = Home::new();
    enrol(&mut home.open(), "Ana", 1);
    let mut second = Store::open(&home.path(), &home.master, Duration::from_millis(20)).expect("a store");
    let other = Connection::open(home.path()).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    assert_eq!(error(try_enrol(&mut second, "Berta", 2)).kind(), Kind::Temporary);
    assert_eq!(people(&second).len(), 1, "readers go on");
    other.execute_batch("ROLLBACK").expect("unlocked");
    enrol(&mut second, "Berta", 2);

    let mut reader = home.read_only(&home.path()).expect("a store");
    let refused = error(try_enrol(&mut reader, "Carla", 3));
    assert_eq!(refused.kind(), Kind::Permission, "{}", refused.chain());
    assert_eq!(people(&reader).len(), 2);
}

#[test]
fn another_master_key_opens_nothing_and_says_which_it_has_to_be() {
    let home = Home::new();
    enrol(&mut home.open(), "Ana", 1);
    let other = Key::generate().expect("random");
    for refused in [
        error(Store::open(&home.path(), &other, PATIENCE)),
        error(Store::open_read_only(&home.path(), &other)),
    ] {
        assert_eq!(refused.kind(), Kind::Config);
        assert!(refused.to_string().contains(&home.master.id().to_string()), "{refused}");
    }
    // One that claims to be it does not either.
    let connection = Connection::open(home.path()).expect("a database");
    let sql = "UPDATE settings SET value = ?1 WHERE key = 'master_key'";
    connection.execute(sql, [other.id().to_string()]).expect("changed");
    assert_eq!(error(Store::open_read_only(&home.path(), &other)).kind(), Kind::Data);
}

#[test]
fn a_store_that_is_replaced_is_noticed() {
    let home = Home::new();
    let store = home.open();
    assert!(!store.replaced());
    let copy = home.folder.path().join("copy.db");
    store.copy_to(&copy).expect("copied");
    fs::rename(&copy, home.path()).expect("replaced");
    assert!(store.replaced());
}

/// They lock by the file beside the store, and not by hope; the schema is made once all the same.
#[test]
fn two_that_open_a_new_store_at_once_make_one_schema() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let home = &home;
            scope.spawn(move || {
                let holder = Holder::this("test", None);
                let _lock = Lock::take(&home.path(), &holder, Duration::from_secs(60)).expect("in turn");
                enrol(&mut home.open(), &format!("person {n}"), n)
            });
        }
    });
    let store = home.open();
    assert_eq!((people(&store).len(), store.read(|t| t.generation()).expect("readable")), (4, 4));
    assert_eq!(store.integrity().expect("checked"), [""; 0]);
}

#[test]
fn the_mode_of_a_file_that_a_link_names_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (others, beside) = (folder.path().join("others"), folder.path().join("gallery.db-wal"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let open_to_all = |path: &Path| {
        fs::write(path, "").expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("ours");
    };
    let put: [fn(&Path, &Path); 2] = [
        |others, beside| std::os::unix::fs::symlink(others, beside).expect("linked"),
        |others, beside| fs::hard_link(others, beside).expect("linked"),
    ];
    for put in put {
        open_to_all(&others);
        put(&others, &beside);
        crate::base::sqlite::close_to_others("gallery", &beside).expect("nothing to do");
        assert_eq!(mode(&others), 0o644);
        fs::remove_file(&beside).expect("there");
    }
    open_to_all(&beside);
    crate::base::sqlite::close_to_others("gallery", &beside).expect("closed");
    assert_eq!(mode(&beside), 0o600);
}
