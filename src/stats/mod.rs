//! What the pipeline counts.
//!
//! ```text
//!   camera thread ─┐                              ┌─▶ status socket (JSON, table)
//!   workers ───────┼─▶ Arc<CameraStats>, counters ┼─▶ /metrics
//!   decider ───────┤        no locks per frame    └─▶ nobody: counting costs some nanoseconds
//!   publisher ─────┘                  │
//!                                snapshot(now)
//! ```
//!
//! Nothing in here asks for the time: it is passed in.

pub mod counter;
pub mod labels;
pub mod latency;
pub mod rate;
pub mod snapshot;

mod camera;
mod pull;
mod snapshots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use camera::{CameraStats, recognising_within};
pub use labels::{CameraState, CropDrop, DecisionKind, FrameDrop, ShadowVerdict, SnapshotGone, SnapshotMiss};
pub use pull::{Open, PullStats, Way};
pub use snapshots::SnapshotStats;

use crate::base::clock::Moment;
use crate::types::ids::CameraId;
use crate::types::matching::IndexKind;
use counter::{Counter, Gauge, Timing};
use snapshot::{EventsSnapshot, GallerySnapshot, InferenceSnapshot, SinkSnapshot, Snapshot};

/// Everything that is counted. Shared by `Arc`.
#[derive(Debug)]
pub struct Stats {
    // Written at start and reload only; stages keep the `Arc` of their camera.
    cameras: RwLock<BTreeMap<CameraId, Arc<CameraStats>>>,
    /// Inference.
    pub inference: InferenceStats,
    /// Publishing.
    pub events: EventStats,
    /// Searching.
    pub gallery: GalleryStats,
    /// Pictures of who was recognised.
    pub snapshots: Arc<SnapshotStats>,
    started: Moment,
}

impl Stats {
    /// All zero, without cameras.
    pub fn new(started: Moment) -> Self {
        Self {
            cameras: RwLock::default(),
            inference: InferenceStats::default(),
            events: EventStats::default(),
            gallery: GalleryStats::default(),
            snapshots: Arc::default(),
            started,
        }
    }

    /// The counters of `id`, made if it has none. See [`recognising_within`] for the last argument.
    pub fn add_camera(&self, id: &CameraId, now: Moment, within: Duration) -> Arc<CameraStats> {
        let mut cameras = self.cameras.write().unwrap_or_else(PoisonError::into_inner);
        cameras
            .entry(id.clone())
            .or_insert_with(|| Arc::new(CameraStats::new(id.clone(), now, within)))
            .clone()
    }

    /// Forgets the camera. Stages that still hold its counters may go on counting; nobody reports it.
    pub fn remove_camera(&self, id: &CameraId) {
        self.cameras.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The counters of `id`.
    pub fn camera(&self, id: &CameraId) -> Option<Arc<CameraStats>> {
        self.cameras.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The cameras that there are counters of.
    pub fn cameras(&self) -> Vec<CameraId> {
        self.cameras.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Everything, as of `now`. The caller adds the phase and what is stuck.
    pub fn snapshot(&self, now: Moment, phase: &str, stuck: Vec<String>) -> Snapshot {
        let cameras: Vec<_> =
            self.cameras.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: phase.to_owned(),
            started: self.started.wall,
            uptime_s: now.since(self.started).as_secs(),
            stuck,
            inference: self.inference.snapshot(),
            gallery: self.gallery.snapshot(),
            events: self.events.snapshot(),
            snapshots: self.snapshots.snapshot(),
            cameras: cameras.iter().map(|c| c.snapshot(now)).collect(),
        }
    }
}

/// What runs the models.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InferenceSetup {
    /// Device in use.
    pub device: String,
    /// Name of the detector.
    pub detector: String,
    /// Name or id of the embedder.
    pub embedder: String,
    /// Worker threads.
    pub workers: u64,
}

/// Counters of the inference pool.
#[derive(Debug, Default)]
pub struct InferenceStats {
    setup: Mutex<InferenceSetup>,
    /// Detector runs.
    pub detect: Timing,
    /// Embedder runs, one a batch.
    pub embed: Timing,
    /// Crops in the embedder's runs.
    pub crops: Counter,
    /// Crops that wait.
    pub queue: Gauge,
    /// Calls that failed.
    pub failures: Counter,
}

impl InferenceStats {
    /// Says what runs the models.
    pub fn set_setup(&self, setup: InferenceSetup) {
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = setup;
    }

    fn snapshot(&self) -> InferenceSnapshot {
        let setup = self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone();
        InferenceSnapshot {
            device: setup.device,
            detector: setup.detector,
            embedder: setup.embedder,
            workers: setup.workers,
            detections: self.detect.runs(),
            detect_s: self.detect.seconds(),
            batches: self.embed.runs(),
            embed_s: self.embed.seconds(),
            crops: self.crops.get(),
            queue: self.queue.get(),
            failures: self.failures.get(),
        }
    }
}

/// Counters of the gallery.
#[derive(Debug, Default)]
pub struct GalleryStats {
    index: Mutex<Option<IndexKind>>,
    identities: Gauge,
    templates: Gauge,
    generation: Gauge,
    reviews_due: Gauge,
    checks: Counter,
    recalled: Counter,
    agreed: Counter,
    distrusted: Gauge,
    /// Searches.
    pub search: Arc<Timing>,
}

impl GalleryStats {
    /// Another snapshot of the gallery is searched from now on.
    pub fn swapped(&self, index: IndexKind, identities: u64, templates: u64, generation: u64) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index);
        self.identities.set(identities);
        self.templates.set(templates);
        self.generation.set(generation);
    }

    /// A search by the approximate index was repeated exactly: was the nearest identity found, and would the decision be the same?
    pub fn checked(&self, recalled: bool, agreed: bool) {
        self.checks.add(1);
        self.recalled.add(u64::from(recalled));
        self.agreed.add(u64::from(agreed));
    }

    /// The approximate index is used no more.
    pub fn distrusted(&self) {
        self.distrusted.set(1);
    }

    /// So many identities' review dates have come.
    pub fn reviews_due(&self, reviews: u64) {
        self.reviews_due.set(reviews);
    }

    /// The figures now.
    pub fn snapshot(&self) -> GallerySnapshot {
        let index = *self.index.lock().unwrap_or_else(PoisonError::into_inner);
        GallerySnapshot {
            index: index.map_or("", IndexKind::as_str).to_owned(),
            identities: self.identities.get(),
            templates: self.templates.get(),
            generation: self.generation.get(),
            reviews_due: self.reviews_due.get(),
            index_checks: self.checks.get(),
            index_recalled: self.recalled.get(),
            index_agreed: self.agreed.get(),
            index_distrusted: self.distrusted.get() == 1,
            searches: self.search.runs(),
            search_s: self.search.seconds(),
        }
    }
}

/// Counters of the publisher.
#[derive(Debug, Default)]
pub struct EventStats {
    sinks: RwLock<Vec<Arc<SinkStats>>>,
    pulls: RwLock<Vec<Arc<PullStats>>>,
    /// Requests for events that were refused: no reader's token, nobody who may, no place, no cursor of ours.
    pulls_refused: Counter,
    /// Events taken into the queue.
    pub accepted: Counter,
    /// Events that found the queue full, and were lost to every sink.
    pub overflowed: Counter,
    /// Events that wait.
    pub queue: Gauge,
    /// Events that a required sink never had, because the log reached its budget.
    pub lost: Counter,
    /// Bytes of the log that hold something.
    pub bytes: Gauge,
    /// Transactions that brought events into the log: each is one wait for the disk.
    pub commits: Counter,
    /// 1 while the log cannot be written.
    pub log_failing: Gauge,
}

impl EventStats {
    /// Counters for a sink; the publisher calls it once for each.
    pub fn add_sink(&self, name: &str) -> Arc<SinkStats> {
        let sink = Arc::new(SinkStats { name: name.to_owned(), ..Default::default() });
        self.sinks.write().unwrap_or_else(PoisonError::into_inner).push(sink.clone());
        sink
    }

    /// Counters for those who come for events by that name; called once for each.
    pub fn add_reader(&self, name: &str, way: Way) -> Arc<PullStats> {
        let reader = Arc::new(PullStats::new(name, way));
        self.pulls.write().unwrap_or_else(PoisonError::into_inner).push(reader.clone());
        reader
    }

    /// A request for events was refused.
    pub fn refuse_pull(&self) {
        self.pulls_refused.add(1);
    }

    /// The figures now.
    pub fn snapshot(&self) -> EventsSnapshot {
        let sinks = self.sinks.read().unwrap_or_else(PoisonError::into_inner);
        let pulls = self.pulls.read().unwrap_or_else(PoisonError::into_inner);
        EventsSnapshot {
            accepted: self.accepted.get(),
            overflowed: self.overflowed.get(),
            queue: self.queue.get(),
            lost: self.lost.get(),
            bytes: self.bytes.get(),
            commits: self.commits.get(),
            log_failing: self.log_failing.get() == 1,
            sinks: sinks.iter().map(|s| s.snapshot()).collect(),
            pulls: pulls.iter().map(|reader| reader.snapshot()).collect(),
            pulls_refused: self.pulls_refused.get(),
        }
    }
}

/// Counters of one sink.
#[derive(Debug, Default)]
pub struct SinkStats {
    name: String,
    /// Events that it has taken.
    pub written: Counter,
    /// Events that it refused for good, or lost.
    pub lost: Counter,
    /// Attempts that failed.
    pub failures: Counter,
    /// Sequences of the log that it has not had yet.
    pub behind: Gauge,
    /// 1 while the last attempt failed.
    pub failing: Gauge,
}

impl SinkStats {
    fn snapshot(&self) -> SinkSnapshot {
        SinkSnapshot {
            name: self.name.clone(),
            written: self.written.get(),
            lost: self.lost.get(),
            healthy: self.failing.get() == 0,
            failures: self.failures.get(),
            behind: self.behind.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment { mono: Duration::from_secs(secs), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn id(name: &str) -> CameraId {
        CameraId::new(name).expect("valid")
    }

    #[test]
    fn a_camera_keeps_its_counters_through_a_reload_and_is_forgotten_when_removed() {
        let stats = Stats::new(at(0));
        let within = Duration::from_secs(5);
        let door = stats.add_camera(&id("door"), at(0), within);
        stats.add_camera(&id("yard"), at(0), within);
        door.frames_received(1, at(1));
        let same = stats.add_camera(&id("door"), at(2), within);
        assert!(Arc::ptr_eq(&door, &same), "an untouched camera goes on counting");
        stats.remove_camera(&id("yard"));
        let shown = stats.snapshot(at(3), "ready", Vec::new());
        assert_eq!(shown.cameras.len(), 1);
        assert_eq!((shown.cameras[0].frames_received, shown.uptime_s), (1, 3));
        assert!(stats.camera(&id("yard")).is_none());
    }

    #[test]
    fn a_snapshot_survives_json() {
        let stats = Stats::new(at(0));
        stats.add_camera(&id("door"), at(0), Duration::from_secs(5)).decided(
            DecisionKind::Confirmed,
            Some(Duration::from_millis(120)),
            at(1),
        );
        stats.gallery.swapped(IndexKind::Exact, 2, 5, 7);
        stats.events.add_sink("stdout").written.add(1);
        let shown = stats.snapshot(at(3), "ready", vec!["embed".into()]);
        let json = serde_json::to_string(&shown).expect("serialises");
        assert_eq!(serde_json::from_str::<Snapshot>(&json).expect("parses"), shown);
        assert!(json.contains(r#""confirmed":1"#), "{json}");
    }
}
