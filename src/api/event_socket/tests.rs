//! The socket as its readers meet it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as Socket;
use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::base::error::Kind;
use crate::events::log::EventLog;
use crate::events::log::tests::{Site, finish, sink};
use crate::events::{Event, EventType, json_schema};
use crate::gallery::crypt::Key;
use crate::pull::{Cursors, Place, Start};
use crate::sinks::shape::Fields;
use crate::types::ids::IdentityId;

struct Served {
    site: Site,
    log: EventLog,
    source: Source,
    server: Server,
    path: PathBuf,
}

impl Served {
    fn new() -> Self {
        Self::with(16, Shape::default(), Limits { stall: Duration::from_secs(60), ..Limits::default() })
    }

    fn with(readers: usize, shape: Shape, limits: Limits) -> Self {
        let mut site = Site::new();
        site.sinks = vec![sink("other", false)];
        site.rules.keep = Duration::from_secs(60);
        let log = site.open();
        let source = Source::new(log.reading(), site.maker.clone(), site.clock.clone());
        let path = site.folder.path().join("events.sock");
        let socket = EventSocket { readers, ..EventSocket::new(&path) };
        let sink = Sink { shape, ..Sink::new("local", SinkKind::Unix(socket.clone())) };
        let server = Server::start(&sink, &socket, &source, &site.stats, limits).expect("started");
        Self { site, log, source, server, path }
    }

    fn fill(&self, count: usize) {
        for _ in 0..count {
            self.log.accept(self.site.event("door")).expect("accepted");
        }
    }

    /// A reader that says this.
    fn reader(&self, says: &str) -> BufReader<Socket> {
        let mut socket = Socket::connect(&self.path).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        socket.write_all(says.as_bytes()).expect("sent");
        BufReader::new(socket)
    }

    fn open(&self) -> u64 {
        open(&self.site)
    }
}

fn open(site: &Site) -> u64 {
    site.stats.events.snapshot().pulls.iter().map(|reader| reader.open).sum()
}

fn line(reader: &mut BufReader<Socket>) -> Option<Value> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).expect("read");
    (read > 0).then(|| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")))
}

/// The sequences of the next events.
fn next(reader: &mut BufReader<Socket>, count: usize) -> Vec<u64> {
    let sequence = |event: Value| event["data"]["sequence"].as_u64().expect("a number");
    (0..count).map(|_| sequence(line(reader).expect("an event"))).collect()
}

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const OLDEST: &str = "{\"after\":\"oldest\"}\n";

#[test]
fn every_reader_has_its_own_place() {
    let served = Served::new();
    served.fill(3);
    let mut one = served.reader(OLDEST);
    assert_eq!(next(&mut one, 2), [1, 2]);
    let mut two = served.reader(OLDEST);
    assert_eq!(next(&mut two, 3), [1, 2, 3]);
    served.fill(1);
    assert_eq!((next(&mut two, 1), next(&mut one, 2)), (vec![4], vec![3, 4]));
    until("its figures", || served.site.stats.events.snapshot().pulls[0].given == 8);
    let shown = served.site.stats.events.snapshot().pulls;
    assert_eq!((shown[0].reader.as_str(), shown[0].way.as_str(), shown[0].requests), ("local", "unix", 2));
}

#[test]
fn each_line_is_an_event_of_the_schema_with_a_cursor_to_go_on_from() {
    let served = Served::new();
    let who = IdentityId::generate();
    served.site.ring.know(who, Key::generate().expect("random"));
    served.log.accept(served.site.recognized(who, "Ana Beltrán", &["vip"])).expect("accepted");
    served.fill(4);
    let schema = jsonschema::options().should_validate_formats(true).build(&json_schema()).expect("a schema");
    let mut reader = served.reader(OLDEST);
    for had in 1..=5 {
        let event = line(&mut reader).expect("an event");
        assert!(schema.is_valid(&event), "{event}");
        let cursor = event["cursor"].as_str().expect("a cursor").to_owned();
        let parsed: Event = serde_json::from_value(event).expect("an event");
        assert_eq!(parsed.sequence(), had);
        let mut again = served.reader(&format!("{{\"after\":\"{cursor}\"}}\n"));
        assert_eq!(next(&mut again, (5 - had) as usize), (had + 1..=5).collect::<Vec<_>>());
    }
}

#[test]
fn who_says_nothing_hears_what_happens_from_when_it_came() {
    let served = Served::new();
    served.fill(3);
    let mut silent = served.reader("");
    until("it to be there", || served.open() == 1);
    // It has not made up its mind yet.
    served.fill(1);
    assert_eq!(next(&mut silent, 1), [4]);
    // One that only closes its side, as `nc -N` does, is served as well.
    let mut closed = served.reader("");
    closed.get_ref().shutdown(std::net::Shutdown::Write).expect("shut");
    until("it to be there", || served.open() == 2);
    served.fill(1);
    assert_eq!((next(&mut closed, 1), next(&mut silent, 1)), (vec![5], vec![5]));
    drop(silent);
    until("it to be gone", || served.open() == 1);
    let mut empty = served.reader("{}\n");
    until("both to be there", || served.open() == 2);
    served.fill(1);
    assert_eq!((next(&mut closed, 1), next(&mut empty, 1)), (vec![6], vec![6]));
}

#[test]
fn who_has_gone_leaves_its_place_though_nothing_happens() {
    let served = Served::new();
    let (one, two) = (served.reader(OLDEST), served.reader("{\"after\":\"now\"}\n"));
    until("both to be there", || served.open() == 2);
    two.get_ref().shutdown(std::net::Shutdown::Write).expect("shut");
    drop((one, two));
    until("both to be gone", || served.open() == 0);
}

#[test]
fn one_more_than_there_are_places_is_told_so_and_served_when_one_leaves() {
    let served = Served::with(2, Shape::default(), Limits::default());
    served.fill(1);
    let mut there: Vec<_> = (0..2).map(|_| served.reader(OLDEST)).collect();
    there.iter_mut().for_each(|reader| assert_eq!(next(reader, 1), [1]));
    let refused = line(&mut served.reader("")).expect("a word");
    assert!(
        refused["error"].as_str().is_some_and(|e| e.contains("sinks.local.path: busy: 2 readers")),
        "{refused}"
    );
    there.pop();
    until("a place to be free", || served.open() == 1);
    until("to be served", || {
        let mut reader = served.reader(OLDEST);
        line(&mut reader).is_some_and(|event| event["error"].is_null())
    });
    assert!(served.site.stats.events.snapshot().pulls_refused >= 1);
}

#[test]
fn wrong_requests_are_told_what_was_expected() {
    let served = Served::new();
    served.fill(1);
    let theirs = Cursors::new(Key::generate().expect("random")).text(served.source.place(Start::Now));
    let wrong = [
        ("oldest\n".to_owned(), "expected one line of JSON"),
        ("{\"after\":7}\n".to_owned(), "expected one line of JSON"),
        ("{\"before\":\"now\"}\n".to_owned(), "expected one line of JSON"),
        (format!("{{\"after\":\"{theirs}\"}}\n"), "after: expected a cursor"),
        ("{\"after\":\"\"}\n".to_owned(), "after: expected a cursor"),
        ("x".repeat(5000), "expected one line of JSON"),
        ("{\"after\":".to_owned(), "did not come to its end in time"),
        ("\u{0}\u{1}\n".to_owned(), "expected one line of JSON"),
    ];
    for (says, expected) in wrong {
        let mut reader = served.reader(&says);
        let told = line(&mut reader).expect("a word");
        let error = told["error"].as_str().unwrap_or_default();
        assert!(error.contains(expected), "{says:?}: {told}");
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{says:?}");
    }
    assert_eq!(next(&mut served.reader(OLDEST), 1), [1], "the next one is served");
}

#[test]
fn a_reader_behind_retention_is_told_the_exact_range_whatever_its_shape() {
    let shape = Shape { types: Some(vec![EventType::Recognized]), ..Shape::default() };
    let served = Served::with(4, shape, Limits::default());
    served.fill(5);
    let behind = Place { sequence: 2, ..served.source.place(Start::Now) };
    served.site.clock.advance(Duration::from_secs(200));
    until("retention", || {
        served.fill(1);
        served.log.state().first > 5
    });
    let cursor = served.source.cursor(behind);
    let told = line(&mut served.reader(&format!("{{\"after\":\"{cursor}\"}}\n"))).expect("a word");
    assert_eq!((&told["data"]["first"], &told["data"]["reason"]), (&3.into(), &"expired".into()));
    assert_eq!(told["data"]["last"].as_u64(), Some(served.log.state().first - 1));
}

#[test]
fn a_socket_has_its_shape() {
    let shape = Shape { fields: Fields::Count, ..Shape::default() };
    let served = Served::with(2, shape, Limits::default());
    let who = IdentityId::generate();
    served.log.accept(served.site.recognized(who, "Ana Beltrán", &["vip"])).expect("accepted");
    let event = line(&mut served.reader(OLDEST)).expect("an event").to_string();
    assert!(event.contains("\"subject\":\"count\"") && !event.contains(&who.to_string()), "{event}");
}

#[test]
fn a_reader_that_takes_nothing_is_hung_up_on_and_holds_nobody() {
    let limits = Limits { stall: Duration::from_millis(500), ..Limits::default() };
    let served = Served::with(2, Shape::default(), limits);
    served.fill(100);
    let deaf = served.reader(OLDEST);
    let mut other = served.reader("{\"after\":\"now\"}\n");
    until("both to be there", || served.open() == 2);
    let mut had = 100;
    until("it to be hung up on", || {
        served.fill(50);
        let expected: Vec<u64> = (had + 1..=had + 50).collect();
        had += 50;
        assert_eq!(next(&mut other, 50), expected, "who reads has everything meanwhile");
        served.site.stats.events.snapshot().pulls[0].stalled == 1
    });
    until("its place to be free", || served.open() == 1);
    drop(deaf);
}

#[test]
fn at_the_end_readers_have_every_event_and_then_end() {
    let Served { site, log, mut server, path, source: _ } = {
        let served = Served::new();
        served.fill(2);
        served
    };
    let connect = || {
        let mut socket = Socket::connect(&path).expect("connected");
        socket.write_all(OLDEST.as_bytes()).expect("sent");
        BufReader::new(socket)
    };
    let (mut one, mut slow) = (connect(), connect());
    assert_eq!(next(&mut one, 1), [1]);
    until("both to be there", || open(&site) == 2);
    log.accept(site.event("door")).expect("accepted");
    finish(log);
    server.drain(Duration::from_secs(60));
    drop(server);
    assert_eq!((next(&mut one, 2), line(&mut one)), (vec![2, 3], None));
    assert_eq!((next(&mut slow, 3), line(&mut slow)), (vec![1, 2, 3], None));
    assert!(!path.exists(), "nobody finds it any more");
}

#[test]
fn the_socket_is_for_its_user_and_group_and_there_is_one() {
    let served = Served::new();
    let file = fs::symlink_metadata(&served.path).expect("there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    assert_eq!(file.gid(), Rule::own().gid());
    let socket = EventSocket::new(&served.path);
    let sink = Sink::new("local", SinkKind::Unix(socket.clone()));
    let again = Server::start(&sink, &socket, &served.source, &served.site.stats, Limits::default());
    let error = again.err().expect("refused");
    assert!(error.kind() == Kind::Temporary && error.to_string().contains("sinks.local.path"), "{error}");
    let socket = EventSocket { group: Some("no-such-group".into()), ..EventSocket::new("/nonexistent/x") };
    let sink = Sink::new("local", SinkKind::Unix(socket.clone()));
    let error = Server::start(&sink, &socket, &served.source, &served.site.stats, Limits::default()).err();
    assert!(error.is_some_and(|e| e.to_string().contains("sinks.local.group: no group")));
}
