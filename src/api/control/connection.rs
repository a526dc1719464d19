//! One client: its requests, one after the other.
//!
//! ```text
//!  wait (10 min) ─▶ line (10 s) ─▶ asked? ─ status ──▶ answer, end
//!       ▲                            ├─ gallery ─▶ may it? ─▶ command ─▶ body (10 s a MiB) ─▶ Handler ─▶ answer ─┐
//!       │                            └─ events ──▶ may it? ─▶ question ─────────────────────▶ Handler ─▶ answer ─┤
//!       └──────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Whatever is wrong costs this connection only. A client that goes away does not end its command.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::buffer::Buffer;
use super::peer::{Peer, allowed};
use super::protocol::{self, Asked};
use super::server::Shared;
use super::wire::Wire;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::command::{Command, Reply};

/// How long somebody who may only ask for the status has for it.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that is not served may take to read why. Its socket is empty, so this is never waited for.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(100);

/// What comes after a request.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Next,
    End,
}

/// Serves a client to its end.
pub(super) fn serve(stream: Arc<UnixStream>, shared: &Shared) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(e) => {
            let error = err!(Software, "control.socket: the system does not say who asks").because(e);
            return refuse(stream, &error);
        }
    };
    let member = allowed(&peer, &shared.rule);
    let mut connection = Connection { wire: Wire::new(stream), shared, peer, member };
    loop {
        match connection.request() {
            Ok(Then::Next) => {}
            Ok(Then::End) => break,
            // A client that goes away in the middle is its own business.
            Err(error) => {
                tracing::debug!(%error, "a client of the control socket was hung up on");
                break;
            }
        }
    }
}

/// Tells a client why it is not served.
pub(super) fn refuse(stream: Arc<UnixStream>, error: &Error) {
    if let Ok(line) = protocol::error_line(error) {
        let _ = Wire::new(stream).send(&line, REFUSAL_PATIENCE);
    }
}

struct Connection<'a> {
    wire: Wire,
    shared: &'a Shared,
    peer: Peer,
    /// May give gallery commands.
    member: bool,
}

impl Connection<'_> {
    fn request(&mut self) -> io::Result<Then> {
        let idle = if self.member { self.shared.limits.idle } else { STATUS_PATIENCE };
        if self.shared.stopping() || !self.wire.wait(Some(idle))? {
            return Ok(Then::End);
        }
        let limit = if self.member { self.shared.limits.line } else { protocol::MAX_STATUS_LINE };
        let line = match self.wire.line(limit, self.shared.limits.stall) {
            Ok(line) => line,
            Err(e) => return self.broken_off(e, || protocol::too_long(limit)),
        };
        match protocol::asked(&line, self.shared.limits.body) {
            Ok(Asked::Status) => self.status(),
            Ok(Asked::Gallery { .. } | Asked::Events) if !self.member => {
                self.fail(&self.shared.rule.refusal(&self.peer))
            }
            Ok(Asked::Events) => match protocol::command(&line) {
                Ok(question) => self.reply_of(|this| this.shared.handler.events(&question)),
                Err(error) => self.fail(&error),
            },
            Ok(Asked::Gallery { body }) => match protocol::command(&line) {
                Ok(command) => {
                    drop(line);
                    self.gallery(command, body)
                }
                Err(error) => self.fail(&error),
            },
            Err(error) => self.fail(&error),
        }
    }

    fn status(&mut self) -> io::Result<Then> {
        match careful(|| protocol::status_line(&self.shared.handler.status())) {
            Ok(line) => self.wire.send(&line, self.shared.limits.stall).map(|()| Then::End),
            Err(error) => self.fail(&error),
        }
    }

    fn gallery(&mut self, command: Command, length: usize) -> io::Result<Then> {
        let mut body = Buffer::up_to(length);
        if let Err(e) = self.wire.body(length, self.shared.limits.stall, &mut body) {
            return self.broken_off(e, || protocol::too_large(length as u64));
        }
        self.reply_of(|this| this.carry_out(command, &body))
    }

    /// Answers with what `work` gives.
    fn reply_of(&mut self, work: impl FnOnce(&mut Self) -> Result<Reply>) -> io::Result<Then> {
        let mut panicked = true;
        let outcome = careful(|| {
            let outcome = work(self);
            panicked = false;
            Ok(outcome)
        });
        match outcome.and_then(|outcome| outcome) {
            Ok(reply) => self.answer(reply),
            Err(error) if panicked => self.fail(&error),
            Err(error) => self.tell(&error).map(|()| Then::Next),
        }
    }

    fn carry_out(&mut self, command: Command, body: &[u8]) -> Result<Reply> {
        let wire = &mut self.wire;
        self.shared.handler.gallery(&self.peer, command, body, &mut |progress| {
            if let Ok(line) = protocol::progress_line(&progress) {
                wire.offer(&line);
            }
        })
    }

    fn answer(&mut self, reply: Reply) -> io::Result<Then> {
        let body = Zeroizing::new(reply.body);
        let stall = self.shared.limits.stall;
        match protocol::ok_line(&reply.value, body.len()) {
            Ok(line) => self.wire.send(&line, stall).and_then(|()| self.wire.send(&body, stall))?,
            Err(error) => self.tell(&error)?,
        }
        Ok(Then::Next)
    }

    /// A request did not come to its end. Says so to whoever is still there.
    fn broken_off(&mut self, cause: io::Error, too_much: impl FnOnce() -> Error) -> io::Result<Then> {
        let error = match cause.kind() {
            ErrorKind::InvalidData if !self.member => self.shared.rule.refusal(&self.peer),
            ErrorKind::InvalidData => too_much(),
            ErrorKind::TimedOut => err!(Temporary, "the request did not come to its end in time; ask again"),
            ErrorKind::OutOfMemory => err!(Temporary, "no memory for the request; ask again later"),
            _ => return Err(cause),
        };
        self.fail(&error)
    }

    /// Tells what went wrong, and ends: where the next request begins is not known.
    fn fail(&mut self, error: &Error) -> io::Result<Then> {
        self.tell(error).map(|()| Then::End)
    }

    fn tell(&mut self, error: &Error) -> io::Result<()> {
        let line = protocol::error_line(error).map_err(io::Error::other)?;
        self.wire.send(&line, self.shared.limits.stall)
    }
}

/// A panic of the handler is an error of ours, and costs one connection. What it says may hold anything, and is not told.
fn careful<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a command of the control socket failed: a bug in watchlistd");
        Err(err!(Software, "watchlistd failed at this command: a bug in it; its log may say more"))
    })
}
