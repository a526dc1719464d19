//! The enrolled identities and their templates, in one SQLite file.
//!
//! ```text
//!  meta (generation) ── counts every transaction that changed something
//!  identities (id, name) ◀── templates (identity, model, vector, quality, source, its hash)
//!
//!  command line: writes ──▶ gallery.db (WAL) ◀── reads: daemon, which looks at the generation
//! ```
//!
//! One transaction is one change: after a crash it is there as a whole or not at all. Deleted rows are overwritten
//! in the file (`secure_delete`) and the write-ahead log is emptied after a removal. That wipes what SQLite wrote,
//! not what a copy-on-write file system or a flash drive kept of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::name::Name;
use super::open::{self, FileId, PATIENCE};
use super::queries::Queries;
use super::sql::Place;
use crate::bail;
use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId};

/// An enrolled identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Its id, never reused.
    pub id: IdentityId,
    /// Its name, unique in the gallery.
    pub name: Arc<str>,
    /// When it was added.
    pub created: Timestamp,
    /// Its templates, of all models.
    pub templates: u64,
}

/// A template to add.
pub struct NewTemplate<'a> {
    /// The vector and its model.
    pub embedding: &'a Embedding,
    /// Quality of the face it was made from, 0 to 1.
    pub quality: f32,
    /// Name of the picture's file, for people.
    pub source: &'a str,
    /// SHA-256 of the picture's file.
    pub source_sha256: [u8; 32],
}

/// A template as stored.
pub struct Template {
    /// Its number, never reused.
    pub id: i64,
    /// Whose it is.
    pub identity: IdentityId,
    /// The vector.
    pub embedding: Embedding,
    /// Quality of the face it was made from, 0 to 1.
    pub quality: f32,
    /// Name of the picture's file.
    pub source: String,
}

/// What adding a template did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is stored under this number.
    New(i64),
    /// The same picture was enrolled for this identity and model before; nothing was changed.
    AlreadyThere(i64),
}

/// What enrolling by name did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// The identity.
    pub identity: IdentityId,
    /// True if it was made for this template.
    pub new_identity: bool,
    /// What happened to the template.
    pub template: Added,
}

/// What removing an identity did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Templates removed with it.
    pub templates: u64,
    /// True if the write-ahead log could be emptied too; false while another process reads from it, which
    /// leaves the vectors there until the next checkpoint.
    pub wiped: bool,
}

/// An open store. One thread owns it; other threads and processes open their own.
pub struct Store {
    connection: Connection,
    place: Place,
    file: FileId,
}

impl Store {
    /// Opens for reading and writing; makes the folder (mode 0700) and the file (0600) where missing.
    ///
    /// # Errors
    /// `Data`: no SQLite database, another program's, damaged. `Config`: a folder, or a newer schema.
    /// `Permission`, `NoInput`, `Io`: cannot be opened. `Temporary`: locked for more than 5 s.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, PATIENCE)
    }

    /// As [`Store::open`], waiting at most `patience` for another process, now and later.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_within(path: &Path, patience: Duration) -> Result<Self> {
        let connection = open::writable(path, patience)?;
        Ok(Self { connection, place: Place::new(path), file: open::file_id(path)? })
    }

    /// Opens an existing store for reading.
    ///
    /// # Errors
    /// As [`Store::open`]; `NoInput` when there is none.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let connection = open::read_only(path, PATIENCE)?;
        Ok(Self { connection, place: Place::new(path), file: open::file_id(path)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// True if the path names another file than the one that was opened: a backup was put in its place.
    ///
    /// # Errors
    /// `NoInput`, when it names none.
    pub fn replaced(&self) -> Result<bool> {
        Ok(open::file_id(self.path())? != self.file)
    }

    /// Adds an identity without templates.
    ///
    /// # Errors
    /// `Data`, when the name is taken; else as [`Store::open`].
    pub fn add_identity(&mut self, name: &Name) -> Result<IdentityId> {
        self.write(|t| {
            if let Some(id) = t.identity(name)? {
                bail!(Data, "{} is enrolled already, as {id}", name);
            }
            Ok(Change::Made(t.insert_identity(name)?))
        })
    }

    /// The identity of that name.
    ///
    /// # Errors
    /// `Data`, `Io` or `Temporary`, when the store cannot be read; so for all that follow.
    pub fn identity_by_name(&self, name: &Name) -> Result<Option<IdentityId>> {
        self.queries().identity(name)
    }

    /// Adds a template to an identity, unless the same picture is there already.
    ///
    /// # Errors
    /// `Data`, when there is no such identity.
    pub fn add_template(&mut self, identity: IdentityId, template: &NewTemplate<'_>) -> Result<Added> {
        self.write(|t| {
            t.expect_identity(identity)?;
            let added = t.insert_template(identity, template)?;
            Ok(if matches!(added, Added::New(_)) { Change::Made(added) } else { Change::None(added) })
        })
    }

    /// Adds a template to the identity of that name, which is made if there is none: all or nothing.
    ///
    /// # Errors
    /// `Io` or `Temporary`, when the store cannot be written.
    pub fn enrol(&mut self, name: &Name, template: &NewTemplate<'_>) -> Result<Enrolled> {
        self.write(|t| {
            let known = t.identity(name)?;
            let identity = known.map_or_else(|| t.insert_identity(name), Ok)?;
            let template = t.insert_template(identity, template)?;
            let enrolled = Enrolled { identity, new_identity: known.is_none(), template };
            Ok(if matches!(template, Added::New(_)) {
                Change::Made(enrolled)
            } else {
                Change::None(enrolled)
            })
        })
    }

    /// True if that picture was enrolled under that name for that model.
    ///
    /// # Errors
    /// See [`Store::identity_by_name`].
    pub fn holds(&self, name: &Name, model: ModelId, source_sha256: &[u8; 32]) -> Result<bool> {
        let queries = self.queries();
        let Some(identity) = queries.identity(name)? else { return Ok(false) };
        Ok(queries.template(identity, model, source_sha256)?.is_some())
    }

    /// Removes an identity with all its templates, and wipes them from the file.
    ///
    /// # Errors
    /// `Data`, when there is no such identity.
    pub fn remove_identity(&mut self, identity: IdentityId) -> Result<Removed> {
        let templates = self.write(|t| {
            t.expect_identity(identity)?;
            Ok(Change::Made(t.delete_identity(identity)?))
        })?;
        let busy =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        Ok(Removed { templates, wiped: busy.is_ok_and(|busy| busy == 0) })
    }

    /// All identities, by name.
    ///
    /// # Errors
    /// See [`Store::identity_by_name`].
    pub fn list(&self) -> Result<Vec<Identity>> {
        self.queries().identities()
    }

    /// Counts the changes since the store was made.
    ///
    /// # Errors
    /// See [`Store::identity_by_name`].
    pub fn generation(&self) -> Result<u64> {
        self.queries().generation()
    }

    /// Templates by model.
    ///
    /// # Errors
    /// See [`Store::identity_by_name`].
    pub fn models(&self) -> Result<BTreeMap<ModelId, u64>> {
        self.queries().models()
    }

    /// The model's templates, one identity after another.
    ///
    /// # Errors
    /// `Data`, when a vector is damaged.
    pub fn templates(&self, model: ModelId) -> Result<Vec<Template>> {
        let mut all = Vec::new();
        self.queries().each_template(model, |template| {
            all.push(template);
            Ok(())
        })?;
        Ok(all)
    }

    /// Reads several things as of one moment, whatever is written meanwhile.
    pub(super) fn at_one_moment<T>(&self, read: impl FnOnce(&Queries<'_>) -> Result<T>) -> Result<T> {
        let transaction = self.place.sql("read", self.connection.unchecked_transaction())?;
        read(&Queries { connection: &transaction, place: &self.place })
    }

    fn queries(&self) -> Queries<'_> {
        Queries { connection: &self.connection, place: &self.place }
    }

    /// One transaction; the generation goes up with it if it changed anything.
    fn write<T>(&mut self, change: impl FnOnce(&Queries<'_>) -> Result<Change<T>>) -> Result<T> {
        let place = &self.place;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction: Transaction<'_> = place.sql("change", begun)?;
        match change(&Queries { connection: &transaction, place })? {
            Change::None(value) => Ok(value),
            Change::Made(value) => {
                let sql = "UPDATE meta SET value = value + 1 WHERE key = 'generation'";
                place.sql("change", transaction.execute(sql, []))?;
                place.sql("change", transaction.commit())?;
                Ok(value)
            }
        }
    }
}

/// What a transaction did.
enum Change<T> {
    Made(T),
    None(T),
}
