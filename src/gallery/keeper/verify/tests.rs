//! Each thing that can be wrong is told, by its row, and nothing else is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::fixture::{self, People};
use crate::gallery::command::Command;
use crate::gallery::crypt::Key;
use crate::gallery::keeper::tests::{Site, actor, ask};
use crate::gallery::keeper::{ChangeSet, Keeper};
use crate::gallery::master;
use crate::gallery::report::Examination;
use crate::gallery::store::{Content, NewTemplate};
use crate::gallery::tombstones::Tombstones;
use crate::types::embedding::Embedding;
use crate::types::ids::{ModelId, TemplateId};

fn verify(keeper: &mut Keeper) -> Examination {
    ask(keeper, Command::Verify, &[])
}

#[test]
fn a_gallery_as_it_was_written_has_no_problems_and_everything_is_looked_at() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "an empty one");
    fixture::fill(&mut site, &mut keeper, 5, 3);
    let mut told = Vec::new();
    let reply = keeper
        .execute(&actor(), Command::Verify, &[], &mut |p| told.push((p.what, p.done, p.of)))
        .expect("looked");
    let found: Examination = serde_json::from_value(reply.value).expect("a report");
    assert_eq!(found.problems, [""; 0]);
    for (what, count) in [("identities", 5), ("templates", 15), ("crops", 5), ("lists", 5), ("forgotten", 0)]
    {
        assert_eq!(found.looked_at.get(what), Some(&count), "{what}");
    }
    assert!(found.looked_at["audit entries"] >= 6 && found.head.contains(':'), "{found:?}");
    assert!(told.contains(&("templates".to_owned(), 15, 15)), "{told:?}");
}

/// What somebody did behind the keeper's back.
type Damage = Box<dyn Fn(&mut Keeper, &Connection, &Path, &People)>;

fn sql(text: &'static str) -> Damage {
    Box::new(move |_, connection, _, people| {
        let id = people.ids[1];
        let changed = connection.execute(
            text,
            if text.contains("?1") { vec![id.0.as_bytes().to_vec()] } else { vec![] }
                .iter()
                .map(|v| v as &dyn rusqlite::ToSql)
                .collect::<Vec<_>>()
                .as_slice(),
        );
        assert!(changed.unwrap_or_else(|e| panic!("{text}: {e}")) > 0, "{text}");
    })
}

fn file(name: &'static str, what: impl Fn(&Path) + 'static) -> Damage {
    Box::new(move |_, _, folder, _| what(&folder.join(name)))
}

/// Each kind of damage with what must be told of it. `ID` stands for the second identity's id.
fn damages() -> Vec<(Damage, Vec<&'static str>)> {
    let chmod = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("ours");
    let mut all = vec![
        (
            sql("UPDATE identities SET wrapped_key = zeroblob(72) WHERE id = ?1"),
            vec![
                "identity ID: its key does not unwrap",
                "cannot be opened: the key of its identity ID is lost",
            ],
        ),
        (
            sql("UPDATE identities SET record = zeroblob(200) WHERE id = ?1"),
            vec!["identity ID: its record does not open"],
        ),
        (
            sql("UPDATE identities SET standing = 'expired' WHERE id = ?1"),
            vec!["identity ID: its record does not open"],
        ),
        (
            sql("UPDATE identities SET external_tag = NULL WHERE id = ?1"),
            vec!["identity ID: its record does not open"],
        ),
        (
            sql("DELETE FROM identities WHERE id = ?1"),
            vec![
                "belongs to ID, and there is no such identity",
                "a crop belongs to ID",
                "identity ID is in memory and not",
            ],
        ),
        (
            sql("UPDATE templates SET quality = 1.0 WHERE identity = ?1"),
            vec!["of identity ID does not decrypt"],
        ),
        (
            sql("UPDATE templates SET source_tag = randomblob(32) WHERE identity = ?1"),
            vec!["of identity ID does not decrypt"],
        ),
        (
            sql("UPDATE crops SET source_tag = randomblob(32) WHERE identity = ?1"),
            vec!["of identity ID does not decrypt"],
        ),
        (
            sql("UPDATE templates SET sealed = (SELECT max(sealed) FROM templates) WHERE identity = ?1"),
            vec!["of identity ID does not decrypt"],
        ),
        (
            sql("UPDATE templates SET created = 'yesterday' WHERE identity = ?1"),
            vec!["of identity ID has an id, a model, a time"],
        ),
        (
            sql("DELETE FROM templates WHERE identity = ?1"),
            vec![
                "of identity ID belongs to none of its templates",
                "identity ID is another in memory",
                "of identity ID is in what searches use, and not stored",
            ],
        ),
        (
            sql("UPDATE crops SET sealed = zeroblob(640) WHERE identity = ?1"),
            vec!["of identity ID does not decrypt"],
        ),
        (sql("DELETE FROM crops WHERE identity = ?1"), vec!["identity ID is another in memory"]),
        (
            sql("DELETE FROM lists WHERE name = 'vip'"),
            vec![
                "identity ID is on the list vip, and there is no such list",
                "the lists in memory are others",
            ],
        ),
        (sql("DELETE FROM lists WHERE name = 'watchlist'"), vec!["there is no list watchlist"]),
        (
            sql("UPDATE lists SET sealed = zeroblob(100) WHERE name = 'vip'"),
            vec!["list \"vip\" does not decrypt"],
        ),
        (
            sql("INSERT INTO forgotten VALUES (?1, NULL, '2026-03-01T12:00:00Z', x'')"),
            vec![
                "identity ID was forgotten, and is stored again",
                "identity ID is forgotten in the store, and not so in the file",
            ],
        ),
        (sql("UPDATE audit SET body = replace(body, 'enrolled', 'started')"), vec!["audit log: entr"]),
        (sql("UPDATE meta SET value = 0"), vec!["the store is at generation 0", "searches use generation"]),
        (file("gallery.db", chmod), vec!["gallery.db has mode 0644"]),
        (file("gallery.head", chmod), vec!["gallery.head has mode 0644"]),
        (file("gallery.key", chmod), vec!["chmod 600"]),
        (
            file("gallery.key", |path| fs::remove_file(path).expect("there")),
            vec!["the gallery's key is missing"],
        ),
        (
            file("gallery.head", |path| fs::remove_file(path).expect("there")),
            vec!["audit log: the head kept beside"],
        ),
        (
            file("gallery.forgotten", |path| fs::write(path, "nonsense\n").expect("written")),
            vec!["the forgotten: "],
        ),
    ];
    all.push((
        Box::new(|_, connection, _, people| {
            connection.pragma_update(None, "ignore_check_constraints", 1).expect("set");
            let sql = "UPDATE identities SET standing = 'gone' WHERE id = ?1";
            connection.execute(sql, [people.ids[1].0.as_bytes()]).expect("changed");
        }),
        vec!["SQLite says of the store: ", "identity ID: its record does not open"],
    ));
    all.push((
        file("gallery.key", |path| {
            let digits: String =
                Key::generate().expect("random").expose().iter().map(|b| format!("{b:02x}")).collect();
            fs::write(path, digits).expect("written");
        }),
        vec!["and the key file "],
    ));
    all.push((
        Box::new(|keeper, _, folder, people| {
            let gone = crate::gallery::store::Forgotten {
                identity: people.ids[1],
                external_tag: None,
                at: keeper.clock.now().wall,
                templates: Vec::new(),
            };
            Tombstones::beside(&folder.join("gallery.db")).append(&[gone]).expect("written");
        }),
        vec!["identity ID is forgotten in the file beside the store, and not so in it"],
    ));
    all
}

/// Sealed as it should be, and wrong all the same: a bug of whoever wrote it.
fn stored_wrongly(model: ModelId, numbers: usize) -> Damage {
    Box::new(move |keeper, _, _, people| {
        let key = keeper.directory.expect(people.ids[1]).expect("there").identity.key.clone();
        let embedding = Embedding::new(model, vec![1.0; numbers]).expect("a vector");
        let source = crate::gallery::command::Source {
            kind: crate::gallery::command::SourceKind::File,
            name: "x".to_owned(),
            sha256: "00".repeat(32),
        };
        let created = keeper.clock.now().wall;
        let new = NewTemplate {
            id: TemplateId::generate(),
            embedding: &embedding,
            quality: 0.5,
            source: &source,
            created,
        };
        let stored = keeper
            .store
            .write(|tables, _| Ok((tables.insert_template(people.ids[1], &key, &new)?, Content::Same)));
        stored.expect("stored");
    })
}

#[test]
fn every_damage_is_told_by_its_row_and_the_rest_is_looked_at_all_the_same() {
    let mut all = damages();
    all.push((stored_wrongly(ModelId([1; 32]), 7), vec!["of identity ID has 7 numbers"]));
    all.push((stored_wrongly(ModelId([9; 32]), 7), vec!["which this gallery was never used with"]));
    for (number, (damage, expected)) in all.into_iter().enumerate() {
        let mut site = Site::new();
        let mut keeper = fixture::open(&site);
        let people = fixture::fill(&mut site, &mut keeper, 3, 2);
        let connection = Connection::open(site.path()).expect("a database");
        connection.pragma_update(None, "foreign_keys", 0).expect("set");
        damage(&mut keeper, &connection, site.folder(), &people);
        let found = verify(&mut keeper);
        let id = people.ids[1].to_string();
        for words in &expected {
            let words = words.replace("ID", &id);
            assert!(
                found.problems.iter().any(|p| p.contains(&words)),
                "{number}: {words} not in {:#?}",
                found.problems
            );
        }
        let of_one = expected.iter().any(|words| words.contains("ID"));
        for other in [people.ids[0], people.ids[2]].into_iter().filter(|_| of_one) {
            let blamed = found.problems.iter().find(|problem| problem.contains(&other.to_string()));
            assert_eq!(blamed, None, "{number}: blames somebody else");
        }
        for (what, least) in
            [("lists", 4), ("identities", 2), ("templates", 4), ("crops", 2), ("audit entries", 4)]
        {
            assert!(found.looked_at[what] >= least, "{number}: {what}: {:?}", found.looked_at);
        }
    }
}

#[test]
fn a_key_that_waits_to_be_promoted_is_no_problem() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    fixture::fill(&mut site, &mut keeper, 1, 1);
    let current = master::load(&keeper.key_source).expect("a key");
    let key = Key::generate().expect("random");
    master::replace(&keeper.key_source, &current, &key).expect("written");
    assert_eq!(verify(&mut keeper).problems, [""; 0], "beside the one in use");
}

#[test]
fn what_a_change_leaves_in_memory_is_what_is_stored() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    let people = fixture::fill(&mut site, &mut keeper, 4, 3);
    let portrait = |keeper: &mut Keeper, n: usize| -> crate::gallery::report::Portrait {
        ask(
            keeper,
            Command::Show { who: crate::gallery::keeper::tests::who(&people.ids[n].to_string()) },
            &[],
        )
    };
    let template = portrait(&mut keeper, 0).stored[1].id.to_string();
    let to = crate::gallery::command::Who(people.ids[1].to_string());
    ask::<serde_json::Value>(&mut keeper, Command::MoveTemplate { template, to: to.clone() }, &[]);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "moved");
    let from = crate::gallery::command::Who(people.ids[2].to_string());
    ask::<serde_json::Value>(&mut keeper, Command::Merge { from, into: to.clone() }, &[]);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "merged");
    let templates = portrait(&mut keeper, 1).stored[..2].iter().map(|t| t.id.to_string()).collect();
    let name = crate::gallery::name::Name::new("Cleo").expect("a name");
    ask::<serde_json::Value>(&mut keeper, Command::Split { who: to.clone(), templates, name }, &[]);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "split");
    let template = portrait(&mut keeper, 0).stored[0].id.to_string();
    ask::<serde_json::Value>(&mut keeper, Command::RemoveTemplate { template }, &[]);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "removed, with its crop");
    ask::<serde_json::Value>(&mut keeper, Command::Forget { who: to, reason: None }, &[]);
    assert_eq!(verify(&mut keeper).problems, [""; 0], "forgotten");
    keeper.commit(&actor(), ChangeSet::default()).expect("nothing");
    assert_eq!(verify(&mut keeper).problems, [""; 0]);
}

#[test]
fn a_gallery_that_does_not_open_can_be_looked_at_and_says_all_that_is_wrong() {
    use crate::gallery::command::Desk;
    use crate::gallery::keeper::Damaged;
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    let people = fixture::fill(&mut site, &mut keeper, 4, 2);
    drop(keeper);
    let connection = Connection::open(site.path()).expect("a database");
    for (table, id) in [("templates SET sealed", 1), ("crops SET sealed", 3)] {
        let column = "identity";
        let sql = format!("UPDATE {table} = zeroblob(300) WHERE {column} = ?1");
        connection.execute(&sql, [people.ids[id].0.as_bytes()]).expect("changed");
    }
    drop(connection);
    let before = fs::read(site.path()).expect("a file");
    let why = site.try_open().err().expect("damaged");
    assert_eq!(why.kind(), crate::base::error::Kind::Data, "{}", why.chain());
    let mut desk = Damaged::open(site.opening(), actor(), why).expect("readable");
    let reply = desk.ask(Command::Verify, Vec::new(), &mut |_| {}).expect("looked");
    let found: Examination = serde_json::from_value(reply.value).expect("a report");
    let told = |words: &str, id: usize| {
        let id = people.ids[id].to_string();
        found.problems.iter().filter(|p| p.contains(words) && p.contains(&id)).count()
    };
    assert!(found.problems[0].starts_with("the gallery does not open: "), "{:#?}", found.problems);
    assert_eq!(
        (told("template ", 1), told("the crop ", 3), found.problems.len()),
        (2, 1, 4),
        "{:#?}",
        found.problems
    );
    assert_eq!((found.looked_at["templates"], found.looked_at["crops"]), (8, 4));
    let log = desk.ask(Command::AuditVerify { head: None }, Vec::new(), &mut |_| {}).expect("looked");
    assert_eq!(log.value["problems"], serde_json::json!([]));
    let refused = desk.ask(Command::Lists, Vec::new(), &mut |_| {}).expect_err("nothing else");
    assert!(refused.to_string().contains("gallery verify"), "{refused}");
    drop(desk);
    assert!(fs::read(site.path()).expect("a file") == before, "nothing was changed");
}
