//! Time, behind a trait, so that policy and tests never ask the operating system.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A moment on both clocks: monotonic for intervals, wall for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Since the clock's start; never goes back. In a video file: the frame's position.
    pub mono: Duration,
    /// UTC; may jump when the box's clock is set.
    pub wall: Timestamp,
}

impl Moment {
    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Moment) -> Duration {
        self.mono.saturating_sub(earlier.mono)
    }
}

/// A source of [`Moment`]s.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;

    /// How long a thread that waits for so much of this clock's time may sleep before it looks again.
    fn nap(&self, time: Duration) -> Duration {
        time
    }
}

/// The system's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts at zero now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { mono: self.start.elapsed(), wall: Timestamp::now() }
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<Moment>,
}

impl SimulatedClock {
    /// Starts at `wall`, monotonic zero.
    pub fn new(wall: Timestamp) -> Self {
        Self { now: Mutex::new(Moment { mono: Duration::ZERO, wall }) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        now.mono += by;
        now.wall = now.wall.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Sets the wall clock, forward or back. The monotonic one does not notice.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner).wall = wall;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Moment {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Nobody is woken when the clock is moved, so they look often.
    fn nap(&self, time: Duration) -> Duration {
        time.min(Duration::from_millis(1))
    }
}
