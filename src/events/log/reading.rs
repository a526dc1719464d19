//! The log as a reader has it: what comes after a cursor, checked, with what is missing told.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use uuid::Uuid;

use super::bell::Rung;
use super::reader::{Found, Reader};
use super::store::{State, is_damage};
use super::writer::Order;
use super::{Options, Shared};
use crate::base::error::Result;
use crate::events::Event;
use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

/// A way to read. Cheap to clone; each clone has its own connection.
pub struct Reading {
    shared: Arc<Shared>,
    options: Arc<Options>,
    reader: Option<Reader>,
    /// Which epoch was read last.
    epoch: Option<Uuid>,
}

/// What stands next in the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An event, which stands at this sequence.
    Event {
        /// Its number.
        sequence: u64,
        /// When it was accepted, milliseconds since 1970.
        at: i64,
        /// The event.
        event: Box<Event>,
    },
    /// These are no more: retention took them.
    Gone {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Which events there were at that moment. Of another epoch than the reader's, nothing else was read.
    pub state: State,
    /// What stands after the cursor, in order.
    pub items: Vec<Item>,
    /// The cursor after them.
    pub until: u64,
}

impl Clone for Reading {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.options.clone())
    }
}

impl Reading {
    pub(super) fn new(shared: Arc<Shared>, options: Arc<Options>) -> Self {
        Self { shared, options, reader: None, epoch: None }
    }

    /// Which events there are.
    pub fn state(&self) -> State {
        self.shared.bell.state()
    }

    /// The last that this sink has had, as far as that is on the disk.
    pub fn cursor(&self, sink: &str) -> Option<u64> {
        self.shared.cursor(sink).map(|cursor| cursor.sequence)
    }

    /// Who has had keys and is gone, in the order in which they went, without the first `after`.
    pub fn departed(&self, after: usize) -> Vec<IdentityId> {
        self.options.ring.departed(after)
    }

    /// True for somebody who is not in the gallery.
    pub fn is_gone(&self, identity: IdentityId) -> bool {
        self.options.ring.sealing(identity).is_none()
    }

    /// Waits until there is something after `cursor`, another epoch, or the log's end; at most `time`. True at the end.
    pub fn wait(&self, epoch: Uuid, cursor: u64, time: Duration) -> bool {
        self.shared.bell.wait(epoch, cursor, time)
    }

    /// Tells of every state that is on the disk, without a thread that waits.
    pub fn listen(&self) -> Rung {
        self.shared.bell.listen()
    }

    /// A key of the log's for one purpose.
    pub fn key_for(&self, purpose: &str) -> Key {
        self.options.key.derive(purpose)
    }

    /// What comes after `cursor` in that epoch, about `most` of it. What was damaged is reported to the writer, which puts a loss
    /// event in its place; nothing from there on is given until it has.
    ///
    /// # Errors
    /// As SQLite. A damaged file is reported to the writer, too; then the epoch changes.
    pub fn after(&mut self, epoch: Uuid, cursor: u64, most: usize) -> Result<Seen> {
        self.epoch = Some(epoch);
        let read = self.try_after(epoch, cursor, most);
        if let Err(error) = &read {
            self.reader = None;
            if is_damage(error) && self.shared.bell.state().epoch == epoch {
                let _ = self.shared.orders.send(Order::Broken { epoch });
            }
        }
        read
    }

    fn try_after(&mut self, epoch: Uuid, cursor: u64, most: usize) -> Result<Seen> {
        let accepted = self.shared.bell.state();
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::open(&self.options.path, &self.options.key)?),
        };
        let page = reader.after(Some(epoch), cursor, accepted.last, most)?;
        if page.state.epoch != epoch || accepted.epoch != epoch {
            // The file was put aside: the next read opens the new one.
            self.reader = None;
            return Ok(Seen { state: accepted, items: Vec::new(), until: cursor });
        }
        let mut items = Vec::with_capacity(page.found.len());
        for found in page.found {
            match found {
                Found::Row(row) => {
                    let event = Box::new(row.event(epoch, &*self.options.ring)?);
                    items.push(Item::Event { sequence: row.sequence, at: row.at, event });
                }
                Found::Expired(first, last) => items.push(Item::Gone { first, last }),
                Found::Damaged(first, last) => {
                    let _ = self.shared.orders.send(Order::Damaged { epoch, first, last });
                    return Ok(Seen { state: page.state, items, until: first - 1 });
                }
            }
        }
        Ok(Seen { state: page.state, items, until: page.until })
    }

    /// The sink has had everything up to `sequence` of the epoch that was read last, and refused the `dead` for good. Returns when
    /// that is on the disk, or when the epoch is over and it counts for nothing; false at the log's end.
    pub fn had(&self, sink: &Arc<str>, sequence: u64, dead: Vec<(u64, String)>) -> bool {
        let (done, wait) = bounded(1);
        let epoch = self.epoch.unwrap_or_else(|| self.state().epoch);
        let order = Order::Had { sink: sink.clone(), epoch, sequence, dead, done: Some(done) };
        self.shared.orders.send(order).is_ok() && wait.recv().is_ok()
    }
}
