//! Verification: the figures of one-to-one comparisons.

use serde::Serialize;

use super::Failures;
use super::accuracy::{Accuracy, FoldTrial, cross_validate};
use super::bootstrap::{Intervals, PeopleTrial, intervals};
use super::claim::{Claim, Target};
use super::interval::{Interval, Share};
use super::protocol::Protocol;
use super::roc::{Eer, Point, Roc};
use crate::base::error::Result;

/// False accept rates at which the true accept rate is reported: 1e-1 to 1e-6.
pub const TARGETS: [Target; 6] = [
    Target::one_in(10),
    Target::one_in(100),
    Target::one_in(1_000),
    Target::one_in(10_000),
    Target::one_in(100_000),
    Target::one_in(1_000_000),
];

/// How the figures are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What becomes of comparisons that could not be made.
    pub failures: Failures,
    /// The threshold that is in use, -1 to 1: what it gives is reported, too.
    pub threshold: f32,
    /// Draws of the bootstrap over people; 0: none.
    pub repeats: usize,
    /// Decides the draws.
    pub seed: u64,
}

/// The figures of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Comparisons of one person, those that could not be made included.
    pub mated: u64,
    /// Comparisons of two people, likewise.
    pub non_mated: u64,
    /// Comparisons that could not be made, because a picture has no template.
    pub not_compared: Share,
    /// Cross-validated accuracy; `None` with fewer than two folds.
    pub accuracy: Option<Accuracy>,
    /// Area under the curve.
    pub auc: Option<f64>,
    /// Its interval, by people.
    pub auc_interval: Option<Interval>,
    /// Equal error rate.
    pub eer: Option<Eer>,
    /// Its interval, by people.
    pub eer_interval: Option<Interval>,
    /// True accept rates at [`TARGETS`].
    pub at: Vec<OperatingPoint>,
    /// What the threshold in use gives.
    pub in_use: InUse,
    #[serde(skip)]
    roc: Roc,
}

/// A false accept rate that is aimed at, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// The rate that is aimed at.
    pub far: f64,
    /// What the number of non-mated comparisons allows to say. Without enough of them the fields below are null.
    pub claim: Claim,
    /// Non-mated comparisons that a figure needs.
    pub trials_needed: u64,
    /// Least score that is accepted; null also where nothing is accepted.
    pub threshold: Option<f32>,
    /// Non-mated comparisons that are accepted.
    pub false_accepts: Option<Share>,
    /// True accept rate, with Wilson's interval.
    pub tar: Option<Share>,
    /// The interval by people, in which the threshold varies, too.
    pub tar_interval: Option<Interval>,
}

/// What a threshold gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InUse {
    /// The threshold.
    pub threshold: f32,
    /// False accept rate.
    pub far: Share,
    /// True accept rate.
    pub tar: Share,
}

impl Verification {
    /// Of the trials of a protocol, with a score for each, in their order; `None`: a picture has no template.
    ///
    /// # Errors
    /// `Data`, when a score is not finite.
    pub fn of(protocol: &Protocol, scores: &[Option<f32>], settings: &Settings) -> Result<Self> {
        let trials = || protocol.trials.iter().zip(scores.iter().copied());
        let count = |mated: bool| trials().filter(|(trial, _)| trial.mated == mated).count() as u64;
        let scores_of = |mated: bool| -> Vec<f32> {
            trials().filter(|(trial, _)| trial.mated == mated).filter_map(|(_, score)| score).collect()
        };
        let (mated, non_mated) = (count(true), count(false));
        let compared = scores_of(true);
        let lost = match settings.failures {
            Failures::Wrong => mated - compared.len() as u64,
            Failures::LeftOut => 0,
        };
        let roc = Roc::new(&compared, &scores_of(false), lost)?;
        let made = trials().filter(|(_, score)| score.is_some()).count() as u64;
        let by_people = by_people(protocol, scores, settings);
        Ok(Self {
            mated,
            non_mated,
            not_compared: Share::of(mated + non_mated - made, mated + non_mated),
            accuracy: accuracy(protocol, scores, settings.failures),
            auc: roc.auc(),
            auc_interval: by_people.auc,
            eer: roc.eer(),
            eer_interval: by_people.eer,
            at: TARGETS.iter().zip(by_people.tar).map(|(t, by)| OperatingPoint::of(&roc, *t, by)).collect(),
            in_use: InUse::of(&roc, settings.threshold),
            roc,
        })
    }

    /// The curve.
    pub fn roc(&self) -> &Roc {
        &self.roc
    }
}

impl OperatingPoint {
    /// Of a curve; `by_people` is the bootstrap's interval of its true accept rate.
    pub fn of(roc: &Roc, target: Target, by_people: Option<Interval>) -> Self {
        let claim = target.claim(roc.non_mated());
        let point = (claim != Claim::NotEnoughTrials).then(|| roc.at_rate(target));
        Self {
            far: target.rate(),
            claim,
            trials_needed: target.least_trials(),
            threshold: point.map(|point| point.threshold).filter(|threshold| threshold.is_finite()),
            false_accepts: point.map(|point| false_accepts(roc, &point)),
            tar: point.map(|point| true_accepts(roc, &point)),
            tar_interval: point.and(by_people),
        }
    }
}

impl InUse {
    /// Of a curve at a threshold.
    pub fn of(roc: &Roc, threshold: f32) -> Self {
        let point = roc.at_threshold(threshold);
        Self { threshold, far: false_accepts(roc, &point), tar: true_accepts(roc, &point) }
    }
}

fn false_accepts(roc: &Roc, point: &Point) -> Share {
    Share::of(point.non_mated, roc.non_mated())
}

fn true_accepts(roc: &Roc, point: &Point) -> Share {
    Share::of(point.mated, roc.mated())
}

fn accuracy(protocol: &Protocol, scores: &[Option<f32>], failures: Failures) -> Option<Accuracy> {
    let trials = protocol.trials.iter().zip(scores);
    let in_folds: Vec<FoldTrial> = trials
        .filter_map(|(trial, score)| Some(FoldTrial { score: *score, mated: trial.mated, fold: trial.fold? }))
        .collect();
    cross_validate(&in_folds, protocol.folds, failures)
}

fn by_people(protocol: &Protocol, scores: &[Option<f32>], settings: &Settings) -> Intervals {
    let counts = |score: &Option<f32>| score.is_some() || settings.failures == Failures::Wrong;
    let trials: Vec<PeopleTrial> = protocol
        .trials
        .iter()
        .zip(scores)
        .filter(|(_, score)| counts(score))
        .map(|(trial, score)| protocol.of_people(trial, *score))
        .collect();
    intervals(&trials, protocol.people.len(), &TARGETS, settings.repeats, settings.seed)
}
