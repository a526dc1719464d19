//! Planting into a copy of what was written, and looking whether all of it is found there.
//!
//! ```text
//!  place          what lies around a seed
//!  file           random bytes, at an odd offset
//!  log            a line of the real log
//!  event          a field of a line of the real events (text only)
//!  row            a row of a table of the real gallery, a blob or a text
//! ```

use std::ops::Range;
use std::path::Path;

use super::places::{self, Thing};
use super::plant::Seed;
use super::{Finding, Searcher, What};

/// A seed in a place.
struct Sown<'a> {
    seed: &'a Seed,
    place: &'static str,
    thing: usize,
    at: Range<usize>,
}

/// Plants every seed in each place of the copy at `root` and searches there. A line for each encoding, with the places it was
/// found in; an error names those where it was missed.
pub fn try_all(searcher: &Searcher, root: &Path, seeds: &[Seed], who: &str) -> Result<String, String> {
    let read = |name: &str| std::fs::read(root.join(name)).expect("written by the daemon");
    let mut random = fastrand::Rng::with_seed(3);
    let mut things = [
        Thing::new("file", []),
        Thing::new("log", read("outputs/log")),
        Thing::new("events", read("events.jsonl")),
    ];
    let mut sown = Vec::new();
    for seed in seeds {
        let noise: Vec<u8> = (0..1501).map(|_| random.u8(..)).collect();
        let odd = usize::from(things[0].bytes.len().is_multiple_of(2));
        let before: [&[u8]; 3] = [
            &noise[odd..],
            b"2026-03-01T08:00:20.000000Z TRACE watchlistd::infer: embedded camera=door value=",
            b"{\"specversion\":\"1.0\",\"data\":{\"camera\":\"door\",\"value\":\"",
        ];
        for (thing, place) in ["file", "log", "event"].into_iter().enumerate() {
            if place == "event" && !seed.is_text() {
                continue;
            }
            let bytes = &mut things[thing].bytes;
            bytes.extend_from_slice(before[thing]);
            let at = bytes.len()..bytes.len() + seed.bytes.len();
            bytes.extend_from_slice(&seed.bytes);
            bytes.extend_from_slice(if place == "event" { b"\"}}\n" } else { b"\n" });
            sown.push(Sown { seed, place, thing, at });
        }
    }
    let mut things = Vec::from(things);
    for (row, seed) in rows(root, seeds).into_iter().zip(seeds) {
        sown.push(Sown { seed, place: "row", thing: things.len(), at: 0..row.bytes.len() });
        things.push(row);
    }
    let numbered: Vec<(usize, Thing)> = things.into_iter().enumerate().collect();
    let found = searcher.look_through(&numbered, |(_, thing)| &thing.bytes);
    report(
        seeds,
        &sown,
        &found.iter().map(|((thing, _), finding)| (*thing, finding)).collect::<Vec<_>>(),
        who,
    )
}

/// The seeds in a table of the gallery, read back from it.
fn rows(root: &Path, seeds: &[Seed]) -> Vec<Thing> {
    let path = root.join("gallery.db");
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute_batch("CREATE TABLE planted (value)").expect("a table");
    for seed in seeds {
        let insert = "INSERT INTO planted VALUES (?1)";
        match std::str::from_utf8(&seed.bytes) {
            Ok(text) if seed.is_text() => connection.execute(insert, [text]),
            _ => connection.execute(insert, [&seed.bytes]),
        }
        .expect("a row");
    }
    drop(connection);
    let values = places::values(&path).into_iter().filter(|value| value.table == "planted");
    values.map(|value| Thing::new(format!("row {}", value.row), value.bytes)).collect()
}

fn report(
    seeds: &[Seed],
    sown: &[Sown<'_>],
    found: &[(usize, &Finding)],
    who: &str,
) -> Result<String, String> {
    let (mut lines, mut missed) = (String::new(), Vec::new());
    for seed in seeds {
        let mut places = Vec::new();
        for place in sown.iter().filter(|sown| std::ptr::eq(sown.seed, seed)) {
            let here = found.iter().filter(|(thing, finding)| {
                *thing == place.thing && finding.at.start < place.at.end && place.at.start < finding.at.end
            });
            let score = here.filter_map(|(_, finding)| fits(finding, seed, who)).max_by(f32::total_cmp);
            match score {
                Some(score) if score > 0.0 => places.push(format!("{} {score:.2}", place.place)),
                Some(_) => places.push(place.place.to_owned()),
                None => missed.push(format!("{} ({})", seed.name, place.place)),
            }
        }
        let what = if seed.template { "template" } else { "crop" };
        lines += &format!("{what:<9} {:<36} {}\n", seed.name, places.join(", "));
    }
    if missed.is_empty() { Ok(lines) } else { Err(format!("planted and not found: {}", missed.join("; "))) }
}

/// Whether this is what was planted: somebody's vector has to be found as that person's. The similarity, or 0 for what has none.
fn fits(finding: &Finding, seed: &Seed, who: &str) -> Option<f32> {
    let anybodys = !seed.template || seed.name == "f32's bytes in decimal";
    match &finding.what {
        What::Vector { of: Some((of, score)), .. } if of == who => Some(*score),
        What::Vector { .. } | What::Picture(_) | What::Pixels if anybodys => Some(0.0),
        _ => None,
    }
}
