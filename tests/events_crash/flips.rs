//! One bit changed anywhere in the file, or in its write-ahead log: what alters an event is found with its range and never
//! delivered, what breaks the file costs only what nobody can read any more, and what alters no event is harmless.
//!
//! ```text
//!   a whole log ─▶ copy, one bit changed ─┬▶ SQLite alone: which rows are as they were       (what has to be delivered)
//!                                         └▶ `verify`, then the log: what is delivered, what is told as lost
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;
use watchlistd::base::clock::SimulatedClock;
use watchlistd::base::error::Kind;
use watchlistd::events::log::{EventLog, Head, Item, Seen, verify};
use watchlistd::events::{Data, Event};

use crate::faults::quick_folder;
use crate::site::{People, Site, finish, key, sink};
use crate::{Counts, copy_folder, how_many, seed};

/// What became of it: the two that every kind of harm has.
const HARMLESS: &str = "altered no event: everything is delivered";
const TOLD: &str = "broke the file: what can be read goes on in a new epoch, the rest is told with its range";

const DAY: u64 = 86_400;
/// How far each sink is.
const CURSORS: [(&str, u64); 3] = [("needed", 200), ("second", 100), ("third", 0)];
const LAST: u64 = 304;

fn site(days: u64) -> Site {
    let clock = SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("a time"));
    clock.advance(Duration::from_secs(days * DAY));
    let mut site = Site::new(Arc::new(clock));
    site.sinks = CURSORS.map(|(name, _)| sink(name, name == "needed")).to_vec();
    // Whoever begins anew begins at the end: where a cursor is lost, that must not happen.
    site.sinks.iter_mut().for_each(|sink| sink.from_oldest = false);
    let days = |n: u64| Duration::from_secs(n * DAY);
    site.rules.keep = days(30);
    site.rules.lists = [("vip".to_owned(), days(90)), ("gate".to_owned(), days(1))].into();
    site
}

/// An event as it was accepted, without its place.
fn content(event: &Event) -> serde_json::Value {
    let mut json: serde_json::Value = serde_json::from_str(&event.to_line()).expect("JSON");
    for field in ["log", "sequence", "of_log"] {
        json["data"][field] = serde_json::Value::Null;
    }
    json
}

fn fill(log: &EventLog, site: &Site, count: u64) {
    for n in 0..count {
        let event = match n % 5 {
            0 => site.recognized(0, &["vip"]),
            1 => site.recognized(1, &["gate"]),
            _ => site.event(),
        };
        log.accept(event).expect("accepted");
    }
}

fn settle(log: &EventLog) {
    // What the writer looks after behind the first is done before the second.
    (0..2).for_each(|_| assert!(log.settle(Duration::from_secs(60))));
}

fn had(log: &EventLog, name: &str, sequence: u64, dead: Vec<(u64, String)>) {
    assert!(log.reading().had(&Arc::from(name), sequence, dead));
}

/// A log of some three hundred events, with names, what retention took, a loss, cursors and a dead letter.
fn whole_log(folder: &Path) {
    let first = site(0);
    let log = first.open(folder).expect("opens");
    for (name, _) in CURSORS {
        had(&log, name, 0, Vec::new());
    }
    fill(&log, &first, 60);
    had(&log, "needed", 50, Vec::new());
    finish(log);
    // Two days later what is of the list with one day goes.
    let later = site(2);
    let log = later.open(folder).expect("opens");
    fill(&log, &later, 4);
    settle(&log);
    let raw = Connection::open(folder.join("events.db")).expect("opens");
    assert_eq!(
        raw.execute("UPDATE events SET at = at + 1 WHERE sequence IN (29, 30)", []).expect("changed"),
        2
    );
    for _ in 0..3 {
        let _ = log.reading().after(log.state().epoch, 0, 1000).expect("read");
        settle(&log);
    }
    drop(raw);
    fill(&log, &later, LAST - 64);
    for (name, sequence) in CURSORS {
        let dead = if name == "needed" { vec![(130, "refused".to_owned())] } else { Vec::new() };
        had(&log, name, sequence, dead);
    }
    finish(log);
    // What was delivered meanwhile goes at the next start, and nothing more after that.
    let log = later.open(folder).expect("opens");
    settle(&log);
    finish(log);
}

/// What stands in the log before any harm.
struct Whole {
    epoch: Uuid,
    /// Events by id: where they stand, and what they say.
    events: HashMap<Uuid, (u64, serde_json::Value)>,
    /// Every row as SQLite has it, by its sequence.
    rows: BTreeMap<u64, Vec<Value>>,
    head: Head,
}

impl Whole {
    fn of(folder: &Path) -> Self {
        let copy = quick_folder();
        copy_folder(folder, copy.path());
        let log = site(2).open(copy.path()).expect("opens");
        let seen = everything(&log);
        let epoch = log.state().epoch;
        let event = |item: &Item| match item {
            Item::Event { sequence, event, .. } => Some((event.id, (*sequence, content(event)))),
            Item::Gone { .. } => None,
        };
        let events = seen.iter().filter_map(event).collect();
        finish(log);
        let raw = Connection::open(copy.path().join("events.db")).expect("opens");
        let mut statement =
            raw.prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY sequence")).expect("a query");
        let rows = statement.query_map([], |row| {
            let values: Vec<Value> = (0..9).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
            let Value::Integer(sequence) = values[0] else { panic!("a number") };
            Ok((sequence as u64, values))
        });
        let rows = rows.expect("rows").map(|row| row.expect("a row")).collect();
        drop(statement);
        Self { epoch, events, rows, head: head(copy.path()) }
    }

    /// Where events stand.
    fn places(&self) -> BTreeSet<u64> {
        self.events.values().map(|(sequence, _)| *sequence).collect()
    }
}

const COLUMNS: &str = "sequence, first, at, kind, lists, identity, body, personal, mac";

/// What was written down elsewhere about the end of the log.
fn head(folder: &Path) -> Head {
    let text = std::fs::read_to_string(folder.join("events.head")).expect("a head");
    text.lines()
        .filter_map(|line| line.trim().parse::<Head>().ok())
        .max_by_key(|head| head.last)
        .expect("a head")
}

/// All that the log gives, once it gives all of it.
fn everything(log: &EventLog) -> Vec<Item> {
    for _ in 0..100 {
        let Seen { state, items, until } = match log.reading().after(log.state().epoch, 0, 10_000) {
            Ok(seen) => seen,
            Err(_) => {
                settle(log);
                continue;
            }
        };
        if until >= state.last && state.epoch == log.state().epoch {
            return items;
        }
        // The writer puts a loss event in the place of what is damaged.
        settle(log);
    }
    panic!("it never comes to an end")
}

/// What SQLite alone reads of the rows.
struct Raw {
    /// As they were.
    same: BTreeSet<u64>,
    /// Something else.
    other: BTreeSet<u64>,
}

fn raw(folder: &Path, whole: &Whole) -> Raw {
    let mut raw = Raw { same: BTreeSet::new(), other: BTreeSet::new() };
    let Ok(connection) =
        Connection::open_with_flags(folder.join("events.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)
    else {
        return raw;
    };
    for (sequence, before) in &whole.rows {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE sequence = ?1");
        let read = connection.prepare_cached(&sql).and_then(|mut query| {
            query.query_row([*sequence as i64], |row| {
                // Text that is no text was changed.
                let value = |at| row.get(at).or(Ok(Value::Null));
                (0..9).map(value).collect::<rusqlite::Result<Vec<Value>>>()
            })
        });
        match read {
            Ok(values) if values == *before => drop(raw.same.insert(*sequence)),
            Ok(_) => drop(raw.other.insert(*sequence)),
            Err(_) => {}
        }
    }
    // Where a changed row has taken another's number, the other one lies behind it.
    let scanned = scanned(&connection);
    raw.other.retain(|sequence| !scanned.contains(&whole.rows[sequence]));
    raw
}

/// Every row that a walk from the first to the last comes by, as far as it comes.
fn scanned(connection: &Connection) -> Vec<Vec<Value>> {
    let Ok(mut query) = connection.prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY sequence")) else {
        return Vec::new();
    };
    let values = |row: &rusqlite::Row<'_>| {
        (0..9).map(|at| row.get(at).or(Ok(Value::Null))).collect::<rusqlite::Result<Vec<Value>>>()
    };
    query.query_map([], values).map(|rows| rows.map_while(Result::ok).collect()).unwrap_or_default()
}

/// What became of a log with a flipped bit; or what is wrong. `twice`: it is started once more, and says the same.
fn judge(folder: &Path, whole: &Whole, twice: bool) -> Result<&'static str, String> {
    let copy = quick_folder();
    copy_folder(folder, copy.path());
    let raw = raw(copy.path(), whole);
    judge_verify(folder, whole, &raw)?;
    let log = site(2).open(folder).map_err(|e| format!("does not open: {:?} {}", e.kind(), e.chain()))?;
    settle(&log);
    let items = everything(&log);
    let verdict = judge_items(&log, &items, whole, &raw);
    finish(log);
    let told = verdict?;
    if !twice {
        return Ok(told);
    }
    let log = site(2).open(folder).map_err(|e| format!("does not open again: {}", e.chain()))?;
    settle(&log);
    let again = everything(&log) == items;
    finish(log);
    if again { Ok(told) } else { Err("says something else at the second start".to_owned()) }
}

/// `events verify` finds what was altered, and nothing else.
fn judge_verify(folder: &Path, whole: &Whole, raw: &Raw) -> Result<(), String> {
    match verify(&folder.join("events.db"), &key(), &People, Some(whole.head)) {
        Err(error) if matches!(error.kind(), Kind::Data | Kind::Config) => Ok(()),
        Err(error) => Err(format!("verify: {:?} {}", error.kind(), error.chain())),
        Ok(seen) => {
            let found = |n: &u64| seen.damaged.iter().any(|(first, last)| (first..=last).contains(&n));
            if let Some(missed) = raw.other.iter().find(|n| !found(n)) {
                return Err(format!("verify does not find {missed}: {:?}", seen.damaged));
            }
            if seen.cut != (seen.state.last < whole.head.last) {
                return Err(format!("verify says cut: {}, the last is {}", seen.cut, seen.state.last));
            }
            match raw.same.iter().find(|n| found(n)) {
                Some(more) if raw.same.len() + raw.other.len() == whole.rows.len() => {
                    Err(format!("verify finds {more}, which is whole"))
                }
                _ => Ok(()),
            }
        }
    }
}

fn judge_items(log: &EventLog, items: &[Item], whole: &Whole, raw: &Raw) -> Result<&'static str, String> {
    let mut delivered: BTreeMap<u64, u64> = BTreeMap::new();
    let mut told: Vec<(u64, u64)> = Vec::new();
    let same_epoch = log.state().epoch == whole.epoch;
    for item in items {
        let Item::Event { sequence, event, .. } = item else { continue };
        match whole.events.get(&event.id) {
            Some((old, before)) => {
                if *before != content(event) {
                    return Err(format!("{old} is delivered, and was altered"));
                }
                if let Data::Lost(lost) = &event.data
                    && lost.of_log != (!same_epoch).then_some(whole.epoch)
                {
                    return Err(format!("{old} tells of the numbers of another epoch: {lost:?}"));
                }
                if delivered.keys().next_back().is_some_and(|last| last >= old) {
                    return Err(format!("{old} comes again, or late"));
                }
                delivered.insert(*old, *sequence);
            }
            None => {
                let Data::Lost(lost) = &event.data else {
                    return Err(format!("{sequence} is an event that never was"));
                };
                let of_old =
                    if same_epoch { lost.of_log.is_none() } else { lost.of_log == Some(whole.epoch) };
                match (lost.first.zip(lost.last), of_old) {
                    (Some(range), true) => told.push(range),
                    _ => return Err(format!("a loss without its range: {lost:?}")),
                }
            }
        }
    }
    let is_told = |n: &u64| told.iter().any(|(first, last)| (first..=last).contains(&n));
    for n in whole.places() {
        match (delivered.contains_key(&n), is_told(&n)) {
            (true, true) => return Err(format!("{n} is delivered, and told as lost: {told:?}")),
            (false, false) => return Err(format!("{n} is neither delivered nor told as lost: {told:?}")),
            (true, false) if raw.other.contains(&n) => return Err(format!("the row of {n} was altered")),
            (false, true) if raw.same.contains(&n) => {
                return Err(format!("{n} can be read, and is lost: {told:?}"));
            }
            _ => {}
        }
    }
    for (sink, before) in CURSORS {
        let cursor = log.reading().cursor(sink).ok_or_else(|| format!("{sink} has no cursor"))?;
        if let Some((old, new)) = delivered.range(before + 1..).find(|(_, new)| **new <= cursor) {
            return Err(format!(
                "{sink} had {before}, is at {cursor}, and never gets {old}, which is {new} now"
            ));
        }
    }
    Ok(match (same_epoch, told.is_empty()) {
        (true, true) => HARMLESS,
        (true, false) => "altered an event: found with its range, not delivered",
        (false, true) => "broke the file: every event goes on in a new epoch",
        (false, false) => TOLD,
    })
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = std::fs::read(path).expect("readable");
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).expect("written");
}

/// Flips bits of `file`, each in a copy of its own.
fn flip_all(folder: &Path, file: &str, bits: &[usize], whole: &Whole) -> (Counts, Vec<String>) {
    let (next, counts, wrong) = (AtomicUsize::new(0), Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(bit) = bits.get(next.fetch_add(1, Ordering::Relaxed)) {
            let copy = quick_folder();
            copy_folder(folder, copy.path());
            flip(&copy.path().join(file), *bit);
            match judge(copy.path(), whole, bit % 3 == 0) {
                Ok(what) => counts.lock().expect("whole").count(what),
                Err(error) => wrong.lock().expect("whole").push(format!(
                    "bit {} of byte {} on page {} of {file}: {error}",
                    bit % 8,
                    bit / 8 % 4096,
                    bit / 8 / 4096 + 1
                )),
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    (counts.into_inner().expect("whole"), wrong.into_inner().expect("whole"))
}

fn random_bits(path: &Path, count: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    let size = std::fs::metadata(path).expect("there").len() as usize * 8;
    (0..count).map(|_| rng.usize(..size)).collect()
}

#[test]
fn a_flipped_bit_of_the_file_is_found_or_harmless_and_no_altered_event_is_delivered() {
    let folder = quick_folder();
    whole_log(folder.path());
    let whole = Whole::of(folder.path());
    assert!(!folder.path().join("events.db-wal").exists(), "it is in the file");
    assert!(whole.events.len() > 250 && whole.rows.len() > whole.events.len(), "{}", whole.events.len());
    let mut rng = fastrand::Rng::with_seed(seed());
    let file = folder.path().join("events.db");
    let count = how_many("WATCHLISTD_FLIPS", 300) * 4 / 5;
    let bits = random_bits(&file, count, &mut rng);
    let (counts, wrong) = flip_all(folder.path(), "events.db", &bits, &whole);
    let pages = file.metadata().expect("there").len() / 4096;
    counts.print(&format!(
        "{count} bits flipped in a file of {pages} pages, {} events; wrong {}",
        whole.events.len(),
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{} of {count}: {:#?}", wrong.len(), &wrong[..wrong.len().min(12)]);
    // One flip in eighty breaks the file and costs nothing.
    let kinds = if count < 1_000 { 3 } else { 4 };
    assert!(counts.0.len() >= kinds, "each kind");
}

/// The first page says how to read all the others.
#[test]
fn a_flipped_bit_of_the_first_page_costs_no_event() {
    let folder = quick_folder();
    whole_log(folder.path());
    let whole = Whole::of(folder.path());
    let mut rng = fastrand::Rng::with_seed(seed());
    let header = (0..100 * 8).step_by(if how_many("WATCHLISTD_FLIPS", 0) > 0 { 1 } else { 11 });
    let page = (0..how_many("WATCHLISTD_FLIPS", 300) / 10).map(|_| rng.usize(..4096 * 8));
    let bits: Vec<usize> = header.chain(page).collect();
    let (counts, wrong) = flip_all(folder.path(), "events.db", &bits, &whole);
    counts.print(&format!("{} bits flipped in the first page; wrong {}", bits.len(), wrong.len()));
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), bits.len(), &wrong[..wrong.len().min(12)]);
}

/// Where the bytes in use of a small table or index lie in the file: its root page's header with the places of the cells, and the cells.
fn used_bits(file: &Path, name: &str) -> Vec<usize> {
    let connection = Connection::open(file).expect("opens");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u32 = connection.query_row(sql, [name], |row| row.get(0)).expect("there");
    let begin = (root as usize - 1) * 4096;
    let bytes = std::fs::read(file).expect("readable");
    let page = &bytes[begin..begin + 4096];
    let number = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (cells, content) = (number(3), number(5));
    (0..8 + 2 * cells)
        .chain(content..4096)
        .flat_map(|byte| (0..8).map(move |bit| (begin + byte) * 8 + bit))
        .collect()
}

/// Cursors are what each start writes: an index that does not fit them is found there, and not where they are read.
#[test]
fn a_flipped_bit_of_the_state_or_of_the_cursors_costs_no_event() {
    let folder = quick_folder();
    whole_log(folder.path());
    let whole = Whole::of(folder.path());
    let file = folder.path().join("events.db");
    let step = if how_many("WATCHLISTD_FLIPS", 0) > 0 { 1 } else { 13 };
    let names = ["state", "sinks", "sqlite_autoindex_sinks_1", "dead", "sqlite_autoindex_dead_1"];
    let bits: Vec<usize> = names.iter().flat_map(|name| used_bits(&file, name)).collect();
    let first = fastrand::Rng::with_seed(seed()).usize(..step);
    let bits: Vec<usize> = bits.into_iter().skip(first).step_by(step).collect();
    let (counts, wrong) = flip_all(folder.path(), "events.db", &bits, &whole);
    counts.print(&format!("{} bits flipped in the state and the cursors; wrong {}", bits.len(), wrong.len()));
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), bits.len(), &wrong[..wrong.len().min(12)]);
}

/// A log as a kill leaves it: the last events and cursors are only in the write-ahead log.
fn killed_log() -> tempfile::TempDir {
    let (folder, copy) = (quick_folder(), quick_folder());
    whole_log(folder.path());
    let site = site(2);
    let log = site.open(folder.path()).expect("opens");
    fill(&log, &site, 60);
    settle(&log);
    // The journal begins anew, with what is in the file already still behind its end.
    let raw = Connection::open(folder.path().join("events.db")).expect("opens");
    raw.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).expect("done");
    fill(&log, &site, 25);
    settle(&log);
    copy_folder(folder.path(), copy.path());
    drop(raw);
    finish(log);
    copy
}

#[test]
fn a_flipped_bit_of_the_write_ahead_log_is_found_against_the_head_or_harmless() {
    let folder = killed_log();
    let whole = Whole::of(folder.path());
    let mut rng = fastrand::Rng::with_seed(seed());
    let count = how_many("WATCHLISTD_FLIPS", 300) / 5;
    let bits = random_bits(&folder.path().join("events.db-wal"), count, &mut rng);
    let (counts, wrong) = flip_all(folder.path(), "events.db-wal", &bits, &whole);
    counts.print(&format!("{count} bits flipped in the write-ahead log; wrong {}", wrong.len()));
    assert!(wrong.is_empty(), "{} of {count}: {:#?}", wrong.len(), &wrong[..wrong.len().min(12)]);
    assert!(counts.of(HARMLESS) > 0 && counts.of(TOLD) > 0, "each kind");
}

/// With a head that is kept elsewhere the cut is found even where the one beside the log is gone.
#[test]
fn a_tail_that_is_cut_off_is_found_against_a_head_that_is_kept_outside() {
    let folder = killed_log();
    let whole = Whole::of(folder.path());
    let size = std::fs::metadata(folder.path().join("events.db-wal")).expect("there").len();
    let mut rng = fastrand::Rng::with_seed(seed());
    let (mut found, mut not_cut) = (0, 0);
    for n in 0..40 {
        let copy = quick_folder();
        copy_folder(folder.path(), copy.path());
        std::fs::remove_file(copy.path().join("events.head")).expect("there");
        let log =
            std::fs::File::options().write(true).open(copy.path().join("events.db-wal")).expect("there");
        log.set_len(if n == 0 { size } else { rng.u64(..size) }).expect("cut");
        let seen = verify(&copy.path().join("events.db"), &key(), &People, Some(whole.head)).expect("whole");
        assert_eq!(seen.cut, seen.state.last < whole.head.last, "{seen:?}");
        assert!(seen.damaged.is_empty());
        if seen.cut { found += 1 } else { not_cut += 1 }
    }
    eprintln!("40 tails: {found} cut, each found against the head that was kept; {not_cut} with all events");
    assert!(found > 0 && not_cut > 0);
}
