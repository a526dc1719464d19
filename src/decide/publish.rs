//! From what a track says to what is published: standing, visits, withdrawals.
//!
//! ```text
//!   outcome ──▶ settle ─┬─ recognize: joins or opens the visit ─▶ speak: only what was not said yet
//!                       ├─ advance:   preliminary to confirmed, more lists ─▶ speak
//!                       └─ withdraw:  said something? take it back, and reopen for the others
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::config;
use crate::types::decision::{Asked, Decision, Notice, Stage, Verdict};
use crate::types::ids::{IdentityId, TrackId};
use crate::types::matching::{ListRule, Match, Publish};

use super::decider::{Decider, Standing, Track};
use super::evidence::{Evidence, Shot};
use super::judge::Outcome;
use super::lists::{self, Rules};
use super::threshold::{AtCamera, Threshold};
use super::visits::Key;

/// What was said of an identity, by a track or in a visit.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// The furthest stage.
    stage: Stage,
    /// The lists that were named.
    lists: Rules,
    /// The most that events could say.
    pub(super) publish: Publish,
}

impl Said {
    /// True if it is worth another event beside `before`: a further stage, or at the same one a list that was not named or
    /// more that may be said. A visit never goes back from confirmed to preliminary: a list has to wait for that.
    fn is_news(&self, before: Option<&Said>) -> bool {
        before.is_none_or(|before| {
            let more = lists::adds(&self.lists, &before.lists) || self.publish > before.publish;
            rank(self.stage) > rank(before.stage) || (rank(self.stage) == rank(before.stage) && more)
        })
    }

    /// This, and what was said before.
    fn after(mut self, before: Option<&Said>) -> Said {
        if let Some(before) = before {
            lists::merge(&mut self.lists, &before.lists);
            self.publish = self.publish.max(before.publish);
        }
        self
    }
}

impl Decider {
    /// Brings the track's standing in line with the outcome.
    pub(super) fn settle(&mut self, id: &TrackId, outcome: Outcome, now: Moment, out: &mut Vec<Notice>) {
        let held = self.tracks.get(id).and_then(|t| t.standing.as_ref()).map(|s| s.identity);
        match outcome {
            Outcome::Recognized { identity, lists, stage } => {
                let same = held == Some(identity) && !self.takes_back(id, &lists);
                if held.is_some() && !same {
                    self.withdraw(id, now, out);
                }
                if same {
                    self.advance(id, lists, stage);
                } else {
                    self.recognize(id, identity, lists, stage, now);
                }
                self.speak(id, now, out);
            }
            _ if held.is_some() => self.withdraw(id, now, out),
            _ => {}
        }
    }

    /// True if the track has named a list that is not among `lists` any more.
    fn takes_back(&self, id: &TrackId, lists: &Rules) -> bool {
        let standing = self.tracks.get(id).and_then(|t| t.standing.as_ref());
        standing.and_then(|s| s.said.as_ref()).is_some_and(|said| lists::adds(&said.lists, lists))
    }

    /// A confirmed recognition stays confirmed while it holds.
    fn advance(&mut self, id: &TrackId, lists: Rules, stage: Stage) {
        if let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.as_mut()) {
            standing.lists = lists;
            if stage == Stage::Confirmed {
                standing.stage = stage;
            }
        }
    }

    /// The track joins the identity's visit, or opens one.
    fn recognize(&mut self, id: &TrackId, identity: IdentityId, lists: Rules, stage: Stage, now: Moment) {
        let Some(track) = self.tracks.get_mut(id) else { return };
        track.recognized = true;
        // Who has spoken already speaks on under an id of its own: the one it appeared with, unless that is used up.
        let own = match track.unknown.take() {
            None if track.spoken => Some(track.own.take().unwrap_or_else(&mut self.new_id)),
            unknown => unknown,
        };
        let key: Key = (self.places.of(&id.camera), identity);
        let (visit, corrects) = match self.visits.ongoing(&key, now, self.rules.cooldown) {
            Some(visit) => {
                visit.live.push(id.clone());
                (own.unwrap_or(visit.id), own.is_some())
            }
            None => {
                let visit = self.visits.open(key.clone(), own.unwrap_or_else(&mut self.new_id), now);
                visit.live.push(id.clone());
                (visit.id, false)
            }
        };
        track.standing = Some(Standing { key, identity, lists, stage, visit, corrects, said: None });
    }

    /// A visit of which nothing was said yet gets the id that its speaker appeared with, if that one has said nothing either: so
    /// the first that is said joins what appeared. An id is not used up by a visit that ends in silence.
    fn name_visit(&mut self, id: &TrackId) {
        let Some(track) = self.tracks.get(id).filter(|track| !track.spoken) else { return };
        let (Some(standing), Some(own)) = (track.standing.as_ref().filter(|s| !s.corrects), track.own) else {
            return;
        };
        if track.evidence.candidate(standing.identity).is_none() {
            return;
        }
        let key = standing.key.clone();
        let Some(visit) = self.visits.get_mut(&key).filter(|visit| visit.said.is_none()) else { return };
        let corrects = |track: &Track| track.standing.as_ref().is_some_and(|standing| standing.corrects);
        let heard =
            |live: &TrackId| self.tracks.get(live).is_some_and(|track| track.spoken && !corrects(track));
        if visit.live.iter().any(heard) || speaker(&self.tracks, &visit.live).as_ref() != Some(id) {
            return;
        }
        visit.id = own;
        for live in &visit.live {
            let standing = self.tracks.get_mut(live).and_then(|track| track.standing.as_mut());
            if let Some(standing) = standing.filter(|standing| !standing.corrects) {
                standing.visit = own;
            }
        }
        if let Some(track) = self.tracks.get_mut(id) {
            track.own = None;
        }
    }

    /// Publishes the track's standing, if it has more to say than was said. Of an identity that its search no longer finds
    /// nothing is said: it is no longer in the gallery, and the track's own review takes it back.
    fn speak(&mut self, id: &TrackId, now: Moment, out: &mut Vec<Notice>) {
        self.name_visit(id);
        let Some(track) = self.tracks.get(id) else { return };
        let Some(standing) = track.standing.as_ref() else { return };
        let Some(found) = track.evidence.candidate(standing.identity) else { return };
        let key = standing.key.clone();
        let (visit_id, corrects) = (standing.visit, standing.corrects);
        let before = if corrects {
            standing.said.as_ref()
        } else {
            match self.visits.get_mut(&key) {
                Some(visit) if speaker(&self.tracks, &visit.live).as_ref() == Some(id) => visit.said.as_ref(),
                _ => return,
            }
        };
        let publish = lists::publish(&standing.lists);
        let now_said = Said { stage: standing.stage, lists: standing.lists.clone(), publish };
        if !now_said.is_news(before) {
            return;
        }
        let of_visit = now_said.clone().after(before);
        let of_track = now_said.after(standing.said.as_ref());
        let verdict = Verdict::Recognized {
            identity: standing.identity,
            name: Some(found.name.clone()),
            external_id: found.external_id.clone(),
            stage: standing.stage,
        };
        out.extend(self.decision(id, verdict, visit_id, now));
        if let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.as_mut()) {
            standing.said = Some(of_track);
        }
        if let Some(visit) = self.visits.get_mut(&key).filter(|_| !corrects) {
            visit.said = Some(of_visit);
        }
    }

    /// The track no longer shows the identity, or not for every list that it named.
    fn withdraw(&mut self, id: &TrackId, now: Moment, out: &mut Vec<Notice>) {
        let Some(track) = self.tracks.get(id) else { return };
        let Some(standing) = track.standing.as_ref() else { return };
        let (key, identity, visit) = (standing.key.clone(), standing.identity, standing.visit);
        let (silent, corrects) = (standing.said.is_none(), standing.corrects);
        if !silent {
            let found = track.evidence.candidate(identity);
            let verdict = Verdict::Recognized {
                identity,
                name: found.map(|found| found.name.clone()),
                external_id: found.and_then(|found| found.external_id.clone()),
                stage: Stage::Withdrawn,
            };
            out.extend(self.decision(id, verdict, visit, now));
        }
        if silent || corrects {
            return self.leave(id, now, out);
        }
        if let Some(track) = self.tracks.get_mut(id) {
            track.standing = None;
        }
        let others = self.visits.remove(&key).into_iter().filter(|live| live != id).collect();
        self.reopen(key, others, now, out);
    }

    /// Takes the track out of its visit; the next one may have something to say.
    pub(super) fn leave(&mut self, id: &TrackId, last_seen: Moment, out: &mut Vec<Notice>) {
        let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.take()) else { return };
        let key = standing.key;
        self.visits.leave(&key, id, last_seen);
        if let Some(next) = self.visits.get_mut(&key).and_then(|visit| speaker(&self.tracks, &visit.live)) {
            self.speak(&next, last_seen, out);
        }
    }

    /// A visit was withdrawn, but `live` tracks still hold the identity: they make a new one.
    fn reopen(&mut self, key: Key, live: Vec<TrackId>, now: Moment, out: &mut Vec<Notice>) {
        let Some(first) = speaker(&self.tracks, &live).or_else(|| live.first().cloned()) else { return };
        let Some(track) = self.tracks.get_mut(&first) else { return };
        let Some(standing) = track.standing.as_mut() else { return };
        // Where all of them publish under ids of their own, the first one's becomes the visit's.
        let id = if standing.corrects { standing.visit } else { (self.new_id)() };
        let said = standing.said.clone().filter(|_| standing.corrects);
        standing.corrects = false;
        for other in &live {
            let standing = self.tracks.get_mut(other).and_then(|t| t.standing.as_mut());
            if let Some(standing) = standing.filter(|s| !s.corrects) {
                standing.visit = id;
            }
        }
        let visit = self.visits.open(key, id, now);
        (visit.said, visit.live) = (said, live);
        self.speak(&first, now, out);
    }

    /// A decision with everything that is needed to say why.
    pub(super) fn decision(
        &mut self,
        id: &TrackId,
        verdict: Verdict,
        visit: Uuid,
        now: Moment,
    ) -> Option<Notice> {
        self.tracks.get_mut(id)?.spoken = true;
        let track = self.tracks.get(id)?;
        let evidence = &track.evidence;
        let fused = evidence.fused();
        let best = fused.and_then(Match::best).map(|best| best.identity);
        let (about, agreeing) = match &verdict {
            Verdict::Recognized { identity, .. } => (Some(*identity), evidence.agreeing(*identity)),
            Verdict::Unknown => (best, evidence.below()),
            Verdict::Undecided { .. } => (best, 0),
        };
        let score = about.and_then(|identity| evidence.score_of(identity));
        let base = self.thresholds.of(&id.camera);
        let (lists, publish, threshold) = match (&verdict, &track.standing) {
            (Verdict::Recognized { identity, stage, .. }, Some(standing)) => {
                about_lists(*identity, *stage, standing, evidence, &base)
            }
            _ => {
                let lowest = fused.and_then(Match::best).map_or(base.own, |best| lists::lowest(best, &base));
                (Vec::new(), Publish::Name, lowest)
            }
        };
        let mut behind: Vec<&Shot> = evidence.behind(&self.weighing(id)).collect();
        let quality = behind.first().map(|best| best.quality);
        behind.sort_unstable_by_key(|shot| shot.sequence);
        let decision = Decision {
            track: id.clone(),
            visit,
            verdict,
            lists: lists.iter().map(|rule| rule.name.clone()).collect(),
            publish,
            score: score.map(|(score, _)| score),
            margin: score.map(|(_, margin)| margin),
            threshold: threshold.value,
            threshold_origin: threshold.origin,
            asked: asked(&self.rules),
            looked: evidence.looked(),
            shots: evidence.shots(),
            agreeing,
            quality,
            captured: evidence.last_captured().unwrap_or(now),
            frames: behind.iter().map(|shot| shot.sequence).collect(),
            bbox: behind.last().map(|shot| shot.bbox),
            model: behind.first().map_or(self.gallery.model, |shot| shot.embedding.model()),
            generation: fused.map_or(self.gallery.generation, |fused| fused.generation),
            index: fused.map_or(self.gallery.index, |fused| fused.index),
        };
        self.tracks.get_mut(id)?.note_word(&decision);
        Some(Notice::Decided(Box::new(decision)))
    }
}

fn asked(rules: &config::Decide) -> Asked {
    Asked {
        margin: rules.margin,
        confirm: rules.confirm.max(1),
        fair_shots: rules.fair_shots.max(1),
        fair_look: rules.fair_look,
    }
}

/// For which lists a recognition is one or is taken back, what may be said of it, and the threshold that counts.
fn about_lists(
    identity: IdentityId,
    stage: Stage,
    standing: &Standing,
    evidence: &Evidence,
    base: &AtCamera,
) -> (Rules, Publish, Threshold) {
    let threshold = |rule: &Arc<ListRule>| base.of_list(rule);
    let Some(said) = standing.said.as_ref().filter(|_| stage == Stage::Withdrawn) else {
        let first = standing.lists.first().map_or(base.own, threshold);
        return (standing.lists.clone(), lists::publish(&standing.lists), first);
    };
    let highest = said.lists.iter().map(threshold);
    let highest = highest.max_by(|a, b| a.value.total_cmp(&b.value)).unwrap_or(base.own);
    // Who heard of it hears that it no longer holds; by name only if it could be named then and may be now.
    let now =
        evidence.candidate(identity).map_or(Publish::Nothing, |found| lists::publish(found.lists.iter()));
    let publish = said.publish.min(now.max(Publish::Pseudonym));
    (said.lists.clone(), publish, highest)
}

/// The oldest live track that publishes under the visit's id.
fn speaker(tracks: &BTreeMap<TrackId, Track>, live: &[TrackId]) -> Option<TrackId> {
    let speaks = |id: &&TrackId| {
        tracks.get(id).and_then(|t| t.standing.as_ref()).is_some_and(|standing| !standing.corrects)
    };
    live.iter().find(speaks).cloned()
}

fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Preliminary => 0,
        Stage::Confirmed => 1,
        Stage::Withdrawn => 2,
    }
}
