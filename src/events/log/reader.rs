//! Reading the log beside the thread that writes it.

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::row::Row;
use super::store::{self, COLUMNS, State, row_of, signed, unsigned};
use crate::base::error::Result;
use crate::base::sqlite::Place;
use crate::gallery::crypt::Key;

/// What stands at some place of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// An event, or the loss event that stands for a range: as it was accepted.
    Row(Box<Row>),
    /// Retention took these.
    Expired(u64, u64),
    /// These are not as they were written. They are never delivered.
    Damaged(u64, u64),
}

/// A part of the log, as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub state: State,
    pub found: Vec<Found>,
    /// The last sequence that was looked at.
    pub until: u64,
}

/// A connection that only reads.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) place: Place,
    pub(super) key: Key,
}

impl Reader {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// As SQLite.
    pub fn open(path: &Path, key: &Key) -> Result<Self> {
        let (connection, place) = store::beside(path)?;
        Ok(Self { connection, place, key: key.clone() })
    }

    /// Opens the log at `path`, which may be nobody's now, and changes nothing in it.
    ///
    /// # Errors
    /// As [`store::to_read`].
    pub fn of_any(path: &Path, key: &Key) -> Result<Self> {
        let (connection, place) = store::to_read(path, key)?;
        Ok(Self { connection, place, key: key.clone() })
    }

    /// What comes after `cursor`, `most` rows of it, up to `limit`. Of another epoch than `of` nothing is read but the state.
    ///
    /// # Errors
    /// As SQLite; `Data`, when the file is damaged.
    pub fn after(&mut self, of: Option<Uuid>, cursor: u64, limit: u64, most: usize) -> Result<Page> {
        let view = self.place.sql("read", self.connection.unchecked_transaction())?;
        let state = store::read_state(&view, &self.place, &self.key)?;
        let mut page = Page { state, found: Vec::new(), until: cursor };
        if of.is_some_and(|of| of != state.epoch) {
            return Ok(page);
        }
        let last = state.last.min(limit);
        let mut next = cursor.saturating_add(1);
        if next < state.first {
            page.found.push(Found::Expired(next, state.first - 1));
            next = state.first;
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE sequence >= ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3"
        );
        let mut statement = self.place.sql("read", view.prepare_cached(&sql))?;
        let values = (signed(next), signed(last), i64::try_from(most).unwrap_or(i64::MAX));
        // A value of another type, or text that is none: the row was altered, and the file is whole.
        let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row_of(row).ok()));
        let rows = self.place.sql("read", statement.query_map(values, read))?;
        let mut count = 0;
        for row in rows {
            let (sequence, row) = self.place.sql("read", row)?;
            count += 1;
            let (found, sequence) = match row {
                Some((row, mac)) => self.looked_at(row, mac, state.epoch, next),
                None => (vec![Found::Damaged(next, sequence)], sequence),
            };
            page.found.extend(found);
            next = next.max(sequence.saturating_add(1));
        }
        // Fewer than asked for: there are no more, and so nothing may be missing at the end.
        if count < most && next <= last {
            page.found.push(Found::Damaged(next, last));
            next = last + 1;
        }
        page.until = next - 1;
        Ok(page)
    }

    /// What a row is, with what is missing before it.
    fn looked_at(&self, row: Row, mac: [u8; 32], epoch: Uuid, next: u64) -> (Vec<Found>, u64) {
        let sequence = row.sequence;
        if row.mac(&self.key, epoch) != mac || row.first > sequence {
            return (vec![Found::Damaged(next, sequence)], sequence);
        }
        let mut found = Vec::new();
        if row.first > next {
            found.push(Found::Damaged(next, row.first - 1));
        }
        // Who comes back in the middle of a range is told of what is left of it.
        let first = row.first.max(next);
        found.push(if row.is_expired() {
            Found::Expired(first, sequence)
        } else {
            Found::Row(Box::new(row))
        });
        (found, sequence)
    }
}
