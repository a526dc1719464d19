//! Named points kill the process at the hit they are told, and nowhere else. Needs the feature `faults`.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/faults/mod.rs"]
mod faults;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use faults::points::{every_kill, kill_at, points_hit};
use faults::quick_folder;
use watchlistd::base::faults::point;

const CHILD: &str = "WATCHLISTD_TEST_CHILD";

fn child_in(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", "--exact", "--test-threads=1"]).env(CHILD, "1").current_dir(folder);
    command
}

/// No test of its own: the child's work, which leaves a letter after each point.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut trace = OpenOptions::new().create(true).append(true).open("trace").expect("a file");
    for letter in [b"a", b"b", b"c"] {
        point("faults.first");
        trace.write_all(letter).expect("written");
    }
    point("faults.second");
    trace.write_all(b"d").expect("written");
}

#[test]
fn a_process_dies_at_each_point_it_comes_by_and_leaves_what_it_did_before() {
    let folder = quick_folder();
    let (points, output) = points_hit(&mut child_in(folder.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(points, ["faults.first", "faults.first", "faults.first", "faults.second"]);
    assert_eq!(fs::read(folder.path().join("trace")).expect("a trace"), b"abcd");

    let traces = every_kill(&points).into_iter().map(|(name, n)| {
        let folder = quick_folder();
        kill_at(&mut child_in(folder.path()), &name, n);
        fs::read_to_string(folder.path().join("trace")).expect("a trace")
    });
    assert_eq!(traces.collect::<Vec<_>>(), ["", "a", "ab", "abc"]);
}

#[test]
#[should_panic = "no kill at faults.second:2"]
fn a_kill_that_never_came_is_no_success() {
    let folder = quick_folder();
    kill_at(&mut child_in(folder.path()), "faults.second", 2);
}

#[test]
fn a_misspelt_point_stops_the_program_instead_of_letting_it_live() {
    let folder = quick_folder();
    let output =
        child_in(folder.path()).env("WATCHLISTD_KILL_AT", "faults.frist:1").output().expect("it runs");
    assert!(!output.status.success());
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("faults.frist") && text.contains("faults.first"), "{text}");
}
