//! `make bench-index`: our indexes beside faiss, hnswlib and usearch, on the same vectors in the same run, one thread each.
//!
//! ```text
//!  Population ─▶ rows, probes ─▶ each contender builds ─▶ rounds in turns: every contender answers for every probe ─▶ a table, JSON
//! ```
//!
//! The vectors are those of `watchlistd::index::synthetic`: clustered by identity, with a face model's scores within and between them. Half
//! of the probes are new pictures of the enrolled, half are strangers. The truth is our search in f32 without a first pass.
//!
//! `SIZES` (default 1000 10000 100000), `ONLY` (names of contenders), `K` (default 1), `ROUNDS` (default 3), `PROBES` (default 500).
//! `RESUME=FOLDER`: one contender after the other, each result kept in the folder; what is there already is not run again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench stops where it fails"
)]

#[path = "index_peers/contender.rs"]
mod contender;
#[path = "index_peers/deleting.rs"]
mod deleting;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use watchlistd::index::exact::Exact;
use watchlistd::index::synthetic::Population;
use watchlistd::index::{Index, Rows};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::ModelId;
use watchlistd::types::matching::IndexKind;

use contender::{Built, Contender, Round, Task, contender};

const DIMENSION: usize = 512;
/// Templates of one person.
const EACH: usize = 5;
/// A score from here on is a recognition.
const THRESHOLD: f32 = 0.4;
/// With more templates the graph that is deleted from would be built once more.
const MOST_DELETED_FROM: usize = 10_000;
const NAMES: &str = "sum sum-half exact hnsw faiss-flat hnswlib-64 hnswlib-256 usearch-64";

/// What was measured of one contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figures {
    name: String,
    templates: usize,
    k: usize,
    built: Built,
    p50_us: f64,
    p99_us: f64,
    /// Of probes, those whose nearest template was found. None for a sum.
    recall: Option<f64>,
    /// Of probes, those for which the same person, or nobody, is recognised.
    agreement: Option<f64>,
}

/// A contender that has its turns.
struct Running<'a> {
    name: &'a str,
    contender: Box<dyn Contender>,
    built: Built,
    rounds: Vec<Round>,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("var/index-peers/bin/python");
    if !python.is_file() {
        println!("skipped: needs {} (make bench-index makes it)", python.display());
        return;
    }
    let names = setting("ONLY", NAMES);
    let names: Vec<&str> = names.split_whitespace().collect();
    let resume = std::env::var_os("RESUME").map(PathBuf::from);
    let mut all = Vec::new();
    for size in setting("SIZES", "1000 10000 100000").split_whitespace() {
        let bench = Bench::of(size.parse().expect("SIZES: whole numbers"), &python);
        let figures = match &resume {
            Some(folder) => bench.one_by_one(&names, folder),
            None => bench.in_turns(&names),
        };
        table(&figures);
        for (name, kind) in [("exact", IndexKind::Exact), ("hnsw", IndexKind::Hnsw)] {
            if resume.is_none() && bench.rows.len() <= MOST_DELETED_FROM && names.contains(&name) {
                let ratio = deleting::ratio(kind, &bench.rows, EACH, &bench.probes);
                println!(
                    "{name}: a search after an identity was deleted takes {ratio:.3} times as long as before"
                );
            }
        }
        all.extend(figures);
    }
    let json = serde_json::to_string_pretty(&all).expect("figures");
    let file = root.join("target/bench-index.json");
    std::fs::write(&file, json).expect("target is there");
    println!("{}", file.display());
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn number(name: &str, default: usize) -> usize {
    setting(name, &default.to_string()).parse().unwrap_or_else(|_| panic!("{name}: a whole number"))
}

struct Bench {
    rows: Arc<Rows>,
    probes: Vec<Embedding>,
    truth: Vec<(i64, f32)>,
    folder: tempfile::TempDir,
    python: PathBuf,
    k: usize,
    rounds: usize,
}

impl Bench {
    fn of(size: usize, python: &Path) -> Self {
        let people = size / EACH;
        let mut population = Population::new(ModelId([1; 32]), DIMENSION, 1);
        let rows = Arc::new(population.rows(people, EACH).expect("rows of one model"));
        let person = |n: usize| if n.is_multiple_of(2) { n * 7 % people } else { people + n };
        let probes: Vec<Embedding> =
            (0..number("PROBES", 500)).map(|n| population.template(person(n))).collect();
        let plain = Exact::plain(rows.clone());
        let truth = plain.search_many(&probes, 1);
        let truth = truth.iter().map(|hits| (i64::from(hits[0].row), hits[0].score)).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let rows_of = (0..rows.len() as u32).map(|row| rows.embedding(row).expect("a row"));
        write(&folder.path().join("rows.f32"), rows_of);
        write(&folder.path().join("probes.f32"), probes.iter().cloned());
        Self {
            rows,
            probes,
            truth,
            folder,
            python: python.to_owned(),
            k: number("K", 1),
            rounds: number("ROUNDS", 3),
        }
    }

    fn task(&self) -> Task<'_> {
        Task { rows: &self.rows, probes: &self.probes, k: self.k, folder: self.folder.path() }
    }

    /// All are built, then each has its turn in every round: what else the machine does meets all of them.
    fn in_turns<'a>(&self, names: &[&'a str]) -> Vec<Figures> {
        let task = self.task();
        let begin = |name: &&'a str| {
            let (contender, built) = contender(name, &task, &self.python);
            println!("{name}: built in {:.2} s", built.build_s);
            Running { name, contender, built, rounds: Vec::new() }
        };
        let mut all: Vec<Running<'a>> = names.iter().map(begin).collect();
        for _ in 0..self.rounds {
            all.iter_mut().for_each(|one| one.rounds.push(one.contender.round(&task)));
        }
        all.into_iter().map(|one| self.figures(one.name, one.built, &one.rounds)).collect()
    }

    fn one_by_one(&self, names: &[&str], folder: &Path) -> Vec<Figures> {
        std::fs::create_dir_all(folder).expect("RESUME: a folder");
        let one = |name: &&str| {
            let file = folder.join(format!("{}-{name}-{}.json", self.rows.len(), self.k));
            if let Ok(kept) = std::fs::read(&file) {
                return serde_json::from_slice(&kept).expect("a result of an earlier run");
            }
            let task = self.task();
            let (mut contender, built) = contender(name, &task, &self.python);
            let rounds: Vec<Round> = (0..self.rounds).map(|_| contender.round(&task)).collect();
            let figures = self.figures(name, built, &rounds);
            std::fs::write(&file, serde_json::to_vec_pretty(&figures).expect("figures"))
                .expect("RESUME: a folder");
            figures
        };
        names.iter().map(one).collect()
    }

    fn figures(&self, name: &str, built: Built, rounds: &[Round]) -> Figures {
        let mut micros: Vec<f64> = rounds.iter().flat_map(|round| round.micros.iter().copied()).collect();
        micros.sort_by(f64::total_cmp);
        let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
        let nearest = rounds.first().map_or(&[][..], |round| &round.nearest);
        let share = |same: &dyn Fn((i64, f32), (i64, f32)) -> bool| {
            let same =
                nearest.iter().zip(&self.truth).filter(|(answer, truth)| same(**answer, **truth)).count();
            (!nearest.is_empty()).then(|| same as f64 / nearest.len() as f64)
        };
        let decided = |(row, score): (i64, f32)| (score >= THRESHOLD).then_some(row / EACH as i64);
        Figures {
            name: name.to_owned(),
            templates: self.rows.len(),
            k: self.k,
            built,
            p50_us: at(0.5),
            p99_us: at(0.99),
            recall: share(&|answer, truth| answer.0 == truth.0),
            agreement: share(&|answer, truth| decided(answer) == decided(truth)),
        }
    }
}

fn write(file: &Path, vectors: impl Iterator<Item = Embedding>) {
    use std::io::Write;
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).expect("a file"));
    for vector in vectors {
        for number in vector.as_slice() {
            out.write_all(&number.to_le_bytes()).expect("room on the disk");
        }
    }
    out.flush().expect("room on the disk");
}

fn table(figures: &[Figures]) {
    let Some(first) = figures.first() else { return };
    println!("\n{} templates of {DIMENSION}, k = {}\n", first.templates, first.k);
    println!("| | build, s | memory, MB | p50, us | p99, us | recall@1 | decision agreement |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for f in figures {
        let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{share:.4}"));
        println!(
            "| {} ({}) | {:.2} | {:.0} | {:.1} | {:.1} | {} | {} |",
            f.name,
            f.built.version,
            f.built.build_s,
            f.built.memory as f64 / 1e6,
            f.p50_us,
            f.p99_us,
            share(f.recall),
            share(f.agreement)
        );
    }
    let p50 = |name: &str| figures.iter().find(|f| f.name == name).map(|f| f.p50_us);
    for peer in ["faiss-flat", "hnswlib-64"] {
        if let (Some(exact), Some(other)) = (p50("exact"), p50(peer)) {
            println!("exact is {:.2} times as fast as {peer}", other / exact);
        }
    }
    for (name, what) in [("sum", "its 8-bit rows"), ("sum-half", "their upper halves")] {
        if let (Some(exact), Some(sum)) = (p50("exact"), p50(name)) {
            println!("exact takes {:.2} times as long as summing {what}", exact / sum);
        }
    }
    if let (Some(exact), Some(hnsw)) = (p50("exact"), p50("hnsw")) {
        println!("hnsw takes {:.2} times as long as exact", hnsw / exact);
    }
    println!();
}
