//! From what the workers send to decisions: the ledger, the search and the decider, in one owner.

use std::sync::Arc;
use std::time::Instant;

use super::budget;
use super::ledger::Ledger;
use super::queue::Shot;
use crate::base::clock::Moment;
use crate::config;
use crate::decide::{self, Decider, Gallery, NewVisitId, Thresholds};
use crate::gallery::{GallerySnapshot, SharedGallery};
use crate::stats::CropDrop;
use crate::stats::counter::Timing;
use crate::types::decision::Decision;
use crate::types::embedding::Embedding;
use crate::types::face::Refusal;
use crate::types::ids::TrackId;

/// What happened to a track. Each shot that was handed out comes back exactly once, embedded or dropped.
#[derive(Debug)]
pub enum Message {
    /// A shot was embedded.
    Embedded(Shot, Embedding),
    /// A shot was dropped.
    Dropped(TrackId, CropDrop),
    /// A face was not good enough.
    Refused(TrackId, Refusal),
    /// The track is over.
    Ended {
        /// The track.
        track: TrackId,
        /// When it was last seen.
        at: Moment,
        /// Shots handed out for it.
        shots: u32,
    },
    /// The policy changed.
    Policy(Box<Policy>),
    /// Another gallery snapshot is in use.
    Gallery,
}

/// What decides, beside the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `[decide]`
    pub rules: config::Decide,
    /// Thresholds by camera.
    pub thresholds: Thresholds,
}

impl Policy {
    /// The configuration's, with the model's own threshold where it says nothing.
    pub fn of(config: &config::Config, model_threshold: f32) -> Self {
        let thresholds = Thresholds::new(model_threshold, &config.decide, &config.cameras);
        Self { rules: config.decide.clone(), thresholds }
    }
}

/// Owns everything that is remembered for deciding.
pub struct Judge {
    decider: Decider,
    ledger: Ledger,
    gallery: Arc<SharedGallery>,
    searches: Arc<Timing>,
}

impl Judge {
    /// Remembers nothing. `new_visit` makes the visits' ids; `searches` counts and times searches of the gallery.
    pub fn new(
        policy: Policy,
        gallery: Arc<SharedGallery>,
        new_visit: NewVisitId,
        searches: Arc<Timing>,
    ) -> Self {
        let searched = described(&gallery.current());
        let decider = Decider::new(policy.rules, policy.thresholds, searched, new_visit);
        Self { decider, ledger: Ledger::default(), gallery, searches }
    }

    /// Takes a message; answers what is decided.
    pub fn hear(&mut self, message: Message) -> Vec<Decision> {
        let snapshot = self.gallery.current();
        let searches = self.searches.clone();
        let search = |probe: &Embedding| {
            let started = Instant::now();
            let found = snapshot.search(probe, budget::CANDIDATES);
            searches.record(started.elapsed());
            found
        };
        match message {
            Message::Embedded(shot, embedding) => {
                let mut decisions = self.decider.shot(&shot.track, evidence(&shot, embedding), &search);
                let closed = self.ledger.returned(&shot.track);
                decisions.extend(self.close(&shot.track, closed));
                decisions
            }
            Message::Dropped(track, reason) => {
                // A shot that made room for a better one of its track is no loss to the decision.
                let lost = reason != CropDrop::Replaced;
                let mut decisions = if lost { self.decider.dropped(&track) } else { Vec::new() };
                let closed = self.ledger.returned(&track);
                decisions.extend(self.close(&track, closed));
                decisions
            }
            Message::Refused(track, refusal) => self.decider.refused(&track, refusal),
            Message::Ended { track, at, shots } => {
                let closed = self.ledger.ended(&track, shots, at);
                self.close(&track, closed)
            }
            Message::Policy(policy) => self.decider.policy_changed(policy.rules, policy.thresholds, &search),
            Message::Gallery => self.decider.gallery_changed(described(&snapshot), &search),
        }
    }

    fn close(&mut self, track: &TrackId, closed: Option<Moment>) -> Vec<Decision> {
        closed.map_or_else(Vec::new, |last_seen| self.decider.ended(track, last_seen))
    }
}

fn evidence(shot: &Shot, embedding: Embedding) -> decide::Shot {
    decide::Shot {
        embedding,
        quality: shot.crop.quality().score,
        sequence: shot.sequence,
        captured: shot.captured,
        bbox: shot.bbox,
    }
}

fn described(snapshot: &GallerySnapshot) -> Gallery {
    Gallery { model: snapshot.model(), generation: snapshot.generation(), index: snapshot.index() }
}
