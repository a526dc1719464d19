//! From a manifest to the verified bytes of a model.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256 as Hasher};

use super::{DeviceKind, Manifest, Sha256};
use crate::bail;
use crate::base::error::{Error, Kind, Result};
use crate::config::Device;
use crate::infer::onnx::prepare::{Rewrite, rewrite};
use crate::types::ids::ModelId;

/// A protobuf message cannot be larger.
const MAX_BYTES: u64 = 1 << 31;

impl Manifest {
    /// The bytes to load on a device: the prepared file, or on devices of `[import] original_on` the published one
    /// with its batch dimension freed. What was hashed is what is loaded: the file is read once.
    ///
    /// # Errors
    /// `NoInput`, when the file is missing; `Data`, when its hash is another, naming the manifest and both hashes.
    pub fn load(&self, folder: &Path, device: &Device) -> Result<Vec<u8>> {
        match &self.import {
            Some(import) if import.original_on.contains(&DeviceKind::of(device)) => {
                let published = self.load_original(folder)?;
                let frees_batch = import.rewrites.contains(&Rewrite::SymbolicBatch);
                let steps: &[Rewrite] = if frees_batch { &[Rewrite::SymbolicBatch] } else { &[] };
                rewrite(&published, steps)
            }
            _ => self.read_verified(&folder.join(&self.file), &self.sha256),
        }
    }

    /// The published file's bytes.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn load_original(&self, folder: &Path) -> Result<Vec<u8>> {
        match &self.import {
            Some(import) => self.read_verified(&folder.join(&import.original), &import.sha256),
            None => self.read_verified(&folder.join(&self.file), &self.sha256),
        }
    }

    fn read_verified(&self, path: &Path, expected: &Sha256) -> Result<Vec<u8>> {
        let manifest = self.path.display();
        let hint = match &self.import {
            Some(import) if import.converter.is_some() => "add the model again with `watchlistd models add`",
            Some(import) if folder_holds(path, &import.original) => "run `watchlistd models prepare`",
            _ => "run `make setup`",
        };
        let mut file = File::open(path).map_err(|e| {
            let e = Error::io("read the model", path, e);
            Error::new(e.kind(), format!("{} ({manifest} asks for it; {hint})", e.chain()))
        })?;
        let about = file.metadata().map_err(|e| Error::io("read the model", path, e))?;
        if !about.is_file() || about.len() > MAX_BYTES {
            bail!(Data, "{} is not a model: expected a file of at most 2 GiB", path.display());
        }
        let (mut bytes, mut hasher) = (Vec::with_capacity(about.len() as usize), Hasher::new());
        let mut chunk = vec![0u8; 1 << 16];
        loop {
            let read = file.read(&mut chunk).map_err(|e| Error::io("read the model", path, e))?;
            let Some(part @ [_, ..]) = chunk.get(..read) else { break };
            hasher.update(part);
            bytes.extend_from_slice(part);
        }
        let found: Sha256 = hasher.finalize().into();
        if found != *expected {
            return Err(Error::new(
                Kind::Data,
                format!(
                    "{} is not the file {manifest} describes: expected SHA-256 {}, found {} ({} bytes); {hint}",
                    path.display(),
                    ModelId(*expected).hex(),
                    ModelId(found).hex(),
                    bytes.len()
                ),
            ));
        }
        Ok(bytes)
    }
}

/// True if `path` is a file that is made here, and the one it is made of is there.
fn folder_holds(path: &Path, original: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.join(original).is_file()) && !path.ends_with(original)
}
