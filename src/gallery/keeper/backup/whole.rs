//! A backup taken as it is, by a gallery that nobody was ever in: the box takes the place of the one that made it.
//!
//! ```text
//!  the head is taken away ─▶ one transaction: the backup's rows, keys and log; the forgotten; an entry ─▶ the head of that log
//!                                                                                   └─▶ directory, snapshot, what is due by now
//! ```
//!
//! It goes on with the backup's audit log, signing key, signers and generation. Of its own it keeps the master key, the list of
//! the forgotten and the model that is configured.

use std::collections::HashSet;

use super::super::change::{IdentityChange, TemplateChange};
use super::super::load::Everything;
use super::super::open::read_model;
use super::super::{ChangeSet, Directory, Keeper, Seen, forget, steps};
use super::held::Held;
use crate::base::error::Result;
use crate::base::faults;
use crate::gallery::audit::{self, Action, Chain, Draft, Filter, HeadFile, select};
use crate::gallery::command::{Actor, Progress};
use crate::gallery::life::Schedule;
use crate::gallery::report::BackedUp;
use crate::gallery::store::{Forgotten, Store};
use crate::types::ids::IdentityId;

impl Keeper {
    /// True if nobody was ever in this store: a backup finds nothing in it that would have to go on.
    pub(super) fn was_never_used(&self) -> Result<bool> {
        if self.directory.iter().next().is_some() {
            return Ok(false);
        }
        let logged = |action| {
            let filter = Filter { action: Some(action), ..Filter::default() };
            self.store.read(|tables| Ok(!select(tables.audit_rows(), &filter)?.is_empty()))
        };
        Ok(!(logged(Action::Enrolled)? || logged(Action::Imported)? || logged(Action::Restored)?))
    }

    /// Makes the gallery what the backup is, but for those who were forgotten.
    pub(super) fn take_whole(
        &mut self,
        actor: &Actor,
        backup: &Store,
        held: &Held,
        report: &mut BackedUp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        self.check_place()?;
        let own = self.forgotten()?;
        let gone: HashSet<IdentityId> = own.iter().chain(&held.forgotten).map(|f| f.identity).collect();
        let gone: Vec<IdentityId> = held.ids().into_iter().filter(|id| gone.contains(id)).collect();
        let stays = |id: &IdentityId| !gone.contains(id);
        report.forgotten = gone.len() as u64;
        report.identities = held.identities.iter().filter(|identity| stays(&identity.id)).count() as u64;
        report.templates = held.templates.values().filter(|t| stays(&t.row.identity)).count() as u64;
        report.whole = true;
        self.tell_of_its_log(backup)?;
        steps::tell(progress, "storing");
        // It is of the log that goes, and a log without a head is one that begins again; one with another's is suspect.
        self.head_file.remove()?;
        faults::point("restore.planned");
        match self.replace_rows(actor, backup, held, &own, &gone, report) {
            Ok(chain) => self.chain = chain,
            Err(error) => {
                let _ = self.head_file.accept(self.chain.head(), self.clock.now().wall);
                return Err(error);
            }
        }
        self.begin_anew(held)
    }

    /// The one transaction.
    fn replace_rows(
        &mut self,
        actor: &Actor,
        backup: &Store,
        held: &Held,
        own: &[Forgotten],
        gone: &[IdentityId],
        report: &mut BackedUp,
    ) -> Result<Chain> {
        let at = self.clock.now().wall;
        let replaced = self.chain.head();
        let mut known: HashSet<IdentityId> = held.forgotten.iter().map(|f| f.identity).collect();
        let directory = backup.read(Directory::read)?;
        let (chain, now) = self.store.become_other(backup, |tables, generation| {
            let mut chain = Chain::resume(tables.keys().audit.clone(), tables.last_audit_row()?.as_ref());
            let mut change = ChangeSet::default();
            change.say(
                Draft::new(Action::Restored)
                    .with("generation", report.generation)
                    .with("identities", report.identities)
                    .with("templates", report.templates)
                    .with("forgotten", report.forgotten)
                    .with("master_key", report.master_key.as_str())
                    .with("onto", "an empty gallery")
                    .with("replaced_head", replaced.to_string()),
            );
            for id in gone {
                forget::plan(&directory, *id, Some("was forgotten since the backup"), &[], &mut change)?;
            }
            let pictures = own.iter().chain(&held.forgotten).flat_map(|f| &f.templates).copied().collect();
            forget::plan_pictures(&directory, &pictures, &mut change);
            for template in &change.templates {
                if let TemplateChange::Remove(row) = template {
                    tables.delete_template(row)?;
                }
            }
            for identity in change.identities {
                if let IdentityChange::Remove(id) = identity {
                    tables.delete_identity(id)?;
                }
            }
            for forgotten in own {
                if known.insert(forgotten.identity) {
                    tables.insert_forgotten(forgotten)?;
                }
            }
            for (draft, key) in change.entries {
                tables.insert_audit_row(&chain.append(at, actor, generation, draft, key.as_ref())?)?;
            }
            Ok((chain, generation))
        })?;
        report.now = now;
        Ok(chain)
    }

    /// Everything that is held in memory, from what the store is now.
    fn begin_anew(&mut self, held: &Held) -> Result<()> {
        let now = self.clock.now().wall;
        self.head_file =
            HeadFile::new(self.store.path().with_extension("head"), self.store.keys().audit.clone());
        if let Err(error) = self.head_file.accept(self.chain.head(), now) {
            tracing::error!(error = error.chain(), "the audit log's head could not be written");
        }
        self.store.checkpoint();
        let given = self.model.clone();
        if given.name.is_empty()
            && let Some(model) = &held.model
        {
            self.model = model.clone();
        }
        let index = self.shared.current().choice();
        let (model, on_swap) = (&self.model, &self.on_swap);
        let (mut everything, stored) =
            self.store.read(|tables| Ok((Everything::read(tables, model)?, read_model(tables)?)))?;
        self.directory = everything.directory.clone();
        // Not for a moment is anybody searched for whose time was over: what is stored follows below.
        everything.directory.at(now);
        let (snapshot, warnings) = everything.gathered(model, index).1.build()?;
        self.ring.replace(self.directory.iter().map(|entry| &entry.identity));
        self.schedule = Schedule::default();
        for entry in self.directory.iter() {
            self.schedule.set(entry.identity.id, &entry.identity.record, entry.identity.standing);
        }
        self.shared.swap(std::sync::Arc::new(snapshot));
        on_swap(Seen { snapshot: self.shared.current(), warnings });
        // The rest is made good by the next start, if it fails now.
        let rest = self
            .forget_again()
            .and_then(|()| self.note_model(Some(given).filter(|given| !given.name.is_empty()), stored))
            .and_then(|()| self.tick().map(drop));
        if let Err(error) = rest {
            tracing::error!(error = error.chain(), "the restored gallery could not be brought up to date");
        }
        Ok(())
    }

    /// A backup of a gallery whose log was damaged is taken all the same: people come first, and the log still says so.
    fn tell_of_its_log(&self, backup: &Store) -> Result<()> {
        let key = &backup.keys().audit;
        let report = backup.read(|tables| Ok(audit::verify(key, tables.audit_rows(), &[])))?;
        for problem in report.sentences() {
            tracing::warn!("the backup's audit log: {problem}");
        }
        Ok(())
    }
}
