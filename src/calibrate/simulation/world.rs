//! A box: who comes by and how they score, what it decides, and what is true.

use super::strangers::Comparisons;
use crate::calibrate::budget::{Estimate, Goal, estimate};
use crate::calibrate::normal;
use crate::calibrate::scores::{Ended, Judged, Scores};
use crate::calibrate::tail::MateShape;
use crate::eval::random::Random;

/// The manifest's threshold of every box.
pub const MODEL: f32 = 0.45;
/// The floor of every box.
pub const FLOOR: f32 = 0.3;
/// How alike the scores of one person are: correlation of their normal scores.
const ALIKE: f64 = 0.6;
/// Part of the tracks that are of regulars, where there are any.
const REGULARS: f64 = 0.6;
/// A person who comes again and again in an hour makes so many tracks in the mean.
const BURST: f64 = 5.0;
/// Real tracks are few; each stands for those near it: the deviation of a normal kernel.
const KERNEL: f64 = 0.015;

/// When people come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Evenly, each once.
    Steady,
    /// Twice a day in great numbers, at night hardly anybody.
    Rush,
    /// Each several times in an hour.
    Bursts,
    /// The same people each day, one to six times, beside others.
    Regulars,
}

/// Who comes by without being enrolled.
#[derive(Debug)]
pub enum Strangers<'a> {
    /// Scores of a distribution.
    Drawn(&'a Comparisons),
    /// Real people's tracks.
    Real(Vec<Vec<f64>>),
}

/// What a box is like.
#[derive(Debug)]
pub struct Plan<'a> {
    pub strangers: Strangers<'a>,
    /// Identities in its gallery.
    pub identities: u32,
    pub traffic: Traffic,
    /// Tracks on a weekday.
    pub per_day: f64,
    /// Part of them that are of enrolled people.
    pub mates: f64,
    /// How those score.
    pub mate_shape: MateShape,
    /// Tracks on a day of the weekend, as a part of a weekday's.
    pub weekend: f64,
    /// False alerts a day.
    pub budget: f64,
    /// Part of the alerts that an operator judges.
    pub judged: f64,
    pub seed: u64,
}

/// A box at the end of a day.
#[derive(Debug)]
pub struct Evening {
    pub day: usize,
    pub estimate: Estimate,
    /// The true expected false alerts a day.
    pub truth: f64,
    /// Mates that are recognised, and how many would be by the best fixed threshold.
    pub recall: f64,
    pub best_recall: f64,
}

pub struct World<'a> {
    plan: Plan<'a>,
    random: Random,
    /// Trait and tracks a day of each regular.
    regulars: Vec<(f64, f64)>,
}

impl<'a> World<'a> {
    pub fn new(plan: Plan<'a>) -> Self {
        let mut random = Random::seeded(plan.seed);
        let (mut regulars, mut left) = (Vec::new(), REGULARS * plan.per_day);
        while plan.traffic == Traffic::Regulars && left > 0.0 {
            let rate = (1.0 + 5.0 * random.unit()).min(left.max(0.5));
            regulars.push((normal::quantile(random.unit()), rate));
            left -= rate;
        }
        Self { plan, random, regulars }
    }

    /// Lives some days, and makes an estimate on the evenings of `looks`.
    pub fn live(&mut self, looks: &[usize], assumed: MateShape) -> Vec<Evening> {
        let (mut scores, mut in_force, mut evenings) = (Scores::default(), MODEL, Vec::new());
        let best = self.best_threshold();
        let start = self.random.below(7) as usize;
        for day in 0..looks.iter().copied().max().unwrap_or(0) {
            let factor = if (start + day) % 7 >= 5 { self.plan.weekend } else { 1.0 };
            for hour in 0..24 {
                let judged = Judged {
                    hour: (day * 24 + hour) as i64,
                    threshold: in_force,
                    identities: self.plan.identities,
                };
                scores.watched(judged.hour);
                self.hour(factor * self.part_of_day(hour), judged, &mut scores);
            }
            if !looks.contains(&(day + 1)) {
                continue;
            }
            let goal = Goal {
                per_day: self.plan.budget,
                identities: self.plan.identities,
                floor: FLOOR,
                between_enrolled: None,
                model: MODEL,
                in_force,
                mates: assumed,
            };
            let estimate = estimate(&scores, &goal);
            in_force = estimate.threshold;
            let t = f64::from(in_force);
            let (truth, recall, best_recall) = (self.truth(t), self.recall(t), self.recall(best));
            evenings.push(Evening { day: day + 1, estimate, truth, recall, best_recall });
        }
        evenings
    }

    /// False alerts a day that are to be expected at a threshold, over a week.
    pub fn truth(&self, t: f64) -> f64 {
        let strangers = (5.0 + 2.0 * self.plan.weekend) / 7.0 * (1.0 - self.plan.mates);
        let once = match &self.plan.strangers {
            Strangers::Drawn(comparisons) => comparisons.best_above(t, f64::from(self.plan.identities)),
            Strangers::Real(people) => {
                people.iter().map(|own| part_above(own, t)).sum::<f64>() / people.len() as f64
            }
        };
        if self.regulars.is_empty() {
            return strangers * self.plan.per_day * once;
        }
        let of = |own: f64| match &self.plan.strangers {
            Strangers::Drawn(_) => {
                let z = normal::quantile(1.0 - once);
                normal::above((z - ALIKE.sqrt() * own) / (1.0 - ALIKE).sqrt())
            }
            Strangers::Real(people) => part_above(&people[person(own, people.len())], t),
        };
        let regulars: f64 = self.regulars.iter().map(|(own, rate)| rate * of(*own)).sum();
        strangers * ((1.0 - REGULARS) * self.plan.per_day * once + regulars)
    }

    /// The lowest fixed threshold, from the floor on, that keeps the budget.
    fn best_threshold(&self) -> f64 {
        let (mut low, mut high) = (f64::from(FLOOR), 1.0);
        if self.truth(low) <= self.plan.budget {
            return low;
        }
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.truth(middle) <= self.plan.budget { high = middle } else { low = middle }
        }
        high
    }

    fn recall(&self, t: f64) -> f64 {
        normal::above((t - self.plan.mate_shape.mean) / self.plan.mate_shape.deviation)
    }

    /// The part of a day's tracks that come in an hour.
    fn part_of_day(&self, hour: usize) -> f64 {
        match (self.plan.traffic, hour) {
            (Traffic::Rush, 7 | 8 | 17 | 18) => 0.15,
            (Traffic::Rush, 9..=16) => 0.0375,
            (Traffic::Rush, 6 | 19..=21) => 0.021,
            (Traffic::Rush, _) => 0.002,
            _ => 1.0 / 24.0,
        }
    }

    fn hour(&mut self, part: f64, judged: Judged, scores: &mut Scores) {
        let all = self.plan.per_day * part;
        for _ in 0..self.poisson(all * self.plan.mates) {
            let z = normal::quantile(self.random.unit());
            let score = self.plan.mate_shape.mean + self.plan.mate_shape.deviation * z;
            self.end(score.clamp(-1.0, 1.0), false, judged, scores);
        }
        let strangers = all * (1.0 - self.plan.mates);
        match self.plan.traffic {
            Traffic::Steady | Traffic::Rush => {
                (0..self.poisson(strangers)).for_each(|_| self.passer_by(1, judged, scores));
            }
            Traffic::Bursts => {
                for _ in 0..self.poisson(strangers / BURST) {
                    let mut times = 1;
                    while times < 60 && self.random.unit() < 1.0 - 1.0 / BURST {
                        times += 1;
                    }
                    self.passer_by(times, judged, scores);
                }
            }
            Traffic::Regulars => {
                let others = self.poisson((1.0 - REGULARS) * strangers);
                (0..others).for_each(|_| self.passer_by(1, judged, scores));
                for i in 0..self.regulars.len() {
                    let (own, rate) = self.regulars[i];
                    for _ in 0..self.poisson(rate * part * (1.0 - self.plan.mates)) {
                        let score = self.score(own);
                        self.end(score, true, judged, scores);
                    }
                }
            }
        }
    }

    /// Somebody who was never here before, so many times.
    fn passer_by(&mut self, times: u32, judged: Judged, scores: &mut Scores) {
        let own = normal::quantile(self.random.unit());
        for _ in 0..times {
            let score = self.score(own);
            self.end(score, true, judged, scores);
        }
    }

    /// The score of one track of the stranger with this trait, a standard normal number.
    fn score(&mut self, own: f64) -> f64 {
        let z = normal::quantile(self.random.unit());
        match &self.plan.strangers {
            Strangers::Drawn(comparisons) => {
                let z = ALIKE.sqrt() * own + (1.0 - ALIKE).sqrt() * z;
                comparisons.best_place(normal::above(z), f64::from(self.plan.identities))
            }
            Strangers::Real(people) => {
                let tracks = &people[person(own, people.len())];
                tracks[self.random.below(tracks.len() as u64) as usize] + KERNEL * z
            }
        }
    }

    fn end(&mut self, score: f64, stranger: bool, judged: Judged, scores: &mut Scores) {
        let score = score as f32;
        if score < judged.threshold {
            return scores.ended(judged, Ended::NonMatch(score));
        }
        scores.ended(judged, Ended::Alert);
        if self.random.unit() < self.plan.judged {
            if stranger { scores.rejected(judged, score) } else { scores.confirmed(judged) }
        }
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 200.0 {
            let z = normal::quantile(self.random.unit());
            return (mean + mean.sqrt() * z).round().max(0.0) as u64;
        }
        let (limit, mut count, mut product) = ((-mean).exp(), 0, self.random.unit());
        while product > limit {
            count += 1;
            product *= self.random.unit();
        }
        count
    }
}

fn person(own: f64, people: usize) -> usize {
    ((normal::below(own) * people as f64) as usize).min(people - 1)
}

/// The part of somebody's tracks that score so high, each taken for those near it.
pub fn part_above(own: &[f64], t: f64) -> f64 {
    own.iter().map(|score| normal::above((t - score) / KERNEL)).sum::<f64>() / own.len() as f64
}
