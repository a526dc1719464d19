//! Searching templates by cosine similarity.
//!
//! An index is one file here, one variant of [`IndexKind`], one arm in [`build`] and one line in `contract.rs`,
//! the test that every index must pass.

use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::matching::{IndexChoice, IndexKind};

mod codes;
#[cfg(test)]
mod contract;
pub mod exact;
pub mod hnsw;
mod kernel;
pub mod rows;
mod shortlist;
pub mod synthetic;

pub use rows::Rows;

/// A template near the probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Row of the template, in the order the index was built from.
    pub row: u32,
    /// Cosine similarity, -1 to 1.
    pub score: f32,
}

/// An immutable set of templates of one model that can be searched.
pub trait Index: Send + Sync {
    /// Which implementation this is.
    fn kind(&self) -> IndexKind;
    /// Number of templates.
    fn len(&self) -> usize;
    /// True without templates.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The `k` nearest templates, best first. Fewer if there are fewer; none for a probe of another model.
    fn search(&self, probe: &Embedding, k: usize) -> Vec<Hit>;
    /// The same for each of several probes, in their order; in one pass over the templates, where that is faster.
    fn search_many(&self, probes: &[Embedding], k: usize) -> Vec<Vec<Hit>> {
        probes.iter().map(|probe| self.search(probe, k)).collect()
    }
}

/// Templates from which on the graph answers sooner than comparing all of them does; an estimate, see docs/index.md.
pub const GRAPH_FROM: usize = 400_000;

/// The kind for so many templates.
pub fn kind_for(choice: IndexChoice, templates: usize) -> IndexKind {
    match choice {
        IndexChoice::Always(kind) => kind,
        IndexChoice::Auto if templates < GRAPH_FROM => IndexKind::Exact,
        IndexChoice::Auto => IndexKind::Hnsw,
    }
}

/// Builds an index of that kind over the rows. It holds templates of `rows.model()` only.
///
/// # Errors
/// `Software`, when an approximate index does not find what was put into it.
pub fn build(kind: IndexKind, rows: impl Into<std::sync::Arc<Rows>>) -> Result<Box<dyn Index>> {
    Ok(match kind {
        IndexKind::Exact => Box::new(exact::Exact::new(rows)),
        IndexKind::Hnsw => Box::new(hnsw::Hnsw::build(rows)?),
    })
}
