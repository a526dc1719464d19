//! Opening the store's file: its modes, its pragmas, and everything that can be wrong with it.

use std::collections::HashMap;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Found;
use super::keys::{self, Keys};
use super::schema::{self, VERSION};
use super::sql::Place;
use super::totals::Totals;
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

/// All settings. With a master key only those that this program wrote.
pub(super) fn settings(
    path: &Path,
    master: Option<&Key>,
    patience: Duration,
) -> Result<HashMap<String, String>> {
    if !matches!(look(path, patience)?, Found::Sealed(_)) {
        return Ok(HashMap::new());
    }
    let place = Place::new(path);
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
    let has_keys = schema::inspect(&connection, &place)? && schema::version(&connection, &place)? > 1;
    let keys = if has_keys { Keys::read(&connection, &place, master) } else { Keys::generate(master) };
    schema::migrate(&mut connection, &place, &keys?)?;
    let keys = Keys::read(&connection, &place, master)?;
    Ok((connection, keys))
}

/// Brings a copy that is nobody else's to this program's version.
pub(super) fn bring_up(
    path: &Path,
    patience: Duration,
    keys: impl FnOnce(&Connection, &Place) -> Result<Keys>,
) -> Result<()> {
    let place = Place::new(path);
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

/// Another connection to a store that is open for writing and so was checked, to read it. It may write as far as SQLite is
/// concerned: one that may not does not look at the tables' constraints.
pub(super) fn beside(path: &Path, patience: Duration) -> Result<Connection> {
    let place = Place::new(path);
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

fn refuse_folder(place: &Place) -> Result<()> {
    if place.path().is_dir() {
        bail!(Config, "{place} is a folder: gallery.path must name a file");
    }
    Ok(())
}

/// Makes the store's folder, where it is missing, for its owner alone.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Error::io("make the gallery's folder", folder, e))
}

fn create(path: &Path) -> Result<()> {
    make_folder(path)?;
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
pub(super) fn close_to_others(path: &Path) -> Result<()> {
    let failed = |e| Error::io("read the gallery", path, e);
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
        tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "other users may open the gallery");
    }
    Ok(())
}

/// True if the store is on a file system that is mounted read-only.
pub fn on_read_only(path: &Path) -> bool {
    let mounted = rustix::fs::statvfs(path);
    mounted.is_ok_and(|mounted| mounted.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn connect_unchangeable(place: &Place, patience: Duration) -> Result<Connection> {
    use std::os::unix::ffi::OsStrExt as _;
    for ending in ["-wal", "-journal"] {
        let mut beside = place.path().as_os_str().to_owned();
        beside.push(ending);
        if Path::new(&beside).metadata().is_ok_and(|file| file.len() > 0) {
            bail!(
                Io,
                "{place} is on a read-only file system, and changes that are not in it yet are in {}, which only a writable file \
                 system can take in: make it writable once, or copy both to another one (gallery.path)",
                Path::new(&beside).display()
            );
        }
    }
    let path: String =
        place.path().as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02X}")).collect();
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect_at(place, Path::new(&format!("file:{path}?immutable=1")), access, patience)
}

fn connect(place: &Place, access: OpenFlags, patience: Duration) -> Result<Connection> {
    connect_at(place, place.path(), access, patience)
}

fn connect_at(place: &Place, at: &Path, access: OpenFlags, patience: Duration) -> Result<Connection> {
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
