//! What a box remembers of its tracks: counts of scores, and nothing else.
//!
//! ```text
//!  ended track ──┬─ judged not a match: its best fused score ─▶ bin of 0.005     ┐
//!                ├─ an alert: counted                                           ├─▶ the hour's block
//!                └─ neither (two too near each other, say): counted             ┘
//!  operator ─────── reject: its score ─▶ bin;  confirm: counted ─▶ the block of its hour
//!
//!  blocks of 30 days, oldest first:  hour, threshold in force, identities searched
//! ```
//!
//! A block is for one hour, one threshold in force and one size of the gallery, so that it is known of each score what could have been seen
//! beside it: a stranger above the threshold is an alert and not a non-match.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Width of a bin of scores.
pub const WIDTH: f64 = 0.005;
/// Bins from -1 to 1.
pub const BINS: usize = 400;
/// Hours that are remembered.
pub const WINDOW: i64 = 30 * 24;
/// Most blocks; the oldest go first.
pub const MAX_BLOCKS: usize = 4_096;

/// The bin of a score. Scores outside -1 to 1 fall into the outermost.
pub fn bin_of(score: f32) -> u16 {
    let place = (f64::from(score) + 1.0) / WIDTH + 1e-4;
    place.clamp(0.0, (BINS - 1) as f64) as u16
}

/// The lower end of a bin.
pub fn edge(bin: u16) -> f64 {
    f64::from(bin) * WIDTH - 1.0
}

/// How a track ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ended {
    /// Not a match; its best fused score.
    NonMatch(f32),
    /// It was an alert.
    Alert,
    /// Neither.
    Other,
}

/// Under what a track was judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Hours since any fixed moment.
    pub hour: i64,
    /// Threshold in force.
    pub threshold: f32,
    /// Identities it was searched among.
    pub identities: u32,
}

/// What one hour held, under one threshold and one size of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Under what.
    pub judged: Judged,
    /// Tracks that ended.
    pub tracks: u32,
    /// Scores of those that were not a match, by bin.
    pub non_matches: BTreeMap<u16, u32>,
    /// Those that were alerts.
    pub alerts: u32,
    /// Scores of alerts that an operator rejected, by bin.
    pub rejected: BTreeMap<u16, u32>,
    /// Alerts that an operator confirmed.
    pub confirmed: u32,
}

/// The blocks of the last 30 days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    blocks: VecDeque<Block>,
    /// Hours in which the camera was looked at, the first and the last of them.
    hours: VecDeque<i64>,
}

/// Thresholds that are nearer than this are one: that of an event is rounded.
const SAME_THRESHOLD: f32 = 1e-3;

impl Scores {
    /// The camera was looked at in this hour, which is over, whether anybody came by or not.
    pub fn watched(&mut self, hour: i64) {
        if self.hours.back().is_none_or(|last| *last < hour) {
            self.hours.push_back(hour);
        }
        self.forget(hour);
    }

    /// What is too old by this hour goes.
    fn forget(&mut self, hour: i64) {
        while self.hours.front().is_some_and(|first| *first + WINDOW <= hour) {
            self.hours.pop_front();
        }
        while self.blocks.front().is_some_and(|first| first.judged.hour + WINDOW <= hour) {
            self.blocks.pop_front();
        }
    }

    /// A track ended.
    pub fn ended(&mut self, judged: Judged, how: Ended) {
        self.forget(judged.hour);
        let block = self.block(judged);
        block.tracks = block.tracks.saturating_add(1);
        match how {
            Ended::NonMatch(score) => *block.non_matches.entry(bin_of(score)).or_default() += 1,
            Ended::Alert => block.alerts = block.alerts.saturating_add(1),
            Ended::Other => {}
        }
    }

    /// An operator says of an alert, which was judged so, that it was false; with its score.
    pub fn rejected(&mut self, judged: Judged, score: f32) {
        if let Some(block) = self.known(judged) {
            *block.rejected.entry(bin_of(score)).or_default() += 1;
        }
    }

    /// An operator says of an alert, which was judged so, that it was right.
    pub fn confirmed(&mut self, judged: Judged) {
        if let Some(block) = self.known(judged) {
            block.confirmed = block.confirmed.saturating_add(1);
        }
    }

    /// Those of several cameras together, for what does not ask whose they are. More blocks than one camera keeps are kept.
    pub fn joined<'a>(all: impl Iterator<Item = &'a Scores>) -> Scores {
        let mut blocks: Vec<Block> = all.flat_map(|scores| scores.blocks.iter().cloned()).collect();
        blocks.sort_by_key(|block| block.judged.hour);
        Scores { blocks: blocks.into(), hours: VecDeque::new() }
    }

    /// Oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// Hours in which the camera was looked at, ascending.
    pub fn hours(&self) -> impl Iterator<Item = i64> + '_ {
        self.hours.iter().copied()
    }

    /// The block with alerts that this one was counted in. An event tells the hour of a frame, and the track may have ended in the
    /// next; the number of identities is not in it, and its threshold has four decimals.
    fn known(&mut self, judged: Judged) -> Option<&mut Block> {
        let hours = judged.hour..=judged.hour + 1;
        let off = |block: &Block| (block.judged.threshold - judged.threshold).abs();
        let of_it = |block: &&mut Block| {
            block.alerts > 0 && hours.contains(&block.judged.hour) && off(block) < SAME_THRESHOLD
        };
        self.blocks.iter_mut().filter(of_it).min_by(|a, b| off(a).total_cmp(&off(b)))
    }

    fn block(&mut self, judged: Judged) -> &mut Block {
        let place = self.blocks.iter().rposition(|block| block.judged == judged);
        let place = place.unwrap_or_else(|| {
            if self.blocks.len() >= MAX_BLOCKS {
                self.blocks.pop_front();
            }
            self.blocks.push_back(Block {
                judged,
                tracks: 0,
                non_matches: BTreeMap::new(),
                alerts: 0,
                rejected: BTreeMap::new(),
                confirmed: 0,
            });
            self.blocks.len() - 1
        });
        &mut self.blocks[place]
    }
}
