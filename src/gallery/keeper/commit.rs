//! Carrying a change out.
//!
//! ```text
//!  ChangeSet ─▶ one transaction: rows, audit entries, generation ─▶ head file ─▶ the list of the forgotten
//!                                  │ fails: nothing has changed        ─▶ directory ─▶ snapshot, swapped
//! ```

use std::collections::{BTreeSet, HashMap};

use super::change::{
    ChangeSet, CropChange, IdentityChange, ListChange, Searched, SignerChange, TemplateChange,
};
use super::directory::{Directory, Entry};
use super::{Keeper, Seen};
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::err;
use crate::gallery::command::Actor;
use crate::gallery::crypt::Key;
use crate::gallery::snapshot::{Delta, GallerySnapshot};
use crate::gallery::store::{Content, NewIdentity, NewTemplate, StoredIdentity, Tables, TemplateRow};
use crate::types::ids::IdentityId;

/// What a change left behind.
#[derive(Debug, Clone, Copy)]
pub(in crate::gallery) struct Done {
    /// The gallery's generation now.
    pub(in crate::gallery) generation: u64,
    /// Number of the last entry of the audit log.
    pub(in crate::gallery) audit: u64,
    /// True if nothing that was destroyed is left in the store's files.
    pub(in crate::gallery) wiped: bool,
}

impl Keeper {
    /// Carries the change out: when this returns, it is on the disk, and searches see it.
    pub(in crate::gallery) fn commit(&mut self, actor: &Actor, mut change: ChangeSet) -> Result<Done> {
        self.check_place()?;
        let at = self.clock.now().wall;
        let content = if change.changes_content() { Content::Changed } else { Content::Same };
        let mut chain = self.chain.clone();
        faults::point("commit.begun");
        let (generation, added) = self.store.write(|tables, generation| {
            let next = generation + u64::from(content == Content::Changed);
            let added = write_rows(tables, &change, &self.directory)?;
            faults::point("commit.rows");
            for (draft, key) in &change.entries {
                tables.insert_audit_row(&chain.append(at, actor, next, draft.clone(), key.as_ref())?)?;
            }
            faults::point("commit.audited");
            Ok(((next, added), content))
        })?;
        faults::point("commit.done");
        self.chain = chain;
        self.advance_head();
        faults::point("commit.head");
        let listed = self.tombstones.append(&change.forgotten);
        faults::point("commit.forgotten");
        let wipe = change.wipe;
        let searched = change.searched.take();
        let delta = self.take_in(change, added);
        match searched {
            Some(searched) => self.show_another(searched),
            None => self.show(generation, delta)?,
        }
        let wiped = !wipe || self.store.checkpoint();
        faults::point("commit.wiped");
        // The change stands all the same; but only both together keep somebody forgotten when an older store is put back.
        listed.map_err(|error| {
            let kind = error.kind();
            Error::new(
                kind,
                "the change is in the gallery, but the list beside it of those who were forgotten could not be written; the next \
                 change or start does it",
            )
            .because(error)
        })?;
        Ok(Done { generation, audit: self.chain.head().count, wiped })
    }

    /// A store that was moved away under us would take changes that nobody ever sees.
    pub(super) fn check_place(&self) -> Result<()> {
        if self.store.replaced() {
            return Err(err!(
                Io,
                "gallery {} was moved or replaced while it was in use: put it back, or restart; \
                 `watchlistd gallery restore` replaces a gallery in use",
                self.store.path().display()
            ));
        }
        Ok(())
    }

    /// Makes the directory what the store is now; what the snapshot needs to follow.
    fn take_in(&mut self, change: ChangeSet, added: Vec<TemplateRow>) -> Delta {
        let mut delta = Delta::default();
        let mut touched: BTreeSet<IdentityId> = BTreeSet::new();
        let model = self.model.id;
        for list in change.lists {
            match list {
                ListChange::Put(list) => self.directory.put_list(list),
                ListChange::Remove(name) => self.directory.remove_list(&name),
            }
            // Rules stand in every person on the list.
            touched.extend(self.directory.iter().map(|entry| entry.identity.id));
        }
        let mut removed_people = Vec::new();
        for identity in change.identities {
            match identity {
                IdentityChange::Add(identity) | IdentityChange::Put(identity) => {
                    touched.insert(identity.id);
                    let known = self.directory.remove(identity.id);
                    let (templates, crops) = known.map(|e| (e.templates, e.crops)).unwrap_or_default();
                    self.directory.put(Entry { identity, templates, crops });
                }
                // After the templates: some may move to somebody else first.
                IdentityChange::Remove(id) => removed_people.push(id),
            }
        }
        let mut added = added.into_iter();
        for template in change.templates {
            match template {
                TemplateChange::Add { identity, template } => {
                    if let (Some(row), Some(entry)) = (added.next(), self.directory.get_mut(identity)) {
                        entry.templates.push(row);
                    }
                    if template.embedding.model() == model {
                        delta.added.push((identity, template.id, template.embedding));
                    }
                }
                TemplateChange::Remove(row) => {
                    self.take_out(&row);
                    delta.removed.push((row.identity, row.id));
                }
                TemplateChange::Move { template, to } => {
                    self.take_out(&template.row);
                    let row = TemplateRow { identity: to, ..template.row.clone() };
                    if let Some(entry) = self.directory.get_mut(to) {
                        entry.templates.push(row);
                    }
                    delta.removed.push((template.row.identity, template.row.id));
                    if template.row.model == model {
                        delta.added.push((to, template.row.id, template.embedding));
                    }
                }
            }
        }
        for crop in change.crops {
            let (identity, tag, kept) = match crop {
                CropChange::Put { identity, tag, .. } => (identity, tag, true),
                CropChange::Remove { identity, tag } => (identity, tag, false),
            };
            if let Some(entry) = self.directory.get_mut(identity) {
                if kept {
                    entry.crops.insert(tag)
                } else {
                    entry.crops.remove(&tag)
                };
            }
        }
        for id in removed_people {
            if let Some(entry) = self.directory.remove(id) {
                delta.removed.extend(entry.templates.iter().map(|row| (id, row.id)));
            }
            self.schedule.remove(id);
            touched.insert(id);
        }
        for id in touched {
            if let Some(entry) = self.directory.get(id) {
                self.schedule.set(id, &entry.identity.record, entry.identity.standing);
            }
            delta.people.push((id, self.directory.person(id)));
        }
        delta
    }

    fn take_out(&mut self, row: &TemplateRow) {
        let Some(entry) = self.directory.get_mut(row.identity) else { return };
        entry.templates.retain(|known| known.id != row.id);
        if !entry.templates.iter().any(|known| known.source_tag == row.source_tag) {
            entry.crops.remove(&row.source_tag);
        }
    }

    /// Swaps the next snapshot in.
    fn show(&mut self, generation: u64, delta: Delta) -> Result<()> {
        let current = self.shared.current();
        if generation == current.generation() {
            return Ok(());
        }
        let next = std::sync::Arc::new(current.after(generation, delta)?);
        self.shared.swap(next.clone());
        (self.on_swap)(Seen { snapshot: next, warnings: Vec::new() });
        Ok(())
    }

    /// Another model is searched from now on.
    fn show_another(&mut self, searched: Searched) {
        self.model = searched.model;
        self.shared.swap(searched.snapshot.clone());
        (self.on_swap)(Seen { snapshot: searched.snapshot, warnings: searched.warnings });
    }

    /// The snapshot that is in use now, on a base that was built beside.
    ///
    /// # Errors
    /// `Data`, when it cannot be put together.
    pub(in crate::gallery) fn stand_on(&mut self, rebuilt: &GallerySnapshot) -> Result<()> {
        let next = self.shared.current().onto(rebuilt)?;
        self.shared.swap(std::sync::Arc::new(next));
        Ok(())
    }

    /// The head file follows the chain. It is behind after a kill at the wrong moment, or on a full disk: that is seen and
    /// made good at the next change or start, and meanwhile said.
    pub(super) fn advance_head(&mut self) {
        let head = self.chain.head();
        if let Err(error) = self.head_file.advance(head, self.clock.now().wall) {
            tracing::error!(error = error.chain(), "the audit log's head could not be written");
        }
        tracing::info!(target: "watchlistd::audit", head = %head, "audit log");
    }
}

/// Writes the rows; the rows of the templates that were added, in their order.
fn write_rows(tables: &Tables<'_>, change: &ChangeSet, directory: &Directory) -> Result<Vec<TemplateRow>> {
    let new_keys: HashMap<IdentityId, &Key> = change
        .identities
        .iter()
        .filter_map(|identity| match identity {
            IdentityChange::Add(identity) | IdentityChange::Put(identity) => {
                Some((identity.id, &identity.key))
            }
            IdentityChange::Remove(_) => None,
        })
        .collect();
    let key_of = |id: IdentityId| -> Result<Key> {
        let known = || directory.get(id).map(|entry| &entry.identity.key);
        let key = new_keys.get(&id).copied().or_else(known);
        key.cloned().ok_or_else(|| err!(Data, "the gallery has no identity {id}"))
    };
    release_external_ids(tables, change, directory)?;
    for list in &change.lists {
        match list {
            ListChange::Put(list) => tables.put_list(list)?,
            ListChange::Remove(name) => tables.delete_list(name)?,
        }
    }
    for identity in &change.identities {
        match identity {
            IdentityChange::Add(identity) => tables.insert_identity(&row(identity))?,
            IdentityChange::Put(identity) => tables.update_identity(&row(identity))?,
            IdentityChange::Remove(_) => {}
        }
    }
    let mut added = Vec::new();
    for template in &change.templates {
        match template {
            TemplateChange::Add { identity, template: new } => {
                let new = NewTemplate {
                    id: new.id,
                    embedding: &new.embedding,
                    quality: new.quality,
                    source: &new.source,
                    created: new.created,
                };
                added.push(tables.insert_template(*identity, &key_of(*identity)?, &new)?);
            }
            TemplateChange::Remove(row) => tables.delete_template(row)?,
            TemplateChange::Move { template, to } => tables.reseal_template(*to, &key_of(*to)?, template)?,
        }
    }
    for crop in &change.crops {
        match crop {
            CropChange::Put { identity, tag, bytes } => {
                tables.put_crop(*identity, &key_of(*identity)?, tag, bytes)?;
            }
            CropChange::Remove { identity, tag } => tables.delete_crop(*identity, tag)?,
        }
    }
    for identity in &change.identities {
        if let IdentityChange::Remove(id) = identity {
            tables.delete_identity(*id)?;
        }
    }
    change.forgotten.iter().try_for_each(|forgotten| tables.insert_forgotten(forgotten))?;
    for signer in &change.signers {
        match signer {
            SignerChange::Put(signer) => tables.put_signer(signer)?,
            SignerChange::Remove(key) => tables.delete_signer(key)?,
        }
    }
    change.settings.iter().try_for_each(|(key, value)| tables.set_setting(key, value.as_deref()))?;
    Ok(added)
}

/// An external id may go from one identity to another in one change, in whatever order they stand in it.
fn release_external_ids(tables: &Tables<'_>, change: &ChangeSet, directory: &Directory) -> Result<()> {
    for identity in &change.identities {
        let (id, next) = match identity {
            IdentityChange::Add(_) => continue,
            IdentityChange::Put(identity) => (identity.id, identity.record.external_id.as_ref()),
            IdentityChange::Remove(id) => (*id, None),
        };
        let now = directory.get(id).and_then(|entry| entry.identity.record.external_id.as_ref());
        if now.is_some() && now != next {
            tables.release_external_id(id)?;
        }
    }
    Ok(())
}

fn row(identity: &StoredIdentity) -> NewIdentity<'_> {
    NewIdentity {
        id: identity.id,
        record: &identity.record,
        standing: identity.standing,
        created: identity.created,
        revision: identity.revision,
        key: &identity.key,
        older: &identity.older,
    }
}
