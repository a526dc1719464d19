//! Scripted scenes for tests: people who move on given paths, a detector that errs, and a count of what a tracker
//! got wrong.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{TrackUpdate, Tracker};
use crate::base::clock::Moment;
use crate::config;
use crate::types::face::Detection;
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::CameraId;

pub(super) const PICTURE: Size = Size::new(1280, 720);

pub(super) fn config() -> config::Track {
    config::Track {
        high_score: 0.7,
        low_score: 0.4,
        min_iou: 0.1,
        min_hits: 2,
        max_age: Duration::from_millis(1500),
        shot_interval: Duration::from_millis(500),
        max_shots: 8,
    }
}

pub(super) fn tracker() -> Tracker {
    Tracker::new(CameraId::new("door").unwrap(), 1, config())
}

pub(super) fn at(seconds: f64) -> Moment {
    Moment { mono: Duration::from_secs_f64(seconds), wall: Timestamp::UNIX_EPOCH }
}

pub(super) fn detection(x: f64, y: f64, height: f64, score: f32) -> Detection {
    let (half_width, half_height) = (height as f32 * 0.38, height as f32 / 2.0);
    let (x, y) = (x as f32, y as f32);
    let bbox = Rect::new(x - half_width, y - half_height, x + half_width, y + half_height);
    Detection { bbox, landmarks: [Point { x, y }; 5], score }
}

/// Where somebody's face is: centre and height in pixels; `None` while not in the scene.
pub(super) type Path = Box<dyn Fn(f64) -> Option<(f64, f64, f64)>>;

pub(super) fn path(f: impl Fn(f64) -> Option<(f64, f64, f64)> + 'static) -> Path {
    Box::new(f)
}

/// A detector that errs as real ones do.
pub(super) struct Camera {
    pub(super) random: fastrand::Rng,
    /// Standard deviation of box centre and size, part of the height.
    pub(super) noise: f64,
    /// Part of the faces it misses.
    pub(super) miss: f64,
    /// Part of the faces it is unsure of (a score between low and high).
    pub(super) unsure: f64,
    /// False alarms a frame.
    pub(super) false_alarms: f64,
    /// Standard deviation of a shift of the whole picture, pixels.
    pub(super) shake: f64,
    /// A face hidden by more than this part of its box is not found.
    pub(super) hidden: f32,
}

impl Camera {
    pub(super) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, noise: 0.04, miss: 0.0, unsure: 0.1, false_alarms: 0.0, shake: 0.0, hidden: 0.6 }
    }

    /// Sum of twelve uniform numbers: near enough to a Gaussian.
    pub(super) fn gauss(&mut self) -> f64 {
        (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0
    }

    /// Who is found where. Nobody (`None`) for a false alarm, and for one box over two faces: whose it is cannot be
    /// said when one hides the other; who they are when they part again can.
    pub(super) fn look(&mut self, people: &[Path], time: f64) -> Vec<(Option<usize>, Detection)> {
        let shift = (self.gauss() * self.shake, self.gauss() * self.shake);
        let faces: Vec<(usize, (f64, f64, f64))> =
            people.iter().enumerate().filter_map(|(i, p)| Some((i, p(time)?))).collect();
        let mut found = Vec::new();
        for &(person, (x, y, height)) in &faces {
            let truth = detection(x, y, height, 1.0).bbox;
            let merges = |&(other, (ox, oy, oh)): &(usize, (f64, f64, f64))| {
                let smaller = detection(ox, oy, oh, 1.0).bbox;
                let part = truth.intersect(&smaller).area() / truth.area().min(smaller.area());
                other != person && part > self.hidden
            };
            let behind = |&&(other, (.., oh)): &&(usize, (f64, f64, f64))| (oh, other) > (height, person);
            let merged = faces.iter().any(&merges);
            if faces.iter().filter(behind).any(&merges) || self.random.f64() < self.miss {
                continue;
            }
            let score = if self.random.f64() < self.unsure { 0.5 } else { 0.9 };
            let mut off = || self.gauss() * self.noise * height;
            let (dx, dy, dh) = (off(), off(), off());
            let mut seen = detection(x + dx + shift.0, y + dy + shift.1, (height + dh).max(8.0), score);
            seen.bbox = seen.bbox.clamp_to(PICTURE);
            if seen.bbox.area() >= 16.0 {
                found.push(((!merged).then_some(person), seen));
            }
        }
        if self.random.f64() < self.false_alarms {
            let (x, y) = (self.random.f64() * 1280.0, self.random.f64() * 720.0);
            found.push((None, detection(x, y, 40.0, 0.75)));
        }
        self.random.shuffle(&mut found);
        found
    }
}

/// What a tracker got wrong.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mistakes {
    /// A person's track changed while the person was in view (fragments included), or a person got a track that
    /// was somebody else's before.
    pub(super) switches: usize,
    /// Detections of people.
    pub(super) faces: usize,
}

/// Compares who was seen with the tracks they were given.
#[derive(Default)]
pub(super) struct Judge {
    track_of: HashMap<usize, u64>,
    person_of: HashMap<u64, usize>,
    pub(super) mistakes: Mistakes,
}

impl Judge {
    pub(super) fn see(&mut self, person: usize, track: u64) {
        self.mistakes.faces += 1;
        let changed = self.track_of.insert(person, track).is_some_and(|old| old != track);
        let taken = self.person_of.insert(track, person).is_some_and(|old| old != person);
        self.mistakes.switches += usize::from(changed || taken);
    }
}

/// Plays a scene at about 5 detections a second (+- 20 %) through `track`, which gives each detection a track number.
pub(super) fn play(
    people: &[Path],
    camera: &mut Camera,
    seconds: f64,
    mut track: impl FnMut(f64, &[Detection]) -> Vec<Option<u64>>,
) -> Mistakes {
    let mut judge = Judge::default();
    let mut time = 0.0;
    while time < seconds {
        let (who, seen): (Vec<_>, Vec<_>) = camera.look(people, time).into_iter().unzip();
        let numbers = track(time, &seen);
        for (person, number) in who.iter().zip(numbers) {
            if let (Some(person), Some(number)) = (person, number) {
                judge.see(*person, number);
            }
        }
        time += 0.2 * (0.8 + 0.4 * camera.random.f64());
    }
    judge.mistakes
}

/// The track number of each detection.
pub(super) fn numbers(update: &TrackUpdate, detections: usize) -> Vec<Option<u64>> {
    let mut all = vec![None; detections];
    for sighting in update.sightings() {
        all[sighting.detection] = Some(sighting.track.number);
    }
    all
}

/// Plays a scene through our tracker.
pub(super) fn play_ours(people: &[Path], camera: &mut Camera, seconds: f64) -> (Mistakes, Tracker) {
    let mut tracker = tracker();
    let mut sequence = 0;
    let mistakes = play(people, camera, seconds, |time, seen| {
        sequence += 1;
        let update = tracker.update(at(time), sequence, PICTURE, seen);
        numbers(&update, seen.len())
    });
    (mistakes, tracker)
}

/// What most pipelines start with: the pair of greatest IoU first, no prediction. To compare with.
#[derive(Default)]
pub(super) struct GreedyIou {
    tracks: Vec<(u64, Rect, f64)>,
    next: u64,
}

impl GreedyIou {
    pub(super) fn update(&mut self, time: f64, seen: &[Detection], min_iou: f32) -> Vec<Option<u64>> {
        self.tracks.retain(|(_, _, last)| time - last <= 1.5);
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (t, (_, bbox, _)) in self.tracks.iter().enumerate() {
            for (d, detection) in seen.iter().enumerate() {
                pairs.push((bbox.iou(&detection.bbox), t, d));
            }
        }
        pairs.retain(|(iou, ..)| *iou >= min_iou);
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut numbers = vec![None; seen.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (_, t, d) in pairs {
            if !taken[t] && numbers[d].is_none() {
                taken[t] = true;
                numbers[d] = Some(self.tracks[t].0);
                self.tracks[t] = (self.tracks[t].0, seen[d].bbox, time);
            }
        }
        for (d, detection) in seen.iter().enumerate() {
            if numbers[d].is_none() && detection.score >= 0.7 {
                self.next += 1;
                numbers[d] = Some(self.next);
                self.tracks.push((self.next, detection.bbox, time));
            }
        }
        numbers
    }
}
