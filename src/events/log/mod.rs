//! The event log: what was accepted is on the disk, in order, without gaps, until everybody who has to have it has had it.
//!
//! ```text
//!   submit ─▶ [ queue, 1024 ] ─▶ writer thread ─▶ one transaction for all that waits ─▶ on the disk = accepted ─▶ the bell rings
//!             full: waits 2 s,                        rows │ cursors │ state                                        │
//!             then a counted loss                                                                                   ▼
//!   sinks' runners, pull readers ◀── Reading: a connection of their own, rows up to the bell's state, each checked by its MAC
//!             └─ had(sink, sequence) ─▶ the writer moves the cursor in its next transaction
//! ```
//!
//! - `events.db` is SQLite (WAL, `synchronous=FULL`); `events.head` beside it says how far the log was, so that a cut tail is seen.
//! - A place is an epoch and a sequence. Sequences count from 1 without gaps; a row may stand for several that are no more.
//! - A MAC under a key of the gallery's binds every row to its place. What does not verify is never given to anybody.
//! - Names are sealed under the identities' own keys: `gallery forget` reaches them.

mod bell;
mod draft;
mod head;
mod inspector;
mod loss;
mod open;
mod reader;
mod reading;
mod retention;
mod ring;
mod row;
mod salvage;
mod schema;
mod store;
mod verify;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use jiff::Timestamp;

pub use bell::Rung;
pub use head::{Head, Witness};
pub use inspector::{DeadLetter, Inspector, Part, Piece, Standing};
pub use loss::Teller;
pub use reading::{Item, Reading, Seen};
pub use retention::Rules;
pub use ring::{NoKeys, Ring};
pub use store::{Cursor, State};
pub use verify::{Verified, verify};

use self::bell::Bell;
use self::head::HeadFile;
use self::writer::{Order, Writer};
use super::Event;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::daemon::watchdog::Beat;
use crate::err;
use crate::gallery::crypt::Key;
use crate::stats::Stats;

/// Events that may wait to be accepted: minutes of a busy box, and about 1 MB.
pub const QUEUE: usize = 1024;

/// How long [`EventLog::submit`] waits for room, before it counts a loss.
const WAIT: Duration = Duration::from_secs(2);

/// How a log is opened.
pub struct Options {
    /// The SQLite file.
    pub path: PathBuf,
    /// What binds rows: the gallery's key for events.
    pub key: Key,
    /// The identities' keys.
    pub ring: Arc<dyn Ring>,
    /// How long events are kept, and in how much room.
    pub rules: Rules,
    /// The configured sinks.
    pub sinks: Vec<SinkPlace>,
    /// Makes the event that tells of a loss.
    pub tell: Teller,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where figures go.
    pub stats: Arc<Stats>,
}

/// A sink, as the log knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkPlace {
    /// Its name in the configuration.
    pub name: String,
    /// Whether what it has not had is kept, within the budget.
    pub required: bool,
    /// Where it begins when it is new: with the oldest event there is, or with the next one.
    pub from_oldest: bool,
}

/// What the writer and those who submit and read share.
struct Shared {
    bell: Bell,
    orders: Sender<Order>,
    stats: Arc<Stats>,
    cursors: Mutex<std::collections::BTreeMap<String, Cursor>>,
    /// Events that found the queue full and are not told of yet, and when the first of them came.
    overflowed: AtomicU64,
    overflow_began: Mutex<Option<Timestamp>>,
    overflowing: AtomicBool,
    failing: AtomicBool,
}

/// The open log. Shared by reference between those who submit.
pub struct EventLog {
    shared: Arc<Shared>,
    options: Arc<Options>,
    patience: Duration,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl EventLog {
    /// Opens the log, which is made if there is none, and starts its thread. `beat` is the thread's heartbeat. A damaged log is
    /// put aside, and what can be read of it goes on in a new epoch.
    ///
    /// # Errors
    /// `Permission`, `Io`: it cannot be opened. `Data`, `Config`: it is another program's, or a newer version's.
    pub fn open(options: Options, beat: Beat) -> Result<Self> {
        let options = Arc::new(options);
        let head = HeadFile::beside(&options.path);
        let store = open::open_for_sinks(&options, &head)?;
        let (orders, queue) = bounded(QUEUE);
        let shared = Arc::new(Shared {
            bell: Bell::new(store.state),
            orders,
            stats: options.stats.clone(),
            cursors: Mutex::new(store.sinks.clone()),
            overflowed: AtomicU64::new(0),
            overflow_began: Mutex::default(),
            overflowing: AtomicBool::new(false),
            failing: AtomicBool::new(false),
        });
        let (finished, done) = bounded(1);
        let writer = Writer::new(store, options.clone(), shared.clone(), head);
        let run = move || {
            writer.run(&queue, &beat);
            let _ = finished.send(());
        };
        let thread = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(run)
            .map_err(|e| err!(Unavailable, "cannot start the event log's thread").because(e))?;
        Ok(Self { shared, options, patience: WAIT, done, thread })
    }

    /// Another time to wait for room, for tests.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Hands an event over; false if the queue stayed full and it was lost. Every loss is counted, and told of in an event once
    /// the log takes events again.
    pub fn submit(&self, event: Event) -> bool {
        let shared = &self.shared;
        // After one loss the next does not wait again: a stuck disk must not slow the recognition down.
        let wait = if shared.overflowing.load(Ordering::Relaxed) { Duration::ZERO } else { self.patience };
        let at = event.time;
        let taken = shared.orders.send_timeout(Order::Event(Box::new(event), None), wait).is_ok();
        if !taken {
            shared.overflow(at);
        } else if shared.overflowing.swap(false, Ordering::Relaxed) {
            tracing::warn!("the event log's queue has room again");
        }
        taken
    }

    /// Hands an event over and waits until it is on the disk; its sequence.
    ///
    /// # Errors
    /// `Unavailable`, when the log has ended.
    pub fn accept(&self, event: Event) -> Result<u64> {
        let (answer, accepted) = bounded(1);
        let ended = || err!(Unavailable, "the event log has ended");
        self.shared.orders.send(Order::Event(Box::new(event), Some(answer))).map_err(|_| ended())?;
        accepted.recv().map_err(|_| ended())
    }

    /// Waits until what was handed over before is on the disk, at most `limit`; false if it is not.
    pub fn settle(&self, limit: Duration) -> bool {
        let (done, settled) = bounded(1);
        let (sink, epoch) = (Arc::from(""), self.state().epoch);
        let barrier = Order::Had { sink, epoch, sequence: 0, dead: Vec::new(), done: Some(done) };
        self.shared.orders.send_timeout(barrier, limit).is_ok() && settled.recv_timeout(limit).is_ok()
    }

    /// For those who read.
    pub fn reading(&self) -> Reading {
        Reading::new(self.shared.clone(), self.options.clone())
    }

    /// For its operator.
    pub fn inspector(&self) -> Inspector {
        let Options { path, key, ring, .. } = &*self.options;
        Inspector::new(path, key, ring.clone()).of_running(self.shared.clone())
    }

    /// Which events there are.
    pub fn state(&self) -> State {
        self.shared.bell.state()
    }

    /// Accepts what waits, and ends, within `limit`.
    ///
    /// # Errors
    /// `Temporary`, with the number of events that were not accepted and are lost with the process.
    pub fn finish(self, limit: Duration) -> Result<()> {
        let (answer, left) = bounded(1);
        let lost = |left: u64| {
            err!(
                Temporary,
                "the event log is stuck: about {left} events were not accepted in time, and are lost"
            )
        };
        let queued = self.shared.queued();
        if self.shared.orders.send_timeout(Order::Finish(answer), limit).is_err() {
            return Err(lost(queued));
        }
        if self.done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            return Err(lost(queued));
        }
        let left = left.try_recv().unwrap_or(0);
        self.thread.join().map_err(|_| err!(Software, "the event log's thread panicked"))?;
        if left > 0 { Err(lost(left as u64)) } else { Ok(()) }
    }
}

impl Shared {
    fn queued(&self) -> u64 {
        self.orders.len() as u64
    }

    fn overflow(&self, at: Timestamp) {
        self.overflow_began.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(at);
        self.overflowed.fetch_add(1, Ordering::AcqRel);
        self.stats.events.overflowed.add(1);
        if !self.overflowing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                queue = QUEUE,
                "the event log does not take events and its queue is full: events are lost"
            );
        }
    }

    fn overflowing_since(&self) -> Option<Timestamp> {
        *self.overflow_began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many of them are told of now.
    fn overflow_told(&self, count: u64) {
        if count > 0 && self.overflowed.fetch_sub(count, Ordering::AcqRel) == count {
            *self.overflow_began.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Told once, not at each attempt: a full disk must not fill the journal as well.
    fn failing(&self, error: &Error) {
        self.stats.events.log_failing.set(1);
        if !self.failing.swap(true, Ordering::AcqRel) {
            tracing::error!(error = error.chain(), "the event log cannot be written: events wait");
        }
    }

    fn working(&self) {
        if self.failing.swap(false, Ordering::AcqRel) {
            self.stats.events.log_failing.set(0);
            tracing::warn!("the event log is written again");
        }
    }

    fn note_cursors(&self, sinks: &std::collections::BTreeMap<String, Cursor>) {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).clone_from(sinks);
    }

    fn cursor(&self, sink: &str) -> Option<Cursor> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).get(sink).copied()
    }
}
