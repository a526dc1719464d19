//! One event a line to a file, rotated by size and by age.
//!
//! ```text
//!   send ─▶ events.jsonl ── full, or old ─▶ events.jsonl.1 ─▶ events.jsonl.2 ─▶ ... ─▶ events.jsonl.KEEP ─▶ gone
//!              │                               │
//!              │ dirty                         └─▶ Packer (a thread) ─▶ events.jsonl.1.gz
//!              └─▶ fdatasync: before the receipt, by Syncer (a thread) within a second, or never
//! ```
//!
//! The file may be moved away or deleted by somebody else (logrotate), with or without SIGHUP: before each
//! event the path is compared with the open file, and opened anew when they differ.

mod files;
mod names;
mod packer;
mod sync;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;

use jiff::Timestamp;

use self::files::Open;
use self::names::Names;
use self::packer::Packer;
use self::sync::Syncer;
use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::base::shutdown::Stop;
use crate::config::{Compression, EventFile, FileSync};
use crate::err;

/// The sink.
pub struct Jsonl {
    config: EventFile,
    /// The configuration's key of the file, for messages.
    key: String,
    clock: Arc<dyn Clock>,
    names: Names,
    open: Option<Open>,
    /// Files with lines that are not on the disk for certain. Only where that is waited for.
    dirty: Vec<Arc<File>>,
    syncer: Option<Syncer>,
    packer: Option<Packer>,
    // A trouble that repeats at every event is told once.
    told: bool,
}

impl Jsonl {
    /// Opens or creates the file, and finishes in the background what a kill has left half done beside it. `key` is the sink's in
    /// the configuration, for messages.
    ///
    /// # Errors
    /// `NoInput`, `Permission` or `Io`, naming the key and the file; `Unavailable`, when there is no thread.
    pub fn open(config: &EventFile, key: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let names = Names::new(&config.path, config.keep, config.sync != FileSync::Never);
        let syncer = match config.sync {
            FileSync::Second => Some(Syncer::start(&config.path)?),
            FileSync::Each | FileSync::Never => None,
        };
        let mut sink = Self {
            key: format!("{key}.path"),
            clock,
            names: names.clone(),
            open: None,
            dirty: Vec::new(),
            syncer,
            packer: None,
            told: false,
            config: config.clone(),
        };
        sink.open = Some(sink.opened()?);
        if config.compress != Compression::None || names.has_leftovers() {
            sink.packer = Some(Packer::start(names, config.compress)?);
        }
        Ok(sink)
    }

    fn opened(&self) -> Result<Open> {
        let now = self.clock.now().wall;
        let open = Open::at(&self.config.path, now).and_then(|open| {
            // A new file that is not in its folder after a power cut has lost its events.
            if open.length == 0 && self.config.sync != FileSync::Never {
                crate::base::durable::sync_folder(&self.config.path)?;
            }
            Ok(open)
        });
        open.map_err(|e| self.failed("open", e))
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::io(&format!("{what} {}", self.key), &self.config.path, error)
    }

    /// The open file, at the configured path, with room for `more` bytes of an event of that time.
    fn ready(&mut self, more: u64, at: Timestamp) -> Result<&mut Open> {
        let in_place = self.follow()?;
        if in_place
            && self.open.as_ref().is_some_and(|open| self.is_full(open, more) || self.is_old(open, at))
        {
            self.rotate()?;
        }
        self.open.as_mut().ok_or_else(|| err!(Software, "{}: no file is open", self.key))
    }

    /// Opens the file anew if another one, or none, is at the path. False if that cannot be, and the one that was moved is kept.
    fn follow(&mut self) -> Result<bool> {
        if self.open.as_mut().is_some_and(|open| open.is_at(&self.config.path)) {
            return Ok(true);
        }
        match self.opened() {
            Ok(open) => self.open = Some(open),
            // A moved file still takes events; one without any name would only seem to.
            Err(e) if self.open.as_ref().is_some_and(Open::has_a_name) => {
                self.tell(&e, "still writing to the events file that was moved");
                return Ok(false);
            }
            Err(e) => {
                self.open = None;
                return Err(e);
            }
        }
        Ok(true)
    }

    fn is_full(&self, open: &Open, more: u64) -> bool {
        open.length > 0 && open.length.saturating_add(more) > self.config.max_bytes
    }

    /// True if the first event of the file is that old at `at`.
    fn is_old(&self, open: &Open, at: Timestamp) -> bool {
        let (Some(most), Some(first)) = (self.config.rotate_every, open.first) else { return false };
        // Backwards, as when a wrong clock was set right, is no age.
        std::time::Duration::try_from(at.duration_since(first)).is_ok_and(|age| age >= most)
    }

    /// Moves the file to its first number and opens a new one.
    fn rotate(&mut self) -> Result<()> {
        let result = self.names.rotate();
        if let Err(e) = result {
            let e = self.failed("rotate", e);
            self.tell(&e, "the events file cannot be rotated, and grows on if it was not moved");
            // Too large is better than lost.
            if self.open.as_mut().is_some_and(|open| open.is_at(&self.config.path)) {
                return Ok(());
            }
        } else {
            self.told = false;
        }
        faults::point("jsonl.rotated");
        // From now on nobody writes to the old one: it may be compressed.
        self.open = None;
        self.open = Some(self.opened()?);
        self.packer.iter().for_each(Packer::ring);
        Ok(())
    }

    fn tell(&mut self, error: &Error, what: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(error = %error.chain(), "{what}");
        }
    }

    fn append(&mut self, event: &Delivery) -> Result<()> {
        let at = event.event.time.min(self.clock.now().wall);
        let open = self.ready(event.json.len() as u64 + 1, at)?;
        let result = open.append(&event.json, at);
        let file = open.file().clone();
        match self.config.sync {
            FileSync::Each if !self.dirty.iter().any(|known| Arc::ptr_eq(known, &file)) => {
                self.dirty.push(file)
            }
            FileSync::Second => self.syncer.iter_mut().for_each(|syncer| syncer.dirty(&file)),
            FileSync::Each | FileSync::Never => {}
        }
        result.map_err(|e| self.failed("write to", e))
    }

    /// Brings to the disk what has to be there before a receipt, also of a file that was rotated since.
    fn sync(&mut self) -> Result<()> {
        let files = std::mem::take(&mut self.dirty);
        files.iter().try_for_each(|file| sync::sync(file)).map_err(|e| self.failed("sync", e))
    }
}

impl Sink for Jsonl {
    fn batch(&self) -> usize {
        256
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let mut taken = 0;
        let mut trouble = None;
        for event in batch {
            if stop.is_set() {
                break;
            }
            match self.append(event) {
                Ok(()) => taken += 1,
                Err(error) => {
                    trouble = Some(Trouble::Later { error, after: None });
                    break;
                }
            }
        }
        // What is not on the disk is not taken: it is written again, and a reader drops the second by its id.
        match self.sync() {
            Ok(()) => Sent { taken, trouble },
            Err(error) => Sent::later(0, error),
        }
    }

    fn idle(&mut self) {
        let now = self.clock.now().wall;
        if !self.open.as_ref().is_some_and(|open| self.is_old(open, now)) {
            return;
        }
        let rotated = self.follow().and_then(|in_place| if in_place { self.rotate() } else { Ok(()) });
        if let Err(error) = rotated {
            self.tell(&error, "the events file cannot be opened after it was rotated");
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.open = Some(self.opened()?);
        Ok(())
    }

    fn close(&mut self) {
        (self.packer, self.syncer) = (None, None);
    }
}
