//! Drawing results on pictures. Everything is clipped to the picture; no coordinate is an error.

use super::labels::Label;
use super::warp::stretch;
use crate::base::error::Result;
use crate::err;
use crate::types::face::{Detection, Landmarks};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Rect, Size};

/// Red, green, blue.
pub type Color = [u8; 3];

/// For somebody who is recognised.
pub const GREEN: Color = [60, 200, 90];
/// For a face of nobody known.
pub const AMBER: Color = [240, 170, 40];
/// For a face that is refused.
pub const RED: Color = [225, 60, 60];
/// For landmarks and plain detections.
pub const CYAN: Color = [70, 200, 235];

/// The largest side of a picture made of two.
const MAX_COMPOSED: u32 = 4096;
/// Pixels between two pictures.
const GAP: u32 = 8;

/// Width of lines for a picture of this size, in pixels.
pub fn stroke(size: Size) -> u32 {
    (size.width.min(size.height) / 300).clamp(1, 8)
}

/// Height of text for a picture of this size, in pixels.
pub(super) fn text_height(size: Size) -> f32 {
    (size.width.min(size.height) as f32 / 28.0).clamp(12.0, 64.0)
}

/// A whole-pixel box inside a picture: left, top, right, bottom.
fn pixels_of(rect: &Rect, size: Size) -> [usize; 4] {
    // Casts take NaN and what is below zero to 0.
    let side = |x: f32, most: u32| (x.round().min(most as f32) as usize).min(most as usize);
    [
        side(rect.x1, size.width),
        side(rect.y1, size.height),
        side(rect.x2, size.width),
        side(rect.y2, size.height),
    ]
}

/// Fills a box.
pub fn fill(picture: &mut RgbImage, rect: &Rect, color: Color) {
    let size = picture.size();
    let [x1, y1, x2, y2] = pixels_of(rect, size);
    for row in picture.data_mut().chunks_exact_mut(size.width as usize * 3).take(y2).skip(y1) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.iter_mut().take(x2).skip(x1).for_each(|pixel| *pixel = color);
    }
}

/// Draws the four sides of a box, inwards from its edge.
pub fn rectangle(picture: &mut RgbImage, rect: &Rect, color: Color) {
    let Rect { x1, y1, x2, y2 } = *rect;
    let line = stroke(picture.size()) as f32;
    let sides = [
        Rect { x1, y1, x2, y2: y1 + line },
        Rect { x1, y1: y2 - line, x2, y2 },
        Rect { x1, y1, x2: x1 + line, y2 },
        Rect { x1: x2 - line, y1, x2, y2 },
    ];
    sides.iter().for_each(|side| fill(picture, side, color));
}

/// Draws a dot on each landmark.
pub fn landmarks(picture: &mut RgbImage, points: &Landmarks, color: Color) {
    let radius = stroke(picture.size()) as f32 + 0.5;
    for p in points {
        fill(
            picture,
            &Rect { x1: p.x - radius, y1: p.y - radius, x2: p.x + radius, y2: p.y + radius },
            color,
        );
    }
}

/// Writes text on a filled background above a box; where there is no room above, inside it. The label is moved
/// to stay in the picture as far as it fits.
pub fn label(picture: &mut RgbImage, rect: &Rect, text: &str, color: Color) {
    let size = picture.size();
    let Some(label) = Label::new(text, size) else { return };
    let place = label.place_alone(rect, size);
    label.draw(picture, &place, color);
}

/// Draws a detection: box, landmarks and, if there is one, a label.
pub fn detection(picture: &mut RgbImage, detection: &Detection, text: Option<&str>, color: Color) {
    rectangle(picture, &detection.bbox, color);
    landmarks(picture, &detection.landmarks, CYAN);
    if let Some(text) = text {
        label(picture, &detection.bbox, text, color);
    }
}

/// Black or white, whichever reads better on a color.
pub(super) fn contrast([r, g, b]: Color) -> Color {
    let luma = (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000;
    if luma > 130 { [0; 3] } else { [255; 3] }
}

/// Two pictures beside each other, scaled to the same height, on black.
///
/// # Errors
/// `Data`, when both together are outside the limits of a picture.
pub fn side_by_side(a: &RgbImage, b: &RgbImage) -> Result<RgbImage> {
    let [a, b] = same_height(a, b)?;
    let (left, right) = (a.size(), b.size());
    let size = Size::new(left.width + GAP + right.width, left.height);
    let mut data = Vec::with_capacity(size.area() as usize * 3);
    let rows = |p: &RgbImage| p.size().width as usize * 3;
    for (a_row, b_row) in a.data().chunks_exact(rows(&a)).zip(b.data().chunks_exact(rows(&b))) {
        data.extend_from_slice(a_row);
        data.resize(data.len() + GAP as usize * 3, 0);
        data.extend_from_slice(b_row);
    }
    RgbImage::new(size, data)
}

/// Both at the greater of their heights, or less if they would become too wide together.
fn same_height(a: &RgbImage, b: &RgbImage) -> Result<[RgbImage; 2]> {
    let aspect = |p: &RgbImage| p.size().width as f32 / p.size().height as f32;
    let widest = MAX_COMPOSED as f32 / (aspect(a) + aspect(b));
    let height = a.size().height.max(b.size().height).min(MAX_COMPOSED).min((widest as u32).max(1));
    let scaled = |p: &RgbImage| {
        let width = ((aspect(p) * height as f32).round() as u32).clamp(1, 2 * MAX_COMPOSED);
        stretch(p, Size::new(width, height)).map_err(|e| {
            err!(Data, "cannot put pictures of {} and {} side by side", a.size(), b.size()).because(e)
        })
    };
    Ok([scaled(a)?, scaled(b)?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::testing::{noise, painted};
    use crate::types::geometry::Point;

    const WHITE: Color = [255; 3];

    fn black(width: u32, height: u32) -> RgbImage {
        painted(Size::new(width, height), |_, _| [0; 3])
    }

    fn lit(picture: &RgbImage) -> usize {
        picture.data().chunks(3).filter(|p| p.iter().any(|&x| x > 0)).count()
    }

    #[test]
    fn a_rectangle_is_its_four_sides() {
        let mut picture = black(100, 80);
        rectangle(&mut picture, &Rect::new(10.0, 20.0, 50.0, 60.0), WHITE);
        assert_eq!(lit(&picture), 4 * 40 - 4);
        let mut large = black(1920, 1080);
        assert_eq!(stroke(large.size()), 3);
        rectangle(&mut large, &Rect::new(-10.0, 20.0, 110.0, 120.0), WHITE);
        assert_eq!(lit(&large), 110 * 3 * 2 + 94 * 3, "the left side is outside");
    }

    #[test]
    fn a_label_has_a_background_and_legible_text() {
        let mut picture = black(640, 360);
        label(&mut picture, &Rect::new(200.0, 100.0, 300.0, 200.0), "Ada Łovelace 0.71", GREEN);
        let green = picture.data().chunks(3).filter(|p| p[1] == GREEN[1]).count();
        let dark_in_label = picture
            .data()
            .chunks(640 * 3)
            .take(100)
            .skip(88)
            .flat_map(|row| row[210 * 3..260 * 3].chunks(3))
            .filter(|p| p[1] < 60)
            .count();
        assert!(green > 1000 && dark_in_label > 50, "{green} {dark_in_label}");
        assert!(picture.data()[100 * 640 * 3..].iter().all(|&x| x == 0), "it lies above the box");
    }

    #[test]
    fn a_label_at_the_border_stays_inside() {
        for rect in [
            Rect::new(600.0, 0.0, 640.0, 40.0),
            Rect::new(-50.0, -50.0, 10.0, 10.0),
            Rect::new(630.0, 355.0, 900.0, 900.0),
        ] {
            let mut picture = black(640, 360);
            label(&mut picture, &rect, "somebody", AMBER);
            let whole = lit(&picture);
            let mut middle = black(640, 360);
            label(&mut middle, &Rect::new(200.0, 200.0, 220.0, 220.0), "somebody", AMBER);
            assert!(whole.abs_diff(lit(&middle)) < 40, "{rect:?}");
        }
    }

    #[test]
    fn two_pictures_share_a_height() {
        let both = side_by_side(&noise(Size::new(100, 50), 1), &noise(Size::new(30, 100), 2)).expect("fits");
        assert_eq!(both.size(), Size::new(200 + 8 + 30, 100));
        let wide = side_by_side(&black(16_000, 10), &black(16_000, 20)).expect("fits");
        assert!(wide.size().width <= MAX_COMPOSED + GAP + 2, "{}", wide.size());
        assert_eq!(side_by_side(&black(1, 1), &black(1, 1)).expect("fits").size(), Size::new(10, 1));
    }

    fn coordinate() -> impl Strategy<Value = f32> {
        prop_oneof![
            -200f32..400.0,
            any::<f32>(),
            Just(f32::NAN),
            Just(f32::INFINITY),
            Just(f32::NEG_INFINITY)
        ]
    }

    proptest! {
        #[test]
        fn nothing_that_is_drawn_is_a_panic(
            (w, h) in (1u32..200, 1u32..200),
            corners in proptest::array::uniform4(coordinate()),
            points in proptest::array::uniform10(coordinate()),
            text in ".{0,40}",
        ) {
            let mut picture = black(w, h);
            let [x1, y1, x2, y2] = corners;
            let landmarks = std::array::from_fn(|i| Point { x: points[2 * i], y: points[2 * i + 1] });
            let face = Detection { bbox: Rect { x1, y1, x2, y2 }, landmarks, score: 0.5 };
            detection(&mut picture, &face, Some(&text), RED);
            label(&mut picture, &face.bbox, "\u{0}\n\u{202e}漢字", CYAN);
        }
    }
}
