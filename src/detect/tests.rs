//! RetinaFace on real weights, against figures from an independent decoder.

mod families;

use super::retinaface::{Anchors, Answer, decode};
use super::{DetectOptions, Detector, make_detector};
use crate::base::error::Kind;
use crate::config::Device;
use crate::infer::manifest::Manifest;
use crate::infer::onnx::proto::Model;
use crate::infer::ort::{Session, SessionOptions};
use crate::infer::testing::{asset, convolution, detector, manifest, picture, runtime};
use crate::types::face::Detection;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Rect, Size};
use prost::Message;

/// Score, box, landmarks.
type Golden = (f32, [f32; 4], [[f32; 2]; 5]);

/// From NumPy in double precision, on OpenCV's `INTER_AREA` to at most 640x640, score above 0.5, NMS 0.4.
#[rustfmt::skip]
const OBAMA: [Golden; 1] = [
    (0.9997, [375.9, 86.4, 603.6, 421.2], [[440.1, 210.0], [552.4, 214.0], [499.5, 273.9], [437.5, 312.4], [554.5, 315.8]]),
];
#[rustfmt::skip]
const SIX: [Golden; 6] = [
    (0.9997, [464.7, 263.3, 574.0, 408.3], [[491.8, 319.2], [543.2, 329.6], [507.3, 356.9], [482.7, 367.0], [528.5, 375.7]]),
    (0.9996, [742.9, 343.8, 842.2, 471.3], [[759.6, 397.8], [803.3, 395.1], [776.1, 427.0], [766.5, 440.9], [804.5, 438.4]]),
    (0.9993, [51.5, 261.8, 168.2, 401.3], [[82.8, 327.6], [126.8, 306.9], [118.0, 336.1], [109.9, 368.3], [146.9, 351.4]]),
    (0.9982, [272.7, 147.9, 375.5, 278.5], [[292.2, 209.3], [324.1, 196.5], [307.0, 230.2], [312.8, 249.3], [339.3, 238.3]]),
    (0.9978, [902.0, 56.5, 1010.7, 201.4], [[915.1, 119.7], [944.8, 114.8], [918.4, 149.2], [933.9, 169.2], [958.0, 164.2]]),
    (0.9969, [1127.9, 273.9, 1225.5, 401.5], [[1146.5, 323.9], [1193.5, 322.3], [1166.7, 348.0], [1151.0, 365.6], [1194.1, 364.2]]),
];
#[rustfmt::skip]
const ASTRONAUT: [Golden; 1] = [
    (0.9995, [177.7, 56.9, 273.1, 177.3], [[204.7, 101.0], [247.3, 103.4], [223.6, 129.4], [202.6, 138.2], [244.4, 140.4]]),
];
#[rustfmt::skip]
const BIDEN: [Golden; 1] = [
    (0.9971, [431.9, 184.7, 704.8, 568.8], [[534.9, 325.4], [656.0, 346.5], [600.7, 401.9], [524.3, 460.8], [620.7, 479.4]]),
];

fn open(manifest: &Manifest, model: &[u8]) -> Option<crate::base::error::Result<Box<dyn Detector>>> {
    let options = SessionOptions { varying_shapes: true, ..SessionOptions::new(Device::Cpu) };
    let session = Session::open(runtime()?, &manifest.name, model, &options).expect("opens");
    Some(make_detector(manifest, session))
}

fn options(min_score: f32) -> DetectOptions {
    DetectOptions { input: Size::new(640, 640), min_score, roi: None }
}

#[test]
fn faces_in_photographs_are_where_an_independent_decoder_finds_them() {
    let Some(mut detector) = detector() else { return };
    let pictures: [(&str, &[Golden]); 4] =
        [("obama.jpg", &OBAMA), ("t1.jpg", &SIX), ("astronaut.png", &ASTRONAUT), ("biden.jpg", &BIDEN)];
    for (name, golden) in pictures {
        let Some(picture) = picture(name) else { return };
        let found = detector.detect(&picture, &options(0.5)).expect("detects");
        is_golden(&found, golden, name);
    }
}

/// Each face is there, where it should be, and no other one.
fn is_golden(found: &[Detection], golden: &[Golden], name: &str) {
    assert_eq!(found.len(), golden.len(), "{name}");
    assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{name}: best first");
    for (score, [x1, y1, x2, y2], landmarks) in golden {
        let bbox = Rect::new(*x1, *y1, *x2, *y2);
        let face =
            found.iter().find(|f| f.bbox.iou(&bbox) > 0.9).unwrap_or_else(|| panic!("{name} {bbox:?}"));
        assert!((face.score - score).abs() < 0.005, "{name}: {} for {score}", face.score);
        // Another area filter and another JPEG decoder: a hundredth of the face.
        let near = |a: f32, b: f32| (a - b).abs() < 0.01 * bbox.height();
        let corners = [face.bbox.x1, face.bbox.y1, face.bbox.x2, face.bbox.y2];
        assert!(corners.iter().zip([x1, y1, x2, y2]).all(|(a, b)| near(*a, *b)), "{name}: {:?}", face.bbox);
        for (found, [x, y]) in face.landmarks.iter().zip(landmarks) {
            assert!(near(found.x, *x) && near(found.y, *y), "{name}: {found:?} for {x}, {y}");
        }
    }
}

#[test]
fn the_same_picture_gives_the_same_bits_and_a_region_gives_frame_pixels() {
    let (Some(mut detector), Some(picture)) = (detector(), picture("t1.jpg")) else { return };
    let all = detector.detect(&picture, &options(0.5)).expect("detects");
    assert_eq!(detector.detect(&picture, &options(0.5)).expect("detects"), all);
    let right = DetectOptions { roi: Some(Rect::new(700.0, 250.0, 1280.0, 600.0)), ..options(0.5) };
    let found = detector.detect(&picture, &right).expect("detects");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|f| all.iter().any(|a| a.bbox.iou(&f.bbox) > 0.8)), "{found:?}");
}

#[test]
fn any_picture_is_looked_at_without_an_error() {
    let Some(detector) = detector() else { return };
    looks_at_anything(detector);
}

fn looks_at_anything(mut detector: Box<dyn Detector>) {
    for (width, height) in [(1, 1), (2, 900), (33, 31), (1500, 3)] {
        let size = Size::new(width, height);
        let noise = (0..size.area() * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let picture = RgbImage::new(size, noise).expect("a picture");
        for face in detector.detect(&picture, &options(0.0)).expect("no error") {
            assert!(
                face.bbox.x2 <= picture.size().width as f32 && face.bbox.y2 <= picture.size().height as f32
            );
        }
        assert!(detector.detect(&picture, &options(0.99)).expect("no error").is_empty());
    }
}

#[test]
fn a_model_that_is_another_is_refused_when_it_is_loaded() {
    let manifest = manifest("retinaface-mobilenet025.toml");
    let Some(other) = open(&manifest, &convolution(vec![1.0; 9]).encode_to_vec()) else { return };
    let error = other.err().expect("refused");
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.to_string().contains("does not describe"), "{}", error.chain());

    let Some(path) = asset("models/retinaface-mobilenet025.onnx") else { return };
    let model = std::fs::read(path).expect("read");
    let mut renamed = Model::decode_exact(&model).expect("a model");
    renamed.graph.as_mut().expect("a graph").output.swap(0, 2);
    assert!(open(&manifest, &renamed.encode_to_vec()).expect("a runtime").is_ok(), "outputs go by name");
    let text = std::fs::read_to_string(&manifest.path).expect("read");
    for (from, to, expected) in [
        ("boxes = \"loc\"", "boxes = \"landmarks\"", "has the shape"),
        ("scores = \"conf\"", "scores = \"probability\"", "no output \"probability\""),
        ("name = \"input\"", "name = \"image\"", "expected \"image\""),
    ] {
        let wrong = Manifest::parse(&manifest.path, &text.replace(from, to)).expect("parses");
        let error = open(&wrong, &model).expect("a runtime").err().expect("refused");
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.chain().contains(expected), "{expected} in {}", error.chain());
    }
}

#[test]
fn anchors_are_ordered_by_level_row_column_and_size() {
    let anchors = Anchors::new(Size::new(100, 68));
    // 13 x 9, 7 x 5 and 4 x 3 cells: maps round up.
    assert_eq!(anchors.len(), 2 * (13 * 9 + 7 * 5 + 4 * 3));
    let at = |row: usize| anchors.get(row).map(|a| (a.center.x, a.center.y, a.side));
    assert_eq!(at(0), Some((4.0, 4.0, 16.0)));
    assert_eq!(at(1), Some((4.0, 4.0, 32.0)));
    assert_eq!(at(2 * 13), Some((4.0, 12.0, 16.0)));
    assert_eq!(at(2 * 117 + 1), Some((8.0, 8.0, 128.0)));
    assert_eq!(at(2 * 117 + 2 * 35), Some((16.0, 16.0, 256.0)));
    assert_eq!(at(anchors.len() - 1), Some((112.0, 80.0, 512.0)));
    assert_eq!(at(anchors.len()), None);
    assert!(Anchors::new(Size::new(0, 9)).is_empty());
}

#[test]
fn decoding_follows_the_variances_and_skips_what_is_not_finite() {
    let anchors = Anchors::new(Size::new(32, 32));
    let rows = anchors.len();
    let (mut boxes, mut scores, mut landmarks) =
        (vec![0.0; 4 * rows], vec![0.0; 2 * rows], vec![0.0; 10 * rows]);
    // Row 3: second cell, side 32, centre (12, 4).
    scores[2 * 3 + 1] = 0.9;
    boxes[4 * 3..4 * 4].copy_from_slice(&[1.0, -1.0, 5.0 * 2f32.ln(), 0.0]);
    landmarks[10 * 3 + 2] = 2.5;
    for (row, bad) in [(5, f32::NAN), (6, f32::INFINITY), (7, 1e6)] {
        scores[2 * row + 1] = 0.9;
        boxes[4 * row + 2] = bad;
    }
    scores[2 * 8 + 1] = f32::NAN;
    let answer = Answer { boxes: &boxes, scores: &scores, landmarks: &landmarks };
    let found = decode(&anchors, &answer, 0.5);
    let [face] = found.as_slice() else { panic!("{found:?}") };
    let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
    // Centre moved by 0.1 * 32, width doubled.
    assert!(near(face.bbox.x1, 15.2 - 32.0) && near(face.bbox.x2, 15.2 + 32.0), "{face:?}");
    assert!(near(face.bbox.y1, 0.8 - 16.0) && near(face.bbox.y2, 0.8 + 16.0), "{face:?}");
    assert!(near(face.landmarks[1].x, 12.0 + 8.0) && near(face.landmarks[1].y, 4.0), "{face:?}");
    assert!(decode(&anchors, &Answer { boxes: &[], ..answer }, 0.5).is_empty(), "a short answer is no panic");
}
