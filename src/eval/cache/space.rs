//! What two runs must have in common to share templates.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};
use crate::detect::DetectOptions;
use crate::eval::acquire::Which;
use crate::types::ids::ModelId;

/// Raised when pictures are decoded, searched for faces, or cut in another way: templates from before then count no more.
const EXAMINATION: u32 = 1;

/// The embedder, and how its crops come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    digest: [u8; 32],
    model: ModelId,
    dimension: usize,
}

impl Space {
    /// Of aligned crops.
    pub fn of_crops(model: ModelId, dimension: usize) -> Self {
        Self::new(model, dimension, &[])
    }

    /// Of photographs. The detector's manifest counts with every byte: it names the weights and all that is done with them.
    ///
    /// # Errors
    /// `NoInput` and its kin, when the manifest cannot be read.
    pub fn of_photographs(
        model: ModelId,
        dimension: usize,
        manifest: &Path,
        look: &DetectOptions,
        which: Which,
    ) -> Result<Self> {
        let manifest = std::fs::read(manifest).map_err(|cause| Error::io("read", manifest, cause))?;
        let which: &[u8] = if which == Which::Centre { b"centre" } else { b"largest" };
        let size = [look.input.width.to_le_bytes(), look.input.height.to_le_bytes()].concat();
        let fields = [&Sha256::digest(manifest)[..], &size, &look.min_score.to_le_bytes(), which];
        Ok(Self::new(model, dimension, &fields))
    }

    fn new(model: ModelId, dimension: usize, fields: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(EXAMINATION.to_le_bytes());
        // Each field with its length, so that no two lists of fields hash alike.
        for field in [&model.0[..], &(dimension as u64).to_le_bytes()].iter().chain(fields) {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        Self { digest: hash.finalize().into(), model, dimension }
    }

    /// Tells it from others.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The embedder.
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// Length of its vectors.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// `0123456789abcdef.templates`
    pub(super) fn file_name(&self) -> String {
        let start: String = self.digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        start + ".templates"
    }
}
