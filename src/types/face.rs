//! Faces as they are found: detections, crops and their quality.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::RgbImage;
use super::geometry::{Point, Rect, Size};

/// Five landmarks in the picture's pixels: left eye, right eye, nose, left and right corner of the mouth.
/// Left and right are the viewer's.
pub type Landmarks = [Point; 5];

/// A face found in a frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// The face's box, inside the frame.
    pub bbox: Rect,
    /// The landmarks; they may lie a little outside the frame when the face does.
    pub landmarks: Landmarks,
    /// The detector's confidence, 0 to 1.
    pub score: f32,
}

impl Detection {
    /// Keeps a detector's answer if it is finite and has an area inside a picture of `size`.
    pub fn new(bbox: Rect, landmarks: Landmarks, score: f32, size: Size) -> Option<Self> {
        let finite = bbox.is_finite()
            && score.is_finite()
            && landmarks.iter().all(|p| p.x.is_finite() && p.y.is_finite());
        let bbox = bbox.clamp_to(size);
        (finite && bbox.area() >= 1.0).then(|| Self { bbox, landmarks, score: score.clamp(0.0, 1.0) })
    }

    /// The shorter side of the box, in pixels: the size a minimum is compared with.
    pub fn face_pixels(&self) -> f32 {
        self.bbox.width().min(self.bbox.height())
    }
}

/// Why a face was not embedded. Each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Fewer face pixels than the minimum.
    TooSmall,
    /// Sharpness under the minimum.
    Blurred,
    /// Turned or tilted too far.
    ExtremePose,
    /// Too dark.
    TooDark,
    /// Too bright.
    TooBright,
    /// Part of the face lies outside the frame.
    CutOff,
    /// The landmarks do not make a face.
    BadLandmarks,
}

impl Refusal {
    /// All of them, for tables of counters.
    pub const ALL: [Refusal; 7] = [
        Refusal::TooSmall,
        Refusal::Blurred,
        Refusal::ExtremePose,
        Refusal::TooDark,
        Refusal::TooBright,
        Refusal::CutOff,
        Refusal::BadLandmarks,
    ];

    /// The name in metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::TooSmall => "too_small",
            Refusal::Blurred => "blurred",
            Refusal::ExtremePose => "extreme_pose",
            Refusal::TooDark => "too_dark",
            Refusal::TooBright => "too_bright",
            Refusal::CutOff => "cut_off",
            Refusal::BadLandmarks => "bad_landmarks",
        }
    }
}

/// What was measured of a face, and whether it is good enough to be embedded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Shorter side of the face's box in the frame, in pixels.
    pub face_pixels: f32,
    /// Variance of the Laplacian of the aligned crop's luma, 0 and up; about 100 is sharp at 112 x 112.
    pub sharpness: f32,
    /// Estimated turn of the head from the landmarks, degrees; 0 faces the camera, negative to the viewer's left.
    pub yaw: f32,
    /// Estimated nod, degrees; positive looks down.
    pub pitch: f32,
    /// In-plane rotation, degrees, clockwise.
    pub roll: f32,
    /// Mean luma of the crop, 0 to 255.
    pub brightness: f32,
    /// One figure for ranking shots, 0 to 1.
    pub score: f32,
    /// Why it is refused; `None` if it is good enough.
    pub refusal: Option<Refusal>,
}

/// An aligned face at an embedder's input size. Only the aligner makes one.
#[derive(Clone)]
pub struct FaceCrop {
    image: Arc<RgbImage>,
    quality: Quality,
}

impl FaceCrop {
    /// For the aligner.
    pub(crate) fn from_aligner(image: RgbImage, quality: Quality) -> Self {
        Self { image: Arc::new(image), quality }
    }

    /// The pixels.
    pub fn image(&self) -> &RgbImage {
        &self.image
    }

    /// What was measured.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }
}

impl fmt::Debug for FaceCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaceCrop({:?}, quality {:.2})", self.image, self.quality.score)
    }
}
