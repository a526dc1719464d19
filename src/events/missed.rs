//! What whoever reads the log is told of events that it has missed: a `lost` event that stands in no log.
//!
//! It is made anew whenever it is told, and is the same event each time: the same range has the same id, so that whoever comes back
//! and is told again can drop it as any other duplicate.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Data, Event, EventMaker, Lost, LostReason, id_of_gap};
use crate::base::clock::Moment;

impl EventMaker {
    /// `first..=last` of the epoch `log` are gone, for that reason, and the reader has not had them.
    pub fn missed(&self, reason: LostReason, log: Uuid, first: u64, last: u64, now: Moment) -> Event {
        let mut event = self.lost(Lost::range(reason, first, last), now);
        event.place(log, last);
        event.id = id_of_gap(log, first, last);
        event
    }

    /// The reader had `had` events of the epoch `old`, and the log is of the epoch `log` now. How many of `old` came after them is not
    /// known here, so there is no `last`, and the count is 0: what could be saved of them is told again in the new epoch, which the
    /// reader goes on with from its start.
    pub fn missed_epoch(&self, old: Uuid, had: u64, log: Uuid, now: Moment) -> Event {
        let lost =
            Lost { count: 0, range: None, of_log: Some(old), ..Lost::range(LostReason::Salvaged, 1, 1) };
        let mut event = self.lost(lost, now);
        if let Data::Lost(data) = &mut event.data {
            data.first = Some(had.saturating_add(1));
        }
        event.place(log, 0);
        event.id = id_of("epoch", &[old.as_bytes(), &had.to_be_bytes(), log.as_bytes()]);
        event
    }

    /// The reader had the events of `log` up to `had`, and it ends at `last` now, which is before that: an older copy of it was put
    /// back. Numbers after `last` were given to other events since then, or will be.
    pub fn missed_put_back(&self, log: Uuid, last: u64, had: u64, now: Moment) -> Event {
        let mut event = self.lost(Lost::range(LostReason::Salvaged, last.saturating_add(1), had), now);
        event.place(log, last);
        event.id = id_of("put back", &[log.as_bytes(), &last.to_be_bytes(), &had.to_be_bytes()]);
        event
    }
}

/// A UUIDv8 (RFC 9562, section 5.8) that is the same for the same parts.
fn id_of(what: &str, parts: &[&[u8]]) -> Uuid {
    let digest =
        parts.iter().fold(Sha256::new().chain_update(what), |digest, part| digest.chain_update(part));
    let bytes: [u8; 16] = digest.finalize().first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
