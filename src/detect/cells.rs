//! The cells of detectors without anchors: a feature map for each stride, whose cells speak for the pixels around them.

use crate::types::face::Landmarks;
use crate::types::geometry::{Point, Size};

/// Pixels of the tensor that a cell of each feature map stands for. A tensor's sides must be multiples of the last one, because the maps
/// are added to each other.
pub const STRIDES: [u32; 3] = [8, 16, 32];

/// A feature map, by rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    columns: usize,
    rows: usize,
    /// Pixels of the tensor from cell to cell.
    pub stride: f32,
}

/// The feature maps of a tensor of `size`, numbered as its manifest lists their outputs.
pub fn levels(size: Size) -> impl Iterator<Item = (usize, Grid)> {
    STRIDES.into_iter().map(move |stride| Grid::new(size, stride)).enumerate()
}

impl Grid {
    /// That of a tensor of `size` at a stride.
    pub fn new(size: Size, stride: u32) -> Self {
        let cells = |side: u32| side.div_ceil(stride) as usize;
        Self { columns: cells(size.width), rows: cells(size.height), stride: stride as f32 }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.columns * self.rows
    }

    /// True for a tensor without pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A cell's top left corner, in pixels of the tensor.
    pub fn corner(&self, cell: usize) -> Point {
        let columns = self.columns.max(1);
        Point { x: (cell % columns) as f32 * self.stride, y: (cell / columns) as f32 * self.stride }
    }

    /// The points that lie so many strides from a corner.
    pub fn landmarks(&self, corner: Point, strides: &[f32; 10]) -> Option<Landmarks> {
        let point =
            |[dx, dy]: [f32; 2]| Point { x: corner.x + dx * self.stride, y: corner.y + dy * self.stride };
        Some(strides.as_chunks::<2>().0.first_chunk::<5>()?.map(point))
    }
}
