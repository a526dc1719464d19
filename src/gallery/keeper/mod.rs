//! The one owner of an open gallery.
//!
//! ```text
//!                 ┌──────────────────────── Keeper ─────────────────────────┐
//!  Command ─▶ plan a ChangeSet ─▶ commit ─▶ Store (rows, audit, generation)  │
//!  Reply   ◀─ from the Directory            head file, list of the forgotten │
//!                 │                         Directory, Schedule              │
//!                 └────────────────────────────── SharedGallery ─────────────┘
//!                                                     ▲ swapped before the command answers; searches hold what they have
//! ```
//!
//! The lock beside the store keeps a second keeper out. The daemon holds one for its life; a tool holds one for a command when no
//! daemon does.

mod audit;
mod backup;
mod change;
mod commit;
mod directory;
mod edit;
mod enrol;
mod exchange;
mod fit;
mod forget;
mod held;
mod life;
mod lists;
mod load;
mod look;
mod open;
mod policy;
mod read_only;
mod review;
mod rotate;
mod snapshots;
mod steps;
mod switch;
mod verify;

#[cfg(test)]
pub(in crate::gallery) mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use serde::Serialize;

pub(in crate::gallery) use change::ChangeSet;
pub(in crate::gallery) use directory::{Directory, Entry};
pub use held::{execute_shared, hold, try_hold};
pub(in crate::gallery) use load::{Everything, gather};
pub use open::{Model, Opening};
pub use policy::{Estimated, Thresholds};
pub use verify::Damaged;

use super::audit::{Chain, HeadFile, Problem};
use super::command::{Actor, Command, Desk, Progress, Reply};
use super::crypt::Key;
use super::keyring::KeyRing;
use super::life::Schedule;
use super::lock::Lock;
use super::master::KeySource;
use super::outside;
use super::review::EventReview;
use super::shared::SharedGallery;
use super::snapshot::{GallerySnapshot, Warning};
use super::store::Store;
use super::succession::Embedders;
use super::tombstones::Tombstones;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::err;

/// What is told whenever another snapshot is in use.
pub struct Seen {
    /// The snapshot.
    pub snapshot: Arc<GallerySnapshot>,
    /// What an operator should know of it.
    pub warnings: Vec<Warning>,
}

/// Where other models come from, once somebody says so.
pub type Offered = Arc<Mutex<Option<Arc<dyn Embedders>>>>;

/// The open gallery.
pub struct Keeper {
    store: Store,
    directory: Directory,
    chain: Chain,
    head_file: HeadFile,
    tombstones: Tombstones,
    schedule: Schedule,
    shared: Arc<SharedGallery>,
    model: Model,
    key_source: KeySource,
    keeps_crops: bool,
    clock: Arc<dyn Clock>,
    on_swap: Box<dyn Fn(Seen) + Send>,
    embedders: Offered,
    /// Who hears of operators' verdicts.
    reviewed: Option<Sender<EventReview>>,
    ring: KeyRing,
    /// What is kept of the enrolled outside.
    outside: outside::Place,
    /// True while something that was destroyed may still be in the write-ahead log.
    owes_wipe: bool,
    /// True after a command panicked and the store could not be read again.
    broken: bool,
    /// What was wrong with the head file when the gallery was opened, and is not to be seen in it any more.
    head_problem: Option<Problem>,
    // Held for the keeper's life.
    _lock: Option<Lock>,
}

impl Keeper {
    /// The snapshot in use, for those who search.
    pub fn shared(&self) -> Arc<SharedGallery> {
        self.shared.clone()
    }

    /// Where other models come from, once somebody sets it: whoever does need not wait for the keeper.
    pub fn embedders(&self) -> Offered {
        self.embedders.clone()
    }

    /// The identities' keys, for the event log.
    pub fn ring(&self) -> KeyRing {
        self.ring.clone()
    }

    /// The key that binds the event log. It is the gallery's, and another one only in another gallery.
    pub fn events_key(&self) -> Key {
        self.store.keys().events()
    }

    /// From now on other models can be had, which a switch needs.
    pub fn set_embedders(&mut self, embedders: Arc<dyn Embedders>) {
        *self.embedders.lock().unwrap_or_else(PoisonError::into_inner) = Some(embedders);
    }

    /// Carries a command out.
    ///
    /// # Errors
    /// What the command gives; the gallery is then as it was.
    pub fn execute(
        &mut self,
        actor: &Actor,
        command: Command,
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        held::carry_out(&mut held::Alone(self), actor, command, body, progress)
    }

    /// Carries out what is done in a moment, or must not be interrupted.
    fn at_once(
        &mut self,
        actor: &Actor,
        command: Command,
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        match command {
            Command::Describe => json(&self.describe()?),
            Command::Known { subject, model, sources } => json(&self.known(&subject, model, &sources)?),
            Command::Enrol { subject, template, review } => {
                json(&self.enrol(actor, subject, template, body, review)?)
            }
            Command::EnrolMany { offers, review } => json(&self.enrol_many(actor, offers, body, review)?),
            Command::List { list, standing, text } => {
                json(&self.list(list.as_ref(), standing, text.as_deref())?)
            }
            Command::Show { who } => json(&self.show_one(&who)?),
            Command::Change { who, change } => json(&self.change(actor, &who, *change)?),
            Command::Reviewed { who, next } => json(&self.reviewed(actor, &who, next)?),
            Command::Merge { from, into } => json(&self.merge(actor, &from, &into)?),
            Command::Split { who, templates, name } => json(&self.split(actor, &who, &templates, name)?),
            Command::MoveTemplate { template, to } => json(&self.move_template(actor, &template, &to)?),
            Command::RemoveTemplate { template } => json(&self.remove_template(actor, &template)?),
            Command::Forget { who, reason } => json(&self.forget(actor, &who, reason)?),
            Command::Lists => json(&self.lists()),
            Command::SetList { list } => json(&self.set_list(actor, list)?),
            Command::RemoveList { name } => json(&self.remove_list(actor, &name)?),
            Command::AuditVerify { head } => json(&self.audit_verify(head.as_deref())?),
            Command::AuditHead => json(&self.audit_head()),
            Command::AuditAcceptHead => json(&self.audit_accept_head(actor)?),
            Command::AuditShow { filter } => json(&self.audit_show(&filter)?),
            Command::Snapshot { id, kind } => self.snapshot(actor, id, kind),
            Command::ReviewEvent { review } => json(&self.review_event(actor, &review)?),
            Command::Reviews => json(&self.reviews()?),
            Command::AuditAt { at } => json(&self.audit_at(at)?),
            Command::Trusted => json(&self.trusted()?),
            Command::Trust { key, label } => json(&self.trust(actor, &key, &label)?),
            Command::Distrust { key } => json(&self.distrust(actor, &key)?),
            Command::Backup => self.backup(actor, progress),
            Command::RestorePreview { key } => json(&self.restore_preview(body, key.as_ref(), progress)?),
            Command::Restore { key } => json(&self.restore(actor, body, key.as_ref(), progress)?),
            Command::Confusable { .. }
            | Command::Verify
            | Command::KeyExport { .. }
            | Command::KeyRotate { .. }
            | Command::Export { .. }
            | Command::Import { .. }
            | Command::SwitchModel { .. }
            | Command::RollbackModel => Err(err!(Software, "a long command came to the wrong place")),
        }
    }
}

/// A keeper of the tool's own, that acts for whoever started the tool.
pub struct Own {
    keeper: Keeper,
    actor: Actor,
}

impl Own {
    /// The keeper, and who is at the terminal. Nobody ticks where no daemon runs, so what is due happens now.
    pub fn new(mut keeper: Keeper, actor: Actor) -> Self {
        keeper.catch_up();
        Self { keeper, actor }
    }
}

impl Desk for Own {
    fn ask(&mut self, command: Command, body: Vec<u8>, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        let body = zeroize::Zeroizing::new(body);
        self.keeper.execute(&self.actor, command, &body, progress)
    }
}

fn json(report: &impl Serialize) -> Result<Reply> {
    let value =
        serde_json::to_value(report).map_err(|e| err!(Software, "a report that is no JSON").because(e))?;
    Ok(Reply { value, body: Vec::new() })
}
