//! What happens by itself when its time comes.

use std::time::Duration;

use super::Keeper;
use super::change::{ChangeSet, IdentityChange};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::Actor;
use crate::gallery::record::Standing;

impl Keeper {
    /// How long to wait before [`Keeper::tick`] may have something to do.
    pub fn wait(&self) -> Duration {
        self.schedule.wait(self.clock.now().wall)
    }

    /// Starts and ends what is due now: how many.
    ///
    /// # Errors
    /// As a commit; then nothing has changed, and the next tick tries again.
    pub fn tick(&mut self) -> Result<usize> {
        let due = self.schedule.due(self.clock.now().wall);
        if due.is_empty() {
            return Ok(0);
        }
        let mut change = ChangeSet::default();
        let mut standings = std::collections::BTreeMap::new();
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
            // Of two steps at once the last is what is stored.
            standings.insert(step.id, identity);
        }
        change.identities = standings.into_values().map(IdentityChange::Put).collect();
        match self.commit(&Actor::daemon(), change) {
            Ok(_) => Ok(due.len()),
            Err(error) => {
                self.schedule.put_back(&due);
                Err(error)
            }
        }
    }
}
