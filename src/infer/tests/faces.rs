//! The embedder on real faces.

use std::path::{Path, PathBuf};

use crate::base::error::Kind;
use crate::config::Device;
use crate::image::testing::noise;
use crate::infer::Embedder;
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::plan::PoolPlan;
use crate::infer::testing::{crops, detector, embedder, inference, manifest, models_folder, read_picture};
use crate::types::embedding::Embedding;
use crate::types::face::{FaceCrop, Quality};
use crate::types::frame::RgbImage;
use crate::types::geometry::Size;

fn plan(device: Device) -> PoolPlan {
    PoolPlan::for_device(&device, 1, &inference(device.clone()))
}

fn embed(embedder: &mut OnnxEmbedder, crop: &RgbImage) -> Embedding {
    let mut one = embedder.embed_images(&[crop]).expect("runs");
    one.remove(0).expect("a vector")
}

#[test]
fn other_photographs_of_a_person_score_above_the_threshold_and_other_people_below() {
    let (Some(folder), Some(mut detector)) = (models_folder(), detector()) else { return };
    let mut embedder = embedder(folder.path(), plan(Device::Cpu)).expect("a runtime");
    let mut of = |name: &str| -> Option<Vec<Embedding>> {
        Some(crops(&mut *detector, name)?.iter().map(|crop| embed(&mut embedder, crop)).collect())
    };
    let (Some(a), Some(b), Some(c)) = (of("obama.jpg"), of("obama2.jpg"), of("obama3.jpg")) else { return };
    let same = [a[0].similarity(&b[0]), a[0].similarity(&c[0]), b[0].similarity(&c[0])].map(Option::unwrap);
    let mut others = Vec::new();
    for name in ["biden.jpg", "astronaut.png", "t1.jpg"] {
        others.extend(of(name).expect("there"));
    }
    let mut stranger = f32::MIN;
    for (i, one) in others.iter().enumerate() {
        for other in others[i + 1..].iter().chain([&a[0], &b[0], &c[0]]) {
            stranger = stranger.max(one.similarity(other).expect("one model"));
        }
    }
    let threshold = manifest("mobilefacenet-512.toml").embedder().expect("an embedder").threshold;
    eprintln!("same person {same:.3?}, highest of strangers {stranger:.3}, threshold {threshold}");
    assert!(same.iter().all(|score| *score >= threshold), "{same:?}");
    assert!(stranger < threshold, "{stranger}");
}

#[test]
fn a_padded_batch_gives_each_crop_what_it_gets_alone_in_order() {
    let Some(folder) = models_folder() else { return };
    let mut single = embedder(folder.path(), plan(Device::Cpu)).expect("a runtime");
    let mut batched = embedder(folder.path(), plan(Device::Cuda(0))).expect("a runtime");
    batched.warm_up().expect("every step runs");
    let crops: Vec<RgbImage> = (0..37).map(|seed| noise(Size::new(112, 112), seed)).collect();
    // 37: a full step of 32, then 5 padded to 8.
    let crops: Vec<&RgbImage> = crops.iter().collect();
    let batch = batched.embed_images(&crops).expect("runs");
    assert_eq!(batch.len(), crops.len());
    for (crop, found) in crops.iter().zip(batch) {
        let alone = embed(&mut single, crop);
        let score = alone.similarity(&found.expect("a vector")).expect("one model");
        assert!(score > 0.99999, "{score}");
    }
    assert!(batched.embed_images(&[]).expect("nothing to do").is_empty());
}

#[test]
fn a_crop_of_another_size_is_our_mistake_and_the_next_call_works() {
    let Some(folder) = models_folder() else { return };
    let mut embedder = embedder(folder.path(), plan(Device::Cpu)).expect("a runtime");
    let crop = |side| FaceCrop::from_aligner(noise(Size::new(side, side), 1), graded());
    assert_eq!(embedder.embed(&[crop(96)]).expect_err("too small").kind(), Kind::Software);
    let [one, two] = embedder.embed(&[crop(112), crop(112)]).expect("runs").try_into().expect("two");
    let (one, two) = (one.expect("a vector"), two.expect("a vector"));
    assert_eq!(one, two, "the same bits each time");
    assert_eq!((one.dimension(), one.model()), (512, embedder.model()));
}

fn graded() -> Quality {
    Quality {
        face_pixels: 112.0,
        sharpness: 100.0,
        yaw: 0.0,
        pitch: 0.0,
        roll: 0.0,
        brightness: 128.0,
        score: 1.0,
        refusal: None,
    }
}

/// Verification over 24 people: every pair. What the manifest's threshold was derived from.
#[test]
fn people_are_told_apart_as_well_as_the_model_can() {
    let Some(people) = aligned_faces() else { return };
    let Some(folder) = models_folder() else { return };
    let mut embedder = embedder(folder.path(), plan(Device::Cpu)).expect("a runtime");
    let mut faces = Vec::new();
    for (person, files) in people.iter().enumerate() {
        for file in files {
            faces.push((person, embed(&mut embedder, &read_picture(file))));
        }
    }
    let (mut genuine, mut impostor) = (Vec::new(), Vec::new());
    for (i, (a, x)) in faces.iter().enumerate() {
        for (b, y) in &faces[i + 1..] {
            let score = x.similarity(y).expect("one model");
            if a == b { genuine.push(score) } else { impostor.push(score) }
        }
    }
    genuine.sort_by(f32::total_cmp);
    impostor.sort_by(f32::total_cmp);
    let (g, i) = (summary(&genuine), summary(&impostor));
    eprintln!(
        "{} genuine {g:.3?}, {} impostor {i:.3?} (mean, sd, least, most)",
        genuine.len(),
        impostor.len()
    );
    let mut tar = Vec::new();
    for far in [1e-2, 1e-3, 1e-4] {
        let at = threshold_at(&impostor, far);
        tar.push(above(&genuine, at));
        let normal = i[0] + i[1] * [2.326, 3.090, 3.719][tar.len() - 1];
        eprintln!("FAR {far:e}: threshold {at:.3} (normal fit {normal:.3}), TAR {:.3}", above(&genuine, at));
    }
    for at in [0.30, 0.36, 0.40, 0.45, 0.50] {
        eprintln!("threshold {at}: TAR {:.4}, FAR {:.2e}", above(&genuine, at), above(&impostor, at));
    }
    assert!(i[0].abs() < 0.05 && i[1] < 0.12, "{i:?}");
    assert!(tar[1] > 0.75 && tar[2] > 0.65, "{tar:?}");
    let threshold = manifest("mobilefacenet-512.toml").embedder().expect("an embedder").threshold;
    assert!(above(&impostor, threshold) <= 1e-4 && above(&genuine, threshold) > 0.7, "as the manifest says");
}

fn aligned_faces() -> Option<Vec<Vec<PathBuf>>> {
    let shared = std::env::var_os("WATCHLISTD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let list = |folder: &Path| -> Option<Vec<PathBuf>> {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        Some(entries)
    };
    let folder = shared.join("data/aligned_faces");
    let Some(people) = list(&folder) else {
        eprintln!("skipped: {} is missing (set WATCHLISTD_SHARED)", folder.display());
        return None;
    };
    people.iter().map(|person| list(person)).collect()
}

/// Mean, standard deviation, least and most of sorted scores.
fn summary(sorted: &[f32]) -> [f64; 4] {
    let count = sorted.len() as f64;
    let mean = sorted.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = sorted.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    [mean, variance.sqrt(), f64::from(sorted[0]), f64::from(sorted[sorted.len() - 1])]
}

/// The threshold that at most `far` of the impostors reach.
fn threshold_at(impostor: &[f32], far: f64) -> f32 {
    let allowed = (impostor.len() as f64 * far) as usize;
    impostor[impostor.len() - 1 - allowed].next_up()
}

/// The part of sorted scores at or above a threshold.
fn above(sorted: &[f32], threshold: f32) -> f64 {
    let below = sorted.partition_point(|score| *score < threshold);
    (sorted.len() - below) as f64 / sorted.len() as f64
}
