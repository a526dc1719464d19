//! What a sink can count on, and the log with it, whatever a sink does.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::base::clock::SystemClock;
use crate::events::log::EventLog;
use crate::events::log::tests::{Site, finish, sink};

mod forgetting;

/// Sequences that arrived, in order.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<u64>>>);

impl Arrived {
    fn all(&self) -> Vec<u64> {
        self.0.lock().expect("whole").clone()
    }

    /// Waits until that many arrived.
    fn wait(&self, count: usize) -> Vec<u64> {
        let until = Instant::now() + Duration::from_secs(60);
        while self.all().len() < count {
            assert!(Instant::now() < until, "{} of {count} arrived", self.all().len());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.all()
    }
}

/// A sink that does what the test says with each event; what it takes has arrived.
struct Scripted<F>(Arrived, F);

impl<F: FnMut(u64, &Stop) -> Option<Trouble> + Send> Sink for Scripted<F> {
    fn batch(&self) -> usize {
        4
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        for (taken, event) in batch.iter().enumerate() {
            if let Some(trouble) = (self.1)(event.sequence, stop) {
                return Sent::until(taken, trouble);
            }
            self.0.0.lock().expect("whole").push(event.sequence);
        }
        Sent::all(batch)
    }
}

fn takes(arrived: &Arrived) -> Box<dyn Sink> {
    Box::new(Scripted(arrived.clone(), |_, _: &Stop| None))
}

fn later() -> Option<Trouble> {
    Some(Trouble::Later { error: err!(Io, "not now"), after: None })
}

fn start(
    site: &Site,
    log: &EventLog,
    name: &str,
    sink: Box<dyn Sink>,
) -> (Running, Arc<SinkStats>, Receiver<()>) {
    start_with(site, log, name, sink, Manner::default())
}

fn start_with(
    site: &Site,
    log: &EventLog,
    name: &str,
    sink: Box<dyn Sink>,
    manner: Manner,
) -> (Running, Arc<SinkStats>, Receiver<()>) {
    let stats = site.stats.events.add_sink(name);
    let manner = Manner { first: Duration::from_millis(1), most: Duration::from_millis(4), ..manner };
    let needs = Needs {
        name: name.into(),
        reading: log.reading(),
        shaping: Box::new(Some),
        manner,
        maker: site.maker.clone(),
        // Waits are short here, and real.
        clock: Arc::new(SystemClock::new()),
        stats: stats.clone(),
    };
    let (tell, gone) = crossbeam_channel::bounded(1);
    let running =
        Running::start(sink, needs, Box::new(move || tell.send(()).unwrap_or_default())).expect("started");
    (running, stats, gone)
}

fn fill(site: &Site, log: &EventLog, count: usize) {
    for _ in 0..count {
        log.accept(site.event("door")).expect("accepted");
    }
}

fn end(running: Running) {
    running.finish(Duration::from_secs(60)).expect("ended");
}

#[test]
fn a_sink_that_fails_has_everything_afterwards_and_holds_no_other() {
    let site = Site::new();
    let log = site.open();
    let (flaky, steady) = (Arrived::default(), Arrived::default());
    let mut attempts = 0;
    let act = move |_, _: &Stop| {
        attempts += 1;
        if attempts % 3 == 0 { None } else { later() }
    };
    let (one, stats, _) = start(&site, &log, "needed", Box::new(Scripted(flaky.clone(), act)));
    let (two, _, _) = start(&site, &log, "other", takes(&steady));
    fill(&site, &log, 20);
    let expected: Vec<u64> = (1..=20).collect();
    assert_eq!(steady.wait(20), expected);
    assert_eq!(flaky.wait(20), expected, "in order, each once");
    end(one);
    end(two);
    assert_eq!((stats.written.get(), stats.lost.get(), stats.behind.get()), (20, 0, 0));
    assert!(stats.failures.get() >= 20);
    assert_eq!(log.reading().cursor("needed"), Some(20));
}

#[test]
fn after_a_restart_it_goes_on_behind_what_it_has_had() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 10);
    end(start(&site, &log, "needed", takes(&arrived)).0);
    finish(log);
    let log = site.open();
    fill(&site, &log, 5);
    end(start(&site, &log, "needed", takes(&arrived)).0);
    assert_eq!(arrived.all(), (1..=15).collect::<Vec<_>>());
}

#[test]
fn what_is_refused_for_good_is_a_dead_letter_and_the_rest_goes_on() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 10);
    let act =
        |n: u64, _: &Stop| [3, 4, 10].contains(&n).then(|| Trouble::Refused { error: err!(Data, "no {n}") });
    let (running, stats, _) = start(&site, &log, "needed", Box::new(Scripted(arrived.clone(), act)));
    end(running);
    assert_eq!(arrived.all(), [1, 2, 5, 6, 7, 8, 9]);
    assert_eq!((stats.written.get(), stats.lost.get()), (7, 3));
    assert_eq!(log.reading().cursor("needed"), Some(10));
    let dead =
        "SELECT group_concat(sequence || ' ' || why, '; ') FROM (SELECT * FROM dead ORDER BY sequence)";
    let dead: String = site.raw().query_row(dead, [], |row| row.get(0)).expect("some");
    assert_eq!(dead, "3 no 3; 4 no 4; 10 no 10");
}

#[test]
fn an_event_is_refused_as_often_as_was_asked_for_before_it_is_a_dead_letter() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 9);
    let tried = Arc::new(Mutex::new(Vec::new()));
    let tries = tried.clone();
    let act = move |n: u64, _: &Stop| {
        tries.lock().expect("whole").push(n);
        [3, 4, 7].contains(&n).then(|| Trouble::Refused { error: err!(Data, "no {n}") })
    };
    let manner = Manner { dead_letters: Some(3), ..Manner::default() };
    let sink = Box::new(Scripted(arrived.clone(), act));
    let (running, stats, _) = start_with(&site, &log, "needed", sink, manner);
    assert_eq!(arrived.wait(6), [1, 2, 5, 6, 8, 9]);
    end(running);
    assert_eq!(*tried.lock().expect("whole"), [1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 7, 7, 7, 8, 9]);
    assert_eq!((stats.written.get(), stats.lost.get()), (6, 3));
}

#[test]
fn with_retry_a_refused_event_holds_what_follows_until_it_is_taken() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 5);
    let mut refusals = 0;
    let act = move |n: u64, _: &Stop| {
        refusals += u32::from(n == 3);
        (n == 3 && refusals <= 5).then(|| Trouble::Refused { error: err!(Data, "no") })
    };
    let manner = Manner { dead_letters: None, ..Manner::default() };
    let sink = Box::new(Scripted(arrived.clone(), act));
    let (running, stats, _) = start_with(&site, &log, "needed", sink, manner);
    assert_eq!(arrived.wait(5), [1, 2, 3, 4, 5]);
    end(running);
    assert_eq!((stats.written.get(), stats.lost.get()), (5, 0));
}

#[test]
fn a_sink_that_has_gone_says_so_and_keeps_its_place() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 5);
    let act = |n: u64, _: &Stop| (n == 3).then(|| Trouble::Gone { error: err!(Io, "closed") });
    let (running, _, gone) = start(&site, &log, "needed", Box::new(Scripted(arrived.clone(), act)));
    assert!(gone.recv_timeout(Duration::from_secs(60)).is_ok());
    end(running);
    assert_eq!(
        (arrived.all(), log.reading().cursor("needed")),
        (vec![1, 2], Some(0)),
        "a batch that was not finished"
    );
}

/// Takes everything, and its reader leaves then.
struct Left(Arrived);

impl Sink for Left {
    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        self.0.0.lock().expect("whole").extend(batch.iter().map(|event| event.sequence));
        Sent::all(batch)
    }

    fn gone(&mut self) -> Option<crate::base::error::Error> {
        Some(err!(Io, "closed"))
    }
}

#[test]
fn a_reader_that_leaves_is_noticed_without_another_event() {
    let site = Site::new();
    let (log, arrived) = (site.open(), Arrived::default());
    fill(&site, &log, 3);
    let (running, _, gone) = start(&site, &log, "needed", Box::new(Left(arrived.clone())));
    assert!(gone.recv_timeout(Duration::from_secs(60)).is_ok());
    end(running);
    assert_eq!((arrived.all(), log.reading().cursor("needed")), (vec![1, 2, 3], Some(3)));
}

#[test]
fn one_that_hangs_holds_neither_another_nor_the_end_and_has_its_events_after_the_next_start() {
    let site = Site::new();
    let (log, hung, steady) = (site.open(), Arrived::default(), Arrived::default());
    let act = |_, stop: &Stop| {
        stop.wait(Duration::from_secs(600));
        later()
    };
    let (one, _, _) = start(&site, &log, "needed", Box::new(Scripted(hung.clone(), act)));
    let (two, _, _) = start(&site, &log, "other", takes(&steady));
    fill(&site, &log, 5);
    assert_eq!(steady.wait(5).len(), 5);
    one.finish(Duration::ZERO).expect("left to itself");
    end(two);
    finish(log);
    let log = site.open();
    end(start(&site, &log, "needed", takes(&hung)).0);
    assert_eq!(hung.all(), [1, 2, 3, 4, 5]);
}

#[test]
fn who_is_behind_retention_is_told_the_exact_range() {
    let mut site = Site::new();
    site.sinks = vec![sink("other", false)];
    site.rules.keep = Duration::from_secs(60);
    let log = site.open();
    fill(&site, &log, 5);
    site.clock.advance(Duration::from_secs(200));
    fill(&site, &log, 2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    struct Told(Arc<Mutex<Vec<(u64, String)>>>);
    impl Sink for Told {
        fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
            self.0.lock().expect("whole").extend(batch.iter().map(|d| (d.sequence, d.json.clone())));
            Sent::all(batch)
        }
    }
    end(start(&site, &log, "other", Box::new(Told(seen.clone()))).0);
    let seen = seen.lock().expect("whole");
    let (sequence, json) = &seen[0];
    assert_eq!((*sequence, seen.len()), (5, 3));
    assert!(json.contains(r#""first":1,"last":5"#) && json.contains("expired"), "{json}");
}

#[test]
fn what_finds_no_room_is_counted_and_told_when_there_is_room_again() {
    let site = Site::new();
    let log = site.open().with_patience(Duration::from_millis(1));
    let other = site.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let offered = crate::events::log::QUEUE as u64 + 600;
    let taken = (0..offered).filter(|_| log.submit(site.event("door"))).count() as u64;
    assert!(taken < offered, "the queue has an end");
    other.execute_batch("COMMIT").expect("done");
    let last = log.accept(site.event("door")).expect("accepted");
    assert_eq!(last, taken + 2, "what was taken, what tells of the rest, and this one");
    assert_eq!(site.stats.events.overflowed.get(), offered - taken);
    let page = log.reading().after(log.state().epoch, 0, 5000).expect("read");
    let told = page.items.iter().filter_map(|item| match item {
        Item::Event { event, .. } => match &event.data {
            crate::events::Data::Lost(lost) => Some((lost.count, lost.first)),
            _ => None,
        },
        Item::Gone { .. } => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(offered - taken, None)]);
}
