//! The named points of src/base/faults.rs, from outside: which ones a program comes by, and its death at one of them. The
//! program must be built with the feature `faults`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use super::quick_folder;

/// Runs `command` to its end, and returns the names of the points that it came by, in order, each time.
pub fn points_hit(command: &mut Command) -> (Vec<String>, Output) {
    let aside = quick_folder();
    let path = aside.path().join("points");
    let output = command.env("WATCHLISTD_POINTS", &path).output().expect("it runs");
    // No file: no point.
    let text = fs::read_to_string(&path).unwrap_or_default();
    (text.lines().map(str::to_owned).collect(), output)
}

/// Every place where a run that came by `points` can be killed: each name with each of its hits, from 1.
pub fn every_kill(points: &[String]) -> Vec<(String, usize)> {
    let nth = |at: usize| points[..=at].iter().filter(|name| **name == points[at]).count();
    (0..points.len()).map(|at| (points[at].clone(), nth(at))).collect()
}

/// Lets `command` be killed at the `n`-th hit of the point `name`; whoever starts it, also in the background.
pub fn killed_at<'a>(command: &'a mut Command, name: &str, n: usize) -> &'a mut Command {
    command.env("WATCHLISTD_KILL_AT", format!("{name}:{n}"))
}

/// Runs `command` until it is killed there.
///
/// # Panics
///
/// If it ends in another way: then it never came by.
#[track_caller]
pub fn kill_at(command: &mut Command, name: &str, n: usize) -> Output {
    let output = killed_at(command, name, n).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "no kill at {name}:{n}: {}\n{errors}", output.status);
    output
}
