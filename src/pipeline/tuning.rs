//! What a camera looks for: the part of the configuration that may change between two frames.

use crate::config::{Camera, Config, QualityLimits, Track};
use crate::detect::DetectOptions;
use crate::snapshots::Policy;
use crate::snapshots::cut::Cutting;
use crate::snapshots::look::LEAST_SCORE;
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
    /// How pictures are cut out that may be kept; `None`: none are.
    pub snapshots: Option<Cutting>,
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
            snapshots: Policy::of(&config.snapshots)
                .is_on()
                .then_some(Cutting { scene: config.snapshots.scene, side: config.snapshots.scene_pixels }),
        }
    }

    /// What the detector is asked for in a frame of `size`. Where pictures may be kept, faces that are not looked at have to be
    /// known all the same, to be left out of them.
    pub fn detect_options(&self, size: Size) -> DetectOptions {
        let kept = self.snapshots.as_ref();
        DetectOptions {
            input: self.input,
            min_score: kept.map_or(self.min_score, |_| self.min_score.min(LEAST_SCORE)),
            roi: self.roi(size),
        }
    }

    /// The part of a frame that is looked at, in pixels.
    pub fn roi(&self, size: Size) -> Option<Rect> {
        let (w, h) = (size.width as f32, size.height as f32);
        self.roi.map(|[x1, y1, x2, y2]| Rect::new(x1 * w, y1 * h, x2 * w, y2 * h))
    }

    /// Faces that are looked at, and the boxes of those that are only to be left out of pictures.
    pub fn chosen(&self, found: Vec<Detection>, size: Size) -> (Vec<Detection>, Vec<Rect>) {
        let is_chosen = |d: &Detection| d.score >= self.min_score && !self.masks(d, size);
        let (chosen, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_chosen);
        (chosen, others.into_iter().map(|d| d.bbox).collect())
    }

    /// True if the face's centre lies in a mask.
    pub fn masks(&self, detection: &Detection, size: Size) -> bool {
        let center = detection.bbox.center();
        let at = Point { x: center.x / size.width as f32, y: center.y / size.height as f32 };
        self.masks.iter().any(|polygon| polygon_contains(polygon, at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::CameraSource;
    use crate::types::ids::CameraId;

    const SIZE: Size = Size::new(640, 360);

    fn tuning(config: &Config) -> Tuning {
        let source = CameraSource::Test { pattern: "ball".to_owned(), size: SIZE, fps: 25 };
        let camera = Camera::new(CameraId::new("door").expect("an id"), source);
        let masks =
            vec![[(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)].map(|(x, y)| Point { x, y }).to_vec()];
        Tuning { masks, ..Tuning::of(&camera, config) }
    }

    fn face(x: f32, score: f32) -> Detection {
        let bbox = Rect::new(x, 10.0, x + 50.0, 70.0);
        Detection { bbox, landmarks: [Point::default(); 5], score }
    }

    #[test]
    fn faces_that_are_not_looked_at_are_looked_for_only_where_pictures_may_be_kept() {
        let mut config = Config::default();
        let off = tuning(&config);
        assert_eq!((off.detect_options(SIZE).min_score, &off.snapshots), (off.min_score, &None));
        config.snapshots.unknown = Some(Duration::from_secs(3600));
        let on = tuning(&config);
        assert_eq!(on.detect_options(SIZE).min_score, LEAST_SCORE);
        let found = vec![face(10.0, 0.9), face(100.0, LEAST_SCORE), face(500.0, 0.9)];
        let (chosen, others) = on.chosen(found.clone(), SIZE);
        assert_eq!(chosen, found[..1], "neither the unsure one nor the masked one");
        assert_eq!(others, [found[1].bbox, found[2].bbox]);
    }
}
