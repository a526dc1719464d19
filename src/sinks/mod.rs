//! Where events go. One file per kind of sink; all pass the same contract test.
//!
//! ```text
//!   decider ─▶ [ queue, 1024 ] ─▶ publisher thread ─┬─▶ stdout     one JSON a line
//!              full: waits 2 s,                     ├─▶ jsonl      a file, rotated by size
//!              then counts a loss                   └─▶ journal    tracing fields
//! ```
//!
//! A sink that fails loses its own events and no other's; each loss is counted. A sink never retries on its own:
//! the next event is the retry.

mod journal;
mod jsonl;
mod lines;
mod publisher;
mod stdout;

#[cfg(test)]
mod contract;

use std::fmt;

pub use journal::{Journal, TARGET as JOURNAL_TARGET};
pub use jsonl::Jsonl;
pub use publisher::{Publisher, QUEUE};
pub use stdout::Stdout;

use crate::base::error::{Error, Result};
use crate::config;
use crate::events::Event;

/// An event with its line of JSON, made once for all sinks.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its JSON, without a line break.
    pub json: &'a str,
}

/// Why a sink could not take an event.
#[derive(Debug)]
pub enum SinkError {
    /// It lost this event; the next may go through.
    Lost(Error),
    /// It will never take one again: its reader has gone.
    Gone(Error),
}

impl SinkError {
    /// What happened.
    pub fn error(&self) -> &Error {
        match self {
            SinkError::Lost(error) | SinkError::Gone(error) => error,
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error().chain())
    }
}

/// Something that takes events. The publisher's thread owns it.
pub trait Sink: Send {
    /// Its name in metrics and logs.
    fn name(&self) -> &'static str;

    /// Takes one event. When it returns `Ok`, the event is with the operating system.
    ///
    /// # Errors
    /// The event is lost to this sink, and whether another may be tried.
    fn publish(&mut self, line: Line<'_>) -> Result<(), SinkError>;

    /// Makes what was taken durable, as far as the sink can.
    ///
    /// # Errors
    /// What was taken may be lost at a power failure.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Opens its file again (SIGHUP).
    ///
    /// # Errors
    /// It goes on with what it has, or tries again at the next event.
    fn reopen(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The sinks that the configuration turns on.
///
/// # Errors
/// When the events' file cannot be opened; the message names the key.
pub fn from_config(events: &config::Events) -> Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if events.stdout {
        sinks.push(Box::new(Stdout::open()?));
    }
    if let Some(file) = &events.file {
        sinks.push(Box::new(Jsonl::open(file)?));
    }
    if events.journal {
        sinks.push(Box::new(Journal));
    }
    Ok(sinks)
}
