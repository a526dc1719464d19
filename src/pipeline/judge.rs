//! From what the workers send to decisions: the ledger, the search and the decider, in one owner.

use std::sync::Arc;
use std::time::Instant;

use super::budget;
use super::fitting::Fittings;
use super::ledger::Ledger;
use super::queue::Shot;
use super::self_check::{Sample, Samples};
use super::shadow::{Comparison, Search, Shadow, ShadowPolicy};
use crate::base::clock::Moment;
use crate::config;
use crate::decide::{self, Decider, Estimates, Gallery, NewVisitId, Places, Scored, Thresholds};
use crate::gallery::{GallerySnapshot, SharedGallery};
use crate::stats::CropDrop;
use crate::stats::counter::Timing;
use crate::types::decision::{Notice, Sight};
use crate::types::embedding::Embedding;
use crate::types::face::Refusal;
use crate::types::ids::{ModelId, TrackId};
use crate::types::matching::{IndexKind, Match};

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
    /// Which cameras belong together.
    pub places: Places,
    /// Another policy to be compared with this one.
    pub shadow: Option<ShadowPolicy>,
}

impl Policy {
    /// The configuration's, with the model's own threshold where it says nothing.
    pub fn of(config: &config::Config, model_threshold: f32) -> Self {
        let thresholds = Thresholds::new(model_threshold, &config.decide, &config.cameras);
        Self {
            rules: config.decide.clone(),
            thresholds,
            places: Places::new(&config.cameras),
            shadow: ShadowPolicy::of(config, model_threshold),
        }
    }
}

/// Owns everything that is remembered for deciding.
pub struct Judge {
    decider: Decider,
    shadow: Option<Shadow>,
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
    /// Where probes of an approximate index wait to be looked at again.
    samples: Option<Arc<Samples>>,
    /// Thresholds that were estimated, and the model they are for.
    estimates: Option<(ModelId, Estimates)>,
    /// The lowest threshold of any camera or list with a budget.
    least: f32,
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
        let mut decider = Decider::new(policy.rules.clone(), policy.thresholds.clone(), searched, new_visit);
        decider.set_places(policy.places.clone());
        let shadow = shadow(&policy, searched);
        let (ledger, least) = (Ledger::default(), policy.thresholds.least());
        Self {
            decider,
            shadow,
            ledger,
            gallery,
            searched,
            searches,
            policy,
            fittings: None,
            model_threshold: None,
            samples: None,
            estimates: None,
            least,
        }
    }

    /// The model may be switched: the threshold follows.
    #[must_use]
    pub fn following(mut self, fittings: Arc<Fittings>) -> Self {
        self.model_threshold = Some(fittings.current().threshold);
        self.fittings = Some(fittings);
        self
    }

    /// What an approximate index is asked is left there, to be asked exactly.
    #[must_use]
    pub fn checked(mut self, samples: Arc<Samples>) -> Self {
        self.samples = Some(samples);
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
        let approximate = snapshot.index() != IndexKind::Exact;
        let samples = self.samples.clone().filter(|_| approximate).map(|samples| (samples, self.least));
        let search = |probe: &Embedding| {
            let started = Instant::now();
            let found = snapshot.search(probe, budget::CANDIDATES);
            searches.record(started.elapsed());
            if let Some((samples, threshold)) = &samples {
                samples.put(Sample { probe: probe.clone(), threshold: *threshold });
            }
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
                    self.both(&search, |decider, search| {
                        decider.shot(&shot.track, evidence(&shot, embedding.clone()), search)
                    })
                } else {
                    Vec::new()
                };
                let closed = self.ledger.returned(&shot.track);
                decisions.extend(self.close(&shot.track, closed, &search));
                decisions
            }
            Message::Dropped(track, reason) => {
                // A shot that made room for a better one of its track is no loss to the decision, nor one that a switch of the model
                // made worthless: its track is given shots anew.
                let lost = !matches!(reason, CropDrop::Replaced | CropDrop::OtherModel);
                let mut decisions =
                    if lost { self.both(&search, |decider, _| decider.dropped(&track)) } else { Vec::new() };
                let closed = self.ledger.returned(&track);
                decisions.extend(self.close(&track, closed, &search));
                decisions
            }
            Message::Appeared(track, sight) => {
                self.both(&search, |decider, _| decider.appeared(&track, sight))
            }
            Message::Refused(track, refusal) => {
                self.both(&search, |decider, _| decider.refused(&track, refusal))
            }
            Message::Ended { track, at, shots } => {
                let closed = self.ledger.ended(&track, shots, at);
                self.close(&track, closed, &search)
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
        let Gallery { generation, index, .. } = self.searched;
        // Nothing is searched for any more.
        let nothing =
            |probe: &Embedding| Match { candidates: Vec::new(), model: probe.model(), generation, index };
        self.both(&nothing, |decider, _| decider.finish())
    }

    fn look_up(&mut self, snapshot: &GallerySnapshot, search: &Search<'_>) -> Vec<Notice> {
        let now = described(snapshot);
        let before = std::mem::replace(&mut self.searched, now);
        if before == now {
            return Vec::new();
        }
        let mut notices = self.both(search, |decider, search| decider.gallery_changed(now, search));
        if before.model != now.model && self.estimates.is_some() {
            notices.extend(self.apply_policy(search));
        }
        notices
    }

    fn apply_policy(&mut self, search: &Search<'_>) -> Vec<Notice> {
        let Policy { rules, places, shadow, .. } = self.policy.clone();
        let shadow = shadow.map(|policy| {
            let thresholds = self.in_use(policy.thresholds);
            ShadowPolicy { thresholds, ..policy }
        });
        self.decider.set_places(places.clone());
        match (&mut self.shadow, shadow) {
            (Some(running), Some(policy)) => running.follow(policy, places, search),
            // It begins with the tracks that come: of those that are there it has not seen all.
            (stopped, policy) => {
                *stopped = policy.map(|policy| Shadow::new(policy, places, self.searched));
            }
        }
        let thresholds = self.thresholds();
        self.least = thresholds.least();
        let told = self.decider.policy_changed(rules, thresholds, search);
        self.shadow.iter_mut().for_each(|shadow| shadow.heard(&told));
        told
    }

    fn thresholds(&self) -> Thresholds {
        self.in_use(self.policy.thresholds.clone())
    }

    /// These, with the threshold of the model in use and those that were estimated.
    fn in_use(&self, thresholds: Thresholds) -> Thresholds {
        let thresholds = match self.model_threshold {
            Some(threshold) => thresholds.with_model(threshold),
            None => thresholds,
        };
        // A score of another model's templates says nothing about these.
        let own = self.estimates.clone().filter(|(model, _)| *model == self.searched.model);
        thresholds.with_estimates(own.map(|(_, estimates)| estimates).unwrap_or_default())
    }

    /// What this decides, with the shadow deciding the same beside it.
    fn both(
        &mut self,
        search: &Search<'_>,
        judge: impl Fn(&mut Decider, &Search<'_>) -> Vec<Notice>,
    ) -> Vec<Notice> {
        let Some(shadow) = &mut self.shadow else { return judge(&mut self.decider, search) };
        shadow.judge(search, &judge);
        let told = judge(&mut self.decider, search);
        shadow.heard(&told);
        told
    }

    /// The tracks that have left since this was asked last, as both policies judged them. Nothing without `[shadow]`.
    pub fn compared(&mut self) -> Vec<Comparison> {
        self.shadow.as_mut().map(Shadow::compared).unwrap_or_default()
    }

    fn close(&mut self, track: &TrackId, closed: Option<Moment>, search: &Search<'_>) -> Vec<Notice> {
        closed.map_or_else(Vec::new, |last_seen| {
            self.both(search, |decider, _| decider.ended(track, last_seen))
        })
    }
}

fn shadow(policy: &Policy, searched: Gallery) -> Option<Shadow> {
    let shadow = policy.shadow.clone()?;
    Some(Shadow::new(shadow, policy.places.clone(), searched))
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

#[cfg(test)]
mod tests;
