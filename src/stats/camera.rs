//! What one camera's stages count.
//!
//! ```text
//!    received                                                  inferred
//!   decoder ──────┬───────────────┬──────▶ mailbox ─────┬──────────▶ faces ──▶ tracks ──▶ shots
//!                 │               │                     │              │          │         │
//!           decoder_queue    not_sampled   replaced, failed, stopped  refused  started  embedded or dropped
//!
//!   received = inferred + not_sampled + dropped (by any reason) + those on their way
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::counter::{ByLabel, Counter, Gauge, LastTime};
use super::labels::{CameraState, CropDrop, DecisionKind, FrameDrop, ShadowVerdict};
use super::latency::Latency;
use super::rate::Rate;
use super::snapshot::{CameraSnapshot, LastError, ThresholdSnapshot};
use crate::base::clock::Moment;
use crate::gallery::review::OperatorVerdict;
use crate::source::{SourceError, StreamInfo};
use crate::types::face::Refusal;
use crate::types::ids::CameraId;

/// Counters of one camera. Shared by `Arc` between its stages and whoever reports.
#[derive(Debug)]
pub struct CameraStats {
    id: CameraId,
    recognising_within: Duration,
    connection: Mutex<Connection>,
    last_inferred: LastTime,
    rate_in: Rate,
    rate_inferred: Rate,
    frames_received: Counter,
    frames_inferred: Counter,
    latency: Latency,
    /// Connections lost or failed that were tried again.
    pub reconnects: Counter,
    /// Frames that the sampling rate (`detect_fps`) skipped: no drop.
    pub frames_not_sampled: Counter,
    /// Frames lost, by reason.
    pub frames_dropped: ByLabel<FrameDrop>,
    /// Faces found, in all frames.
    pub faces: Counter,
    /// Faces that were not good enough to be embedded, by reason.
    pub refused: ByLabel<Refusal>,
    /// Tracks that counted (enough hits).
    pub tracks_started: Counter,
    /// Tracks alive now.
    pub tracks_live: Gauge,
    /// Shots embedded.
    pub embedded: Counter,
    /// Good shots that were never embedded, by reason.
    pub crops_dropped: ByLabel<CropDrop>,
    decisions: ByLabel<DecisionKind>,
    shadow: ByLabel<ShadowVerdict>,
    reviews: ByLabel<OperatorVerdict>,
    /// Tracks whose score did not reach the estimate of the threshold in time.
    pub scores_lost: Counter,
    thresholds: Mutex<Vec<ThresholdSnapshot>>,
}

// Changes at a connection, not at a frame, so a lock is right here.
#[derive(Debug)]
struct Connection {
    state: CameraState,
    since: Moment,
    epoch: u32,
    info: StreamInfo,
    last_error: Option<LastError>,
}

/// For how long after an inference result a camera counts as recognising, at `detect_fps` frames a second:
/// three results missed, and never under five seconds.
pub fn recognising_within(detect_fps: f32) -> Duration {
    let three_results = Duration::try_from_secs_f32(3.0 / detect_fps).unwrap_or(Duration::from_secs(60));
    three_results.max(Duration::from_secs(5))
}

impl CameraStats {
    /// All zero, and connecting. `recognising_within`: see [`recognising_within`].
    pub fn new(id: CameraId, now: Moment, recognising_within: Duration) -> Self {
        let connection = Connection {
            state: CameraState::Connecting,
            since: now,
            epoch: 0,
            info: StreamInfo::default(),
            last_error: None,
        };
        Self {
            id,
            recognising_within,
            connection: Mutex::new(connection),
            last_inferred: LastTime::default(),
            rate_in: Rate::default(),
            rate_inferred: Rate::default(),
            frames_received: Counter::default(),
            frames_inferred: Counter::default(),
            latency: Latency::default(),
            reconnects: Counter::default(),
            frames_not_sampled: Counter::default(),
            frames_dropped: ByLabel::default(),
            faces: Counter::default(),
            refused: ByLabel::default(),
            tracks_started: Counter::default(),
            tracks_live: Gauge::default(),
            embedded: Counter::default(),
            crops_dropped: ByLabel::default(),
            decisions: ByLabel::default(),
            shadow: ByLabel::default(),
            reviews: ByLabel::default(),
            scores_lost: Counter::default(),
            thresholds: Mutex::default(),
        }
    }

    /// The camera.
    pub fn id(&self) -> &CameraId {
        &self.id
    }

    /// The supervisor changed state.
    pub fn set_state(&self, state: CameraState, now: Moment) {
        let mut connection = self.lock();
        if connection.state != state {
            connection.state = state;
            connection.since = now;
        }
    }

    /// A connection with number `epoch` stands, with what is known of its stream.
    pub fn connected(&self, epoch: u32, info: StreamInfo, now: Moment) {
        self.set_state(CameraState::Connected, now);
        let mut connection = self.lock();
        connection.epoch = epoch;
        connection.info = info;
    }

    /// What is known of the stream changed (size, decoder).
    pub fn set_info(&self, info: StreamInfo) {
        self.lock().info = info;
    }

    /// The connection failed; `state` says what the supervisor does now. The message is redacted by its maker.
    pub fn failed(&self, error: &SourceError, state: CameraState, now: Moment) {
        self.set_state(state, now);
        self.lock().last_error = Some(LastError {
            failure: error.failure.as_str().to_owned(),
            message: error.message.clone(),
            at: now.wall,
        });
    }

    /// `n` more frames came out of the decoder, lost ones included.
    pub fn frames_received(&self, n: u64, now: Moment) {
        self.frames_received.add(n);
        self.rate_in.add(now, n);
    }

    /// A frame was looked at and `faces` faces were found in it.
    pub fn frame_inferred(&self, faces: u64, now: Moment) {
        self.frames_inferred.add(1);
        self.faces.add(faces);
        self.rate_inferred.add(now, 1);
        self.last_inferred.mark(now);
    }

    /// Another policy was compared with the one in force about a track that has left.
    pub fn compared(&self, verdict: ShadowVerdict) {
        self.shadow.add(verdict, 1);
    }

    /// An operator said whether a recognition was right.
    pub fn reviewed(&self, verdict: OperatorVerdict) {
        self.reviews.add(verdict, 1);
    }

    /// A decision was published, `latency` after the capture of the frame that led to it.
    pub fn decided(&self, kind: DecisionKind, latency: Option<Duration>, now: Moment) {
        self.decisions.add(kind, 1);
        if let Some(latency) = latency {
            self.latency.record(latency, now);
        }
    }

    /// The threshold that was estimated for a budget; `None`, where there is no budget.
    pub fn set_thresholds(&self, estimated: Vec<ThresholdSnapshot>) {
        *self.thresholds.lock().unwrap_or_else(PoisonError::into_inner) = estimated;
    }

    /// True while inference results keep coming. A camera may be connected and not recognising: a stuck or
    /// overloaded inference, or frames that nobody can look at.
    pub fn recognising(&self, now: Moment) -> bool {
        self.last_inferred.age(now).is_some_and(|age| age <= self.recognising_within)
    }

    /// Everything, as of `now`.
    pub fn snapshot(&self, now: Moment) -> CameraSnapshot {
        let connection = self.lock();
        let info = &connection.info;
        CameraSnapshot {
            id: self.id.to_string(),
            state: connection.state,
            state_s: now.since(connection.since).as_secs(),
            recognising: self.recognising(now),
            last_error: connection.last_error.clone(),
            codec: info.codec.clone(),
            decoder: info.decoder.clone(),
            width: info.size.map(|s| s.width),
            height: info.size.map(|s| s.height),
            announced_fps: info.fps,
            transport: info.transport.map(str::to_owned),
            epoch: connection.epoch,
            reconnects: self.reconnects.get(),
            fps_in: tenths(self.rate_in.per_second(now)),
            fps_inferred: tenths(self.rate_inferred.per_second(now)),
            frames_received: self.frames_received.get(),
            frames_inferred: self.frames_inferred.get(),
            frames_not_sampled: self.frames_not_sampled.get(),
            frames_dropped: self.frames_dropped.snapshot(),
            faces: self.faces.get(),
            faces_refused: self.refused.snapshot(),
            tracks_started: self.tracks_started.get(),
            tracks_live: self.tracks_live.get(),
            embedded: self.embedded.get(),
            crops_dropped: self.crops_dropped.snapshot(),
            decisions: self.decisions.snapshot(),
            shadow: self.shadow.snapshot(),
            reviews: self.reviews.snapshot(),
            latency: self.latency.snapshot(now),
            scores_lost: self.scores_lost.get(),
            thresholds: self.thresholds.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Failure;

    fn at(secs: u64) -> Moment {
        Moment { mono: Duration::from_secs(secs), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn camera() -> CameraStats {
        CameraStats::new(CameraId::new("door").expect("valid"), at(0), Duration::from_secs(5))
    }

    #[test]
    fn connected_is_not_recognising() {
        let camera = camera();
        camera.connected(1, StreamInfo::default(), at(1));
        camera.frames_received(1, at(1));
        assert_eq!(camera.snapshot(at(2)).state, CameraState::Connected);
        assert!(!camera.snapshot(at(2)).recognising, "frames alone are not recognition");
        camera.frame_inferred(0, at(2));
        assert!(camera.snapshot(at(7)).recognising);
        camera.frames_received(1, at(8));
        let stuck = camera.snapshot(at(8));
        assert!(
            !stuck.recognising && stuck.state == CameraState::Connected,
            "inference stopped, frames did not"
        );
    }

    #[test]
    fn the_last_error_stays_to_be_read_after_the_camera_is_back() {
        let camera = camera();
        let error = SourceError { failure: Failure::Unauthorized, message: "refused".into() };
        camera.failed(&error, CameraState::Refused, at(3));
        let shown = camera.snapshot(at(10));
        assert_eq!((shown.state, shown.state_s), (CameraState::Refused, 7));
        camera.connected(2, StreamInfo { decoder: Some("avdec_h264".into()), ..Default::default() }, at(20));
        let shown = camera.snapshot(at(20));
        assert_eq!((shown.state, shown.epoch), (CameraState::Connected, 2));
        assert_eq!(shown.decoder.as_deref(), Some("avdec_h264"));
        assert_eq!(shown.last_error.map(|e| e.failure).as_deref(), Some("unauthorized"));
    }

    #[test]
    fn every_frame_is_accounted_for() {
        let camera = camera();
        for n in 0..100 {
            camera.frames_received(1, at(n / 25));
            match n % 5 {
                0 => camera.frame_inferred(2, at(n / 25)),
                1 => camera.frames_dropped.add(FrameDrop::Replaced, 1),
                _ => camera.frames_not_sampled.add(1),
            }
        }
        let s = camera.snapshot(at(4));
        let dropped: u64 = s.frames_dropped.values().sum();
        assert_eq!(s.frames_received, s.frames_inferred + s.frames_not_sampled + dropped);
        assert_eq!((s.faces, s.fps_in, s.fps_inferred), (40, 25.0, 5.0));
    }

    #[test]
    fn a_slow_camera_gets_a_longer_window() {
        assert_eq!(recognising_within(5.0), Duration::from_secs(5));
        assert_eq!(recognising_within(0.1), Duration::from_secs(30));
        assert_eq!(recognising_within(0.0), Duration::from_secs(60));
    }
}
