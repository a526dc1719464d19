//! Each term moves the right way, and the limits refuse what they name.

use std::path::{Path, PathBuf};

use super::*;
use crate::image::codec::read_image;
use crate::image::testing::{noise, painted};
use crate::image::warp::stretch;
use crate::infer::testing::shared;
use crate::types::geometry::Size;

const SIZE: Size = Size::new(112, 112);

fn limits() -> QualityLimits {
    QualityLimits {
        min_face: 40.0,
        min_sharpness: 20.0,
        max_yaw: 45.0,
        max_pitch: 35.0,
        max_roll: 60.0,
        min_brightness: 40.0,
        max_brightness: 220.0,
    }
}

/// Stripes of this period around this level: the finer, the sharper.
fn striped(period: f32, level: f32) -> RgbImage {
    painted(SIZE, |x, _| [(level + 30.0 * (x as f32 * std::f32::consts::TAU / period).sin()) as u8; 3])
}

const FRONTAL: Pose = Pose { yaw: 0.0, pitch: 0.0, roll: 0.0 };

#[test]
fn the_laplacian_of_known_pictures() {
    let flat = Look::new(&painted(SIZE, |_, _| [90, 90, 90]));
    assert_eq!((flat.sharpness, flat.brightness), (0.0, 90.0));
    let slope = Look::new(&painted(SIZE, |x, y| [(x + y) as u8; 3]));
    assert_eq!(slope.sharpness, 0.0, "a slope has no second derivative");
    // +-10 on a chessboard: the Laplacian is +-80 everywhere.
    let board = Look::new(&painted(SIZE, |x, y| [if (x + y) % 2 == 0 { 110 } else { 90 }; 3]));
    assert!((board.sharpness - 6400.0).abs() < 1.0 && (board.brightness - 100.0).abs() < 0.1, "{board:?}");
    assert!(Look::new(&striped(4.0, 120.0)).sharpness > Look::new(&striped(12.0, 120.0)).sharpness);
}

#[test]
fn only_the_face_area_counts() {
    let frame = |x: u32, y: u32| !(12..=99).contains(&x) || y < 16;
    let busy = noise(SIZE, 1);
    let crop = painted(SIZE, |x, y| {
        let at = (y * 112 + x) as usize * 3;
        if frame(x, y) { [busy.data()[at]; 3] } else { [100; 3] }
    });
    assert_eq!(Look::new(&crop), Look { sharpness: 0.0, brightness: 100.0 });
}

#[test]
fn crops_of_any_size_are_measured() {
    for (w, h) in [(1, 1), (2, 2), (3, 3), (1, 50), (50, 1), (4, 5), (160, 160)] {
        let look = Look::new(&noise(Size::new(w, h), 3));
        assert!(look.sharpness.is_finite() && (0.0..=255.0).contains(&look.brightness), "{w}x{h}");
    }
}

#[test]
fn each_limit_refuses_what_it_names() {
    let refused = |crop: &RgbImage| assess(100.0, 0.9, &FRONTAL, &Look::new(crop), None, &limits()).refusal;
    assert_eq!(refused(&striped(5.0, 120.0)), None);
    assert_eq!(refused(&striped(60.0, 120.0)), Some(Refusal::Blurred));
    assert_eq!(refused(&striped(5.0, 32.0)), Some(Refusal::TooDark));
    assert_eq!(refused(&striped(60.0, 32.0)), Some(Refusal::TooDark));
    assert_eq!(refused(&striped(5.0, 224.0)), Some(Refusal::TooBright));
    let small =
        assess(10.0, 0.9, &FRONTAL, &Look::new(&striped(60.0, 32.0)), Some(Refusal::TooSmall), &limits());
    assert_eq!(small.refusal, Some(Refusal::TooSmall), "geometry comes first");
}

#[test]
fn the_score_ranks_as_a_person_would() {
    let look = Look { sharpness: 120.0, brightness: 120.0 };
    let base = score(100.0, 0.9, &FRONTAL, &look);
    assert!(base > 0.3 && base < 1.0);
    let turned = |yaw, pitch, roll| score(100.0, 0.9, &Pose { yaw, pitch, roll }, &look);
    assert!(score(200.0, 0.9, &FRONTAL, &look) > base);
    assert!(score(100.0, 0.5, &FRONTAL, &look) < base);
    assert!(score(100.0, 0.9, &FRONTAL, &Look { sharpness: 20.0, ..look }) < base);
    assert!(score(100.0, 0.9, &FRONTAL, &Look { brightness: 20.0, ..look }) < base);
    assert!(score(100.0, 0.9, &FRONTAL, &Look { brightness: 250.0, ..look }) < base);
    assert!(turned(30.0, 0.0, 0.0) < turned(15.0, 0.0, 0.0) && turned(15.0, 0.0, 0.0) < base);
    assert_eq!(turned(-30.0, 0.0, 0.0), turned(30.0, 0.0, 0.0));
    assert!(turned(0.0, 30.0, 0.0) < base && turned(0.0, 0.0, 30.0) < base);
    assert!(turned(0.0, 0.0, 30.0) > turned(30.0, 0.0, 0.0), "roll is undone, a turn is not");
    assert_eq!(score(f32::NAN, 0.9, &FRONTAL, &look), 0.0);
    for pixels in [0.0, -5.0, 1e9] {
        assert!((0.0..=1.0).contains(&score(pixels, 2.0, &FRONTAL, &look)));
    }
}

/// Aligned crops of real people, for measuring only.
fn real_crops() -> Vec<RgbImage> {
    let Some(folder) = shared("data/aligned_faces") else { return Vec::new() };
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default()
    };
    let people = entries(&folder);
    let files: Vec<PathBuf> = people.iter().flat_map(|person| entries(person)).collect();
    files.iter().map(|file| read_image(file).expect("a picture")).collect()
}

#[test]
fn real_faces_pass_where_their_blurred_copies_fail() {
    let crops = real_crops();
    if crops.is_empty() {
        return;
    }
    let passing = |side: u32| {
        let kept = crops.iter().filter(|crop| {
            let small = stretch(*crop, Size::new(side, side)).expect("a size");
            let look = Look::new(&stretch(&small, SIZE).expect("a size"));
            refusal_of(&look, &QualityLimits { min_sharpness: 8.0, ..limits() }).is_none()
        });
        kept.count() as f32 / crops.len() as f32
    };
    assert!(passing(112) >= 0.98, "as they are: {}", passing(112));
    assert!(passing(40) >= 0.95, "small but sharp: {}", passing(40));
    assert!(passing(10) <= 0.35, "hardly a face: {}", passing(10));
}
