//! Reading a small secret that nobody else may read or change.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::bail;
use crate::base::error::{Error, Result};

/// Largest key file: a key and a page of comments.
const MAX_BYTES: usize = 16 << 10;

/// Who sees to it that nobody else reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// systemd, by means (an access list) that the mode shows as a group's right.
    Systemd,
    /// The file's mode and owner.
    Mode,
}

/// All of the file; `what` it is, for messages.
///
/// # Errors
/// `NoInput` when it is missing or no plain file, `Permission` when others may read or change it or we may not, `Data` when
/// it is far too long, `Io`.
pub(super) fn read(path: &Path, guard: Guard, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let cannot = |e| Error::io("read", path, e);
    // What is opened is what is looked at; and a pipe is not waited for.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if !found.is_file() {
        bail!(NoInput, "{} is no plain file; expected {what}", path.display());
    }
    if guard == Guard::Mode {
        check(path, &found, what)?;
    }
    // Never longer than it was made, so that no copy is left behind in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 64));
    limited(file).read_to_end(&mut content).map_err(cannot)?;
    if content.len() > MAX_BYTES {
        bail!(Data, "{} is larger than {} KiB; expected {what}", path.display(), MAX_BYTES >> 10);
    }
    Ok(content)
}

fn limited(file: File) -> std::io::Take<File> {
    file.take(MAX_BYTES as u64 + 1)
}

fn check(path: &Path, found: &std::fs::Metadata, what: &str) -> Result<()> {
    let (name, mode) = (path.display(), found.mode() & 0o777);
    if mode & 0o077 != 0 {
        bail!(
            Permission,
            "{what} {name} can be read or written by others (mode {mode:04o}): run chmod 600 {name}, and \
             rotate the key if somebody may have read it"
        );
    }
    // Who owns the folder could put another file there in any case: for root's tools in the daemon's folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder_s = std::fs::metadata(folder).map_err(|e| Error::io("look at", folder, e))?.uid();
    let trusted = [0, rustix::process::geteuid().as_raw(), folder_s];
    if !trusted.contains(&found.uid()) {
        bail!(
            Permission,
            "{what} {name} belongs to the user {}, who is neither root nor who runs this program: whoever it \
             is could change it",
            found.uid()
        );
    }
    Ok(())
}
