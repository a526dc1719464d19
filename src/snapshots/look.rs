//! Looking at a cut-out picture once more, for faces that were too small to be found in the whole frame.
//!
//! ```text
//!   frame of 3840 x 2160, looked at in 640 x 360: a face of 40 pixels has 7 there, and is not found
//!   scene of 640 x 480, looked at as it is:       the same face has 27, and is found here
//! ```
//!
//! What is found is made unrecognisable, and looked for again. A picture in which a face is found after that is not kept: what
//! cannot be shown to be nobody else's is nobody's.

use super::cut::{Part, head, others};
use crate::base::error::Result;
use crate::detect::{DetectOptions, Detector};
use crate::image::obscure::obscure;
use crate::types::frame::{Pixels as _, RgbImage};
use crate::types::geometry::{Rect, Size};

/// Least score of what is taken for a face here, and of what is left of a frame's faces for this. Rather a wall too much than a
/// face too few.
pub const LEAST_SCORE: f32 = 0.2;

/// How often faces are looked for, at most.
const LOOKS: usize = 3;

/// The picture without anybody else; `None`, if somebody is still found. `tensor` is the size in which frames are looked at: the
/// picture is looked at in one of the same shape, as some devices prepare themselves for each shape anew.
///
/// # Errors
/// The detector's.
pub fn look_again(mut part: Part, detector: &mut dyn Detector, tensor: Size) -> Result<Option<Part>> {
    for _ in 0..LOOKS {
        let Some(found) = others_in(&part, detector, tensor)? else { return Ok(None) };
        if found.is_empty() {
            return Ok(Some(part));
        }
        found.iter().for_each(|face| obscure(&mut part.image, &head(face), Some(&part.own)));
    }
    Ok(None)
}

/// Faces in it but for its own; `None`, if one of them covers that.
fn others_in(part: &Part, detector: &mut dyn Detector, tensor: Size) -> Result<Option<Vec<Rect>>> {
    let canvas = on_canvas(&part.image, tensor);
    let options = DetectOptions { input: tensor, min_score: LEAST_SCORE, roi: None };
    let found: Vec<Rect> = detector.detect(&canvas, &options)?.iter().map(|face| face.bbox).collect();
    Ok(others(&part.own, &found).ok())
}

/// The picture in the upper left corner of a black one of the tensor's shape.
fn on_canvas(image: &RgbImage, tensor: Size) -> RgbImage {
    let size = image.size();
    let ratio = |side: u32, of: u32| f64::from(side) / f64::from(of.max(1));
    let scale = ratio(size.width, tensor.width).max(ratio(size.height, tensor.height)).max(1.0);
    let side = |of: u32, least: u32| ((f64::from(of) * scale).ceil() as u32).max(least);
    let canvas = Size::new(side(tensor.width, size.width), side(tensor.height, size.height));
    let mut pixels = vec![0; canvas.area() as usize * 3];
    let rows = image.data().chunks_exact(size.width as usize * 3);
    for (to, from) in pixels.chunks_exact_mut(canvas.width as usize * 3).zip(rows) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    // A few times the size of a picture at most: within the limits.
    RgbImage::new(canvas, pixels).unwrap_or_else(|_| image.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::face::Detection;
    use crate::types::frame::Pixels;
    use crate::types::geometry::Point;

    /// Finds what it is told to, one answer after the other.
    struct Told(Vec<Vec<Rect>>);

    impl Detector for Told {
        fn detect(&mut self, picture: &dyn Pixels, _: &DetectOptions) -> Result<Vec<Detection>> {
            let found = self.0.remove(0);
            let face = |bbox| Detection { bbox, landmarks: [Point::default(); 5], score: 0.5 };
            assert!(picture.size().width >= 320);
            Ok(found.into_iter().map(face).collect())
        }
    }

    const OWN: Rect = Rect { x1: 100.0, y1: 100.0, x2: 150.0, y2: 160.0 };
    const OTHER: Rect = Rect { x1: 220.0, y1: 50.0, x2: 240.0, y2: 75.0 };

    fn looked_at(answers: &[&[Rect]]) -> Option<Part> {
        let mut random = fastrand::Rng::with_seed(9);
        let pixels = (0..320 * 240 * 3).map(|_| random.u8(..)).collect();
        let image = RgbImage::new(Size::new(320, 240), pixels).expect("a picture");
        let mut told = Told(answers.iter().map(|found| found.to_vec()).collect());
        let part = look_again(Part { image, own: OWN }, &mut told, Size::new(640, 360)).expect("looked at");
        assert!(told.0.is_empty(), "looked as often as told");
        part
    }

    fn at(part: &Part, x: usize, y: usize) -> &[u8] {
        &part.image.data()[(y * 320 + x) * 3..(y * 320 + x) * 3 + 3]
    }

    #[test]
    fn who_is_found_only_now_is_made_unrecognisable_and_looked_for_again() {
        let alone = looked_at(&[&[OWN]]).expect("nobody else");
        let part = looked_at(&[&[OWN, OTHER], &[OWN]]).expect("nobody else any more");
        assert_eq!(at(&part, 228, 60), at(&part, 229, 61), "one colour a cell");
        assert_ne!(at(&alone, 228, 60), at(&alone, 229, 61));
        assert_eq!(at(&part, 120, 120), at(&alone, 120, 120), "the face itself stays");
    }

    #[test]
    fn a_picture_in_which_somebody_is_found_again_and_again_is_not_kept() {
        assert_eq!(looked_at(&[&[OTHER], &[OTHER], &[OTHER]]), None);
        let over = Rect { x1: 130.0, y1: 100.0, x2: 190.0, y2: 160.0 };
        assert_eq!(looked_at(&[&[OWN, over]]), None, "somebody covers the face");
    }

    #[test]
    fn the_canvas_has_the_tensors_shape_whatever_the_picture_has() {
        for (size, tensor, canvas) in [
            (Size::new(320, 240), Size::new(640, 360), Size::new(640, 360)),
            (Size::new(640, 480), Size::new(640, 360), Size::new(854, 480)),
            (Size::new(200, 320), Size::new(320, 192), Size::new(534, 320)),
        ] {
            let image = RgbImage::new(size, vec![7; size.area() as usize * 3]).expect("a picture");
            let on = on_canvas(&image, tensor);
            assert_eq!(on.size(), canvas);
            assert_eq!(on.data().iter().filter(|byte| **byte == 7).count() as u64, size.area() * 3);
        }
    }
}
