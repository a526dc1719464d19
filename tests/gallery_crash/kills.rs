//! Kills: at the named points of the program, at any operation on a file, and at any time.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use crate::faults::points::{every_kill, kill_at, points_hit};
use crate::faults::{fail_at, quick_folder};
use crate::gallery::driver::{Job, acks};
use crate::gallery::judge::judge;
use crate::gallery::model::State;
use crate::gallery::script::Script;
use crate::{Table, aside, every_kind, how_many, long};

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

#[test]
fn a_kill_at_any_named_point_leaves_the_old_state_or_the_new() {
    let before = State::new();
    let job = Job { before: &before, steps: every_kind(), aside: aside(), closes: true };
    let folder = quick_folder();
    let (points, output) = points_hit(&mut job.in_folder(folder.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(judge(folder.path(), &[&every_kind().last().expect("steps").1]), Ok(0));

    let mut kills = every_kill(&points);
    let all = kills.len();
    if !long() {
        // Twenty of them, each point at least twice.
        fastrand::Rng::with_seed(1).shuffle(&mut kills);
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        kills.sort_by_cached_key(|(name, _)| {
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            *times
        });
        kills.truncate(20);
    }
    let (mut table, mut states) = (Table::default(), Table::default());
    for _ in 0..if long() { 3 } else { 1 } {
        for (point, n) in &kills {
            let folder = quick_folder();
            kill_at(&mut job.in_folder(folder.path()), point, *n);
            let in_flight = job.in_flight(&acks(folder.path()));
            let state = judge_and_go_on(folder.path(), &job)
                .unwrap_or_else(|wrong| panic!("a kill at {point}:{n}, in {in_flight}: {wrong}"));
            table.count(in_flight, point);
            states.count(point, state);
        }
    }
    table.print(&format!("kills at named points ({all} places in the script), by command"));
    states.print("states found after them");
    assert!(table.sum() >= 20);
}

/// One gallery that is killed again and again while scripts run on it.
#[test]
fn a_kill_at_any_moment_leaves_the_old_state_or_the_new() {
    let folder = quick_folder();
    let kills = how_many("WATCHLISTD_KILLS", 20);
    let mut state = State::new();
    let mut rng = fastrand::Rng::with_seed(2);
    let (mut table, mut first) = (Table::default(), 0);
    let mut killed = 0;
    while killed < kills {
        first += 1000;
        let steps = Script::new(rng.u64(..), state.clone(), first).take(8);
        let job = Job { before: &state, steps: &steps, aside: aside(), closes: rng.bool() };
        let by_time = rng.bool();
        let was_killed = if by_time {
            killed_in(&job, folder.path(), Duration::from_micros(rng.u64(1_000..60_000)))
        } else {
            let fault = format!("KILL:{}", rng.u32(1..250));
            let (output, _) = fail_at(&fault, &mut job.in_folder(folder.path()), folder.path());
            output.status.signal() == Some(9)
        };
        let told = acks(folder.path());
        let possible = job.possible(&told);
        let found = judge(folder.path(), &possible)
            .unwrap_or_else(|wrong| panic!("kill {killed}, {:?} in {:?}: {wrong}", told.last(), steps));
        if was_killed {
            killed += 1;
            let how = if by_time { "at a time" } else { "at an operation" };
            table.count(job.in_flight(&told), how);
        }
        state = possible[found].clone();
        std::fs::remove_file(folder.path().join("acks")).unwrap_or_default();
    }
    table.print("random kills of one gallery, by command in flight");
    eprintln!(
        "{} people, {} forgotten, {} entries",
        state.held.people.len(),
        state.forgotten.len(),
        state.held.log.len()
    );
}

/// Whether it was killed before it ended.
fn killed_in(job: &Job<'_>, folder: &Path, after: Duration) -> bool {
    let mut child = job.in_folder(folder).stdout(std::process::Stdio::null()).spawn().expect("it runs");
    // The moment is meant to be any.
    std::thread::sleep(after);
    child.kill().expect("killed, or ended");
    child.wait().expect("it ended").signal() == Some(9)
}
