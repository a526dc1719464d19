//! Does the tail fit what was seen?
//!
//! The statistic of Anderson and Darling for grouped data (Choulakian, Lockhart and Stephens 1994). Its distribution has no table here: the
//! tail is cut off at thresholds in force, and its parameters are not known but drawn. So what was seen is compared with what each
//! drawn tail would have shown (the posterior predictive check of Gelman, Meng and Stern 1996), which refuses too seldom rather than too often.

use super::fit::Tails;
use super::tail::View;
use crate::eval::random::Random;

/// Tails that are compared with.
const REPEATS: usize = 100;
const SEED: u64 = 2;

/// The share of drawn tails that fit what they would have shown worse than what was seen: small means a bad fit. `dispersion`: how
/// many scores of one person come together, 1 or more.
pub fn fitness(view: &View, tails: &Tails, dispersion: f64) -> f64 {
    let mut random = Random::seeded(SEED);
    let mut worse = 0;
    for repeat in 0..REPEATS {
        // Systematic draws by weight.
        let place = (repeat as f64 + 0.5) / REPEATS as f64;
        let mut sum = 0.0;
        let chosen = tails.drawn.iter().find(|(_, weight)| {
            sum += weight;
            sum >= place
        });
        let tail = chosen.map_or(tails.mode, |(tail, _)| *tail);
        let cells = view.expected(&tail);
        let seen: Vec<f64> = cells.iter().map(|(seen, _)| *seen).collect();
        let expected: Vec<f64> = cells.iter().map(|(_, expected)| *expected).collect();
        let again = drawn_from(&expected, seen.iter().sum::<f64>() as usize, &mut random);
        if distance(&again, &expected) >= distance(&seen, &expected) / dispersion {
            worse += 1;
        }
    }
    f64::from(worse) / REPEATS as f64
}

fn drawn_from(expected: &[f64], count: usize, random: &mut Random) -> Vec<f64> {
    let mut ends = Vec::with_capacity(expected.len());
    let mut sum = 0.0;
    for part in expected {
        sum += part;
        ends.push(sum);
    }
    let mut drawn = vec![0.0; expected.len()];
    for _ in 0..count {
        let place = random.unit() * sum;
        let bin = ends.partition_point(|end| *end < place).min(drawn.len() - 1);
        drawn[bin] += 1.0;
    }
    drawn
}

/// A² of grouped data.
fn distance(seen: &[f64], expected: &[f64]) -> f64 {
    let n: f64 = expected.iter().sum();
    let (mut cumulated, mut difference, mut sum) = (0.0, 0.0, 0.0);
    for (seen, expected) in seen.iter().zip(expected) {
        cumulated += expected / n;
        difference += seen - expected;
        let spread = cumulated * (1.0 - cumulated);
        if spread > 1e-9 {
            sum += difference * difference * expected / n / spread;
        }
    }
    sum / n
}
