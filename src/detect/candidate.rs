//! What a model found, before suppression.

use super::nms::Scored;
use crate::types::face::Landmarks;
use crate::types::geometry::Rect;

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
    /// False for one of which a number is infinite or none.
    pub(super) fn is_finite(&self) -> bool {
        self.bbox.is_finite() && self.landmarks.iter().all(|p| p.x.is_finite() && p.y.is_finite())
    }
}
