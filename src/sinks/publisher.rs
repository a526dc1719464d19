//! The publisher: one thread that hands every event to every sink.
//!
//! ```text
//!   accepted = written + lost, for each sink, once drained          accepted + overflowed = offered
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Line, Sink, SinkError};
use crate::base::error::Result;
use crate::daemon::watchdog::Beat;
use crate::err;
use crate::events::Event;
use crate::stats::{EventStats, SinkStats, Stats};

/// Events that may wait: minutes of a busy box, and about 1 MB.
pub const QUEUE: usize = 1024;

/// How long [`Publisher::publish`] waits for room, before it counts a loss.
const WAIT: Duration = Duration::from_secs(2);

enum Order {
    Event(Box<Event>),
    Reopen,
}

/// The publisher. Shared by reference between those who publish.
#[derive(Debug)]
pub struct Publisher {
    orders: Sender<Order>,
    patience: Duration,
    overflowing: AtomicBool,
    stats: Arc<Stats>,
    gone: Receiver<()>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Publisher {
    /// Starts the thread. `beat` is its heartbeat.
    ///
    /// # Errors
    /// `Unavailable`, when there is no thread.
    pub fn start(sinks: Vec<Box<dyn Sink>>, stats: Arc<Stats>, beat: Beat) -> Result<Self> {
        let (orders, queue) = bounded(QUEUE);
        let (all_gone, gone) = bounded(1);
        let (finished, done) = bounded(1);
        let mut fan = Fan::new(sinks, &stats.events);
        let counted = stats.clone();
        let run = move || {
            for order in &queue {
                counted.events.queue.set(queue.len() as u64);
                let any_left = beat.work(|| fan.take(order));
                if !any_left {
                    let _ = all_gone.try_send(());
                }
            }
            beat.work(|| fan.flush());
            let _ = finished.send(());
        };
        let thread = std::thread::Builder::new()
            .name("publish".into())
            .spawn(run)
            .map_err(|e| err!(Unavailable, "cannot start the publisher's thread").because(e))?;
        let overflowing = AtomicBool::new(false);
        Ok(Self { orders, patience: WAIT, overflowing, stats, gone, done, thread })
    }

    /// Another time to wait for room, for tests.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Takes an event for every sink; false if the queue stayed full and it was lost. Every event is counted.
    pub fn publish(&self, event: Event) -> bool {
        let order = Order::Event(Box::new(event));
        // After one loss the next does not wait again: a stuck sink must not slow the recognition down.
        let wait = if self.overflowing.load(Ordering::Relaxed) { Duration::ZERO } else { self.patience };
        let taken = self.orders.send_timeout(order, wait).is_ok();
        if taken {
            self.stats.events.accepted.add(1);
        } else {
            self.stats.events.overflowed.add(1);
        }
        if !taken && !self.overflowing.swap(true, Ordering::Relaxed) {
            tracing::error!(queue = QUEUE, "a sink is stuck and the queue is full: events are lost");
        } else if taken && self.overflowing.swap(false, Ordering::Relaxed) {
            tracing::warn!("the queue of events has room again");
        }
        taken
    }

    /// Opens files again (SIGHUP), in order with the events.
    pub fn reopen(&self) {
        // Without room the sinks are stuck, and would not hear it either.
        if self.orders.send_timeout(Order::Reopen, self.patience).is_err() {
            tracing::error!("the events' files could not be reopened: a sink is stuck");
        }
    }

    /// Gets a message when the last sink has gone (standard output closed, and no other sink): time to end.
    pub fn gone(&self) -> &Receiver<()> {
        &self.gone
    }

    /// Publishes what waits, flushes and ends, within `limit`.
    ///
    /// # Errors
    /// `Temporary`, with the number of events left, when it takes longer; they are lost with the process.
    pub fn finish(self, limit: Duration) -> Result<()> {
        let Self { orders, stats, done, thread, .. } = self;
        drop(orders);
        // Disconnected: the thread is over, and `join` says how.
        if done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            let left = stats.events.queue.get();
            return Err(err!(Temporary, "a sink is stuck: about {left} events were not published in time"));
        }
        thread.join().map_err(|_| err!(Software, "the publisher's thread panicked"))
    }
}

/// The sinks with their counters.
struct Fan {
    outlets: Vec<Outlet>,
}

struct Outlet {
    sink: Box<dyn Sink>,
    stats: Arc<SinkStats>,
    gone: bool,
}

impl Fan {
    fn new(sinks: Vec<Box<dyn Sink>>, stats: &EventStats) -> Self {
        let outlet = |sink: Box<dyn Sink>| Outlet { stats: stats.add_sink(sink.name()), sink, gone: false };
        Self { outlets: sinks.into_iter().map(outlet).collect() }
    }

    /// False if every sink has gone.
    fn take(&mut self, order: Order) -> bool {
        match order {
            Order::Event(event) => {
                let json = event.to_line();
                self.outlets.iter_mut().for_each(|o| o.publish(Line { event: &event, json: &json }));
            }
            Order::Reopen => self.outlets.iter_mut().for_each(Outlet::reopen),
        }
        self.outlets.is_empty() || self.outlets.iter().any(|o| !o.gone)
    }

    fn flush(&mut self) {
        for outlet in self.outlets.iter_mut().filter(|o| !o.gone) {
            if let Err(error) = outlet.sink.flush() {
                tracing::error!(sink = outlet.sink.name(), error = %error.chain(), "events may not be on the disk");
            }
        }
    }
}

impl Outlet {
    fn publish(&mut self, line: Line<'_>) {
        if self.gone {
            self.stats.lost.add(1);
            return;
        }
        match self.sink.publish(line) {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(&error),
        }
    }

    fn succeeded(&mut self) {
        self.stats.written.add(1);
        if self.stats.failing.get() == 1 {
            self.stats.failing.set(0);
            let lost = self.stats.lost.get();
            tracing::warn!(sink = self.sink.name(), lost, "events are written again");
        }
    }

    // Told once, not at each event: a full disk must not fill the journal as well.
    fn failed(&mut self, error: &SinkError) {
        self.stats.lost.add(1);
        self.gone = matches!(error, SinkError::Gone(_));
        if self.stats.failing.get() == 0 {
            self.stats.failing.set(1);
            tracing::error!(sink = self.sink.name(), %error, "events are lost to this sink");
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            tracing::error!(sink = self.sink.name(), error = %error.chain(), "cannot be opened again");
        }
    }
}
