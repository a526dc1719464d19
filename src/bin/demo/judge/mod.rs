//! The judge: holds what the daemon said against who was really there. Pure: no clock, no I/O.
//!
//! ```text
//!  Heard (capture time, box, verdict) ─▶ the visit that was there and nearest ─▶ its Record
//!                                        nobody there ─▶ a visit of its own: any claim is wrong
//!  Records ─▶ Outcome of each visit ─▶ Summary
//! ```
//!
//! The rules:
//! - Somebody enrolled is **right** when a recognition by the right name was confirmed and still stands at the
//!   end; without that, the visit is **missed**. A recognition that was withdrawn counts for nothing.
//! - A visit is **wrong** when any other name was confirmed for it, even if withdrawn later, or was preliminary and
//!   never withdrawn. A wrong preliminary that was withdrawn is only reported, as *corrected*.
//! - A stranger with nothing wrong is **unknown** if the daemon said so at least once, else **undecided**.

mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use watchlistd::types::decision::Stage;
use watchlistd::types::geometry::Rect;

use crate::scene::Visit;

pub use summary::{Summary, percentile};

/// Seconds that an event's capture time may lie outside the time in which the whole face is visible: a face
/// is found while a part of it is still outside.
pub const TOLERANCE: f64 = 1.5;

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Capture time, seconds since the scene's zero, growing over repetitions.
    pub time: f64,
    /// The daemon's track.
    pub track: String,
    /// The face's box, pixels of the frame.
    pub bbox: Option<Rect>,
    /// The verdict.
    pub said: Said,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Somebody by name.
    Recognized {
        /// The name.
        name: String,
        /// How sure.
        stage: Stage,
    },
    /// Nobody who is enrolled.
    Unknown,
    /// Nothing can be said.
    Undecided,
}

/// What became of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Enrolled, and confirmed by name.
    Right,
    /// Taken for somebody else.
    Wrong,
    /// Enrolled, and never confirmed.
    Missed,
    /// A stranger, and said to be unknown.
    Unknown,
    /// A stranger of whom nothing was said for sure.
    Undecided,
}

/// How an event compares to the truth when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It says what is so.
    Right,
    /// It takes somebody for somebody else.
    Wrong {
        /// Who it really was.
        really: String,
    },
    /// It takes a wrong claim back.
    Corrected,
    /// It takes a right claim back.
    Retracted,
    /// Neither right nor wrong: nothing could be said, or not yet.
    Open,
}

/// A visit in one repetition of the scene: repetition, index in the scene.
type Key = (u32, usize);

/// Collects what is said of each visit.
#[derive(Debug)]
pub struct Judge {
    visits: Vec<Visit>,
    length: f64,
    repeat: bool,
    records: BTreeMap<Key, Record>,
    /// What was said of places and times where nobody was.
    nobody: Record,
    tracks: BTreeMap<String, Key>,
}

/// What was said of one visit.
#[derive(Debug, Default)]
struct Record {
    claims: BTreeMap<String, Claim>,
    unknown: u32,
    undecided: u32,
}

/// A name that was given.
#[derive(Debug, Default)]
struct Claim {
    /// Not withdrawn: preliminary or confirmed.
    standing: Option<Stage>,
    was_confirmed: bool,
}

impl Claim {
    fn update(&mut self, stage: Stage) {
        self.was_confirmed |= stage == Stage::Confirmed;
        self.standing = match (stage, self.standing) {
            (Stage::Withdrawn, _) => None,
            // A second track of the same visit may start over as preliminary.
            (Stage::Preliminary, Some(Stage::Confirmed)) => Some(Stage::Confirmed),
            (stage, _) => Some(stage),
        };
    }
}

impl Record {
    fn confirmed(&self, name: &str) -> bool {
        self.claims.get(name).is_some_and(|c| c.standing == Some(Stage::Confirmed))
    }

    /// Wrong names that were confirmed, or were said and never taken back.
    fn wrong<'a>(&'a self, really: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let held = |c: &Claim| c.was_confirmed || c.standing.is_some();
        self.others(really).filter(move |(_, c)| held(c)).map(|(name, _)| name)
    }

    /// Wrong names that were preliminary and withdrawn.
    fn corrected<'a>(&'a self, really: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let taken_back = |c: &Claim| !c.was_confirmed && c.standing.is_none();
        self.others(really).filter(move |(_, c)| taken_back(c)).map(|(name, _)| name)
    }

    fn others<'a>(&'a self, really: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a Claim)> {
        let names = self.claims.iter().map(|(name, claim)| (name.as_str(), claim));
        names.filter(move |(name, _)| Some(*name) != really)
    }
}

impl Judge {
    /// For a scene's visits; `repeat` if it starts over after `length` seconds.
    pub fn new(visits: Vec<Visit>, length: f64, repeat: bool) -> Self {
        let (records, tracks) = (BTreeMap::new(), BTreeMap::new());
        Self { visits, length, repeat, records, nobody: Record::default(), tracks }
    }

    /// Takes an event down, and says how it compares to the truth.
    pub fn hear(&mut self, heard: &Heard) -> Remark {
        let key = self.whose(heard);
        if let Some(key) = key {
            self.tracks.insert(heard.track.clone(), key);
        }
        let visit = key.and_then(|(_, index)| self.visits.get(index));
        let enrolled = visit.filter(|v| v.enrolled).map(|v| v.who.clone());
        let really = visit.map_or_else(|| "nobody".to_owned(), |v| v.who.clone());
        let record = match key {
            Some(key) => self.records.entry(key).or_default(),
            None => &mut self.nobody,
        };
        match &heard.said {
            Said::Recognized { name, stage } => {
                record.claims.entry(name.clone()).or_default().update(*stage);
                match (stage, enrolled.as_ref() == Some(name)) {
                    (Stage::Withdrawn, true) => Remark::Retracted,
                    (Stage::Withdrawn, false) => Remark::Corrected,
                    (_, true) => Remark::Right,
                    (_, false) => Remark::Wrong { really },
                }
            }
            Said::Unknown => {
                record.unknown += 1;
                if visit.is_some_and(|v| !v.enrolled) { Remark::Right } else { Remark::Open }
            }
            Said::Undecided => {
                record.undecided += 1;
                Remark::Open
            }
        }
    }

    /// The visits that are over at `now` (seconds since the scene's zero), and what became of them.
    pub fn outcomes(&self, now: f64) -> Vec<(&Visit, Outcome)> {
        let rounds = if self.repeat { (now / self.length) as u32 } else { 0 };
        let keys = (0..=rounds).flat_map(|round| (0..self.visits.len()).map(move |index| (round, index)));
        let over = keys.filter_map(|key| {
            let visit = self.visits.get(key.1)?;
            let end = self.start_of(key.0) + visit.visible.1 + TOLERANCE;
            (end <= now).then(|| (visit, self.outcome(key, visit)))
        });
        over.collect()
    }

    fn outcome(&self, key: Key, visit: &Visit) -> Outcome {
        let none = Record::default();
        let record = self.records.get(&key).unwrap_or(&none);
        let really = visit.enrolled.then_some(visit.who.as_str());
        match really {
            _ if record.wrong(really).next().is_some() => Outcome::Wrong,
            Some(name) if record.confirmed(name) => Outcome::Right,
            Some(_) => Outcome::Missed,
            None if record.unknown > 0 => Outcome::Unknown,
            None => Outcome::Undecided,
        }
    }

    /// The visit that an event is about.
    fn whose(&self, heard: &Heard) -> Option<Key> {
        let present = self.present(heard.time);
        if let Some(bbox) = &heard.bbox {
            let reach = |key: &Key| Some((*key, self.distance(*key, heard.time, bbox)?));
            let near = present.iter().filter_map(reach).filter(|(_, distance)| *distance <= 2.0);
            return near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(key, _)| key);
        }
        // Without a box: the visit that this track belonged to, or the one of that name, or whoever was there.
        let known = self.tracks.get(&heard.track).filter(|key| present.contains(key));
        let named = || {
            let Said::Recognized { name, .. } = &heard.said else { return None };
            present.iter().find(|(_, index)| self.visits.get(*index).is_some_and(|v| v.who == *name))
        };
        known.or_else(named).or(present.first()).copied()
    }

    fn present(&self, time: f64) -> Vec<Key> {
        let round = if self.repeat { (time / self.length).max(0.0) as u32 } else { 0 };
        let rounds = round.saturating_sub(1)..=round;
        let keys = rounds.flat_map(|round| (0..self.visits.len()).map(move |index| (round, index)));
        let there = |key: &Key| {
            let at = time - self.start_of(key.0);
            let within = |v: &Visit| v.visible.0 - TOLERANCE <= at && at <= v.visible.1 + TOLERANCE;
            self.visits.get(key.1).is_some_and(within)
        };
        keys.filter(there).collect()
    }

    /// Between the centres of the box and of the visit's face, in widths of the face.
    fn distance(&self, (round, index): Key, time: f64, bbox: &Rect) -> Option<f32> {
        let visit = self.visits.get(index)?;
        let (first, last) = visit.path.span();
        let face = visit.face_at((time - self.start_of(round)).clamp(first, last))?;
        let (a, b) = (face.center(), bbox.center());
        Some((a.x - b.x).hypot(a.y - b.y) / face.width())
    }

    fn start_of(&self, round: u32) -> f64 {
        f64::from(round) * self.length
    }
}
