//! A zip archive of stored entries (PKWARE's APPNOTE 6.3), read in place: no entry is copied, and no count or length in it is
//! believed beyond the file's end.
//!
//! ```text
//!  local header, name, extra, bytes | ... | central header, name, extra, comment | ... | zip64 end, its locator | end
//!        ▲                                   └ where ──┘                    ▲                  ▲ └──┘             │
//!        └────────────────────────────────────────┘                         └── where, how many ┴─────────────────┘
//! ```

use std::collections::BTreeMap;

use crate::base::error::Result;
use crate::{bail, err};

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
/// Lengths without what follows of variable length, in bytes.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
/// In place of a number that stands in the zip64 part.
const ELSEWHERE: u64 = 0xffff_ffff;

struct Entry {
    method: u64,
    crc: u64,
    size: u64,
    local: u64,
}

/// An archive.
pub(super) struct Zip<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<&'a str, Entry>,
    /// Entries may overlap; those that are read are together not longer than the file.
    left: usize,
}

impl<'a> Zip<'a> {
    /// Reads the central directory.
    ///
    /// # Errors
    /// `Data`, when it is damaged or cut off.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let entries = entries(bytes).ok_or_else(|| err!(Data, "its zip archive is damaged or cut off"))?;
        Ok(Self { bytes, entries, left: bytes.len() })
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The bytes of an entry.
    ///
    /// # Errors
    /// `Data`, when it is missing, compressed or damaged.
    pub(super) fn read(&mut self, name: &str) -> Result<&'a [u8]> {
        let Some(entry) = self.entries.get(name) else {
            bail!(Data, "its entry {name:?} is missing");
        };
        if entry.method != 0 {
            bail!(Data, "its entry {name:?} is compressed: torch.save stores entries as they are");
        }
        let bytes = stored(self.bytes, entry).filter(|bytes| bytes.len() <= self.left);
        let bytes = bytes.ok_or_else(|| err!(Data, "its entry {name:?} is cut off"))?;
        self.left -= bytes.len();
        if u64::from(crc32fast::hash(bytes)) != entry.crc {
            bail!(Data, "its entry {name:?} is damaged: another CRC-32 than the archive says");
        }
        Ok(bytes)
    }
}

fn entries(bytes: &[u8]) -> Option<BTreeMap<&str, Entry>> {
    let (mut at, count) = directory(bytes)?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let header = bytes.get(at..).filter(|header| header.starts_with(CENTRAL))?;
        let field = |at| number::<2>(header, at).and_then(|length| usize::try_from(length).ok());
        let (name, extra, comment) = (field(28)?, field(30)?, field(32)?);
        let (name, rest) = header.get(CENTRAL_LENGTH..)?.split_at_checked(name)?;
        let [size, _, local] = wide(
            [number::<4>(header, 24)?, number::<4>(header, 20)?, number::<4>(header, 42)?],
            rest.get(..extra)?,
        )?;
        let entry = Entry { method: number::<2>(header, 10)?, crc: number::<4>(header, 16)?, size, local };
        entries.insert(str::from_utf8(name).ok()?, entry);
        at += CENTRAL_LENGTH + name.len() + extra + comment;
    }
    Some(entries)
}

/// Where the central directory starts, and how many entries it says it has. Each takes bytes of the file.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    // The end is followed by a comment of at most 64 KiB.
    let from = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let end = from + bytes.get(from..)?.windows(END.len()).rposition(|window| window == END)?;
    let comment = usize::try_from(number::<2>(bytes.get(end..)?, 20)?).ok()?;
    if end + END_LENGTH + comment != bytes.len() {
        return None;
    }
    let locator = end.checked_sub(LOCATOR_LENGTH).and_then(|at| bytes.get(at..end));
    if let Some(locator) = locator.filter(|locator| locator.starts_with(LOCATOR_64)) {
        let end = bytes.get(usize::try_from(number::<8>(locator, 8)?).ok()?..)?;
        let end = end.starts_with(END_64).then_some(end)?;
        return Some((usize::try_from(number::<8>(end, 48)?).ok()?, number::<8>(end, 32)?));
    }
    let end = bytes.get(end..)?;
    Some((usize::try_from(number::<4>(end, 16)?).ok()?, number::<2>(end, 10)?))
}

/// Sizes before and after, and the offset, with those that stand in the zip64 field (id 1) of `extra`.
fn wide(mut numbers: [u64; 3], mut extra: &[u8]) -> Option<[u64; 3]> {
    if !numbers.contains(&ELSEWHERE) {
        return Some(numbers);
    }
    loop {
        let (id, length) = (number::<2>(extra, 0)?, usize::try_from(number::<2>(extra, 2)?).ok()?);
        let (field, rest) = extra.get(4..)?.split_at_checked(length)?;
        if id == 1 {
            let missing = numbers.iter_mut().filter(|number| **number == ELSEWHERE);
            for (index, missing) in missing.enumerate() {
                *missing = number::<8>(field, 8 * index)?;
            }
            return Some(numbers);
        }
        extra = rest;
    }
}

fn stored<'a>(bytes: &'a [u8], entry: &Entry) -> Option<&'a [u8]> {
    let header = bytes.get(usize::try_from(entry.local).ok()?..)?;
    let header = header.starts_with(LOCAL).then_some(header)?;
    let (name, extra) = (number::<2>(header, 26)?, number::<2>(header, 28)?);
    let start = LOCAL_LENGTH + usize::try_from(name + extra).ok()?;
    header.get(start..)?.get(..usize::try_from(entry.size).ok()?)
}

/// A little-endian number of `N` bytes, at most eight.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let digits: &[u8; N] = bytes.get(at..)?.first_chunk()?;
    Some(digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit)))
}
