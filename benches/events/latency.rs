//! From decision to receipt, by sink and by reader: all of them behind one log at the same time, each in its own thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uuid::Uuid;
use watchlistd::base::shutdown::Stop;
use watchlistd::config;
use watchlistd::sinks;
use watchlistd::sinks::runner::{Needs, Running};
use watchlistd::sinks::sink::{Delivery, Sent, Sink};

use super::peers::Peers;
use super::{Site, quantile, readers, recognition};
use watchlistd::events::Event;

/// Events, and time between two of them.
const EVENTS: usize = 500;
const BETWEEN: Duration = Duration::from_millis(20);

/// When each event was decided, and when each sink had its receipt.
#[derive(Default)]
pub struct Times {
    decided: Mutex<HashMap<Uuid, Instant>>,
    received: Mutex<HashMap<String, Vec<f64>>>,
}

impl Times {
    /// These are there now.
    pub fn receipt(&self, sink: &str, ids: impl Iterator<Item = Uuid>) {
        let (now, decided) = (Instant::now(), self.decided.lock().expect("whole"));
        let waits = ids.filter_map(|id| Some((now - *decided.get(&id)?).as_secs_f64() * 1e3));
        self.received.lock().expect("whole").entry(sink.to_owned()).or_default().extend(waits);
    }

    fn received(&self, sink: &str) -> usize {
        self.received.lock().expect("whole").get(sink).map_or(0, Vec::len)
    }
}

/// A sink with a watch.
struct Timed {
    name: String,
    sink: Box<dyn Sink>,
    times: Arc<Times>,
}

impl Sink for Timed {
    fn batch(&self) -> usize {
        self.sink.batch()
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let sent = self.sink.send(batch, stop);
        self.times.receipt(&self.name, batch.iter().take(sent.taken).map(|delivery| delivery.event.id));
        sent
    }

    fn idle(&mut self) {
        self.sink.idle();
    }

    fn close(&mut self) {
        self.sink.close();
    }
}

pub fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = Peers::start(folder.path());
    let chosen = peers.sinks(folder.path());
    let names: Vec<&str> = chosen.iter().map(|sink| sink.name.as_str()).collect();
    let site = Site::new(&names);
    let times = Arc::new(Times::default());
    let running = start(&site, &chosen, &times);
    let doors = readers::start(&site, folder.path(), &times);
    let names: Vec<&str> = names.into_iter().chain(readers::NAMES).collect();
    let example = recognition();
    for _ in 0..EVENTS {
        let event = Event { id: Uuid::now_v7(), ..example.clone() };
        times.decided.lock().expect("whole").insert(event.id, Instant::now());
        assert!(site.log.submit(event), "the queue has room");
        std::thread::sleep(BETWEEN);
    }
    let until = Instant::now() + Duration::from_secs(60);
    while names.iter().any(|name| times.received(name) < EVENTS) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.into_iter().for_each(|sink| sink.finish(Duration::from_secs(10)).expect("sent"));
    drop(doors);
    report(&times, &names);
    site.finish();
}

fn start(site: &Site, chosen: &[config::Sink], times: &Arc<Times>) -> Vec<Running> {
    let opened = sinks::from_config(chosen, &site.clock).expect("they open");
    let start = |named: sinks::Named| {
        let needs = Needs {
            name: named.name.as_str().into(),
            reading: site.log.reading(),
            shaping: named.shaping,
            manner: named.manner,
            maker: site.maker.clone(),
            clock: site.clock.clone(),
            stats: site.stats.events.add_sink(&named.name),
        };
        let timed = Timed { name: named.name, sink: named.sink, times: times.clone() };
        Running::start(Box::new(timed), needs, Box::new(|| {})).expect("started")
    };
    opened.into_iter().map(start).collect()
}

fn report(times: &Times, names: &[&str]) {
    println!(
        "from decision to receipt, in ms, {EVENTS} events at {:.0} a second",
        1.0 / BETWEEN.as_secs_f64()
    );
    println!("  {:<12} {:>6} {:>8} {:>8} {:>8}", "sink", "events", "p50", "p99", "max");
    let mut received = times.received.lock().expect("whole");
    for name in names {
        let waits = received.entry((*name).to_owned()).or_default();
        if waits.is_empty() {
            println!("  {name:<12} nothing arrived");
            continue;
        }
        let [middle, most, all] = [0.5, 0.99, 1.0].map(|share| quantile(waits, share));
        println!("  {name:<12} {:>6} {middle:>8.2} {most:>8.2} {all:>8.2}", waits.len());
    }
}
