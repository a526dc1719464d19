//! The log as its operator looks at it: any part of it, at any time, beside a daemon that writes it or without one.
//!
//! ```text
//!   events.db ◀── read only, a connection for each question ── Inspector ──▶ parts, sinks, dead letters, heads
//!                 no order to the writer, no cursor moves                      what is missing or damaged is told in its place
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Shared;
use super::head::{Head, HeadFile, Witness};
use super::reader::{Found, Reader};
use super::ring::Ring;
use super::store::{self, State, signed, unsigned};
use super::verify::{Verified, verify};
use crate::base::error::Result;
use crate::events::Event;
use crate::gallery::crypt::Key;

/// Rows that are read in one transaction.
const CHUNK: usize = 64;

/// Most characters that are told of why an event was refused.
const REASON: i64 = 2000;

/// Looks at a log and changes nothing. Cheap to clone; may be asked from many threads at once.
#[derive(Clone)]
pub struct Inspector {
    path: PathBuf,
    key: Key,
    ring: Arc<dyn Ring>,
    /// Of the log that this process writes.
    running: Option<Arc<Shared>>,
}

/// What stands at some place of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An event. A loss event stands for all from `first` to `sequence`.
    Event {
        /// The first number it stands for.
        first: u64,
        /// Its number.
        sequence: u64,
        /// When it was accepted, milliseconds since 1970.
        at: i64,
        /// The event.
        event: Box<Event>,
    },
    /// Retention took these.
    Gone {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// These are not as they were written, or are missing.
    Damaged {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A later version of this program wrote this one.
    Unread {
        /// Its number.
        sequence: u64,
    },
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which events there were at that moment. Of another epoch than was asked for, nothing else was read.
    pub state: State,
    /// What stands after the cursor, in order.
    pub pieces: Vec<Piece>,
    /// The cursor after them.
    pub until: u64,
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Whether what it has not had is kept.
    pub required: bool,
    /// The last sequence that it has had, or that was not for it.
    pub cursor: u64,
    /// Events that it refused for good and that are still there.
    pub dead: u64,
    /// When the first event after its cursor was accepted, milliseconds since 1970.
    pub waiting_since: Option<i64>,
}

/// An event that a sink refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The sink.
    pub sink: String,
    /// The event's number.
    pub sequence: u64,
    /// When it was given up, milliseconds since 1970.
    pub at: i64,
    /// What the sink said.
    pub why: String,
}

impl Inspector {
    /// Of the log at `path`, whose rows this key binds.
    pub fn new(path: &Path, key: &Key, ring: Arc<dyn Ring>) -> Self {
        Self { path: path.to_owned(), key: key.clone(), ring, running: None }
    }

    pub(super) fn of_running(self, shared: Arc<Shared>) -> Self {
        Self { running: Some(shared), ..self }
    }

    fn reader(&self) -> Result<Reader> {
        Reader::of_any(&self.path, &self.key)
    }

    /// What comes after `cursor`, at most so many rows, and about so many bytes of events. Of another epoch than `of`, nothing.
    ///
    /// # Errors
    /// `NoInput`, where there is no log; as SQLite; `Data`, when the file itself is damaged, or the key is another.
    pub fn after(&self, of: Option<Uuid>, cursor: u64, rows: usize, bytes: usize) -> Result<Part> {
        let mut reader = self.reader()?;
        let mut page = reader.after(of, cursor, u64::MAX, rows.min(CHUNK))?;
        let mut part = Part { state: page.state, pieces: Vec::new(), until: cursor };
        let (mut looked, mut size) = (0, 0);
        loop {
            looked += page.found.len();
            for found in page.found {
                part.pieces.push(self.piece(found, page.state.epoch, &mut size));
            }
            let stuck = page.until <= part.until;
            part.until = page.until;
            if stuck || looked >= rows || size >= bytes {
                return Ok(part);
            }
            let more = (rows - looked).min(CHUNK);
            page = reader.after(Some(part.state.epoch), part.until, u64::MAX, more)?;
            if page.state.epoch != part.state.epoch {
                return Ok(part);
            }
            part.state = page.state;
        }
    }

    fn piece(&self, found: Found, epoch: Uuid, size: &mut usize) -> Piece {
        match found {
            Found::Expired(first, last) => Piece::Gone { first, last },
            Found::Damaged(first, last) => Piece::Damaged { first, last },
            Found::Row(row) => {
                *size += row.body.len();
                let (first, sequence, at) = (row.first, row.sequence, row.at);
                row.event(epoch, &*self.ring).map_or(Piece::Unread { sequence }, |event| Piece::Event {
                    first,
                    sequence,
                    at,
                    event: Box::new(event),
                })
            }
        }
    }

    /// Waits until there is something after `cursor` in that epoch, or another one, at most `time`. True at the log's end, and of a
    /// log that this process does not write.
    pub fn wait(&self, epoch: Uuid, cursor: u64, time: Duration) -> bool {
        self.running.as_ref().is_none_or(|shared| shared.bell.wait(epoch, cursor, time))
    }

    /// Which events there are, and the cursor that has `rows` rows behind it, up to the one that ends at `before`.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn back(&self, before: Option<u64>, rows: u64) -> Result<(State, u64)> {
        let sql = "SELECT sequence FROM events WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2";
        self.cursor(sql, (signed(before.unwrap_or(u64::MAX)), signed(rows)), |state| {
            state.first.saturating_sub(1)
        })
    }

    /// Which events there are, and the cursor before the first one that was accepted at that time or later.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn since(&self, at: i64) -> Result<(State, u64)> {
        let sql = "SELECT first - 1 FROM events WHERE at >= ?1 ORDER BY sequence LIMIT 1";
        self.cursor(sql, [at], |state| state.last)
    }

    fn cursor(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        otherwise: impl FnOnce(&State) -> u64,
    ) -> Result<(State, u64)> {
        let Reader { connection, place, key } = &self.reader()?;
        let view = place.sql("read", connection.unchecked_transaction())?;
        let state = store::read_state(&view, place, key)?;
        let cursor = match view.query_row(sql, values, |row| row.get::<_, i64>(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => otherwise(&state),
            cursor => unsigned(place.sql("read", cursor)?),
        };
        Ok((state, cursor))
    }

    /// Which events there are, and the number of the event of that id.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn find(&self, id: Uuid) -> Result<(State, Option<u64>)> {
        let Reader { connection, place, key } = &self.reader()?;
        let view = place.sql("read", connection.unchecked_transaction())?;
        let state = store::read_state(&view, place, key)?;
        // The log has no index of ids: whoever asks has time, and others do not wait for it.
        let sql = "SELECT sequence, body FROM events WHERE instr(body, ?1) > 0 ORDER BY sequence";
        let mut statement = place.sql("read", view.prepare(sql))?;
        let wanted = format!("\"id\":\"{id}\"").into_bytes();
        let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row.get::<_, Vec<u8>>(1)?));
        for row in place.sql("read", statement.query_map([wanted], read))? {
            let (sequence, body) = place.sql("read", row)?;
            if serde_json::from_slice::<Event>(&body).is_ok_and(|event| event.id == id) {
                return Ok((state, Some(sequence)));
            }
        }
        Ok((state, None))
    }

    /// Which events there are, and how far each sink is, by name.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn sinks(&self) -> Result<(State, Vec<Standing>)> {
        let Reader { connection, place, key } = &self.reader()?;
        let view = place.sql("read", connection.unchecked_transaction())?;
        let state = store::read_state(&view, place, key)?;
        let number =
            |sql: &str, value: &dyn rusqlite::ToSql| match view.query_row(sql, [value], |row| row.get(0)) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
                read => place.sql("read", read).map(Some),
            };
        let dead = "SELECT count(*) FROM dead WHERE sink = ?1";
        let next = "SELECT at FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT 1";
        let mut standings = Vec::new();
        for (name, cursor) in store::read_sinks(&view, place, key, state.epoch, state.first)?.0 {
            standings.push(Standing {
                dead: number(dead, &name)?.map_or(0, unsigned),
                waiting_since: number(next, &signed(cursor.sequence))?,
                required: cursor.required,
                cursor: cursor.sequence,
                name,
            });
        }
        Ok((state, standings))
    }

    /// Dead letters, by sink and number, at most so many: of all sinks or one, about all events or one, behind that one.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn dead(
        &self,
        sink: Option<&str>,
        sequence: Option<u64>,
        behind: Option<(&str, u64)>,
        most: usize,
    ) -> Result<Vec<DeadLetter>> {
        let Reader { connection, place, .. } = &self.reader()?;
        let sql = "SELECT sink, sequence, at, substr(why, 1, ?6) FROM dead
                   WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR sequence = ?2) AND (sink, sequence) > (?3, ?4)
                   ORDER BY sink, sequence LIMIT ?5";
        let (after, number) = behind.unwrap_or(("", 0));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = (sink, sequence.map(signed), after, signed(number), most, REASON);
        let read = |row: &rusqlite::Row<'_>| {
            let (sink, sequence) = (row.get(0)?, unsigned(row.get(1)?));
            Ok(DeadLetter { sink, sequence, at: row.get(2)?, why: row.get(3)? })
        };
        let mut statement = place.sql("read", connection.prepare(sql))?;
        let rows = place.sql("read", statement.query_map(values, read))?;
        rows.map(|row| place.sql("read", row)).collect()
    }

    /// The head, to keep elsewhere.
    ///
    /// # Errors
    /// As [`Inspector::after`].
    pub fn head(&self) -> Result<Head> {
        let Reader { connection, place, key } = &self.reader()?;
        Ok(Head::of(key, &store::read_state(connection, place, key)?))
    }

    /// Looks at every row, and at what the file beside the log says of where it ended.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(&self) -> Result<(Verified, Witness)> {
        // First: it never tells of more than there was when it was read.
        let beside = HeadFile::beside(&self.path).look(&self.key)?;
        Ok((verify(&self.path, &self.key, &*self.ring, None)?, beside))
    }

    /// What a head that was kept is worth.
    pub fn witness(&self, head: Head) -> Witness {
        if head.is_ours(&self.key) { Witness::Head(head) } else { Witness::NotOurs }
    }
}
