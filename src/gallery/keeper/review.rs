//! Operators' verdicts about events: on record in the audit log, and counted from it.

use super::{ChangeSet, Keeper};
use crate::base::error::Result;
use crate::gallery::audit::{self, Action, Draft, Entry, Filter, SealedPart};
use crate::gallery::command::Actor;
use crate::gallery::review::{EventReview, ReviewTaken, Tally};

impl Keeper {
    /// Puts a verdict on record. Of whom was forgotten meanwhile it names nobody.
    pub(super) fn review_event(&mut self, actor: &Actor, review: &EventReview) -> Result<ReviewTaken> {
        let mut draft = Draft::new(Action::EventReviewed)
            .with("event", review.event.to_string())
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
        Ok(ReviewTaken { event: review.event, verdict: review.verdict, tally: self.reviews()? })
    }

    /// What was said of all events.
    pub(super) fn reviews(&self) -> Result<Tally> {
        let filter = Filter { action: Some(Action::EventReviewed), ..Filter::default() };
        let found = self.store.read(|tables| audit::select(tables.audit_rows(), &filter))?;
        let entries: Vec<Entry> = found.into_iter().map(|(_, entry)| entry).collect();
        Ok(Tally::of(&entries))
    }
}
