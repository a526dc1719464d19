//! The control socket: how a running daemon is asked for its status and told what to do with its gallery.
//!
//! ```text
//!  watchlistd status ─────▶ client::query ─┐                     ┌─ status ──▶ Handler::status
//!                                          ├─ Unix socket, 0660 ─┤  anybody who can connect
//!  watchlistd gallery ... ▶ Client: Desk ──┤  protocol.rs        ├─ gallery ─▶ Handler::gallery ┐ root, the daemon's user,
//!  watchlistd events ... ─▶ Client: Desk ──┘  events.rs          └─ events ──▶ Handler::events ─┘ control.group (peer.rs)
//!
//!  server.rs      accepts; at most 16 connections, a thread each
//!  connection.rs  one client, one request after the other
//!  wire.rs        lines and bytes, bounded in size and in time; buffer.rs wipes what it held
//! ```
//!
//! Who asks is what the kernel says of the other end of the socket. No request line is ever logged: it may hold a passphrase.

mod accounts;
mod buffer;
pub mod client;
mod connection;
mod events;
pub mod peer;
mod protocol;
mod server;
pub(crate) mod socket;
mod wire;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Report;
use crate::bail;
use crate::base::error::Result;
use crate::events::desk::Question;
use crate::gallery::command::{Command, Progress, Reply};
use crate::stats::snapshot::Snapshot;

pub use client::Client;
pub use peer::{Peer, Rule};
pub use server::Server;

/// What answers requests. Called from many threads at once.
pub trait Handler: Send + Sync {
    /// The status. Must not wait for a gallery command.
    fn status(&self) -> Snapshot;

    /// Carries out a command of somebody who may give it. `body` is what came with it, and is wiped afterwards.
    ///
    /// # Errors
    /// What the command gives; the client gets it with the same kind.
    fn gallery(
        &self,
        peer: &Peer,
        command: Command,
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply>;

    /// Answers a question about the event log, of somebody who may ask it.
    ///
    /// # Errors
    /// What the question gives; the client gets it with the same kind.
    fn events(&self, question: &Question) -> Result<Reply> {
        let _ = question;
        bail!(Unavailable, "this watchlistd serves no event log")
    }
}

/// A daemon that only reports.
impl Handler for Report {
    fn status(&self) -> Snapshot {
        self.snapshot()
    }

    fn gallery(&self, _: &Peer, _: Command, _: &[u8], _: &mut dyn FnMut(Progress)) -> Result<Reply> {
        bail!(Unavailable, "this watchlistd serves no gallery")
    }
}

/// What clients may take of the server.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Longest request line, in bytes.
    line: usize,
    /// Longest body, in bytes.
    body: usize,
    /// Longest time in which a request or an answer may not get on by a MiB (or its rest).
    stall: Duration,
    /// Longest time between two requests.
    idle: Duration,
    /// Connections at once.
    connections: usize,
    /// How long commands that run may still take when the server ends.
    grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: protocol::MAX_LINE,
            body: protocol::MAX_BODY,
            stall: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            connections: 16,
            grace: Duration::from_secs(5),
        }
    }
}
