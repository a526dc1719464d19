//! What the log promises, on a real file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::Connection;
use uuid::Uuid;

use super::*;
use crate::base::clock::SimulatedClock;
use crate::daemon::watchdog::Heartbeats;
use crate::events::{CameraChange, Data, EventMaker, Ids, Lost};
use crate::stats::CameraState;
use crate::types::ids::{CameraId, IdentityId};

mod damage;
mod epochs;
mod keeping;
mod model;

const DAY: u64 = 86_400;

/// Keys of whoever is known.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<IdentityId, Key>>, Mutex<Vec<IdentityId>>);

impl Keys {
    /// Somebody is there.
    pub(crate) fn know(&self, identity: IdentityId, key: Key) {
        self.0.lock().expect("whole").insert(identity, key);
    }

    /// Somebody goes.
    pub(crate) fn forget(&self, identity: IdentityId) {
        self.0.lock().expect("whole").remove(&identity);
        self.1.lock().expect("whole").push(identity);
    }
}

impl Ring for Keys {
    fn sealing(&self, identity: IdentityId) -> Option<Key> {
        self.0.lock().expect("whole").get(&identity).cloned()
    }

    fn opening(&self, identity: IdentityId) -> Vec<Key> {
        self.sealing(identity).into_iter().collect()
    }

    fn departed(&self, after: usize) -> Vec<IdentityId> {
        self.1.lock().expect("whole").get(after..).unwrap_or_default().to_vec()
    }
}

/// A folder with a log in it.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) key: Key,
    pub(crate) ring: Arc<Keys>,
    pub(crate) rules: Rules,
    pub(crate) sinks: Vec<SinkPlace>,
    pub(crate) maker: Arc<EventMaker>,
    pub(crate) stats: Arc<Stats>,
}

pub(crate) fn sink(name: &str, required: bool) -> SinkPlace {
    SinkPlace { name: name.to_owned(), required, from_oldest: true }
}

impl Site {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("a time")));
        let stats = Arc::new(Stats::new(clock.now()));
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock,
            key: Key::generate().expect("random"),
            ring: Arc::default(),
            rules: Rules { keep: Duration::from_secs(30 * DAY), lists: [].into(), budget: 256 << 20 },
            sinks: vec![sink("needed", true), sink("other", false)],
            maker: Arc::new(EventMaker::new("/test", Uuid::nil(), Ids::random())),
            stats,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    pub(crate) fn options(&self) -> Options {
        let maker = self.maker.clone();
        let tell = move |loss: &Lost, at| told(&maker, loss, at);
        Options {
            path: self.path(),
            key: self.key.clone(),
            ring: self.ring.clone(),
            rules: self.rules.clone(),
            sinks: self.sinks.clone(),
            tell: Arc::new(tell),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
        }
    }

    pub(crate) fn open(&self) -> EventLog {
        let beat = Heartbeats::new(self.clock.clone()).register("log", Duration::from_secs(60));
        EventLog::open(self.options(), beat).unwrap_or_else(|e| panic!("{}", e.chain()))
    }

    /// An event that is of nobody.
    pub(crate) fn event(&self, camera: &str) -> Event {
        let camera = CameraId::new(camera).expect("a name");
        let change = CameraChange {
            camera: &camera,
            epoch: 1,
            state: CameraState::Connecting,
            error: None,
            retry: None,
            info: None,
        };
        self.maker.camera(&change, self.clock.now())
    }

    /// An event of somebody on lists.
    pub(crate) fn recognized(&self, who: IdentityId, name: &str, lists: &[&str]) -> Event {
        let mut event = crate::events::testing::recognized(&self.maker, self.clock.now());
        if let Some(identity) = event.identity_mut() {
            identity.id = who;
            identity.name = Some(name.to_owned());
            identity.external_id = None;
            identity.lists = lists.iter().map(|list| (*list).to_owned()).collect();
        }
        event
    }

    pub(crate) fn raw(&self) -> Connection {
        Connection::open(self.path()).expect("opens")
    }
}

fn told(maker: &EventMaker, loss: &Lost, at: Timestamp) -> Event {
    let moment = crate::base::clock::Moment { mono: Duration::ZERO, wall: at };
    maker.lost(*loss, moment)
}

/// Everything after `cursor`, as `sequence`, or `first..last` of what is gone, or `lost first..last`.
fn all(log: &EventLog, cursor: u64) -> Vec<String> {
    let mut reading = log.reading();
    let (mut cursor, epoch, mut seen) = (cursor, log.state().epoch, Vec::new());
    for _ in 0..1000 {
        let page = reading.after(epoch, cursor, 7).unwrap_or_else(|e| panic!("{}", e.chain()));
        seen.extend(page.items.iter().map(shown));
        if page.until == cursor && page.until >= log.state().last {
            return seen;
        }
        cursor = page.until;
    }
    panic!("never came to the end: {seen:?}")
}

fn shown(item: &Item) -> String {
    match item {
        Item::Gone { first, last } => format!("{first}..{last}"),
        Item::Event { sequence, event, .. } => match &event.data {
            Data::Lost(lost) => match (lost.first, lost.last) {
                (Some(first), Some(last)) => format!("lost {first}..{last}"),
                _ => format!("lost {}", lost.count),
            },
            _ => {
                assert_eq!((event.sequence(), event.log().is_nil()), (*sequence, false));
                sequence.to_string()
            }
        },
    }
}

pub(crate) fn finish(log: EventLog) {
    log.finish(Duration::from_secs(60)).unwrap_or_else(|e| panic!("{}", e.chain()));
}

#[test]
fn what_was_accepted_is_there_in_order_after_a_restart() {
    let site = Site::new();
    let log = site.open();
    let epoch = log.state().epoch;
    let events: Vec<Event> = (0..20).map(|_| site.event("door")).collect();
    for (n, event) in (1..).zip(&events) {
        assert_eq!(log.accept(event.clone()).expect("accepted"), n);
    }
    let expected: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    assert_eq!(all(&log, 0), expected);
    finish(log);
    let log = site.open();
    assert_eq!(log.state(), State { epoch, first: 1, last: 20 });
    assert_eq!(all(&log, 0), expected);
    assert_eq!(log.accept(site.event("door")).expect("accepted"), 21);
    let page = log.reading().after(epoch, 0, 1).expect("read");
    let Some(Item::Event { event, .. }) = page.items.first() else { panic!("{page:?}") };
    let mut first = events[0].clone();
    first.place(epoch, 1);
    assert_eq!(**event, first, "the very event that was handed over");
}

#[test]
fn a_cursor_is_kept_and_never_goes_back() {
    let site = Site::new();
    let log = site.open();
    (0..10).for_each(|_| drop(log.accept(site.event("door"))));
    let (reading, name) = (log.reading(), Arc::from("needed"));
    assert_eq!(reading.cursor("needed"), Some(0));
    assert!(reading.had(&name, 7, vec![(3, "too odd".to_owned())]));
    assert!(reading.had(&name, 4, Vec::new()));
    finish(log);
    let log = site.open();
    assert_eq!((log.reading().cursor("needed"), log.reading().cursor("other")), (Some(7), Some(0)));
    assert_eq!(log.reading().cursor("unknown"), None);
    let dead: (String, i64, String) = site
        .raw()
        .query_row("SELECT sink, sequence, why FROM dead", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .expect("one");
    assert_eq!(dead, ("needed".to_owned(), 3, "too odd".to_owned()));
}

#[test]
fn names_are_sealed_and_go_with_whom_they_are_of() {
    let site = Site::new();
    let (ana, ben) = (IdentityId::generate(), IdentityId::generate());
    for who in [ana, ben] {
        site.ring.0.lock().expect("whole").insert(who, Key::generate().expect("random"));
    }
    let log = site.open();
    log.accept(site.recognized(ana, "Ana Beltrán", &["vip"])).expect("accepted");
    log.accept(site.recognized(ben, "Ben Okafor", &["vip"])).expect("accepted");
    let names = |log: &EventLog| -> Vec<Option<String>> {
        let page = log.reading().after(log.state().epoch, 0, 10).expect("read");
        let name = |item: &Item| match item {
            Item::Event { event, .. } => event.identity().and_then(|identity| identity.name.clone()),
            Item::Gone { .. } => None,
        };
        page.items.iter().map(name).collect()
    };
    assert_eq!(names(&log), [Some("Ana Beltrán".to_owned()), Some("Ben Okafor".to_owned())]);
    for file in ["events.db", "events.db-wal"] {
        let bytes = std::fs::read(site.folder.path().join(file)).expect("there");
        assert!(!bytes.windows(4).any(|part| part == b"Okaf" || part == b"Belt"), "{file}");
    }
    site.ring.0.lock().expect("whole").remove(&ana);
    assert_eq!(names(&log), [None, Some("Ben Okafor".to_owned())]);
    finish(log);
    assert_eq!(all(&site.open(), 0), ["1", "2"], "both still verify");
}

#[test]
fn one_wait_for_the_disk_serves_all_that_came_meanwhile() {
    let site = Site::new();
    let log = site.open();
    // While somebody else writes, everything waits.
    let other = site.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    for _ in 0..500 {
        assert!(log.submit(site.event("door")));
    }
    other.execute_batch("COMMIT").expect("done");
    assert_eq!(log.accept(site.event("door")).expect("accepted"), 501);
    assert_eq!(site.stats.events.accepted.get(), 501);
    let commits = site.stats.events.commits.get();
    assert!((2..=4).contains(&commits), "{commits} for 501 events, at most 256 each");
}

#[test]
fn nobody_sees_an_event_before_it_is_on_the_disk() {
    let site = Site::new();
    let log = site.open();
    log.accept(site.event("door")).expect("accepted");
    let (epoch, mut reading) = (log.state().epoch, log.reading());
    // While somebody else writes, the transaction waits: the event is in the writer's hands, and on no disk.
    let other = site.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    assert!(log.submit(site.event("door")));
    while log.shared.queued() > 0 {
        std::thread::yield_now();
    }
    for _ in 0..50 {
        let seen = reading.after(epoch, 1, 10).expect("read");
        assert_eq!((seen.items.len(), seen.state.last, log.state().last), (0, 1, 1));
        assert!(!reading.wait(epoch, 1, Duration::ZERO));
    }
    other.execute_batch("COMMIT").expect("done");
    assert_eq!(log.accept(site.event("door")).expect("accepted"), 3);
    assert_eq!(all(&log, 1), ["2", "3"]);
}

#[test]
fn a_second_epoch_is_told_and_not_read_as_the_first() {
    let site = Site::new();
    let log = site.open();
    log.accept(site.event("door")).expect("accepted");
    let seen = log.reading().after(Uuid::now_v7(), 0, 10).expect("read");
    assert_eq!((seen.items.len(), seen.until, seen.state.epoch), (0, 0, log.state().epoch));
}
