//! The running daemon from outside.
//!
//! ```text
//!   Stats ─┐               ┌─▶ control/        Unix socket: `watchlistd status`, gallery commands
//!   Beats ─┼─▶ Report ─────┤
//!   Life ──┘   snapshot()  └─▶ http.rs         loopback: /metrics /healthz /readyz
//!   event log ─▶ pull ─────┬─▶                           /v1/events /v1/events/stream
//!                          └─▶ event_socket/   Unix sockets of events
//! ```
//!
//! What reports only reads, and gallery commands are carried out by whoever holds the gallery. Nothing in here can slow
//! down the pipeline or be held by a slow client.

pub mod control;
pub mod event_socket;
pub mod http;
pub mod metrics;
pub mod table;

#[cfg(test)]
mod fixture;

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::daemon::state::LifeCycle;
use crate::daemon::watchdog::Heartbeats;
use crate::stats::Stats;
use crate::stats::snapshot::Snapshot;

/// What there is to report. Cheap to clone.
#[derive(Clone)]
pub struct Report {
    /// Counters.
    pub stats: Arc<Stats>,
    /// Who is stuck.
    pub beats: Arc<Heartbeats>,
    /// The phase.
    pub life: Arc<LifeCycle>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Report {
    /// Everything, now.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
        self.stats.snapshot(now, self.life.phase().as_str(), self.beats.stuck(now))
    }
}
