//! Where a camera's supervisor leaves frames and news: its lane, its counters, and camera events.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::lane::Lane;
use super::live::Surroundings;
use super::pool::Pool;
use crate::base::clock::{Clock, Moment};
use crate::events::{CameraChange, EventMaker};
use crate::sinks::Publisher;
use crate::source::supervisor::{CameraState as Supervised, FrameSink};
use crate::source::{Failure, SourceError, StreamInfo};
use crate::stats::{CameraState, FrameDrop};
use crate::types::frame::Frame;

/// One camera's outlet.
pub struct Outlet {
    lane: Arc<Lane>,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    maker: Arc<EventMaker>,
    publisher: Arc<Publisher>,
    epoch: AtomicU32,
    info: Mutex<StreamInfo>,
    /// The state and failure last published.
    said: Mutex<Option<(CameraState, Option<Failure>)>>,
}

impl Outlet {
    /// For a lane.
    pub fn new(lane: Arc<Lane>, pool: Arc<Pool>, around: &Surroundings) -> Self {
        Self {
            lane,
            pool,
            clock: around.clock.clone(),
            maker: around.maker.clone(),
            publisher: around.publisher.clone(),
            epoch: AtomicU32::new(0),
            info: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// True if consumers should hear of it. A camera that stays away is tried again and again; they hear of it once for each
    /// kind of failure, and when it is back.
    fn is_news(&self, state: CameraState, why: Option<&SourceError>) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (state, why.map(|error| error.failure));
        let trying_again = state == CameraState::Connecting
            && said.is_some_and(|(state, _)| state != CameraState::Connected);
        if trying_again || *said == Some(now) {
            return false;
        }
        *said = Some(now);
        true
    }

    /// The last connection that was begun.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::SeqCst)
    }
}

impl FrameSink for Outlet {
    fn frame(&self, frame: Frame) {
        if self.lane.put(frame).is_some() {
            self.lane.stats().frames_dropped.add(FrameDrop::Replaced, 1);
        }
        self.pool.ring(&self.lane);
    }

    fn received(&self, decoded: u64, lost: u64) {
        let now = self.clock.now();
        self.lane.stats().frames_received(decoded, now);
        self.lane.stats().frames_dropped.add(FrameDrop::DecoderQueue, lost);
    }

    fn skipped(&self) {
        self.lane.stats().frames_not_sampled.add(1);
    }

    fn info(&self, info: StreamInfo) {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = info.clone();
        self.lane.stats().connected(self.epoch(), info, self.clock.now());
    }

    fn state(&self, epoch: u32, state: Supervised, why: Option<&SourceError>) {
        self.epoch.store(epoch, Ordering::SeqCst);
        let now = self.clock.now();
        let shown = shown(state);
        match why {
            Some(error) => self.lane.stats().failed(error, shown, now),
            None => self.lane.stats().set_state(shown, now),
        }
        let over = match shown {
            CameraState::Connected => None,
            // A new connection begins: what was tracked in those before is over.
            CameraState::Connecting => epoch.checked_sub(1),
            _ => Some(epoch),
        };
        if let Some(over) = over {
            self.lane.ask_to_end(over);
            self.pool.ring(&self.lane);
        }
        if !self.is_news(shown, why) {
            return;
        }
        let info = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let change = CameraChange {
            camera: self.lane.camera(),
            epoch,
            state: shown,
            error: why,
            retry: retry_in(state, now),
            info: (shown == CameraState::Connected).then_some(&info),
        };
        self.publisher.publish(self.maker.camera(&change, now));
    }
}

/// Time until the supervisor tries again.
fn retry_in(state: Supervised, now: Moment) -> Option<Duration> {
    match state {
        Supervised::Waiting { until, .. } | Supervised::Refused { until } => {
            Some(until.saturating_sub(now.mono))
        }
        _ => None,
    }
}

fn shown(state: Supervised) -> CameraState {
    match state {
        Supervised::Connecting => CameraState::Connecting,
        Supervised::Connected => CameraState::Connected,
        Supervised::Waiting { .. } => CameraState::Waiting,
        Supervised::Refused { .. } => CameraState::Refused,
        Supervised::Ended => CameraState::Ended,
        Supervised::Stopped => CameraState::Stopped,
    }
}
