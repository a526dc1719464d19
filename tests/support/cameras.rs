//! Cameras, frames and a recording sink for the tests of sources.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use watchlistd::base::clock::{Clock, SystemClock};
use watchlistd::base::secret::Secret;
use watchlistd::config::{Camera, CameraSource, Rtsp, Tls, Transport};
use watchlistd::source::supervisor::{CameraState, FrameSink};
use watchlistd::source::{Failure, Next, Source, SourceError, StreamInfo};
use watchlistd::types::frame::Frame;
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::CameraId;

/// A wait that only a broken program reaches.
pub const DEADLINE: Duration = Duration::from_secs(40);

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

pub fn camera(source: CameraSource) -> Camera {
    Camera {
        id: CameraId::new("door").unwrap(),
        source,
        decoder: None,
        stall: Duration::from_secs(10),
        detect_fps: 5.0,
        input: Size::new(640, 384),
        min_score: 0.7,
        min_face: None,
        roi: None,
        masks: Vec::new(),
        threshold: None,
        place: None,
    }
}

pub fn rtsp(url: &str) -> Rtsp {
    Rtsp {
        url: url::Url::parse(url).unwrap(),
        user: None,
        password: None,
        transport: Transport::Tcp,
        latency: Duration::from_millis(100),
        tls: Tls::Verify,
    }
}

pub fn with_login(mut rtsp: Rtsp, user: &str, password: &str) -> Rtsp {
    rtsp.user = Some(Secret::new(user));
    rtsp.password = Some(Secret::new(password));
    rtsp
}

/// The next `count` frames.
pub fn frames(source: &mut dyn Source, count: usize) -> Result<Vec<Frame>, SourceError> {
    let deadline = Instant::now() + DEADLINE;
    let mut got = Vec::new();
    while got.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} frames came", got.len());
        if let Next::Frame(frame) = source.next(Duration::from_secs(1))? {
            got.push(frame);
        }
    }
    Ok(got)
}

/// Every frame up to the end, and how it ended.
pub fn drain(source: &mut dyn Source) -> (Vec<Frame>, SourceError) {
    let deadline = Instant::now() + DEADLINE;
    let mut got = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "no end after {} frames", got.len());
        match source.next(Duration::from_secs(1)) {
            Ok(Next::Frame(frame)) => got.push(frame),
            Ok(Next::TimedOut) => {}
            Err(error) => return (got, error),
        }
    }
}

/// The error it fails with, without having delivered a frame.
pub fn failure(source: Result<Box<dyn Source>, SourceError>) -> SourceError {
    match source {
        Err(error) => error,
        Ok(mut source) => {
            let (frames, error) = drain(&mut *source);
            assert!(frames.is_empty(), "{} frames came", frames.len());
            error
        }
    }
}

/// What a supervisor told.
#[derive(Debug, Clone)]
pub enum Told {
    Frame { epoch: u32, sequence: u64, size: Size },
    Received { decoded: u64, lost: u64 },
    Info(StreamInfo),
    State(CameraState, Option<Failure>),
}

impl Told {
    pub fn is_state(&self, name: &str) -> bool {
        matches!(self, Told::State(state, _) if state.as_str() == name)
    }

    pub fn is_failure(&self, failure: Failure) -> bool {
        matches!(self, Told::State(_, Some(f)) if *f == failure)
    }

    pub fn frame_epoch(&self) -> Option<u32> {
        match self {
            Told::Frame { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }
}

/// Records everything a supervisor tells, and lets a test wait for it.
#[derive(Default)]
pub struct Recorder {
    told: Mutex<Vec<Told>>,
    changed: Condvar,
}

impl Recorder {
    fn push(&self, told: Told) {
        self.told.lock().unwrap().push(told);
        self.changed.notify_all();
    }

    pub fn all(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until `done` holds for all that was told.
    pub fn until(&self, what: &str, done: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let deadline = Instant::now() + DEADLINE;
        let mut told = self.told.lock().unwrap();
        while !done(&told) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}: {:?}",
                told.iter().rev().take(20).collect::<Vec<_>>()
            );
            told = self.changed.wait_timeout(told, left).unwrap().0;
        }
        told.clone()
    }
}

impl FrameSink for Recorder {
    fn frame(&self, frame: Frame) {
        self.push(Told::Frame { epoch: frame.epoch, sequence: frame.sequence, size: frame.size() });
    }

    fn received(&self, decoded: u64, lost: u64) {
        self.push(Told::Received { decoded, lost });
    }

    fn info(&self, info: StreamInfo) {
        self.push(Told::Info(info));
    }

    fn skipped(&self) {}

    fn state(&self, _: u32, state: CameraState, why: Option<&SourceError>) {
        self.push(Told::State(state, why.map(|e| e.failure)));
    }
}
