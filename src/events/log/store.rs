//! The log's file: one connection that writes, and what it knows by heart.
//!
//! ```text
//!   write(|draft| ...)  ── one transaction: rows, cursors, state ── COMMIT waits for the disk ──▶ state and cursors in memory
//!                          fails: nothing has changed
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row as SqlRow, TransactionBehavior};
use uuid::Uuid;

use super::draft::Draft;
use super::row::Row;
use super::salvage::mend;
use super::schema::{self, NAMES};
use crate::base::error::{Kind, Result};
use crate::base::faults;
use crate::base::sqlite::{self, Place};
use crate::err;
use crate::gallery::crypt::{self, Bound, Key};
use crate::types::ids::IdentityId;

/// How long to wait for another process's transaction; ours take milliseconds, and tools only read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The log's epoch: another one from the day on that its file was damaged, lost or put back.
    pub epoch: Uuid,
    /// The first sequence that a row stands for.
    pub first: u64,
    /// The last one; `first - 1`, when there is none.
    pub last: u64,
}

/// How far a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Whether what it has not had is kept.
    pub required: bool,
    /// The last sequence it has had.
    pub sequence: u64,
}

/// The open log.
pub(super) struct Store {
    connection: Connection,
    place: Place,
    key: Key,
    pub state: State,
    pub sinks: BTreeMap<String, Cursor>,
    /// False if a cursor was found damaged, and nobody can say of which sink it was.
    pub cursors_whole: bool,
}

impl Store {
    /// Makes the log at `path`, of that epoch, where there is no file or an empty one.
    ///
    /// # Errors
    /// As SQLite; `Data`, when another program's file is there.
    pub fn create(path: &Path, key: &Key, epoch: Uuid) -> Result<Self> {
        let mut store = Self::connect(path, key)?;
        let state = State { epoch, first: 1, last: 0 };
        let transaction = store
            .place
            .sql("make", store.connection.transaction_with_behavior(TransactionBehavior::Immediate))?;
        schema::create(&transaction, &store.place)?;
        put_state(&transaction, &store.place, key, &state)?;
        store.place.sql("make", transaction.commit())?;
        store.state = state;
        Ok(store)
    }

    /// Opens the log that is there; `None`, where there is none yet.
    ///
    /// # Errors
    /// As SQLite; `Data`, when it is damaged, or under another key.
    pub fn open(path: &Path, key: &Key) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        refuse_damaged_header(path)?;
        let mut store = Self::connect(path, key)?;
        if !identify(&store.connection, &store.place, key)? {
            return Ok(None);
        }
        sqlite::check(&store.connection, &store.place)?;
        store.state = read_state(&store.connection, &store.place, key)?;
        let State { epoch, first, .. } = store.state;
        (store.sinks, store.cursors_whole) = read_sinks(&store.connection, &store.place, key, epoch, first)?;
        check_ends(&store.connection, &store.place, &store.state)?;
        Ok(Some(store))
    }

    fn connect(path: &Path, key: &Key) -> Result<Self> {
        let place = Place::new(path, &NAMES);
        sqlite::refuse_folder(&place)?;
        sqlite::make_file(&place)?;
        let connection = sqlite::connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE)?;
        identify(&connection, &place, key)?;
        sqlite::harden(&connection, &place)?;
        let state = State { epoch: Uuid::nil(), first: 1, last: 0 };
        let sinks = BTreeMap::new();
        Ok(Self { connection, place, key: key.clone(), state, sinks, cursors_whole: true })
    }

    /// Carries a change out: all of it is on the disk, or nothing has changed.
    ///
    /// # Errors
    /// What `change` gives, and SQLite.
    pub fn write<T>(&mut self, change: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<T> {
        let place = &self.place;
        let transaction = place
            .sql("write to", self.connection.transaction_with_behavior(TransactionBehavior::Immediate))?;
        let mut draft = Draft::new(&transaction, place, &self.key, self.state, self.sinks.clone());
        let done = change(&mut draft)?;
        let (state, sinks) = draft.finish()?;
        if state != self.state {
            put_state(&transaction, place, &self.key, &state)?;
        }
        faults::point("events.written");
        place.sql("write to", transaction.commit())?;
        faults::point("events.committed");
        (self.state, self.sinks) = (state, sinks);
        Ok(done)
    }

    /// Bytes of the file that hold something; the file itself never gets smaller, and what is free is used again.
    ///
    /// # Errors
    /// As SQLite.
    pub fn used(&self) -> Result<u64> {
        let number = |pragma: &str| {
            let read = self.connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            self.place.sql("read", read).map(|n| u64::try_from(n).unwrap_or(0))
        };
        let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
        Ok(pages * number("page_size")?)
    }

    /// Closes the log: all of it is in the file, and on the disk.
    ///
    /// # Errors
    /// As SQLite, when something of it is not.
    pub fn close(self) -> Result<()> {
        let Self { connection, place, .. } = self;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        if place.sql("write to", busy)? != 0 {
            return Err(err!(Temporary, "{place}: somebody else has it open"));
        }
        place.sql("write to", connection.close().map_err(|(_, error)| error))
    }

    /// Brings what is in the write-ahead log into the file, for a clean end.
    pub fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            tracing::debug!(%error, "the event log's write-ahead log stays");
        }
    }
}

fn refuse_damaged_header(path: &Path) -> Result<()> {
    if mend::is_header_damaged(path) {
        return Err(err!(Data, "{}: its header is damaged", Place::new(path, &NAMES)));
    }
    Ok(())
}

/// [`schema::inspect`]. A file that says that it is another program's, or a newer version's, while it has a state that this version
/// wrote, has a damaged header. A version with another layout binds its state in another way.
fn identify(connection: &Connection, place: &Place, key: &Key) -> Result<bool> {
    schema::inspect(connection, place).map_err(|error| {
        let ours = error.kind() == Kind::Config && read_state(connection, place, key).is_ok();
        if ours { err!(Data, "{place}: its header is damaged") } else { error }
    })
}

/// Another connection, to read beside the one that writes.
pub(super) fn beside(path: &Path) -> Result<(Connection, Place)> {
    refuse_damaged_header(path)?;
    let place = Place::new(path, &NAMES);
    let connection = sqlite::connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE)?;
    sqlite::set(&connection, &place, "query_only", "1")?;
    Ok((connection, place))
}

/// A connection that only reads, whether a daemon writes meanwhile or not. The file is neither made nor changed.
///
/// # Errors
/// `NoInput`, where there is no log; as SQLite; `Data`, `Config`, when it is another program's, or a newer version's.
pub(super) fn to_read(path: &Path, key: &Key) -> Result<(Connection, Place)> {
    let place = Place::new(path, &NAMES);
    let none = || err!(NoInput, "there is no {place} yet: the daemon makes it when it starts (events.path)");
    sqlite::refuse_folder(&place)?;
    if matches!(path.try_exists(), Ok(false)) {
        return Err(none());
    }
    refuse_damaged_header(path)?;
    let connection = if sqlite::on_read_only(path) {
        sqlite::connect_unchangeable(&place, PATIENCE)?
    } else {
        sqlite::connect(&place, OpenFlags::SQLITE_OPEN_READ_ONLY, PATIENCE)?
    };
    if identify(&connection, &place, key)? { Ok((connection, place)) } else { Err(none()) }
}

/// The state, if it is as this program wrote it.
pub(super) fn read_state(connection: &Connection, place: &Place, key: &Key) -> Result<State> {
    let read = connection.query_row("SELECT epoch, first, last, mac FROM state WHERE id = 1", [], |row| {
        Ok((
            row.get::<_, [u8; 16]>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, [u8; 32]>(3)?,
        ))
    });
    let damaged = || err!(Data, "{place}: its state is damaged, or was written under another key");
    let (epoch, first, last, mac) = match read {
        Err(rusqlite::Error::QueryReturnedNoRows) => return Err(damaged()),
        read => place.sql("read", read)?,
    };
    let state = State { epoch: Uuid::from_bytes(epoch), first: unsigned(first), last: unsigned(last) };
    if state_mac(key, &state) != mac || state.first > state.last + 1 {
        return Err(damaged());
    }
    Ok(state)
}

fn put_state(connection: &Connection, place: &Place, key: &Key, state: &State) -> Result<()> {
    let sql = "INSERT INTO state (id, epoch, first, last, mac) VALUES (1, ?1, ?2, ?3, ?4)
               ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, first = excluded.first, last = excluded.last,
               mac = excluded.mac";
    let row = (state.epoch.as_bytes(), signed(state.first), signed(state.last), state_mac(key, state));
    place.sql("write to", connection.execute(sql, row)).map(drop)
}

fn state_mac(key: &Key, state: &State) -> [u8; 32] {
    let bound = Bound::to("watchlistd event log v1")
        .field(state.epoch.as_bytes())
        .field(state.first.to_le_bytes())
        .field(state.last.to_le_bytes());
    crypt::tag(key, &bound)
}

pub(super) fn cursor_mac(key: &Key, epoch: Uuid, name: &str, cursor: Cursor) -> [u8; 32] {
    let bound = Bound::to("watchlistd event cursor v1")
        .field(epoch.as_bytes())
        .field(name)
        .field([u8::from(cursor.required)])
        .field(cursor.sequence.to_le_bytes());
    crypt::tag(key, &bound)
}

/// Every sink's cursor, and whether all of them are as they were written. One that was changed by something else counts for nothing:
/// events come twice rather than never.
pub(super) fn read_sinks(
    connection: &Connection,
    place: &Place,
    key: &Key,
    epoch: Uuid,
    first: u64,
) -> Result<(BTreeMap<String, Cursor>, bool)> {
    let mut statement =
        place.sql("read", connection.prepare("SELECT name, required, cursor, mac FROM sinks"))?;
    let read = |row: &SqlRow<'_>| -> rusqlite::Result<(String, Cursor, [u8; 32])> {
        let cursor = Cursor { required: row.get::<_, i64>(1)? != 0, sequence: unsigned(row.get(2)?) };
        Ok((row.get(0)?, cursor, row.get(3)?))
    };
    let rows = place.sql("read", statement.query_map([], |row| Ok(read(row).ok())))?;
    let (mut sinks, mut whole) = (BTreeMap::<String, Cursor>::new(), true);
    for row in rows {
        let Some((name, mut cursor, mac)) = place.sql("read", row)? else {
            whole = false;
            continue;
        };
        if cursor_mac(key, epoch, &name, cursor) != mac {
            tracing::error!(
                sink = name,
                "its cursor is damaged: every event that is still there is sent again"
            );
            (cursor.sequence, whole) = (first.saturating_sub(1), false);
        }
        sinks.insert(name, cursor);
    }
    Ok((sinks, whole))
}

/// The first and the last row are where the state says.
fn check_ends(connection: &Connection, place: &Place, state: &State) -> Result<()> {
    let ends = connection.query_row(
        "SELECT (SELECT first FROM events ORDER BY sequence LIMIT 1), (SELECT max(sequence) FROM events)",
        [],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
    );
    let (first, last) = place.sql("read", ends)?;
    let expected = (state.first <= state.last).then_some((state.first, state.last));
    if first.map(unsigned).zip(last.map(unsigned)) != expected {
        return Err(err!(Data, "{place}: its first or last events are gone"));
    }
    Ok(())
}

/// The columns of an event, in the order of [`row_of`].
pub(super) const COLUMNS: &str = "sequence, first, at, kind, lists, identity, body, personal, mac";

/// A row with its MAC, not looked at.
pub(super) fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<(Row, [u8; 32])> {
    let identity: Option<[u8; 16]> = row.get(5)?;
    Ok((
        Row {
            sequence: unsigned(row.get(0)?),
            first: unsigned(row.get(1)?),
            at: row.get(2)?,
            kind: row.get(3)?,
            lists: row.get(4)?,
            identity: identity.map(|id| IdentityId(Uuid::from_bytes(id))),
            body: row.get(6)?,
            personal: row.get(7)?,
        },
        row.get(8)?,
    ))
}

/// SQLite has signed integers only; sequences begin at 1 and never come near the end of them.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// True if the file itself is wrong, and not the disk or its room.
pub(super) fn is_damage(error: &crate::base::error::Error) -> bool {
    error.kind() == Kind::Data
}

/// True if there is no room on the disk.
pub(super) fn is_full(error: &crate::base::error::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    cause.and_then(rusqlite::Error::sqlite_error_code) == Some(rusqlite::ErrorCode::DiskFull)
}
