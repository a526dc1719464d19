//! What goes on in another epoch: cursors, numbers, and what was said of the one before.

use std::time::Instant;

use super::super::writer::Order;
use super::super::{open, salvage};
use super::*;
use crate::events::LostReason;

/// Twelve events, of which the first four are gone already; who needs them is at 8.
fn filled(site: &Site) -> EventLog {
    let log = site.open();
    (0..4).for_each(|_| drop(log.accept(site.event("door"))));
    assert!(log.reading().had(&Arc::from("needed"), 4, Vec::new()));
    site.clock.advance(Duration::from_secs(31 * DAY));
    settle(&log);
    (0..8).for_each(|_| drop(log.accept(site.event("door"))));
    assert!(log.reading().had(&Arc::from("needed"), 8, Vec::new()));
    assert_eq!((log.state().first, log.state().last), (5, 12));
    log
}

fn settle(log: &EventLog) {
    (0..2).for_each(|_| assert!(log.settle(Duration::from_secs(60))));
}

/// The state is not as it was written: the log goes on in a new epoch while it is open.
fn break_it(site: &Site, log: &EventLog) {
    let before = log.state().epoch;
    assert_eq!(site.raw().execute("UPDATE state SET mac = zeroblob(32)", []).expect("changed"), 1);
    assert!(log.reading().after(before, 0, 10).is_err());
    settle(log);
    assert_ne!(log.state().epoch, before);
}

fn expected(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn what_is_said_of_another_epoch_says_nothing_of_this_one() {
    let site = Site::new();
    let log = filled(&site);
    let before = log.state().epoch;
    let mut behind = log.reading();
    behind.after(before, 8, 10).expect("read");
    break_it(&site, &log);
    // Eight events are left, with numbers of their own.
    assert_eq!(all(&log, 0), expected(1..=8));
    assert!(behind.had(&Arc::from("needed"), 12, vec![(12, "refused".to_owned())]), "it is told so");
    log.shared.orders.send(Order::Damaged { epoch: before, first: 5, last: 12 }).expect("asked");
    log.shared.orders.send(Order::Broken { epoch: before }).expect("asked");
    let epoch = log.state().epoch;
    settle(&log);
    assert_eq!(log.state().epoch, epoch, "and nobody saves it once more");
    assert_eq!(all(&log, 0), expected(1..=8));
    assert_eq!(log.reading().cursor("needed"), Some(4), "8 of before");
    let dead: i64 = site.raw().query_row("SELECT count(*) FROM dead", [], |row| row.get(0)).expect("read");
    assert_eq!(dead, 0);
}

#[test]
fn who_hears_of_a_new_epoch_has_its_cursor_there() {
    let site = Site::new();
    let log = filled(&site);
    let (reading, before) = (log.reading(), log.state().epoch);
    let hears = std::thread::spawn(move || {
        reading.wait(before, 12, Duration::from_secs(60));
        reading.cursor("needed")
    });
    break_it(&site, &log);
    assert_eq!(hears.join().expect("heard"), Some(4));
}

#[test]
fn who_saw_damage_where_there_is_none_takes_no_event_away() {
    let site = Site::new();
    let log = filled(&site);
    let sql = "UPDATE events SET at = at + 1 WHERE sequence IN (7, 8, 10)";
    assert_eq!(site.raw().execute(sql, []).expect("changed"), 3);
    let epoch = log.state().epoch;
    log.shared.orders.send(Order::Damaged { epoch, first: 1, last: 99 }).expect("asked");
    settle(&log);
    assert_eq!(all(&log, 4), ["5", "6", "lost 7..8", "9", "lost 10..10", "11", "12"]);
}

#[test]
fn a_sink_whose_cursor_is_lost_has_everything_again() {
    for (sql, at) in [
        ("UPDATE sinks SET name = 'neeeed' WHERE name = 'needed'", 4),
        ("UPDATE sinks SET name = 'neeeed' WHERE name = 'needed'; UPDATE state SET first = 9", 0),
        ("UPDATE sinks SET name = CAST(x'ff' AS TEXT) WHERE name = 'needed'; UPDATE state SET last = 9", 0),
    ] {
        let mut site = Site::new();
        finish(filled(&site));
        site.sinks[0].from_oldest = false;
        site.raw().execute_batch(sql).expect("changed");
        assert_eq!(site.open().reading().cursor("needed"), Some(at), "{sql}");
    }
}

#[test]
fn a_cursor_outlives_a_damaged_state() {
    let site = Site::new();
    finish(filled(&site));
    site.raw().execute("UPDATE state SET first = 9", []).expect("changed");
    assert_eq!(site.open().reading().cursor("needed"), Some(4), "8 of before");
}

#[test]
fn the_first_events_are_told_like_all_others_when_they_cannot_be_read() {
    let site = Site::new();
    finish(filled(&site));
    let sql =
        "UPDATE events SET first = 1 WHERE sequence = 5; UPDATE events SET at = 0 WHERE sequence IN (6, 9)";
    site.raw().execute_batch(sql).expect("changed");
    let log = site.open();
    let seen = all(&log, 0);
    assert_eq!(seen[..6], ["lost 5..6", "2", "3", "lost 9..9", "5", "6"]);
    // Its numbers are of the epoch before, in this epoch and in the next.
    let before = first_loss(&log);
    assert!(before.is_some_and(|of| of != log.state().epoch));
    break_it(&site, &log);
    assert_eq!(first_loss(&log), before);
}

fn first_loss(log: &EventLog) -> Option<Uuid> {
    let seen = log.reading().after(log.state().epoch, 0, 1).expect("read");
    let Some(Item::Event { event, .. }) = seen.items.first() else { panic!("{seen:?}") };
    let Data::Lost(lost) = &event.data else { panic!("{event:?}") };
    assert_eq!(lost.reason, LostReason::Salvaged);
    lost.of_log
}

#[test]
fn a_loss_that_was_told_keeps_its_epoch_in_the_next_one() {
    let site = Site::new();
    let log = filled(&site);
    let before = log.state().epoch;
    assert_eq!(site.raw().execute("UPDATE events SET at = 0 WHERE sequence = 5", []).expect("changed"), 1);
    let _ = log.reading().after(before, 0, 10).expect("read");
    settle(&log);
    break_it(&site, &log);
    let seen = log.reading().after(log.state().epoch, 0, 1).expect("read");
    let Some(Item::Event { event, .. }) = seen.items.first() else { panic!("{seen:?}") };
    let Data::Lost(lost) = &event.data else { panic!("{event:?}") };
    assert_eq!((lost.first, lost.last, lost.of_log), (Some(5), Some(5), Some(before)));
}

#[test]
fn a_log_that_was_put_aside_and_not_replaced_yet_is_finished_and_not_begun_again() {
    let site = Site::new();
    finish(filled(&site));
    let seen = all(&site.open(), 0);
    // As a failure between the renames leaves it, with the process alive.
    std::fs::rename(site.path(), salvage::salvaged(&site.path())).expect("renamed");
    let options = Arc::new(site.options());
    open::save(&options, None, None).expect("finished");
    assert_eq!(all(&site.open(), 0), seen);
}

#[test]
fn a_damaged_header_costs_no_event_and_another_versions_file_stays_as_it_is() {
    for sql in ["PRAGMA user_version = 3", "PRAGMA user_version = 0", "PRAGMA application_id = 1"] {
        let site = Site::new();
        finish(filled(&site));
        site.raw().execute_batch(sql).expect("changed");
        assert_eq!(all(&site.open(), 0), expected(1..=8), "{sql}");
        let other = Site::new();
        finish(filled(&other));
        // Whoever has another layout binds the state in another way.
        other.raw().execute_batch(&format!("{sql}; UPDATE state SET mac = zeroblob(32)")).expect("changed");
        let before = std::fs::read(other.path()).expect("there");
        let beat = Heartbeats::new(other.clock.clone()).register("log", Duration::from_secs(60));
        assert!(EventLog::open(other.options(), beat).is_err(), "{sql}");
        assert_eq!(std::fs::read(other.path()).expect("there"), before, "{sql}");
    }
}

/// SQLite takes such a file for one to be read only, or of a later version of its own.
#[test]
fn a_header_that_says_how_to_read_the_file_in_another_way_costs_no_event() {
    for at in [0, 16, 18, 19, 20, 21, 47, 55, 59] {
        let site = Site::new();
        finish(filled(&site));
        let mut bytes = std::fs::read(site.path()).expect("there");
        bytes[at] ^= 1;
        std::fs::write(site.path(), bytes).expect("written");
        assert!(verify(&site.path(), &site.key, &*site.ring, None).is_err(), "byte {at}");
        assert_eq!(all(&site.open(), 0), expected(1..=8), "byte {at}");
    }
}

#[test]
fn text_that_is_none_is_an_altered_event_and_no_broken_file() {
    let site = Site::new();
    let log = filled(&site);
    let epoch = log.state().epoch;
    let sql = "UPDATE events SET kind = CAST(x'ff' AS TEXT) WHERE sequence = 7";
    assert_eq!(site.raw().execute(sql, []).expect("changed"), 1);
    let found = verify(&site.path(), &site.key, &*site.ring, None).expect("it can be read");
    assert_eq!(found.damaged, [(7, 7)]);
    let _ = log.reading().after(epoch, 4, 10).expect("read");
    settle(&log);
    assert_eq!(all(&log, 4), ["5", "6", "lost 7..7", "8", "9", "10", "11", "12"]);
    assert_eq!(log.state().epoch, epoch);
}

#[test]
fn what_failed_beside_the_log_is_said_and_works_again_without_an_event() {
    let site = Site::new();
    let log = site.open();
    let until = |failing: u64| {
        let begun = Instant::now();
        while site.stats.events.log_failing.get() != failing {
            assert!(begun.elapsed() < Duration::from_secs(60), "never {failing}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    settle(&log);
    let head = site.path().with_extension("head");
    std::fs::remove_file(&head).expect("there");
    std::fs::create_dir(&head).expect("made");
    log.accept(site.event("door")).expect("accepted all the same");
    until(1);
    std::fs::remove_dir(&head).expect("removed");
    until(0);
    finish(log);
}
