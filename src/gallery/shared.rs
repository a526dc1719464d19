//! The current snapshot, shared by all threads that search.
//!
//! ```text
//!  searchers ── current() ──▶ Arc<GallerySnapshot>  (they keep theirs until they are done)
//!  poller ── refresh() ──▶ generation changed? ──▶ load beside ──▶ swap
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::snapshot::{GallerySnapshot, Warning};
use super::store::Store;
use crate::base::error::Result;
use crate::config;
use crate::infer::models::Models;
use crate::types::ids::ModelId;
use crate::types::matching::IndexKind;

/// Holds the snapshot that searches use now.
pub struct SharedGallery {
    current: ArcSwap<GallerySnapshot>,
    store: Mutex<Store>,
    model: ModelId,
    dimension: usize,
    kind: IndexKind,
}

impl SharedGallery {
    /// Opens the store, which is made if there is none, and loads it.
    ///
    /// # Errors
    /// As [`Store::open`] and [`GallerySnapshot::load`].
    pub fn open(
        path: &Path,
        model: ModelId,
        dimension: usize,
        kind: IndexKind,
    ) -> Result<(Self, Vec<Warning>)> {
        let store = Store::open(path)?;
        let (snapshot, warnings) = GallerySnapshot::load(&store, model, dimension, kind)?;
        let current = ArcSwap::from_pointee(snapshot);
        Ok((Self { current, store: Mutex::new(store), model, dimension, kind }, warnings))
    }

    /// Opens the configured store for the configured models.
    ///
    /// # Errors
    /// As [`SharedGallery::open`].
    pub fn configured(gallery: &config::Gallery, models: &Models) -> Result<(Self, Vec<Warning>)> {
        Self::open(&gallery.path, models.model_id(), models.dimension(), gallery.index)
    }

    /// The snapshot to search. It does not change in the caller's hands.
    pub fn current(&self) -> Arc<GallerySnapshot> {
        self.current.load_full()
    }

    /// Loads the gallery again if it changed since, or if another file was put in its place; `None` if not. A check
    /// without a change takes microseconds. Searches go on with the old snapshot meanwhile.
    ///
    /// # Errors
    /// As [`GallerySnapshot::load`]; the old snapshot stays.
    pub fn refresh(&self) -> Result<Option<(Arc<GallerySnapshot>, Vec<Warning>)>> {
        // Held while loading, so that a second caller waits for the first one's snapshot.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = store.replaced()?;
        if replaced {
            let path = store.path().to_owned();
            let opened = Store::open(&path)?;
            // Swapped in only with its snapshot: after a failure the next call tries again.
            let loaded = self.load(&opened)?;
            *store = opened;
            return Ok(Some(self.swap(loaded)));
        }
        if store.generation()? == self.current.load().generation() {
            return Ok(None);
        }
        let loaded = self.load(&store)?;
        Ok(Some(self.swap(loaded)))
    }

    fn load(&self, store: &Store) -> Result<(GallerySnapshot, Vec<Warning>)> {
        GallerySnapshot::load(store, self.model, self.dimension, self.kind)
    }

    fn swap(
        &self,
        (snapshot, warnings): (GallerySnapshot, Vec<Warning>),
    ) -> (Arc<GallerySnapshot>, Vec<Warning>) {
        let snapshot = Arc::new(snapshot);
        self.current.store(snapshot.clone());
        (snapshot, warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::name::Name;
    use crate::gallery::store::NewTemplate;
    use crate::types::embedding::Embedding;

    const MODEL: ModelId = ModelId([1; 32]);

    fn enrol(store: &mut Store, name: &str, vector: [f32; 2]) {
        let embedding = Embedding::new(MODEL, vector.to_vec()).expect("a vector");
        let template = NewTemplate {
            embedding: &embedding,
            quality: 0.5,
            source: "a.jpg",
            source_sha256: [name.len() as u8; 32],
        };
        store.enrol(&Name::new(name).expect("a name"), &template).expect("stored");
    }

    fn best(gallery: &GallerySnapshot) -> Option<Arc<str>> {
        let probe = Embedding::new(MODEL, vec![1.0, 0.0]).expect("a vector");
        gallery.search(&probe, 1).best().map(|c| c.name.clone())
    }

    #[test]
    fn what_another_connection_writes_is_seen_at_the_next_refresh() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gallery.db");
        let (gallery, warnings) = SharedGallery::open(&path, MODEL, 2, IndexKind::Exact).expect("opens");
        assert_eq!(warnings, [Warning::Empty]);
        assert!(gallery.refresh().expect("readable").is_none());

        let mut writer = Store::open(&path).expect("opens beside");
        enrol(&mut writer, "Ana", [1.0, 0.0]);
        let old = gallery.current();
        assert!(gallery.refresh().expect("readable").is_some());
        assert_eq!(best(&old), None, "a snapshot in use does not change");
        assert_eq!(best(&gallery.current()).as_deref(), Some("Ana"));

        let ana =
            writer.identity_by_name(&Name::new("Ana").expect("a name")).expect("readable").expect("there");
        writer.remove_identity(ana).expect("removed");
        gallery.refresh().expect("readable");
        assert_eq!(best(&gallery.current()), None);
    }

    #[test]
    fn a_store_put_in_its_place_is_noticed_even_at_the_same_generation() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("gallery.db"), folder.path().join("backup.db"));
        enrol(&mut Store::open(&path).expect("opens"), "Ana", [1.0, 0.0]);
        enrol(&mut Store::open(&other).expect("opens"), "Berta", [1.0, 0.0]);
        let (gallery, _) = SharedGallery::open(&path, MODEL, 2, IndexKind::Exact).expect("opens");
        std::fs::rename(&path, folder.path().join("old.db")).expect("moved");
        assert!(gallery.refresh().is_err(), "no file is an error, not an empty gallery");
        assert_eq!(best(&gallery.current()).as_deref(), Some("Ana"), "the old snapshot stays");
        std::fs::rename(&other, &path).expect("moved");
        assert!(gallery.refresh().expect("readable").is_some());
        assert_eq!(best(&gallery.current()).as_deref(), Some("Berta"));
    }
}
