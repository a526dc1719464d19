//! How many tracks a camera sees in a day.

use std::collections::{BTreeMap, BTreeSet};

use super::normal;
use super::scores::Scores;
use crate::eval::random::Random;

/// A day counts, if the camera was looked at in so many of its hours.
const LEAST_HOURS: u32 = 20;
/// Days differ at least by this part, as long as few were seen.
const LEAST_VARIATION: f64 = 0.3;
/// Fixed, so that an estimate can be repeated.
const SEED: u64 = 3;

/// Tracks a day.
pub(super) struct Traffic {
    /// The mean of whole days.
    pub(super) mean: f64,
    /// Standard error, as a part of the mean.
    error: f64,
    /// Whole days.
    pub(super) days: usize,
}

impl Traffic {
    pub(super) fn of(scores: &Scores) -> Self {
        let hours: BTreeSet<i64> = scores.hours().collect();
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
            return Self { mean: 0.0, error: 1.0, days: 0 };
        };
        let mut days: BTreeMap<i64, (u32, u32)> = BTreeMap::new();
        for hour in &hours {
            days.entry((hour - first) / 24).or_default().0 += 1;
        }
        for block in scores.blocks().filter(|block| hours.contains(&block.judged.hour)) {
            if let Some(day) = days.get_mut(&((block.judged.hour - first) / 24)) {
                day.1 += block.tracks;
            }
        }
        let whole: Vec<f64> = days
            .iter()
            .filter(|(day, (hours, _))| *hours >= LEAST_HOURS && (*day + 1) * 24 <= last - first + 1)
            .map(|(_, (hours, tracks))| f64::from(*tracks) * 24.0 / f64::from(*hours))
            .collect();
        let days = whole.len();
        if days == 0 {
            return Self { mean: 0.0, error: 1.0, days };
        }
        let n = days as f64;
        let mean = whole.iter().sum::<f64>() / n;
        let variance = whole.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let variation = if mean > 0.0 { variance.sqrt() / mean } else { 1.0 };
        Self { mean, error: variation.max(LEAST_VARIATION) / n.sqrt(), days }
    }

    /// What it could be, log-normal around the mean.
    pub(super) fn drawn(&self, count: usize) -> Vec<f64> {
        let mut random = Random::seeded(SEED);
        (0..count)
            .map(|_| self.mean.max(1e-9) * (self.error * normal::quantile(random.unit())).exp())
            .collect()
    }
}
