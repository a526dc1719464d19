//! What the commands print and write: to standard output, whose reader may leave, and to files, which are looked at before
//! any work is done for them.

use std::io::{self, Write};
use std::path::Path;

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
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Error::new(Kind::Io, STANDARD_OUTPUT).because(e))
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
    if path.is_dir() {
        bail!(CannotCreate, "{option} {shown}: is a folder; expected a file");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!(CannotCreate, "{option} {shown}: there is no folder {}; make it first", folder.display());
    }
    Ok(())
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
    fn a_file_that_cannot_be_written_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let kind =
            |name: &str| check_target("--out", &dir.path().join(name), PICTURES).err().map(|e| e.kind());
        assert_eq!(kind("a.png"), None);
        assert_eq!(kind("a.JPG"), None);
        assert_eq!(kind("a.bmp"), Some(Kind::Usage));
        assert_eq!(kind("png"), Some(Kind::Usage));
        assert_eq!(kind("missing/a.png"), Some(Kind::CannotCreate));
        std::fs::create_dir(dir.path().join("folder.png")).expect("writable");
        assert_eq!(kind("folder.png"), Some(Kind::CannotCreate));
        assert!(check_target("--out", Path::new("a.png"), PICTURES).is_ok(), "in the working directory");
    }
}
