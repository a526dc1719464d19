//! The file under rotation, logrotate, full disks and clocks.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::Packing;
use super::*;
use crate::base::clock::SimulatedClock;
use crate::sinks::contract::{delivery, event, ids};
use crate::sinks::testing::eventually;

mod age;
mod packing;
mod syncing;

/// A folder with a file of events in it, and a clock.
struct Site {
    folder: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    config: EventFile,
}

impl Site {
    fn new(max_bytes: u64, keep: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = EventFile { max_bytes, keep, ..EventFile::new(folder.path().join("events.jsonl")) };
        let clock = Arc::new(SimulatedClock::new(Timestamp::UNIX_EPOCH));
        Self { folder, clock, config }
    }

    /// With room for so many events in a file.
    fn of(events: u64, keep: u32) -> Self {
        let line = event(9).to_line().len() as u64 + 1;
        Self::new(events * line + line / 2, keep)
    }

    fn open(&self) -> Jsonl {
        Jsonl::open(&self.config, "sinks.archive", self.clock.clone()).expect("opens")
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("events.jsonl{suffix}"))
    }

    /// Numbers of the events in the plain file with that suffix.
    fn events(&self, suffix: &str) -> Vec<u64> {
        sequences(&self.path(suffix))
    }

    /// Numbers of all events, the oldest file first.
    fn all(&self) -> Vec<u64> {
        let names = Names::new(&self.config.path, 0, false);
        let mut all = Vec::new();
        for n in (1..=1000).rev() {
            for packing in [Packing::Gzip, Packing::Zstd, Packing::Plain] {
                let path = names.numbered(n, packing);
                if path.exists() {
                    let mut text = String::new();
                    let mut from = packer::unpacked(&path, packing).expect("opens");
                    std::io::Read::read_to_string(&mut from, &mut text).expect("whole");
                    all.extend(ids(&text));
                }
            }
        }
        all.extend(self.events(""));
        all
    }

    /// Names of the files in the folder, without what they have in common.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.folder.path()).expect("listed");
        entries
            .map(|e| e.expect("read").file_name().into_string().expect("text"))
            .map(|name| name.strip_prefix("events.jsonl").map(str::to_owned).unwrap_or(name))
            .collect()
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn send(sink: &mut Jsonl, batch: &[Delivery]) -> Sent {
    let (_stopper, stop) = crate::base::shutdown::channel();
    sink.send(batch, &stop)
}

fn publish(sink: &mut Jsonl, n: u64) -> Result<(), String> {
    let sent = send(sink, &[delivery(n)]);
    sent.trouble.map_or(Ok(()), |trouble| Err(trouble.to_string()))
}

fn sequences(path: &Path) -> Vec<u64> {
    ids(&fs::read_to_string(path).expect("readable"))
}

#[test]
fn it_rotates_by_size_and_keeps_so_many() {
    let site = Site::of(2, 2);
    let mut sink = site.open();
    for n in 1..=9 {
        publish(&mut sink, n).expect("written");
    }
    assert_eq!((site.events(""), site.events(".1"), site.events(".2")), (vec![9], vec![7, 8], vec![5, 6]));
    assert_eq!(site.names(), names(["", ".1", ".2"]));
    let mode = fs::metadata(&site.config.path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[test]
fn a_batch_over_several_files_is_in_them_once_and_in_order() {
    let site = Site::of(3, 100);
    let batch: Vec<Delivery> = (1..=20).map(delivery).collect();
    let sent = send(&mut site.open(), &batch);
    assert!(sent.taken == 20 && sent.trouble.is_none(), "{sent:?}");
    assert_eq!(site.all(), (1..=20).collect::<Vec<_>>());
    assert!(site.path(".6").exists());
}

#[test]
fn with_nothing_kept_it_starts_over() {
    let site = Site::new(10, 0);
    let mut sink = site.open();
    (1..=3).for_each(|n| publish(&mut sink, n).expect("written, though larger than the limit"));
    assert_eq!((site.events(""), site.names()), (vec![3], names([""])));
}

#[test]
fn a_smaller_keep_takes_effect_at_the_next_rotation_and_foreign_files_stay() {
    let mut site = Site::of(1, 9);
    let mut sink = site.open();
    (1..=6).for_each(|n| publish(&mut sink, n).expect("written"));
    drop(sink);
    assert_eq!(site.names().len(), 6);
    // logrotate's dates, and what only looks like a number.
    let foreign = [".20261130", ".20261130.gz", ".007", ".1.bak", ".old"];
    foreign.iter().for_each(|suffix| fs::write(site.path(suffix), "mine").expect("written"));
    site.config.keep = 2;
    let mut sink = site.open();
    publish(&mut sink, 7).expect("written");
    let ours: BTreeSet<String> = site.names().difference(&names(foreign)).cloned().collect();
    assert_eq!(ours, names(["", ".1", ".2"]));
    assert_eq!((site.events(".2"), site.events(".1"), site.events("")), (vec![5], vec![6], vec![7]));
    assert_eq!(site.names().len(), 3 + foreign.len());
}

#[test]
fn a_hole_that_a_kill_left_is_filled_and_nothing_goes_too_early() {
    let site = Site::of(1, 3);
    let mut sink = site.open();
    (1..=4).for_each(|n| publish(&mut sink, n).expect("written"));
    // Killed when 3 had gone and 2 was moved.
    fs::rename(site.path(".2"), site.path(".3")).expect("moved");
    publish(&mut sink, 5).expect("written");
    assert_eq!(site.all(), [2, 3, 4, 5]);
    // Killed when all had moved and the file not yet.
    fs::rename(site.path(".3"), site.path(".4")).expect("moved");
    (1..=2).rev().for_each(|n| {
        fs::rename(site.path(&format!(".{n}")), site.path(&format!(".{}", n + 1))).expect("moved")
    });
    fs::remove_file(site.path(".4")).expect("gone");
    drop(sink);
    let mut sink = site.open();
    publish(&mut sink, 6).expect("written");
    assert_eq!(site.all(), [3, 4, 5, 6]);
    assert_eq!(site.names(), names(["", ".1", ".2", ".3"]));
}

#[test]
fn a_file_moved_away_is_opened_anew_with_and_without_a_signal() {
    let site = Site::new(1 << 20, 3);
    let moved = site.path(".moved");
    let mut sink = site.open();
    publish(&mut sink, 1).expect("written");
    fs::rename(&site.config.path, &moved).expect("moved");
    publish(&mut sink, 2).expect("written");
    assert_eq!((sequences(&moved), site.events("")), (vec![1], vec![2]));
    fs::rename(&site.config.path, &moved).expect("moved");
    sink.reopen().expect("reopened");
    publish(&mut sink, 3).expect("written");
    assert_eq!((sequences(&moved), site.events("")), (vec![2], vec![3]));
}

/// `copytruncate` of logrotate: the file is copied, then emptied in place. What comes between the two is lost, and nothing else is.
#[test]
fn a_file_emptied_in_place_goes_on_from_its_start_with_its_size_counted_anew() {
    let site = Site::of(2, 3);
    let mut sink = site.open();
    (1..=2).for_each(|n| publish(&mut sink, n).expect("written"));
    fs::copy(&site.config.path, site.path(".copy")).expect("copied");
    fs::OpenOptions::new().write(true).open(&site.config.path).and_then(|f| f.set_len(0)).expect("emptied");
    (3..=4).for_each(|n| publish(&mut sink, n).expect("written"));
    assert_eq!((site.events(".copy"), site.events("")), (vec![1, 2], vec![3, 4]));
    assert!(!site.path(".1").exists(), "two events are not too many");
    publish(&mut sink, 5).expect("written");
    assert_eq!((site.events(".1"), site.events("")), (vec![3, 4], vec![5]));
}

#[test]
fn a_tail_torn_by_a_crash_does_not_spoil_the_next_event() {
    let site = Site::new(1 << 20, 3);
    let whole = event(1).to_line();
    fs::write(&site.config.path, format!("{whole}\n{}", &whole[..40])).expect("written");
    publish(&mut site.open(), 2).expect("written");
    assert_eq!(site.events(""), [1, 2]);
}

/// `/dev/full` says "no space left on device" at every write, as a full disk does.
#[test]
fn a_full_disk_takes_events_later_and_recovers_by_itself() {
    let site = Site::new(1 << 20, 3);
    symlink("/dev/full", &site.config.path).expect("linked");
    let mut sink = site.open();
    for _ in 1..=2 {
        let sent = send(&mut sink, &[delivery(1), delivery(2)]);
        let Some(Trouble::Later { error, .. }) = sent.trouble else { panic!("not later: {sent:?}") };
        assert_eq!(sent.taken, 0);
        assert!(
            error.chain().contains("sinks.archive.path") && error.chain().contains("events.jsonl"),
            "{error}"
        );
    }
    fs::remove_file(&site.config.path).expect("space is back");
    publish(&mut sink, 1).expect("written");
    assert_eq!(site.events(""), [1]);
}

#[test]
fn a_folder_that_goes_away_and_comes_back_costs_nothing() {
    let site = Site::of(1, 100);
    let (folder, aside) = (site.folder.path().join("mount"), site.folder.path().join("aside"));
    fs::create_dir(&folder).expect("made");
    let config = EventFile { path: folder.join("events.jsonl"), ..site.config.clone() };
    let mut sink = Jsonl::open(&config, "events.file", site.clock.clone()).expect("opens");
    publish(&mut sink, 1).expect("written");
    fs::rename(&folder, &aside).expect("unmounted");
    // What was open is written to still; a file that is full cannot be rotated, and grows.
    publish(&mut sink, 2).expect("written");
    fs::rename(&aside, &folder).expect("mounted");
    publish(&mut sink, 3).expect("written");
    let (one, two) = (folder.join("events.jsonl.1"), folder.join("events.jsonl"));
    assert_eq!((sequences(&one), sequences(&two)), (vec![1, 2], vec![3]));
}

/// A file without a name takes every write, and all of it is gone when it is closed.
#[test]
fn a_folder_that_is_deleted_takes_events_later_and_gives_no_receipt_for_what_nobody_will_find() {
    let site = Site::new(1 << 20, 3);
    let folder = site.folder.path().join("mount");
    fs::create_dir(&folder).expect("made");
    let config = EventFile { path: folder.join("events.jsonl"), ..site.config.clone() };
    let mut sink = Jsonl::open(&config, "events.file", site.clock.clone()).expect("opens");
    publish(&mut sink, 1).expect("written");
    fs::remove_dir_all(&folder).expect("removed");
    for _ in 0..2 {
        let sent = send(&mut sink, &[delivery(2)]);
        assert!(sent.taken == 0 && matches!(sent.trouble, Some(Trouble::Later { .. })), "{sent:?}");
    }
    fs::create_dir(&folder).expect("made again");
    publish(&mut sink, 2).expect("written");
    assert_eq!(sequences(&config.path), [2]);
}

#[test]
fn a_missing_folder_names_the_key_and_the_file() {
    let site = Site::new(1, 1);
    let config = EventFile::new(site.folder.path().join("no/events.jsonl"));
    let opened = Jsonl::open(&config, "events.file", site.clock.clone());
    let error = opened.err().expect("no such folder").chain();
    assert!(error.contains("events.file.path") && error.contains("no/events.jsonl"), "{error}");
}
