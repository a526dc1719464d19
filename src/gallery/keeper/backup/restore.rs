//! Turning what is stored into what a backup holds.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::change::{ChangeSet, CropChange, IdentityChange, ListChange, NewTemplate, TemplateChange};
use super::super::open::model_settings;
use super::super::{Keeper, lists, steps};
use super::aside::{self, Aside};
use super::held::{self, Held, HeldCrop};
use crate::base::error::Result;
use crate::base::faults;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Actor, Progress, SecretText};
use crate::gallery::record::ListName;
use crate::gallery::report::BackedUp;
use crate::gallery::store::{Forgotten, StoredIdentity, StoredTemplate, Tables};
use crate::types::ids::{IdentityId, TemplateId};

/// What happens to one identity, for its entry in the audit log.
#[derive(Default)]
struct Tally {
    added: u64,
    removed: u64,
    crops: u64,
}

/// A restore as it is worked out.
struct Planner<'a> {
    keeper: &'a Keeper,
    /// Those who come back, as they will be.
    back: BTreeMap<IdentityId, StoredIdentity>,
    tallies: BTreeMap<IdentityId, Tally>,
    change: ChangeSet,
}

impl Keeper {
    /// Puts a backup in place of what is stored, but for those who were forgotten. Where nobody was ever in, the gallery becomes
    /// what the backup is, its log and keys included.
    pub(in crate::gallery::keeper) fn restore(
        &mut self,
        actor: &Actor,
        backup: &[u8],
        key: Option<&SecretText>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BackedUp> {
        held::refuse_what_is_no_store(backup)?;
        let file = Aside::holding(self.store.path(), aside::RESTORE, backup)?;
        let (backup, mut held) = self.read_backup(file.path(), key, progress)?;
        let mut report = report_of(&held);
        if self.was_never_used()? {
            self.take_whole(actor, &backup, &held, &mut report, progress)?;
        } else {
            drop((backup, file));
            steps::tell(progress, "comparing");
            let change = self.turned_into(&mut held, &mut report)?;
            faults::point("restore.planned");
            steps::tell(progress, "storing");
            report.now = self.commit(actor, change)?.generation;
        }
        let searched = self.model.id;
        let of_model = self.directory.iter().flat_map(|e| &e.templates).any(|row| row.model == searched);
        if report.templates > 0 && !of_model {
            tracing::warn!(
                model = %searched,
                "the restored gallery has no template of the model in use: nobody is recognised until it is the model of the \
                 backup's time again (watchlistd models rollback), or everybody is enrolled again"
            );
        }
        Ok(report)
    }

    /// What [`Keeper::restore`] would do. Nothing is changed.
    pub(in crate::gallery::keeper) fn restore_preview(
        &self,
        backup: &[u8],
        key: Option<&SecretText>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BackedUp> {
        let file = Aside::holding(self.store.path(), aside::RESTORE, backup)?;
        let (_, mut held) = self.read_backup(file.path(), key, progress)?;
        drop(file);
        steps::tell(progress, "comparing");
        let mut report = report_of(&held);
        report.whole = self.was_never_used()?;
        self.turned_into(&mut held, &mut report)?;
        report.now = self.store.read(|tables| tables.generation())?;
        Ok(report)
    }

    fn turned_into(&self, held: &mut Held, report: &mut BackedUp) -> Result<ChangeSet> {
        let stored = self.store.read(|tables| tables.forgotten())?;
        let known = self.forgotten()?;
        let all = || known.iter().chain(&held.forgotten);
        let forgotten: HashSet<IdentityId> = all().map(|f| f.identity).collect();
        let pictures: HashSet<TemplateId> = all().flat_map(|f| &f.templates).copied().collect();
        let in_backup = held.ids();
        let mut planner = Planner {
            keeper: self,
            back: self.coming_back(held, &forgotten),
            tallies: BTreeMap::new(),
            change: ChangeSet { forgotten: lacking(held, &stored, self), ..ChangeSet::default() },
        };
        report.forgotten = in_backup.intersection(&forgotten).count() as u64;
        report.identities = planner.back.len() as u64;
        held.templates.retain(|id, template| {
            let fits = self.model.fits(&template.embedding);
            if !fits {
                tracing::warn!(
                    identity = %template.row.identity, template = %template.row.id, dimension = template.embedding.dimension(),
                    "a template in the backup has another number of numbers than its model gives, and is left out"
                );
            }
            fits && planner.back.contains_key(&template.row.identity) && !pictures.contains(id)
        });
        held.drop_crops_without_template();
        report.templates = held.templates.len() as u64;
        let gone = self.directory.iter().map(|entry| &entry.identity);
        let gone = gone.filter(|identity| !planner.back.contains_key(&identity.id));
        report.gone = gone.map(|identity| (identity.id, identity.record.name.to_string())).collect();

        self.store.read(|tables| {
            let replaced = planner.templates(tables, std::mem::take(&mut held.templates))?;
            planner.crops(tables, std::mem::take(&mut held.crops), &replaced)
        })?;
        // The entry that sums it up comes first.
        planner.say_sum(report);
        planner.lists(held);
        planner.identities();
        if self.model.name.is_empty()
            && let Some(model) = &held.model
        {
            planner.change.settings = model_settings(model);
        }
        Ok(planner.change)
    }

    /// The backup's identities as they will be. One that is here keeps the key it has: what the audit log says of it stays
    /// readable, and an old key that was replaced does not come back. Standings go on with the clock, and never back.
    fn coming_back(
        &self,
        held: &Held,
        forgotten: &HashSet<IdentityId>,
    ) -> BTreeMap<IdentityId, StoredIdentity> {
        let now = self.clock.now().wall;
        let remembered = held.identities.iter().filter(|identity| !forgotten.contains(&identity.id));
        let back = remembered.map(|then| {
            let standing = then.standing.max(then.record.standing_at(now));
            let mut identity = StoredIdentity { standing, ..then.clone() };
            if let Some(present) = self.directory.get(then.id) {
                identity.key = present.identity.key.clone();
                identity.older = present.identity.older.clone();
            }
            (then.id, identity)
        });
        back.collect()
    }
}

fn report_of(held: &Held) -> BackedUp {
    BackedUp {
        generation: held.generation,
        now: 0,
        identities: 0,
        templates: 0,
        forgotten: 0,
        master_key: held.master.to_string(),
        gone: Vec::new(),
        whole: false,
    }
}

/// Those whom the backup knows to be forgotten and this store does not.
fn lacking(held: &Held, stored: &[Forgotten], keeper: &Keeper) -> Vec<Forgotten> {
    let known: HashSet<IdentityId> = stored.iter().map(|forgotten| forgotten.identity).collect();
    let same_index = held.index == keeper.store.keys().index;
    let unknown = held.forgotten.iter().filter(|forgotten| !known.contains(&forgotten.identity));
    unknown.map(|f| Forgotten { external_tag: f.external_tag.filter(|_| same_index), ..f.clone() }).collect()
}

impl Planner<'_> {
    fn tally(&mut self, id: IdentityId) -> &mut Tally {
        self.tallies.entry(id).or_default()
    }

    /// What is here just as in the backup stays; all else that is here goes, and all else that is in the backup comes. The
    /// sources whose templates go: their crops go with them.
    fn templates(
        &mut self,
        tables: &Tables<'_>,
        mut then: std::collections::HashMap<TemplateId, StoredTemplate>,
    ) -> Result<HashSet<(IdentityId, [u8; 32])>> {
        let directory = &self.keeper.directory;
        let mut stay: HashSet<TemplateId> = HashSet::new();
        let key_of = |id| directory.get(id).map(|entry| entry.identity.key.clone());
        tables.each_template(None, &key_of, |now| {
            // One that does not open is replaced, if the backup has it.
            if let Ok(now) = now
                && then.get(&now.row.id).is_some_and(|then| same(tables, &now, then))
            {
                stay.insert(now.row.id);
            }
            Ok(())
        })?;
        let mut replaced = HashSet::new();
        for row in directory.iter().flat_map(|entry| &entry.templates).filter(|row| !stay.contains(&row.id)) {
            let id = row.identity;
            // The others of somebody who goes go with the identity.
            if self.back.contains_key(&id) || then.contains_key(&row.id) {
                replaced.insert((id, row.source_tag));
                self.change.templates.push(TemplateChange::Remove(row.clone()));
                self.change.wipe = true;
                self.tallies.entry(id).or_default().removed += 1;
            }
        }
        then.retain(|id, _| !stay.contains(id));
        let mut come: Vec<StoredTemplate> = then.into_values().collect();
        come.sort_by_key(|template| (template.row.identity, template.row.id));
        for StoredTemplate { row, source, embedding } in come {
            let template =
                NewTemplate { id: row.id, embedding, quality: row.quality, source, created: row.created };
            self.tally(row.identity).added += 1;
            self.change.templates.push(TemplateChange::Add { identity: row.identity, template });
        }
        Ok(replaced)
    }

    fn crops(
        &mut self,
        tables: &Tables<'_>,
        then: Vec<HeldCrop>,
        replaced: &HashSet<(IdentityId, [u8; 32])>,
    ) -> Result<()> {
        let mut wanted: BTreeSet<(IdentityId, [u8; 32])> = BTreeSet::new();
        for HeldCrop { identity, sha256, bytes } in then {
            let tag = tables.source_tag(&sha256);
            let here = self.keeper.directory.get(identity).filter(|entry| entry.crops.contains(&tag));
            // A box that keeps no crops gets no new ones.
            if !self.back.contains_key(&identity) || (here.is_none() && !self.keeper.keeps_crops) {
                continue;
            }
            wanted.insert((identity, tag));
            let now = here.and_then(|entry| tables.crop(identity, &entry.identity.key, &tag).ok().flatten());
            if replaced.contains(&(identity, tag)) || now.as_deref() != Some(&*bytes) {
                self.tally(identity).crops += 1;
                self.change.crops.push(CropChange::Put { identity, tag, bytes });
            }
        }
        for entry in self.keeper.directory.iter() {
            let identity = entry.identity.id;
            for &tag in entry.crops.iter().filter(|&&tag| !wanted.contains(&(identity, tag))) {
                if self.back.contains_key(&identity) {
                    self.tally(identity).crops += 1;
                    self.change.crops.push(CropChange::Remove { identity, tag });
                    self.change.wipe = true;
                }
            }
        }
        Ok(())
    }

    fn say_sum(&mut self, report: &BackedUp) {
        self.change.say(
            Draft::new(Action::Restored)
                .with("generation", report.generation)
                .with("identities", report.identities)
                .with("templates", report.templates)
                .with("forgotten", report.forgotten)
                .with("removed", report.gone.len())
                .with("master_key", report.master_key.as_str()),
        );
    }

    fn lists(&mut self, held: &Held) {
        let here = self.keeper.directory.lists();
        for list in &held.lists {
            let before = here.get(&list.name);
            if before != Some(list) {
                self.change.say(lists::set_draft(list, before));
                self.change.lists.push(ListChange::Put(list.clone()));
            }
        }
        let then: HashSet<&ListName> = held.lists.iter().map(|list| &list.name).collect();
        for name in here.keys().filter(|name| !then.contains(name) && **name != ListName::default()) {
            self.change.say(Draft::new(Action::ListRemoved).with("list", name.as_str()));
            self.change.lists.push(ListChange::Remove(name.clone()));
        }
    }

    /// Who comes, changes and goes, with an entry for each.
    fn identities(&mut self) {
        let none = Tally::default();
        for (id, identity) in &self.back {
            let present = self.keeper.directory.get(*id).map(|entry| &entry.identity);
            let tally = self.tallies.get(id);
            match present {
                Some(present) if alike(present, identity) && tally.is_none() => continue,
                Some(present) if alike(present, identity) => {}
                Some(_) => self.change.identities.push(IdentityChange::Put(identity.clone())),
                None => self.change.identities.push(IdentityChange::Add(identity.clone())),
            }
            let tally = tally.unwrap_or(&none);
            let draft = Draft::new(Action::Restored)
                .about(*id, SealedPart::of(&identity.record))
                .member(&identity.record.lists, identity.standing)
                .with("revision", identity.revision)
                .with("templates_added", tally.added)
                .with("templates_removed", tally.removed)
                .with("crops_changed", tally.crops);
            self.change.say_of(identity, draft);
        }
        for entry in self.keeper.directory.iter().filter(|entry| !self.back.contains_key(&entry.identity.id))
        {
            let identity = &entry.identity;
            // Its key goes with it, so this names nobody.
            let draft = Draft::new(Action::Restored)
                .about_id(identity.id)
                .member(Vec::<String>::new(), identity.standing)
                .with("templates_removed", entry.templates.len());
            self.change.say(draft);
            self.change.identities.push(IdentityChange::Remove(identity.id));
            self.change.wipe = true;
        }
    }
}

/// True if nothing of the stored identity is another.
fn alike(a: &StoredIdentity, b: &StoredIdentity) -> bool {
    (a.standing, a.created, a.revision) == (b.standing, b.created, b.revision)
        && a.record == b.record
        && a.key == b.key
}

/// True if the template here is the backup's, whose tags may be of another key.
fn same(tables: &Tables<'_>, now: &StoredTemplate, then: &StoredTemplate) -> bool {
    let of = |t: &StoredTemplate| (t.row.identity, t.row.model, t.row.quality.to_bits(), t.row.created);
    of(now) == of(then)
        && now.source == then.source
        && now.embedding == then.embedding
        && now.row.source_tag == tables.source_tag(&then.source.sha256)
}
