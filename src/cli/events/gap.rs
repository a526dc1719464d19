//! What is missing between events, told as an event or in words: never passed over in silence.

use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

use crate::base::clock::Moment;
use crate::events::{Event, EventMaker, LostReason};

/// Numbers that no event can be shown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Gone,
    Damaged,
    Unread,
}

impl Gap {
    /// Retention took them.
    pub fn gone(first: u64, last: u64) -> Self {
        Self { first, last, why: Why::Gone }
    }

    /// They are not as they were written, or are missing.
    pub fn damaged(first: u64, last: u64) -> Self {
        Self { first, last, why: Why::Damaged }
    }

    /// A later version of the program wrote it.
    pub fn unread(sequence: u64) -> Self {
        Self { first: sequence, last: sequence, why: Why::Unread }
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// True unless retention took them, as it should.
    pub fn is_wrong(&self) -> bool {
        self.why != Why::Gone
    }

    /// `expired`, as the event that tells of it says; `damaged`; or that it cannot be read.
    pub fn word(&self) -> &'static str {
        match self.why {
            Why::Gone => LostReason::Expired.as_str(),
            Why::Damaged => LostReason::Damaged.as_str(),
            Why::Unread => "unread",
        }
    }

    /// `12 to 40`
    pub fn range(&self) -> String {
        range((self.first, self.last))
    }

    /// For a person.
    pub fn words(&self) -> String {
        let events = events(self.count());
        match self.why {
            Why::Gone => format!("{events}: retention took them"),
            Why::Damaged => format!("{events}: not as written, or missing; see `watchlistd events verify`"),
            Why::Unread => "written by a later version of watchlistd: install that one again".to_owned(),
        }
    }

    /// The event that tells of it, with the id that a sink gets it under; `None` of an event that is there and cannot be read.
    pub fn event(&self, maker: &EventMaker, log: Uuid, now: Timestamp) -> Option<Event> {
        let reason = match self.why {
            Why::Gone => LostReason::Expired,
            Why::Damaged => LostReason::Damaged,
            Why::Unread => return None,
        };
        let moment = Moment { mono: Duration::ZERO, wall: now };
        Some(maker.missed(reason, log, self.first, self.last, moment))
    }
}

/// `12 to 40`, or `12`.
pub(super) fn range((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// `1 event`, `29 events`
pub(super) fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}
