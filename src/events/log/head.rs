//! Where the log ends, kept beside it: what finds a tail that was cut off.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

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

/// Bytes of a line of the file, with what fills it up.
const LINE: usize = 128;

/// The most that the file may lag behind the log after a power cut; after anything else it is exact.
const LAG: Duration = Duration::from_secs(1);

/// What the file beside the log, or anybody else, says of where it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// This.
    Head(Head),
    /// Something that this program did not write with this key.
    NotOurs,
    /// There is none.
    Missing,
}

fn latest(bytes: &[u8], key: &Key) -> Option<Head> {
    let heads = bytes.chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok());
    heads.filter(|head: &Head| head.is_ours(key)).max_by_key(|head| (head.epoch, head.last))
}

/// The file beside the log: two lines, written in turns and in place, so that one is whole whenever the power is cut.
///
/// ```text
///   EPOCH:41:TAG      written after the commit of 41     the larger of the two counts, and it never counts more than the log has
///   EPOCH:42:TAG      written after the commit of 42     on the disk within a second
/// ```
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
    written: Option<(Uuid, u64)>,
    /// Which line is next.
    second: bool,
    unsynced: bool,
    synced: Option<Instant>,
}

impl HeadFile {
    /// That of the log at `log`.
    pub fn beside(log: &Path) -> Self {
        let path = log.with_extension("head");
        Self { path, written: None, second: false, unsynced: false, synced: None }
    }

    /// What it says; `None`, where it is missing or is not ours. It is a witness, and one that says nothing is none.
    pub fn read(&self, key: &Key) -> Option<Head> {
        let head = latest(&std::fs::read(&self.path).ok()?, key);
        if head.is_none() {
            tracing::warn!(path = %self.path.display(), "the event log's head is damaged; it is written again");
        }
        head
    }

    /// What it says, to whoever only looks.
    ///
    /// # Errors
    /// As reading a file.
    pub fn look(&self, key: &Key) -> Result<Witness> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(latest(&bytes, key).map_or(Witness::NotOurs, Witness::Head)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Witness::Missing),
            Err(e) => Err(Error::io("read the event log's head", &self.path, e)),
        }
    }

    /// Follows the log.
    ///
    /// # Errors
    /// As writing a file.
    pub fn advance(&mut self, key: &Key, state: &State) -> Result<()> {
        let now = (state.epoch, state.last);
        if self.written != Some(now) {
            let same_log = self.written.is_some_and(|(epoch, _)| epoch == state.epoch);
            let line = format!("{:<width$}\n", Head::of(key, state).to_string(), width = LINE - 1);
            let there = if same_log { self.file()? } else { None };
            match there {
                Some(file) => self.put(&file, &line)?,
                None => self.begin(&line)?,
            }
            self.written = Some(now);
        }
        let due = self.synced.is_none_or(|at| at.elapsed() >= LAG);
        if due { self.sync() } else { Ok(()) }
    }

    /// Brings it to the disk.
    ///
    /// # Errors
    /// As writing a file.
    pub fn sync(&mut self) -> Result<()> {
        if self.unsynced
            && let Some(file) = self.file()?
        {
            file.sync_data().map_err(|e| Error::io("write", &self.path, e))?;
            self.unsynced = false;
            self.synced = Some(Instant::now());
        }
        Ok(())
    }

    /// A file that tells of nothing else.
    fn begin(&mut self, line: &str) -> Result<()> {
        durable::write(&self.path, line.repeat(2).as_bytes(), 0o600)?;
        (self.second, self.unsynced, self.synced) = (false, false, Some(Instant::now()));
        durable::hand_over(&self.path)
    }

    fn put(&mut self, file: &File, line: &str) -> Result<()> {
        let at = if self.second { LINE as u64 } else { 0 };
        file.write_all_at(line.as_bytes(), at).map_err(|e| Error::io("write", &self.path, e))?;
        (self.second, self.unsynced) = (!self.second, true);
        Ok(())
    }

    /// The file, if it is there.
    fn file(&self) -> Result<Option<File>> {
        match File::options().write(true).custom_flags(durable::NOT_THROUGH_A_LINK).open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("write", &self.path, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(epoch: Uuid, last: u64) -> State {
        State { epoch, first: 1, last }
    }

    #[test]
    fn it_follows_the_log_in_place_and_one_line_may_be_torn() {
        let (folder, key) = (tempfile::tempdir().expect("a folder"), Key::generate().expect("random"));
        let log = folder.path().join("events.db");
        let (mut file, epoch) = (HeadFile::beside(&log), Uuid::now_v7());
        for last in 1..=9 {
            file.advance(&key, &state(epoch, last)).expect("written");
            assert_eq!(HeadFile::beside(&log).read(&key).map(|head| head.last), Some(last));
            assert_eq!(std::fs::metadata(&file.path).expect("a file").len(), 2 * LINE as u64);
        }
        let whole = std::fs::read(&file.path).expect("read");
        for torn in 0..2 * LINE {
            let mut bytes = whole.clone();
            if let Some(byte) = bytes.get_mut(torn) {
                *byte ^= 1;
            }
            std::fs::write(&file.path, bytes).expect("written");
            let last = HeadFile::beside(&log).read(&key).map(|head| head.last);
            assert!(last == Some(9) || last == Some(8), "byte {torn}: {last:?}");
        }
    }

    #[test]
    fn another_epoch_and_a_file_that_is_gone_begin_it_anew() {
        let (folder, key) = (tempfile::tempdir().expect("a folder"), Key::generate().expect("random"));
        let log = folder.path().join("events.db");
        let (mut file, old, new) = (HeadFile::beside(&log), Uuid::now_v7(), Uuid::nil());
        file.advance(&key, &state(old, 41)).expect("written");
        file.advance(&key, &state(old, 42)).expect("written");
        // The clock was put back meanwhile: the new epoch sorts before the old one.
        file.advance(&key, &state(new, 3)).expect("written");
        assert_eq!(file.read(&key).map(|head| (head.epoch, head.last)), Some((new, 3)));
        std::fs::remove_file(&file.path).expect("removed");
        file.advance(&key, &state(new, 4)).expect("written");
        assert_eq!(file.read(&key).map(|head| head.last), Some(4));
        assert_eq!(file.read(&Key::generate().expect("random")), None, "under another key it says nothing");
    }
}
