//! The child that is killed: events at a steady rate, and three sinks that fail now and then.
//!
//! ```text
//!   4 threads, 50 events a second each ─▶ accept ─▶ "acks": one line an accepted event
//!                                           │
//!   3 sinks, each with its runner ◀─────────┘       "needed", "second", "third": one line an event that arrived
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use uuid::Uuid;
use watchlistd::base::clock::SystemClock;
use watchlistd::base::shutdown::Stop;
use watchlistd::events::log::EventLog;
use watchlistd::events::{Data, Event};
use watchlistd::sinks::runner::{Manner, Needs, Running};
use watchlistd::sinks::sink::{Delivery, Sent, Sink};

use crate::as_child;
use crate::site::{Site, WAL, finish, sink};

const FOLDER: &str = "WATCHLISTD_EVENTS_CHILD";
const ENDS: &str = "WATCHLISTD_EVENTS_ENDS";
const TIGHT: &str = "WATCHLISTD_EVENTS_TIGHT";

pub const SINKS: [&str; 3] = ["needed", "second", "third"];

/// Most events that a sink may get twice for each kill: a batch.
pub const WINDOW: u64 = 64;

/// Four threads, each with an event every 20 ms: 200 events a second.
const THREADS: usize = 4;
const PERIOD: Duration = Duration::from_millis(20);

/// A sink that writes a line for each event, and fails now and then.
struct Flapping(File);

impl Sink for Flapping {
    fn batch(&self) -> usize {
        WINDOW as usize
    }

    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        for (taken, delivery) in batch.iter().enumerate() {
            if fastrand::u32(..100) == 0 {
                return Sent::later(taken, watchlistd::err!(Io, "not now"));
            }
            let line = arrived(delivery.sequence, &delivery.event);
            self.0.write_all(line.as_bytes()).expect("written");
        }
        Sent::all(batch)
    }
}

/// `FIRST LAST ID`: the event, or the one that stands for those that are no more.
fn arrived(sequence: u64, event: &Event) -> String {
    match &event.data {
        Data::Lost(lost) => match (lost.of_log, lost.first) {
            (None, Some(first)) => format!("{first} {sequence} {}\n", event.id),
            (of, first) => format!("{sequence} {sequence} {} {of:?} {first:?} {:?}\n", event.id, lost.last),
        },
        _ => format!("{sequence} {sequence} {}\n", event.id),
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("opens")
}

pub fn run_if_child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let set = |variable| std::env::var_os(variable).is_some();
        work(Path::new(&folder), set(ENDS), set(TIGHT));
    }
}

fn work(folder: &Path, ends: bool, tight: bool) {
    let mut site = Site::new(Arc::new(SystemClock::new()));
    site.sinks = SINKS.map(|name| sink(name, tight || name == "needed")).to_vec();
    if tight {
        site.rules.keep = Duration::from_millis(1);
        site.rules.budget = WAL + (192 << 10);
    }
    let log = Arc::new(site.open(folder).unwrap_or_else(|e| panic!("{}", e.chain())));
    let manner =
        Manner { first: Duration::from_millis(1), most: Duration::from_millis(20), ..Manner::default() };
    let start = |name: &str| {
        let needs = Needs {
            name: name.into(),
            reading: log.reading(),
            shaping: Box::new(Some),
            manner: manner.clone(),
            maker: site.maker.clone(),
            clock: site.clock.clone(),
            stats: site.stats.events.add_sink(name),
        };
        let flapping = Box::new(Flapping(append(&folder.join(name))));
        Running::start(flapping, needs, Box::new(|| {})).expect("started")
    };
    let sinks = SINKS.map(start);
    if !ends {
        let threads: Vec<_> = (0..THREADS).map(|_| offer(log.clone(), site.clone(), folder)).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
    sinks.into_iter().for_each(|sink| sink.finish(Duration::from_secs(300)).expect("sent"));
    finish(Arc::into_inner(log).expect("nobody else has it"));
}

/// Events at their times, for ever. One that was late does not make the next ones late.
fn offer(log: Arc<EventLog>, site: Site, folder: &Path) -> JoinHandle<()> {
    let mut acks = append(&folder.join("acks"));
    std::thread::spawn(move || {
        let mut due = Instant::now();
        loop {
            let event = site.event();
            let id = event.id;
            let sequence = log.accept(event).expect("accepted");
            acks.write_all(format!("{sequence} {sequence} {id}\n").as_bytes()).expect("written");
            due += PERIOD;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    })
}

/// How the child is started.
#[derive(Default, Clone, Copy)]
pub struct How<'a> {
    /// It offers nothing, sends what there is, and ends.
    pub ends: bool,
    /// Retention and the budget have something to do all the time.
    pub tight: bool,
    /// `POINT:NTH`
    pub kill_at: Option<&'a str>,
}

pub fn start(folder: &Path, how: How<'_>) -> Child {
    let mut command = as_child();
    command.env(FOLDER, folder).stdout(Stdio::null());
    if !crate::is_told() {
        command.stderr(Stdio::null());
    }
    command.env("WATCHLISTD_POINTS", folder.join("points"));
    let set = |name: &'static str, value: Option<&str>| Some((name, value?.to_owned()));
    command.envs(set(ENDS, how.ends.then_some("1")));
    command.envs(set(TIGHT, how.tight.then_some("1")));
    command.envs(set("WATCHLISTD_KILL_AT", how.kill_at));
    command.spawn().expect("it runs")
}

/// An event that arrived, or was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub first: u64,
    pub last: u64,
    pub id: Uuid,
}

/// Lines of a file. One that a kill tore is none.
pub fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Line { first, last, id: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(parse).collect()
}
