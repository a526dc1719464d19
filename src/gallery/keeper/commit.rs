//! Carrying a change out.
//!
//! ```text
//!  ChangeSet ─▶ one transaction: rows, audit entries, generation; beside it the next snapshot
//!                 │ fails: nothing has changed
//!                 ▼ stands
//!               directory, schedule, snapshot swapped ─▶ head file ─▶ the list of the forgotten ─▶ write-ahead log emptied
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::change::{ChangeSet, CropChange, IdentityChange, ListChange, Searched, TemplateChange};
use super::directory::{Directory, Entry};
use super::{Keeper, Model, Seen};
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::err;
use crate::gallery::command::Actor;
use crate::gallery::crypt::Key;
use crate::gallery::record::Standing;
use crate::gallery::snapshot::{Delta, GallerySnapshot, Person};
use crate::gallery::store::{
    Content, Forgotten, NewIdentity, NewTemplate, StoredIdentity, StoredTemplate, Tables, TemplateRow,
};
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
    /// Carries the change out: when this returns, it is on the disk, and searches see it. What searches use next is made before
    /// the change stands, so that one they could not follow is not made.
    ///
    /// # Errors
    /// What the store gives; then nothing has changed. Where somebody was forgotten and the list beside the store could not be
    /// written, the change stands, and the error says so.
    pub(in crate::gallery) fn commit(&mut self, actor: &Actor, change: ChangeSet) -> Result<Done> {
        self.check_place()?;
        self.expect_all_fit(&change)?;
        let at = self.clock.now().wall;
        let content = if change.changes_content() { Content::Changed } else { Content::Same };
        let mut chain = self.chain.clone();
        faults::point("commit.begun");
        let (directory, shared, model) = (&self.directory, &self.shared, &self.model);
        let staged = self.store.write(|tables, generation| {
            let next = generation + u64::from(content == Content::Changed);
            let added = write_rows(tables, &change, directory)?;
            faults::point("commit.rows");
            for (draft, key) in &change.entries {
                tables.insert_audit_row(&chain.append(at, actor, next, draft.clone(), key.as_ref())?)?;
            }
            let mut staged = Staged::of(change, added, directory, model, at);
            staged.prepare(next, &shared.current())?;
            faults::point("commit.audited");
            Ok((staged, content))
        })?;
        faults::point("commit.done");
        self.chain = chain;
        let (wipe, forgotten) = self.take_over(staged);
        self.advance_head();
        faults::point("commit.head");
        let listed = self.tombstones.append(&forgotten);
        faults::point("commit.forgotten");
        let wiped = !wipe || self.wipe();
        faults::point("commit.wiped");
        match listed {
            Err(error) if !forgotten.is_empty() => return Err(not_listed(error)),
            // Those of an earlier change; that one said so too.
            Err(error) => tracing::error!(
                error = error.chain(),
                "somebody was forgotten before and is not on the list beside the gallery yet"
            ),
            Ok(()) => {}
        }
        Ok(Done { generation: self.shared.current().generation(), audit: self.chain.head().count, wiped })
    }

    /// Makes a change that only searches see: nothing can be stored.
    ///
    /// # Errors
    /// `Data`, when searches cannot follow it.
    pub(super) fn only_in_memory(&mut self, change: ChangeSet) -> Result<()> {
        let current = self.shared.current();
        let at = self.clock.now().wall;
        let mut staged = Staged::of(change, Vec::new(), &self.directory, &self.model, at);
        staged.prepare(current.generation() + 1, &current)?;
        self.take_over(staged);
        Ok(())
    }

    /// Memory becomes what the store is now, and searches use it. Nothing here can fail.
    fn take_over(&mut self, staged: Staged) -> (bool, Vec<Forgotten>) {
        let Staged { lists, identities, rows, crops, next, searched, wipe, forgotten, .. } = staged;
        self.take_in(lists, identities, rows, crops);
        let mut warnings = Vec::new();
        let mut next = next;
        if let Some(searched) = searched {
            (self.model, warnings, next) = (searched.model, searched.warnings, Some(searched.snapshot));
        }
        if let Some(snapshot) = next {
            self.shared.swap(snapshot.clone());
            (self.on_swap)(Seen { snapshot, warnings });
        }
        (wipe, forgotten)
    }

    /// Empties the write-ahead log; true if all of it. Who reads the store right now keeps it from that: it is tried again.
    pub(super) fn wipe(&mut self) -> bool {
        self.owes_wipe = !self.store.checkpoint();
        !self.owes_wipe
    }

    /// The write-ahead log may be emptied now, if somebody kept it from that.
    pub(in crate::gallery) fn wipe_again(&mut self) {
        if self.owes_wipe {
            self.wipe();
        }
    }

    /// A store that was moved away under us would take changes that nobody ever sees.
    pub(super) fn check_place(&self) -> Result<()> {
        if self.broken {
            return Err(err!(
                Software,
                "a command failed half way and the gallery could not be read again: restart the daemon"
            ));
        }
        self.refuse_read_only()?;
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

    /// Makes directory and schedule what the store is now.
    fn take_in(
        &mut self,
        lists: Vec<ListChange>,
        identities: Vec<IdentityChange>,
        rows: Vec<RowChange>,
        crops: Vec<CropChange>,
    ) {
        for list in lists {
            match list {
                ListChange::Put(list) => self.directory.put_list(list),
                ListChange::Remove(name) => self.directory.remove_list(&name),
            }
        }
        let mut removed_people = Vec::new();
        for identity in identities {
            match identity {
                IdentityChange::Add(identity) | IdentityChange::Put(identity) => {
                    self.schedule.set(identity.id, &identity.record, identity.standing);
                    self.ring.put(&identity);
                    let known = self.directory.remove(identity.id);
                    let (templates, crops) = known.map(|e| (e.templates, e.crops)).unwrap_or_default();
                    self.directory.put(Entry { identity, templates, crops });
                }
                // After the templates: some may move to somebody else first.
                IdentityChange::Remove(id) => removed_people.push(id),
            }
        }
        for row in rows {
            match row {
                RowChange::Add(row) => self.put_row(row),
                RowChange::Remove(row) => self.take_out(&row),
                RowChange::Move { row, to } => {
                    self.take_out(&row);
                    self.put_row(TemplateRow { identity: to, ..row });
                }
            }
        }
        for crop in crops {
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
            self.directory.remove(id);
            self.schedule.remove(id);
            self.ring.remove(id);
        }
    }

    fn put_row(&mut self, row: TemplateRow) {
        if let Some(entry) = self.directory.get_mut(row.identity) {
            entry.templates.push(row);
        }
    }

    fn take_out(&mut self, row: &TemplateRow) {
        let Some(entry) = self.directory.get_mut(row.identity) else { return };
        entry.templates.retain(|known| known.id != row.id);
        if !entry.templates.iter().any(|known| known.source_tag == row.source_tag) {
            entry.crops.remove(&row.source_tag);
        }
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

/// A change as memory takes it over, once it is written.
struct Staged {
    lists: Vec<ListChange>,
    identities: Vec<IdentityChange>,
    rows: Vec<RowChange>,
    crops: Vec<CropChange>,
    forgotten: Vec<Forgotten>,
    wipe: bool,
    searched: Option<Searched>,
    delta: Delta,
    /// What searches use next; `None`: what they use now.
    next: Option<Arc<GallerySnapshot>>,
}

/// A template's row that comes, goes or moves; its vector is the snapshot's.
enum RowChange {
    Add(TemplateRow),
    Remove(TemplateRow),
    Move { row: TemplateRow, to: IdentityId },
}

impl Staged {
    /// `added` are the rows of the templates that were added, in their order.
    fn of(
        change: ChangeSet,
        added: Vec<TemplateRow>,
        directory: &Directory,
        searched: &Model,
        at: jiff::Timestamp,
    ) -> Self {
        let model = searched.id;
        let mut delta = Delta { people: people_after(&change, directory, at), ..Delta::default() };
        for id in change.identities.iter().filter_map(|change| match change {
            IdentityChange::Remove(id) => directory.get(*id),
            IdentityChange::Add(_) | IdentityChange::Put(_) => None,
        }) {
            let rows = id.templates.iter().filter(|row| row.model == model);
            delta.removed.extend(rows.map(|row| (row.identity, row.id)));
        }
        let mut rows = Vec::with_capacity(change.templates.len());
        let mut added = added.into_iter();
        for template in change.templates {
            match template {
                TemplateChange::Add { identity, template } => {
                    rows.extend(added.next().map(RowChange::Add));
                    if template.embedding.model() == model {
                        delta.added.push((identity, template.id, template.embedding));
                    }
                }
                TemplateChange::Remove(row) => {
                    if row.model == model {
                        delta.removed.push((row.identity, row.id));
                    }
                    rows.push(RowChange::Remove(row));
                }
                TemplateChange::Move { template, to } => {
                    let StoredTemplate { row, embedding, .. } = template;
                    if row.model == model {
                        delta.removed.push((row.identity, row.id));
                        // One that does not fit was stored without looking: nobody searches for it, and it may be somebody else's.
                        if searched.fits(&embedding) {
                            delta.added.push((to, row.id, embedding));
                        }
                    }
                    rows.push(RowChange::Move { row, to });
                }
            }
        }
        Self {
            lists: change.lists,
            identities: change.identities,
            rows,
            crops: change.crops,
            forgotten: change.forgotten,
            wipe: change.wipe,
            searched: change.searched,
            delta,
            next: None,
        }
    }

    /// Makes what searches use after the change, of that generation.
    fn prepare(&mut self, generation: u64, current: &GallerySnapshot) -> Result<()> {
        let delta = std::mem::take(&mut self.delta);
        if self.searched.is_none() && generation != current.generation() {
            self.next = Some(Arc::new(current.after(generation, delta)?));
        }
        Ok(())
    }
}

/// Everybody whom the change touches, as searches see them after it. Rules of lists stand in every person on the list.
fn people_after(
    change: &ChangeSet,
    directory: &Directory,
    at: jiff::Timestamp,
) -> Vec<(IdentityId, Option<Person>)> {
    let rules = directory.rules_after(&change.lists);
    let person = |identity: &StoredIdentity| {
        let person = Person::of(&identity.record, identity.standing, &rules);
        // Whose end could not be put on record yet does not come back with another change.
        let over = identity.record.standing_at(at) == Standing::Expired;
        Some(Person { searched: person.searched && !over, ..person })
    };
    let mut people = BTreeMap::new();
    if !change.lists.is_empty() {
        people.extend(directory.iter().map(|entry| (entry.identity.id, person(&entry.identity))));
    }
    for identity in &change.identities {
        if let IdentityChange::Add(identity) | IdentityChange::Put(identity) = identity {
            people.insert(identity.id, person(identity));
        }
    }
    for identity in &change.identities {
        if let IdentityChange::Remove(id) = identity {
            people.insert(*id, None);
        }
    }
    people.into_iter().collect()
}

fn not_listed(error: Error) -> Error {
    let kind = error.kind();
    Error::new(
        kind,
        "the change is in the gallery, but the list beside it of those who were forgotten could not be written; the next change or \
         start does it",
    )
    .because(error)
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
    change.signers.iter().try_for_each(|signer| tables.put_signer(signer))?;
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
