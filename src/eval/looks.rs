//! Several pictures of one person searched as one, as the shots of a track are.
//!
//! ```text
//!  pictures of a person ─ N at a time ─▶ look ─▶ the best alone, or the mean of all ─▶ one search
//! ```

use serde::Serialize;

use super::acquire::Template;
use super::quality::{Measure, Measured};
use crate::types::embedding::Embedding;

/// Least weight of a picture, as in a track.
const LEAST_WEIGHT: f32 = 0.01;

/// What of a look is searched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusing {
    /// The picture of the best quality alone; of pictures without a quality score the sharpest.
    Best,
    /// The mean of all embeddings.
    Mean,
    /// Their mean, each weighted by its quality score, as the daemon does it.
    Quality,
}

/// What a look is searched with.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The embedding.
    pub embedding: Embedding,
    /// What was measured of the best of its pictures.
    pub measured: Measured,
}

/// Pictures (person, picture), sorted, as looks of at most `shots` pictures of one person each.
pub fn looks(pictures: &[(u32, u32)], shots: usize) -> Vec<&[(u32, u32)]> {
    let own = pictures.chunk_by(|a, b| a.0 == b.0);
    own.flat_map(|own| own.chunks(shots.max(1))).collect()
}

/// The pictures that have a template as one; `None` without any, or if nothing is left of their mean.
pub fn fuse(shots: &[&Template], how: Fusing) -> Option<Look> {
    let rank = |template: &Template| {
        let measured = &template.measured;
        measured.get(Measure::Score).or(measured.get(Measure::Sharpness)).unwrap_or(0.0)
    };
    let best =
        shots.iter().copied().reduce(|best, next| if rank(next) > rank(best) { next } else { best })?;
    let weight = |template: &Template| match how {
        Fusing::Quality => template.measured.get(Measure::Score).unwrap_or(1.0).max(LEAST_WEIGHT),
        Fusing::Best | Fusing::Mean => 1.0,
    };
    let embedding = match (how, shots) {
        (Fusing::Best, _) | (_, [_]) => best.embedding.clone(),
        _ => Embedding::weighted_mean(shots.iter().map(|shot| (&shot.embedding, weight(shot))))?,
    };
    Some(Look { embedding, measured: best.measured })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ids::ModelId;

    fn template(vector: [f32; 2], quality: f32) -> Template {
        let mut numbers = [f32::NAN; Measure::ALL.len()];
        if let Some(score) = numbers.get_mut(Measure::Score as usize) {
            *score = quality;
        }
        let embedding = Embedding::new(ModelId([1; 32]), vector.to_vec()).unwrap();
        Template { embedding, measured: Measured::from_numbers(numbers), faces: 1 }
    }

    #[test]
    fn looks_are_of_one_person_each_and_leave_no_picture_out() {
        let pictures = [(0, 0), (0, 1), (0, 2), (1, 0), (3, 1), (3, 4)];
        let of_two: Vec<Vec<(u32, u32)>> = looks(&pictures, 2).into_iter().map(<[_]>::to_vec).collect();
        assert_eq!(of_two, [vec![(0, 0), (0, 1)], vec![(0, 2)], vec![(1, 0)], vec![(3, 1), (3, 4)]]);
        assert_eq!(looks(&pictures, 1).len(), 6);
        assert_eq!(looks(&[], 3).len(), 0);
    }

    #[test]
    fn the_best_stands_alone_the_mean_is_in_the_middle_and_quality_leans_to_the_better() {
        let (good, bad) = (template([1.0, 0.0], 0.9), template([0.0, 1.0], 0.3));
        let shots = [&bad, &good];
        let first = |how| fuse(&shots, how).unwrap().embedding.as_slice()[0];
        assert_eq!(first(Fusing::Best), 1.0);
        assert!((first(Fusing::Mean) - 0.5f32.sqrt()).abs() < 1e-6);
        assert!((first(Fusing::Quality) - 0.9 / (0.9f32 * 0.9 + 0.3 * 0.3).sqrt()).abs() < 1e-6);
        assert_eq!(fuse(&shots, Fusing::Mean).unwrap().measured.get(Measure::Score), Some(0.9));
        assert!(fuse(&[], Fusing::Mean).is_none());
        assert!(fuse(&[&bad], Fusing::Quality).unwrap().embedding == bad.embedding);
    }
}
