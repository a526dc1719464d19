//! Which numbers an embedder wants for a pixel: nothing in its file says so. What tells people apart best on real faces is proposed.

use super::self_test::{self, EmbedderReport, Face};
use crate::base::error::Result;
use crate::image::tensor::{ChannelOrder, CropScaling, Normalize};
use crate::infer::embedder::OnnxEmbedder;

/// How pixels become numbers in the models that are about: the mean, and the factor after it.
const SCALES: [(f32, f32); 4] = [(127.5, 1.0 / 128.0), (0.0, 1.0 / 255.0), (0.0, 1.0), (127.5, 1.0)];

/// An input that was tried.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// From pixels to numbers.
    pub scaling: CropScaling,
    /// How that did.
    pub report: EmbedderReport,
}

/// The inputs that are tried: both orders of colours, each with every scale and with whitening.
pub fn candidates() -> Vec<CropScaling> {
    let orders = [ChannelOrder::Rgb, ChannelOrder::Bgr];
    let fixed =
        |order| SCALES.map(|(mean, scale)| CropScaling::Fixed(Normalize::uniform(order, mean, scale)));
    orders
        .into_iter()
        .flat_map(|order| fixed(order).into_iter().chain([CropScaling::Whiten(order)]))
        .collect()
}

/// Tries inputs on faces; the best first. `step` is called after each.
///
/// # Errors
/// As [`self_test::embedder`].
pub fn try_all(
    embedder: &mut OnnxEmbedder,
    faces: &[Face],
    candidates: &[CropScaling],
    step: &mut dyn FnMut(),
) -> Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for scaling in candidates {
        embedder.set_scaling(*scaling);
        // An input that makes no vectors at all is a bad one, and no reason to stop.
        if let Ok(report) = self_test::embedder(embedder, faces) {
            tried.push(Tried { scaling: *scaling, report });
        }
        step();
    }
    if tried.is_empty() {
        // What is wrong with each of them is wrong with the first.
        embedder.set_scaling(candidates.first().copied().unwrap_or(CropScaling::Whiten(ChannelOrder::Rgb)));
        self_test::embedder(embedder, faces)?;
    }
    tried.sort_by(|a, b| b.report.separation().total_cmp(&a.report.separation()));
    Ok(tried)
}
