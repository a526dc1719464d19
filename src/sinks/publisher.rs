//! Where events go: into the log, and from there to every sink.
//!
//! ```text
//!   publish ─▶ log (accepted when on the disk) ─▶ stdout │ file │ journal │ ...   each at its own pace
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::runner::{Manner, Needs, Running};
use super::sink::Sink;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::events::log::{EventLog, Inspector, Reading};
use crate::events::{Event, EventMaker};
use crate::stats::Stats;

/// A sink with its name.
pub struct Named {
    /// Its name in the configuration.
    pub name: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// What it gets, and how it is treated.
    pub shaping: super::runner::Shaping,
    /// How it is treated.
    pub manner: Manner,
}

/// The log and its sinks. Shared by reference between those who publish.
pub struct Publisher {
    log: EventLog,
    sinks: Vec<Running>,
    gone: Receiver<()>,
}

impl Publisher {
    /// Starts the sinks behind the log.
    ///
    /// # Errors
    /// `Unavailable`, when there is no thread.
    pub fn start(
        log: EventLog,
        sinks: Vec<Named>,
        maker: &Arc<EventMaker>,
        stats: &Arc<Stats>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let (all_gone, gone) = bounded(1);
        let alive = Arc::new(AtomicUsize::new(sinks.len()));
        let start = |named: Named| {
            let (alive, all_gone) = (alive.clone(), all_gone.clone());
            let needs = Needs {
                reading: log.reading(),
                shaping: named.shaping,
                manner: named.manner,
                maker: maker.clone(),
                clock: clock.clone(),
                stats: stats.events.add_sink(&named.name),
                name: named.name.into(),
            };
            let on_gone = move || {
                if alive.fetch_sub(1, Ordering::AcqRel) == 1 {
                    let _ = all_gone.try_send(());
                }
            };
            Running::start(named.sink, needs, Box::new(on_gone))
        };
        let sinks = sinks.into_iter().map(start).collect::<Result<_>>()?;
        Ok(Self { log, sinks, gone })
    }

    /// Hands an event to the log; false if it was lost. Every event is counted.
    pub fn publish(&self, event: Event) -> bool {
        self.log.submit(event)
    }

    /// For the log's operator.
    pub fn inspector(&self) -> Inspector {
        self.log.inspector()
    }

    /// The log, for those who read it themselves.
    pub fn reading(&self) -> Reading {
        self.log.reading()
    }

    /// Opens files again (SIGHUP).
    pub fn reopen(&self) {
        self.sinks.iter().for_each(Running::reopen);
    }

    /// Gets a message when the last sink has gone (standard output closed, and no other sink): time to end.
    pub fn gone(&self) -> &Receiver<()> {
        &self.gone
    }

    /// Accepts what waits, lets the sinks send what they have not had, and ends, within about `limit`. What is not sent by then
    /// is sent after the next start.
    ///
    /// # Errors
    /// `Temporary`, with the number of events that were not accepted; they are lost with the process.
    pub fn finish(self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        self.log.settle(left());
        self.sinks.iter().for_each(Running::drain);
        let ended: Vec<Result<()>> = self.sinks.into_iter().map(|sink| sink.finish(left())).collect();
        self.log.finish(left().max(Duration::from_secs(1)))?;
        ended.into_iter().collect()
    }
}
