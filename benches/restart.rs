//! `make bench-restart`: how soon a gallery answers after a restart, beside an index of `hnsw_rs` that reloads its own dump.
//!
//! ```text
//!  Population ─┬─▶ a gallery: every template encrypted under its identity's key ─▶ opened, one search ┐
//!              └─▶ hnsw_rs ─▶ its dump, vectors in the clear ─▶ reloaded, one search ──────────────────┴─▶ in turns: medians, ratio
//! ```
//!
//! `SIZE` (default 100000) templates of 512, five a person; `ROUNDS` (default 5). Both read from the page cache. The gallery is in the folder
//! for temporary files (`TMPDIR` names another disk).

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

mod galleries;

use std::path::Path;
use std::time::{Duration, Instant};

use galleries::{EACH, desk, enrol};
use hnsw_rs::prelude::{AnnT, DistDot, Hnsw, HnswIo};
use watchlistd::gallery::Keeper;
use watchlistd::gallery::command::MOST_OFFERS;
use watchlistd::index::synthetic::Population;
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::ModelId;

const MODEL: ModelId = ModelId([1; 32]);
const DIMENSION: usize = 512;
/// The graph's, as the daemon builds it.
const NEIGHBOURS: usize = 16;
const CANDIDATES: usize = 200;
const LAYERS: usize = 16;
const DUMP: &str = "dump";

fn main() {
    let number = |name: &str, usual: usize| {
        std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
    };
    let (size, rounds) = (number("SIZE", 100_000), number("ROUNDS", 5));
    let folder = tempfile::tempdir().expect("a folder");
    let mut people = Population::new(MODEL, DIMENSION, 3);
    let templates: Vec<Embedding> = (0..size).map(|number| people.template(number / EACH)).collect();
    let probe = people.template(size / EACH / 2);
    fill(folder.path(), &templates);
    dump(folder.path(), &templates);
    drop(templates);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(gallery(folder.path(), &probe, size));
        times[1].push(graph(folder.path(), &probe, size));
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!("{size} templates of {DIMENSION}, {rounds} turns, from nothing to the first answer, medians:");
    println!("gallery, encrypted    {:8.3} s", ours.as_secs_f64());
    println!("hnsw_rs, its dump     {:8.3} s", theirs.as_secs_f64());
    println!("times as soon         {:8.2}", theirs.as_secs_f64() / ours.as_secs_f64());
}

fn open(folder: &Path) -> Keeper {
    galleries::open(folder, (MODEL, DIMENSION), false).expect("a gallery")
}

fn fill(folder: &Path, templates: &[Embedding]) {
    let mut desk = desk(open(folder));
    let mut numbered = templates.iter().cloned().enumerate().peekable();
    while numbered.peek().is_some() {
        enrol(&mut desk, numbered.by_ref().take(MOST_OFFERS)).expect("enrolled");
    }
}

fn dump(folder: &Path, templates: &[Embedding]) {
    let graph = Hnsw::<f32, DistDot>::new(NEIGHBOURS, templates.len(), LAYERS, CANDIDATES, DistDot {});
    let vectors: Vec<Vec<f32>> = templates.iter().map(|template| template.as_slice().to_vec()).collect();
    let numbered: Vec<(&Vec<f32>, usize)> = vectors.iter().zip(0..).collect();
    graph.parallel_insert(&numbered);
    graph.file_dump(folder, DUMP).expect("dumped");
}

fn gallery(folder: &Path, probe: &Embedding, size: usize) -> Duration {
    let started = Instant::now();
    let snapshot = open(folder).shared().current();
    let found = snapshot.search(probe, 1);
    let took = started.elapsed();
    assert_eq!((snapshot.templates(), found.candidates.len()), (size, 1));
    took
}

fn graph(folder: &Path, probe: &Embedding, size: usize) -> Duration {
    let started = Instant::now();
    let mut reader = HnswIo::new(folder, DUMP);
    let graph: Hnsw<'_, f32, DistDot> = reader.load_hnsw().expect("its own dump");
    let found = graph.search(probe.as_slice(), 1, 64);
    let took = started.elapsed();
    assert_eq!((graph.get_nb_point(), found.len()), (size, 1));
    took
}
