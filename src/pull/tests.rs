//! What a reader gets: everything once and in order, from where it says, and word of what it missed.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::events::log::EventLog;
use crate::events::log::tests::{Site, finish, sink};
use crate::events::{Data, LostData, LostReason};
use crate::gallery::crypt::Key;
use crate::sinks::shape::Fields;
use crate::types::ids::IdentityId;

/// A log of which nobody has to have anything.
fn site() -> Site {
    let mut site = Site::new();
    site.sinks = vec![sink("other", false)];
    site.rules.keep = Duration::from_secs(60);
    site
}

fn fill(site: &Site, log: &EventLog, count: usize) {
    for _ in 0..count {
        log.accept(site.event("door")).expect("accepted");
    }
}

fn source(site: &Site, log: &EventLog) -> Source {
    Source::new(log.reading(), site.maker.clone(), site.clock.clone())
}

/// Everything after the place, page by page; and the place behind it.
fn read(puller: &Puller, from: Place, most: usize) -> (Vec<Event>, Place) {
    let (mut place, mut events) = (from, Vec::new());
    for _ in 0..10_000 {
        let page = puller.page(place, most).unwrap_or_else(|e| panic!("{}", e.chain()));
        if page.events.is_empty() && page.next == place {
            return (events, place);
        }
        let last = page.events.last().map(|given| given.after);
        assert!(last.is_none_or(|last| last.epoch == page.next.epoch && last.sequence <= page.next.sequence));
        let parse = |given: &Given| serde_json::from_str::<Event>(&given.line).expect("an event");
        events.extend(page.events.iter().map(parse));
        place = page.next;
    }
    panic!("never came to the end");
}

fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::sequence).collect()
}

#[track_caller]
fn lost(event: &Event) -> LostData {
    match &event.data {
        Data::Lost(lost) => (**lost).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_event_comes_once_in_order_and_every_cursor_is_a_place_to_go_on_from() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 20);
    let source = source(&site, &log);
    let puller = source.puller(Shape::default());
    let (all, end) = read(&puller, source.place(Start::Oldest), 7);
    assert_eq!(sequences(&all), (1..=20).collect::<Vec<_>>());
    assert_eq!(end, source.place(Start::Now));
    // From the cursor of any event the rest comes, and nothing twice, also after a restart.
    let page = puller.page(source.place(Start::Oldest), 1000).expect("read");
    let cursors: Vec<String> = page.events.iter().map(|given| source.cursor(given.after)).collect();
    finish(log);
    let log = site.open();
    let source = super::tests::source(&site, &log);
    for (had, cursor) in (1..).zip(&cursors) {
        let place = source.place(source.start(cursor).expect("ours"));
        let (rest, _) = read(&source.puller(Shape::default()), place, 3);
        assert_eq!(sequences(&rest), (had + 1..=20).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_no_cursor_of_ours_is_refused_with_what_to_do() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 3);
    let source = source(&site, &log);
    let other = Cursors::new(Key::generate().expect("random"));
    let forged = other.text(source.place(Start::Now));
    for text in ["", "Oldest", "7", &forged, &source.cursor(source.place(Start::Now)).to_lowercase()] {
        let error = source.start(text).expect_err(text).to_string();
        assert!(error.contains("oldest") && error.contains("as this daemon gave it"), "{error}");
        assert!(text.len() < 3 || !error.contains(text), "what came is not repeated: {error}");
    }
}

#[test]
fn retention_takes_what_a_reader_has_not_had_and_it_learns_the_exact_range() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 5);
    let source = source(&site, &log);
    let puller = source.puller(Shape::default());
    let page = puller.page(source.place(Start::Oldest), 2).expect("read");
    let behind = page.next;
    assert_eq!(behind.sequence, 2);
    // It stops there, and nothing waits for it.
    site.clock.advance(Duration::from_secs(200));
    fill(&site, &log, 2);
    finish(log);
    let log = site.open();
    fill(&site, &log, 1);
    assert_eq!(log.state().first, 6, "retention did not wait for the reader");
    let source = super::tests::source(&site, &log);
    let puller = source.puller(Shape::default());
    let (rest, _) = read(&puller, behind, 100);
    assert_eq!(sequences(&rest), [5, 6, 7, 8]);
    let told = lost(&rest[0]);
    assert_eq!((told.first, told.last, told.count), (Some(3), Some(5), 3));
    assert_eq!((told.reason, told.of_log), (LostReason::Expired, None));
    // Told again, it is the same event: a duplicate like any other.
    let (again, _) = read(&puller, behind, 100);
    assert_eq!(again[0].id, rest[0].id);
    // From the oldest there is, nothing was missed.
    let (fresh, _) = read(&puller, source.place(Start::Oldest), 100);
    assert_eq!(sequences(&fresh), [6, 7, 8]);
}

#[test]
fn who_asks_for_some_types_only_is_told_of_a_gap_all_the_same() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 4);
    site.clock.advance(Duration::from_secs(200));
    fill(&site, &log, 1);
    finish(log);
    let log = site.open();
    fill(&site, &log, 1);
    let source = source(&site, &log);
    let shape = Shape { types: Some(vec![EventType::Recognized]), ..Shape::default() };
    let start = Place { sequence: 0, ..source.place(Start::Oldest) };
    let (events, end) = read(&source.puller(shape), start, 1);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((lost(&events[0]).first, lost(&events[0]).last), (Some(1), Some(4)));
    assert_eq!(end, source.place(Start::Now), "what is not for it is passed by");
}

#[test]
fn a_cursor_of_another_epoch_is_told_of_and_goes_on_from_the_new_ones_start() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 9);
    let source = source(&site, &log);
    let cursor = source.cursor(Place { sequence: 4, ..source.place(Start::Oldest) });
    let old = log.state().epoch;
    finish(log);
    std::fs::remove_file(site.path()).expect("there");
    let log = site.open();
    fill(&site, &log, 2);
    let source = super::tests::source(&site, &log);
    let puller = source.puller(Shape::default());
    let place = source.place(source.start(&cursor).expect("signed by the same key"));
    let (events, _) = read(&puller, place, 100);
    let epoch = log.state().epoch;
    assert_ne!(epoch, old);
    let told = lost(&events[0]);
    assert_eq!((told.of_log, told.first, told.last, told.count), (Some(old), Some(5), None, 0));
    assert_eq!((told.reason, events[0].log(), events[0].sequence()), (LostReason::Salvaged, epoch, 0));
    // The log itself tells in its own events what it knows of the one before.
    let known = lost(&events[1]);
    assert_eq!((known.of_log, known.first, known.last), (Some(old), Some(1), Some(9)));
    assert_eq!(sequences(&events[1..]), [1, 2, 3]);
    let (again, _) = read(&puller, place, 100);
    assert_eq!(again[0].id, events[0].id);
}

#[test]
fn a_cursor_beyond_the_end_means_that_an_older_log_was_put_back() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 4);
    finish(log);
    let kept = std::fs::read(site.path()).expect("read");
    let log = site.open();
    fill(&site, &log, 5);
    let source = source(&site, &log);
    let place = source.place(Start::Now);
    finish(log);
    // Somebody puts back everything, the head with it.
    std::fs::write(site.path(), kept).expect("written");
    for name in ["events.head", "events.db-wal", "events.db-shm"] {
        let _ = std::fs::remove_file(site.folder.path().join(name));
    }
    let log = site.open();
    assert_eq!((log.state().epoch, log.state().last), (place.epoch, 4));
    let source = super::tests::source(&site, &log);
    let (events, _) = read(&source.puller(Shape::default()), place, 100);
    let told = lost(&events[0]);
    assert_eq!((told.first, told.last, told.reason), (Some(5), Some(9), LostReason::Salvaged));
    assert_eq!(sequences(&events[1..]), [1, 2, 3, 4], "again, rather than not");
}

#[test]
fn damaged_events_are_told_in_their_place_and_the_rest_comes() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 6);
    site.raw().execute("UPDATE events SET body = x'7b7d' WHERE sequence = 3", []).expect("changed");
    let source = source(&site, &log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut follow = Follow::new(&source, Shape::default(), source.place(Start::Oldest));
    let events = runtime.block_on(async {
        let mut events = Vec::new();
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while events.len() < 6 {
            match follow.next(100, until).await {
                Ok(Next::Events(given)) => events.extend(given),
                other => panic!("{other:?} after {events:?}"),
            }
        }
        events
    });
    let third: Event = serde_json::from_str(&events[2].line).expect("an event");
    assert_eq!((lost(&third).first, lost(&third).reason), (Some(3), LostReason::Damaged));
    assert_eq!(events.iter().map(|given| given.after.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn each_reader_gets_its_own_shape_of_the_same_events() {
    let site = site();
    let who = IdentityId::generate();
    site.ring.know(who, Key::generate().expect("random"));
    let log = site.open();
    log.accept(site.recognized(who, "Ana Beltrán", &["vip"])).expect("accepted");
    fill(&site, &log, 1);
    let source = source(&site, &log);
    let line = |fields| {
        let shape = Shape { fields, types: Some(vec![EventType::Recognized]), ..Shape::default() };
        let page = source.puller(shape).page(source.place(Start::Oldest), 10).expect("read");
        assert_eq!((page.events.len(), page.next.sequence), (1, 2));
        page.events[0].line.clone()
    };
    let id = who.to_string();
    let (name, pseudonym, count) = (line(Fields::Name), line(Fields::Pseudonym), line(Fields::Count));
    assert!(name.contains("Ana Beltrán") && name.contains(&id), "{name}");
    assert!(!pseudonym.contains("Ana") && pseudonym.contains(&id), "{pseudonym}");
    assert!(!count.contains("Ana") && !count.contains(&id), "{count}");
}

#[test]
fn readers_wait_without_a_thread_are_woken_and_end_with_the_log_after_its_last_event() {
    let site = site();
    let log = site.open();
    let source = source(&site, &log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let long = || tokio::time::Instant::now() + Duration::from_secs(60);
    let given = runtime.block_on(async {
        let follow = || Follow::new(&source, Shape::default(), source.place(Start::Now));
        let mut late = follow();
        assert_eq!(late.next(9, tokio::time::Instant::now()).await.expect("read"), Next::Late);
        let readers = (0..50).map(|_| {
            let mut follow = follow();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    match follow.next(9, long()).await.expect("read") {
                        Next::Events(events) => seen.extend(events.iter().map(|given| given.after.sequence)),
                        Next::Late => {}
                        Next::Over => return seen,
                    }
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        let writer = tokio::task::spawn_blocking(move || {
            fill(&site, &log, 30);
            finish(log);
            site
        });
        let mut given = Vec::new();
        for reader in readers {
            given.push(reader.await.expect("ended"));
        }
        drop(writer.await);
        given
    });
    let all: Vec<u64> = (1..=30).collect();
    assert!(given.iter().all(|seen| *seen == all), "{given:?}");
}

/// The log's thread saves what it can, in a new epoch, while somebody reads.
#[test]
fn a_log_that_breaks_under_a_reader_is_told_of_and_the_reader_goes_on() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 5);
    let (source, old) = (source(&site, &log), log.state().epoch);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut follow = Follow::new(&source, Shape::default(), source.place(Start::Oldest));
    let mut next = || {
        runtime.block_on(async {
            loop {
                match follow.next(100, until).await {
                    Ok(Next::Events(given)) => break given,
                    Ok(other) => panic!("{other:?}"),
                    // It cannot be read until it is saved.
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        })
    };
    let parse = |given: &Given| serde_json::from_str::<Event>(&given.line).expect("an event");
    let before: Vec<Event> = next().iter().map(parse).collect();
    assert_eq!(sequences(&before), [1, 2, 3, 4, 5]);
    assert_eq!(site.raw().execute("UPDATE state SET last = 3", []).expect("changed"), 1);
    let told = parse(&next()[0]);
    assert_ne!(log.state().epoch, old);
    assert_eq!((lost(&told).of_log, lost(&told).first, told.log()), (Some(old), Some(6), log.state().epoch));
    let again: Vec<Event> = next().iter().map(parse).collect();
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&before), "what was saved is told again, with the same ids");
    fill(&site, &log, 1);
    assert_eq!(parse(&next()[0]).sequence(), 6);
}

/// A log that is saved once is whole: those who saw it broken before do not have it saved again.
#[test]
fn many_who_see_that_the_log_is_broken_cost_one_epoch() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 5);
    let old = log.state().epoch;
    let other = site.raw();
    other.execute("UPDATE state SET last = 3", []).expect("changed");
    // While somebody else writes, the log's thread cannot, and hears of it several times.
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let mut readings: Vec<_> = (0..4).map(|_| log.reading()).collect();
    readings.iter_mut().for_each(|reading| drop(reading.after(old, 5, 10).expect_err("broken")));
    other.execute_batch("COMMIT").expect("done");
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while log.state().epoch == old {
        assert!(std::time::Instant::now() < until, "the log is not saved");
        std::thread::sleep(Duration::from_millis(2));
    }
    // What is accepted after these was heard of after all of them.
    (0..2).for_each(|_| fill(&site, &log, 1));
    let aside = rusqlite::Connection::open(site.folder.path().join("events.db.damaged")).expect("opens");
    let epoch: [u8; 16] = aside.query_row("SELECT epoch FROM state", [], |row| row.get(0)).expect("a state");
    assert_eq!(Uuid::from_bytes(epoch), old, "what was put aside last is what was broken");
}

/// Whoever comes last, or is behind when the log ends, has its last events all the same.
#[test]
fn what_was_accepted_before_the_end_is_read_after_it() {
    let site = site();
    let log = site.open();
    let source = source(&site, &log);
    fill(&site, &log, 5);
    finish(log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut follow = Follow::new(&source, Shape::default(), source.place(Start::Oldest));
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    for expected in [vec![1, 2, 3], vec![4, 5], vec![]] {
        let seen = match runtime.block_on(follow.next(3, until)).expect("read") {
            Next::Events(given) => given.iter().map(|given| given.after.sequence).collect(),
            Next::Over => vec![],
            Next::Late => panic!("it waits for what does not come"),
        };
        assert_eq!(seen, expected);
    }
}

/// Readers come and go; connections to the log's file do not pile up.
#[test]
fn many_readers_share_a_few_connections_to_the_log() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 3);
    let source = source(&site, &log);
    let pullers: Vec<Puller> = (0..200).map(|_| source.puller(Shape::default())).collect();
    for puller in &pullers {
        assert_eq!(sequences(&read(puller, source.place(Start::Oldest), 10).0), [1, 2, 3]);
    }
    assert_eq!(source.idle.lock().expect("whole").len(), 2);
}

#[test]
fn an_epoch_that_no_log_has_is_no_reason_to_fail() {
    let site = site();
    let log = site.open();
    fill(&site, &log, 1);
    let source = source(&site, &log);
    let place = Place { epoch: Uuid::now_v7(), sequence: u64::MAX };
    let (events, _) = read(&source.puller(Shape::default()), place, 10);
    assert_eq!(sequences(&events), [0, 1]);
    let place = Place { sequence: u64::MAX, ..source.place(Start::Now) };
    let (events, _) = read(&source.puller(Shape::default()), place, 10);
    assert_eq!((lost(&events[0]).first, sequences(&events)), (Some(2), vec![1, 1]));
}
