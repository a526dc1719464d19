//! Looking at everything that is stored, and going on after each thing that is wrong.
//!
//! ```text
//!  file ─ SQLite's own check, modes, the master key      each row ─ decrypts beside its columns, belongs to somebody
//!  log  ─ its chain, its head, what it says of models    each list and id that is named ─ is there; who was forgotten ─ is not
//!  memory ─ the directory and the snapshot are what is stored
//! ```
//!
//! A sentence says which row it is and what is wrong with it. None holds anything that was decrypted but names of lists.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::audit::verify_log;
use super::held::Held;
use super::{Directory, Entry, Keeper, Model};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Head, HeadFile};
use crate::gallery::command::Progress;
use crate::gallery::list::List;
use crate::gallery::master::{self, KeySource};
use crate::gallery::record::{ListName, Standing};
use crate::gallery::report::Examination;
use crate::gallery::snapshot::GallerySnapshot;
use crate::gallery::store::{Owner, Store, StoredIdentity, StoredTemplate, Tables, TemplateRow, short};
use crate::gallery::tombstones::Tombstones;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// So many problems are told; the rest is counted.
const MOST_PROBLEMS: usize = 1000;
/// Rows between two reports of progress.
const STEP: u64 = 256;

mod damaged;

pub use damaged::Damaged;

/// Looks that are had beside the others before the last one keeps them out.
const LOOKS: usize = 3;

/// Looks at everything, beside the others. What is wrong may be a change that came between two looks: then it is looked again.
pub(super) fn verify(held: &mut impl Held, progress: &mut dyn FnMut(Progress)) -> Result<Examination> {
    for _ in 0..LOOKS {
        let (memory, beside) = held.with(|keeper| (Memory::of(keeper), keeper.store.beside()));
        let examination = memory.examine(&beside.open()?, progress)?;
        let unchanged = held.with(|keeper| {
            keeper.wipe_again();
            keeper.chain.head() == memory.head
        });
        if unchanged || examination.problems.is_empty() {
            return Ok(examination);
        }
    }
    held.with(|keeper| Memory::of(keeper).examine(&keeper.store, progress))
}

/// What a keeper held at one moment.
struct Memory {
    directory: Directory,
    snapshot: Arc<GallerySnapshot>,
    model: Model,
    tombstones: Tombstones,
    key_source: KeySource,
    /// Of the audit log.
    head: Head,
}

impl Memory {
    fn of(keeper: &mut Keeper) -> Self {
        Self {
            directory: keeper.directory.clone(),
            snapshot: keeper.shared.current(),
            model: keeper.model.clone(),
            tombstones: keeper.tombstones.clone(),
            key_source: keeper.key_source.clone(),
            head: keeper.chain.head(),
        }
    }

    fn examine(&self, store: &Store, progress: &mut dyn FnMut(Progress)) -> Result<Examination> {
        let mut look = Look::new(progress);
        look.at_file(store);
        look.at_key(&self.key_source, store);
        let read = store.read(|tables| {
            let found = look.at_rows(tables, &self.model, &self.tombstones);
            look.at_memory(&found, &self.directory);
            look.at_snapshot(&found, &self.snapshot, &self.directory, &self.model);
            let (generation, searched) = (tables.generation()?, self.snapshot.generation());
            look.expect(searched == generation, || {
                format!("searches use generation {searched}, and the store is at {generation}")
            });
            Ok(())
        });
        look.note("the store", read);
        let head_file = HeadFile::new(store.path().with_extension("head"), store.keys().audit.clone());
        let head = look.at_log(store, &head_file)?;
        Ok(Examination { warnings: self.warnings(), ..look.end(head) })
    }

    /// What nobody damaged and somebody may have overlooked.
    fn warnings(&self) -> Vec<String> {
        let empty = self.directory.iter().filter(|entry| {
            let (record, standing) = (&entry.identity.record, entry.identity.standing);
            entry.templates.is_empty() && standing != Standing::Expired && !record.lists.is_empty()
        });
        let told = empty.map(|entry| {
            let id = entry.identity.id;
            format!("identity {id} has no template, so it is never recognised: enrol a picture, or forget it")
        });
        told.take(MOST_PROBLEMS).collect()
    }
}

/// What the rows hold, as far as they could be opened.
#[derive(Default)]
pub(super) struct Found {
    /// Everybody who has a row, with the identity, if it opened.
    people: BTreeMap<IdentityId, Someone>,
    lists: BTreeMap<ListName, List>,
    /// Templates with another number of numbers than their model gives: told of, and not searched.
    unfit: BTreeSet<TemplateId>,
}

#[derive(Default)]
struct Someone {
    identity: Option<StoredIdentity>,
    templates: Vec<TemplateRow>,
    crops: BTreeSet<[u8; 32]>,
    /// True if something of it did not open, and was told of: what is missing for that is not told again.
    damaged: bool,
}

impl Found {
    fn note_damaged(&mut self, ids: &[IdentityId]) {
        for id in ids {
            if let Some(someone) = self.people.get_mut(id) {
                someone.damaged = true;
            }
        }
    }

    fn owner(&self, id: IdentityId) -> Owner {
        match self.people.get(&id).map(|someone| &someone.identity) {
            None => Owner::Nobody,
            Some(None) => Owner::Locked,
            Some(Some(identity)) => Owner::Known(identity.key.clone()),
        }
    }
}

/// What was looked at, and what is wrong with it.
pub(super) struct Look<'a> {
    looked_at: BTreeMap<String, u64>,
    problems: Vec<String>,
    more: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Look<'a> {
    pub(super) fn new(progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self { looked_at: BTreeMap::new(), problems: Vec::new(), more: 0, progress }
    }

    fn tell(&mut self, problem: String) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn expect(&mut self, right: bool, problem: impl FnOnce() -> String) {
        if !right {
            self.tell(problem());
        }
    }

    /// Something could not be read on.
    fn note(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.tell(format!("{what}: {}", error.chain()));
        }
    }

    fn count(&mut self, what: &str, count: u64) {
        self.looked_at.insert(what.to_owned(), count);
    }

    fn one_more(&mut self, what: &str, of: u64) {
        let done = self.looked_at.entry(what.to_owned()).or_default();
        *done += 1;
        if done.is_multiple_of(STEP) || *done == of {
            (self.progress)(Progress { what: what.to_owned(), done: *done, of });
        }
    }

    pub(super) fn end(mut self, head: String) -> Examination {
        if self.more > 0 {
            self.problems.push(format!("and {} problems more", self.more));
        }
        Examination { looked_at: self.looked_at, problems: self.problems, warnings: Vec::new(), head }
    }

    // --- the files ---------------------------------------------------------------------------------------------------

    /// SQLite's own check, and that nobody else may read what belongs to the gallery.
    fn at_file(&mut self, store: &Store) {
        match store.integrity() {
            Ok(lines) => {
                lines.into_iter().for_each(|line| self.tell(format!("SQLite says of the store: {line}")))
            }
            Err(error) => self.tell(error.chain()),
        }
        let path = store.path();
        let beside = |suffix: &str| path.with_file_name(format!("{}{suffix}", file_name(path)));
        let files = [path.to_owned(), beside("-wal"), beside("-shm")];
        let more = [path.with_extension("head"), path.with_extension("forgotten")];
        for file in files.iter().chain(&more) {
            let Ok(metadata) = file.metadata() else { continue };
            let mode = metadata.permissions().mode() & 0o777;
            self.expect(mode & 0o077 == 0, || {
                format!("{0} has mode {mode:04o}, and others may use it: run chmod 600 {0}", file.display())
            });
        }
    }

    /// The key with which the gallery is opened next time.
    fn at_key(&mut self, source: &KeySource, store: &Store) {
        let wanted = store.keys().master();
        match master::load(source) {
            Ok(key) if key.id() == wanted => {}
            Ok(key) => {
                let pending = master::load_pending(source).ok().flatten();
                self.expect(pending.is_some_and(|pending| pending.id() == wanted), || {
                    format!("the gallery is under the master key {wanted}, and {source} holds {}", key.id())
                });
            }
            Err(error) => self.tell(error.chain()),
        }
    }

    /// The chain of the audit log and its heads; where it ends.
    fn at_log(&mut self, store: &Store, head_file: &HeadFile) -> Result<String> {
        let log = verify_log(store, head_file, None)?;
        self.count("audit entries", log.entries);
        log.problems.into_iter().for_each(|problem| self.tell(format!("audit log: {problem}")));
        Ok(log.head)
    }

    // --- the rows ----------------------------------------------------------------------------------------------------

    /// Every row, and that they go together.
    pub(super) fn at_rows(&mut self, tables: &Tables<'_>, model: &Model, tombstones: &Tombstones) -> Found {
        let mut found = Found::default();
        let log = Log::read(tables);
        let read = self.at_totals(tables);
        self.note("totals", read);
        let read = self.at_lists(tables, &mut found);
        self.note("lists", read);
        let read = self.at_identities(tables, &mut found);
        self.note("identities", read);
        let read = self.at_templates(tables, &mut found, model, &log);
        self.note("templates", read);
        let read = self.at_crops(tables, &mut found);
        self.note("crops", read);
        let read = self.at_forgotten(tables, &found, &log, tombstones);
        self.note("the forgotten", read);
        if let Ok(generation) = tables.generation() {
            self.expect(generation >= log.generation, || {
                format!(
                    "the store is at generation {generation}, and the audit log has been at {}",
                    log.generation
                )
            });
        }
        found
    }

    /// No row is missing, added, or an older one.
    fn at_totals(&mut self, tables: &Tables<'_>) -> Result<()> {
        tables.look_at_totals()?.into_iter().for_each(|problem| self.tell(problem));
        Ok(())
    }

    fn at_lists(&mut self, tables: &Tables<'_>, found: &mut Found) -> Result<()> {
        let mut all = Vec::new();
        tables.look_at_lists(|list| all.push(list))?;
        let of = all.len() as u64;
        self.count("lists", 0);
        for list in all {
            self.one_more("lists", of);
            match list {
                Ok(list) => drop(found.lists.insert(list.name.clone(), list)),
                Err(problem) => self.tell(problem),
            }
        }
        let default = ListName::default();
        let is_there = found.lists.contains_key(&default);
        self.expect(is_there, || format!("there is no list {default}, which every gallery has"));
        Ok(())
    }

    fn at_identities(&mut self, tables: &Tables<'_>, found: &mut Found) -> Result<()> {
        let of = tables.count("identities")?;
        self.count("identities", 0);
        tables.look_at_identities(|id, identity| {
            self.one_more("identities", of);
            let identity = identity.map_err(|problem| self.tell(problem)).ok();
            if let Some(identity) = &identity {
                for list in identity.record.lists.iter().filter(|list| !found.lists.contains_key(*list)) {
                    self.tell(format!(
                        "identity {} is on the list {list}, and there is no such list",
                        identity.id
                    ));
                }
            }
            if let Some(id) = id {
                found.people.insert(id, Someone { identity, ..Someone::default() });
            }
        })
    }

    fn at_templates(
        &mut self,
        tables: &Tables<'_>,
        found: &mut Found,
        model: &Model,
        log: &Log,
    ) -> Result<()> {
        let of = tables.count("templates")?;
        let (mut rows, mut damaged) = (Vec::<TemplateRow>::new(), Vec::new());
        let mut unfit = BTreeSet::new();
        self.count("templates", 0);
        tables.look_at_templates(
            |id| found.owner(id),
            |id, template| {
                self.one_more("templates", of);
                match template {
                    Ok(template) => {
                        self.at_model(&template, model, log);
                        if !model.fits(&template.embedding) {
                            unfit.insert(template.row.id);
                        }
                        rows.push(template.row);
                    }
                    Err(problem) => {
                        damaged.extend(id);
                        self.tell(problem);
                    }
                }
            },
        )?;
        found.note_damaged(&damaged);
        found.unfit = unfit;
        for row in rows {
            if row.model != model.id {
                *self.looked_at.entry(format!("templates of model {}", row.model)).or_default() += 1;
            }
            if let Some(someone) = found.people.get_mut(&row.identity) {
                someone.templates.push(row);
            }
        }
        Ok(())
    }

    /// A model is known if it is the gallery's, or the audit log says that it was, or that something was enrolled with it.
    fn at_model(&mut self, template: &StoredTemplate, model: &Model, log: &Log) {
        let (row, dimension) = (&template.row, template.embedding.dimension());
        if row.model == model.id && dimension != model.dimension {
            self.tell(format!(
                "template {} of identity {} has {dimension} numbers; those of its model {} have {}",
                row.id, row.identity, row.model, model.dimension
            ));
        }
        self.expect(row.model == model.id || log.models.contains(&row.model), || {
            format!(
                "template {} of identity {} is of the model {}, which this gallery was never used with: nobody is found by it",
                row.id, row.identity, row.model
            )
        });
    }

    fn at_crops(&mut self, tables: &Tables<'_>, found: &mut Found) -> Result<()> {
        let of = tables.count("crops")?;
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        self.count("crops", 0);
        tables.look_at_crops(
            |id| found.owner(id),
            |id, crop| {
                self.one_more("crops", of);
                match crop {
                    Ok(crop) => good.push((crop.identity, crop.source_tag)),
                    Err(problem) => {
                        damaged.extend(id);
                        self.tell(problem);
                    }
                }
            },
        )?;
        for (identity, tag) in good {
            let Some(someone) = found.people.get_mut(&identity) else { continue };
            someone.crops.insert(tag);
            let is_a_templates = someone.templates.iter().any(|row| row.source_tag == tag);
            let told = someone.damaged;
            self.expect(is_a_templates || told, || {
                format!("the crop {} of identity {identity} belongs to none of its templates", short(&tag))
            });
        }
        found.note_damaged(&damaged);
        Ok(())
    }

    /// Who was forgotten stands on both lists, and nowhere else.
    fn at_forgotten(
        &mut self,
        tables: &Tables<'_>,
        found: &Found,
        log: &Log,
        tombstones: &Tombstones,
    ) -> Result<()> {
        let stored = tables.forgotten()?;
        self.count("forgotten", stored.len() as u64);
        let in_store: BTreeSet<IdentityId> = stored.iter().map(|forgotten| forgotten.identity).collect();
        for id in log.forgotten.difference(&in_store) {
            self.tell(format!("identity {id} was forgotten, as the audit log says, and is not on the store's list of the forgotten"));
        }
        for id in in_store.union(&log.forgotten).filter(|id| found.people.contains_key(id)) {
            self.tell(format!(
                "identity {id} was forgotten, and is stored again: open the gallery anew, that removes it"
            ));
        }
        let listed = tombstones.read()?;
        for forgotten in stored.iter().filter(|forgotten| !listed.contains(forgotten)) {
            self.tell(format!(
                "identity {} is forgotten in the store, and not so in the file beside it",
                forgotten.identity
            ));
        }
        for forgotten in listed.iter().filter(|forgotten| !stored.contains(forgotten)) {
            self.tell(format!(
                "identity {} is forgotten in the file beside the store, and not so in it",
                forgotten.identity
            ));
        }
        Ok(())
    }

    // --- memory ------------------------------------------------------------------------------------------------------

    /// What is known in memory is what is stored.
    fn at_memory(&mut self, found: &Found, directory: &Directory) {
        for (id, someone) in &found.people {
            let same = directory.get(*id).is_some_and(|entry| is_same(entry, someone));
            // What does not open was told of already.
            self.expect(same || someone.identity.is_none() || someone.damaged, || {
                format!("identity {id} is another in memory than in the store: restart")
            });
        }
        for entry in directory.iter().filter(|entry| !found.people.contains_key(&entry.identity.id)) {
            self.tell(format!("identity {} is in memory and not in the store: restart", entry.identity.id));
        }
        self.expect(*directory.lists() == found.lists, || {
            "the lists in memory are others than in the store: restart".to_owned()
        });
    }

    /// Searches look through the model's templates, each of them once, and nothing else.
    fn at_snapshot(
        &mut self,
        found: &Found,
        snapshot: &GallerySnapshot,
        directory: &Directory,
        model: &Model,
    ) {
        let of_model = |someone: &'_ Someone| -> Vec<(IdentityId, TemplateId)> {
            let searched = |row: &&TemplateRow| row.model == model.id && !found.unfit.contains(&row.id);
            let rows = someone.templates.iter().filter(searched);
            rows.map(|row| (row.identity, row.id)).collect()
        };
        let stored: BTreeSet<_> = found.people.values().flat_map(of_model).collect();
        let mut held = BTreeSet::new();
        for (identity, template) in snapshot.held() {
            self.expect(held.insert((identity, template)), || {
                format!("template {template} of identity {identity} is twice in what searches use: restart")
            });
        }
        for (identity, template) in stored.difference(&held) {
            self.tell(format!(
                "template {template} of identity {identity} is stored, and not in what searches use: restart"
            ));
        }
        let told = |id: &IdentityId| found.people.get(id).is_some_and(|someone| someone.damaged);
        for (identity, template) in held.difference(&stored).filter(|(id, _)| !told(id)) {
            self.tell(format!(
                "template {template} of identity {identity} is in what searches use, and not stored: restart"
            ));
        }
        let searched = |id: &IdentityId| snapshot.people().get(id).map(|person| person.searched);
        for id in found.people.keys().filter(|id| searched(id) != directory.person(**id).map(|p| p.searched))
        {
            self.tell(format!(
                "searches look for identity {id} in another way than its standing and lists say: restart"
            ));
        }
    }
}

fn is_same(entry: &Entry, someone: &Someone) -> bool {
    let by_id = |rows: &[TemplateRow]| -> Vec<TemplateRow> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.id);
        rows
    };
    someone.identity.as_ref() == Some(&entry.identity)
        && by_id(&entry.templates) == by_id(&someone.templates)
        && entry.crops == someone.crops
}

/// What the audit log says of the rows. Whether the log itself is right is looked at elsewhere.
#[derive(Default)]
struct Log {
    /// Models that were the gallery's, or with which something was enrolled.
    models: BTreeSet<ModelId>,
    forgotten: BTreeSet<IdentityId>,
    /// The last generation in it.
    generation: u64,
}

impl Log {
    fn read(tables: &Tables<'_>) -> Self {
        let mut log = Self::default();
        for entry in tables.audit_rows().flatten().filter_map(|row| row.entry().ok()) {
            let models = ["model", "from", "to"].iter().filter_map(|key| entry.detail.get(*key)?.as_str());
            log.models.extend(models.filter_map(ModelId::from_hex));
            if entry.action() == Some(Action::Forgotten) {
                log.forgotten.extend(entry.identity);
            }
            log.generation = log.generation.max(entry.generation);
        }
        log
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
pub(in crate::gallery) mod fixture;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
