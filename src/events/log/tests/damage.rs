//! What becomes of a log that something else changed.

use super::*;

fn filled(site: &Site, n: u64) -> Uuid {
    let log = site.open();
    (0..n).for_each(|_| drop(log.accept(site.event("door"))));
    let name = Arc::from("needed");
    assert!(log.reading().had(&name, 3, Vec::new()));
    let epoch = log.state().epoch;
    finish(log);
    epoch
}

/// Reads until nothing is damaged any more: the writer puts a loss event in the place of what was.
fn settled(site: &Site, log: &EventLog, cursor: u64) -> Vec<String> {
    for _ in 0..100 {
        let page = log.reading().after(log.state().epoch, cursor, 1000).expect("read");
        if page.until >= log.state().last {
            return page.items.iter().map(shown).collect();
        }
        // Behind the report in the writer's queue.
        log.accept(site.event("door")).expect("accepted");
    }
    panic!("it stays damaged")
}

/// The log, after retention has looked.
fn looked_through(site: &Site) -> EventLog {
    let log = site.open();
    (0..2).for_each(|_| assert!(log.settle(Duration::from_secs(60))));
    log
}

#[test]
fn an_altered_event_is_never_delivered_and_is_told_with_its_range() {
    let site = Site::new();
    filled(&site, 10);
    let sql = "UPDATE events SET at = at + 1 WHERE sequence IN (5, 6)";
    assert_eq!(site.raw().execute(sql, []).expect("changed"), 2);
    let log = site.open();
    let seen = settled(&site, &log, 0);
    assert_eq!(seen[..8], ["1", "2", "3", "4", "lost 5..5", "lost 6..6", "7", "8"]);
    finish(log);
    assert_eq!(all(&site.open(), 3)[..3], ["4", "lost 5..5", "lost 6..6"]);
}

#[test]
fn rows_that_are_taken_out_swapped_or_copied_are_seen() {
    for (sql, says) in [
        ("DELETE FROM events WHERE sequence BETWEEN 4 AND 6", "lost 4..6"),
        (
            "UPDATE events SET body = (SELECT body FROM events WHERE sequence = 7) WHERE sequence = 5",
            "lost 5..5",
        ),
        ("UPDATE events SET mac = zeroblob(32) WHERE sequence = 8", "lost 8..8"),
        ("UPDATE events SET first = 4 WHERE sequence = 5", "lost 5..5"),
        ("UPDATE events SET personal = x'00' WHERE sequence = 9", "lost 9..9"),
    ] {
        let site = Site::new();
        filled(&site, 10);
        assert!(site.raw().execute(sql, []).expect("changed") > 0, "{sql}");
        let seen = settled(&site, &site.open(), 0);
        assert!(seen.contains(&says.to_owned()), "{sql}: {seen:?}");
        assert!(seen.contains(&"10".to_owned()) && seen.contains(&"3".to_owned()), "{sql}: {seen:?}");
    }
}

/// What a row says of itself decides what retention takes only if it is as it was written.
#[test]
fn retention_takes_nothing_on_the_word_of_an_altered_row() {
    for (sql, seen) in [
        // Nobody has had 4: it goes with a loss, not as if it had been delivered and too old.
        ("UPDATE events SET kind = 'expired' WHERE sequence = 4", ["1..3", "lost 4..4", "5", "6"]),
        ("UPDATE events SET kind = 'expired', first = 3 WHERE sequence = 6", ["1..3", "4", "5", "lost 6..6"]),
    ] {
        let site = Site::new();
        filled(&site, 10);
        assert_eq!(site.raw().execute(sql, []).expect("changed"), 1);
        site.clock.advance(Duration::from_secs(31 * DAY));
        let log = looked_through(&site);
        assert_eq!(settled(&site, &log, 0)[..4], seen, "{sql}");
    }
}

#[test]
fn an_altered_time_or_list_lets_nothing_go_before_its_time() {
    for sql in [
        "UPDATE events SET at = at - 2764800000 WHERE sequence = 2",
        "UPDATE events SET lists = '[\"gate\"]', at = at - 86400001 WHERE sequence = 2",
    ] {
        let mut site = Site::new();
        site.rules.lists = [("gate".to_owned(), Duration::from_secs(DAY))].into();
        filled(&site, 10);
        assert_eq!(site.raw().execute(sql, []).expect("changed"), 1);
        let log = looked_through(&site);
        assert_eq!(settled(&site, &log, 0)[..3], ["1", "lost 2..2", "3"], "{sql}");
    }
}

/// A gap that claims more than retention took would take its neighbours along with the next that is too old.
#[test]
fn an_altered_gap_takes_no_neighbours_and_is_told() {
    let mut site = Site::new();
    let who = IdentityId::generate();
    site.rules.lists = [("gate".to_owned(), Duration::from_secs(DAY))].into();
    let log = site.open();
    for lists in [&[][..], &[], &["gate"]] {
        log.accept(site.recognized(who, "x", lists)).expect("accepted");
    }
    site.clock.advance(Duration::from_secs(DAY / 2));
    log.accept(site.recognized(who, "x", &["gate"])).expect("accepted");
    log.accept(site.event("door")).expect("accepted");
    assert!(log.reading().had(&Arc::from("needed"), 5, Vec::new()));
    finish(log);
    site.clock.advance(Duration::from_secs(DAY / 2 + 1));
    let log = looked_through(&site);
    assert_eq!(all(&log, 0), ["1", "2", "3..3", "4", "5"]);
    finish(log);
    assert_eq!(site.raw().execute("UPDATE events SET first = 1 WHERE sequence = 3", []).expect("changed"), 1);
    site.clock.advance(Duration::from_secs(DAY / 2));
    let log = looked_through(&site);
    assert_eq!(settled(&site, &log, 0)[..5], ["1", "2", "lost 3..3", "4..4", "5"]);
}

#[test]
fn a_tail_that_was_cut_off_is_found_by_the_head_and_begins_another_epoch() {
    let site = Site::new();
    let epoch = filled(&site, 10);
    // The file of before comes back, as a whole: nothing in it is wrong.
    let before = std::fs::read(site.path()).expect("there");
    let log = site.open();
    (0..5).for_each(|_| drop(log.accept(site.event("door"))));
    finish(log);
    std::fs::write(site.path(), before).expect("put back");
    let log = site.open();
    assert_ne!(log.state().epoch, epoch);
    let seen = all(&log, 0);
    assert_eq!((seen.len(), seen[10].as_str()), (11, "lost 11..15"));
    assert_eq!(log.reading().cursor("needed"), Some(3));
}

#[test]
fn a_log_that_is_gone_is_told_with_what_the_head_says() {
    let site = Site::new();
    filled(&site, 10);
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        let _ = std::fs::remove_file(site.folder.path().join(file));
    }
    assert_eq!(all(&site.open(), 0), ["lost 1..10"]);
}

#[test]
fn what_can_be_read_of_a_broken_file_goes_on_in_another_epoch() {
    let site = Site::new();
    let epoch = filled(&site, 200);
    let mut bytes = std::fs::read(site.path()).expect("there");
    // A page in the middle becomes noise.
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(site.path(), &bytes).expect("written");
    let log = site.open();
    assert_ne!(log.state().epoch, epoch);
    let seen = all(&log, 0);
    let lost: Vec<&String> = seen.iter().filter(|item| item.starts_with("lost")).collect();
    assert!(!lost.is_empty() && lost.len() < 5, "{lost:?}");
    assert!(seen.len() > 150, "{} of 200", seen.len());
    assert_eq!(log.reading().cursor("needed"), Some(3), "who had three goes on behind them");
    assert!(site.folder.path().join("events.db.damaged").exists());
    finish(log);
    assert_eq!(all(&site.open(), 0), seen);
}

#[test]
fn a_state_that_is_damaged_costs_no_event() {
    let site = Site::new();
    filled(&site, 10);
    assert_eq!(site.raw().execute("UPDATE state SET last = 9", []).expect("changed"), 1);
    let expected: Vec<String> = (1..=10).map(|n| n.to_string()).collect();
    assert_eq!(all(&site.open(), 0), expected);
}

/// A start's own look at the file does not hold indexes against their tables: this one is found where the configured sinks are written.
#[test]
fn an_index_of_the_sinks_that_leads_nowhere_costs_no_event_at_a_start() {
    let site = Site::new();
    filled(&site, 10);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_sinks_1'";
    let page = site.raw().query_row(root, [], |row| row.get::<_, u32>(0)).expect("there") as usize;
    let mut bytes = std::fs::read(site.path()).expect("there");
    let entries = &mut bytes[(page - 1) * 4096..][..4096];
    // The name, and the row that it stands in: the second.
    let at = entries.windows(6).position(|entry| entry == b"other\x02").expect("an entry");
    entries[at + 5] = 0x22;
    std::fs::write(site.path(), &bytes).expect("written");
    let expected: Vec<String> = (1..=10).map(|n| n.to_string()).collect();
    let log = site.open();
    assert_eq!(all(&log, 0), expected);
    assert_eq!(log.reading().cursor("needed"), Some(3), "who had three goes on behind them");
    assert!(site.folder.path().join("events.db.damaged").exists());
    finish(log);
}

#[test]
fn a_cursor_that_was_moved_by_something_else_counts_for_nothing() {
    let site = Site::new();
    filled(&site, 10);
    let sql = "UPDATE sinks SET cursor = 9 WHERE name = 'needed'";
    assert_eq!(site.raw().execute(sql, []).expect("changed"), 1);
    assert_eq!(site.open().reading().cursor("needed"), Some(0), "twice rather than never");
}

#[test]
fn another_key_reads_nothing_and_another_programs_file_stays_as_it_is() {
    let mut site = Site::new();
    filled(&site, 10);
    site.key = Key::generate().expect("random");
    let log = site.open();
    assert_eq!(all(&log, 0), Vec::<String>::new());
    finish(log);
    let other = Site::new();
    other.raw().execute_batch("CREATE TABLE theirs (x)").expect("made");
    let before = std::fs::read(other.path()).expect("there");
    let beat = Heartbeats::new(other.clock.clone()).register("log", Duration::from_secs(60));
    assert!(EventLog::open(other.options(), beat).is_err());
    assert_eq!(std::fs::read(other.path()).expect("there"), before);
}
