//! The tables of the log.

use rusqlite::Connection;

use crate::bail;
use crate::base::error::Result;
use crate::base::sqlite::{Names, Place};

/// What the log is called in messages.
pub(super) const NAMES: Names = Names {
    what: "event log",
    key: "events.path",
    damaged: "the daemon saves what can be read when it starts; `watchlistd events verify` says what is wrong",
};

/// `PRAGMA application_id`: "wlev".
pub(super) const APPLICATION: i64 = 0x776c_6576;
/// `PRAGMA user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    lists TEXT NOT NULL,
    identity BLOB CHECK (length(identity) = 16),
    body BLOB NOT NULL,
    personal BLOB,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE INDEX events_by_list ON events (lists, at);
CREATE TABLE sinks (
    name TEXT PRIMARY KEY,
    required INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
CREATE TABLE dead (
    sink TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (sink, sequence)
) STRICT;
";

/// True if the tables are there.
///
/// # Errors
/// `Config`: another program's file, or a newer version's.
pub(super) fn inspect(connection: &Connection, place: &Place) -> Result<bool> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) =
        (place.sql("read", number("application_id"))?, place.sql("read", number("user_version"))?);
    if version == 0 {
        let count: i64 = place
            .sql("read", connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)))?;
        if count > 0 || application != 0 {
            bail!(Config, "{place} is another program's: {} must name another file", NAMES.key);
        }
        return Ok(false);
    }
    if application != APPLICATION {
        bail!(Config, "{place} is another program's: {} must name another file", NAMES.key);
    }
    if version > VERSION {
        bail!(Config, "{place} was written by a newer version of watchlistd: install that one again");
    }
    Ok(true)
}

/// Makes the tables, in the transaction at hand.
pub(super) fn create(connection: &Connection, place: &Place) -> Result<()> {
    place.sql("make", connection.execute_batch(TABLES))?;
    place.sql("make", connection.pragma_update(None, "application_id", APPLICATION))?;
    place.sql("make", connection.pragma_update(None, "user_version", VERSION))
}
