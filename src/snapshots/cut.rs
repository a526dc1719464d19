//! Two pictures of a face out of a frame: the face itself, and what was around it, in which every other face is unrecognisable.
//!
//! ```text
//!   frame ┌───────────────────────────────┐      scene: 4:3, some face heights, moved into what is looked at
//!         │   ┌─ scene ─────────────┐     │      face:  the box and half of it on each side
//!         │   │ ▒▒        ┌face┐    │     │      ▒      another face, enlarged: 3 x 3 colours are left of it
//!         │   │ ▒▒        │ :) │    │ ▒▒  │      masks  gray: what lies in one is not looked at
//!         │   │           └────┘    │     │      outside of the region of interest nothing is cut out
//!         └───────────────────────────────┘
//! ```
//!
//! Only the pixels of the two regions are read and converted.

use crate::base::clock::Moment;
use crate::image::affine::Affine;
use crate::image::obscure::{obscure, paint_over};
use crate::image::warp::{Border, warp_into};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::TrackId;

/// Longest side of the face's picture, in pixels.
const FACE_SIDE: u32 = 320;
/// What is added to the face's box on each side for its picture, in its width and height.
const MARGIN: f32 = 0.5;
/// Width of a scene for its height.
const ASPECT: f32 = 4.0 / 3.0;
/// Where the face's centre is in a scene, from the top: there is more to see below a face than above it.
const FACE_FROM_TOP: f32 = 0.4;
/// What is added to another face's box on the left and right, above and below, in its width and height: a box ends at the chin
/// and below the hair.
const BESIDE: f32 = 0.3;
const ABOVE: f32 = 0.5;
const BELOW: f32 = 0.3;
/// Another face is the same one found twice if at least so much of it lies in the face's box ...
const SAME: f32 = 0.8;
/// ... or the two are about as large, and the centre of one lies in the other.
const ALIKE: f32 = 4.0;
/// Faces that cover more of each other than this cannot be told apart in a picture.
const MOST_COVERED: f32 = 0.2;

/// How pictures are cut out.
#[derive(Debug, Clone, PartialEq)]
pub struct Cutting {
    /// Height of a scene in heights of the face; `None`: no scene.
    pub scene: Option<f32>,
    /// Longest side of a scene, in pixels.
    pub side: u32,
}

/// What of a frame may be shown at all.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The part that is looked at, in pixels; `None`: all of it.
    pub roi: Option<Rect>,
    /// Polygons that are not, as fractions of the frame.
    pub masks: &'a [Vec<Point>],
}

/// A picture, and where the face is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The pixels.
    pub image: RgbImage,
    /// The face's box in it.
    pub own: Rect,
}

/// The best pictures of a track so far. In memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The track.
    pub track: TrackId,
    /// Quality of the face, 0 to 1.
    pub quality: f32,
    /// When the frame was captured.
    pub captured: Moment,
    /// The face.
    pub face: Part,
    /// What was around it.
    pub scene: Option<Part>,
}

impl Picture {
    /// Bytes of its pixels.
    pub fn bytes(&self) -> usize {
        self.face.image.data().len() + self.scene.as_ref().map_or(0, |scene| scene.image.data().len())
    }
}

/// Another face is too near: a picture would show both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// Cuts the face at `own` out of the frame, and what is around it. `found` are all faces that were found in the frame, in whatever
/// quality; the face itself may be among them.
///
/// # Errors
/// [`Crowded`]: nothing can be cut out without another face in it.
pub fn cut(
    frame: &dyn Pixels,
    own: &Rect,
    found: &[Rect],
    view: View<'_>,
    cutting: &Cutting,
) -> Result<(Part, Option<Part>), Crowded> {
    let others = others(own, found)?;
    let size = frame.size();
    let seen = view.roi.unwrap_or(Rect::new(0.0, 0.0, size.width as f32, size.height as f32)).clamp_to(size);
    let part = |area: Rect, side: u32| part(frame, own, &others, view, area, side);
    let face = part(around(own).intersect(&seen), FACE_SIDE).ok_or(Crowded)?;
    let scene = cutting.scene.and_then(|heights| part(scene(own, &seen, heights), cutting.side));
    Ok((face, scene))
}

/// The faces that are others; an error, if one cannot be kept apart from the face.
pub(super) fn others(own: &Rect, found: &[Rect]) -> Result<Vec<Rect>, Crowded> {
    let others: Vec<Rect> = found.iter().filter(|face| !is_same(own, face)).copied().collect();
    let covered = |face: &&Rect| {
        let both = own.intersect(face).area();
        both > MOST_COVERED * own.area().min(face.area())
    };
    if others.iter().any(|face| covered(&face)) { Err(Crowded) } else { Ok(others) }
}

fn is_same(own: &Rect, face: &Rect) -> bool {
    let alike = (1.0 / ALIKE..=ALIKE).contains(&(face.area() / own.area().max(1.0)));
    let nested = own.contains(face.center()) || face.contains(own.center());
    (alike && nested) || own.intersect(face).area() >= SAME * face.area()
}

/// Another face's box with all of the head.
pub(super) fn head(face: &Rect) -> Rect {
    let (w, h) = (face.width(), face.height());
    Rect {
        x1: face.x1 - BESIDE * w,
        y1: face.y1 - ABOVE * h,
        x2: face.x2 + BESIDE * w,
        y2: face.y2 + BELOW * h,
    }
}

fn around(own: &Rect) -> Rect {
    let (w, h) = (MARGIN * own.width(), MARGIN * own.height());
    Rect { x1: own.x1 - w, y1: own.y1 - h, x2: own.x2 + w, y2: own.y2 + h }
}

/// The scene's region, moved into what is looked at, and cut off where it is larger.
fn scene(own: &Rect, seen: &Rect, heights: f32) -> Rect {
    let height = (heights * own.height()).min(seen.height());
    let width = (ASPECT * height).min(seen.width());
    let center = own.center();
    let moved = |from: f32, side: f32, least: f32, most: f32| from.min(most - side).max(least);
    let x = moved(center.x - width / 2.0, width, seen.x1, seen.x2);
    let y = moved(center.y - FACE_FROM_TOP * height, height, seen.y1, seen.y2);
    Rect { x1: x, y1: y, x2: x + width, y2: y + height }.intersect(seen)
}

/// The region as a picture of at most `side` pixels a side, never enlarged. `None` for one without an area.
fn part(
    frame: &dyn Pixels,
    own: &Rect,
    others: &[Rect],
    view: View<'_>,
    area: Rect,
    side: u32,
) -> Option<Part> {
    let scale = (area.width().max(area.height()) / side as f32).max(1.0);
    let pixels = |length: f32| (length / scale).round().clamp(1.0, side as f32) as u32;
    let size = Size::new(pixels(area.width()), pixels(area.height()));
    let mut image = RgbImage::new(size, vec![0; size.area() as usize * 3]).ok()?;
    if area.area() < 1.0 {
        return None;
    }
    warp_into(frame, &Affine::from_crop_to_rect(size, &area), Border::Nearest, &mut image);
    let there = Place { area, size };
    let own = there.rect(own);
    others.iter().for_each(|face| obscure(&mut image, &there.rect(&head(face)), Some(&own)));
    for mask in view.masks {
        let corners: Vec<Point> = mask.iter().map(|corner| there.fraction(corner, frame.size())).collect();
        paint_over(&mut image, &corners);
    }
    Some(Part { image, own })
}

/// From a frame to a part of it.
struct Place {
    area: Rect,
    size: Size,
}

impl Place {
    fn point(&self, x: f32, y: f32) -> Point {
        let x = (x - self.area.x1) * self.size.width as f32 / self.area.width();
        let y = (y - self.area.y1) * self.size.height as f32 / self.area.height();
        Point { x, y }
    }

    fn rect(&self, rect: &Rect) -> Rect {
        let (a, b) = (self.point(rect.x1, rect.y1), self.point(rect.x2, rect.y2));
        Rect { x1: a.x, y1: a.y, x2: b.x, y2: b.y }
    }

    fn fraction(&self, at: &Point, frame: Size) -> Point {
        self.point(at.x * frame.width as f32, at.y * frame.height as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Size = Size::new(640, 480);

    /// Each pixel tells where it was.
    fn frame() -> RgbImage {
        let at = |x: u32, y: u32| [(x / 4) as u8, (y / 4) as u8, ((x * 7 + y * 13) % 256) as u8];
        let pixels = (0..480).flat_map(|y| (0..640).flat_map(move |x| at(x, y))).collect();
        RgbImage::new(FRAME, pixels).expect("a picture")
    }

    fn cut_with(found: &[Rect], view: View<'_>) -> Result<(Part, Option<Part>), Crowded> {
        cut(&frame(), &own(), found, view, &Cutting { scene: Some(5.0), side: 640 })
    }

    fn own() -> Rect {
        Rect::new(300.0, 200.0, 350.0, 260.0)
    }

    fn everything() -> View<'static> {
        View { roi: None, masks: &[] }
    }

    fn colours(part: &Part, area: &Rect) -> usize {
        let width = part.image.size().width as usize;
        let (pixels, _) = part.image.data().as_chunks::<3>();
        let rows = (area.y1 as usize..area.y2 as usize).map(|y| y * width);
        let inside = rows.flat_map(|row| pixels[row + area.x1 as usize..row + area.x2 as usize].iter());
        inside.collect::<std::collections::BTreeSet<_>>().len()
    }

    #[test]
    fn a_scene_holds_the_face_and_others_are_nine_colours_with_all_of_the_head() {
        let other = Rect::new(180.0, 150.0, 230.0, 210.0);
        let (face, scene) = cut_with(&[own(), other], everything()).expect("far apart");
        let scene = scene.expect("asked for");
        assert_eq!(scene.image.size(), Size::new(400, 300));
        assert_eq!(face.image.size(), Size::new(100, 120));
        assert!(
            colours(&face, &face.own) > 1000 && colours(&scene, &scene.own) > 1000,
            "nothing happens to it"
        );
        // The scene begins at 125, 110.
        let there =
            Rect::new(180.0 - 125.0 - 14.0, 150.0 - 110.0 - 29.0, 230.0 - 125.0 + 14.0, 210.0 - 110.0 + 17.0);
        assert!(colours(&scene, &there) <= 9, "{}", colours(&scene, &there));
    }

    #[test]
    fn faces_that_cover_each_other_give_no_picture_and_one_found_twice_does() {
        let beside = Rect::new(335.0, 200.0, 385.0, 260.0);
        assert_eq!(cut_with(&[own(), beside], everything()).err(), Some(Crowded));
        let large = Rect::new(200.0, 100.0, 450.0, 400.0);
        assert_eq!(cut_with(&[own(), large], everything()).err(), Some(Crowded), "a face on a poster behind");
        let twice = [own(), Rect::new(295.0, 190.0, 352.0, 265.0), Rect::new(305.0, 205.0, 340.0, 230.0)];
        let (face, _) = cut_with(&twice, everything()).expect("only one");
        assert!(colours(&face, &face.own) > 1000);
        // Near enough to touch when enlarged: the face itself stays.
        let near = Rect::new(352.0, 200.0, 400.0, 260.0);
        let (face, _) = cut_with(&[own(), near], everything()).expect("beside it");
        assert!(colours(&face, &face.own) > 1000);
        assert!(colours(&face, &Rect::new(face.own.x2 + 1.0, face.own.y1, 100.0, face.own.y2)) <= 9);
    }

    #[test]
    fn nothing_of_what_is_not_looked_at_is_in_a_picture() {
        let roi = Rect::new(280.0, 0.0, 640.0, 480.0);
        let masks = [[(0.6, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0)].map(|(x, y)| Point { x, y }).to_vec()];
        let (face, scene) = cut_with(&[], View { roi: Some(roi), masks: &masks }).expect("alone");
        let scene = scene.expect("asked for");
        for part in [&face, &scene] {
            let (pixels, _) = part.image.data().as_chunks::<3>();
            let left = pixels
                .iter()
                .filter(|p| **p != [128; 3])
                .map(|p| p[0])
                .fold((255, 0), |(a, b), x| (a.min(x), b.max(x)));
            assert!(left.0 >= 70, "left of the region: {left:?}");
            assert!(left.1 <= 96, "in the mask: {left:?}");
        }
    }

    #[test]
    fn a_scene_is_moved_into_the_frame_and_never_larger_than_it_or_than_asked_for() {
        let cutting = Cutting { scene: Some(20.0), side: 320 };
        for own in [Rect::new(0.0, 0.0, 60.0, 80.0), Rect::new(600.0, 420.0, 640.0, 480.0)] {
            let (face, scene) = cut(&frame(), &own, &[], everything(), &cutting).expect("alone");
            let scene = scene.expect("asked for");
            assert_eq!(scene.image.size(), Size::new(320, 240), "all of the frame at half its size");
            for part in [&face, &scene] {
                assert_eq!(part.own.clamp_to(part.image.size()), part.own, "{part:?}");
            }
        }
        let none = Cutting { scene: None, side: 320 };
        assert_eq!(cut(&frame(), &own(), &[], everything(), &none).expect("alone").1, None);
    }
}
