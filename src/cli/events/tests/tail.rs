//! `events tail` and `events show`

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::cli::events::filter::Filter;
use crate::cli::events::tail;
use crate::events::id_of_gap;

fn numbers(out: &str) -> Vec<u64> {
    let number = |line: &str| line.split_whitespace().next()?.parse().ok();
    out.lines().skip(1).filter_map(number).collect()
}

fn json(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn the_newest_events_are_a_table() {
    let site = Site::new();
    let log = site.open();
    let who = somebody(&site);
    accept(&log, site.event("door"));
    accept(&log, site.recognized(who, "Ada \u{1b}[2JLovelace", &["vip", "guests"]));
    accept(&log, site.recognized(IdentityId(Uuid::nil()), "nobody's name is kept", &[]));
    finish(log);
    let expected = "\
NUMBER  TIME                 TYPE        CAMERA  WHO                                   WHAT
     1  2026-03-01 09:30:00  camera      door                                          connecting
     2  2026-03-01 09:30:00  recognized  door    Ada  [2JLovelace (vip, guests)        confirmed, score 0.61 of 0.42
     3  2026-03-01 09:30:00  recognized  door    00000000-0000-0000-0000-000000000000  confirmed, score 0.61 of 0.42
";
    assert_eq!(run(&site, "tail").printed(), expected);
    assert_eq!(numbers(&run(&site, "tail -n 2").printed()), [2, 3]);
    assert_eq!(run(&site, "tail -n 0").printed(), "");
}

#[test]
fn what_fits_is_looked_for_as_far_back_as_it_takes() {
    let site = Site::new();
    let log = site.open();
    fill(&site, &log, 3, "gate");
    fill(&site, &log, 700, "door");
    accept(&log, site.event("gate"));
    finish(log);
    let shown = |line| numbers(&run(&site, line).printed());
    assert_eq!(shown("tail"), (695..=704).collect::<Vec<_>>());
    assert_eq!(shown("tail --camera gate"), [1, 2, 3, 704]);
    assert_eq!(shown("tail --camera gate -n 3"), [2, 3, 704]);
    assert_eq!(shown("tail --camera gate --camera door -n 2"), [703, 704]);
    assert_eq!(shown("tail --after 2 --camera gate"), [3, 704]);
    assert_eq!(shown("tail --after 700"), [701, 702, 703, 704]);
    assert_eq!(shown("tail --after 700 -n 2"), [703, 704]);
    assert_eq!(shown("tail --after 704"), Vec::<u64>::new());
    assert_eq!(shown("tail --type recognized"), Vec::<u64>::new());
    assert_eq!(shown("tail --since 2026-03-01T08:30:00Z").len(), 704);
    assert_eq!(shown("tail --since 2026-03-01T08:30:01Z"), Vec::<u64>::new());
}

#[test]
fn somebody_is_found_by_id_name_and_list_and_what_is_of_nobody_does_not_fit() {
    let site = Site::new();
    let log = site.open();
    let (ada, ben) = (somebody(&site), somebody(&site));
    accept(&log, site.event("door"));
    accept(&log, site.recognized(ada, "Ada Lovelace", &["vip"]));
    accept(&log, site.recognized(ben, "Ben Okafor", &["staff"]));
    finish(log);
    let shown = |line: &str| numbers(&run(&site, line).printed());
    assert_eq!(shown(&format!("tail --who {ada}")), [2]);
    assert_eq!(shown("tail --who \"ada lovelace\""), [2]);
    assert_eq!(shown("tail --who Ada"), Vec::<u64>::new(), "no part of a name");
    assert_eq!(shown("tail --list staff --list guests"), [3]);
    assert_eq!(shown("tail --type recognized --list vip"), [2]);
    // Who was forgotten is found by the id alone, and has no name.
    site.ring.forget(ada);
    assert_eq!(shown("tail --who \"ada lovelace\""), Vec::<u64>::new());
    let line = run(&site, &format!("tail --who {ada}")).printed();
    assert!(numbers(&line) == [2] && !line.contains("Lovelace"), "{line}");
    for line in ["tail --json", "show 2", "show 2 --json", "export", "export --format csv", "verify"] {
        let printed = run(&site, line).printed();
        assert!(!printed.contains("Lovelace"), "{line}: {printed}");
    }
}

#[test]
fn with_json_a_line_is_the_event_as_sinks_get_it() {
    let site = Site::new();
    let log = site.open();
    let who = somebody(&site);
    let mut events = vec![site.event("door"), site.recognized(who, "Ada Lovelace", &["vip"])];
    let epoch = log.state().epoch;
    for (sequence, event) in (1..).zip(&mut events) {
        accept(&log, event.clone());
        event.place(epoch, sequence);
    }
    finish(log);
    let expected: String = events.iter().map(|event| event.to_line() + "\n").collect();
    assert_eq!(run(&site, "tail --json").printed(), expected);
    assert_eq!(run(&site, "export").printed(), expected);
}

#[test]
fn what_is_missing_is_shown_in_its_place() {
    let mut site = Site::new();
    site.rules.lists = [("gate".to_owned(), Duration::from_secs(86_400))].into();
    let log = site.open();
    accept(&log, site.event("door"));
    accept(&log, site.recognized(IdentityId::generate(), "x", &["gate"]));
    accept(&log, site.recognized(IdentityId::generate(), "x", &["gate"]));
    fill(&site, &log, 3, "door");
    let epoch = log.state().epoch;
    let_expire(&site, &log, 6);
    finish(log);
    site.raw().execute("UPDATE events SET at = at + 1 WHERE sequence = 5", []).expect("changed");
    let shown = run(&site, "tail").printed();
    let words: Vec<String> =
        shown.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words[2], "3 expired 2 events: retention took them (2 to 3)", "{shown}");
    assert_eq!(
        words[4], "5 damaged 1 event: not as written, or missing; see `watchlistd events verify`",
        "{shown}"
    );
    assert_eq!(numbers(&shown), [1, 3, 4, 5, 6, 7, 8]);
    // For programs they are events, the very ones that a sink is told: with the same ids.
    let events = json(&run(&site, "tail --json").printed());
    let (gone, damaged) = (&events[1], &events[3]);
    assert_eq!(
        (&gone["type"], &gone["data"]["reason"]),
        (&"io.watchlistd.lost.v1".into(), &"expired".into())
    );
    assert_eq!((&gone["data"]["first"], &gone["data"]["last"]), (&2.into(), &3.into()));
    assert_eq!(
        (&gone["data"]["sequence"], &gone["id"]),
        (&3.into(), &id_of_gap(epoch, 2, 3).to_string().into())
    );
    assert_eq!((&damaged["data"]["reason"], &damaged["data"]["first"]), (&"damaged".into(), &5.into()));
    // Who asks for other types is told beside them.
    let ran = run(&site, "tail --json --type camera");
    assert!(ran.err.contains("Not shown, 2 to 3: 2 events: retention took them"), "{}", ran.err);
    assert_eq!(json(&ran.out).len(), 5);
    // What lies before the first event is told to whoever had come so far.
    let log = site.open();
    // A sink comes by what is damaged, so that its loss stands there, and is too old in time.
    log.reading().after(log.state().epoch, 0, 100).expect("read");
    assert!(log.settle(Duration::from_secs(60)));
    site.clock.advance(Duration::from_secs(40 * 86_400));
    let_expire(&site, &log, 8);
    finish(log);
    let ran = run(&site, "tail --after 4 --json").printed();
    assert_eq!(
        (&json(&ran)[0]["data"]["first"], &json(&ran)[0]["data"]["reason"]),
        (&5.into(), &"expired".into())
    );
    assert_eq!(numbers(&run(&site, "tail").printed()), [9, 10], "and not to who only wants the newest");
}

#[test]
fn one_event_is_shown_with_what_became_of_it() {
    let site = filled(7);
    let log = site.open();
    let dead = vec![(4, "400 Bad \u{1b}[2JRequest".to_owned())];
    assert!(log.reading().had(&Arc::from("needed"), 5, dead));
    finish(log);
    let line = run(&site, "tail --json --after 3 -n 4").printed();
    let fourth = &json(&line)[0];
    let shown = run(&site, "show 4").printed();
    for words in [
        "number    4\n",
        "what      connecting\n",
        "sink needed: refused it, 2026-03-01 09:30:00: 400 Bad  [2JRequest\n",
        "sink other: has not had it; 3 events before it\n",
        "\n{\n  \"specversion\": \"1.0\",\n",
    ] {
        assert!(shown.contains(words), "{words:?} is missing in:\n{shown}");
    }
    let by_id = run(&site, &format!("show {} --json", fourth["id"].as_str().expect("an id"))).printed();
    let report = &json(&by_id)[0];
    assert_eq!((&report["event"], &report["sequence"], &report["first"]), (fourth, &4.into(), &Value::Null));
    assert_eq!(
        (&report["sinks"][0]["state"], &report["sinks"][1]["state"]),
        (&"refused".into(), &"waiting".into())
    );
    let third = json(&run(&site, "show 3 --json").printed());
    assert_eq!(third[0]["sinks"][0]["state"], "past");

    let beyond = run(&site, "show 8");
    assert_eq!((beyond.status(), beyond.refusal().contains("ends at 7")), (66, true), "{}", beyond.refusal());
    assert_eq!(run(&site, &format!("show {}", Uuid::now_v7())).status(), 66);
    site.raw().execute("UPDATE events SET kind = 'x' WHERE sequence = 2", []).expect("changed");
    assert_eq!(run(&site, "show 2").status(), 65);
    for wrong in
        ["show", "show 0", "show door", "show -1", "tail --type odd", "tail -n x", "tail --camera a/b"]
    {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn to_follow_there_has_to_be_a_daemon() {
    let site = filled(1);
    let ran = run(&site, "tail --follow");
    assert_eq!((ran.status(), ran.out.as_str()), (69, ""));
    assert!(ran.refusal().contains("no daemon runs"), "{}", ran.refusal());
    let ran = run(&site, "tail -n 100001");
    assert_eq!(ran.status(), 64);
}

/// The desk of a daemon that writes this log.
fn daemon(log: &EventLog) -> impl Fn() -> Result<Asking> + use<> {
    let inspector = log.inspector();
    move || {
        let mut asking = Asking::of_log(inspector.clone());
        asking.daemon = true;
        Ok(asking)
    }
}

#[test]
fn whoever_follows_has_every_event_once_and_hears_of_the_end() {
    let site = Site::new();
    let log = site.open();
    fill(&site, &log, 25, "door");
    let open = daemon(&log);
    let following = std::thread::spawn(move || {
        let ran = run_with("tail --follow --json -n 5", open);
        (ran.out.clone(), ran.status(), ran.refusal())
    });
    for n in 0..300 {
        accept(&log, site.event(if n % 2 == 0 { "door" } else { "gate" }));
    }
    finish(log);
    let (out, status, refusal) = following.join().expect("no panic");
    assert_eq!(status, 69);
    assert!(refusal.contains("the daemon ended") && refusal.contains("--after 325"), "{refusal}");
    let sequences: Vec<u64> =
        json(&out).iter().filter_map(|event| event["data"]["sequence"].as_u64()).collect();
    let first = sequences[0];
    assert!(first >= 21, "the newest five when it began: {first}");
    assert_eq!(sequences, (first..=325).collect::<Vec<_>>(), "in order, and none twice");
}

#[test]
fn a_log_that_was_saved_meanwhile_is_followed_into_its_new_epoch() {
    let site = Site::new();
    let log = site.open();
    fill(&site, &log, 20, "door");
    let (mut console, out, err) = console(true, None);
    let maker = maker();
    let mut asking = daemon(&log)().expect("a desk");
    let mut follower = tail::Follower::new(&mut console, &maker, Filter::default());
    follower.newest(&mut asking, None, 3).expect("shown");
    // Its file is damaged, and the daemon notices.
    let old = log.state().epoch;
    site.raw().execute("UPDATE state SET last = 9", []).expect("changed");
    assert!(log.reading().after(old, 0, 1).is_err());
    accept(&log, site.event("gate"));
    assert!(log.settle(Duration::from_secs(60)));
    assert_ne!(log.state().epoch, old, "what could be read was saved");
    follower.step(&mut asking).expect("another epoch");
    follower.step(&mut asking).expect("what came");
    let events = json(&out.text());
    let ids: BTreeSet<String> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!((events.len(), ids.len()), (4, 4), "three of before, and the new one");
    assert_eq!(events[3]["data"]["camera"], "gate");
    assert!(err.text().contains("new epoch"), "{}", err.text());
}

#[test]
fn only_so_many_wait_at_once() {
    let site = filled(1);
    let log = site.open();
    let clerk = crate::events::desk::Clerk::new(log.inspector());
    let read = |after, wait_ms| crate::events::desk::Question::Read { log: None, after, most: 1, wait_ms };
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let clerk = clerk.clone();
            // Who finds no room, as another one has it for a moment, asks again; until there is another event.
            std::thread::spawn(move || {
                while !clerk.answer(&read(1, 5000)).is_ok_and(|reply| reply.value["last"] != 1) {}
            })
        })
        .collect();
    let refused = std::iter::repeat_with(|| clerk.answer(&read(1, 1))).take(100_000).find_map(Result::err);
    let refused = refused.expect("refused once eight wait");
    assert_eq!(refused.kind(), Kind::Temporary);
    assert!(refused.to_string().contains("8 others follow"), "{refused}");
    clerk.answer(&read(1, 0)).expect("who does not wait is answered");
    accept(&log, site.event("door"));
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    clerk.answer(&read(2, 1)).expect("there is room again");
    finish(log);
}
