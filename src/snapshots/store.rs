//! The store's file: sealed rows in, sealed rows out, and what is deleted is overwritten.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

use super::schema::{self, NAMES};
use super::sealed::{About, Row};
use crate::base::error::{Error, Kind, Result};
use crate::base::sqlite::{self, Place};
use crate::types::ids::IdentityId;

/// How long to wait for another process's transaction: a tool that forgets somebody while no daemon runs takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the budget that are the write-ahead log's.
const WAL: u64 = 6 << 20;
/// Rows that go at a time where room is needed.
const AT_ONCE: i64 = 16;

/// The open store.
pub(super) struct Store {
    connection: Connection,
    place: Place,
}

impl Store {
    /// Opens the store at `path`, which is made if there is none. One that is damaged goes, with everything in it: what nobody can
    /// account for must not lie about for longer than it may.
    ///
    /// # Errors
    /// As SQLite; `Config`, when it is another program's file or a newer version's.
    pub fn open(path: &Path) -> Result<Self> {
        sqlite::make_folder(&Place::new(path, &NAMES))?;
        match Self::connect(path) {
            Err(error) if error.kind() == Kind::Data => {
                tracing::error!(
                    error = error.chain(),
                    "the snapshot store is damaged: it is deleted, with all snapshots"
                );
                remove(path)?;
                Self::connect(path)
            }
            opened => opened,
        }
    }

    /// Opens the store that is there; `None`, where there is none.
    ///
    /// # Errors
    /// As SQLite, also when it is damaged.
    pub fn open_existing(path: &Path) -> Result<Option<Self>> {
        if path.exists() { Self::connect(path).map(Some) } else { Ok(None) }
    }

    fn connect(path: &Path) -> Result<Self> {
        let place = Place::new(path, &NAMES);
        sqlite::refuse_folder(&place)?;
        sqlite::make_file(&place)?;
        let mut connection = sqlite::connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE)?;
        let there = schema::inspect(&connection, &place)?;
        sqlite::harden(&connection, &place)?;
        if there {
            sqlite::check(&connection, &place)?;
        } else {
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let transaction = place.sql("make", begun)?;
            schema::create(&transaction, &place)?;
            place.sql("make", transaction.commit())?;
        }
        Ok(Self { connection, place })
    }

    /// Stores a row: it is on the disk when this returns.
    ///
    /// # Errors
    /// As SQLite.
    pub fn put(&mut self, row: &Row) -> Result<()> {
        let About { id, identity, event, taken, until } = &row.about;
        let sql = "INSERT INTO snapshots (id, identity, event, taken, until, face, scene)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let identity = identity.map(|id| *id.0.as_bytes());
        let values = params![id.as_bytes(), identity, event.as_bytes(), taken, until, row.face, row.scene];
        let done = self.connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values));
        self.place.sql("write to", done).map(drop)
    }

    /// The row of that id.
    ///
    /// # Errors
    /// As SQLite.
    pub fn get(&self, id: Uuid) -> Result<Option<Row>> {
        let sql = "SELECT identity, event, taken, until, face, scene FROM snapshots WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let identity: Option<[u8; 16]> = row.get(0)?;
            let about = About {
                id,
                identity: identity.map(|id| IdentityId(Uuid::from_bytes(id))),
                event: Uuid::from_bytes(row.get(1)?),
                taken: row.get(2)?,
                until: row.get(3)?,
            };
            Ok(Row { about, face: row.get(4)?, scene: row.get(5)? })
        };
        self.place.sql("read", self.connection.query_row(sql, [id.as_bytes()], read).optional())
    }

    /// How many there are of these identities.
    ///
    /// # Errors
    /// As SQLite.
    pub fn count_of(&self, identities: &[IdentityId]) -> Result<u64> {
        let sql = "SELECT count(*) FROM snapshots WHERE identity = ?1";
        let count = |id: &IdentityId| self.number(sql, [*id.0.as_bytes()]);
        identities.iter().map(count).sum()
    }

    /// Everybody of whom there are any.
    ///
    /// # Errors
    /// As SQLite.
    pub fn identities(&self) -> Result<Vec<IdentityId>> {
        let sql = "SELECT DISTINCT identity FROM snapshots WHERE identity IS NOT NULL";
        let mut statement = self.place.sql("read", self.connection.prepare_cached(sql))?;
        let read = |row: &rusqlite::Row<'_>| row.get(0).map(|id| IdentityId(Uuid::from_bytes(id)));
        let rows = self.place.sql("read", statement.query_map([], read))?;
        self.place.sql("read", rows.collect())
    }

    /// Deletes all of these identities; how many.
    ///
    /// # Errors
    /// As SQLite.
    pub fn remove_of(&mut self, identities: &[IdentityId]) -> Result<u64> {
        let delete = "DELETE FROM snapshots WHERE identity = ?1";
        let each = |id: &IdentityId| self.execute(delete, [*id.0.as_bytes()]);
        let gone = identities.iter().map(each).sum::<Result<u64>>()?;
        self.wipe(gone);
        Ok(gone)
    }

    /// Deletes these; how many there were.
    ///
    /// # Errors
    /// As SQLite.
    pub fn remove(&mut self, ids: &[Uuid]) -> Result<u64> {
        let delete = "DELETE FROM snapshots WHERE id = ?1";
        let gone = ids.iter().map(|id| self.execute(delete, [*id.as_bytes()])).sum::<Result<u64>>()?;
        self.wipe(gone);
        Ok(gone)
    }

    /// Deletes what may be kept no longer; how many.
    ///
    /// # Errors
    /// As SQLite.
    pub fn expire(&mut self, now: i64) -> Result<u64> {
        let gone = self.execute("DELETE FROM snapshots WHERE until <= ?1", [now])?;
        self.wipe(gone);
        Ok(gone)
    }

    /// Deletes the oldest until the rest fits into the budget; how many.
    ///
    /// # Errors
    /// As SQLite.
    pub fn make_room(&mut self, budget: u64) -> Result<u64> {
        let room = budget.saturating_sub(WAL);
        let oldest =
            "DELETE FROM snapshots WHERE id IN (SELECT id FROM snapshots ORDER BY taken, id LIMIT ?1)";
        let mut gone = 0;
        while self.used()? > room {
            match self.execute(oldest, [AT_ONCE])? {
                0 => break,
                some => gone += some,
            }
        }
        self.wipe(gone);
        Ok(gone)
    }

    /// How many there are.
    ///
    /// # Errors
    /// As SQLite.
    pub fn count(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM snapshots", [])
    }

    /// Bytes of the file that hold something; the file itself never gets smaller, and what is free is used again.
    ///
    /// # Errors
    /// As SQLite.
    pub fn used(&self) -> Result<u64> {
        let pragma = |name: &str| self.number(&format!("PRAGMA {name}"), []);
        let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        Ok(pages * pragma("page_size")?)
    }

    /// Empties the write-ahead log, in which deleted rows still stand, if there were any. Who reads right now keeps it from that;
    /// the next deletion, and the end, try again.
    fn wipe(&self, gone: u64) {
        if gone > 0 {
            self.checkpoint();
        }
    }

    /// Brings what is in the write-ahead log into the file, and empties it.
    pub fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            tracing::debug!(%error, "the snapshot store's write-ahead log stays");
        }
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        self.place.sql("write to", done).map(|rows| rows as u64)
    }

    fn number(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64> {
        let read = self.connection.query_row(sql, values, |row| row.get::<_, i64>(0));
        self.place.sql("read", read).map(|n| u64::try_from(n).unwrap_or(0))
    }
}

/// Takes the file away with the two beside it.
fn remove(path: &Path) -> Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", Path::new(&name), e));
            }
            _ => {}
        }
    }
    Ok(())
}
