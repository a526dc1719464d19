//! The file that is written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::sinks::lines::Lines;

/// Owner writes, group reads: who a camera saw is nobody else's business.
pub(super) const MODE: u32 = 0o640;

/// Longest first line that is looked at for its time.
const LONGEST: u64 = 1 << 20;

/// An open file.
pub(super) struct Open {
    lines: Lines<Arc<File>>,
    /// Bytes in it.
    pub length: u64,
    /// When its first event was; `None` while it has none.
    pub first: Option<Timestamp>,
    device: u64,
    inode: u64,
}

impl Open {
    /// Opens the file or creates it. What is in the file is not from after `now`.
    pub fn at(path: &Path, now: Timestamp) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        let (mut torn, mut first) = (false, None);
        if metadata.is_file() && metadata.len() > 0 {
            // Where there is no event in the first line, the last change has to do.
            let changed = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            first = Some(first_event(&file)?.or(changed).map_or(now, |time| time.min(now)));
            let mut last = [0u8];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            torn = last != *b"\n";
        }
        Ok(Self {
            lines: Lines::new(Arc::new(file), torn),
            length: metadata.len(),
            first,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// True if it is what is at the path. If so, and somebody has emptied it, as logrotate's `copytruncate` does, it begins anew.
    pub fn is_at(&mut self, path: &Path) -> bool {
        let Ok(found) = fs::metadata(path) else { return false };
        let same = (found.dev(), found.ino()) == (self.device, self.inode);
        if same && found.len() < self.length {
            self.length = found.len();
            self.first = self.first.filter(|_| self.length > 0);
        }
        same
    }

    /// True if the file is still in some folder, or cannot be removed from one.
    pub fn has_a_name(&self) -> bool {
        self.file().metadata().is_ok_and(|m| !m.is_file() || m.nlink() > 0)
    }

    /// Appends an event of that time.
    pub fn append(&mut self, json: &str, at: Timestamp) -> io::Result<()> {
        match self.lines.append(json) {
            Ok(bytes) => {
                self.length += bytes;
                self.first.get_or_insert(at);
                Ok(())
            }
            Err(e) => {
                // Part of the line may have gone through.
                self.length = self.file().metadata().map_or(self.length, |m| m.len());
                Err(e)
            }
        }
    }

    pub fn file(&self) -> &Arc<File> {
        self.lines.get_ref()
    }
}

/// The time of the event in the first line.
fn first_event(file: &File) -> io::Result<Option<Timestamp>> {
    let mut line = Vec::new();
    BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line)?;
    Ok(time_of(&line))
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Timed {
        time: Timestamp,
    }
    serde_json::from_slice::<Timed>(line).ok().map(|timed| timed.time)
}
