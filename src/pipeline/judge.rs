//! From what the workers send to decisions: the ledger, the search and the decider, in one owner.

use std::sync::Arc;
use std::time::Instant;

use super::budget;
use super::fitting::Fittings;
use super::ledger::Ledger;
use super::queue::Shot;
use crate::base::clock::Moment;
use crate::config;
use crate::decide::{self, Decider, Estimates, Gallery, NewVisitId, Scored, Thresholds};
use crate::gallery::{GallerySnapshot, SharedGallery};
use crate::stats::CropDrop;
use crate::stats::counter::Timing;
use crate::types::decision::{Notice, Sight};
use crate::types::embedding::Embedding;
use crate::types::face::Refusal;
use crate::types::ids::{ModelId, TrackId};
use crate::types::matching::Match;

/// What happened to a track. Each shot that was handed out comes back exactly once, embedded or dropped.
#[derive(Debug)]
pub enum Message {
    /// A track began to count. Before anything else of it.
    Appeared(TrackId, Sight),
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
    /// Another gallery snapshot is in use: live tracks need not wait for their next shot.
    Gallery,
    /// Thresholds were estimated, of scores of this model.
    Estimates(ModelId, Estimates),
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
    /// The snapshot that the decider has heard of.
    searched: Gallery,
    searches: Arc<Timing>,
    policy: Policy,
    /// Where the model may be switched: what is in use.
    fittings: Option<Arc<Fittings>>,
    /// The model's own threshold that is decided by, once there was a switch.
    model_threshold: Option<f32>,
    /// Thresholds that were estimated, and the model they are for.
    estimates: Option<(ModelId, Estimates)>,
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
        let decider = Decider::new(policy.rules.clone(), policy.thresholds.clone(), searched, new_visit);
        let ledger = Ledger::default();
        Self {
            decider,
            ledger,
            gallery,
            searched,
            searches,
            policy,
            fittings: None,
            model_threshold: None,
            estimates: None,
        }
    }

    /// The model may be switched: the threshold follows.
    #[must_use]
    pub fn following(mut self, fittings: Arc<Fittings>) -> Self {
        self.model_threshold = Some(fittings.current().threshold);
        self.fittings = Some(fittings);
        self
    }

    /// Takes a message; answers what is to be told. Whatever the message, a new gallery snapshot comes first: nothing that is decided
    /// after it was swapped in names somebody who is no longer in it.
    pub fn hear(&mut self, message: Message) -> Vec<Notice> {
        // Before the snapshot: a switch puts its snapshot into use first, so that this threshold is never of a later model than what
        // is searched. Of an earlier one it may be, while nothing is embedded by the later one yet.
        let threshold = self.fittings.as_ref().map(|fittings| fittings.current().threshold);
        let snapshot = self.gallery.current();
        let searches = self.searches.clone();
        let search = |probe: &Embedding| {
            let started = Instant::now();
            let found = snapshot.search(probe, budget::CANDIDATES);
            searches.record(started.elapsed());
            found
        };
        let mut decisions = self.look_up(&snapshot, &search);
        if threshold != self.model_threshold {
            self.model_threshold = threshold;
            decisions.extend(self.apply_policy(&search));
        }
        decisions.extend(match message {
            Message::Embedded(shot, embedding) => {
                // It was on its way while the model was switched: there is nothing left to compare it with.
                let comparable = embedding.model() == snapshot.model();
                let mut decisions = if comparable {
                    self.decider.shot(&shot.track, evidence(&shot, embedding), &search)
                } else {
                    Vec::new()
                };
                let closed = self.ledger.returned(&shot.track);
                decisions.extend(self.close(&shot.track, closed));
                decisions
            }
            Message::Dropped(track, reason) => {
                // A shot that made room for a better one of its track is no loss to the decision, nor one that a switch of the model
                // made worthless: its track is given shots anew.
                let lost = !matches!(reason, CropDrop::Replaced | CropDrop::OtherModel);
                let mut decisions = if lost { self.decider.dropped(&track) } else { Vec::new() };
                let closed = self.ledger.returned(&track);
                decisions.extend(self.close(&track, closed));
                decisions
            }
            Message::Appeared(track, sight) => self.decider.appeared(&track, sight),
            Message::Refused(track, refusal) => self.decider.refused(&track, refusal),
            Message::Ended { track, at, shots } => {
                let closed = self.ledger.ended(&track, shots, at);
                self.close(&track, closed)
            }
            Message::Policy(policy) => {
                self.policy = *policy;
                self.apply_policy(&search)
            }
            Message::Gallery => Vec::new(),
            Message::Estimates(model, estimates) => {
                self.estimates = Some((model, estimates));
                self.apply_policy(&search)
            }
        });
        decisions
    }

    /// How the searches for tracks came out that have ended since this was asked, with what was searched.
    pub fn scored(&mut self) -> (ModelId, Vec<Scored>) {
        (self.searched.model, self.decider.scored())
    }

    /// After a message about a track's shots or its end: true if nothing more of the track will come.
    pub fn is_over(&self, track: &TrackId) -> bool {
        self.ledger.is_over(track)
    }

    /// Nobody sends any more: what is still open is over.
    pub fn finish(&mut self) -> Vec<Notice> {
        self.decider.finish()
    }

    fn look_up(&mut self, snapshot: &GallerySnapshot, search: &dyn Fn(&Embedding) -> Match) -> Vec<Notice> {
        let now = described(snapshot);
        let before = std::mem::replace(&mut self.searched, now);
        if before == now {
            return Vec::new();
        }
        let mut notices = self.decider.gallery_changed(now, search);
        if before.model != now.model && self.estimates.is_some() {
            notices.extend(self.apply_policy(search));
        }
        notices
    }

    fn apply_policy(&mut self, search: &dyn Fn(&Embedding) -> Match) -> Vec<Notice> {
        let Policy { rules, thresholds } = self.policy.clone();
        let thresholds = match self.model_threshold {
            Some(threshold) => thresholds.with_model(threshold),
            None => thresholds,
        };
        // A score of another model's templates says nothing about these.
        let own = self.estimates.clone().filter(|(model, _)| *model == self.searched.model);
        let thresholds = thresholds.with_estimates(own.map(|(_, estimates)| estimates).unwrap_or_default());
        self.decider.policy_changed(rules, thresholds, search)
    }

    fn close(&mut self, track: &TrackId, closed: Option<Moment>) -> Vec<Notice> {
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
