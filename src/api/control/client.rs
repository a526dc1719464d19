//! The client: a running daemon as a [`Desk`], and its status.
//!
//! ```text
//!  connect ─ no socket, nobody listens ─▶ Unavailable: a tool may open the store itself
//!     │    └ not for this user ─────────▶ Permission
//!     └──▶ ask ─▶ line + body ─▶ progress ... ─▶ Reply, or the daemon's error with its kind
//! ```

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::buffer::Buffer;
use super::protocol::{self, Answer, MAX_ANSWER};
use super::wire::Wire;
use crate::base::error::{Error, Result};
use crate::gallery::command::{Command, Desk, Progress, Reply};
use crate::stats::snapshot::Snapshot;
use crate::{bail, err};

/// A connection to a running daemon. Commands go one after the other.
pub struct Client {
    wire: Wire,
    shown: String,
    patience: Duration,
}

impl Client {
    /// Connects to the daemon at `path` (`control.socket`). `patience` is how long it may take to receive a MiB of a
    /// request or to send one of an answer. For the answer itself a client waits as long as the daemon lives: commands
    /// wait for each other, and some take minutes.
    ///
    /// # Errors
    /// `Unavailable`, when none runs there; `Permission`, when the socket is not for this user.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self> {
        let shown = path.display().to_string();
        let stream = UnixStream::connect(path).map_err(|e| match e.kind() {
            ErrorKind::PermissionDenied => {
                err!(
                    Permission,
                    "control.socket: {shown} is not for this user; use sudo, or join the socket's group"
                )
            }
            _ => err!(Unavailable, "control.socket: no watchlistd is running at {shown}").because(e),
        })?;
        Ok(Self { wire: Wire::new(Arc::new(stream)), shown, patience })
    }

    fn silent(&self, cause: io::Error) -> Error {
        err!(Unavailable, "the watchlistd at {} does not answer", self.shown).because(cause)
    }

    fn hung_up(&self, asked: bool) -> Error {
        let then = if asked {
            "without an answer: look whether the command was carried out before you ask again"
        } else {
            "before the command was told: ask again"
        };
        err!(Unavailable, "the watchlistd at {} hung up {then}", self.shown)
    }

    fn next_answer(&mut self) -> io::Result<Result<Answer>> {
        self.wire.line(MAX_ANSWER, self.patience).map(|line| Answer::parse(&line))
    }

    fn outcome(&mut self, asked: bool, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        loop {
            if !self.wire.wait(None).unwrap_or(false) {
                return Err(self.hung_up(asked));
            }
            match self.next_answer().map_err(|e| self.hung_up(asked).because(e))?? {
                Answer::Progress(step) => progress(step),
                Answer::Ok { value, body } => return Ok(Reply { value, body: self.body(body)? }),
                Answer::Error(error) => return Err(error),
                Answer::Status(_) => bail!(Data, "the watchlistd at {} answered something else", self.shown),
            }
        }
    }

    /// Sends a request, and waits for its answer.
    pub(super) fn exchange(
        &mut self,
        line: &[u8],
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        let sent = self.wire.send(line, self.patience).and_then(|()| self.wire.send(body, self.patience));
        match sent {
            Err(e) if e.kind() == ErrorKind::TimedOut => Err(self.silent(e)),
            // One that closed may have said why before.
            sent => self.outcome(sent.is_ok(), progress),
        }
    }

    fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = Buffer::up_to(length);
        self.wire.body(length, self.patience, &mut body).map_err(|e| {
            err!(Unavailable, "the watchlistd at {} broke off in its answer", self.shown).because(e)
        })?;
        Ok(body.into_vec())
    }
}

impl Desk for Client {
    fn ask(&mut self, command: Command, body: Vec<u8>, progress: &mut dyn FnMut(Progress)) -> Result<Reply> {
        let body = Zeroizing::new(body);
        let line = protocol::gallery_line(&command, body.len())?;
        self.exchange(&line, &body, progress)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", &self.shown).finish_non_exhaustive()
    }
}

/// Asks the daemon at `path` for its status.
///
/// # Errors
/// `Unavailable`, when none runs there or it does not answer within `patience`; `Permission`; `Temporary`, when it
/// serves too many already; `Data`, when it answers something else.
pub fn query(path: &Path, patience: Duration) -> Result<Snapshot> {
    let mut client = Client::connect(path, patience)?;
    client.wire.finish_by(Instant::now() + patience);
    // One that closed may have said why before.
    let sent = client.wire.send(protocol::STATUS, patience);
    let answer = client.next_answer().map_err(|e| client.silent(sent.err().unwrap_or(e)))?;
    match answer? {
        Answer::Status(snapshot) => Ok(*snapshot),
        Answer::Error(error) => Err(error),
        _ => bail!(Data, "the watchlistd at {} answered something else", client.shown),
    }
}
