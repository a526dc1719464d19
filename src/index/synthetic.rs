//! Embeddings of people who do not exist, distributed as a face model's are: for benches and tests.
//!
//! Uniformly random vectors would be useless: a graph index fails on them, and nothing in them is near anything.
//! The figures here are those of MobileFaceNet's 512 dimensions on aligned faces: between two people a mean
//! similarity of 0.008 with a standard deviation of 0.097, as if there were 106 dimensions (a random direction
//! in n dimensions has a standard deviation of 1 / sqrt(n)); between two pictures of one person about 0.6.

use std::collections::HashMap;

use super::rows::Rows;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

/// Mean similarity of two people.
pub const IMPOSTOR_MEAN: f64 = 0.008;
/// Standard deviation of it.
pub const IMPOSTOR_DEVIATION: f64 = 0.097;
/// Mean similarity of two pictures of one person.
pub const GENUINE_MEAN: f64 = 0.6;

/// A population of which templates can be drawn. The same seed and the same calls give the same vectors.
pub struct Population {
    model: ModelId,
    /// One column of `dimension` numbers a latent dimension.
    basis: Vec<Vec<f32>>,
    /// What all faces have in common.
    common: Vec<f32>,
    centres: HashMap<usize, Vec<f32>>,
    seed: u64,
    rng: fastrand::Rng,
}

impl Population {
    /// A population whose embeddings have `dimension` numbers.
    pub fn new(model: ModelId, dimension: usize, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let basis = (0..latent(dimension)).map(|_| gaussian(&mut rng, dimension)).collect();
        let common = unit(gaussian(&mut rng, dimension));
        Self { model, basis, common, centres: HashMap::new(), seed, rng }
    }

    /// Another picture of person `number`.
    pub fn template(&mut self, number: usize) -> Embedding {
        let noise = direction(&self.basis, &mut self.rng);
        let centre = self.centres.entry(number).or_insert_with(|| {
            let number = number as u64;
            let mut own =
                fastrand::Rng::with_seed(self.seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            direction(&self.basis, &mut own)
        });
        // Two pictures share the common part and the centre, so genuine = common² + centre².
        let shared = IMPOSTOR_MEAN.sqrt() as f32;
        let own = (GENUINE_MEAN - IMPOSTOR_MEAN).sqrt() as f32;
        let rest = (1.0 - GENUINE_MEAN).sqrt() as f32;
        let parts = self.common.iter().zip(centre.iter()).zip(&noise);
        let vector =
            parts.map(|((&all, &person), &picture)| shared * all + own * person + rest * picture).collect();
        // Only a vector without length is refused, and a sum of these three is none.
        #[allow(clippy::expect_used, reason = "a generator for tests and benches")]
        Embedding::new(self.model, vector).expect("a vector with a length")
    }

    /// Rows of `people` with `each` templates, one person after another: row r is person `r / each`.
    ///
    /// # Errors
    /// As [`Rows::push`].
    pub fn rows(&mut self, people: usize, each: usize) -> crate::base::error::Result<Rows> {
        let mut rows = Rows::with_capacity(self.model, self.common.len(), people * each)?;
        for number in 0..people {
            for _ in 0..each {
                rows.push(&self.template(number))?;
            }
        }
        Ok(rows)
    }
}

/// Latent dimensions p for the deviation wanted: with a Gaussian basis, deviation² = 1/p + 1/dimension.
fn latent(dimension: usize) -> usize {
    let from_basis = 1.0 / dimension as f64;
    let wanted = (IMPOSTOR_DEVIATION * IMPOSTOR_DEVIATION - from_basis).max(1.0 / 512.0);
    (1.0 / wanted).round() as usize
}

/// A random unit vector in the space that the basis spans.
fn direction(basis: &[Vec<f32>], rng: &mut fastrand::Rng) -> Vec<f32> {
    let mut sum = vec![0.0; basis.first().map_or(0, Vec::len)];
    for (column, weight) in basis.iter().zip(gaussian(rng, basis.len())) {
        sum.iter_mut().zip(column).for_each(|(s, c)| *s += weight * c);
    }
    unit(sum)
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}

/// Normally distributed numbers (Box and Muller 1958).
fn gaussian(rng: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    let one = |rng: &mut fastrand::Rng| {
        let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * rng.f64()).cos()) as f32
    };
    (0..count).map(|_| one(rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(scores: &[f64]) -> (f64, f64) {
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / scores.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn scores_are_distributed_as_the_models_are() {
        let mut people = Population::new(ModelId([1; 32]), 512, 11);
        let pictures: Vec<(usize, Embedding)> = (0..600).map(|n| (n / 2, people.template(n / 2))).collect();
        let (mut genuine, mut impostor) = (Vec::new(), Vec::new());
        for (n, (who, a)) in pictures.iter().enumerate() {
            for (other, b) in &pictures[..n] {
                let score = f64::from(a.similarity(b).expect("one model"));
                if who == other { genuine.push(score) } else { impostor.push(score) }
            }
        }
        let (mean, deviation) = moments(&impostor);
        assert!((mean - IMPOSTOR_MEAN).abs() < 0.01, "impostors' mean {mean}");
        assert!((deviation - IMPOSTOR_DEVIATION).abs() < 0.01, "impostors' deviation {deviation}");
        let (mean, _) = moments(&genuine);
        assert!((mean - GENUINE_MEAN).abs() < 0.03, "genuine mean {mean}");
    }

    #[test]
    fn the_same_seed_draws_the_same_people() {
        let draw = || Population::new(ModelId([1; 32]), 64, 4).template(9);
        assert!(draw() == draw());
    }
}
