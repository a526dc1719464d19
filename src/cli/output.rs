//! What the commands print and write: to standard output, whose reader may leave, and to files, which are looked at before
//! any work is done for them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::error::{Error, Kind, Result};
use crate::{bail, err};

/// Exit code of a program that SIGPIPE ends (128 + 13), which is what a shell expects of `watchlistd ... | head`.
pub const READER_LEFT: u8 = 141;

const STANDARD_OUTPUT: &str = "cannot write to standard output";

/// Names of pictures that can be written.
pub const PICTURES: &[&str] = &["png", "jpg", "jpeg"];
/// Names of videos that can be written.
pub const VIDEOS: &[&str] = &["mp4"];

/// Prints the text as it is.
///
/// # Errors
/// `Io`, when standard output is closed; see [`reader_left`].
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(not_printed)
}

/// The error of a write to standard output that failed; see [`reader_left`].
pub fn not_printed(cause: io::Error) -> Error {
    Error::new(Kind::Io, STANDARD_OUTPUT).because(cause)
}

/// Looks whether anybody still reads standard output: who waits for something to print would not notice.
///
/// # Errors
/// As [`print`], when nobody does.
pub fn check_reader() -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let out = io::stdout();
    let mut watched = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::ERR | PollFlags::HUP;
    match poll(&mut watched, Some(&at_once)) {
        Ok(_) if watched.iter().any(|one| one.revents().intersects(gone)) => {
            Err(not_printed(io::ErrorKind::BrokenPipe.into()))
        }
        _ => Ok(()),
    }
}

/// Prints JSON on one line.
///
/// # Errors
/// As [`print`].
pub fn json(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string(value).map_err(|e| err!(Software, "a report that is no JSON").because(e))?;
    print(&format!("{text}\n"))
}

/// Says something to the person at the terminal. Nobody there is no error.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// True if the command failed only because whoever read its output has enough.
pub fn reader_left(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.to_string() == STANDARD_OUTPUT && cause.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Refuses a file that could not be written in the end: of a wrong name (`extensions`, in small letters), a folder, or in a
/// folder that is not there. `option` is what names it.
///
/// # Errors
/// `Usage` or `CannotCreate`.
pub fn check_target(option: &str, path: &Path, extensions: &[&str]) -> Result<()> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let shown = path.display();
    if !extensions.is_empty() && !extension.is_some_and(|e| extensions.contains(&e.as_str())) {
        bail!(Usage, "{option} {shown}: expected a name that ends in .{}", extensions.join(", ."));
    }
    if path == Path::new("-") {
        bail!(Usage, "{option} -: standard output is for the report; name a file");
    }
    if path.is_dir() {
        bail!(CannotCreate, "{option} {shown}: is a folder; expected a file");
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!(CannotCreate, "{option} {shown}: there is no folder {}; make it first", folder.display());
    }
    Ok(())
}

/// Refuses a file that [`save`] could not make: as [`check_target`], and one that is there already. `argument` is what names it.
///
/// # Errors
/// `CannotCreate`.
pub fn check_new(argument: &str, path: &Path) -> Result<()> {
    check_target(argument, path, &[])?;
    if path.symlink_metadata().is_ok() {
        return Err(there_already(argument, path));
    }
    Ok(())
}

/// Writes a new file that only its owner may read (mode 0600). The name appears when all of it is on the disk, and only if
/// nothing has that name.
///
/// # Errors
/// `CannotCreate`, when there is such a file already; `Io` and its kin. Nothing of that name is left then.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = beside(path);
    let written = write_synced(&beside, bytes).and_then(|()| name_it(&beside, path));
    if let Err(cause) = written {
        let _ = fs::remove_file(&beside);
        return Err(match cause.kind() {
            io::ErrorKind::AlreadyExists => there_already("cannot write", path),
            _ => Error::io("write", path, cause),
        });
    }
    // Without this a power cut may take the name away again.
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("write", path, e))
}

fn there_already(what: &str, path: &Path) -> Error {
    err!(CannotCreate, "{what} {}: a file of that name is there, and is not overwritten", path.display())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `.NAME.PID.partial` in the same folder.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the file its name, unless something has it.
fn name_it(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot do that in one step.
        Err(e) if [rustix::io::Errno::INVAL, rustix::io::Errno::NOSYS].contains(&e) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_left_is_no_failure() {
        let written =
            |kind: io::ErrorKind| Error::new(Kind::Io, STANDARD_OUTPUT).because(io::Error::from(kind));
        assert!(reader_left(&written(io::ErrorKind::BrokenPipe)));
        assert!(!reader_left(&written(io::ErrorKind::StorageFull)));
        let elsewhere = Error::new(Kind::Io, "cannot write a.mp4");
        assert!(!reader_left(&elsewhere.because(io::Error::from(io::ErrorKind::BrokenPipe))));
    }

    #[test]
    fn a_file_is_saved_for_its_owner_only_and_never_over_another() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("out.bundle");
        check_new("--out", &path).expect("a new file");
        save(&path, b"first").expect("writable");
        let mode = fs::metadata(&path).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for refused in [check_new("--out", &path), save(&path, b"second")] {
            let error = refused.expect_err("it is there already");
            assert_eq!(error.kind(), Kind::CannotCreate);
            assert!(error.to_string().contains("out.bundle"), "{error}");
        }
        assert_eq!(fs::read(&path).expect("readable"), b"first");
        let names: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
        assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");

        std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("link")).expect("a link");
        for refused in [check_new("--out", &dir.path().join("link")), save(&dir.path().join("link"), b"x")] {
            assert_eq!(refused.expect_err("a name that is taken").kind(), Kind::CannotCreate);
        }
        let nowhere = save(&dir.path().join("missing/out"), b"x").expect_err("no folder");
        assert_eq!(nowhere.kind(), Kind::NoInput);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let kind =
            |name: &str| check_target("--out", &dir.path().join(name), PICTURES).err().map(|e| e.kind());
        assert_eq!(kind("a.png"), None);
        assert_eq!(kind("a.JPG"), None);
        assert_eq!(kind("a.bmp"), Some(Kind::Usage));
        assert_eq!(kind("png"), Some(Kind::Usage));
        assert_eq!(check_new("--out", Path::new("-")).expect_err("no file").kind(), Kind::Usage);
        assert_eq!(kind("missing/a.png"), Some(Kind::CannotCreate));
        std::fs::create_dir(dir.path().join("folder.png")).expect("writable");
        assert_eq!(kind("folder.png"), Some(Kind::CannotCreate));
        assert!(check_target("--out", Path::new("a.png"), PICTURES).is_ok(), "in the working directory");
    }
}
