//! A log and its events, as every test here has them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use watchlistd::base::clock::Clock;
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::events::log::{EventLog, Options, Ring, Rules, SinkPlace};
use watchlistd::events::{CameraChange, Event, EventMaker, Ids};
use watchlistd::gallery::crypt::Key;
use watchlistd::stats::{CameraState, Stats};
use watchlistd::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use watchlistd::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use watchlistd::types::matching::{IndexKind, Publish};

/// The budget's part that is the write-ahead log's.
pub const WAL: u64 = 6 << 20;

/// What binds rows in these tests.
pub fn key() -> Key {
    Key::from_bytes(&[7; 32]).expect("a key")
}

/// Two people who are in the gallery.
pub const PEOPLE: [(u128, &str); 2] = [(0xa, "Ana Beltrán"), (0xb, "Ben Okafor")];

/// Their keys.
pub struct People;

impl Ring for People {
    fn sealing(&self, identity: IdentityId) -> Option<Key> {
        let place = PEOPLE.iter().position(|(id, _)| IdentityId(Uuid::from_u128(*id)) == identity)?;
        Key::from_bytes(&[100 + place as u8; 32])
    }

    fn opening(&self, identity: IdentityId) -> Vec<Key> {
        self.sealing(identity).into_iter().collect()
    }
}

pub fn sink(name: &str, required: bool) -> SinkPlace {
    SinkPlace { name: name.to_owned(), required, from_oldest: true }
}

/// What a log is opened with.
#[derive(Clone)]
pub struct Site {
    pub clock: Arc<dyn Clock>,
    pub maker: Arc<EventMaker>,
    pub stats: Arc<Stats>,
    pub rules: Rules,
    pub sinks: Vec<SinkPlace>,
}

impl Site {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let stats = Arc::new(Stats::new(clock.now()));
        let maker = Arc::new(EventMaker::new("/test", Uuid::now_v7(), Ids::random()));
        let rules = Rules { keep: Duration::from_secs(86_400), lists: [].into(), budget: 256 << 20 };
        Self { clock, maker, stats, rules, sinks: Vec::new() }
    }

    pub fn open(&self, folder: &Path) -> watchlistd::base::error::Result<EventLog> {
        let (teller, now) = (self.maker.clone(), self.clock.clone());
        let options = Options {
            path: folder.join("events.db"),
            key: key(),
            ring: Arc::new(People),
            rules: self.rules.clone(),
            sinks: self.sinks.clone(),
            tell: Arc::new(move |lost, _| teller.lost(*lost, now.now())),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
        };
        let beat = Heartbeats::new(self.clock.clone()).register("log", Duration::from_secs(600));
        EventLog::open(options, beat)
    }

    /// An event that is of nobody.
    pub fn event(&self) -> Event {
        let camera = CameraId::new("door").expect("a name");
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

    /// One of [`PEOPLE`] is recognised.
    pub fn recognized(&self, who: usize, lists: &[&str]) -> Event {
        let (id, name) = PEOPLE[who];
        let captured = self.clock.now();
        let decision = Decision {
            track: TrackId { camera: CameraId::new("door").expect("a name"), epoch: 1, number: 1 },
            visit: Uuid::now_v7(),
            lists: lists.iter().map(|list| (*list).into()).collect(),
            verdict: Verdict::Recognized {
                identity: IdentityId(Uuid::from_u128(id)),
                name: Some(name.into()),
                external_id: None,
                stage: Stage::Confirmed,
            },
            publish: Publish::Name,
            score: Some(0.61),
            margin: Some(0.23),
            threshold: 0.42,
            threshold_origin: ThresholdOrigin::Model,
            asked: Asked::default(),
            looked: Duration::ZERO,
            shots: 3,
            agreeing: 3,
            quality: Some(0.87),
            captured,
            frames: vec![1, 2, 3],
            bbox: None,
            model: ModelId([7; 32]),
            generation: 1,
            index: IndexKind::Exact,
        };
        self.maker.decision(&decision, captured).expect("it may be published")
    }
}

pub fn finish(log: EventLog) {
    log.finish(Duration::from_secs(120)).unwrap_or_else(|e| panic!("{}", e.chain()));
}
