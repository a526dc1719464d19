//! The best picture of each live track, in memory, until it is known whether it may be kept.
//!
//! ```text
//!   worker ── put(picture) ─▶ [ track 1 ] [ track 2 ] ...  ── best(track) ──▶ decider, when an event may refer to it
//!             better? stays        │ 64 MiB: the oldest of the camera that has most goes, counted
//!                                  └─ ended(track) ─▶ gone, whatever was decided
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::cut::Picture;
use crate::stats::{SnapshotMiss, SnapshotStats};
use crate::types::ids::{CameraId, TrackId};

/// Most bytes of pixels: some sixty tracks that are seen at the same time.
pub const ROOM: usize = 64 << 20;

/// Pictures by track. Shared by workers and decider.
pub struct Shelf {
    inner: Mutex<Inner>,
    room: usize,
    stats: Arc<SnapshotStats>,
}

#[derive(Default)]
struct Inner {
    held: HashMap<TrackId, Held>,
    bytes: usize,
    /// Counts what is put.
    turn: u64,
    /// What was kept of live tracks, and whether as a stranger's: to be taken back with what was said.
    kept: HashMap<TrackId, Vec<(Uuid, bool)>>,
}

struct Held {
    picture: Arc<Picture>,
    since: u64,
}

impl Shelf {
    /// An empty one for so many bytes.
    pub fn new(room: usize, stats: Arc<SnapshotStats>) -> Self {
        Self { inner: Mutex::default(), room, stats }
    }

    /// Takes a picture, if it is the best one of its track.
    pub fn put(&self, picture: Picture) {
        let mut inner = self.lock();
        let known = inner.held.get(&picture.track);
        if known.is_some_and(|held| held.picture.quality >= picture.quality) {
            return;
        }
        let track = picture.track.clone();
        inner.remove(&track);
        inner.turn += 1;
        inner.bytes += picture.bytes();
        let held = Held { since: inner.turn, picture: Arc::new(picture) };
        inner.held.insert(track, held);
        while inner.bytes > self.room {
            let Some(oldest) = inner.oldest_of_the_fullest() else { return };
            inner.remove(&oldest);
            self.stats.missed.add(SnapshotMiss::Memory, 1);
        }
    }

    /// The best picture of a track.
    pub fn best(&self, track: &TrackId) -> Option<Arc<Picture>> {
        self.lock().held.get(track).map(|held| held.picture.clone())
    }

    /// A picture of the live track was kept under this id, as a stranger's or not.
    pub fn note_kept(&self, track: &TrackId, id: Uuid, stranger: bool) {
        self.lock().kept.entry(track.clone()).or_default().push((id, stranger));
    }

    /// What was kept of the track as a stranger's, or as somebody's; once.
    pub fn take_kept(&self, track: &TrackId, stranger: bool) -> Vec<Uuid> {
        let mut inner = self.lock();
        let Some(kept) = inner.kept.get_mut(track) else { return Vec::new() };
        kept.extract_if(.., |(_, of)| *of == stranger).map(|(id, _)| id).collect()
    }

    /// The track is over, and so is its picture.
    pub fn ended(&self, track: &TrackId) {
        let mut inner = self.lock();
        inner.remove(track);
        inner.kept.remove(track);
    }

    /// Pictures, and bytes of their pixels.
    pub fn load(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.held.len(), inner.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, track: &TrackId) {
        if let Some(held) = self.held.remove(track) {
            self.bytes -= held.picture.bytes();
        }
    }

    /// Whoever fills the room pays for it.
    fn oldest_of_the_fullest(&self) -> Option<TrackId> {
        let mut by_camera: HashMap<&CameraId, usize> = HashMap::new();
        for (track, held) in &self.held {
            *by_camera.entry(&track.camera).or_default() += held.picture.bytes();
        }
        let (camera, _) = by_camera.into_iter().max_by_key(|(camera, bytes)| (*bytes, camera.as_str()))?;
        let of_it = self.held.iter().filter(|(track, _)| track.camera == *camera);
        of_it.min_by_key(|(_, held)| held.since).map(|(track, _)| track.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshots::testing::{picture, track};

    fn shelf(pictures: usize) -> Shelf {
        let room = pictures * picture("door", 1, 0.5).bytes();
        Shelf::new(room, Arc::default())
    }

    fn missed(shelf: &Shelf) -> u64 {
        shelf.stats.missed.get(SnapshotMiss::Memory)
    }

    #[test]
    fn the_best_picture_of_a_track_stays_until_the_track_is_over() {
        let shelf = shelf(9);
        shelf.put(picture("door", 1, 0.5));
        shelf.put(picture("door", 1, 0.4));
        assert_eq!(shelf.best(&track("door", 1)).map(|p| p.quality), Some(0.5));
        shelf.put(picture("door", 1, 0.8));
        assert_eq!(shelf.best(&track("door", 1)).map(|p| p.quality), Some(0.8));
        assert_eq!(shelf.best(&track("door", 2)), None);
        shelf.note_kept(&track("door", 1), Uuid::from_u128(7), false);
        shelf.note_kept(&track("door", 1), Uuid::from_u128(8), true);
        assert_eq!(shelf.take_kept(&track("door", 1), true), [Uuid::from_u128(8)]);
        shelf.ended(&track("door", 1));
        assert_eq!((shelf.best(&track("door", 1)), shelf.load()), (None, (0, 0)));
        assert!(shelf.take_kept(&track("door", 1), false).is_empty());
    }

    #[test]
    fn there_is_room_for_so_much_and_whoever_fills_it_pays() {
        let shelf = shelf(4);
        shelf.put(picture("yard", 1, 0.5));
        (1..=3).for_each(|number| shelf.put(picture("door", number, 0.5)));
        assert_eq!((shelf.load().0, missed(&shelf)), (4, 0));
        shelf.put(picture("yard", 2, 0.5));
        assert_eq!((shelf.load().0, missed(&shelf)), (4, 1));
        assert_eq!(shelf.best(&track("door", 1)), None, "the oldest of the camera that has most");
        assert!(shelf.best(&track("yard", 1)).is_some());
    }
}
