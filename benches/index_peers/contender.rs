//! Who takes part: our two indexes, and the peers, each in a Python process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use watchlistd::index::{Index, Rows, build};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::matching::IndexKind;

/// What building took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Built {
    /// What it is.
    pub version: String,
    /// Seconds.
    pub build_s: f64,
    /// Bytes that came to the process's resident memory; ours: with the rows themselves.
    pub memory: i64,
}

/// One pass over all probes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Round {
    /// Microseconds of each search.
    pub micros: Vec<f64>,
    /// The nearest row of each, and its score.
    pub nearest: Vec<(i64, f32)>,
}

/// The task.
pub struct Task<'a> {
    /// The templates.
    pub rows: &'a Arc<Rows>,
    /// What is searched for.
    pub probes: &'a [Embedding],
    /// Answers asked for.
    pub k: usize,
    /// Where both lie as raw f32.
    pub folder: &'a Path,
}

/// Somebody who searches.
pub trait Contender {
    /// Searches for every probe once.
    fn round(&mut self, task: &Task<'_>) -> Round;
}

/// Builds the contender of that name.
pub fn contender(name: &str, task: &Task<'_>, python: &Path) -> (Box<dyn Contender>, Built) {
    match name {
        "exact" => ours(IndexKind::Exact, task),
        "hnsw" => ours(IndexKind::Hnsw, task),
        "sum" => reading(task, 1),
        "sum-half" => reading(task, 2),
        peer => Peer::start(peer, task, python),
    }
}

fn ours(kind: IndexKind, task: &Task<'_>) -> (Box<dyn Contender>, Built) {
    let (before, started) = (resident(), Instant::now());
    let index = build(kind, task.rows.clone()).expect("an index that finds its templates");
    let rows = task.rows.len() * task.rows.dimension() * size_of::<f32>();
    let built = Built {
        version: format!("watchlistd {}", env!("CARGO_PKG_VERSION")),
        build_s: started.elapsed().as_secs_f64(),
        memory: resident() - before + rows as i64,
    };
    (Box::new(Ours(index)), built)
}

struct Ours(Box<dyn Index>);

impl Contender for Ours {
    fn round(&mut self, task: &Task<'_>) -> Round {
        let mut round = Round::default();
        for probe in task.probes {
            let started = Instant::now();
            let hits = self.0.search(probe, task.k);
            round.micros.push(started.elapsed().as_secs_f64() * 1e6);
            round.nearest.push(hits.first().map_or((-1, -1.0), |hit| (i64::from(hit.row), hit.score)));
        }
        round
    }
}

/// As many bytes as the 8-bit rows have, or as their upper halves have, summed: a search that reads them all cannot be faster.
struct Reading(Vec<u64>);

fn reading(task: &Task<'_>, part: usize) -> (Box<dyn Contender>, Built) {
    let bytes = task.rows.len() * task.rows.dimension() / part;
    let words = (0..bytes as u64 / 8).collect();
    let built = Built { version: "a sum".to_owned(), build_s: 0.0, memory: bytes as i64 };
    (Box::new(Reading(words)), built)
}

impl Contender for Reading {
    fn round(&mut self, task: &Task<'_>) -> Round {
        let micros = task.probes.iter().map(|_| {
            let started = Instant::now();
            std::hint::black_box(sum(&self.0));
            started.elapsed().as_secs_f64() * 1e6
        });
        Round { micros: micros.collect(), nearest: Vec::new() }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    for part in words.as_chunks::<32>().0 {
        for (sum, word) in sums.iter_mut().zip(part) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// A peer's process.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(name: &str, task: &Task<'_>, python: &Path) -> (Box<dyn Contender>, Built) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/index_peers/peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(name)
            .args([task.folder.join("rows.f32"), task.folder.join("probes.f32")])
            .args([task.rows.dimension().to_string(), task.k.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peers' Python starts");
        let ask = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut peer = Self { child, ask, answers };
        let built = peer.answer();
        (Box::new(peer), built)
    }

    fn answer<T: for<'de> Deserialize<'de>>(&mut self) -> T {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        serde_json::from_str(&line).expect("the peer's answer is JSON: its error stands above")
    }
}

impl Contender for Peer {
    fn round(&mut self, _: &Task<'_>) -> Round {
        writeln!(self.ask, "go").and_then(|()| self.ask.flush()).expect("the peer listens");
        self.answer()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of this process in memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<i64>().ok()).expect("a number") * 1024
}
