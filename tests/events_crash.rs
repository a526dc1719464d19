//! The event log under kills, counted by somebody who is not killed.
//!
//! ```text
//!   child: 4 threads ─▶ accept ─▶ "acks": one line an accepted event      killed at any moment, or at a named point
//!          3 flapping sinks ─▶ one file each, one line an event
//!   parent: kills, starts again, ... at last lets it end ─▶ counts: accepted and lost 0, order kept, twice only what was in flight
//! ```
//!
//! `make test` kills 20 times and at every named point; `make crash-events` 1,000 times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use watchlistd::base::clock::{Clock, SystemClock};
use watchlistd::base::faults::POINTS;
use watchlistd::base::shutdown::Stop;
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::events::log::{EventLog, NoKeys, Options, Rules, SinkPlace};
use watchlistd::events::{CameraChange, Event, EventMaker, Ids};
use watchlistd::gallery::crypt::Key;
use watchlistd::sinks::runner::{Manner, Needs, Running};
use watchlistd::sinks::sink::{Delivery, Sent, Sink};
use watchlistd::stats::{CameraState, Stats};
use watchlistd::types::ids::CameraId;

const FOLDER: &str = "WATCHLISTD_EVENTS_CHILD";
const ENDS: &str = "WATCHLISTD_EVENTS_ENDS";
const SINKS: [&str; 3] = ["needed", "second", "third"];
/// Most events that a sink may get twice for each kill: a batch.
const WINDOW: usize = 64;

/// No test of its own: the child's work.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        work(Path::new(&folder), std::env::var_os(ENDS).is_some());
    }
}

/// A sink that writes `sequence id` lines, and fails now and then.
struct Flapping(File);

impl Sink for Flapping {
    fn batch(&self) -> usize {
        WINDOW
    }

    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        for (taken, event) in batch.iter().enumerate() {
            if fastrand::u32(..100) == 0 {
                return Sent::later(taken, watchlistd::err!(Io, "not now"));
            }
            self.0.write_all(line(event.sequence, event.event.id).as_bytes()).expect("written");
        }
        Sent::all(batch)
    }
}

fn line(sequence: u64, id: Uuid) -> String {
    format!("{sequence} {id}\n")
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("opens")
}

fn work(folder: &Path, ends: bool) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stats = Arc::new(Stats::new(clock.now()));
    let maker = Arc::new(EventMaker::new("/test", Uuid::now_v7(), Ids::random()));
    let teller = maker.clone();
    let place =
        |name: &str| SinkPlace { name: name.to_owned(), required: name == "needed", from_oldest: true };
    let now = clock.clone();
    let options = Options {
        path: folder.join("events.db"),
        key: Key::from_bytes(&[7; 32]).expect("a key"),
        ring: Arc::new(NoKeys),
        rules: Rules { keep: Duration::from_secs(86_400), lists: [].into(), budget: 256 << 20 },
        sinks: SINKS.map(place).to_vec(),
        tell: Arc::new(move |lost, _| teller.lost(*lost, now.now())),
        clock: clock.clone(),
        stats: stats.clone(),
    };
    let beat = Heartbeats::new(clock.clone()).register("log", Duration::from_secs(60));
    let log = Arc::new(EventLog::open(options, beat).expect("opens"));
    let manner =
        Manner { first: Duration::from_millis(1), most: Duration::from_millis(20), ..Manner::default() };
    let start = |name: &str| {
        let needs = Needs {
            name: name.into(),
            reading: log.reading(),
            shaping: Box::new(Some),
            manner: manner.clone(),
            maker: maker.clone(),
            clock: clock.clone(),
            stats: stats.events.add_sink(name),
        };
        Running::start(Box::new(Flapping(append(&folder.join(name)))), needs, Box::new(|| {}))
            .expect("started")
    };
    let sinks = SINKS.map(start);
    if !ends {
        let threads: Vec<_> =
            (0..4).map(|_| offer(log.clone(), maker.clone(), clock.clone(), folder)).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
    sinks.into_iter().for_each(|sink| sink.finish(Duration::from_secs(120)).expect("sent"));
    Arc::into_inner(log).expect("nobody else has it").finish(Duration::from_secs(60)).expect("ended");
}

/// Fifty events a second, for ever.
fn offer(
    log: Arc<EventLog>,
    maker: Arc<EventMaker>,
    clock: Arc<dyn Clock>,
    folder: &Path,
) -> std::thread::JoinHandle<()> {
    let mut acks = append(&folder.join("acks"));
    std::thread::spawn(move || {
        loop {
            let event = event(&maker, &*clock);
            let id = event.id;
            let sequence = log.accept(event).expect("accepted");
            acks.write_all(line(sequence, id).as_bytes()).expect("written");
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}

fn event(maker: &EventMaker, clock: &dyn Clock) -> Event {
    let camera = CameraId::new("door").expect("a name");
    let change = CameraChange {
        camera: &camera,
        epoch: 1,
        state: CameraState::Connecting,
        error: None,
        retry: None,
        info: None,
    };
    maker.camera(&change, clock.now())
}

fn start(folder: &Path, more: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child", "--nocapture"]).env(FOLDER, folder).stdout(Stdio::null());
    command.env("WATCHLISTD_POINTS", folder.join("points"));
    command.envs(more.iter().copied()).spawn().expect("it runs")
}

/// Lets it run to its end: everything is sent.
fn end(folder: &Path) {
    assert!(start(folder, &[(ENDS, "1")]).wait().expect("it ran").success());
}

/// Lines of a file. One that a kill tore is none.
fn lines(path: &Path) -> Vec<(u64, Uuid)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        let (sequence, id) = line.split_once(' ')?;
        Some((sequence.parse().ok()?, id.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// What was accepted has arrived everywhere, in order, and twice only what was in flight at a kill. How many, and how many twice.
fn judge(folder: &Path, kills: usize) -> (usize, Vec<usize>) {
    let accepted = lines(&folder.join("acks"));
    let mut twice = Vec::new();
    for sink in SINKS {
        let arrived = lines(&folder.join(sink));
        let ids: HashSet<Uuid> = arrived.iter().map(|(_, id)| *id).collect();
        let lost = accepted.iter().filter(|(_, id)| !ids.contains(id)).count();
        assert_eq!(lost, 0, "{sink}: accepted and lost");
        let mut places: HashMap<Uuid, u64> = HashMap::new();
        let mut last = 0;
        for (sequence, id) in &arrived {
            assert_eq!(*places.entry(*id).or_insert(*sequence), *sequence, "{sink}: one event at two places");
            let new = *sequence > last;
            assert!(!new || *sequence == last + 1, "{sink}: {sequence} follows {last}");
            last = last.max(*sequence);
        }
        let again = arrived.len() - ids.len();
        assert!(again <= kills * WINDOW, "{sink}: {again} came twice with {kills} kills");
        twice.push(again);
    }
    (accepted.len(), twice)
}

fn how_many(usual: usize) -> usize {
    std::env::var("WATCHLISTD_KILLS").map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
fn no_kill_loses_an_accepted_event() {
    let long = std::env::var_os("WATCHLISTD_KILLS").is_some();
    let folder = tempfile::tempdir().expect("a folder");
    let kills = how_many(20);
    for _ in 0..kills {
        let mut child = start(folder.path(), &[]);
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..if long { 3000 } else { 500 })));
        child.kill().expect("it ran");
        child.wait().expect("it is gone");
    }
    end(folder.path());
    let (accepted, twice) = judge(folder.path(), kills);
    assert!(accepted > kills, "{accepted} accepted: it hardly ran");
    eprintln!("{kills} kills: {accepted} events accepted, lost 0, out of order 0, twice {twice:?} by sink");
}

/// The points that an undamaged log passes.
const USUAL: [&str; 4] = ["events.group", "events.written", "events.committed", "events.told"];

#[test]
fn no_kill_at_a_named_point_loses_an_accepted_event() {
    let mut table = BTreeMap::new();
    for point in USUAL {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kills = 0;
        for nth in [1, 2, 7, 30] {
            let status = start(folder.path(), &[("WATCHLISTD_KILL_AT", &format!("{point}:{nth}"))]).wait();
            assert!(!status.expect("it ran").success(), "{point}:{nth} was not reached");
            kills += 1;
        }
        end(folder.path());
        let (accepted, _) = judge(folder.path(), kills);
        table.insert(point, (kills, accepted));
    }
    for (point, (kills, accepted)) in table {
        eprintln!("{point:>20} {kills} kills, {accepted} accepted, lost 0");
    }
}

#[test]
fn no_kill_while_a_damaged_log_is_saved_loses_what_could_be_read() {
    let rest = POINTS.iter().copied().filter(|p| p.starts_with("events.") && !USUAL.contains(p));
    let rest: Vec<&str> = rest.collect();
    assert_eq!(rest, ["events.salvaged", "events.set-aside"]);
    for point in rest {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = start(folder.path(), &[("WATCHLISTD_KILL_AT", "events.told:40")]);
        assert!(!child.wait().expect("it ran").success());
        damage(&folder.path().join("events.db"));
        let kill = format!("{point}:1");
        assert!(
            !start(folder.path(), &[(ENDS, "1"), ("WATCHLISTD_KILL_AT", &kill)]).wait().unwrap().success()
        );
        end(folder.path());
        let accepted = lines(&folder.path().join("acks"));
        let ids: HashSet<Uuid> = lines(&folder.path().join("needed")).iter().map(|(_, id)| *id).collect();
        let lost = accepted.iter().filter(|(_, id)| !ids.contains(id)).count();
        assert_eq!(lost, 0, "{point}: of {}", accepted.len());
    }
}

/// The state says one event less: the log is damaged, and every event of it can be read.
fn damage(log: &Path) {
    let connection = rusqlite::Connection::open(PathBuf::from(log)).expect("opens");
    assert_eq!(connection.execute("UPDATE state SET last = last - 1", []).expect("changed"), 1);
}
