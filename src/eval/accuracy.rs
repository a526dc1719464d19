//! Accuracy by cross-validation: each fold is judged with the threshold that is best on the others.
//!
//! ```text
//!  fold 1   [test][    choose a threshold on nine folds    ]  ─▶ accuracy 1 ─┐
//!  fold 2   [    ][test][                                  ]  ─▶ accuracy 2 ─┼─▶ mean, standard deviation
//!  ...                                                                       ┘
//! ```
//!
//! The protocol of Labeled Faces in the Wild, view 2 (Huang et al. 2007).

use serde::Serialize;

use super::Failures;

/// A trial of a fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldTrial {
    /// Similarity score; `None`: a picture had no template.
    pub score: Option<f32>,
    /// True for two pictures of one person.
    pub mated: bool,
    /// From 0.
    pub fold: u16,
}

/// One fold's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldAccuracy {
    /// From 1.
    pub fold: u16,
    /// The threshold from the other folds; `None`: rejecting everything was best.
    pub threshold: Option<f64>,
    /// 0 to 1.
    pub accuracy: f64,
    /// Mated trials that counted.
    pub mated: u64,
    /// Non-mated trials that counted.
    pub non_mated: u64,
}

/// All folds' results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// Mean over the folds, 0 to 1.
    pub mean: f64,
    /// Sample standard deviation of the folds' accuracies (n - 1).
    pub standard_deviation: f64,
    /// The standard error of the mean: the standard deviation by the root of the number of folds.
    pub standard_error: f64,
    /// Those with trials of both kinds.
    pub folds: Vec<FoldAccuracy>,
}

/// Judges each fold with the others' threshold. A fold's accuracy is the mean of the share of mated trials that are accepted and of
/// the share of non-mated ones that are rejected; with as many of the one as of the other, as in LFW, that is the share of right
/// answers. `None`, where fewer than two folds have trials of both kinds.
pub fn cross_validate(trials: &[FoldTrial], folds: u16, failures: Failures) -> Option<Accuracy> {
    let mut ranked: Vec<FoldTrial> = trials.iter().copied().filter(|t| t.score.is_some()).collect();
    ranked.sort_unstable_by(|a, b| value(b).total_cmp(&value(a)));
    let counted = |trial: &&FoldTrial| failures == Failures::Wrong || trial.score.is_some();
    let judged = (0..folds).filter_map(|fold| {
        let test = Tally::of(trials.iter().filter(|t| t.fold == fold).filter(counted))?;
        let train = Tally::of(trials.iter().filter(|t| t.fold != fold).filter(counted))?;
        let threshold = best_threshold(&ranked, fold, train);
        let (mut accepted, mut rejected) = (0u64, 0u64);
        for trial in ranked.iter().filter(|t| t.fold == fold) {
            let accepts = threshold.is_some_and(|threshold| value(trial) >= threshold);
            accepted += u64::from(trial.mated && accepts);
            rejected += u64::from(!trial.mated && !accepts);
        }
        let shares = (accepted as f64 / test.mated as f64, rejected as f64 / test.non_mated as f64);
        let accuracy = (shares.0 + shares.1) / 2.0;
        Some(FoldAccuracy {
            fold: fold + 1,
            threshold,
            accuracy,
            mated: test.mated,
            non_mated: test.non_mated,
        })
    });
    summarise(judged.collect())
}

fn value(trial: &FoldTrial) -> f64 {
    trial.score.map_or(f64::NEG_INFINITY, f64::from)
}

/// Trials of both kinds.
#[derive(Clone, Copy)]
struct Tally {
    mated: u64,
    non_mated: u64,
}

impl Tally {
    /// `None`, where one kind is missing.
    fn of<'t>(trials: impl Iterator<Item = &'t FoldTrial>) -> Option<Self> {
        let mut tally = Self { mated: 0, non_mated: 0 };
        for trial in trials {
            *if trial.mated { &mut tally.mated } else { &mut tally.non_mated } += 1;
        }
        (tally.mated > 0 && tally.non_mated > 0).then_some(tally)
    }
}

/// The threshold that is best on all folds but one: halfway between the lowest score it accepts and the next one. Of equally good ones
/// it is the middle one, so that nothing depends on the order of trials. `None`: to reject everything is best.
fn best_threshold(ranked: &[FoldTrial], but: u16, train: Tally) -> Option<f64> {
    let rest: Vec<(f64, bool)> =
        ranked.iter().filter(|t| t.fold != but).map(|t| (value(t), t.mated)).collect();
    // Both kinds weigh the same, however many there are of each; in whole numbers, so that equal is equal.
    let (up, down) = (i128::from(train.non_mated), i128::from(train.mated));
    let mut gain = 0i128;
    let (mut best, mut candidates) = (0i128, vec![None]);
    let mut groups = rest.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(same) = groups.next() {
        gain += same.iter().map(|(_, mated)| if *mated { up } else { -down }).sum::<i128>();
        let (Some((lowest, _)), next) = (same.first(), groups.peek().and_then(|next| next.first())) else {
            continue;
        };
        let threshold = next.map_or(*lowest, |(next, _)| (lowest + next) / 2.0);
        if gain > best {
            (best, candidates) = (gain, vec![Some(threshold)]);
        } else if gain == best {
            candidates.push(Some(threshold));
        }
    }
    candidates.get((candidates.len() - 1) / 2).copied().flatten()
}

fn summarise(folds: Vec<FoldAccuracy>) -> Option<Accuracy> {
    if folds.len() < 2 {
        return None;
    }
    let count = folds.len() as f64;
    let mean = folds.iter().map(|fold| fold.accuracy).sum::<f64>() / count;
    let squares: f64 = folds.iter().map(|fold| (fold.accuracy - mean).powi(2)).sum();
    let standard_deviation = (squares / (count - 1.0)).sqrt();
    Some(Accuracy { mean, standard_deviation, standard_error: standard_deviation / count.sqrt(), folds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(score: f32, mated: bool, fold: u16) -> FoldTrial {
        FoldTrial { score: Some(score), mated, fold }
    }

    fn accuracy(trials: &[FoldTrial], folds: u16) -> Accuracy {
        cross_validate(trials, folds, Failures::Wrong).expect("folds of both kinds")
    }

    #[test]
    fn a_fold_is_judged_with_the_others_threshold() {
        // Fold 0's own best threshold is 0.2; the other's is 0.6, at which fold 0's mated pair is missed.
        let trials = [trial(0.3, true, 0), trial(0.1, false, 0), trial(0.7, true, 1), trial(0.5, false, 1)];
        let result = accuracy(&trials, 2);
        let folds: Vec<_> = result.folds.iter().map(|f| (f.threshold.expect("one"), f.accuracy)).collect();
        assert!((folds[0].0 - 0.6).abs() < 1e-6 && (folds[1].0 - 0.2).abs() < 1e-6, "{folds:?}");
        assert_eq!([folds[0].1, folds[1].1], [0.5, 0.5], "in fold 1 the non-mated pair reaches 0.2");
        assert_eq!((result.mean, result.standard_deviation, result.standard_error), (0.5, 0.0, 0.0));
    }

    #[test]
    fn both_kinds_weigh_the_same() {
        let mut trials = Vec::new();
        for fold in 0..2 {
            trials.extend([trial(0.2, true, fold), trial(0.9, true, fold)]);
            trials.extend((0..100).map(|n| trial(n as f32 / 200.0, false, fold)));
        }
        // At 0.7 half of the mated pairs and all others are right; by number it would be 101 of 102.
        assert_eq!(accuracy(&trials, 2).mean, 0.75);
    }

    #[test]
    fn a_pair_that_was_not_compared_is_wrong_or_left_out() {
        let mut trials = Vec::new();
        for fold in 0..2 {
            trials.extend([trial(0.9, true, fold), trial(0.1, false, fold)]);
            trials.push(FoldTrial { score: None, mated: true, fold });
            trials.push(FoldTrial { score: None, mated: false, fold });
        }
        assert_eq!(accuracy(&trials, 2).mean, 0.5);
        assert_eq!(cross_validate(&trials, 2, Failures::LeftOut).expect("folds").mean, 1.0);
    }

    #[test]
    fn one_fold_or_one_kind_gives_nothing() {
        let one = [trial(0.9, true, 0), trial(0.1, false, 0)];
        assert_eq!(cross_validate(&one, 1, Failures::Wrong), None);
        let mated = [trial(0.9, true, 0), trial(0.8, true, 1)];
        assert_eq!(cross_validate(&mated, 2, Failures::Wrong), None);
        assert_eq!(cross_validate(&[], 10, Failures::Wrong), None);
    }
}
