//! Every template is compared: the default index, and the truth that others are tested against.
//!
//! ```text
//!  rows ──64 at a time──▶ dots (SIMD) ──64 scores──▶ TopK: a short sorted list; most scores end at one comparison
//! ```
//!
//! Scoring and selecting are apart, so that a coarse first pass (8-bit rows) can stand before
//! [`Rows::rescore`] without touching either.

use std::sync::Arc;

use super::kernel::dots;
use super::rows::{Probe, Rows, best_first};
use super::{Hit, Index};
use crate::types::embedding::Embedding;
use crate::types::matching::IndexKind;

/// Rows scored before their scores are looked at. 64 rows of 512 numbers are 128 KiB.
const BLOCK: usize = 64;

/// Above this many answers it is cheaper to sort all scores than to keep a list sorted.
const LARGEST_LIST: usize = 256;

/// Exact cosine search.
pub struct Exact {
    rows: Arc<Rows>,
}

impl Exact {
    /// Takes the rows as they are.
    pub fn new(rows: impl Into<Arc<Rows>>) -> Self {
        Self { rows: rows.into() }
    }
}

impl Index for Exact {
    fn kind(&self) -> IndexKind {
        IndexKind::Exact
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn search(&self, probe: &Embedding, k: usize) -> Vec<Hit> {
        if !self.rows.accepts(probe) {
            return Vec::new();
        }
        scan(&self.rows, &Probe::new(probe), k)
    }
}

/// Compares the probe with all rows.
pub(super) fn scan(rows: &Rows, probe: &Probe, k: usize) -> Vec<Hit> {
    let k = k.min(rows.len());
    if k > LARGEST_LIST {
        let all = 0..u32::try_from(rows.len()).unwrap_or(u32::MAX);
        return rows.rescore(probe, all, k);
    }
    let mut top = TopK::new(k);
    let mut scores = [0.0; BLOCK];
    let mut row = 0;
    for block in rows.lanes().chunks(BLOCK * rows.stride()) {
        dots(probe.lanes(), block, &mut scores);
        for &score in scores.iter().take(block.len() / rows.stride()) {
            top.offer(Hit { row, score: score.clamp(-1.0, 1.0) });
            row += 1;
        }
    }
    top.hits
}

/// The best `k` so far, best first.
struct TopK {
    hits: Vec<Hit>,
    k: usize,
    /// What a score must exceed to get in: the worst in a full list.
    bar: f32,
}

impl TopK {
    fn new(k: usize) -> Self {
        // Scores are at least -1: until the list is full everything gets in.
        Self { hits: Vec::with_capacity(k), k, bar: if k == 0 { f32::INFINITY } else { -2.0 } }
    }

    /// Rows must be offered in rising order: of equal scores the first stays in front.
    #[inline]
    fn offer(&mut self, hit: Hit) {
        if hit.score > self.bar {
            self.insert(hit);
        }
    }

    #[cold]
    fn insert(&mut self, hit: Hit) {
        if self.hits.len() == self.k {
            self.hits.pop();
        }
        let at = self.hits.partition_point(|other| best_first(other, &hit).is_lt());
        self.hits.insert(at, hit);
        if let (true, Some(worst)) = (self.hits.len() == self.k, self.hits.last()) {
            self.bar = worst.score;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::synthetic::Population;
    use crate::types::ids::ModelId;

    const MODEL: ModelId = ModelId([1; 32]);

    /// The same answer, the slow way: f64 sums and a full sort.
    fn oracle(templates: &[Embedding], probe: &Embedding, k: usize) -> Vec<(u32, f32)> {
        let mut all: Vec<(u32, f32)> =
            (0..).zip(templates).map(|(row, t)| (row, t.similarity(probe).expect("one model"))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }

    #[test]
    fn it_agrees_with_sums_in_f64_at_every_dimension_and_k() {
        for dimension in [1, 2, 15, 16, 17, 64, 65, 128, 192, 512] {
            let mut people = Population::new(MODEL, dimension, 3);
            let templates: Vec<Embedding> = (0..300).map(|n| people.template(n / 3)).collect();
            let mut rows = Rows::with_capacity(MODEL, dimension, templates.len()).expect("a dimension");
            templates.iter().for_each(|t| rows.push(t).expect("one model"));
            let index = Exact::new(rows);
            for (probe, k) in [(0, 1), (7, 5), (50, 64), (99, 256), (20, 257), (3, 1000)] {
                let probe = people.template(probe);
                let expected = oracle(&templates, &probe, k);
                let got = index.search(&probe, k);
                assert_eq!(got.len(), k.min(300));
                for (hit, (_, score)) in got.iter().zip(&expected) {
                    assert!((hit.score - score).abs() < 1e-5, "{dimension}: {hit:?} for {score}");
                    assert!((-1.0..=1.0).contains(&hit.score));
                }
            }
        }
    }

    #[test]
    fn a_list_and_a_full_sort_answer_alike() {
        let mut people = Population::new(MODEL, 64, 5);
        let mut rows = Rows::with_capacity(MODEL, 64, 1000).expect("a dimension");
        let twice = people.template(1);
        for n in 0..1000 {
            let template = if n % 3 == 0 { twice.clone() } else { people.template(n) };
            rows.push(&template).expect("one model");
        }
        let probe = Probe::new(&twice);
        let sorted = rows.rescore(&probe, 0..1000, 1000);
        for k in [0, 1, 2, 63, 200, 256, 300] {
            assert_eq!(scan(&rows, &probe, k), sorted[..k], "k = {k}");
        }
    }
}
