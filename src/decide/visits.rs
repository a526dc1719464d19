//! Visits: one identity at one place (a camera, or several that belong together), over as many tracks as it takes.
//!
//! ```text
//!   track 1  ├────────┤ last sighting
//!   track 2              cool-down ├──────┤ continues the visit
//!   track 3                               cool-down │  ├────  a new visit
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::types::ids::{IdentityId, TrackId};

use super::places::Place;
use super::publish::Said;

/// Most visits remembered. Beyond it the one that ended first is forgotten, and would be published anew.
const MAX_VISITS: usize = 65_536;

/// One identity at one place.
pub(super) type Key = (Place, IdentityId);

/// A visit that goes on, or whose cool-down does.
#[derive(Debug)]
pub(super) struct Visit {
    /// Its id in events.
    pub(super) id: Uuid,
    /// What was said of it.
    pub(super) said: Option<Said>,
    /// Live tracks of the identity, the oldest first.
    pub(super) live: Vec<TrackId>,
    /// Last sighting by a track that is over.
    last: Moment,
}

/// All visits.
#[derive(Debug, Default)]
pub(super) struct Visits {
    map: BTreeMap<Key, Visit>,
}

impl Visits {
    /// The visit that a sighting at `now` belongs to, if one goes on.
    pub(super) fn ongoing(&mut self, key: &Key, now: Moment, cooldown: Duration) -> Option<&mut Visit> {
        self.map.get_mut(key).filter(|visit| !visit.is_over(now, cooldown))
    }

    /// Begins a visit in place of any older one.
    pub(super) fn open(&mut self, key: Key, id: Uuid, now: Moment) -> &mut Visit {
        self.make_room();
        let visit = Visit { id, said: None, live: Vec::new(), last: now };
        self.map.entry(key).insert_entry(visit).into_mut()
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Visit> {
        self.map.get_mut(key)
    }

    /// The track is over or no longer shows the identity.
    pub(super) fn leave(&mut self, key: &Key, track: &TrackId, last_seen: Moment) {
        if let Some(visit) = self.map.get_mut(key) {
            visit.live.retain(|live| live != track);
            visit.last = visit.last.max(last_seen);
        }
    }

    /// The visit is withdrawn; its live tracks.
    pub(super) fn remove(&mut self, key: &Key) -> Vec<TrackId> {
        self.map.remove(key).map_or_else(Vec::new, |visit| visit.live)
    }

    /// Forgets what has cooled down.
    pub(super) fn prune(&mut self, now: Moment, cooldown: Duration) {
        self.map.retain(|_, visit| !visit.is_over(now, cooldown));
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    fn make_room(&mut self) {
        if self.map.len() < MAX_VISITS {
            return;
        }
        let over = self.map.iter().filter(|(_, visit)| visit.live.is_empty());
        if let Some(key) = over.min_by_key(|(_, visit)| visit.last).map(|(key, _)| key.clone()) {
            self.map.remove(&key);
        }
    }
}

impl Visit {
    fn is_over(&self, now: Moment, cooldown: Duration) -> bool {
        self.live.is_empty() && now.since(self.last) > cooldown
    }
}
