//! SQLite as every store of ours uses it: opened so that a commit survives a power cut, with errors that say what to do.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error as Sql, ErrorCode, OpenFlags};

use super::durable;
use super::error::{Error, Kind, Result};
use crate::bail;

/// What a store is called in messages, and what its user can do.
#[derive(Debug)]
pub struct Names {
    /// `gallery`
    pub what: &'static str,
    /// The key of the configuration that names its file.
    pub key: &'static str,
    /// What to do when it is damaged.
    pub damaged: &'static str,
}

/// A store's file, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    names: &'static Names,
}

impl Place {
    /// The store at `path`.
    pub fn new(path: &Path, names: &'static Names) -> Self {
        Self { path: path.to_owned(), names }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Passes on what SQLite said while we wanted to `doing` the store.
    ///
    /// # Errors
    /// What it said, with what to do.
    pub fn sql<T>(&self, doing: &str, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|cause| self.explain(doing, cause))
    }

    fn explain(&self, doing: &str, cause: Sql) -> Error {
        let (kind, advice) = match &cause {
            Sql::SqliteFailure(failure, _) => self.advice(failure.code),
            // A value of the wrong type: STRICT tables keep us from writing one.
            _ => (Kind::Data, format!("its content is damaged: {}", self.names.damaged)),
        };
        Error::new(kind, format!("cannot {doing} {self}: {advice}")).because(cause)
    }

    fn advice(&self, code: ErrorCode) -> (Kind, String) {
        let Names { key, damaged, .. } = self.names;
        let (kind, advice) = match code {
            ErrorCode::NotADatabase => {
                return (Kind::Data, format!("the file is no SQLite database: {key} must name another"));
            }
            ErrorCode::DatabaseCorrupt => return (Kind::Data, format!("the file is damaged: {damaged}")),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                (Kind::Temporary, "another process is writing to it: try again")
            }
            ErrorCode::ReadOnly => (Kind::Permission, "it is open for reading only"),
            ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
                (Kind::Permission, "this user may not")
            }
            ErrorCode::CannotOpen => {
                (Kind::Io, "it cannot be opened: check the folder's owner and mode, and the room on the disk")
            }
            ErrorCode::DiskFull => (Kind::Io, "the disk is full; make room and try again"),
            ErrorCode::SystemIoFailure => (
                Kind::Io,
                "the disk failed, is full, or its file system is read-only: see the system's log, and try again",
            ),
            _ => (Kind::Io, "SQLite failed"),
        };
        (kind, advice.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.names.what, self.path.display())
    }
}

/// A folder is no store.
///
/// # Errors
/// `Config`, naming the key.
pub fn refuse_folder(place: &Place) -> Result<()> {
    if place.path().is_dir() {
        bail!(Config, "{place} is a folder: {} must name a file", place.names.key);
    }
    Ok(())
}

/// Makes the store's folder, where it is missing, for its owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(place: &Place) -> Result<()> {
    let Some(folder) = place.path().parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Error::io(&format!("make the {}'s folder", place.names.what), folder, e))
}

/// Makes the store's file where it is missing, for its owner alone, and takes what others could do with one that is there.
///
/// # Errors
/// When it cannot be made.
pub fn make_file(place: &Place) -> Result<()> {
    let path = place.path();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => durable::hand_over(path),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            // SQLite makes the two beside with the store's mode, and keeps that.
            let beside = ["-wal", "-shm"].map(|suffix| {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                PathBuf::from(name)
            });
            beside
                .iter()
                .filter(|path| path.exists())
                .try_for_each(|path| close_to_others(place.names.what, path))?;
            close_to_others(place.names.what, path)
        }
        Err(e) => Err(Error::io(&format!("make the {}", place.names.what), path, e)),
    }
}

/// What is stored is as sensitive as the faces: what others could do with the file is taken back, if we may.
///
/// # Errors
/// When it cannot be looked at.
pub fn close_to_others(what: &str, path: &Path) -> Result<()> {
    let failed = |e| Error::io(&format!("read the {what}"), path, e);
    let opened = OpenOptions::new().read(true).custom_flags(durable::NOT_THROUGH_A_LINK).open(path);
    let file = match opened {
        // What a link names is another's business, and in a folder that is not root's it may be any file.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 == 0 || !durable::is_its_own(&file).map_err(failed)? {
        return Ok(());
    }
    if file.set_permissions(Permissions::from_mode(mode & !0o077)).is_err() {
        tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "other users may open the {what}");
    }
    Ok(())
}

/// Opens it, without a word to others beside it.
///
/// # Errors
/// As SQLite.
pub fn connect(place: &Place, access: OpenFlags, patience: Duration) -> Result<Connection> {
    connect_at(place, place.path(), access, patience)
}

/// [`connect`], under another name: an URI.
///
/// # Errors
/// As SQLite.
pub fn connect_at(place: &Place, at: &Path, access: OpenFlags, patience: Duration) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = place.sql("open", Connection::open_with_flags(at, flags))?;
    place.sql("open", connection.busy_timeout(patience))?;
    // Sorting and the like must not spill vectors to files in /tmp; views and triggers in a strange file must not run.
    set(&connection, place, "temp_store", "2")?;
    set(&connection, place, "trusted_schema", "0")?;
    set(&connection, place, "foreign_keys", "1")?;
    set(&connection, place, "secure_delete", "1")?;
    Ok(connection)
}

/// What makes a commit survive a power cut, and readers live beside a writer.
///
/// # Errors
/// `Io`, where SQLite does not do it.
pub fn harden(connection: &Connection, place: &Place) -> Result<()> {
    set(connection, place, "journal_mode", "wal")?;
    set(connection, place, "synchronous", synchronous())
}

/// FULL: each commit waits for the disk.
#[cfg(not(feature = "faults"))]
fn synchronous() -> &'static str {
    "2"
}

/// A test that cuts the power must be seen to fail where SQLite does not wait for the disk.
#[cfg(feature = "faults")]
fn synchronous() -> &'static str {
    let off = std::env::var_os("WATCHLISTD_SYNCHRONOUS").is_some_and(|value| value == "off");
    if off { "0" } else { "2" }
}

/// Sets a pragma and reads it back: SQLite ignores what it does not know or cannot do.
///
/// # Errors
/// `Io`, when SQLite keeps another value.
pub fn set(connection: &Connection, place: &Place, pragma: &str, value: &str) -> Result<()> {
    place.sql("open", to_its_end(connection, &format!("PRAGMA {pragma} = {value}")))?;
    let got = connection.pragma_query_value(None, pragma, |row| {
        row.get_ref(0).map(|value| match value {
            rusqlite::types::ValueRef::Integer(n) => n.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        })
    });
    let got = place.sql("open", got)?;
    if got != value {
        bail!(
            Io,
            "{place}: SQLite keeps {pragma} at {got}, {value} is needed; is the file system a local one?"
        );
    }
    Ok(())
}

/// Carries a statement out, whatever rows it gives. What a pragma changes in the file is committed behind its row, and whoever stops there
/// never hears that the commit failed: SQLite then takes a file for one with a write-ahead log that is none.
fn to_its_end(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Looks whether the file is whole.
///
/// # Errors
/// `Data`, if it is not.
pub fn check(connection: &Connection, place: &Place) -> Result<()> {
    let verdict: String =
        place.sql("check", connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))?;
    if verdict != "ok" {
        bail!(Data, "{place} is damaged ({verdict}): {}", place.names.damaged);
    }
    Ok(())
}

/// True if the store is on a file system that is mounted read-only.
pub fn on_read_only(path: &Path) -> bool {
    let mounted = rustix::fs::statvfs(path);
    mounted.is_ok_and(|mounted| mounted.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Opens a file that nobody changes, and makes nothing beside it.
///
/// # Errors
/// As SQLite; `Io`, where a part of it lies beside it still.
pub fn connect_unchangeable(place: &Place, patience: Duration) -> Result<Connection> {
    use std::os::unix::ffi::OsStrExt as _;
    for ending in ["-wal", "-journal"] {
        let mut beside = place.path().as_os_str().to_owned();
        beside.push(ending);
        if Path::new(&beside).metadata().is_ok_and(|file| file.len() > 0) {
            bail!(
                Io,
                "{place} is on a read-only file system, and changes that are not in it yet are in {}, which only a writable file \
                 system can take in: make it writable once, or copy both to another one ({})",
                Path::new(&beside).display(),
                place.names.key
            );
        }
    }
    let path: String =
        place.path().as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02X}")).collect();
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect_at(place, Path::new(&format!("file:{path}?immutable=1")), access, patience)
}
