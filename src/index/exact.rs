//! Every template is compared: the truth that others are tested against, and the default where it is fast enough.
//!
//! ```text
//!                        ┌─ plain: few rows, or many asked for ─ f32 dots ──▶ TopK ─────────────────────────┐
//!  rows ──64 at a time───┤                                                                                  ├─▶ top k
//!                        └─ 4 bits ──▶ 8 bits ──▶ intervals ──▶ Shortlist ──▶ again in f32 (`rescore`) ─────┘
//!                           of all     of who may reach the bar
//! ```
//!
//! Both ways give the same answer to the bit: an interval holds the row's score (`codes.rs`), and a row is left out only where k others
//! are better for certain. Of several probes each looks at a block of codes while it is in the first cache.

use std::sync::Arc;

use super::codes::{BLOCK, Codes, Intervals, ProbeCodes};
use super::kernel::dots;
use super::rows::{Probe, Rows, best_first};
use super::shortlist::Shortlist;
use super::{Hit, Index};
use crate::types::embedding::Embedding;
use crate::types::matching::IndexKind;

/// Above this many answers it is cheaper to sort all scores than to keep a list sorted.
const LARGEST_LIST: usize = 256;

/// With fewer rows than this there is nothing to save.
const FEWEST_CODED: usize = 128;

/// Exact cosine search.
pub struct Exact {
    rows: Arc<Rows>,
    codes: Option<Codes>,
}

impl Exact {
    /// Takes the rows as they are, and keeps them in 8 bits beside.
    pub fn new(rows: impl Into<Arc<Rows>>) -> Self {
        let rows = rows.into();
        let codes = if rows.len() < FEWEST_CODED { None } else { Codes::of(&rows) };
        Self { rows, codes }
    }

    /// Searches in f32 alone: slower, and the same answers.
    pub fn plain(rows: impl Into<Arc<Rows>>) -> Self {
        Self { rows: rows.into(), codes: None }
    }

    /// How the first pass is computed on this processor; `None` without one.
    pub fn first_pass(&self) -> Option<&'static str> {
        self.codes.as_ref().map(Codes::way)
    }

    /// The codes, where a first pass over them pays: most rows have to drop out in it.
    fn coded(&self, k: usize) -> Option<&Codes> {
        let pays = k <= LARGEST_LIST && k.saturating_mul(4) <= self.rows.len();
        self.codes.as_ref().filter(|_| pays)
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
        self.search_many(std::slice::from_ref(probe), k).pop().unwrap_or_default()
    }

    fn search_many(&self, probes: &[Embedding], k: usize) -> Vec<Vec<Hit>> {
        let comparable = |probe: &Embedding| self.rows.accepts(probe) && k > 0;
        let Some(codes) = self.coded(k) else {
            let plain =
                |probe| if comparable(probe) { scan(&self.rows, &Probe::new(probe), k) } else { Vec::new() };
            return probes.iter().map(plain).collect();
        };
        let mut passes: Vec<Option<Pass>> =
            probes.iter().map(|probe| comparable(probe).then(|| Pass::new(probe, codes, k))).collect();
        for block in 0..self.rows.len().div_ceil(BLOCK) {
            passes.iter_mut().flatten().for_each(|pass| pass.look_at(codes, block));
        }
        passes.into_iter().map(|pass| pass.map_or_else(Vec::new, |pass| pass.answer(&self.rows, k))).collect()
    }
}

/// One probe on its way through the codes.
struct Pass {
    probe: Probe,
    coded: ProbeCodes,
    intervals: Intervals,
    shortlist: Shortlist,
}

impl Pass {
    fn new(probe: &Embedding, codes: &Codes, k: usize) -> Self {
        let probe = Probe::new(probe);
        let coded = codes.probe(&probe);
        Self { probe, coded, intervals: Intervals::new(), shortlist: Shortlist::new(k) }
    }

    fn look_at(&mut self, codes: &Codes, block: usize) {
        codes.intervals(&self.coded, block, self.shortlist.bar(), &mut self.intervals);
        for (row, low, high) in self.intervals.iter() {
            self.shortlist.offer(row, low, high);
        }
    }

    fn answer(self, rows: &Rows, k: usize) -> Vec<Hit> {
        rows.rescore(&self.probe, self.shortlist.rows(), k)
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

    /// Rows as galleries have them, and as nobody wishes for: all alike, near each other beyond 8 bits, in pairs.
    fn crowds(dimension: usize) -> Vec<(&'static str, Vec<Embedding>)> {
        let mut people = Population::new(MODEL, dimension, 21);
        let mut rng = fastrand::Rng::with_seed(4);
        let one = people.template(0);
        let mut near = |by: f32| {
            let vector = one.as_slice().iter().map(|x| x + by * (rng.f32() - 0.5)).collect();
            Embedding::new(MODEL, vector).expect("a vector")
        };
        vec![
            ("people", (0..1500).map(|n| people.template(n / 5)).collect()),
            ("one vector again and again", vec![one.clone(); 700]),
            ("within a code", (0..900).map(|_| near(1e-4)).collect()),
            ("within a float", (0..900).map(|_| near(1e-7)).collect()),
            (
                "opposites",
                (0..600)
                    .map(|n| {
                        if n % 2 == 0 {
                            near(0.01)
                        } else {
                            let vector = near(0.01).as_slice().iter().map(|x| -x).collect();
                            Embedding::new(MODEL, vector).expect("a vector")
                        }
                    })
                    .collect(),
            ),
        ]
    }

    #[test]
    fn the_first_pass_leaves_nobody_out_and_changes_no_bit() {
        for dimension in [3, 64, 130, 512] {
            for (what, templates) in crowds(dimension) {
                let mut rows = Rows::with_capacity(MODEL, dimension, templates.len()).expect("a dimension");
                templates.iter().for_each(|t| rows.push(t).expect("one model"));
                let rows = Arc::new(rows);
                let (coded, plain) = (Exact::new(rows.clone()), Exact::plain(rows));
                assert!(coded.coded(1).is_some() && plain.coded(1).is_none());
                let mut people = Population::new(MODEL, dimension, 21);
                let strangers = (0..30).map(|n| people.template(n * 11));
                let probes: Vec<Embedding> = templates.iter().take(30).cloned().chain(strangers).collect();
                for k in [1, 2, 5, 64, 150, 256] {
                    assert_eq!(
                        coded.search_many(&probes, k),
                        plain.search_many(&probes, k),
                        "{what}, k = {k}"
                    );
                }
            }
        }
    }
}
