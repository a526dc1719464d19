//! A backup in place of a gallery that does not open, or is gone.
//!
//! ```text
//!  backup ─▶ gallery.db.restore-tmp ─▶ opened, all of it verified ─▶ renamed to gallery.db ─▶ opened as always: the forgotten
//!                                                                     │                       go, the head is accepted
//!  damaged gallery.db, -wal, -shm ─▶ *.damaged-TIME beside it ◀───────┘ before that
//! ```
//!
//! A kill before the rename leaves what was there; one after it, a gallery that opens, whose head does not fit yet.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::{ChangeSet, Keeper, Opening};
use super::aside::{self, Aside};
use super::held::{self, Held};
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::{Actor, Progress};
use crate::gallery::crypt::{Key, KeyId};
use crate::gallery::lock::Lock;
use crate::gallery::master;
use crate::gallery::report::BackedUp;
use crate::gallery::store::{Found, PATIENCE, Store};
use crate::gallery::tombstones::Tombstones;
use crate::{bail, err};

/// Puts the backup where the gallery is, or was. `lock` is the gallery's, and is given up.
///
/// # Errors
/// What is wrong with the backup, the key or the list of the forgotten: then everything is as it was.
pub(in crate::gallery::keeper) fn replace(
    opening: &Opening,
    lock: Lock,
    actor: &Actor,
    backup: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp> {
    // Nobody who was forgotten may come back because their names cannot be read.
    Tombstones::beside(&opening.path).read()?;
    let (file, master, report) = examined(opening, backup, progress)?;
    let generation = report.generation;
    let needed = master.id();
    faults::point("replace.verified");
    let damaged = out_of_the_way(opening)?;
    faults::point("replace.cleared");
    file.take_the_place_of(&opening.path)?;
    faults::point("replace.placed");
    drop(lock);
    let opening = Opening { given_key: Some(master), ..opening.clone() };
    let (mut keeper, _) = Keeper::open(opening, Box::new(drop))?;
    keeper.say_replaced(actor, generation, needed, damaged)
}

/// What [`replace`] would put in place. Nothing is changed.
///
/// # Errors
/// As there.
pub(in crate::gallery::keeper) fn look_at(
    opening: &Opening,
    backup: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp> {
    examined(opening, backup, progress).map(|(_, _, report)| report)
}

/// The backup beside the gallery, all of it read, and its key.
fn examined(
    opening: &Opening,
    backup: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<(Aside, Key, BackedUp)> {
    held::refuse_what_is_no_store(backup)?;
    let file = Aside::holding(&opening.path, aside::RESTORE, backup)?;
    let unusable = |cause: Error| held::unusable(file.path(), &cause);
    let needed = match Store::look(file.path()).map_err(unusable)? {
        Found::Sealed(id) => id,
        Found::Nothing | Found::Plain => bail!(Data, "the backup holds no gallery; nothing was changed"),
    };
    let master = master_key(opening, needed)?;
    let store = Store::open(file.path(), &master, PATIENCE).map_err(unusable)?;
    let held = store.read(|tables| Held::read(tables, progress)).map_err(unusable)?;
    drop(store);
    let report = BackedUp {
        generation: held.generation,
        now: held.generation,
        identities: held.identities.len() as u64,
        templates: held.templates.len() as u64,
        forgotten: held.forgotten.len() as u64,
        master_key: needed.to_string(),
        gone: Vec::new(),
        whole: true,
    };
    Ok((file, master, report))
}

/// The gallery's key, which has to be the backup's: what is put in place is encrypted under it.
fn master_key(opening: &Opening, needed: KeyId) -> Result<Key> {
    let own = match &opening.given_key {
        Some(key) if key.id() == needed => Ok(key.clone()),
        Some(key) => Err(err!(Config, "the key at hand is {}", key.id())),
        None => master::load_for(&opening.key, needed),
    };
    own.map_err(|cause| {
        err!(
            Config,
            "the backup is encrypted under master key {needed}: put that key where the gallery's is ({}), restore, and then \
             change it (watchlistd gallery key rotate)",
            opening.key
        )
        .because(cause)
    })
}

/// Renames the damaged files. A log of earlier changes must not lie beside another store: SQLite would write them into it.
fn out_of_the_way(opening: &Opening) -> Result<Option<String>> {
    let time = opening.clock.now().wall.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut moved = None;
    for ending in ["-wal", "-shm", ""] {
        let from = with(&opening.path, ending);
        if fs::symlink_metadata(&from).is_err() {
            continue;
        }
        let to = with(&opening.path, &format!(".damaged-{time}{ending}"));
        // The store's own name stays until the backup takes it: no moment without a gallery.
        let linked = ending.is_empty() && fs::hard_link(&from, &to).is_ok();
        if !linked {
            durable::rename(&from, &to)?;
        }
        moved = Some(to);
    }
    let Some(moved) = moved else { return Ok(None) };
    tracing::warn!(
        "what was there is {} now: look at it, and remove it when you need it no more; it is as sensitive as the gallery",
        moved.display()
    );
    Ok(moved.file_name().map(|name| name.to_string_lossy().into_owned()))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

impl Keeper {
    fn say_replaced(
        &mut self,
        actor: &Actor,
        generation: u64,
        master: KeyId,
        damaged: Option<String>,
    ) -> Result<BackedUp> {
        self.tick()?;
        let forgotten = self.store.read(|tables| tables.forgotten())?.len() as u64;
        let report = BackedUp {
            generation,
            now: self.store.read(|tables| tables.generation())?,
            identities: self.directory.iter().count() as u64,
            templates: self.directory.iter().map(|entry| entry.templates.len() as u64).sum(),
            forgotten,
            master_key: master.to_string(),
            gone: Vec::new(),
            whole: true,
        };
        let mut change = ChangeSet::default();
        change.say(
            Draft::new(Action::Restored)
                .with("generation", generation)
                .with("identities", report.identities)
                .with("templates", report.templates)
                .with("master_key", report.master_key.as_str())
                .with("in_place_of", damaged),
        );
        self.commit(actor, change)?;
        if !self.head_file.follows() {
            self.audit_accept_head(actor)?;
        }
        Ok(report)
    }
}

impl Aside {
    /// Renames it, with all of it on the disk.
    fn take_the_place_of(self, path: &Path) -> Result<()> {
        let synced = fs::File::open(self.path()).and_then(|file| file.sync_all());
        synced.map_err(|e| Error::io("write", self.path(), e))?;
        durable::rename(self.path(), path)?;
        durable::hand_over(path)
    }
}
