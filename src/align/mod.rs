//! From a detection to an aligned crop with its quality.
//!
//! ```text
//!  detection ─▶ screen: size, landmarks, pose, cut off   (no pixel is touched)
//!      └──────▶ align: similarity or box ─▶ warp ─▶ sharpness, brightness ─▶ FaceCrop { pixels, Quality }
//! ```

mod pose;
mod quality;
mod similarity;

pub use self::pose::Pose;
pub use self::quality::Look;
pub use self::similarity::CANONICAL as TEMPLATE;
pub use self::similarity::fit as fit_similarity;

use self::quality::assess;
use self::similarity::CANONICAL;
use crate::base::error::Result;
use crate::config::QualityLimits;
use crate::image::affine::{Affine, Similarity};
use crate::image::letterbox::letterbox;
use crate::image::warp::{Border, warp_into};
use crate::infer::{Alignment, BoxFit};
use crate::types::face::{Detection, FaceCrop, Landmarks, Refusal};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};

/// Most of the aligned face that may lie outside the frame.
const MOST_OUTSIDE: f32 = 0.15;

/// Makes aligned crops for one embedder, with one set of limits. Cheap to clone for a camera with its own limits.
#[derive(Debug, Clone)]
pub struct Aligner {
    alignment: Alignment,
    limits: QualityLimits,
    /// A black crop of the right size.
    blank: RgbImage,
}

/// What the landmarks tell.
struct Geometry {
    /// From the frame to the common 112 x 112 template.
    upright: Similarity,
    pose: Pose,
}

impl Aligner {
    /// An aligner for an embedder's crops.
    ///
    /// # Errors
    /// `Data`, when the crop's size is outside the limits of a picture.
    pub fn new(alignment: Alignment, limits: QualityLimits) -> Result<Self> {
        let size = alignment.size();
        crate::types::frame::check_size(size)?;
        let blank = RgbImage::new(size, vec![0; size.area() as usize * 3])?;
        Ok(Self { alignment, limits, blank })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: QualityLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits it refuses by.
    pub fn limits(&self) -> &QualityLimits {
        &self.limits
    }

    /// Checks what can be told without touching a pixel.
    ///
    /// # Errors
    /// The first of: landmarks that make no face, too small, partly outside the frame, turned too far.
    pub fn screen(&self, detection: &Detection, frame: Size) -> Result<(), Refusal> {
        let geometry = Geometry::of(&detection.landmarks).ok_or(Refusal::BadLandmarks)?;
        self.refusal_of(detection, &geometry, frame).map_or(Ok(()), Err)
    }

    /// Cuts the face out and measures it. There is a crop whenever the landmarks allow one; if it is not good
    /// enough, its quality's `refusal` says why.
    ///
    /// # Errors
    /// `BadLandmarks`, when the landmarks (or, for a box, its sides) allow no crop.
    pub fn align(&self, picture: &dyn Pixels, detection: &Detection) -> Result<FaceCrop, Refusal> {
        let frame = picture.size();
        let geometry = Geometry::of(&detection.landmarks).ok_or(Refusal::BadLandmarks)?;
        let (crop, look) = self.cut(picture, detection).ok_or(Refusal::BadLandmarks)?;
        let refusal = self.refusal_of(detection, &geometry, frame);
        let quality =
            assess(detection.face_pixels(), detection.score, &geometry.pose, &look, refusal, &self.limits);
        Ok(FaceCrop::from_aligner(crop, quality))
    }

    /// The crop, as the embedder's training crops were cut, and what the face's pixels tell.
    fn cut(&self, picture: &dyn Pixels, detection: &Detection) -> Option<(RgbImage, Look)> {
        let mut crop = self.blank.clone();
        let look = match &self.alignment {
            Alignment::FivePoint { template, .. } => {
                let to_frame = similarity::fit(&detection.landmarks, template)?.inverse()?;
                warp_into(picture, &to_frame.to_affine().on_pixel_centres(), Border::Black, &mut crop);
                Look::new(&crop)
            }
            Alignment::BoxMargin { size, margin, fit } => {
                let source = with_margin(&detection.bbox, *margin).clamp_to(picture.size());
                if !source.is_finite() || source.area() < 1.0 {
                    return None;
                }
                match fit {
                    BoxFit::Stretch => {
                        let to_box = Affine::from_crop_to_rect(*size, &source);
                        warp_into(picture, &to_box, Border::Nearest, &mut crop);
                        Look::new(&crop)
                    }
                    // The borders are no part of the face.
                    BoxFit::Letterbox => Look::new(&letterbox(picture, &source, &mut crop)?),
                }
            }
        };
        Some((crop, look))
    }

    fn refusal_of(&self, detection: &Detection, geometry: &Geometry, frame: Size) -> Option<Refusal> {
        let Pose { yaw, pitch, roll } = geometry.pose;
        let limits = &self.limits;
        if detection.face_pixels() < limits.min_face {
            Some(Refusal::TooSmall)
        } else if geometry.is_cut_off(&detection.landmarks, frame) {
            Some(Refusal::CutOff)
        } else if yaw.abs() > limits.max_yaw || pitch.abs() > limits.max_pitch || roll.abs() > limits.max_roll
        {
            Some(Refusal::ExtremePose)
        } else {
            None
        }
    }
}

impl Geometry {
    fn of(landmarks: &Landmarks) -> Option<Self> {
        let upright = similarity::fit(landmarks, &CANONICAL.map(|(x, y)| Point { x, y }))?;
        Some(Self { upright, pose: Pose::new(landmarks, &upright) })
    }

    /// True if a landmark or more than [`MOST_OUTSIDE`] of the aligned face lies outside the frame. The detector's
    /// box does not tell: it ends at the frame.
    fn is_cut_off(&self, landmarks: &Landmarks, frame: Size) -> bool {
        let frame = Rect::new(0.0, 0.0, frame.width as f32, frame.height as f32);
        if !landmarks.iter().all(|&p| frame.contains(p)) {
            return true;
        }
        let Some(to_frame) = self.upright.inverse() else { return true };
        // The face within the 112 x 112 template: from the forehead to the chin.
        const GRID: u8 = 10;
        let cells = (0..GRID).flat_map(|y| (0..GRID).map(move |x| (x, y)));
        let outside = cells.filter(|&(x, y)| {
            let part = |i: u8| (f32::from(i) + 0.5) / f32::from(GRID);
            !frame.contains(to_frame.apply(Point { x: 14.0 + 84.0 * part(x), y: 14.0 + 98.0 * part(y) }))
        });
        outside.count() as f32 > MOST_OUTSIDE * f32::from(GRID) * f32::from(GRID)
    }
}

/// The box with a part of its sides added on each side.
fn with_margin(rect: &Rect, margin: f32) -> Rect {
    let (dx, dy) = (rect.width() * margin, rect.height() * margin);
    Rect { x1: rect.x1 - dx, y1: rect.y1 - dy, x2: rect.x2 + dx, y2: rect.y2 + dy }
}

#[cfg(test)]
mod tests;
