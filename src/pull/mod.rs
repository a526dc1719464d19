//! The log as those have it who come for the events themselves: pages after a cursor, shaped, with what they missed told.
//!
//! ```text
//!   cursor ─▶ Place ─▶ Puller::page ─┬─ another epoch, or an end before it ─▶ one `lost` event, then on from the start
//!     ▲                              ├─ retention took some ────────────────▶ one `lost` event with their range
//!     │                              └─ events ─▶ Shape ─▶ lines
//!     └───────── the cursor after each event, and after the page ◀──────────┘
//! ```
//!
//! A reader's place is its own business: the log does not know it, keeps nothing for it, and waits for nobody.

mod cursor;
mod follow;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

pub use self::cursor::{Cursors, Place};
pub use self::follow::{Follow, Next};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::err;
use crate::events::log::{Item, Reading, Rung, Seen, State};
use crate::events::{Event, EventMaker, EventType, LostReason};
use crate::sinks::shape::Shape;

/// Bytes of events after which a page ends.
const PAGE_BYTES: usize = 256 << 10;

/// Where pullers come from. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    /// Those that nobody reads with now; one is there always. So there are as many connections to the log's file as pages are read at
    /// the same time, however many readers there are.
    idle: Arc<Mutex<Vec<Reading>>>,
    rung: Rung,
    maker: Arc<EventMaker>,
    clock: Arc<dyn Clock>,
    cursors: Cursors,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that there is.
    Oldest,
    /// With the next event.
    Now,
    /// After this one.
    After(Place),
}

/// Reads for one reader.
pub struct Puller {
    source: Source,
    shape: Shape,
}

/// An event for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What kind it is.
    pub kind: EventType,
    /// Its JSON, CloudEvents in structured mode, without a line break.
    pub line: String,
    /// The place behind it.
    pub after: Place,
}

/// A part of the log, as a reader has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events, in order; none, where none of what was read is for this reader, or there is nothing to read.
    pub events: Vec<Given>,
    /// The place behind all that was read.
    pub next: Place,
}

impl Source {
    /// From a log. `maker` makes the events that tell of what was missed.
    pub fn new(reading: Reading, maker: Arc<EventMaker>, clock: Arc<dyn Clock>) -> Self {
        let cursors = Cursors::new(reading.key_for("pull cursors"));
        let rung = reading.listen();
        Self { idle: Arc::new(Mutex::new(vec![reading])), rung, maker, clock, cursors }
    }

    /// What a reader says of where it begins: `oldest`, `now`, or a cursor.
    ///
    /// # Errors
    /// `Usage`: it is none of them.
    pub fn start(&self, text: &str) -> Result<Start> {
        match text {
            "oldest" => Ok(Start::Oldest),
            "now" => Ok(Start::Now),
            cursor => self.cursors.place(cursor).map(Start::After).ok_or_else(|| {
                err!(
                    Usage,
                    "after: expected a cursor as this daemon gave it, unchanged, or \"oldest\" or \"now\"; a cursor of another \
                     box, or of a gallery with another key, is none"
                )
            }),
        }
    }

    /// That place in the log as it is now.
    pub fn place(&self, start: Start) -> Place {
        let (State { epoch, first, last }, _) = *self.rung.borrow();
        match start {
            Start::Oldest => Place { epoch, sequence: first.saturating_sub(1) },
            Start::Now => Place { epoch, sequence: last },
            Start::After(place) => place,
        }
    }

    /// The cursor of a place.
    pub fn cursor(&self, place: Place) -> String {
        self.cursors.text(place)
    }

    /// Tells when there is more to read.
    pub fn listen(&self) -> Rung {
        self.rung.clone()
    }

    /// Reads for a reader that gets events like this.
    pub fn puller(&self, shape: Shape) -> Puller {
        Puller { source: self.clone(), shape }
    }

    fn after(&self, place: Place, most: usize) -> Result<Seen> {
        let mut reading = self.take()?;
        let seen = reading.after(place.epoch, place.sequence, most);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reading);
        seen
    }

    fn take(&self) -> Result<Reading> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = idle.pop().ok_or_else(|| err!(Software, "nobody can read the event log"))?;
        if idle.is_empty() {
            idle.push(reading.clone());
        }
        Ok(reading)
    }
}

impl Puller {
    /// What stands behind `place`, about `most` events of the log. It may be empty although there is more: then ask again from its
    /// `next`. Where the place does not change either, there is nothing to read now.
    ///
    /// What the reader has missed is told whatever its shape says, as it cannot know otherwise.
    ///
    /// # Errors
    /// As SQLite.
    pub fn page(&self, place: Place, most: usize) -> Result<Page> {
        let seen = self.source.after(place, most)?;
        if let Some(page) = self.astray(place, seen.state) {
            return Ok(page);
        }
        let (mut events, mut bytes) = (Vec::new(), 0);
        for item in seen.items {
            let (sequence, event) = match item {
                Item::Event { sequence, event, .. } => (sequence, self.shape.shaped(*event)),
                Item::Gone { first, last } => {
                    let now = self.source.clock.now();
                    (last, Some(self.source.maker.missed(LostReason::Expired, place.epoch, first, last, now)))
                }
            };
            let after = Place { sequence, ..place };
            let Some(event) = event else { continue };
            let given = given(&event, after);
            bytes += given.line.len();
            events.push(given);
            if bytes >= PAGE_BYTES {
                return Ok(Page { events, next: after });
            }
        }
        Ok(Page { events, next: Place { sequence: seen.until, ..place } })
    }

    /// Where this place is not in the log any more: what is said of it, and where the reader goes on.
    fn astray(&self, place: Place, state: State) -> Option<Page> {
        let Source { maker, clock, .. } = &self.source;
        let (event, sequence) = if state.epoch != place.epoch {
            (maker.missed_epoch(place.epoch, place.sequence, state.epoch, clock.now()), 0)
        } else if state.last < place.sequence {
            let event = maker.missed_put_back(state.epoch, state.last, place.sequence, clock.now());
            (event, state.first.saturating_sub(1))
        } else {
            return None;
        };
        let next = Place { epoch: state.epoch, sequence };
        Some(Page { events: vec![given(&event, next)], next })
    }
}

fn given(event: &Event, after: Place) -> Given {
    Given { kind: event.kind, line: event.to_line(), after }
}
