//! Opening the store's file: its modes, its pragmas, and everything that can be wrong with it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::Found;
use super::keys::{self, Keys};
use super::schema::{self, VERSION};
use super::sql::Place;
use crate::bail;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::gallery::crypt::Key;

/// How long to wait for another process's transaction; ours take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Identifies a file as long as it exists: device and inode.
pub(super) type FileId = (u64, u64);

/// What is at the path. Nothing is made or changed.
pub(super) fn look(path: &Path, patience: Duration) -> Result<Found> {
    let place = Place::new(path);
    refuse_folder(&place)?;
    if !path.exists() {
        return Ok(Found::Nothing);
    }
    let connection = connect_to_read(&place, patience)?;
    if !schema::inspect(&connection, &place)? {
        return Ok(Found::Nothing);
    }
    if schema::version(&connection, &place)? == 1 {
        return Ok(Found::Plain);
    }
    keys::master_id(&connection, &place)?.parse().map(Found::Sealed)
}

/// A setting, read without a key.
pub(super) fn peek(path: &Path, key: &str, patience: Duration) -> Result<Option<String>> {
    if !matches!(look(path, patience)?, Found::Sealed(_)) {
        return Ok(None);
    }
    let place = Place::new(path);
    let connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_ONLY, patience)?;
    let sql = "SELECT value FROM settings WHERE key = ?1";
    place.sql("read", connection.query_row(sql, [key], |row| row.get(0)).optional())
}

/// Opens for reading and writing; makes the folder (mode 0700), the file (0600) and the tables where missing.
pub(super) fn writable(path: &Path, master: &Key, patience: Duration) -> Result<(Connection, Keys)> {
    let place = Place::new(path);
    refuse_folder(&place)?;
    create(path)?;
    let mut connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
    // Before the first pragma that writes: a file that is not ours stays as it is.
    schema::inspect(&connection, &place)?;
    if place.sql("open", connection.is_readonly("main"))? {
        bail!(Permission, "{place} cannot be written: check the owner and mode of the file and its folder");
    }
    harden(&connection, &place)?;
    check(&connection, &place)?;
    schema::migrate(&mut connection, &place, &Keys::generate(master)?)?;
    let keys = Keys::read(&connection, &place, master)?;
    Ok((connection, keys))
}

/// Opens an existing store for reading. `keys` unwraps its keys.
pub(super) fn read_only(
    path: &Path,
    patience: Duration,
    keys: impl FnOnce(&Connection, &Place) -> Result<Keys>,
) -> Result<(Connection, Keys)> {
    let place = Place::new(path);
    refuse_folder(&place)?;
    file_id(path)?;
    let connection = connect_to_read(&place, patience)?;
    if !schema::inspect(&connection, &place)? {
        bail!(Data, "{place} is empty: enrol somebody first");
    }
    let version = schema::version(&connection, &place)?;
    if version < VERSION {
        bail!(
            Config,
            "{place} has schema {version}, older than {VERSION}: start the daemon or enrol somebody to bring it up"
        );
    }
    check(&connection, &place)?;
    let keys = keys(&connection, &place)?;
    Ok((connection, keys))
}

/// Which file the path names now.
pub(super) fn file_id(path: &Path) -> Result<FileId> {
    let metadata = path.metadata().map_err(|e| Error::io("read the gallery", path, e))?;
    Ok((metadata.dev(), metadata.ino()))
}

fn refuse_folder(place: &Place) -> Result<()> {
    if place.path().is_dir() {
        bail!(Config, "{place} is a folder: gallery.path must name a file");
    }
    Ok(())
}

fn create(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| Error::io("make the gallery's folder", folder, e))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => durable::hand_over(path),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            // SQLite makes the two beside with the store's mode, and keeps that.
            let beside = ["-wal", "-shm"].map(|suffix| {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                PathBuf::from(name)
            });
            beside.iter().filter(|path| path.exists()).try_for_each(|path| close_to_others(path))?;
            close_to_others(path)
        }
        Err(e) => Err(Error::io("make the gallery", path, e)),
    }
}

/// Templates are as sensitive as the faces: what others could do with the file is taken back, if we may.
fn close_to_others(path: &Path) -> Result<()> {
    let mode = path.metadata().map_err(|e| Error::io("read the gallery", path, e))?.mode() & 0o7777;
    if mode & 0o077 != 0 && std::fs::set_permissions(path, Permissions::from_mode(mode & !0o077)).is_err() {
        tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "other users may open the gallery");
    }
    Ok(())
}

fn connect(place: &Place, access: OpenFlags, patience: Duration) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = place.sql("open", Connection::open_with_flags(place.path(), flags))?;
    place.sql("open", connection.busy_timeout(patience))?;
    // Sorting and the like must not spill vectors to files in /tmp; views and triggers in a strange file must not run.
    set(&connection, place, "temp_store", "2")?;
    set(&connection, place, "trusted_schema", "0")?;
    set(&connection, place, "foreign_keys", "1")?;
    set(&connection, place, "secure_delete", "1")?;
    Ok(connection)
}

/// A connection that only reads; unless a power cut came while the store was made. Then the first transaction, which is not
/// in the write-ahead log yet, has to be rolled back before anything can be read, and only who may write can do that.
fn connect_to_read(place: &Place, patience: Duration) -> Result<Connection> {
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY, patience)?;
    let tried = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let half_made = matches!(
        &tried,
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK
    );
    if half_made { connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience) } else { Ok(connection) }
}

/// What makes a commit survive a power cut, and readers live beside a writer.
fn harden(connection: &Connection, place: &Place) -> Result<()> {
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
fn set(connection: &Connection, place: &Place, pragma: &str, value: &str) -> Result<()> {
    place.sql("open", connection.pragma_update(None, pragma, value))?;
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

fn check(connection: &Connection, place: &Place) -> Result<()> {
    let verdict: String =
        place.sql("check", connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))?;
    if verdict != "ok" {
        bail!(Data, "{place} is damaged ({verdict}): restore a backup, or enrol again");
    }
    Ok(())
}
