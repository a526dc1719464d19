//! Rotation by age.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn site() -> Site {
    let mut site = Site::new(1 << 20, 100);
    site.config.rotate_every = Some(HOUR);
    site
}

/// Event `n`, published so long after the start.
fn at(n: u64, after: Duration) -> Delivery {
    let mut delivery = delivery(n);
    delivery.event.time = Timestamp::UNIX_EPOCH.checked_add(after).expect("in range");
    delivery.json = delivery.event.to_line();
    delivery
}

/// Time passes, and an event is published and written.
fn publish_at(site: &Site, sink: &mut Jsonl, n: u64, after: Duration) {
    let now = Duration::try_from(site.clock.now().wall.duration_since(Timestamp::UNIX_EPOCH)).expect("after");
    site.clock.advance(after.saturating_sub(now));
    let sent = send(sink, &[at(n, after)]);
    assert!(sent.trouble.is_none(), "{sent:?}");
}

#[test]
fn it_rotates_when_the_first_event_of_the_file_is_that_old() {
    let site = site();
    let mut sink = site.open();
    // The file is there from the start; its first event comes later, and counts.
    publish_at(&site, &mut sink, 1, HOUR / 2);
    publish_at(&site, &mut sink, 2, HOUR + HOUR / 4);
    publish_at(&site, &mut sink, 3, HOUR + HOUR / 2);
    publish_at(&site, &mut sink, 4, HOUR * 2);
    publish_at(&site, &mut sink, 5, HOUR * 3);
    assert_eq!((site.events(".2"), site.events(".1"), site.events("")), (vec![1, 2], vec![3, 4], vec![5]));
}

#[test]
fn the_age_survives_a_restart() {
    let site = site();
    publish_at(&site, &mut site.open(), 1, HOUR / 2);
    publish_at(&site, &mut site.open(), 2, HOUR);
    publish_at(&site, &mut site.open(), 3, HOUR * 2);
    assert_eq!((site.events(".1"), site.events("")), (vec![1, 2], vec![3]));
}

#[test]
fn an_old_file_is_rotated_while_nothing_comes_and_an_empty_one_never() {
    let site = site();
    let mut sink = site.open();
    site.clock.advance(HOUR * 5);
    sink.idle();
    assert_eq!(site.names(), names([""]));
    publish_at(&site, &mut sink, 1, HOUR * 6);
    site.clock.advance(HOUR - Duration::from_secs(1));
    sink.idle();
    assert_eq!(site.events(""), [1]);
    site.clock.advance(Duration::from_secs(1));
    sink.idle();
    assert_eq!((site.events(".1"), site.events("")), (vec![1], vec![]));
    site.clock.advance(HOUR * 5);
    sink.idle();
    assert_eq!(site.names(), names(["", ".1"]));
}

/// Were the age that of the clock, each event of yesterday would have a file of its own, and `keep` would be used up at once.
#[test]
fn a_backlog_is_cut_by_the_time_of_its_events() {
    let site = site();
    let mut sink = site.open();
    site.clock.advance(HOUR * 30);
    let batch: Vec<Delivery> = (0..12).map(|n| at(n + 1, HOUR / 4 * n as u32)).collect();
    assert_eq!(send(&mut sink, &batch).taken, 12);
    let files = [".2", ".1", ""].map(|suffix| site.events(suffix));
    assert_eq!(files, [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10, 11, 12]]);
}

#[test]
fn a_clock_that_was_wrong_holds_up_no_rotation() {
    let site = site();
    let mut sink = site.open();
    // Published ten years ahead, by a clock that is right by now.
    let sent = send(&mut sink, &[at(1, HOUR * 87_600)]);
    assert!(sent.trouble.is_none(), "{sent:?}");
    publish_at(&site, &mut sink, 2, HOUR / 2);
    publish_at(&site, &mut sink, 3, HOUR);
    assert_eq!((site.events(".1"), site.events("")), (vec![1, 2], vec![3]));
    // And one that goes back is no age.
    site.clock.set_wall(Timestamp::UNIX_EPOCH);
    assert_eq!(send(&mut sink, &[at(4, Duration::ZERO)]).taken, 1);
    assert_eq!(site.events(""), [3, 4]);
}

#[test]
fn a_file_without_an_event_at_its_start_is_as_old_as_its_last_change() {
    let site = site();
    fs::write(&site.config.path, "no event\n").expect("written");
    fs::File::open(&site.config.path)
        .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
        .expect("changed");
    let mut sink = site.open();
    publish_at(&site, &mut sink, 1, HOUR / 2);
    publish_at(&site, &mut sink, 2, HOUR);
    assert_eq!((site.events(".1"), site.events("")), (vec![1], vec![2]));
}
