//! `type = "jsonl"`, and `[events.file]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::raw::Section;
use crate::config::read;

/// A file of events, one a line.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFile {
    /// The file.
    pub path: PathBuf,
    /// Rotated when it would grow beyond this. 64 KiB to 1024 GiB.
    pub max_bytes: u64,
    /// Rotated files kept: `path.1` is the newest. 0 to 1,000.
    pub keep: u32,
    /// Rotated when it is this old, a minute to a year; `None`: by size only.
    pub rotate_every: Option<Duration>,
    /// How rotated files are compressed.
    pub compress: Compression,
    /// When what was written is brought to the disk.
    pub sync: FileSync,
}

/// How rotated files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `path.1.gz`
    Gzip,
    /// `path.1.zst`
    Zstd,
}

/// When what was written is brought to the disk (`fdatasync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSync {
    /// Before an event counts as delivered.
    Each,
    /// Once a second.
    Second,
    /// When the system likes.
    Never,
}

impl EventFile {
    /// A file with every option at its default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 100 << 20,
            keep: 5,
            rotate_every: None,
            compress: Compression::None,
            sync: FileSync::Second,
        }
    }
}

/// Reads the keys beside `path`.
pub(in crate::config) fn read(s: &mut Section<'_>, path: PathBuf) -> EventFile {
    const COMPRESSIONS: [(&str, Compression); 3] =
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
    const SYNCS: [(&str, FileSync); 3] =
        [("each", FileSync::Each), ("second", FileSync::Second), ("never", FileSync::Never)];
    let d = EventFile::new(path);
    let ages = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);
    EventFile {
        max_bytes: s.get("max_size", d.max_bytes, read::bytes(64 << 10..=1 << 40)),
        keep: s.get("keep", d.keep, read::whole(0..=1000)),
        rotate_every: s.get("rotate_every", d.rotate_every, read::unless("off", read::duration(ages))),
        compress: s.get("compress", d.compress, read::word(&COMPRESSIONS)),
        sync: s.get("sync", d.sync, read::word(&SYNCS)),
        path: d.path,
    }
}
