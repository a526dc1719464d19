//! Waiting longer after each failure, with jitter so that cameras do not all knock at once.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A wait that doubles from `first` to `longest`, each time multiplied by a random factor.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: RangeInclusive<f64>,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`. `jitter` holds the factors a wait may be multiplied by, `0.75..=1.25` for plus or minus
    /// a quarter.
    pub fn new(first: Duration, longest: Duration, jitter: RangeInclusive<f64>) -> Self {
        Self { first, longest, jitter, next: first }
    }

    /// The wait after one more failure.
    pub fn wait(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let (low, high) = (*self.jitter.start(), *self.jitter.end());
        let wait = self.next.mul_f64(low + (high - low) * rng.f64());
        self.next = (self.next * 2).min(self.longest);
        wait
    }

    /// The next wait is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}
