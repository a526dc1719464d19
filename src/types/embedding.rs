//! A face's embedding: a unit vector that is as sensitive as the face itself.

use std::fmt;

use zeroize::Zeroize;

use super::ids::ModelId;
use crate::bail;
use crate::base::error::Result;

/// A unit vector made by one model. Wiped when dropped; it cannot be printed or serialised by accident.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    model: ModelId,
    vector: Vec<f32>,
}

impl Embedding {
    /// Normalises `raw` in f64 and takes it over.
    ///
    /// # Errors
    /// `Data`, when the vector is empty, holds a NaN or an infinity, or has no length.
    pub fn new(model: ModelId, mut raw: Vec<f32>) -> Result<Self> {
        let squared: f64 = raw.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let norm = squared.sqrt();
        if raw.is_empty() || !norm.is_finite() || norm < 1e-12 {
            raw.zeroize();
            bail!(Data, "the model's output is no embedding (empty, not finite, or of length zero)");
        }
        raw.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        Ok(Self { model, vector: raw })
    }

    /// Takes back what [`Embedding::as_slice`] gave, bit by bit.
    ///
    /// # Errors
    /// `Data`, when its length is not 1 (to 0.001).
    pub fn from_unit(model: ModelId, mut vector: Vec<f32>) -> Result<Self> {
        // False for what is not a number, too.
        let is_unit = (squared_length(&vector) - 1.0).abs() < 1e-3;
        if !is_unit {
            vector.zeroize();
            bail!(Data, "a stored vector of another length than 1 is no embedding");
        }
        Ok(Self { model, vector })
    }

    /// The model that made it.
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// The unit vector.
    pub fn as_slice(&self) -> &[f32] {
        &self.vector
    }

    /// Number of dimensions.
    pub fn dimension(&self) -> usize {
        self.vector.len()
    }

    /// Cosine similarity, -1 to 1; `None` for embeddings of different models or lengths.
    pub fn similarity(&self, other: &Embedding) -> Option<f32> {
        if self.model != other.model || self.vector.len() != other.vector.len() {
            return None;
        }
        let dot: f64 =
            self.vector.iter().zip(&other.vector).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        Some(dot.clamp(-1.0, 1.0) as f32)
    }

    /// The weighted mean of several embeddings of one model, normalised again. `None` for an empty list,
    /// mixed models, or weights that leave nothing.
    pub fn weighted_mean<'a>(parts: impl IntoIterator<Item = (&'a Embedding, f32)>) -> Option<Self> {
        let mut sum: Vec<f64> = Vec::new();
        let mut model = None;
        for (embedding, weight) in parts {
            if *model.get_or_insert(embedding.model) != embedding.model {
                return None;
            }
            sum.resize(embedding.vector.len().max(sum.len()), 0.0);
            sum.iter_mut().zip(&embedding.vector).for_each(|(s, &x)| *s += f64::from(x) * f64::from(weight));
        }
        let mean = sum.iter().map(|&x| x as f32).collect();
        sum.zeroize();
        Self::new(model?, mean).ok()
    }
}

/// In sixteen sums beside each other: none waits for the addition before it.
fn squared_length(vector: &[f32]) -> f64 {
    let (lanes, rest) = vector.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.vector.zeroize();
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding(model {}, {} dimensions)", self.model, self.vector.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelId = ModelId([7; 32]);

    #[test]
    fn what_is_no_vector_is_refused() {
        for bad in [vec![], vec![0.0; 4], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0]] {
            assert!(Embedding::new(MODEL, bad).is_err());
        }
        let tiny = Embedding::new(MODEL, vec![1e-30; 512]);
        assert!(tiny.is_err(), "a length that rounds to nothing has no direction");
    }

    #[test]
    fn what_was_taken_out_comes_back_bit_by_bit() {
        let raw = (0..512).map(|n| (n as f32).sin() * 3.0).collect();
        let made = Embedding::new(MODEL, raw).expect("a vector");
        assert!(Embedding::from_unit(MODEL, made.as_slice().to_vec()).expect("unit length") == made);
        for bad in [vec![], vec![0.6, 0.81], vec![f32::NAN; 4], vec![3.0, 4.0]] {
            assert!(Embedding::from_unit(MODEL, bad).is_err());
        }
    }

    #[test]
    fn similarity_compares_only_within_one_model() {
        let a = Embedding::new(MODEL, vec![3.0, 4.0]).expect("a vector");
        let b = Embedding::new(MODEL, vec![6.0, 8.0]).expect("a vector");
        let other = Embedding::new(ModelId([8; 32]), vec![6.0, 8.0]).expect("a vector");
        assert_eq!(a.similarity(&b), Some(1.0));
        assert_eq!(a.similarity(&other), None);
        assert!(Embedding::weighted_mean([(&a, 1.0), (&other, 1.0)]).is_none());
    }

    #[test]
    fn debug_shows_no_number_of_the_vector() {
        let a = Embedding::new(MODEL, vec![0.6, 0.8]).expect("a vector");
        assert!(!format!("{a:?}").contains("0.6"));
    }
}
