//! The current snapshot, shared by all threads that search.
//!
//! ```text
//!  searchers ── current() ──▶ Arc<GallerySnapshot>  (they keep theirs until they are done)
//!  keeper    ── swap() ─────▶ the next one, whole
//! ```

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::snapshot::GallerySnapshot;
use crate::base::error::Result;

/// Holds the snapshot that searches use now.
pub struct SharedGallery {
    current: ArcSwap<GallerySnapshot>,
}

impl SharedGallery {
    /// Starts with this one.
    pub fn new(snapshot: GallerySnapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot) }
    }

    /// The snapshot to search. It does not change in the caller's hands.
    pub fn current(&self) -> Arc<GallerySnapshot> {
        self.current.load_full()
    }

    /// Moves the snapshot of now onto a base that was built beside. One that comes at the same moment is not lost: it is tried
    /// again with that one. Nobody has to hold the keeper for it.
    ///
    /// # Errors
    /// As [`GallerySnapshot::onto`].
    pub fn stand_on(&self, rebuilt: &GallerySnapshot) -> Result<()> {
        loop {
            let now = self.current.load();
            let next = Arc::new(now.onto(rebuilt)?);
            if Arc::ptr_eq(&self.current.compare_and_swap(&*now, next), &now) {
                return Ok(());
            }
        }
    }

    /// Goes on without the graph that `audited` answered from; false, if that is not in use any more.
    pub fn distrust(&self, audited: &GallerySnapshot) -> bool {
        loop {
            let now = self.current.load();
            let Some(next) = now.distrusting(audited) else { return false };
            if Arc::ptr_eq(&self.current.compare_and_swap(&*now, Arc::new(next)), &now) {
                return true;
            }
        }
    }

    /// Puts another in its place: every search that starts after this uses it.
    pub fn swap(&self, snapshot: Arc<GallerySnapshot>) {
        self.current.store(snapshot);
    }
}
