//! Small files that a power cut does not break: once a call returns, the new content is on the disk; until then the old
//! one is, whole.
//!
//! ```text
//!  write, create ─▶ .NAME.new (its mode from the start) ─fsync─▶ renamed to NAME ─▶ fsync of the folder
//!                     └ any failure: removed, and NAME is what it was
//! ```
//!
//! A process that is killed leaves its `.NAME.new` behind. The next writer takes it away, or who opens what the file is a
//! part of ([`clean_up`]): a writer holds a lock on its own for as long as it lives, so what nobody has locked is nobody's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

use crate::base::error::{Error, Result};
use crate::{bail, err};

/// Writes the file, in place of one that is there. `mode` counts from the first byte on, less what the umask takes; done
/// by root, the file keeps the owner of the one it replaces. A symbolic link is replaced, not followed.
///
/// # Errors
/// `Io` when the disk is full or fails, `Permission`, `CannotCreate` when the folder is missing or read-only or the path
/// is a folder, `Temporary` when another process is writing the same file. The old file is what it was, but for one case:
/// if the folder cannot be synced, the new file is in place and may be gone after a power cut.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    put(path, mode, Existing::Replaced, |file| file.write_all(bytes))
}

/// [`write`] or [`create`], by `over`, of what `fill` writes, which may be more than fits into memory. If that fails, nothing is
/// at the path but what was there.
///
/// # Errors
/// As [`write`] and [`create`], and what `fill` gives; its writes fail with what [`failed_to_write`] makes of them.
pub fn write_through<T>(
    path: &Path,
    mode: u32,
    over: bool,
    fill: impl FnOnce(&mut File) -> Result<T>,
) -> Result<T> {
    let failed = |cause| failed_to_write(path, cause);
    let existing = if over { Existing::Replaced } else { Existing::Kept };
    let mut temporary = Temporary::beside(path, mode)?;
    keep_owner(path, &temporary.file).map_err(failed)?;
    let done = fill(&mut temporary.file)?;
    temporary.file.sync_all().map_err(failed)?;
    temporary.rename_to(path, existing).and_then(|()| sync_folder(path)).map_err(failed)?;
    Ok(done)
}

/// The error of a write to the file at the path that failed.
pub fn failed_to_write(path: &Path, cause: io::Error) -> Error {
    failed("write", path, cause)
}

/// [`write`], but never in place of a file that is there.
///
/// # Errors
/// As [`write`], and `CannotCreate` when there is something at the path.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    put(path, mode, Existing::Kept, |file| file.write_all(bytes))
}

/// Renames within one folder, over a file that is there.
///
/// # Errors
/// As [`write`].
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).and_then(|()| sync_folder(to)).map_err(|cause| failed("rename to", to, cause))
}

/// Takes away what a writer of this file left beside it when it was killed, or when the power was cut. That of a living writer
/// stays, and so does what cannot be removed, with a warning: the next writer tries again.
pub fn clean_up(path: &Path) {
    let Some(leftover) = hidden_beside(path) else { return };
    if let Err(error) = remove_leftover(&leftover) {
        tracing::warn!("{} stays: {error}; remove it by hand", leftover.display());
    }
}

/// Gives a file that root made in somebody else's folder to the folder's owner. So a tool that root runs leaves nothing
/// behind in the daemon's folder that the daemon cannot open. Done by anybody else it does nothing.
///
/// # Errors
/// As [`write`].
pub fn hand_over(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let opened = OpenOptions::new().read(true).custom_flags(NOT_THROUGH_A_LINK).open(path);
    hand_over_file(&opened.map_err(|cause| failed("change the owner of", path, cause))?, path)
}

/// [`hand_over`] of an open file. The folder's owner can put a link to anybody's file in its place: only a regular file that
/// has no other name is handed over.
///
/// # Errors
/// As [`write`]; `Permission`, for any other file.
pub fn hand_over_file(file: &File, path: &Path) -> Result<()> {
    let failed = |cause| failed("change the owner of", path, cause);
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder_of(path)).map_err(failed)?;
    if owner.uid() == 0 {
        return Ok(());
    }
    if !is_its_own(file).map_err(failed)? {
        bail!(Permission, "cannot change the owner of {}: it is a link, or no regular file", path.display());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid())).map_err(failed)
}

/// Flags for opening a file in a folder that is somebody else's: a symbolic link is not followed, and a pipe does not keep us
/// waiting.
pub const NOT_THROUGH_A_LINK: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits() as i32;

/// True for a regular file that has one name, or none any more: writing to it changes nobody else's.
///
/// # Errors
/// When it cannot be looked at.
pub fn is_its_own(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.nlink() <= 1)
}

/// What becomes of a file that is at the path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replaced,
    Kept,
}

fn put(
    path: &Path,
    mode: u32,
    existing: Existing,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let over = existing == Existing::Replaced;
    write_through(path, mode, over, |file| fill(file).map_err(|cause| failed_to_write(path, cause)))
}

/// Root writes in others' folders; what was theirs stays theirs.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(old) if rustix::process::geteuid().is_root() => fchown(file, Some(old.uid()), Some(old.gid())),
        _ => Ok(()),
    }
}

/// The file that becomes the real one; removed when dropped before that.
struct Temporary {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn beside(path: &Path, mode: u32) -> Result<Self> {
        let Some(hidden) = hidden_beside(path) else {
            bail!(CannotCreate, "cannot write {}: expected the name of a file", path.display());
        };
        // More than once only if somebody else takes a leftover away at the same moment.
        for _ in 0..8 {
            if let Some(file) = open_new(&hidden, mode).map_err(|cause| failed("write", path, cause))? {
                return Ok(Self { file, path: hidden, renamed: false });
            }
        }
        bail!(Temporary, "another process is writing {}; try again", path.display())
    }

    fn rename_to(&mut self, path: &Path, existing: Existing) -> io::Result<()> {
        match existing {
            Existing::Replaced => fs::rename(&self.path, path)?,
            Existing::Kept => rename_to_nothing(&self.path, path)?,
        }
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing can be done about it here; the next writer takes it away.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `.NAME.new`; `None` for a path that names no file.
fn hidden_beside(path: &Path) -> Option<PathBuf> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name()?);
    hidden.push(".new");
    Some(path.with_file_name(hidden))
}

/// A new file, locked; `None` if there was one, which is gone now if nobody was writing it.
fn open_new(path: &Path, mode: u32) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => Ok(claim(&file, path)?.then_some(file)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            remove_leftover(path)?;
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_file() {
        return fs::remove_file(path);
    }
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Locked until it is gone: whoever has just made it must not get the lock in between, and write into what is removed.
    if claim(&file, path)? { fs::remove_file(path) } else { Ok(()) }
}

/// Locks the file. True if it is ours now, and still the one at the path.
fn claim(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    let ours = file.metadata()?;
    Ok(fs::symlink_metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (ours.dev(), ours.ino())))
}

fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do it in one step.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        done => Ok(done?),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new, renamed or removed entry of the path's folder last.
///
/// # Errors
/// When the folder cannot be synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder_of(path))?.sync_all() {
        // Some file systems have nothing to sync in a folder, and say so in this way.
        Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

fn failed(what: &str, path: &Path, cause: io::Error) -> Error {
    let name = path.display();
    let error = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            err!(Io, "cannot {what} {name}: the disk is full; make room and try again")
        }
        ErrorKind::ReadOnlyFilesystem => {
            err!(CannotCreate, "cannot {what} {name}: its file system is read-only")
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            err!(CannotCreate, "cannot {what} {name}: its folder {} is not there", folder_of(path).display())
        }
        ErrorKind::AlreadyExists => {
            err!(CannotCreate, "cannot {what} {name}: it is there already, and is not replaced")
        }
        ErrorKind::IsADirectory => err!(CannotCreate, "cannot {what} {name}: it is a folder"),
        ErrorKind::PermissionDenied => err!(Permission, "cannot {what} {name}"),
        _ => err!(Io, "cannot {what} {name}"),
    };
    error.because(cause)
}

#[cfg(test)]
mod tests;
