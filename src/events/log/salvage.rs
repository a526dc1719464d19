//! What can be read of a damaged log goes on in a new one, of a new epoch.
//!
//! ```text
//!   events.db (damaged) ──read row by row──▶ events.db.salvaged (new epoch) ──whole, closed──▶ ┐
//!     └ its first page from the new one                                                         ├─▶ events.db
//!   events.db ─renamed─▶ events.db.damaged, with its journal (kept for whoever wants to know) ──┘
//!   a kill before the first rename: done again; behind it: the rest is done at the next start
//! ```
//!
//! Rows keep their events' ids, so that whoever has had one drops it. Sequences are new; what cannot be read is told by a loss
//! event in its place, with the range it had.

pub(super) mod mend;
mod rows;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use super::SinkPlace;
use super::head::Head;
use super::loss::Teller;
use super::ring::Ring;
use super::row::Row;
use super::store::{self, Cursor, State, Store, is_damage};
use super::writer::settle_sinks;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::base::sqlite::Place;
use crate::events::{Data, Event, Lost, LostReason};
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
    /// The configured sinks.
    pub sinks: &'a [SinkPlace],
    pub tell: &'a Teller,
    /// Where it ended, as far as is known.
    pub head: Option<Head>,
    pub now: Timestamp,
}

/// The file of a half-made new log.
pub(super) fn salvaged(path: &Path) -> PathBuf {
    beside(path, ".salvaged")
}

/// What the name of a damaged log that was put aside ends with.
const DAMAGED: &str = ".damaged";

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Finishes what was begun when the damaged log had been put aside already, and takes away what had come less far. True if the saved
/// log is in its place now.
///
/// # Errors
/// As renaming a file.
pub(super) fn finish_begun(path: &Path) -> Result<bool> {
    let new = salvaged(path);
    if !new.exists() {
        return Ok(false);
    }
    if path.exists() {
        remove_with_journal(&new);
        return Ok(false);
    }
    take_the_place(path, &new)?;
    Ok(true)
}

/// The rest, once the damaged log itself is aside. Its journal must not be found beside the new one, which it would be played into.
fn take_the_place(path: &Path, new: &Path) -> Result<()> {
    for ending in ["-wal", "-shm"] {
        let journal = beside(path, ending);
        if journal.exists() {
            durable::rename(&journal, &beside(&beside(path, DAMAGED), ending))?;
        }
    }
    faults::point("events.journal-aside");
    durable::rename(new, path)?;
    faults::point("events.saved");
    Ok(())
}

impl Rescue<'_> {
    /// Saves what can be read.
    ///
    /// # Errors
    /// As SQLite and renaming files; what was there stays as it was, or is put aside and [`finish_begun`] does the rest.
    pub fn run(&self) -> Result<Saved> {
        let new = salvaged(self.path);
        remove_with_journal(&new);
        let mut to = Store::create(&new, self.key, Uuid::now_v7())?;
        // So that the first page is in the file.
        to.checkpoint();
        let saved = self.old(&new).copy(self, &mut to)?;
        mend::remove(self.path);
        to.close()?;
        faults::point("events.salvaged");
        let aside = beside(self.path, DAMAGED);
        remove_with_journal(&aside);
        if self.path.exists() {
            durable::rename(self.path, &aside)?;
        }
        faults::point("events.set-aside");
        take_the_place(self.path, &new)?;
        Ok(saved)
    }

    /// The damaged log, with its first page mended if that helps.
    fn old(&self, new: &Path) -> Old {
        let mended = mend::first_page(self.path, new).map(|mended| Old::open(&mended, self.key));
        let read = mended.filter(|old| old.connection.is_some() && old.epoch(self).is_some());
        read.unwrap_or_else(|| Old::open(self.path, self.key))
    }
}

pub(super) fn remove_with_journal(path: &Path) {
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
        let sample = rows::sample(connection, SAMPLE);
        let own = sample.iter().filter_map(|(row, _)| row.epoch_in_body());
        let candidates: Vec<Uuid> = head.into_iter().chain(raw).chain(own).collect();
        let holds = |epoch: &Uuid| sample.iter().any(|(row, mac)| row.mac(rescue.key, *epoch) == *mac);
        candidates.into_iter().find(holds).or(head)
    }

    fn copy(self, rescue: &Rescue<'_>, to: &mut Store) -> Result<Saved> {
        let from = self.epoch(rescue);
        let head = rescue.head.filter(|head| from == Some(head.epoch));
        let first = self.state.map(|state| state.first);
        let ends = [self.state.map(|state| state.last), head.map(|head| head.last)];
        let last = ends.into_iter().flatten().max();
        let saved = Saved { from, events: 0, lost: 0 };
        let mut copy = Copy { rescue, from, to, next: first, saved, map: Vec::new() };
        if let (Some((connection, _)), Some(from)) = (&self.connection, from) {
            let mut rows = Vec::new();
            let holds = |row: &Row, mac: &[u8; 32]| row.mac(rescue.key, from) == *mac;
            rows::walk(connection, first, last, &holds, &mut |row| {
                rows.push(row);
                if rows.len() == AT_ONCE { copy.take(std::mem::take(&mut rows)) } else { Ok(()) }
            })?;
            copy.take(rows)?;
        }
        copy.finish(last)?;
        let (saved, map) = (copy.saved, copy.map);
        self.copy_sinks(rescue, from, to, &map)?;
        Ok(saved)
    }

    /// Sinks go on behind what they have had. One whose cursor cannot be read, or is not there, begins with the first that
    /// was saved.
    fn copy_sinks(
        &self,
        rescue: &Rescue<'_>,
        from: Option<Uuid>,
        to: &mut Store,
        map: &[(u64, u64)],
    ) -> Result<()> {
        let read = self.connection.as_ref().zip(from).and_then(|((connection, place), from)| {
            store::read_sinks(connection, place, rescue.key, from, 1).ok()
        });
        let (sinks, _) = read.unwrap_or_default();
        to.write(|draft| {
            for (name, cursor) in &sinks {
                let had = map.iter().take_while(|(old, _)| *old <= cursor.sequence).last();
                let sequence = had.map_or(0, |(_, new)| *new);
                draft.set_cursor(name, Cursor { sequence, ..*cursor })?;
            }
            Ok(())
        })?;
        // A sink that the damaged log does not know may be one whose row cannot be reached any more.
        to.cursors_whole = false;
        settle_sinks(to, rescue.sinks)
    }
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
    fn finish(&mut self, last: Option<u64>) -> Result<()> {
        let Self { rescue, from, to, next, saved, .. } = self;
        let next = next.unwrap_or(1);
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
    let loss = Lost { of_log: Some(from), ..Lost::range(LostReason::Salvaged, first, last) };
    let event = (rescue.tell)(&loss, rescue.now);
    let sequence = draft.next();
    draft.append(&Row::of(event, draft.state.epoch, sequence, rescue.now, rescue.ring)?)
}

/// The event and when it was accepted, for its new place: the name is bound to the place, and sealed anew there. A loss event's numbers
/// are those of the epoch that it was of.
fn again(row: &Row, from: Uuid, rescue: &Rescue<'_>) -> Result<(Event, Timestamp)> {
    let at = Timestamp::from_millisecond(row.at).unwrap_or(rescue.now);
    let mut event = row.event(from, rescue.ring)?;
    if let Data::Lost(lost) = &mut event.data
        && lost.first.is_some()
    {
        lost.of_log.get_or_insert(from);
    }
    Ok((event, at))
}

/// True if saving what can be read is what this error asks for.
pub(super) fn is_called_for(error: &Error) -> bool {
    is_damage(error)
}
