//! What survives a power cut and a failing disk: the machinery of tests/support/faults, proven on SQLite, whose promises
//! are known, and on the ways to write a small file, right and wrong.
//!
//! A child is this program again, with a variable that makes [`child`] act.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "power_cut/files.rs"]
mod files;
#[path = "power_cut/model.rs"]
mod model;
#[path = "power_cut/transactions.rs"]
mod transactions;

use std::path::Path;
use std::process::{Command, Output};

use faults::{Counts, fail_at, quick_folder, record};
use transactions::{Found, TRANSACTIONS, judge};

const CHILD: &str = "WATCHLISTD_TEST_CHILD";

/// This program as a child that does `what` in `folder`.
fn child_that(what: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, what).current_dir(folder);
    command
}

/// No test of its own: the child's work.
#[test]
fn child() {
    let Ok(what) = std::env::var(CHILD) else { return };
    match what.split_once(' ').unwrap_or((&what, "")) {
        ("sqlite", synchronous) => transactions::run(synchronous),
        ("files", "all") => files::do_everything(),
        ("files", "at once") => files::all_at_once(),
        ("files", "behind") => files::write_behind_the_shim(),
        ("files", way) => files::replace(way),
        _ => panic!("{what}"),
    }
}

#[track_caller]
fn assert_success(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

/// How many cuts; more for a long run.
fn cuts() -> usize {
    std::env::var("WATCHLISTD_CUTS").map_or(200, |text| text.parse().expect("WATCHLISTD_CUTS: a number"))
}

/// What cuts through 50 transactions do.
#[derive(Debug, Default)]
struct Losses {
    cuts: usize,
    /// Cuts after which an acknowledged transaction is missing.
    losing: usize,
    /// The most that one cut lost.
    most: u32,
    /// Cuts after which the database is broken, or holds a part of a transaction or one without those before it.
    damaged: usize,
    /// The first cut that did harm.
    first: Option<String>,
}

fn losses_with(synchronous: &str) -> Losses {
    let folder = quick_folder();
    let (journal, output) =
        record(&mut child_that(&format!("sqlite {synchronous}"), folder.path()), folder.path());
    assert_success(&output);
    let mut losses = Losses::default();
    for cut in journal.cuts(7, cuts()) {
        let after = quick_folder();
        cut.write_to(after.path());
        let told = cut.acknowledged().len() as u32;
        let found = judge(after.path());
        losses.cuts += 1;
        let harm = match found {
            Found::Damaged(_) => {
                losses.damaged += 1;
                true
            }
            Found::Up(to) => {
                losses.losing += usize::from(to < told);
                losses.most = losses.most.max(told.saturating_sub(to));
                to < told
            }
        };
        if harm {
            losses.first.get_or_insert_with(|| format!("{cut:?}: {told} acknowledged, {found:?}"));
        }
    }
    eprintln!(
        "synchronous={synchronous}: {} records, {} syncs; {losses:?}",
        journal.records().len(),
        journal.syncs()
    );
    losses
}

#[test]
fn with_full_synchronisation_no_acknowledged_transaction_is_lost() {
    let losses = losses_with("FULL");
    assert_eq!((losses.cuts, losses.losing, losses.damaged), (cuts(), 0, 0), "{losses:?}");
}

/// The cuts are cruel enough to show it, and no crueller than SQLite promises to bear.
#[test]
fn with_normal_synchronisation_transactions_are_lost_but_never_in_part() {
    let losses = losses_with("NORMAL");
    assert!(losses.losing > 0, "{losses:?}");
    assert_eq!(losses.damaged, 0, "{losses:?}");
}

#[test]
fn without_synchronisation_transactions_are_lost_and_the_database_breaks() {
    let losses = losses_with("OFF");
    assert!(losses.losing > 0 && losses.damaged > 0, "{losses:?}");
}

/// Runs the transactions while the disk fails; what the child told about it, and what a program finds there afterwards.
fn transactions_with(fault: &str) -> (Vec<String>, Found, Counts) {
    let folder = quick_folder();
    let (output, counts) = fail_at(fault, &mut child_that("sqlite FULL", folder.path()), folder.path());
    assert_success(&output);
    let told = std::fs::read_to_string(folder.path().join("acks")).unwrap_or_default();
    (told.lines().map(str::to_owned).collect(), judge(folder.path()), counts)
}

/// The number in the last line that starts with `word`.
fn last(told: &[String], word: &str) -> Option<u32> {
    told.iter().rev().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

#[test]
fn a_disk_that_fails_once_is_said_and_harms_nothing() {
    let (told, found, counts) = transactions_with("");
    assert_eq!((last(&told, "committed"), found), (Some(TRANSACTIONS), Found::Up(TRANSACTIONS)));
    assert_eq!(counts.failures, 0);
    let mut said = 0;
    // The whole disk for a moment at every single operation; the other faults here and there.
    let everywhere = (1..=counts.operations).map(|n| format!("ENOSPC:{n}"));
    let here_and_there = (1..=counts.operations)
        .step_by(17)
        .flat_map(|n| [format!("EIO:{n}"), format!("SHORT:{n},ENOSPC:{}", n + 1)]);
    for fault in everywhere.chain(here_and_there) {
        let (told, found, _) = transactions_with(&fault);
        said += usize::from(last(&told, "failed").is_some());
        // The child did again what had failed, so that all of it is there: whatever failed did not break the connection.
        assert_eq!(
            (last(&told, "committed"), &found),
            (Some(TRANSACTIONS), &Found::Up(TRANSACTIONS)),
            "{fault}: {told:?}"
        );
    }
    eprintln!("{} operations, {said} failures reported", counts.operations);
    assert!(said as u64 > counts.operations / 2, "{said} of {} were reported", counts.operations);
}

#[test]
fn a_disk_that_stays_full_leaves_the_state_before_or_after_the_transaction() {
    let operations = transactions_with("").2.operations;
    for n in (1..=operations).step_by(5) {
        for fault in [format!("ENOSPC:{n}+"), format!("SHORT:{n},ENOSPC:{}+", n + 1), format!("EROFS:{n}+")] {
            let (told, found, counts) = transactions_with(&fault);
            assert!(counts.failures > 0, "{fault}");
            let committed = last(&told, "committed").unwrap_or(0);
            let fine = committed == TRANSACTIONS || last(&told, "failed") == Some(committed + 1);
            assert!(fine, "{fault}: neither committed nor reported: {told:?}");
            assert!(
                found == Found::Up(committed) || found == Found::Up(committed + 1),
                "{fault}: {committed} committed, {found:?}"
            );
        }
    }
}

#[test]
fn a_kill_at_any_operation_leaves_the_state_before_or_after_the_transaction() {
    let operations = transactions_with("").2.operations;
    for n in (1..=operations).step_by(7) {
        let folder = quick_folder();
        let mut command = child_that("sqlite FULL", folder.path());
        let (output, counts) = fail_at(&format!("KILL:{n}"), &mut command, folder.path());
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "KILL:{n}");
        assert_eq!((counts.operations, counts.failures), (n, 1));
        let told =
            std::fs::read_to_string(folder.path().join("acks")).unwrap_or_default().lines().count() as u32;
        let found = judge(folder.path());
        assert!(found == Found::Up(told) || found == Found::Up(told + 1), "KILL:{n}: {told}, {found:?}");
    }
}
