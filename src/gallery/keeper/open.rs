//! Opening a gallery: lock, key, store, what a crash left half told, and the snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{ChangeSet, Directory, Everything, Keeper, Seen, read_only};
use crate::base::clock::Clock;
use crate::base::durable;
use crate::base::error::Result;
use crate::config;
use crate::err;
use crate::gallery::audit::{Action, Chain, Draft, HeadFile, HeadState, Row, SealedPart, compare};
use crate::gallery::command::Actor;
use crate::gallery::crypt::Key;
use crate::gallery::keyring::KeyRing;
use crate::gallery::life::Schedule;
use crate::gallery::list::List;
use crate::gallery::lock::{Holder, Lock};
use crate::gallery::master::{self, KeySource, Notice};
use crate::gallery::record::ListName;
use crate::gallery::shared::SharedGallery;
use crate::gallery::store::{self, Found, PATIENCE, Store, Tables, VERSION};
use crate::gallery::succession;
use crate::gallery::tombstones::Tombstones;
use crate::infer::models::Models;
use crate::types::ids::{IdentityId, ModelId};
use crate::types::matching::IndexChoice;

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
            threshold: decide.score().unwrap_or(models.default_threshold()),
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
    pub index: IndexChoice,
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
    /// As [`master::load_for`] and [`master::load`].
    pub fn with_key_file(self, file: &Path) -> Result<Self> {
        let key = KeySource::File(file.to_owned());
        let given_key = match Store::look(&self.path) {
            Ok(Found::Sealed(id)) => master::load_for(&key, id)?,
            // Whoever opens it is told what is wrong with it, and may want to put a backup in its place.
            Ok(Found::Nothing | Found::Plain) | Err(_) => master::load(&key)?,
        };
        Ok(Self { key, given_key: Some(given_key), ..self })
    }

    /// With the key that is there, where a store would be made: none is made for it.
    ///
    /// # Errors
    /// As [`master::load`].
    pub fn with_no_new_key(self) -> Result<Self> {
        // A store that cannot be looked at is one, and a damaged one.
        if !matches!(Store::look(&self.path), Ok(Found::Nothing)) || self.given_key.is_some() {
            return Ok(self);
        }
        let given_key = Some(master::load(&self.key)?);
        Ok(Self { given_key, ..self })
    }
}

/// The model of a gallery that was never used with one.
pub(super) const NO_MODEL: Model =
    Model { id: ModelId([0; 32]), dimension: 1, name: String::new(), threshold: 1.0 };

/// The setting that remembers of which schema the audit log says that the store is.
const SCHEMA: &str = "schema";

/// What an opening reads, as of one moment.
struct Stored {
    everything: Everything,
    /// The model that is searched: the given one, else the one that the gallery was last used with.
    model: Model,
    stored_model: Option<Model>,
    /// The end of the audit log.
    last: Option<Row>,
}

impl Stored {
    fn read(tables: &Tables<'_>, given: Option<&Model>) -> Result<Self> {
        let stored_model = read_model(tables)?;
        let model = given.or(stored_model.as_ref()).unwrap_or(&NO_MODEL).clone();
        let everything = Everything::read(tables, &model)?;
        Ok(Self { everything, model, stored_model, last: tables.last_audit_row()? })
    }
}

fn ring_of(directory: &Directory) -> KeyRing {
    let ring = KeyRing::default();
    ring.replace(directory.iter().map(|entry| &entry.identity));
    ring
}

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
        let (head, tombstones) = (path.with_extension("head"), Tombstones::beside(&path));
        let read_only = matches!(found, Found::Sealed(_)) && store::on_read_only(&path);
        let lock = if read_only {
            Lock::share(&path)?
        } else {
            Store::make_folder(&path)?;
            let lock = Lock::take(&path, &holder, patience)?;
            super::backup::remove_leftovers(&path);
            durable::clean_up(&head);
            tombstones.clean_up();
            master::clean_up(&key);
            Some(lock)
        };
        let (master, notice) = master_key(&found, &key, given_key)?;
        let given_model = model;
        let read = |tables: &Tables<'_>| Stored::read(tables, given_model.as_ref());
        let (store, stored) = if read_only {
            let store = Store::open_read_only(&path, &master)?;
            let stored = store.read(read)?;
            (store, stored)
        } else {
            Store::open_and_read(&path, &master, PATIENCE, read)?
        };
        let Stored { mut everything, model, stored_model, last } = stored;
        let chain = Chain::resume(store.keys().audit.clone(), last.as_ref());
        refuse_to_undo_a_switch(&store, given_model.as_ref(), stored_model.as_ref())?;
        if read_only {
            read_only::as_of_now(&mut everything.directory, &store, &tombstones, clock.now().wall)?;
        }
        let (directory, gathered) = everything.gathered(&model, index);
        let (snapshot, warnings) = gathered.build()?;
        let mut keeper = Self {
            head_file: HeadFile::new(head, store.keys().audit.clone()),
            tombstones,
            schedule: Schedule::default(),
            shared: Arc::new(SharedGallery::new(snapshot)),
            store,
            ring: ring_of(&directory),
            directory,
            chain,
            model,
            key_source: key,
            keeps_crops,
            clock,
            on_swap,
            embedders: Arc::default(),
            reviewed: None,
            outside: None,
            owes_wipe: false,
            broken: false,
            head_problem: None,
            _lock: lock,
        };
        keeper.set_schedule();
        if read_only {
            keeper.tell_read_only()?;
        } else {
            keeper.compare_head()?;
            keeper.first_entries(&found, notice.is_some())?;
            keeper.forget_again()?;
            keeper.note_model(given_model, stored_model)?;
        }
        (keeper.on_swap)(Seen { snapshot: keeper.shared.current(), warnings });
        Ok((keeper, notice))
    }

    /// Directory, chain and snapshot as the store has them: after a panic nobody knows how far memory got.
    ///
    /// # Errors
    /// As [`Keeper::open`]; nothing has changed then.
    pub(super) fn reload(&mut self) -> Result<()> {
        let wanted = self.store.keys().master();
        if Store::look(self.store.path())? != Found::Sealed(wanted) {
            return Err(err!(Software, "the gallery is under another key than {wanted} by now"));
        }
        let choice = self.shared.current().choice();
        let known = self.model.clone();
        let (everything, model, last) = self.store.read(|tables| {
            let model = read_model(tables)?.unwrap_or(known);
            Ok((Everything::read(tables, &model)?, model, tables.last_audit_row()?))
        })?;
        let (directory, gathered) = everything.gathered(&model, choice);
        let (snapshot, warnings) = gathered.build()?;
        (self.directory, self.model) = (directory, model);
        self.ring.replace(self.directory.iter().map(|entry| &entry.identity));
        self.chain = Chain::resume(self.store.keys().audit.clone(), last.as_ref());
        self.set_schedule();
        let snapshot = Arc::new(snapshot);
        self.shared.swap(snapshot.clone());
        (self.on_swap)(Seen { snapshot, warnings });
        self.advance_head();
        Ok(())
    }

    fn set_schedule(&mut self) {
        self.schedule = Schedule::default();
        for entry in self.directory.iter() {
            self.schedule.set(entry.identity.id, &entry.identity.record, entry.identity.standing);
        }
    }

    /// Whether the audit log still passes through the head that was kept outside of it. If not, that is told, and the head file
    /// stays as it is.
    fn compare_head(&mut self) -> Result<()> {
        let file = match self.head_file.read() {
            Ok(file) => file,
            // As where the log does not follow it: who can spoil a file must not be able to switch the cameras off with it.
            Err(error) => {
                tracing::error!(target: "watchlistd::audit", "{}", error.chain());
                return Ok(());
            }
        };
        let mac_at =
            |count| self.store.read(|tables| tables.audit_row(count)).ok().flatten().map(|row| row.mac);
        let last = self.chain.head();
        let state = compare(file, mac_at, last);
        let problem = state.problem("the head kept beside the gallery");
        if let Some(problem) = &problem {
            tracing::error!(target: "watchlistd::audit", "{problem}");
        }
        // On a full disk people can be searched for all the same; the next change makes up for it.
        if let Err(error) = self.head_file.settle(&state, last, self.clock.now().wall) {
            tracing::error!(error = error.chain(), "the audit log's head could not be written");
        }
        if let HeadState::Missing { count } = state {
            // The one that was just written agrees with whatever the log was: who verifies is told, and so is the log.
            self.head_problem = problem;
            let mut change = ChangeSet::default();
            change.say(Draft::new(Action::HeadMissing).with("begun_again_at", count));
            self.commit(&Actor::daemon(), change)?;
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
        let schema = VERSION.to_string();
        let said = self.store.read(|tables| tables.setting(SCHEMA))?;
        if said.as_ref() != Some(&schema) {
            // That it is in the log keeps the store from being taken for an older one.
            let is_new = self.chain.head().count == 0 && *found != Found::Plain;
            let action = if is_new { Action::StoreMade } else { Action::Migrated };
            let draft = Draft::new(action).with("schema", VERSION);
            change.say(draft.with("master_key", self.store.keys().master().to_string()));
            change.settings.push((SCHEMA, Some(schema)));
        }
        if self.chain.head().count == 0 {
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
    /// files. Both lists get what they lack, and who is on one of them goes, with all pictures.
    pub(super) fn forget_again(&mut self) -> Result<()> {
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
        let gone = listed.iter().chain(&stored).flat_map(|forgotten| &forgotten.templates).copied().collect();
        super::forget::plan_pictures(&self.directory, &gone, &mut change);
        for id in back {
            tracing::warn!(identity = %id, "was forgotten and had come back with an older store: forgotten again");
            super::forget::plan(
                &self.directory,
                id,
                Some("came back with an older store"),
                &[],
                &mut change,
            )?;
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

    /// The threshold of the model from now on: the configuration was read again. A model that is used no more has none.
    ///
    /// # Errors
    /// As a commit.
    pub fn note_model_threshold(&mut self, model: ModelId, threshold: f32) -> Result<()> {
        if self.model.id != model {
            return Ok(());
        }
        let before = self.model.clone();
        let now = Model { threshold, ..before.clone() };
        self.note_model(Some(now), Some(before))?;
        self.model.threshold = threshold;
        Ok(())
    }

    /// The model the gallery is used with stands in it, so that tools need no models, and a change of it is on record.
    pub(super) fn note_model(&mut self, given: Option<Model>, stored: Option<Model>) -> Result<()> {
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
            "gallery {} {what}, and {} says that there was one: restore a backup with the daemon stopped (watchlistd gallery \
             restore FILE); or, to begin without anybody, move that file away",
            path.display(),
            head.display()
        ));
    }
    Ok(())
}

/// Who opens the gallery with the model before the last switch did not see the switch: a configuration that names that one
/// gets the other ([`succession::models_in_use`]). A read that failed for a moment must not undo it.
fn refuse_to_undo_a_switch(store: &Store, given: Option<&Model>, stored: Option<&Model>) -> Result<()> {
    let (Some(given), Some(stored)) = (given, stored) else { return Ok(()) };
    let last = store.read(succession::Succession::read)?;
    if last.is_some_and(|last| last.from == given.id && last.to == stored.id) {
        return Err(err!(
            Temporary,
            "the gallery was switched from {} to {}, which was not seen when this program chose its models: start it again",
            given.name,
            stored.name
        ));
    }
    Ok(())
}
