//! Numbers that many threads write and nobody waits for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::clock::Moment;

/// Only goes up. `Relaxed` is enough: a count orders nothing.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something ran and how long it took in all.
#[derive(Debug, Default)]
pub struct Timing {
    runs: Counter,
    micros: Counter,
}

impl Timing {
    /// One run that took `time`.
    pub fn record(&self, time: Duration) {
        self.runs.add(1);
        self.micros.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Number of runs.
    pub fn runs(&self) -> u64 {
        self.runs.get()
    }

    /// Time of all runs, in seconds.
    pub fn seconds(&self) -> f64 {
        self.micros.get() as f64 / 1e6
    }
}

/// A closed set of names that a counter is split by.
pub trait Label: Copy + PartialEq + 'static {
    /// Every value, in the order they are shown.
    const ALL: &'static [Self];

    /// The name in metrics and status.
    fn as_str(self) -> &'static str;
}

/// One counter for each value of a [`Label`]. Every value exists from the start, at zero, as Prometheus wants it.
#[derive(Debug)]
pub struct ByLabel<L: Label> {
    counters: Box<[Counter]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label> Default for ByLabel<L> {
    fn default() -> Self {
        Self {
            counters: L::ALL.iter().map(|_| Counter::default()).collect(),
            label: std::marker::PhantomData,
        }
    }
}

impl<L: Label> ByLabel<L> {
    /// Adds `n` to the counter of `label`.
    pub fn add(&self, label: L, n: u64) {
        let slot = L::ALL.iter().position(|l| *l == label).and_then(|i| self.counters.get(i));
        debug_assert!(slot.is_some(), "{} is missing from ALL", label.as_str());
        if let Some(counter) = slot {
            counter.add(n);
        }
    }

    /// The count of `label`.
    pub fn get(&self, label: L) -> u64 {
        self.iter().find(|(l, _)| *l == label).map_or(0, |(_, n)| n)
    }

    /// Every label with its count.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> + '_ {
        L::ALL.iter().zip(&self.counters).map(|(label, counter)| (*label, counter.get()))
    }

    /// Every name with its count, to be shown.
    pub fn snapshot(&self) -> std::collections::BTreeMap<String, u64> {
        self.iter().map(|(label, count)| (label.as_str().to_owned(), count)).collect()
    }
}

/// A moment that threads share, with millisecond resolution: "when did this last happen".
#[derive(Debug, Default)]
pub struct LastTime(AtomicU64);

impl LastTime {
    /// It happened at `now`. An older moment than the one held changes nothing.
    pub fn mark(&self, now: Moment) {
        // One more than the time, so that zero means never.
        let millis = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX - 1) + 1;
        self.0.fetch_max(millis, Ordering::Relaxed);
    }

    /// How long ago it was; `None` if it never happened.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        let millis = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.mono.saturating_sub(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::face::Refusal;

    #[test]
    fn each_label_has_a_counter_of_its_own() {
        let refused = ByLabel::<Refusal>::default();
        refused.add(Refusal::Blurred, 2);
        refused.add(Refusal::CutOff, 1);
        assert_eq!(refused.get(Refusal::Blurred), 2);
        assert_eq!(refused.iter().map(|(_, n)| n).sum::<u64>(), 3);
        assert_eq!(refused.snapshot().len(), Refusal::ALL.len());
        assert_eq!(refused.snapshot()["too_small"], 0);
    }

    #[test]
    fn a_time_that_never_was_has_no_age() {
        let last = LastTime::default();
        let at = |ms| Moment { mono: Duration::from_millis(ms), wall: jiff::Timestamp::UNIX_EPOCH };
        assert_eq!(last.age(at(0)), None);
        last.mark(at(0));
        assert_eq!(last.age(at(5)), Some(Duration::from_millis(5)));
        last.mark(at(10));
        last.mark(at(3));
        assert_eq!(last.age(at(12)), Some(Duration::from_millis(2)));
    }
}
