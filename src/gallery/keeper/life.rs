//! What happens by itself when its time comes.

use std::time::Duration;

use jiff::Timestamp;

use super::change::{ChangeSet, IdentityChange};
use super::{Keeper, Seen};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::Actor;
use crate::gallery::life::{Reviews, Transition};
use crate::gallery::record::Standing;
use crate::gallery::snapshot::{Delta, Person};

impl Keeper {
    /// How long to wait before [`Keeper::tick`] may have something to do.
    pub fn wait(&self) -> Duration {
        self.schedule.wait(self.clock.now().wall)
    }

    /// Starts and ends what is due now: how many.
    ///
    /// # Errors
    /// As a commit; then nothing has changed in the store, and the next tick tries again. Who has expired is not looked for
    /// any more all the same; who would start is not looked for until that can be put on record.
    pub fn tick(&mut self) -> Result<usize> {
        let due = self.schedule.due(self.clock.now().wall);
        if due.is_empty() {
            return Ok(0);
        }
        let mut change = ChangeSet::default();
        for step in &due {
            let Some(entry) = self.directory.get(step.id) else { continue };
            let mut identity = entry.identity.clone();
            identity.standing = step.to;
            let action = if step.to == Standing::Expired { Action::Expired } else { Action::Started };
            let draft = Draft::new(action)
                .about(step.id, SealedPart::of(&identity.record))
                .member(&identity.record.lists, step.to)
                .with("due", step.due.to_string());
            change.say_of(&identity, draft);
            change.identities.push(IdentityChange::Put(identity));
        }
        if self.read_only() {
            self.only_in_memory(change)?;
            return Ok(due.len());
        }
        let stored = self.commit(&Actor::daemon(), change);
        if stored.is_err() {
            self.schedule.put_back(&due);
            self.hide(&due)?;
        }
        stored.map(|_| due.len())
    }

    /// Before anybody searches: what came due while nobody looked. If that cannot be put on record, it is tried again.
    pub fn catch_up(&mut self) {
        if let Err(error) = self.tick() {
            tracing::warn!(error = error.chain(), "what came due could not be put on record");
        }
    }

    /// Review dates that have come now, in all and since then; and which moment now is.
    pub fn reviews_due(&self, since: Timestamp) -> (Reviews, Timestamp) {
        let now = self.clock.now().wall;
        (self.schedule.reviews_due(since, now), now)
    }

    /// Takes who has expired out of searches, without a trace in the store. The snapshot stays of its generation: what is stored
    /// is what it was.
    fn hide(&self, steps: &[Transition]) -> Result<()> {
        let current = self.shared.current();
        let expired = steps.iter().filter(|step| step.to == Standing::Expired);
        let still = expired.filter_map(|step| {
            let person = current.people().get(&step.id).filter(|person| person.searched)?;
            Some((step.id, Some(Person { searched: false, ..person.clone() })))
        });
        let delta = Delta { people: still.collect(), ..Delta::default() };
        if delta.people.is_empty() {
            return Ok(());
        }
        let next = std::sync::Arc::new(current.after(current.generation(), delta)?);
        self.shared.swap(next.clone());
        (self.on_swap)(Seen { snapshot: next, warnings: Vec::new() });
        Ok(())
    }
}
