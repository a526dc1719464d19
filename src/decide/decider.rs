//! The decider: keeps each track's evidence and standing, and publishes what changes.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::config;
use crate::types::decision::{Notice, Stage, Undecided, Verdict};
use crate::types::embedding::Embedding;
use crate::types::face::Refusal;
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Match};

use super::evidence::{Evidence, MAX_KEPT, Search, Shot, Weighing};
use super::judge::{Outcome, fair, judge};
use super::lists::{Rules, lowest};
use super::places::Places;
use super::presence::Arrival;
use super::publish::Said;
use super::threshold::{AtCamera, Thresholds};
use super::visits::{Key, Visits};

/// Most live tracks of all cameras together. Beyond it the one that was heard of longest ago is ended.
pub const MAX_TRACKS: usize = 4096;
/// Ended tracks that are remembered, so that a late shot of one does not start it again.
const MAX_ENDED: usize = 4096;

/// Makes the ids of visits. Injected, so that tests and recordings give the same ids each time.
pub type NewVisitId = Box<dyn FnMut() -> Uuid + Send>;

/// The gallery that is being searched: it stands in decisions about tracks without a single search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gallery {
    /// Model of its templates.
    pub model: ModelId,
    /// Its generation.
    pub generation: u64,
    /// The index that searches it.
    pub index: IndexKind,
}

/// What a track says now.
#[derive(Debug)]
pub(super) struct Standing {
    /// Its visit. It stays the same when the configuration gives the camera another place.
    pub(super) key: Key,
    pub(super) identity: IdentityId,
    /// The lists it is recognised for.
    pub(super) lists: Rules,
    pub(super) stage: Stage,
    /// The visit id this track publishes under.
    pub(super) visit: Uuid,
    /// True if that is the track's own, because it corrects what the track said, while the identity's visit has another.
    pub(super) corrects: bool,
    /// What this track has said of it.
    pub(super) said: Option<Said>,
}

/// One live track.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) evidence: Evidence,
    pub(super) refusals: [u32; Refusal::ALL.len()],
    pub(super) dropped: u32,
    pub(super) standing: Option<Standing>,
    /// True once `unknown` was published while the track lived.
    pub(super) was_unknown: bool,
    /// Visit id of an `unknown` that is the track's last word.
    pub(super) unknown: Option<Uuid>,
    /// True once anything was published about the track. Only one that has said nothing may join a visit in silence.
    pub(super) spoken: bool,
    /// True if what it said last was said on another model's evidence, which is gone, and the new one's has not spoken yet.
    pub(super) carried: bool,
    /// Set once it was said that somebody is there.
    pub(super) arrived: Option<Arrival>,
    /// The visit id it appeared with, until something is said under it.
    pub(super) own: Option<Uuid>,
    /// The `unknown` or `undecided` that was its last published word.
    pub(super) word: Option<(Verdict, Uuid)>,
    /// True once it was recognised as anybody, told or not.
    pub(super) recognized: bool,
    /// When the track was last heard of, in calls.
    pub(super) touched: u64,
}

/// How the search for a track came out, once it has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The camera.
    pub camera: CameraId,
    /// When it was last seen.
    pub last_seen: Moment,
    /// The best fused score that it ever had.
    pub score: f32,
    /// The threshold that its best candidate had to reach.
    pub threshold: f32,
    /// True if it was recognised as anybody, told or not.
    pub recognized: bool,
}

/// Turns shots into decisions, for all cameras.
///
/// Feed it in order for each track: shots as their embeddings arrive, refusals and drops as they happen, and `ended`
/// after the last of them (what arrives later is ignored). Every method answers with what is to be told, in order.
pub struct Decider {
    pub(super) rules: config::Decide,
    pub(super) thresholds: Thresholds,
    pub(super) places: Places,
    pub(super) gallery: Gallery,
    pub(super) new_id: NewVisitId,
    pub(super) tracks: BTreeMap<TrackId, Track>,
    pub(super) visits: Visits,
    pub(super) ended: HashSet<TrackId>,
    pub(super) ended_order: VecDeque<TrackId>,
    /// Tracks that ended since somebody asked.
    pub(super) scored: Vec<Scored>,
    pub(super) calls: u64,
    pub(super) latest: Option<Moment>,
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decider({} tracks, {} visits)", self.tracks.len(), self.visits.len())
    }
}

impl Decider {
    /// A decider without history.
    pub fn new(rules: config::Decide, thresholds: Thresholds, gallery: Gallery, new_id: NewVisitId) -> Self {
        Self {
            rules,
            thresholds,
            places: Places::default(),
            gallery,
            new_id,
            tracks: BTreeMap::new(),
            visits: Visits::default(),
            ended: HashSet::new(),
            ended_order: VecDeque::new(),
            scored: Vec::new(),
            calls: 0,
            latest: None,
        }
    }

    /// Which cameras belong together, for visits that begin from now on.
    pub fn set_places(&mut self, places: Places) {
        self.places = places;
    }

    /// Live tracks and visits remembered, for metrics.
    pub fn load(&self) -> (usize, usize) {
        (self.tracks.len(), self.visits.len())
    }

    /// How the searches for tracks came out that have ended since this was asked.
    pub fn scored(&mut self) -> Vec<Scored> {
        std::mem::take(&mut self.scored)
    }

    /// Takes in an embedded shot of a track. `search` is called at most twice, or once for each shot kept when the
    /// gallery has changed since the last one.
    pub fn shot(&mut self, track: &TrackId, shot: Shot, search: &dyn Fn(&Embedding) -> Match) -> Vec<Notice> {
        let mut out = Vec::new();
        let now = shot.captured;
        self.latest = Some(self.latest.map_or(now, |latest| latest.max(now)));
        let how = self.weighing(track);
        let Some(state) = self.track(track, &mut out) else { return out };
        state.evidence.add(shot, &how, search);
        self.note_gallery(track);
        self.review(track, now, &mut out);
        out
    }

    /// A crop of the track was not good enough to be embedded.
    pub fn refused(&mut self, track: &TrackId, refusal: Refusal) -> Vec<Notice> {
        let mut out = Vec::new();
        let place = Refusal::ALL.iter().position(|r| *r == refusal);
        if let Some(state) = self.track(track, &mut out)
            && let Some(count) = place.and_then(|place| state.refusals.get_mut(place))
        {
            *count = count.saturating_add(1);
        }
        out
    }

    /// A crop of the track was good enough and was dropped under load.
    pub fn dropped(&mut self, track: &TrackId) -> Vec<Notice> {
        let mut out = Vec::new();
        if let Some(state) = self.track(track, &mut out) {
            state.dropped = state.dropped.saturating_add(1);
        }
        out
    }

    /// The track is over, last seen at `last_seen` (not: noticed at). Call it for tracks that counted. Its
    /// embeddings are wiped.
    pub fn ended(&mut self, track: &TrackId, last_seen: Moment) -> Vec<Notice> {
        let mut out = Vec::new();
        self.latest = Some(self.latest.map_or(last_seen, |latest| latest.max(last_seen)));
        if self.track(track, &mut out).is_some() {
            self.conclude(track, last_seen, &mut out);
        }
        out
    }

    /// The gallery was replaced: live tracks are searched again, so that who was removed is withdrawn and who was
    /// added is found. If it is searched with another model now, all evidence starts over; what was said holds until there is
    /// enough of the new to say otherwise.
    pub fn gallery_changed(&mut self, gallery: Gallery, search: &dyn Fn(&Embedding) -> Match) -> Vec<Notice> {
        let before = std::mem::replace(&mut self.gallery, gallery);
        if before.model != gallery.model {
            for track in self.tracks.values_mut() {
                track.evidence = Evidence::default();
                track.carried = track.standing.is_some() || track.unknown.is_some();
            }
        }
        self.review_all(search)
    }

    /// The policy was replaced: it applies to live tracks at once.
    pub fn policy_changed(
        &mut self,
        rules: config::Decide,
        thresholds: Thresholds,
        search: &dyn Fn(&Embedding) -> Match,
    ) -> Vec<Notice> {
        self.rules = rules;
        self.thresholds = thresholds;
        self.review_all(search)
    }

    fn review_all(&mut self, search: Search<'_>) -> Vec<Notice> {
        let mut out = Vec::new();
        let with_evidence = self.tracks.iter().filter(|(_, track)| !track.evidence.is_empty());
        let live: Vec<TrackId> = with_evidence.map(|(id, _)| id.clone()).collect();
        // All are searched before any speaks: one track's withdrawal makes another speak, and it must not say what only
        // the old gallery knew.
        for track in &live {
            let how = self.weighing(track);
            if let Some(state) = self.tracks.get_mut(track) {
                state.evidence.search_again(&how, search);
            }
        }
        for track in &live {
            let captured = self.tracks.get(track).and_then(|state| state.evidence.last_captured());
            if let Some(now) = captured.max(self.latest) {
                self.review(track, now, &mut out);
            }
        }
        out
    }

    /// The state of a live track, new if it was not heard of before; `None` for one that has ended.
    pub(super) fn track(&mut self, track: &TrackId, out: &mut Vec<Notice>) -> Option<&mut Track> {
        if self.ended.contains(track) {
            return None;
        }
        if self.tracks.len() >= MAX_TRACKS && !self.tracks.contains_key(track) {
            self.evict(out);
        }
        self.calls += 1;
        let state = self.tracks.entry(track.clone()).or_default();
        state.touched = self.calls;
        Some(state)
    }

    fn evict(&mut self, out: &mut Vec<Notice>) {
        let oldest = self.tracks.iter().min_by_key(|(_, t)| t.touched).map(|(id, t)| (id.clone(), t));
        if let Some((id, seen)) = oldest.map(|(id, t)| (id, t.last_heard_of().or(self.latest))) {
            match seen {
                Some(seen) => self.conclude(&id, seen, out),
                None => drop(self.tracks.remove(&id)),
            }
        }
    }

    pub(super) fn weighing(&self, track: &TrackId) -> Weighing {
        let fuse = (self.rules.fuse as usize).clamp(1, MAX_KEPT);
        let keep = fuse.max(self.rules.confirm as usize).min(MAX_KEPT);
        Weighing { fuse, fusion: self.rules.fusion, keep, base: self.thresholds.of(&track.camera) }
    }

    fn note_gallery(&mut self, track: &TrackId) {
        if let Some(fused) = self.tracks.get(track).and_then(|t| t.evidence.fused()) {
            self.gallery.generation = fused.generation;
            self.gallery.index = fused.index;
        }
    }

    /// Judges a live track, and publishes what follows.
    fn review(&mut self, id: &TrackId, now: Moment, out: &mut Vec<Notice>) {
        let base = self.thresholds.of(&id.camera);
        let Some(track) = self.tracks.get(id) else { return };
        let held = track.standing.as_ref().map(|s| (s.identity, &s.lists));
        let outcome = judge(&track.evidence, &self.rules, &base, held);
        if self.still_carried(id, &outcome) {
            return;
        }
        let unknown = outcome == Outcome::Unknown;
        self.settle(id, outcome, now, out);
        if unknown && self.tracks.get(id).is_some_and(|t| !t.was_unknown) {
            let own = self.tracks.get_mut(id).and_then(|track| track.own.take());
            let visit = own.unwrap_or_else(&mut self.new_id);
            if let Some(track) = self.tracks.get_mut(id) {
                (track.was_unknown, track.unknown) = (true, Some(visit));
            }
            out.extend(self.decision(id, Verdict::Unknown, visit, now));
        }
    }

    /// True while what the track said on another model's evidence holds: until the new one's names somebody, or would be enough
    /// to say that it is nobody.
    fn still_carried(&mut self, id: &TrackId, outcome: &Outcome) -> bool {
        let Some(track) = self.tracks.get_mut(id) else { return false };
        let spoken = match outcome {
            Outcome::Recognized { .. } | Outcome::Unknown => true,
            Outcome::Ambiguous => fair(&track.evidence, &self.rules),
            Outcome::Open => false,
        };
        track.carried &= !spoken;
        track.carried
    }

    /// Judges a track for the last time, strictly, publishes its final verdict and forgets it.
    pub(super) fn conclude(&mut self, id: &TrackId, last_seen: Moment, out: &mut Vec<Notice>) {
        let base = self.thresholds.of(&id.camera);
        let Some(track) = self.tracks.get(id) else { return };
        let outcome = judge(&track.evidence, &self.rules, &base, None);
        let carried = self.still_carried(id, &outcome);
        if !carried {
            self.settle(id, outcome.clone(), last_seen, out);
        }
        let Some(track) = self.tracks.get(id) else { return };
        if !carried && track.standing.is_none() && !(outcome == Outcome::Unknown && track.unknown.is_some()) {
            let verdict = self.verdict_without_identity(track, &outcome);
            let visit = track.unknown.or(track.own).unwrap_or_else(&mut self.new_id);
            out.extend(self.decision(id, verdict, visit, last_seen));
        }
        out.extend(self.departure(id, last_seen));
        self.note_score(id, &base, last_seen);
        self.leave(id, last_seen, out);
        self.tracks.remove(id);
        self.remember_ended(id);
        self.visits.prune(last_seen, self.rules.cooldown);
    }

    /// Remembers how the search came out, as long as somebody asks for it.
    fn note_score(&mut self, id: &TrackId, base: &AtCamera, last_seen: Moment) {
        let Some(track) = self.tracks.get(id) else { return };
        let best = track.evidence.fused().and_then(Match::best);
        if let (Some(best), Some(score)) = (best, track.evidence.highest())
            && self.scored.len() < MAX_ENDED
        {
            self.scored.push(Scored {
                camera: id.camera.clone(),
                last_seen,
                score,
                threshold: lowest(best, base).value,
                recognized: track.recognized,
            });
        }
    }

    fn verdict_without_identity(&self, track: &Track, outcome: &Outcome) -> Verdict {
        let embedded = track.evidence.shots();
        let enough_but_for_drops = embedded.saturating_add(track.dropped) >= self.rules.fair_shots;
        let commonest = || {
            let counts = Refusal::ALL.into_iter().zip(track.refusals).filter(|(_, count)| *count > 0);
            // `max_by_key` keeps the last of equals: reversed, the first in the table wins.
            counts.rev().max_by_key(|(_, count)| *count).map(|(refusal, _)| refusal)
        };
        let (reason, refusal) = match outcome {
            Outcome::Unknown => return Verdict::Unknown,
            Outcome::Ambiguous => (Undecided::Ambiguous, None),
            _ if track.dropped > 0 && (embedded == 0 || enough_but_for_drops) => (Undecided::Overload, None),
            _ => match commonest().filter(|_| embedded == 0) {
                Some(refusal) => (Undecided::NoGoodShot, Some(refusal)),
                None => (Undecided::TooShort, None),
            },
        };
        Verdict::Undecided { reason, refusal }
    }

    fn remember_ended(&mut self, id: &TrackId) {
        if self.ended.insert(id.clone()) {
            self.ended_order.push_back(id.clone());
        }
        if self.ended_order.len() > MAX_ENDED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}
