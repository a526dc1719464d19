//! YuNet (Wu et al., Machine Intelligence Research 2023; libfacedetection): for each cell the probabilities that it is a face, a box and
//! five landmarks, without anchors.

use super::candidate::Candidate;
use super::cells::{Grid, STRIDES, levels};
use super::onnx::{Layout, rows};
use crate::base::error::Result;
use crate::infer::manifest::YuNetOutputs;
use crate::infer::ort::Outputs;
use crate::types::geometry::{Rect, Size};

/// The answers of one stride, flat.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Probability of a face, if it is anything.
    pub classes: &'a [f32],
    /// Probability of anything.
    pub objects: &'a [f32],
    /// The centre's distance from the cell's corner, in strides; logarithms of the size, in strides.
    pub boxes: &'a [f32],
    /// Five distances from the cell's corner, in strides.
    pub landmarks: &'a [f32],
}

/// Decodes the cells that score at least `min_score`. Cells that are not finite are no faces.
pub fn decode(grid: &Grid, answer: &Answer<'_>, min_score: f32) -> Vec<Candidate> {
    let both = answer.classes.iter().zip(answer.objects);
    let scores = both.map(|(class, object)| (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt());
    let good = scores.enumerate().filter(|(_, score)| *score >= min_score);
    good.filter_map(|(cell, score)| decode_cell(grid, answer, cell, score))
        .filter(Candidate::is_finite)
        .collect()
}

fn decode_cell(grid: &Grid, answer: &Answer<'_>, cell: usize, score: f32) -> Option<Candidate> {
    let corner = grid.corner(cell);
    let &[dx, dy, width, height] = answer.boxes.get(4 * cell..)?.first_chunk()?;
    let (x, y) = (corner.x + dx * grid.stride, corner.y + dy * grid.stride);
    let (width, height) = (width.exp() * grid.stride, height.exp() * grid.stride);
    let bbox = Rect { x1: x - width / 2.0, y1: y - height / 2.0, x2: x + width / 2.0, y2: y + height / 2.0 };
    let landmarks = grid.landmarks(corner, answer.landmarks.get(10 * cell..)?.first_chunk()?)?;
    Some(Candidate { bbox, landmarks, score })
}

impl Layout for YuNetOutputs {
    fn multiple(&self) -> u32 {
        STRIDES[2]
    }

    fn candidates(&self, outputs: &Outputs<'_>, size: Size, min_score: f32) -> Result<Vec<Candidate>> {
        let mut found = Vec::new();
        for (level, grid) in levels(size) {
            let read = |names: &[String; 3], columns| rows(outputs, &names[level], grid.len(), columns, size);
            let answer = Answer {
                classes: read(&self.classes, 1)?,
                objects: read(&self.objects, 1)?,
                boxes: read(&self.boxes, 4)?,
                landmarks: read(&self.landmarks, 10)?,
            };
            found.extend(decode(&grid, &answer, min_score));
        }
        Ok(found)
    }
}
