//! On photographs of several people, with the models that look for faces in them.

use super::super::cut::{Cutting, Part, View, cut};
use super::super::look::{LEAST_SCORE, look_again};
use super::*;
use crate::align::Aligner;
use crate::config::{Device, QualityLimits};
use crate::detect::{DetectOptions, Detector};
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::plan::PoolPlan;
use crate::infer::testing::{detector, embedder, inference, manifest, models_folder, picture as photograph};
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::frame::RgbImage;
use crate::types::geometry::{Point, Rect, Size};

/// Everything that looks at faces.
struct Eyes {
    detector: Box<dyn Detector>,
    aligner: Aligner,
    embedder: OnnxEmbedder,
    threshold: f32,
    _folder: tempfile::TempDir,
}

impl Eyes {
    fn open() -> Option<Self> {
        let (folder, detector) = (models_folder()?, detector()?);
        let plan = PoolPlan::for_device(&Device::Cpu, 1, &inference(Device::Cpu));
        let manifest = manifest("mobilefacenet-512.toml");
        let spec = manifest.embedder().expect("an embedder");
        let aligner = Aligner::new(spec.alignment.clone(), QualityLimits::none()).expect("an alignment");
        let embedder = embedder(folder.path(), plan)?;
        Some(Self { detector, aligner, embedder, threshold: spec.threshold, _folder: folder })
    }

    fn find(&mut self, picture: &RgbImage, input: Size, min_score: f32) -> Vec<Detection> {
        let options = DetectOptions { input, min_score, roi: None };
        self.detector.detect(picture, &options).expect("detects")
    }

    fn embed(&mut self, picture: &RgbImage, face: &Detection) -> Embedding {
        let crop = self.aligner.align(picture, face).expect("a crop");
        let mut one = self.embedder.embed_images(&[crop.image()]).expect("runs");
        one.remove(0).expect("a vector")
    }
}

/// Where a part of a photograph lies in it, by the face that is in both.
fn moved(face: &Detection, own: &Rect, part: &Part) -> Detection {
    let scale = part.own.width() / own.width();
    let x = |x: f32| (x - own.x1) * scale + part.own.x1;
    let y = |y: f32| (y - own.y1) * scale + part.own.y1;
    let bbox = Rect::new(x(face.bbox.x1), y(face.bbox.y1), x(face.bbox.x2), y(face.bbox.y2));
    Detection { bbox, landmarks: face.landmarks.map(|p| Point { x: x(p.x), y: y(p.y) }), score: face.score }
}

/// How often each thing was looked at.
#[derive(Debug, Default)]
struct Seen {
    parts: usize,
    crowded: usize,
    unclear: usize,
    bystanders: usize,
    highest: f32,
}

/// Takes a snapshot of each face of a photograph in turn; of the others, nothing may be found in it.
fn nobody_else(eyes: &mut Eyes, photo: &RgbImage, input: Size, cutting: &Cutting) -> Seen {
    let all = eyes.find(photo, Size::new(1280, 1280), 0.5);
    let vectors: Vec<Embedding> = all.iter().map(|face| eyes.embed(photo, face)).collect();
    let found: Vec<Rect> = eyes.find(photo, input, LEAST_SCORE).iter().map(|face| face.bbox).collect();
    let mut seen = Seen { highest: -1.0, ..Seen::default() };
    for (i, own) in all.iter().enumerate() {
        let view = View { roi: None, masks: &[] };
        let Ok((face, scene)) = cut(photo, &own.bbox, &found, view, cutting) else {
            seen.crowded += 1;
            continue;
        };
        for part in [Some(face), scene].into_iter().flatten() {
            let Some(part) = look_again(part, eyes.detector.as_mut(), input).expect("looked at") else {
                seen.unclear += 1;
                continue;
            };
            seen.parts += 1;
            // Found anew at a better resolution: only the face itself.
            for other in eyes.find(&part.image, Size::new(960, 960), 0.5) {
                let vector = eyes.embed(&part.image, &other);
                assert!(
                    part.own.contains(other.bbox.center()),
                    "a face at {:?} beside {:?}",
                    other.bbox,
                    part.own
                );
                let score = vector.similarity(&vectors[i]).expect("one model");
                assert!(score > eyes.threshold, "the face itself is recognised: {score:.2}");
            }
            // And where the others are known to be, nothing is like them.
            for (j, other) in all.iter().enumerate().filter(|(j, _)| *j != i) {
                let there = moved(other, &own.bbox, &part);
                if there.bbox.clamp_to(part.image.size()).area() < 0.5 * there.bbox.area() {
                    continue;
                }
                seen.bystanders += 1;
                let score = eyes.embed(&part.image, &there).similarity(&vectors[j]).expect("one model");
                seen.highest = seen.highest.max(score);
                assert!(score < eyes.threshold, "{i} shows {j} with {score:.2}");
            }
        }
    }
    seen
}

#[test]
fn in_a_snapshot_nobody_else_can_be_found_or_recognised() {
    let Some(mut eyes) = Eyes::open() else { return };
    let photo = photograph("t1.jpg").expect("fetched");
    let cutting = Cutting { scene: Some(6.0), side: 640 };
    let seen = nobody_else(&mut eyes, &photo, Size::new(640, 384), &cutting);
    eprintln!("six people: {seen:?}, threshold {}", eyes.threshold);
    assert!(seen.parts >= 10 && seen.bystanders >= 6 && seen.unclear == 0, "{seen:?}");
}

#[test]
fn who_is_too_small_to_be_found_in_the_frame_is_not_in_the_snapshot_either() {
    let Some(mut eyes) = Eyes::open() else { return };
    let photo = photograph("t1.jpg").expect("fetched");
    // Looked at so coarsely that of six people hardly anybody is found.
    let coarse = Size::new(64, 64);
    let found = eyes.find(&photo, coarse, LEAST_SCORE).len();
    // The second look is as fine as the scene.
    let cutting = Cutting { scene: Some(8.0), side: 960 };
    let all = eyes.find(&photo, Size::new(1280, 1280), 0.5).len();
    assert!(found < all, "{found} of {all}");
    let seen = second_look_only(&mut eyes, &photo, &cutting);
    eprintln!("{found} of {all} are found in the frame; {seen:?}");
    assert!(seen.bystanders >= 6, "{seen:?}");
}

/// As if nobody but the face itself had been found in the frame.
fn second_look_only(eyes: &mut Eyes, photo: &RgbImage, cutting: &Cutting) -> Seen {
    let all = eyes.find(photo, Size::new(1280, 1280), 0.5);
    let vectors: Vec<Embedding> = all.iter().map(|face| eyes.embed(photo, face)).collect();
    let mut seen = Seen { highest: -1.0, ..Seen::default() };
    for (i, own) in all.iter().enumerate() {
        let view = View { roi: None, masks: &[] };
        let (_, scene) = cut(photo, &own.bbox, &[own.bbox], view, cutting).expect("nobody is near");
        let scene = scene.expect("asked for");
        let Some(scene) = look_again(scene, eyes.detector.as_mut(), Size::new(640, 384)).expect("looked at")
        else {
            seen.unclear += 1;
            continue;
        };
        seen.parts += 1;
        for (j, other) in all.iter().enumerate().filter(|(j, _)| *j != i) {
            let there = moved(other, &own.bbox, &scene);
            if there.bbox.clamp_to(scene.image.size()).area() < 0.5 * there.bbox.area() {
                continue;
            }
            seen.bystanders += 1;
            let score = eyes.embed(&scene.image, &there).similarity(&vectors[j]).expect("one model");
            seen.highest = seen.highest.max(score);
            assert!(score < eyes.threshold, "{i} shows {j} with {score:.2}");
        }
    }
    seen
}

/// Not a test of speed: it prints what a picture costs.
#[test]
fn the_cost_of_a_picture_is_printed() {
    let Some(mut eyes) = Eyes::open() else { return };
    let photo = photograph("t1.jpg").expect("fetched");
    let input = Size::new(640, 384);
    let found = eyes.find(&photo, input, LEAST_SCORE);
    let boxes: Vec<Rect> = found.iter().map(|face| face.bbox).collect();
    let cutting = Cutting { scene: Some(6.0), side: 640 };
    let view = View { roi: None, masks: &[] };
    let (mut cuts, mut looks, mut jpegs, mut pictures) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
    for own in &found {
        let begun = Instant::now();
        let Ok((face, scene)) = cut(&photo, &own.bbox, &boxes, view, &cutting) else { continue };
        cuts += begun.elapsed();
        for part in [Some(face), scene].into_iter().flatten() {
            let begun = Instant::now();
            let part = look_again(part, eyes.detector.as_mut(), input).expect("looked at");
            looks += begun.elapsed();
            let begun = Instant::now();
            let bytes =
                part.map(|part| crate::image::codec::encode_jpeg(&part.image, 85).expect("encodes").len());
            jpegs += begun.elapsed();
            assert!(bytes.is_none_or(|bytes| bytes > 1000));
        }
        pictures += 1;
    }
    assert!(pictures > 0);
    let each = |all: Duration| all.as_secs_f64() * 1e3 / f64::from(pictures);
    eprintln!(
        "a picture of {} pictures: cut {:.2} ms, second look {:.2} ms, JPEGs (only of who is kept) {:.2} ms",
        pictures,
        each(cuts),
        each(looks),
        each(jpegs)
    );
}
