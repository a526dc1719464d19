//! Kills: at the named points of the program, at any operation on a file, and at any time.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use watchlistd::base::faults::POINTS;

use crate::faults::points::{every_kill, kill_at};
use crate::faults::{fail_at, quick_folder};
use crate::gallery::driver::{Job, acks};
use crate::gallery::judge::judge;
use crate::gallery::model::State;
use crate::gallery::script::Script;
use crate::{Table, aside, every_kind, how_many, long, points};

/// Judges, and lets the rest of the script run on what is there: a restart goes on as if nothing had been.
fn judge_and_go_on(folder: &Path, job: &Job<'_>) -> Result<&'static str, String> {
    let told = acks(folder);
    let [old, new] = job.possible(&told);
    let found = judge(folder, &[old, new])?;
    if found == 1 && job.in_flight(&told) == "backup" {
        // It is on record, and nobody has it: the rest of the script would restore it.
        return Ok("new");
    }
    let done = job.steps.iter().position(|(_, after)| std::ptr::eq(after, [old, new][found]));
    let rest = Job { before: [old, new][found], steps: &job.steps[done.map_or(0, |at| at + 1)..], ..*job };
    std::fs::remove_file(folder.join("acks")).expect("removed");
    let output = rest.in_folder(folder).output().expect("it runs");
    if !output.status.success() {
        return Err(format!("goes not on: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let last = rest.steps.last().map_or(rest.before, |(_, state)| state);
    judge(folder, &[last]).map_err(|wrong| format!("after going on: {wrong}"))?;
    Ok(if std::ptr::eq(old, new) || found == 0 { "old" } else { "new" })
}

/// A place of the script where a kill can come.
struct Place {
    /// The command that is on its way.
    command: &'static str,
    point: String,
    /// Which time that the script comes by the point, from 1.
    nth: usize,
}

/// All of them: the child tells what it begins, and the points that it comes by, in one file.
fn places(job: &Job<'_>) -> Vec<Place> {
    let folder = quick_folder();
    let mut command = job.in_folder(folder.path());
    let output = command.env("WATCHLISTD_POINTS", folder.path().join("acks")).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(judge(folder.path(), &[&every_kind().last().expect("steps").1]), Ok(0));
    let told = acks(folder.path());
    let (points, told): (Vec<_>, Vec<_>) =
        told.iter().enumerate().partition(|(_, line)| POINTS.contains(&line.as_str()));
    let before = |at: usize| {
        let so_far = told.iter().take_while(|(line, _)| *line < at).map(|(_, text)| text.to_string());
        so_far.collect::<Vec<_>>()
    };
    let names: Vec<String> = points.iter().map(|(_, name)| name.to_string()).collect();
    let all = every_kill(&names).into_iter().zip(&points);
    all.map(|((point, nth), (at, _))| Place { command: job.in_flight(&before(*at)), point, nth }).collect()
}

/// One place for each point of each of these commands, and one for each point that is in none of them.
fn one_of_each(mut places: Vec<Place>) -> Vec<Place> {
    const THROUGHOUT: [&str; 7] =
        ["enrol", "forget", "import", "rotate", "rotate --deep", "switch", "rollback"];
    fastrand::Rng::with_seed(1).shuffle(&mut places);
    places.sort_by_key(|place| !THROUGHOUT.contains(&place.command));
    let mut seen = BTreeSet::new();
    places.retain(|Place { command, point, .. }| {
        let throughout = THROUGHOUT.contains(command);
        let new = throughout || !seen.iter().any(|(_, known)| known == point);
        seen.insert((*command, point.clone())) && new
    });
    places
}

#[test]
fn a_kill_at_any_named_point_leaves_the_old_state_or_the_new() {
    let before = State::new();
    let job = Job { before: &before, steps: every_kind(), aside: aside(), closes: true };
    let places = places(&job);
    let all = places.len();
    let kills = if long() { places } else { one_of_each(places) };
    let (mut commands, mut states) = (Table::default(), Table::default());
    for _ in 0..if long() { 3 } else { 1 } {
        for Place { command, point, nth } in &kills {
            let folder = quick_folder();
            kill_at(&mut job.in_folder(folder.path()), point, *nth);
            assert_eq!(job.in_flight(&acks(folder.path())), *command, "a kill at {point}:{nth}");
            let state = judge_and_go_on(folder.path(), &job)
                .unwrap_or_else(|wrong| panic!("a kill at {point}:{nth}, in {command}: {wrong}"));
            commands.count(point, command);
            states.count(point, state);
        }
    }
    commands.print(&format!("kills at named points ({all} places in the script), by command"));
    states.print("states found after them");
    // A gallery that does not open is no state of this script, and pictures are none of its steps: `program.rs` and
    // `bulk_gallery` kill there.
    let of_others = |point: &str| point.starts_with("replace.") || point == "enrol.examined";
    let own = points().filter(|point| !of_others(point));
    let missed: Vec<_> = own.filter(|point| commands.row(point) == 0).collect();
    assert!(missed.is_empty(), "no kill at {missed:?}");
}

/// One gallery that is killed again and again while scripts run on it.
#[test]
fn a_kill_at_any_moment_leaves_the_old_state_or_the_new() {
    let folder = quick_folder();
    let kills = how_many("WATCHLISTD_KILLS", 20);
    let mut state = State::new();
    let mut rng = fastrand::Rng::with_seed(2);
    let (mut table, mut points, mut first) = (Table::default(), Table::default(), 0);
    let mut killed = 0;
    while killed < kills {
        first += 1000;
        let steps = Script::new(rng.u64(..), state.clone(), first).take(8);
        let job = Job { before: &state, steps: &steps, aside: aside(), closes: rng.bool() };
        let by_time = rng.bool();
        let passed = quick_folder();
        let passed = passed.path().join("points");
        let mut command = job.in_folder(folder.path());
        command.env("WATCHLISTD_POINTS", &passed);
        let was_killed = if by_time {
            killed_in(&mut command, Duration::from_micros(rng.u64(1_000..60_000)))
        } else {
            let fault = format!("KILL:{}", rng.u32(1..250));
            fail_at(&fault, &mut command, folder.path()).0.status.signal() == Some(9)
        };
        let told = acks(folder.path());
        let possible = job.possible(&told);
        let found = judge(folder.path(), &possible)
            .unwrap_or_else(|wrong| panic!("kill {killed}, {:?} in {:?}: {wrong}", told.last(), steps));
        if was_killed {
            killed += 1;
            let how = if by_time { "at a time" } else { "at an operation" };
            table.count(job.in_flight(&told), how);
            let passed = std::fs::read_to_string(&passed).unwrap_or_default();
            points.count(passed.lines().last().unwrap_or("none yet"), how);
        }
        state = possible[found].clone();
        std::fs::remove_file(folder.path().join("acks")).unwrap_or_default();
    }
    table.print("random kills of one gallery, by command in flight");
    points.print("the same, by the last named point before");
    eprintln!(
        "{} people, {} forgotten, {} entries",
        state.held.people.len(),
        state.forgotten.len(),
        state.held.log.len()
    );
}

/// Whether it was killed before it ended.
fn killed_in(command: &mut Command, after: Duration) -> bool {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it runs");
    // The moment is meant to be any.
    std::thread::sleep(after);
    child.kill().expect("killed, or ended");
    child.wait().expect("it ended").signal() == Some(9)
}
