//! The names of rotated files, and the moves between them.
//!
//! ```text
//!   rotate:   path ─▶ path.1      path.1.gz ─▶ path.2.gz      path.2 ─▶ path.3      path.KEEP* and above: removed
//!   replace:  path.2 + .path.pack ─▶ path.2.gz
//! ```
//!
//! Every step is a rename or the removal of what is not needed any more, and is on the disk before the next one. So a kill or a power
//! cut between two leaves a hole in the numbers, or a file beside its compressed twin, and nothing else: the next rotation fills the
//! hole, and [`Names::twins`] finds the twin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::durable::sync_folder;
use crate::base::faults;

/// Highest number that is ours: the most that `keep` may be. Above it are somebody else's, such as logrotate's dates.
const MOST: u32 = 1_000;

/// How a rotated file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    const ALL: [Packing; 3] = [Packing::Plain, Packing::Gzip, Packing::Zstd];

    const fn suffix(self) -> &'static str {
        match self {
            Packing::Plain => "",
            Packing::Gzip => ".gz",
            Packing::Zstd => ".zst",
        }
    }
}

/// Device and inode: what a file is, whatever its name.
pub(super) type Identity = (u64, u64);

/// The rotated files of one file, shared by whoever moves them: the sink and the thread that compresses.
#[derive(Debug, Clone)]
pub(super) struct Names {
    path: PathBuf,
    keep: u32,
    /// Moves survive a power cut.
    durable: bool,
    moving: Arc<Mutex<()>>,
}

impl Names {
    pub fn new(path: &Path, keep: u32, durable: bool) -> Self {
        Self { path: path.to_owned(), keep, durable, moving: Arc::default() }
    }

    /// `path.N`, `path.N.gz` or `path.N.zst`.
    pub fn numbered(&self, n: u32, packing: Packing) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{n}{}", packing.suffix()));
        name.into()
    }

    /// Where a compressed file is written before it has its name.
    pub fn unfinished(&self) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".pack");
        self.path.with_file_name(name)
    }

    /// True if a kill has left something for [`super::packer::Packer`] to finish.
    pub fn has_leftovers(&self) -> bool {
        fs::symlink_metadata(self.unfinished()).is_ok() || !self.twins().is_empty()
    }

    /// Moves the file to number 1, and what is in its way one number up; what is beyond `keep` goes.
    pub fn rotate(&self) -> io::Result<()> {
        let _alone = self.lock();
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        let there = self.list()?;
        // What was kept when `keep` was more goes too.
        let free = (1..self.keep).find(|n| !there.contains_key(n)).unwrap_or(self.keep);
        for (n, packings) in
            there.iter().filter(|(n, _)| **n > self.keep || (free == self.keep && **n == free))
        {
            packings.iter().try_for_each(|packing| gone(fs::remove_file(self.numbered(*n, *packing))))?;
            faults::point("jsonl.dropped");
        }
        for n in (1..free).rev() {
            for packing in there.get(&n).into_iter().flatten() {
                fs::rename(self.numbered(n, *packing), self.numbered(n + 1, *packing))?;
                // The next file takes this name: were that on the disk and this not, it would be in this one's place.
                self.settle()?;
                faults::point("jsonl.shifted");
            }
        }
        fs::rename(&self.path, self.numbered(1, Packing::Plain))?;
        self.settle()
    }

    fn settle(&self) -> io::Result<()> {
        if self.durable { sync_folder(&self.path) } else { Ok(()) }
    }

    /// The compressed file takes the place of the plain one, which may have another number by now. False if that has gone, or was
    /// written to since: then the compressed one is of no use.
    pub fn replace(&self, plain: Identity, length: u64, packed: &Path, packing: Packing) -> io::Result<bool> {
        let _alone = self.lock();
        let is_it = |n: &u32| {
            let found = fs::symlink_metadata(self.numbered(*n, Packing::Plain));
            found.is_ok_and(|m| ((m.dev(), m.ino()), m.len()) == (plain, length))
        };
        let Some(n) = self.list()?.into_keys().find(is_it) else { return Ok(false) };
        fs::rename(packed, self.numbered(n, packing))?;
        // Before the plain one goes the other is there for good.
        sync_folder(&self.path)?;
        faults::point("jsonl.placed");
        fs::remove_file(self.numbered(n, Packing::Plain))?;
        sync_folder(&self.path)?;
        faults::point("jsonl.replaced");
        Ok(true)
    }

    /// Rotated files that are not compressed, the newest first.
    pub fn plain(&self) -> Vec<PathBuf> {
        let there = self.list().unwrap_or_default().into_iter();
        let alone = there.filter(|(_, packings)| packings.as_slice() == [Packing::Plain]);
        alone.map(|(n, _)| self.numbered(n, Packing::Plain)).collect()
    }

    /// Numbers that a plain and a compressed file have: killed before the plain one went.
    pub fn twins(&self) -> Vec<(u32, Packing)> {
        let there = self.list().unwrap_or_default().into_iter();
        let pairs = there.filter(|(_, packings)| packings.contains(&Packing::Plain));
        pairs
            .filter_map(|(n, packings)| Some((n, *packings.iter().find(|p| **p != Packing::Plain)?)))
            .collect()
    }

    /// Nothing is moved while this is held.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there, by number.
    fn list(&self) -> io::Result<BTreeMap<u32, Vec<Packing>>> {
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut found: BTreeMap<u32, Vec<Packing>> = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            if let Some((n, packing)) = self.number_of(&entry?.file_name()) {
                found.entry(n).or_default().push(packing);
            }
        }
        Ok(found)
    }

    /// The number in the name of a rotated file.
    fn number_of(&self, name: &OsStr) -> Option<(u32, Packing)> {
        let own = self.path.file_name()?.as_bytes();
        let rest = name.as_bytes().strip_prefix(own)?.strip_prefix(b".")?;
        let rest = std::str::from_utf8(rest).ok()?;
        Packing::ALL.into_iter().find_map(|packing| {
            let digits = rest.strip_suffix(packing.suffix())?;
            let n: u32 = digits.parse().ok().filter(|n| (1..=MOST).contains(n))?;
            // One name has one number: no "007", no "+7".
            (n.to_string() == digits).then_some((n, packing))
        })
    }
}

/// What is not there need not be removed.
pub(super) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
