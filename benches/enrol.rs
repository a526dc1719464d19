//! Bulk enrolment against its own models: pictures a second of `bulk::enrol`, and of decode + detect + embed alone, in turns in the
//! same run, on one core and on all.
//!
//! `cargo bench --bench enrol`. The pictures are copies of those that set-up fetched, each encoded anew. The gallery is in
//! memory and keeps what it gets: what a store on a disk adds is the disk's. Skipped, with a line that says so, until `make setup`
//! has run.

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use watchlistd::align::Aligner;
use watchlistd::base::error::Result;
use watchlistd::base::shutdown;
use watchlistd::config::{self, Device, Inference, QualityLimits};
use watchlistd::err;
use watchlistd::gallery::command::{Command, Desk, Progress, Reply, Review};
use watchlistd::gallery::enrol::gate::{Limits, Neighbours, judge};
use watchlistd::gallery::enrol::{
    Chip, Choice, Details, FaceFinder, Job, Models as Finder, Options, bulk, plan, unpack,
};
use watchlistd::gallery::report::Enrolment;
use watchlistd::image::codec;
use watchlistd::infer::models::Models;
use watchlistd::types::embedding::Embedding;
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::{IdentityId, TemplateId};

/// One face each.
const PICTURES: [&str; 5] = ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"];
/// Turns of each; the middle one counts.
const TURNS: usize = 5;

/// A gallery in memory that checks and compares what it gets, and keeps it.
#[derive(Default)]
struct Memory {
    people: HashMap<String, Vec<(TemplateId, Embedding, Option<Chip>)>>,
}

impl Desk for Memory {
    fn ask(&mut self, command: Command, body: Vec<u8>, _: &mut dyn FnMut(Progress)) -> Result<Reply> {
        let value = match command {
            Command::Known { sources, .. } => serde_json::to_value(vec![false; sources.len()]),
            Command::Enrol { subject, template, review } => {
                let (embedding, chip) = unpack(&template, &body)?;
                let own = self.people.entry(subject.record.name.to_string()).or_default();
                let own = own.iter().filter_map(|(id, known, _)| Some((*id, known.similarity(&embedding)?)));
                let neighbours = Neighbours { own: own.collect(), others: Vec::new() };
                let verdict = judge(&neighbours, &Limits::of(0.45), review);
                let id = TemplateId::generate();
                self.people.entry(subject.record.name.to_string()).or_default().push((id, embedding, chip));
                serde_json::to_value(Enrolment::Stored {
                    identity: IdentityId::generate(),
                    new_identity: false,
                    template: id,
                    doubts: verdict.doubts,
                    generation: 0,
                })
            }
            other => return Err(err!(Software, "{other:?}")),
        };
        Ok(Reply { value: value.expect("JSON"), body: Vec::new() })
    }
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
        let mut picture = codec::read_image(&var().join("images").join(name))?;
        let person = folder.path().join(name.split('.').next().unwrap_or(name));
        std::fs::create_dir(&person).expect("made");
        for n in 0..each {
            // Another first pixel: another file.
            picture.data_mut()[..2].copy_from_slice(&[n as u8, (n >> 8) as u8]);
            std::fs::write(person.join(format!("{n:04}.jpg")), codec::encode_jpeg(&picture, 92)?)
                .expect("written");
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

/// The whole of enrolment: pictures a second.
fn enrolled(jobs: &[Job], finders: &mut [Finder], chips: bool) -> f64 {
    let options = Options { min_score: 0.7, choice: Choice::Largest, chips, review: Review::Off };
    let ((_stopper, stop), mut memory, start) = (shutdown::channel(), Memory::default(), Instant::now());
    let tally = bulk::enrol(jobs, finders, &mut memory, &options, &stop, &mut |_, _| Ok(())).expect("works");
    assert_eq!(tally.enrolled, jobs.len(), "{tally}");
    jobs.len() as f64 / start.elapsed().as_secs_f64()
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn compare(jobs: &[Job], models: &Models, workers: usize, turns: usize) -> Result<()> {
    let mut finders = (0..workers).map(|_| finder(models)).collect::<Result<Vec<_>>>()?;
    alone(jobs.get(..workers.min(jobs.len())).unwrap_or(jobs), &mut finders);
    let mut turn = || {
        let alone = alone(jobs, &mut finders);
        [alone, enrolled(jobs, &mut finders, false) / alone, enrolled(jobs, &mut finders, true) / alone]
    };
    let turns: Vec<[f64; 3]> = (0..turns).map(|_| turn()).collect();
    // Of each turn's own ratios: what else the machine does changes from turn to turn.
    let [rate, without, with] = [0, 1, 2].map(|n| middle(turns.iter().map(|turn| turn[n]).collect()));
    println!(
        "enrol/{workers} worker(s), {} pictures, middle of {} turns: decode + detect + embed alone {rate:.2} pictures/s; \
         enrolled {without:.3} of that; with crops kept {with:.3}",
        jobs.len(),
        turns.len()
    );
    Ok(())
}

fn bench(each: usize, turns: usize) -> Result<()> {
    let models = models()?;
    let folder = folder(each)?;
    let jobs = plan(folder.path(), &Details::default(), None)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    compare(&jobs, &models, 1, turns)?;
    compare(&jobs, &models, cores, turns)
}

fn main() {
    // `cargo bench` says so; anything else only wants to see it run.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (each, turns) = if whole { (20, TURNS) } else { (2, 1) };
    if let Err(e) = bench(each, turns) {
        println!("skipped: {}", e.chain());
    }
}
