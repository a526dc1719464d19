//! Whom the commands about events ask: the daemon that writes the log, else the log itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::gap::Gap;
use crate::api::control;
use crate::base::error::{Kind, Result};
use crate::config::Config;
use crate::daemon::logging;
use crate::daemon::service::place_of_log;
use crate::events::desk::{
    Buried, Clerk, Desk, Entry, Found, MOST_ROWS, Page, Place, Question, Sink, Verification,
};
use crate::events::log::Inspector;
use crate::gallery::command::Reply;
use crate::gallery::keyring::KeyRing;
use crate::gallery::master::KeySource;
use crate::{bail, err};

/// How long the daemon may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon that writes the log, else the log itself; `log`, if a copy was named.
///
/// # Errors
/// `Usage`, for `--key-file` where a daemon runs; `NoInput`, without a log; what keeps either from being asked.
pub(super) fn open(config: &Config, log: Option<&Path>, key_file: Option<&Path>) -> Result<Asking> {
    let socket = &config.control.socket;
    let daemon = if log.is_none() { OverSocket::connect(socket)? } else { None };
    if let Some(daemon) = daemon {
        if let Some(file) = key_file {
            bail!(
                Usage,
                "--key-file {}: the daemon at {} writes the event log and has its key; leave --key-file out, or stop the daemon",
                file.display(),
                socket.display()
            );
        }
        return Ok(Asking { desk: Box::new(daemon), daemon: true });
    }
    let path = log.map_or_else(|| place_of_log(config), Path::to_owned);
    if log.is_none() && matches!(path.try_exists(), Ok(false)) {
        bail!(
            NoInput,
            "no daemon answers at {}, and there is no event log at {}: the daemon makes it when it starts (watchlistd run); or name \
             the configuration with --config",
            socket.display(),
            path.display()
        );
    }
    logging::init_for_tools();
    let key = key_file
        .map_or_else(|| KeySource::of_process(&config.gallery), |file| KeySource::File(file.to_owned()));
    let (key, ring) = KeyRing::of_gallery(&config.gallery.path, &key)?;
    Ok(Asking::of_log(Inspector::new(&path, &key, Arc::new(ring))))
}

/// A daemon, over its socket. Questions change nothing: one whose connection was closed meanwhile is asked again.
struct OverSocket {
    socket: PathBuf,
    client: control::Client,
    /// Asked before over this connection.
    used: bool,
}

impl OverSocket {
    fn connect(socket: &Path) -> Result<Option<Self>> {
        match control::Client::connect(socket, PATIENCE) {
            Ok(client) => Ok(Some(Self { socket: socket.to_owned(), client, used: false })),
            Err(error) if error.kind() == Kind::Unavailable => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Desk for OverSocket {
    fn ask(&mut self, question: &Question) -> Result<Reply> {
        let used = std::mem::replace(&mut self.used, true);
        match Desk::ask(&mut self.client, question) {
            // Whoever reads slowly is hung up on after a while.
            Err(error) if error.kind() == Kind::Unavailable && used => {
                self.client = control::Client::connect(&self.socket, PATIENCE)?;
                Desk::ask(&mut self.client, question)
            }
            reply => reply,
        }
    }
}

/// A desk, and the answers as what they are.
pub(super) struct Asking {
    desk: Box<dyn Desk>,
    /// True if it is a daemon, which goes on.
    pub daemon: bool,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// The first number that it stands for: its own, but of a loss event.
    pub first: u64,
    /// Its number.
    pub sequence: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The event, as sinks get it.
    pub json: String,
}

/// What stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Event(Line),
    Gap(Gap),
}

/// A part of the log.
#[derive(Debug)]
pub(super) struct Part {
    pub log: Uuid,
    pub last: u64,
    pub until: u64,
    pub ended: bool,
    pub pieces: Vec<Piece>,
}

impl Asking {
    /// The log itself.
    pub fn of_log(inspector: Inspector) -> Self {
        Self { desk: Box::new(Clerk::new(inspector)), daemon: false }
    }

    /// What comes after the cursor; of another epoch nothing. Waits up to so long if there is nothing.
    pub fn read(&mut self, log: Option<Uuid>, after: u64, most: usize, wait: Duration) -> Result<Part> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let most = most.clamp(1, MOST_ROWS);
        let reply = self.desk.ask(&Question::Read { log, after, most, wait_ms })?;
        part(report(reply.value)?, reply.body)
    }

    /// The cursor that has so many rows behind it.
    pub fn back(&mut self, before: Option<u64>, rows: u64) -> Result<Place> {
        self.ask(&Question::Back { before, rows })
    }

    /// The cursor before what was accepted then or later.
    pub fn since(&mut self, at: Timestamp) -> Result<Place> {
        self.ask(&Question::Since { at })
    }

    /// Where the event of that id is.
    pub fn find(&mut self, id: Uuid) -> Result<Found> {
        self.ask(&Question::Find { id })
    }

    /// How far each sink is.
    pub fn sinks(&mut self) -> Result<Vec<Sink>> {
        self.ask(&Question::Sinks)
    }

    /// What was refused: by a sink, of an event, behind another.
    pub fn dead(
        &mut self,
        sink: Option<&str>,
        sequence: Option<u64>,
        behind: Option<(String, u64)>,
    ) -> Result<Vec<Buried>> {
        self.ask(&Question::Dead { sink: sink.map(str::to_owned), sequence, behind })
    }

    /// The head.
    pub fn head(&mut self) -> Result<String> {
        self.ask(&Question::Head)
    }

    /// Whether the log is as it was written.
    pub fn verify(&mut self, head: Option<String>) -> Result<Verification> {
        self.ask(&Question::Verify { head })
    }

    fn ask<T: DeserializeOwned>(&mut self, question: &Question) -> Result<T> {
        report(self.desk.ask(question)?.value)
    }
}

fn report<T: DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| not_understood().because(e))
}

fn not_understood() -> crate::base::error::Error {
    err!(Software, "the answer is of another form than expected; is the daemon of another version?")
}

fn part(page: Page, body: Vec<u8>) -> Result<Part> {
    let body = String::from_utf8(body).map_err(|e| not_understood().because(e))?;
    let mut lines = body.lines();
    let mut piece = |entry| match entry {
        Entry::Event { first, sequence, at } => {
            let json = lines.next().ok_or_else(not_understood)?.to_owned();
            Ok(Piece::Event(Line { first, sequence, at, json }))
        }
        Entry::Gone { first, last } => Ok(Piece::Gap(Gap::gone(first, last))),
        Entry::Damaged { first, last } => Ok(Piece::Gap(Gap::damaged(first, last))),
        Entry::Unread { sequence } => Ok(Piece::Gap(Gap::unread(sequence))),
    };
    let pieces = page.entries.into_iter().map(&mut piece).collect::<Result<_>>()?;
    let Page { log, last, until, ended, .. } = page;
    Ok(Part { log, last, until, ended, pieces })
}
