//! Opening the store's file: its modes, its pragmas, and everything that can be wrong with it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Found;
use super::keys::{self, Keys};
use super::schema::{self, VERSION};
use super::sql::{self, Place};
use super::totals::Totals;
use crate::bail;
use crate::base::error::{Error, Result};
pub use crate::base::sqlite::on_read_only;
use crate::base::sqlite::{
    self, check, connect, connect_unchangeable, harden, make_file, refuse_folder, set,
};
use crate::gallery::crypt::Key;

/// How long to wait for another process's transaction; ours take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Identifies a file as long as it exists: device and inode.
pub(super) type FileId = (u64, u64);

/// What is at the path. Nothing is made or changed.
pub(super) fn look(path: &Path, patience: Duration) -> Result<Found> {
    let place = sql::place(path);
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

/// All settings. With a master key only those that this program wrote.
pub(super) fn settings(
    path: &Path,
    master: Option<&Key>,
    patience: Duration,
) -> Result<HashMap<String, String>> {
    if !matches!(look(path, patience)?, Found::Sealed(_)) {
        return Ok(HashMap::new());
    }
    let place = sql::place(path);
    let connection = connect_to_read(&place, patience)?;
    let view = place.sql("read", connection.unchecked_transaction())?;
    if let Some(master) = master
        && schema::version(&view, &place)? == VERSION
    {
        Totals::check_settings(&view, &place, &Keys::read(&view, &place, master)?)?;
    }
    let mut statement = place.sql("read", view.prepare("SELECT key, value FROM settings"))?;
    let rows = place.sql("read", statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))))?;
    rows.map(|row| place.sql("read", row)).collect()
}

/// Opens for reading and writing; makes the folder (mode 0700), the file (0600) and the tables where missing. Whether the file is
/// whole is looked at only where it is brought to this version: see [`check_beside`].
pub(super) fn writable(path: &Path, master: &Key, patience: Duration) -> Result<(Connection, Keys)> {
    let place = sql::place(path);
    refuse_folder(&place)?;
    make_folder(path)?;
    make_file(&place)?;
    let mut connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
    // Before the first pragma that writes: a file that is not ours stays as it is.
    schema::inspect(&connection, &place)?;
    if place.sql("open", connection.is_readonly("main"))? {
        bail!(Permission, "{place} cannot be written: check the owner and mode of the file and its folder");
    }
    harden(&connection, &place)?;
    let version =
        if schema::inspect(&connection, &place)? { schema::version(&connection, &place)? } else { 0 };
    if version < VERSION {
        // Before the first row is changed.
        check(&connection, &place)?;
    }
    let has_keys = version > 1;
    let keys = if has_keys { Keys::read(&connection, &place, master) } else { Keys::generate(master) };
    // Of a damaged file another key would help nobody.
    let keys = keys.or_else(|error| check(&connection, &place).and(Err(error)))?;
    schema::migrate(&mut connection, &place, &keys)?;
    let keys = Keys::read(&connection, &place, master)?;
    Ok((connection, keys))
}

/// Whether the file is whole as SQLite sees it, with a connection of its own.
pub(super) fn check_beside(path: &Path, patience: Duration) -> Result<()> {
    check(&beside(path, patience)?, &sql::place(path))
}

/// Brings a copy that is nobody else's to this program's version.
pub(super) fn bring_up(
    path: &Path,
    patience: Duration,
    keys: impl FnOnce(&Connection, &Place) -> Result<Keys>,
) -> Result<()> {
    let place = sql::place(path);
    let mut connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
    if schema::inspect(&connection, &place)? && schema::version(&connection, &place)? < VERSION {
        check(&connection, &place)?;
        let keys = keys(&connection, &place)?;
        schema::migrate(&mut connection, &place, &keys)?;
    }
    Ok(())
}

/// Opens an existing store for reading. `keys` unwraps its keys.
pub(super) fn read_only(
    path: &Path,
    patience: Duration,
    keys: impl FnOnce(&Connection, &Place) -> Result<Keys>,
) -> Result<(Connection, Keys)> {
    let place = sql::place(path);
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

/// Another connection to a store that is open for writing and so was checked, to read it. It may write as far as SQLite is
/// concerned: one that may not does not look at the tables' constraints.
pub(super) fn beside(path: &Path, patience: Duration) -> Result<Connection> {
    let place = sql::place(path);
    if on_read_only(path) {
        return connect_unchangeable(&place, patience);
    }
    let connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
    set(&connection, &place, "query_only", "1")?;
    Ok(connection)
}

/// Which file the path names now.
pub(super) fn file_id(path: &Path) -> Result<FileId> {
    let metadata = path.metadata().map_err(|e| Error::io("read the gallery", path, e))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes the store's folder, where it is missing, for its owner alone.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    sqlite::make_folder(&sql::place(path))
}

/// A connection that only reads; unless a power cut came while the store was made. Then the first transaction, which is not
/// in the write-ahead log yet, has to be rolled back before anything can be read, and only who may write can do that.
///
/// On a read-only file system SQLite could not make the files that a store's readers share, and is told that nobody changes it.
fn connect_to_read(place: &Place, patience: Duration) -> Result<Connection> {
    if on_read_only(place.path()) {
        return connect_unchangeable(place, patience);
    }
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY, patience)?;
    let tried = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let half_made = matches!(
        &tried,
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK
    );
    if half_made { connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE, patience) } else { Ok(connection) }
}
