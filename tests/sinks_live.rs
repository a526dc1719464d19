//! The events' file of a running daemon: nothing is lost when it is rotated or moved away.
//!
//! Cameras whose file is missing make many events quickly: each reload takes some out and brings as many others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Running, Site, until_ready, var, wait_for};

/// Cameras that fail. Each is three events: connecting, waiting, and stopped once it is taken out.
const BROKEN: u64 = 40;
/// The least that `events.file.max_size` may be.
const MAX_SIZE: u64 = 64 << 10;

fn configuration(file: &str, round: u32) -> String {
    let mut text = format!(
        "[http]\nlisten = \"off\"\n[events]\njournal = false\n[events.file]\n{file}\n\
         [cameras.test]\nurl = \"test://smpte?size=320x240&fps=25\"\n"
    );
    for n in 1..=BROKEN {
        let _ = write!(text, "[cameras.broken-{round}-{n}]\nurl = \"file:///nonexistent/{n}.mp4\"\n");
    }
    text
}

/// Events in a file; every line has to be a whole one.
fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("readable");
    assert!(text.is_empty() || text.ends_with('\n'), "{}: the last line is torn", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn count(status: &Value, sink: &str, key: &str) -> u64 {
    let sinks = status["events"]["sinks"].as_array().expect("a list");
    sinks.iter().find(|s| s["name"] == sink).and_then(|s| s[key].as_u64()).expect("a count")
}

/// Takes the broken cameras out and brings others, and waits until all of that is in the file.
fn another_round(site: &Site, var: &Path, daemon: &Running, file: &str, round: u32) {
    let written = || site.status().map(|status| count(&status, "file", "written"));
    let before = wait_for("the status", written);
    site.rewrite(var, &configuration(file, round));
    daemon.signal("HUP");
    wait_for("another round of events", || (written()? >= before + 3 * BROKEN).then_some(()));
}

/// Every event of the run, once, over all files together: numbered from 1 without a gap, and nothing of another run.
fn assert_complete(files: &[PathBuf], printed: &[Value]) {
    let mut seen = BTreeMap::new();
    for event in files.iter().flat_map(|file| events(file)) {
        let number = event["data"]["sequence"].as_u64().expect("a number");
        assert_eq!(event["data"]["run"], printed[0]["data"]["run"], "one run");
        assert!(seen.insert(number, event).is_none(), "event {number} is there twice");
    }
    let numbers: Vec<u64> = seen.keys().copied().collect();
    assert_eq!(numbers, (1..=printed.len() as u64).collect::<Vec<_>>(), "no gap");
    for event in printed {
        assert_eq!(seen.get(&event["data"]["sequence"].as_u64().expect("a number")), Some(event));
    }
}

#[test]
fn rotated_files_hold_every_event_and_none_grows_beyond_its_size() {
    let Some(var) = var() else { return };
    let sink = "path = \"events.jsonl\"\nmax_size = \"64KiB\"\nkeep = 1000";
    let site = Site::new(&var, &configuration(sink, 0));
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    let file = |n: usize| site.folder.path().join(format!("events.jsonl.{n}"));
    for round in 1..=20 {
        if file(2).exists() {
            break;
        }
        another_round(&site, &var, &daemon, sink, round);
    }
    assert!(file(2).exists(), "rotated twice: {}", daemon.errors());
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());

    let rotated: Vec<PathBuf> = (1..).map(file).take_while(|path| path.exists()).collect();
    for path in &rotated {
        let size = std::fs::metadata(path).expect("there").len();
        assert!(size <= MAX_SIZE, "{}: {size} bytes", path.display());
        assert!(size > MAX_SIZE - 2_000, "rotated before it was full: {} of {size} bytes", path.display());
    }
    let files: Vec<PathBuf> = rotated.into_iter().chain([site.folder.path().join("events.jsonl")]).collect();
    assert_complete(&files, &daemon.events());
}

#[test]
fn a_file_that_logrotate_moved_away_is_opened_anew_and_nothing_is_lost() {
    let Some(var) = var() else { return };
    let sink = "path = \"events.jsonl\"";
    let site = Site::new(&var, &configuration(sink, 0));
    let path = |name: &str| site.folder.path().join(name);
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("the first events", || (count(&site.status()?, "file", "written") >= 2 * BROKEN).then_some(()));

    // As logrotate does it: move, then tell the daemon.
    std::fs::rename(path("events.jsonl"), path("events.moved")).expect("ours");
    another_round(&site, &var, &daemon, sink, 1);
    assert!(path("events.jsonl").exists(), "there is a new file");
    // And somebody who deletes it without a word: what comes next is in a new one.
    std::fs::rename(path("events.jsonl"), path("events.moved-2")).expect("ours");
    another_round(&site, &var, &daemon, sink, 2);
    let status = site.status().expect("it answers");
    assert_eq!((count(&status, "file", "lost"), count(&status, "stdout", "lost")), (0, 0));

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    let files = ["events.moved", "events.moved-2", "events.jsonl"].map(path);
    assert!(files.iter().all(|file| !events(file).is_empty()), "each has its part");
    assert_complete(&files, &daemon.events());
}
