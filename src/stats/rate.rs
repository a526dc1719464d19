//! How many a second, over the last ten seconds, without a lock.
//!
//! ```text
//!   second:     17    18    19   20 (now, still filling: not counted)
//!   slots:   [ 25 ][ 24 ][ 25 ][ 9 ]      rate = (25 + 24 + 25) / 3
//!              second % SLOTS
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::clock::Moment;

/// Whole seconds that are averaged.
pub const WINDOW: u64 = 10;
/// More than the window, so that the filling second never overwrites one that is read.
const SLOTS: u64 = 16;
/// Each slot packs the second it counts (upper 40 bits) and the count (lower 24 bits: 16 million a second).
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Events a second.
#[derive(Debug)]
pub struct Rate {
    slots: [AtomicU64; SLOTS as usize],
    // The second of the first event, plus one; zero before it.
    first: AtomicU64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| AtomicU64::new(0)), first: AtomicU64::new(0) }
    }
}

impl Rate {
    /// Counts `n` events at `now`.
    pub fn add(&self, now: Moment, n: u64) {
        let second = now.mono.as_secs();
        let _ = self.first.compare_exchange(0, second + 1, Ordering::Relaxed, Ordering::Relaxed);
        let Some(slot) = self.slots.get((second % SLOTS) as usize) else { return };
        // Cannot fail: the closure always returns a value.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let held = packed >> COUNT_BITS;
            let count = if held == second { packed & COUNT_MASK } else { 0 };
            // A late writer of an older second must not wipe the newer one.
            Some(if held > second {
                packed
            } else {
                second << COUNT_BITS | count.saturating_add(n).min(COUNT_MASK)
            })
        });
    }

    /// Events a second over the last [`WINDOW`] whole seconds, or since the first event if that is less.
    pub fn per_second(&self, now: Moment) -> f64 {
        let second = now.mono.as_secs();
        let Some(first) = self.first.load(Ordering::Relaxed).checked_sub(1) else { return 0.0 };
        let from = second.saturating_sub(WINDOW).max(first);
        let seconds = second.saturating_sub(from);
        if seconds == 0 {
            return 0.0;
        }
        let counted: u64 = self
            .slots
            .iter()
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|packed| (from..second).contains(&(packed >> COUNT_BITS)))
            .map(|packed| packed & COUNT_MASK)
            .sum();
        counted as f64 / seconds as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment { mono: Duration::from_millis(ms), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_steady_stream_has_its_rate_from_the_second_second_on() {
        let rate = Rate::default();
        assert_eq!(rate.per_second(at(0)), 0.0);
        for frame in 0..25 * 60 {
            rate.add(at(3_000 + frame * 40), 1);
            if frame % 25 == 24 && frame > 25 {
                let shown = rate.per_second(at(3_000 + frame * 40));
                assert_eq!(shown, 25.0, "after {frame} frames");
            }
        }
    }

    #[test]
    fn silence_brings_it_to_zero_within_the_window() {
        let rate = Rate::default();
        (0..10).for_each(|s| rate.add(at(s * 1_000), 10));
        assert_eq!(rate.per_second(at(10_000)), 10.0);
        assert_eq!(rate.per_second(at(15_000)), 5.0);
        assert_eq!(rate.per_second(at(20_000)), 0.0);
        assert_eq!(rate.per_second(at(1_000_000)), 0.0);
    }

    #[test]
    fn a_late_writer_does_not_wipe_a_newer_second() {
        let rate = Rate::default();
        rate.add(at(1_000), 1);
        rate.add(at(17_000), 7);
        rate.add(at(1_500), 1);
        assert_eq!(rate.per_second(at(18_000)), 0.7);
    }

    #[test]
    fn threads_lose_no_count() {
        let rate = Rate::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| rate.add(at(500), 1)));
            }
        });
        assert_eq!(rate.per_second(at(1_000)), 40_000.0);
    }
}
