//! What must hold for any scores.

use proptest::prelude::*;

use crate::eval::Failures;
use crate::eval::accuracy::{FoldTrial, cross_validate};
use crate::eval::claim::{Claim, Target};
use crate::eval::random::Random;
use crate::eval::roc::Roc;
use crate::eval::verify::{OperatingPoint, TARGETS};

/// Scores with many ties.
fn scores() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-40i16..40).prop_map(|n| f32::from(n) / 40.0), 1..120)
}

fn trials() -> impl Strategy<Value = Vec<FoldTrial>> {
    let one = (prop::option::weighted(0.95, -40i16..40), any::<bool>(), 0u16..5);
    let trial = one.prop_map(|(score, mated, fold)| FoldTrial {
        score: score.map(|n| f32::from(n) / 40.0),
        mated,
        fold,
    });
    prop::collection::vec(trial, 0..200)
}

proptest! {
    #[test]
    fn the_order_of_trials_changes_nothing(mated in scores(), non_mated in scores(), lost in 0u64..9, seed: u64) {
        let roc = Roc::new(&mated, &non_mated, lost).expect("finite");
        let mut random = Random::seeded(seed);
        let (mut mated, mut non_mated) = (mated, non_mated);
        random.shuffle(&mut mated);
        random.shuffle(&mut non_mated);
        prop_assert_eq!(Roc::new(&mated, &non_mated, lost).expect("finite"), roc);
    }

    #[test]
    fn a_curve_only_rises_and_ends_where_all_is_accepted(mated in scores(), non_mated in scores(), lost in 0u64..9) {
        let roc = Roc::new(&mated, &non_mated, lost).expect("finite");
        for pair in roc.points().windows(2) {
            prop_assert!(pair[0].threshold > pair[1].threshold);
            prop_assert!(roc.tar(&pair[0]) <= roc.tar(&pair[1]) && roc.far(&pair[0]) <= roc.far(&pair[1]));
        }
        let last = roc.points().last().expect("a point");
        prop_assert_eq!((last.mated, last.non_mated), (mated.len() as u64, non_mated.len() as u64));
    }

    #[test]
    fn the_equal_error_rate_lies_between_the_errors_beside_it(mated in scores(), non_mated in scores(), lost in 0u64..9) {
        let roc = Roc::new(&mated, &non_mated, lost).expect("finite");
        let rate = roc.eer().expect("both kinds").rate;
        let errors = |point| (1.0 - roc.tar(point), roc.far(point));
        let after = roc.points().iter().position(|p| errors(p).1 >= errors(p).0).expect("they meet");
        let [before, after] = [after - 1, after].map(|n| errors(&roc.points()[n]));
        prop_assert!(before.1 - 1e-12 <= rate && rate <= after.1 + 1e-12, "{} {} {}", before.1, rate, after.1);
        prop_assert!(after.0 - 1e-12 <= rate && rate <= before.0 + 1e-12, "{} {} {}", after.0, rate, before.0);
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order(mated in scores(), non_mated in scores()) {
        let roc = Roc::new(&mated, &non_mated, 0).expect("finite");
        let half = |m: f32, n: f32| if m > n { 2 } else { u64::from(m == n) };
        let twice: u64 = mated.iter().flat_map(|m| non_mated.iter().map(|n| half(*m, *n))).sum();
        let expected = twice as f64 / (2 * mated.len() * non_mated.len()) as f64;
        prop_assert!((roc.auc().expect("both kinds") - expected).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_separation_is_perfect(mated in scores(), non_mated in scores(), gap in 1u8..9) {
        let mated: Vec<f32> = mated.iter().map(|score| score + 2.0 + f32::from(gap)).collect();
        let roc = Roc::new(&mated, &non_mated, 0).expect("finite");
        prop_assert_eq!((roc.auc(), roc.eer().map(|eer| eer.rate)), (Some(1.0), Some(0.0)));
        let both = mated.iter().map(|s| (*s, true)).chain(non_mated.iter().map(|s| (*s, false)));
        // The same in both folds, so that the other fold's threshold fits.
        let trials: Vec<FoldTrial> = both
            .flat_map(|(score, mated)| [0, 1].map(|fold| FoldTrial { score: Some(score), mated, fold }))
            .collect();
        let accuracy = cross_validate(&trials, 2, Failures::Wrong).expect("two folds");
        prop_assert_eq!((accuracy.mean, accuracy.standard_deviation), (1.0, 0.0));
    }

    #[test]
    fn no_rate_is_claimed_with_too_few_trials(mated in scores(), non_mated in scores()) {
        let roc = Roc::new(&mated, &non_mated, 0).expect("finite");
        for target in TARGETS {
            let point = OperatingPoint::of(&roc, target, None);
            let expected = non_mated.len() as f64 * target.rate();
            prop_assert_eq!(point.tar.is_some(), expected >= 3.0 - 1e-9);
            prop_assert_eq!(point.claim == Claim::Supported, expected >= 30.0 - 1e-9);
            if let Some(accepts) = point.false_accepts {
                prop_assert!(accepts.count as f64 <= expected + 1e-9, "the rate is kept");
            }
        }
    }

    #[test]
    fn the_lowest_threshold_that_keeps_the_rate_is_taken(mated in scores(), non_mated in scores(), errors in 1u64..50) {
        let roc = Roc::new(&mated, &non_mated, 0).expect("finite");
        let target = Target::of(errors, 50);
        let point = roc.at_rate(target);
        let lower = roc.points().iter().find(|other| other.threshold < point.threshold);
        prop_assert!(point.non_mated * 50 <= errors * roc.non_mated());
        prop_assert!(lower.is_none_or(|lower| lower.non_mated * 50 > errors * roc.non_mated()));
    }

    #[test]
    fn an_accuracy_depends_on_no_order_and_lies_between_0_and_1(trials in trials(), seed: u64) {
        for failures in [Failures::Wrong, Failures::LeftOut] {
            let accuracy = cross_validate(&trials, 5, failures);
            let mut shuffled = trials.clone();
            Random::seeded(seed).shuffle(&mut shuffled);
            prop_assert_eq!(cross_validate(&shuffled, 5, failures), accuracy.clone());
            let folds = accuracy.map_or(Vec::new(), |accuracy| accuracy.folds);
            prop_assert!(folds.iter().all(|fold| (0.0..=1.0).contains(&fold.accuracy)));
        }
    }
}
