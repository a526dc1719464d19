//! What every sink promises, and the publisher with it.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use uuid::Uuid;

use super::*;
use crate::base::clock::{Clock, SimulatedClock};
use crate::config::EventFile;
use crate::daemon::watchdog::{Beat, Heartbeats};
use crate::events::{CameraChange, EventMaker, Ids};
use crate::sinks::publisher::Publisher;
use crate::stats::{CameraState, Stats};
use crate::types::ids::CameraId;

/// Event number `n` of a run.
pub(crate) fn event(n: u64) -> Event {
    let maker = EventMaker::new("/test", Uuid::nil(), Ids::Numbered);
    let camera = CameraId::new("door").expect("valid");
    let change = CameraChange {
        camera: &camera,
        epoch: 1,
        state: CameraState::Connecting,
        error: None,
        retry: None,
        info: None,
    };
    let now = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH).now();
    (1..n).for_each(|_| drop(maker.camera(&change, now)));
    maker.camera(&change, now)
}

/// Sequence numbers of the whole events in `text`; a torn line is no event.
pub(crate) fn ids(text: &str) -> Vec<u64> {
    text.lines().filter_map(|l| serde_json::from_str::<Event>(l).ok()).map(|e| e.sequence()).collect()
}

/// Memory that stays readable while a sink writes to it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("lock").clone()).expect("text")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Collects the `sequence` field of what is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u64>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Find<'a>(&'a Logged);
        impl Visit for Find<'_> {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "sequence" {
                    self.0.0.lock().expect("lock").push(value);
                }
            }

            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        event.record(&mut Find(self));
    }
}

fn publish(sink: &mut dyn Sink, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let event = event(n);
        let json = event.to_line();
        sink.publish(Line { event: &event, json: &json }).expect("taken");
    }
}

/// The contract: every event once, in order, also after a flush and a reopen.
fn keeps_the_contract(sink: &mut dyn Sink, read: impl Fn() -> Vec<u64>) {
    assert!(!sink.name().is_empty());
    publish(sink, 1..=3);
    assert_eq!(read(), [1, 2, 3], "{}: taken means handed over, not buffered", sink.name());
    sink.flush().expect("flushed");
    sink.reopen().expect("reopened");
    sink.reopen().expect("reopened twice");
    publish(sink, 4..=5);
    sink.flush().expect("flushed");
    assert_eq!(read(), [1, 2, 3, 4, 5], "{}", sink.name());
}

#[test]
fn stdout_keeps_the_contract() {
    let output = Shared::default();
    keeps_the_contract(&mut Stdout::new(output.clone()), || ids(&output.text()));
}

#[test]
fn jsonl_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let config = EventFile { path: path.clone(), max_bytes: 1 << 20, keep: 1 };
    let mut sink = Jsonl::open(&config).expect("opened");
    keeps_the_contract(&mut sink, || ids(&std::fs::read_to_string(&path).expect("read")));
}

#[test]
fn journal_keeps_the_contract() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::registry().with(logged.clone());
    tracing::subscriber::with_default(subscriber, || {
        keeps_the_contract(&mut Journal, || logged.0.lock().expect("lock").clone());
    });
}

/// A sink that does what the test says.
struct Scripted {
    name: &'static str,
    act: Box<dyn FnMut(u64) -> Result<(), SinkError> + Send>,
}

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn publish(&mut self, line: Line<'_>) -> Result<(), SinkError> {
        (self.act)(line.event.sequence())
    }
}

fn beat() -> Beat {
    let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
    Heartbeats::new(clock).register("publish", Duration::from_secs(20))
}

fn stats() -> Arc<Stats> {
    Arc::new(Stats::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH).now()))
}

#[test]
fn a_sink_that_fails_loses_its_own_events_only_and_comes_back() {
    let (stats, output) = (stats(), Shared::default());
    let act = |n| if (3..=5).contains(&n) { Err(SinkError::Lost(crate::err!(Io, "full"))) } else { Ok(()) };
    let sinks: Vec<Box<dyn Sink>> =
        vec![Box::new(Scripted { name: "disk", act: Box::new(act) }), Box::new(Stdout::new(output.clone()))];
    let publisher = Publisher::start(sinks, stats.clone(), beat()).expect("started");
    (1..=10).for_each(|n| assert!(publisher.publish(event(n))));
    publisher.finish(Duration::from_secs(60)).expect("drained");
    assert_eq!(ids(&output.text()), (1..=10).collect::<Vec<_>>(), "the other sink has them all, in order");
    let shown = stats.events.snapshot();
    assert_eq!((shown.accepted, shown.overflowed), (10, 0));
    assert_eq!((shown.sinks[0].written, shown.sinks[0].lost, shown.sinks[0].healthy), (7, 3, true));
    assert_eq!((shown.sinks[1].written, shown.sinks[1].lost), (10, 0));
}

#[test]
fn when_the_last_sink_has_gone_somebody_is_told() {
    let (stats, output) = (stats(), Shared::default());
    let gone = |_| Err(SinkError::Gone(crate::err!(Io, "closed")));
    let pipe = || Box::new(Scripted { name: "pipe", act: Box::new(gone) });
    let both = Publisher::start(vec![pipe(), Box::new(Stdout::new(output))], stats.clone(), beat());
    let both = both.expect("started");
    let alone = Publisher::start(vec![pipe()], stats.clone(), beat()).expect("started");
    assert!(both.publish(event(1)) && alone.publish(event(1)) && alone.publish(event(2)));
    assert!(alone.gone().recv_timeout(Duration::from_secs(60)).is_ok());
    both.finish(Duration::from_secs(60)).expect("drained");
    alone.finish(Duration::from_secs(60)).expect("drained");
    assert_eq!(stats.events.snapshot().sinks[2].lost, 2, "what comes after the end is counted too");
}

#[test]
fn with_one_sink_left_nobody_is_told() {
    let gone = |_| Err(SinkError::Gone(crate::err!(Io, "closed")));
    let pipe = Box::new(Scripted { name: "pipe", act: Box::new(gone) });
    let sinks: Vec<Box<dyn Sink>> = vec![pipe, Box::new(Stdout::new(Shared::default()))];
    let publisher = Publisher::start(sinks, stats(), beat()).expect("started");
    let told = publisher.gone().clone();
    assert!(publisher.publish(event(1)));
    publisher.finish(Duration::from_secs(60)).expect("drained");
    assert!(told.try_recv().is_err());
}

#[test]
fn a_stuck_sink_cannot_hold_up_the_end_and_every_event_is_counted() {
    let stats = stats();
    let (open, gate) = crossbeam_channel::bounded::<()>(0);
    let act = move |_| {
        let _ = gate.recv();
        Ok(())
    };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Scripted { name: "stuck", act: Box::new(act) })];
    let publisher = Publisher::start(sinks, stats.clone(), beat()).expect("started");
    let publisher = publisher.with_patience(Duration::from_millis(1));
    let offered = QUEUE as u64 + 10;
    let taken = (1..=offered).filter(|_| publisher.publish(event(1))).count() as u64;
    let shown = stats.events.snapshot();
    assert_eq!((shown.accepted, shown.overflowed), (taken, offered - taken));
    assert!(taken >= QUEUE as u64 && shown.overflowed > 0, "{shown:?}");
    let error = publisher.finish(Duration::ZERO).expect_err("stuck").to_string();
    assert!(error.contains("not published"), "{error}");
    drop(open);
}
