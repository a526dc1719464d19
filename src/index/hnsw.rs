//! A graph of near neighbours (Malkov and Yashunin 2016), by the crate `hnsw_rs`. Only this file names it.
//!
//! ```text
//!  probe ─▶ graph of distinct rows ─▶ candidates ─▶ each with its duplicates ─▶ scored exactly ─▶ top k
//!           (holds row numbers; the vectors stay in Rows, once, and are wiped with it)
//! ```
//!
//! What is guarded against, because `hnsw_rs` panics, exits or forgets otherwise:
//! - its dumps are never read: the graph is rebuilt from the store;
//! - distances are our own and can be neither negative nor NaN, which it asserts;
//! - equal rows go in once: a crowd of them would point only at each other and cut itself off;
//! - after each build every template is searched for, and a build that lost one is an error;
//! - rows are inserted by one thread in order, so the same rows give the same graph.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hnsw_rs::prelude::{Distance, Hnsw as Graph};

use super::exact::scan;
use super::kernel::{LANE, Lane};
use super::rows::{Probe, Rows, score};
use super::{Hit, Index};
use crate::bail;
use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::matching::IndexKind;

/// Neighbours kept for a row on the upper layers; twice as many on the lowest.
const NEIGHBOURS: usize = 16;
/// Layers at most: with 16 neighbours the chance of a higher one is 16^-16.
const LAYERS: usize = 16;
/// Candidates looked at when a row is inserted.
const EF_BUILD: usize = 200;
/// Candidates looked at in a search, at least. Over-fetching is free up to this many. Of 300 new pictures of the
/// enrolled, 64 missed none among 10,000 templates; of 300 strangers' nearest templates it missed 24, some with
/// scores of 0.40, 128 missed 3 and 256 none. A missed one is a missing second identity where a margin is asked
/// for, so the search looks further than a demonstration would.
const EF_SEARCH: usize = 256;

/// Approximate search; what it returns is scored exactly.
pub struct Hnsw {
    rows: Arc<Rows>,
    graph: Graph<'static, Point, RowDistance>,
    /// Rows equal to an earlier one, by that earlier row.
    duplicates: HashMap<u32, Vec<u32>>,
}

impl Hnsw {
    /// Builds the graph and audits it.
    ///
    /// # Errors
    /// `Software`, when a template cannot be found in the graph that was built: use the exact index then.
    pub fn build(rows: impl Into<Arc<Rows>>) -> Result<Self> {
        let rows = rows.into();
        let (distinct, duplicates) = group(&rows);
        let distance = RowDistance(rows.clone());
        let graph = Graph::new(NEIGHBOURS, distinct.len().max(1), LAYERS, EF_BUILD, distance);
        for row in distinct {
            graph.insert((&[Point::Row(row)], row as usize));
        }
        let index = Self { rows, graph, duplicates };
        index.audit()?;
        Ok(index)
    }

    /// Searches for every template with its own vector; it, or an equal one, must come first.
    ///
    /// # Errors
    /// `Software`, with the number of templates that were not found.
    pub fn audit(&self) -> Result<()> {
        let total = self.rows.len();
        let (next, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some(row) =
                u32::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|&r| (r as usize) < total)
            {
                if !self.finds(row) {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
            work();
        });
        match lost.into_inner() {
            0 => Ok(()),
            lost => bail!(
                Software,
                "the hnsw index cannot find {lost} of {total} templates that were put into it: \
                 set gallery.index = \"exact\""
            ),
        }
    }

    fn finds(&self, row: u32) -> bool {
        let probe = Probe::from_row(self.rows.row(row));
        let best = self.walk(probe, 1);
        best.first().is_some_and(|hit| hit.row == row || self.rows.row(hit.row) == self.rows.row(row))
    }

    /// The graph's answer, scored exactly.
    fn walk(&self, probe: Probe, k: usize) -> Vec<Hit> {
        let probe = Arc::new(probe);
        let found = self.graph.search(&[Point::Probe(probe.clone())], k.max(EF_SEARCH), k.max(EF_SEARCH));
        let candidates = found.iter().filter_map(|near| u32::try_from(near.get_origin_id()).ok());
        let equal = |row| self.duplicates.get(&row).map_or(&[][..], Vec::as_slice).iter().copied();
        self.rows.rescore(&probe, candidates.flat_map(|row| std::iter::once(row).chain(equal(row))), k)
    }
}

impl Index for Hnsw {
    fn kind(&self) -> IndexKind {
        IndexKind::Hnsw
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn search(&self, probe: &Embedding, k: usize) -> Vec<Hit> {
        if !self.rows.accepts(probe) {
            return Vec::new();
        }
        let probe = Probe::new(probe);
        // So much of the gallery is asked for that looking at all of it is cheaper, and complete.
        if k.saturating_mul(4).max(EF_SEARCH) >= self.rows.len() {
            return scan(&self.rows, &probe, k);
        }
        self.walk(probe, k)
    }
}

/// What the graph holds in place of a vector.
#[derive(Clone)]
enum Point {
    /// A stored row.
    Row(u32),
    /// The vector that is searched for.
    Probe(Arc<Probe>),
}

/// 1 - cosine similarity, from the rows.
struct RowDistance(Arc<Rows>);

impl RowDistance {
    fn vector<'a>(&'a self, point: &'a [Point]) -> &'a [Lane] {
        match point.first() {
            Some(Point::Row(row)) => self.0.row(*row),
            Some(Point::Probe(probe)) => probe.lanes(),
            None => &[],
        }
    }
}

impl Distance<Point> for RowDistance {
    fn eval(&self, a: &[Point], b: &[Point]) -> f32 {
        // The score is clamped and of finite rows: 0 to 2, as hnsw_rs demands.
        1.0 - score(self.vector(a), self.vector(b))
    }
}

/// The first of each set of equal rows, in order, and the others by it.
fn group(rows: &Rows) -> (Vec<u32>, HashMap<u32, Vec<u32>>) {
    let (mut distinct, mut duplicates) = (Vec::new(), HashMap::<u32, Vec<u32>>::new());
    let mut first: HashMap<Bits<'_>, u32> = HashMap::with_capacity(rows.len());
    for row in 0..u32::try_from(rows.len()).unwrap_or(u32::MAX) {
        match first.entry(Bits(rows.row(row))) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(row);
                distinct.push(row);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                duplicates.entry(*entry.get()).or_default().push(row);
            }
        }
    }
    (distinct, duplicates)
}

/// A row, compared and hashed by its bits.
struct Bits<'a>(&'a [Lane]);

impl Bits<'_> {
    fn iter(&self) -> impl Iterator<Item = [u32; LANE]> + '_ {
        self.0.iter().map(|lane| lane.0.map(f32::to_bits))
    }
}

impl PartialEq for Bits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Bits<'_> {}

impl std::hash::Hash for Bits<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.iter().for_each(|lane| lane.hash(state));
    }
}
