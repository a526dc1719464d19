//! One transaction of the log while it is made.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::row::Row;
use super::store::{COLUMNS, Cursor, State, cursor_mac, row_of, signed, unsigned};
use crate::base::error::Result;
use crate::base::sqlite::Place;
use crate::err;
use crate::gallery::crypt::Key;

/// What a transaction changes. Nothing of it holds before the commit.
pub(super) struct Draft<'c> {
    connection: &'c Connection,
    place: &'c Place,
    key: &'c Key,
    pub state: State,
    pub sinks: BTreeMap<String, Cursor>,
}

impl<'c> Draft<'c> {
    pub fn new(
        connection: &'c Connection,
        place: &'c Place,
        key: &'c Key,
        state: State,
        sinks: BTreeMap<String, Cursor>,
    ) -> Self {
        Self { connection, place, key, state, sinks }
    }

    /// What memory takes over after the commit.
    pub fn finish(self) -> Result<(State, BTreeMap<String, Cursor>)> {
        Ok((self.state, self.sinks))
    }

    /// The next row's sequence.
    pub fn next(&self) -> u64 {
        self.state.last + 1
    }

    /// Appends the next row.
    ///
    /// # Errors
    /// As SQLite.
    pub fn append(&mut self, row: &Row) -> Result<()> {
        if row.first != self.next() {
            return Err(err!(Software, "event {} does not follow {}", row.first, self.state.last));
        }
        self.put(row)?;
        self.state.last = row.sequence;
        Ok(())
    }

    fn put(&self, row: &Row) -> Result<()> {
        let sql = "INSERT INTO events (sequence, first, at, kind, lists, identity, body, personal, mac)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let mac = row.mac(self.key, self.state.epoch);
        let identity = row.identity.map(|id| *id.0.as_bytes());
        let values = (
            signed(row.sequence),
            signed(row.first),
            row.at,
            &row.kind,
            &row.lists,
            identity,
            &row.body,
            &row.personal,
            mac,
        );
        let insert = self.connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values));
        self.place.sql("write to", insert).map(drop)
    }

    /// Moves a sink's cursor forward.
    ///
    /// # Errors
    /// As SQLite.
    pub fn move_cursor(&mut self, name: &str, sequence: u64) -> Result<()> {
        let Some(cursor) = self.sinks.get(name).copied() else { return Ok(()) };
        let sequence = sequence.min(self.state.last);
        if sequence <= cursor.sequence {
            return Ok(());
        }
        self.set_cursor(name, Cursor { sequence, ..cursor })
    }

    /// Makes or changes a sink's cursor.
    ///
    /// # Errors
    /// As SQLite.
    pub fn set_cursor(&mut self, name: &str, cursor: Cursor) -> Result<()> {
        let sql = "INSERT INTO sinks (name, required, cursor, mac) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (name) DO UPDATE SET required = excluded.required, cursor = excluded.cursor, mac = excluded.mac";
        let mac = cursor_mac(self.key, self.state.epoch, name, cursor);
        let values = (name, i64::from(cursor.required), signed(cursor.sequence), mac);
        let put = self.connection.prepare_cached(sql).and_then(|mut put| put.execute(values));
        self.place.sql("write to", put)?;
        self.sinks.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// Takes a sink out that is not configured any more, with its dead letters.
    ///
    /// # Errors
    /// As SQLite.
    pub fn remove_sink(&mut self, name: &str) -> Result<()> {
        self.execute("DELETE FROM sinks WHERE name = ?1", [name])?;
        self.execute("DELETE FROM dead WHERE sink = ?1", [name])?;
        self.sinks.remove(name);
        Ok(())
    }

    /// Notes that a sink refused an event for good.
    ///
    /// # Errors
    /// As SQLite.
    pub fn bury(&self, sink: &str, sequence: u64, at: i64, why: &str) -> Result<()> {
        let sql = "INSERT INTO dead (sink, sequence, at, why) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.execute(sql, (sink, signed(sequence), at, why)).map(drop)
    }

    /// Puts one row in the place of all rows from that of `row.first` to that of `row.sequence`.
    ///
    /// # Errors
    /// As SQLite.
    pub fn replace(&mut self, row: &Row) -> Result<()> {
        self.execute(
            "DELETE FROM events WHERE sequence BETWEEN ?1 AND ?2",
            (signed(row.first), signed(row.sequence)),
        )?;
        self.forget_dead(row.first, row.sequence)?;
        self.put(row)
    }

    /// The rows of `which`, a table or a query, with their sequence; `None` for one that is not as it was written.
    ///
    /// # Errors
    /// As SQLite.
    pub fn rows(&self, which: &str, values: impl rusqlite::Params) -> Result<Vec<(u64, Option<Row>)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row_of(row).ok()));
        let rows = self.query(&format!("SELECT {COLUMNS} FROM {which}"), values, read)?;
        let whole = |row: Option<(Row, [u8; 32])>| {
            row.filter(|(row, mac)| self.is_whole(row, mac)).map(|(row, _)| row)
        };
        Ok(rows.into_iter().map(|(sequence, row)| (sequence, whole(row))).collect())
    }

    fn is_whole(&self, row: &Row, mac: &[u8; 32]) -> bool {
        row.first <= row.sequence && row.mac(self.key, self.state.epoch) == *mac
    }

    /// The first sequence that the row of `sequence` can stand for, if that of the row before it is true.
    ///
    /// # Errors
    /// As SQLite.
    pub fn begin_of(&self, sequence: u64) -> Result<u64> {
        let sql = "SELECT max(sequence) FROM events WHERE sequence < ?1";
        let before = self.query(sql, [signed(sequence)], |row| row.get::<_, Option<i64>>(0))?.pop().flatten();
        Ok(before.map_or(self.state.first, |before| unsigned(before) + 1))
    }

    /// What of a range is not as it was written, or is not there.
    ///
    /// # Errors
    /// As SQLite.
    pub fn damaged(&self, first: u64, last: u64) -> Result<Vec<(u64, u64)>> {
        let which = "events WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence";
        let rows = self.rows(which, (signed(first), signed(last)))?;
        let (mut next, mut damaged) = (first, Vec::new());
        for row in rows.into_iter().filter_map(|(_, row)| row) {
            if row.sequence < next {
                continue;
            }
            if row.first > next {
                damaged.push((next, row.first - 1));
            }
            next = row.sequence + 1;
        }
        if next <= last {
            damaged.push((next, last));
        }
        Ok(damaged)
    }

    /// Takes away all rows up to that of `sequence`, from the front of the log. A row that stands for more than that stays whole.
    ///
    /// # Errors
    /// As SQLite.
    pub fn cut_front(&mut self, sequence: u64) -> Result<()> {
        let sql = "SELECT max(sequence) FROM events WHERE sequence <= ?1";
        let last = self.query(sql, [signed(sequence)], |row| row.get::<_, Option<i64>>(0))?.pop().flatten();
        let Some(sequence) = last.map(unsigned) else { return Ok(()) };
        self.execute("DELETE FROM events WHERE sequence <= ?1", [signed(sequence)])?;
        self.forget_dead(0, sequence)?;
        self.state.first = self.state.first.max(sequence + 1);
        Ok(())
    }

    /// Dead letters are about rows that are there.
    fn forget_dead(&self, from: u64, to: u64) -> Result<()> {
        let sql = "DELETE FROM dead WHERE sequence BETWEEN ?1 AND ?2";
        self.execute(sql, (signed(from), signed(to))).map(drop)
    }

    /// What a query gives, for planning.
    ///
    /// # Errors
    /// As SQLite.
    pub fn query<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.place.sql("read", self.connection.prepare_cached(sql))?;
        let rows = self.place.sql("read", statement.query_map(values, read))?;
        rows.map(|row| self.place.sql("read", row)).collect()
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        self.place
            .sql("write to", self.connection.prepare_cached(sql).and_then(|mut run| run.execute(values)))
    }
}
