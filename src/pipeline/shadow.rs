//! Another policy beside the one in force: decided, compared, logged, and never published.
//!
//! ```text
//!   what the judge hears ─┬─▶ Decider ────────▶ notices: published
//!                         └─▶ Decider, shadow ─▶ last word of each track ─┐
//!                                  last word of each track, as published ─┴─▶ compared when the track has left
//! ```

use std::collections::HashMap;

use crate::config;
use crate::decide::{Decider, Gallery, Places, Thresholds};
use crate::types::decision::{Decision, Departure, Notice, Stage, Verdict};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, TrackId};
use crate::types::matching::Match;

/// Most tracks whose word is kept. One that never appeared never leaves.
const MAX_TRACKS: usize = 2 * crate::decide::MAX_TRACKS;

/// Searches the gallery.
pub(super) type Search<'a> = dyn Fn(&Embedding) -> Match + 'a;

/// What the shadow decides by.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowPolicy {
    /// Its rules.
    pub rules: config::Decide,
    /// Its thresholds by camera.
    pub thresholds: Thresholds,
    /// True if its threshold holds for all cameras and lists, whatever they say.
    pub for_all: bool,
}

impl ShadowPolicy {
    /// The configuration's `[shadow]`; `None` where it is off.
    pub fn of(config: &config::Config, model_threshold: f32) -> Option<Self> {
        let rules = config.shadow.clone()?;
        let thresholds = match rules.score() {
            Some(score) => Thresholds::from_parts(model_threshold, Some(score), []),
            None => Thresholds::new(model_threshold, &config.decide, &config.cameras),
        };
        Some(Self { for_all: rules.score().is_some(), thresholds, rules })
    }

    /// What a search gives under it.
    fn seen(&self, mut found: Match) -> Match {
        if self.for_all {
            for candidate in &mut found.candidates {
                let all = candidate.lists.iter().map(|rule| {
                    let mut rule = (**rule).clone();
                    rule.threshold = None;
                    rule.into()
                });
                candidate.lists = all.collect();
            }
        }
        found
    }
}

/// What one of the two says of a track.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Opinion {
    /// Its last word: `confirmed`, `preliminary`, `withdrawn`, `unknown` or `undecided`. `None`, where that may not be told.
    pub word: Option<&'static str>,
    /// Who, of a recognition that holds and may be told.
    pub identity: Option<IdentityId>,
    /// The score in its last decision; `None` without one, as in a visit that goes on.
    pub score: Option<f32>,
    /// The threshold there.
    pub threshold: Option<f32>,
}

impl Opinion {
    fn decided(&mut self, decision: &Decision) {
        (self.score, self.threshold) = (decision.score, Some(decision.threshold));
    }

    fn left(&mut self, departure: &Departure) {
        let (word, identity) = match departure.word.as_ref().map(|word| &word.verdict) {
            None => (None, None),
            Some(verdict) => in_a_word(verdict),
        };
        (self.word, self.identity) = (word, identity);
    }

    /// True if both say the same of who it is, and how surely.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.word, self.identity) == (other.word, other.identity)
    }
}

fn in_a_word(verdict: &Verdict) -> (Option<&'static str>, Option<IdentityId>) {
    match verdict {
        Verdict::Recognized { stage: Stage::Withdrawn, .. } => (Some("withdrawn"), None),
        Verdict::Recognized { stage: Stage::Preliminary, identity, .. } => {
            (Some("preliminary"), Some(*identity))
        }
        Verdict::Recognized { stage: Stage::Confirmed, identity, .. } => (Some("confirmed"), Some(*identity)),
        Verdict::Unknown => (Some("unknown"), None),
        Verdict::Undecided { .. } => (Some("undecided"), None),
    }
}

/// A track that both have judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The track.
    pub track: TrackId,
    /// What was published.
    pub decided: Opinion,
    /// What the shadow says.
    pub shadow: Opinion,
}

impl Comparison {
    /// True if both say the same.
    pub fn agrees(&self) -> bool {
        self.decided.agrees(&self.shadow)
    }
}

/// The shadow: a decider of its own, and what is compared.
#[derive(Debug)]
pub struct Shadow {
    policy: ShadowPolicy,
    decider: Decider,
    opinions: HashMap<TrackId, (Opinion, Opinion)>,
    compared: Vec<Comparison>,
}

impl Shadow {
    /// A shadow without history.
    pub fn new(policy: ShadowPolicy, places: Places, gallery: Gallery) -> Self {
        let mut decider = Decider::new(
            policy.rules.clone(),
            policy.thresholds.clone(),
            gallery,
            Box::new(uuid::Uuid::now_v7),
        );
        decider.set_places(places);
        Self { policy, decider, opinions: HashMap::new(), compared: Vec::new() }
    }

    /// Another policy from now on.
    pub(super) fn follow(&mut self, policy: ShadowPolicy, places: Places, search: &Search<'_>) {
        self.policy = policy;
        self.decider.set_places(places);
        let ShadowPolicy { rules, thresholds, .. } = self.policy.clone();
        self.judge(search, |decider, search| decider.policy_changed(rules, thresholds, search));
    }

    /// Lets it judge, too. Before what was published is heard.
    pub(super) fn judge(
        &mut self,
        search: &Search<'_>,
        judge: impl FnOnce(&mut Decider, &Search<'_>) -> Vec<Notice>,
    ) {
        let policy = &self.policy;
        let told = judge(&mut self.decider, &|probe| policy.seen(search(probe)));
        for notice in &told {
            match notice {
                Notice::Appeared(_) => {}
                Notice::Decided(decision) => self.opinions(&decision.track).1.decided(decision),
                Notice::Left(left) => self.opinions(&left.track).1.left(left),
            }
        }
    }

    /// What was published.
    pub(super) fn heard(&mut self, told: &[Notice]) {
        for notice in told {
            match notice {
                Notice::Appeared(_) => {}
                Notice::Decided(decision) => self.opinions(&decision.track).0.decided(decision),
                Notice::Left(left) => {
                    let (mut decided, shadow) = self.opinions.remove(&left.track).unwrap_or_default();
                    decided.left(left);
                    self.compared.push(Comparison { track: left.track.clone(), decided, shadow });
                }
            }
        }
    }

    /// The tracks that have left since it was asked last.
    pub fn compared(&mut self) -> Vec<Comparison> {
        std::mem::take(&mut self.compared)
    }

    fn opinions(&mut self, track: &TrackId) -> &mut (Opinion, Opinion) {
        if self.opinions.len() >= MAX_TRACKS && !self.opinions.contains_key(track) {
            self.opinions.clear();
        }
        self.opinions.entry(track.clone()).or_default()
    }
}

#[cfg(test)]
mod tests;
