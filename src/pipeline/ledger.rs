//! Makes sure that a track is closed only when everything that was begun for it has come back.
//!
//! ```text
//!   analyser: shots 1 2 3, then "ended, 3 shots" ──────────────┐
//!   workers:  embedded 2 · dropped 1 · ... · embedded 3 ───────┴─▶ 3 of 3 back: closed, once
//! ```
//!
//! Shots travel through a queue and several workers, the end of a track does not, so the end usually arrives first. Every
//! shot comes back exactly once, embedded or dropped; the ledger counts.

use std::collections::HashMap;

use crate::base::clock::Moment;
use crate::types::ids::TrackId;

#[derive(Debug, Default)]
struct Account {
    returned: u32,
    /// Shots that were submitted and the track's last sighting, once it ended.
    ended: Option<(u32, Moment)>,
}

impl Account {
    fn settled(&self) -> Option<Moment> {
        self.ended.and_then(|(submitted, at)| (self.returned >= submitted).then_some(at))
    }
}

/// Counts what is on its way, by track.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<TrackId, Account>,
}

impl Ledger {
    /// A shot came back; the track's last sighting if that was the last thing it waited for.
    pub fn returned(&mut self, track: &TrackId) -> Option<Moment> {
        let account = self.accounts.entry(track.clone()).or_default();
        account.returned += 1;
        self.close(track)
    }

    /// The track ended after `shots` shots, last seen at `at`; the same if nothing is on its way.
    pub fn ended(&mut self, track: &TrackId, shots: u32, at: Moment) -> Option<Moment> {
        self.accounts.entry(track.clone()).or_default().ended = Some((shots, at));
        self.close(track)
    }

    /// Tracks that are open or wait for shots.
    pub fn open(&self) -> usize {
        self.accounts.len()
    }

    /// True if nothing of the track is open.
    pub fn is_over(&self, track: &TrackId) -> bool {
        !self.accounts.contains_key(track)
    }

    fn close(&mut self, track: &TrackId) -> Option<Moment> {
        let at = self.accounts.get(track)?.settled()?;
        self.accounts.remove(track);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::ids::CameraId;

    fn track(number: u64) -> TrackId {
        TrackId { camera: CameraId::new("door").expect("an id"), epoch: 1, number }
    }

    fn at(ms: u64) -> Moment {
        Moment { mono: Duration::from_millis(ms), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_track_closes_when_its_last_shot_is_back() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.returned(&track(1)), None);
        assert_eq!(ledger.ended(&track(1), 3, at(900)), None);
        assert_eq!(ledger.returned(&track(1)), None);
        assert_eq!(ledger.returned(&track(1)), Some(at(900)));
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn a_track_without_shots_closes_at_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.ended(&track(2), 0, at(100)), Some(at(100)));
        assert_eq!(ledger.open(), 0);
    }
}
