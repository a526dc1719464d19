//! The gallery for those who only search it: the tools that recognise and check.
//!
//! They take no lock and change nothing, so they work beside a running daemon, if they may read the store and its key. Who is
//! looked for is decided by the time of reading.

use std::path::Path;

use jiff::Timestamp;

use super::crypt::Key;
use super::keeper::{Directory, Model, load};
use super::master::{self, KeySource};
use super::shared::SharedGallery;
use super::snapshot::{self, GallerySnapshot, Warning};
use super::store::{Found, Store};
use crate::base::error::Result;
use crate::config;
use crate::infer::models::Models;
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
    let (snapshot, warnings) = store.read(|tables| {
        let mut directory = Directory::read(tables)?;
        directory.at(now);
        load(tables, &directory, model, index)
    })?;
    Ok((SharedGallery::new(snapshot), warnings))
}
