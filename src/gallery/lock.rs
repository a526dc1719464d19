//! One writer at a time: the lock beside the store.
//!
//! The system drops it with the process, however that ended; what stands in the file says who holds it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::err;

/// How often a busy lock is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Who holds a gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The command: `run`, `gallery list`.
    pub program: String,
    /// Its process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// The control socket, if it answers on one.
    pub socket: Option<PathBuf>,
}

impl Holder {
    /// This process, from now on.
    pub fn this(program: &str, socket: Option<PathBuf>) -> Self {
        Self { program: program.to_owned(), pid: std::process::id(), since: Timestamp::now(), socket }
    }
}

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store at `store`, waiting at most `patience` for a command that is nearly done.
    ///
    /// # Errors
    /// `Temporary`, naming who holds it and how to ask; `Permission` or `CannotCreate`, when the file cannot be made.
    pub fn take(store: &Path, holder: &Holder, patience: Duration) -> Result<Self> {
        let path = beside(store);
        let mut file = open(&path)?;
        durable::hand_over_file(&file, &path)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < patience => {
                    std::thread::sleep(AGAIN)
                }
                Err(std::fs::TryLockError::WouldBlock) => return Err(held(store, &mut file)),
                Err(std::fs::TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
            }
        }
        // Only for people: a full disk is no reason not to work.
        let text = serde_json::to_string(holder).unwrap_or_default();
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{text}"));
        Ok(Self { _file: file })
    }

    /// Where nothing can be written: shared with others who only read, if there is a lock file at all.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn share(store: &Path) -> Result<Option<Self>> {
        let path = beside(store);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open the gallery's lock", &path, e)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Err(held(store, &mut file)),
            Err(std::fs::TryLockError::Error(e)) => Err(Error::io("lock", &path, e)),
        }
    }
}

/// The lock's file. Root opens it in a folder that is the daemon's: a link there may name anybody's file, and this one is
/// written into.
fn open(path: &Path) -> Result<File> {
    let failed = |e| Error::io("make the gallery's lock", path, e);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(durable::NOT_THROUGH_A_LINK)
        .open(path);
    let file = match opened {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(no_lock(path));
        }
        opened => opened.map_err(failed)?,
    };
    if durable::is_its_own(&file).map_err(failed)? { Ok(file) } else { Err(no_lock(path)) }
}

fn no_lock(path: &Path) -> Error {
    err!(Permission, "{} is a link or no regular file, and not the gallery's lock: remove it", path.display())
}

fn held(store: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(4096).read_to_string(&mut text));
    let holder = read.ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let store = store.display();
    match holder {
        Some(Holder { program, pid, since, socket: Some(socket) }) => err!(
            Temporary,
            "gallery {store} is held by watchlistd {program} (process {pid}, since {since}): ask it through its control \
             socket {} (control.socket), or stop it",
            socket.display()
        ),
        Some(Holder { program, pid, since, socket: None }) => err!(
            Temporary,
            "gallery {store} is held by watchlistd {program} (process {pid}, since {since}): try again when it is done"
        ),
        None => err!(Temporary, "gallery {store} is held by another watchlistd: try again when it is done"),
    }
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    #[test]
    fn the_second_is_told_who_holds_it_and_a_killed_holder_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("gallery.db");
        let daemon = Holder::this("run", Some("/run/watchlistd/control.sock".into()));
        let first = Lock::take(&store, &daemon, Duration::ZERO).expect("free");
        let second = Holder::this("enroll", None);
        let refused = Lock::take(&store, &second, Duration::ZERO).expect_err("held");
        assert_eq!(refused.kind(), Kind::Temporary);
        for part in ["watchlistd run", &std::process::id().to_string(), "/run/watchlistd/control.sock"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        drop(first);
        Lock::take(&store, &second, Duration::ZERO).expect("free again");
    }

    #[test]
    fn what_is_no_file_of_its_own_is_not_followed_and_not_written_into() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("gallery.db");
        let others = folder.path().join("shadow");
        let take = || Lock::take(&store, &Holder::this("run", None), Duration::ZERO);
        let put: [fn(&Path, &Path); 3] = [
            |others, lock| std::os::unix::fs::symlink(others, lock).expect("linked"),
            |others, lock| std::fs::hard_link(others, lock).expect("linked"),
            |_, lock| std::fs::create_dir(lock).expect("made"),
        ];
        for put in put {
            std::fs::write(&others, "root:x:0:0").expect("written");
            put(&others, &beside(&store));
            let refused = take().expect_err("not its own");
            assert!(refused.to_string().contains("gallery.db.lock"), "{refused}");
            assert_eq!(std::fs::read_to_string(&others).expect("there"), "root:x:0:0");
            let away = |path: &Path| std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
            away(&beside(&store)).expect("gone");
        }
        take().expect("now it can be made");
    }

    #[test]
    fn a_lock_that_says_nothing_sensible_still_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("gallery.db");
        let first = Lock::take(&store, &Holder::this("run", None), Duration::ZERO).expect("free");
        std::fs::write(beside(&store), [0xff, 0xfe]).expect("written");
        let refused = Lock::take(&store, &Holder::this("run", None), Duration::from_millis(1));
        assert_eq!(refused.expect_err("held").kind(), Kind::Temporary);
        drop(first);
    }
}
