//! A detector that runs an ONNX model. Families differ only in how the model's numbers are laid out.
//!
//! ```text
//!  picture ─fit, normalise, pad─▶ [1, 3, h, w] ─▶ outputs ─Layout─▶ candidates ─NMS─▶ faces ─tensor to frame─▶ Detection
//! ```

use super::candidate::Candidate;
use super::nms::suppress;
use super::{DetectOptions, Detector};
use crate::base::error::Result;
use crate::image::resize::{Pad, Resizer};
use crate::image::tensor::{CropScaling, Normalize};
use crate::infer::manifest::Manifest;
use crate::infer::ort::{Outputs, Session};
use crate::types::face::Detection;
use crate::types::frame::Pixels;
use crate::types::geometry::Size;
use crate::{bail, err};

/// How a family's answers are read.
pub trait Layout: Send {
    /// Sides of the tensor must be multiples of this, in pixels.
    fn multiple(&self) -> u32;

    /// What scores at least `min_score` in a tensor of `size`, in its pixels, before suppression.
    ///
    /// # Errors
    /// `Data`, when an output is missing, or has another shape than the family's for that size.
    fn candidates(&self, outputs: &Outputs<'_>, size: Size, min_score: f32) -> Result<Vec<Candidate>>;
}

/// The numbers of one output, `columns` for each of `rows`; files leave the batch dimension, which is 1 here, in or out.
pub(super) fn rows<'o>(
    outputs: &'o Outputs<'_>,
    output: &str,
    rows: usize,
    columns: usize,
    size: Size,
) -> Result<&'o [f32]> {
    let (shape, data) = outputs.tensor(output)?;
    let expected = [1, rows as i64, columns as i64];
    if shape != expected && Some(shape) != expected.get(1..) {
        bail!(Data, "output {output:?} has the shape {shape:?} for {size}, expected {expected:?}");
    }
    Ok(data)
}

/// The detector. One worker owns one.
pub struct OnnxDetector {
    session: Session,
    layout: Box<dyn Layout>,
    nms_iou: f32,
    /// The only size of tensor that the model takes, if it is fixed.
    fixed: Option<Size>,
    normalize: Normalize,
    resizer: Resizer,
    // Reused: the input of one run.
    tensor: Vec<f32>,
}

impl OnnxDetector {
    /// Takes over a session of the manifest's model, and runs it once: its answer must have the family's shape.
    ///
    /// # Errors
    /// `Config`, when the manifest is no detector's or asks for whitening; `Data`, when the model is another.
    pub fn new(manifest: &Manifest, session: Session, layout: Box<dyn Layout>) -> Result<Self> {
        let nms_iou = manifest.detector()?.nms_iou;
        let CropScaling::Fixed(normalize) = manifest.input.scaling else {
            bail!(Config, "{}: input.whiten is for embedders", manifest.path.display());
        };
        let described = |e| err!(Data, "{} does not describe this model", manifest.path.display()).because(e);
        let fixed = manifest.input.size;
        let (resizer, tensor) = (Resizer::new(), Vec::new());
        let mut detector = Self { session, layout, nms_iou, fixed, normalize, resizer, tensor };
        detector.check(&manifest.input.name).map_err(described)?;
        Ok(detector)
    }

    fn check(&mut self, input: &str) -> Result<()> {
        let port = self.session.input();
        let sides = port.shape.iter().skip(2).map(|side| side.and_then(|side| u32::try_from(side).ok()));
        let fits = |(has, wants): (Option<u32>, u32)| has.is_none_or(|has| has == wants);
        let wanted = self.fixed.map(|size| [size.height, size.width]);
        let free = || port.shape.iter().skip(2).all(Option::is_none);
        if port.name != input || !wanted.map_or_else(free, |wanted| sides.zip(wanted).all(fits)) {
            let size =
                wanted.map_or_else(|| "any, any".to_owned(), |[height, width]| format!("{height}, {width}"));
            bail!(Data, "its input is {port}, expected {input:?} [1, 3, {size}]");
        }
        // Not square, and of no more whole strides than have to be: a model that rounds another way shows.
        let multiple = self.layout.multiple();
        let size = self.fixed.unwrap_or(match multiple {
            1 => Size::new(100, 68),
            n => Size::new(3 * n, 2 * n),
        });
        self.tensor.clear();
        self.tensor.resize(3 * size.area() as usize, 0.0);
        self.candidates(size, 2.0).map(drop)
    }

    /// Runs the tensor and decodes what it found.
    fn candidates(&mut self, size: Size, min_score: f32) -> Result<Vec<Candidate>> {
        let outputs = self.session.run(&self.tensor, [1, 3, size.height as usize, size.width as usize])?;
        self.layout.candidates(&outputs, size, min_score)
    }

    /// What the picture is fitted into, and what is around it then: black, as those models were trained with.
    fn target(&self, asked: Size) -> (Size, Pad) {
        match (self.fixed, self.layout.multiple()) {
            (Some(size), _) => (size, Pad::Full { level: 0 }),
            (None, 1) => (asked, Pad::None),
            (None, of) => (asked, Pad::Multiple { of, level: 0 }),
        }
    }
}

impl Detector for OnnxDetector {
    fn detect(&mut self, picture: &dyn Pixels, options: &DetectOptions) -> Result<Vec<Detection>> {
        let (target, pad) = self.target(options.input);
        let fit = self.resizer.fit(picture, options.roi, target, pad, &self.normalize, &mut self.tensor);
        let mut candidates = self.candidates(fit.size, options.min_score)?;
        suppress(&mut candidates, self.nms_iou);
        let size = picture.size();
        let mapped = candidates.into_iter().filter_map(|candidate| {
            let bbox = fit.rect_to_frame(candidate.bbox);
            let landmarks = candidate.landmarks.map(|p| fit.point_to_frame(p));
            Detection::new(bbox, landmarks, candidate.score, size)
        });
        Ok(mapped.collect())
    }
}
