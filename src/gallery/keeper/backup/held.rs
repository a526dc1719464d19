//! What a backup holds: opened, and so verified, to the last value.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::open::read_model;
use super::super::steps::Steps;
use super::super::{Keeper, Model};
use crate::base::error::{Error, Kind, Result};
use crate::gallery::command::{Progress, SecretText};
use crate::gallery::crypt::{Key, KeyId};
use crate::gallery::list::List;
use crate::gallery::master;
use crate::gallery::store::{Forgotten, Found, Store, StoredIdentity, StoredTemplate, Tables};
use crate::types::ids::{IdentityId, TemplateId};
use crate::{bail, err};

/// Everything in a backup that a restore takes over.
pub(super) struct Held {
    /// Its generation.
    pub(super) generation: u64,
    /// The master key it needs.
    pub(super) master: KeyId,
    /// Its key of keyed tags.
    pub(super) index: Key,
    pub(super) identities: Vec<StoredIdentity>,
    pub(super) templates: HashMap<TemplateId, StoredTemplate>,
    pub(super) crops: Vec<HeldCrop>,
    pub(super) lists: Vec<List>,
    pub(super) forgotten: Vec<Forgotten>,
    /// The model it was used with.
    pub(super) model: Option<Model>,
}

/// A crop, by its source: tags of another store would say nothing here.
pub(super) struct HeldCrop {
    pub(super) identity: IdentityId,
    pub(super) sha256: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl Keeper {
    /// Opens a backup, which lies at the path for us alone, under today's master key or the one that is given, and reads all of it:
    /// the open store, and what it holds.
    ///
    /// # Errors
    /// `Config`, naming the keys' ids, when it needs another key; `Data`, when it is no backup, or a bit of it is not as it was
    /// written.
    pub(super) fn read_backup(
        &self,
        path: &Path,
        given: Option<&SecretText>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Store, Held)> {
        let needed = match Store::look(path).map_err(|cause| unusable(path, &cause))? {
            Found::Sealed(id) => id,
            Found::Nothing => return Err(empty()),
            Found::Plain => return Err(plain()),
        };
        let given = given.map(master::parse).transpose()?;
        let own = self.store.keys().master();
        let store = if needed == own {
            self.store.open_copy(path, None)
        } else if let Some(given) = given.as_ref().filter(|given| given.id() == needed) {
            self.store.open_copy(path, Some(given))
        } else {
            let given = given.map(|given| format!(", the one given is {}", given.id())).unwrap_or_default();
            bail!(
                Config,
                "the backup is encrypted under master key {needed}; the gallery's own is {own}{given}: give the key of the \
                 backup's time with --backup-key-file FILE"
            )
        };
        let store = store.map_err(|cause| unusable(path, &cause))?;
        let held =
            store.read(|tables| Held::read(tables, progress)).map_err(|cause| unusable(path, &cause))?;
        let held = Held { master: needed, index: store.keys().index.clone(), ..held };
        Ok((store, held))
    }
}

impl Held {
    pub(super) fn read(tables: &Tables<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        let identities = tables.identities()?;
        let keys: HashMap<IdentityId, Key> =
            identities.iter().map(|identity| (identity.id, identity.key.clone())).collect();
        let rows = tables.template_rows()?.len();
        let mut steps = Steps::begin(progress, "reading templates", rows);
        let mut templates = HashMap::with_capacity(rows);
        tables.each_template(None, &|id| keys.get(&id).cloned(), |template| {
            let template = template?;
            templates.insert(template.row.id, template);
            steps.step();
            Ok(())
        })?;
        Ok(Self {
            generation: tables.generation()?,
            master: tables.keys().master(),
            index: tables.keys().index.clone(),
            crops: crops(tables, &keys, &templates)?,
            identities,
            templates,
            lists: tables.lists()?,
            forgotten: tables.forgotten()?,
            model: read_model(tables)?,
        })
    }

    /// After templates were taken out of it: crops that were kept for these alone go too.
    pub(super) fn drop_crops_without_template(&mut self) {
        let left: HashSet<(IdentityId, &str)> =
            self.templates.values().map(|t| (t.row.identity, t.source.sha256.as_str())).collect();
        self.crops.retain(|crop| left.contains(&(crop.identity, crop.sha256.as_str())));
    }

    /// The identities in it.
    pub(super) fn ids(&self) -> HashSet<IdentityId> {
        self.identities.iter().map(|identity| identity.id).collect()
    }
}

fn crops(
    tables: &Tables<'_>,
    keys: &HashMap<IdentityId, Key>,
    templates: &HashMap<TemplateId, StoredTemplate>,
) -> Result<Vec<HeldCrop>> {
    let source = |template: &StoredTemplate| {
        ((template.row.identity, template.row.source_tag), template.source.sha256.clone())
    };
    let sources: HashMap<(IdentityId, [u8; 32]), String> = templates.values().map(source).collect();
    let mut crops = Vec::new();
    for (identity, tag) in tables.crop_rows()? {
        let key =
            keys.get(&identity).ok_or_else(|| err!(Data, "a crop is of no identity in it: {identity}"))?;
        let sha256 = sources.get(&(identity, tag));
        let sha256 =
            sha256.ok_or_else(|| err!(Data, "a crop of identity {identity} is of none of its templates"))?;
        if let Some(bytes) = tables.crop(identity, key, &tag)? {
            crops.push(HeldCrop { identity, sha256: sha256.clone(), bytes });
        }
    }
    Ok(crops)
}

/// Whether these bytes may be a backup, before they are written to the disk: what is in the clear does not belong there.
///
/// # Errors
/// `Data`, when they are none.
pub(super) fn refuse_what_is_no_store(bytes: &[u8]) -> Result<()> {
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    if bytes.is_empty() {
        return Err(empty());
    }
    // Every SQLite file begins so. The statements that made its tables stand in it as they were written.
    if !bytes.starts_with(b"SQLite format 3\0") {
        return Err(none());
    }
    if holds(b"wrapped_key") {
        return Ok(());
    }
    Err(if holds(b"CREATE TABLE identities") { plain() } else { none() })
}

fn none() -> Error {
    err!(
        Data,
        "this is no backup of a gallery, or a damaged one: expected a file that `watchlistd gallery backup` wrote; nothing was \
         changed (it has no table of wrapped keys)"
    )
}

fn empty() -> Error {
    err!(Data, "the backup is empty: expected a file that `watchlistd gallery backup` wrote")
}

fn plain() -> Error {
    err!(
        Data,
        "the backup is a gallery of schema 1, which was not encrypted, and cannot be restored into one that is. Put it where \
         gallery.path says while no gallery is there, and start: it is encrypted then"
    )
}

/// The store speaks of itself, and of a file that is gone by the time somebody reads this; here it is the backup that is no good.
pub(super) fn unusable(path: &Path, cause: &Error) -> Error {
    let message = match cause.kind() {
        Kind::Data => {
            "this is no backup of a gallery, or a damaged one: expected a file that `watchlistd gallery backup` wrote"
        }
        _ => "the backup cannot be read",
    };
    let why = cause.chain().replace(&format!("gallery {}", path.display()), "the backup");
    // Advice for a gallery that is in use would mislead.
    let why = why.split(", not a gallery: gallery.path").next().unwrap_or_default();
    let why = why.split(": gallery.path must").next().unwrap_or_default();
    let why = why.split(": restore a backup").next().unwrap_or_default();
    Error::new(cause.kind(), format!("{message}; nothing was changed ({why})"))
}
