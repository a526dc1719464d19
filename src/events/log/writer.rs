//! The thread that writes: what waits goes into one transaction, and one wait for the disk serves all of it.
//!
//! ```text
//!   orders ─▶ group (all that waits, 256 at most) ─▶ transaction ─▶ the bell rings, who waits for an answer gets it
//!                 ▲                                      │ the disk is full or fails: the group is tried again, nothing is lost;
//!                 └── kept ◀─────────────────────────────┘   what does not fit into the queue meanwhile is counted, and told
//!                                                            in a loss event with the first group that is accepted again
//!                                                        │ the file is damaged: what can be read goes on in a new epoch
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;
use uuid::Uuid;

use super::head::HeadFile;
use super::loss;
use super::open;
use super::retention::{self, WAL};
use super::row::Row;
use super::store::{Cursor, Store, is_damage, is_full};
use super::{Options, Shared};
use crate::base::error::Result;
use crate::base::faults;
use crate::daemon::watchdog::Beat;
use crate::events::Event;
use crate::events::Lost;

/// Most orders in one transaction.
const GROUP: usize = 256;

/// How often there is something to look after.
const TICK: Duration = Duration::from_secs(1);

/// How often it is looked what is too old.
const ROUND: Duration = Duration::from_secs(60);

/// How long to wait after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Bytes that a log gives back at once, where the disk stays full.
const ROOM: u64 = 1 << 20;

/// What the thread is asked for.
pub(super) enum Order {
    /// Accept an event; the answer is its sequence.
    Event(Box<Event>, Option<Sender<u64>>),
    /// A sink has had everything up to there of that epoch, and these it has refused for good; answered when that is on the disk.
    Had { sink: Arc<str>, epoch: Uuid, sequence: u64, dead: Vec<(u64, String)>, done: Option<Sender<()>> },
    /// A reader saw that these of that epoch are not as they were written.
    Damaged { epoch: Uuid, first: u64, last: u64 },
    /// A reader saw that the file of that epoch is damaged.
    Broken { epoch: Uuid },
    /// Finish: answered when everything before is on the disk, or with how many events are not.
    Finish(Sender<usize>),
}

/// The thread's own.
pub(super) struct Writer {
    store: Store,
    options: Arc<Options>,
    shared: Arc<Shared>,
    head: HeadFile,
    waiting: Vec<Order>,
    backoff: Option<Duration>,
    last_round: Option<Timestamp>,
}

impl Writer {
    pub fn new(store: Store, options: Arc<Options>, shared: Arc<Shared>, head: HeadFile) -> Self {
        Self { store, options, shared, head, waiting: Vec::new(), backoff: None, last_round: None }
    }

    /// Works until it is told to finish, or nobody can ask any more.
    pub fn run(mut self, orders: &Receiver<Order>, beat: &Beat) {
        let mut finished = None;
        while finished.is_none() {
            finished = self.gather(orders);
            beat.work(|| self.turn());
        }
        self.end(finished.flatten());
    }

    /// Takes what waits. `Some` at the end, with who waits for it.
    fn gather(&mut self, orders: &Receiver<Order>) -> Option<Option<Sender<usize>>> {
        let mut next = if self.waiting.is_empty() {
            orders.recv_timeout(TICK)
        } else {
            // What was not accepted is tried again after a while, whatever comes meanwhile.
            std::thread::sleep(self.backoff.unwrap_or_default());
            orders.try_recv().map_err(|_| RecvTimeoutError::Timeout)
        };
        loop {
            match next {
                Ok(Order::Finish(answer)) => return Some(Some(answer)),
                Ok(order) => self.waiting.push(order),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(None),
            }
            if self.waiting.len() >= GROUP {
                return None;
            }
            next = orders.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    fn turn(&mut self) {
        self.shared.stats.events.queue.set(self.shared.queued());
        let written = self.waiting.is_empty() || self.write_group();
        if self.look_after() && written {
            self.shared.working();
        }
    }

    /// True if it is on the disk.
    fn write_group(&mut self) -> bool {
        let now = self.options.clock.now().wall;
        faults::point("events.group");
        match self.try_group(now) {
            Ok(accepted) => {
                self.succeeded(accepted);
                return true;
            }
            Err(error) if is_damage(&error) => {
                self.shared.failing(&error);
                self.save();
            }
            Err(error) => {
                self.shared.failing(&error);
                let next = self.backoff.map_or(BACKOFF.0, |before| (before * 2).min(BACKOFF.1));
                self.backoff = Some(next);
                if next == BACKOFF.1 && is_full(&error) {
                    self.give_room();
                }
            }
        }
        false
    }

    /// A disk that stays full may leave room for what it takes to free some: the oldest that were delivered go before their time,
    /// and nothing else does.
    fn give_room(&mut self) {
        if let Ok(Some(last)) = self.store.write(|draft| retention::give_room(draft, ROOM)) {
            tracing::warn!(
                "the disk stays full: delivered events up to {last} went before their time, to make room"
            );
            self.shared.bell.ring(self.store.state);
        }
    }

    /// One transaction for all that waits.
    fn try_group(&mut self, now: Timestamp) -> Result<Vec<(Sender<u64>, u64)>> {
        let Self { store, options, shared, waiting, .. } = self;
        let (accepted, overflowed) = store.write(|draft| {
            let mut answers = Vec::new();
            // Only now: while this waited for its turn, more may have been lost.
            let overflowed = shared.overflowed.load(Ordering::Acquire);
            if overflowed > 0 {
                let loss = Lost {
                    since: shared.overflowing_since(),
                    until: Some(now),
                    ..Lost::not_accepted(overflowed)
                };
                let event = (options.tell)(&loss, now);
                let sequence = draft.next();
                draft.append(&Row::of(event, draft.state.epoch, sequence, now, &*options.ring)?)?;
            }
            for order in waiting.iter() {
                match order {
                    Order::Event(event, answer) => {
                        let sequence = draft.next();
                        let row =
                            Row::of((**event).clone(), draft.state.epoch, sequence, now, &*options.ring)?;
                        draft.append(&row)?;
                        answers.extend(answer.clone().map(|answer| (answer, sequence)));
                    }
                    // What is said of another epoch says nothing of this one: its numbers are others.
                    Order::Had { epoch, .. } | Order::Damaged { epoch, .. }
                        if *epoch != draft.state.epoch => {}
                    Order::Had { sink, sequence, dead, .. } => {
                        for (sequence, why) in dead {
                            draft.bury(sink, *sequence, now.as_millisecond(), why)?;
                        }
                        draft.move_cursor(sink, *sequence)?;
                    }
                    Order::Damaged { first, last, .. } => {
                        loss::tell_damaged(draft, *first, *last, options, now)?;
                    }
                    Order::Broken { .. } | Order::Finish(_) => {}
                }
            }
            Ok((answers, overflowed))
        })?;
        shared.overflow_told(overflowed);
        Ok(accepted)
    }

    fn succeeded(&mut self, accepted: Vec<(Sender<u64>, u64)>) {
        let state = self.store.state;
        let is_broken = |order: &Order| matches!(order, Order::Broken { epoch } if *epoch == state.epoch);
        let broken = self.waiting.iter().any(is_broken);
        let events = self.waiting.iter().filter(|order| matches!(order, Order::Event(..))).count();
        self.shared.stats.events.accepted.add(events as u64);
        self.shared.stats.events.commits.add(u64::from(events > 0));
        self.shared.note_cursors(&self.store.sinks);
        self.shared.bell.ring(state);
        faults::point("events.told");
        for (answer, sequence) in accepted {
            let _ = answer.send(sequence);
        }
        for order in self.waiting.drain(..) {
            if let Order::Had { done: Some(done), .. } = order {
                let _ = done.send(());
            }
        }
        self.backoff = None;
        if broken {
            self.save();
        }
    }

    /// What can be read goes on in a new epoch. What waits is accepted there.
    fn save(&mut self) {
        match open::save(&self.options, Some(&self.store), self.head.read(&self.options.key)) {
            Ok(store) => {
                self.store = store;
                // First the cursors: who hears of the new epoch asks for its own in it.
                self.shared.note_cursors(&self.store.sinks);
                self.shared.bell.ring(self.store.state);
            }
            Err(error) => {
                self.shared.failing(&error);
                self.backoff = Some(BACKOFF.1);
            }
        }
        self.waiting.retain(|order| !matches!(order, Order::Broken { .. } | Order::Damaged { .. }));
    }

    /// Retention, the budget, and the head beside the log. True if nothing failed.
    fn look_after(&mut self) -> bool {
        let now = self.options.clock.now().wall;
        let used = self.store.used().unwrap_or(0);
        self.shared.stats.events.bytes.set(used);
        let room = self.options.rules.budget.saturating_sub(WAL);
        let mut works = true;
        if used > room {
            let wanted = used - room + room / 50;
            works &= self.tend(|this| this.make_room(now, wanted));
        }
        let due = self.last_round.is_none_or(|last| now < last || now.duration_since(last) >= due_after());
        if due {
            self.last_round = Some(now);
            works &= self.tend(|this| this.expire(now));
        }
        faults::point("events.head");
        let follow = self.head.advance(&self.options.key, &self.store.state);
        self.tend(|_| follow) && works
    }

    /// Tells of a failure; true if there was none.
    fn tend(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> bool {
        match work(self) {
            Ok(()) => return true,
            Err(error) if is_damage(&error) => {
                self.shared.failing(&error);
                self.save();
            }
            Err(error) => self.shared.failing(&error),
        }
        false
    }

    fn make_room(&mut self, now: Timestamp, need: u64) -> Result<()> {
        let options = self.options.clone();
        let lost = self.store.write(|draft| retention::make_room(draft, need, &options, now))?;
        if let Some(loss) = lost {
            tracing::error!(
                events = loss.count,
                "the event log reached its budget and a required sink has not had its oldest events: they are lost to it"
            );
            self.shared.stats.events.lost.add(loss.count);
        }
        self.shared.bell.ring(self.store.state);
        Ok(())
    }

    fn expire(&mut self, now: Timestamp) -> Result<()> {
        let options = self.options.clone();
        while self.store.write(|draft| retention::expire(draft, &options, now))? {}
        self.shared.bell.ring(self.store.state);
        Ok(())
    }

    fn end(mut self, answer: Option<Sender<usize>>) {
        if !self.waiting.is_empty() {
            self.write_group();
        }
        let left = self.waiting.iter().filter(|order| matches!(order, Order::Event(..))).count();
        let head = self.head.advance(&self.options.key, &self.store.state);
        match head.and_then(|()| self.head.sync()) {
            Ok(()) if left == 0 => self.shared.working(),
            Ok(()) => {}
            Err(error) => tracing::warn!(error = error.chain(), "the event log's head is behind"),
        }
        self.store.checkpoint();
        self.shared.bell.close();
        if let Some(answer) = answer {
            let _ = answer.send(left);
        }
    }
}

fn due_after() -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(ROUND).unwrap_or(jiff::SignedDuration::from_secs(60))
}

/// Makes the configured sinks those that the log knows. A new one begins at the log's end, or with the oldest event there is; where
/// a cursor was lost, any of them may be the one that it was of, and begins with the oldest.
pub(super) fn settle_sinks(store: &mut Store, sinks: &[super::SinkPlace]) -> Result<()> {
    let whole = store.cursors_whole;
    store.write(|draft| {
        let gone: Vec<String> = draft
            .sinks
            .keys()
            .filter(|name| !sinks.iter().any(|sink| sink.name == **name))
            .cloned()
            .collect();
        for name in gone {
            tracing::info!(sink = name, "is not configured any more: the event log forgets how far it was");
            draft.remove_sink(&name)?;
        }
        for sink in sinks {
            let from_oldest = sink.from_oldest || !whole;
            let begins = if from_oldest { draft.state.first.saturating_sub(1) } else { draft.state.last };
            let sequence = draft.sinks.get(&sink.name).map_or(begins, |cursor| cursor.sequence);
            draft.set_cursor(&sink.name, Cursor { required: sink.required, sequence })?;
        }
        Ok(())
    })?;
    store.cursors_whole = true;
    Ok(())
}
