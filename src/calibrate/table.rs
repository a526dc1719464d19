//! Which threshold keeps which false match rate, from labelled pictures.
//!
//! ```text
//!  scores of non-mated pairs, highest first ─▶ for each rate: the lowest threshold that keeps it
//!  people drawn anew, 1,000 times           ─▶ the middle 95 % of those thresholds
//! ```
//!
//! No shape of a distribution is assumed: where there are too few pairs for a rate, there is no threshold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tail::MateShape;
use crate::base::error::Result;
use crate::eval::bootstrap::PeopleTrial;
use crate::eval::claim::{Claim, Target};
use crate::eval::interval::Share;
use crate::eval::random::Random;
use crate::eval::roc::Roc;
use crate::eval::verify::TARGETS;

/// A false match rate that is aimed at, and the threshold that keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The rate, above 0.
    pub fmr: f64,
    /// What the number of pairs allows to say. Without enough of them the fields below are null.
    pub claim: Claim,
    /// Pairs of two people that a threshold needs.
    pub trials_needed: u64,
    /// The lowest threshold at which the rate is not above the one aimed at.
    pub threshold: Option<f32>,
    /// Its 95 % interval, by people.
    pub interval: Option<[f32; 2]>,
    /// Pairs of two people that reach it, with Wilson's interval.
    pub false_matches: Option<Share>,
    /// Pairs of one person that reach it.
    pub true_matches: Option<Share>,
}

/// Thresholds, and how mated pairs score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// From the largest rate to the smallest.
    pub rows: Vec<Row>,
    /// Pairs of one person that were compared.
    pub mated: u64,
    /// Pairs of two people that were compared.
    pub non_mated: u64,
    /// Mean and standard deviation of the scores of pairs of one person; null with fewer than two.
    #[serde(skip)]
    pub mates: Option<MateShape>,
}

impl Table {
    /// Of trials of `people` people. Those without a score are left out. `repeats`: draws of people for the intervals.
    ///
    /// # Errors
    /// `Data`, when a score is not finite.
    pub fn of(trials: &[PeopleTrial], people: usize, repeats: usize, seed: u64) -> Result<Self> {
        let scores = |mated: bool| -> Vec<f32> {
            trials.iter().filter(|trial| trial.mated == mated).filter_map(|trial| trial.score).collect()
        };
        let (mated, non_mated) = (scores(true), scores(false));
        let roc = Roc::new(&mated, &non_mated, 0)?;
        let intervals = intervals(trials, people, repeats, seed);
        let row = |(target, interval): (&Target, Option<[f32; 2]>)| {
            let claim = target.claim(roc.non_mated());
            let point = (claim != Claim::NotEnoughTrials).then(|| roc.at_rate(*target));
            let point = point.filter(|point| point.threshold.is_finite());
            Row {
                fmr: target.rate(),
                claim,
                trials_needed: target.least_trials(),
                threshold: point.map(|point| point.threshold),
                interval: point.and(interval),
                false_matches: point.map(|point| Share::of(point.non_mated, roc.non_mated())),
                true_matches: point.map(|point| Share::of(point.mated, roc.mated())),
            }
        };
        Ok(Self {
            rows: TARGETS.iter().zip(intervals).map(row).collect(),
            mated: roc.mated(),
            non_mated: roc.non_mated(),
            mates: shape(&mated),
        })
    }

    /// The rows with a threshold, as a manifest has them: thresholds rise, rates fall. Of rates with one threshold, the smallest.
    pub fn rates(&self) -> Vec<[f32; 2]> {
        let mut rates: Vec<[f32; 2]> = Vec::new();
        for (row, threshold) in self.rows.iter().filter_map(|row| Some((row, row.threshold?))) {
            if rates.last().is_some_and(|[last, _]| *last >= threshold) {
                rates.pop();
            }
            rates.push([threshold, row.fmr as f32]);
        }
        rates
    }
}

fn shape(scores: &[f32]) -> Option<MateShape> {
    let n = scores.len() as f64;
    let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / n;
    let squares = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>();
    let deviation = (squares / (n - 1.0)).sqrt();
    (scores.len() >= 2 && deviation > 0.0).then_some(MateShape { mean, deviation })
}

/// The middle 95 % of each target's threshold, when people are drawn with replacement ([`crate::eval::bootstrap`]). `None`, where fewer
/// than half of the draws have one.
fn intervals(trials: &[PeopleTrial], people: usize, repeats: usize, seed: u64) -> Vec<Option<[f32; 2]>> {
    let other = trials.iter().filter(|trial| !trial.mated);
    let mut ranked: Vec<(f32, u32, u32)> = other.filter_map(|t| Some((t.score?, t.a, t.b))).collect();
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut random = Random::seeded(seed);
    let mut found: Vec<Vec<f32>> = vec![Vec::new(); TARGETS.len()];
    for _ in 0..repeats {
        let mut drawn: BTreeMap<u32, u64> = BTreeMap::new();
        (0..people).for_each(|_| *drawn.entry(random.below(people as u64) as u32).or_default() += 1);
        let weights: Vec<u64> = (0..people as u32).map(|p| drawn.get(&p).copied().unwrap_or(0)).collect();
        let weight = |person: u32| weights.get(person as usize).copied().unwrap_or(0);
        let weighted: Vec<(f32, u64)> =
            ranked.iter().map(|(s, a, b)| (*s, weight(*a) * weight(*b))).filter(|(_, w)| *w > 0).collect();
        for (target, all) in TARGETS.iter().zip(&mut found) {
            all.extend(threshold(&weighted, *target));
        }
    }
    found.into_iter().map(|all| middle(all, repeats)).collect()
}

/// The lowest score at which so many weighted scores are not above the target; `None`, if even the highest one is.
fn threshold(weighted: &[(f32, u64)], target: Target) -> Option<f32> {
    let allowed = target.allowed(weighted.iter().map(|(_, weight)| weight).sum());
    let (mut sum, mut last) = (0, None);
    for same in weighted.chunk_by(|a, b| a.0 == b.0) {
        sum += same.iter().map(|(_, weight)| weight).sum::<u64>();
        if sum > allowed {
            break;
        }
        last = same.first().map(|(score, _)| *score);
    }
    last
}

fn middle(mut values: Vec<f32>, repeats: usize) -> Option<[f32; 2]> {
    if values.is_empty() || values.len() * 2 < repeats {
        return None;
    }
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len() - 1;
    let low = (last as f64 * 0.025).floor() as usize;
    Some([*values.get(low)?, *values.get(last - low)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::normal;

    fn trials(people: u32, each: u32) -> Vec<PeopleTrial> {
        let mut random = Random::seeded(4);
        let mut trials = Vec::new();
        for a in 0..people {
            for b in 0..=a {
                for _ in 0..each {
                    let mated = a == b;
                    let z = normal::quantile(random.unit()) as f32;
                    let score = if mated { 0.6 + 0.1 * z } else { 0.01 + 0.1 * z };
                    trials.push(PeopleTrial { score: Some(score), a, b, mated });
                }
            }
        }
        trials
    }

    #[test]
    fn a_threshold_is_where_so_many_strangers_score() {
        let table = Table::of(&trials(60, 6), 60, 200, 1).expect("finite");
        assert_eq!(table.non_mated, 60 * 59 / 2 * 6);
        for row in &table.rows {
            // 10,620 pairs say nothing of one in 10,000 and less.
            assert_eq!(row.threshold.is_some(), row.fmr > 2e-4, "{row:?}");
            let Some(threshold) = row.threshold else { continue };
            let truth = 0.01 - 0.1 * normal::quantile(row.fmr);
            let [low, high] = row.interval.expect("an interval");
            assert!(f64::from(low) <= truth && truth <= f64::from(high), "{row:?}: {truth}");
            assert!(low <= threshold && threshold <= high && high - low < 0.1, "{row:?}");
        }
        let mates = table.mates.expect("mated pairs");
        assert!((mates.mean - 0.6).abs() < 0.02 && (mates.deviation - 0.1).abs() < 0.02, "{mates:?}");
        assert_eq!(table.rates().len(), 3);
    }

    #[test]
    fn rates_are_in_a_manifests_order_even_where_scores_are_equal() {
        let of = |score| PeopleTrial { score: Some(score), a: 0, b: 1, mated: false };
        let mut trials: Vec<_> = (0..990).map(|_| of(0.1)).collect();
        trials.extend((0..10).map(|_| of(0.5)));
        let table = Table::of(&trials, 2, 0, 1).expect("finite");
        assert_eq!(table.rates(), [[0.5, 0.01]], "one in ten has the same threshold");
        assert!(table.mates.is_none() && table.rows.iter().all(|row| row.interval.is_none()));
        assert!(Table::of(&[of(f32::NAN)], 2, 0, 1).is_err());
    }
}
