//! Where the gallery is kept: one SQLite file.
//!
//! ```text
//!  keys ── wrapped by the master key ──▶ audit, index, signing
//!  identities (id, standing, wrapped key, sealed record) ◀── templates (model, quality, sealed vector)
//!  lists, signers, settings, meta (generation)          ◀── crops (sealed)
//!  forgotten (ids)            audit (entries in a keyed chain)
//! ```
//!
//! One transaction is one change: after a crash it is there as a whole or not at all. Deleted rows are overwritten
//! in the file (`secure_delete`) and the write-ahead log is emptied after a removal. That wipes what SQLite wrote,
//! not what a copy-on-write file system or a flash drive kept of it: that is what the identities' keys are for.

mod examine;
mod identities;
mod keys;
mod open;
mod rekey;
mod schema;
mod seal_plain;
mod sql;
mod tables;
mod templates;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

pub use examine::{Looked, Owner, StoredCrop, short};
pub use identities::{NewIdentity, StoredIdentity};
pub use keys::Keys;
pub use open::PATIENCE;
pub use tables::{Forgotten, StoredSigner, Tables};
pub use templates::{NewTemplate, StoredTemplate, TemplateRow};

use self::open::FileId;
use self::sql::Place;
use super::crypt::{Key, KeyId};
use crate::base::error::Result;

/// What is at the store's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A store of the first version, which is not encrypted.
    Plain,
    /// A store that needs the master key of this id.
    Sealed(KeyId),
}

/// An open store. One thread owns it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    place: Place,
    keys: Keys,
    file: FileId,
}

impl Store {
    /// Looks what is at the path, and changes nothing.
    ///
    /// # Errors
    /// `Data`: no SQLite database, another program's, damaged. `Config`: a folder, or a newer schema.
    /// `Permission`, `Io`: cannot be opened.
    pub fn look(path: &Path) -> Result<Found> {
        open::look(path, PATIENCE)
    }

    /// One of the settings, which need no key; `None` where there is no store, or no such setting.
    ///
    /// # Errors
    /// As [`Store::look`].
    pub fn peek(path: &Path, key: &str) -> Result<Option<String>> {
        open::peek(path, key, PATIENCE)
    }

    /// Opens for reading and writing; makes the folder (mode 0700), the file (0600) and the tables where missing, and seals
    /// what an older version left in the clear. The caller holds the gallery's lock.
    ///
    /// # Errors
    /// As [`Store::look`]; `Config`, when it needs another master key; `Temporary`: locked for more than `patience`.
    pub fn open(path: &Path, master: &Key, patience: Duration) -> Result<Self> {
        let (connection, keys) = open::writable(path, master, patience)?;
        let store = Self { connection, place: Place::new(path), keys, file: open::file_id(path)? };
        // What a killed process left in the write-ahead log, templates in the clear before a migration among it.
        store.checkpoint();
        Ok(store)
    }

    /// Opens an existing store for reading.
    ///
    /// # Errors
    /// As [`Store::open`]; `NoInput` when there is none.
    pub fn open_read_only(path: &Path, master: &Key) -> Result<Self> {
        Self::for_reading(path, |connection, place| Keys::read(connection, place, master))
    }

    /// [`Store::open_read_only`] for another store, whose master key is this one's.
    ///
    /// # Errors
    /// As [`Store::open_read_only`].
    pub fn open_other(&self, path: &Path) -> Result<Self> {
        Self::for_reading(path, |connection, place| self.keys.read_same(connection, place))
    }

    fn for_reading(path: &Path, keys: impl FnOnce(&Connection, &Place) -> Result<Keys>) -> Result<Self> {
        let (connection, keys) = open::read_only(path, PATIENCE, keys)?;
        Ok(Self { connection, place: Place::new(path), keys, file: open::file_id(path)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The keys it is opened with.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// After the store's keys were written under another master key: these are in use now.
    pub fn use_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// Takes over another store's key of keyed tags, so that the tags of both compare. Only for a store that has no tag of its
    /// own yet: nobody was ever in it.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn adopt_index(&mut self, index: &Key) -> Result<()> {
        let mut keys = self.keys.clone();
        keys.index = index.clone();
        let adopted = &keys;
        self.write(|tables, _| {
            let lists = tables.lists()?;
            let tables = Tables { keys: adopted, ..*tables };
            tables.write_keys(adopted)?;
            lists.iter().try_for_each(|list| tables.put_list(list))?;
            Ok(((), Content::Same))
        })?;
        self.keys = keys;
        Ok(())
    }

    /// True if the path names another file than the one that was opened, or none.
    pub fn replaced(&self) -> bool {
        open::file_id(self.path()).ok() != Some(self.file)
    }

    /// Reads several things as of one moment, whatever is written meanwhile.
    ///
    /// # Errors
    /// `Data`, `Io` or `Temporary`, when the store cannot be read, and what `read` gives.
    pub fn read<T>(&self, read: impl FnOnce(&Tables<'_>) -> Result<T>) -> Result<T> {
        let transaction = self.place.sql("read", self.connection.unchecked_transaction())?;
        read(&Tables { connection: &transaction, place: &self.place, keys: &self.keys })
    }

    /// One transaction. What `change` answers besides its value says whether the gallery's content is another one: then the
    /// generation goes up with it. Without a commit, nothing has changed.
    ///
    /// # Errors
    /// What `change` gives; `Permission`, `Io`, `Temporary`, when the store cannot be written.
    pub fn write<T>(&mut self, change: impl FnOnce(&Tables<'_>, u64) -> Result<(T, Content)>) -> Result<T> {
        let place = &self.place;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = place.sql("change", begun)?;
        let tables = Tables { connection: &transaction, place, keys: &self.keys };
        let generation = tables.generation()?;
        let (value, content) = change(&tables, generation)?;
        if content == Content::Changed {
            tables.set_generation(generation + 1)?;
        }
        place.sql("change", transaction.commit())?;
        Ok(value)
    }

    /// Empties the write-ahead log into the store; true if all of it. Another process that reads right now is waited for.
    pub fn checkpoint(&self) -> bool {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|busy| busy == 0)
    }

    /// SQLite's own check of the whole file: what is wrong, in its words.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn integrity(&self) -> Result<Vec<String>> {
        let place = &self.place;
        let mut statement = place.sql("check", self.connection.prepare("PRAGMA integrity_check"))?;
        let rows = place.sql("check", statement.query_map([], |row| row.get::<_, String>(0)))?;
        let lines: Vec<String> = rows.map(|row| place.sql("check", row)).collect::<Result<_>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Writes a whole, compact copy of the store to a new file.
    ///
    /// # Errors
    /// `Io`, when it cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        let to = path.to_string_lossy();
        self.place.sql("back up", self.connection.execute("VACUUM INTO ?1", [to.as_ref()])).map(drop)
    }
}

/// Makes a store of the first version, with nobody in it.
#[cfg(test)]
pub(in crate::gallery) fn plain_for_tests(path: &Path) {
    let (tables, application) = schema::plain_for_tests();
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch(tables).expect("tables");
    connection.execute("INSERT INTO schema_version VALUES (1, '')", []).expect("a row");
    connection.pragma_update(None, "application_id", application).expect("set");
}

/// Whether a transaction changed what the gallery holds, or only what is written about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Who is searched for, or how, is another.
    Changed,
    /// As before.
    Same,
}
