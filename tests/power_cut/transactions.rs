//! Fifty transactions in SQLite, and a judge of what is left of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, params};

pub const TRANSACTIONS: u32 = 50;
const ROWS: u32 = 3;

/// What is found in a database.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The transactions from 1 to this one, each of them whole; 0 is none.
    Up(u32),
    /// Something else, in words.
    Damaged(String),
}

/// Writes to `acks` in the current folder, which the shim journals in order with everything else.
fn tell(what: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open("acks").expect("acks");
    file.write_all(format!("{what}\n").as_bytes()).expect("acks");
}

/// The row's content, which says where it belongs. Longer than a page now and then, so that a transaction has several.
fn body(transaction: u32, row: u32) -> Vec<u8> {
    let size = 200 + (transaction * 37 + row * 991) as usize % 3000;
    (0..size).map(|at| (at as u32 * 7 + transaction * 13 + row) as u8).collect()
}

fn open(synchronous: &str) -> rusqlite::Result<Connection> {
    let db = Connection::open("gallery.db")?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidQuery);
    }
    db.pragma_update(None, "synchronous", synchronous)?;
    // Some thirty times in the run: the log goes into the database, and is begun anew.
    db.pragma_update(None, "wal_autocheckpoint", 8)?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS state (last INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS rows (number INTEGER, row INTEGER, body BLOB, PRIMARY KEY (number, row));",
    )?;
    Ok(db)
}

fn transaction(db: &mut Connection, number: u32) -> rusqlite::Result<()> {
    let change = db.transaction()?;
    change.execute("DELETE FROM state", [])?;
    change.execute("INSERT INTO state VALUES (?1)", [number])?;
    for row in 0..ROWS {
        change.execute("INSERT INTO rows VALUES (?1, ?2, ?3)", params![number, row, body(number, row)])?;
    }
    change.commit()
}

/// The child: all transactions, each acknowledged; one that fails is reported and tried again, and after three failures in a
/// row the run is over.
pub fn run(synchronous: &str) {
    let mut db = None;
    let mut failures = 0;
    let mut number = 1;
    while number <= TRANSACTIONS {
        if number == TRANSACTIONS / 2 {
            // Closing removes the log; the next transaction makes a new one.
            db = None;
        }
        let done = step(&mut db, synchronous, number);
        match done {
            Ok(()) => {
                tell(&format!("committed {number}"));
                (number, failures) = (number + 1, 0);
            }
            Err(error) => {
                eprintln!("{number}: {error}");
                tell(&format!("failed {number}"));
                failures += 1;
                if failures == 3 {
                    return;
                }
            }
        }
    }
    // Ended as by a kill: nothing is closed.
    std::mem::forget(db);
}

fn step(db: &mut Option<Connection>, synchronous: &str, number: u32) -> rusqlite::Result<()> {
    let db = match db {
        Some(db) => db,
        None => db.insert(open(synchronous)?),
    };
    // What was reported as failed is there in whole or not at all, as the same connection sees it.
    match last_of(db) {
        Ok(last) if last == number => return Ok(()),
        Ok(last) => assert_eq!(
            last,
            number - 1,
            "a transaction that was reported as failed is neither done nor undone"
        ),
        Err(error) => return Err(error),
    }
    transaction(db, number)
}

fn last_of(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("SELECT ifnull(max(last), 0) FROM state", [], |row| row.get(0))
}

/// Opens the database in `folder` as a program does after a crash.
pub fn judge(folder: &Path) -> Found {
    examine(folder).unwrap_or_else(|error| Found::Damaged(error.to_string()))
}

fn examine(folder: &Path) -> rusqlite::Result<Found> {
    let path = folder.join("gallery.db");
    let db = Connection::open(&path)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let integrity: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if integrity != "ok" {
        return Ok(Found::Damaged(integrity));
    }
    let tables: u32 =
        db.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    if tables < 2 {
        return Ok(Found::Up(0));
    }
    let last = last_of(&db)?;
    let mut expected = (1..=last).flat_map(|number| (0..ROWS).map(move |row| (number, row)));
    let mut statement = db.prepare("SELECT number, row, body FROM rows ORDER BY number, row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let at: (u32, u32) = (row.get(0)?, row.get(1)?);
        let content: Vec<u8> = row.get(2)?;
        if expected.next() != Some(at) || content != body(at.0, at.1) {
            return Ok(Found::Damaged(format!("row {at:?} of {last} transactions")));
        }
    }
    Ok(expected.next().map_or(Found::Up(last), |missing| Found::Damaged(format!("no row {missing:?}"))))
}
