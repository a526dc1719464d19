//! Somebody is there, and is gone: what is told of a track whoever it is.
//!
//! ```text
//!   begins to count ─▶ appeared ─▶ decisions ─▶ ended, evicted or finished ─▶ left, with what holds at the end
//!        visit id A        A, or that of the visit it joins                    that of its last word
//! ```
//!
//! Each track that appeared leaves exactly once. What `left` says of who it was follows the same lists as a decision: of somebody
//! whose lists publish nothing it says what was published of the track before, or nothing.

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::types::decision::{Appearance, Decision, Departure, Notice, Sight, Verdict, Word};
use crate::types::ids::TrackId;
use crate::types::matching::Publish;

use super::decider::{Decider, Track};
use super::lists;

/// When and under which id a track appeared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    visit: Uuid,
    sight: Sight,
}

impl Decider {
    /// The track began to count: somebody is there. Told once, before anything that is decided of it. Call it before the
    /// track's first shot.
    pub fn appeared(&mut self, id: &TrackId, sight: Sight) -> Vec<Notice> {
        let mut out = Vec::new();
        self.latest = Some(self.latest.map_or(sight.captured, |latest| latest.max(sight.captured)));
        if self.track(id, &mut out).is_none_or(|track| track.arrived.is_some()) {
            return out;
        }
        let visit = (self.new_id)();
        if let Some(track) = self.tracks.get_mut(id) {
            track.arrived = Some(Arrival { visit, sight });
            track.own = Some(visit);
        }
        out.push(Notice::Appeared(Appearance { track: id.clone(), visit, sight }));
        out
    }

    /// Nothing more will come: tracks whose end was never told are over, when they were last heard of.
    pub fn finish(&mut self) -> Vec<Notice> {
        let mut out = Vec::new();
        let live: Vec<TrackId> = self.tracks.keys().cloned().collect();
        for id in live {
            let seen = self.tracks.get(&id).and_then(Track::last_heard_of).or(self.latest);
            if let Some(seen) = seen {
                self.conclude(&id, seen, &mut out);
            }
        }
        out
    }

    /// What is told when the track is over, if it had appeared.
    pub(super) fn departure(&self, id: &TrackId, last_seen: Moment) -> Option<Notice> {
        let track = self.tracks.get(id)?;
        let arrived = track.arrived?;
        let (word, visit) = match (track.standing_word(), &track.word) {
            (Some((word, visit)), _) => (Some(word), visit),
            (None, Some((verdict, visit))) => (Some(Word::anonymous(verdict.clone())), *visit),
            (None, None) => (None, arrived.visit),
        };
        Some(Notice::Left(Box::new(Departure {
            track: id.clone(),
            visit,
            first_seen: arrived.sight.since,
            last_seen: last_seen.max(arrived.sight.captured),
            shots: track.evidence.shots(),
            word,
        })))
    }
}

impl Word {
    /// Of nobody in particular.
    fn anonymous(verdict: Verdict) -> Self {
        Self { verdict, lists: Vec::new(), publish: Publish::Name }
    }
}

impl Track {
    /// When it was last seen, as far as the decider knows.
    pub(super) fn last_heard_of(&self) -> Option<Moment> {
        let appeared = self.arrived.map(|arrived| arrived.sight.captured);
        self.evidence.last_captured().max(appeared)
    }

    /// Remembers what was published of it without a name. A recognition that may be told takes its place; one that may not
    /// leaves it, as it leaves what consumers heard.
    pub(super) fn note_word(&mut self, decision: &Decision) {
        match &decision.verdict {
            Verdict::Recognized { .. } if decision.publish == Publish::Nothing => {}
            Verdict::Recognized { .. } => self.word = None,
            verdict => self.word = Some((verdict.clone(), decision.visit)),
        }
    }

    /// The recognition that stands, with its visit, if it may be told. A name needs the lists to allow it now, and the identity
    /// to be found still.
    fn standing_word(&self) -> Option<(Word, Uuid)> {
        let standing = self.standing.as_ref()?;
        let found = self.evidence.candidate(standing.identity);
        let publish = match (found, &standing.said) {
            (Some(found), _) => lists::publish(&standing.lists).min(lists::publish(found.lists.iter())),
            (None, Some(said)) => said.publish.min(Publish::Pseudonym),
            (None, None) => Publish::Nothing,
        };
        let verdict = Verdict::Recognized {
            identity: standing.identity,
            name: found.map(|found| found.name.clone()),
            external_id: found.and_then(|found| found.external_id.clone()),
            stage: standing.stage,
        };
        let lists = standing.lists.iter().map(|rule| rule.name.clone()).collect();
        (publish > Publish::Nothing).then_some((Word { verdict, lists, publish }, standing.visit))
    }
}
