//! Faces over time: which detection continues which track, when tracks start and end, and which shots of them
//! are worth an embedding.
//!
//! ```text
//!                    first hit            min_hits
//!   detection ──────────────▶ tentative ──────────▶ confirmed
//!   (score >= high_score)        │ not seen for         │ not seen for max_age,
//!                                │ half of max_age      │ or gone over the picture's edge
//!                                ▼                      ▼
//!                                      ended, reported once
//!
//!   each update:
//!     1. every track is predicted to the frame's time
//!     2. tracks  x  detections at or above low_score, one optimal assignment
//!     3. what is left at or above high_score starts new tracks; the unsure rest never does
//! ```
//!
//! That unsure detections continue tracks but start none is ByteTrack's idea (Zhang et al. 2022); `motion` predicts,
//! `associate` prices and assigns. One [`Tracker`] serves one camera in one epoch; it asks no clock and answers
//! the same for the same detections, in whatever order they are listed.

mod assign;
mod associate;
mod motion;
pub mod shots;

#[cfg(test)]
mod scenes;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::time::Duration;

use crate::base::clock::Moment;
use crate::config;
use crate::types::face::Detection;
use crate::types::geometry::{Rect, Size};
use crate::types::ids::{CameraId, TrackId};

use motion::{Motion, Observed};

/// Most live tracks of one camera. More faces than this are not followed, and counted in [`TrackUpdate::refused`].
pub const MAX_TRACKS: usize = 512;
/// Most detections of one update that are looked at, best score first.
pub const MAX_DETECTIONS: usize = 512;
/// A pause between two frames after which no track is continued, however slow the camera is looked at.
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// A track whose predicted centre is this far outside the picture, in face heights, has left it.
const LEFT_PICTURE: f64 = 0.25;

/// A detection that belongs to a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The track.
    pub track: TrackId,
    /// Place of the detection in the list given to [`Tracker::update`].
    pub detection: usize,
    /// Detections of this track so far, this one included.
    pub hits: u32,
    /// True once there were `min_hits`. Before that the track may be a false alarm of the detector: keep its best
    /// shot (see [`shots::ShotSelector`]) but embed nothing yet.
    pub confirmed: bool,
}

/// A track that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The track; its id does not come back.
    pub track: TrackId,
    /// Detections it had.
    pub hits: u32,
    /// False if it never had `min_hits`: it does not count, and nothing was to be embedded.
    pub confirmed: bool,
    /// Its first detection.
    pub first_seen: Moment,
    /// Its last detection; the track is reported as ended up to `max_age` later.
    pub last_seen: Moment,
    /// Frame of the last detection.
    pub last_sequence: u64,
}

/// What one frame changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackUpdate {
    /// Tracks that were continued, by track number.
    pub matched: Vec<Sighting>,
    /// Tracks that began, by track number. Their detection is not in `matched`.
    pub started: Vec<Sighting>,
    /// Tracks that are over, by track number.
    pub ended: Vec<Ended>,
    /// Detections that were left out because of [`MAX_TRACKS`] or [`MAX_DETECTIONS`].
    pub refused: usize,
}

impl TrackUpdate {
    /// All detections that belong to a track: continued ones, then new ones.
    pub fn sightings(&self) -> impl Iterator<Item = &Sighting> {
        self.matched.iter().chain(&self.started)
    }
}

/// A track that is being followed.
#[derive(Debug)]
struct Live {
    number: u64,
    motion: Motion,
    hits: u32,
    first_seen: Moment,
    last_seen: Moment,
    last_sequence: u64,
    /// The update it was last seen in.
    last_update: u64,
}

/// Follows the faces of one camera in one epoch.
#[derive(Debug)]
pub struct Tracker {
    camera: CameraId,
    epoch: u32,
    config: config::Track,
    size: Option<Size>,
    predicted_to: Option<Moment>,
    /// By number.
    tracks: Vec<Live>,
    next_number: u64,
    updates: u64,
}

/// A detection with its place in the caller's list.
struct Seen {
    place: usize,
    score: f32,
    observed: Observed,
}

impl Tracker {
    /// A tracker without tracks. A new epoch needs a new tracker.
    pub fn new(camera: CameraId, epoch: u32, config: config::Track) -> Self {
        Self {
            camera,
            epoch,
            config,
            size: None,
            predicted_to: None,
            tracks: Vec::new(),
            next_number: 1,
            updates: 0,
        }
    }

    /// Takes in the detections of one frame of `size` captured at `now`. Call it for every frame that was looked
    /// at, also without detections: that is how tracks end. A moment before the last one counts as the same.
    pub fn update(
        &mut self,
        now: Moment,
        sequence: u64,
        size: Size,
        detections: &[Detection],
    ) -> TrackUpdate {
        self.updates += 1;
        let this_update = self.updates;
        self.follow_size(size);
        self.predict(now);
        let mut ended = self.end(|tracker, track| tracker.is_stale(track, now));
        let (seen, mut refused) = in_order(detections, self.config.low_score);

        let pairs = self.associate(&seen);
        let hit = |&(track, detection): &(usize, usize)| self.hit(track, seen.get(detection)?, now, sequence);
        let matched: Vec<Sighting> = pairs.iter().filter_map(hit).collect();
        ended.extend(self.end(|_, track| track.last_update != this_update && left_picture(track, size)));
        ended.sort_unstable_by_key(|e| e.track.number);

        let mut started = Vec::new();
        let is_open = |place: usize| pairs.iter().all(|&(_, taken)| taken != place);
        let start = |(place, s): &(usize, &Seen)| s.score >= self.config.high_score && is_open(*place);
        let new: Vec<&Seen> = seen.iter().enumerate().filter(start).map(|(_, s)| s).collect();
        for detection in new {
            match self.start(detection, now, sequence) {
                Some(sighting) => started.push(sighting),
                None => refused += 1,
            }
        }
        TrackUpdate { matched, started, ended, refused }
    }

    /// Other settings from the next update on; the tracks stay.
    pub fn set_config(&mut self, config: config::Track) {
        self.config = config;
    }

    /// Ends the epoch: all tracks that are left, by number.
    pub fn finish(&mut self) -> Vec<Ended> {
        let left = std::mem::take(&mut self.tracks);
        left.iter().map(|track| self.ended(track)).collect()
    }

    /// Tracks being followed, with the box each is expected to have, by number.
    pub fn live(&self) -> impl Iterator<Item = (TrackId, Rect)> + '_ {
        self.tracks.iter().map(|track| (self.id(track.number), track.motion.bbox()))
    }

    /// A camera may change its resolution within an epoch: the faces are where they were.
    fn follow_size(&mut self, size: Size) {
        let old = self.size.replace(size);
        let Some(old) = old.filter(|old| *old != size && old.area() > 0 && size.area() > 0) else { return };
        let horizontal = f64::from(size.width) / f64::from(old.width);
        let vertical = f64::from(size.height) / f64::from(old.height);
        self.tracks.iter_mut().for_each(|track| track.motion.scale(horizontal, vertical));
    }

    fn predict(&mut self, now: Moment) {
        let step = self.predicted_to.map_or(Duration::ZERO, |last| now.since(last));
        if self.predicted_to.is_none_or(|last| now.mono > last.mono) {
            self.predicted_to = Some(now);
        }
        self.tracks.iter_mut().for_each(|track| track.motion.predict(step.as_secs_f64()));
    }

    /// Takes out the tracks that are over.
    fn end(&mut self, over: impl Fn(&Self, &Live) -> bool) -> Vec<Ended> {
        let (gone, live) = std::mem::take(&mut self.tracks).into_iter().partition(|track| over(self, track));
        self.tracks = live;
        let gone: Vec<Live> = gone;
        gone.iter().map(|track| self.ended(track)).collect()
    }

    fn is_stale(&self, track: &Live, now: Moment) -> bool {
        let unseen = now.since(track.last_seen);
        // At a frame a second and less, two frames lie further apart than the patience: the next one is always waited for.
        let missed = self.updates.saturating_sub(track.last_update) >= 2;
        let patience = if self.confirmed(track.hits) { self.config.max_age } else { self.config.max_age / 2 };
        (missed && unseen > patience) || unseen > self.config.max_age.max(LONGEST_GAP)
    }

    fn confirmed(&self, hits: u32) -> bool {
        hits >= self.config.min_hits
    }

    /// Places of tracks and their detections, by track.
    fn associate(&self, seen: &[Seen]) -> Vec<(usize, usize)> {
        let motions: Vec<&Motion> = self.tracks.iter().map(|track| &track.motion).collect();
        let observed: Vec<&Observed> = seen.iter().map(|seen| &seen.observed).collect();
        associate::associate(&motions, &observed, f64::from(self.config.min_iou))
    }

    fn hit(&mut self, index: usize, seen: &Seen, now: Moment, sequence: u64) -> Option<Sighting> {
        let track = self.tracks.get_mut(index)?;
        track.motion.update(&seen.observed);
        track.hits = track.hits.saturating_add(1);
        track.last_seen = now;
        track.last_sequence = sequence;
        track.last_update = self.updates;
        let (number, hits) = (track.number, track.hits);
        Some(self.sighting(number, hits, seen))
    }

    fn start(&mut self, seen: &Seen, now: Moment, sequence: u64) -> Option<Sighting> {
        if self.tracks.len() >= MAX_TRACKS {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.tracks.push(Live {
            number,
            motion: Motion::new(&seen.observed),
            hits: 1,
            first_seen: now,
            last_seen: now,
            last_sequence: sequence,
            last_update: self.updates,
        });
        Some(self.sighting(number, 1, seen))
    }

    fn sighting(&self, number: u64, hits: u32, seen: &Seen) -> Sighting {
        Sighting { track: self.id(number), detection: seen.place, hits, confirmed: self.confirmed(hits) }
    }

    fn ended(&self, track: &Live) -> Ended {
        Ended {
            track: self.id(track.number),
            hits: track.hits,
            confirmed: self.confirmed(track.hits),
            first_seen: track.first_seen,
            last_seen: track.last_seen,
            last_sequence: track.last_sequence,
        }
    }

    fn id(&self, number: u64) -> TrackId {
        TrackId { camera: self.camera.clone(), epoch: self.epoch, number }
    }
}

/// The detections that may continue a track in an order of their own, so that the caller's does not matter; and
/// how many were left out for their number.
fn in_order(detections: &[Detection], least_score: f32) -> (Vec<Seen>, usize) {
    let usable = |d: &Detection| d.score >= least_score && d.bbox.is_finite();
    let mut all: Vec<(usize, &Detection)> =
        detections.iter().enumerate().filter(|(_, d)| usable(d)).collect();
    all.sort_by(|(_, a), (_, b)| by_score_and_place(a, b));
    let refused = all.len().saturating_sub(MAX_DETECTIONS);
    all.truncate(MAX_DETECTIONS);
    let seen =
        |(place, d): (usize, &Detection)| Seen { place, score: d.score, observed: Observed::new(&d.bbox) };
    (all.into_iter().map(seen).collect(), refused)
}

fn by_score_and_place(a: &Detection, b: &Detection) -> Ordering {
    let corners = |r: &Rect| [r.x1, r.y1, r.x2, r.y2];
    let places = corners(&a.bbox).into_iter().zip(corners(&b.bbox));
    let by_place = places.map(|(p, q)| p.total_cmp(&q)).find(|order| order.is_ne());
    b.score.total_cmp(&a.score).then(by_place.unwrap_or(Ordering::Equal))
}

/// Better a track that ends too early than one that takes over the next person who comes in at that edge.
fn left_picture(track: &Live, size: Size) -> bool {
    let (x, y) = track.motion.center();
    let margin = LEFT_PICTURE * track.motion.height();
    let outside = |value: f64, side: u32| value < -margin || value > f64::from(side) + margin;
    outside(x, size.width) || outside(y, size.height)
}
