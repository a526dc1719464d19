//! Templates that were made before, sealed: a run that was killed goes on where it was, and the next one starts there.
//!
//! ```text
//!  FOLDER/SPACE.templates    a space: one embedder, one detector, one way of looking; another one has another file
//!  ┌ header, in the clear: magic, key id, space ┐
//!  ├ record 0  nonce │ sealed: SHA-256 of the picture's file, what became of it, measures, vector │ tag
//!  ├ record 1  ...                                  all of one length, so that a damaged one costs only itself
//!  └ a part of one: what a kill left; taken away by the next run
//! ```
//!
//! Only appended to, each record in one write. Which pictures a cache knows is not to be seen without its key. Sealing is the gallery's
//! (`gallery::crypt`), under a key that is kept elsewhere.

mod record;
mod space;

pub use space::Space;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use record::Layout;

use super::acquire::Acquisition;
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::gallery::crypt::{Bound, Key, open, seal};
use crate::gallery::master::{self, KeyFile};
use crate::{bail, err};

/// SHA-256 of a picture's file.
pub type Digest = [u8; 32];

/// The first bytes of a file.
const MAGIC: &[u8; 24] = b"watchlistd eval cache 1\n";
/// Magic, key id, space.
const HEADER: usize = MAGIC.len() + 8 + 32;
/// Records that are read at once.
const BLOCK: usize = 256;

const KEY: KeyFile = KeyFile {
    what: "the key of an evaluation's cache",
    comment: "\
# The key of watchlistd's caches of templates (watchlistd eval --cache). Without it they cannot be read.
# To destroy what is in such a cache, remove this file, or the cache's folder.
",
};

/// The key in the file, made (mode 0600) if there is none.
///
/// # Errors
/// As [`master::load_or_make_other`].
pub fn key(path: &Path) -> Result<Key> {
    Ok(master::load_or_make_other(path, &KEY)?.0)
}

/// An open cache of one space. Nobody else has it open meanwhile.
#[derive(Debug)]
pub struct Cache {
    file: File,
    path: PathBuf,
    key: Key,
    bound: Bound,
    layout: Layout,
    /// Where the record of a picture begins.
    known: HashMap<Digest, u64>,
    damaged: usize,
}

impl Cache {
    /// Opens the space's file in the folder; both are made if they are missing.
    ///
    /// # Errors
    /// `Temporary`, when another run has it open; `Permission`, when it was sealed under another key; `Data`, when it is something
    /// else; `Io` and its kin.
    pub fn open(folder: &Path, key: &Key, space: &Space) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|cause| {
            err!(CannotCreate, "cannot make the folder {}", folder.display()).because(cause)
        })?;
        let path = folder.join(space.file_name());
        let failed = |cause| Error::io("open the cache", &path, cause);
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    Temporary,
                    "{}: another evaluation has this cache open; wait for its end",
                    path.display()
                );
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let bound = Bound::to("evaluation template").field(space.digest());
        let key = key.derive("evaluation cache");
        let layout = Layout::of(space);
        let mut cache = Self { file, path, key, bound, layout, known: HashMap::new(), damaged: 0 };
        cache.check_header(space)?;
        cache.read_records()?;
        Ok(cache)
    }

    /// Pictures it knows.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True if it knows none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Records that could not be opened: their pictures are looked at anew.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// What became of a picture, as far as it was known when the cache was opened.
    pub fn look_up(&self, digest: &Digest) -> Option<Acquisition> {
        let mut sealed = vec![0; self.layout.sealed()];
        self.file.read_exact_at(&mut sealed, *self.known.get(digest)?).ok()?;
        let (found, acquisition) = self.layout.unpack(&open(&self.key, &self.bound, &sealed)?)?;
        (found == *digest).then_some(acquisition)
    }

    /// Keeps what became of a picture. What could not be read is not kept: it costs nothing to try again.
    ///
    /// # Errors
    /// `Io`, when the disk is full or fails.
    pub fn append(&self, digest: &Digest, acquisition: &Acquisition) -> Result<()> {
        let Some(plain) = self.layout.pack(digest, acquisition) else { return Ok(()) };
        let sealed = seal(&self.key, &self.bound, &plain)?;
        (&self.file).write_all(&sealed).map_err(|cause| durable::failed_to_write(&self.path, cause))
    }

    fn check_header(&self, space: &Space) -> Result<()> {
        let failed = |cause| Error::io("read the cache", &self.path, cause);
        let wanted = [&MAGIC[..], &self.key.id().0, space.digest()].concat();
        let mut header = [0; HEADER];
        if self.file.metadata().map_err(failed)?.len() < HEADER as u64 {
            // New, or all that a kill left of a new one.
            let written = self.file.set_len(0).and_then(|()| (&self.file).write_all(&wanted));
            return written.map_err(|cause| durable::failed_to_write(&self.path, cause));
        }
        self.file.read_exact_at(&mut header, 0).map_err(failed)?;
        let (shown, key_id) = (self.path.display(), MAGIC.len()..MAGIC.len() + 8);
        if header.starts_with(MAGIC) && header.get(key_id.clone()) != wanted.get(key_id) {
            bail!(
                Permission,
                "{shown} was sealed under another key; name that key's file with --cache-key, or remove the cache"
            );
        }
        if header[..] != wanted[..] {
            bail!(Data, "{shown}: not a cache of evaluations, or its first bytes are damaged; remove it");
        }
        Ok(())
    }

    /// Finds the records that open, and takes away what is left of one behind the last.
    fn read_records(&mut self) -> Result<()> {
        let failed = |cause| Error::io("read the cache", &self.path, cause);
        let length = self.layout.sealed() as u64;
        let held = self.file.metadata().map_err(failed)?.len().saturating_sub(HEADER as u64);
        let records = held / length;
        if !held.is_multiple_of(length) {
            self.file.set_len(HEADER as u64 + records * length).map_err(failed)?;
        }
        let mut block = Vec::new();
        for first in (0..records).step_by(BLOCK) {
            let count = (records - first).min(BLOCK as u64);
            block.resize((count * length) as usize, 0);
            self.file.read_exact_at(&mut block, HEADER as u64 + first * length).map_err(failed)?;
            for (n, sealed) in (first..).zip(block.chunks_exact(self.layout.sealed())) {
                let plain = open(&self.key, &self.bound, sealed);
                match plain.and_then(|plain| self.layout.unpack(&plain)) {
                    Some((digest, _)) => {
                        self.known.insert(digest, HEADER as u64 + n * length);
                    }
                    None => self.damaged += 1,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
