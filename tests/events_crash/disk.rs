//! A disk that is full or fails: once, or for a while, at the writes of the trace.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::faults::{fail_at, quick_folder};
use crate::trace::{COUNT, Told, child_that, judge};
use crate::{Counts, copy_folder};

/// Operations on files for which a failure lasts: some attempts of the log.
const LASTING: u64 = 8;

/// Runs at a time. Most of a run is waiting for the log's next attempt.
const AT_A_TIME: usize = 48;

/// A place where the disk fails.
struct Place {
    part: usize,
    fault: String,
}

/// The log before each part, and how many operations on files the part takes.
struct Start {
    folder: tempfile::TempDir,
    operations: u64,
}

fn starts() -> Vec<Start> {
    let current = quick_folder();
    let mut starts = Vec::new();
    for part in 0..COUNT {
        let folder = quick_folder();
        copy_folder(current.path(), folder.path());
        let mut child = child_that(part..part + 1, current.path());
        let (output, counts) = fail_at("", &mut child, current.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        starts.push(Start { folder, operations: counts.operations });
    }
    let told = Told::read(current.path());
    assert_eq!((told.degraded, told.unopened.len()), (0, 0), "{told:?}");
    assert_eq!(judge(current.path(), &told, COUNT - 1), Ok(()));
    starts
}

/// Operations on files in which a log is made.
const MAKING: u64 = 20;

/// Every place, or, behind those where the log is made, every `step`-th with another fault each time.
fn places(starts: &[Start], step: usize) -> Vec<Place> {
    let mut all = Vec::new();
    let writes =
        starts.iter().enumerate().flat_map(|(part, start)| (1..=start.operations).map(move |n| (part, n)));
    for (part, n) in writes {
        for name in ["ENOSPC", "EIO"] {
            all.push(Place { part, fault: format!("{name}:{n}") });
            all.push(Place { part, fault: format!("{name}:{n}-{}", n + LASTING - 1) });
        }
    }
    let rest = all.split_off(4 * MAKING as usize);
    // Odd, so that each fault has its turn.
    all.extend(rest.into_iter().step_by(step));
    all
}

/// One place again, as a failure names it: `0,EIO:7`.
fn named(place: &str) -> Place {
    let (part, fault) = place.split_once(',').expect("PART,FAULT");
    Place { part: part.parse().expect("a part"), fault: fault.to_owned() }
}

/// Goes on with the trace from there while the disk fails, and looks what came of it: what the log said, or what is wrong.
fn run(start: &Start, place: &Place) -> Result<&'static str, String> {
    let folder = quick_folder();
    copy_folder(start.folder.path(), folder.path());
    let before = Told::read(folder.path());
    let mut child = child_that(place.part..place.part + 1, folder.path());
    let (output, counts) = fail_at(&place.fault, &mut child, folder.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("it died: {}\n{errors}\n{}", output.status, acks(folder.path())));
    }
    let told = Told::read(folder.path());
    if !told.done {
        return Err("it did not come to its end".to_owned());
    }
    let Told { degraded, recovered, behind, .. } = told;
    if !(recovered..=recovered + behind).contains(&degraded) {
        return Err(format!(
            "said {degraded} times that it fails, {recovered} times that it works again, and ended {behind} times before"
        ));
    }
    // A file that cannot be opened for writing is opened for reading by SQLite, and says so.
    let fine = ["Io", "CannotCreate", "Permission"];
    if let Some(other) = told.unopened.iter().find(|error| !fine.iter().any(|kind| error.starts_with(kind))) {
        return Err(format!("says the wrong thing: {other}"));
    }
    judge(folder.path(), &told, place.part).map_err(|wrong| format!("{wrong}\n{}", acks(folder.path())))?;
    Ok(match (told.degraded > before.degraded, !told.unopened.is_empty(), counts.failures) {
        (_, _, 0) => "met no operation of that kind",
        (true, ..) => "said that it fails, and that it works again",
        (_, true, _) => "said that it does not open, and opened later",
        _ => "went on: what failed was not needed",
    })
}

fn acks(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("acks")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[test]
fn a_disk_that_fails_or_is_full_costs_no_accepted_event_and_the_process_goes_on() {
    let starts = starts();
    let operations: u64 = starts.iter().map(|start| start.operations).sum();
    let long = std::env::var_os("WATCHLISTD_WRITES").is_some();
    let step = crate::how_many("WATCHLISTD_WRITES_STEP", if long { 1 } else { 173 });
    let places = match std::env::var("WATCHLISTD_WRITE") {
        Ok(one) => vec![named(&one)],
        Err(_) => places(&starts, step),
    };
    let (next, counts, wrong) = (AtomicUsize::new(0), Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let kind = if place.fault.contains('-') { "for a while" } else { "once" };
            let name = place.fault.split(':').next().unwrap_or_default();
            match run(&starts[place.part], place) {
                Ok(what) => counts.lock().expect("whole").count(format!("{name} {kind}: {what}")),
                Err(error) => wrong
                    .lock()
                    .expect("whole")
                    .push(format!("part {}, {}: {error}", place.part, place.fault)),
            }
        }
    };
    std::thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let (counts, wrong) = (counts.into_inner().expect("whole"), wrong.into_inner().expect("whole"));
    counts.print(&format!(
        "{} failures in a trace of {} operations of the log, {operations} of the disk",
        places.len(),
        COUNT * 50
    ));
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong: {:#?}",
        wrong.len(),
        places.len(),
        &wrong[..wrong.len().min(10)]
    );
    if places.len() < 100 {
        return;
    }
    assert!(counts.of("EIO once: said that it fails, and that it works again") > 0);
    assert!(counts.of("ENOSPC for a while: said that it fails, and that it works again") > 0);
}
