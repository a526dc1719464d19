//! The event log under kills, power cuts, failing disks and flipped bits, counted by somebody who is not harmed. Needs the feature
//! `faults`. `make test` runs a part of each; `make crash-events` the long form: `WATCHLISTD_KILLS` random kills, `WATCHLISTD_CUTS`
//! power cuts, `WATCHLISTD_FLIPS` bits, and with `WATCHLISTD_WRITES` every write of the trace.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "events_crash/cuts.rs"]
mod cuts;
#[path = "events_crash/disk.rs"]
mod disk;
#[path = "support/faults/mod.rs"]
mod faults;
#[path = "events_crash/flips.rs"]
mod flips;
#[path = "events_crash/kills.rs"]
mod kills;
#[path = "events_crash/live.rs"]
mod live;
#[path = "events_crash/site.rs"]
mod site;
#[path = "events_crash/trace.rs"]
mod trace;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// No test of its own: the child's work.
#[test]
fn child() {
    live::run_if_child();
    trace::run_if_child();
}

/// This program as a child, which finds its work in its variables.
fn as_child() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command
}

/// How many of something: in the long form what the variable says.
fn how_many(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

/// What chance begins with. Printed, so that a failure can be had again.
fn seed() -> u64 {
    let seed = std::env::var("WATCHLISTD_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("WATCHLISTD_SEED={seed}");
    seed
}

/// True if children may say what they have to say.
fn is_told() -> bool {
    std::env::var_os("WATCHLISTD_TELL").is_some()
}

/// All files of a folder, in another one.
fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Counts by name.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or(0)
    }

    fn print(&self, title: &str) {
        let lines: String = self.0.iter().map(|(what, count)| format!("\n{count:>8}  {what}")).collect();
        eprintln!("{title}:{lines}");
    }
}
