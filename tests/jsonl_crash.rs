//! The `jsonl` sink under kills, power cuts and full disks: every event with a receipt is in one of the files.
//!
//! ```text
//!   child: sends to a sink with small files ─▶ "acks": one line for each receipt        killed, cut, or failed at any step
//!   after: a sink opens what is left, finishes it, goes on behind the last receipt ─▶ counted over all files
//! ```
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/faults/mod.rs"]
mod faults;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use faults::points::{every_kill, kill_at, points_hit};
use faults::{fail_at, quick_folder, record};
use watchlistd::base::clock::SystemClock;
use watchlistd::base::faults::POINTS;
use watchlistd::base::shutdown;
use watchlistd::config::{Compression, EventFile, FileSync};
use watchlistd::sinks::Jsonl;
use watchlistd::sinks::sink::Sink as _;
use watchlistd::sinks::testing::deliveries;

const CHILD: &str = "WATCHLISTD_TEST_CHILD";
/// Events, and so many are sent at once.
const EVENTS: u64 = 14;
const BATCH: u64 = 3;

/// This program as a child that sends in `folder`; `how` is the compression and how many files are kept.
fn child_that(how: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, how).current_dir(folder);
    command
}

/// No test of its own: the child's work.
#[test]
fn child() {
    if let Ok(how) = std::env::var(CHILD) {
        work(Path::new("."), &how);
    }
}

fn config(folder: &Path, how: &str) -> EventFile {
    let (compress, keep) = how.split_once(' ').expect("how");
    let compress = match compress {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    };
    let line = deliveries(9..=9).iter().map(|delivery| delivery.json.len() as u64).sum::<u64>();
    let path = folder.join("events.jsonl");
    let keep = keep.parse().expect("a number");
    EventFile { max_bytes: 2 * line + line / 2, keep, compress, sync: FileSync::Each, ..EventFile::new(path) }
}

/// Sends what has no receipt yet, and waits until all that was rotated is compressed.
fn work(folder: &Path, how: &str) {
    let config = config(folder, how);
    let had = fs::read_to_string(folder.join("acks")).unwrap_or_default();
    let mut next = had.lines().last().map_or(0, |line| line.parse().expect("a number")) + 1;
    let mut acks = OpenOptions::new().create(true).append(true).open(folder.join("acks")).expect("acks");
    let mut sink = opened(&config);
    let (_stopper, stop) = shutdown::channel();
    let end = Instant::now() + Duration::from_secs(60);
    while next <= EVENTS {
        let sent = sink.send(&deliveries(next..=EVENTS.min(next + BATCH - 1)), &stop);
        if sent.taken > 0 {
            next += sent.taken as u64;
            acks.write_all(format!("{}\n", next - 1).as_bytes()).expect("acks");
        }
        assert!(Instant::now() < end, "in vain: {sent:?}");
    }
    while config.compress != Compression::None && !is_tidy(folder) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
        // A compression that failed is tried again with the next rotation, or start.
        if std::env::var_os("WATCHLISTD_SHIM_FAIL").is_some() {
            break;
        }
    }
    sink.close();
}

/// A disk that is full for one operation is not when it is asked again.
fn opened(config: &EventFile) -> Jsonl {
    let open = || Jsonl::open(config, "events.file", Arc::new(SystemClock::new()));
    open().or_else(|_| open()).expect("opens")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("listed");
    entries.map(|entry| entry.expect("read").file_name().into_string().expect("text")).collect()
}

/// True if each rotated file is compressed and nothing unfinished is left.
fn is_tidy(folder: &Path) -> bool {
    let rotated = |name: &&String| name.starts_with("events.jsonl.");
    let names = names(folder);
    names.iter().filter(rotated).all(|name| name.ends_with(".gz") || name.ends_with(".zst"))
        && !names.iter().any(|name| name.ends_with(".pack"))
}

/// Numbers of the events in all files, the oldest file first. A compressed file that is not whole panics.
fn found(folder: &Path) -> Vec<u64> {
    let mut all = Vec::new();
    for n in (0..=1000).rev() {
        for suffix in ["", ".gz", ".zst"] {
            let name =
                if n == 0 { format!("events.jsonl{suffix}") } else { format!("events.jsonl.{n}{suffix}") };
            let Ok(file) = File::open(folder.join(&name)) else { continue };
            let mut text = String::new();
            let read = match suffix {
                ".gz" => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
                ".zst" => zstd::Decoder::new(file).and_then(|mut file| file.read_to_string(&mut text)),
                // After a power cut the tail that was not on the disk may be anything.
                _ => {
                    let mut bytes = Vec::new();
                    let read = { file }.read_to_end(&mut bytes);
                    text = String::from_utf8_lossy(&bytes).into_owned();
                    read
                }
            };
            read.unwrap_or_else(|e| panic!("{name} is half a file: {e}"));
            // What was torn is no event.
            let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            all.extend(events.filter_map(|event| event["id"].as_str().map(number)));
        }
    }
    all
}

/// Counted ids: the last digits are the event's number.
fn number(id: &str) -> u64 {
    let of = |n: u64| deliveries(n..=n)[0].event.id.to_string();
    (1..=EVENTS).find(|n| of(*n) == id).unwrap_or_else(|| panic!("no event of ours: {id}"))
}

fn first_arrivals(all: &[u64]) -> Vec<u64> {
    let mut first = Vec::new();
    all.iter().for_each(|n| {
        if !first.contains(n) {
            first.push(*n)
        }
    });
    first
}

#[track_caller]
fn assert_success(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

/// All events are there, in order; twice only what was in flight.
#[track_caller]
fn assert_whole(folder: &Path, what: &str) {
    let all = found(folder);
    assert_eq!(
        first_arrivals(&all),
        (1..=EVENTS).collect::<Vec<_>>(),
        "{what}: {all:?} in {:?}",
        names(folder)
    );
    assert!(all.len() as u64 <= EVENTS + BATCH, "{what}: twice is only what was in flight: {all:?}");
}

#[test]
fn a_kill_at_any_step_of_rotation_and_compression_loses_nothing_and_leaves_no_half_file() {
    let mut passed = BTreeSet::new();
    for how in ["gzip 100", "zstd 100", "none 100"] {
        let folder = quick_folder();
        let (points, output) = points_hit(&mut child_that(how, folder.path()));
        assert_success(&output);
        let all = found(folder.path());
        assert_eq!(all, (1..=EVENTS).collect::<Vec<_>>(), "without a kill each is there once");
        passed.extend(points.iter().cloned());
        for (name, n) in every_kill(&points) {
            let folder = quick_folder();
            kill_at(&mut child_that(how, folder.path()), &name, n);
            // Nothing is half at any time, before anybody has tidied up.
            let told = fs::read_to_string(folder.path().join("acks")).unwrap_or_default();
            let told: u64 = told.lines().last().map_or(0, |line| line.parse().expect("a number"));
            let there = first_arrivals(&found(folder.path()));
            assert!((1..=told).all(|n| there.contains(&n)), "{how} {name}:{n}: {told} receipts, {there:?}");
            assert_success(&child_that(how, folder.path()).output().expect("it runs"));
            assert_whole(folder.path(), &format!("{how} {name}:{n}"));
            assert!(
                how.starts_with("none") || is_tidy(folder.path()),
                "{how} {name}:{n}: {:?}",
                names(folder.path())
            );
        }
    }
    // With few files to keep some go, and the newest stay.
    let folder = quick_folder();
    let (points, output) = points_hit(&mut child_that("gzip 2", folder.path()));
    assert_success(&output);
    passed.extend(points.iter().cloned());
    for (name, n) in every_kill(&points).into_iter().filter(|(name, _)| name == "jsonl.dropped") {
        let folder = quick_folder();
        kill_at(&mut child_that("gzip 2", folder.path()), &name, n);
        assert_success(&child_that("gzip 2", folder.path()).output().expect("it runs"));
        let first = first_arrivals(&found(folder.path()));
        let newest: Vec<u64> = (EVENTS + 1 - first.len() as u64..=EVENTS).collect();
        assert!(first == newest && first.len() >= 4, "{name}:{n}: {first:?}");
    }
    let ours = POINTS.iter().filter(|point| point.starts_with("jsonl.")).map(|&point| point.to_owned());
    assert_eq!(passed, ours.collect(), "each point was passed");
}

/// More for a long run.
fn how_many_cuts() -> usize {
    std::env::var("WATCHLISTD_CUTS").map_or(60, |text| text.parse().expect("WATCHLISTD_CUTS: a number"))
}

#[test]
fn with_each_a_power_cut_at_any_moment_loses_no_event_that_has_its_receipt() {
    for how in ["gzip 100", "none 100"] {
        let folder = quick_folder();
        let (journal, output) = record(&mut child_that(how, folder.path()), folder.path());
        assert_success(&output);
        let (mut cuts, mut twins) = (0, 0);
        for cut in journal.cuts(7, how_many_cuts()) {
            let after = quick_folder();
            cut.write_to(after.path());
            let told: u64 =
                cut.acknowledged().last().map_or(0, |line| line.trim().parse().expect("a number"));
            let there = first_arrivals(&found(after.path()));
            let lost: Vec<u64> = (1..=told).filter(|n| !there.contains(n)).collect();
            assert!(
                lost.is_empty(),
                "{how}, {cut:?}: {lost:?} of {told} are lost: {:?}",
                names(after.path())
            );
            cuts += 1;
            twins += usize::from(!is_tidy(after.path()));
            // And it goes on from there.
            fs::write(after.path().join("acks"), format!("{told}\n")).expect("written");
            work(after.path(), how);
            let first = first_arrivals(&found(after.path()));
            assert!((1..=EVENTS).all(|n| first.contains(&n)), "{how}, {cut:?}: {first:?}");
        }
        eprintln!(
            "{how}: {cuts} cuts, {} records, {} syncs, {twins} with something to finish",
            journal.records().len(),
            journal.syncs()
        );
    }
}

#[test]
fn a_disk_that_is_full_at_any_operation_is_later_and_loses_nothing() {
    let folder = quick_folder();
    let (output, counts) = fail_at("", &mut child_that("gzip 100", folder.path()), folder.path());
    assert_success(&output);
    let mut failed = 0;
    for n in 1..=counts.operations {
        let folder = quick_folder();
        let fault = format!("ENOSPC:{n}");
        let (output, counts) = fail_at(&fault, &mut child_that("gzip 100", folder.path()), folder.path());
        assert_success(&output);
        failed += counts.failures;
        assert_success(&child_that("gzip 100", folder.path()).output().expect("it runs"));
        let all = found(folder.path());
        assert_eq!(first_arrivals(&all), (1..=EVENTS).collect::<Vec<_>>(), "{fault}: {all:?}");
        assert!(is_tidy(folder.path()), "{fault}: {:?}", names(folder.path()));
    }
    assert!(failed > 20, "{failed} of {} failed", counts.operations);
    eprintln!("{failed} operations found the disk full");
}
