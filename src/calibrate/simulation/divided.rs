//! Half of real people enrolled: what budgeted thresholds miss and let through, beside the best fixed one.
//!
//! ```text
//!  24 people ─┬─ 12 enrolled, by two pictures ─▶ their other pictures: mates ───────────────────────▶ FNIR
//!             └─ 12 strangers ─▶ all, or 6 of them, come by for a week, 200 tracks a day ─▶ estimate ─▶ threshold
//!                            └─▶ all of them, whether the box has seen them or not ────────────────▶ FPIR
//! ```

use super::people::Matrix;
use super::world::{MODEL, Plan, Strangers, Traffic, World, part_above};
use crate::calibrate::tail::MateShape;
use crate::eval::random::Random;

const DIVISIONS: u64 = 40;
const PER_DAY: f64 = 200.0;
const WEEK: usize = 7;

/// At one threshold, percent.
#[derive(Debug, Default, Clone, Copy)]
struct Rates {
    threshold: f64,
    false_positives: f64,
    missed: f64,
}

impl Rates {
    fn add(&mut self, other: Rates) {
        self.threshold += other.threshold / DIVISIONS as f64;
        self.false_positives += other.false_positives / DIVISIONS as f64;
        self.missed += other.missed / DIVISIONS as f64;
    }
}

/// One division of the people, of whose strangers one in `part` comes by: at the budgeted threshold, at the best fixed one, at the model's.
fn division(matrix: &Matrix, seed: u64, part: usize, budget: f64) -> [Rates; 3] {
    let mut random = Random::seeded(seed);
    let enrolled = matrix.people() / 2;
    let (mut mates, strangers) = matrix.divided(enrolled, &mut random);
    // Who has two pictures only has none left to come by with.
    mates.retain(|own| !own.is_empty());
    let seen = &strangers[..strangers.len() / part];
    let above = |people: &[Vec<f64>], t: f64| {
        100.0 * people.iter().map(|own| part_above(own, t)).sum::<f64>() / people.len() as f64
    };
    let rates = |threshold: f64| Rates {
        threshold,
        false_positives: above(&strangers, threshold),
        missed: 100.0 - above(&mates, threshold),
    };
    let plan = Plan {
        strangers: Strangers::Real(seen.to_vec()),
        identities: enrolled as u32,
        traffic: Traffic::Steady,
        per_day: PER_DAY,
        mates: 0.01,
        mate_shape: MateShape::USUAL,
        weekend: 1.0,
        budget,
        judged: 0.0,
        seed: random.next_u64(),
    };
    let evening = World::new(plan).live(&[2, WEEK], MateShape::USUAL).pop().expect("a week");
    // The lowest that keeps the budget with all strangers, which only an oracle knows.
    let fixed =
        (0..1000).map(|n| f64::from(n) / 1000.0).find(|t| PER_DAY / 100.0 * above(&strangers, *t) <= budget);
    [f64::from(evening.estimate.threshold), fixed.unwrap_or(1.0), f64::from(MODEL)].map(rates)
}

/// Rows for each budget.
pub fn report(matrix: &Matrix) -> String {
    let mut text = format!(
        "{:8}{:>10}{:>14}{:>11}{:>9}{:>9}\n",
        "budget", "come by", "", "threshold", "FPIR, %", "FNIR, %"
    );
    for (part, come_by) in [(1, "all"), (2, "half")] {
        for budget in [0.2, 1.0, 5.0] {
            let mut sums = [Rates::default(); 3];
            for seed in 1..=DIVISIONS {
                sums.iter_mut()
                    .zip(division(matrix, seed, part, budget))
                    .for_each(|(sum, rates)| sum.add(rates));
            }
            for (name, Rates { threshold, false_positives, missed }) in
                ["budgeted", "best fixed", "the model's"].iter().zip(sums)
            {
                text += &format!(
                    "{budget:<8}{come_by:>10}{name:>14}{threshold:>11.3}{false_positives:>9.2}{missed:>9.1}\n"
                );
            }
        }
    }
    text
}
