//! A daemon to look at, for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use super::Report;
use crate::base::clock::{Clock, SimulatedClock};
use crate::daemon::state::{LifeCycle, Need, Phase};
use crate::daemon::watchdog::Heartbeats;
use crate::source::{Failure, SourceError, StreamInfo};
use crate::stats::{CameraState, CropDrop, DecisionKind, FrameDrop, InferenceSetup, Stats, Way};
use crate::types::face::Refusal;
use crate::types::geometry::Size;
use crate::types::ids::CameraId;
use crate::types::matching::IndexKind;

/// A daemon that has run for 20 s with a camera at work and one away. It is still starting.
pub(super) fn report() -> (Report, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new("2026-03-01T08:00:00Z".parse().expect("valid")));
    let stats = Arc::new(Stats::new(clock.now()));
    stats.inference.set_setup(InferenceSetup {
        device: "cpu".into(),
        detector: "retinaface".into(),
        embedder: "arcface".into(),
        workers: 2,
    });
    stats.gallery.swapped(IndexKind::Exact, 12, 30, 4);
    stats.events.add_sink("file").written.add(3);
    stats.events.accepted.add(3);
    stats.events.add_reader("dashboard", Way::Http).given.add(2);
    let within = Duration::from_secs(5);
    let door = stats.add_camera(&CameraId::new("door").expect("valid"), clock.now(), within);
    let yard = stats.add_camera(&CameraId::new("yard").expect("valid"), clock.now(), within);
    let info = StreamInfo {
        codec: Some("H264".into()),
        decoder: Some("avdec_h264".into()),
        size: Some(Size::new(1280, 720)),
        fps: Some(25.0),
        transport: Some("tcp"),
    };
    door.connected(1, info, clock.now());
    for _ in 0..20 {
        door.frames_received(25, clock.now());
        (0..5).for_each(|_| door.frame_inferred(1, clock.now()));
        door.frames_not_sampled.add(19);
        door.frames_dropped.add(FrameDrop::Replaced, 1);
        clock.advance(Duration::from_secs(1));
    }
    door.refused.add(Refusal::Blurred, 7);
    door.crops_dropped.add(CropDrop::TooOld, 2);
    door.tracks_started.add(4);
    door.tracks_live.set(1);
    door.embedded.add(34);
    door.decided(DecisionKind::Confirmed, Some(Duration::from_millis(180)), clock.now());
    let error = SourceError {
        failure: Failure::Unreachable,
        message: "rtsp://***@10.0.0.9/live: no route to host".into(),
    };
    yard.failed(&error, CameraState::Waiting, clock.now());
    yard.reconnects.add(3);
    let life = Arc::new(LifeCycle::default());
    let beats = Heartbeats::new(clock.clone());
    (Report { stats, beats, life, clock: clock.clone() }, clock)
}

/// The same, ready.
pub(super) fn ready() -> (Report, Arc<SimulatedClock>) {
    let (report, clock) = report();
    [Need::Models, Need::Gallery, Need::Stages].into_iter().for_each(|n| report.life.have(n));
    report.life.become_phase(Phase::Ready).expect("complete");
    (report, clock)
}
