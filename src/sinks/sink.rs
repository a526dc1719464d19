//! What a sink is: a place outside that takes events in order and says what became of them.
//!
//! ```text
//!   log ─▶ runner (its own thread, cursor, backoff, rate, dead letters) ── batch ─▶ Sink::send ─▶ outside
//!            ▲                                                                          │
//!            └────────────── Sent: the first n have a receipt; then maybe a trouble ◀───┘
//! ```
//!
//! A sink encodes, sends and waits for the receipt of whoever is outside. It keeps no queue of events, retries nothing and skips
//! nothing: all of that is the runner's, so that every sink behaves alike.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::events::Event;
use crate::types::ids::IdentityId;

/// An event as it is to leave: shaped for this sink, with its place in the log.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The log's epoch.
    pub log: Uuid,
    /// The event's number in it.
    pub sequence: u64,
    /// The event. Its `id` is the same at every attempt: what a receiver drops duplicates by.
    pub event: Event,
    /// Its JSON, CloudEvents in structured mode, without a line break.
    pub json: String,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Sent {
    /// So many from the start are taken for good: whoever is outside said so.
    pub taken: usize,
    /// Why no more.
    pub trouble: Option<Trouble>,
}

/// Why an event was not taken.
#[derive(Debug)]
pub enum Trouble {
    /// It may work later: nobody there, no answer in time, an error on the other side. Whether the event arrived is not known.
    Later {
        /// What happened, without secrets.
        error: Error,
        /// The other side asked for this much time.
        after: Option<Duration>,
    },
    /// The first one that was not taken is refused for good, and would be again: it becomes a dead letter.
    Refused {
        /// What the other side said, without secrets.
        error: Error,
    },
    /// Nothing will ever be taken again: the reader of standard output has gone.
    Gone {
        /// What happened.
        error: Error,
    },
}

impl Sent {
    /// All of it.
    pub fn all(batch: &[Delivery]) -> Self {
        Self { taken: batch.len(), trouble: None }
    }

    /// The first `taken`, then this.
    pub fn until(taken: usize, trouble: Trouble) -> Self {
        Self { taken, trouble: Some(trouble) }
    }

    /// The first `taken`, and the rest may work later.
    pub fn later(taken: usize, error: Error) -> Self {
        Self::until(taken, Trouble::Later { error, after: None })
    }
}

impl Trouble {
    /// What happened.
    pub fn error(&self) -> &Error {
        match self {
            Trouble::Later { error, .. } | Trouble::Refused { error } | Trouble::Gone { error } => error,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error().chain())
    }
}

/// A place that takes events. One thread owns it.
pub trait Sink: Send {
    /// Most events in one call of [`Sink::send`].
    fn batch(&self) -> usize {
        1
    }

    /// Sends the batch, which is not empty and in the log's order, and returns when what is counted as taken has its receipt.
    /// Returns soon after `stop` is set, with what has a receipt until then, and in any case within the sink's own time limit:
    /// whoever is outside may hang. A connection is made when it is needed, and made again after a failure.
    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent;

    /// Called now and then while there is nothing to send, for what a connection needs (keep-alive). Must not block for long.
    fn idle(&mut self) {}

    /// Asked now and then while there is nothing to send: why nothing will ever be taken again, if that is known already. What is
    /// read by a pipe that has been closed should be told before there is another event, which may take days.
    fn gone(&mut self) -> Option<Error> {
        None
    }

    /// Removes what stays outside about somebody who was forgotten, such as retained messages. Called in order with the events, when
    /// the cursor is at the one that tells of it, and again until it succeeds. What is not there is no error.
    ///
    /// # Errors
    /// It is not done yet.
    fn forget(&mut self, _identity: IdentityId, _stop: &Stop) -> Result<(), Trouble> {
        Ok(())
    }

    /// Opens its file again (SIGHUP), if it has one.
    ///
    /// # Errors
    /// It goes on with what it has, or tries again at the next event.
    fn reopen(&mut self) -> Result<()> {
        Ok(())
    }

    /// Says goodbye: what a connection needs for a clean end. No events come any more. Must not block for long.
    fn close(&mut self) {}
}
