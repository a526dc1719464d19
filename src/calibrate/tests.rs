use super::budget::{Basis, Goal, LEAST_SCORES, estimate};
use super::normal;
use super::scores::{BINS, Ended, Judged, Scores, WINDOW, bin_of, edge};
use super::tail::{MateShape, Tail};
use crate::eval::random::Random;

const GOAL: Goal = Goal {
    per_day: 1.0,
    identities: 100,
    floor: 0.2,
    between_enrolled: None,
    model: 0.45,
    in_force: 0.45,
    mates: MateShape { mean: 0.6, deviation: 0.15 },
};

/// Tracks of strangers, whose best of so many comparisons is normal as MobileFaceNet's; what reaches the threshold is an alert.
fn box_of(days: usize, per_hour: usize, threshold: f32, identities: u32, seed: u64) -> Scores {
    let (mut scores, mut random) = (Scores::default(), Random::seeded(seed));
    for hour in 0..days as i64 * 24 {
        let judged = Judged { hour, threshold, identities };
        scores.watched(hour);
        for _ in 0..per_hour {
            let one = -(random.unit().ln() / f64::from(identities)).exp_m1();
            let score = (0.01 - 0.098 * normal::quantile(one)) as f32;
            let how = if score < threshold { Ended::NonMatch(score) } else { Ended::Alert };
            scores.ended(judged, how);
        }
    }
    scores
}

/// False alerts a day of such a box.
fn truth(per_hour: usize, identities: u32, threshold: f32) -> f64 {
    let one = normal::above((f64::from(threshold) - 0.01) / 0.098);
    -(f64::from(identities) * (-one).ln_1p()).exp_m1() * per_hour as f64 * 24.0
}

#[test]
fn a_box_that_has_seen_enough_keeps_the_budget_and_no_more_than_that() {
    let scores = box_of(14, 20, 0.45, 100, 1);
    let found = estimate(&scores, &GOAL);
    assert_eq!((found.basis, found.days), (Basis::Scores, 14));
    let true_rate = truth(20, 100, found.threshold);
    assert!(true_rate <= 1.0 && true_rate > 0.1, "{found:?}: {true_rate}");
    let range = found.per_day.expect("a tail");
    assert!(range.low <= true_rate && true_rate <= range.high, "{range:?} {true_rate}");
    assert_eq!(estimate(&scores, &GOAL), found, "the same scores, the same estimate");
}

#[test]
fn until_there_are_scores_enough_the_models_threshold_holds_and_says_so() {
    for scores in [Scores::default(), box_of(1, 50, 0.45, 100, 1), box_of(5, 1, 0.45, 100, 1)] {
        let found = estimate(&scores, &Goal { in_force: 0.6, ..GOAL });
        assert_eq!((found.basis, found.threshold, found.per_day), (Basis::TooFew, 0.45, None));
        assert!(found.days < 2 || found.scores < LEAST_SCORES, "{found:?}");
    }
}

#[test]
fn a_smaller_budget_a_larger_gallery_and_more_traffic_ask_for_more() {
    let scores = box_of(7, 20, 0.45, 100, 2);
    let at = |goal: Goal| estimate(&scores, &goal).threshold;
    let usual = at(GOAL);
    assert!(at(Goal { per_day: 0.1, ..GOAL }) > usual);
    assert!(at(Goal { identities: 1_000, ..GOAL }) > usual);
    assert!(estimate(&box_of(7, 100, 0.45, 100, 2), &GOAL).threshold > usual);
}

#[test]
fn a_gallery_that_grew_is_foreseen() {
    // Seen with 100 identities, asked for 1,000: the threshold keeps the budget there.
    let found = estimate(&box_of(21, 30, 0.5, 100, 3), &Goal { identities: 1_000, ..GOAL });
    let true_rate = truth(30, 1_000, found.threshold);
    assert!(found.basis == Basis::Scores && true_rate <= 1.0 && true_rate > 0.02, "{found:?}: {true_rate}");
}

#[test]
fn what_bounds_the_threshold_is_said() {
    let scores = box_of(7, 20, 0.45, 100, 4);
    let generous = Goal { per_day: 1_000.0, floor: 0.35, ..GOAL };
    let found = estimate(&scores, &generous);
    assert_eq!((found.basis, found.threshold), (Basis::Floor, 0.35));
    let near = estimate(&scores, &Goal { between_enrolled: Some(0.41), ..generous });
    assert_eq!((near.basis, near.threshold), (Basis::Enrolled, 0.41));
    // Two templates of one person are no reason to recognise nobody.
    let twice = estimate(&scores, &Goal { between_enrolled: Some(0.9), ..generous });
    assert_eq!((twice.basis, twice.threshold), (Basis::Enrolled, 0.45));
}

#[test]
fn missed_mates_do_not_drive_the_threshold_up_to_where_mates_are() {
    let (clean, mut with) = (box_of(14, 20, 0.45, 100, 5), box_of(14, 20, 0.45, 100, 5));
    let mut random = Random::seeded(6);
    for hour in 0..14 * 24 {
        let judged = Judged { hour, threshold: 0.45, identities: 100 };
        let score = (0.6 + 0.15 * normal::quantile(random.unit())) as f32;
        with.ended(judged, if score < 0.45 { Ended::NonMatch(score) } else { Ended::Alert });
    }
    let (clean, with) = (estimate(&clean, &GOAL), estimate(&with, &GOAL));
    assert_eq!(with.basis, Basis::Scores);
    assert!(with.threshold >= clean.threshold - 0.01, "{clean:?} {with:?}");
    assert!(with.threshold <= clean.threshold + 0.08, "{clean:?} {with:?}");
}

#[test]
fn what_an_operator_rejects_is_a_score_above_the_threshold() {
    // Look-alikes that only alerts show: without verdicts nobody can know.
    let mut scores = box_of(14, 20, 0.45, 100, 7);
    let silent = estimate(&scores, &GOAL);
    for hour in (0..14 * 24).step_by(4) {
        let judged = Judged { hour, threshold: 0.45, identities: 100 };
        scores.ended(judged, Ended::Alert);
        scores.rejected(judged, 0.55 + 0.0005 * (hour % 100) as f32);
    }
    let told = estimate(&scores, &GOAL);
    assert!(told.threshold > silent.threshold + 0.05, "{silent:?} {told:?}");
}

#[test]
fn a_tail_that_is_none_is_refused() {
    // Two heaps of scores, one of them right under the threshold.
    let mut scores = Scores::default();
    let mut random = Random::seeded(8);
    for hour in 0..10 * 24 {
        let judged = Judged { hour, threshold: 0.45, identities: 100 };
        scores.watched(hour);
        for i in 0..20 {
            let spread = 0.004 * random.unit() as f32;
            scores.ended(judged, Ended::NonMatch(if i % 5 == 0 { 0.40 + spread } else { 0.2 + spread }));
        }
    }
    let found = estimate(&scores, &GOAL);
    assert!(found.basis == Basis::NoFit && found.threshold >= 0.45, "{found:?}");
}

#[test]
fn scores_are_forgotten_after_thirty_days() {
    let mut scores = box_of(40, 3, 0.45, 10, 9);
    assert_eq!(scores.hours().count() as i64, WINDOW);
    assert!(scores.blocks().all(|block| block.judged.hour >= 10 * 24));
    scores.watched(100 * 24);
    assert_eq!((scores.blocks().count(), scores.hours().count()), (0, 1));
}

#[test]
fn a_score_is_in_the_bin_that_holds_it() {
    for score in [-1.0, -0.4321, 0.0, 0.2, 0.45, 0.4999, 0.995] {
        let bin = bin_of(score);
        let (low, high) = (edge(bin), edge(bin + 1));
        assert!(low <= f64::from(score) + 1e-6 && f64::from(score) < high, "{score}: {low} to {high}");
    }
    assert_eq!((bin_of(-7.0), usize::from(bin_of(7.0))), (0, BINS - 1));
}

#[test]
fn a_place_and_its_intensity_belong_together() {
    for shape in [-0.3, -1e-9, 0.0, 0.2] {
        let tail = Tail { level: 0.15f64.ln(), scale: 0.04f64.ln(), shape, mates: -9.0 };
        for wanted in [0.1, 1e-2, 1e-4] {
            let place = tail.place_of(wanted);
            assert!((tail.intensity(place) / wanted - 1.0).abs() < 1e-6, "{shape} {wanted}: {place}");
        }
    }
    let ending = Tail { level: 0.0, scale: 0.04f64.ln(), shape: -0.25, mates: -9.0 };
    assert_eq!(ending.intensity(0.17), 0.0, "beyond its end");
}
