//! From what a track says to what is published: standing, visits, withdrawals.
//!
//! ```text
//!   outcome ──▶ settle ─┬─ recognize: joins or opens the visit ─▶ speak: only what was not said yet
//!                       ├─ advance:   preliminary to confirmed ─▶ speak
//!                       └─ withdraw:  said something? take it back, and reopen for the others
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::types::decision::{Decision, Stage, Verdict};
use crate::types::ids::{IdentityId, TrackId};
use crate::types::matching::Match;

use super::decider::{Decider, Standing, Track};
use super::evidence::Shot;
use super::judge::Outcome;
use super::visits::Key;

impl Decider {
    /// Brings the track's standing in line with the outcome.
    pub(super) fn settle(&mut self, id: &TrackId, outcome: Outcome, now: Moment, out: &mut Vec<Decision>) {
        let held = self.tracks.get(id).and_then(|t| t.standing.as_ref()).map(|s| s.identity);
        match outcome {
            Outcome::Recognized { identity, name, stage } => {
                if held.is_some_and(|held| held != identity) {
                    self.withdraw(id, now, out);
                }
                if held == Some(identity) {
                    self.advance(id, stage);
                } else {
                    self.recognize(id, identity, name, stage, now);
                }
                self.speak(id, now, out);
            }
            _ if held.is_some() => self.withdraw(id, now, out),
            _ => {}
        }
    }

    /// A confirmed recognition stays confirmed while it holds.
    fn advance(&mut self, id: &TrackId, stage: Stage) {
        if let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.as_mut())
            && stage == Stage::Confirmed
        {
            standing.stage = stage;
        }
    }

    /// The track joins the identity's visit, or opens one.
    fn recognize(&mut self, id: &TrackId, identity: IdentityId, name: Arc<str>, stage: Stage, now: Moment) {
        let Some(track) = self.tracks.get_mut(id) else { return };
        let own = track.unknown.take().or_else(|| track.spoken.then(&mut self.new_id));
        let key: Key = (id.camera.clone(), identity);
        let (visit, corrects) = match self.visits.ongoing(&key, now, self.rules.cooldown) {
            Some(visit) => {
                visit.live.push(id.clone());
                (own.unwrap_or(visit.id), own.is_some())
            }
            None => {
                let visit = self.visits.open(key, own.unwrap_or_else(&mut self.new_id), now);
                visit.live.push(id.clone());
                (visit.id, false)
            }
        };
        track.standing = Some(Standing { identity, name, stage, visit, corrects, published: None });
    }

    /// Publishes the track's standing, if it has more to say than was said.
    fn speak(&mut self, id: &TrackId, now: Moment, out: &mut Vec<Decision>) {
        let Some(standing) = self.tracks.get(id).and_then(|t| t.standing.as_ref()) else { return };
        let key: Key = (id.camera.clone(), standing.identity);
        let (stage, visit_id, corrects) = (standing.stage, standing.visit, standing.corrects);
        let said = if corrects {
            standing.published
        } else {
            match self.visits.get_mut(&key) {
                Some(visit) if speaker(&self.tracks, &visit.live).as_ref() == Some(id) => visit.published,
                _ => return,
            }
        };
        if said.is_some_and(|said| rank(said) >= rank(stage)) {
            return;
        }
        let verdict = Verdict::Recognized { identity: standing.identity, name: standing.name.clone(), stage };
        out.extend(self.decision(id, verdict, visit_id, now));
        if let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.as_mut()) {
            standing.published = Some(stage);
        }
        if let Some(visit) = self.visits.get_mut(&key).filter(|_| !corrects) {
            visit.published = Some(stage);
        }
    }

    /// The track no longer shows the identity.
    fn withdraw(&mut self, id: &TrackId, now: Moment, out: &mut Vec<Decision>) {
        let Some(standing) = self.tracks.get(id).and_then(|t| t.standing.as_ref()) else { return };
        let (identity, name, visit) = (standing.identity, standing.name.clone(), standing.visit);
        let (silent, corrects) = (standing.published.is_none(), standing.corrects);
        if !silent {
            let verdict = Verdict::Recognized { identity, name, stage: Stage::Withdrawn };
            out.extend(self.decision(id, verdict, visit, now));
        }
        if silent || corrects {
            return self.leave(id, now, out);
        }
        if let Some(track) = self.tracks.get_mut(id) {
            track.standing = None;
        }
        let key: Key = (id.camera.clone(), identity);
        let others = self.visits.remove(&key).into_iter().filter(|live| live != id).collect();
        self.reopen(key, others, now, out);
    }

    /// Takes the track out of its visit; the next one may have something to say.
    pub(super) fn leave(&mut self, id: &TrackId, last_seen: Moment, out: &mut Vec<Decision>) {
        let Some(standing) = self.tracks.get_mut(id).and_then(|t| t.standing.take()) else { return };
        let key: Key = (id.camera.clone(), standing.identity);
        self.visits.leave(&key, id, last_seen);
        if let Some(next) = self.visits.get_mut(&key).and_then(|visit| speaker(&self.tracks, &visit.live)) {
            self.speak(&next, last_seen, out);
        }
    }

    /// A visit was withdrawn, but `live` tracks still hold the identity: they make a new one.
    fn reopen(&mut self, key: Key, live: Vec<TrackId>, now: Moment, out: &mut Vec<Decision>) {
        let Some(first) = speaker(&self.tracks, &live).or_else(|| live.first().cloned()) else { return };
        let Some(standing) = self.tracks.get_mut(&first).and_then(|t| t.standing.as_mut()) else { return };
        // Where all of them publish under ids of their own, the first one's becomes the visit's.
        let id = if standing.corrects { standing.visit } else { (self.new_id)() };
        let published = standing.published.filter(|_| standing.corrects);
        standing.corrects = false;
        for other in &live {
            let standing = self.tracks.get_mut(other).and_then(|t| t.standing.as_mut());
            if let Some(standing) = standing.filter(|s| !s.corrects) {
                standing.visit = id;
            }
        }
        let visit = self.visits.open(key, id, now);
        (visit.published, visit.live) = (published, live);
        self.speak(&first, now, out);
    }

    /// Everything that is needed to say why.
    pub(super) fn decision(
        &mut self,
        id: &TrackId,
        verdict: Verdict,
        visit: Uuid,
        now: Moment,
    ) -> Option<Decision> {
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
        let threshold = self.thresholds.of(&id.camera);
        let mut behind: Vec<&Shot> = evidence.behind(self.weighing(id)).collect();
        let quality = behind.first().map(|best| best.quality);
        behind.sort_unstable_by_key(|shot| shot.sequence);
        Some(Decision {
            track: id.clone(),
            visit,
            verdict,
            score: score.map(|(score, _)| score),
            margin: score.map(|(_, margin)| margin),
            threshold: threshold.value,
            threshold_origin: threshold.origin,
            shots: evidence.shots(),
            agreeing,
            quality,
            captured: evidence.last_captured().unwrap_or(now),
            frames: behind.iter().map(|shot| shot.sequence).collect(),
            bbox: behind.last().map(|shot| shot.bbox),
            model: behind.first().map_or(self.gallery.model, |shot| shot.embedding.model()),
            generation: fused.map_or(self.gallery.generation, |fused| fused.generation),
            index: fused.map_or(self.gallery.index, |fused| fused.index),
        })
    }
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
