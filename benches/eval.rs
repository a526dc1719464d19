//! Evaluation against its own models: pictures a second of `acquire`, without a cache, with an empty one and with a full one, and of
//! decode + detect + embed alone, in turns in the same run, on one core and on all.
//!
//! `cargo bench --bench eval`. The pictures are copies of those that set-up fetched, each encoded anew. Skipped, with a line that says
//! so, until `make setup` has run.

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use watchlistd::align::Aligner;
use watchlistd::base::error::Result;
use watchlistd::base::shutdown;
use watchlistd::config::{self, Device, Inference, QualityLimits};
use watchlistd::detect::{DetectOptions, Detector};
use watchlistd::eval::acquire::{Acquisition, ModelExaminer, Which, acquire};
use watchlistd::eval::cache::{Cache, Space};
use watchlistd::gallery::crypt::Key;
use watchlistd::image::codec;
use watchlistd::infer::Embedder;
use watchlistd::infer::models::Models;
use watchlistd::types::geometry::Size;

/// One face each.
const PICTURES: [&str; 5] = ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"];
/// Turns of each; the middle one counts.
const TURNS: usize = 5;

fn var() -> PathBuf {
    std::env::var_os("WATCHLISTD_VAR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("var"), PathBuf::from)
}

fn models() -> Result<Models> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    let library = var().join("lib/libonnxruntime.so");
    let models = config::Models {
        detector: manifests.join("retinaface-mobilenet025.toml"),
        embedder: manifests.join("mobilefacenet-512.toml"),
        folder: var().join("models"),
        runtime: library.is_file().then_some(library),
    };
    let inference = Inference {
        device: Device::Cpu,
        workers: None,
        max_batch: None,
        max_wait: None,
        max_crop_age: std::time::Duration::from_secs(1),
    };
    Models::load(&models, &inference)
}

fn look() -> DetectOptions {
    DetectOptions { input: Size::new(960, 960), min_score: 0.7, roi: None }
}

/// `each` copies of each picture.
fn pictures(folder: &Path, each: usize) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for name in PICTURES {
        let picture = codec::read_image(&var().join("images").join(name))?;
        let bytes = codec::encode_jpeg(&picture, 92)?;
        for n in 0..each {
            let path = folder.join(format!("{name}-{n:04}.jpg"));
            // What follows the end of a JPEG does not count, but it is another file.
            std::fs::write(&path, [&bytes[..], &n.to_le_bytes()].concat()).expect("written");
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The models of a worker, bare.
struct Bare {
    detector: Box<dyn Detector>,
    aligner: Aligner,
    embedder: Box<dyn Embedder>,
}

/// Decode, detect, crop and embed, and nothing else: pictures a second.
fn alone(paths: &[PathBuf], bare: &mut [Bare]) -> f64 {
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for Bare { detector, aligner, embedder } in bare {
            let next = &next;
            scope.spawn(move || {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = std::fs::read(path).expect("readable");
                    let picture = codec::decode_image(&bytes, "a copy").expect("decodes");
                    let faces = detector.detect(&picture, &look()).expect("runs");
                    let crop = aligner.align(&picture, faces.first().expect("a face")).expect("a crop");
                    embedder.embed(&[crop]).expect("runs").remove(0).expect("a vector");
                }
            });
        }
    });
    paths.len() as f64 / start.elapsed().as_secs_f64()
}

/// The whole of it: pictures a second.
fn acquired(paths: &[PathBuf], examiners: &mut [ModelExaminer], cache: Option<&Cache>) -> f64 {
    let ((_stopper, stop), refs) =
        (shutdown::channel(), paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let start = Instant::now();
    let acquired = acquire(&refs, examiners, cache, &stop, &mut |_| {}).expect("works");
    let seconds = start.elapsed().as_secs_f64();
    assert!(acquired.of.iter().all(|one| matches!(one, Acquisition::Template(_))), "a face each");
    paths.len() as f64 / seconds
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn compare(paths: &[PathBuf], models: &Models, workers: usize, turns: usize) -> Result<()> {
    let bare = |_| -> Result<Bare> {
        let aligner = Aligner::new(models.alignment().clone(), QualityLimits::none())?;
        Ok(Bare { detector: models.detector()?, aligner, embedder: models.embedder()? })
    };
    let mut bare = (0..workers).map(bare).collect::<Result<Vec<_>>>()?;
    let examiner = |_| ModelExaminer::of_photographs(models, look(), Which::Centre);
    let mut examiners = (0..workers).map(examiner).collect::<Result<Vec<_>>>()?;
    let space = Space::of_crops(models.model_id(), models.dimension());
    alone(paths.get(..workers).unwrap_or(paths), &mut bare);
    let mut turn = || -> Result<[f64; 4]> {
        let (folder, key) = (tempfile::tempdir().expect("a folder"), Key::generate()?);
        let open = || Cache::open(folder.path(), &key, &space);
        let alone = alone(paths, &mut bare);
        let without = acquired(paths, &mut examiners, None) / alone;
        let empty = acquired(paths, &mut examiners, Some(&open()?)) / alone;
        Ok([alone, without, empty, acquired(paths, &mut examiners, Some(&open()?)) / alone])
    };
    let turns: Vec<[f64; 4]> = (0..turns).map(|_| turn()).collect::<Result<_>>()?;
    // Of each turn's own ratios: what else the machine does changes from turn to turn.
    let [rate, without, empty, full] =
        [0, 1, 2, 3].map(|n| middle(turns.iter().map(|turn| turn[n]).collect()));
    println!(
        "eval/{workers} worker(s), {} pictures, middle of {} turns: decode + detect + embed alone {rate:.2} pictures/s, {:.2} a \
         worker; acquired {without:.3} of that; into an empty cache {empty:.3}; from a full cache {full:.1} times",
        paths.len(),
        turns.len(),
        rate / workers as f64
    );
    Ok(())
}

fn bench(each: usize, turns: usize) -> Result<()> {
    let models = models()?;
    let folder = tempfile::tempdir().expect("a folder");
    let paths = pictures(folder.path(), each)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    compare(&paths, &models, 1, turns)?;
    compare(&paths, &models, cores, turns)
}

fn main() {
    // `cargo bench` says so; anything else only wants to see it run.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (each, turns) = if whole { (40, TURNS) } else { (2, 1) };
    if let Err(e) = bench(each, turns) {
        println!("skipped: {}", e.chain());
    }
}
