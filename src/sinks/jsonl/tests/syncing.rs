//! When lines are brought to the disk.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// What a file held when it was synced.
#[derive(Clone, Default)]
struct Synced(Arc<Mutex<Vec<u64>>>, Arc<AtomicU64>);

impl Synced {
    fn syncer(&self, site: &Site) -> Syncer {
        let synced = self.clone();
        let by = move |file: &File| {
            synced.0.lock().expect("lock").push(file.metadata()?.len());
            match synced.1.load(Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err(std::io::Error::from_raw_os_error(5)),
            }
        };
        Syncer::with(&site.config.path, by).expect("a thread")
    }

    fn last(&self) -> Option<u64> {
        self.0.lock().expect("lock").last().copied()
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("there").len()
}

#[test]
fn once_a_second_everything_is_synced_also_while_nothing_more_comes() {
    let site = Site::new(1 << 20, 3);
    let synced = Synced::default();
    let mut sink = site.open();
    sink.syncer = Some(synced.syncer(&site));
    for n in 1..=3 {
        (0..50).for_each(|_| publish(&mut sink, n).expect("written"));
        // Nobody calls the sink from here on, as while a rate or a backoff is waited for.
        eventually("all of it is synced", || synced.last() == Some(length(&site.config.path)));
    }
    let times = synced.0.lock().expect("lock").len();
    assert!((3..150).contains(&times), "not at each event: {times}");
}

#[test]
fn a_file_that_is_rotated_is_synced_too() {
    let site = Site::of(2, 9);
    let synced = Synced::default();
    let mut sink = site.open();
    sink.syncer = Some(synced.syncer(&site));
    (1..=5).for_each(|n| publish(&mut sink, n).expect("written"));
    sink.close();
    let mut lengths = [".2", ".1", ""].map(|suffix| length(&site.path(suffix))).to_vec();
    let mut found = synced.0.lock().expect("lock").clone();
    lengths.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, lengths, "each file once, at the end with all it holds");
}

#[test]
fn a_disk_that_fails_to_sync_later_is_no_end() {
    let site = Site::new(1 << 20, 3);
    let synced = Synced::default();
    synced.1.store(1, Ordering::SeqCst);
    let mut sink = site.open();
    sink.syncer = Some(synced.syncer(&site));
    publish(&mut sink, 1).expect("written");
    eventually("it was tried", || synced.last().is_some());
    synced.1.store(0, Ordering::SeqCst);
    publish(&mut sink, 2).expect("written");
    eventually("it is tried again", || synced.last() == Some(length(&site.config.path)));
}

/// tests/jsonl_crash.rs cuts the power.
#[test]
fn with_each_nothing_is_left_to_sync_when_there_is_a_receipt_and_else_nobody_waits() {
    let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
    for sync in [FileSync::Each, FileSync::Second, FileSync::Never] {
        let mut site = Site::of(1, 9);
        site.config.sync = sync;
        let mut sink = site.open();
        assert_eq!(send(&mut sink, &batch).taken, 3);
        assert!(sink.dirty.is_empty());
        assert_eq!(sink.syncer.is_some(), sync == FileSync::Second);
    }
}
