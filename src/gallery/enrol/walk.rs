//! The enrolment folder: `root/<identity's name>/*.{jpg,jpeg,png}`, in the order of the names' bytes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::outcome::Reason;
use crate::bail;
use crate::base::error::{Error, Kind, Result};
use crate::gallery::name::Name;

/// One thing to do, or to refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The file, or the folder that is refused as a whole.
    pub path: PathBuf,
    /// The identity's name, if the folder has one.
    pub name: Option<Name>,
    /// Why the file is refused already.
    pub refused: Option<Reason>,
}

/// Lists what the folder asks for. Hidden entries are skipped, and so is whatever lies beside the identities'
/// folders, but pictures there are reported: they belong to nobody.
///
/// # Errors
/// `NoInput` or `Permission`, when a folder cannot be read; `NoInput` when `root` holds nothing to enrol.
pub fn plan(root: &Path) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for path in entries(root)? {
        if path.is_dir() {
            identity(&path, &mut jobs)?;
        } else if is_picture(&path) {
            let detail = "lies in no identity's folder: expected <folder>/<name>/<picture>".to_owned();
            jobs.push(Job { path, name: None, refused: Some(Reason::Misplaced { detail }) });
        }
    }
    if jobs.is_empty() {
        bail!(NoInput, "{} holds no folder with pictures: expected <name>/<picture>.jpg", root.display());
    }
    Ok(jobs)
}

fn identity(folder: &Path, jobs: &mut Vec<Job>) -> Result<()> {
    let refuse = |path: PathBuf, name: Option<&Name>, reason: Reason| Job {
        path,
        name: name.cloned(),
        refused: Some(reason),
    };
    let name = match folder.file_name().and_then(OsStr::to_str).map(Name::new) {
        Some(Ok(name)) => name,
        bad => {
            let detail = match bad {
                Some(Err(cause)) => cause.chain(),
                _ => "the folder's name is not UTF-8".to_owned(),
            };
            jobs.push(refuse(folder.to_owned(), None, Reason::BadName { detail }));
            return Ok(());
        }
    };
    let found = entries(folder)?;
    if found.is_empty() {
        let detail = "the folder holds no picture".to_owned();
        jobs.push(refuse(folder.to_owned(), Some(&name), Reason::Misplaced { detail }));
    }
    for path in found {
        let refused = (!path.is_file() || !is_picture(&path)).then(|| Reason::Misplaced {
            detail: "no picture: expected a file named .jpg, .jpeg or .png".to_owned(),
        });
        jobs.push(Job { path, name: Some(name.clone()), refused });
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::io("read the folder", folder, cause);
    if !folder.is_dir() && folder.exists() {
        return Err(Error::new(Kind::NoInput, format!("{} is no folder", folder.display())));
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
