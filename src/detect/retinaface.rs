//! RetinaFace (Deng et al., CVPR 2020): boxes, scores and five landmarks relative to anchors.

use super::candidate::Candidate;
use super::onnx::{Layout, rows};
use crate::base::error::Result;
use crate::infer::manifest::RetinaFaceOutputs;
use crate::infer::ort::Outputs;
use crate::types::geometry::{Point, Rect, Size};

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

impl Layout for RetinaFaceOutputs {
    /// Feature maps round up.
    fn multiple(&self) -> u32 {
        1
    }

    fn candidates(&self, outputs: &Outputs<'_>, size: Size, min_score: f32) -> Result<Vec<Candidate>> {
        let anchors = Anchors::new(size);
        let read = |output, columns| rows(outputs, output, anchors.len(), columns, size);
        let answer = Answer {
            boxes: read(&self.boxes, 4)?,
            scores: read(&self.scores, 2)?,
            landmarks: read(&self.landmarks, 10)?,
        };
        Ok(decode(&anchors, &answer, min_score))
    }
}
