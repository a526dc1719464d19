//! The proof that what is stored is bound: one bit changed anywhere in it is never read as another value.
//!
//! ```text
//!  a row, a column, a bit ─▶ UPDATE behind the keeper's back ─┬ SQLite refuses it (CHECK, UNIQUE)   refused
//!                                                             ├ reading the row is an error           error
//!                                                             ├ only `verify` tells of it             told
//!                                                             └ neither                               MISSED
//! ```

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fixture::{self, People};
use super::*;
use crate::gallery::command::Command;
use crate::gallery::keeper::ChangeSet;
use crate::gallery::keeper::open::read_model;
use crate::gallery::keeper::tests::{Site, actor, ask, who};
use crate::gallery::report::{Receipt, Rotated};
use crate::gallery::store::StoredSigner;
use crate::gallery::succession::{self, Succession};
use crate::types::ids::TemplateId;

const FLIPS: usize = 10_000;

/// Every column that holds something of the gallery's content or keys; the last words pick the rows.
const COLUMNS: [(&str, &str, &str); 37] = [
    ("identities", "id", ""),
    ("identities", "revision", ""),
    ("identities", "standing", ""),
    ("identities", "external_tag", "WHERE external_tag NOT NULL"),
    ("identities", "created", ""),
    ("identities", "wrapped_key", ""),
    ("identities", "record", ""),
    ("templates", "id", ""),
    ("templates", "identity", ""),
    ("templates", "model_id", ""),
    ("templates", "quality", ""),
    ("templates", "created", ""),
    ("templates", "source_tag", ""),
    ("templates", "sealed", ""),
    ("crops", "identity", ""),
    ("crops", "source_tag", ""),
    ("crops", "sealed", ""),
    ("lists", "name", ""),
    ("lists", "sealed", ""),
    ("keys", "name", ""),
    ("keys", "wrapped", ""),
    ("settings", "key", ""),
    ("settings", "value", ""),
    ("meta", "key", ""),
    ("meta", "value", ""),
    ("signers", "key", ""),
    ("signers", "label", ""),
    ("signers", "added", ""),
    ("signers", "generation", "WHERE generation NOT NULL"),
    ("signers", "trusted", ""),
    ("forgotten", "identity", ""),
    ("forgotten", "external_tag", "WHERE external_tag NOT NULL"),
    ("forgotten", "at", ""),
    ("forgotten", "templates", ""),
    ("schema_version", "applied", ""),
    ("totals", "name", ""),
    ("totals", "mac", ""),
];

/// Tables that are read as a whole, when the store is opened.
const WHOLE: [&str; 7] = ["keys", "settings", "meta", "signers", "forgotten", "schema_version", "totals"];

#[derive(Default, Debug, Clone, Copy)]
struct Tally {
    refused: u32,
    error: u32,
    told: u32,
    missed: u32,
}

/// A row before it is changed.
struct Target {
    table: &'static str,
    column: &'static str,
    /// What finds the row: its primary key.
    key: Vec<(&'static str, Value)>,
    old: Value,
}

fn primary_key(table: &str) -> &'static [&'static str] {
    match table {
        "crops" => &["identity", "source_tag"],
        "lists" | "keys" | "totals" => &["name"],
        "schema_version" => &["version"],
        "settings" | "signers" | "meta" => &["key"],
        "forgotten" => &["identity"],
        _ => &["id"],
    }
}

fn targets(
    connection: &Connection,
    (table, column, rows): (&'static str, &'static str, &str),
) -> Vec<Target> {
    let key = primary_key(table);
    let sql = format!("SELECT {column}, {} FROM {table} {rows}", key.join(", "));
    let mut statement = connection.prepare(&sql).expect("a query");
    let all = statement.query_map([], |row| {
        let named = key.iter().zip(1..).map(|(name, at)| Ok((*name, row.get(at)?)));
        Ok(Target { table, column, old: row.get(0)?, key: named.collect::<rusqlite::Result<_>>()? })
    });
    all.expect("rows").map(|row| row.expect("a row")).collect()
}

/// The value with one bit changed. A word that only a few may be becomes another of them.
fn flipped(target: &Target, rng: &mut fastrand::Rng) -> Value {
    let flip = |bytes: &mut [u8], bits: usize, rng: &mut fastrand::Rng| {
        let at = rng.usize(..bytes.len());
        bytes[at] ^= 1 << rng.usize(..bits);
    };
    match &target.old {
        Value::Text(word) if target.column == "standing" => {
            let others: Vec<&str> =
                ["pending", "active", "expired"].into_iter().filter(|other| other != word).collect();
            Value::Text(others[rng.usize(..others.len())].to_owned())
        }
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            flip(&mut bytes, 7, rng);
            Value::Text(String::from_utf8(bytes).expect("ASCII"))
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            flip(&mut bytes, 8, rng);
            Value::Blob(bytes)
        }
        Value::Integer(n) => Value::Integer(n ^ (1 << rng.u32(..63))),
        Value::Real(x) => Value::Real(f64::from_bits(x.to_bits() ^ (1 << rng.u32(..64)))),
        Value::Null => panic!("{}.{} is empty", target.table, target.column),
    }
}

/// Puts `value` into the row that `key` finds. False if SQLite refuses, or keeps what was there.
fn put(connection: &Connection, target: &Target, key: &[(&'static str, Value)], value: &Value) -> bool {
    let found = key
        .iter()
        .zip(2..)
        .map(|((name, _), at)| format!("{name} = ?{at}"))
        .collect::<Vec<_>>()
        .join(" AND ");
    let values = || params_from_iter(std::iter::once(value).chain(key.iter().map(|(_, value)| value)));
    let sql = format!("UPDATE {} SET {} = ?1 WHERE {found}", target.table, target.column);
    let changed = connection.prepare_cached(&sql).expect("a statement").execute(values());
    matches!(changed, Ok(1))
}

impl Target {
    /// Its key while it holds `value`.
    fn key_with(&self, value: &Value) -> Vec<(&'static str, Value)> {
        let with = |(name, old): &(&'static str, Value)| {
            (*name, if *name == self.column { value.clone() } else { old.clone() })
        };
        self.key.iter().map(with).collect()
    }

    fn id(&self, value: &Value) -> Option<uuid::Uuid> {
        let Value::Blob(bytes) = value else { return None };
        uuid::Uuid::from_slice(bytes).ok()
    }
}

struct Bench<'a> {
    keeper: &'a Keeper,
    master: crate::gallery::crypt::Key,
    owners: BTreeMap<TemplateId, IdentityId>,
}

impl Bench<'_> {
    /// The way the program reads what the row belongs to.
    fn reading(&self, target: &Target) -> Result<()> {
        let key_of =
            |id: IdentityId| self.keeper.directory.expect(id).map(|entry| entry.identity.key.clone());
        let id = target.key.first().and_then(|(_, value)| target.id(value));
        if WHOLE.contains(&target.table) {
            let store = Store::open_read_only(self.keeper.store.path(), &self.master)?;
            return store.read(|tables| {
                let _ = (tables.signers()?, tables.forgotten()?, tables.generation()?);
                let _ = (read_model(tables)?, Succession::read(tables)?);
                Ok(())
            });
        }
        self.keeper.store.read(|tables| {
            match (target.table, id) {
                ("identities", _) => drop(tables.identities()?),
                ("lists", _) => drop(tables.lists()?),
                ("templates", Some(id)) => {
                    let owner = self.owners[&TemplateId(id)];
                    tables.templates_of(owner, &key_of(owner)?)?;
                    if target.column == "identity" {
                        Directory::read(tables)?;
                    }
                }
                ("crops", Some(id)) => {
                    let (_, Value::Blob(tag)) = &target.key[1] else { panic!("a tag") };
                    let owner = IdentityId(id);
                    tables.crop(owner, &key_of(owner)?, tag.as_slice().try_into().expect("32 bytes"))?;
                    Directory::read(tables)?;
                }
                other => panic!("{other:?}"),
            }
            Ok(())
        })
    }

    /// What `verify` says of the rows, without a look at what is in memory.
    fn problems(&self) -> Vec<String> {
        let (mut ignore, keeper) = (|_| {}, self.keeper);
        let mut look = Look::new(&mut ignore);
        let read = keeper.store.read(|tables| {
            look.at_rows(tables, &keeper.model, &keeper.tombstones);
            Ok(())
        });
        look.note("the store", read);
        look.end(String::new()).problems
    }

    fn judge(&self, target: &Target, new: &Value) -> Tally {
        if self.reading(target).is_err() {
            return Tally { error: 1, ..Tally::default() };
        }
        let ids = [target.key[0].1.clone(), target.key_with(new)[0].1.clone()].map(|v| target.id(&v));
        let named = |problem: &String| ids.iter().flatten().any(|id| problem.contains(&id.to_string()));
        match self.problems().iter().any(named) {
            true => Tally { told: 1, ..Tally::default() },
            false => Tally { missed: 1, ..Tally::default() },
        }
    }
}

/// What stands beside people: signers, and a model that was switched.
fn beside(keeper: &mut Keeper) {
    let mut change = ChangeSet::default();
    for number in 1..=3u8 {
        change.signers.push(StoredSigner {
            key: [number; 32],
            label: format!("box {number}"),
            added: keeper.clock.now().wall,
            generation: Some(u64::from(number) * 1000),
            trusted: true,
        });
    }
    let switch = Succession {
        from: ModelId([2; 32]),
        from_manifest: Some("/models/before.toml".into()),
        to: keeper.model.id,
        to_manifest: "/models/after.toml".into(),
    };
    change.settings.push((succession::SETTING, Some(switch.text().expect("JSON"))));
    keeper.commit(&actor(), change).expect("stored");
}

#[test]
fn no_flipped_bit_of_what_is_stored_is_ever_read_as_another_value() {
    let mut site = Site::new();
    let mut keeper = fixture::open(&site);
    let People { ids } = fixture::fill(&mut site, &mut keeper, 60, 4);
    beside(&mut keeper);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who(&ids[59].to_string()), reason: None }, &[]);
    // So that there are older keys.
    ask::<Rotated>(&mut keeper, Command::KeyRotate { key: None, deep: true }, &[]);
    assert_eq!(keeper.directory.expect(ids[0]).expect("there").identity.older.len(), 1);
    let entries = keeper.directory.iter().flat_map(|entry| &entry.templates);
    let owners = entries.map(|row| (row.id, row.identity)).collect();
    let master = master::load(&keeper.key_source).expect("a key");
    let bench = Bench { keeper: &keeper, master, owners };
    assert_eq!(bench.problems(), [""; 0]);

    let connection = Connection::open(site.path()).expect("a database");
    for (pragma, value) in [("foreign_keys", 0), ("synchronous", 0)] {
        connection.pragma_update(None, pragma, value).expect("set");
    }
    let columns: Vec<Vec<Target>> = COLUMNS.iter().map(|column| targets(&connection, *column)).collect();
    for target in columns.iter().flatten() {
        let read = bench.reading(target);
        assert!(read.is_ok(), "as it was written: {}", read.expect_err("an error").chain());
    }
    let mut tallies: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
    let mut rng = fastrand::Rng::with_seed(20_260_301);
    for flip in 0..FLIPS {
        let rows = &columns[flip % columns.len()];
        let target = &rows[rng.usize(..rows.len())];
        let new = flipped(target, &mut rng);
        let tally = tallies.entry((target.table, target.column)).or_default();
        if !put(&connection, target, &target.key, &new) {
            tally.refused += 1;
            continue;
        }
        let found = bench.judge(target, &new);
        tally.error += found.error;
        tally.told += found.told;
        tally.missed += found.missed;
        assert!(put(&connection, target, &target.key_with(&new), &target.old), "put back");
    }
    eprintln!("{:24} {:>7} {:>7} {:>7} {:>7}", "column", "refused", "error", "told", "missed");
    let mut all = Tally::default();
    for ((table, column), t) in &tallies {
        eprintln!(
            "{:24} {:>7} {:>7} {:>7} {:>7}",
            format!("{table}.{column}"),
            t.refused,
            t.error,
            t.told,
            t.missed
        );
        all = Tally {
            refused: all.refused + t.refused,
            error: all.error + t.error,
            told: all.told + t.told,
            missed: all.missed + t.missed,
        };
    }
    eprintln!("{:24} {:>7} {:>7} {:>7} {:>7}", "all", all.refused, all.error, all.told, all.missed);
    assert_eq!(bench.problems(), [""; 0], "everything was put back");
    assert_eq!(all.missed, 0, "{tallies:#?}");
    let tried = all.error + all.told;
    assert!(tried as usize > FLIPS * 9 / 10, "only {tried} flips could be stored");
}
