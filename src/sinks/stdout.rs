//! One event a line to standard output, for pipes: `watchlistd run | jq`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use super::lines::Lines;
use super::{Line, Sink, SinkError};
use crate::base::error::Result;
use crate::err;

/// The sink. Each line is flushed. When the reader closes the pipe, the sink is gone.
///
/// The Rust runtime ignores SIGPIPE, so a closed pipe is an error of `write` and never ends the process.
#[derive(Debug)]
pub struct Stdout<W> {
    lines: Lines<W>,
}

impl Stdout<File> {
    /// The process's standard output, past the standard library's buffer: that one would keep a line that failed
    /// and send it later, joined to another.
    ///
    /// # Errors
    /// `Io`, when it is closed.
    pub fn open() -> Result<Self> {
        let fd = io::stdout().as_fd().try_clone_to_owned();
        fd.map(|fd| Self::new(fd.into())).map_err(|e| err!(Io, "standard output is closed").because(e))
    }
}

impl<W: Write> Stdout<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { lines: Lines::new(to, false) }
    }
}

impl<W: Write + Send> Sink for Stdout<W> {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn publish(&mut self, line: Line<'_>) -> Result<(), SinkError> {
        match self.lines.append(line.json) {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(SinkError::Gone(
                err!(Io, "standard output was closed by its reader; no more events are written to it")
                    .because(e),
            )),
            Err(e) => Err(SinkError::Lost(err!(Io, "cannot write an event to standard output").because(e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::contract::event;

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut sink = Stdout::new(writer);
        let event = event(1);
        let json = event.to_line();
        sink.publish(Line { event: &event, json: &json }).expect("the reader is there");
        drop(reader);
        let error = sink.publish(Line { event: &event, json: &json }).expect_err("the reader has gone");
        assert!(matches!(error, SinkError::Gone(_)), "{error}");
    }
}
