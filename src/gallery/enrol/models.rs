//! What enrolment needs of the models, and the models that give it.

use crate::align::Aligner;
use crate::base::error::Result;
use crate::config::QualityLimits;
use crate::detect::{DetectOptions, Detector};
use crate::err;
use crate::image::codec::decode_image;
use crate::infer::Embedder;
use crate::types::embedding::Embedding;
use crate::types::face::{Detection, FaceCrop, Refusal};
use crate::types::frame::RgbImage;
use crate::types::geometry::Size;
use crate::types::ids::ModelId;

/// Candidates down to this score are asked for, so that "no face" can say how near the best one came.
const FAINT: f32 = 0.2;

/// From a picture file to an embedding, step by step. One worker owns one.
pub trait FaceFinder: Send {
    /// The embedder's model.
    fn model(&self) -> ModelId;
    /// The limits that [`FaceFinder::crop`] judges by.
    fn limits(&self) -> &QualityLimits;
    /// Decodes a picture file, bounded before memory is taken for it.
    ///
    /// # Errors
    /// `Data`, when it is no picture or too large.
    fn decode(&self, bytes: &[u8], name: &str) -> Result<RgbImage>;
    /// Everything like a face, faint candidates included: what counts is decided by its score.
    ///
    /// # Errors
    /// When inference fails.
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>>;
    /// Cuts the face out and measures it.
    ///
    /// # Errors
    /// Why there is no crop at all.
    fn crop(&self, picture: &RgbImage, face: &Detection) -> Result<FaceCrop, Refusal>;
    /// Embeds the crop. The inner error: the model made no vector of it.
    ///
    /// # Errors
    /// The outer error: inference failed.
    fn embed(&mut self, crop: &FaceCrop) -> Result<Result<Embedding>>;
}

/// The daemon's own detector, aligner and embedder.
pub struct Models {
    /// Finds the faces.
    pub detector: Box<dyn Detector>,
    /// Size of the detector's input: pictures are fitted into it.
    pub input: Size,
    /// Cuts them out, with the limits for enrolment.
    pub aligner: Aligner,
    /// Embeds them.
    pub embedder: Box<dyn Embedder>,
}

impl FaceFinder for Models {
    fn model(&self) -> ModelId {
        self.embedder.model()
    }

    fn limits(&self) -> &QualityLimits {
        self.aligner.limits()
    }

    fn decode(&self, bytes: &[u8], name: &str) -> Result<RgbImage> {
        decode_image(bytes, name)
    }

    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>> {
        let options = DetectOptions { input: self.input, min_score: FAINT, roi: None };
        self.detector.detect(picture, &options)
    }

    fn crop(&self, picture: &RgbImage, face: &Detection) -> Result<FaceCrop, Refusal> {
        self.aligner.align(picture, face)
    }

    fn embed(&mut self, crop: &FaceCrop) -> Result<Result<Embedding>> {
        let mut embeddings = self.embedder.embed(std::slice::from_ref(crop))?;
        embeddings.pop().ok_or_else(|| err!(Software, "the embedder gave no answer for a crop"))
    }
}
