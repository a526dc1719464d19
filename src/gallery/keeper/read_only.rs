//! A gallery on a file system that nobody can write to: a box whose disk is failing, a copy that is looked at. It is read, searched
//! and taken out; nothing in it changes but in memory, where validities begin and end with the clock.

use super::{ChangeSet, Directory, Keeper};
use crate::base::error::Result;
use crate::err;
use crate::gallery::audit::compare;
use crate::gallery::command::Actor;
use crate::gallery::record::Standing;
use crate::gallery::store::Store;
use crate::gallery::tombstones::Tombstones;

/// Makes the directory what is to be searched for now: nothing of that can be stored.
pub(super) fn as_of_now(
    directory: &mut Directory,
    store: &Store,
    listed: &Tombstones,
    now: jiff::Timestamp,
) -> Result<()> {
    directory.at(now);
    let mut gone = store.read(|tables| tables.forgotten())?;
    gone.extend(listed.read()?);
    directory.without_templates(&gone.iter().flat_map(|forgotten| &forgotten.templates).copied().collect());
    for id in gone.iter().map(|forgotten| forgotten.identity) {
        if let Some(entry) = directory.get_mut(id) {
            tracing::warn!(identity = %id, "was forgotten and is in this older store: is not searched for");
            entry.identity.standing = Standing::Expired;
            entry.identity.record.lists.clear();
        }
    }
    Ok(())
}

impl Keeper {
    /// True if nothing here can be changed.
    pub fn read_only(&self) -> bool {
        self.store.is_read_only()
    }

    /// What an operator has to know of it.
    pub(super) fn tell_read_only(&self) -> Result<()> {
        tracing::warn!(
            "gallery {} is on a read-only file system: it is read and searched, nothing in it can be changed, and what is taken out \
             of it is not on record",
            self.store.path().display()
        );
        let last = self.chain.head();
        let mac_at =
            |count| self.store.read(|tables| tables.audit_row(count)).ok().flatten().map(|row| row.mac);
        if let Some(problem) =
            compare(self.head_file.read()?, mac_at, last).problem("the head kept beside the gallery")
        {
            tracing::error!(target: "watchlistd::audit", "{problem}");
        }
        Ok(())
    }

    pub(super) fn refuse_read_only(&self) -> Result<()> {
        if self.read_only() {
            return Err(err!(
                Permission,
                "gallery {} is on a read-only file system: nothing in it can be changed. Make the file system writable and restart, or \
                 copy the gallery with all files beside it to another one (gallery.path)",
                self.store.path().display()
            ));
        }
        Ok(())
    }

    /// Commits what is only an entry of the audit log, where there is anything to write it to.
    pub(super) fn on_record(&mut self, actor: &Actor, change: ChangeSet) -> Result<()> {
        if self.read_only() {
            tracing::warn!("this is not on record: the gallery is on a read-only file system");
            return Ok(());
        }
        self.commit(actor, change).map(drop)
    }
}
