//! RetinaFace (Deng et al., CVPR 2020): boxes, scores and five landmarks relative to anchors.
//!
//! ```text
//!  picture ─fit, normalise─▶ [1, 3, h, w] ─▶ loc [1, A, 4], conf [1, A, 2], landmarks [1, A, 10]
//!                                                     │ only where the score suffices
//!                                    anchors + offsets ▼             tensor ─▶ frame
//!                                              candidates ──NMS──▶ faces ──────▶ Detection
//! ```

use super::nms::{Scored, suppress};
use super::{DetectOptions, Detector};
use crate::base::error::Result;
use crate::image::resize::{Pad, Resizer};
use crate::image::tensor::{CropScaling, Normalize};
use crate::infer::manifest::{DetectorSpec, Manifest};
use crate::infer::ort::Session;
use crate::types::face::{Detection, Landmarks};
use crate::types::frame::Pixels;
use crate::types::geometry::{Point, Rect, Size};
use crate::{bail, err};

/// Strides of the three feature maps, each with the sides of its two square anchors, in pixels of the tensor.
const LEVELS: [(u32, [f32; 2]); 3] = [(8, [16.0, 32.0]), (16, [64.0, 128.0]), (32, [256.0, 512.0])];
/// What offsets of centres and landmarks are scaled by ...
const CENTER_VARIANCE: f32 = 0.1;
/// ... and logarithms of sizes.
const SIZE_VARIANCE: f32 = 0.2;

/// The anchors of one tensor size, in the order of the model's rows: by level, row, column, anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchors {
    columns: [usize; 3],
    // Rows of the output before each level, and in all.
    starts: [usize; 4],
}

/// A square anchor, in pixels of the tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Centre.
    pub center: Point,
    /// Side.
    pub side: f32,
}

impl Anchors {
    /// For a tensor of `size`: feature maps round up.
    pub fn new(size: Size) -> Self {
        let columns = LEVELS.map(|(stride, _)| size.width.div_ceil(stride) as usize);
        let cells = LEVELS
            .map(|(stride, _)| size.width.div_ceil(stride) as usize * size.height.div_ceil(stride) as usize);
        let [a, b, c] = cells.map(|cells| 2 * cells);
        Self { columns, starts: [0, a, a + b, a + b + c] }
    }

    /// Number of anchors.
    pub fn len(&self) -> usize {
        let [.., all] = self.starts;
        all
    }

    /// True for a tensor without pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The anchor of a row; `None` beyond the last.
    pub fn get(&self, row: usize) -> Option<Anchor> {
        let ends = self.starts.iter().skip(1);
        let levels = LEVELS.iter().zip(self.columns).zip(self.starts.iter().zip(ends));
        let (((stride, sides), columns), (start, _)) =
            levels.into_iter().find(|(_, (_, end))| row < **end)?;
        let (cell, which) = ((row - start) / 2, (row - start) % 2);
        let center = |index: usize| (index as f32 + 0.5) * *stride as f32;
        let center = Point { x: center(cell % columns), y: center(cell / columns) };
        Some(Anchor { center, side: if which == 0 { sides[0] } else { sides[1] } })
    }
}

/// A face before suppression, in pixels of the tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Box.
    pub bbox: Rect,
    /// Landmarks.
    pub landmarks: Landmarks,
    /// Score, 0 to 1.
    pub score: f32,
}

impl Scored for Candidate {
    fn bbox(&self) -> &Rect {
        &self.bbox
    }

    fn score(&self) -> f32 {
        self.score
    }
}

impl Candidate {
    fn is_finite(&self) -> bool {
        self.bbox.is_finite() && self.landmarks.iter().all(|p| p.x.is_finite() && p.y.is_finite())
    }
}

/// The model's three answers for one picture, flat.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Four numbers a row: offset of the centre, logarithm of the size.
    pub boxes: &'a [f32],
    /// Two numbers a row: background, face (softmax applied).
    pub scores: &'a [f32],
    /// Ten numbers a row: five offsets.
    pub landmarks: &'a [f32],
}

/// Decodes the rows that score at least `min_score`. Rows that are not finite are no faces.
pub fn decode(anchors: &Anchors, answer: &Answer<'_>, min_score: f32) -> Vec<Candidate> {
    let faces = answer.scores.chunks_exact(2).map(|row| row.get(1).copied().unwrap_or(f32::NAN));
    let good = faces.enumerate().filter(|(_, score)| *score >= min_score && score.is_finite());
    good.filter_map(|(row, score)| decode_row(anchors, answer, row, score))
        .filter(Candidate::is_finite)
        .collect()
}

fn decode_row(anchors: &Anchors, answer: &Answer<'_>, row: usize, score: f32) -> Option<Candidate> {
    let Anchor { center, side } = anchors.get(row)?;
    let &[dx, dy, dw, dh] = answer.boxes.get(4 * row..)?.first_chunk()?;
    let offsets: &[f32; 10] = answer.landmarks.get(10 * row..)?.first_chunk()?;
    let moved = |dx: f32, dy: f32| Point {
        x: center.x + dx * CENTER_VARIANCE * side,
        y: center.y + dy * CENTER_VARIANCE * side,
    };
    let middle = moved(dx, dy);
    let (width, height) = (side * (dw * SIZE_VARIANCE).exp(), side * (dh * SIZE_VARIANCE).exp());
    let (left, top) = (middle.x - width / 2.0, middle.y - height / 2.0);
    let [a, b, c, d, e] = offsets.as_chunks::<2>().0.first_chunk::<5>()?.map(|[dx, dy]| moved(dx, dy));
    Some(Candidate {
        bbox: Rect { x1: left, y1: top, x2: left + width, y2: top + height },
        landmarks: [a, b, c, d, e],
        score,
    })
}

/// The detector. One worker owns one.
pub struct RetinaFace {
    session: Session,
    spec: DetectorSpec,
    normalize: Normalize,
    resizer: Resizer,
    // Reused: the input of one run.
    tensor: Vec<f32>,
}

impl RetinaFace {
    /// Takes over a session of the manifest's model, and runs it once: its answer must have RetinaFace's shape.
    ///
    /// # Errors
    /// `Config`, when the manifest is no detector's or asks for whitening; `Data`, when the model is another.
    pub fn new(manifest: &Manifest, session: Session) -> Result<Self> {
        let spec = manifest.detector()?.clone();
        let CropScaling::Fixed(normalize) = manifest.input.scaling else {
            bail!(Config, "{}: input.whiten is for embedders", manifest.path.display());
        };
        let described = |e| err!(Data, "{} does not describe this model", manifest.path.display()).because(e);
        let mut detector = Self { session, spec, normalize, resizer: Resizer::new(), tensor: Vec::new() };
        detector.check(&manifest.input.name).map_err(described)?;
        Ok(detector)
    }

    fn check(&mut self, input: &str) -> Result<()> {
        if self.session.input().name != input {
            bail!(Data, "its input is {}, expected {input:?}", self.session.input());
        }
        // Not square and not of whole strides: a model that rounds another way shows.
        let size = Size::new(100, 68);
        self.tensor.clear();
        self.tensor.resize(3 * size.area() as usize, 0.0);
        self.candidates(size, 2.0).map(drop)
    }

    /// Runs the tensor and decodes what it found.
    fn candidates(&mut self, size: Size, min_score: f32) -> Result<Vec<Candidate>> {
        let anchors = Anchors::new(size);
        let outputs = self.session.run(&self.tensor, [1, 3, size.height as usize, size.width as usize])?;
        let [boxes, scores, landmarks] = &self.spec.outputs;
        let rows = |output: &str, columns: usize| -> Result<&[f32]> {
            let (shape, data) = outputs.tensor(output)?;
            let expected = [1, anchors.len() as i64, columns as i64];
            if shape != expected {
                bail!(Data, "output {output:?} has the shape {shape:?} for {size}, expected {expected:?}");
            }
            Ok(data)
        };
        let answer =
            Answer { boxes: rows(boxes, 4)?, scores: rows(scores, 2)?, landmarks: rows(landmarks, 10)? };
        Ok(decode(&anchors, &answer, min_score))
    }
}

impl Detector for RetinaFace {
    fn detect(&mut self, picture: &dyn Pixels, options: &DetectOptions) -> Result<Vec<Detection>> {
        let fit = self.resizer.fit(
            picture,
            options.roi,
            options.input,
            Pad::None,
            &self.normalize,
            &mut self.tensor,
        );
        let mut candidates = self.candidates(fit.size, options.min_score)?;
        suppress(&mut candidates, self.spec.nms_iou);
        let size = picture.size();
        let mapped = candidates.into_iter().filter_map(|candidate| {
            let bbox = fit.rect_to_frame(candidate.bbox);
            let landmarks = candidate.landmarks.map(|p| fit.point_to_frame(p));
            Detection::new(bbox, landmarks, candidate.score, size)
        });
        Ok(mapped.collect())
    }
}
