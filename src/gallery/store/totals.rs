//! What each table holds as a whole. Each sealed row is bound to itself; this is what tells that none is missing, none was
//! added, and none was put back from an older copy.
//!
//! ```text
//!  row ─HMAC─▶ tag ┐
//!  row ─HMAC─▶ tag ┼ XOR, and their number ─▶ total of the table ─┐
//!  row ─HMAC─▶ tag ┘                                              ├HMAC─▶ table `totals`, one row a table
//!  end of the audit log ──────────────────────────HMAC─▶ stamp ───┘
//! ```
//!
//! The totals are written in the transaction that changes a row, and looked at when the store is opened and by `gallery verify`.
//! The stamp makes each state's totals others: a table and its total of an earlier state do not go with today's audit log. What
//! is XORed never leaves memory, so nobody without the key can look for other rows with the same sum (the multiset hash of
//! Clarke et al., ASIACRYPT 2003, under a MAC).
//!
//! Of large tables the totals are kept in memory and follow each change; a row that something else changed meanwhile is not
//! taken for ours by that. Small tables are looked at before each change.

use std::cell::RefCell;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::Tables;
use super::keys::Keys;
use super::sql::Place;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::crypt::{Bound, Key, tag};

/// A table, and the columns that its rows' tags are made from.
struct Table {
    name: &'static str,
    columns: &'static str,
    /// Kept in memory: reading all of it at each change would take too long.
    large: bool,
}

const fn small(name: &'static str, columns: &'static str) -> Table {
    Table { name, columns, large: false }
}

const fn large(name: &'static str, columns: &'static str) -> Table {
    Table { name, columns, large: true }
}

const IDENTITIES: usize = 0;
const TEMPLATES: usize = 1;
const CROPS: usize = 2;
const FORGOTTEN: usize = 3;

/// All tables but the audit log, whose chain tells of each entry, and the totals themselves. Of rows with a sealed part these
/// are columns that the sealed part is bound to, so that a row of which a bit fell over can still be replaced or removed.
const TABLES: [Table; 11] = [
    large("identities", "id, revision, standing"),
    large("templates", "id, identity"),
    large("crops", "identity, source_tag"),
    large("forgotten", "identity, external_tag, at, templates"),
    small("keys", "name, wrapped"),
    small("lists", "name, sealed"),
    small("meta", "key, value"),
    small("schema_version", "version, applied"),
    small("settings", "key, value"),
    small("signers", "key, label, added, generation, trusted"),
    small("sqlite_schema", "type, name, tbl_name, sql"),
];

/// Rows that count: of the schema those that somebody wrote, and not what SQLite keeps beside for itself.
fn counted(table: &Table) -> &'static str {
    match table.name {
        "sqlite_schema" => "sql NOT NULL AND NOT (type = 'table' AND name = 'sqlite_sequence')",
        _ => "1",
    }
}

/// Stands for the audit log's end among the totals.
const AUDIT: &str = "audit";

/// The large tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    Identities = IDENTITIES as isize,
    Templates = TEMPLATES as isize,
    Crops = CROPS as isize,
    Forgotten = FORGOTTEN as isize,
}

/// The rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Total {
    rows: u64,
    mixed: [u8; 32],
}

impl Total {
    fn add(&mut self, row: &[u8; 32]) {
        self.rows = self.rows.wrapping_add(1);
        self.mix(row);
    }

    fn take(&mut self, row: &[u8; 32]) {
        self.rows = self.rows.wrapping_sub(1);
        self.mix(row);
    }

    fn mix(&mut self, row: &[u8; 32]) {
        self.mixed.iter_mut().zip(row).for_each(|(to, from)| *to ^= from);
    }
}

/// Of every table.
#[derive(Clone, Default)]
pub(super) struct Totals([Total; TABLES.len()]);

impl std::fmt::Debug for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totals(***)")
    }
}

impl Totals {
    /// What is there.
    pub(super) fn read(connection: &Connection, place: &Place, keys: &Keys) -> Result<Self> {
        let mut totals = Self::default();
        let key = keys.totals();
        for (table, total) in TABLES.iter().zip(&mut totals.0) {
            *total = place.sql("read", total_of(connection, key, table))?;
        }
        Ok(totals)
    }

    /// What is there, if it is what was written. Where only the audit log ends elsewhere, that is told: whoever can cut a log off
    /// must not be able to switch the cameras off with it, and the log says so itself.
    ///
    /// # Errors
    /// `Data`, naming the tables that are not.
    pub(super) fn checked(connection: &Connection, place: &Place, keys: &Keys) -> Result<Self> {
        let totals = Self::read(connection, place, keys)?;
        let mut others = totals.others(connection, place, keys)?;
        if others.contains(&AUDIT) {
            tracing::error!(target: "watchlistd::audit", "{place}: {}", sentence(AUDIT));
            others.retain(|table| *table != AUDIT);
        }
        if others.is_empty() { Ok(totals) } else { Err(not_ours(place, &others)) }
    }

    /// The tables whose totals are not the ones that were written.
    pub(super) fn others(
        &self,
        connection: &Connection,
        place: &Place,
        keys: &Keys,
    ) -> Result<Vec<&'static str>> {
        let key = keys.totals();
        let written = |name| written(connection, place, name);
        let mut others = Vec::new();
        let stamp = written(AUDIT)?;
        if stamp.as_deref() != Some(&end_of_audit(connection, place, key)?[..]) {
            others.push(AUDIT);
        }
        let stamp = stamp.unwrap_or_default();
        for (table, total) in TABLES.iter().zip(&self.0) {
            if written(table.name)?.as_deref() != Some(&mac(key, table, total, &stamp)[..]) {
                others.push(table.name);
            }
        }
        Ok(others)
    }

    /// Looks whether the settings are those that were written, and at nothing else.
    ///
    /// # Errors
    /// `Data`, if they are not.
    pub(super) fn check_settings(connection: &Connection, place: &Place, keys: &Keys) -> Result<()> {
        let key = keys.totals();
        let stamp = written(connection, place, AUDIT)?.unwrap_or_default();
        for table in TABLES.iter().filter(|table| table.name == "settings") {
            let total = place.sql("read", total_of(connection, key, table))?;
            let expected = written(connection, place, table.name)?;
            if expected.as_deref() != Some(&mac(key, table, &total, &stamp)[..]) {
                return Err(not_ours(place, &[table.name]));
            }
        }
        Ok(())
    }

    /// Looks whether the small tables are still as they were left.
    ///
    /// # Errors
    /// `Data`, naming the first that is not.
    pub(super) fn expect_small(&self, connection: &Connection, place: &Place, keys: &Keys) -> Result<()> {
        let key = keys.totals();
        for (table, total) in TABLES.iter().zip(&self.0).filter(|(table, _)| !table.large) {
            if place.sql("read", total_of(connection, key, table))? != *total {
                return Err(not_ours(place, &[table.name]));
            }
        }
        Ok(())
    }

    /// Counts the small tables again, and writes the totals of all.
    pub(super) fn write(&mut self, connection: &Connection, place: &Place, keys: &Keys) -> Result<()> {
        let key = keys.totals();
        let stamp = end_of_audit(connection, place, key)?;
        let sql = "INSERT INTO totals (name, mac) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET mac = excluded.mac";
        let mut put = place.sql("change", connection.prepare_cached(sql))?;
        place.sql("change", put.execute((AUDIT, &stamp)))?;
        for (table, total) in TABLES.iter().zip(&mut self.0) {
            if !table.large {
                *total = place.sql("read", total_of(connection, key, table))?;
            }
            place.sql("change", put.execute((table.name, mac(key, table, total, &stamp))))?;
        }
        Ok(())
    }
}

/// What is wrong with a table, for people.
pub(super) fn sentence(table: &str) -> String {
    match table {
        AUDIT => "the audit log does not end where this program left it".to_owned(),
        _ => format!(
            "the table {table} is not as this program left it: a row was changed, removed, added, or put back from an older copy"
        ),
    }
}

fn not_ours(place: &Place, tables: &[&str]) -> Error {
    let said: Vec<String> = tables.iter().map(|table| sentence(table)).collect();
    err!(
        Data,
        "{place}: {}. `watchlistd gallery verify` says more; restore a backup (watchlistd gallery restore FILE)",
        said.join("; ")
    )
}

fn written(connection: &Connection, place: &Place, name: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT mac FROM totals WHERE name = ?1";
    place.sql("read", connection.query_row(sql, [name], |row| row.get(0)).optional())
}

fn total_of(connection: &Connection, key: &Key, table: &Table) -> rusqlite::Result<Total> {
    let mut total = Total::default();
    each_row(connection, key, table, counted(table), &[], |row| total.add(row))?;
    Ok(total)
}

fn each_row(
    connection: &Connection,
    key: &Key,
    table: &Table,
    rows: &str,
    values: &[&dyn ToSql],
    mut each: impl FnMut(&[u8; 32]),
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {} FROM {} WHERE {rows}", table.columns, table.name);
    let mut statement = connection.prepare_cached(&sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(values)?;
    while let Some(row) = found.next()? {
        each(&tag_of(key, table.name, row, columns)?);
    }
    Ok(())
}

/// Tag of a row: of the table's name, and of each value with its type.
fn tag_of(key: &Key, table: &str, row: &Row<'_>, columns: usize) -> rusqlite::Result<[u8; 32]> {
    let mut bound = Bound::to("watchlistd gallery row v1").field(table);
    for column in 0..columns {
        bound = match row.get_ref(column)? {
            ValueRef::Null => bound.field([0]),
            ValueRef::Integer(n) => bound.field([1]).field(n.to_le_bytes()),
            ValueRef::Real(x) => bound.field([2]).field(x.to_bits().to_le_bytes()),
            ValueRef::Text(text) => bound.field([3]).field(text),
            ValueRef::Blob(bytes) => bound.field([4]).field(bytes),
        };
    }
    Ok(tag(key, &bound))
}

fn mac(key: &Key, table: &Table, total: &Total, stamp: &[u8]) -> [u8; 32] {
    let bound = Bound::to("watchlistd gallery total v1")
        .field(table.name)
        .field(total.rows.to_le_bytes())
        .field(total.mixed)
        .field(stamp);
    tag(key, &bound)
}

fn end_of_audit(connection: &Connection, place: &Place, key: &Key) -> Result<[u8; 32]> {
    let sql = "SELECT sequence, mac FROM audit ORDER BY sequence DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let (count, end) = place.sql("read", last.optional())?.unwrap_or_default();
    let bound = Bound::to("watchlistd gallery audit end v1").field(count.to_le_bytes()).field(end);
    Ok(tag(key, &bound))
}

impl Tables<'_> {
    /// Carries a change of the rows of a large table out, and keeps the table's total. `rows` picks them, before and after.
    pub(super) fn changing<T>(
        &self,
        table: Large,
        rows: &str,
        values: &[&dyn ToSql],
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.follow(table, rows, values, Total::take)?;
        let value = change()?;
        self.follow(table, rows, values, Total::add)?;
        Ok(value)
    }

    fn follow(
        &self,
        table: Large,
        rows: &str,
        values: &[&dyn ToSql],
        how: fn(&mut Total, &[u8; 32]),
    ) -> Result<()> {
        let mut totals = self.totals.borrow_mut();
        let key = self.keys.totals();
        for (of, total) in TABLES.iter().zip(&mut totals.0).skip(table as usize).take(1) {
            self.read(each_row(self.connection, key, of, rows, values, |row| how(total, row)))?;
        }
        Ok(())
    }

    /// What is wrong with tables as a whole, a sentence each.
    pub fn look_at_totals(&self) -> Result<Vec<String>> {
        let totals = Totals::read(self.connection, self.place, self.keys)?;
        let others = totals.others(self.connection, self.place, self.keys)?;
        Ok(others.into_iter().map(sentence).collect())
    }
}

/// Totals that change with a transaction.
pub(super) type Pending = RefCell<Totals>;
