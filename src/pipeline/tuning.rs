//! What a camera looks for: the part of the configuration that may change between two frames.

use crate::config::{Camera, Config, QualityLimits, Track};
use crate::detect::DetectOptions;
use crate::types::face::Detection;
use crate::types::geometry::{Point, Rect, Size, polygon_contains};

/// Settings of one lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The detector's input.
    pub input: Size,
    /// Least score the detector reports.
    pub min_score: f32,
    /// Part of the picture that is looked at, as fractions.
    pub roi: Option<[f32; 4]>,
    /// Polygons whose faces are ignored, as fractions.
    pub masks: Vec<Vec<Point>>,
    /// What is good enough to be embedded.
    pub limits: QualityLimits,
    /// Tracking.
    pub track: Track,
    /// Refuse faces that are not good enough; off, every face is embedded.
    pub gate: bool,
    /// Embed every face of every frame instead of each track's best shots.
    pub every_face: bool,
}

impl Tuning {
    /// A camera's settings.
    pub fn of(camera: &Camera, config: &Config) -> Self {
        let mut limits = config.quality.clone();
        limits.min_face = camera.min_face.unwrap_or(limits.min_face);
        Self {
            input: camera.input,
            min_score: camera.min_score,
            roi: camera.roi,
            masks: camera.masks.clone(),
            limits,
            track: config.track.clone(),
            gate: true,
            every_face: false,
        }
    }

    /// What the detector is asked for in a frame of `size`.
    pub fn detect_options(&self, size: Size) -> DetectOptions {
        let (w, h) = (size.width as f32, size.height as f32);
        DetectOptions {
            input: self.input,
            min_score: self.min_score,
            roi: self.roi.map(|[x1, y1, x2, y2]| Rect::new(x1 * w, y1 * h, x2 * w, y2 * h)),
        }
    }

    /// True if the face's centre lies in a mask.
    pub fn masks(&self, detection: &Detection, size: Size) -> bool {
        let center = detection.bbox.center();
        let at = Point { x: center.x / size.width as f32, y: center.y / size.height as f32 };
        self.masks.iter().any(|polygon| polygon_contains(polygon, at))
    }
}
