//! Where the gallery is kept: one SQLite file.
//!
//! ```text
//!  keys ── wrapped by the master key ──▶ audit, index, signing
//!  identities (id, standing, wrapped key, sealed record) ◀── templates (model, quality, sealed vector)
//!  lists, signers, settings, meta (generation)          ◀── crops (sealed)
//!  forgotten (ids)            audit (entries in a keyed chain)          totals (what each of these holds as a whole)
//! ```
//!
//! One transaction is one change: after a crash it is there as a whole or not at all. Deleted rows are overwritten
//! in the file (`secure_delete`) and the write-ahead log is emptied after a removal. That wipes what SQLite wrote,
//! not what a copy-on-write file system or a flash drive kept of it: that is what the identities' keys are for.

mod examine;
mod identities;
mod keys;
mod open;
mod opener;
mod rekey;
mod schema;
mod seal_plain;
mod sql;
mod tables;
mod templates;
mod totals;
mod whole;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

pub use examine::{Looked, Owner, StoredCrop, short};
pub use identities::{NewIdentity, StoredIdentity};
pub use keys::Keys;
pub use open::{PATIENCE, on_read_only};
pub(in crate::gallery) use schema::VERSION;
pub use tables::{Forgotten, StoredSigner, Tables};
pub use templates::{NewTemplate, StoredTemplate, TemplateRow};

use self::open::FileId;
use self::sql::Place;
use self::totals::Totals;
use super::crypt::{Key, KeyId};
use crate::base::error::Result;
use crate::err;

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
    totals: Totals,
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

    /// The settings, which need no key to be read; none where there is no store. With the master key it is known that this
    /// program wrote them.
    ///
    /// # Errors
    /// As [`Store::look`]; with a key, `Config` when it is another, and `Data` when something else changed them.
    pub fn settings(path: &Path, master: Option<&Key>) -> Result<HashMap<String, String>> {
        open::settings(path, master, PATIENCE)
    }

    /// Makes the folder of the store at `path` (mode 0700) where it is missing: its lock is made before the store is.
    ///
    /// # Errors
    /// `Permission` or `CannotCreate`, when it cannot be made.
    pub fn make_folder(path: &Path) -> Result<()> {
        open::make_folder(path)
    }

    /// Opens for reading and writing; makes the folder (mode 0700), the file (0600) and the tables where missing, and seals
    /// what an older version left in the clear. The caller holds the gallery's lock.
    ///
    /// # Errors
    /// As [`Store::look`]; `Config`, when it needs another master key; `Temporary`: locked for more than `patience`; `Data`,
    /// naming tables that something else changed.
    pub fn open(path: &Path, master: &Key, patience: Duration) -> Result<Self> {
        Ok(Self::open_and_read(path, master, patience, |_| Ok(()))?.0)
    }

    /// [`Store::open`], and reads as of one moment. Whether the file is whole is looked at meanwhile; what was read counts only if
    /// it is.
    ///
    /// # Errors
    /// As there, and what `read` gives.
    pub fn open_and_read<T>(
        path: &Path,
        master: &Key,
        patience: Duration,
        read: impl FnOnce(&Tables<'_>) -> Result<T>,
    ) -> Result<(Self, T)> {
        let (connection, keys) = open::writable(path, master, patience)?;
        let opened = std::thread::scope(|scope| {
            let whole = scope.spawn(|| open::check_beside(path, patience));
            let store = Self::of(connection, keys, path).and_then(Self::checked);
            let opened = store.and_then(|store| store.read(read).map(|value| (store, value)));
            // Of a damaged file this says more than whatever reading it came upon.
            whole.join().unwrap_or_else(|_| Err(err!(Software, "looking at the store failed")))?;
            opened
        });
        let (store, value) = opened?;
        // What a killed process left in the write-ahead log, templates in the clear before a migration among it.
        store.checkpoint();
        Ok((store, value))
    }

    /// Opens an existing store for reading.
    ///
    /// # Errors
    /// As [`Store::open`]; `NoInput` when there is none.
    pub fn open_read_only(path: &Path, master: &Key) -> Result<Self> {
        Self::open_as_it_is(path, master)?.checked()
    }

    /// [`Store::open_read_only`], also if tables in it were changed by something else: to look what is wrong.
    ///
    /// # Errors
    /// As there, but for that.
    pub fn open_as_it_is(path: &Path, master: &Key) -> Result<Self> {
        let (connection, keys) =
            open::read_only(path, PATIENCE, |connection, place| Keys::read(connection, place, master))?;
        Self::of(connection, keys, path)
    }

    /// Opens a copy of a store that is the caller's alone, for reading; one of an older version is brought to this one first.
    /// Without a master key: with this store's.
    ///
    /// # Errors
    /// As [`Store::open_read_only`].
    pub fn open_copy(&self, path: &Path, master: Option<&Key>) -> Result<Self> {
        let keys = |connection: &Connection, place: &Place| match master {
            Some(master) => Keys::read(connection, place, master),
            None => self.keys.read_same(connection, place),
        };
        open::bring_up(path, PATIENCE, keys)?;
        let (connection, keys) = open::read_only(path, PATIENCE, keys)?;
        Self::of(connection, keys, path)?.checked()
    }

    fn of(connection: Connection, keys: Keys, path: &Path) -> Result<Self> {
        let (place, file) = (sql::place(path), open::file_id(path)?);
        Ok(Self { connection, place, keys, totals: Totals::default(), file })
    }

    fn checked(self) -> Result<Self> {
        let totals = self.read(|tables| Totals::checked(tables.connection, tables.place, tables.keys))?;
        Ok(Self { totals, ..self })
    }

    /// What another thread needs to read the store meanwhile.
    pub fn beside(&self) -> Beside {
        Beside { path: self.path().to_owned(), keys: self.keys.clone() }
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

    /// True if it was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        self.connection.is_readonly("main").unwrap_or(true)
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
        let totals = RefCell::default();
        read(&Tables { connection: &transaction, place: &self.place, keys: &self.keys, totals: &totals })
    }

    /// One transaction. What `change` answers besides its value says whether the gallery's content is another one: then the
    /// generation goes up with it. Without a commit, nothing has changed.
    ///
    /// # Errors
    /// What `change` gives; `Permission`, `Io`, `Temporary`, when the store cannot be written; `Data`, when something else
    /// changed it meanwhile.
    pub fn write<T>(&mut self, change: impl FnOnce(&Tables<'_>, u64) -> Result<(T, Content)>) -> Result<T> {
        let place = &self.place;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = place.sql("change", begun)?;
        let totals = RefCell::new(self.totals.clone());
        let tables = Tables { connection: &transaction, place, keys: &self.keys, totals: &totals };
        self.totals.expect_small(&transaction, place, &self.keys)?;
        let generation = tables.generation()?;
        let (value, content) = change(&tables, generation)?;
        if content == Content::Changed {
            tables.set_generation(generation + 1)?;
        }
        let mut totals = totals.into_inner();
        totals.write(&transaction, place, &self.keys)?;
        place.sql("change", transaction.commit())?;
        self.totals = totals;
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

/// Opens a store that another thread has open for writing.
pub struct Beside {
    path: PathBuf,
    keys: Keys,
}

impl Beside {
    /// For reading, with a connection of its own.
    ///
    /// # Errors
    /// As [`Store::open_read_only`].
    pub fn open(self) -> Result<Store> {
        let Self { path, keys } = self;
        let connection = open::beside(&path, PATIENCE)?;
        Store::of(connection, keys, &path)
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
