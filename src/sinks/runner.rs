//! A sink's thread: reads the log behind its own cursor, sends, and moves the cursor when there is a receipt.
//!
//! ```text
//!            ┌────────── nothing new: waits for the bell ◀─────────┐
//!            ▼                                                      │
//!   log ─▶ read after the cursor ─▶ shape ─▶ Sink::send ─▶ receipt ─┴▶ cursor on disk ─▶ next
//!                                              │ later:   backoff with jitter, or as long as the other side asked for
//!                                              │ refused: a dead letter, and on with the next
//!                                              └ gone:    the thread ends; the cursor stays where it is
//! ```
//!
//! A batch is sent when the cursor of the one before is on disk: what may come twice after a kill is one batch and no more. Every
//! sink has its own thread, so none holds another.

mod forgetting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use uuid::Uuid;

use self::forgetting::Forgetting;
use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::faults;
use crate::base::shutdown::{self, Stop, Stopper};
use crate::err;
use crate::events::log::{Item, Reading, Seen};
use crate::events::{Event, EventMaker, LostReason};
use crate::stats::SinkStats;

/// Rows that are read at once.
const PAGE: usize = 256;

/// How often a sink that has nothing to send is looked after.
const IDLE: Duration = Duration::from_secs(1);

/// How a sink is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// How long to wait after a failure, at first.
    pub first: Duration,
    /// And at most; the wait doubles with each failure.
    pub most: Duration,
    /// Most events a second.
    pub rate: Option<f64>,
    /// Most events in a batch, besides what the sink itself says.
    pub batch: usize,
    /// After so many refusals an event becomes a dead letter; until then it is tried again as after a failure, and holds what
    /// follows. `None`: it never does.
    pub dead_letters: Option<u32>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(60),
            rate: None,
            batch: 64,
            dead_letters: Some(1),
        }
    }
}

/// What makes an event fit for a sink; `None`: the sink does not get it.
pub type Shaping = Box<dyn Fn(Event) -> Option<Event> + Send>;

/// What a runner needs besides the sink.
pub struct Needs {
    /// The sink's name in the configuration.
    pub name: Arc<str>,
    /// The log.
    pub reading: Reading,
    /// What the sink gets.
    pub shaping: Shaping,
    /// How it is treated.
    pub manner: Manner,
    /// Makes the event that tells of what the sink missed.
    pub maker: Arc<EventMaker>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Its figures.
    pub stats: Arc<SinkStats>,
}

/// A running sink.
pub struct Running {
    name: Arc<str>,
    asks: Sender<()>,
    draining: Arc<AtomicBool>,
    stopper: Stopper,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts the thread. `gone` is called if the sink ends by itself.
    ///
    /// # Errors
    /// `Unavailable`, when there is no thread.
    pub fn start(sink: Box<dyn Sink>, needs: Needs, gone: Box<dyn FnOnce() + Send>) -> Result<Self> {
        let (stopper, stop) = shutdown::channel();
        let (asks, asked) = unbounded();
        let (finished, done) = crossbeam_channel::bounded(1);
        let draining = Arc::new(AtomicBool::new(false));
        let name = needs.name.clone();
        let mut runner = Runner {
            sink,
            needs,
            asked,
            stop,
            draining: draining.clone(),
            failures: 0,
            refusals: 0,
            forgetting: Forgetting::default(),
        };
        let run = move || {
            if runner.run() == End::Gone {
                gone();
            }
            let _ = finished.send(());
        };
        let thread = std::thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(run)
            .map_err(|e| err!(Unavailable, "cannot start the thread of sink {name}").because(e))?;
        Ok(Self { name, asks, draining, stopper, done, thread })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens its file again (SIGHUP).
    pub fn reopen(&self) {
        let _ = self.asks.send(());
    }

    /// From now on it ends when it has sent everything there is.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Ends it: what it has not sent by `limit` it sends after the next start.
    ///
    /// # Errors
    /// `Software`, when its thread panicked.
    pub fn finish(mut self, limit: Duration) -> Result<()> {
        self.drain();
        let _ = self.done.recv_timeout(limit);
        self.stopper.stop();
        // The sink ends within its own time limit; one that hangs is left to the end of the process.
        if self.done.recv_timeout(limit.max(Duration::from_secs(1))).is_err() && !self.thread.is_finished() {
            tracing::warn!(
                sink = &*self.name,
                "does not end in time; what it has not sent is sent after the next start"
            );
            return Ok(());
        }
        self.thread.join().map_err(|_| err!(Software, "the thread of sink {} panicked", self.name))
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Told,
    Gone,
}

struct Runner {
    sink: Box<dyn Sink>,
    needs: Needs,
    asked: Receiver<()>,
    stop: Stop,
    draining: Arc<AtomicBool>,
    failures: u32,
    /// How often the next event was refused.
    refusals: u32,
    forgetting: Forgetting,
}

/// Where a sink is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    epoch: Uuid,
    cursor: u64,
}

/// What is to be sent, and how far the cursor comes with each.
struct Batch {
    deliveries: Vec<Delivery>,
    /// With nothing of it sent: before the first delivery.
    before: u64,
    /// Behind each delivery, with what the sink does not get.
    behind: Vec<u64>,
}

impl Runner {
    fn run(&mut self) -> End {
        let mut place = self.begin();
        loop {
            self.reopen_if_asked();
            if self.stop.is_set() {
                break;
            }
            self.forget();
            let seen = match self.needs.reading.after(place.epoch, place.cursor, PAGE) {
                Ok(seen) => seen,
                Err(error) => {
                    self.failed(&error.chain());
                    self.pause(None);
                    continue;
                }
            };
            self.needs.stats.behind.set(seen.state.last.saturating_sub(place.cursor));
            if seen.state.epoch != place.epoch {
                place = self.begin();
                continue;
            }
            if seen.until == place.cursor {
                let over = self.draining.load(Ordering::Acquire) && place.cursor >= seen.state.last;
                if over || self.needs.reading.wait(place.epoch, place.cursor, IDLE) {
                    break;
                }
                if let Some(error) = self.sink.gone() {
                    self.failed(&error.chain());
                    return End::Gone;
                }
                self.sink.idle();
                continue;
            }
            if self.deliver(&mut place, seen) == End::Gone {
                return End::Gone;
            }
        }
        self.sink.close();
        End::Told
    }

    fn begin(&self) -> Place {
        let state = self.needs.reading.state();
        let cursor = self.needs.reading.cursor(&self.needs.name).unwrap_or(state.last);
        Place { epoch: state.epoch, cursor }
    }

    fn reopen_if_asked(&mut self) {
        if self.asked.try_iter().count() > 0
            && let Err(error) = self.sink.reopen()
        {
            tracing::error!(sink = &*self.needs.name, error = error.chain(), "cannot be opened again");
        }
    }

    /// Takes away what is outside about whoever is gone. Where that fails it is tried again later; events do not wait for it.
    fn forget(&mut self) {
        let Needs { reading, name, clock, .. } = &self.needs;
        if let Some(trouble) =
            self.forgetting.catch_up(&mut *self.sink, reading, clock.now().mono, &self.stop)
        {
            let error = trouble.error().chain();
            tracing::error!(
                sink = &**name,
                error,
                "what it left about somebody who is gone stays there for now"
            );
        }
    }

    /// Sends a page, batch by batch.
    fn deliver(&mut self, place: &mut Place, seen: Seen) -> End {
        let batch = self.batch(place, seen);
        // Nothing of it is for this sink: the cursor comes along all the same.
        let mut done = 0;
        self.had(place, batch.before, Vec::new());
        while let Some(rest) = batch.deliveries.get(done..).filter(|rest| !rest.is_empty()) {
            if self.stop.is_set() {
                break;
            }
            let most = self.sink.batch().min(self.needs.manner.batch).max(1);
            let part = rest.get(..most).unwrap_or(rest);
            self.keep_rate(part.len());
            let Sent { taken, trouble } = self.sink.send(part, &self.stop);
            done += taken.min(part.len());
            faults::point("events.sent");
            self.forgetting.sent(part, &self.needs.reading);
            let mut dead = Vec::new();
            if taken > 0 {
                self.needs.stats.written.add(taken as u64);
                self.succeeded();
            }
            let pause = match trouble {
                None => None,
                Some(Trouble::Refused { error }) if self.is_dead() => {
                    if let Some(refused) = batch.deliveries.get(done) {
                        self.refused(refused, &error.chain());
                        dead.push((refused.sequence, error.chain()));
                        done += 1;
                    }
                    None
                }
                Some(Trouble::Refused { error }) => Some((error, None)),
                Some(Trouble::Later { error, after }) => Some((error, after)),
                Some(Trouble::Gone { error }) => {
                    self.failed(&error.chain());
                    return End::Gone;
                }
            };
            if let Some(behind) = done.checked_sub(1).and_then(|last| batch.behind.get(last)) {
                self.had(place, *behind, dead);
            }
            if let Some((error, after)) = pause {
                self.failed(&error.chain());
                self.pause(after);
                // Read again: meanwhile retention may have taken some, and somebody may have been forgotten.
                return End::Told;
            }
        }
        End::Told
    }

    /// What of a page is for this sink. What it missed is told to it.
    fn batch(&self, place: &Place, seen: Seen) -> Batch {
        let mut batch = Batch { deliveries: Vec::new(), before: place.cursor, behind: Vec::new() };
        for item in seen.items {
            let (until, event) = match item {
                Item::Event { sequence, event, .. } => (sequence, (self.needs.shaping)(*event)),
                Item::Gone { first, last } => {
                    let Needs { maker, clock, shaping, .. } = &self.needs;
                    (last, shaping(maker.missed(LostReason::Expired, place.epoch, first, last, clock.now())))
                }
            };
            if let Some(event) = event {
                let json = event.to_line();
                batch.deliveries.push(Delivery { log: place.epoch, sequence: until, event, json });
                batch.behind.push(until);
            } else if let Some(last) = batch.behind.last_mut() {
                *last = until;
            } else {
                batch.before = until;
            }
        }
        batch
    }

    fn had(&self, place: &mut Place, until: u64, dead: Vec<(u64, String)>) {
        if until > place.cursor && self.needs.reading.had(&self.needs.name, until, dead) {
            place.cursor = until;
            let last = self.needs.reading.state().last;
            self.needs.stats.behind.set(last.saturating_sub(until));
        }
    }

    /// Spreads events over time, where there is a most of them in a second.
    fn keep_rate(&self, count: usize) {
        if let Some(rate) = self.needs.manner.rate.filter(|rate| *rate > 0.0) {
            self.wait(Duration::from_secs_f64(count as f64 / rate), || false);
        }
    }

    /// Waits for so much of the clock's time; less if told to stop, or once `over`.
    fn wait(&self, time: Duration, over: impl Fn() -> bool) {
        let until = self.needs.clock.now().mono + time;
        while !over() {
            let left = until.saturating_sub(self.needs.clock.now().mono);
            if left.is_zero() || self.stop.wait(self.needs.clock.nap(left.min(IDLE))) {
                return;
            }
        }
    }

    /// Waits before the next attempt: as long as was asked for, else twice as long as the last time, less a random part so that
    /// many boxes do not come back at the same moment.
    fn pause(&mut self, asked: Option<Duration>) {
        let Manner { first, most, .. } = self.needs.manner;
        let doubled = first.saturating_mul(2u32.saturating_pow(self.failures.min(20))).min(most);
        self.failures = self.failures.saturating_add(1);
        let wait = asked
            .map_or_else(|| doubled.mul_f32(0.5 + fastrand::f32() / 2.0), |asked| asked.min(most.max(HOUR)));
        self.wait(wait, || self.draining.load(Ordering::Acquire));
        if self.draining.load(Ordering::Acquire) {
            // One more attempt, after a moment.
            self.wait(first, || false);
        }
    }

    /// Counts a refusal of the next event; true if it was the last.
    fn is_dead(&mut self) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        let dead = self.needs.manner.dead_letters.is_some_and(|most| self.refusals >= most);
        if dead {
            self.refusals = 0;
        }
        dead
    }

    fn succeeded(&mut self) {
        (self.failures, self.refusals) = (0, 0);
        if self.needs.stats.failing.get() == 1 {
            self.needs.stats.failing.set(0);
            tracing::warn!(sink = &*self.needs.name, "takes events again");
        }
    }

    // Told once, not at each attempt.
    fn failed(&self, error: &str) {
        self.needs.stats.failures.add(1);
        if self.needs.stats.failing.get() == 0 {
            self.needs.stats.failing.set(1);
            tracing::error!(sink = &*self.needs.name, error, "does not take events; they wait in the log");
        }
    }

    fn refused(&self, event: &Delivery, error: &str) {
        self.needs.stats.lost.add(1);
        tracing::error!(
            sink = &*self.needs.name,
            sequence = event.sequence,
            error,
            "refused an event for good: it is a dead letter"
        );
    }
}

/// The longest that the other side may ask for.
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
