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
mod lines;
mod publisher;
pub mod runner;
pub mod sink;
mod stdout;

#[cfg(test)]
mod contract;

pub use journal::{Journal, TARGET as JOURNAL_TARGET};
pub use jsonl::Jsonl;
pub use publisher::{Named, Publisher};
pub use stdout::Stdout;

use self::runner::Manner;
use self::sink::Sink;
use crate::base::error::Result;
use crate::config;
use crate::events::log::SinkPlace;

/// The sinks that the configuration turns on.
///
/// # Errors
/// When the events' file cannot be opened; the message names the key.
pub fn from_config(events: &config::Events) -> Result<Vec<Named>> {
    let named = |name: &str, sink: Box<dyn Sink>| Named {
        name: name.to_owned(),
        sink,
        shaping: Box::new(Some),
        manner: Manner::default(),
    };
    let mut sinks = Vec::new();
    if events.stdout {
        sinks.push(named("stdout", Box::new(Stdout::open()?)));
    }
    if let Some(file) = &events.file {
        sinks.push(named("file", Box::new(Jsonl::open(file)?)));
    }
    if events.journal {
        sinks.push(named("journal", Box::new(Journal)));
    }
    Ok(sinks)
}

/// How the log knows them. What was not read before the end is no business of standard output's next reader.
pub fn places(sinks: &[Named]) -> Vec<SinkPlace> {
    let place = |named: &Named| SinkPlace { name: named.name.clone(), required: false, from_oldest: false };
    sinks.iter().map(place).collect()
}
