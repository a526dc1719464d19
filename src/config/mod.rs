//! The configuration, checked: nothing in here can hold a value that the daemon would choke on.
//!
//! [`load()`](load::load) makes it from the built-in defaults, the file, the drop-in folder, the environment and
//! the credentials, and reports every mistake at once. `config/watchlistd.toml` documents every key.

pub mod defaults;
pub mod diff;
pub mod load;
pub mod place;

mod address;
mod camera;
mod credentials;
mod env;
mod error;
mod events;
mod file;
mod raw;
mod read;
mod sink;
mod snapshots;
mod suggest;
mod units;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

pub use self::error::{ConfigErrors, Problem};
pub use self::sink::jsonl::{Compression, EventFile, FileSync};
pub use self::sink::readers::HttpReader;
pub use self::sink::unix::EventSocket;
pub use self::sink::{BUILT_IN, Retry, Sink, SinkKind, Start};
use crate::base::secret::{Secret, redact};
use crate::gallery::command::Review;
use crate::gallery::record::ListName;
use crate::types::geometry::{Point, Size};
use crate::types::ids::CameraId;
use crate::types::matching::IndexChoice;

/// How a path names a file in systemd's folder of credentials.
pub const IN_CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// Everything the daemon needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Models and the runtime that runs them.
    pub models: Models,
    /// Where and how inference runs.
    pub inference: Inference,
    /// The enrolled identities.
    pub gallery: Gallery,
    /// Tracking of faces over time.
    pub track: Track,
    /// What makes a shot good enough to be embedded.
    pub quality: QualityLimits,
    /// From scores to decisions.
    pub decide: Decide,
    /// Another way from scores to decisions, that is compared with it and never published.
    pub shadow: Option<Decide>,
    /// The event log.
    pub events: Events,
    /// Where events go: the sinks that are switched on, those that are built in first, then by name. Names are unique.
    pub sinks: Vec<Sink>,
    /// Pictures of who was recognised.
    pub snapshots: Snapshots,
    /// Loopback HTTP: metrics, health, and events for those who come for them.
    pub http: Http,
    /// The socket of status and gallery commands.
    pub control: Control,
    /// Log output.
    pub log: Log,
    /// The cameras that are switched on, by id; ids are unique.
    pub cameras: Vec<Camera>,
}

impl Config {
    /// True if events are entries of the journal.
    pub fn goes_to_journal(&self) -> bool {
        self.sinks.iter().any(|sink| sink.kind == SinkKind::Journal)
    }
}

/// `[models]`
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Manifest of the detector (a TOML file).
    pub detector: PathBuf,
    /// Manifest of the embedder (a TOML file).
    pub embedder: PathBuf,
    /// Folder that holds the weights the manifests name.
    pub folder: PathBuf,
    /// The ONNX Runtime library; `None` looks for it (see `infer::runtime`).
    pub runtime: Option<PathBuf>,
}

/// Where inference runs. What is asked for and cannot be had is an error, never a silent CPU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// `cpu`
    Cpu,
    /// `cuda:N`
    Cuda(u32),
    /// `tensorrt:N`
    TensorRt(u32),
    /// `openvino`
    OpenVino,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(n) => write!(f, "cuda:{n}"),
            Device::TensorRt(n) => write!(f, "tensorrt:{n}"),
            Device::OpenVino => f.write_str("openvino"),
        }
    }
}

/// `[inference]`
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// The device.
    pub device: Device,
    /// Inference workers; `None`: one a core on a CPU, two on a GPU.
    pub workers: Option<usize>,
    /// Most crops in one batch; `None`: 1 on a CPU, 32 on a GPU.
    pub max_batch: Option<usize>,
    /// Longest wait for a batch to fill; `None`: none on a CPU, 3 ms on a GPU.
    pub max_wait: Option<Duration>,
    /// A crop that waited longer than this is dropped and counted.
    pub max_crop_age: Duration,
}

/// `[gallery]`
#[derive(Debug, Clone, PartialEq)]
pub struct Gallery {
    /// The SQLite store.
    pub path: PathBuf,
    /// Which index searches it.
    pub index: IndexChoice,
    /// The master key's file; one that starts with [`IN_CREDENTIALS`] is a credential of systemd's. `None`: the credential
    /// `gallery-key` if systemd gives one, else a file beside the store (see `gallery::master`).
    pub key_file: Option<PathBuf>,
    /// Whether enrolment crops are kept, encrypted, so that another model can embed them.
    pub keep_crops: bool,
    /// How strictly an enrolment is looked at that does not say so itself.
    pub review: Review,
}

/// `[track]`
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Detections at or above this score start tracks and are associated first.
    pub high_score: f32,
    /// Detections at or above this score may continue a track.
    pub low_score: f32,
    /// Least IoU of a predicted box and a detection, both grown by the prediction's uncertainty, for them to be the
    /// same face.
    pub min_iou: f32,
    /// Hits before a track counts.
    pub min_hits: u32,
    /// A track not seen for this long has ended.
    pub max_age: Duration,
    /// At most one shot of a track is embedded in this time, the best of it.
    pub shot_interval: Duration,
    /// Shots of a track embedded at this interval; later ones only if clearly better.
    pub max_shots: u32,
}

/// `[quality]`
#[derive(Debug, Clone, PartialEq)]
pub struct QualityLimits {
    /// Least shorter side of a face's box, in pixels of the frame.
    pub min_face: f32,
    /// Least variance of the Laplacian of the aligned crop.
    pub min_sharpness: f32,
    /// Most turn of the head, degrees.
    pub max_yaw: f32,
    /// Most nod, degrees.
    pub max_pitch: f32,
    /// Most in-plane rotation, degrees.
    pub max_roll: f32,
    /// Least mean luma of the crop.
    pub min_brightness: f32,
    /// Most mean luma of the crop.
    pub max_brightness: f32,
}

impl QualityLimits {
    /// Limits that every face keeps.
    pub fn none() -> Self {
        Self {
            min_face: 0.0,
            min_sharpness: 0.0,
            max_yaw: 180.0,
            max_pitch: 180.0,
            max_roll: 180.0,
            min_brightness: 0.0,
            max_brightness: 255.0,
        }
    }
}

/// What a threshold is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// A similarity score, 0 to 1.
    Score(f32),
    /// The lowest one that keeps a budget of false alerts, estimated from the camera's own scores.
    Budget(AlertBudget),
}

impl Threshold {
    /// The score, if it is one.
    pub const fn score(self) -> Option<f32> {
        match self {
            Threshold::Score(score) => Some(score),
            Threshold::Budget(_) => None,
        }
    }
}

/// `{ false_alerts_per_day = 1 }`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlertBudget {
    /// Most false alerts a day at a camera that are to be expected.
    pub per_day: f64,
    /// The threshold is never below that; `None`: a tenth below the model's own.
    pub floor: Option<f32>,
}

/// What each of the fused shots weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fusion {
    /// All the same.
    Mean,
    /// Each its quality score.
    Quality,
}

/// `[decide]`
#[derive(Debug, Clone, PartialEq)]
pub struct Decide {
    /// Least similarity score of a recognition; `None` takes the model manifest's.
    pub threshold: Option<Threshold>,
    /// Lists whose threshold at each camera is to keep a budget, instead of their own.
    pub lists: BTreeMap<ListName, AlertBudget>,
    /// Least distance to the second identity's score.
    pub margin: f32,
    /// Shots that must agree before a recognition is confirmed.
    pub confirm: u32,
    /// Best shots fused into the embedding that is decided on.
    pub fuse: u32,
    /// How they are fused.
    pub fusion: Fusion,
    /// Shots before a track may be called unknown ...
    pub fair_shots: u32,
    /// ... and time it must have been looked at.
    pub fair_look: Duration,
    /// After the last sighting, the same identity at the same camera is the same visit for this long.
    pub cooldown: Duration,
}

impl Decide {
    /// The threshold, if it is a score.
    pub fn score(&self) -> Option<f32> {
        self.threshold.and_then(Threshold::score)
    }
}

/// `[events]`
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// Value of CloudEvents `source`, followed by the camera.
    pub source: String,
    /// The event log (SQLite).
    pub path: PathBuf,
    /// An event that is older is deleted from the log. A minute to ten years.
    pub retention: Duration,
    /// Most bytes that the log takes on the disk; 16 MiB or more.
    pub budget: u64,
    /// Retention of events about somebody on one of these lists. Of several lists, the longest counts.
    pub lists: BTreeMap<ListName, Duration>,
}

/// `[snapshots]`
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshots {
    /// The snapshot store (SQLite).
    pub path: PathBuf,
    /// How long snapshots of those who are on no list are kept; `None`: none are.
    pub unknown: Option<Duration>,
    /// Most bytes that the store takes on the disk; 16 MiB or more.
    pub budget: u64,
    /// Height of a scene in heights of the face; `None`: the face only.
    pub scene: Option<f32>,
    /// Longest side of a scene, in pixels.
    pub scene_pixels: u32,
    /// Quality of the JPEGs, 1 to 100.
    pub quality: u8,
    /// How long snapshots of somebody on one of these lists are kept. Of several lists, the longest counts; of others, none are.
    pub lists: BTreeMap<ListName, Duration>,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Loopback address; `None`: off.
    pub listen: Option<SocketAddr>,
    /// Who may come for events, by name. Without any, nobody may.
    pub readers: Vec<HttpReader>,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The Unix socket of `watchlistd status` and of gallery commands.
    pub socket: PathBuf,
    /// The group that may use it besides root; `None`: the daemon's own.
    pub group: Option<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A `tracing` filter: `info`, `watchlistd=debug,info`, ...
    pub filter: String,
    /// Output.
    pub format: LogFormat,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// journald when systemd started us, else human.
    Auto,
    /// Lines for people, on standard error.
    Human,
    /// The journal's native protocol, with fields.
    Journald,
}

/// `[cameras.ID]`
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Its name in events, metrics and logs.
    pub id: CameraId,
    /// What to open.
    pub source: CameraSource,
    /// The decoder element to use; `None`: the best ranked on the box.
    pub decoder: Option<String>,
    /// A stream that delivers nothing for this long has stalled.
    pub stall: Duration,
    /// Frames a second that are looked at.
    pub detect_fps: f32,
    /// Size of the detector's input; frames are fitted into it with their aspect kept.
    pub input: Size,
    /// Least detector score of a face.
    pub min_score: f32,
    /// Least shorter side of a face's box, in pixels of the frame; overrides `quality.min_face`.
    pub min_face: Option<f32>,
    /// Only this part of the picture is looked at; corners as fractions of width and height.
    pub roi: Option<[f32; 4]>,
    /// Faces whose centre lies in one of these polygons are ignored; corners as fractions.
    pub masks: Vec<Vec<Point>>,
    /// Overrides `decide.threshold`.
    pub threshold: Option<Threshold>,
    /// Cameras with the same place belong together: visits go on from one to the other.
    pub place: Option<String>,
}

/// What a camera is.
#[derive(Debug, Clone, PartialEq)]
pub enum CameraSource {
    /// `rtsp://` or `rtsps://`
    Rtsp(Rtsp),
    /// A video file: `file:///...` or a path. Played at its own speed; `repeat` starts over at the end.
    File {
        /// The file.
        path: PathBuf,
        /// Starts over at the end.
        repeat: bool,
    },
    /// A V4L2 device: `v4l2:///dev/video0`.
    V4l2 {
        /// The device node.
        device: PathBuf,
    },
    /// GStreamer's test picture: `test://smpte?size=640x360&fps=25`. No faces in it.
    Test {
        /// Pattern of `videotestsrc`.
        pattern: String,
        /// Picture size.
        size: Size,
        /// Frames a second.
        fps: u32,
    },
}

/// An RTSP stream. Its `Debug` redacts the address: parameters may hold a password or a token.
#[derive(Clone, PartialEq)]
pub struct Rtsp {
    /// The address, without user and password.
    pub url: Url,
    /// User name, if the camera wants one.
    pub user: Option<Secret>,
    /// Password.
    pub password: Option<Secret>,
    /// How media travels.
    pub transport: Transport,
    /// Jitter buffer.
    pub latency: Duration,
    /// How a `rtsps://` server is checked.
    pub tls: Tls,
}

impl fmt::Debug for Rtsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field by name: one added later has to be thought about here.
        let Self { url, user, password, transport, latency, tls } = self;
        f.debug_struct("Rtsp")
            .field("url", &redact(url))
            .field("user", user)
            .field("password", password)
            .field("transport", transport)
            .field("latency", latency)
            .field("tls", tls)
            .finish()
    }
}

/// How RTP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Inside the RTSP connection.
    Tcp,
    /// In datagrams.
    Udp,
}

/// How a TLS server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Against the system's authorities.
    Verify,
    /// The certificate must have this SHA-256.
    Pin([u8; 32]),
    /// Not at all.
    Insecure,
}
