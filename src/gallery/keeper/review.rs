//! Operators' verdicts about events: on record in the audit log, and counted from it.

use crossbeam_channel::Sender;

use super::{ChangeSet, Keeper};
use crate::base::error::Result;
use crate::gallery::audit::{self, Action, Draft, Entry, Filter, SealedPart};
use crate::gallery::command::Actor;
use crate::gallery::review::{EventReview, ReviewTaken, Tally, said};

impl Keeper {
    /// Puts a verdict on record. Of whom was forgotten meanwhile it names nobody.
    pub(super) fn review_event(&mut self, actor: &Actor, review: &EventReview) -> Result<ReviewTaken> {
        let (event, before) = (review.event.to_string(), self.review_entries()?);
        let before = || before.iter().filter_map(said);
        let first = !before().any(|(of, _)| of == event);
        let tally = Tally::of(before().chain([(event.as_str(), review.verdict.as_str())]));
        let mut draft = Draft::new(Action::EventReviewed)
            .with("event", event.as_str())
            .with("verdict", review.verdict.as_str())
            .with("camera", review.camera.as_str())
            .with("track", review.track.as_str())
            .with("threshold", review.threshold)
            .with("model", review.model.as_str());
        if let Some(score) = review.score {
            draft = draft.with("score", score);
        }
        let mut change = ChangeSet::default();
        match self.directory.get(review.identity) {
            Some(entry) => {
                let name = SealedPart::of(&entry.identity.record);
                change.say_of(&entry.identity, draft.about(review.identity, name));
            }
            None => change.say(draft),
        }
        self.commit(actor, change)?;
        if let Some(reviewed) = self.reviewed.as_ref().filter(|_| first) {
            // Full: an estimate with one verdict less.
            let _ = reviewed.try_send(review.clone());
        }
        Ok(ReviewTaken { event: review.event, verdict: review.verdict, tally })
    }

    /// What was said of all events.
    pub(super) fn reviews(&self) -> Result<Tally> {
        Ok(Tally::of(self.review_entries()?.iter().filter_map(said)))
    }

    /// The first verdict of each event that is given from now on goes there, too.
    pub fn tell_reviews(&mut self, reviewed: Sender<EventReview>) {
        self.reviewed = Some(reviewed);
    }

    fn review_entries(&self) -> Result<Vec<Entry>> {
        let filter = Filter { action: Some(Action::EventReviewed), ..Filter::default() };
        let found = self.store.read(|tables| audit::select(tables.audit_rows(), &filter))?;
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }
}
