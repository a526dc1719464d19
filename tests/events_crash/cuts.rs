//! Power cuts: everything that was acknowledged is there, and the log goes on in the same epoch.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;
use watchlistd::base::clock::SystemClock;
use watchlistd::events::log::{EventLog, Item};

use crate::faults::journal::PowerCut;
use crate::faults::{Journal, Recording, quick_folder};
use crate::site::{Site, finish, sink};
use crate::trace::{COUNT, Told, child_that, judge};
use crate::{Counts, how_many, seed};

fn recorded(synchronous: &str) -> Journal {
    let folder = quick_folder();
    let recording = Recording::of(folder.path());
    let mut child = child_that(0..COUNT, folder.path());
    let output = recording.run(child.env("WATCHLISTD_SYNCHRONOUS", synchronous));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = Told::read(folder.path());
    assert!(told.done && told.degraded == 0 && told.unopened.is_empty(), "{told:?}");
    let journal = recording.finish();
    eprintln!(
        "synchronous={synchronous}: {} events accepted, {} records, {} syncs",
        told.accepted.len(),
        journal.records().len(),
        journal.syncs()
    );
    journal
}

/// What each cut left, judged by what had been told when the power failed.
fn harm<'a>(cuts: impl Iterator<Item = PowerCut<'a>>) -> Vec<String> {
    let harm = |cut: PowerCut<'a>| {
        let told = Told::of(&cut.acknowledged().concat());
        let after = quick_folder();
        cut.write_to(after.path());
        let wrong = judge(after.path(), &told, COUNT - 1).err()?;
        Some(format!("{cut:?}, {} accepted: {wrong}", told.accepted.len()))
    };
    cuts.filter_map(harm).collect()
}

#[test]
fn a_power_cut_loses_nothing_that_was_accepted() {
    let cuts = how_many("WATCHLISTD_CUTS", 200);
    let harm = harm(recorded("full").cuts(seed(), cuts));
    eprintln!("{cuts} power cuts: accepted and lost 0, cursors kept; {} do harm", harm.len());
    assert!(harm.is_empty(), "{} of {cuts} cuts did harm: {harm:#?}", harm.len());
}

/// The cuts are cruel enough: the same judge sees the harm where SQLite does not wait for the disk.
#[test]
fn without_synchronisation_power_cuts_are_seen_to_lose_what_was_accepted() {
    let harm = harm(recorded("off").cuts(14, 60));
    eprintln!("synchronous=off: {} of 60 power cuts do harm", harm.len());
    let loses =
        |harm: &&String| harm.contains("accepted and lost") && !harm.contains(": 0 accepted and lost");
    let losing = harm.iter().filter(loses).count();
    assert!(losing > 0, "no cut of 60 lost anything: {harm:#?}");
    eprintln!("synchronous=off: {losing} of 60 power cuts lose accepted events");
}

/// A log of sixty events whose state was changed, and whose last events are only in its write-ahead log.
fn damaged(folder: &Path) -> Vec<Uuid> {
    let mut site = Site::new(Arc::new(SystemClock::new()));
    site.sinks = vec![sink("needed", true)];
    let mut ids = Vec::new();
    let mut fill = |log: &EventLog, count: usize| {
        for _ in 0..count {
            let event = site.event();
            ids.push(event.id);
            log.accept(event).expect("accepted");
        }
    };
    let log = site.open(folder).expect("opens");
    fill(&log, 40);
    finish(log);
    let log = site.open(folder).expect("opens");
    fill(&log, 20);
    // As a kill leaves it.
    let copy = quick_folder();
    crate::copy_folder(folder, copy.path());
    finish(log);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        std::fs::remove_file(entry.expect("readable").path()).expect("removed");
    }
    crate::copy_folder(copy.path(), folder);
    let connection = rusqlite::Connection::open(folder.join("events.db")).expect("opens");
    let stays = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(stays, true).expect("set");
    assert_eq!(connection.execute("UPDATE state SET last = last - 1", []).expect("changed"), 1);
    ids
}

#[test]
fn a_power_cut_while_a_damaged_log_is_saved_loses_nothing_that_can_be_read() {
    let folder = quick_folder();
    let ids = damaged(folder.path());
    let recording = Recording::of(folder.path());
    let output = recording.run(&mut child_that_opens(folder.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let journal = recording.finish();
    let cuts = how_many("WATCHLISTD_CUTS", 200);
    let (mut counts, mut harm) = (Counts::default(), Vec::new());
    for cut in journal.cuts(seed(), cuts) {
        let after = quick_folder();
        cut.write_to(after.path());
        let mut site = Site::new(Arc::new(SystemClock::new()));
        site.sinks = vec![sink("needed", true)];
        counts.count(stage(after.path()));
        match present(&site, after.path()) {
            Ok(there) => {
                let lost = ids.iter().filter(|id| !there.contains(id)).count();
                if lost > 0 {
                    harm.push(format!("{cut:?}: {lost} of {} lost", ids.len()));
                }
            }
            Err(error) => harm.push(format!("{cut:?}: {error}")),
        }
    }
    counts.print(&format!(
        "{cuts} power cuts while a damaged log of {} events is saved, by how far it was",
        ids.len()
    ));
    assert!(harm.is_empty(), "{} of {cuts} cuts did harm: {harm:#?}", harm.len());
}

/// Opens the log, and ends.
fn child_that_opens(folder: &Path) -> std::process::Command {
    let mut command = crate::as_child();
    command.env("WATCHLISTD_EVENTS_CHILD", folder).env("WATCHLISTD_EVENTS_ENDS", "1");
    command
}

/// How far it had come with saving.
fn stage(folder: &Path) -> &'static str {
    let there = |name: &str| folder.join(name).exists();
    match (there("events.db"), there("events.db.salvaged"), there("events.db.damaged")) {
        (true, false, false) => "not begun",
        (true, true, _) => "half copied",
        (false, true, _) => "between the two renames",
        (true, false, true) => "done",
        (false, false, _) => "gone",
    }
}

fn present(site: &Site, folder: &Path) -> Result<HashSet<Uuid>, String> {
    let log = site.open(folder).map_err(|e| e.chain())?;
    let (mut reading, state, mut cursor, mut ids) = (log.reading(), log.state(), 0, HashSet::new());
    while cursor < state.last {
        let seen = reading.after(state.epoch, cursor, 100).map_err(|e| e.chain())?;
        for item in seen.items {
            if let Item::Event { event, .. } = item {
                ids.insert(event.id);
            }
        }
        if seen.until == cursor {
            return Err(format!("nothing after {cursor}"));
        }
        cursor = seen.until;
    }
    finish(log);
    Ok(ids)
}
