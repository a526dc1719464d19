//! Disks that fail or are full: once, or from a moment on.

use crate::faults::{Counts, fail_at, quick_folder};
use crate::gallery::driver::{Job, acks};
use crate::gallery::judge::judge;
use crate::gallery::model::State;
use crate::{Table, aside, every_kind, long};

/// Operations of a gallery that is closed, after its last write.
const LAST: u64 = 4;

/// The script while the disk fails as `fault` says; what the child told. The gallery that is left is judged.
fn run(fault: &str) -> (Vec<String>, Counts) {
    let before = State::new();
    let job = Job { before: &before, steps: every_kind(), aside: aside(), closes: true };
    let folder = quick_folder();
    let (output, counts) = fail_at(fault, &mut job.in_folder(folder.path()), folder.path());
    let told = acks(folder.path());
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{fault}: {out}");
    assert!(!told.iter().any(|line| line.starts_with("half")), "{fault}: {told:#?}");
    // What is there now, when there is room again.
    if let Err(wrong) = judge(folder.path(), &job.possible(&told)) {
        panic!("{fault}: after {:?}: {wrong}", told.last());
    }
    (told, counts)
}

/// The failures that were told, by command's kind and error's kind.
fn told_in(told: &[String], table: &mut Table, fault: &str) {
    for line in told.iter().filter(|line| line.starts_with("failed")) {
        let mut words = line.split(' ').skip(1);
        let (what, after) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (step, kind) = match what.parse::<usize>() {
            Ok(number) => (every_kind()[number].0.kind(), words.next().unwrap_or_default()),
            Err(_) => ("open", after),
        };
        let name = fault.split(':').next().unwrap_or_default();
        let fault = format!("{name} {}", kind.trim_end_matches(':'));
        if std::env::var_os("WATCHLISTD_TELL").is_some() {
            eprintln!("{fault}: {line}");
        }
        table.count(step, &fault);
        // A full disk, a broken one and a read-only one are the system's, and not bad input or a bug.
        let fine = ["Io:", "CannotCreate:", "Permission:", "Temporary:"];
        assert!(fine.contains(&kind), "{fault}: {line}");
        assert!(line.contains("gallery"), "{fault}: names no file: {line}");
    }
}

#[test]
fn a_disk_that_fails_once_is_said_and_the_same_process_goes_on() {
    let (_, counts) = run("");
    let step = if long() { 1 } else { 19 };
    let mut table = Table::default();
    let mut failures = 0;
    for n in (1..=counts.operations).step_by(step) {
        let faults = [format!("ENOSPC:{n}"), format!("EIO:{n}"), format!("SHORT:{n},ENOSPC:{}", n + 1)];
        let faults = if long() { &faults[..] } else { &faults[n as usize % 3..][..1] };
        for fault in faults {
            let (told, counts) = run(fault);
            failures += counts.failures;
            told_in(&told, &mut table, fault);
            let last = told.last().map_or("", String::as_str);
            assert!(last == "end" || last == "stopped", "{fault}: {told:#?}");
        }
    }
    table.print(&format!("errors told, of {failures} operations that failed once"));
    assert!(table.sum() > 0);
}

#[test]
fn a_disk_that_stays_full_or_read_only_leaves_the_old_state_or_the_new() {
    let (_, counts) = run("");
    let step = if long() { 2 } else { 37 };
    let (mut table, mut failing) = (Table::default(), 0);
    for n in (1..=counts.operations).step_by(step) {
        let faults = [
            format!("ENOSPC:{n}+"),
            format!("EIO:{n}+"),
            format!("EROFS:{n}+"),
            format!("SHORT:{n},ENOSPC:{}+", n + 1),
        ];
        let faults = if long() { &faults[..] } else { &faults[n as usize % 4..][..1] };
        for fault in faults {
            let (told, counts) = run(fault);
            // The last operations take files away, which a full disk lets happen.
            let is_full = fault.starts_with("ENOSPC") || fault.starts_with("SHORT");
            assert!(counts.failures > 0 || (is_full && n + LAST > counts.operations), "{fault}");
            failing += usize::from(counts.failures > 0);
            told_in(&told, &mut table, fault);
        }
    }
    table.print(&format!("errors told by a disk that failed for good, at {failing} operations"));
    assert!(table.sum() > 0);
}
