//! What the store promises, and what it says when it cannot keep it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::name::Name;
use super::store::{Added, NewTemplate, Store};
use crate::base::error::{Error, Kind};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId};

const MODEL: ModelId = ModelId([1; 32]);

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("gallery.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.path()).expect("a store")
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn embedding(model: ModelId, seed: u64) -> Embedding {
    let mut rng = fastrand::Rng::with_seed(seed);
    Embedding::new(model, (0..64).map(|_| rng.f32() - 0.5).collect()).expect("a vector")
}

fn template(embedding: &Embedding, picture: u8) -> NewTemplate<'_> {
    NewTemplate { embedding, quality: 0.75, source: "front.jpg", source_sha256: [picture; 32] }
}

fn error<T>(result: crate::base::error::Result<T>) -> Error {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}

#[test]
fn what_is_written_is_read_back_after_reopening() {
    let home = Home::new();
    let (a, b) = (embedding(MODEL, 1), embedding(ModelId([2; 32]), 2));
    let (ana, wang) = {
        let mut store = home.open();
        let ana = store.add_identity(&name("Ana")).expect("new");
        store.add_template(ana, &template(&a, 1)).expect("new");
        let enrolled = store.enrol(&name("王小明"), &template(&b, 2)).expect("new");
        assert!(enrolled.new_identity);
        (ana, enrolled.identity)
    };
    let store = Store::open_read_only(&home.path()).expect("a store");
    let list: Vec<(IdentityId, String, u64)> = store
        .list()
        .expect("readable")
        .into_iter()
        .map(|i| (i.id, i.name.to_string(), i.templates))
        .collect();
    assert_eq!(list, [(ana, "Ana".to_owned(), 1), (wang, "王小明".to_owned(), 1)]);
    let templates = store.templates(MODEL).expect("readable");
    assert_eq!(templates.len(), 1);
    assert_eq!((templates[0].identity, templates[0].quality), (ana, 0.75));
    assert_eq!(templates[0].source, "front.jpg");
    assert!(templates[0].embedding.similarity(&a).expect("same model") > 0.999_999);
    assert_eq!(store.models().expect("readable").len(), 2);
    assert_eq!(store.identity_by_name(&name("nobody")).expect("readable"), None);
}

#[test]
fn the_same_picture_is_refused_for_the_same_identity_and_model_only() {
    let home = Home::new();
    let mut store = home.open();
    let (a, other) = (embedding(MODEL, 1), embedding(ModelId([2; 32]), 1));
    let ana = store.add_identity(&name("Ana")).expect("new");
    let Added::New(first) = store.add_template(ana, &template(&a, 1)).expect("new") else { panic!("new") };
    let before = store.generation().expect("readable");
    assert_eq!(store.add_template(ana, &template(&a, 1)).expect("known"), Added::AlreadyThere(first));
    assert!(store.holds(&name("Ana"), MODEL, &[1; 32]).expect("readable"));
    assert_eq!(store.generation().expect("readable"), before, "nothing changed");
    assert!(matches!(store.add_template(ana, &template(&a, 2)), Ok(Added::New(_))));
    assert!(matches!(store.add_template(ana, &template(&other, 1)), Ok(Added::New(_))));
    assert!(store.enrol(&name("Berta"), &template(&a, 1)).expect("another person").new_identity);
    assert!(!store.holds(&name("Carla"), MODEL, &[1; 32]).expect("readable"));
}

#[test]
fn the_generation_counts_changes_and_a_failed_change_leaves_nothing() {
    let home = Home::new();
    let mut store = home.open();
    assert_eq!(store.generation().expect("readable"), 0);
    let ana = store.add_identity(&name("Ana")).expect("new");
    assert_eq!(error(store.add_identity(&name("Ana"))).kind(), Kind::Data);
    let nobody = IdentityId::generate();
    assert_eq!(error(store.add_template(nobody, &template(&embedding(MODEL, 1), 1))).kind(), Kind::Data);
    assert_eq!(error(store.remove_identity(nobody)).kind(), Kind::Data);
    assert_eq!(store.generation().expect("readable"), 1);
    store.remove_identity(ana).expect("there");
    assert_eq!(store.generation().expect("readable"), 2);
}

#[test]
fn a_removed_vector_is_in_no_file_any_more() {
    let home = Home::new();
    let mut store = home.open();
    let vectors: Vec<Embedding> = (0..40).map(|seed| embedding(MODEL, seed)).collect();
    for (picture, vector) in (0..).zip(&vectors) {
        let who = if picture % 2 == 0 { "stays" } else { "goes" };
        store.enrol(&name(who), &template(vector, picture)).expect("new");
    }
    let needle = |e: &Embedding| -> Vec<u8> { e.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect() };
    let on_disk = |needle: &[u8]| {
        let files = std::fs::read_dir(home.0.path()).expect("the folder");
        files.flatten().any(|file| {
            std::fs::read(file.path()).expect("a file").windows(needle.len()).any(|part| part == needle)
        })
    };
    assert!(vectors.iter().all(|v| on_disk(&needle(v))), "the search must be able to find what is there");
    let goes = store.identity_by_name(&name("goes")).expect("readable").expect("there");
    let removed = store.remove_identity(goes).expect("there");
    assert_eq!((removed.templates, removed.wiped), (20, true));
    for (picture, vector) in vectors.iter().enumerate() {
        assert_eq!(on_disk(&needle(vector)), picture % 2 == 0, "vector {picture}");
    }
}

#[test]
fn folder_and_files_belong_to_their_owner_alone() {
    let home = Home::new();
    let path = home.0.path().join("state/watchlistd/gallery.db");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    let mut store = Store::open(&path).expect("a store");
    store.add_identity(&name("Ana")).expect("new");
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    for file in ["gallery.db", "gallery.db-wal", "gallery.db-shm"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
    drop(store);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).expect("ours");
    drop(Store::open(&path).expect("a store"));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_is_no_gallery_is_refused_and_left_alone() {
    let home = Home::new();
    assert_eq!(error(Store::open(home.0.path())).kind(), Kind::Config);
    assert_eq!(error(Store::open_read_only(&home.path())).kind(), Kind::NoInput);

    std::fs::write(home.path(), b"no database at all, but long enough to have had a header")
        .expect("written");
    let refused = error(Store::open(&home.path()));
    assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
    assert!(refused.chain().contains("gallery.db"), "{}", refused.chain());

    let strange = home.0.path().join("strange.db");
    Connection::open(&strange).expect("a database").execute_batch("CREATE TABLE x (y)").expect("a table");
    let before = std::fs::read(&strange).expect("a file");
    assert_eq!(error(Store::open(&strange)).kind(), Kind::Data);
    assert_eq!(error(Store::open_read_only(&strange)).kind(), Kind::Data);
    assert_eq!(std::fs::read(&strange).expect("a file"), before);

    let empty = home.0.path().join("empty.db");
    std::fs::write(&empty, b"").expect("written");
    assert_eq!(error(Store::open_read_only(&empty)).kind(), Kind::Data);
    assert!(Store::open(&empty).expect("an empty file becomes a store").list().expect("readable").is_empty());
}

#[test]
fn a_newer_schema_is_refused() {
    let home = Home::new();
    drop(home.open());
    let connection = Connection::open(home.path()).expect("a database");
    connection.execute("INSERT INTO schema_version VALUES (99, 'later')", []).expect("written");
    for refused in [error(Store::open(&home.path())), error(Store::open_read_only(&home.path()))] {
        assert_eq!(refused.kind(), Kind::Config);
        assert!(refused.to_string().contains("schema 99"), "{refused}");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let home = Home::new();
    let mut store = home.open();
    for picture in 0..200 {
        let vector = embedding(MODEL, u64::from(picture));
        store.enrol(&name(&format!("person {picture}")), &template(&vector, picture)).expect("new");
    }
    drop(store);
    let mut bytes = std::fs::read(home.path()).expect("a file");
    bytes[8192..].iter_mut().for_each(|b| *b ^= 0x5A);
    std::fs::write(home.path(), &bytes).expect("written");
    let refused = error(Store::open(&home.path()));
    assert_eq!(refused.kind(), Kind::Data, "{}", refused.chain());
    bytes.truncate(6000);
    std::fs::write(home.path(), &bytes).expect("written");
    assert_eq!(error(Store::open(&home.path())).kind(), Kind::Data);
}

#[test]
fn a_damaged_vector_is_named() {
    let home = Home::new();
    let mut store = home.open();
    store.enrol(&name("Ana"), &template(&embedding(MODEL, 1), 1)).expect("new");
    let connection = Connection::open(home.path()).expect("a database");
    for damage in ["zeroblob(256)", "x'0000c07f'", "x'00000041'"] {
        connection.execute(&format!("UPDATE templates SET vector = {damage}"), []).expect("written");
        let refused = error(store.templates(MODEL));
        assert_eq!(refused.kind(), Kind::Data);
        assert!(refused.to_string().contains("template 1 of identity"), "{refused}");
    }
}

#[test]
fn a_locked_store_says_so_and_a_read_only_one_too() {
    let home = Home::new();
    let mut store = home.open();
    store.add_identity(&name("Ana")).expect("new");
    let mut second = Store::open_within(&home.path(), Duration::from_millis(20)).expect("a store");
    let other = Connection::open(home.path()).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    assert_eq!(error(second.add_identity(&name("Berta"))).kind(), Kind::Temporary);
    assert_eq!(second.list().expect("readers go on").len(), 1);
    other.execute_batch("ROLLBACK").expect("unlocked");
    second.add_identity(&name("Berta")).expect("new");

    let mut reader = Store::open_read_only(&home.path()).expect("a store");
    let refused = error(reader.add_identity(&name("Carla")));
    assert_eq!(refused.kind(), Kind::Permission, "{}", refused.chain());
    assert_eq!(reader.list().expect("readable").len(), 2);
}

#[test]
fn two_that_open_a_new_store_at_once_make_one_schema() {
    let home = Home::new();
    let path = home.path();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let mut store = Store::open(path).expect("a store");
                store.add_identity(&name(&format!("person {n}"))).expect("new");
            });
        }
    });
    let store = home.open();
    assert_eq!((store.list().expect("readable").len(), store.generation().expect("readable")), (4, 4));
}
