//! The head in a file beside the store, so that a store that is exchanged or cut alone is seen.
//!
//! ```text
//!  new ──settle(state)──▶ follows ──advance(head)──▶ follows     after each commit; written durably, only ever forward
//!              └────────▶ stands still   the log is not the one the head was taken from: every advance is refused,
//!                              │         until somebody who answers for it says so
//!                              └──accept(head)──▶ follows
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::compare::HeadState;
use super::head::{Head, hex, unhex};
use crate::bail;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::crypt::{self, Bound, Key};

/// The file is far shorter; what is longer is not ours.
const MOST_BYTES: usize = 4096;

/// The file's one line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Timestamp,
    count: u64,
    mac: String,
    /// Over the others, with the audit key: who cannot write the log cannot write its head.
    tag: String,
}

/// The file, and whether the log still follows it.
#[derive(Debug)]
pub struct HeadFile {
    path: PathBuf,
    key: Key,
    known: Option<Head>,
    follows: bool,
}

impl HeadFile {
    /// The file of that path, not looked at yet. `key` is the audit key.
    pub fn new(path: impl Into<PathBuf>, key: Key) -> Self {
        Self { path: path.into(), key, known: None, follows: false }
    }

    /// What it holds; `None` if there is no file.
    ///
    /// # Errors
    /// `Data`, when it is not as it was written, or was written with another key; `Permission` or `Io`, when it cannot be read.
    pub fn read(&self) -> Result<Option<Head>> {
        let failed = |e| Error::io("read the audit log's head", &self.path, e);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed)?;
        self.parse(&text).map(Some).ok_or_else(|| {
            err!(
                Data,
                "{}: not the audit log's head as it was written: it was edited, or belongs to a gallery with another key. Run \
                 `watchlistd audit verify --head` with a head kept elsewhere; if the log is the one you answer for, \
                 `watchlistd audit accept-head` writes the head anew",
                self.path.display()
            )
        })
    }

    fn parse(&self, text: &[u8]) -> Option<Head> {
        if text.len() > MOST_BYTES {
            return None;
        }
        let line: Line = serde_json::from_slice(text).ok()?;
        let head = Head { count: line.count, mac: unhex(&line.mac)? };
        (unhex(&line.tag)? == self.tag(&head, line.at)).then_some(head)
    }

    fn tag(&self, head: &Head, at: Timestamp) -> [u8; 32] {
        let bound = Bound::to("watchlistd audit head v1")
            .field(head.count.to_le_bytes())
            .field(head.mac)
            .field(at.to_string());
        crypt::tag(&self.key, &bound)
    }

    /// Acts on what [`compare`](super::compare) found between [`HeadFile::read`] and the log's end `last`: writes a head that is
    /// missing or behind, and stands still where the log does not follow the head.
    ///
    /// # Errors
    /// As [`HeadFile::advance`]. Not for a log that does not follow.
    pub fn settle(&mut self, state: &HeadState, last: Head, at: Timestamp) -> Result<()> {
        self.follows = state.follows();
        match state {
            HeadState::Same => self.known = Some(last),
            HeadState::Fresh | HeadState::Missing { .. } | HeadState::Behind { .. } => {
                self.write(last, at)?
            }
            HeadState::Ahead { .. } | HeadState::Other { .. } => (),
        }
        Ok(())
    }

    /// Moves the head forward, durably: once this returns, a power cut does not bring the old one back.
    ///
    /// # Errors
    /// `Data`, when the log does not follow the head; `Software`, when it would go back; `CannotCreate` or `Permission`, when it
    /// cannot be written: the next one makes up for it.
    pub fn advance(&mut self, to: Head, at: Timestamp) -> Result<()> {
        if !self.follows {
            bail!(
                Data,
                "{}: stays as it is, for the audit log does not follow it: run `watchlistd audit verify`; if the log is \
                 the one you answer for, `watchlistd audit accept-head` writes the head anew",
                self.path.display()
            );
        }
        match self.known {
            Some(known) if known == to => Ok(()),
            Some(known) if known.count >= to.count => {
                bail!(
                    Software,
                    "{}: would go back from entry {} to {}",
                    self.path.display(),
                    known.count,
                    to.count
                )
            }
            _ => self.write(to, at),
        }
    }

    /// True if the log follows it, so that it moves on with the log.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// Takes the log as it is, whatever the file says. Only when somebody who answers for it says so, and after an entry
    /// `head-accepted` that says what the file held.
    ///
    /// # Errors
    /// `CannotCreate` or `Permission`, when it cannot be written.
    pub fn accept(&mut self, head: Head, at: Timestamp) -> Result<()> {
        self.write(head, at)?;
        self.follows = true;
        Ok(())
    }

    /// Takes the file away, durably, before the log it is of is replaced by another. The next [`HeadFile::accept`] makes it anew.
    ///
    /// # Errors
    /// `Permission` or `Io`, when it cannot be removed.
    pub fn remove(&mut self) -> Result<()> {
        let failed = |e| Error::io("remove the audit log's head", &self.path, e);
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => self.known = None,
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(std::path::Path::new("."))).and_then(|f| f.sync_all()).map_err(failed)
    }

    fn write(&mut self, head: Head, at: Timestamp) -> Result<()> {
        let line = Line { at, count: head.count, mac: hex(&head.mac), tag: hex(&self.tag(&head, at)) };
        let mut text = serde_json::to_vec(&line)
            .map_err(|e| err!(Software, "the audit log's head cannot be written").because(e))?;
        text.push(b'\n');
        durable::write(&self.path, &text, 0o600)?;
        durable::hand_over(&self.path)?;
        self.known = Some(head);
        Ok(())
    }
}
