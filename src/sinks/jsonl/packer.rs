//! The thread that compresses rotated files.
//!
//! ```text
//!   path.1 ─▶ .path.pack ─ fsync ─▶ renamed to path.1.gz ─ fsync of the folder ─▶ path.1 removed
//!     a kill here: begun anew        └ here: path.1 is compared with path.1.gz, and removed if it is the same
//! ```
//!
//! It finds its work in the folder, not in a queue: what a kill has left is found at the next start like what was rotated just now.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::files::MODE;
use super::names::{Names, Packing, gone};
use crate::base::error::Result;
use crate::base::faults;
use crate::base::shutdown::{self, Stop, Stopper};
use crate::config::Compression;
use crate::err;

/// Bytes between two looks at whether to stop.
const CHUNK: usize = 64 << 10;

/// The thread. Dropped, it leaves what it is at to the next start, and ends.
pub(super) struct Packer {
    bell: Option<Sender<()>>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Packer {
    /// Starts it: it looks at what is there, and again whenever it is rung.
    pub fn start(names: Names, compression: Compression) -> Result<Self> {
        let packing = match compression {
            Compression::None => Packing::Plain,
            Compression::Gzip => Packing::Gzip,
            Compression::Zstd => Packing::Zstd,
        };
        let (stopper, stop) = shutdown::channel();
        let (bell, rung) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("jsonl-pack".into())
            .spawn(move || run(&names, packing, &rung, &stop))
            .map_err(|e| {
                err!(Unavailable, "cannot start the thread that compresses events files").because(e)
            })?;
        Ok(Self { bell: Some(bell), stopper, thread: Some(thread) })
    }

    /// A file was rotated.
    pub fn ring(&self) {
        // One that waits is enough.
        if let Some(bell) = &self.bell {
            let _ = bell.try_send(());
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.bell = None;
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(names: &Names, packing: Packing, rung: &Receiver<()>, stop: &Stop) {
    let mut told = false;
    loop {
        let done = tidy(names).and_then(|()| pack_all(names, packing, stop));
        match done {
            // What is left is left to the next start.
            _ if stop.is_set() => return,
            Err(error) if !std::mem::replace(&mut told, true) => {
                let file = names.numbered(1, Packing::Plain);
                let file = file.display();
                tracing::warn!(%error, %file, "rotated events files cannot be compressed, and stay as they are");
            }
            Err(_) => {}
            Ok(()) => told = false,
        }
        if rung.recv().is_err() {
            return;
        }
    }
}

/// Takes away what a kill has left: an unfinished file, and plain files whose compressed twin is in place.
fn tidy(names: &Names) -> io::Result<()> {
    gone(fs::remove_file(names.unfinished()))?;
    let _alone = names.lock();
    for (n, packing) in names.twins() {
        let (plain, packed) = (names.numbered(n, Packing::Plain), names.numbered(n, packing));
        if is_same(&plain, &packed, packing)? {
            fs::remove_file(plain)?;
        } else {
            let (plain, packed) = (plain.display(), packed.display());
            tracing::warn!(%plain, %packed, "are not the same, and both stay");
        }
    }
    Ok(())
}

fn pack_all(names: &Names, packing: Packing, stop: &Stop) -> io::Result<()> {
    if packing == Packing::Plain {
        return Ok(());
    }
    for plain in names.plain() {
        match pack(names, &plain, packing, stop) {
            // It has another number by now, or none.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

fn pack(names: &Names, path: &Path, packing: Packing, stop: &Stop) -> io::Result<()> {
    let plain = File::open(path)?;
    let before = plain.metadata()?;
    let unfinished = names.unfinished();
    let result = copy_packed(&plain, &unfinished, packing, stop).and_then(|length| {
        faults::point("jsonl.packed");
        names.replace((before.dev(), before.ino()), length, &unfinished, packing)
    });
    if !matches!(result, Ok(true)) {
        gone(fs::remove_file(&unfinished))?;
    }
    result.map(drop)
}

/// Writes a compressed copy that is on the disk when this returns. How many bytes went in.
fn copy_packed(plain: &File, to: &Path, packing: Packing, stop: &Stop) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(to)?;
    let mut encoder = Encoder::new(BufWriter::new(file), packing)?;
    let mut from = BufReader::new(plain);
    let (mut buffer, mut length) = (vec![0; CHUNK], 0);
    loop {
        if stop.is_set() {
            return Err(io::Error::other("stopped"));
        }
        match from.read(&mut buffer)? {
            0 => break,
            n => {
                encoder.write_all(buffer.get(..n).unwrap_or_default())?;
                length += n as u64;
            }
        }
    }
    let file = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    // So that who goes by the age of files finds the right one.
    file.set_modified(plain.metadata()?.modified()?)?;
    file.sync_all()?;
    Ok(length)
}

enum Encoder {
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Encoder {
    fn new(to: BufWriter<File>, packing: Packing) -> io::Result<Self> {
        Ok(match packing {
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
            Packing::Gzip | Packing::Plain => {
                Encoder::Gzip(GzEncoder::new(to, flate2::Compression::default()))
            }
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<BufWriter<File>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// What is in a rotated file.
pub(super) fn unpacked(path: &Path, packing: Packing) -> io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    Ok(match packing {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
    })
}

/// True if the compressed file is whole and holds what the plain one does.
fn is_same(plain: &Path, packed: &Path, packing: Packing) -> io::Result<bool> {
    let (mut one, mut other) = (unpacked(plain, Packing::Plain)?, unpacked(packed, packing)?);
    let (mut a, mut b) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        // A broken file is not the same.
        let (Ok(n), Ok(m)) = (fill(&mut *one, &mut a), fill(&mut *other, &mut b)) else { return Ok(false) };
        match a.get(..n) == b.get(..m) {
            false => return Ok(false),
            true if n == 0 => return Ok(true),
            true => {}
        }
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
