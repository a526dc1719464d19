//! Faces drawn from numbers, and one photograph.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::config::QualityLimits;
use crate::image::testing::{Yuv, noise, painted};
use crate::image::warp::stretch;

fn canonical() -> Landmarks {
    CANONICAL.map(|(x, y)| Point { x, y })
}

fn limits() -> QualityLimits {
    QualityLimits {
        min_face: 40.0,
        min_sharpness: 5.0,
        max_yaw: 45.0,
        max_pitch: 35.0,
        max_roll: 60.0,
        min_brightness: 40.0,
        max_brightness: 220.0,
    }
}

fn five_point() -> Aligner {
    let alignment = Alignment::FivePoint { size: Size::new(112, 112), template: canonical() };
    Aligner::new(alignment, limits()).expect("a size")
}

fn boxed(size: u32, margin: f32) -> Aligner {
    boxed_to(size, margin, BoxFit::Stretch)
}

fn boxed_to(size: u32, margin: f32, fit: BoxFit) -> Aligner {
    let alignment = Alignment::BoxMargin { size: Size::new(size, size), margin, fit };
    Aligner::new(alignment, limits()).expect("a size")
}

/// The template's landmarks, scaled, rotated and moved; the box is around the crop's inner part.
fn face(scale: f32, degrees: f32, x: f32, y: f32) -> Detection {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let place = Similarity { a: scale * cos, b: scale * sin, tx: x, ty: y };
    let corners =
        [(16.0, 16.0), (96.0, 16.0), (16.0, 112.0), (96.0, 112.0)].map(|(x, y)| place.apply(Point { x, y }));
    let least = |get: fn(&Point) -> f32| corners.iter().map(get).fold(f32::MAX, f32::min);
    let most = |get: fn(&Point) -> f32| corners.iter().map(get).fold(f32::MIN, f32::max);
    let bbox = Rect::new(least(|p| p.x), least(|p| p.y), most(|p| p.x), most(|p| p.y));
    Detection { bbox, landmarks: canonical().map(|p| place.apply(p)), score: 0.95 }
}

/// A frame with a white dot on each landmark.
fn dotted(size: Size, landmarks: &Landmarks, radius: f32) -> RgbImage {
    painted(size, |x, y| {
        let near = |p: &Point| (p.x - x as f32).hypot(p.y - y as f32) < radius;
        if landmarks.iter().any(near) { [255; 3] } else { [90; 3] }
    })
}

/// Mean place, in pixel numbers, of what is light around a point of the crop.
fn light_near(crop: &RgbImage, p: &Point) -> Point {
    let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
    for (px, py) in (0..112u32).flat_map(|py| (0..112u32).map(move |px| (px, py))) {
        let weight = f32::from(crop.data()[(py * 112 + px) as usize * 3]) - 100.0;
        if (px as f32 - p.x).hypot(py as f32 - p.y) < 8.0 && weight > 0.0 {
            (sum, x, y) = (sum + weight, x + weight * px as f32, y + weight * py as f32);
        }
    }
    Point { x: x / sum, y: y / sum }
}

#[test]
fn landmarks_land_on_the_template() {
    for (scale, degrees, x, y) in
        [(1.0, 0.0, 100.0, 80.0), (2.5, 20.0, 200.0, 60.0), (1.7, -50.0, 100.0, 220.0)]
    {
        let detection = face(scale, degrees, x, y);
        let picture = dotted(Size::new(640, 480), &detection.landmarks, 3.0 * scale);
        for picture in [&picture as &dyn Pixels, &Yuv::of(&picture, true, 0)] {
            let crop = five_point().align(picture, &detection).expect("a crop");
            for p in canonical() {
                let found = light_near(crop.image(), &p);
                let off = (found.x - p.x).hypot(found.y - p.y);
                assert!(off < 0.35, "{scale} {degrees}: {p:?} {found:?}");
            }
            assert!((crop.quality().roll - degrees).abs() < 0.5);
        }
    }
}

#[test]
fn a_crop_of_itself_is_itself() {
    let picture = noise(Size::new(112, 112), 1);
    let detection = Detection { landmarks: canonical(), ..face(1.0, 0.0, 0.0, 0.0) };
    let crop = five_point().align(&picture, &detection).expect("a crop");
    let worst = crop.image().data().iter().zip(picture.data()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "{worst:?}");
}

#[test]
fn the_box_with_its_margin_fills_the_crop() {
    let detection = Detection { bbox: Rect::new(100.0, 100.0, 200.0, 220.0), ..face(1.0, 0.0, 100.0, 100.0) };
    // 15 % of 100 x 120 on each side: from (85, 82) to (215, 238).
    let inside = |x: u32, y: u32| (85..215).contains(&x) && (82..238).contains(&y);
    let picture = painted(Size::new(640, 480), |x, y| if inside(x, y) { [150; 3] } else { [0; 3] });
    let crop = boxed(160, 0.15).align(&picture, &detection).expect("a crop");
    assert_eq!(crop.image().size(), Size::new(160, 160));
    let dark = crop.image().data().iter().filter(|&&x| x < 70).count();
    assert_eq!(dark, 0);
    let wider = boxed(160, 0.2).align(&picture, &detection).expect("a crop");
    let corner = &wider.image().data()[..3];
    assert_eq!(corner, [0; 3]);
    // At the frame's border the margin ends there, as FaceNet's own alignment does.
    let at_border = Detection { bbox: Rect::new(0.0, 0.0, 90.0, 100.0), ..face(1.0, 0.0, 0.0, 0.0) };
    let white = painted(Size::new(640, 480), |_, _| [255; 3]);
    let crop = boxed(160, 0.15).align(&white, &at_border).expect("a crop");
    assert!(crop.image().data().iter().all(|&x| x == 255));
}

#[test]
fn a_letterboxed_box_keeps_its_proportions_between_grey_borders() {
    // 101 x 200, the left half dark, the right half light, on white.
    let detection = Detection { bbox: Rect::new(100.0, 100.0, 201.0, 300.0), ..face(1.0, 0.0, 100.0, 130.0) };
    let picture = painted(Size::new(640, 480), |x, y| match (x, y) {
        (100..150, 100..300) => [40; 3],
        (150..201, 100..300) => [200; 3],
        _ => [255; 3],
    });
    let crop = boxed_to(160, 0.0, BoxFit::Letterbox).align(&picture, &detection).expect("a crop");
    // 160 / 200 of 101 is 80.8: 80 columns, from (160 - 80) / 2 on, as the training's pictures were made.
    let rows = crop.image().data().chunks_exact(160 * 3);
    for row in rows {
        let row: Vec<u8> = row.iter().step_by(3).copied().collect();
        assert!(row[..40].iter().chain(&row[120..]).all(|&x| x == 128), "{row:?}");
        assert!(row[40..78].iter().all(|&x| x == 40) && row[82..120].iter().all(|&x| x == 200), "{row:?}");
    }
    // What is measured is the face: its brightness is not the borders'.
    let lit = painted(Size::new(640, 480), |_, _| [60; 3]);
    let crop = boxed_to(160, 0.0, BoxFit::Letterbox).align(&lit, &detection).expect("a crop");
    assert_eq!((crop.quality().brightness, crop.quality().sharpness), (60.0, 0.0));
    // A box as wide as high has no borders.
    let square = Detection { bbox: Rect::new(100.0, 100.0, 220.0, 220.0), ..detection };
    let (fitted, stretched) = (boxed_to(160, 0.1, BoxFit::Letterbox), boxed_to(160, 0.1, BoxFit::Stretch));
    let crops = [fitted, stretched].map(|aligner| aligner.align(&picture, &square).expect("a crop"));
    assert_eq!(crops[0].image().data(), crops[1].image().data());
}

#[test]
fn each_refusal_is_found_before_a_pixel_is_touched() {
    let frame = Size::new(640, 480);
    let aligner = five_point();
    let screen = |d: &Detection| aligner.screen(d, frame);
    assert_eq!(screen(&face(1.0, 10.0, 100.0, 100.0)), Ok(()));
    assert_eq!(screen(&face(0.4, 0.0, 100.0, 100.0)), Err(Refusal::TooSmall));
    assert_eq!(
        aligner
            .clone()
            .with_limits(QualityLimits { min_face: 20.0, ..aligner.limits().clone() })
            .screen(&face(0.4, 0.0, 100.0, 100.0), frame),
        Ok(())
    );
    assert_eq!(screen(&face(1.0, 80.0, 300.0, 100.0)), Err(Refusal::ExtremePose));
    for (x, y) in [(-40.0, 100.0), (590.0, 100.0), (100.0, -60.0), (100.0, 400.0)] {
        assert_eq!(screen(&face(1.0, 0.0, x, y)), Err(Refusal::CutOff), "{x} {y}");
    }
    // The margin around the face may be missing.
    assert_eq!(screen(&face(1.0, 0.0, -14.0, 100.0)), Ok(()));
    assert_eq!(screen(&face(1.0, 0.0, 100.0, -14.0)), Ok(()));
    let mut turned = face(1.0, 0.0, 100.0, 100.0);
    turned.landmarks[2].x += 22.0;
    assert_eq!(screen(&turned), Err(Refusal::ExtremePose));
    let mut broken = face(1.0, 0.0, 100.0, 100.0);
    broken.landmarks = [Point { x: 150.0, y: 150.0 }; 5];
    assert_eq!(screen(&broken), Err(Refusal::BadLandmarks));
    assert_eq!(aligner.align(&noise(frame, 1), &broken).expect_err("no crop"), Refusal::BadLandmarks);
}

#[test]
fn a_refused_face_still_has_a_crop_that_says_why() {
    let frame = noise(Size::new(640, 480), 3);
    let refusal = |d: &Detection| five_point().align(&frame, d).expect("a crop").quality().refusal;
    assert_eq!(refusal(&face(1.0, 0.0, 100.0, 100.0)), None);
    assert_eq!(refusal(&face(0.4, 0.0, 100.0, 100.0)), Some(Refusal::TooSmall));
    assert_eq!(refusal(&face(1.0, 0.0, -40.0, 100.0)), Some(Refusal::CutOff));
    let flat = |level| painted(Size::new(640, 480), move |_, _| [level; 3]);
    for (level, expected) in [(10, Refusal::TooDark), (240, Refusal::TooBright), (120, Refusal::Blurred)] {
        let crop = five_point().align(&flat(level), &face(1.0, 0.0, 100.0, 100.0)).expect("a crop");
        assert_eq!(crop.quality().refusal, Some(expected));
    }
}

#[test]
fn a_crop_size_outside_the_limits_is_an_error() {
    let alignment = Alignment::BoxMargin { size: Size::new(0, 112), margin: 0.1, fit: BoxFit::Stretch };
    assert!(Aligner::new(alignment, limits()).is_err());
}

/// A photograph of the demo, when set-up has fetched it.
fn photograph(name: &str) -> Option<RgbImage> {
    let folder = std::env::var_os("WATCHLISTD_VAR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("var"), PathBuf::from);
    let path = folder.join("images").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(crate::image::codec::read_image(&path).expect("a picture"))
}

#[test]
fn a_photograph_is_a_good_shot_and_its_blurred_copy_is_a_worse_one() {
    let Some(picture) = photograph("obama.jpg") else { return };
    // Measured by hand.
    let landmarks = [(443.5, 213.5), (550.0, 212.0), (496.5, 266.0), (444.0, 322.5), (546.0, 321.0)];
    let detection = Detection {
        bbox: Rect::new(368.0, 110.0, 612.0, 428.0),
        landmarks: landmarks.map(|(x, y)| Point { x, y }),
        score: 0.99,
    };
    let sharp = *five_point().align(&picture, &detection).expect("a crop").quality();
    assert_eq!(sharp.refusal, None, "{sharp:?}");
    assert!(sharp.yaw.abs() < 15.0 && sharp.pitch.abs() < 20.0 && sharp.roll.abs() < 5.0, "{sharp:?}");
    // The same scene at an eighth of the resolution, enlarged again.
    let small = stretch(&picture, Size::new(114, 142)).expect("a size");
    let enlarged = stretch(&small, picture.size()).expect("a size");
    let blurred = *five_point().align(&enlarged, &detection).expect("a crop").quality();
    assert!(
        blurred.sharpness < 0.3 * sharp.sharpness && blurred.score < sharp.score,
        "{sharp:?} {blurred:?}"
    );
}

proptest! {
    #[test]
    fn any_detection_gives_a_crop_or_a_reason(
        numbers in proptest::array::uniform10(prop_oneof![-100f32..400.0, any::<f32>()]),
        corners in proptest::array::uniform4(-100f32..400.0),
    ) {
        let frame = noise(Size::new(90, 70), 1);
        let landmarks = std::array::from_fn(|i| Point { x: numbers[2 * i], y: numbers[2 * i + 1] });
        let [a, b, c, d] = corners;
        let detection = Detection { bbox: Rect::new(a, b, c, d), landmarks, score: 0.5 };
        for aligner in [five_point(), boxed(40, 0.15)] {
            let screened = aligner.screen(&detection, frame.size());
            match aligner.align(&frame, &detection) {
                Ok(crop) => {
                    let q = crop.quality();
                    prop_assert!((0.0..=1.0).contains(&q.score) && q.sharpness.is_finite() && q.yaw.is_finite());
                    if let Err(refusal) = screened {
                        prop_assert_eq!(q.refusal, Some(refusal), "both say the same");
                    }
                }
                Err(refusal) => prop_assert_eq!(refusal, Refusal::BadLandmarks),
            }
        }
    }
}
