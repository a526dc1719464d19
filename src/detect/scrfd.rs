//! SCRFD (Guo et al., ICLR 2022), with keypoints: for each cell two anchors at its corner, each with a score, the distances to the sides
//! of the box, and five landmarks.

use super::candidate::Candidate;
use super::cells::{Grid, STRIDES, levels};
use super::onnx::{Layout, rows};
use crate::base::error::Result;
use crate::infer::manifest::ScrfdOutputs;
use crate::infer::ort::Outputs;
use crate::types::geometry::{Rect, Size};

/// Anchors at each cell.
pub const ANCHORS: usize = 2;

/// The answers of one stride, flat.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Score, 0 to 1.
    pub scores: &'a [f32],
    /// Distances from the cell's corner to left, top, right, bottom, in strides.
    pub boxes: &'a [f32],
    /// Five distances from the cell's corner, in strides.
    pub landmarks: &'a [f32],
}

/// Decodes the anchors that score at least `min_score`. Anchors that are not finite are no faces.
pub fn decode(grid: &Grid, answer: &Answer<'_>, min_score: f32) -> Vec<Candidate> {
    let good =
        answer.scores.iter().enumerate().filter(|(_, score)| **score >= min_score && score.is_finite());
    good.filter_map(|(row, score)| decode_row(grid, answer, row, *score))
        .filter(Candidate::is_finite)
        .collect()
}

fn decode_row(grid: &Grid, answer: &Answer<'_>, row: usize, score: f32) -> Option<Candidate> {
    let corner = grid.corner(row / ANCHORS);
    let &sides = answer.boxes.get(4 * row..)?.first_chunk::<4>()?;
    let [left, top, right, bottom] = sides.map(|side| side * grid.stride);
    let bbox = Rect { x1: corner.x - left, y1: corner.y - top, x2: corner.x + right, y2: corner.y + bottom };
    let landmarks = grid.landmarks(corner, answer.landmarks.get(10 * row..)?.first_chunk()?)?;
    Some(Candidate { bbox, landmarks, score })
}

impl Layout for ScrfdOutputs {
    fn multiple(&self) -> u32 {
        STRIDES[2]
    }

    fn candidates(&self, outputs: &Outputs<'_>, size: Size, min_score: f32) -> Result<Vec<Candidate>> {
        let mut found = Vec::new();
        for (level, grid) in levels(size) {
            let anchors = ANCHORS * grid.len();
            let read = |names: &[String; 3], columns| rows(outputs, &names[level], anchors, columns, size);
            let answer = Answer {
                scores: read(&self.scores, 1)?,
                boxes: read(&self.boxes, 4)?,
                landmarks: read(&self.landmarks, 10)?,
            };
            found.extend(decode(&grid, &answer, min_score));
        }
        Ok(found)
    }
}
