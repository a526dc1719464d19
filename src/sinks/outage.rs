//! A day without receivers, on a simulated clock: every kind of sink, each with its real peer.
//!
//! ```text
//!               ┌─▶ file    full disk           ┐
//!               ├─▶ hook    port closed         │
//!   log ────────┼─▶ mqtt    mosquitto stopped   ├─ for a day, then back: all of it, in order
//!   (budget)    ├─▶ nats    nats-server stopped │
//!               ├─▶ kafka   broker down         ┘
//!               └─▶ healthy                        never behind
//! ```
//!
//! The runner's waits are on the simulated clock, so a day of backoff passes in a minute; what the sinks say to their peers is real.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::mqtt::tests::mosquitto::Mosquitto;
use super::mqtt::{Mqtt, MqttConfig};
use super::nats::tests::server::Server as NatsServer;
use super::nats::{Nats, NatsConfig};
use super::runner::{Manner, Needs, Running};
use super::sink::{Delivery, Sent, Sink};
use super::testing::{Fault, FaultProxy};
use super::webhook::tests::server::Server as HttpServer;
use super::webhook::{Mode, Webhook, WebhookConfig};
use super::*;
use crate::base::shutdown::Stop;
use crate::config::{EventFile, Retry};
use crate::err;
use crate::events::Event;
use crate::events::log::EventLog;
use crate::events::log::tests::{Site, finish, sink};
use crate::stats::SinkStats;

const DAY: Duration = Duration::from_secs(86_400);
/// Between two events.
const STEP: Duration = Duration::from_secs(5);
const CAMERAS: [&str; 4] = ["door", "yard", "gate", "hall"];
/// A connection, and its wait for an answer.
const SOON: Duration = Duration::from_secs(5);
/// How long the test waits for what must come. Not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(400);

/// The first arrivals of each camera are in order, and all numbers from 1 to `last` are there; how many came twice.
fn assert_whole(name: &str, arrived: &[(String, u64)], last: u64) -> usize {
    let (mut seen, mut newest) = (HashSet::new(), BTreeMap::new());
    for (camera, sequence) in arrived {
        if seen.insert(*sequence) {
            let before = newest.insert(camera.clone(), *sequence).unwrap_or(0);
            assert!(before < *sequence, "{name}: {sequence} of {camera} came after {before}");
        }
    }
    let lost: Vec<u64> = (1..=last).filter(|n| !seen.contains(n)).take(10).collect();
    assert!(lost.is_empty(), "{name}: {lost:?} never came; {} of {last} did", seen.len());
    arrived.len() - seen.len()
}

fn placed(event: &Event) -> (String, u64) {
    (event.camera().unwrap_or_default().to_owned(), event.sequence())
}

/// A sink that takes everything unless it is told to fail.
#[derive(Clone, Default)]
struct Switched {
    fails: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<(String, u64)>>>,
    json: Arc<Mutex<Vec<String>>>,
}

impl Switched {
    fn count(&self) -> usize {
        self.taken.lock().expect("lock").len()
    }
}

impl Sink for Switched {
    fn batch(&self) -> usize {
        64
    }

    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        if self.fails.load(Ordering::SeqCst) {
            return Sent::later(0, err!(Io, "not now"));
        }
        self.taken
            .lock()
            .expect("lock")
            .extend(batch.iter().map(|d| (d.event.camera().unwrap_or_default().into(), d.sequence)));
        self.json.lock().expect("lock").extend(batch.iter().map(|d| d.json.clone()));
        Sent::all(batch)
    }
}

/// A log with sinks behind it.
struct Day {
    site: Site,
    log: EventLog,
    running: Vec<(Running, Arc<SinkStats>)>,
    events: u64,
    largest: u64,
}

impl Day {
    fn new(required: &[&str], others: &[&str], budget: u64) -> Self {
        let mut site = Site::new();
        let places = required.iter().map(|name| sink(name, true));
        site.sinks = places.chain(others.iter().map(|name| sink(name, false))).collect();
        site.rules.keep = Duration::from_secs(3600);
        site.rules.budget = budget;
        let log = site.open();
        Self { site, log, running: Vec::new(), events: 0, largest: 0 }
    }

    /// Starts a sink as the configuration's defaults have it.
    fn start(&mut self, name: &str, sink: Box<dyn Sink>) {
        let Retry { first, most, rate, dead_letters, .. } = Retry::default();
        let stats = self.site.stats.events.add_sink(name);
        let needs = Needs {
            name: name.into(),
            reading: self.log.reading(),
            shaping: Box::new(Some),
            manner: Manner { first, most, rate, batch: usize::MAX, dead_letters },
            maker: self.site.maker.clone(),
            clock: self.site.clock.clone(),
            stats: stats.clone(),
        };
        self.running.push((Running::start(sink, needs, Box::new(|| {})).expect("started"), stats));
    }

    /// Events at their rate, for so long. Each minute the sink that is well has everything, and the log is within its budget.
    fn pass(&mut self, time: Duration, healthy: &Switched) {
        let before = healthy.count() as u64 - self.events;
        for n in 0..time.as_secs() / STEP.as_secs() {
            let camera = CAMERAS[self.events as usize % CAMERAS.len()];
            assert!(self.log.submit(self.site.event(camera)), "there is room");
            self.events += 1;
            self.site.clock.advance(STEP);
            if n % 12 == 11 {
                let events = self.events + before;
                wait("the healthy sink has everything", || healthy.count() as u64 >= events);
                self.look();
            }
        }
        let events = self.events + before;
        wait("the healthy sink has everything", || healthy.count() as u64 >= events);
    }

    fn look(&mut self) {
        let size = |name: &str| std::fs::metadata(self.site.folder.path().join(name)).map_or(0, |m| m.len());
        let size = size("events.db") + size("events.db-wal");
        assert!(size <= self.site.rules.budget, "{size} bytes of {}", self.site.rules.budget);
        self.largest = self.largest.max(size);
    }

    /// Time goes on until every sink has everything.
    fn catch_up(&mut self) {
        let last = self.log.state().last;
        wait("every sink has everything", || {
            self.site.clock.advance(Duration::from_secs(1));
            self.running.iter().all(|(running, _)| {
                self.log.reading().cursor(running.name()).is_some_and(|cursor| cursor >= last)
            })
        });
        self.look();
    }

    fn end(self) {
        self.running.into_iter().for_each(|(running, _)| running.finish(PATIENCE).expect("ended"));
        finish(self.log);
    }
}

fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn url(scheme: &str, port: u16) -> url::Url {
    url::Url::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("valid")
}

fn hook(port: u16) -> Box<dyn Sink> {
    let mut config = WebhookConfig::new(url("http", port));
    (config.mode, config.connect_timeout, config.timeout) = (Mode::BATCH, SOON, SOON);
    let clock: Arc<dyn Clock> = Arc::new(crate::base::clock::SystemClock::new());
    Box::new(Webhook::open(config, clock).expect("good"))
}

fn mqtt(port: u16) -> Box<dyn Sink> {
    let mut config = MqttConfig::new(url("mqtt", port), "box-7", "/watchlistd/box-7");
    (config.availability_topic, config.camera_topic) = (None, None);
    (config.connect_timeout, config.timeout) = (SOON, SOON);
    Box::new(Mqtt::new(config).expect("good"))
}

fn nats(port: u16) -> Box<dyn Sink> {
    let mut config = NatsConfig::new(vec![url("nats", port)], "EVENTS", "box-7");
    (config.stream.create, config.timeout) = (true, SOON);
    Box::new(Nats::new(config).expect("good"))
}

#[test]
fn a_day_without_their_receivers_costs_required_sinks_nothing_and_others_do_not_notice() {
    let required = ["file", "hook", "mqtt", "nats", "kafka"];
    let mut day = Day::new(&required, &["healthy"], 64 << 20);
    // A full disk: what is written to /dev/full finds no room.
    let file = day.site.folder.path().join("mount/events.jsonl");
    std::fs::create_dir(file.with_file_name("")).expect("a folder");
    let receiver = HttpServer::start();
    let hook_door = FaultProxy::start(receiver.address);
    let mut broker = Mosquitto::start();
    let mqtt_door = FaultProxy::start(([127, 0, 0, 1], broker.port).into());
    let mut server = NatsServer::new();
    let nats_door = FaultProxy::start(server.address());
    let ear = broker.listen(None);

    let clock: Arc<dyn Clock> = day.site.clock.clone();
    let config = EventFile { max_bytes: 1 << 20, keep: 100, ..EventFile::new(&file) };
    day.start("file", Box::new(Jsonl::open(&config, "sinks.file", clock).expect("opens")));
    day.start("hook", hook(hook_door.port()));
    day.start("mqtt", mqtt(mqtt_door.port()));
    day.start("nats", nats(nats_door.port()));
    let cluster = kafka::tests::Cluster::start();
    let settings = kafka::KafkaConfig { timeout: SOON, ..kafka::tests::config(&cluster.brokers()) };
    day.start("kafka", Box::new(kafka::Kafka::new(settings).expect("good")));
    let healthy = Switched::default();
    day.start("healthy", Box::new(healthy.clone()));
    day.pass(Duration::from_secs(600), &healthy);
    day.catch_up();
    let mut heard = ear.events();
    let before: Vec<u64> = day.running.iter().map(|(_, stats)| stats.failures.get()).collect();

    // The outage.
    for door in [&hook_door, &mqtt_door, &nats_door] {
        door.set(Fault::Refuse);
    }
    drop(ear);
    broker.stop();
    server.stop();
    cluster.mock.broker_down(1).expect("down");
    let aside = file.with_file_name("aside.jsonl");
    std::fs::rename(&file, &aside).expect("aside");
    std::os::unix::fs::symlink("/dev/full", &file).expect("linked");
    let begun = Instant::now();
    day.pass(DAY, &healthy);
    let outage = begun.elapsed();
    let attempts: Vec<(String, u64)> = day
        .running
        .iter()
        .zip(before)
        .map(|((running, stats), before)| (running.name().to_owned(), stats.failures.get() - before))
        .collect();

    // They are back.
    std::fs::remove_file(&file).expect("room again");
    broker.run();
    let ear = broker.listen(None);
    server.start();
    cluster.mock.broker_up(1).expect("up");
    for door in [&hook_door, &mqtt_door, &nats_door] {
        door.set(Fault::None);
    }
    let begun = Instant::now();
    day.catch_up();
    let last = day.log.state().last;
    let (events, largest, budget) = (day.events, day.largest, day.site.rules.budget);
    assert_eq!(last, events, "nothing was lost, and so nothing tells of a loss");
    wait("the subscriber has everything", || ear.events().len() + heard.len() >= events as usize);
    heard.extend(ear.events());

    let mut twice = BTreeMap::new();
    let mut check = |name: &str, arrived: Vec<(String, u64)>| {
        twice.insert(name.to_owned(), assert_whole(name, &arrived, last));
    };
    check("healthy", healthy.taken.lock().expect("lock").clone());
    check("hook", {
        let taken = receiver.requests().into_iter().filter(|request| (200..300).contains(&request.status));
        taken.flat_map(|request| request.events()).map(|event| placed(&event)).collect()
    });
    check("mqtt", heard.iter().map(placed).collect());
    check(
        "nats",
        server
            .stored()
            .iter()
            .map(|stored| (stored.header("Watchlistd-Camera").to_owned(), stored.number()))
            .collect(),
    );
    check("kafka", cluster.wait(events as usize).into_iter().map(|got| (got.key, got.sequence)).collect());
    check("file", {
        let mut files: Vec<_> =
            (1..=100).rev().map(|n| file.with_file_name(format!("events.jsonl.{n}"))).collect();
        files.insert(0, aside);
        files.push(file.clone());
        let text: String = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        text.lines().map(|line| placed(&serde_json::from_str(line).expect("an event"))).collect()
    });
    eprintln!(
        "{events} events; a day in {outage:?}, delivered in {:?}; log {largest} of {budget} bytes",
        begun.elapsed()
    );
    eprintln!("attempts in vain: {attempts:?}; came twice: {twice:?}");
    for (name, attempts) in attempts {
        // Half of the longest wait at least, with what the way up to it takes.
        let most = DAY.as_secs() / (Retry::default().most.as_secs() / 2) + 20;
        let expected = if name == "healthy" { 0..=0 } else { 10..=most };
        assert!(expected.contains(&attempts), "{name}: {attempts} attempts, expected {expected:?}");
    }
    for (running, stats) in &day.running {
        assert_eq!((stats.lost.get(), stats.written.get()), (0, events), "{}", running.name());
    }
    day.end();
}

/// Where a day does not fit, the log stays within its budget, and the sink learns exactly what it will never have.
#[test]
fn a_day_that_does_not_fit_leaves_exact_gaps_and_everything_else_in_order() {
    let mut day = Day::new(&["needed"], &["healthy"], 8 << 20);
    let (needed, healthy) = (Switched::default(), Switched::default());
    day.start("needed", Box::new(needed.clone()));
    day.start("healthy", Box::new(healthy.clone()));
    day.pass(Duration::from_secs(600), &healthy);
    day.catch_up();
    needed.fails.store(true, Ordering::SeqCst);
    day.pass(DAY, &healthy);
    needed.fails.store(false, Ordering::SeqCst);
    day.catch_up();
    let json = needed.json.lock().expect("lock").clone();
    let mut next = 1;
    let mut gaps = Vec::new();
    for (line, (_, sequence)) in json.iter().zip(needed.taken.lock().expect("lock").iter()) {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if event["type"] == "io.watchlistd.lost.v1" {
            let number = |name: &str| event["data"][name].as_u64().expect("a number");
            assert_eq!(number("first"), next, "the gap begins behind what came last");
            gaps.push((number("first"), number("last")));
            next = number("last") + 1;
        } else {
            assert_eq!(*sequence, next, "in order, each once");
            next += 1;
        }
    }
    assert_eq!(next, day.log.state().last + 1, "to the end");
    assert!(!gaps.is_empty() && gaps[0].0 > 100, "the day did not fit: {gaps:?}");
    eprintln!("{} events; gaps {gaps:?}; log {} of {} bytes", day.events, day.largest, day.site.rules.budget);
    day.end();
}

/// Who is best effort holds nothing, and learns exactly what retention took while it was away.
#[test]
fn a_sink_that_is_not_required_is_told_the_range_it_missed_and_has_the_rest() {
    let mut day = Day::new(&[], &["casual", "healthy"], 64 << 20);
    let (casual, healthy) = (Switched::default(), Switched::default());
    casual.fails.store(true, Ordering::SeqCst);
    day.start("casual", Box::new(casual.clone()));
    day.start("healthy", Box::new(healthy.clone()));
    day.pass(DAY / 4, &healthy);
    casual.fails.store(false, Ordering::SeqCst);
    day.catch_up();
    let json = casual.json.lock().expect("lock").clone();
    let first: serde_json::Value = serde_json::from_str(&json[0]).expect("JSON");
    assert_eq!(
        (&first["data"]["first"], &first["data"]["reason"]),
        (&1.into(), &"expired".into()),
        "{first}"
    );
    let gone = first["data"]["last"].as_u64().expect("a number");
    let rest: Vec<u64> =
        casual.taken.lock().expect("lock").iter().skip(1).map(|(_, sequence)| *sequence).collect();
    assert_eq!(rest, (gone + 1..=day.log.state().last).collect::<Vec<_>>());
    assert!(!rest.is_empty());
    day.end();
}
