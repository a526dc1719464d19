//! Forgetting somebody: the key, and with it everything that was ever sealed under it.

use super::change::{ChangeSet, IdentityChange};
use super::{Directory, Keeper};
use crate::base::error::Result;
use crate::err;
use crate::gallery::audit::{Action, Draft, Filter, select};
use crate::gallery::command::{Actor, Who};
use crate::gallery::record::Standing;
use crate::gallery::report::Receipt;
use crate::gallery::store::Forgotten;
use crate::types::ids::IdentityId;

/// Neighbours that are looked through for somebody who must not be among them.
const AROUND: usize = 16;

/// What forgetting an identity changes.
pub(super) fn plan(
    directory: &Directory,
    id: IdentityId,
    reason: Option<&str>,
    change: &mut ChangeSet,
) -> Result<()> {
    let entry = directory.expect(id)?;
    let mut draft = Draft::new(Action::Forgotten)
        .about_id(id)
        .member(Vec::<String>::new(), Standing::Expired)
        .with("templates", entry.templates.len())
        .with("crops", entry.crops.len());
    if let Some(reason) = reason {
        draft = draft.with("reason", reason);
    }
    change.say(draft);
    change.identities.push(IdentityChange::Remove(id));
    change.wipe = true;
    Ok(())
}

impl Keeper {
    /// Destroys an identity, and looks that it is gone.
    pub(super) fn forget(&mut self, actor: &Actor, who: &Who, reason: Option<String>) -> Result<Receipt> {
        let id = self.directory.find(who)?;
        let entry = self.directory.expect(id)?;
        let (templates, crops) = (entry.templates.len() as u64, entry.crops.len() as u64);
        // In memory until the search has been tried; wiped when they go.
        let gone = self.store.read(|tables| tables.templates_of(id, &entry.identity.key)).unwrap_or_default();
        let at = self.clock.now().wall;
        let external_id = entry.identity.record.external_id.clone();
        let external_tag = match external_id {
            Some(external) => Some(self.store.read(|tables| Ok(tables.external_tag(&external)))?),
            None => None,
        };
        let mut change = ChangeSet::default();
        plan(&self.directory, id, reason.as_deref(), &mut change)?;
        change.forgotten.push(Forgotten { identity: id, external_tag, at });
        let beyond = self.beyond()?;
        let done = self.commit(actor, change)?;

        let snapshot = self.shared.current();
        let probes: Vec<_> = gone.iter().filter(|t| t.row.model == snapshot.model()).collect();
        let returned = probes
            .iter()
            .filter(|t| {
                snapshot.nearest_of_all(&t.embedding, AROUND).iter().any(|found| found.identity == id)
            })
            .count() as u64;
        if returned > 0 {
            return Err(err!(
                Software,
                "identity {id} was removed and a search still finds it: stop the daemon, and report this"
            ));
        }
        Ok(Receipt {
            identity: id,
            at,
            templates,
            crops,
            wiped: done.wiped,
            probes: probes.len() as u64,
            returned,
            generation: done.generation,
            audit: done.audit,
            beyond,
        })
    }

    /// What forgetting cannot reach, from what the audit log says was taken out.
    fn beyond(&self) -> Result<Vec<String>> {
        let taken = |action: Action| -> Result<(usize, Option<jiff::Timestamp>)> {
            let filter = Filter { action: Some(action), ..Filter::default() };
            let found = self.store.read(|tables| select(tables.audit_rows(), &filter))?;
            Ok((found.len(), found.last().map(|(_, entry)| entry.at)))
        };
        let mut beyond = Vec::new();
        for (action, what, advice) in [
            (Action::BackedUp, "backup", "delete them; a restore from one forgets this identity again"),
            (Action::Exported, "export", "delete them, and have it forgotten where they were imported"),
        ] {
            let (count, last) = taken(action)?;
            beyond.push(match last {
                Some(last) => format!("{what}s made: {count}, the last at {last}: {advice}"),
                None => {
                    format!("no {what} was ever made by this program; copies of the disk are not known to it")
                }
            });
        }
        beyond.push(
            "events about this identity that were delivered: whoever received them has its id, and its name if it was published"
                .to_owned(),
        );
        beyond.push(
            "what the file system or a flash drive keeps of overwritten blocks: it is encrypted, and its key is among it only until \
             the block is used again"
                .to_owned(),
        );
        Ok(beyond)
    }
}
