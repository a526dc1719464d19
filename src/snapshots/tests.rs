//! What the store promises, on a real file.

mod faces;
mod going;

use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use rusqlite::Connection;

use super::testing::{SOMEBODY, decision, picture, recognized, track};
use super::*;
use crate::base::clock::{Clock as _, Moment, SimulatedClock};
use crate::daemon::watchdog::Heartbeats;
use crate::events::log::tests::Keys as People;
use crate::events::{Data, EventMaker, Ids};
use crate::gallery::crypt::Key;
use crate::image::codec::decode_image;
use crate::stats::SnapshotGone;
use crate::types::decision::{Stage, Verdict};
use crate::types::frame::Pixels as _;

const DAY: Duration = Duration::from_secs(86_400);

/// A folder with a store in it.
struct Site {
    folder: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    people: Arc<People>,
    own: Key,
    policy: Policy,
    budget: u64,
    maker: EventMaker,
}

impl Site {
    fn new() -> Self {
        let people = Arc::new(People::default());
        people.know(SOMEBODY, Key::generate().expect("randomness"));
        let start: Timestamp = "2026-03-01T08:30:00Z".parse().expect("a time");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(SimulatedClock::new(start)),
            people,
            own: Key::generate().expect("randomness"),
            policy: Policy { lists: [("vip".to_owned(), 30 * DAY)].into(), unknown: None },
            budget: 64 << 20,
            maker: EventMaker::new("/site", Uuid::from_u128(1), Ids::random()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("snapshots.db")
    }

    fn keys(&self) -> Keys {
        Keys { own: self.own.clone(), ring: self.people.clone() }
    }

    fn start(&self) -> Snapshots {
        let options = Options {
            path: self.path(),
            keys: self.keys(),
            policy: self.policy.clone(),
            budget: self.budget,
            quality: 85,
            clock: self.clock.clone(),
            stats: Arc::default(),
        };
        let beat = Heartbeats::new(self.clock.clone()).register("snapshots", Duration::from_secs(10));
        Snapshots::start(options, beat).expect("a store")
    }

    /// The event of a decision, with what there is to refer to.
    fn event(&self, snapshots: &Snapshots, decision: &Decision) -> Event {
        let at: Moment = self.clock.now();
        let mut event = self.maker.decision(decision, at).expect("it is published");
        snapshots.decided(decision);
        snapshots.refer(decision, &mut event);
        event
    }

    /// A recognition for a list that keeps snapshots, and what its event refers to.
    fn keep(&self, snapshots: &Snapshots) -> SnapshotRef {
        snapshots.shelf().expect("switched on").put(picture("door", 1, 0.5));
        referred(&self.event(snapshots, &recognized(Stage::Confirmed, &["vip"]))).expect("it was kept")
    }

    fn database(&self) -> Connection {
        Connection::open(self.path()).expect("opens")
    }

    fn rows(&self) -> i64 {
        self.database().query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0)).expect("a number")
    }

    /// Everything that lies in the store's files.
    fn bytes(&self) -> Vec<u8> {
        let all = ["snapshots.db", "snapshots.db-wal"].map(|name| self.folder.path().join(name));
        all.iter().flat_map(|path| std::fs::read(path).unwrap_or_default()).collect()
    }
}

fn referred(event: &Event) -> Option<SnapshotRef> {
    match &event.data {
        Data::Sighting(data) => data.snapshot,
        _ => panic!("no decision"),
    }
}

fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

/// Waits for what another thread does.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_event_refers_to_pictures_that_are_on_the_disk_and_in_no_clear_byte() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    assert_eq!(kept.until, site.clock.now().wall.checked_add(30 * DAY).expect("a time"));
    assert!(kept.face && kept.scene && site.rows() == 1);
    for (kind, width) in [(Kind::Face, 32), (Kind::Scene, 64)] {
        let fetched = snapshots.fetch(kept.id, kind).expect("readable").expect("there");
        assert_eq!(fetched.identity, Some(SOMEBODY));
        let shown = decode_image(&fetched.jpeg, "a snapshot").expect("a JPEG");
        assert_eq!(shown.size().width, width);
        // From the first to the last byte of it, no piece lies open in the files.
        let bytes = site.bytes();
        assert!(fetched.jpeg.chunks_exact(16).all(|piece| !holds(&bytes, piece)), "{kind} in the clear");
        assert!(!holds(&bytes, b"JFIF"));
    }
    assert_eq!(snapshots.fetch(Uuid::from_u128(3), Kind::Face).expect("readable"), None);
}

#[test]
fn of_whom_no_list_keeps_snapshots_nothing_is_kept_and_of_strangers_only_where_that_is_on() {
    let site = Site::new();
    let snapshots = site.start();
    snapshots.shelf().expect("on").put(picture("door", 1, 0.5));
    for decision in [
        recognized(Stage::Confirmed, &["staff"]),
        recognized(Stage::Preliminary, &["vip"]),
        decision(Verdict::Unknown),
    ] {
        assert_eq!(referred(&site.event(&snapshots, &decision)), None);
    }
    assert_eq!(site.rows(), 0);
    assert!(snapshots.finish(Duration::from_secs(10)));

    let site = Site { policy: Policy { unknown: Some(DAY), ..Policy::default() }, ..site };
    let snapshots = site.start();
    snapshots.shelf().expect("on").put(picture("door", 1, 0.5));
    let kept = referred(&site.event(&snapshots, &decision(Verdict::Unknown))).expect("switched on");
    let fetched = snapshots.fetch(kept.id, Kind::Face).expect("readable").expect("there");
    assert_eq!(fetched.identity, None);
    assert_eq!(referred(&site.event(&snapshots, &recognized(Stage::Confirmed, &["vip"]))), None);
}

#[test]
fn where_nothing_is_kept_nothing_is_held_and_what_was_kept_before_still_goes() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    assert!(snapshots.finish(Duration::from_secs(10)));
    let off = Site { policy: Policy::default(), ..site };
    let snapshots = off.start();
    assert!(snapshots.shelf().is_none(), "no worker makes a picture");
    assert_eq!(referred(&off.event(&snapshots, &recognized(Stage::Confirmed, &["vip"]))), None);
    assert!(snapshots.fetch(kept.id, Kind::Face).expect("readable").is_some());
    assert_eq!(snapshots.forget(&[SOMEBODY]).expect("deleted"), 1);
}

#[test]
fn a_row_that_was_changed_opens_no_more() {
    let site = Site::new();
    let snapshots = site.start();
    let (one, other) = (site.keep(&snapshots), site.keep(&snapshots));
    let opens = |id| snapshots.fetch(id, Kind::Face).expect("readable").is_some();
    assert!(opens(one.id) && opens(other.id));
    let id = other.id.as_bytes();
    for change in [
        "UPDATE snapshots SET until = until + 1 WHERE id = ?1",
        "UPDATE snapshots SET taken = taken - 1 WHERE id = ?1",
        "UPDATE snapshots SET identity = NULL WHERE id = ?1",
        "UPDATE snapshots SET event = zeroblob(16) WHERE id = ?1",
        "UPDATE snapshots SET face = scene WHERE id = ?1",
        "UPDATE snapshots SET face = (SELECT face FROM snapshots AS o WHERE o.id <> ?1) WHERE id = ?1",
    ] {
        let mut database = site.database();
        let transaction = database.transaction().expect("begins");
        assert_eq!(transaction.execute(change, [id]).expect("changed"), 1);
        transaction.commit().expect("changed");
        assert!(!opens(other.id), "{change}");
        assert!(opens(one.id));
        // And as it was.
        snapshots.orders.send(Order::Remove(vec![other.id])).expect("heard");
        assert_eq!(snapshots.count(&[SOMEBODY]).expect("counted"), 1);
        let again = thread_row(&site, &other);
        store::Store::open(&site.path()).expect("opens").put(&again).expect("put");
    }
}

/// The row of that snapshot, made anew.
fn thread_row(site: &Site, kept: &SnapshotRef) -> sealed::Row {
    let (taken, until) = (sealed::millis(site.clock.now().wall), sealed::millis(kept.until));
    let about =
        sealed::About { id: kept.id, identity: Some(SOMEBODY), event: Uuid::from_u128(5), taken, until };
    let seal = |kind| site.keys().seal(&about, kind, b"a picture").expect("sealed").expect("somebody");
    sealed::Row { about, face: seal(Kind::Face), scene: Some(seal(Kind::Scene)) }
}

#[test]
fn a_disk_that_fails_costs_the_snapshot_and_not_the_event() {
    let site = Site::new();
    let snapshots = site.start();
    site.database().execute_batch("ALTER TABLE snapshots RENAME TO elsewhere").expect("renamed");
    snapshots.shelf().expect("on").put(picture("door", 1, 0.5));
    let decision = recognized(Stage::Confirmed, &["vip"]);
    assert_eq!(referred(&site.event(&snapshots, &decision)), None, "the event goes without");
    let stats = || snapshots.stats.snapshot();
    assert!(stats().failing && stats().missed["failed"] == 1, "{:?}", stats());
    site.database().execute_batch("ALTER TABLE elsewhere RENAME TO snapshots").expect("renamed");
    assert!(referred(&site.event(&snapshots, &decision)).is_some());
    assert!(!stats().failing && stats().kept == 1, "{:?}", stats());
}

#[test]
fn a_disk_that_is_stuck_makes_no_event_wait_and_what_comes_too_late_is_taken_back() {
    let site = Site::new();
    let snapshots = site.start().with_patience(Duration::from_millis(1));
    snapshots.shelf().expect("on").put(picture("door", 1, 0.5));
    let mut stuck = site.database();
    let writing = stuck.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("begins");
    let event = site.event(&snapshots, &recognized(Stage::Confirmed, &["vip"]));
    assert_eq!(referred(&event), None);
    assert_eq!(snapshots.stats.snapshot().missed["late"], 1);
    drop(writing);
    let removed = |why| snapshots.stats.removed.get(why);
    until("the row to be taken back", || removed(SnapshotGone::Unreferred) == 1);
    assert_eq!(site.rows(), 0);
}

#[test]
fn a_store_that_is_damaged_is_begun_again_and_nothing_of_it_is_left() {
    let site = Site::new();
    let snapshots = site.start();
    let kept = site.keep(&snapshots);
    assert!(snapshots.finish(Duration::from_secs(10)));
    let sealed: Vec<u8> = site.bytes();
    let mut damaged = sealed.clone();
    damaged[100..4096].fill(0xA5);
    std::fs::write(site.path(), &damaged).expect("written");
    let snapshots = site.start();
    assert_eq!(snapshots.fetch(kept.id, Kind::Face).expect("readable"), None);
    let rest = site.bytes();
    let pieces = sealed[8192..].chunks_exact(64).filter(|piece| piece.iter().any(|byte| *byte != 0));
    assert!(pieces.clone().count() > 20 && pieces.clone().all(|piece| !holds(&rest, piece)));
    assert!(site.keep(&snapshots).face);

    // Another program's file is left alone.
    let other = Site::new();
    Connection::open(other.path()).expect("opens").execute_batch("CREATE TABLE t (x)").expect("made");
    let refused = store::Store::open(&other.path()).err().expect("not ours");
    assert_eq!(refused.kind(), crate::base::error::Kind::Config);
    assert!(refused.to_string().contains("snapshots.path"), "{refused}");
}
