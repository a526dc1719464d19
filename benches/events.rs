//! What the event log and its sinks cost.
//!
//! `cargo bench --bench events`: accepted events a second, with a wait for the disk for each event and with group commit, beside a
//! plain SQLite loop in the same run; and the time from decision to receipt by sink and by way of coming
//! for events, at 50 events a second. Kafka takes part with `--features kafka`.
//!
//! The files are in the folder for temporary files: `TMPDIR` names another disk. A sink whose server is not installed is left out,
//! with a line that says so (`scripts/setup --tests` installs them).

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

#[path = "events/latency.rs"]
mod latency;
#[path = "events/peers.rs"]
mod peers;
#[path = "events/readers.rs"]
mod readers;
#[path = "events/throughput.rs"]
mod throughput;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use watchlistd::base::clock::{Clock, SystemClock};
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::events::log::{EventLog, Options, Ring, Rules, SinkPlace};
use watchlistd::events::{Event, EventMaker, Ids};
use watchlistd::gallery::crypt::Key;
use watchlistd::stats::Stats;
use watchlistd::types::ids::IdentityId;

/// A log on the disk, as the daemon has it.
struct Site {
    log: Arc<EventLog>,
    stats: Arc<Stats>,
    clock: Arc<dyn Clock>,
    maker: Arc<EventMaker>,
    /// Goes with it.
    _folder: tempfile::TempDir,
}

/// One key for everybody: names are sealed, as they are for whoever is enrolled.
struct OneKey(Key);

impl Ring for OneKey {
    fn sealing(&self, _: IdentityId) -> Option<Key> {
        Some(self.0.clone())
    }

    fn opening(&self, _: IdentityId) -> Vec<Key> {
        vec![self.0.clone()]
    }
}

impl Site {
    fn new(sinks: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let stats = Arc::new(Stats::new(clock.now()));
        let maker = Arc::new(EventMaker::new("/bench", Uuid::now_v7(), Ids::random()));
        let (teller, now) = (maker.clone(), clock.clone());
        let place = |name: &&str| SinkPlace { name: (*name).to_owned(), required: true, from_oldest: true };
        let options = Options {
            path: folder.path().join("events.db"),
            key: Key::from_bytes(&[7; 32]).expect("a key"),
            ring: Arc::new(OneKey(Key::from_bytes(&[8; 32]).expect("a key"))),
            rules: Rules { keep: Duration::from_secs(86_400), lists: [].into(), budget: 1 << 30 },
            sinks: sinks.iter().map(place).collect(),
            tell: Arc::new(move |lost, _| teller.lost(*lost, now.now())),
            clock: clock.clone(),
            stats: stats.clone(),
        };
        let beat = Heartbeats::new(clock.clone()).register("log", Duration::from_secs(60));
        let log = Arc::new(EventLog::open(options, beat).expect("opens"));
        Self { log, stats, clock, maker, _folder: folder }
    }

    fn finish(self) {
        Arc::into_inner(self.log)
            .expect("nobody else has it")
            .finish(Duration::from_secs(60))
            .expect("ended");
    }
}

/// The recognition of docs/events.md, as a new event.
fn recognition() -> Event {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md"));
    let docs = docs.expect("docs/events.md");
    let (_, after) = docs.split_once("<!-- example: recognized -->").expect("the example");
    let json = after.split("```").nth(1).and_then(|block| block.strip_prefix("json")).expect("its JSON");
    let event: Event = serde_json::from_str(json).expect("an event");
    Event { id: Uuid::now_v7(), ..event }
}

/// The middle one, or the one at that share of the sorted values.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn main() {
    throughput::run();
    latency::run();
}
