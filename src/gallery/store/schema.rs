//! The store's tables, and how an older store becomes a newer one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::keys::Keys;
use super::seal_plain;
use super::sql::Place;
use crate::bail;
use crate::base::error::Result;

/// `WLGS` in the header of the file (`PRAGMA application_id`): a gallery store, and no other SQLite database.
pub(super) const APPLICATION: i64 = 0x574C_4753;

/// What takes a store one version further.
enum Step {
    Sql(&'static str),
    /// Statements, and then rows that statements alone cannot change.
    Code(&'static str, fn(&Transaction<'_>, &Place, &Keys) -> Result<()>),
}

/// Step n takes a store of version n to n + 1. Steps are only ever added.
const MIGRATIONS: [Step; 2] = [Step::Sql(PLAIN), Step::Code(SEALED, seal_plain::run)];

/// Version 1: templates in the clear.
const PLAIN: &str = "
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied TEXT NOT NULL
) STRICT;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES ('generation', 0);
CREATE TABLE identities (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE templates (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    identity      TEXT NOT NULL REFERENCES identities(id) ON DELETE CASCADE,
    model_id      BLOB NOT NULL CHECK (length(model_id) = 32),
    vector        BLOB NOT NULL CHECK (length(vector) > 0 AND length(vector) % 4 = 0),
    quality       REAL NOT NULL,
    source        TEXT NOT NULL,
    source_sha256 BLOB NOT NULL CHECK (length(source_sha256) = 32),
    created       TEXT NOT NULL,
    UNIQUE (identity, model_id, source_sha256)
) STRICT;
CREATE INDEX templates_by_model ON templates (model_id, identity, id);
";

/// Version 2: everything about a person is sealed under that person's key, and every change is in the audit log.
const SEALED: &str = "
DROP INDEX templates_by_model;
ALTER TABLE templates RENAME TO plain_templates;
ALTER TABLE identities RENAME TO plain_identities;
CREATE TABLE keys (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT;
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
CREATE TABLE identities (
    id           BLOB PRIMARY KEY CHECK (length(id) = 16),
    revision     INTEGER NOT NULL,
    standing     TEXT NOT NULL CHECK (standing IN ('pending', 'active', 'expired')),
    external_tag BLOB UNIQUE CHECK (length(external_tag) = 32),
    created      TEXT NOT NULL,
    wrapped_key  BLOB NOT NULL,
    record       BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE templates (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    identity   BLOB NOT NULL REFERENCES identities(id),
    model_id   BLOB NOT NULL CHECK (length(model_id) = 32),
    quality    REAL NOT NULL,
    created    TEXT NOT NULL,
    source_tag BLOB NOT NULL CHECK (length(source_tag) = 32),
    sealed     BLOB NOT NULL,
    UNIQUE (identity, model_id, source_tag)
) STRICT;
CREATE INDEX templates_by_model ON templates (model_id, identity, id);
CREATE TABLE crops (
    identity   BLOB NOT NULL REFERENCES identities(id),
    source_tag BLOB NOT NULL CHECK (length(source_tag) = 32),
    sealed     BLOB NOT NULL,
    PRIMARY KEY (identity, source_tag)
) STRICT;
CREATE TABLE lists (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;
CREATE TABLE forgotten (
    identity     BLOB PRIMARY KEY CHECK (length(identity) = 16),
    external_tag BLOB CHECK (length(external_tag) = 32),
    at           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE signers (
    key        BLOB PRIMARY KEY CHECK (length(key) = 32),
    label      TEXT NOT NULL,
    added      TEXT NOT NULL,
    generation INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    body     TEXT NOT NULL,
    sealed   BLOB,
    mac      BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
";

/// The version this program writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Refuses a file that is not ours before anything is written to it. True if there is a store in it already.
///
/// # Errors
/// `Data` for another program's database or a broken file, `Config` for a newer version.
pub(super) fn inspect(connection: &Connection, place: &Place) -> Result<bool> {
    // One view for all questions: between two of them another process may make the tables.
    let alone = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose();
    let _view = place.sql("read", alone)?;
    let number = |sql: &str| place.sql("read", connection.query_row(sql, [], |row| row.get::<_, i64>(0)));
    let application = number("PRAGMA application_id")?;
    if application == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(false);
    }
    if application != APPLICATION {
        bail!(
            Data,
            "{place} is a database of another program, not a gallery: gallery.path must name another file"
        );
    }
    let version = version(connection, place)?;
    if version > VERSION {
        bail!(
            Config,
            "{place} was made by a newer watchlistd (schema {version}, this program knows {VERSION}): \
             install that version, or restore the backup made before"
        );
    }
    Ok(true)
}

/// The store's version.
pub(super) fn version(connection: &Connection, place: &Place) -> Result<i64> {
    let sql = "SELECT coalesce(max(version), 0) FROM schema_version";
    place.sql("read", connection.query_row(sql, [], |row| row.get(0)))
}

/// Brings the store to [`VERSION`], or leaves it as it is. `keys` are those of a store that has none yet. True if rows in
/// the clear were sealed.
///
/// # Errors
/// `Temporary` when another process holds the store; `Data` or `Io` when it cannot be changed.
pub(super) fn migrate(connection: &mut Connection, place: &Place, keys: &Keys) -> Result<()> {
    let transaction =
        place.sql("migrate", connection.transaction_with_behavior(TransactionBehavior::Immediate))?;
    // Read again under the lock: another process may have been first.
    let from = if inspect(&transaction, place)? { version(&transaction, place)? } else { 0 };
    if from == VERSION {
        return Ok(());
    }
    for (step, what) in MIGRATIONS.iter().enumerate().skip(usize::try_from(from).unwrap_or(0)) {
        match what {
            Step::Sql(sql) => place.sql("migrate", transaction.execute_batch(sql))?,
            Step::Code(sql, rows) => {
                place.sql("migrate", transaction.execute_batch(sql))?;
                rows(&transaction, place, keys)?;
            }
        }
        let applied = jiff::Timestamp::now().to_string();
        let row = (step as i64 + 1, applied);
        place.sql("migrate", transaction.execute("INSERT INTO schema_version VALUES (?1, ?2)", row))?;
    }
    place.sql("migrate", transaction.pragma_update(None, "application_id", APPLICATION))?;
    place.sql("migrate", transaction.commit())
}

#[cfg(test)]
pub(super) fn plain_for_tests() -> (&'static str, i64) {
    (PLAIN, APPLICATION)
}
