//! The counters at one moment, as `watchlistd status --json` prints them. Map keys are the labels' names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::labels::CameraState;
use super::latency::LatencySnapshot;
use crate::calibrate::budget::{Basis, Range};

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// The whole daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the program.
    pub version: String,
    /// Life-cycle phase: `starting`, `ready`, `reloading`, `draining`, `stopped`.
    pub phase: String,
    /// When it started (UTC).
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_s: u64,
    /// Stages that are busy without progress for longer than they may; empty when all is well.
    pub stuck: Vec<String>,
    /// Inference.
    pub inference: InferenceSnapshot,
    /// Gallery.
    pub gallery: GallerySnapshot,
    /// Events.
    pub events: EventsSnapshot,
    /// Pictures of who was recognised.
    #[serde(default)]
    pub snapshots: SnapshotsSnapshot,
    /// Cameras, by name.
    pub cameras: Vec<CameraSnapshot>,
}

/// The inference pool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InferenceSnapshot {
    /// Device in use: `cpu`, `cuda:0`, ...
    pub device: String,
    /// Name of the detector.
    pub detector: String,
    /// Name or id of the embedder.
    pub embedder: String,
    /// Worker threads.
    pub workers: u64,
    /// Frames looked at.
    pub detections: u64,
    /// Time spent on them, in seconds of a worker.
    pub detect_s: f64,
    /// Batches embedded.
    pub batches: u64,
    /// Time spent on them, in seconds of a worker.
    pub embed_s: f64,
    /// Crops in those batches.
    pub crops: u64,
    /// Crops that wait.
    pub queue: u64,
    /// Inference calls that failed.
    pub failures: u64,
}

/// The gallery that is searched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GallerySnapshot {
    /// Which index answers: `exact` or `hnsw`; empty until one is open.
    pub index: String,
    /// Enrolled identities.
    pub identities: u64,
    /// Their templates.
    pub templates: u64,
    /// Generation of the snapshot.
    pub generation: u64,
    /// Identities whose review date has come.
    #[serde(default)]
    pub reviews_due: u64,
    /// Searches by the approximate index that were repeated exactly.
    #[serde(default)]
    pub index_checks: u64,
    /// Of these, those that found the nearest identity.
    #[serde(default)]
    pub index_recalled: u64,
    /// Of these, those that lead to the same decision.
    #[serde(default)]
    pub index_agreed: u64,
    /// True if the approximate index answered wrongly too often, and exact search took its place.
    #[serde(default)]
    pub index_distrusted: bool,
    /// Searches made.
    pub searches: u64,
    /// Time spent on them, in seconds.
    pub search_s: f64,
}

/// Publishing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EventsSnapshot {
    /// Events accepted for publishing.
    pub accepted: u64,
    /// Events that found the queue full, and were lost to every sink.
    pub overflowed: u64,
    /// Events that wait.
    pub queue: u64,
    /// Events that a required sink never had, because the log reached its budget.
    #[serde(default)]
    pub lost: u64,
    /// Bytes of the log that hold something.
    #[serde(default)]
    pub bytes: u64,
    /// Transactions that brought events into the log.
    #[serde(default)]
    pub commits: u64,
    /// True while the log cannot be written.
    #[serde(default)]
    pub log_failing: bool,
    /// The sinks.
    pub sinks: Vec<SinkSnapshot>,
    /// Those who come for events themselves.
    #[serde(default)]
    pub pulls: Vec<PullSnapshot>,
    /// Requests for events that were refused.
    #[serde(default)]
    pub pulls_refused: u64,
}

/// Those who come for events by one name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PullSnapshot {
    /// The name in the configuration.
    pub reader: String,
    /// `http` or `unix`.
    pub way: String,
    /// Requests that were served; of a socket, connections.
    pub requests: u64,
    /// Requests that are served now: streams, and polls that wait.
    pub open: u64,
    /// Events that were handed out.
    pub given: u64,
    /// Hung up on, as they did not take what was sent.
    pub stalled: u64,
}

/// Pictures of who was recognised.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SnapshotsSnapshot {
    /// Pictures that were cut out of frames, and held in memory until it was known who it was.
    pub made: u64,
    /// Time spent on them, in seconds of a worker.
    pub made_s: f64,
    /// Snapshots that came to the disk.
    pub kept: u64,
    /// Time spent on encoding, sealing and storing them, in seconds.
    pub kept_s: f64,
    /// Attempts at a picture, its scene or its snapshot that gave none, by why.
    pub missed: Counts,
    /// Snapshots that were deleted, by why.
    pub removed: Counts,
    /// Snapshots in the store.
    pub held: u64,
    /// Bytes of the store that hold something.
    pub bytes: u64,
    /// True while the store cannot be written or read.
    pub failing: bool,
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SinkSnapshot {
    /// Its name.
    pub name: String,
    /// Events written.
    pub written: u64,
    /// Events it could not write.
    pub lost: u64,
    /// False while the last write failed.
    pub healthy: bool,
    /// Attempts that failed.
    #[serde(default)]
    pub failures: u64,
    /// Events of the log that it has not had yet.
    #[serde(default)]
    pub behind: u64,
}

/// A camera's last failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    /// What kind: a name of [`crate::source::Failure`].
    pub failure: String,
    /// For a person; addresses in it are redacted.
    pub message: String,
    /// When (UTC).
    pub at: Timestamp,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraSnapshot {
    /// Its name.
    pub id: String,
    /// What its supervisor does.
    pub state: CameraState,
    /// Seconds in this state.
    pub state_s: u64,
    /// True while inference results keep coming.
    pub recognising: bool,
    /// The last failure, also after the camera is back.
    pub last_error: Option<LastError>,
    /// Coded format.
    pub codec: Option<String>,
    /// Decoder in use.
    pub decoder: Option<String>,
    /// Width of the picture.
    pub width: Option<u32>,
    /// Height of the picture.
    pub height: Option<u32>,
    /// Frames a second as the camera announces them.
    pub announced_fps: Option<f32>,
    /// How the stream travels.
    pub transport: Option<String>,
    /// Number of the connection.
    pub epoch: u32,
    /// Connections lost or failed that were tried again.
    pub reconnects: u64,
    /// Frames a second that arrive, over the last 10 seconds.
    pub fps_in: f64,
    /// Frames a second that are looked at, over the last 10 seconds.
    pub fps_inferred: f64,
    /// Frames that arrived.
    pub frames_received: u64,
    /// Frames looked at.
    pub frames_inferred: u64,
    /// Frames the sampling rate skipped.
    pub frames_not_sampled: u64,
    /// Frames lost, by reason.
    pub frames_dropped: Counts,
    /// Faces found.
    pub faces: u64,
    /// Faces not good enough to be embedded, by reason.
    pub faces_refused: Counts,
    /// Tracks so far.
    pub tracks_started: u64,
    /// Tracks alive.
    pub tracks_live: u64,
    /// Shots embedded.
    pub embedded: u64,
    /// Good shots never embedded, by reason.
    pub crops_dropped: Counts,
    /// Decisions published, by kind.
    pub decisions: Counts,
    /// Tracks that left, by whether `[shadow]` says the same of them.
    #[serde(default)]
    pub shadow: Counts,
    /// Recognitions that an operator judged, by verdict.
    #[serde(default)]
    pub reviews: Counts,
    /// From capture to publication.
    pub latency: LatencySnapshot,
    /// Tracks whose score did not reach the estimate of the threshold in time.
    #[serde(default)]
    pub scores_lost: u64,
    /// The thresholds that are estimated for budgets of false alerts, the camera's own first.
    #[serde(default)]
    pub thresholds: Vec<ThresholdSnapshot>,
}

/// The last estimate of a threshold at a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdSnapshot {
    /// The list that it is for; null for the camera's own.
    #[serde(default)]
    pub list: Option<String>,
    /// The threshold.
    pub threshold: f32,
    /// Why it is what it is.
    pub basis: Basis,
    /// Most false alerts a day.
    pub budget: f64,
    /// False alerts a day that are to be expected, with a 95 % interval; null without an estimate.
    pub expected: Option<Range>,
    /// Tracks a day.
    pub tracks_per_day: f64,
    /// Scores that it was estimated from.
    pub scores: u64,
}
