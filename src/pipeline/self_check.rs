//! Holding the graph against exact search while the daemon runs.
//!
//! ```text
//!  judge ──probe──▶ mailbox of 1, newest wins ──▶ Checker, one look a second at a low priority
//!                                                   │ the same probe by the index and by comparing with every template
//!                                                   ▼
//!                                                 Tally: the last 2,000 looks ──below a floor──▶ the graph is distrusted: exact search
//! ```
//!
//! A probe is somebody's face who may be on no list: it stays in memory, the next takes its place, and it is wiped when it was looked at.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::mailbox::Mailbox;
use crate::gallery::SharedGallery;
use crate::gallery::snapshot::Base;
use crate::pipeline::budget;
use crate::stats::Stats;
use crate::types::embedding::Embedding;
use crate::types::matching::{Candidate, IndexKind, Match};

/// Looks that the figures are of.
pub const WINDOW: usize = 2_000;
/// Of these, looks that may lead to another decision: agreement of 0.999.
pub const DISAGREEMENTS: usize = 2;
/// Of these, looks that may miss the nearest identity, whether it is near enough or not: recall of 0.95.
pub const MISSES: usize = 100;

/// A probe to look at again.
pub struct Sample {
    /// It. Wiped when dropped.
    pub probe: Embedding,
    /// The least score that is a recognition anywhere.
    pub threshold: f32,
}

/// Where probes wait to be looked at.
pub type Samples = Mailbox<Sample>;

/// What one look gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The nearest identity was found.
    pub recalled: bool,
    /// The decision would be the same.
    pub agreed: bool,
}

impl Look {
    /// `threshold` is the least score that is a recognition, unless a list of whom it is about asks for less.
    pub fn at(answer: &Match, truth: &Match, threshold: f32) -> Self {
        let decided = |found: &Match| {
            found.best().filter(|best| is_recognised(best, threshold)).map(|best| best.identity)
        };
        // Of two that are as near either is right.
        let (recalled, as_near) = match (answer.best(), truth.best()) {
            (Some(answer), Some(truth)) => {
                let as_near = answer.score >= truth.score;
                (as_near || answer.identity == truth.identity, as_near)
            }
            (None, None) => (true, true),
            _ => (false, false),
        };
        Self { recalled, agreed: as_near || decided(answer) == decided(truth) }
    }
}

fn is_recognised(candidate: &Candidate, threshold: f32) -> bool {
    let own = candidate.lists.iter().filter_map(|list| list.threshold);
    candidate.score >= own.fold(threshold, f32::min)
}

/// The last looks at one base.
#[derive(Debug, Default)]
pub struct Tally {
    looks: VecDeque<Look>,
    disagreements: usize,
    misses: usize,
}

impl Tally {
    /// Counts a look. The reason, once there are too many that went wrong.
    pub fn add(&mut self, look: Look) -> Option<String> {
        if self.looks.len() == WINDOW
            && let Some(oldest) = self.looks.pop_front()
        {
            self.disagreements -= usize::from(!oldest.agreed);
            self.misses -= usize::from(!oldest.recalled);
        }
        self.looks.push_back(look);
        self.disagreements += usize::from(!look.agreed);
        self.misses += usize::from(!look.recalled);
        let of =
            format!("of {} searches that were repeated exactly, with {WINDOW} at most", self.looks.len());
        if self.disagreements > DISAGREEMENTS {
            Some(format!("{} {of}, led to another decision", self.disagreements))
        } else if self.misses > MISSES {
            Some(format!("{} {of}, missed the nearest identity", self.misses))
        } else {
            None
        }
    }
}

/// Looks at what waits. One thread has it.
pub struct Checker {
    gallery: Arc<SharedGallery>,
    samples: Arc<Samples>,
    stats: Arc<Stats>,
    tally: Tally,
    /// What the tally is of.
    base: Option<Base>,
}

impl Checker {
    /// Has looked at nothing yet.
    pub fn new(gallery: Arc<SharedGallery>, samples: Arc<Samples>, stats: Arc<Stats>) -> Self {
        Self { gallery, samples, stats, tally: Tally::default(), base: None }
    }

    /// A look at the probe that waits, if there is one and a graph to hold it against. True, if that led to another snapshot.
    pub fn look(&mut self) -> bool {
        let Some(Sample { probe, threshold }) = self.samples.take() else { return false };
        let snapshot = self.gallery.current();
        if snapshot.index() == IndexKind::Exact || probe.model() != snapshot.model() {
            return false;
        }
        let base = snapshot.base();
        if self.base.as_ref() != Some(&base) {
            (self.base, self.tally) = (Some(base), Tally::default());
        }
        let answer = snapshot.search(&probe, budget::CANDIDATES);
        let look = Look::at(&answer, &snapshot.search_exactly(&probe, budget::CANDIDATES), threshold);
        self.stats.gallery.checked(look.recalled, look.agreed);
        let Some(why) = self.tally.add(look) else { return false };
        let distrusted = self.gallery.distrust(&snapshot);
        if distrusted {
            self.stats.gallery.distrusted();
            tracing::warn!(
                "the hnsw index answers otherwise than exact search ({why}): every template is compared from now on, until the next \
                 start; gallery.index = \"exact\" keeps it so"
            );
        }
        distrusted
    }
}

#[cfg(test)]
mod tests;
