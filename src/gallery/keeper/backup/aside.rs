//! Files beside the store that live as long as one command.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};

/// Ends the name of a backup that is being made.
pub(super) const BACKUP: &str = ".backup-tmp";
/// Ends the name of a backup that is being restored.
pub(super) const RESTORE: &str = ".restore-tmp";
/// What SQLite puts beside a file.
const COMPANIONS: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// A file of mode 0600 beside the store; removed when dropped.
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

fn remove(path: &Path) {
    for companion in COMPANIONS {
        let path = with_ending(path, companion);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("{} stays: {e}; remove it by hand", path.display());
            }
            _ => {}
        }
    }
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
