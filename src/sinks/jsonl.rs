//! One event a line to a file, rotated by size.
//!
//! ```text
//!   events.jsonl ─▶ events.jsonl.1 ─▶ events.jsonl.2 ─▶ ... ─▶ events.jsonl.KEEP ─▶ gone
//!        ▲ when the next line would make it larger than max_bytes
//! ```
//!
//! The file may be moved away or deleted by somebody else (logrotate), with or without SIGHUP: before each
//! event the path is compared with the open file, and opened anew when they differ.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::lines::Lines;
use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::config::EventFile;
use crate::err;

/// Owner writes, group reads: who a camera saw is nobody else's business.
const MODE: u32 = 0o640;

/// The sink.
#[derive(Debug)]
pub struct Jsonl {
    config: EventFile,
    open: Option<Open>,
    // A trouble that repeats at every event is told once.
    told: bool,
}

#[derive(Debug)]
struct Open {
    lines: Lines<File>,
    length: u64,
    device: u64,
    inode: u64,
}

impl Jsonl {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// `NoInput`, `Permission` or `Io`, naming the key and the file.
    pub fn open(config: &EventFile) -> Result<Self> {
        let open = Open::at(&config.path)?;
        Ok(Self { config: config.clone(), open: Some(open), told: false })
    }

    /// The open file, at the configured path, with room for `more` bytes.
    fn ready(&mut self, more: u64) -> Result<&mut Open> {
        if self.open.as_ref().is_none_or(|open| !open.is_at(&self.config.path)) {
            // A failure keeps what is open: a moved file still takes events.
            match Open::at(&self.config.path) {
                Ok(open) => self.open = Some(open),
                Err(e) if self.open.is_none() => return Err(e),
                Err(e) => self.tell(&e, "still writing to the events file that was moved"),
            }
        }
        let full = |open: &Open| open.length > 0 && open.length.saturating_add(more) > self.config.max_bytes;
        if self.open.as_ref().is_some_and(full) {
            match rotate(&self.config).and_then(|()| Open::at(&self.config.path)) {
                Ok(open) => (self.open, self.told) = (Some(open), false),
                // Too large is better than lost.
                Err(e) => self.tell(&e, "the events file cannot be rotated and grows on"),
            }
        }
        self.open.as_mut().ok_or_else(|| err!(Software, "events.file: no file is open"))
    }

    fn tell(&mut self, error: &Error, what: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(error = %error.chain(), "{what}");
        }
    }
}

impl Open {
    fn at(path: &Path) -> Result<Self> {
        Self::try_at(path).map_err(|e| Error::io("open events.file.path", path, e))
    }

    fn try_at(path: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        let torn = metadata.is_file() && metadata.len() > 0 && {
            let mut last = [0u8];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        Ok(Self {
            lines: Lines::new(file, torn),
            length: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (self.device, self.inode))
    }
}

/// Moves each file one number up; the one beyond `keep` is gone.
fn rotate(config: &EventFile) -> Result<()> {
    let path = &config.path;
    let failed = |e| Error::io("rotate events.file.path", path, e);
    if config.keep == 0 {
        return fs::remove_file(path).map_err(failed);
    }
    for n in (1..config.keep).rev() {
        match fs::rename(numbered(path, n), numbered(path, n + 1)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    fs::rename(path, numbered(path, 1)).map_err(failed)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

impl Jsonl {
    fn append(&mut self, json: &str) -> Result<()> {
        let more = json.len() as u64 + 1;
        let open = self.ready(more)?;
        match open.lines.append(json) {
            Ok(bytes) => {
                open.length += bytes;
                Ok(())
            }
            Err(e) => {
                // Part of the line may have gone through.
                open.length = open.lines.get_ref().metadata().map_or(open.length, |m| m.len());
                Err(Error::io("write to events.file.path", &self.config.path, e))
            }
        }
    }

    fn sync(&self) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        match open.lines.get_ref().sync_data() {
            // A pipe or a device cannot be synced, and needs not be.
            Err(e) if e.kind() != std::io::ErrorKind::InvalidInput => {
                Err(Error::io("sync events.file.path", &self.config.path, e))
            }
            _ => Ok(()),
        }
    }
}

impl Sink for Jsonl {
    fn batch(&self) -> usize {
        256
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let mut taken = 0;
        let mut trouble = None;
        for event in batch {
            if stop.is_set() {
                break;
            }
            match self.append(&event.json) {
                Ok(()) => taken += 1,
                Err(error) => {
                    trouble = Some(Trouble::Later { error, after: None });
                    break;
                }
            }
        }
        // What is not on the disk is not taken: it is written again, and a reader drops the second by its id.
        match self.sync() {
            Ok(()) => Sent { taken, trouble },
            Err(error) => Sent::later(0, error),
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.open = Some(Open::at(&self.config.path)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::sinks::contract::{delivery, event, ids};

    fn publish(sink: &mut Jsonl, n: u64) -> Result<(), String> {
        let (_stopper, stop) = crate::base::shutdown::channel();
        let sent = sink.send(&[delivery(n)], &stop);
        sent.trouble.map_or(Ok(()), |trouble| Err(trouble.to_string()))
    }

    fn sequences(path: &Path) -> Vec<u64> {
        ids(&fs::read_to_string(path).expect("readable"))
    }

    fn config(folder: &Path, max_bytes: u64, keep: u32) -> EventFile {
        EventFile { max_bytes, keep, ..EventFile::new(folder.join("events.jsonl")) }
    }

    #[test]
    fn it_rotates_by_size_and_keeps_so_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = event(1).to_line().len() as u64 + 1;
        let config = config(folder.path(), 2 * line + 10, 2);
        let mut sink = Jsonl::open(&config).expect("opens");
        for n in 1..=9 {
            publish(&mut sink, n).expect("written");
        }
        assert_eq!(sequences(&config.path), [9]);
        assert_eq!(sequences(&numbered(&config.path, 1)), [7, 8]);
        assert_eq!(sequences(&numbered(&config.path, 2)), [5, 6]);
        assert!(!numbered(&config.path, 3).exists());
        let mode = fs::metadata(&config.path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    }

    #[test]
    fn with_nothing_kept_it_starts_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), 10, 0);
        let mut sink = Jsonl::open(&config).expect("opens");
        (1..=3).for_each(|n| publish(&mut sink, n).expect("written, though larger than the limit"));
        assert_eq!(sequences(&config.path), [3]);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_moved_away_is_opened_anew_with_and_without_a_signal() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), 1 << 20, 3);
        let moved = folder.path().join("moved");
        let mut sink = Jsonl::open(&config).expect("opens");
        publish(&mut sink, 1).expect("written");
        fs::rename(&config.path, &moved).expect("moved");
        publish(&mut sink, 2).expect("written");
        assert_eq!((sequences(&moved), sequences(&config.path)), (vec![1], vec![2]));
        fs::rename(&config.path, &moved).expect("moved");
        sink.reopen().expect("reopened");
        publish(&mut sink, 3).expect("written");
        assert_eq!((sequences(&moved), sequences(&config.path)), (vec![2], vec![3]));
    }

    #[test]
    fn a_tail_torn_by_a_crash_does_not_spoil_the_next_event() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), 1 << 20, 3);
        let whole = event(1).to_line();
        fs::write(&config.path, format!("{whole}\n{}", &whole[..40])).expect("written");
        let mut sink = Jsonl::open(&config).expect("opens");
        publish(&mut sink, 2).expect("written");
        assert_eq!(sequences(&config.path), [1, 2]);
    }

    /// `/dev/full` says "no space left on device" at every write, as a full disk does.
    #[test]
    fn a_full_disk_loses_events_and_recovers_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), 1 << 20, 3);
        symlink("/dev/full", &config.path).expect("linked");
        let mut sink = Jsonl::open(&config).expect("opens");
        for n in 1..=2 {
            let error = publish(&mut sink, n).expect_err("the disk is full");
            assert!(error.contains("events.jsonl"), "{error}");
        }
        fs::remove_file(&config.path).expect("space is back");
        publish(&mut sink, 3).expect("written");
        assert_eq!(sequences(&config.path), [3]);
    }

    #[test]
    fn a_missing_folder_names_the_key_and_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let error =
            Jsonl::open(&config(&folder.path().join("no"), 1, 1)).expect_err("no such folder").chain();
        assert!(error.contains("events.file.path") && error.contains("no/events.jsonl"), "{error}");
    }
}
