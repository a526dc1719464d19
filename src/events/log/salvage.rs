//! What can be read of a damaged log goes on in a new one, of a new epoch.
//!
//! ```text
//!   events.db (damaged) ──read row by row──▶ events.db.salvaged (new epoch) ──whole, closed──▶ ┐
//!   events.db ─renamed─▶ events.db.damaged (kept for whoever wants to know)                     ├─▶ events.db
//!   a kill before the first rename: done again; between the two: the second is done at the next start
//! ```
//!
//! Rows keep their events' ids, so that whoever has had one drops it. Sequences are new; what cannot be read is told by a loss
//! event in its place, with the range it had.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use super::head::Head;
use super::loss::Teller;
use super::ring::Ring;
use super::row::Row;
use super::store::{self, COLUMNS, Cursor, State, Store, is_damage, row_of, signed, unsigned};
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::base::sqlite::Place;
use crate::events::Event;
use crate::events::{Lost, LostReason};
use crate::gallery::crypt::Key;

/// Rows copied in one transaction.
const AT_ONCE: usize = 512;

/// What was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// The epoch of before, if it could be read.
    pub from: Option<Uuid>,
    /// Events that were saved.
    pub events: u64,
    /// Events that were not.
    pub lost: u64,
}

/// What is needed to save a log.
pub(super) struct Rescue<'a> {
    pub path: &'a Path,
    pub key: &'a Key,
    pub ring: &'a dyn Ring,
    pub tell: &'a Teller,
    /// Where it ended, as far as is known.
    pub head: Option<Head>,
    pub now: Timestamp,
}

/// The file of a half-made new log.
fn salvaged(path: &Path) -> PathBuf {
    beside(path, ".salvaged")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Finishes what a kill between the two renames left, and takes away what one before them did.
///
/// # Errors
/// As renaming a file.
pub(super) fn finish_begun(path: &Path) -> Result<()> {
    let new = salvaged(path);
    if !new.exists() {
        return Ok(());
    }
    if path.exists() {
        remove_with_journal(&new);
        return Ok(());
    }
    durable::rename(&new, path)
}

impl Rescue<'_> {
    /// Saves what can be read.
    ///
    /// # Errors
    /// As SQLite and renaming files; what was there stays as it was.
    pub fn run(&self) -> Result<Saved> {
        let new = salvaged(self.path);
        remove_with_journal(&new);
        let epoch = Uuid::now_v7();
        let mut to = Store::create(&new, self.key, epoch)?;
        let saved = Old::open(self.path, self.key).copy(self, &mut to)?;
        to.checkpoint();
        drop(to);
        faults::point("events.salvaged");
        self.take_the_place(&new)?;
        Ok(saved)
    }

    fn take_the_place(&self, new: &Path) -> Result<()> {
        let aside = beside(self.path, ".damaged");
        remove_with_journal(&aside);
        for ending in ["-wal", "-shm"] {
            let from = beside(self.path, ending);
            if from.exists() {
                let to = beside(&aside, ending);
                std::fs::rename(&from, &to).map_err(|e| Error::io("put aside", &from, e))?;
            }
        }
        if self.path.exists() {
            durable::rename(self.path, &aside)?;
        }
        faults::point("events.set-aside");
        durable::rename(new, self.path)
    }
}

fn remove_with_journal(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let file = beside(path, ending);
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{} stays: {error}; remove it by hand", file.display());
        }
    }
}

/// The damaged log, as far as it can be read.
struct Old {
    connection: Option<(Connection, Place)>,
    state: Option<State>,
}

/// Reads that may fail one after the other before the rest is given up: where most of the file is gone.
const MOST_FAILURES: u32 = 20_000;

/// Rows that are looked at to tell which epoch they are of.
const SAMPLE: usize = 100;

impl Old {
    fn open(path: &Path, key: &Key) -> Self {
        let connection = store::beside(path).ok();
        let state = connection.as_ref().and_then(|(c, place)| store::read_state(c, place, key).ok());
        Self { connection, state }
    }

    /// The epoch that the rows are of. Where the state is damaged, the head says it, or the rows themselves: whichever their
    /// MACs agree with.
    fn epoch(&self, rescue: &Rescue<'_>) -> Option<Uuid> {
        if let Some(state) = self.state {
            return Some(state.epoch);
        }
        let head = rescue.head.map(|head| head.epoch);
        let Some((connection, _)) = &self.connection else { return head };
        let raw = connection.query_row("SELECT epoch FROM state", [], |row| row.get::<_, [u8; 16]>(0));
        let raw = raw.ok().map(Uuid::from_bytes);
        let sample: Vec<_> = Rows::of(connection).take(SAMPLE).collect();
        let own = sample.iter().filter_map(|(row, _)| row.epoch_in_body());
        let candidates: Vec<Uuid> = head.into_iter().chain(raw).chain(own).collect();
        let holds = |epoch: &Uuid| sample.iter().any(|(row, mac)| row.mac(rescue.key, *epoch) == *mac);
        candidates.into_iter().find(holds).or(head)
    }

    fn copy(self, rescue: &Rescue<'_>, to: &mut Store) -> Result<Saved> {
        let from = self.epoch(rescue);
        let head = rescue.head.filter(|head| from == Some(head.epoch));
        let mut copy =
            Copy { rescue, from, to, next: None, saved: Saved { from, events: 0, lost: 0 }, map: Vec::new() };
        if let (Some((connection, _)), Some(from)) = (&self.connection, from) {
            let mut rows = Vec::new();
            for (row, mac) in Rows::of(connection) {
                if row.mac(rescue.key, from) != mac || row.first > row.sequence {
                    continue;
                }
                rows.push(row);
                if rows.len() == AT_ONCE {
                    copy.take(std::mem::take(&mut rows))?;
                }
            }
            copy.take(rows)?;
        }
        let ends = [self.state.map(|state| state.last), head.map(|head| head.last)];
        copy.finish(ends.into_iter().flatten().max(), self.state.map(|state| state.first))?;
        let (saved, map) = (copy.saved, copy.map);
        if let (Some((connection, place)), Some(state)) = (&self.connection, self.state) {
            copy_sinks(connection, place, rescue.key, &state, to, &map)?;
        }
        Ok(saved)
    }
}

/// Sinks go on behind what they have had. One whose cursor cannot be read begins with the first that was saved.
fn copy_sinks(
    connection: &Connection,
    place: &Place,
    key: &Key,
    state: &State,
    to: &mut Store,
    map: &[(u64, u64)],
) -> Result<()> {
    let Ok(sinks) = store::read_sinks(connection, place, key, state) else { return Ok(()) };
    to.write(|draft| {
        for (name, cursor) in &sinks {
            let had = map.iter().take_while(|(old, _)| *old <= cursor.sequence).last();
            let sequence = had.map_or(0, |(_, new)| *new);
            draft.set_cursor(name, Cursor { sequence, ..*cursor })?;
        }
        Ok(())
    })
}

/// Copies rows, with a loss event where some are missing.
struct Copy<'a> {
    rescue: &'a Rescue<'a>,
    from: Option<Uuid>,
    to: &'a mut Store,
    /// The old sequence that should come next.
    next: Option<u64>,
    saved: Saved,
    /// Where old sequences went.
    map: Vec<(u64, u64)>,
}

impl Copy<'_> {
    fn take(&mut self, rows: Vec<Row>) -> Result<()> {
        let Self { rescue, from, to, next, saved, map } = self;
        let Some(from) = *from else { return Ok(()) };
        to.write(|draft| {
            for row in rows {
                // Of another version, or its name cannot be sealed: lost, as the range that the next one leaves open.
                let moved = if row.is_expired() { None } else { Some(again(&row, from, rescue)) };
                if let Some(Err(error)) = &moved {
                    tracing::warn!(
                        sequence = row.sequence,
                        error = error.chain(),
                        "an event cannot be saved"
                    );
                    next.get_or_insert(row.first);
                    continue;
                }
                let missing = next.filter(|next| *next < row.first).map(|next| (next, row.first - 1));
                *next = Some(row.sequence + 1);
                if let Some((first, last)) = missing {
                    append_loss(draft, rescue, from, first, last)?;
                    saved.lost += last - first + 1;
                }
                let Some(Ok((event, at))) = moved else { continue };
                let sequence = draft.next();
                draft.append(&Row::of(event, draft.state.epoch, sequence, at, rescue.ring)?)?;
                map.push((row.sequence, sequence));
                saved.events += 1;
            }
            Ok(())
        })
    }

    /// What is missing at the end is told as well.
    fn finish(&mut self, last: Option<u64>, first: Option<u64>) -> Result<()> {
        let Self { rescue, from, to, next, saved, .. } = self;
        let next = next.or(first).unwrap_or(1);
        let (Some(from), Some(last)) = (*from, last.filter(|last| *last >= next)) else { return Ok(()) };
        saved.lost += last - next + 1;
        to.write(|draft| append_loss(draft, rescue, from, next, last))
    }
}

fn append_loss(
    draft: &mut super::draft::Draft<'_>,
    rescue: &Rescue<'_>,
    from: Uuid,
    first: u64,
    last: u64,
) -> Result<()> {
    let loss = Lost { of_log: Some(from), ..Lost::range(LostReason::Damaged, first, last) };
    let event = (rescue.tell)(&loss, rescue.now);
    let sequence = draft.next();
    draft.append(&Row::of(event, draft.state.epoch, sequence, rescue.now, rescue.ring)?)
}

/// The event and when it was accepted, for its new place: the name is bound to the place, and sealed anew there.
fn again(row: &Row, from: Uuid, rescue: &Rescue<'_>) -> Result<(Event, Timestamp)> {
    let at = Timestamp::from_millisecond(row.at).unwrap_or(rescue.now);
    Ok((row.event(from, rescue.ring)?, at))
}

/// Every row that can be read, in order. Where a page is broken, what lies on it is passed over.
struct Rows<'c> {
    connection: &'c Connection,
    after: u64,
    failures: u32,
}

impl<'c> Rows<'c> {
    fn of(connection: &'c Connection) -> Self {
        Self { connection, after: 0, failures: 0 }
    }
}

impl Iterator for Rows<'_> {
    type Item = (Row, [u8; 32]);

    fn next(&mut self) -> Option<Self::Item> {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT 1");
        let mut step = 1;
        loop {
            let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row_of(row)));
            let found = self
                .connection
                .prepare_cached(&sql)
                .and_then(|mut s| s.query_row([signed(self.after)], read));
            match found {
                Ok((sequence, row)) => {
                    (self.after, self.failures) = (sequence, 0);
                    match row {
                        Ok(row) => return Some(row),
                        // A value of another type: the row was changed.
                        Err(_) => continue,
                    }
                }
                Err(rusqlite::Error::QueryReturnedNoRows) => return None,
                // Over the broken page, in larger and larger steps, back to small ones behind it.
                Err(_) => {
                    self.after = self.after.checked_add(step)?;
                    step = (step * 2).min(64);
                    self.failures += 1;
                    if self.failures > MOST_FAILURES {
                        return None;
                    }
                }
            }
        }
    }
}

/// True if saving what can be read is what this error asks for.
pub(super) fn is_called_for(error: &Error) -> bool {
    is_damage(error)
}
