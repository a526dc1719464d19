//! What every sink promises.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::sink::{Delivery, Trouble};
use super::testing::deliveries;
use super::*;
use crate::base::clock::{Clock, SimulatedClock};
use crate::base::shutdown;
use crate::config::{EventFile, FileSync};
use crate::events::Event;

/// Event number `n` of a run.
pub(crate) fn event(n: u64) -> Event {
    deliveries(n..=n).pop().expect("one").event
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

pub(crate) fn delivery(n: u64) -> Delivery {
    let event = event(n);
    Delivery { log: event.log(), sequence: n, json: event.to_line(), event }
}

fn send(sink: &mut dyn Sink, numbers: std::ops::RangeInclusive<u64>) {
    let (_stopper, stop) = shutdown::channel();
    let batch: Vec<Delivery> = numbers.map(delivery).collect();
    for part in batch.chunks(sink.batch()) {
        let sent = sink.send(part, &stop);
        assert!(sent.trouble.is_none() && sent.taken == part.len(), "{sent:?}");
    }
}

/// The contract: every event once, in order, also after a reopen; nothing more once it is told to stop.
fn keeps_the_contract(sink: &mut dyn Sink, read: impl Fn() -> Vec<u64>) {
    send(sink, 1..=3);
    assert_eq!(read(), [1, 2, 3], "taken means handed over, not buffered");
    sink.reopen().expect("reopened");
    sink.reopen().expect("reopened twice");
    send(sink, 4..=5);
    sink.idle();
    assert_eq!(read(), [1, 2, 3, 4, 5]);
    sink.close();
}

#[test]
fn stdout_keeps_the_contract() {
    let output = Shared::default();
    keeps_the_contract(&mut Stdout::new(output.clone()), || ids(&output.text()));
}

#[test]
fn a_closed_pipe_is_noticed_while_there_is_nothing_to_write() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut sink = Stdout::watching(writer).expect("a pipe");
    assert!(sink.gone().is_none());
    send(&mut sink, 1..=1);
    assert!(sink.gone().is_none(), "what was not read yet is no reason");
    drop(reader);
    assert!(sink.gone().is_some_and(|error| error.to_string().contains("closed by its reader")));
    // A file has no reader.
    let file = tempfile::tempfile().expect("a file");
    assert!(Stdout::watching(file).expect("a file").gone().is_none());
}

#[test]
fn a_closed_pipe_is_gone_and_no_panic() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (_stopper, stop) = shutdown::channel();
    let mut sink = Stdout::new(writer);
    assert_eq!(sink.send(&[delivery(1)], &stop).taken, 1);
    drop(reader);
    let sent = sink.send(&[delivery(2)], &stop);
    assert!(matches!((sent.taken, &sent.trouble), (0, Some(Trouble::Gone { .. }))), "{sent:?}");
}

#[test]
fn jsonl_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
    for (n, sync) in [FileSync::Each, FileSync::Second, FileSync::Never].into_iter().enumerate() {
        let path = folder.path().join(format!("events-{n}.jsonl"));
        let config = EventFile { max_bytes: 1 << 20, keep: 1, sync, ..EventFile::new(&path) };
        let mut sink = Jsonl::open(&config, "sinks.archive", clock.clone()).expect("opened");
        keeps_the_contract(&mut sink, || ids(&std::fs::read_to_string(&path).expect("read")));
    }
}

#[test]
fn journal_keeps_the_contract() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::registry().with(logged.clone());
    tracing::subscriber::with_default(subscriber, || {
        keeps_the_contract(&mut Journal, || logged.0.lock().expect("lock").clone());
    });
}

/// Who comes for events is no sink to the log: it keeps nothing for anybody behind a socket, and waits for nobody there.
#[test]
fn a_socket_of_events_is_not_known_to_the_log() {
    let socket = config::EventSocket::new("/nonexistent/events.sock");
    let socket = config::Sink::new("local", SinkKind::Unix(socket));
    let archive = config::Sink::stdout();
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
    let named = from_config(&[socket.clone(), archive.clone()], &clock).expect("opened");
    assert_eq!(named.iter().map(|named| named.name.as_str()).collect::<Vec<_>>(), ["stdout"]);
    let places = places(&[socket, archive]);
    assert_eq!(places.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(), ["stdout"]);
}
