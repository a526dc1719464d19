//! Opening a gallery: lock, key, store, what a crash left half told, and the snapshot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{ChangeSet, Directory, Keeper, Seen};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::config;
use crate::err;
use crate::gallery::audit::{Action, Chain, Draft, HeadFile, SealedPart, compare};
use crate::gallery::command::Actor;
use crate::gallery::crypt::Key;
use crate::gallery::life::Schedule;
use crate::gallery::list::List;
use crate::gallery::lock::{Holder, Lock};
use crate::gallery::master::{self, KeySource, Notice};
use crate::gallery::record::ListName;
use crate::gallery::shared::SharedGallery;
use crate::gallery::snapshot::{self, GallerySnapshot, Person, Warning};
use crate::gallery::store::{Found, PATIENCE, Store, Tables};
use crate::gallery::succession;
use crate::gallery::tombstones::Tombstones;
use crate::infer::models::Models;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::types::matching::IndexKind;

/// The model whose templates are searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// Numbers in its embeddings.
    pub dimension: usize,
    /// Its name, for people.
    pub name: String,
    /// The least score at which two faces are taken for the same person: what the gate and `confusable` compare with.
    pub threshold: f32,
}

impl Model {
    /// The configured one; the threshold is the configuration's, else the model's own.
    pub fn configured(models: &Models, decide: &config::Decide) -> Self {
        Self {
            id: models.model_id(),
            dimension: models.dimension(),
            name: models.embedder_manifest().name.clone(),
            threshold: decide.threshold.unwrap_or(models.default_threshold()),
        }
    }
}

/// How a gallery is opened.
#[derive(Clone)]
pub struct Opening {
    /// The store.
    pub path: PathBuf,
    /// Where its master key is.
    pub key: KeySource,
    /// The key, if it is known already. One is never made then.
    pub given_key: Option<Key>,
    /// The model that is searched; `None`: the one the gallery was last used with.
    pub model: Option<Model>,
    /// Which index searches it.
    pub index: IndexKind,
    /// Whether enrolment crops are kept.
    pub keeps_crops: bool,
    /// Who opens it.
    pub holder: Holder,
    /// How long to wait for another command to be done with it.
    pub patience: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Opening {
    /// The configured gallery.
    pub fn configured(
        config: &config::Gallery,
        model: Option<Model>,
        holder: Holder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            path: config.path.clone(),
            key: KeySource::of_process(config),
            given_key: None,
            model,
            index: config.index,
            keeps_crops: config.keep_crops,
            holder,
            patience: PATIENCE,
            clock,
        }
    }

    /// With the key in this file, which is there, and is the one that a rotation replaces.
    ///
    /// # Errors
    /// As [`Store::look`], [`master::load_for`] and [`master::load`].
    pub fn with_key_file(self, file: &Path) -> Result<Self> {
        let key = KeySource::File(file.to_owned());
        let given_key = match Store::look(&self.path)? {
            Found::Sealed(id) => master::load_for(&key, id)?,
            Found::Nothing | Found::Plain => master::load(&key)?,
        };
        Ok(Self { key, given_key: Some(given_key), ..self })
    }
}

/// The model of a gallery that was never used with one.
pub(super) const NO_MODEL: Model =
    Model { id: ModelId([0; 32]), dimension: 1, name: String::new(), threshold: 1.0 };

impl Keeper {
    /// Opens a gallery, which is made if there is none. `on_swap` is told of every snapshot that comes into use, the first one
    /// included.
    ///
    /// # Errors
    /// `Temporary`, when another holds it, saying who; else as [`Store::open`], [`master::load`], and `Data` for rows that were
    /// changed behind our back.
    pub fn open(opening: Opening, on_swap: Box<dyn Fn(Seen) + Send>) -> Result<(Self, Option<Notice>)> {
        let Opening { path, key, given_key, model, index, keeps_crops, holder, patience, clock } = opening;
        let found = Store::look(&path)?;
        refuse_to_begin_again(&found, &path)?;
        make_folder(&path)?;
        let lock = Lock::take(&path, &holder, patience)?;
        super::backup::remove_leftovers(&path);
        let (master, notice) = master_key(&found, &key, given_key)?;
        let store = Store::open(&path, &master, PATIENCE)?;

        let (directory, stored_model, last) = store
            .read(|tables| Ok((Directory::read(tables)?, read_model(tables)?, tables.last_audit_row()?)))?;
        let chain = Chain::resume(store.keys().audit.clone(), last.as_ref());
        let given_model = model.clone();
        let model = model.or_else(|| stored_model.clone()).unwrap_or(NO_MODEL);
        let (snapshot, warnings) = store.read(|tables| load(tables, &directory, &model, index, None))?;
        let mut keeper = Self {
            head_file: HeadFile::new(path.with_extension("head"), store.keys().audit.clone()),
            tombstones: Tombstones::beside(&path),
            schedule: Schedule::default(),
            shared: Arc::new(SharedGallery::new(snapshot)),
            store,
            directory,
            chain,
            model,
            key_source: key,
            keeps_crops,
            clock,
            on_swap,
            embedders: None,
            _lock: lock,
        };
        for entry in keeper.directory.iter() {
            keeper.schedule.set(entry.identity.id, &entry.identity.record, entry.identity.standing);
        }
        keeper.compare_head()?;
        keeper.first_entries(&found, notice.is_some())?;
        keeper.forget_again()?;
        keeper.note_model(given_model, stored_model)?;
        (keeper.on_swap)(Seen { snapshot: keeper.shared.current(), warnings });
        Ok((keeper, notice))
    }

    /// Whether the audit log still passes through the head that was kept outside of it.
    fn compare_head(&mut self) -> Result<()> {
        let file = self.head_file.read()?;
        let mac_at =
            |count| self.store.read(|tables| tables.audit_row(count)).ok().flatten().map(|row| row.mac);
        let last = self.chain.head();
        let state = compare(file, mac_at, last);
        if let Some(problem) = state.problem("the head kept beside the gallery") {
            tracing::error!(target: "watchlistd::audit", "{problem}");
        }
        // On a full disk people can be searched for all the same; the next change makes up for it.
        if let Err(error) = self.head_file.settle(&state, last, self.clock.now().wall) {
            tracing::error!(error = error.chain(), "the audit log's head could not be written");
        }
        Ok(())
    }

    /// What a new or a migrated store begins its audit log with.
    fn first_entries(&mut self, found: &Found, key_made: bool) -> Result<()> {
        let default = ListName::default();
        let mut change = ChangeSet::default();
        if !self.directory.lists().contains_key(&default) {
            change.lists.push(super::change::ListChange::Put(List::new(default)));
        }
        if self.chain.head().count == 0 {
            let action = if *found == Found::Plain { Action::Migrated } else { Action::StoreMade };
            change.say(Draft::new(action).with("master_key", self.store.keys().master().to_string()));
            if key_made {
                let key = self.store.keys().master().to_string();
                change.say(Draft::new(Action::KeyMade).with("master_key", key));
            }
            for entry in self.directory.iter() {
                let identity = &entry.identity;
                let draft = Draft::new(Action::Enrolled)
                    .about(identity.id, SealedPart::of(&identity.record))
                    .member(&identity.record.lists, identity.standing)
                    .with("templates", entry.templates.len());
                change.say_of(identity, draft);
            }
        }
        if !change.lists.is_empty() || !change.entries.is_empty() {
            self.commit(&Actor::daemon(), change)?;
        }
        Ok(())
    }

    /// Somebody who was forgotten and is there again: the store was replaced by an older copy, or a kill came between two
    /// files. Both lists get what they lack, and who is on one of them goes.
    fn forget_again(&mut self) -> Result<()> {
        let listed = self.tombstones.read()?;
        let stored = self.store.read(|tables| tables.forgotten())?;
        let lacking = |all: &[crate::gallery::store::Forgotten], of: &[crate::gallery::store::Forgotten]| {
            of.iter()
                .filter(|f| !all.iter().any(|known| known.identity == f.identity))
                .cloned()
                .collect::<Vec<_>>()
        };
        self.tombstones.append(&lacking(&listed, &stored))?;
        let back: Vec<IdentityId> = listed
            .iter()
            .chain(&stored)
            .map(|forgotten| forgotten.identity)
            .filter(|id| self.directory.get(*id).is_some())
            .collect();
        let mut change = ChangeSet { forgotten: lacking(&stored, &listed), ..ChangeSet::default() };
        for id in back {
            tracing::warn!(identity = %id, "was forgotten and had come back with an older store: forgotten again");
            super::forget::plan(&self.directory, id, Some("came back with an older store"), &mut change)?;
        }
        // The list has them already.
        let forgotten = std::mem::take(&mut change.forgotten);
        if change.entries.is_empty() && forgotten.is_empty() {
            return Ok(());
        }
        change.wipe = true;
        change.forgotten = forgotten;
        self.commit(&Actor::daemon(), change).map(drop)
    }

    /// The model the gallery is used with stands in it, so that tools need no models, and a change of it is on record.
    fn note_model(&mut self, given: Option<Model>, stored: Option<Model>) -> Result<()> {
        let Some(given) = given.filter(|given| stored.as_ref() != Some(given)) else { return Ok(()) };
        let mut change = ChangeSet { settings: model_settings(&given), ..ChangeSet::default() };
        let same = stored.as_ref().is_some_and(|stored| stored.id == given.id);
        if !same {
            let from = stored.map(|stored| stored.id.hex());
            // A switch that the configuration overrules is over.
            change.settings.push((succession::SETTING, None));
            change.say(Draft::new(Action::ModelChanged).with("from", from).with("to", given.id.hex()));
        } else {
            change.say(Draft::new(Action::ThresholdChanged).with("of", "model").with("to", given.threshold));
        }
        self.commit(&Actor::daemon(), change).map(drop)
    }
}

/// The settings that remember a model.
pub(in crate::gallery) fn model_settings(model: &Model) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("model.id", Some(model.id.hex())),
        ("model.dimension", Some(model.dimension.to_string())),
        ("model.name", Some(model.name.clone())),
        ("model.threshold", Some(model.threshold.to_string())),
    ]
}

/// The model that was remembered.
pub(in crate::gallery) fn read_model(tables: &Tables<'_>) -> Result<Option<Model>> {
    let id = tables.setting("model.id")?.and_then(|text| ModelId::from_hex(&text));
    let dimension = tables.setting("model.dimension")?.and_then(|text| text.parse().ok());
    let threshold = tables.setting("model.threshold")?.and_then(|text| text.parse().ok());
    let name = tables.setting("model.name")?.unwrap_or_default();
    Ok(match (id, dimension, threshold) {
        (Some(id), Some(dimension), Some(threshold)) => Some(Model { id, dimension, name, threshold }),
        _ => None,
    })
}

/// A template as a snapshot takes it.
pub(in crate::gallery) type Fresh = (IdentityId, TemplateId, Embedding);

/// Reads the model's templates and builds the snapshot. With `fresh` ones, which are not stored yet: as it will be after the
/// change that stores them.
///
/// # Errors
/// `Data`, naming the first template that does not open.
pub(in crate::gallery) fn load(
    tables: &Tables<'_>,
    directory: &Directory,
    model: &Model,
    kind: IndexKind,
    fresh: Option<Vec<Fresh>>,
) -> Result<(GallerySnapshot, Vec<Warning>)> {
    let people: HashMap<IdentityId, Person> =
        directory.iter().filter_map(|e| Some((e.identity.id, directory.person(e.identity.id)?))).collect();
    let mut templates: Vec<Result<Fresh>> = Vec::new();
    let key_of = |id| directory.get(id).map(|entry| entry.identity.key.clone());
    tables.each_template(Some(model.id), &key_of, |template| {
        templates.push(template.map(|t| (t.row.identity, t.row.id, t.embedding)));
        Ok(())
    })?;
    let generation = tables.generation()? + u64::from(fresh.is_some());
    templates.extend(fresh.into_iter().flatten().map(Ok));
    let searched = snapshot::Model { id: model.id, dimension: model.dimension };
    let (snapshot, mut warnings) = GallerySnapshot::new(searched, kind, generation, people, templates)?;
    if snapshot.is_empty() {
        warnings.insert(0, Warning::Empty);
    }
    let mut others: std::collections::BTreeMap<ModelId, u64> = std::collections::BTreeMap::new();
    for row in directory.iter().flat_map(|entry| &entry.templates).filter(|row| row.model != model.id) {
        *others.entry(row.model).or_default() += 1;
    }
    // Templates of another model beside those of this one are what a model switch leaves, and no news.
    if snapshot.is_empty() {
        warnings.extend(others.into_iter().map(|(other, templates)| Warning::OtherModel {
            model: other,
            templates,
            configured: model.id,
        }));
    }
    Ok((snapshot, warnings))
}

/// The key for what was found. Only a gallery that holds nothing yet gets a new one.
fn master_key(found: &Found, source: &KeySource, given: Option<Key>) -> Result<(Key, Option<Notice>)> {
    if let Some(key) = given {
        return Ok((key, None));
    }
    match found {
        Found::Sealed(id) => Ok((master::load_for(source, *id)?, None)),
        Found::Nothing | Found::Plain => master::load_or_make(source),
    }
}

/// Where a gallery was, none is made anew: a store that is gone or empty is an accident, and nobody should be told of an empty
/// watchlist by silence.
fn refuse_to_begin_again(found: &Found, path: &std::path::Path) -> Result<()> {
    let head = path.with_extension("head");
    if *found == Found::Nothing && head.exists() {
        let what = if path.exists() { "is empty" } else { "is gone" };
        return Err(err!(
            Data,
            "gallery {} {what}, and {} says that there was one: put a backup in its place; or, to begin without anybody and to \
             restore one then, move that file away",
            path.display(),
            head.display()
        ));
    }
    Ok(())
}

fn make_folder(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else {
        return Ok(());
    };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| crate::base::error::Error::io("make the gallery's folder", folder, e))
}
