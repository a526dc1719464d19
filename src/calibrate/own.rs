//! Which threshold keeps which false match rate, from a box's own scores.
//!
//! ```text
//!  best scores of tracks that were no match ─▶ tails (fit, check) ─▶ Λ(t) = N · FMR ─▶ for each rate: t, with its interval
//! ```
//!
//! Nobody has labelled anything: strangers are told from missed mates by the tail's model, and a rate that is rarer than what was seen is
//! read off the tail beyond it.

use serde::Serialize;

use super::budget::{Basis, Goal, LEAST_FITNESS, LEAST_SCORES, fits};
use super::fit::weighted_quantile;
use super::groups::{groups, seen};
use super::scores::{Block, Scores, edge};
use crate::eval::claim::Claim;
use crate::eval::verify::TARGETS;

/// A false match rate that is aimed at, and the threshold that keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnRow {
    /// The rate of one comparison, above 0.
    pub fmr: f64,
    /// The threshold; null where the rate is so common that it lies below the tail.
    pub threshold: Option<f32>,
    /// Its 95 % interval, over the tails that could be behind the scores.
    pub interval: Option<[f32; 2]>,
    /// True where fewer than three such comparisons are to be expected among those that were seen.
    pub extrapolated: bool,
}

/// Thresholds from a box's own scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnTable {
    /// From the largest rate to the smallest; none without a tail.
    pub rows: Vec<OwnRow>,
    /// `scores`, or why there is no tail: `too_few`, `no_fit`.
    pub basis: Basis,
    /// Tracks that were no match.
    pub scores: u64,
    /// Comparisons behind them: of each, with everybody who was searched then.
    pub comparisons: u64,
    /// How well the tail fits, 0 to 1.
    pub fitness: f64,
}

impl OwnTable {
    /// Of all cameras' scores together. Of the goal, the identities and mates' shape count.
    pub fn of(scores: &Scores, goal: &Goal) -> Self {
        let groups = groups(scores);
        let seen = seen(&groups);
        let of_block = |block: &Block| -> u64 {
            let tracks: u64 = block.non_matches.values().map(|n| u64::from(*n)).sum();
            tracks * u64::from(block.judged.identities)
        };
        let mut table = Self {
            rows: Vec::new(),
            basis: Basis::TooFew,
            scores: seen.iter().sum(),
            comparisons: scores.blocks().map(of_block).sum(),
            fitness: 0.0,
        };
        if table.scores < LEAST_SCORES {
            return table;
        }
        let fits = fits(scores, &groups, &seen, table.scores, goal);
        let Some(fitted) = fits.iter().find(|fitted| fitted.fitness >= LEAST_FITNESS) else {
            table.basis = Basis::NoFit;
            return table;
        };
        (table.basis, table.fitness) = (Basis::Scores, fitted.fitness);
        table.rows = TARGETS
            .iter()
            .map(|target| {
                let wanted = target.rate() * f64::from(goal.identities.max(1));
                let mut places: Vec<(f64, f64)> = fitted
                    .tails
                    .drawn
                    .iter()
                    .map(|(tail, weight)| (tail.place_of(wanted), *weight))
                    .collect();
                let mut at = |part| weighted_quantile(&mut places, part);
                let [low, middle, high] = [at(0.025), at(0.5), at(0.975)];
                let there = low >= 0.0;
                let score = |place: f64| ((edge(fitted.first) + place).clamp(-1.0, 1.0)) as f32;
                OwnRow {
                    fmr: target.rate(),
                    threshold: there.then(|| score(middle)),
                    interval: there.then(|| [score(low), score(high)]),
                    extrapolated: target.claim(table.comparisons) == Claim::NotEnoughTrials,
                }
            })
            .collect();
        table
    }

    /// The rows with a threshold, as a manifest has them: thresholds rise, rates fall.
    pub fn rates(&self) -> Vec<([f32; 2], [f32; 2])> {
        let mut rates: Vec<([f32; 2], [f32; 2])> = Vec::new();
        for row in &self.rows {
            if let (Some(threshold), Some(interval)) = (row.threshold, row.interval)
                && rates.last().is_none_or(|([last, _], _)| *last < threshold)
            {
                rates.push(([threshold, row.fmr as f32], interval));
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::normal;
    use crate::calibrate::scores::{Ended, Judged};
    use crate::calibrate::tail::MateShape;
    use crate::eval::random::Random;

    /// Comparisons of strangers are normal around 0.01 with a deviation of 0.098; so many enrolled, so many tracks.
    fn strangers(identities: u32, tracks: u32) -> OwnTable {
        let mut scores = Scores::default();
        let mut random = Random::seeded(5);
        for n in 0..tracks {
            // The best of so many comparisons.
            let one = -(random.unit().ln() / f64::from(identities)).exp_m1();
            let score = (0.01 - 0.098 * normal::quantile(one)) as f32;
            let judged = Judged { hour: i64::from(n / 50), threshold: 0.6, identities };
            scores.ended(judged, Ended::NonMatch(score));
        }
        let goal = Goal {
            per_day: 1.0,
            identities,
            floor: 0.0,
            between_enrolled: None,
            model: 0.45,
            in_force: 0.6,
            mates: MateShape::USUAL,
        };
        OwnTable::of(&scores, &goal)
    }

    #[test]
    fn rates_are_those_of_single_comparisons() {
        let table = strangers(100, 20_000);
        assert_eq!((table.basis, table.scores, table.comparisons), (Basis::Scores, 20_000, 2_000_000));
        let row = |fmr: f64| table.rows.iter().find(|row| (row.fmr / fmr - 1.0).abs() < 1e-9).expect("a row");
        assert_eq!(row(0.1).threshold, None, "nearly every track has such a comparison");
        for (fmr, extrapolated) in [(1e-4, false), (1e-5, false), (1e-6, true)] {
            let true_one = (0.01 - 0.098 * normal::quantile(fmr)) as f32;
            let (threshold, [low, high]) =
                (row(fmr).threshold.expect("one"), row(fmr).interval.expect("one"));
            assert!((threshold - true_one).abs() < 0.03, "{fmr}: {threshold}, in truth {true_one}");
            assert!(low <= threshold && threshold <= high && high - low < 0.15, "{fmr}: {low} to {high}");
            assert_eq!(row(fmr).extrapolated, extrapolated, "{fmr}");
        }
        let rates = table.rates();
        assert!(rates.windows(2).all(|pair| pair[0].0[0] < pair[1].0[0] && pair[0].0[1] > pair[1].0[1]));
    }

    #[test]
    fn of_too_few_scores_nothing_is_said() {
        let table = strangers(100, 150);
        assert_eq!((table.basis, table.rows), (Basis::TooFew, Vec::new()));
    }
}
