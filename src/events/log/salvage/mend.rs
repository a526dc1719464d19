//! The first page of a damaged log, which says how to read all others, from a new one.
//!
//! Every log of a version has the same first page but for a few counters: the header and the tables' places. So one bit of it costs
//! nothing.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{beside, remove_with_journal};

/// SQLite's page, as it is for every log.
const PAGE: usize = 4096;
/// Where the header has the number of pages: four bytes, the highest first.
const PAGES: std::ops::Range<usize> = 28..32;

fn mended(path: &Path) -> PathBuf {
    beside(path, ".mended")
}

/// What the header says at these places in every log: how the file is made. (<https://sqlite.org/fileformat2.html#the_database_header>)
const FIXED: [(usize, &[u8]); 5] = [
    (0, b"SQLite format 3\0"),
    // The page's size, WAL for who writes and reads, nothing reserved, fractions.
    (16, &[0x10, 0, 2, 2, 0, 64, 32, 32]),
    // The schema's format.
    (44, &[0, 0, 0, 4]),
    // No vacuum; UTF-8.
    (52, &[0, 0, 0, 0, 0, 0, 0, 1]),
    (64, &[0, 0, 0, 0]),
];
/// Where it says whose the file is.
const APPLICATION: usize = 68;

/// True for a log whose header says something else than how logs are made. SQLite would take it for a file to be read only, or for
/// none of its own.
pub fn is_header_damaged(path: &Path) -> bool {
    let mut header = [0; 100];
    if File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_err() {
        return false;
    }
    let says = |(at, bytes): &(usize, &[u8])| header.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    let ours = says(&(APPLICATION, &super::super::schema::APPLICATION.to_be_bytes()[4..]));
    ours && !FIXED.iter().all(says)
}

/// A copy of the log at `path`, with the first page of the log at `new`; `None`, where there is no room for it, or nothing to copy.
pub fn first_page(path: &Path, new: &Path) -> Option<PathBuf> {
    remove(path);
    let copy = mended(path);
    let made = write(path, new, &copy);
    if let Err(error) = &made {
        tracing::warn!("the first page of {} is read as it is: {error}", path.display());
    }
    made.ok().map(|()| copy)
}

fn write(path: &Path, new: &Path, copy: &Path) -> std::io::Result<()> {
    let mut page = vec![0; PAGE];
    File::open(new)?.read_exact(&mut page)?;
    copy_file(path, copy)?;
    let journal = beside(path, "-wal");
    if journal.exists() {
        copy_file(&journal, &beside(copy, "-wal"))?;
    }
    let file = OpenOptions::new().write(true).open(copy)?;
    let pages = u32::try_from(file.metadata()?.len() / PAGE as u64).unwrap_or(u32::MAX);
    if let Some(field) = page.get_mut(PAGES) {
        field.copy_from_slice(&pages.to_be_bytes());
    }
    if pages > 0 { file.write_all_at(&page, 0) } else { Ok(()) }
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut File::open(from)?, &mut to).map(drop)
}

/// Takes the copy away.
pub fn remove(path: &Path) {
    remove_with_journal(&mended(path));
}
