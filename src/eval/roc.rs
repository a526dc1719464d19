//! From similarity scores to error rates, with equal scores treated as one.
//!
//! ```text
//!  scores, highest first   0.91 m   0.84 m   0.84 n   0.60 m   0.31 n
//!  points                 (0,0)  (1,0)      (2,1)      (3,1)    (3,2)     accepted (mated, non-mated) at score >= threshold
//! ```

use serde::Serialize;

use super::claim::Target;
use crate::bail;
use crate::base::error::Result;

/// What is accepted at a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Least score that is accepted; infinity accepts nothing.
    pub threshold: f32,
    /// Mated trials that are accepted.
    pub mated: u64,
    /// Non-mated trials that are accepted: false matches.
    pub non_mated: u64,
}

/// All operating points of a set of trials, from "accepts nothing" to "accepts everything that was compared".
#[derive(Debug, Clone, PartialEq)]
pub struct Roc {
    points: Vec<Point>,
    mated: u64,
    non_mated: u64,
}

/// Where both error rates are equal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Eer {
    /// The rate, 0 to 1, interpolated between the two points beside it.
    pub rate: f64,
    /// The threshold of that one of both whose larger error is smaller.
    pub threshold: f32,
}

impl Roc {
    /// Of the scores of mated and of non-mated comparisons, and of `lost` mated trials that could not be compared: they are misses at
    /// every threshold.
    ///
    /// # Errors
    /// `Data`, when a score is not finite.
    pub fn new(mated: &[f32], non_mated: &[f32], lost: u64) -> Result<Self> {
        let labelled = mated.iter().map(|s| (*s, true)).chain(non_mated.iter().map(|s| (*s, false)));
        let mut scores: Vec<(f32, bool)> = labelled.collect();
        if let Some((bad, _)) = scores.iter().find(|(score, _)| !score.is_finite()) {
            bail!(Data, "a similarity score of {bad}: expected a finite number");
        }
        scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut last = Point { threshold: f32::INFINITY, mated: 0, non_mated: 0 };
        let mut points = vec![last];
        // Zero and minus zero lie side by side, and are one score.
        for same in scores.chunk_by(|a, b| a.0 == b.0) {
            let accepted = same.iter().filter(|(_, is_mated)| *is_mated).count() as u64;
            last.mated += accepted;
            last.non_mated += same.len() as u64 - accepted;
            last.threshold = same.first().map_or(last.threshold, |(score, _)| *score);
            points.push(last);
        }
        Ok(Self { points, mated: mated.len() as u64 + lost, non_mated: non_mated.len() as u64 })
    }

    /// From the highest threshold to the lowest. Never empty.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Mated trials, with those that were lost.
    pub fn mated(&self) -> u64 {
        self.mated
    }

    /// Non-mated comparisons.
    pub fn non_mated(&self) -> u64 {
        self.non_mated
    }

    /// True accept rate of a point, 0 to 1: 1 - FNMR. 0 without mated trials.
    pub fn tar(&self, point: &Point) -> f64 {
        share(point.mated, self.mated)
    }

    /// False accept rate of a point, 0 to 1: FMR. 0 without non-mated trials.
    pub fn far(&self, point: &Point) -> f64 {
        share(point.non_mated, self.non_mated)
    }

    /// The lowest threshold at which the false accept rate is not above the target.
    pub fn at_rate(&self, target: Target) -> Point {
        let allowed = target.allowed(self.non_mated);
        self.last_where(|point| point.non_mated <= allowed)
    }

    /// What a threshold accepts.
    pub fn at_threshold(&self, threshold: f32) -> Point {
        Point { threshold, ..self.last_where(|point| point.threshold >= threshold) }
    }

    /// Points are in order: of those that keep to a limit, which the first one always does, the last.
    fn last_where(&self, keeps: impl Fn(&Point) -> bool) -> Point {
        let count = self.points.partition_point(keeps);
        let nothing = Point { threshold: f32::INFINITY, mated: 0, non_mated: 0 };
        self.points.get(count.saturating_sub(1)).copied().unwrap_or(nothing)
    }

    /// Each point with the one after it.
    fn steps(&self) -> impl Iterator<Item = (&Point, &Point)> {
        self.points.iter().zip(self.points.iter().skip(1))
    }

    /// Area under the curve, 0 to 1: the share of pairs of a mated and a non-mated trial in which the mated one has the higher score,
    /// equal ones counted half (Mann and Whitney 1947). `None` without trials of both kinds.
    pub fn auc(&self) -> Option<f64> {
        if self.mated == 0 || self.non_mated == 0 {
            return None;
        }
        let strips = self.steps().map(|(before, after)| {
            u128::from(after.non_mated - before.non_mated) * u128::from(after.mated + before.mated)
        });
        let twice = strips.sum::<u128>() as f64;
        Some(twice / (2.0 * self.mated as f64 * self.non_mated as f64))
    }

    /// Where the curve meets FNMR = FMR. `None` without trials of both kinds.
    pub fn eer(&self) -> Option<Eer> {
        if self.mated == 0 || self.non_mated == 0 {
            return None;
        }
        let errors = |point: &Point| (1.0 - self.tar(point), self.far(point));
        // FMR rises to 1 and FNMR falls from 1, so there is one; and not at the first point.
        self.steps().find_map(|(before, after)| {
            let (misses, matches) = errors(after);
            (matches >= misses).then(|| {
                let (misses_before, matches_before) = errors(before);
                let (above, below) = (misses_before - matches_before, matches - misses);
                let part = above / (above + below);
                let nearer = misses_before < matches && before.threshold.is_finite();
                Eer {
                    rate: matches_before + part * (matches - matches_before),
                    threshold: if nearer { before.threshold } else { after.threshold },
                }
            })
        })
    }
}

fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roc(mated: &[f32], non_mated: &[f32]) -> Roc {
        Roc::new(mated, non_mated, 0).expect("finite")
    }

    #[test]
    fn equal_scores_are_one_step() {
        let roc = roc(&[0.9, 0.8, 0.8, 0.1], &[0.8, 0.1, -0.0, 0.0]);
        let counts: Vec<_> = roc.points().iter().map(|p| (p.threshold, p.mated, p.non_mated)).collect();
        assert_eq!(counts, [(f32::INFINITY, 0, 0), (0.9, 1, 0), (0.8, 3, 1), (0.1, 4, 2), (0.0, 4, 4)]);
        // Of 16 pairs, 4 + 3 + 3 + 2 are won and 3 are ties.
        assert_eq!(roc.auc(), Some(13.5 / 16.0));
    }

    #[test]
    fn a_perfect_separation_has_no_errors() {
        let roc = roc(&[0.5, 0.6], &[0.1, 0.4]);
        assert_eq!((roc.auc(), roc.eer().map(|e| e.rate)), (Some(1.0), Some(0.0)));
        let point = roc.at_rate(Target::one_in(1_000_000));
        assert_eq!((point.threshold, roc.tar(&point), roc.far(&point)), (0.5, 1.0, 0.0));
    }

    #[test]
    fn where_everything_is_equal_nothing_is_told_apart() {
        let roc = roc(&[0.3; 7], &[0.3; 5]);
        assert_eq!((roc.auc(), roc.eer().map(|e| e.rate)), (Some(0.5), Some(0.5)));
        assert_eq!(roc.at_rate(Target::one_in(10)).mated, 0, "all or nothing");
    }

    #[test]
    fn a_trial_that_was_lost_is_a_miss_at_every_threshold() {
        let roc = Roc::new(&[0.9; 3], &[0.1; 4], 1).expect("finite");
        let all = roc.points().last().expect("a point");
        assert_eq!((roc.tar(all), roc.far(all)), (0.75, 1.0));
        assert_eq!(roc.auc(), Some(0.75));
        let eer = roc.eer().expect("both kinds").rate;
        assert!((eer - 0.25).abs() < 1e-12, "{eer}");
    }

    #[test]
    fn a_threshold_accepts_what_reaches_it() {
        let roc = roc(&[0.9, 0.5], &[0.5, 0.2]);
        let at = |threshold| {
            let point = roc.at_threshold(threshold);
            (point.mated, point.non_mated)
        };
        assert_eq!([at(1.0), at(0.9), at(0.6), at(0.5), at(-1.0)], [(0, 0), (1, 0), (1, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn what_is_no_score_is_refused_and_nothing_gives_nothing() {
        assert!(Roc::new(&[f32::NAN], &[0.1], 0).is_err());
        assert!(Roc::new(&[0.1], &[f32::INFINITY], 0).is_err());
        for empty in [roc(&[], &[0.1]), roc(&[0.1], &[]), roc(&[], &[])] {
            assert_eq!((empty.auc(), empty.eer()), (None, None));
        }
    }
}
