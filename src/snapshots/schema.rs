//! The table of the store.

use rusqlite::Connection;

use crate::bail;
use crate::base::error::Result;
use crate::base::sqlite::{Names, Place};

/// What the store is called in messages.
pub(super) const NAMES: Names = Names {
    what: "snapshot store",
    key: "snapshots.path",
    damaged: "the daemon begins a new one when it starts; what was in it is no more",
};

/// `PRAGMA application_id`: "wlsn".
const APPLICATION: i64 = 0x776c_736e;
/// `PRAGMA user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE snapshots (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    identity BLOB CHECK (length(identity) = 16),
    event BLOB NOT NULL CHECK (length(event) = 16),
    taken INTEGER NOT NULL,
    until INTEGER NOT NULL,
    face BLOB NOT NULL,
    scene BLOB
) STRICT;
CREATE INDEX snapshots_by_identity ON snapshots (identity);
CREATE INDEX snapshots_by_end ON snapshots (until);
CREATE INDEX snapshots_by_age ON snapshots (taken);
";

/// True if the table is there.
///
/// # Errors
/// `Config`: another program's file, or a newer version's.
pub(super) fn inspect(connection: &Connection, place: &Place) -> Result<bool> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) =
        (place.sql("read", number("application_id"))?, place.sql("read", number("user_version"))?);
    let count = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let empty = version == 0 && application == 0 && place.sql("read", count)? == 0;
    if !empty && application != APPLICATION {
        bail!(Config, "{place} is another program's: {} must name another file", NAMES.key);
    }
    if version > VERSION {
        bail!(Config, "{place} was written by a newer version of watchlistd: install that one again");
    }
    Ok(!empty)
}

/// Makes the table, in the transaction at hand.
pub(super) fn create(connection: &Connection, place: &Place) -> Result<()> {
    place.sql("make", connection.execute_batch(TABLES))?;
    place.sql("make", connection.pragma_update(None, "application_id", APPLICATION))?;
    place.sql("make", connection.pragma_update(None, "user_version", VERSION))
}
