//! The thread that owns the store.
//!
//! ```text
//!   orders ─▶ keep: JPEG ─▶ seal ─▶ row on the disk ─▶ still enrolled? ─▶ answered? ─ no ─▶ the row is taken back
//!             forget, count, fetch, remove
//!   each second: who left the gallery? · each minute: what is over, what is too much
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;
use uuid::Uuid;

use super::Options;
use super::cut::{Part, Picture};
use super::sealed::{About, Row, millis};
use super::store::Store;
use crate::base::error::{Error, Result};
use crate::daemon::watchdog::Beat;
use crate::err;
use crate::gallery::outside::{Fetched, Kind};
use crate::image::codec::encode_jpeg;
use crate::stats::{SnapshotGone, SnapshotMiss};
use crate::types::ids::IdentityId;

/// How often there is something to look after.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked what is over.
const ROUND: Duration = Duration::from_secs(60);

/// What the thread is asked for.
pub(super) enum Order {
    Keep(Box<Keep>),
    Remove(Vec<Uuid>),
    Count(Vec<IdentityId>, Sender<Result<u64>>),
    Forget(Vec<IdentityId>, Sender<Result<u64>>),
    Fetch(Uuid, Kind, Sender<Result<Option<Fetched>>>),
    Finish,
}

/// A picture to keep.
pub(super) struct Keep {
    pub id: Uuid,
    pub identity: Option<IdentityId>,
    pub event: Uuid,
    pub taken: Timestamp,
    pub until: Timestamp,
    pub picture: Arc<Picture>,
    /// What was stored, when it is on the disk; `None`, if nothing was.
    pub answer: Sender<Option<Stored>>,
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// With what was around.
    pub scene: bool,
}

/// The thread's own.
pub(super) struct Thread {
    store: Store,
    options: Options,
    /// How many of those who left the gallery are dealt with.
    departed: usize,
    last_round: Option<Timestamp>,
    failing: bool,
}

impl Thread {
    pub fn new(store: Store, options: Options) -> Self {
        Self { store, options, departed: 0, last_round: None, failing: false }
    }

    /// Works until it is told to finish, or nobody can ask any more.
    pub fn run(mut self, orders: &Receiver<Order>, beat: &Beat) {
        beat.work(|| self.look_after());
        loop {
            match orders.recv_timeout(TICK) {
                Ok(Order::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => beat.work(|| self.carry_out(order)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            beat.work(|| self.look_after());
        }
        self.store.checkpoint();
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Keep(keep) => self.keep(*keep),
            Order::Remove(ids) => {
                let gone = self.store.remove(&ids);
                self.count(SnapshotGone::Withdrawn, gone);
            }
            // Who asks may have gone: what was asked for is done all the same.
            Order::Count(ids, answer) => drop(answer.send(self.store.count_of(&ids))),
            Order::Forget(ids, answer) => {
                let gone = self.store.remove_of(&ids);
                self.options.stats.removed.add(SnapshotGone::Forgotten, *gone.as_ref().unwrap_or(&0));
                self.note_size();
                drop(answer.send(gone));
            }
            Order::Fetch(id, kind, answer) => drop(answer.send(self.fetch(id, kind))),
            Order::Finish => {}
        }
    }

    fn keep(&mut self, keep: Keep) {
        let started = std::time::Instant::now();
        let stored = match self.store_picture(&keep) {
            Ok(stored) => stored,
            Err(error) => {
                self.options.stats.missed.add(SnapshotMiss::Failed, 1);
                self.failed(&error);
                let _ = keep.answer.send(None);
                return;
            }
        };
        let Some(stored) = stored else {
            let _ = keep.answer.send(None);
            return;
        };
        self.works();
        if keep.answer.send(Some(stored)).is_err() {
            // The event went without it: nothing refers to it.
            let gone = self.store.remove(&[keep.id]);
            self.count(SnapshotGone::Unreferred, gone);
            return;
        }
        self.options.stats.kept.add(1);
        self.options.stats.store.record(started.elapsed());
        let gone = self.store.make_room(self.options.budget);
        self.count(SnapshotGone::Budget, gone);
    }

    /// Encodes, seals and stores a picture. `None`, if whoever is in it left the gallery meanwhile.
    fn store_picture(&mut self, keep: &Keep) -> Result<Option<Stored>> {
        let Keep { id, identity, event, taken, until, picture, .. } = keep;
        let about = About {
            id: *id,
            identity: *identity,
            event: *event,
            taken: millis(*taken),
            until: millis(*until),
        };
        let keys = &self.options.keys;
        let seal = |kind, part: &Part| {
            let jpeg = zeroize::Zeroizing::new(jpeg(part, self.options.quality)?);
            keys.seal(&about, kind, &jpeg)
        };
        let Some(face) = seal(Kind::Face, &picture.face)? else { return Ok(None) };
        let scene = picture.scene.as_ref().map(|scene| seal(Kind::Scene, scene)).transpose()?.flatten();
        let stored = Stored { scene: scene.is_some() };
        self.store.put(&Row { about, face, scene })?;
        // Who was forgotten since the key was looked for had nothing here that could be deleted then.
        if identity.is_some_and(|id| keys.ring.sealing(id).is_none()) {
            self.store.remove(&[*id])?;
            return Ok(None);
        }
        Ok(Some(stored))
    }

    fn fetch(&self, id: Uuid, kind: Kind) -> Result<Option<Fetched>> {
        fetch(&self.store, &self.options.keys, id, kind, self.options.clock.now().wall)
    }

    fn look_after(&mut self) {
        let gone = self.options.keys.ring.departed(self.departed);
        if !gone.is_empty() {
            self.departed += gone.len();
            self.sweep();
        }
        let now = self.options.clock.now().wall;
        let round = jiff::SignedDuration::try_from(ROUND).unwrap_or(jiff::SignedDuration::from_secs(60));
        let due = self.last_round.is_none_or(|last| now < last || now.duration_since(last) >= round);
        if due {
            self.last_round = Some(now);
            let gone = self.store.expire(millis(now));
            self.count(SnapshotGone::Expired, gone);
            self.sweep();
            let gone = self.store.make_room(self.options.budget);
            self.count(SnapshotGone::Budget, gone);
        }
    }

    /// Deletes what is of somebody who is not in the gallery: forgotten while no daemon ran, merged, or not in what was restored.
    fn sweep(&mut self) {
        let gone = sweep(&mut self.store, &self.options.keys);
        self.count(SnapshotGone::Forgotten, gone);
    }

    fn count(&mut self, why: SnapshotGone, gone: Result<u64>) {
        match gone {
            Ok(0) => {}
            Ok(gone) => {
                self.options.stats.removed.add(why, gone);
                if why == SnapshotGone::Budget {
                    tracing::warn!(
                        snapshots = gone,
                        "the snapshot store reached its budget: the oldest snapshots are gone before their time"
                    );
                }
            }
            Err(error) => return self.failed(&error),
        }
        self.note_size();
    }

    fn note_size(&mut self) {
        match self.store.used().and_then(|bytes| Ok((bytes, self.store.count()?))) {
            Ok((bytes, rows)) => {
                self.options.stats.bytes.set(bytes);
                self.options.stats.held.set(rows);
                self.works();
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Told once, not at each attempt: a full disk must not fill the journal as well.
    fn failed(&mut self, error: &Error) {
        self.options.stats.failing.set(1);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(error = error.chain(), "the snapshot store fails: events go without snapshots");
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.options.stats.failing.set(0);
            tracing::warn!("the snapshot store works again");
        }
    }
}

/// A picture out of the store, if it may still be seen.
pub(super) fn fetch(
    store: &Store,
    keys: &super::Keys,
    id: Uuid,
    kind: Kind,
    now: Timestamp,
) -> Result<Option<Fetched>> {
    let Some(Row { about, face, scene }) = store.get(id)? else { return Ok(None) };
    if about.until <= millis(now) {
        return Ok(None);
    }
    let sealed = match kind {
        Kind::Face => Some(face),
        Kind::Scene => scene,
    };
    let jpeg = sealed.and_then(|sealed| keys.open(&about, kind, &sealed));
    Ok(jpeg.map(|jpeg| Fetched { identity: about.identity, jpeg }))
}

/// Deletes what is of somebody who has no key; how many.
pub(super) fn sweep(store: &mut Store, keys: &super::Keys) -> Result<u64> {
    let gone = |id: &IdentityId| keys.ring.sealing(*id).is_none();
    let gone: Vec<IdentityId> = store.identities()?.into_iter().filter(gone).collect();
    store.remove_of(&gone)
}

/// The encoder is foreign code: a panic in it becomes an error.
fn jpeg(part: &Part, quality: u8) -> Result<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(|| encode_jpeg(&part.image, quality)))
        .unwrap_or_else(|_| Err(err!(Software, "the JPEG encoder panicked")))
}
