//! The templates' vectors, one after another in memory.
//!
//! ```text
//!         ┌── row 0: dimension numbers, then zeros up to a whole lane ──┐┌── row 1 ...
//!  lanes: [16 × f32][16 × f32] ...                            [.., 0, 0] [16 × f32] ...
//!          each lane on its own cache line; a search walks them from first to last
//! ```

use zeroize::Zeroize;

use super::Hit;
use super::kernel::{LANE, Lane, dots, lanes};
use crate::bail;
use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

/// Unit vectors of one model, numbered from 0 in the order they were added. Wiped when dropped.
pub struct Rows {
    model: ModelId,
    dimension: usize,
    lanes: Vec<Lane>,
}

impl Rows {
    /// No rows yet, and memory for `capacity` of them. With fewer rows than that nothing is moved on the
    /// way, so no copy of a template stays behind in freed memory.
    ///
    /// # Errors
    /// `Data`, when the dimension is 0.
    pub fn with_capacity(model: ModelId, dimension: usize, capacity: usize) -> Result<Self> {
        if dimension == 0 {
            bail!(Data, "model {model} says that its embeddings have no dimension");
        }
        Ok(Self { model, dimension, lanes: Vec::with_capacity(capacity.saturating_mul(lanes(dimension))) })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `Data`, when the embedding is another model's or of another length, or there are 2^32 - 1 rows already.
    pub fn push(&mut self, embedding: &Embedding) -> Result<()> {
        if !self.accepts(embedding) {
            bail!(
                Data,
                "a template of model {} with {} dimensions is none of model {} with {}",
                embedding.model(),
                embedding.dimension(),
                self.model,
                self.dimension
            );
        }
        if self.len() >= u32::MAX as usize {
            bail!(Data, "a gallery holds at most {} templates", u32::MAX);
        }
        self.reserve_one();
        self.lanes.extend(padded(embedding.as_slice()));
        Ok(())
    }

    /// Adds those rows of another set that `keep` says, in their order.
    ///
    /// # Errors
    /// As [`Rows::push`].
    pub fn extend(&mut self, other: &Rows, keep: impl Fn(u32) -> bool) -> Result<()> {
        if !self.compares_with(other) {
            bail!(Data, "rows of model {} are none of model {}", other.model, self.model);
        }
        for row in (0..u32::MAX).take(other.len()).filter(|&row| keep(row)) {
            self.reserve_one();
            self.lanes.extend_from_slice(other.row(row));
        }
        Ok(())
    }

    /// Cosine similarity of the probe and a row, -1 to 1; `None`, if they cannot be compared.
    pub fn similarity(&self, row: u32, probe: &Embedding) -> Option<f32> {
        self.accepts(probe).then(|| self.scored(self.row(row), Probe::new(probe).lanes())).flatten()
    }

    /// Cosine similarity of two rows of sets of one model, -1 to 1.
    pub fn similarity_with(&self, row: u32, other: &Rows, other_row: u32) -> Option<f32> {
        self.compares_with(other).then(|| self.scored(self.row(row), other.row(other_row))).flatten()
    }

    /// A row as an embedding.
    pub fn embedding(&self, row: u32) -> Option<Embedding> {
        let numbers = self.row(row).iter().flat_map(|lane| lane.0).take(self.dimension);
        Embedding::new(self.model, numbers.collect()).ok()
    }

    fn compares_with(&self, other: &Rows) -> bool {
        self.model == other.model && self.dimension == other.dimension
    }

    fn scored(&self, a: &[Lane], b: &[Lane]) -> Option<f32> {
        (!a.is_empty() && a.len() == b.len()).then(|| score(a, b))
    }

    /// Grows by moving to a new block and wiping the old one.
    fn reserve_one(&mut self) {
        if self.lanes.capacity() - self.lanes.len() >= self.stride() {
            return;
        }
        let mut larger = Vec::with_capacity((self.lanes.len() * 2).max(self.stride() * 16));
        larger.extend_from_slice(&self.lanes);
        self.lanes.zeroize();
        self.lanes = larger;
    }

    /// The model that made the rows.
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// Numbers in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.lanes.len() / self.stride()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// True for an embedding that can be compared with the rows.
    pub(super) fn accepts(&self, embedding: &Embedding) -> bool {
        embedding.model() == self.model && embedding.dimension() == self.dimension
    }

    /// Lanes in a row.
    pub(super) fn stride(&self) -> usize {
        lanes(self.dimension)
    }

    /// All rows.
    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// One row; empty for a number that has none.
    pub(super) fn row(&self, row: u32) -> &[Lane] {
        let start = row as usize * self.stride();
        self.lanes.get(start..start + self.stride()).unwrap_or_default()
    }

    /// Scores of these rows, exactly, best first; ties go to the lower row. This is how whatever finds
    /// candidates in another way (a graph, coarse numbers) answers with the same scores as the exact search.
    pub(super) fn rescore(&self, probe: &Probe, rows: impl Iterator<Item = u32>, k: usize) -> Vec<Hit> {
        let mut hits: Vec<Hit> =
            rows.map(|row| Hit { row, score: score(probe.lanes(), self.row(row)) }).collect();
        hits.sort_unstable_by(best_first);
        hits.truncate(k);
        hits
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.lanes.zeroize();
    }
}

/// The probe in the rows' layout. Wiped when dropped.
pub(super) struct Probe(Vec<Lane>);

impl Probe {
    /// Copies the embedding.
    pub(super) fn new(embedding: &Embedding) -> Self {
        Self(padded(embedding.as_slice()).collect())
    }

    /// A copy of a stored row.
    pub(super) fn from_row(row: &[Lane]) -> Self {
        Self(row.to_vec())
    }

    /// Its lanes.
    pub(super) fn lanes(&self) -> &[Lane] {
        &self.0
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Cosine similarity of two rows, -1 to 1.
pub(super) fn score(a: &[Lane], b: &[Lane]) -> f32 {
    let mut out = [0.0];
    dots(a, b, &mut out);
    let [dot] = out;
    dot.clamp(-1.0, 1.0)
}

/// The order of answers: higher score first, then lower row.
pub(super) fn best_first(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.row.cmp(&b.row))
}

fn padded(vector: &[f32]) -> impl ExactSizeIterator<Item = Lane> + '_ {
    vector.chunks(LANE).map(|part| {
        let mut lane = Lane([0.0; LANE]);
        lane.0.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        lane
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelId = ModelId([1; 32]);

    #[test]
    fn rows_of_odd_length_are_padded_with_zeros_that_change_no_score() {
        let mut rows = Rows::with_capacity(MODEL, 17, 1).expect("a dimension");
        let embedding = Embedding::new(MODEL, (1..=17u8).map(f32::from).collect()).expect("a vector");
        for _ in 0..40 {
            rows.push(&embedding).expect("same model");
        }
        assert_eq!((rows.len(), rows.stride()), (40, 2));
        assert!((score(rows.row(0), rows.row(39)) - 1.0).abs() < 1e-6);
        assert!(rows.row(40).is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert!(Rows::with_capacity(MODEL, 0, 1).is_err());
        let mut rows = Rows::with_capacity(MODEL, 2, 1).expect("a dimension");
        let other = Embedding::new(ModelId([2; 32]), vec![1.0, 0.0]).expect("a vector");
        let longer = Embedding::new(MODEL, vec![1.0, 0.0, 0.0]).expect("a vector");
        assert!(rows.push(&other).is_err());
        assert!(rows.push(&longer).is_err());
        assert!(rows.is_empty());
    }
}
