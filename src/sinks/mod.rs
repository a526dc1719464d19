//! Where events go. One file per kind of sink; all pass the same contract test.
//!
//! ```text
//!   decider ─▶ event log ─┬─▶ runner ─▶ stdout     one JSON a line
//!              on disk    ├─▶ runner ─▶ file       one JSON a line, rotated by size
//!                         └─▶ runner ─▶ journal    tracing fields
//! ```
//!
//! Every sink has its own thread and its own cursor in the log: one that is down or slow holds no other, and has what it missed
//! when it is back. See [`sink`] for what a sink is, and [`runner`] for how it is treated.

mod journal;
mod jsonl;
pub mod kafka;
mod lines;
pub mod mqtt;
pub mod nats;
mod publisher;
pub mod runner;
pub mod shape;
pub mod sink;
mod stdout;
#[cfg(any(test, feature = "faults"))]
pub mod testing;
pub mod webhook;

#[cfg(test)]
mod contract;
#[cfg(feature = "kafka")]
#[cfg(test)]
mod outage;

pub use journal::{Journal, TARGET as JOURNAL_TARGET};
pub use jsonl::Jsonl;
pub use publisher::{Named, Publisher};
pub use stdout::Stdout;

use std::sync::Arc;

use self::mqtt::Mqtt;
use self::nats::Nats;
use self::runner::Manner;
use self::sink::Sink;
use self::webhook::Webhook;
use crate::bail;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::config::{self, SinkKind, Start};
use crate::events::log::SinkPlace;

/// The sinks of the configuration, opened.
///
/// # Errors
/// When a file cannot be opened; the message names the key.
pub fn from_config(sinks: &[config::Sink], clock: &Arc<dyn Clock>) -> Result<Vec<Named>> {
    let named = |sink: &config::Sink| {
        let shape = sink.shape.clone();
        Ok(Named {
            name: sink.name.clone(),
            sink: open(sink, clock)?,
            shaping: Box::new(move |event| shape.shaped(event)),
            manner: manner(&sink.retry),
        })
    };
    sinks.iter().filter(|sink| !is_read(sink)).map(named).collect()
}

/// True for one that is read from: its readers come, and the log knows none of them (`src/api/event_socket`).
fn is_read(sink: &config::Sink) -> bool {
    matches!(sink.kind, SinkKind::Unix(_))
}

fn open(sink: &config::Sink, clock: &Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
    Ok(match &sink.kind {
        SinkKind::Stdout => Box::new(Stdout::open()?),
        SinkKind::Journal => Box::new(Journal),
        SinkKind::Jsonl(file) => Box::new(Jsonl::open(file, &sink.key(), clock.clone())?),
        SinkKind::Webhook(webhook) => Box::new(Webhook::open((**webhook).clone(), clock.clone())?),
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(kafka) => Box::new(kafka::Kafka::new((**kafka).clone())?),
        SinkKind::Mqtt(mqtt) => Box::new(Mqtt::new((**mqtt).clone())?),
        SinkKind::Nats(nats) => Box::new(Nats::new((**nats).clone())?),
        // A socket is read from; what this program was built without, the configuration has refused.
        kind => {
            bail!(Software, "{}: no sink of type {} can be run", sink.key(), kind.as_str())
        }
    })
}

fn manner(retry: &config::Retry) -> Manner {
    let config::Retry { first, most, rate, batch, dead_letters } = *retry;
    Manner { first, most, rate, batch: batch.unwrap_or(usize::MAX), dead_letters }
}

/// How the log knows them. What was not read before the end is no business of standard output's next reader.
pub fn places(sinks: &[config::Sink]) -> Vec<SinkPlace> {
    let place = |sink: &config::Sink| SinkPlace {
        name: sink.name.clone(),
        required: sink.required,
        from_oldest: sink.start == Start::Oldest,
    };
    sinks.iter().filter(|sink| !is_read(sink)).map(place).collect()
}
