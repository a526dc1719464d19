//! One event a line to standard output, for pipes: `watchlistd run | jq`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::lines::Lines;
use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::err;

/// The sink. Each line is flushed. When the reader closes the pipe, the sink is gone.
///
/// The Rust runtime ignores SIGPIPE, so a closed pipe is an error of `write` and never ends the process.
#[derive(Debug)]
pub struct Stdout<W> {
    lines: Lines<W>,
    /// What is looked at while there is nothing to write.
    watched: Option<OwnedFd>,
}

impl Stdout<File> {
    /// The process's standard output, past the standard library's buffer: that one would keep a line that failed
    /// and send it later, joined to another.
    ///
    /// # Errors
    /// `Io`, when it is closed.
    pub fn open() -> Result<Self> {
        let fd = io::stdout().as_fd().try_clone_to_owned();
        fd.and_then(|fd| Self::watching(fd.into()))
            .map_err(|e| err!(Io, "standard output is closed").because(e))
    }
}

impl<W: Write + AsFd> Stdout<W> {
    /// Writes to `to`, and notices that its reader has gone without writing anything.
    ///
    /// # Errors
    /// As the system, when there are no more descriptors.
    pub fn watching(to: W) -> io::Result<Self> {
        let watched = Some(to.as_fd().try_clone_to_owned()?);
        Ok(Self { watched, ..Self::new(to) })
    }
}

impl<W: Write> Stdout<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { lines: Lines::new(to, false), watched: None }
    }
}

impl<W: Write + Send> Sink for Stdout<W> {
    fn batch(&self) -> usize {
        64
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        for (taken, event) in batch.iter().enumerate() {
            if stop.is_set() {
                return Sent { taken, trouble: None };
            }
            match self.lines.append(&event.json) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                    return Sent::until(taken, Trouble::Gone { error: closed().because(e) });
                }
                Err(e) => {
                    return Sent::later(
                        taken,
                        err!(Io, "cannot write an event to standard output").because(e),
                    );
                }
            }
        }
        Sent::all(batch)
    }

    /// Of a pipe nobody reads the system says so (`POLLERR`). Of a file it says nothing.
    fn gone(&mut self) -> Option<Error> {
        let mut watched = [PollFd::new(self.watched.as_ref()?, PollFlags::empty())];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
        let [watched] = watched;
        watched.revents().contains(PollFlags::ERR).then(closed)
    }
}

fn closed() -> Error {
    err!(Io, "standard output was closed by its reader; no more events are written to it")
}
