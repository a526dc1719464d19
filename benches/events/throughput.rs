//! Accepted events a second, each way in turns.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use watchlistd::events::Event;

use super::{Site, quantile, recognition};

/// Turns of each; the middle one counts.
const TURNS: usize = 5;
/// Events of a turn that waits for the disk at each event, and of one that does not.
const FEW: usize = 400;
const MANY: usize = 8_000;
/// Threads that wait for each of their events at the same time: cameras of a busy box.
const THREADS: usize = 16;

/// A way to bring events to the disk.
struct Way {
    name: &'static str,
    events: usize,
    run: fn(&[Event]) -> f64,
}

const WAYS: [Way; 5] = [
    Way { name: "plain SQLite, a commit an event", events: FEW, run: |events| plain(events, 1) },
    Way { name: "event log, one thread that waits for each", events: FEW, run: each },
    Way { name: "event log, 16 threads that wait for each", events: MANY / 2, run: together },
    Way { name: "plain SQLite, a commit for 256", events: MANY, run: |events| plain(events, 256) },
    Way { name: "event log, as fast as it takes them", events: MANY, run: stream },
];

pub fn run() {
    let example = recognition();
    let mut seconds: Vec<Vec<f64>> = WAYS.iter().map(|_| Vec::new()).collect();
    for _ in 0..TURNS {
        for (way, seconds) in WAYS.iter().zip(&mut seconds) {
            let events = another(&example, way.events);
            seconds.push((way.run)(&events));
        }
    }
    let rates: Vec<f64> = WAYS
        .iter()
        .zip(&mut seconds)
        .map(|(way, seconds)| way.events as f64 / quantile(seconds, 0.5))
        .collect();
    println!("accepted events a second, the middle of {TURNS} turns");
    for (way, rate) in WAYS.iter().zip(&rates) {
        println!("  {:<44} {rate:>9.0}", way.name);
    }
    let ratio = |a: usize, b: usize| rates.get(a).zip(rates.get(b)).map_or(f64::NAN, |(a, b)| a / b);
    println!("  event log / plain SQLite, a wait for the disk an event   {:.2}", ratio(1, 0));
    println!("  event log / plain SQLite, 256 events a wait              {:.2}", ratio(4, 3));
    println!("  group commit of 16 threads / plain SQLite, an event each {:.2}", ratio(2, 0));
}

fn another(example: &Event, count: usize) -> Vec<Event> {
    (0..count).map(|_| Event { id: uuid::Uuid::now_v7(), ..example.clone() }).collect()
}

/// The same durability without anything else: WAL, `synchronous=FULL`, one row of JSON an event.
fn plain(events: &[Event], at_once: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = table(folder.path());
    let begun = Instant::now();
    for group in events.chunks(at_once) {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        let mut insert =
            connection.prepare_cached("INSERT INTO events (body) VALUES (?1)").expect("prepared");
        for event in group {
            insert.execute([event.to_line()]).expect("inserted");
        }
        drop(insert);
        connection.execute_batch("COMMIT").expect("committed");
    }
    begun.elapsed().as_secs_f64()
}

fn table(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("plain.db")).expect("opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE events (sequence INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;",
        )
        .expect("made");
    connection
}

fn each(events: &[Event]) -> f64 {
    let site = Site::new(&[]);
    let begun = Instant::now();
    for event in events {
        site.log.accept(event.clone()).expect("accepted");
    }
    let seconds = begun.elapsed().as_secs_f64();
    site.finish();
    seconds
}

fn together(events: &[Event]) -> f64 {
    let site = Site::new(&[]);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for part in events.chunks(events.len().div_ceil(THREADS)) {
            let log = Arc::clone(&site.log);
            scope.spawn(move || {
                for event in part {
                    log.accept(event.clone()).expect("accepted");
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let stats = &site.stats.events;
    println!(
        "  (16 threads: {} events in {} commits)",
        stats.accepted.get().max(events.len() as u64),
        stats.commits.get()
    );
    site.finish();
    seconds
}

fn stream(events: &[Event]) -> f64 {
    let site = Site::new(&[]);
    let begun = Instant::now();
    for event in events {
        assert!(site.log.submit(event.clone()), "the queue has room in time");
    }
    assert!(site.log.settle(Duration::from_secs(60)), "all of it is on the disk");
    let seconds = begun.elapsed().as_secs_f64();
    site.finish();
    seconds
}
