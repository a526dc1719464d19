//! Users, passwords and other secrets: the credentials file, files of one secret, and systemd's credentials.
//!
//! Nothing that these hold reaches a message, not even the names of keys: a line in the wrong form may be the
//! password itself. A mistake is told by file and line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::IN_CREDENTIALS;
use super::file::Lines;
use super::raw::Report;
use crate::base::secret::Secret;

/// Whether credentials are opened at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// For the daemon.
    Read,
    /// For tools that need no camera.
    Skip,
}

/// Largest credentials file and credential.
const MAX_BYTES: u64 = 1 << 20;

/// One camera's entry in the file.
#[derive(Default)]
pub(super) struct Entry {
    pub user: Option<Secret>,
    pub password: Option<Secret>,
    line: usize,
    used: bool,
}

/// What can be had.
pub(super) struct Credentials {
    access: Access,
    folder: Option<PathBuf>,
    file: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
}

impl Credentials {
    /// Reads the credentials file, if one is named. `key` is where it is named, for messages.
    pub fn open(
        file: Option<&str>,
        base: &Path,
        folder: Option<&Path>,
        access: Access,
        report: &Report,
    ) -> Self {
        let folder = folder.map(Path::to_owned);
        let mut this = Self { access, folder, file: None, entries: BTreeMap::new() };
        let (Some(name), Access::Read) = (file, access) else { return this };
        match this.locate(name, base).and_then(|(path, guarded)| Ok((read(&path, guarded)?, path))) {
            Ok((content, path)) => {
                this.entries = parse(&path, &content, report);
                this.file = Some(path);
            }
            Err(message) => report.problem("credentials.file", message, None),
        }
        this
    }

    /// The path, and whether systemd guards it. A plain name is the copy that systemd hands over, where there is one: so
    /// one configuration serves the daemon, which may not read the file itself, and root, who has no copy.
    fn locate(&self, name: &str, base: &Path) -> Result<(PathBuf, bool), String> {
        match (name.strip_prefix(IN_CREDENTIALS), &self.folder) {
            (Some(rest), Some(folder)) => Ok((folder.join(credential_name(rest)?), true)),
            (Some(_), None) => Err(no_folder()),
            (None, folder) => {
                let path = base.join(name);
                let copy = folder.as_deref().zip(path.file_name()).map(|(folder, name)| folder.join(name));
                if let Some(copy) = copy.filter(|copy| copy.is_file()) {
                    return Ok((copy, true));
                }
                let guarded = folder.as_ref().is_some_and(|f| path.starts_with(f));
                Ok((path, guarded))
            }
        }
    }

    /// True if everything was read, so that what is missing is missing.
    pub fn complete(&self) -> bool {
        self.access == Access::Read
    }

    /// The camera's entry in the file.
    pub fn entry(&mut self, camera: &str) -> Option<&Entry> {
        let entry = self.entries.get_mut(camera)?;
        entry.used = true;
        Some(entry)
    }

    /// The systemd credential of this name; `None` if credentials are not to be opened.
    ///
    /// # Errors
    /// What is wrong, without any content.
    pub fn named(&self, name: &str) -> Result<Option<Secret>, String> {
        let name = credential_name(name)?;
        if self.access == Access::Skip {
            return Ok(None);
        }
        let path = self.folder.as_ref().ok_or_else(no_folder)?.join(name);
        one_line(&path, &read(&path, true)?, "the password").map(Some)
    }

    /// The one line of a file of its own, or of a credential of systemd's that `$CREDENTIALS_DIRECTORY/NAME` names; `None` if
    /// credentials are not to be opened. Where systemd hands over a copy of the file's name, that is read, as of the
    /// credentials file.
    ///
    /// # Errors
    /// What is wrong, without any content.
    pub fn file(&self, name: &str, base: &Path) -> Result<Option<Secret>, String> {
        if self.access == Access::Skip {
            if let Some(credential) = name.strip_prefix(IN_CREDENTIALS) {
                credential_name(credential)?;
            }
            return Ok(None);
        }
        let (path, guarded) = self.locate(name, base)?;
        one_line(&path, &read(&path, guarded)?, "the secret").map(Some)
    }

    /// Warns of entries for no camera; by line, as their names are content.
    pub fn warn_unused(&self, report: &Report) {
        let Some(file) = &self.file else { return };
        for entry in self.entries.values().filter(|e| !e.used) {
            report.warn(format!(
                "credentials.file: the entry at {}:{} is for no RTSP camera of this configuration",
                file.display(),
                entry.line
            ));
        }
    }
}

fn one_line(path: &Path, content: &str, what: &str) -> Result<Secret, String> {
    let line = content.strip_suffix('\n').map_or(content, |l| l.strip_suffix('\r').unwrap_or(l));
    if line.is_empty() || line.contains(char::is_control) {
        return Err(format!("{} must hold one line, {what}", path.display()));
    }
    Ok(Secret::new(line))
}

fn no_folder() -> String {
    "needs $CREDENTIALS_DIRECTORY, which systemd sets for a unit with LoadCredential= or \
     LoadCredentialEncrypted=; it is not set"
        .into()
}

/// Names that systemd takes; above all no way out of the folder.
pub(super) fn credential_name(name: &str) -> Result<&str, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(good) {
        return Err(
            "expected the name of a systemd credential: a-z A-Z 0-9 _ - . not starting with a dot".into()
        );
    }
    Ok(name)
}

/// Reads a file that only its owner may read. `guarded`: systemd sees to that, by means (an ACL) that the mode shows
/// as a group's right.
fn read(path: &Path, guarded: bool) -> Result<Zeroizing<String>, String> {
    let name = path.display();
    let cannot = |e: std::io::Error| format!("cannot read {name}: {e}");
    // Asked for before opening: opening a FIFO would wait for its writer. And again after: it may be another file.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{name} is not a plain file"));
    }
    let file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode() & 0o777;
    if !guarded && mode & 0o077 != 0 {
        return Err(format!(
            "{name} can be read or written by others (mode {mode:04o}): run chmod 600 {name}"
        ));
    }
    let mut content = Zeroizing::new(String::new());
    match file.take(MAX_BYTES + 1).read_to_string(&mut content) {
        Ok(n) if n as u64 > MAX_BYTES => Err(format!("{name} is larger than 1 MiB")),
        Ok(_) => Ok(content),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Err(format!("{name} is not UTF-8")),
        Err(e) => Err(cannot(e)),
    }
}

fn parse(path: &Path, content: &str, report: &Report) -> BTreeMap<String, Entry> {
    let lines = Lines::new(content.as_bytes());
    let problem = |offset: usize, message: &str| {
        let (line, column) = lines.position(offset);
        report.problem("", message, Some(format!("{}:{line}:{column}", path.display())));
    };
    let mut entries = BTreeMap::new();
    let root = match DeTable::parse(content) {
        Ok(root) => root.into_inner(),
        Err(e) => {
            problem(e.span().map_or(0, |s| s.start), "is no TOML; put passwords in 'single quotes'");
            return entries;
        }
    };
    for (name, section) in &root {
        match section.get_ref() {
            DeValue::Table(cameras) if name.get_ref() == "cameras" => {
                for (id, entry) in cameras {
                    let (line, _) = lines.position(id.span().start);
                    entries.insert(id.get_ref().to_string(), parse_entry(entry, line, &problem));
                }
            }
            _ => problem(name.span().start, "expected [cameras.ID] with user and password"),
        }
    }
    entries
}

fn parse_entry(entry: &Spanned<DeValue<'_>>, line: usize, problem: &dyn Fn(usize, &str)) -> Entry {
    let mut read = Entry { line, ..Entry::default() };
    let DeValue::Table(table) = entry.get_ref() else {
        problem(entry.span().start, "expected [cameras.ID] with user and password");
        return read;
    };
    for (key, value) in table {
        let place = match key.get_ref().as_ref() {
            "user" => &mut read.user,
            "password" => &mut read.password,
            _ => {
                problem(key.span().start, "unknown key; expected user or password");
                continue;
            }
        };
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => *place = Some(Secret::new(text.as_ref())),
            _ => problem(value.span().start, "expected a text in quotes that is not empty"),
        }
    }
    read
}
