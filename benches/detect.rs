//! Detection and embedding: decoding and suppression of a crowd, and the real models on one thread.
//!
//! The models are skipped, with a line that says so, until `make setup` has fetched and prepared them.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use watchlistd::base::error::Result;
use watchlistd::config::{Device, Inference};
use watchlistd::detect::nms::suppress;
use watchlistd::detect::retinaface::{Anchors, Answer, decode};
use watchlistd::detect::{DetectOptions, make_detector};
use watchlistd::infer::embedder::OnnxEmbedder;
use watchlistd::infer::manifest::Manifest;
use watchlistd::infer::ort::{Runtime, Session, SessionOptions};
use watchlistd::infer::plan::PoolPlan;
use watchlistd::models::shelf::Shelf;
use watchlistd::types::frame::RgbImage;
use watchlistd::types::geometry::Size;

/// Every 40th anchor and its neighbours see a face: 100 groups of 6 in 640x360.
fn crowd(criterion: &mut Criterion) {
    let anchors = Anchors::new(Size::new(640, 360));
    let rows = anchors.len();
    let mut random = fastrand::Rng::with_seed(1);
    let boxes: Vec<f32> = (0..rows * 4).map(|_| random.f32() - 0.5).collect();
    let landmarks: Vec<f32> = (0..rows * 10).map(|_| random.f32() - 0.5).collect();
    let face = |row: usize| row < 6000 && row % 60 < 6;
    let score = |row: usize| if face(row) { 0.6 + 0.4 * (row % 60) as f32 / 6.0 } else { 0.01 };
    let scores: Vec<f32> = (0..rows).flat_map(|row| [1.0 - score(row), score(row)]).collect();
    let answer = Answer { boxes: &boxes, scores: &scores, landmarks: &landmarks };

    criterion.bench_function("retinaface/decode 600 of 9660 anchors", |b| {
        b.iter(|| decode(black_box(&anchors), black_box(&answer), 0.5));
    });
    let candidates = decode(&anchors, &answer, 0.5);
    criterion.bench_function("nms/600 candidates", |b| {
        b.iter_batched_ref(
            || candidates.clone(),
            |list| suppress(list, 0.4),
            criterion::BatchSize::SmallInput,
        );
    });
}

fn var() -> PathBuf {
    std::env::var_os("WATCHLISTD_VAR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("var"), PathBuf::from)
}

/// A session of a manifest's model, as published or as prepared.
fn open(manifest: &str, original: bool, varying_shapes: bool) -> Result<(Manifest, Session)> {
    let library = var().join("lib/libonnxruntime.so");
    let runtime = Runtime::get(library.is_file().then_some(&*library))?;
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    let manifest = Manifest::read(&manifests.join(manifest))?;
    let folder = var().join("models");
    let bytes =
        if original { manifest.load_original(&folder)? } else { manifest.load(&folder, &Device::Cpu)? };
    let options = SessionOptions { varying_shapes, ..SessionOptions::new(Device::Cpu) };
    let session = Session::open(runtime, &manifest.name, &bytes, &options)?;
    Ok((manifest, session))
}

fn noise(size: Size) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(2);
    let data = (0..size.area() * 3).map(|_| random.u8(..)).collect();
    RgbImage::new(size, data).expect("a size within the limits")
}

fn detector(criterion: &mut Criterion) -> Result<()> {
    let (manifest, session) = open("retinaface-mobilenet025.toml", false, true)?;
    let mut detector = make_detector(&manifest, session)?;
    for (frame, input) in [((1280, 768), (640, 384)), ((1280, 768), (320, 192))] {
        let picture = noise(Size::new(frame.0, frame.1));
        let options = DetectOptions { input: Size::new(input.0, input.1), min_score: 0.5, roi: None };
        let name = format!("retinaface/{} to {}", Size::new(frame.0, frame.1), options.input);
        criterion.bench_function(&name, |b| {
            b.iter(|| detector.detect(black_box(&picture), &options).expect("runs").len());
        });
    }
    Ok(())
}

/// Every detector at hand, those that were added with `watchlistd models add` too: one 1280x768 picture, fitted into 640x384, on one thread.
fn every_detector(criterion: &mut Criterion) -> Result<()> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    let shelf = Shelf::of(&watchlistd::config::Models {
        detector: manifests.join("retinaface-mobilenet025.toml"),
        embedder: manifests.join("mobilefacenet-512.toml"),
        folder: var().join("models"),
        runtime: None,
    });
    let library = var().join("lib/libonnxruntime.so");
    let runtime = Runtime::get(library.is_file().then_some(&*library))?;
    let picture = noise(Size::new(1280, 768));
    let options = DetectOptions { input: Size::new(640, 384), min_score: 0.5, roi: None };
    let manifests = shelf.all()?.into_iter().filter_map(|standing| standing.manifest.ok());
    for manifest in manifests.filter(|manifest| manifest.role.is_detector()) {
        let bytes = manifest.load(shelf.home(), &Device::Cpu)?;
        let how = SessionOptions {
            varying_shapes: manifest.input.size.is_none(),
            ..SessionOptions::new(Device::Cpu)
        };
        let mut detector = make_detector(&manifest, Session::open(runtime, &manifest.name, &bytes, &how)?)?;
        criterion.bench_function(&format!("detector/{}", manifest.name), |b| {
            b.iter(|| detector.detect(black_box(&picture), &options).expect("runs").len());
        });
    }
    Ok(())
}

fn embedder(criterion: &mut Criterion, name: &str, original: bool, batch: usize) -> Result<()> {
    let (manifest, session) = open("mobilefacenet-512.toml", original, false)?;
    let inference = Inference {
        device: Device::Cpu,
        workers: None,
        max_batch: None,
        max_wait: None,
        max_crop_age: Duration::from_secs(1),
    };
    let mut plan = PoolPlan::for_device(&Device::Cpu, 1, &inference);
    plan.ladder = vec![batch];
    let mut embedder = OnnxEmbedder::new(&manifest, session, plan)?;
    let crop = noise(Size::new(112, 112));
    let crops = vec![&crop; batch];
    criterion.bench_function(&format!("mobilefacenet/{name}, batch of {batch}"), |b| {
        b.iter(|| embedder.embed_images(black_box(&crops)).expect("runs").len());
    });
    Ok(())
}

fn models(criterion: &mut Criterion) {
    let all = detector(criterion)
        .and_then(|()| every_detector(criterion))
        .and_then(|()| embedder(criterion, "published", true, 1))
        .and_then(|()| embedder(criterion, "prepared", false, 1))
        .and_then(|()| embedder(criterion, "prepared", false, 8));
    if let Err(e) = all {
        eprintln!("skipped: {}", e.chain());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = crowd, models
}
criterion_main!(benches);
