//! Tests of the log as a whole, over logs made by chance.

mod head_file;
mod honest;
mod problems;
mod queries;
mod tamper;
mod tampering;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::base::error::Result;
use crate::gallery::command::Actor;
use crate::gallery::crypt::Key;
use crate::gallery::record::Standing;
use crate::types::ids::IdentityId;

fn key(fill: u8) -> Key {
    Key::from_bytes(&[fill; 32]).expect("32 bytes")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn actor() -> Actor {
    Actor("root".to_owned())
}

fn ok(rows: &[Row]) -> impl Iterator<Item = Result<Row>> {
    rows.iter().cloned().map(Ok)
}

fn named(name: &str) -> SealedPart {
    SealedPart { name: name.to_owned(), external_id: None, more: serde_json::Map::new() }
}

/// Somebody entries are about.
struct Person {
    id: IdentityId,
    key: Key,
    name: String,
}

fn people(count: usize) -> Vec<Person> {
    let person = |i| Person {
        id: IdentityId::generate(),
        key: Key::generate().expect("random"),
        name: format!("Person {i}"),
    };
    (0..count).map(person).collect()
}

/// So many entries more, of all kinds, some with names.
fn extend(chain: &mut Chain, rows: &mut Vec<Row>, people: &[Person], count: usize, rng: &mut Rng) {
    for _ in 0..count {
        let at = time("2026-01-01T00:00:00Z") + SignedDuration::from_mins(rows.len() as i64);
        let action = Action::ALL[rng.usize(..Action::ALL.len())];
        let draft = Draft::new(action).with("note", rng.u64(..).to_string());
        let row = if rng.u8(..3) == 0 {
            chain.append(at, &actor(), rng.u64(..1000), draft, None)
        } else {
            let person = &people[rng.usize(..people.len())];
            let draft = draft.about(person.id, named(&person.name)).member(["watchlist"], Standing::Active);
            chain.append(at, &actor(), rng.u64(..1000), draft, Some(&person.key))
        };
        rows.push(row.expect("appended"));
    }
}

fn log(count: usize) -> Vec<Row> {
    let (mut chain, mut rows) = (Chain::resume(key(1), None), Vec::new());
    extend(&mut chain, &mut rows, &people(3), count, &mut Rng::with_seed(count as u64));
    rows
}

fn head_of(row: &Row) -> Head {
    Head { count: row.sequence, mac: row.mac }
}
