//! The whole store as a file, and back.
//!
//! ```text
//!  store ─VACUUM INTO─▶ gallery.db.backup-tmp ─▶ the answer's body          sealed as the store is; never the master key
//!
//!  the command's body ─▶ gallery.db.restore-tmp ─▶ opened, all of it verified ─▶ what differs from the present ─▶ one commit
//!                                                  under today's master key, or the one of its time
//! ```
//!
//! A restore changes the store that is in use, and so goes on with its audit log, its list of the forgotten and its signers. Where
//! nobody was ever in, it takes the backup whole, with its log, its signing key and its signers.
//! Searches use the old snapshot until the new one is whole.

mod aside;
mod held;
mod replace;
mod restore;
mod whole;

use aside::Aside;
pub(super) use aside::remove_leftovers;
pub(super) use replace::{look_at, replace};

use super::{ChangeSet, Keeper, json, steps};
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::{Actor, Progress, Reply};
use crate::gallery::report::BackedUp;

impl Keeper {
    /// A compact copy of the store, in the answer's body. It is on record before it is made, so that the copy says so too: as begun,
    /// for what becomes of the file only its writer knows. One that fails here has a second entry.
    pub(super) fn backup(&mut self, actor: &Actor, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        let generation = self.store.read(|tables| tables.generation())?;
        let report = BackedUp {
            generation,
            now: generation,
            identities: self.directory.iter().count() as u64,
            templates: self.directory.iter().map(|entry| entry.templates.len() as u64).sum(),
            forgotten: 0,
            master_key: self.store.keys().master().to_string(),
            gone: Vec::new(),
            whole: true,
        };
        let mut change = ChangeSet::default();
        change.say(
            Draft::new(Action::BackedUp)
                .with("stage", "begun")
                .with("identities", report.identities)
                .with("templates", report.templates)
                .with("master_key", report.master_key.as_str()),
        );
        self.on_record(actor, change)?;
        match self.copied(progress) {
            Ok(body) => Ok(Reply { body, ..json(&report)? }),
            Err(error) => {
                let mut change = ChangeSet::default();
                change.say(Draft::new(Action::BackedUp).with("stage", "failed"));
                if let Err(second) = self.on_record(actor, change) {
                    tracing::warn!(error = second.chain(), "that the backup failed is not in the audit log");
                }
                Err(error)
            }
        }
    }

    fn copied(&self, progress: &mut dyn FnMut(Progress)) -> Result<Vec<u8>> {
        if self.read_only() {
            // Nobody can write to it, and there is no write-ahead log beside it: the file is all there is.
            let path = self.store.path();
            return std::fs::read(path).map_err(|e| Error::io("read", path, e));
        }
        steps::tell(progress, "copying the gallery");
        let copy = Aside::empty(self.store.path(), aside::BACKUP)?;
        self.store.copy_to(copy.path())?;
        faults::point("backup.copied");
        steps::tell(progress, "reading the copy");
        std::fs::read(copy.path()).map_err(|e| Error::io("read the backup", copy.path(), e))
    }
}
