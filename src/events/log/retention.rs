//! What goes, and when: by age and list, and at the budget.
//!
//! ```text
//!   first ─────────────── delivered ──────────── last
//!   │ every required sink has had these │ these not │
//!   too old ─▶ gone (`expired`)          kept, whatever their age
//!   at the budget: the oldest go first ─▶ then the oldest of these, and a loss event stands in their place
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::draft::Draft;
use super::row::{LOST, Row};
use super::store::{Cursor, signed, unsigned};
use super::{Options, loss};
use crate::base::error::Result;
use crate::base::faults;
use crate::events::{Lost, LostReason};

/// Bytes of the budget that are the write-ahead log's.
pub(super) const WAL: u64 = 6 << 20;

/// Most rows that one transaction takes away by age: others wait for it.
const AT_ONCE: usize = 5000;

/// How long events are kept, and in how much room.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Events of no list, or of lists without a rule of their own.
    pub keep: Duration,
    /// By list. Of several lists, the longest counts.
    pub lists: BTreeMap<String, Duration>,
    /// Bytes on disk.
    pub budget: u64,
}

impl Rules {
    /// How long events of these lists (a JSON array) are kept.
    fn keep_for(&self, lists: &str) -> Duration {
        let names: Vec<String> = serde_json::from_str(lists).unwrap_or_default();
        let rule = |name: &String| self.lists.get(name).copied().unwrap_or(self.keep);
        names.iter().map(rule).max().unwrap_or(self.keep)
    }
}

/// The last event that every required sink has had.
pub(super) fn delivered(sinks: &BTreeMap<String, Cursor>, last: u64) -> u64 {
    sinks.values().filter(|cursor| cursor.required).map(|cursor| cursor.sequence).min().unwrap_or(last)
}

/// Takes away what is too old and delivered; true if there may be more of it. What a row says of itself counts only if it is as it
/// was written; one that is not leaves a loss, and goes when that is too old.
pub(super) fn expire(draft: &mut Draft<'_>, options: &Options, now: Timestamp) -> Result<bool> {
    let limit = delivered(&draft.sinks, draft.state.last);
    let lists = draft.query("SELECT DISTINCT lists FROM events", [], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for lists in lists {
        let Ok(before) = now.checked_sub(options.rules.keep_for(&lists)) else { continue };
        let most = AT_ONCE.saturating_sub(found.len());
        // The index proposes and the row decides: a damaged index takes nothing away before its time.
        let which = "(SELECT row.* FROM events AS entry JOIN events AS row ON row.sequence = entry.sequence
                      WHERE entry.lists = ?1 AND entry.at < ?2 AND entry.sequence <= ?3
                      AND row.lists = ?1 AND row.at < ?2 AND row.kind <> 'expired' ORDER BY entry.sequence LIMIT ?4)";
        found.extend(draft.rows(which, (lists, before.as_millisecond(), signed(limit), most as i64))?);
    }
    found.sort_unstable_by_key(|(sequence, _)| *sequence);
    let more = found.len() >= AT_ONCE;
    let mut gone = Vec::new();
    for (sequence, row) in found {
        match row {
            Some(row) => gone.push((row.first, sequence)),
            None => loss::tell_damaged(draft, draft.begin_of(sequence)?, sequence, options, now)?,
        }
    }
    for (first, last) in joined(gone) {
        take_away(draft, first, last, now)?;
        faults::point("events.expired");
    }
    Ok(more)
}

/// Ranges that touch each other become one.
fn joined(ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// One row stands for the range from now on, with what retention took before on either side of it; nothing at the front.
fn take_away(draft: &mut Draft<'_>, first: u64, last: u64, now: Timestamp) -> Result<()> {
    let before = draft.rows("events WHERE sequence < ?1 ORDER BY sequence DESC LIMIT 1", [signed(first)])?;
    let after = draft.rows("events WHERE sequence > ?1 ORDER BY sequence LIMIT 1", [signed(last)])?;
    let range = |found: Vec<(u64, Option<Row>)>| {
        let row = found.into_iter().next()?.1?;
        row.is_expired().then_some((row.first, row.sequence))
    };
    let (before, after) = (range(before), range(after));
    let first = before.map_or(first, |(first, _)| first);
    let last = after.map_or(last, |(_, last)| last);
    if first <= draft.state.first {
        draft.cut_front(last)
    } else {
        draft.replace(&Row::expired(first, last, now.as_millisecond()))
    }
}

/// Makes room for `need` bytes: the oldest that were delivered, and where that is not enough the oldest that were not.
pub(super) fn make_room(
    draft: &mut Draft<'_>,
    need: u64,
    options: &Options,
    now: Timestamp,
) -> Result<Option<Lost>> {
    let limit = delivered(&draft.sinks, draft.state.last);
    let Some(until) = oldest(draft, need)? else { return Ok(None) };
    let free = until.min(limit);
    if free >= draft.state.first {
        draft.cut_front(free)?;
        faults::point("events.room");
        skip_expired(draft)?;
    }
    if until <= limit {
        return Ok(None);
    }
    let first = first_untold(draft)?;
    if until < first {
        return Ok(None);
    }
    let loss = Lost::range(LostReason::Budget, first, until);
    let row = Row::lost((options.tell)(&loss, now), draft.state.epoch, first, until, now, &*options.ring)?;
    draft.replace(&row)?;
    Ok(Some(loss))
}

/// Gives back `need` bytes of what was delivered, the oldest first: up to that event, if there is any.
pub(super) fn give_room(draft: &mut Draft<'_>, need: u64) -> Result<Option<u64>> {
    let limit = delivered(&draft.sinks, draft.state.last);
    let Some(until) = oldest(draft, need)?.map(|until| until.min(limit)) else { return Ok(None) };
    let first = draft.state.first;
    if until >= first {
        draft.cut_front(until)?;
        skip_expired(draft)?;
    }
    Ok((draft.state.first > first).then(|| draft.state.first - 1))
}

/// Where the next loss begins: with one that stands at the front already and was told to nobody, else behind it.
fn first_untold(draft: &Draft<'_>) -> Result<u64> {
    let told = |sequence: u64| draft.sinks.values().any(|cursor| cursor.sequence >= sequence);
    Ok(match front(draft)? {
        Some(row) if row.kind == LOST && told(row.sequence) => row.sequence + 1,
        _ => draft.state.first,
    })
}

/// The front never begins with what retention took.
fn skip_expired(draft: &mut Draft<'_>) -> Result<()> {
    while let Some(row) = front(draft)?.filter(Row::is_expired) {
        draft.cut_front(row.sequence)?;
    }
    Ok(())
}

/// The first row, if it is as it was written.
fn front(draft: &Draft<'_>) -> Result<Option<Row>> {
    Ok(draft.rows("events ORDER BY sequence LIMIT 1", [])?.pop().and_then(|(_, row)| row))
}

/// The last of the oldest rows that take so many bytes together. The newest row stays.
fn oldest(draft: &Draft<'_>, need: u64) -> Result<Option<u64>> {
    let sql = "SELECT sequence, length(body) + coalesce(length(personal), 0) + 160 FROM events
               WHERE sequence < ?1 ORDER BY sequence LIMIT 20000";
    let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)));
    let mut sum = 0;
    let mut until = None;
    for (sequence, size) in draft.query(sql, [signed(draft.state.last)], read)? {
        if sum >= need {
            break;
        }
        sum += size;
        until = Some(sequence);
    }
    Ok(until)
}
