//! Search of 1,000, 10,000 and 100,000 templates of 512 numbers, distributed as a face model's are.
//!
//! `cargo bench --bench index`. Building the graph over 100,000 templates takes minutes, so that one runs only
//! with `BENCH_FULL=1`. Builds are not part of the measurements; their times are printed.

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, reason = "a bench talks to a person")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use watchlistd::index::synthetic::Population;
use watchlistd::index::{Index, Rows, build};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::ModelId;
use watchlistd::types::matching::IndexKind;

const DIMENSION: usize = 512;
/// Templates of one person.
const EACH: usize = 5;
/// Answers asked for: what the gallery fetches for a handful of identities.
const K: usize = 64;
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const PROBES: usize = 256;

fn gallery(size: usize) -> (Arc<Rows>, Vec<Embedding>) {
    let mut people = Population::new(ModelId([1; 32]), DIMENSION, 1);
    let rows = people.rows(size / EACH, EACH).expect("rows of one model");
    // Half are new pictures of the enrolled, half are strangers.
    let person = |n: usize| if n.is_multiple_of(2) { n * 7 % (size / EACH) } else { size + n };
    let probes = (0..PROBES).map(|n| people.template(person(n))).collect();
    (Arc::new(rows), probes)
}

fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    for size in SIZES {
        let (rows, probes) = gallery(size);
        group.throughput(Throughput::Bytes((size * DIMENSION * 4) as u64));
        let exact = build(IndexKind::Exact, rows.clone()).expect("exact always builds");
        measure(&mut group, "exact", size, &*exact, &probes);
        if size > 10_000 && std::env::var("BENCH_FULL").is_err() {
            println!("search/hnsw/{size}: not run; its graph takes minutes to build: set BENCH_FULL=1");
            continue;
        }
        let start = Instant::now();
        match build(IndexKind::Hnsw, rows) {
            Ok(hnsw) => {
                println!("search/hnsw/{size}: built and audited in {:.1?}", start.elapsed());
                report_recall(size, &*hnsw, &*exact, &probes);
                measure(&mut group, "hnsw", size, &*hnsw, &probes);
            }
            Err(refused) => println!("search/hnsw/{size}: {refused} (after {:.1?})", start.elapsed()),
        }
    }
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn measure(group: &mut Group<'_>, name: &str, size: usize, index: &dyn Index, probes: &[Embedding]) {
    let mut next = probes.iter().cycle();
    group.bench_function(BenchmarkId::new(name, size), |b| {
        b.iter(|| next.next().map(|probe| index.search(black_box(probe), K)));
    });
}

/// How many probes have the same nearest template in both.
fn report_recall(size: usize, index: &dyn Index, exact: &dyn Index, probes: &[Embedding]) {
    let same = probes.iter().filter(|probe| index.search(probe, 1) == exact.search(probe, 1)).count();
    println!("search/hnsw/{size}: nearest template found for {same} of {} probes", probes.len());
}

criterion_group!(benches, search);
criterion_main!(benches);
