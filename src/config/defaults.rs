//! Every built-in default, in one place. `config/watchlistd.toml` shows the same values; a test keeps them in step.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{
    Camera, CameraSource, Config, Control, Decide, Device, Events, Fusion, Gallery, Http, Inference, Log,
    LogFormat, Models, QualityLimits, Rtsp, Sink, Snapshots, Tls, Track, Transport,
};
use crate::gallery::command::Review;
use crate::types::geometry::Size;
use crate::types::ids::CameraId;
use crate::types::matching::IndexChoice;

/// Where `make install` puts models and manifests.
const SHARE: &str = "/usr/local/share/watchlistd/models";
/// Folder of the gallery where systemd's `STATE_DIRECTORY` does not say otherwise.
pub(super) const STATE: &str = "/var/lib/watchlistd";
/// The gallery's file name in it.
pub(super) const GALLERY_FILE: &str = "gallery.db";
/// Folder of the control socket where systemd's `RUNTIME_DIRECTORY` does not say otherwise.
pub(super) const RUNTIME: &str = "/run/watchlistd";
/// The socket's name in it.
pub(super) const SOCKET_FILE: &str = "control.sock";
/// The event log's file name beside the gallery.
pub(super) const EVENTS_FILE: &str = "events.db";
/// The snapshot store's file name beside the gallery.
pub(super) const SNAPSHOTS_FILE: &str = "snapshots.db";
/// The name of the socket of events, beside the control socket.
pub(super) const EVENT_SOCKET_FILE: &str = "events.sock";
/// Picture of a `test://` camera that names no size.
pub(super) const TEST_SIZE: Size = Size::new(640, 360);
/// Frames a second of a `test://` camera that names none.
pub(super) const TEST_FPS: u32 = 25;

impl Default for Config {
    /// The configuration of an empty file: no cameras.
    fn default() -> Self {
        Self {
            models: Models::default(),
            inference: Inference::default(),
            gallery: Gallery::default(),
            track: Track::default(),
            quality: QualityLimits::default(),
            decide: Decide::default(),
            shadow: None,
            events: Events::default(),
            sinks: vec![Sink::stdout(), Sink::journal()],
            snapshots: Snapshots::default(),
            http: Http::default(),
            control: Control::default(),
            log: Log::default(),
            cameras: Vec::new(),
        }
    }
}

impl Default for Models {
    fn default() -> Self {
        let share = PathBuf::from(SHARE);
        Self {
            detector: share.join("retinaface-mobilenet025.toml"),
            embedder: share.join("mobilefacenet-512.toml"),
            folder: share,
            runtime: None,
        }
    }
}

impl Default for Inference {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            workers: None,
            max_batch: None,
            max_wait: None,
            max_crop_age: Duration::from_secs(2),
        }
    }
}

impl Default for Gallery {
    fn default() -> Self {
        Self {
            path: PathBuf::from(STATE).join(GALLERY_FILE),
            index: IndexChoice::Auto,
            key_file: None,
            keep_crops: false,
            review: Review::Standard,
        }
    }
}

impl Default for Track {
    fn default() -> Self {
        Self {
            high_score: 0.7,
            low_score: 0.4,
            min_iou: 0.1,
            min_hits: 2,
            max_age: Duration::from_millis(1500),
            shot_interval: Duration::from_millis(500),
            max_shots: 8,
        }
    }
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            min_face: 40.0,
            min_sharpness: 8.0,
            max_yaw: 45.0,
            max_pitch: 35.0,
            max_roll: 60.0,
            min_brightness: 35.0,
            max_brightness: 225.0,
        }
    }
}

impl Default for Decide {
    fn default() -> Self {
        Self {
            threshold: None,
            lists: BTreeMap::new(),
            margin: 0.05,
            confirm: 2,
            fuse: 5,
            fusion: Fusion::Mean,
            fair_shots: 3,
            fair_look: Duration::from_secs(1),
            cooldown: Duration::from_secs(60),
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            source: "/watchlistd".into(),
            path: PathBuf::from(STATE).join(EVENTS_FILE),
            retention: Duration::from_secs(30 * 86_400),
            budget: 256 << 20,
            lists: BTreeMap::new(),
        }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            path: PathBuf::from(STATE).join(SNAPSHOTS_FILE),
            unknown: None,
            budget: 1 << 30,
            scene: Some(6.0),
            scene_pixels: 640,
            quality: 85,
            lists: BTreeMap::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))), readers: Vec::new() }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: PathBuf::from(RUNTIME).join(SOCKET_FILE), group: None }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Auto }
    }
}

impl Camera {
    /// A camera with every option at its default.
    pub fn new(id: CameraId, source: CameraSource) -> Self {
        Self {
            id,
            source,
            decoder: None,
            stall: Duration::from_secs(10),
            detect_fps: 5.0,
            input: Size::new(640, 384),
            min_score: 0.4,
            min_face: None,
            roi: None,
            masks: Vec::new(),
            threshold: None,
            place: None,
        }
    }
}

impl Rtsp {
    /// A stream with every option at its default and no credentials. `url` holds no user and no password.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            user: None,
            password: None,
            transport: Transport::Tcp,
            latency: Duration::from_millis(200),
            tls: Tls::Verify,
        }
    }
}
