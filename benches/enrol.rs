//! Bulk enrolment against its own models: pictures a second of `bulk::enrol`, and of decode + detect + embed alone, in turns in the
//! same run, on one core and on all.
//!
//! `cargo bench --bench enrol`. The pictures are copies of those that set-up fetched, each encoded anew. The gallery is a real
//! one in the folder for temporary files (`TMPDIR` names another disk), with 5,000 templates in it: the middle of a folder of
//! 10,000. Skipped, with a line that says so, until `make setup` has run.

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

mod galleries;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use galleries::{EACH, desk, enrol};
use watchlistd::align::Aligner;
use watchlistd::base::error::Result;
use watchlistd::base::shutdown;
use watchlistd::config::{self, Device, Inference, QualityLimits};
use watchlistd::gallery::command::{MOST_OFFERS, Review};
use watchlistd::gallery::enrol::{Choice, Details, FaceFinder, Job, Models as Finder, Options, bulk, plan};
use watchlistd::gallery::keeper::Own;
use watchlistd::image::codec;
use watchlistd::index::synthetic::Population;
use watchlistd::infer::models::Models;
use watchlistd::types::geometry::Size;

/// One face each.
const PICTURES: [&str; 5] = ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"];
/// Turns of each; the middle one counts.
const TURNS: usize = 5;

/// Templates in the gallery before a turn: the middle of a folder of 10,000.
const THERE: usize = 5_000;

/// A gallery on the disk as a tool opens it: encrypted, with its audit log, `synchronous=FULL`.
struct Gallery {
    desk: Own,
    folder: tempfile::TempDir,
}

impl Gallery {
    /// With `there` templates of people who are in no picture.
    fn new(models: &Models, there: usize) -> Result<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut gallery = Self { desk: open(folder.path(), models, false)?, folder };
        let mut people = Population::new(models.model_id(), models.dimension(), 3);
        for first in (0..there).step_by(MOST_OFFERS) {
            let numbers = first..(first + MOST_OFFERS).min(there);
            enrol(&mut gallery.desk, numbers.map(|number| (number, people.template(number / EACH))))?;
        }
        Ok(gallery)
    }

    /// The same in another folder.
    fn copy_of(folder: &Path, models: &Models, keeps_crops: bool) -> Result<Self> {
        let copy = tempfile::tempdir().expect("a folder");
        for file in std::fs::read_dir(folder).expect("a folder").flatten() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
        }
        Ok(Self { desk: open(copy.path(), models, keeps_crops)?, folder: copy })
    }

    fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder").flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

fn open(folder: &Path, models: &Models, keeps_crops: bool) -> Result<Own> {
    Ok(desk(galleries::open(folder, (models.model_id(), models.dimension()), keeps_crops)?))
}

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

fn finder(models: &Models) -> Result<Finder> {
    Ok(Finder {
        detector: models.detector()?,
        input: Size::new(960, 960),
        aligner: Aligner::new(models.alignment().clone(), QualityLimits::none())?,
        embedder: models.embedder()?,
    })
}

/// A folder of `each` copies of each picture.
fn folder(each: usize) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    for name in PICTURES {
        let picture = codec::read_image(&var().join("images").join(name))?;
        let person = folder.path().join(name.split('.').next().unwrap_or(name));
        std::fs::create_dir(&person).expect("made");
        let mut bytes = codec::encode_jpeg(&picture, 92)?;
        let end = bytes.len();
        for n in 0..each {
            // What follows the end of a JPEG does not count, but it is another file.
            bytes.truncate(end);
            bytes.extend_from_slice(&n.to_le_bytes());
            std::fs::write(person.join(format!("{n:04}.jpg")), &bytes).expect("written");
        }
    }
    Ok(folder)
}

/// Decode, detect, crop and embed, and nothing else: pictures a second.
fn alone(jobs: &[Job], finders: &mut [Finder]) -> f64 {
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for finder in finders {
            let next = &next;
            scope.spawn(move || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = std::fs::read(&job.path).expect("readable");
                    let picture = finder.decode(&bytes, "a copy").expect("decodes");
                    let faces = finder.detect(&picture).expect("runs");
                    let face = faces.iter().max_by(|a, b| a.score.total_cmp(&b.score)).expect("a face");
                    let crop = finder.crop(&picture, face).expect("a crop");
                    finder.embed(&crop).expect("runs").expect("a vector");
                }
            });
        }
    });
    jobs.len() as f64 / start.elapsed().as_secs_f64()
}

/// The whole of enrolment into a gallery that has `there` templates: pictures a second.
fn enrolled(jobs: &[Job], finders: &mut [Finder], gallery: &mut Gallery, chips: bool) -> f64 {
    let options = Options { min_score: 0.7, choice: Choice::Largest, chips, review: Review::Off };
    let ((_stopper, stop), start) = (shutdown::channel(), Instant::now());
    let tally = bulk::enrol(jobs, finders, &mut gallery.desk, &options, &stop, &mut |_, _| Ok(()));
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(tally.expect("works").enrolled, jobs.len());
    jobs.len() as f64 / seconds
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn compare(jobs: &[Job], models: &Models, workers: usize, filled: &Path, turns: usize) -> Result<()> {
    let mut finders = (0..workers).map(|_| finder(models)).collect::<Result<Vec<_>>>()?;
    alone(jobs.get(..workers.min(jobs.len())).unwrap_or(jobs), &mut finders);
    let mut turn = || -> Result<[f64; 4]> {
        let mut without = Gallery::copy_of(filled, models, false)?;
        let mut with = Gallery::copy_of(filled, models, true)?;
        let before = with.bytes();
        let alone = alone(jobs, &mut finders);
        let without = enrolled(jobs, &mut finders, &mut without, false) / alone;
        let rate = enrolled(jobs, &mut finders, &mut with, true) / alone;
        Ok([alone, without, rate, (with.bytes() - before) as f64 / jobs.len() as f64])
    };
    let turns: Vec<[f64; 4]> = (0..turns).map(|_| turn()).collect::<Result<_>>()?;
    // Of each turn's own ratios: what else the machine does changes from turn to turn.
    let [rate, without, with, bytes] =
        [0, 1, 2, 3].map(|n| middle(turns.iter().map(|turn| turn[n]).collect()));
    println!(
        "enrol/{workers} worker(s), {} pictures, middle of {} turns: decode + detect + embed alone {rate:.2} pictures/s; \
         enrolled {without:.3} of that; with crops kept {with:.3}, and {:.0} KiB a picture",
        jobs.len(),
        turns.len(),
        bytes / 1024.0
    );
    Ok(())
}

fn bench(each: usize, there: usize, turns: usize) -> Result<()> {
    let models = models()?;
    let folder = folder(each)?;
    let jobs = plan(folder.path(), &Details::default(), None)?;
    let filled = Gallery::new(&models, there)?.folder;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    compare(&jobs, &models, 1, filled.path(), turns)?;
    compare(&jobs, &models, cores, filled.path(), turns)
}

fn main() {
    // `cargo bench` says so; anything else only wants to see it run.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (each, there, turns) = if whole { (40, THERE, TURNS) } else { (2, 20, 1) };
    if let Err(e) = bench(each, there, turns) {
        println!("skipped: {}", e.chain());
    }
}
