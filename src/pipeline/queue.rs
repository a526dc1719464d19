//! Shots that wait to be embedded.
//!
//! ```text
//!  put(shot)                                                       take(max)
//!     │      camera a: [track 1] [track 7]        ┐
//!     ├────▶ camera b: [track 3]                  ├─ round robin ──▶ a batch, oldest of each camera first
//!     │      camera c: [track 2] [track 5] [...]  ┘
//!     ▼
//!  dropped: replaced by a better shot of the same track · too old · no room
//! ```
//!
//! At most one shot of a track waits: a better one takes its place (and its turn), so overload lowers the rate of
//! embeddings and never their freshness. Whatever is put in comes out exactly once: taken, or dropped with a reason.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::Moment;
use crate::stats::CropDrop;
use crate::types::face::FaceCrop;
use crate::types::geometry::Rect;
use crate::types::ids::{CameraId, ModelId, TrackId};

/// A crop of a track, on its way to the embedder.
#[derive(Debug, Clone)]
pub struct Shot {
    /// The track.
    pub track: TrackId,
    /// The model that the face was cut out for.
    pub model: ModelId,
    /// The aligned face.
    pub crop: FaceCrop,
    /// The frame it was cut from.
    pub sequence: u64,
    /// When that frame was captured.
    pub captured: Moment,
    /// The face's box in that frame.
    pub bbox: Rect,
}

/// A shot that will not be embedded.
#[derive(Debug)]
pub struct Dropped {
    /// The shot.
    pub shot: Shot,
    /// Why.
    pub reason: CropDrop,
}

/// A shot and since when its track waits here.
#[derive(Debug)]
struct Waiting {
    since: Moment,
    shot: Shot,
}

/// The queue. Pure: time is passed in, and the caller locks.
#[derive(Debug)]
pub struct ShotQueue {
    lanes: VecDeque<(CameraId, VecDeque<Waiting>)>,
    len: usize,
    capacity: usize,
    max_age: Duration,
}

impl ShotQueue {
    /// An empty queue for at most `capacity` shots, none of them older than `max_age` when taken.
    pub fn new(capacity: usize, max_age: Duration) -> Self {
        Self { lanes: VecDeque::new(), len: 0, capacity: capacity.max(1), max_age }
    }

    /// Number of shots that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Since when the shot that waits longest waits.
    pub fn oldest(&self) -> Option<Moment> {
        self.lanes.iter().filter_map(|(_, lane)| lane.front()).map(|waiting| waiting.since).min()
    }

    /// Adds a shot; returns the one that had to go for it, which may be the new one itself.
    pub fn put(&mut self, shot: Shot, now: Moment) -> Option<Dropped> {
        if let Some(waiting) = self.waiting_of(&shot.track) {
            // One that waits for a model that is no longer in use is worth nothing.
            let outdated = shot.model != waiting.model;
            let better = outdated || shot.crop.quality().score > waiting.crop.quality().score;
            let loser = if better { std::mem::replace(waiting, shot) } else { shot };
            return Some(Dropped { shot: loser, reason: CropDrop::Replaced });
        }
        let dropped = (self.len >= self.capacity).then(|| self.drop_from_longest()).flatten();
        self.lane(&shot.track.camera).push_back(Waiting { since: now, shot });
        self.len += 1;
        dropped
    }

    /// Takes up to `max` shots, one camera after the other; those that waited too long are dropped on the way.
    pub fn take(&mut self, max: usize, now: Moment) -> (Vec<Shot>, Vec<Dropped>) {
        let (mut taken, mut dropped) = (Vec::new(), Vec::new());
        while taken.len() < max {
            let Some((camera, mut lane)) = self.lanes.pop_front() else { break };
            while let Some(Waiting { shot, .. }) = lane.pop_front() {
                self.len -= 1;
                if now.since(shot.captured) > self.max_age {
                    dropped.push(Dropped { shot, reason: CropDrop::TooOld });
                } else {
                    taken.push(shot);
                    break;
                }
            }
            if !lane.is_empty() {
                self.lanes.push_back((camera, lane));
            }
        }
        (taken, dropped)
    }

    fn waiting_of(&mut self, track: &TrackId) -> Option<&mut Shot> {
        let (_, lane) = self.lanes.iter_mut().find(|(camera, _)| *camera == track.camera)?;
        lane.iter_mut().map(|waiting| &mut waiting.shot).find(|shot| shot.track == *track)
    }

    fn lane(&mut self, camera: &CameraId) -> &mut VecDeque<Waiting> {
        let at = self.lanes.iter().position(|(c, _)| c == camera).unwrap_or_else(|| {
            self.lanes.push_back((camera.clone(), VecDeque::new()));
            self.lanes.len() - 1
        });
        &mut self.lanes[at].1
    }

    /// The oldest shot of the camera with most waiting pays for the newcomer.
    fn drop_from_longest(&mut self) -> Option<Dropped> {
        let at = (0..self.lanes.len()).max_by_key(|&i| self.lanes[i].1.len())?;
        let Waiting { shot, .. } = self.lanes[at].1.pop_front()?;
        self.len -= 1;
        if self.lanes[at].1.is_empty() {
            self.lanes.remove(at);
        }
        Some(Dropped { shot, reason: CropDrop::Overload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::face::Quality;
    use crate::types::frame::RgbImage;
    use crate::types::geometry::Size;

    fn at(ms: u64) -> Moment {
        Moment { mono: Duration::from_millis(ms), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn shot(camera: &str, number: u64, quality: f32, captured: u64) -> Shot {
        let image = RgbImage::new(Size::new(1, 1), vec![0; 3]).expect("one pixel");
        let quality = Quality {
            face_pixels: 80.0,
            sharpness: 100.0,
            yaw: 0.0,
            pitch: 0.0,
            roll: 0.0,
            brightness: 120.0,
            score: quality,
            refusal: None,
        };
        Shot {
            track: TrackId { camera: CameraId::new(camera).expect("an id"), epoch: 1, number },
            model: ModelId([1; 32]),
            crop: FaceCrop::from_aligner(image, quality),
            sequence: captured / 40,
            captured: at(captured),
            bbox: Rect::new(0.0, 0.0, 80.0, 80.0),
        }
    }

    fn names(shots: &[Shot]) -> Vec<String> {
        shots.iter().map(|s| format!("{}{}", s.track.camera, s.track.number)).collect()
    }

    #[test]
    fn a_better_shot_takes_the_place_of_the_one_that_waits() {
        let mut queue = ShotQueue::new(8, Duration::from_secs(1));
        assert!(queue.put(shot("a", 1, 0.5, 0), at(0)).is_none());
        assert!(queue.put(shot("a", 2, 0.5, 1), at(1)).is_none());
        let dropped = queue.put(shot("a", 1, 0.9, 40), at(40)).expect("the first shot goes");
        assert_eq!((dropped.shot.sequence, dropped.reason), (0, CropDrop::Replaced));
        let worse = queue.put(shot("a", 1, 0.2, 80), at(80)).expect("the worse shot goes");
        assert_eq!(worse.shot.sequence, 2);
        let (taken, _) = queue.take(8, at(80));
        assert_eq!(names(&taken), ["a1", "a2"], "the better shot keeps the turn");
        assert_eq!(taken[0].sequence, 1);
    }

    #[test]
    fn a_busy_camera_does_not_starve_the_others() {
        let mut queue = ShotQueue::new(64, Duration::from_secs(1));
        for number in 1..=10 {
            queue.put(shot("a", number, 0.5, number), at(number));
        }
        queue.put(shot("b", 1, 0.5, 20), at(20));
        queue.put(shot("c", 1, 0.5, 21), at(21));
        let (taken, _) = queue.take(4, at(30));
        assert_eq!(names(&taken), ["a1", "b1", "c1", "a2"]);
    }

    #[test]
    fn what_waited_too_long_is_dropped_not_embedded() {
        let mut queue = ShotQueue::new(8, Duration::from_millis(500));
        queue.put(shot("a", 1, 0.5, 0), at(0));
        queue.put(shot("a", 2, 0.5, 900), at(900));
        let (taken, dropped) = queue.take(1, at(1000));
        assert_eq!(names(&taken), ["a2"]);
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].reason, CropDrop::TooOld);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_drops_from_whoever_fills_it() {
        let mut queue = ShotQueue::new(3, Duration::from_secs(1));
        queue.put(shot("a", 1, 0.5, 0), at(0));
        queue.put(shot("a", 2, 0.5, 1), at(1));
        queue.put(shot("b", 1, 0.5, 2), at(2));
        let dropped = queue.put(shot("b", 2, 0.5, 3), at(3)).expect("somebody must go");
        assert_eq!((names(&[dropped.shot]), dropped.reason), (vec!["a1".to_owned()], CropDrop::Overload));
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.oldest(), Some(at(1)));
    }

    #[test]
    fn every_shot_comes_out_exactly_once() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut queue = ShotQueue::new(16, Duration::from_millis(300));
        let (mut put, mut out) = (0u32, 0u32);
        for ms in 0..5_000u64 {
            let camera = ["a", "b", "c"][rng.usize(..3)];
            put += 1;
            out += u32::from(queue.put(shot(camera, rng.u64(1..20), rng.f32(), ms), at(ms)).is_some());
            if rng.u8(..10) == 0 {
                let (taken, dropped) = queue.take(rng.usize(1..9), at(ms));
                out += (taken.len() + dropped.len()) as u32;
            }
            assert_eq!(put, out + queue.len() as u32);
        }
    }
}
