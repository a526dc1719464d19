//! The consumers of the manual against the real log, HTTP server and socket: everything once, a kill costs nothing, a gap is told.
//!
//! ```text
//!   log ─┬─ HTTP ─┬─ consumer.sh  (polls)     each a process of its own, killed at any moment
//!        │        └─ consumer.py  (stream)
//!        └─ socket ─ consumer.rs  (one event a line)
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "../docs/consumers/consumer.rs"]
#[allow(dead_code, reason = "its main is for the example")]
mod consumer;
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use support::{Running, Site, until_ready, var, wait_for};
use uuid::Uuid;
use watchlistd::api::{Report, event_socket, http};
use watchlistd::base::clock::{Clock, Moment, SimulatedClock};
use watchlistd::base::secret::Secret;
use watchlistd::config::{EventSocket, HttpReader, Sink, SinkKind};
use watchlistd::daemon::state::LifeCycle;
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::events::log::{EventLog, NoKeys, Options, Rules};
use watchlistd::events::{EventMaker, HealthChange, HealthState, Ids};
use watchlistd::gallery::crypt::Key;
use watchlistd::pull::Source;
use watchlistd::stats::Stats;

const TOKEN: &str = "the-token-of-the-consumers";

/// No test of its own: the consumer in Rust, as a process.
#[test]
fn child() {
    if let (Ok(state), Ok(socket)) = (std::env::var("CONSUMER_STATE"), std::env::var("CONSUMER_SOCKET")) {
        // The test's name may stand on this line.
        let _ = writeln!(std::io::stdout());
        consumer::run(&state, &socket);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shell,
    Python,
    Rust,
}

/// Where consumers come to, and where they keep what they need.
struct Place {
    folder: PathBuf,
    url: String,
    socket: PathBuf,
}

impl Place {
    fn new(folder: &Path, address: SocketAddr, socket: &Path) -> Self {
        let token = folder.join("token");
        std::fs::write(&token, format!("{TOKEN}\n")).expect("written");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("ours");
        Self { folder: folder.to_owned(), url: format!("http://{address}"), socket: socket.to_owned() }
    }

    fn start(&self, kind: Kind) -> Consumer {
        let state = self.folder.join(format!("{kind:?}.state"));
        let script = |program: &str, name: &str| {
            let mut command = Command::new(program);
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/consumers").join(name);
            command.arg(path).arg(&state).arg(self.folder.join("token")).arg(&self.url);
            command
        };
        let mut command = match kind {
            Kind::Shell => script("bash", "consumer.sh"),
            Kind::Python => script("python3", "consumer.py"),
            Kind::Rust => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["child", "--exact", "--nocapture"]);
                command.env("CONSUMER_STATE", &state).env("CONSUMER_SOCKET", &self.socket);
                command
            }
        };
        // A group of its own, so that its children are killed with it.
        command.process_group(0).env("no_proxy", "*");
        // Into a file: what a consumer wrote before it was killed is there when it is gone.
        let number = std::fs::read_dir(&self.folder).expect("readable").count();
        let output = self.folder.join(format!("{kind:?}.{number}.out"));
        let file = File::create(&output).expect("made");
        Consumer { running: Running::start_printing_to(command, file), output }
    }
}

/// A consumer that runs, and what it has printed.
struct Consumer {
    running: Running,
    output: PathBuf,
}

impl Consumer {
    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.output).expect("readable");
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        // A test that runs as a child prints more than events.
        whole
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// What it has worked on: each event's number with its id, in order.
    fn worked(&self) -> Vec<(u64, String)> {
        let events = self.events();
        let number = |event: &Value| event["data"]["sequence"].as_u64().expect("a number");
        events.iter().map(|event| (number(event), event["id"].as_str().expect("an id").to_owned())).collect()
    }

    #[track_caller]
    fn wait(&self, what: &str, count: usize) -> Vec<u64> {
        wait_for(what, || (self.worked().len() >= count).then_some(()));
        self.worked().into_iter().map(|(sequence, _)| sequence).collect()
    }

    fn kill(&mut self) {
        let group = format!("-{}", self.running.pid());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        self.running.kill();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A box without cameras: a log, and those who serve it.
struct Served {
    folder: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    key: Key,
    maker: Arc<EventMaker>,
    address: Option<SocketAddr>,
    running: Option<(EventLog, http::Server, Vec<event_socket::Server>)>,
}

impl Served {
    fn new() -> Self {
        let mut served = Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("a time"))),
            key: Key::generate().expect("random"),
            maker: Arc::new(EventMaker::new("/test", Uuid::now_v7(), Ids::random())),
            address: None,
            running: None,
        };
        served.start();
        served
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("events.sock")
    }

    fn place(&self) -> Place {
        Place::new(self.folder.path(), self.address.expect("started"), &self.socket())
    }

    /// Starts, at the address of the last time.
    fn start(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let stats = Arc::new(Stats::new(clock.now()));
        let beats = Heartbeats::new(clock.clone());
        let teller = self.maker.clone();
        let options = Options {
            path: self.folder.path().join("events.db"),
            key: self.key.clone(),
            ring: Arc::new(NoKeys),
            rules: Rules { keep: Duration::from_secs(3600), lists: BTreeMap::new(), budget: 256 << 20 },
            sinks: Vec::new(),
            tell: Arc::new(move |lost, at| teller.lost(*lost, Moment { mono: Duration::ZERO, wall: at })),
            clock: clock.clone(),
            stats: stats.clone(),
        };
        let log = EventLog::open(options, beats.register("log", Duration::from_secs(60))).expect("opened");
        let source = Source::new(log.reading(), self.maker.clone(), clock.clone());
        let reader = HttpReader::new("consumer", Secret::new(TOKEN));
        let readers = Arc::new(http::Readers::new(&[reader], &stats).expect("readers"));
        readers.open(source.clone());
        let report = Report { stats: stats.clone(), beats, life: Arc::new(LifeCycle::default()), clock };
        let listen = self.address.unwrap_or_else(|| "127.0.0.1:0".parse().expect("valid"));
        let server = http::Server::start(listen, report, readers).expect("started");
        self.address = Some(server.address());
        let sink = Sink::new("local", SinkKind::Unix(EventSocket::new(self.socket())));
        let sockets = event_socket::start_all(&[sink], &source, &stats).expect("started");
        self.running = Some((log, server, sockets));
    }

    /// Ends as the daemon does.
    fn stop(&mut self) {
        let Some((log, mut server, mut sockets)) = self.running.take() else { return };
        log.finish(Duration::from_secs(60)).expect("ended");
        sockets.iter_mut().for_each(|socket| socket.drain(Duration::from_secs(1)));
        server.drain(Duration::from_secs(1));
    }

    fn log(&self) -> &EventLog {
        &self.running.as_ref().expect("started").0
    }

    fn fill(&self, count: usize) {
        for _ in 0..count {
            let event = self.maker.health(HealthChange::of_all(HealthState::Ready, None), self.clock.now());
            self.log().accept(event).expect("accepted");
        }
    }
}

/// Everything once, in order; nothing twice, as nobody is killed. The daemon ends and is started again meanwhile.
fn gets_everything_once(kind: Kind) {
    let mut served = Served::new();
    served.fill(150);
    let consumer = served.place().start(kind);
    consumer.wait("what was there", 150);
    served.fill(20);
    consumer.wait("what came", 170);
    served.stop();
    served.start();
    served.fill(10);
    assert_eq!(consumer.wait("what came after a restart", 180), (1..=180).collect::<Vec<_>>());
}

/// Killed at any moment, it goes on from its cursor: nothing is missing, and what comes twice was on its way.
fn goes_on_after_kills(kind: Kind) {
    const KILLS: usize = 4;
    let served = Served::new();
    let place = served.place();
    let mut worked: Vec<(u64, String)> = Vec::new();
    for round in 1..=KILLS {
        served.fill(60);
        let mut consumer = place.start(kind);
        // Some of it: where in the work the kill comes is up to chance.
        consumer.wait("some of it", 1 + 7 * round);
        consumer.kill();
        worked.extend(consumer.worked());
    }
    served.fill(1);
    let last = 60 * KILLS as u64 + 1;
    let consumer = place.start(kind);
    wait_for("the last event", || (consumer.worked().last()?.0 == last).then_some(()));
    worked.extend(consumer.worked());
    let mut ids = BTreeMap::new();
    for (sequence, id) in &worked {
        assert_eq!(ids.entry(*sequence).or_insert_with(|| id.clone()), id, "one event, one id");
    }
    assert_eq!(ids.into_keys().collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>(), "nothing is missing");
    // In flight at a kill: one event, or of polls an answer.
    let in_flight = if kind == Kind::Shell { 100 } else { 1 };
    assert!(worked.len() as u64 - last <= KILLS as u64 * in_flight, "{} for {last}", worked.len());
}

/// It was away for longer than events are kept.
fn is_told_of_a_gap(kind: Kind) {
    let served = Served::new();
    served.fill(5);
    let place = served.place();
    let state = place.folder.join(format!("{kind:?}.state"));
    let mut consumer = place.start(kind);
    consumer.wait("the first events", 5);
    wait_for("it to note that", || {
        let noted = std::fs::read_to_string(&state).ok()?;
        let (log, _, _) = served.running.as_ref()?;
        let source = Source::new(log.reading(), served.maker.clone(), served.clock.clone());
        let start = source.start(noted.trim()).ok()?;
        (source.place(start).sequence == 5).then_some(())
    });
    consumer.kill();
    served.fill(7);
    served.clock.advance(Duration::from_secs(7200));
    served.fill(3);
    wait_for("retention", || (served.log().state().first == 13).then_some(()));
    let consumer = place.start(kind);
    let worked = consumer.wait("what is left", 4);
    assert_eq!(worked, [12, 13, 14, 15]);
    let lost = &consumer.events()[0];
    assert_eq!(lost["type"], "io.watchlistd.lost.v1");
    assert_eq!((&lost["data"]["first"], &lost["data"]["last"]), (&6.into(), &12.into()));
    wait_for("its word", || consumer.running.errors().contains("missed 6 to 12").then_some(()));
}

#[test]
fn the_shell_consumer_gets_everything_once() {
    gets_everything_once(Kind::Shell);
}

#[test]
fn the_shell_consumer_goes_on_after_kills() {
    goes_on_after_kills(Kind::Shell);
}

#[test]
fn the_shell_consumer_is_told_of_a_gap() {
    is_told_of_a_gap(Kind::Shell);
}

#[test]
fn the_python_consumer_gets_everything_once() {
    gets_everything_once(Kind::Python);
}

#[test]
fn the_python_consumer_goes_on_after_kills() {
    goes_on_after_kills(Kind::Python);
}

#[test]
fn the_python_consumer_is_told_of_a_gap() {
    is_told_of_a_gap(Kind::Python);
}

#[test]
fn the_rust_consumer_gets_everything_once() {
    gets_everything_once(Kind::Rust);
}

#[test]
fn the_rust_consumer_goes_on_after_kills() {
    goes_on_after_kills(Kind::Rust);
}

#[test]
fn the_rust_consumer_is_told_of_a_gap() {
    is_told_of_a_gap(Kind::Rust);
}

/// The real program: whoever streams has its very last event before it ends, and goes on when it is there again.
#[test]
fn every_connected_consumer_has_the_daemons_last_word_and_all_go_on_after_a_restart() {
    let Some(var) = var() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let site = Site::new(
        &var,
        &format!(
            "[http]\nlisten = \"{port}\"\n[http.readers.consumer]\ntoken_file = \"token\"\n\
             [sinks.local]\ntype = \"unix\"\npath = \"events.sock\"\n[events]\njournal = false\n\
             [cameras.broken]\nurl = \"file:///nonexistent/1.mp4\"\n[cameras.test]\nurl = \"test://smpte?size=320x240&fps=25\"\n"
        ),
    );
    let place = Place::new(site.folder.path(), port, &site.folder.path().join("events.sock"));
    let consumers = [Kind::Shell, Kind::Python, Kind::Rust].map(|kind| place.start(kind));
    for run in 1..=2 {
        let mut daemon = Running::start(site.command("run"));
        until_ready(&mut daemon);
        let begun = |consumer: &Consumer| {
            let state = |event: &Value, state: &str| event["data"]["state"] == state;
            let events = consumer.events();
            (events.iter().filter(|event| state(event, "ready")).count() == run).then_some(())
        };
        for consumer in &consumers {
            wait_for("the daemon to be heard of", || begun(consumer));
        }
        daemon.signal("TERM");
        assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
        assert!(!daemon.errors().contains(TOKEN), "the token is in the log");
        let printed: Vec<u64> =
            daemon.events().iter().filter_map(|event| event["data"]["sequence"].as_u64()).collect();
        let last = *printed.last().expect("events");
        // Who polls may be between two polls: then it has it after the next start.
        let [_, connected @ ..] = &consumers;
        for consumer in connected {
            wait_for("its last word", || (consumer.worked().last()?.0 >= last).then_some(()));
        }
    }
    for consumer in &consumers {
        let worked: Vec<u64> = consumer.worked().into_iter().map(|(sequence, _)| sequence).collect();
        assert_eq!(worked, (1..=worked.len() as u64).collect::<Vec<_>>(), "everything once, in order");
        assert!(consumer.events().iter().any(|event| event["data"]["state"] == "stopping"));
    }
}
