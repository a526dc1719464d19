//! The journal that the shim writes, and the places to cut it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::disk::{Disk, Luck};
use super::tree::{self, Snapshot, Tree};

/// What a program did. Files and folders are inode numbers, names are within a folder; the shim has the same numbers.
#[derive(Debug, Clone)]
pub enum Record {
    /// A new, empty file.
    Create { folder: u64, name: OsString, inode: u64 },
    /// Bytes of a file.
    Write { inode: u64, offset: u64, data: Vec<u8> },
    /// A file's new size.
    Truncate { inode: u64, size: u64 },
    /// fsync or fdatasync of a file or a folder.
    Sync { inode: u64 },
    /// The name is now another, also in another folder.
    Rename { folder: u64, name: OsString, to_folder: u64, to_name: OsString },
    /// One more name of a file.
    Link { folder: u64, name: OsString, inode: u64 },
    /// A name less, of a file or an empty folder.
    Unlink { folder: u64, name: OsString },
    /// A new folder.
    MakeFolder { folder: u64, name: OsString, inode: u64 },
    /// The program told somebody that something is done.
    Acknowledge(Vec<u8>),
}

const MAGIC: u32 = u32::from_le_bytes(*b"WLJ1");
const HEADER: usize = 56;
const ACK: u32 = 9;

/// The fixed part of a record, as in tests/shim/faults.c.
struct Header {
    kind: u32,
    inode: u64,
    folder: u64,
    folder2: u64,
    offset: u64,
    name: usize,
    name2: usize,
    data: usize,
}

impl Header {
    /// The first header of `bytes`; `None` if they are too few.
    #[track_caller]
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!(short(0), MAGIC, "no record of the shim");
        Some(Self {
            kind: short(4),
            inode: long(8),
            folder: long(16),
            folder2: long(24),
            offset: long(32),
            name: short(40) as usize,
            name2: short(44) as usize,
            data: long(48) as usize,
        })
    }

    fn size(&self) -> usize {
        HEADER + self.name + self.name2 + self.data
    }
}

/// How many of `bytes` are whole records: less than all where a kill hit the middle of one.
pub fn whole_records(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(size) =
        Header::parse(&bytes[at..]).map(|h| h.size()).filter(|size| at + size <= bytes.len())
    {
        at += size;
    }
    at
}

/// A record that says that `what` was told to somebody.
pub fn acknowledgement(what: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&ACK.to_le_bytes());
    bytes[48..56].copy_from_slice(&(what.len() as u64).to_le_bytes());
    bytes.extend_from_slice(what);
    bytes
}

impl Record {
    fn of(header: &Header, rest: &[u8]) -> Self {
        let (name, rest) = rest.split_at(header.name);
        let (name2, data) = rest.split_at(header.name2);
        let name = OsString::from_vec(name.to_vec());
        let Header { inode, folder, offset, .. } = *header;
        match header.kind {
            1 => Self::Create { folder, name, inode },
            2 => Self::Write { inode, offset, data: data.to_vec() },
            3 => Self::Truncate { inode, size: offset },
            4 => Self::Sync { inode },
            5 => {
                let to_name = OsString::from_vec(name2.to_vec());
                Self::Rename { folder, name, to_folder: header.folder2, to_name }
            }
            6 => Self::Link { folder, name, inode },
            7 => Self::Unlink { folder, name },
            8 => Self::MakeFolder { folder, name, inode },
            ACK => Self::Acknowledge(data.to_vec()),
            other => panic!("a record of kind {other}"),
        }
    }
}

/// All that programs did to a folder, in order, from a state that was wholly durable.
#[derive(Debug)]
pub struct Journal {
    before: Snapshot,
    records: Vec<Record>,
}

impl Journal {
    /// The records in `bytes`.
    pub fn parse(before: Snapshot, bytes: &[u8]) -> Self {
        let mut records = Vec::new();
        let mut rest = bytes;
        while let Some(header) = Header::parse(rest) {
            let (record, after) = rest.split_at(header.size());
            records.push(Record::of(&header, &record[HEADER..]));
            rest = after;
        }
        assert!(rest.is_empty(), "half a record at the end");
        Self { before, records }
    }

    /// All of it.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many syncs it has, of files and folders.
    pub fn syncs(&self) -> usize {
        self.records.iter().filter(|r| matches!(r, Record::Sync { .. })).count()
    }

    /// The disk after the first `records` of it, with what of it is durable.
    fn play(&self, records: usize) -> Disk<'_> {
        let mut disk = Disk::new(&self.before);
        for record in &self.records[..records] {
            disk.apply(record);
        }
        disk
    }

    /// `n` cuts, the same ones for the same seed. Half are anywhere; the others are where much is at stake: right after an
    /// acknowledgement, and right before a sync.
    pub fn cuts(&self, seed: u64, n: usize) -> impl Iterator<Item = PowerCut<'_>> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let after_told = |(at, r): (usize, &Record)| matches!(r, Record::Acknowledge(_)).then_some(at + 1);
        let before_sync = |(at, r): (usize, &Record)| matches!(r, Record::Sync { .. }).then_some(at);
        let told: Vec<usize> = self.records.iter().enumerate().filter_map(after_told).collect();
        let syncs: Vec<usize> = self.records.iter().enumerate().filter_map(before_sync).collect();
        (0..n).map(move |_| {
            let tempting = if rng.bool() { &told } else { &syncs };
            let after = match rng.choice(tempting) {
                Some(&after) if rng.bool() => after,
                _ => rng.usize(..=self.records.len()),
            };
            self.cut(after, rng.u64(..))
        })
    }

    /// The power fails after the first `after` records; `seed` decides what survives.
    pub fn cut(&self, after: usize, seed: u64) -> PowerCut<'_> {
        assert!(after <= self.records.len(), "{after} of {} records", self.records.len());
        PowerCut { journal: self, after, seed }
    }

    /// See [`super::Recording::finish`].
    #[track_caller]
    pub fn assert_complete(&self, folder: &Path) {
        let (played, real) = (self.play(self.records.len()).everything(), tree::read(folder));
        let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&played),
            names(&real),
            "the shim missed a change of names (left: journal, right: folder)"
        );
        for (path, content) in &real {
            let ignored = path.file_name().is_some_and(tree::is_shm);
            assert!(ignored || played[path] == *content, "the shim missed a write to {}", path.display());
        }
    }
}

/// A disk after the power failed in the middle of a journal. Its `Debug` and [`Journal::cut`] are all that is needed to make
/// the same one again.
pub struct PowerCut<'a> {
    journal: &'a Journal,
    after: usize,
    seed: u64,
}

impl PowerCut<'_> {
    /// Makes `folder`, which must be empty or missing, what the disk holds.
    pub fn write_to(&self, folder: &Path) {
        tree::write(&self.tree(), folder);
    }

    /// What the disk holds.
    pub fn tree(&self) -> Tree {
        let mut luck = Luck::of(self.seed);
        self.journal.play(self.after).after_power_cut(&mut luck)
    }

    /// What had been acknowledged when the power failed, oldest first.
    pub fn acknowledged(&self) -> Vec<String> {
        let told = self.journal.records[..self.after].iter().filter_map(|record| match record {
            Record::Acknowledge(what) => Some(String::from_utf8_lossy(what).into_owned()),
            _ => None,
        });
        told.collect()
    }
}

impl fmt::Debug for PowerCut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cut({}, {:#x}) of {} records", self.after, self.seed, self.journal.records.len())?;
        match self.after.checked_sub(1).map(|last| &self.journal.records[last]) {
            None => Ok(()),
            Some(Record::Write { inode, offset, data }) => {
                write!(f, ", the last: Write {{ inode: {inode}, offset: {offset}, {} bytes }}", data.len())
            }
            Some(last) => write!(f, ", the last: {last:?}"),
        }
    }
}
