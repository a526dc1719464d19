//! YuNet and SCRFD on real weights, against figures from an independent decoder. The weights are for measuring only
//! (`WATCHLISTD_SHARED`): where they are absent, these tests say so and pass.

use super::super::cells::Grid;
use super::super::{scrfd, yunet};
use super::*;
use crate::infer::testing::shared;

const SOURCE: &str = "[source]\npackage = \"none\"\nversion = \"0\"\nitem = \"none\"\nlicence = \"none\"\ntraining_data = \"none\"\n";

/// With names of outputs that end in each stride.
fn yunet_manifest(size: &str) -> Manifest {
    let names = |what: &str| format!("[\"{what}_8\", \"{what}_16\", \"{what}_32\"]");
    let text = format!(
        "name = \"yunet\"\nrole = \"detector\"\nfamily = \"yunet\"\nfile = \"yunet.onnx\"\nsha256 = \"{}\"\n{SOURCE}\
         [input]\nname = \"input\"\n{size}layout = \"nchw\"\norder = \"bgr\"\nmean = [0, 0, 0]\nscale = [1, 1, 1]\n\
         [output]\nclasses = {}\nobjects = {}\nboxes = {}\nlandmarks = {}\nnms_iou = 0.3\n",
        "0".repeat(64),
        names("cls"),
        names("obj"),
        names("bbox"),
        names("kps"),
    );
    Manifest::parse("yunet.toml".as_ref(), &text).expect("a manifest")
}

fn scrfd_manifest(size: &str) -> Manifest {
    let text = format!(
        "name = \"scrfd\"\nrole = \"detector\"\nfamily = \"scrfd\"\nfile = \"scrfd.onnx\"\nsha256 = \"{}\"\n{SOURCE}\
         [input]\nname = \"images\"\n{size}layout = \"nchw\"\norder = \"rgb\"\nmean = [127.5, 127.5, 127.5]\n\
         scale = [0.0078125, 0.0078125, 0.0078125]\n\
         [output]\nscores = [\"out0\", \"out1\", \"out2\"]\nboxes = [\"out3\", \"out4\", \"out5\"]\n\
         landmarks = [\"out6\", \"out7\", \"out8\"]\nnms_iou = 0.4\n",
        "0".repeat(64),
    );
    Manifest::parse("scrfd.toml".as_ref(), &text).expect("a manifest")
}

const FIXED: &str = "size = [640, 640]\n";

// Score, box and landmarks from NumPy in double precision, on OpenCV's `INTER_AREA` to at most 640x640, padded with black, score above 0.5,
// NMS 0.3 for YuNet and 0.4 for SCRFD.
#[rustfmt::skip]
const YUNET: [(&str, &[Golden]); 4] = [
    ("obama.jpg", &[
        (0.9542, [372.6, 86.7, 607.6, 421.5], [[438.0, 209.9], [544.5, 204.3], [499.2, 276.2], [446.1, 327.1], [545.8, 322.8]]),
    ]),
    ("t1.jpg", &[
        (0.9290, [744.4, 347.0, 843.8, 475.7], [[761.4, 400.0], [803.7, 398.3], [774.4, 426.9], [769.2, 446.6], [803.4, 445.0]]),
        (0.9265, [1129.1, 269.7, 1226.5, 398.8], [[1148.6, 320.4], [1193.4, 318.4], [1169.0, 344.4], [1155.6, 366.4], [1192.8, 364.3]]),
        (0.9238, [464.6, 266.6, 576.6, 420.0], [[491.1, 325.7], [544.9, 329.2], [511.5, 359.1], [488.2, 377.7], [533.7, 380.8]]),
        (0.9105, [906.0, 59.6, 1009.5, 204.1], [[916.8, 121.5], [948.7, 115.3], [917.5, 148.0], [932.5, 173.9], [956.4, 167.9]]),
        (0.8971, [269.1, 148.4, 373.0, 272.1], [[293.0, 196.4], [334.2, 196.0], [307.8, 222.1], [297.3, 241.6], [331.2, 241.5]]),
        (0.8911, [57.4, 262.4, 172.5, 397.4], [[89.7, 320.3], [139.6, 309.5], [126.3, 341.0], [110.7, 365.0], [151.8, 355.3]]),
    ]),
    ("astronaut.png", &[
        (0.9356, [178.1, 65.0, 269.5, 176.4], [[203.4, 103.6], [247.5, 104.4], [224.1, 127.7], [204.0, 143.1], [242.9, 143.7]]),
    ]),
    ("biden.jpg", &[
        (0.9277, [423.6, 181.2, 707.3, 572.7], [[528.3, 322.3], [659.7, 341.1], [596.0, 410.3], [508.8, 460.8], [620.8, 478.2]]),
    ]),
];
#[rustfmt::skip]
const SCRFD_500M: [(&str, &[Golden]); 4] = [
    ("obama.jpg", &[
        (0.8427, [378.4, 82.9, 610.1, 426.8], [[441.1, 215.4], [548.4, 212.8], [496.3, 277.7], [439.5, 320.0], [550.2, 317.5]]),
    ]),
    ("t1.jpg", &[
        (0.8795, [745.3, 342.2, 847.3, 480.1], [[761.1, 400.1], [803.8, 399.8], [774.6, 429.0], [767.2, 444.4], [805.0, 443.5]]),
        (0.8730, [463.5, 266.5, 572.7, 415.4], [[495.6, 321.6], [545.6, 335.6], [513.6, 361.8], [484.5, 368.0], [530.7, 380.2]]),
        (0.8722, [55.6, 260.8, 168.6, 397.9], [[82.8, 328.1], [124.4, 302.6], [117.9, 335.1], [114.3, 369.7], [148.9, 347.7]]),
        (0.8645, [906.0, 59.5, 1011.1, 206.3], [[916.7, 118.8], [948.1, 115.6], [920.3, 150.9], [935.2, 169.9], [961.6, 166.1]]),
        (0.8592, [1130.3, 272.8, 1227.3, 400.6], [[1149.3, 324.8], [1194.5, 319.8], [1170.6, 344.2], [1156.5, 366.9], [1197.2, 362.7]]),
        (0.8228, [270.0, 144.9, 371.9, 270.3], [[285.4, 206.1], [318.3, 190.0], [302.7, 223.9], [311.3, 244.7], [339.7, 230.5]]),
    ]),
    ("astronaut.png", &[
        (0.7939, [180.5, 63.0, 271.5, 178.2], [[203.5, 101.7], [246.2, 104.2], [222.4, 129.3], [200.9, 140.0], [243.8, 142.5]]),
    ]),
    ("biden.jpg", &[
        (0.7525, [425.4, 158.7, 707.8, 564.0], [[531.8, 322.2], [657.1, 343.6], [599.7, 403.4], [521.8, 458.2], [624.2, 477.3]]),
    ]),
];
#[rustfmt::skip]
const SCRFD_2_5G: [(&str, &[Golden]); 4] = [
    ("obama.jpg", &[
        (0.8158, [378.7, 82.4, 607.4, 428.8], [[442.8, 214.0], [548.9, 210.5], [499.7, 276.8], [441.7, 320.5], [552.4, 316.7]]),
    ]),
    ("t1.jpg", &[
        (0.9172, [745.8, 339.2, 845.7, 480.6], [[760.2, 395.7], [801.9, 401.1], [770.8, 430.7], [763.4, 437.7], [805.6, 441.8]]),
        (0.9107, [465.4, 265.4, 573.4, 416.1], [[491.7, 318.9], [540.8, 331.9], [507.1, 360.7], [483.9, 367.1], [531.9, 378.4]]),
        (0.8821, [58.5, 262.9, 168.8, 395.6], [[87.3, 330.4], [128.9, 306.3], [120.6, 336.8], [114.9, 369.1], [148.8, 349.6]]),
        (0.8793, [1131.4, 271.1, 1225.7, 398.9], [[1148.3, 326.5], [1192.4, 322.2], [1167.5, 350.1], [1154.8, 366.5], [1195.7, 362.8]]),
        (0.8606, [904.8, 54.2, 1013.2, 204.2], [[916.3, 119.3], [944.8, 113.6], [919.3, 149.6], [936.8, 171.2], [958.3, 165.8]]),
        (0.8578, [269.0, 147.3, 371.2, 265.1], [[287.0, 210.7], [320.6, 194.7], [305.1, 227.9], [311.2, 245.0], [337.9, 231.0]]),
    ]),
    ("astronaut.png", &[
        (0.8417, [180.4, 55.7, 271.4, 179.1], [[204.6, 100.0], [247.9, 102.3], [223.9, 129.0], [201.3, 138.6], [246.5, 140.8]]),
    ]),
    ("biden.jpg", &[
        (0.7415, [424.4, 162.6, 710.1, 562.0], [[529.3, 326.4], [653.5, 348.3], [596.3, 402.4], [523.1, 459.6], [619.3, 478.2]]),
    ]),
];

/// The detector of a file, if there is one.
fn detector_of(manifest: &Manifest, file: &str) -> Option<Box<dyn Detector>> {
    let model = std::fs::read(shared(&format!("models/{file}"))?).expect("read");
    Some(open(manifest, &model)?.expect("the model fits its manifest"))
}

fn agrees(mut detector: Box<dyn Detector>, pictures: &[(&str, &[Golden])]) {
    for (name, golden) in pictures {
        let Some(picture) = picture(name) else { return };
        is_golden(&detector.detect(&picture, &options(0.5)).expect("detects"), golden, name);
    }
}

#[test]
fn yunet_finds_what_an_independent_decoder_finds_at_any_size_and_at_a_fixed_one() {
    for (size, file) in [("", "yunet_n_dynamic.onnx"), (FIXED, "yunet_n_640_640.onnx")] {
        let Some(detector) = detector_of(&yunet_manifest(size), file) else { return };
        agrees(detector, &YUNET);
    }
}

#[test]
fn scrfd_finds_what_an_independent_decoder_finds() {
    for (file, golden) in [("scrfd_500m_kps.onnx", &SCRFD_500M), ("scrfd_2.5g_kps.onnx", &SCRFD_2_5G)] {
        let Some(detector) = detector_of(&scrfd_manifest(FIXED), file) else { return };
        agrees(detector, golden);
    }
}

#[test]
fn a_model_of_a_fixed_size_is_refused_under_a_manifest_that_names_none_or_another() {
    let Some(path) = shared("models/scrfd_500m_kps.onnx") else { return };
    let model = std::fs::read(path).expect("read");
    for size in ["", "size = [320, 320]\n"] {
        let Some(opened) = open(&scrfd_manifest(size), &model) else { return };
        let error = opened.err().expect("refused");
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.chain().contains("images [1, 3, 640, 640]"), "{}", error.chain());
    }
}

#[test]
fn any_picture_is_looked_at_by_any_family_without_an_error() {
    let yunet = detector_of(&yunet_manifest(""), "yunet_n_dynamic.onnx");
    let scrfd = detector_of(&scrfd_manifest(FIXED), "scrfd_500m_kps.onnx");
    yunet.into_iter().chain(scrfd).for_each(looks_at_anything);
}

const NEAR: f32 = 1e-4;

#[test]
fn a_cell_of_yunet_is_a_centre_with_a_size_in_strides() {
    let grid = Grid::new(Size::new(64, 32), 16);
    assert_eq!((grid.len(), grid.corner(5).x, grid.corner(5).y), (8, 16.0, 16.0));
    let (mut classes, mut objects) = (vec![0.0; 8], vec![0.0; 8]);
    let (mut boxes, mut landmarks) = (vec![0.0; 32], vec![0.0; 80]);
    (classes[5], objects[5]) = (0.81, 1.5);
    boxes[20..24].copy_from_slice(&[0.5, 0.25, 2f32.ln(), 0.0]);
    landmarks[52] = -1.0;
    (classes[6], objects[6], boxes[26]) = (1.0, 1.0, 1e6);
    (classes[7], objects[7]) = (f32::NAN, 1.0);
    let answer = yunet::Answer { classes: &classes, objects: &objects, boxes: &boxes, landmarks: &landmarks };
    let found = yunet::decode(&grid, &answer, 0.5);
    let [face] = found.as_slice() else { panic!("{found:?}") };
    assert!((face.score - 0.9).abs() < NEAR, "{face:?}");
    assert_eq!(face.bbox, Rect { x1: 8.0, y1: 12.0, x2: 40.0, y2: 28.0 });
    assert_eq!((face.landmarks[0].x, face.landmarks[1].x), (16.0, 0.0));
    assert!(yunet::decode(&grid, &yunet::Answer { boxes: &[], ..answer }, 0.5).is_empty(), "no panic");
}

#[test]
fn an_anchor_of_scrfd_is_a_corner_with_distances_in_strides() {
    let grid = Grid::new(Size::new(64, 32), 32);
    let (mut scores, mut boxes, mut landmarks) = (vec![0.0; 4], vec![0.0; 16], vec![0.0; 40]);
    scores[3] = 0.7;
    boxes[12..].copy_from_slice(&[0.5, -0.25, 1.0, 0.5]);
    landmarks[39] = 0.5;
    (scores[2], boxes[8]) = (0.9, f32::INFINITY);
    scores[1] = f32::NAN;
    let answer = scrfd::Answer { scores: &scores, boxes: &boxes, landmarks: &landmarks };
    let found = scrfd::decode(&grid, &answer, 0.5);
    let [face] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(face.bbox, Rect { x1: 16.0, y1: 8.0, x2: 64.0, y2: 16.0 });
    assert_eq!((face.landmarks[4].x, face.landmarks[4].y), (32.0, 16.0));
    assert!(scrfd::decode(&grid, &scrfd::Answer { landmarks: &[], ..answer }, 0.5).is_empty(), "no panic");
}
