//! Every row of a damaged log that can be read, in order.
//!
//! ```text
//!   stream ─▶ row ─ holds, and follows ──────────────▶ taken
//!     ▲        │  └ holds, and leaves a gap ─▶ each of the gap on its own ─▶ taken
//!     │        └ does not hold: passed over
//!     └── found again behind it ◀── a page is broken
//! ```
//!
//! A row is believed when its MAC holds, and nothing else is: not where it was found, nor what a page says comes next.

use rusqlite::{Connection, Row as SqlRow};

use super::super::row::Row;
use super::super::store::{COLUMNS, row_of, signed};
use crate::base::error::Result;

/// Reads in vain before the rest is given up, and most rows of a gap that are looked for on their own.
const MOST_FAILURES: u64 = 20_000;

/// The longest step over what cannot be read.
const LONGEST_STEP: u64 = 64;

type Found = (Row, [u8; 32]);

/// Up to `most` of the first rows, believed or not.
pub fn sample(connection: &Connection, most: usize) -> Vec<Found> {
    let rows = std::cell::RefCell::new(Vec::new());
    let take = |row: Row, mac: [u8; 32]| {
        rows.borrow_mut().push((row, mac));
        rows.borrow().len() < most
    };
    // Where the first page of rows is broken, those of another one do.
    let mut from = 0;
    for _ in 0..MOST_FAILURES {
        if stream(connection, from, take).is_ok() || rows.borrow().len() >= most {
            break;
        }
        from += LONGEST_STEP;
    }
    rows.into_inner()
}

/// Gives the rows to `take`. `first` and `last` are where the log begins and ends, as far as that is known.
///
/// # Errors
/// What `take` gives.
pub fn walk(
    connection: &Connection,
    first: Option<u64>,
    last: Option<u64>,
    holds: &dyn Fn(&Row, &[u8; 32]) -> bool,
    take: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<()> {
    let mut walk =
        Walk { connection, next: first.unwrap_or(0), known: first.is_some(), failures: 0, holds, take };
    while !walk.stream()? && walk.leap()? {}
    match last {
        Some(last) => walk.probe(last),
        None => Ok(()),
    }
}

struct Walk<'w> {
    connection: &'w Connection,
    /// What comes next.
    next: u64,
    /// Whether that one should be there.
    known: bool,
    failures: u64,
    holds: &'w dyn Fn(&Row, &[u8; 32]) -> bool,
    take: &'w mut dyn FnMut(Row) -> Result<()>,
}

impl Walk<'_> {
    /// Reads on; true at the end, false where it breaks off.
    fn stream(&mut self) -> Result<bool> {
        let (connection, from) = (self.connection, self.next);
        let mut failed = None;
        let whole = stream(connection, from, |row, mac| match self.found(row, &mac) {
            Ok(_) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(whole.is_ok()),
        }
    }

    /// Takes a row that holds and comes next or later; true if it does.
    fn found(&mut self, row: Row, mac: &[u8; 32]) -> Result<bool> {
        if row.first < self.next || row.first > row.sequence || !(self.holds)(&row, mac) {
            return Ok(false);
        }
        if self.known && row.first > self.next {
            self.probe(row.first - 1)?;
        }
        // One that covers some of it may have been found on its own.
        if row.first >= self.next {
            (self.next, self.known) = (row.sequence + 1, true);
            (self.take)(row)?;
        }
        Ok(true)
    }

    /// Looks for each up to `last` on its own.
    fn probe(&mut self, last: u64) -> Result<()> {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE sequence = ?1");
        let until = last.min(self.next.saturating_add(MOST_FAILURES));
        for sequence in self.next..=until {
            if let Ok((row, mac)) = one(self.connection, &sql, sequence)
                && row.first >= self.next
                && row.sequence == sequence
                && (self.holds)(&row, &mac)
            {
                (self.next, self.known) = (sequence + 1, true);
                (self.take)(row)?;
            }
        }
        Ok(())
    }

    /// Over what cannot be read, in longer and longer steps; what they pass is looked for on its own. False if nothing comes behind.
    fn leap(&mut self) -> Result<bool> {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE sequence >= ?1 ORDER BY sequence LIMIT 1");
        let (mut from, mut step) = (self.next, 1);
        self.known = true;
        while self.failures < MOST_FAILURES {
            self.failures += 1;
            from = from.saturating_add(step);
            step = (step * 2).min(LONGEST_STEP);
            match one(self.connection, &sql, from) {
                Ok((row, mac)) => {
                    if self.found(row, &mac)? {
                        return Ok(true);
                    }
                }
                Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(false),
                Err(_) => {}
            }
        }
        Ok(false)
    }
}

fn one(connection: &Connection, sql: &str, sequence: u64) -> rusqlite::Result<Found> {
    connection.prepare_cached(sql)?.query_row([signed(sequence)], row_of)
}

/// Rows from there on, in the order in which they lie in the file, until `take` says that it is enough.
fn stream(
    connection: &Connection,
    from: u64,
    mut take: impl FnMut(Row, [u8; 32]) -> bool,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE sequence >= ?1 ORDER BY sequence");
    let mut statement = connection.prepare(&sql)?;
    // A value of another type, or text that is none: the row was changed.
    let rows = statement.query_map([signed(from)], |row: &SqlRow<'_>| Ok(row_of(row).ok()))?;
    for row in rows {
        if let Some((row, mac)) = row?
            && !take(row, mac)
        {
            return Ok(());
        }
    }
    Ok(())
}
