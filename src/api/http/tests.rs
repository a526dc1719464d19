//! Events over HTTP, as those meet it who come for them, and those who should not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::readers::PLACES;
use super::*;
use crate::api::fixture;
use crate::base::secret::Secret;
use crate::config::HttpReader;
use crate::events::EventType;
use crate::events::log::EventLog;
use crate::events::log::tests::{Site, finish, sink};
use crate::gallery::crypt::Key;
use crate::pull::{Cursors, Place, Source, Start};
use crate::sinks::shape::{Fields, Shape};
use crate::types::ids::IdentityId;

const TOKEN: &str = "the-names-token-of-the-test";
const COUNTS: &str = "the-counts-token-of-the-test";
const PICTURES: &str = "the-pictures-token-of-the-test";

/// A log, and a server that serves it to two readers.
struct Served {
    site: Site,
    log: EventLog,
    source: Source,
    readers: Arc<Readers>,
    server: Server,
    stats: Arc<crate::stats::Stats>,
}

fn reader(name: &str, token: &str, shape: Shape) -> HttpReader {
    HttpReader { shape, ..HttpReader::new(name, Secret::new(token)) }
}

/// One that gets everything, one that gets counts, one that gets nothing but losses, and one that may see pictures.
fn all_readers() -> Vec<HttpReader> {
    let counts = Shape { fields: Fields::Count, ..Shape::default() };
    let lost = Shape { types: Some(vec![EventType::Lost]), ..Shape::default() };
    vec![
        reader("names", TOKEN, Shape::default()),
        reader("counts", COUNTS, counts),
        reader("lost", "the-third-token-of-the-test", lost),
        HttpReader { snapshots: true, ..reader("pictures", PICTURES, Shape::default()) },
    ]
}

impl Served {
    fn new() -> Self {
        Self::with_lifetime(LIFETIME)
    }

    fn with_lifetime(lifetime: Duration) -> Self {
        Self::with(lifetime, Duration::from_secs(60))
    }

    fn with(lifetime: Duration, stall: Duration) -> Self {
        let mut site = Site::new();
        site.sinks = vec![sink("other", false)];
        site.rules.keep = Duration::from_secs(60);
        let log = site.open();
        let source = Source::new(log.reading(), site.maker.clone(), site.clock.clone());
        let report = fixture::ready().0;
        let stats = report.stats.clone();
        let readers = Readers::new(&all_readers(), &stats).expect("readers").with_stall(stall);
        let readers = Arc::new(readers);
        readers.open(source.clone());
        let any = "127.0.0.1:0".parse().expect("valid");
        let server = Server::start_with(any, report, readers.clone(), lifetime).expect("started");
        Self { site, log, source, readers, server, stats }
    }

    fn fill(&self, count: usize) {
        for _ in 0..count {
            self.log.accept(self.site.event("door")).expect("accepted");
        }
    }

    /// Many at once: they are accepted in groups.
    fn flood(&self, count: usize) {
        (0..count).for_each(|_| assert!(self.log.submit(self.site.event("door"))));
        self.fill(1);
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn get(&self, path: &str, token: &str) -> (u16, String) {
        ask(
            self.address(),
            &request(path, &format!("Authorization: Bearer {token}\r\nConnection: close\r\n")),
        )
    }

    /// The answer of a poll that has to be right: its sequences, and the cursor.
    #[track_caller]
    fn poll(&self, query: &str) -> (Vec<u64>, String) {
        let (code, body) = self.get(&format!("/v1/events?{query}"), TOKEN);
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        (sequences(&answer), answer["next"].as_str().expect("a cursor").to_owned())
    }

    /// A stream, with its head read.
    fn stream(&self, query: &str, more: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address()).expect("connected");
        let path = format!("/v1/events/stream{query}");
        let head = format!("Authorization: bearer {TOKEN}\r\n{more}");
        stream.write_all(request(&path, &head).as_bytes()).expect("sent");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a head") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        reader
    }

    fn open(&self) -> u64 {
        self.stats.events.snapshot().pulls.iter().map(|reader| reader.open).sum()
    }
}

fn request(path: &str, head: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n")
}

fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, body.to_owned())
}

fn sequences(answer: &Value) -> Vec<u64> {
    let events = answer["events"].as_array().expect("a list");
    events.iter().map(|event| event["data"]["sequence"].as_u64().expect("a number")).collect()
}

/// One message of a stream.
#[derive(Debug, Default, PartialEq)]
struct Message {
    id: String,
    event: String,
    data: Option<Value>,
}

/// The next message that has data, as a client of server-sent events sees it; `None` at the end. Chunks' sizes are passed by: no
/// line of a message looks like one.
fn message(reader: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut message = Message::default();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("read") == 0 {
            return None;
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            Some(("id", id)) => message.id = id.to_owned(),
            Some(("event", event)) => message.event = event.to_owned(),
            Some(("data", data)) => {
                message.data = Some(serde_json::from_str(data).expect("one line of JSON"))
            }
            _ if line.is_empty() && message.data.is_some() => return Some(message),
            _ => {}
        }
    }
}

/// Waits for what has to come.
fn until(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn polls_give_everything_once_in_order() {
    let served = Served::new();
    served.fill(25);
    let (mut after, mut seen) = ("oldest".to_owned(), Vec::new());
    loop {
        let (events, next) = served.poll(&format!("after={after}&limit=10"));
        assert!(events.len() <= 10);
        if events.is_empty() {
            break;
        }
        (after, seen) = (next, [seen, events].concat());
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    assert_eq!(served.poll("after=now").0, [0; 0]);
    assert_eq!(served.poll("after=oldest&limit=1000").0.len(), 25);
    let figures = served.stats.events.snapshot().pulls;
    let names = figures.iter().find(|reader| reader.reader == "names").expect("there");
    assert_eq!((names.requests, names.given, names.open, names.stalled), (6, 50, 0, 0));
}

#[test]
fn a_poll_that_waits_is_answered_as_soon_as_there_is_something() {
    let served = Served::new();
    let (none, cursor) = served.poll("after=now");
    assert_eq!(none, [0; 0]);
    let (address, query) = (served.address(), format!("/v1/events?after={cursor}&wait=60"));
    let head = format!("Authorization: Bearer {TOKEN}\r\nConnection: close\r\n");
    let waiting = std::thread::spawn(move || ask(address, &request(&query, &head)));
    until("the poll to wait", || served.open() == 1);
    served.fill(1);
    let (code, body) = waiting.join().expect("answered");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, sequences(&answer)), (200, vec![1]));
}

/// Clients that know no better: pages and polls on one connection, and a poll that waits longer than a page may take.
#[test]
fn a_connection_serves_poll_after_poll_and_outlives_the_time_of_a_page() {
    let served = Served::with_lifetime(Duration::from_millis(600));
    served.fill(1);
    let mut stream = TcpStream::connect(served.address()).expect("connected");
    let head = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut answers = BufReader::new(stream.try_clone().expect("cloned"));
    for wait in [0, 1, 2] {
        let path = format!("/v1/events?after=now&wait={wait}");
        stream.write_all(request(&path, &head).as_bytes()).expect("sent");
        let mut line = String::new();
        while !line.starts_with("{\"events\":[]") {
            line.clear();
            assert!(answers.read_line(&mut line).expect("an answer") > 0, "hung up on after {wait}");
        }
    }
}

#[test]
fn a_stream_gives_what_happens_and_a_client_that_comes_back_misses_nothing() {
    let served = Served::new();
    served.fill(3);
    let mut stream = served.stream("", "");
    until("the stream to be open", || served.open() == 1);
    served.fill(2);
    let first = message(&mut stream).expect("an event");
    assert_eq!(first.event, "camera");
    assert_eq!(first.data.as_ref().expect("data")["data"]["sequence"], 4, "from now on");
    drop(stream);
    // It had one. What came since then, and what comes, is given after it; the address is that of the first time.
    served.fill(1);
    let mut stream = served.stream("?after=oldest", &format!("Last-Event-ID: {}\r\n", first.id));
    let next: Vec<u64> = (0..2)
        .map(|_| {
            message(&mut stream).expect("an event").data.expect("data")["data"]["sequence"]
                .as_u64()
                .expect("a number")
        })
        .collect();
    assert_eq!(next, [5, 6]);
    let oldest = served.stream("?after=oldest", "");
    let mut oldest = oldest;
    assert_eq!(message(&mut oldest).expect("an event").data.expect("data")["data"]["sequence"], 1);
    drop((stream, oldest));
    until("the server to notice that both have gone", || served.open() == 0);
}

/// The id of a message without data counts: a client that heard nothing yet comes back to where it began.
#[test]
fn a_stream_begins_with_the_cursor_of_its_place() {
    let served = Served::new();
    served.fill(2);
    let mut stream = served.stream("", "");
    let mut id = String::new();
    while !id.starts_with("id: ") {
        id.clear();
        assert!(stream.read_line(&mut id).expect("read") > 0);
    }
    let place = served.source.start(id.trim_start_matches("id: ").trim_end()).expect("a cursor");
    assert_eq!(place, Start::After(served.source.place(Start::Now)));
}

#[test]
fn a_reader_behind_retention_is_told_the_exact_range_and_nothing_was_kept_for_it() {
    let served = Served::new();
    served.fill(5);
    let (_, cursor) = served.poll("after=oldest&limit=2");
    served.site.clock.advance(Duration::from_secs(200));
    until("retention", || {
        served.fill(1);
        served.log.state().first > 5
    });
    let (code, body) = served.get(&format!("/v1/events?after={cursor}&limit=1000"), TOKEN);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let told = &answer["events"][0];
    assert_eq!((code, &told["type"]), (200, &"io.watchlistd.lost.v1".into()));
    assert_eq!((&told["data"]["first"], &told["data"]["reason"]), (&3.into(), &"expired".into()));
    assert_eq!(told["data"]["last"].as_u64(), Some(served.log.state().first - 1));
    assert_eq!(answer["events"][1]["data"]["sequence"].as_u64(), Some(served.log.state().first));
}

#[test]
fn a_cursor_of_another_epoch_is_told_of() {
    let served = Served::new();
    served.fill(1);
    let cursors = Cursors::new(served.site.key.derive("pull cursors"));
    let old = Uuid::now_v7();
    let cursor = cursors.text(Place { epoch: old, sequence: 41 });
    let (code, body) = served.get(&format!("/v1/events?after={cursor}"), TOKEN);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let told = &answer["events"][0]["data"];
    assert_eq!((code, &told["of_log"], &told["first"]), (200, &old.to_string().into(), &42.into()));
    assert_eq!(sequences(&answer), [0, 1]);
}

#[test]
fn each_token_has_its_shape() {
    let served = Served::new();
    let who = IdentityId::generate();
    served.site.ring.know(who, Key::generate().expect("random"));
    served.log.accept(served.site.recognized(who, "Ana Beltrán", &["vip"])).expect("accepted");
    let (_, names) = served.get("/v1/events?after=oldest", TOKEN);
    assert!(names.contains("Ana Beltrán") && names.contains(&who.to_string()), "{names}");
    let (_, counts) = served.get("/v1/events?after=oldest", COUNTS);
    assert!(!counts.contains("Ana") && !counts.contains(&who.to_string()), "{counts}");
    assert!(counts.contains("\"subject\":\"count\""), "{counts}");
    let (_, lost) = served.get("/v1/events?after=oldest", "the-third-token-of-the-test");
    assert!(lost.contains("\"events\":[]"), "{lost}");
}

#[test]
fn without_a_token_there_is_nothing() {
    let served = Served::new();
    served.fill(1);
    let wrong = "the-names-token-of-the-tesT";
    for token in [wrong, "", "x", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        for path in ["/v1/events?after=oldest", "/v1/events/stream", "/v1/events?after=bad&limit=0"] {
            let (code, body) = served.get(path, token);
            assert_eq!(code, 401, "{token}: {body}");
            assert!(!body.contains("sequence") && (token.len() < 2 || !body.contains(token)), "{body}");
        }
    }
    for head in ["", "Authorization: Basic eDp5\r\n", "Authorization: \r\n", &format!("X-Token: {TOKEN}\r\n")]
    {
        let (code, _) =
            ask(served.address(), &request("/v1/events?after=now", &format!("{head}Connection: close\r\n")));
        assert_eq!(code, 401, "{head}");
    }
    assert_eq!(served.get(&format!("/v1/events?after=now&token={TOKEN}"), wrong).0, 401);
    let figures = served.stats.events.snapshot();
    assert!(figures.pulls_refused >= 23, "{}", figures.pulls_refused);
    assert!(figures.pulls.iter().all(|reader| reader.requests == 0 || reader.reader == "dashboard"));
}

#[test]
fn pictures_are_for_readers_that_may_see_them_and_every_look_is_said() {
    let served = Served::new();
    let known = Uuid::from_u128(7);
    let path = |id: Uuid, picture: &str| format!("/v1/snapshots/{id}/{picture}");
    assert_eq!(served.get(&path(known, "face.jpg"), PICTURES).0, 503, "the gallery is not open yet");
    let looks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = looks.clone();
    served.readers.show(Arc::new(move |reader, id, kind| {
        if id != known {
            return Err(err!(NoInput, "there is no {kind} of a snapshot {id}"));
        }
        noted.lock().expect("whole").push(format!("{reader} {kind}"));
        Ok(format!("JPEG of the {kind}").into_bytes())
    }));
    for (picture, jpeg) in [("face.jpg", "JPEG of the face"), ("scene.jpg", "JPEG of the scene")] {
        assert_eq!(served.get(&path(known, picture), PICTURES), (200, jpeg.to_owned()));
    }
    let (code, body) = served.get(&path(known, "face.jpg"), TOKEN);
    assert!(code == 403 && body.contains("http.readers.names.snapshots"), "{code}: {body}");
    assert_eq!(served.get(&path(known, "face.jpg"), "no-token-of-anybody").0, 401);
    assert_eq!(served.get(&path(Uuid::from_u128(8), "face.jpg"), PICTURES).0, 404);
    for picture in ["face", "face.png", "..%2fface.jpg", "FACE.JPG"] {
        assert_eq!(served.get(&path(known, picture), PICTURES).0, 404, "{picture}");
    }
    assert_eq!(served.get("/v1/snapshots/7/face.jpg", PICTURES).0, 400);
    assert_eq!(*looks.lock().expect("whole"), ["pictures face", "pictures scene"], "and nobody else looked");
}

#[test]
fn without_readers_the_page_says_how_to_have_some() {
    let report = fixture::ready().0;
    let readers = Arc::new(Readers::new(&[], &report.stats).expect("none"));
    let server = Server::start("127.0.0.1:0".parse().expect("valid"), report, readers).expect("started");
    let (code, body) = ask(server.address(), &request("/v1/events?after=now", "Connection: close\r\n"));
    assert_eq!(code, 403);
    assert!(body.contains("[http.readers.NAME]"), "{body}");
}

#[test]
fn before_the_log_is_open_readers_are_asked_to_come_again() {
    let report = fixture::ready().0;
    let readers = Arc::new(Readers::new(&all_readers(), &report.stats).expect("readers"));
    let server = Server::start("127.0.0.1:0".parse().expect("valid"), report, readers).expect("started");
    let head = format!("Authorization: Bearer {TOKEN}\r\nConnection: close\r\n");
    assert_eq!(ask(server.address(), &request("/v1/events?after=now", &head)).0, 503);
}

#[test]
fn wrong_requests_are_refused_with_what_was_expected() {
    let served = Served::new();
    served.fill(1);
    let theirs = Cursors::new(Key::generate().expect("random")).text(served.source.place(Start::Now));
    let wrong = [
        ("", "after: missing"),
        ("after=", "after: expected a cursor"),
        ("after=7", "after: expected a cursor"),
        (&format!("after={theirs}"), "after: expected a cursor"),
        (&format!("after={}", "A".repeat(5000)), "after: expected a cursor"),
        ("after=now&after=oldest", "after: is there twice"),
        ("after=now&limit=0", "limit: expected a whole number from 1 to 1000"),
        ("after=now&limit=1001", "limit: expected a whole number from 1 to 1000"),
        ("after=now&limit=18446744073709551616", "limit: expected"),
        ("after=now&limit=-1", "limit: expected"),
        ("after=now&wait=61", "wait: expected a whole number from 0 to 60"),
        ("after=now&wait=1.5", "wait: expected"),
        ("after=now&waits=1", "not known; expected after, limit, wait"),
        ("after=%ff%fe", "after: expected a cursor"),
    ];
    for (query, says) in wrong {
        let (code, body) = served.get(&format!("/v1/events?{query}"), TOKEN);
        assert_eq!(code, 400, "{query}: {body}");
        assert!(body.contains(says), "{query}: {body}");
    }
    let (code, body) = served.get("/v1/events/stream?limit=1", TOKEN);
    assert!(code == 400 && body.contains("expected after"), "{body}");
    let head = format!("Authorization: Bearer {TOKEN}\r\nLast-Event-ID: {theirs}\r\nConnection: close\r\n");
    let (code, body) = ask(served.address(), &request("/v1/events/stream", &head));
    assert!(code == 400 && body.contains("Last-Event-ID: expected a cursor"), "{body}");
    let post = format!(
        "POST /v1/events?after=now HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(ask(served.address(), &post).0, 405);
    assert_eq!(served.poll("after=oldest").0, [1], "the next one is served");
}

/// As many as there may be, and many more who only try: pages, and the other readers, are served all the while.
#[test]
fn readers_have_places_of_their_own_and_take_none_of_the_pages() {
    // Nobody leaves by himself while this lasts: who is refused has to be sent away.
    let served = Served::with_lifetime(Duration::from_secs(600));
    let streams: Vec<_> = (0..PLACES).map(|_| served.stream("", "")).collect();
    until("all streams to be open", || served.open() == PLACES as u64);
    let (code, body) = served.get("/v1/events/stream", TOKEN);
    assert!(code == 429 && body.contains("has 8 connections already"), "{body}");
    // More connections in all than there are places for pages.
    let head = format!("Authorization: Bearer {COUNTS}\r\n");
    let waiting: Vec<_> = (0..CONNECTIONS * 2)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address()).expect("connected");
            stream.write_all(request("/v1/events?after=now&wait=60", &head).as_bytes()).expect("sent");
            stream
        })
        .collect();
    until("the other reader's polls to wait", || served.open() == 2 * PLACES as u64);
    assert_eq!(ask(served.address(), &request("/healthz", "Connection: close\r\n")).0, 200);
    assert_eq!(ask(served.address(), &request("/metrics", "Connection: close\r\n")).0, 200);
    drop((streams, waiting));
    until("all to be gone", || served.open() == 0);
    until("the places to be free", || served.get("/v1/events?after=now", TOKEN).0 == 200);
}

/// Nobody knows who they are, so nobody lets them stay: a refused request does not make its connection last.
#[test]
fn who_is_not_let_in_does_not_stay_longer_by_asking_again() {
    let served = Served::with_lifetime(Duration::from_millis(400));
    let mut stream = TcpStream::connect(served.address()).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let line = request("/v1/events?after=now", "Authorization: Bearer wrong\r\n");
    let end = Instant::now() + Duration::from_secs(60);
    let mut part = [0; 4096];
    // Ends by an error, or the end.
    while stream.write_all(line.as_bytes()).is_ok() && stream.read(&mut part).is_ok_and(|n| n > 0) {
        assert!(Instant::now() < end, "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn half_a_request_and_a_reader_that_takes_nothing_are_hung_up_on_and_hold_nobody() {
    let served = Served::with_lifetime(Duration::from_millis(300));
    let mut half = TcpStream::connect(served.address()).expect("connected");
    half.write_all(
        format!("GET /v1/events?after=now HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nX: ").as_bytes(),
    )
    .expect("sent");
    // Its answer is there, and it neither reads it nor asks again.
    let mut deaf = TcpStream::connect(served.address()).expect("connected");
    deaf.write_all(
        request("/v1/events?after=now&wait=1", &format!("Authorization: Bearer {TOKEN}\r\n")).as_bytes(),
    )
    .expect("sent");
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    let _ = deaf.read_to_end(&mut rest);
    until("both to be gone", || served.open() == 0);
    served.fill(1);
    assert_eq!(served.poll("after=oldest").0, [1]);
}

#[test]
fn a_stream_that_is_not_read_is_hung_up_on_and_counted() {
    let served = Served::with(LIFETIME, Duration::from_millis(500));
    served.flood(900);
    let deaf = served.stream("?after=oldest", "");
    // As little as the system allows: the rest is kept on our side.
    rustix::net::sockopt::set_socket_recv_buffer_size(deaf.get_ref(), 4096).expect("set");
    // It takes its head and no more. What the system keeps for it fills up.
    until("it to be hung up on", || {
        served.flood(900);
        served.stats.events.snapshot().pulls.iter().any(|reader| reader.stalled == 1)
    });
    until("its place to be free", || served.open() == 0);
    assert_eq!(served.poll("after=now").0, [0; 0]);
    drop(deaf);
}

#[test]
fn at_the_end_streams_have_every_event_and_then_end() {
    let Served { site, log, readers, mut server, stats, source: _ } = {
        let served = Served::new();
        served.flood(899);
        served
    };
    let address = server.address();
    let connect = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("connected");
        let head = format!("Authorization: Bearer {TOKEN}\r\n");
        stream.write_all(request(path, &head).as_bytes()).expect("sent");
        BufReader::new(stream)
    };
    let mut stream = connect("/v1/events/stream?after=oldest");
    let mut waiting = connect("/v1/events?after=now&wait=60");
    let open = || stats.events.snapshot().pulls.iter().map(|reader| reader.open).sum::<u64>();
    until("both to be there", || open() == 2);
    // It has much to come, and has not begun to read.
    log.accept(site.event("door")).expect("accepted");
    finish(log);
    server.drain(Duration::from_secs(60));
    drop(server);
    let mut rest = Vec::new();
    while let Some(message) = message(&mut stream) {
        rest.push(message.data.expect("data")["data"]["sequence"].as_u64().expect("a number"));
    }
    assert_eq!(rest, (1..=901).collect::<Vec<_>>());
    let mut answer = String::new();
    let _ = waiting.read_to_string(&mut answer);
    assert!(answer.contains("\"sequence\":901"), "{answer}");
    drop(readers);
}
