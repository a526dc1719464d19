//! Finding faces in a frame. One file per family of output layouts.

pub mod candidate;
pub mod cells;
pub mod nms;
pub mod onnx;
pub mod retinaface;
pub mod scrfd;
pub mod yunet;

use crate::base::error::Result;
use crate::infer::manifest::{DetectorOutputs, Manifest};
use crate::infer::ort::Session;
use crate::types::face::Detection;
use crate::types::frame::Pixels;
use crate::types::geometry::{Rect, Size};

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectOptions {
    /// The frame is fitted into this size with its aspect kept (never enlarged beyond it).
    pub input: Size,
    /// Least score kept.
    pub min_score: f32,
    /// Only this part of the frame is looked at, in pixels.
    pub roi: Option<Rect>,
}

/// Finds faces. One worker owns one detector.
pub trait Detector: Send {
    /// All faces, best score first, in the frame's pixels, after non-maximum suppression.
    ///
    /// # Errors
    /// `Software` or `Unavailable` when inference fails; never because of what the picture shows.
    fn detect(&mut self, picture: &dyn Pixels, options: &DetectOptions) -> Result<Vec<Detection>>;
}

/// The detector for a manifest's family, on a session of its model.
///
/// # Errors
/// `Config`, when the family is no detector's; `Data`, when the model is not what its manifest says.
pub fn make_detector(manifest: &Manifest, session: Session) -> Result<Box<dyn Detector>> {
    let layout: Box<dyn onnx::Layout> = match manifest.detector()?.outputs.clone() {
        DetectorOutputs::RetinaFace(outputs) => Box::new(outputs),
        DetectorOutputs::YuNet(outputs) => Box::new(outputs),
        DetectorOutputs::Scrfd(outputs) => Box::new(outputs),
    };
    Ok(Box::new(onnx::OnnxDetector::new(manifest, session, layout)?))
}

#[cfg(test)]
mod tests;
