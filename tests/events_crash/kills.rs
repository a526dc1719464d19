//! Kills: at any time, and at every named point.
//!
//! The judge knows only what the children have written down: what was accepted, and what arrived at each sink.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use uuid::Uuid;
use watchlistd::base::faults::POINTS;

use crate::live::{How, SINKS, WINDOW, lines, start};
use crate::{Counts, how_many, seed};

/// How long a child may take to come to a point, or to its end.
const LONG: Duration = Duration::from_secs(300);

/// What came of a run.
#[derive(Debug)]
struct Verdict {
    accepted: usize,
    /// By sink: events that came twice.
    twice: Vec<usize>,
    /// By sink: accepted events that a loss event stands for.
    told: Vec<usize>,
}

/// What was accepted has arrived everywhere, in order, and twice only what was in flight at a kill.
fn judge(folder: &Path, kills: usize) -> Verdict {
    let accepted = lines(&folder.join("acks"));
    let mut verdict = Verdict { accepted: accepted.len(), twice: Vec::new(), told: Vec::new() };
    let unique: HashSet<Uuid> = accepted.iter().map(|line| line.id).collect();
    assert_eq!(unique.len(), accepted.len(), "an event was accepted twice");
    for sink in SINKS {
        let arrived = lines(&folder.join(sink));
        let ids: HashSet<Uuid> = arrived.iter().map(|line| line.id).collect();
        let ranges: BTreeSet<(u64, u64)> =
            arrived.iter().filter(|l| l.first < l.last).map(|l| (l.first, l.last)).collect();
        let covered = |n: u64| ranges.iter().any(|(first, last)| (*first..=*last).contains(&n));
        let missing: Vec<u64> =
            accepted.iter().filter(|line| !ids.contains(&line.id)).map(|line| line.last).collect();
        let lost: Vec<&u64> = missing.iter().filter(|n| !covered(**n)).collect();
        assert_eq!(lost, Vec::<&u64>::new(), "{sink}: accepted and lost, of {}", accepted.len());
        verdict.told.push(missing.len());
        let mut places: HashMap<Uuid, u64> = HashMap::new();
        let (mut before, mut furthest, mut again, mut steps_back) = (0, 0, 0, 0);
        for line in &arrived {
            assert_eq!(
                *places.entry(line.id).or_insert(line.last),
                line.last,
                "{sink}: one event at two places"
            );
            if line.first != before + 1 {
                // A new process begins behind the cursor: with what was in flight, and nothing before it.
                steps_back += 1;
                assert!(
                    line.first <= before && line.first + WINDOW > furthest,
                    "{sink}: {line:?} after {before}"
                );
            }
            again += usize::from(line.last <= furthest);
            before = line.last;
            furthest = furthest.max(line.last);
        }
        assert!(steps_back <= kills, "{sink}: went back {steps_back} times, with {kills} kills");
        assert!(again as u64 <= kills as u64 * WINDOW, "{sink}: {again} came twice with {kills} kills");
        verdict.twice.push(again);
    }
    verdict
}

/// Lets it run to its end: everything is sent.
fn end(folder: &Path, tight: bool) {
    let how = How { ends: true, tight, ..How::default() };
    let status = waited(start(folder, how), "its end");
    assert!(status.success(), "{status}");
}

/// Waits for a child that has its own end.
fn waited(mut child: Child, what: &str) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if begun.elapsed() > LONG {
            child.kill().expect("it ran");
            panic!("it never came to {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs until it is killed at the point.
fn killed_at(folder: &Path, how: How<'_>) {
    let place = how.kill_at.expect("a point").to_owned();
    let status = waited(start(folder, how), &place);
    assert_eq!(status.signal(), Some(9), "{place}: {status}");
}

/// Runs for that long, and is killed.
fn killed_after(folder: &Path, how: How<'_>, time: Duration) {
    let mut child = start(folder, how);
    // The moment is meant to be any.
    std::thread::sleep(time);
    child.kill().expect("it ran");
    child.wait().expect("it is gone");
}

/// The name of the point that was passed last.
fn last_point(folder: &Path) -> String {
    let mut tail = Vec::new();
    if let Ok(mut file) = std::fs::File::open(folder.join("points")) {
        let size = file.metadata().expect("readable").len();
        file.seek(SeekFrom::Start(size.saturating_sub(100))).expect("there");
        file.read_to_end(&mut tail).expect("readable");
    }
    String::from_utf8_lossy(&tail).lines().last().unwrap_or("none yet").to_owned()
}

/// How often each point was passed.
fn passed(folder: &Path) -> Counts {
    let mut counts = Counts::default();
    let text = std::fs::read_to_string(folder.join("points")).unwrap_or_default();
    text.lines().filter(|name| POINTS.contains(name)).for_each(|name| counts.count(name));
    counts
}

#[test]
fn no_kill_loses_an_accepted_event() {
    let long = std::env::var_os("WATCHLISTD_KILLS").is_some();
    let folder = tempfile::tempdir().expect("a folder");
    let kills = how_many("WATCHLISTD_KILLS", 20);
    let mut rng = fastrand::Rng::with_seed(seed());
    let mut killed = Counts::default();
    let mut alive = Duration::ZERO;
    for _ in 0..kills {
        let time = Duration::from_millis(rng.u64(50..=if long { 3000 } else { 400 }));
        killed_after(folder.path(), How::default(), time);
        alive += time;
        killed.count(last_point(folder.path()));
    }
    end(folder.path(), false);
    let verdict = judge(folder.path(), kills);
    assert!(verdict.accepted > kills, "{} accepted: it hardly ran", verdict.accepted);
    assert_eq!(verdict.told, [0, 0, 0], "nothing had to go");
    killed.print("kills, by the last named point before them");
    passed(folder.path()).print("named points passed");
    eprintln!(
        "{kills} kills at any time: {} events accepted in {:.0} s ({:.0} a second), accepted and lost 0, out of order 0, twice {:?} by sink ({} at most in flight at each kill)",
        verdict.accepted,
        alive.as_secs_f64(),
        verdict.accepted as f64 / alive.as_secs_f64(),
        verdict.twice,
        WINDOW,
    );
}

/// Points that every run passes.
const USUAL: [&str; 6] =
    ["events.committed", "events.group", "events.head", "events.sent", "events.told", "events.written"];
/// Points that are passed when something has to go.
const KEEPING: [&str; 2] = ["events.expired", "events.room"];
/// Points that are passed when a damaged log is saved.
const SAVING: [&str; 4] = ["events.journal-aside", "events.salvaged", "events.saved", "events.set-aside"];
/// The point between a new log, and the word that there was one before.
const BEGINNING: [&str; 1] = ["events.created"];

#[test]
fn every_named_point_of_the_log_is_killed_at() {
    let all: BTreeSet<&str> = [&USUAL[..], &KEEPING, &SAVING, &BEGINNING].concat().into_iter().collect();
    let table: BTreeSet<&str> = POINTS.iter().copied().filter(|point| point.starts_with("events.")).collect();
    assert_eq!(all, table);
}

#[test]
fn no_kill_at_a_named_point_loses_an_accepted_event() {
    let mut table = BTreeMap::new();
    for (point, tight) in USUAL.map(|p| (p, false)).into_iter().chain(KEEPING.map(|p| (p, true))) {
        let folder = tempfile::tempdir().expect("a folder");
        // Something that retention can take at the next start.
        killed_after(folder.path(), How { tight, ..How::default() }, Duration::from_millis(400));
        let times: &[u32] = if point == "events.expired" { &[1, 1, 1] } else { &[1, 2, 7] };
        let mut kills = 1;
        for nth in times {
            let place = format!("{point}:{nth}");
            killed_at(folder.path(), How { tight, kill_at: Some(&place), ..How::default() });
            kills += 1;
            if point == "events.expired" {
                killed_after(folder.path(), How { tight, ..How::default() }, Duration::from_millis(300));
                kills += 1;
            }
        }
        end(folder.path(), tight);
        let verdict = judge(folder.path(), kills);
        assert!(tight || verdict.told == [0, 0, 0], "{point}: {verdict:?}");
        table.insert(point, (times.len(), verdict));
    }
    for (point, (kills, verdict)) in table {
        let Verdict { accepted, twice, told } = verdict;
        eprintln!(
            "{point:>20} {kills} kills, {accepted} accepted, lost 0, told as lost {told:?}, twice {twice:?}"
        );
    }
}

/// A log that was killed with events that are only in its write-ahead log.
fn killed_log() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    killed_at(folder.path(), How { kill_at: Some("events.told:40"), ..How::default() });
    folder
}

#[test]
fn no_kill_while_a_damaged_log_is_saved_loses_what_could_be_read() {
    for point in SAVING {
        let folder = killed_log();
        damage(&folder.path().join("events.db"));
        assert!(folder.path().join("events.db-wal").metadata().is_ok_and(|m| m.len() > 4096));
        let place = format!("{point}:1");
        killed_at(folder.path(), How { ends: true, kill_at: Some(&place), ..How::default() });
        end(folder.path(), false);
        let accepted = lines(&folder.path().join("acks"));
        for sink in SINKS {
            let ids: HashSet<Uuid> = lines(&folder.path().join(sink)).iter().map(|line| line.id).collect();
            let lost = accepted.iter().filter(|line| !ids.contains(&line.id)).count();
            assert_eq!(lost, 0, "{point}, {sink}: of {}", accepted.len());
        }
        eprintln!("{point:>20} a kill while a damaged log is saved: {} accepted, lost 0", accepted.len());
    }
}

/// The state says one event less: the log is damaged, and every event of it can be read. Its write-ahead log stays.
fn damage(log: &Path) {
    let connection = rusqlite::Connection::open(log).expect("opens");
    let stays = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(stays, true).expect("set");
    assert_eq!(connection.execute("UPDATE state SET last = last - 1", []).expect("changed"), 1);
}

/// Between the new log and the word that there was another one.
#[test]
fn no_kill_while_a_log_that_is_gone_is_begun_anew_hides_the_loss() {
    for place in BEGINNING.map(|point| format!("{point}:1")) {
        let folder = killed_log();
        let accepted = lines(&folder.path().join("acks"));
        for name in ["events.db", "events.db-wal", "events.db-shm"] {
            std::fs::remove_file(folder.path().join(name)).expect("there");
        }
        killed_at(folder.path(), How { ends: true, kill_at: Some(&place), ..How::default() });
        end(folder.path(), false);
        let text = std::fs::read_to_string(folder.path().join("needed")).expect("arrived");
        let last = accepted.iter().map(|line| line.last).max().expect("accepted");
        let told = text.lines().rfind(|line| line.contains("Some(1) Some(")).unwrap_or_default();
        let until: u64 =
            told.rsplit_once("Some(").and_then(|(_, n)| n.trim_end_matches(')').parse().ok()).unwrap_or(0);
        assert!(until >= last, "{place}: {last} accepted, {told:?}");
        eprintln!("{place:>20} a log that is gone: {last} accepted, told: {told}");
    }
}
