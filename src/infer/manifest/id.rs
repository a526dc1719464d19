//! The identity of an embedding model.

use sha2::{Digest, Sha256};

use super::{Alignment, EmbedderSpec, Manifest};
use crate::base::error::Result;
use crate::image::tensor::{ChannelOrder, CropScaling};
use crate::infer::BoxFit;
use crate::types::ids::ModelId;

/// Raised when crops or tensors are made in another way: embeddings from before then compare no more.
const PREPROCESSING: u32 = 1;

impl Manifest {
    /// SHA-256 over everything that changes the embedding of a given face: the published weights, the alignment,
    /// the tensor's colour order and normalisation, and the output that is read.
    ///
    /// The *published* weights count, not the file that is loaded: a rewrite is taken into use only after its
    /// result equals the original's (within 1e-6, and 0 for those that ship), and a GPU's rounding is of that size
    /// too. So one gallery serves a box with a GPU and one without. What does not change an embedding is left out:
    /// names, licence, threshold, rewrites, and whether the model normalises (we always do).
    ///
    /// # Errors
    /// `Config`, when this is no embedder.
    pub fn model_id(&self) -> Result<ModelId> {
        let EmbedderSpec { output, dimension, alignment, .. } = self.embedder()?;
        let weights = self.import.as_ref().map_or(&self.sha256, |import| &import.sha256);
        let mut hash = Hasher(Sha256::new());
        hash.field("watchlistd embedder", &PREPROCESSING.to_be_bytes());
        hash.field("weights", weights);
        hash.field("output", output.as_bytes());
        hash.field("dimension", &(*dimension as u64).to_be_bytes());
        let order = |order| if order == ChannelOrder::Rgb { b"rgb" } else { b"bgr" };
        match self.input.scaling {
            CropScaling::Fixed(normalize) => {
                hash.field("order", order(normalize.order));
                hash.numbers("mean", &normalize.mean);
                hash.numbers("scale", &normalize.scale);
            }
            CropScaling::Whiten(channels) => hash.field("whiten", order(channels)),
        }
        let size = alignment.size();
        hash.numbers("size", &[size.width as f32, size.height as f32]);
        match alignment {
            Alignment::FivePoint { template, .. } => {
                hash.numbers("five-point", &template.map(|p| [p.x, p.y]).concat());
            }
            Alignment::BoxMargin { margin, fit, .. } => {
                hash.numbers("box-margin", &[*margin]);
                // Stretching was there before there was a choice: its ids stay.
                if *fit == BoxFit::Letterbox {
                    hash.field("fit", b"letterbox");
                }
            }
        }
        Ok(ModelId(hash.0.finalize().into()))
    }
}

/// Each field goes in with its name and length, so that no two lists of fields hash alike.
struct Hasher(Sha256);

impl Hasher {
    fn field(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    fn numbers(&mut self, name: &str, numbers: &[f32]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_bits().to_be_bytes()).collect();
        self.field(name, &bytes);
    }
}
