//! Files beside the store that live as long as one command.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::durable;
use crate::base::error::{Error, Result};

/// Ends the name of a backup that is being made.
pub(super) const BACKUP: &str = ".backup-tmp";
/// Ends the name of a backup that is being restored.
pub(super) const RESTORE: &str = ".restore-tmp";
/// What SQLite puts beside a file.
const COMPANIONS: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// A file of mode 0600 beside the store; overwritten and removed when dropped.
pub(super) struct Aside(PathBuf);

impl Aside {
    /// An empty one, in place of what a killed command left.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn empty(store: &Path, ending: &str) -> Result<Self> {
        Self::holding(store, ending, &[])
    }

    /// One with that content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn holding(store: &Path, ending: &str, bytes: &[u8]) -> Result<Self> {
        let path = with_ending(store, ending);
        remove(&path);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = made.map_err(|e| Error::io("make", &path, e))?;
        let aside = Self(path);
        file.write_all(bytes).map_err(|e| Error::io("write", aside.path(), e))?;
        Ok(aside)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes what a killed command left. The caller holds the gallery's lock.
pub(in crate::gallery::keeper) fn remove_leftovers(store: &Path) {
    [BACKUP, RESTORE].iter().for_each(|ending| remove(&with_ending(store, ending)));
}

/// Overwrites and removes it: a backup has the wrapped keys of people who may be forgotten tomorrow.
fn remove(path: &Path) {
    for companion in COMPANIONS {
        let path = with_ending(path, companion);
        // Removed all the same; that a file system keeps old blocks cannot be helped here either.
        let _ = overwrite(&path);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("{} stays: {e}; remove it by hand", path.display());
            }
            _ => {}
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().write(true).custom_flags(durable::NOT_THROUGH_A_LINK).open(path);
    let mut file = opened?;
    if !durable::is_its_own(&file)? {
        return Ok(());
    }
    let length = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync_data()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_in_it_is_overwritten_before_it_goes() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("gallery.db");
        let left = |mut file: fs::File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("readable");
            bytes.iter().any(|byte| *byte != 0)
        };
        let aside = Aside::holding(&store, RESTORE, &[7; 100_000]).expect("made");
        let held = fs::File::open(aside.path()).expect("there");
        drop(aside);
        assert!(!left(held), "what the file held is still there");
        let killed = with_ending(&store, &format!("{BACKUP}-journal"));
        fs::write(&killed, [9; 5000]).expect("written");
        let held = fs::File::open(&killed).expect("there");
        remove_leftovers(&store);
        assert!(!killed.exists() && !left(held), "what a killed command left is still there");
        // Somebody else's file is not written into.
        let others = folder.path().join("others");
        fs::write(&others, "others").expect("written");
        std::os::unix::fs::symlink(&others, with_ending(&store, BACKUP)).expect("linked");
        fs::hard_link(&others, with_ending(&store, RESTORE)).expect("linked");
        remove_leftovers(&store);
        assert_eq!(fs::read_to_string(&others).expect("there"), "others");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[test]
    fn it_is_the_owners_alone_and_gone_with_all_that_sqlite_put_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("gallery.db");
        let names = || fs::read_dir(folder.path()).expect("readable").flatten().count();
        let leave = || {
            for companion in COMPANIONS {
                fs::write(with_ending(&store, &format!("{BACKUP}{companion}")), "left by a kill")
                    .expect("written");
            }
        };
        leave();
        let aside = Aside::holding(&store, BACKUP, b"new").expect("made");
        assert_eq!((fs::read(aside.path()).expect("there"), names()), (b"new".to_vec(), 1));
        assert_eq!(fs::metadata(aside.path()).expect("there").permissions().mode() & 0o777, 0o600);
        fs::write(with_ending(aside.path(), "-journal"), "").expect("written");
        drop(aside);
        assert_eq!(names(), 0);
        leave();
        fs::write(&store, "the store").expect("written");
        remove_leftovers(&store);
        assert_eq!((names(), store.exists()), (1, true));
    }
}
