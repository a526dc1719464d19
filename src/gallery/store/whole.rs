//! A store that becomes another one, row by row and in one transaction: a restore onto a box that has nothing yet.
//!
//! ```text
//!  other ─ATTACH─▶ BEGIN ─▶ every table emptied and filled from it ─▶ keys wrapped by this store's master ─▶ `then` ─▶ COMMIT
//! ```

use std::cell::RefCell;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::totals::Totals;
use super::{Store, Tables};
use crate::base::error::Result;

/// The other store, as SQLite knows it meanwhile.
const OTHER: &str = "other";

impl Store {
    /// Makes this store what `other` is: its rows, its keys, its audit log. Only the master key stays this store's own. The
    /// generation becomes one that neither had. `then` changes what is there by then, and is told the generation.
    ///
    /// # Errors
    /// `Data`, when a key of the other does not unwrap; what `then` gives; `Permission`, `Io`, `Temporary`, when the store cannot
    /// be written. Nothing has changed then.
    pub fn become_other<T>(
        &mut self,
        other: &Store,
        then: impl FnOnce(&Tables<'_>, u64) -> Result<T>,
    ) -> Result<T> {
        let path = other.path().to_string_lossy().into_owned();
        let sql = format!("ATTACH DATABASE ?1 AS {OTHER}");
        self.place.sql("read the backup beside", self.connection.execute(&sql, [path]))?;
        let done = self.taken(other, then);
        let detached = self.connection.execute_batch(&format!("DETACH DATABASE {OTHER}"));
        let value = done?;
        if let Err(error) = detached {
            tracing::warn!(%error, "the backup could not be put down again; a restart does it");
        }
        Ok(value)
    }

    fn taken<T>(&mut self, other: &Store, then: impl FnOnce(&Tables<'_>, u64) -> Result<T>) -> Result<T> {
        let keys = other.keys.wrapped_as(&self.keys);
        let place = &self.place;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = place.sql("change", begun)?;
        let none = RefCell::default();
        let before =
            Tables { connection: &transaction, place, keys: &self.keys, totals: &none }.generation()?;
        place.sql("change", copy(&transaction))?;
        let totals = RefCell::new(Totals::read(&transaction, place, &other.keys)?);
        let tables = Tables { connection: &transaction, place, keys: &other.keys, totals: &totals };
        let generation = tables.generation()?.max(before) + 1;
        tables.rewrap(&keys)?;
        let tables = Tables { keys: &keys, ..tables };
        tables.set_generation(generation)?;
        let value = then(&tables, generation)?;
        let mut totals = totals.into_inner();
        totals.write(&transaction, place, &keys)?;
        place.sql("change", transaction.commit())?;
        self.totals = totals;
        self.keys = keys;
        Ok(value)
    }
}

fn copy(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    // Templates may come before those they are of.
    transaction.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    for table in tables(transaction)? {
        transaction.execute(&format!("DELETE FROM main.{table}"), [])?;
        transaction.execute(&format!("INSERT INTO main.{table} SELECT * FROM {OTHER}.{table}"), [])?;
    }
    Ok(())
}

/// All of this store's, quoted. The other has the same schema: it was opened as a store of this version.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| format!("\"{}\"", name.replace('"', "\"\"")))).collect()
}
