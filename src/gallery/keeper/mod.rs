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
mod forget;
mod life;
mod lists;
mod look;
mod open;
mod policy;
mod rotate;
mod steps;
mod switch;
mod verify;

#[cfg(test)]
pub(in crate::gallery) mod tests;

use std::sync::Arc;

use serde::Serialize;

pub(in crate::gallery) use change::ChangeSet;
pub(in crate::gallery) use directory::{Directory, Entry};
pub(in crate::gallery) use open::load;
pub use open::{Model, Opening};
pub use switch::execute_shared;
pub use verify::Damaged;

use super::audit::{Chain, HeadFile};
use super::command::{Actor, Command, Desk, Progress, Reply};
use super::life::Schedule;
use super::lock::Lock;
use super::master::KeySource;
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
    embedders: Option<Arc<dyn Embedders>>,
    // Held for the keeper's life.
    _lock: Lock,
}

impl Keeper {
    /// The snapshot in use, for those who search.
    pub fn shared(&self) -> Arc<SharedGallery> {
        self.shared.clone()
    }

    /// From now on other models can be had, which a switch needs.
    pub fn set_embedders(&mut self, embedders: Arc<dyn Embedders>) {
        self.embedders = Some(embedders);
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
        match command {
            Command::Describe => json(&self.describe()?),
            Command::Known { subject, model, sources } => json(&self.known(&subject, model, &sources)?),
            Command::Enrol { subject, template, review } => {
                json(&self.enrol(actor, subject, &template, body, review)?)
            }
            Command::List { list, standing, text } => {
                json(&self.list(list.as_ref(), standing, text.as_deref()))
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
            Command::Confusable { most } => json(&self.confusable(most)),
            Command::AuditVerify { head } => json(&self.audit_verify(head.as_deref())?),
            Command::AuditHead => json(&self.audit_head()),
            Command::AuditShow { filter } => json(&self.audit_show(&filter)?),
            Command::AuditAt { at } => json(&self.audit_at(at)?),
            command @ (Command::SwitchModel { .. } | Command::RollbackModel) => {
                json(&switch::run(&mut switch::Alone(self), actor, &command, progress)?)
            }
            Command::Verify => json(&self.verify(progress)?),
            Command::KeyExport { recipients, passphrase } => self.key_export(actor, recipients, passphrase),
            Command::KeyRotate { key, deep } => {
                json(&self.key_rotate(actor, key.as_ref(), deep, progress)?)
            }
            Command::Export { lists, recipients, crops } => {
                self.export(actor, &lists, &recipients, crops, progress)
            }
            Command::Import { dry_run, force, identity } => {
                json(&self.import(actor, body, identity.as_ref(), dry_run, force, progress)?)
            }
            Command::Trusted => json(&self.trusted()?),
            Command::Trust { key, label } => json(&self.trust(actor, &key, &label)?),
            Command::Distrust { key } => json(&self.distrust(actor, &key)?),
            Command::Backup => self.backup(actor, progress),
            Command::Restore { key } => json(&self.restore(actor, body, key.as_ref(), progress)?),
        }
    }
}

/// A keeper of the tool's own, that acts for whoever started the tool.
pub struct Own {
    keeper: Keeper,
    actor: Actor,
}

impl Own {
    /// The keeper, and who is at the terminal.
    pub fn new(keeper: Keeper, actor: Actor) -> Self {
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
