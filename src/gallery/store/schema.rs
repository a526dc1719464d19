//! The store's tables, and how an older store becomes a newer one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::keys::Keys;
use super::seal_plain;
use super::sql::Place;
use super::totals::Totals;
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
const MIGRATIONS: [Step; 3] =
    [Step::Sql(PLAIN), Step::Code(SEALED, seal_plain::run), Step::Code(BOUND, refuse_to_begin_again)];

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

/// Version 3: what each table holds as a whole is bound; a signer who is not trusted any more is remembered; and which templates
/// went with somebody who was forgotten.
const BOUND: &str = "
CREATE TABLE totals (
    name TEXT PRIMARY KEY,
    mac  BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
ALTER TABLE signers ADD COLUMN trusted INTEGER NOT NULL DEFAULT 1 CHECK (trusted IN (0, 1));
ALTER TABLE forgotten ADD COLUMN templates BLOB NOT NULL DEFAULT x'' CHECK (length(templates) % 16 = 0);
";

/// The version this program writes.
pub(in crate::gallery) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version from which an audit log says what its store's version is.
const SAID: i64 = 3;

/// Totals are made from what is there, once. So a store that had them does not get them a second time: whoever took them away
/// would have everything else believed that he changed.
fn refuse_to_begin_again(transaction: &Transaction<'_>, place: &Place, _: &Keys) -> Result<()> {
    let mut statement = place.sql("migrate", transaction.prepare("SELECT body FROM audit"))?;
    let bodies = place.sql("migrate", statement.query_map([], |row| row.get::<_, String>(0)))?;
    for body in bodies {
        let body: serde_json::Value = serde_json::from_str(&place.sql("migrate", body)?).unwrap_or_default();
        let said = body.pointer("/detail/schema").and_then(serde_json::Value::as_i64);
        if said.is_some_and(|said| said >= SAID) {
            bail!(
                Data,
                "{place} says that it is of an older schema than its audit log: it was changed by something else; restore a \
                 backup"
            );
        }
    }
    Ok(())
}

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

/// Brings the store to [`VERSION`], or leaves it as it is. `keys` are its own, or those of a store that has none yet.
///
/// # Errors
/// `Temporary` when another process holds the store; `Data` or `Io` when it cannot be changed.
pub(super) fn migrate(connection: &mut Connection, place: &Place, keys: &Keys) -> Result<()> {
    migrate_to(VERSION, connection, place, keys)
}

fn migrate_to(to: i64, connection: &mut Connection, place: &Place, keys: &Keys) -> Result<()> {
    let transaction =
        place.sql("migrate", connection.transaction_with_behavior(TransactionBehavior::Immediate))?;
    // Read again under the lock: another process may have been first.
    let from = if inspect(&transaction, place)? { version(&transaction, place)? } else { 0 };
    if from == to {
        return Ok(());
    }
    let steps = MIGRATIONS.iter().enumerate().take(usize::try_from(to).unwrap_or(0));
    for (step, what) in steps.skip(usize::try_from(from).unwrap_or(0)) {
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
    if to >= SAID {
        Totals::read(&transaction, place, keys)?.write(&transaction, place, keys)?;
    }
    place.sql("migrate", transaction.commit())
}

/// Makes a store of the version before totals.
#[cfg(test)]
pub(super) fn sealed_for_tests(connection: &mut Connection, place: &Place, keys: &Keys) {
    migrate_to(SAID - 1, connection, place, keys).expect("made");
}

#[cfg(test)]
pub(super) fn plain_for_tests() -> (&'static str, i64) {
    (PLAIN, APPLICATION)
}
