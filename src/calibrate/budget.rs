//! From a budget of false alerts to a threshold.
//!
//! ```text
//!  Scores ─▶ groups, dispersion, tracks a day ─▶ fit, for u lower to higher, until one is good ─▶ tails
//!  each tail, with tracks a day drawn beside it ─▶ the threshold that keeps the budget ─▶ the one that 95 % of them are under
//!                                                                                          │
//!                                          floor, margin between the enrolled ─▶ not below ┘
//! ```
//!
//! Expected false alerts a day at threshold t are tracks a day times 1 - exp(-Λ(t)): each track of a stranger is one chance of an alert. All
//! tracks are counted as strangers', which is a little too many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::fitness;
use super::fit::{Tails, fit, weighted_quantile};
use super::groups::{bin_above, dispersion, groups, level, seen};
use super::scores::{Scores, WIDTH, edge};
use super::tail::{Group, MateShape, Prior, Tail, View};
use super::traffic::Traffic;

/// Least whole days before there is an estimate: traffic has a day's pattern.
pub const LEAST_DAYS: usize = 2;
/// Least non-matches.
pub const LEAST_SCORES: u64 = 200;
/// Least scores above `u`.
pub const LEAST_PEAKS: f64 = 50.0;
/// Parts of the seen scores that may be taken as the tail, the largest first.
pub const PARTS: [f64; 5] = [0.25, 0.15, 0.10, 0.06, 0.03];
/// A fit that fits worse than this part of what its tails would show is refused.
pub const LEAST_FITNESS: f64 = 0.05;
/// The budget is kept by this part of all tails that could be behind the scores.
pub const SURE: f64 = 0.95;

/// Scores of the tail count as so many at most: with more, the tail's own family would be taken for the truth, which it is not
/// (Miller and Dunson 2019, robust inference by coarsening).
const MOST_PEAKS: f64 = 600.0;

/// What is asked for, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Most false alerts a day.
    pub per_day: f64,
    /// Identities that are searched now.
    pub identities: u32,
    /// Never below that.
    pub floor: f32,
    /// The highest similarity of two different enrolled people.
    pub between_enrolled: Option<f32>,
    /// The model's own threshold: holds until there is an estimate, and bounds what two enrolled people can ask for.
    pub model: f32,
    /// Threshold in force.
    pub in_force: f32,
    /// How mates score.
    pub mates: MateShape,
}

/// Why a threshold is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The tail of the box's own scores.
    Scores,
    /// The floor: the budget would allow less.
    Floor,
    /// Two enrolled people are so near each other: the budget would allow less.
    Enrolled,
    /// Too few whole days, or scores: the model's threshold.
    TooFew,
    /// No tail fits what was seen: the highest threshold that any of those refused asks for, and the model's at least. If there is not
    /// even such a tail: the higher one of the model's threshold and that in force.
    NoFit,
}

impl Basis {
    /// All of them.
    pub const ALL: [Basis; 5] = [Basis::Scores, Basis::Floor, Basis::Enrolled, Basis::TooFew, Basis::NoFit];

    /// The name in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::Scores => "scores",
            Basis::Floor => "floor",
            Basis::Enrolled => "enrolled",
            Basis::TooFew => "too_few",
            Basis::NoFit => "no_fit",
        }
    }
}

/// A median and a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The 2.5 % point.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 97.5 % point.
    pub high: f64,
}

/// A threshold, and what is to be expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The threshold, a whole multiple of 0.005 unless a bound says otherwise.
    pub threshold: f32,
    /// Why.
    pub basis: Basis,
    /// False alerts to be expected a day; `None` without a tail.
    pub per_day: Option<Range>,
    /// Tracks a day.
    pub tracks_per_day: f64,
    /// Whole days seen.
    pub days: usize,
    /// Non-matches seen.
    pub scores: u64,
    /// Scores in the tail that was fitted.
    pub peaks: u64,
    /// How well it fits, 0 to 1.
    pub fitness: f64,
    /// How many scores come together.
    pub dispersion: f64,
    /// ξ of the likeliest tail.
    pub shape: f64,
}

/// The threshold for a budget.
pub fn estimate(scores: &Scores, goal: &Goal) -> Estimate {
    let traffic = Traffic::of(scores);
    let groups = groups(scores);
    let seen = seen(&groups);
    let total: u64 = seen.iter().sum();
    let mut answer = Estimate {
        threshold: goal.model,
        basis: Basis::TooFew,
        per_day: None,
        tracks_per_day: traffic.mean,
        days: traffic.days,
        scores: total,
        peaks: 0,
        fitness: 0.0,
        dispersion: 1.0,
        shape: 0.0,
    };
    if traffic.days < LEAST_DAYS || total < LEAST_SCORES {
        return answer;
    }
    let fits = fits(scores, &groups, &seen, total, goal);
    let wanted = |fitted: &Fitted| wanted(fitted, &traffic, goal);
    let good = fits.iter().find(|fitted| fitted.fitness >= LEAST_FITNESS);
    let highest = || fits.iter().max_by(|a, b| wanted(a).total_cmp(&wanted(b)));
    let Some(fitted) = good.or_else(highest) else {
        answer.basis = Basis::NoFit;
        answer.threshold = goal.model.max(goal.in_force);
        return answer;
    };
    let (threshold, basis) = match good {
        Some(_) => bounded(wanted(fitted), goal),
        None => (wanted(fitted).max(goal.model), Basis::NoFit),
    };
    answer.per_day = Some(fitted.rates(&traffic, f64::from(threshold)));
    Estimate {
        threshold,
        basis,
        peaks: fitted.peaks,
        fitness: fitted.fitness,
        dispersion: fitted.dispersion,
        shape: fitted.tails.mode.shape,
        ..answer
    }
}

/// The threshold that keeps the budget, but for bounds.
fn wanted(fitted: &Fitted, traffic: &Traffic, goal: &Goal) -> f32 {
    let place = |((tail, weight), tracks): (&(Tail, f64), &f64)| {
        let most = (goal.per_day / tracks).min(1.0 - 1e-9);
        (tail.place_of(-(-most).ln_1p()), *weight)
    };
    let drawn = traffic.drawn(fitted.tails.drawn.len());
    let mut places: Vec<(f64, f64)> = fitted.tails.drawn.iter().zip(&drawn).map(place).collect();
    let wanted = edge(fitted.first) + weighted_quantile(&mut places, SURE).max(0.0);
    (((wanted / WIDTH - 1e-6).ceil() * WIDTH) as f32).min(1.0)
}

fn bounded(wanted: f32, goal: &Goal) -> (f32, Basis) {
    // Two templates that reach the model's own threshold are one person enrolled twice, or twins: no threshold mends that.
    let enrolled = goal.between_enrolled.unwrap_or(-1.0).min(goal.model);
    if wanted >= goal.floor.max(enrolled) {
        (wanted.min(1.0), Basis::Scores)
    } else if enrolled > goal.floor {
        (enrolled, Basis::Enrolled)
    } else {
        (goal.floor, Basis::Floor)
    }
}

pub(super) struct Fitted {
    pub(super) tails: Tails,
    pub(super) first: u16,
    peaks: u64,
    pub(super) fitness: f64,
    dispersion: f64,
}

impl Fitted {
    /// False alerts a day at a threshold.
    fn rates(&self, traffic: &Traffic, threshold: f64) -> Range {
        let above = threshold - edge(self.first);
        let drawn = traffic.drawn(self.tails.drawn.len());
        let rate = |((tail, weight), tracks): (&(Tail, f64), &f64)| {
            (tracks * -(-tail.intensity(above)).exp_m1(), *weight)
        };
        let mut rates: Vec<(f64, f64)> = self.tails.drawn.iter().zip(&drawn).map(rate).collect();
        let mut at = |part| weighted_quantile(&mut rates, part);
        Range { low: at(0.025), median: at(0.5), high: at(0.975) }
    }
}

/// From the largest part of the scores on, up to the first good one.
pub(super) fn fits(scores: &Scores, groups: &[Group], seen: &[u64], total: u64, goal: &Goal) -> Vec<Fitted> {
    let mut fits: Vec<Fitted> = Vec::new();
    for part in PARTS {
        let first = bin_above(seen, part * total as f64);
        let dispersion = dispersion(scores, first);
        let view = View::new(groups, first, goal.identities, goal.mates, 1.0 / dispersion);
        let view = view.counting_at_most(MOST_PEAKS);
        let peaks = view.peaks();
        if peaks < LEAST_PEAKS {
            break;
        }
        let level = level(groups, first, goal.identities);
        let Some(tails) = fit(&view, &Prior::default(), level) else { continue };
        let fitness = fitness(&view, &tails, dispersion);
        fits.push(Fitted { tails, first, peaks: peaks as u64, fitness, dispersion });
        if fitness >= LEAST_FITNESS {
            break;
        }
    }
    fits
}
