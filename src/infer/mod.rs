//! Running models: the runtime, the devices, the manifests and the embedders.
//!
//! ```text
//!  runtime ─▶ ort::Runtime ─┐
//!  manifest ─▶ verified bytes ├─▶ ort::Session ─▶ OnnxEmbedder, detect::onnx::OnnxDetector
//!  config::Device ──────────┘         ▲
//!                       models::Models opens one of each for every worker; plan::PoolPlan says how many
//! ```

mod denormals;
pub mod embedder;
pub mod import;
pub mod manifest;
pub mod models;
pub mod onnx;
pub mod ort;
mod placement;
pub mod plan;
pub mod prepare;
pub mod runtime;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod torch;

pub use placement::Placement;
pub use prepare::{PrepareReport, prepare};

use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::face::FaceCrop;
use crate::types::geometry::{Point, Size};
use crate::types::ids::ModelId;

/// How a face must be cut out for an embedder.
#[derive(Debug, Clone, PartialEq)]
pub enum Alignment {
    /// A similarity transform takes the five landmarks to these points (Umeyama 1991).
    FivePoint {
        /// Crop size.
        size: Size,
        /// Where the landmarks go, in the crop's pixels.
        template: [Point; 5],
    },
    /// The face's box with a margin on each side, brought to the crop's size (FaceNet).
    BoxMargin {
        /// Crop size.
        size: Size,
        /// Part of the box's side added on each side: 0.15 is 15 %.
        margin: f32,
        /// How a box of other proportions than the crop's fits.
        fit: BoxFit,
    },
}

/// How a box fits into a crop of other proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoxFit {
    /// Its sides are stretched apart.
    Stretch,
    /// It keeps its proportions, in the middle, with grey borders (128) on two sides.
    Letterbox,
}

impl Alignment {
    /// The crop's size.
    pub fn size(&self) -> Size {
        match self {
            Alignment::FivePoint { size, .. } | Alignment::BoxMargin { size, .. } => *size,
        }
    }
}

/// Turns crops into embeddings. One worker owns one embedder.
pub trait Embedder: Send {
    /// The model.
    fn model(&self) -> ModelId;
    /// Length of its vectors.
    fn dimension(&self) -> usize;
    /// Most crops in one call.
    fn max_batch(&self) -> usize;
    /// Embeds up to `max_batch` crops, in order. A crop whose output is no vector gets an error of its own.
    ///
    /// # Errors
    /// The outer error: inference failed as a whole.
    fn embed(&mut self, crops: &[FaceCrop]) -> Result<Vec<Result<Embedding>>>;
}
