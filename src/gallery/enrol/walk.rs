//! The enrolment folder: `root/<identity's name>/*.{jpg,jpeg,png}`, in the order of the names' bytes, and whose pictures they are.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::details::Details;
use super::metadata::{Sheet, Unnamed};
use super::outcome::Reason;
use crate::bail;
use crate::base::error::{Error, Kind, Result};
use crate::gallery::name::Name;
use crate::gallery::record::Record;

/// One thing to do, or to refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The file, or the folder that is refused as a whole.
    pub path: PathBuf,
    /// Whose picture it is, as far as that is known. Pictures of one identity share it.
    pub record: Option<Arc<Record>>,
    /// Why the file is refused already.
    pub refused: Option<Reason>,
}

/// Lists what the folder asks for. Hidden entries are skipped, and so is whatever lies beside the identities'
/// folders, but pictures there are reported: they belong to nobody, unless the metadata says to whom. `base` is what is said of
/// everybody; the metadata says more of some, and what it says of what is not there is reported too.
///
/// # Errors
/// `NoInput` or `Permission`, when a folder cannot be read; `NoInput` when `root` holds nothing to enrol; `Data`, with all that is
/// wrong with the metadata.
pub fn plan(root: &Path, base: &Details, metadata: Option<Sheet>) -> Result<Vec<Job>> {
    let (people, unnamed, jobs) = (HashMap::new(), Unnamed::default(), Vec::new());
    let mut planner = Planner { base, metadata, people, unnamed, jobs };
    for path in entries(root)? {
        if path.is_dir() {
            planner.folder(&path)?;
        } else if is_picture(&path) {
            planner.stray(path)?;
        }
    }
    if let Some(metadata) = planner.metadata.take() {
        for (line, place) in metadata.finish(&planner.unnamed)? {
            let detail = format!("line {line} of the metadata names it, and it is not there");
            planner.refuse(root.join(place), None, Reason::Missing { detail });
        }
    }
    if planner.jobs.is_empty() {
        bail!(NoInput, "{} holds no folder with pictures: expected <name>/<picture>.jpg", root.display());
    }
    Ok(planner.jobs)
}

struct Planner<'a> {
    base: &'a Details,
    metadata: Option<Sheet>,
    /// By external id, else by name: who it is, and the line of the metadata that said so first.
    people: HashMap<String, (Arc<Record>, Option<u64>)>,
    unnamed: Unnamed,
    jobs: Vec<Job>,
}

impl Planner<'_> {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let text = folder.file_name().and_then(OsStr::to_str);
        let own = match text.map(Name::new) {
            Some(Ok(name)) => Ok(name),
            Some(Err(cause)) => Err(cause.chain()),
            None => Err("the folder's name is not UTF-8".to_owned()),
        };
        let (told, line) = self.about(text, None);
        let name = match (told.name.clone().ok_or(()), own) {
            (Ok(name), _) | (Err(()), Ok(name)) => name,
            (Err(()), Err(detail)) => {
                self.unnamed.place(&folder.file_name().unwrap_or_default().to_string_lossy());
                self.refuse(folder.to_owned(), None, Reason::BadName { detail });
                return Ok(());
            }
        };
        let found = entries(folder)?;
        let record = self.record(told, &name, line)?;
        if found.is_empty() {
            let detail = "the folder holds no picture".to_owned();
            self.refuse(folder.to_owned(), record.clone(), Reason::Misplaced { detail });
        }
        let mut named = line.is_some();
        self.unnamed.folder(text.unwrap_or_default(), None);
        for path in found {
            if !path.is_file() || !is_picture(&path) {
                let detail = "no picture: expected a file named .jpg, .jpeg or .png".to_owned();
                self.refuse(path, record.clone(), Reason::Misplaced { detail });
                continue;
            }
            let file = path.file_name().and_then(OsStr::to_str);
            let (told, of) = self.about(text, file);
            if of == line {
                self.unnamed.folder(text.unwrap_or_default(), file);
            }
            named |= of.is_some();
            let record = if of == line { record.clone() } else { self.record(told, &name, of)? };
            self.jobs.push(Job { path, record, refused: None });
        }
        if !named {
            self.unnamed.place(text.unwrap_or_default());
        }
        Ok(())
    }

    /// A picture beside the folders: somebody's only if a row says whose.
    fn stray(&mut self, path: PathBuf) -> Result<()> {
        let (told, line) = self.about(None, path.file_name().and_then(OsStr::to_str));
        let named = told.name.clone();
        match (named, line) {
            (Some(name), _) => {
                let record = self.record(told, &name, line)?;
                self.jobs.push(Job { path, record, refused: None });
            }
            (None, Some(line)) => {
                self.wrong(line, "name: expected one: the picture lies in no folder".to_owned())
            }
            (None, None) => {
                self.unnamed.place(&path.file_name().unwrap_or_default().to_string_lossy());
                let detail = "lies in no identity's folder: expected <folder>/<name>/<picture>".to_owned();
                self.refuse(path, None, Reason::Misplaced { detail });
            }
        }
        Ok(())
    }

    fn about(&mut self, folder: Option<&str>, file: Option<&str>) -> (Details, Option<u64>) {
        self.metadata.as_mut().map(|sheet| sheet.about(folder, file)).unwrap_or_default()
    }

    fn wrong(&mut self, line: u64, what: String) {
        if let Some(sheet) = &mut self.metadata {
            sheet.wrong(line, what);
        }
    }

    fn refuse(&mut self, path: PathBuf, record: Option<Arc<Record>>, reason: Reason) {
        self.jobs.push(Job { path, record, refused: Some(reason) });
    }

    /// The record of whoever is told of, the same one each time. `None`, with a mistake noted, if it is no record or another than
    /// before.
    fn record(&mut self, told: Details, name: &Name, line: Option<u64>) -> Result<Option<Arc<Record>>> {
        let record = match (told.over(self.base).record(name.clone()), line) {
            (Ok(record), _) => record,
            (Err(cause), Some(line)) => {
                self.wrong(line, cause.chain());
                return Ok(None);
            }
            (Err(cause), None) => return Err(cause),
        };
        let key = match &record.external_id {
            Some(id) => format!("id {id}"),
            None => format!("name {}", record.name),
        };
        let Some((known, first)) = self.people.get(&key) else {
            let record = Arc::new(record);
            self.people.insert(key, (record.clone(), line));
            return Ok(Some(record));
        };
        let (known, first) = (known.clone(), *first);
        if *known == record {
            return Ok(Some(known));
        }
        let before = first.map_or_else(|| "another folder".to_owned(), |line| format!("line {line}"));
        let who = record.external_id.as_ref().map_or_else(|| record.name.to_string(), ToString::to_string);
        let what = format!("{who}: another record than in {before}; one identity has one record");
        // One of the two comes from a row: folders without one have one record for one name.
        self.wrong(line.or(first).unwrap_or_default(), what);
        Ok(None)
    }
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
