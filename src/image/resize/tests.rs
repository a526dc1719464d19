//! The fast path against a slow one that does what the words say.

use proptest::prelude::*;

use super::*;
use crate::image::tensor::ChannelOrder;
use crate::image::testing::{Strided, Yuv, noise, painted, scene};
use crate::types::frame::{Plane, Planes};

const RAW: Normalize = Normalize::uniform(ChannelOrder::Rgb, 0.0, 1.0);

/// The colour of a pixel in f64, each chroma sample constant over its block; not clamped.
fn pixel(picture: &dyn Pixels, x: usize, y: usize) -> [f64; 3] {
    let at = |p: Plane<'_>, x: usize, y: usize| f64::from(p.data[y * p.stride + x]);
    let (samples, color) = match picture.planes() {
        Planes::Rgb { rgb } => return [0, 1, 2].map(|c| at(rgb, 3 * x + c, y)),
        Planes::Nv12 { y: l, uv, color } => {
            ([at(l, x, y), at(uv, x / 2 * 2, y / 2), at(uv, x / 2 * 2 + 1, y / 2)], color)
        }
        Planes::I420 { y: l, u, v, color } => {
            ([at(l, x, y), at(u, x / 2, y / 2), at(v, x / 2, y / 2)], color)
        }
    };
    let map = crate::image::color::ToRgb::new(color);
    map.rows.map(|r| (0..3).map(|i| f64::from(r[i]) * samples[i]).sum::<f64>() + f64::from(r[3]))
}

/// Exact area average of the converted picture.
fn reference(picture: &dyn Pixels, fit: &Fit) -> Vec<f32> {
    let size = picture.size();
    let covered = |i: u32, scale: f32, origin: f32, limit: u32| {
        let from = f64::from(origin) + f64::from(i) * f64::from(scale);
        let to = (from + f64::from(scale)).min(f64::from(limit));
        (from.floor() as usize..(to.ceil() as usize).min(limit as usize))
            .map(move |j| (j, ((j + 1) as f64).min(to) - (j as f64).max(from)))
    };
    let plane = fit.size.area() as usize;
    let mut out = vec![0.0; 3 * plane];
    for oy in 0..fit.content.height {
        for ox in 0..fit.content.width {
            let (mut sum, mut weight) = ([0.0; 3], 0.0);
            for (y, wy) in covered(oy, fit.scale_y, fit.origin.y, size.height) {
                for (x, wx) in covered(ox, fit.scale_x, fit.origin.x, size.width) {
                    let color = pixel(picture, x, y);
                    (0..3).for_each(|c| sum[c] += color[c] * wx * wy);
                    weight += wx * wy;
                }
            }
            for (c, sum) in sum.iter().enumerate() {
                let at = c * plane + (oy * fit.size.width + ox) as usize;
                out[at] = (sum / weight).clamp(0.0, 255.0) as f32;
            }
        }
    }
    out
}

/// Greatest and mean difference to the reference, in levels of 0..=255.
fn errors(picture: &dyn Pixels, roi: Option<Rect>, target: Size) -> (f32, f32) {
    let mut out = Vec::new();
    let fit = fit_to_tensor(picture, roi, target, Pad::None, &RAW, &mut out);
    let exact = reference(picture, &fit);
    let differences = out.iter().zip(&exact).map(|(a, b)| (a - b).abs());
    let (max, sum) = differences.fold((0f32, 0f32), |(max, sum), d| (max.max(d), sum + d));
    (max, sum / out.len() as f32)
}

#[test]
fn every_ratio_is_near_the_exact_average() {
    let target = |w, h| Size::new(w, h);
    let cases = [
        (target(240, 135), target(80, 45)),   // 3:1, chroma 3:2
        (target(240, 136), target(120, 68)),  // 2:1, chroma 1:1
        (target(160, 120), target(160, 120)), // 1:1, chroma 1:2
        (target(240, 120), target(160, 80)),  // 3:2, chroma 3:4
        (target(360, 216), target(60, 36)),   // 6:1, chroma 3:1
        (target(320, 160), target(80, 40)),   // 4:1
        (target(250, 131), target(97, 200)),  // no simple ratio, odd height
        (target(251, 131), target(250, 131)), // nearly 1
        (target(811, 401), target(64, 64)),   // many taps
    ];
    for (size, target) in cases {
        for picture in [scene(size), noise(size, 1)] {
            let noisy = picture == noise(size, 1);
            let formats: [Box<dyn Pixels>; 3] = [
                Box::new(Yuv::of(&picture, true, 13)),
                Box::new(Yuv::of(&picture, false, 0)),
                Box::new(picture),
            ];
            for (i, format) in formats.iter().enumerate() {
                let (max, mean) = errors(&**format, None, target);
                // Row weights of 8 bits: less than a level where the picture is smooth, a few in random noise.
                let bounds = if noisy { (4.0, 0.5) } else { (1.5, 0.25) };
                assert!(max < bounds.0 && mean < bounds.1, "{size} to {target}, format {i}: {max} {mean}");
            }
        }
    }
}

#[test]
fn flat_pictures_stay_flat_at_any_ratio() {
    for (w, h) in [(240, 135), (250, 131), (1, 1), (33, 900), (2000, 3)] {
        let picture = painted(Size::new(w, h), |_, _| [200, 100, 50]);
        let mut out = Vec::new();
        let fit = fit_to_tensor(&picture, None, Size::new(80, 60), Pad::None, &RAW, &mut out);
        for (plane, level) in out.chunks(fit.size.area() as usize).zip([200.0, 100.0, 50.0]) {
            for row in plane.chunks(fit.size.width as usize).take(fit.content.height as usize) {
                assert!(row[..fit.content.width as usize].iter().all(|x: &f32| (x - level).abs() < 1e-3));
            }
        }
    }
}

#[test]
fn planar_and_interleaved_chroma_give_the_same_bits() {
    for (w, h) in [(192, 108), (193, 107), (64, 64), (1, 1), (3, 2)] {
        let (a, b) = (Yuv::noise(Size::new(w, h), true, 7), Yuv::noise(Size::new(w, h), false, 0));
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let roi = Some(Rect::new(5.0, 3.0, w as f32 - 3.0, h as f32));
        for roi in [None, roi] {
            fit_to_tensor(&a, roi, Size::new(64, 64), Pad::None, &RAW, &mut x);
            fit_to_tensor(&b, roi, Size::new(64, 64), Pad::None, &RAW, &mut y);
            assert!(x.iter().map(|x| x.to_bits()).eq(y.iter().map(|y| y.to_bits())), "{w}x{h} {roi:?}");
        }
    }
}

#[test]
fn regions_at_the_borders_show_what_lies_there() {
    let picture = scene(Size::new(241, 135));
    let yuv = Yuv::of(&picture, true, 5);
    for roi in [
        Rect::new(0.0, 0.0, 50.0, 40.0),
        Rect::new(200.0, 100.0, 241.0, 135.0),
        Rect::new(101.0, 51.0, 180.0, 97.0),
        Rect::new(-20.0, -20.0, 60.0, 60.0),
        Rect::new(230.0, 120.0, 400.0, 400.0),
    ] {
        for picture in [&picture as &dyn Pixels, &yuv] {
            let (max, mean) = errors(picture, Some(roi), Size::new(40, 40));
            assert!(max < 1.5 && mean < 0.25, "{roi:?}: {max} {mean}");
        }
    }
}

#[test]
fn one_resizer_serves_changing_pictures() {
    let mut resizer = Resizer::new();
    let mut out = vec![f32::NAN; 100_000];
    for (w, h) in [(240, 135), (64, 48), (240, 135), (250, 131), (33, 33)] {
        for interleaved in [true, false] {
            let picture = Yuv::noise(Size::new(w, h), interleaved, 3);
            let target = Size::new(100, 100);
            let fit = resizer.fit(&picture, None, target, Pad::Full { level: 9 }, &RAW, &mut out);
            let mut fresh = Vec::new();
            assert_eq!(fit, fit_to_tensor(&picture, None, target, Pad::Full { level: 9 }, &RAW, &mut fresh));
            assert_eq!(out, fresh);
        }
    }
}

#[test]
fn normalisation_order_and_padding_reach_the_tensor() {
    let picture = painted(Size::new(60, 30), |_, _| [10, 20, 30]);
    let normalize = Normalize { order: ChannelOrder::Bgr, mean: [1.0, 2.0, 3.0], scale: [1.0, 0.5, 2.0] };
    let mut out = Vec::new();
    let fit = fit_to_tensor(&picture, None, Size::new(64, 32), Pad::Full { level: 5 }, &normalize, &mut out);
    assert_eq!((fit.size, fit.content), (Size::new(64, 32), Size::new(60, 30)));
    let plane = 64 * 32;
    for (channel, (inside, outside)) in [(29.0, 4.0), (9.0, 1.5), (14.0, 4.0)].into_iter().enumerate() {
        assert_eq!(out[channel * plane + 29 * 64 + 59], inside);
        assert_eq!(out[channel * plane + 60], outside);
        assert_eq!(out[channel * plane + 30 * 64], outside);
        assert_eq!(out[(channel + 1) * plane - 1], outside);
    }
}

#[test]
fn a_picture_with_short_planes_is_black() {
    let mut picture = Strided::of(&noise(Size::new(40, 40), 5), 0);
    picture.data.truncate(1000);
    let mut out = vec![7.0; 10];
    let fit = fit_to_tensor(&picture, None, Size::new(40, 40), Pad::None, &RAW, &mut out);
    assert_eq!((fit.size, out.len()), (Size::new(40, 40), 4800));
    assert!(out.iter().all(|&x| x == 0.0));
}

/// Size, row padding and format, by number.
type Recipe = (u32, u32, usize, usize);

fn recipe() -> impl Strategy<Value = Recipe> {
    (1u32..200, 1u32..200, 0usize..20, 0usize..3)
}

fn cook((w, h, padding, format): Recipe) -> Box<dyn Pixels> {
    let size = Size::new(w, h);
    match format {
        0 => Box::new(Yuv::noise(size, true, padding)),
        1 => Box::new(Yuv::noise(size, false, padding)),
        _ => Box::new(Strided::of(&noise(size, 2), padding)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_geometry_gives_a_finite_tensor_near_the_exact_average(
        recipe in recipe(),
        roi in proptest::option::of((-50f32..250.0, -50f32..250.0, -50f32..250.0, -50f32..250.0)),
        (tw, th) in (0u32..120, 0u32..120),
        full in any::<bool>(),
    ) {
        let picture = cook(recipe);
        let roi = roi.map(|(a, b, c, d)| Rect::new(a, b, c, d));
        let pad = if full { Pad::Full { level: 0 } } else { Pad::None };
        let mut out = Vec::new();
        let fit = fit_to_tensor(&*picture, roi, Size::new(tw, th), pad, &RAW, &mut out);
        prop_assert_eq!(out.len() as u64, fit.size.area() * 3);
        prop_assert!(fit.scale_x >= 0.999 && fit.scale_y >= 0.999);
        prop_assert!(out.iter().all(|x| (0.0..=255.0).contains(x)));
        // Clamping and averaging do not commute in noise, so conversion is compared where it does not clamp.
        if matches!(picture.planes(), Planes::Rgb { .. }) {
            let exact = reference(&*picture, &fit);
            let worst = out.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            prop_assert!(worst < 8.0, "off by {}", worst);
        }
    }

    #[test]
    fn wild_regions_do_no_harm(
        corners in proptest::array::uniform4(any::<f32>()),
        recipe in recipe(),
    ) {
        let (picture, [x1, y1, x2, y2]) = (cook(recipe), corners);
        let mut out = Vec::new();
        fit_to_tensor(&*picture, Some(Rect { x1, y1, x2, y2 }), Size::new(64, 64), Pad::None, &RAW, &mut out);
        prop_assert!(out.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_black_and_a_white_frame_reach_the_ends_of_the_range() {
    use crate::types::frame::{Colorimetry, Matrix};
    for (full_range, black, white) in [(false, 16, 235), (true, 0, 255)] {
        let color = Colorimetry { matrix: Matrix::Bt709, full_range };
        for (luma, level) in [(black, 0.0f32), (white, 255.0)] {
            let picture =
                Yuv::new(Size::new(96, 54), true, 0, color, |kind, _, _| if kind == 0 { luma } else { 128 });
            let mut out = Vec::new();
            fit_to_tensor(
                &picture,
                None,
                Size::new(32, 32),
                Pad::Full { level: level as u8 },
                &RAW,
                &mut out,
            );
            assert!(out.iter().all(|x| (x - level).abs() < 0.01), "{full_range} {luma}: {}", out[0]);
        }
    }
}
