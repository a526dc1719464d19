//! How snapshots go: with time, with whoever is in them, with the recognition, with the room.

use super::*;

/// The sealed picture as it lies in the file.
fn sealed_face(site: &Site, id: Uuid) -> Vec<u8> {
    let read = "SELECT face FROM snapshots WHERE id = ?1";
    site.database().query_row(read, [id.as_bytes()], |row| row.get(0)).expect("a row")
}

/// No piece of it is left in the files.
fn assert_wiped(site: &Site, sealed: &[u8]) {
    let bytes = site.bytes();
    let left = sealed.chunks_exact(32).filter(|piece| holds(&bytes, piece)).count();
    assert_eq!(left, 0, "of {} bytes", sealed.len());
}

#[test]
fn who_is_forgotten_takes_the_snapshots_along_and_no_byte_of_them_is_left() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = [site.keep(&snapshots), site.keep(&snapshots)];
    let sealed = kept.map(|kept| sealed_face(&site, kept.id));
    assert!(holds(&site.bytes(), &sealed[0][..32]), "it was there");
    assert_eq!(snapshots.count(&[SOMEBODY]).expect("counted"), 2);
    site.people.forget(SOMEBODY);
    assert_eq!(snapshots.forget(&[SOMEBODY]).expect("deleted"), 2);
    assert_eq!(site.rows(), 0);
    sealed.iter().for_each(|sealed| assert_wiped(&site, sealed));
    let fetched = kept.map(|kept| snapshots.fetch(kept.id, Kind::Face).expect("readable"));
    assert_eq!(fetched, [None, None]);
    assert_eq!(snapshots.stats.removed.get(SnapshotGone::Forgotten), 2);
    // Somebody who was recognised at that moment is a stranger now.
    snapshots.shelf().expect("on").put(picture("door", 1, 0.9));
    let event = site.event(&snapshots, &recognized(Stage::Confirmed, &["vip"]));
    assert_eq!((referred(&event), site.rows()), (None, 0));
}

#[test]
fn whose_key_is_gone_is_never_shown_and_is_swept_out_whoever_deleted_nothing() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    // A copy of the store from before, with all keys that it needs but one.
    let copy = tempfile::tempdir().expect("a folder");
    let copied = copy.path().join("snapshots.db");
    site.database().execute("VACUUM INTO ?1", [copied.display().to_string()]).expect("copied");
    site.people.forget(SOMEBODY);
    assert_eq!(snapshots.fetch(kept.id, Kind::Face).expect("readable"), None);
    until("the sweep", || site.rows() == 0);
    let old = Beside::new(copied, site.keys(), site.clock.clone());
    assert_eq!(old.fetch(kept.id, Kind::Face).expect("readable"), None, "a backup does not open either");
    assert_eq!(old.count(&[SOMEBODY]).expect("counted"), 1);
}

#[test]
fn who_is_forgotten_while_no_daemon_runs_goes_at_once_or_at_the_next_start() {
    for by_tool in [true, false] {
        let site = Site::new();
        let snapshots = site.start();
        let kept = site.keep(&snapshots);
        let sealed = sealed_face(&site, kept.id);
        assert!(snapshots.finish(Duration::from_secs(10)));
        let tool = Beside::new(site.path(), site.keys(), site.clock.clone());
        assert!(tool.fetch(kept.id, Kind::Scene).expect("readable").is_some());
        if by_tool {
            assert_eq!(tool.forget(&[SOMEBODY]).expect("deleted"), 1);
            assert_eq!(site.rows(), 0);
            assert_wiped(&site, &sealed);
        }
        // A ring that never knew anybody has nobody who departed.
        let site = Site { people: Arc::default(), ..site };
        let snapshots = site.start();
        until("the first round", || site.rows() == 0);
        assert!(snapshots.finish(Duration::from_secs(10)));
        assert_wiped(&site, &sealed);
    }
    let nowhere = Site::new();
    let tool = Beside::new(nowhere.path(), nowhere.keys(), nowhere.clock.clone());
    assert_eq!(tool.forget(&[SOMEBODY]).expect("nothing to do"), 0);
    assert!(!nowhere.path().exists(), "a tool makes no store");
}

#[test]
fn what_is_over_is_not_shown_any_more_and_goes_within_a_minute() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    let sealed = sealed_face(&site, kept.id);
    site.clock.advance(30 * DAY - Duration::from_secs(1));
    assert!(snapshots.fetch(kept.id, Kind::Face).expect("readable").is_some());
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(snapshots.fetch(kept.id, Kind::Face).expect("readable"), None);
    site.clock.advance(Duration::from_secs(61));
    until("the round", || site.rows() == 0);
    until("its count", || snapshots.stats.removed.get(SnapshotGone::Expired) == 1);
    assert_wiped(&site, &sealed);
}

#[test]
fn a_recognition_that_is_withdrawn_takes_its_snapshot_with_it() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    let shelf = snapshots.shelf().expect("on");
    // Another track's stays.
    shelf.put(picture("door", 2, 0.5));
    let second = Decision { track: track("door", 2), ..recognized(Stage::Confirmed, &["vip"]) };
    let other = referred(&site.event(&snapshots, &second)).expect("kept");
    let event = site.event(&snapshots, &recognized(Stage::Withdrawn, &["vip"]));
    assert_eq!(referred(&event), None);
    until("it to go", || snapshots.fetch(kept.id, Kind::Face).expect("readable").is_none());
    assert!(snapshots.fetch(other.id, Kind::Face).expect("readable").is_some());
    assert_eq!(snapshots.stats.removed.get(SnapshotGone::Withdrawn), 1);
}

#[test]
fn a_store_that_is_full_lets_the_oldest_go_first() {
    let site = Site { budget: (6 << 20) + (192 << 10), ..Site::new() };
    let snapshots = site.start();
    let kept: Vec<SnapshotRef> = (0..60)
        .map(|_| {
            site.clock.advance(Duration::from_secs(1));
            site.keep(&snapshots)
        })
        .collect();
    let there = |kept: &SnapshotRef| snapshots.fetch(kept.id, Kind::Face).expect("readable").is_some();
    let first = kept.iter().position(there).expect("some are left");
    assert!(first > 0 && kept[first..].iter().all(there), "the first that is left is {first}");
    let stats = snapshots.stats.snapshot();
    assert_eq!((stats.removed["budget"], stats.held), (first as u64, 60 - first as u64));
    assert!(stats.bytes <= 192 << 10, "{stats:?}");
}

#[test]
fn who_was_a_stranger_first_and_is_recognised_then_takes_the_strangers_snapshot_along() {
    let mut site = Site::new();
    site.policy.unknown = Some(DAY);
    let snapshots = site.start();
    snapshots.shelf().expect("on").put(picture("door", 1, 0.5));
    let stranger = referred(&site.event(&snapshots, &decision(Verdict::Unknown))).expect("switched on");
    // Nothing is published of whoever it is: the snapshot goes all the same.
    let silent = Decision {
        publish: crate::types::matching::Publish::Nothing,
        ..recognized(Stage::Preliminary, &["staff"])
    };
    snapshots.decided(&silent);
    until("it to go", || snapshots.fetch(stranger.id, Kind::Face).expect("readable").is_none());
    let kept = referred(&site.event(&snapshots, &recognized(Stage::Confirmed, &["vip"]))).expect("kept");
    assert!(snapshots.fetch(kept.id, Kind::Face).expect("readable").is_some());
    assert_eq!(site.rows(), 1);
}
