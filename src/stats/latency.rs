//! Latency from capture to publication: quantiles of the recent past, sum and count since the start.
//!
//! ```text
//!   previous (full)      current (filling)
//!   [ 5 minutes    ]     [ 0..5 minutes  ]      quantiles over both: the last 5 to 10 minutes
//!                         when full ─▶ becomes previous
//! ```
//!
//! Over the whole life a quantile would hide that the box has been slow for the last minutes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::base::clock::Moment;

/// How long one half of the window fills.
pub const HALF_WINDOW: Duration = Duration::from_secs(300);
/// What is longer is counted as this: 10 minutes.
const LONGEST_MS: u64 = 600_000;

/// The histogram. A lock is held for some nanoseconds, a few times a second at most.
#[derive(Debug)]
pub struct Latency {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    since: Duration,
    count: u64,
    sum: Duration,
}

/// Quantiles in milliseconds; `None` before the first event of the window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencySnapshot {
    /// Half of the recent events were published within this.
    pub p50_ms: Option<u64>,
    /// 95 of 100.
    pub p95_ms: Option<u64>,
    /// 99 of 100.
    pub p99_ms: Option<u64>,
    /// Events since the start.
    pub count: u64,
    /// All their latencies together, in seconds.
    pub sum_s: f64,
}

impl Default for Latency {
    fn default() -> Self {
        let inner = Inner {
            current: empty(),
            previous: empty(),
            since: Duration::ZERO,
            count: 0,
            sum: Duration::ZERO,
        };
        Self { inner: Mutex::new(inner) }
    }
}

/// Two significant digits: 1 % of error, and 6 kB.
#[allow(clippy::expect_used, reason = "the bounds are constants that the tests build")]
fn empty() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_MS, 2).expect("constant bounds are valid")
}

impl Inner {
    fn rotate(&mut self, now: Moment) {
        let age = now.mono.saturating_sub(self.since);
        if age < HALF_WINDOW {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.reset();
        if age >= 2 * HALF_WINDOW {
            self.previous.reset();
        }
        self.since = now.mono;
    }
}

impl Latency {
    /// One event took `latency`.
    pub fn record(&self, latency: Duration, now: Moment) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rotate(now);
        inner.count += 1;
        inner.sum = inner.sum.saturating_add(latency);
        let millis = u64::try_from(latency.as_millis()).unwrap_or(LONGEST_MS);
        inner.current.saturating_record(millis.min(LONGEST_MS));
    }

    /// The figures as of `now`.
    pub fn snapshot(&self, now: Moment) -> LatencySnapshot {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rotate(now);
        let mut both = inner.current.clone();
        // Cannot fail: both have the same bounds.
        let _ = both.add(&inner.previous);
        let at = |q: f64| (!both.is_empty()).then(|| both.value_at_quantile(q));
        LatencySnapshot {
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            count: inner.count,
            sum_s: inner.sum.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment { mono: Duration::from_secs(secs), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn quantiles_are_right_within_a_percent() {
        let latency = Latency::default();
        assert_eq!(latency.snapshot(at(0)), LatencySnapshot::default());
        (1..=1_000).for_each(|ms| latency.record(Duration::from_millis(ms), at(1)));
        let shown = latency.snapshot(at(1));
        for (got, want) in [(shown.p50_ms, 500.0), (shown.p95_ms, 950.0), (shown.p99_ms, 990.0)] {
            let got = got.expect("recorded") as f64;
            assert!((got - want).abs() <= want * 0.01, "{got} instead of {want}");
        }
        assert_eq!(shown.count, 1_000);
        assert!((shown.sum_s - 500.5).abs() < 1e-9);
    }

    #[test]
    fn what_was_slow_is_forgotten_and_what_is_slow_is_seen() {
        let latency = Latency::default();
        latency.record(Duration::from_secs(30), at(10));
        latency.record(Duration::from_millis(100), at(301));
        assert!(latency.snapshot(at(301)).p99_ms > Some(29_000), "the previous half still counts");
        latency.record(Duration::from_millis(100), at(601));
        assert!(latency.snapshot(at(601)).p99_ms < Some(110));
        assert_eq!(latency.snapshot(at(5_000)).p50_ms, None);
        assert_eq!(latency.snapshot(at(5_000)).count, 3);
    }

    #[test]
    fn absurd_latencies_are_counted_as_the_longest() {
        let latency = Latency::default();
        latency.record(Duration::MAX / 2, at(1));
        assert!(latency.snapshot(at(1)).p50_ms >= Some(LONGEST_MS));
    }
}
