//! What is left of a gallery after kills, power cuts, broken and full disks; judged by an oracle of its own. Needs the feature
//! `faults`. `make crash-gallery` runs the long form: `WATCHLISTD_KILLS` random kills, `WATCHLISTD_CUTS` power cuts, every
//! point and every write.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "gallery_crash/broken.rs"]
mod broken;
#[path = "gallery_crash/cuts.rs"]
mod cuts;
#[path = "gallery_crash/disk.rs"]
mod disk;
#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/gallery/mod.rs"]
mod gallery;
#[path = "gallery_crash/kills.rs"]
mod kills;
#[path = "gallery_crash/probes.rs"]
mod probes;
#[path = "gallery_crash/program.rs"]
mod program;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use gallery::model::{State, Step};
use watchlistd::base::faults::POINTS;

/// No test of its own: the child's work.
#[test]
fn child() {
    gallery::driver::run_if_child();
}

/// The points of the gallery's commands.
fn points() -> impl Iterator<Item = &'static str> {
    // Those of the event log are passed in tests/events_crash.rs, those of rotated files in tests/jsonl_crash.rs.
    let others = ["faults.", "events.", "jsonl."];
    let of_gallery = move |point: &&str| !others.iter().any(|other| point.starts_with(other));
    POINTS.iter().copied().filter(of_gallery)
}

/// True for the long form.
fn long() -> bool {
    std::env::var_os("WATCHLISTD_KILLS").is_some()
}

/// How many of something: in the long form what the variable says.
fn how_many(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

/// A folder for what is no part of a gallery; it holds another box's bundle.
fn aside() -> &'static Path {
    &everything().0
}

/// The short script with every kind of command that the program has.
fn every_kind() -> &'static [(Step, State)] {
    &everything().1
}

fn everything() -> &'static (std::path::PathBuf, Vec<(Step, State)>) {
    static ONCE: OnceLock<(std::path::PathBuf, Vec<(Step, State)>)> = OnceLock::new();
    ONCE.get_or_init(|| {
        let folder = faults::quick_folder().keep();
        let exchange = gallery::access::make_bundle(&folder);
        if !exchange {
            eprintln!("skipped: export, import, backup, restore and rotate, which this program has not");
        }
        (folder, gallery::script::every_kind(exchange))
    })
}

/// Counts by two names, as a table with sums.
#[derive(Default)]
struct Table(BTreeMap<String, BTreeMap<String, usize>>);

impl Table {
    fn count(&mut self, row: &str, column: &str) {
        *self.0.entry(row.to_owned()).or_default().entry(column.to_owned()).or_default() += 1;
    }

    fn sum(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    fn row(&self, row: &str) -> usize {
        self.0.get(row).map_or(0, |counts| counts.values().sum())
    }

    fn print(&self, title: &str) {
        let columns: BTreeSet<&String> = self.0.values().flat_map(BTreeMap::keys).collect();
        let mut text = format!("{title}: {}\n{:>20} {:>5}", self.sum(), "", "all");
        columns.iter().for_each(|column| text += &format!("  {column:>3}"));
        for (row, counts) in &self.0 {
            text += &format!("\n{row:>20} {:>5}", self.row(row));
            for column in &columns {
                let (count, width) = (counts.get(*column), column.len().max(3));
                text += &format!("  {:>width$}", count.map_or(".".to_owned(), usize::to_string));
            }
        }
        eprintln!("{text}");
    }
}
