//! Snapshots: the best picture of somebody on a list, and of what was around, for as long as the list says.
//!
//! ```text
//!   worker: frame ─ cut ─ look again ─▶ shelf (memory, one a track)
//!                                          │ recognised, confirmed, for a list that keeps snapshots
//!   decider: refer(event) ── keep ──▶ [ snapshots thread ] JPEG, sealed under the identity's key ─▶ snapshots.db
//!               │ the answer: it is on the disk              │ each minute: what is over goes, what is too much goes,
//!               ▼                                            │ and whatever is of somebody who is not in the gallery
//!            the event with `snapshot: {id, until}`, to the event log
//!
//!   keeper: forget, fetch ──────────▶ [ the same thread ]
//! ```
//!
//! - Nothing is cut, held or opened while no list keeps snapshots and there is no store of before.
//! - A picture comes to the disk before the event that refers to it. If it does not in time, the event goes without, and the row is
//!   taken back.
//! - A recognition that is withdrawn takes its snapshot with it: it may show somebody else. So does somebody who was a stranger first
//!   and is recognised then: forgetting would not reach the stranger's.
//! - Of strangers nothing is kept unless `snapshots.unknown` says so, which is on record in the audit log.

pub mod cut;
pub mod look;
pub mod shelf;

mod beside;
mod policy;
mod schema;
mod sealed;
mod store;
mod thread;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use uuid::Uuid;

pub use beside::Beside;
pub use policy::Policy;
pub use sealed::Keys;

use self::shelf::Shelf;
use self::thread::{Keep, Order, Thread};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::daemon::watchdog::Beat;
use crate::err;
use crate::events::{Event, SnapshotRef};
use crate::gallery::outside::{Fetched, Kind, Outside};
use crate::stats::{SnapshotMiss, SnapshotStats};
use crate::types::decision::Decision;
use crate::types::ids::IdentityId;

/// Orders that may wait: far more than pictures can come in the time that anybody waits for one.
const QUEUE: usize = 64;
/// How long an event waits for its snapshot to be on the disk, before it goes without.
const WAIT: Duration = Duration::from_secs(2);
/// The same, while the store is known to be slow: a stuck disk must not slow decisions down.
const BRIEFLY: Duration = Duration::from_millis(200);
/// How long a command waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How snapshots are kept.
pub struct Options {
    /// The SQLite file.
    pub path: PathBuf,
    /// Under what they are sealed.
    pub keys: Keys,
    /// Whose are kept, and for how long.
    pub policy: Policy,
    /// Most bytes on the disk.
    pub budget: u64,
    /// Quality of the JPEGs, 1 to 100.
    pub quality: u8,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where figures go.
    pub stats: Arc<SnapshotStats>,
}

/// The open store, and what is still in memory. Shared by `Arc`.
pub struct Snapshots {
    orders: Sender<Order>,
    done: Receiver<()>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    shelf: Option<Arc<Shelf>>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    stats: Arc<SnapshotStats>,
    patience: Duration,
    /// True after an event had to go without, until the thread has answered in time again.
    behind: AtomicBool,
}

impl Snapshots {
    /// Opens the store, which is made if there is none, and starts its thread. `beat` is the thread's heartbeat.
    ///
    /// # Errors
    /// As SQLite; `Config`, when another program's file is there; `Unavailable`, when there is no thread.
    pub fn start(options: Options, beat: Beat) -> Result<Self> {
        let store = store::Store::open(&options.path)?;
        let (orders, queue) = bounded(QUEUE);
        let (finished, done) = bounded(1);
        let (policy, clock, stats) = (options.policy.clone(), options.clock.clone(), options.stats.clone());
        let shelf = policy.is_on().then(|| Arc::new(Shelf::new(shelf::ROOM, stats.clone())));
        let run = move || {
            Thread::new(store, options).run(&queue, &beat);
            let _ = finished.send(());
        };
        let thread = std::thread::Builder::new()
            .name("snapshots".into())
            .spawn(run)
            .map_err(|e| err!(Unavailable, "cannot start the snapshots' thread").because(e))?;
        let (thread, behind) = (std::sync::Mutex::new(Some(thread)), AtomicBool::new(false));
        Ok(Self { orders, done, thread, shelf, policy, clock, stats, patience: WAIT, behind })
    }

    /// Another time that events wait, for tests.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where pictures of live tracks go; `None`, while none are kept: then none are made.
    pub fn shelf(&self) -> Option<&Arc<Shelf>> {
        self.shelf.as_ref()
    }

    /// Something was decided of a track, whether an event tells of it or not: what was kept of it and shows somebody else by that goes.
    /// Of a recognition that is withdrawn it is the person's snapshot, and of somebody who is recognised after all the stranger's.
    pub fn decided(&self, decision: &Decision) {
        let (Some(shelf), Some(strangers)) = (&self.shelf, policy::disproves(decision)) else { return };
        let kept = shelf.take_kept(&decision.track, strangers);
        if !kept.is_empty() && self.orders.send_timeout(Order::Remove(kept), self.patience).is_err() {
            tracing::error!("a snapshot that a later decision disproved could not be deleted in time");
        }
    }

    /// Keeps the snapshot of a decision, if one is to be kept, and has its event refer to it.
    pub fn refer(&self, decision: &Decision, event: &mut Event) {
        let Some(shelf) = &self.shelf else { return };
        let Some((identity, time)) = self.policy.keeps(decision) else { return };
        let Some(picture) = shelf.best(&decision.track) else { return self.miss(SnapshotMiss::NoPicture) };
        let now = self.clock.now().wall;
        let Ok(until) = now.checked_add(time) else { return self.miss(SnapshotMiss::Failed) };
        let id = Uuid::now_v7();
        // Handed from one to the other: what was sent was received.
        let (answer, kept) = bounded(0);
        let keep = Keep { id, identity, event: event.id, taken: now, until, picture, answer };
        let wait =
            if self.behind.load(Ordering::Relaxed) { BRIEFLY.min(self.patience) } else { self.patience };
        let sent = self.orders.send_timeout(Order::Keep(Box::new(keep)), wait).is_ok();
        match sent.then(|| kept.recv_timeout(wait)) {
            Some(Ok(Some(stored))) => {
                self.behind.store(false, Ordering::Relaxed);
                shelf.note_kept(&decision.track, id, identity.is_none());
                event.refer_to(SnapshotRef::new(id, until, stored.scene));
            }
            // What went wrong was counted where it did.
            Some(Ok(None)) => self.behind.store(false, Ordering::Relaxed),
            _ => {
                if !self.behind.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        "the snapshot store does not answer in time: events go without snapshots"
                    );
                }
                self.miss(SnapshotMiss::Late);
            }
        }
    }

    fn miss(&self, why: SnapshotMiss) {
        self.stats.missed.add(why, 1);
    }

    /// Ends within `limit`; false, if it does not.
    pub fn finish(&self, limit: Duration) -> bool {
        if self.orders.send_timeout(Order::Finish, limit).is_err() {
            return false;
        }
        let ended = self.done.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        ended && thread.is_none_or(|thread| thread.join().is_ok())
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<Result<T>>) -> Order) -> Result<T> {
        let (answer, answered) = bounded(1);
        let late = || err!(Temporary, "the snapshot store does not answer: is its disk stuck? Try again");
        self.orders.send_timeout(order(answer), PATIENCE).map_err(|_| late())?;
        answered.recv_timeout(PATIENCE).map_err(|_| late())?
    }
}

impl Outside for Snapshots {
    fn count(&self, identities: &[IdentityId]) -> Result<u64> {
        let identities = identities.to_vec();
        self.ask(|answer| Order::Count(identities, answer))
    }

    fn forget(&self, identities: &[IdentityId]) -> Result<u64> {
        let identities = identities.to_vec();
        self.ask(|answer| Order::Forget(identities, answer))
    }

    fn fetch(&self, id: Uuid, kind: Kind) -> Result<Option<Fetched>> {
        self.ask(|answer| Order::Fetch(id, kind, answer))
    }
}
