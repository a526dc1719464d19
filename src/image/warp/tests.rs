//! Against a slow reference, at the borders, and at scales that would alias.

use proptest::prelude::*;

use super::*;
use crate::image::testing::{Strided, Yuv, noise, painted, scene};
use crate::types::frame::{Colorimetry, Matrix};

const CROP: Size = Size::new(112, 112);

/// `warpAffine` with INTER_LINEAR and a black border, in f64, in pixel numbers.
fn reference(picture: &RgbImage, map: &Affine, size: Size) -> Vec<f64> {
    let (w, h) = (i64::from(picture.size().width), i64::from(picture.size().height));
    let at = |x: i64, y: i64, c: usize| {
        let inside = x >= 0 && y >= 0 && x < w && y < h;
        if inside { f64::from(picture.data()[(y * w + x) as usize * 3 + c]) } else { 0.0 }
    };
    let mut out = Vec::new();
    for (y, x) in (0..size.height).flat_map(|y| (0..size.width).map(move |x| (y, x))) {
        let p = map.apply(Point { x: x as f32 + 0.5, y: y as f32 + 0.5 });
        let (sx, sy) = (f64::from(p.x) - 0.5, f64::from(p.y) - 0.5);
        let (x0, y0, fx, fy) = (sx.floor() as i64, sy.floor() as i64, sx - sx.floor(), sy - sy.floor());
        for c in 0..3 {
            let row = |y: i64| at(x0, y, c) * (1.0 - fx) + at(x0 + 1, y, c) * fx;
            out.push(row(y0) * (1.0 - fy) + row(y0 + 1) * fy);
        }
    }
    out
}

fn turned(scale: f32, degrees: f32, tx: f32, ty: f32) -> Affine {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Similarity { a: scale * cos, b: scale * sin, tx, ty }.to_affine()
}

fn worst(crop: &RgbImage, exact: &[f64]) -> f64 {
    crop.data().iter().zip(exact).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn bilinear_inside_and_black_outside() {
    let picture = noise(Size::new(200, 150), 4);
    for map in [
        turned(1.0, 0.0, 20.0, 10.0),
        turned(1.3, 17.0, 60.0, 5.0),
        turned(0.4, -30.0, 50.0, 60.0),
        turned(1.0, 45.0, 190.0, -40.0),
        turned(1.0, 0.0, -30.5, -30.25),
        turned(1.0, 0.0, 150.5, 100.0),
        turned(1.0, 0.0, 5000.0, 5000.0),
    ] {
        let crop = warp_to_rgb(&picture, &map, CROP).expect("a size");
        let off = worst(&crop, &reference(&picture, &map, CROP));
        assert!(off <= 0.6, "{map:?}: {off}");
    }
}

#[test]
fn the_same_place_at_the_same_scale_is_a_copy() {
    let picture = noise(CROP, 9);
    let copy = warp_to_rgb(&picture, &turned(1.0, 0.0, 0.0, 0.0), CROP).expect("a size");
    assert!(copy == picture);
    let strided = Strided::of(&picture, 11);
    assert!(warp_to_rgb(&strided, &turned(1.0, 0.0, 0.0, 0.0), CROP).expect("a size") == picture);
}

#[test]
fn planar_and_interleaved_chroma_give_the_same_bytes() {
    for (scale, tx) in [(1.0, 20.0), (3.3, -40.0), (0.5, 80.0), (6.0, 0.0)] {
        let size = Size::new(401, 303);
        let map = turned(scale, 12.0, tx, 30.0);
        let a = warp_to_rgb(&Yuv::noise(size, true, 9), &map, CROP).expect("a size");
        let b = warp_to_rgb(&Yuv::noise(size, false, 0), &map, CROP).expect("a size");
        assert!(a == b, "{scale}");
    }
}

#[test]
fn a_frame_gives_the_colours_of_its_picture() {
    let picture = scene(Size::new(640, 360));
    let map = turned(1.4, 8.0, 180.0, 100.0);
    let from_rgb = warp_to_rgb(&picture, &map, CROP).expect("a size");
    let from_yuv = warp_to_rgb(&Yuv::of(&picture, true, 0), &map, CROP).expect("a size");
    let differences: Vec<u32> =
        from_rgb.data().iter().zip(from_yuv.data()).map(|(&a, &b)| u32::from(a.abs_diff(b))).collect();
    let mean = differences.iter().sum::<u32>() as f32 / differences.len() as f32;
    assert!(mean < 2.0, "subsampled chroma differs at edges only: {mean}");
}

#[test]
fn a_large_face_does_not_alias() {
    // Stripes finer than the crop's pixels: bilinear alone would beat with them, an average is flat gray.
    let stripes = painted(Size::new(1200, 1200), |x, _| if x % 4 < 2 { [255; 3] } else { [0; 3] });
    for scale in [4.0, 6.3, 10.0] {
        let crop = warp_to_rgb(&stripes, &turned(scale, 0.0, 20.0, 20.0), CROP).expect("a size");
        let (least, most) = (crop.data().iter().min(), crop.data().iter().max());
        assert!(least >= Some(&70) && most <= Some(&185), "{scale}: {least:?} {most:?}");
    }
    // And it stays where it is: an edge at the crop's middle.
    let edge = painted(Size::new(1000, 1000), |x, _| if x < 500 { [0; 3] } else { [200; 3] });
    let crop = warp_to_rgb(&edge, &turned(5.0, 0.0, 220.0, 220.0), CROP).expect("a size");
    let row = &crop.data()[..336];
    let light: f32 = row.iter().step_by(3).map(|&x| f32::from(x)).sum::<f32>() / 200.0;
    assert!((light - 56.0).abs() < 0.6, "{light} of 112 columns are light");
}

#[test]
fn what_lies_outside_a_frame_is_black_whatever_its_range() {
    for full_range in [true, false] {
        let color = Colorimetry { matrix: Matrix::Bt709, full_range };
        let frame = Yuv::new(Size::new(64, 64), true, 0, color, |_, _, _| 180);
        let crop = warp_to_rgb(&frame, &turned(1.0, 0.0, -200.0, 0.0), CROP).expect("a size");
        assert!(crop.data().iter().all(|&x| x == 0));
    }
}

#[test]
fn a_stretched_picture_has_no_dark_rim() {
    for (from, to) in [((10, 7), (112, 112)), ((300, 200), (30, 20)), ((1, 1), (5, 5)), ((31, 9), (31, 90))] {
        let flat = painted(Size::new(from.0, from.1), |_, _| [250, 130, 10]);
        let stretched = stretch(&flat, Size::new(to.0, to.1)).expect("a size");
        assert!(stretched.data().chunks(3).all(|p| p == [250, 130, 10]), "{from:?} {to:?}");
    }
}

#[test]
fn broken_pictures_and_transforms_give_black() {
    let mut short = Strided::of(&noise(Size::new(40, 40), 5), 0);
    short.data.truncate(1000);
    let crop = warp_to_rgb(&short, &turned(1.0, 0.0, 0.0, 0.0), CROP).expect("a size");
    assert!(crop.data().iter().all(|&x| x == 0));
    let map = Affine { a: f32::NAN, ..turned(1.0, 0.0, 0.0, 0.0) };
    let crop = warp_to_rgb(&noise(Size::new(40, 40), 5), &map, CROP).expect("a size");
    assert!(crop.data().iter().all(|&x| x == 0));
    assert!(warp_to_rgb(&noise(CROP, 1), &turned(1.0, 0.0, 0.0, 0.0), Size::new(0, 5)).is_err());
    assert!(
        warp_to_rgb(&noise(CROP, 1), &turned(1.0, 0.0, 0.0, 0.0), Size::new(u32::MAX, u32::MAX)).is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_transform_and_no_picture_is_a_panic(
        (w, h, padding, format) in (1u32..120, 1u32..120, 0usize..9, 0usize..3),
        numbers in proptest::array::uniform6(prop_oneof![-20f32..20.0, any::<f32>()]),
        (cw, ch) in (1u32..50, 1u32..50),
    ) {
        let size = Size::new(w, h);
        let picture: Box<dyn Pixels> = match format {
            0 => Box::new(Yuv::noise(size, true, padding)),
            1 => Box::new(Yuv::noise(size, false, padding)),
            _ => Box::new(Strided::of(&noise(size, 2), padding)),
        };
        let [a, b, c, d, tx, ty] = numbers;
        let map = Affine { a, b, c, d, tx, ty };
        let crop = warp_to_rgb(&*picture, &map, Size::new(cw, ch)).expect("a size");
        prop_assert_eq!(crop.size(), Size::new(cw, ch));
    }
}
