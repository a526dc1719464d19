//! Intervals for trials that share people: people are drawn, not trials.
//!
//! ```text
//!  draw as many people as there are, with replacement ─▶ w(person): how often each was drawn
//!  a trial of one person counts w(a) times, of two w(a) w(b) times ─▶ one pass over the ranked scores ─▶ figures
//!  1,000 times ─▶ from the 2.5 % to the 97.5 % point
//! ```
//!
//! A picture's comparisons go up and down together, so that intervals for independent trials are too narrow. This is the vertex
//! bootstrap (Snijders and Borgatti 1999), the subsets bootstrap of Bolle et al. (2004) with one subset a person.

use super::claim::Target;
use super::interval::Interval;
use super::random::Random;

/// A trial of two people, or of one: mated, or a search of somebody who is not enrolled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeopleTrial {
    /// Similarity score; `None`: a mated trial that could not be compared, which is a miss.
    pub score: Option<f32>,
    /// Whose the first picture is.
    pub a: u32,
    /// Whose the second one is.
    pub b: u32,
    /// True for two pictures of one person.
    pub mated: bool,
}

/// Intervals of 95 %; `None`, where fewer than half of the draws give the figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// Of the area under the curve.
    pub auc: Option<Interval>,
    /// Of the equal error rate.
    pub eer: Option<Interval>,
    /// Of the true accept rate at each target, in the targets' order.
    pub tar: Vec<Option<Interval>>,
}

/// Draws `people` people `repeats` times. The threshold of each target is chosen anew in each draw.
pub fn intervals(
    trials: &[PeopleTrial],
    people: usize,
    targets: &[Target],
    repeats: usize,
    seed: u64,
) -> Intervals {
    let mut ranked: Vec<PeopleTrial> =
        trials.iter().copied().filter(|t| t.score.is_some() || t.mated).collect();
    let value = |trial: &PeopleTrial| trial.score.unwrap_or(f32::NEG_INFINITY);
    ranked.sort_unstable_by(|a, b| value(b).total_cmp(&value(a)));
    let mut random = Random::seeded(seed);
    let (mut auc, mut eer, mut tar) = (Vec::new(), Vec::new(), vec![Vec::new(); targets.len()]);
    for _ in 0..repeats {
        let mut weights = vec![0u64; people];
        for _ in 0..people {
            if let Some(weight) = weights.get_mut(random.below(people as u64) as usize) {
                *weight += 1;
            }
        }
        let Some(draw) = Draw::of(&ranked, &weights, targets) else { continue };
        auc.push(draw.auc);
        eer.push(draw.eer);
        tar.iter_mut().zip(draw.tar).for_each(|(all, one)| all.push(one));
    }
    let middle = |values| between(values, repeats);
    Intervals { auc: middle(auc), eer: middle(eer), tar: tar.into_iter().map(middle).collect() }
}

/// The figures of one draw.
struct Draw {
    auc: f64,
    eer: f64,
    tar: Vec<f64>,
}

impl Draw {
    /// `None`, where a kind of trial was not drawn at all.
    fn of(ranked: &[PeopleTrial], weights: &[u64], targets: &[Target]) -> Option<Self> {
        let weight = |person: u32| weights.get(person as usize).copied().unwrap_or(0);
        let times = |t: &PeopleTrial| if t.a == t.b { weight(t.a) } else { weight(t.a) * weight(t.b) };
        let (mut mated, mut non_mated) = (0u64, 0u64);
        ranked.iter().for_each(|t| *if t.mated { &mut mated } else { &mut non_mated } += times(t));
        if mated == 0 || non_mated == 0 {
            return None;
        }
        let allowed: Vec<u64> = targets.iter().map(|target| target.allowed(non_mated)).collect();
        let (m, n) = (mated as f64, non_mated as f64);
        let (mut hits, mut matches) = (0u64, 0u64);
        let (mut area, mut eer, mut accepted) = (0.0, None, vec![0u64; targets.len()]);
        for same in ranked.chunk_by(|a, b| a.score == b.score) {
            if same.first().is_some_and(|trial| trial.score.is_none()) {
                break;
            }
            let (before, matched) = (hits, matches);
            same.iter().for_each(|t| *if t.mated { &mut hits } else { &mut matches } += times(t));
            area += (matches - matched) as f64 * (hits + before) as f64 / 2.0;
            accepted
                .iter_mut()
                .zip(&allowed)
                .filter(|(_, most)| matches <= **most)
                .for_each(|(a, _)| *a = hits);
            if eer.is_none() {
                eer = crossing((before, matched), (hits, matches), (m, n));
            }
        }
        let tar = accepted.into_iter().map(|hits| hits as f64 / m).collect();
        Some(Self { auc: area / (m * n), eer: eer?, tar })
    }
}

/// FNMR = FMR between two points, as [`super::roc::Roc::eer`] has it.
fn crossing(before: (u64, u64), after: (u64, u64), (m, n): (f64, f64)) -> Option<f64> {
    let gap = |(hits, matches): (u64, u64)| (1.0 - hits as f64 / m) - matches as f64 / n;
    let (above, below) = (gap(before), -gap(after));
    let (from, to) = (before.1 as f64 / n, after.1 as f64 / n);
    (below >= 0.0)
        .then(|| if above + below > 0.0 { from + above / (above + below) * (to - from) } else { from })
}

/// The middle 95 % of the values.
fn between(mut values: Vec<f64>, repeats: usize) -> Option<Interval> {
    if values.is_empty() || values.len() * 2 < repeats {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    let low = (last as f64 * 0.025).floor() as usize;
    let (low, high) = (values.get(low)?, values.get(last - low)?);
    Some(Interval { low: *low, high: *high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::interval::wilson;
    use crate::eval::roc::Roc;

    /// Scores of `people` people with `each` pictures; `own` moves all scores of a person together.
    fn trials(people: u32, each: usize, own: f32) -> Vec<PeopleTrial> {
        let mut random = Random::seeded(5);
        let mut noise = || (random.below(2_001) as f32 - 1_000.0) / 1_000.0;
        let shift: Vec<f32> = (0..people).map(|_| noise() * own).collect();
        let mut trials = Vec::new();
        for a in 0..people {
            let mated = |noise: f32| PeopleTrial {
                score: Some(0.6 + 0.3 * noise + shift[a as usize]),
                a,
                b: a,
                mated: true,
            };
            trials.extend((0..each).map(|_| mated(noise())));
            let others =
                (a + 1..people).map(|b| PeopleTrial { score: Some(0.2 + 0.3 * noise()), a, b, mated: false });
            trials.extend(others);
        }
        trials
    }

    fn width(interval: Option<Interval>) -> f64 {
        interval.map(|i| i.high - i.low).expect("an interval")
    }

    #[test]
    fn a_draw_of_everybody_once_gives_the_curves_own_figures() {
        let trials = trials(40, 4, 0.2);
        let scores =
            |mated| trials.iter().filter(|t| t.mated == mated).filter_map(|t| t.score).collect::<Vec<_>>();
        let roc = Roc::new(&scores(true), &scores(false), 0).expect("finite");
        let mut ranked = trials.clone();
        ranked.sort_by(|a, b| b.score.partial_cmp(&a.score).expect("finite"));
        let targets = [Target::one_in(10), Target::one_in(100)];
        let draw = Draw::of(&ranked, &[1; 40], &targets).expect("both kinds");
        assert!((draw.auc - roc.auc().expect("both")).abs() < 1e-12);
        assert!((draw.eer - roc.eer().expect("both").rate).abs() < 1e-12);
        for (target, tar) in targets.iter().zip(draw.tar) {
            assert!((tar - roc.tar(&roc.at_rate(*target))).abs() < 1e-12);
        }
    }

    #[test]
    fn trials_that_share_people_are_less_sure_than_their_number() {
        let targets = [Target::one_in(10)];
        let found = intervals(&trials(30, 50, 0.5), 30, &targets, 300, 1);
        let tar = found.tar[0].expect("an interval");
        let counted = wilson((tar.low * 1_500.0) as u64, 1_500);
        assert!(width(Some(tar)) > 2.0 * width(counted), "{tar:?} {counted:?}");
        assert_eq!(found, intervals(&trials(30, 50, 0.5), 30, &targets, 300, 1), "the seed decides");
        assert!(width(found.auc) > 0.0 && width(found.eer) > 0.0);
    }

    #[test]
    fn without_both_kinds_there_is_no_interval() {
        let mated: Vec<PeopleTrial> = trials(5, 3, 0.1).into_iter().filter(|t| t.mated).collect();
        let found = intervals(&mated, 5, &[Target::one_in(10)], 50, 1);
        assert_eq!(found, Intervals { auc: None, eer: None, tar: vec![None] });
    }
}
