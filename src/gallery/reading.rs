//! The gallery for those who only search it: the tools that recognise and check.
//!
//! They take no lock and change nothing, so they work beside a running daemon, if they may read the store and its key. Who is
//! looked for is decided by the time of reading.

use std::path::Path;

use jiff::Timestamp;

use super::crypt::Key;
use super::enrol::Chip;
use super::keeper::{Directory, Everything, Model, gather};
use super::master::{self, KeySource};
use super::shared::SharedGallery;
use super::snapshot::{self, GallerySnapshot, Warning};
use super::store::{Found, Store, Tables};
use super::succession::ChipEmbedder;
use crate::align::Aligner;
use crate::base::error::Result;
use crate::config;
use crate::infer::models::Models;
use crate::types::ids::{IdentityId, TemplateId};
use crate::types::matching::IndexChoice;

/// Opens the configured gallery for the configured models, as of now.
///
/// # Errors
/// As [`open`].
pub fn configured(config: &config::Config, models: &Models) -> Result<(SharedGallery, Vec<Warning>)> {
    let gallery = &config.gallery;
    let model = Model::configured(models, &config.decide);
    open(&gallery.path, &KeySource::of_process(gallery), None, &model, gallery.index, Timestamp::now())
}

/// The same as it would be after a switch to these models: a picture without a template of theirs has the embedding of its kept crop,
/// in memory only.
///
/// # Errors
/// As [`configured`], and what the embedder gives.
pub fn with_crops_embedded(
    config: &config::Config,
    models: &Models,
) -> Result<(SharedGallery, Vec<Warning>)> {
    let gallery = &config.gallery;
    let model = Model::configured(models, &config.decide);
    let Found::Sealed(id) = Store::look(&gallery.path)? else { return configured(config, models) };
    let key = master::load_for(&KeySource::of_process(gallery), id)?;
    let store = Store::open_read_only(&gallery.path, &key)?;
    let (mut directory, crops) = store.read(|tables| {
        let directory = Directory::read(tables)?;
        let crops = crops_without(tables, &directory, &model)?;
        Ok((directory, crops))
    })?;
    directory.at(Timestamp::now());
    let aligner = Aligner::new(models.alignment().clone(), config::QualityLimits::none())?;
    let mut embedder = ChipEmbedder::new(aligner, models.embedder()?);
    let (owners, chips): (Vec<IdentityId>, Vec<Chip>) = crops.into_iter().unzip();
    let embedded = embedder.embed(&chips)?;
    let fresh = owners.into_iter().zip(embedded);
    // A crop that gives no embedding is as good as none.
    let fresh = fresh.filter_map(|(owner, made)| Some((owner, TemplateId::generate(), made.ok()?))).collect();
    let gathered = store.read(|tables| gather(tables, &directory, &model, gallery.index, Some(fresh)))?;
    let (snapshot, warnings) = gathered.build()?;
    Ok((SharedGallery::new(snapshot), warnings))
}

/// Kept crops of pictures that the model has no template of.
fn crops_without(
    tables: &Tables<'_>,
    directory: &Directory,
    model: &Model,
) -> Result<Vec<(IdentityId, Chip)>> {
    let mut crops = Vec::new();
    for entry in directory.iter() {
        let (identity, key) = (entry.identity.id, &entry.identity.key);
        for tag in &entry.crops {
            let has = entry.templates.iter().any(|row| row.source_tag == *tag && row.model == model.id);
            if let Some(bytes) = tables.crop(identity, key, tag)?.filter(|_| !has) {
                crops.push((identity, Chip::from_bytes(&bytes)?));
            }
        }
    }
    Ok(crops)
}

/// Opens the store at `path` for reading, as of `now`. Where there is none, nobody is found, and a warning says so.
///
/// # Errors
/// As [`Store::open_read_only`] and [`master::load_for`]; `Data`, when a row does not open.
pub fn open(
    path: &Path,
    key: &KeySource,
    given_key: Option<Key>,
    model: &Model,
    index: IndexChoice,
    now: Timestamp,
) -> Result<(SharedGallery, Vec<Warning>)> {
    let searched = snapshot::Model { id: model.id, dimension: model.dimension };
    let id = match Store::look(path)? {
        Found::Sealed(id) => id,
        Found::Nothing | Found::Plain => {
            let empty = GallerySnapshot::empty(searched, index)?;
            return Ok((SharedGallery::new(empty), vec![Warning::Empty]));
        }
    };
    let key = given_key.map_or_else(|| master::load_for(key, id), Ok)?;
    let store = Store::open_read_only(path, &key)?;
    let mut everything = store.read(|tables| Everything::read(tables, model))?;
    everything.directory.at(now);
    let (snapshot, warnings) = everything.gathered(model, index).1.build()?;
    Ok((SharedGallery::new(snapshot), warnings))
}
