//! Faces with their labels on one picture: boxes and landmarks first, then each label where it hides no other label, and as little as
//! can be of any face.
//!
//! ```text
//!   ┌ name 0.71 ┐          above, below, inside at the top or bottom, beside; else the nearest free rows,
//!   ┌─────┐                with a line to its face
//!   │ ·  ·│
//!   │  ·  │
//!   └─────┘
//! ```

use super::draw::{self, Color};
use super::text::Line;
use crate::types::face::Detection;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Rect, Size};

/// A face, and what is said of it.
#[derive(Debug, Clone)]
pub struct Annotation<'a> {
    /// Where it is.
    pub face: &'a Detection,
    /// What stands beside it; nothing, if that is empty.
    pub text: String,
    /// Of the box and the label.
    pub color: Color,
}

/// Draws them all.
pub fn annotate(picture: &mut RgbImage, annotations: &[Annotation<'_>]) {
    for one in annotations {
        draw::detection(picture, one.face, None, one.color);
    }
    let size = picture.size();
    let faces: Vec<Rect> = annotations.iter().map(|one| one.face.bbox).collect();
    let mut taken: Vec<Rect> = Vec::new();
    for (n, one) in annotations.iter().enumerate() {
        let Some(label) = Label::new(&one.text, size) else { continue };
        let place = label.place(n, &faces, &taken, size);
        draw_line_to(picture, &place, &one.face.bbox, one.color);
        label.draw(picture, &place, one.color);
        taken.push(place);
    }
}

/// A label: a line of text on a background.
pub(super) struct Label {
    line: Line,
    margin: f32,
    width: f32,
    height: f32,
}

impl Label {
    /// For a picture of that size; `None`, if there is nothing to show.
    pub fn new(text: &str, size: Size) -> Option<Self> {
        let height = draw::text_height(size);
        let margin = height / 4.0;
        let line = Line::new(text, height, size.width as f32 - 2.0 * margin)?;
        let (width, height) = ((line.width + 2.0 * margin).ceil(), (line.height + margin).ceil());
        Some(Self { line, margin, width, height })
    }

    /// Draws it in its place.
    pub fn draw(self, picture: &mut RgbImage, place: &Rect, color: Color) {
        draw::fill(picture, place, color);
        let (left, top) = (place.x1 + self.margin, place.y1 + self.margin / 2.0);
        self.line.draw(picture, left, top, draw::contrast(color));
    }

    /// Above the box; where there is no room above, inside it.
    pub fn place_alone(&self, face: &Rect, size: Size) -> Rect {
        let above = face.y1 - self.height;
        self.at(face.x1, if above >= 0.0 { above } else { face.y1 }, size)
    }

    /// Where it hides no other label if there is such a place, and then the least of faces.
    fn place(&self, own: usize, faces: &[Rect], taken: &[Rect], size: Size) -> Rect {
        let Some(face) = faces.get(own) else { return self.at(0.0, 0.0, size) };
        let places = self.beside(face, size).into_iter().chain(self.rows_away(face, size));
        let overlap = |place: &Rect, others: &[Rect]| -> f32 {
            others.iter().map(|other| place.intersect(other).area().max(0.0)).sum()
        };
        // Places are whole pixels and faces are not: the pixel that both share hides nothing.
        let core = |place: &Rect| Rect {
            x1: place.x1 + 1.0,
            y1: place.y1 + 1.0,
            x2: place.x2 - 1.0,
            y2: place.y2 - 1.0,
        };
        let cost = |place: &Rect| (overlap(place, taken), overlap(&core(place), faces));
        // The first of the best: they come in the order in which people look for them.
        let best = places
            .map(|place| (cost(&place), place))
            .min_by(|((a, b), _), ((c, d), _)| a.total_cmp(c).then(b.total_cmp(d)));
        best.map_or_else(|| self.place_alone(face, size), |(_, place)| place)
    }

    fn beside(&self, face: &Rect, size: Size) -> Vec<Rect> {
        let (above, below) = (face.y1 - self.height, face.y2);
        let right_aligned = face.x2 - self.width;
        [
            (face.x1, above),
            (right_aligned, above),
            (face.x1, below),
            (right_aligned, below),
            (face.x2, face.y1),
            (face.x1 - self.width, face.y1),
            (face.x1, face.y1),
            (face.x1, face.y2 - self.height),
        ]
        .map(|(x, y)| self.at(x, y, size))
        .into()
    }

    /// Rows of the picture, the nearest to the face first.
    fn rows_away(&self, face: &Rect, size: Size) -> Vec<Rect> {
        let rows = (size.height as f32 / self.height) as usize;
        let mut rows: Vec<f32> = (0..rows).map(|row| row as f32 * self.height).collect();
        rows.sort_by(|a, b| (a - face.y1).abs().total_cmp(&(b - face.y1).abs()));
        rows.into_iter().map(|y| self.at(face.x1, y, size)).collect()
    }

    /// Moved to stay in the picture as far as it fits.
    fn at(&self, x: f32, y: f32, size: Size) -> Rect {
        let keep = |x: f32, most: f32| if x.is_finite() { x.min(most).max(0.0).round() } else { 0.0 };
        let x = keep(x, size.width as f32 - self.width);
        let y = keep(y, size.height as f32 - self.height);
        Rect { x1: x, y1: y, x2: x + self.width, y2: y + self.height }
    }
}

/// From a label that is away from its face to the box.
fn draw_line_to(picture: &mut RgbImage, label: &Rect, face: &Rect, color: Color) {
    let width = draw::stroke(picture.size()) as f32;
    let x = face.x1.max(label.x1).min(label.x2 - width);
    if label.y1 > face.y2 + 1.0 {
        draw::fill(picture, &Rect { x1: x, y1: face.y2, x2: x + width, y2: label.y1 }, color);
    } else if label.y2 < face.y1 - 1.0 {
        draw::fill(picture, &Rect { x1: x, y1: label.y2, x2: x + width, y2: face.y1 }, color);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::geometry::Point;

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let center = Point { x: x + side / 2.0, y: y + side / 2.0 };
        Detection { bbox: Rect::new(x, y, x + side, y + side), landmarks: [center; 5], score: 0.9 }
    }

    /// Where the labels of faces go.
    fn places(faces: &[Detection], size: Size) -> Vec<Rect> {
        let boxes: Vec<Rect> = faces.iter().map(|face| face.bbox).collect();
        let mut taken = Vec::new();
        for n in 0..faces.len() {
            let label = Label::new("Somebody Else 0.71", size).expect("a label");
            let place = label.place(n, &boxes, &taken, size);
            taken.push(place);
        }
        taken
    }

    #[test]
    fn a_label_stands_above_its_face_and_elsewhere_where_it_would_hide_something() {
        let size = Size::new(1280, 720);
        for y in [300.0, 300.3, 300.5, 300.7] {
            let [alone] = places(&[face(300.0, y, 100.0)], size)[..] else { panic!("one") };
            assert!(alone.x1 == 300.0 && (alone.y2 - y).abs() <= 1.0, "{y}: {alone:?}");
        }
        let [_, below] = places(&[face(300.0, 150.0, 140.0), face(300.0, 300.0, 140.0)], size)[..] else {
            panic!("two")
        };
        assert_eq!(below.y1, 440.0, "above it is the other's face");
    }

    proptest! {
        /// A crowd in a picture that has room for its labels.
        #[test]
        fn no_label_hides_another(
            faces in prop::collection::vec((0f32..1200.0, 0f32..640.0, 20f32..200.0), 1..16)
        ) {
            let size = Size::new(1280, 720);
            let faces: Vec<Detection> = faces.into_iter().map(|(x, y, side)| face(x, y, side)).collect();
            let places = places(&faces, size);
            for (n, place) in places.iter().enumerate() {
                prop_assert!(place.x1 >= 0.0 && place.y1 >= 0.0 && place.x2 <= 1280.0 && place.y2 <= 720.0);
                for other in &places[..n] {
                    prop_assert!(place.intersect(other).area() <= 0.0, "{place:?} {other:?}");
                }
            }
        }
    }
}
