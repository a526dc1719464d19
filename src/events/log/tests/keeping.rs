//! How long events stay.

use super::*;

const WAL: u64 = super::super::retention::WAL;

/// Lets a minute pass, and waits until the writer has looked what is too old: its round is over when the event after it is in.
fn round(site: &Site, log: &EventLog) {
    site.clock.advance(Duration::from_secs(61));
    for _ in 0..2 {
        log.accept(site.event("round")).expect("accepted");
    }
}

#[test]
fn age_takes_what_was_delivered_and_lists_have_their_own() {
    let mut site = Site::new();
    let days = |n: u64| Duration::from_secs(n * DAY);
    site.rules.lists = [("vip".to_owned(), days(90)), ("gate".to_owned(), days(1))].into();
    let log = site.open();
    let who = IdentityId::generate();
    for lists in [&[][..], &["vip"], &["gate"], &["gate", "vip"], &[]] {
        log.accept(site.recognized(who, "x", lists)).expect("accepted");
    }
    let name = Arc::from("needed");
    assert!(log.reading().had(&name, 4, Vec::new()));
    site.clock.advance(days(2));
    round(&site, &log);
    assert_eq!(all(&log, 0)[..5], ["1", "2", "3..3", "4", "5"], "of the list with a day only");
    site.clock.advance(days(31));
    round(&site, &log);
    assert_eq!(all(&log, 0)[..5], ["1..1", "2", "3..3", "4", "5"], "5 was not delivered");
    site.clock.advance(days(60));
    round(&site, &log);
    assert_eq!(all(&log, 0)[..2], ["1..4", "5"], "ranges join, and the front is gone");
    assert_eq!(log.state().first, 5);
    assert!(log.reading().had(&name, 5, Vec::new()));
    round(&site, &log);
    assert_eq!(all(&log, 2)[0], "3..5", "who was at 2 learns the exact range");
    finish(log);
    assert_eq!(all(&site.open(), 2)[0], "3..5");
}

#[test]
fn at_the_budget_the_oldest_delivered_go_and_what_was_not_leaves_a_loss() {
    let mut site = Site::new();
    site.rules.budget = WAL + (1 << 20);
    let log = site.open();
    let fill = |log: &EventLog, n: u64| (0..n).for_each(|_| drop(log.accept(site.event(&"c".repeat(60)))));
    fill(&log, 100);
    let name = Arc::from("needed");
    assert!(log.reading().had(&name, 60, Vec::new()));
    fill(&log, 2500);
    let seen = all(&log, 60);
    let Some((first, last)) = seen[0].strip_prefix("lost ").and_then(|range| range.split_once("..")) else {
        panic!("{:?}", &seen[..3])
    };
    let (first, last): (u64, u64) = (first.parse().expect("a number"), last.parse().expect("a number"));
    assert_eq!(first, 61, "what was delivered went without a word");
    assert_eq!(seen[1], (last + 1).to_string(), "and nothing is missing behind it");
    assert_eq!(seen.len() as u64, 2600 - last + 1);
    let size = |name: &str| std::fs::metadata(site.folder.path().join(name)).map_or(0, |m| m.len());
    assert!(size("events.db") + size("events.db-wal") <= site.rules.budget, "{}", size("events.db"));
    // The sink hears of it, and more that is lost then is another range.
    assert!(log.reading().had(&name, last, Vec::new()));
    fill(&log, 2500);
    let seen = all(&log, last);
    assert!(seen[0].starts_with(&format!("lost {}..", last + 1)), "{}", seen[0]);
    finish(log);
    assert_eq!(all(&site.open(), last), seen);
}

/// One of two has had a part of what is lost to the other: a row that stands for both stays whole.
#[test]
fn a_loss_that_one_sink_is_in_the_middle_of_stays_whole() {
    let mut site = Site::new();
    site.sinks = vec![sink("needed", true), sink("second", true)];
    site.rules.budget = WAL + (1 << 20);
    let log = site.open();
    let fill = |n: u64| (0..n).for_each(|_| drop(log.accept(site.event("door"))));
    fill(100);
    assert!(log.reading().had(&Arc::from("needed"), 60, Vec::new()));
    fill(2500);
    let range = |item: &String| -> Option<(u64, u64)> {
        let (first, last) = item.strip_prefix("lost ")?.split_once("..")?;
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let losses: Vec<(u64, u64)> = all(&log, 0).iter().filter_map(range).collect();
    let around = losses.iter().copied().find(|(first, last)| *first <= 60 && 60 < *last);
    let (first, last) = around.unwrap_or_else(|| panic!("none around 60: {losses:?}"));
    assert!(log.reading().had(&Arc::from("second"), last, Vec::new()));
    fill(500);
    let (epoch, seen) = (log.state().epoch, all(&log, 60));
    assert_eq!(seen[0], format!("lost {first}..{last}"), "whoever is in the middle of it hears of it");
    finish(log);
    let log = site.open();
    assert_eq!((log.state().epoch, all(&log, 60)), (epoch, seen));
}

#[test]
fn who_is_not_required_pins_nothing() {
    let mut site = Site::new();
    site.sinks = vec![sink("other", false)];
    site.rules.budget = WAL + (1 << 20);
    let log = site.open();
    (0..2500).for_each(|_| drop(log.accept(site.event("door"))));
    let seen = all(&log, 0);
    assert_eq!(seen[0], format!("1..{}", log.state().first - 1));
    assert!(seen.iter().all(|item| !item.starts_with("lost")));
}

#[test]
fn a_sink_that_is_not_configured_any_more_pins_nothing_and_begins_anew() {
    let mut site = Site::new();
    let log = site.open();
    (0..5).for_each(|_| drop(log.accept(site.event("door"))));
    finish(log);
    let before = std::mem::replace(&mut site.sinks, vec![sink("other", false)]);
    finish(site.open());
    site.sinks = before;
    site.sinks[0].from_oldest = false;
    let log = site.open();
    assert_eq!(log.reading().cursor("needed"), Some(5), "with what comes next");
    assert_eq!(log.reading().cursor("other"), Some(0));
}
