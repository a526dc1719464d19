//! The scene's clock. It runs from when it is started, whether or not anybody watches, so that it is
//! known at any time who is in the picture.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// Seconds since the scene's start. Before that, the stage is empty.
#[derive(Debug)]
pub struct Showtime {
    length: f64,
    repeat: bool,
    started: Mutex<Option<Started>>,
}

#[derive(Debug, Clone, Copy)]
struct Started {
    at: Instant,
    wall: Timestamp,
    offset: f64,
}

impl Showtime {
    /// A clock that stands; `repeat` starts the scene over at its end.
    pub fn new(length: f64, repeat: bool) -> Self {
        Self { length, repeat, started: Mutex::new(None) }
    }

    /// Starts it `offset` seconds into the scene. The wall time at which the scene had its zero.
    pub fn start(&self, offset: f64) -> Timestamp {
        let started = Started { at: Instant::now(), wall: Timestamp::now(), offset };
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        let back = SignedDuration::from_secs_f64(-offset);
        started.wall.checked_add(back).unwrap_or(started.wall)
    }

    /// Seconds since the scene's zero, growing without end; `None` before the start.
    pub fn elapsed(&self) -> Option<f64> {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.map(|s| s.at.elapsed().as_secs_f64() + s.offset)
    }

    /// The scene's time; `None` before the start and, unless it repeats, after the end.
    pub fn now(&self) -> Option<f64> {
        self.within(self.elapsed()?)
    }

    fn within(&self, elapsed: f64) -> Option<f64> {
        if self.repeat { Some(elapsed % self.length) } else { (elapsed <= self.length).then_some(elapsed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_until_started_and_then_repeats_or_ends() {
        let once = Showtime::new(10.0, false);
        assert_eq!(once.now(), None);
        once.start(3.0);
        assert!(once.now().is_some_and(|t| t >= 3.0));
        assert_eq!(once.within(10.5), None);
        assert_eq!(Showtime::new(10.0, true).within(23.0), Some(3.0));
    }

    #[test]
    fn zero_lies_the_offset_before_the_start() {
        let clock = Showtime::new(10.0, true);
        let before = Timestamp::now();
        let zero = clock.start(4.0);
        let gap = zero.duration_until(before).as_secs_f64();
        assert!((3.0..=4.0).contains(&gap), "{gap}");
    }
}
