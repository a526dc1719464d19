//! Where the log ends, kept beside it: what finds a tail that was cut off.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use uuid::Uuid;

use super::store::State;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::crypt::{self, Bound, Key};

/// Epoch and last sequence at some moment. Whoever keeps one can tell later whether the log still had as much. Written as
/// `EPOCH:SEQUENCE:TAG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The log's epoch.
    pub epoch: Uuid,
    /// Its last sequence then.
    pub last: u64,
    tag: [u8; 16],
}

impl Head {
    /// The head of that state.
    pub fn of(key: &Key, state: &State) -> Self {
        Self { epoch: state.epoch, last: state.last, tag: tag(key, state.epoch, state.last) }
    }

    /// True if this program wrote it, with this key.
    pub fn is_ours(&self, key: &Key) -> bool {
        self.tag == tag(key, self.epoch, self.last)
    }
}

fn tag(key: &Key, epoch: Uuid, last: u64) -> [u8; 16] {
    let bound = Bound::to("watchlistd event head v1").field(epoch.as_bytes()).field(last.to_le_bytes());
    crypt::tag(key, &bound).first_chunk().copied().unwrap_or_default()
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{:032x}", self.epoch, self.last, u128::from_be_bytes(self.tag))
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.trim().splitn(3, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (epoch, last, tag) = (next().parse(), next().parse(), next());
        let tag = (tag.len() == 32).then(|| u128::from_str_radix(tag, 16).ok()).flatten();
        match (epoch, last, tag) {
            (Ok(epoch), Ok(last), Some(tag)) => Ok(Self { epoch, last, tag: tag.to_be_bytes() }),
            _ => Err(err!(
                Usage,
                "expected a head of the event log, EPOCH:SEQUENCE:TAG, as `watchlistd events head` prints it"
            )),
        }
    }
}

/// The file beside the log.
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
    written: Option<(Uuid, u64)>,
}

impl HeadFile {
    /// That of the log at `log`.
    pub fn beside(log: &Path) -> Self {
        Self { path: log.with_extension("head"), written: None }
    }

    /// What it says; `None`, where it is missing or is not ours. It is a witness, and one that says nothing is none.
    pub fn read(&self, key: &Key) -> Option<Head> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let head: Option<Head> = text.parse().ok().filter(|head: &Head| head.is_ours(key));
        if head.is_none() {
            tracing::warn!(path = %self.path.display(), "the event log's head is damaged; it is written again");
        }
        head
    }

    /// Follows the log.
    ///
    /// # Errors
    /// As writing a file.
    pub fn advance(&mut self, key: &Key, state: &State) -> Result<()> {
        if self.written == Some((state.epoch, state.last)) {
            return Ok(());
        }
        durable::write(&self.path, format!("{}\n", Head::of(key, state)).as_bytes(), 0o600)?;
        self.written = Some((state.epoch, state.last));
        durable::hand_over(&self.path)
    }
}
