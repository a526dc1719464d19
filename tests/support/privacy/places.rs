//! What is searched: files, outputs, and every value of a database on its own.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Something that was written.
pub struct Thing {
    /// Its path, or what it is.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Thing {
    /// Of that name.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// Every file below a folder. Sockets are none.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| match path.symlink_metadata().expect("there").file_type() {
            kind if kind.is_dir() => files(&path),
            kind if kind.is_file() => vec![path],
            kind => {
                assert!(!kind.is_symlink(), "{} leads elsewhere", path.display());
                Vec::new()
            }
        })
        .collect()
}

/// The files below a folder with their content, and the values of the databases among them: a value that is longer than a page
/// does not lie in one piece. Without those that `skip` names by their paths below the folder.
pub fn things(folder: &Path, skip: &dyn Fn(&Path) -> bool) -> Vec<Thing> {
    let mut things = Vec::new();
    for path in files(folder) {
        if skip(path.strip_prefix(folder).expect("below")) {
            continue;
        }
        let name = path.strip_prefix(folder).expect("below").display().to_string();
        let bytes = std::fs::read(&path).expect("readable");
        if bytes.starts_with(b"SQLite format 3\0") {
            let value =
                |v: Value| Thing::new(format!("{name} {}.{} row {}", v.table, v.column, v.row), v.bytes);
            things.extend(values(&path).into_iter().map(value));
        }
        things.push(Thing::new(name, bytes));
    }
    things
}

/// A copy of the files below a folder.
pub fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let copy = to.join(path.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(copy.parent().expect("a folder")).expect("writable");
        std::fs::copy(&path, &copy).expect("copied");
    }
}

/// A value in a database.
pub struct Value {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Counts from 1.
    pub row: usize,
    /// Text or a blob.
    pub bytes: Vec<u8>,
    /// True for a blob.
    pub blob: bool,
}

/// Every text and every blob in a database.
pub fn values(database: &Path) -> Vec<Value> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' UNION ALL SELECT 'sqlite_schema'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("a database");
    let mut values = Vec::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a table");
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).expect("rows");
        let mut number = 0;
        while let Some(row) = rows.next().expect("a row") {
            number += 1;
            for (i, column) in columns.iter().enumerate() {
                let (bytes, blob) = match row.get_ref(i).expect("a value") {
                    ValueRef::Text(text) => (text, false),
                    ValueRef::Blob(blob) => (blob, true),
                    _ => continue,
                };
                let (table, column) = (table.clone(), column.clone());
                values.push(Value { table, column, row: number, bytes: bytes.to_vec(), blob });
            }
        }
    }
    values
}
