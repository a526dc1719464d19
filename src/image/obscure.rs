//! Making a part of a picture unrecognisable, for good.
//!
//! A blur can be undone as far as noise allows. Here so little is kept that there is nothing to undo: the means of 3 x 3 cells,
//! 27 numbers for a whole face.

use crate::types::frame::{Pixels as _, RgbImage};
use crate::types::geometry::{Point, Rect, polygon_contains};

/// Cells along each side of what is left of an area.
const CELLS: usize = 3;
/// What is painted where nothing may be seen at all.
const GRAY: u8 = 128;

/// Puts the mean colours of 3 x 3 cells in the place of `area`, but for the pixels of `spared`, which stay and are in no mean.
pub fn obscure(picture: &mut RgbImage, area: &Rect, spared: Option<&Rect>) {
    let [x1, y1, x2, y2] = whole(picture, area);
    let spared = spared.map(|rect| within(picture, rect));
    let edge = |from: usize, to: usize, i: usize| from + (to - from) * i / CELLS;
    for row in 0..CELLS {
        for column in 0..CELLS {
            let cell =
                [edge(x1, x2, column), edge(y1, y2, row), edge(x1, x2, column + 1), edge(y1, y2, row + 1)];
            level(picture, cell, spared);
        }
    }
}

/// Paints the inside of a polygon gray, and all pixels that its border touches.
pub fn paint_over(picture: &mut RgbImage, corners: &[Point]) {
    let Some(bounds) = bounds(corners) else { return };
    let [x1, y1, x2, y2] = whole(picture, &bounds);
    for y in y1..y2 {
        for x in x1..x2 {
            let (x0, y0) = (x as f32, y as f32);
            let at = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)];
            if at.iter().any(|(dx, dy)| polygon_contains(corners, Point { x: x0 + dx, y: y0 + dy })) {
                set(picture, x, y, [GRAY; 3]);
            }
        }
    }
}

fn bounds(corners: &[Point]) -> Option<Rect> {
    let of = |p: &Point| Rect { x1: p.x, y1: p.y, x2: p.x, y2: p.y };
    let join = |a: Rect, b: Rect| Rect {
        x1: a.x1.min(b.x1),
        y1: a.y1.min(b.y1),
        x2: a.x2.max(b.x2),
        y2: a.y2.max(b.y2),
    };
    corners.iter().map(of).reduce(join)
}

/// Puts the cell's mean colour into each of its pixels.
fn level(picture: &mut RgbImage, cell: [usize; 4], spared: Option<[usize; 4]>) {
    let [x1, y1, x2, y2] = cell;
    let inside = |[x1, y1, x2, y2]: [usize; 4], x: usize, y: usize| x >= x1 && x < x2 && y >= y1 && y < y2;
    let changed = |x: usize, y: usize| spared.is_none_or(|spared| !inside(spared, x, y));
    let (mut sums, mut count) = ([0u64; 3], 0u64);
    for y in y1..y2 {
        for x in (x1..x2).filter(|&x| changed(x, y)) {
            let pixel = get(picture, x, y);
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u64::from(value));
            count += 1;
        }
    }
    let mean = sums.map(|sum| (sum / count.max(1)) as u8);
    for y in y1..y2 {
        (x1..x2).filter(|&x| changed(x, y)).for_each(|x| set(picture, x, y, mean));
    }
}

/// The pixels that the box touches: left, top, right, bottom.
fn whole(picture: &RgbImage, area: &Rect) -> [usize; 4] {
    let part = area.clamp_to(picture.size());
    [part.x1.floor(), part.y1.floor(), part.x2.ceil(), part.y2.ceil()].map(|side| side as usize)
}

/// The pixels that lie in the box as a whole.
fn within(picture: &RgbImage, area: &Rect) -> [usize; 4] {
    let part = area.clamp_to(picture.size());
    [part.x1.ceil(), part.y1.ceil(), part.x2.floor(), part.y2.floor()].map(|side| side as usize)
}

fn place(picture: &RgbImage, x: usize, y: usize) -> usize {
    (y * picture.size().width as usize + x) * 3
}

fn get(picture: &RgbImage, x: usize, y: usize) -> [u8; 3] {
    let at = place(picture, x, y);
    picture.data().get(at..).and_then(|rest| rest.first_chunk::<3>()).copied().unwrap_or_default()
}

fn set(picture: &mut RgbImage, x: usize, y: usize, colour: [u8; 3]) {
    let at = place(picture, x, y);
    if let Some(pixel) = picture.data_mut().get_mut(at..at + 3) {
        pixel.copy_from_slice(&colour);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::geometry::Size;

    const SIZE: Size = Size::new(90, 60);

    fn noise() -> RgbImage {
        let mut random = fastrand::Rng::with_seed(3);
        let bytes = (0..SIZE.area() * 3).map(|_| random.u8(..)).collect();
        RgbImage::new(SIZE, bytes).expect("a picture")
    }

    fn colours(picture: &RgbImage, area: [usize; 4]) -> BTreeSet<[u8; 3]> {
        let [x1, y1, x2, y2] = area;
        (y1..y2).flat_map(|y| (x1..x2).map(move |x| (x, y))).map(|(x, y)| get(picture, x, y)).collect()
    }

    #[test]
    fn nine_colours_are_left_of_an_area_and_everything_around_it_stays() {
        let (before, mut after) = (noise(), noise());
        obscure(&mut after, &Rect::new(10.2, 5.7, 40.9, 33.1), None);
        assert!(colours(&after, [10, 5, 41, 34]).len() <= 9, "the pixels that its border touches are in it");
        for y in 0..60 {
            for x in (0..90).filter(|x| !(10..41).contains(x) || !(5..34).contains(&y)) {
                assert_eq!(get(&after, x, y), get(&before, x, y), "{x} {y}");
            }
        }
    }

    #[test]
    fn what_is_spared_stays_and_is_in_no_mean() {
        let mut picture = RgbImage::new(SIZE, vec![10; SIZE.area() as usize * 3]).expect("a picture");
        for y in 20..30 {
            (20..30).for_each(|x| set(&mut picture, x, y, [250; 3]));
        }
        obscure(&mut picture, &Rect::new(0.0, 0.0, 60.0, 60.0), Some(&Rect::new(20.0, 20.0, 30.0, 30.0)));
        assert_eq!(colours(&picture, [20, 20, 30, 30]), BTreeSet::from([[250; 3]]));
        assert_eq!(colours(&picture, [0, 0, 20, 60]), BTreeSet::from([[10; 3]]), "no trace of it around");
    }

    #[test]
    fn areas_outside_and_empty_ones_change_nothing_and_a_polygon_is_painted_to_its_border() {
        let (before, mut after) = (noise(), noise());
        obscure(&mut after, &Rect::new(-50.0, -50.0, -1.0, -1.0), None);
        obscure(&mut after, &Rect::new(500.0, 10.0, 900.0, 20.0), None);
        obscure(&mut after, &Rect::new(5.0, 5.0, 5.0, 5.0), None);
        assert!(before == after);
        let corners = [(10.4, 10.4), (30.0, 10.4), (30.0, 29.6), (10.4, 29.6)].map(|(x, y)| Point { x, y });
        paint_over(&mut after, &corners);
        assert_eq!(colours(&after, [10, 10, 30, 30]), BTreeSet::from([[GRAY; 3]]));
        assert_eq!(get(&after, 9, 10), get(&before, 9, 10));
    }
}
