//! What is known of one track: its best shots, their fused match, and what each shot said by itself.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::clock::Moment;
use crate::config::Fusion;
use crate::types::embedding::Embedding;
use crate::types::geometry::Rect;
use crate::types::ids::IdentityId;
use crate::types::matching::{Candidate, Match};

use super::judge::AGREE_SLACK;
use super::lists::lowest;
use super::threshold::AtCamera;

/// Most embeddings kept of a track, whatever `fuse` and `confirm` say.
pub const MAX_KEPT: usize = 32;
/// Most identities that votes are counted for; more than one or two is already doubtful.
const MAX_VOTED: usize = 64;
/// Least weight of a shot with [`Fusion::Quality`].
const LEAST_WEIGHT: f32 = 0.01;

/// An embedded shot of a track.
#[derive(Debug, Clone)]
pub struct Shot {
    /// The face.
    pub embedding: Embedding,
    /// Quality score, 0 to 1: the shot's rank, and with [`Fusion::Quality`] its weight in the fused embedding.
    pub quality: f32,
    /// Sequence number of its frame; one track has at most one shot of a frame.
    pub sequence: u64,
    /// When the frame was captured.
    pub captured: Moment,
    /// The face's box in the frame, pixels.
    pub bbox: Rect,
}

/// Searches the gallery: what the index, the store and the snapshot do together.
pub(super) type Search<'a> = &'a dyn Fn(&Embedding) -> Match;

/// How evidence is weighed.
#[derive(Debug, Clone)]
pub(super) struct Weighing {
    /// Shots fused.
    pub(super) fuse: usize,
    /// What each of them weighs.
    pub(super) fusion: Fusion,
    /// Shots kept, at least `fuse`.
    pub(super) keep: usize,
    /// The camera's threshold. Votes are counted against the lowest that a candidate's lists ask for.
    pub(super) base: AtCamera,
}

/// The evidence about one track. What is computed from it does not depend on the order of the shots: kept are the
/// best by a total order, votes are counts, times are extremes.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Best first; at most [`Weighing::keep`].
    kept: Vec<Shot>,
    fused: Option<Match>,
    /// The best fused score so far.
    highest: Option<f32>,
    votes: BTreeMap<IdentityId, u32>,
    below: u32,
    shots: u32,
    span: Option<(Moment, Moment)>,
}

impl Evidence {
    /// Takes in a shot. Searches at most twice, unless the gallery has changed.
    pub(super) fn add(&mut self, shot: Shot, how: &Weighing, search: Search<'_>) {
        if self.kept.first().is_some_and(|old| old.embedding.model() != shot.embedding.model()) {
            // Scores compare only within one model: with a new one, the look starts over.
            *self = Self::default();
        }
        let captured = shot.captured;
        let (first, last) = self.span.unwrap_or((captured, captured));
        self.span = Some((first.min(captured), last.max(captured)));
        self.shots = self.shots.saturating_add(1);

        let own = matching(&shot.embedding, search);
        let same_gallery = self.fused.as_ref().is_none_or(|old| old.generation == own.generation);
        let rank = self.kept.partition_point(|kept| by_rank(kept, &shot).is_lt());
        self.kept.insert(rank, shot);
        self.kept.truncate(how.keep);
        if !same_gallery {
            return self.search_again(how, search);
        }
        self.vote(&own, &how.base);
        if self.kept.len() == 1 && rank == 0 {
            self.fused = Some(own);
            self.note_highest();
        } else if rank < how.fuse || self.fused.is_none() {
            self.fuse(how, search);
        }
    }

    /// The gallery or the threshold has changed: all that is kept is searched again. Votes of shots that are not
    /// kept are lost.
    pub(super) fn search_again(&mut self, how: &Weighing, search: Search<'_>) {
        self.votes.clear();
        self.below = 0;
        self.highest = None;
        let answers: Vec<Match> = self.kept.iter().map(|shot| matching(&shot.embedding, search)).collect();
        answers.iter().for_each(|own| self.vote(own, &how.base));
        self.fuse(how, search);
    }

    fn fuse(&mut self, how: &Weighing, search: Search<'_>) {
        let weight = |shot: &Shot| match how.fusion {
            Fusion::Mean => 1.0,
            Fusion::Quality if shot.quality.is_finite() => shot.quality.max(LEAST_WEIGHT),
            Fusion::Quality => LEAST_WEIGHT,
        };
        let parts = self.kept.iter().take(how.fuse).map(|shot| (&shot.embedding, weight(shot)));
        self.fused = match self.kept.as_slice() {
            [best, rest @ ..] if rest.is_empty() || how.fuse == 1 => Some(matching(&best.embedding, search)),
            _ => Embedding::weighted_mean(parts).map(|mean| matching(&mean, search)),
        };
        self.note_highest();
    }

    fn note_highest(&mut self) {
        let best = self.fused.as_ref().and_then(Match::best).map(|best| best.score);
        self.highest = best.into_iter().chain(self.highest).reduce(f32::max);
    }

    /// The best fused score that the track ever had, whoever it was of, in the gallery as it is.
    pub(super) fn highest(&self) -> Option<f32> {
        self.highest
    }

    fn vote(&mut self, own: &Match, base: &AtCamera) {
        let best = own.best().map(|best| (best, lowest(best, base).value));
        if best.is_none_or(|(best, threshold)| best.score < threshold) {
            self.below = self.below.saturating_add(1);
        }
        let Some((best, _)) = best.filter(|(best, threshold)| best.score >= threshold - AGREE_SLACK) else {
            return;
        };
        if self.votes.len() < MAX_VOTED || self.votes.contains_key(&best.identity) {
            let count = self.votes.entry(best.identity).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// The answer for the fused embedding; `None` without shots.
    pub(super) fn fused(&self) -> Option<&Match> {
        self.fused.as_ref()
    }

    /// One identity as the fused embedding found it; `None` if it is not among the nearest.
    pub(super) fn candidate(&self, identity: IdentityId) -> Option<&Candidate> {
        self.fused.as_ref()?.candidates.iter().find(|candidate| candidate.identity == identity)
    }

    /// The fused score of one identity and its distance to the best other one's.
    pub(super) fn score_of(&self, identity: IdentityId) -> Option<(f32, f32)> {
        let candidates = &self.fused.as_ref()?.candidates;
        let score = self.candidate(identity)?.score;
        let other = candidates.iter().find(|c| c.identity != identity);
        Some((score, score - other.map_or(-1.0, |c: &Candidate| c.score)))
    }

    /// Shots that name `identity` by themselves.
    pub(super) fn agreeing(&self, identity: IdentityId) -> u32 {
        self.votes.get(&identity).copied().unwrap_or(0)
    }

    /// Shots that name nobody by themselves.
    pub(super) fn below(&self) -> u32 {
        self.below
    }

    /// Shots embedded so far, kept or not.
    pub(super) fn shots(&self) -> u32 {
        self.shots
    }

    /// From the first shot to the last.
    pub(super) fn looked(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }

    /// When the newest shot was captured.
    pub(super) fn last_captured(&self) -> Option<Moment> {
        self.span.map(|(_, last)| last)
    }

    /// The shots behind the fused score, best first.
    pub(super) fn behind(&self, how: &Weighing) -> impl Iterator<Item = &Shot> {
        self.kept.iter().take(how.fuse)
    }

    /// True if nothing was embedded.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// Better quality first; of equals, the earlier frame.
fn by_rank(a: &Shot, b: &Shot) -> Ordering {
    b.quality.total_cmp(&a.quality).then(a.sequence.cmp(&b.sequence))
}

/// Searches, and takes no answer for another model's templates and no score that is not a number.
fn matching(probe: &Embedding, search: Search<'_>) -> Match {
    let mut answer = search(probe);
    if answer.model != probe.model() {
        answer.candidates.clear();
    }
    answer.candidates.retain(|candidate| candidate.score.is_finite());
    answer
}
