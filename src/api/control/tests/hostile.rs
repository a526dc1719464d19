//! Ten thousand requests that nobody should send.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use super::super::connection;
use super::super::server::Shared;
use super::*;

/// Whole requests to start from: all that the parser looks at is in them.
const SEEDS: [&[u8]; 7] = [
    b"{\"op\":\"status\"}\n",
    b"{\"op\":\"gallery\",\"version\":1,\"command\":{\"op\":\"describe\"},\"body\":4}\nabcd",
    b"{\"op\":\"gallery\",\"command\":{\"op\":\"list\",\"list\":\"staff\",\"standing\":null,\"text\":\"\\u00e9\"}}\n",
    b"{\"op\":\"gallery\",\"command\":{\"op\":\"confusable\",\"most\":3},\"body\":0}\n{\"op\":\"status\"}\n",
    b"{\"op\":\"gallery\",\"command\":{\"op\":\"key-export\",\"recipients\":[\"age1\"],\"passphrase\":\"tulip\"}}\n",
    b"{\"op\":\"gallery\",\"command\":{\"op\":\"change\",\"who\":\"Ana\",\"change\":{\"notes\":[\"x\"],\"onto\":[\"a\"]}}}\n",
    b"{\"op\":\"gallery\",\"command\":{\"op\":\"audit-at\",\"at\":\"2026-03-01T08:00:00Z\"},\"body\":1073741824}\n\0\0",
];

/// Words that change a request's meaning more than a flipped bit does.
const WORDS: [&[u8]; 12] = [
    b"{",
    b"}",
    b"\n",
    b"\"",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"\xff",
    b"\\u0000",
    b"[[[[[[[[",
];

fn mutated(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = match random.usize(..10) {
        0 => (0..random.usize(..300)).map(|_| random.u8(..)).collect(),
        1 => [SEEDS[random.usize(..SEEDS.len())], SEEDS[random.usize(..SEEDS.len())]].concat(),
        _ => SEEDS[random.usize(..SEEDS.len())].to_vec(),
    };
    for _ in 0..random.usize(..6) {
        let at = random.usize(..=bytes.len());
        match random.usize(..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u32(..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].iter().copied())),
            3 => drop(bytes.drain(at..(at + random.usize(..8)).min(bytes.len()))),
            _ => bytes.extend_from_within(..at),
        }
    }
    bytes
}

/// Every line that comes back is an answer, and none says that we have a bug.
fn assert_answers(request: &[u8], answer: &[u8]) {
    let shown = || String::from_utf8_lossy(request).into_owned();
    assert!(!answer.windows(5).any(|w| w == b"tulip"), "a passphrase came back: {}", shown());
    let first = answer.split(|b| *b == b'\n').next().unwrap_or_default();
    if !first.is_empty() {
        let value: serde_json::Value = serde_json::from_slice(first).expect("JSON");
        let known = ["status", "progress", "ok", "error"].iter().any(|key| value.get(key).is_some());
        assert!(known, "{value} to {}", shown());
        assert_ne!(value["error"]["kind"], "software", "{}", shown());
    }
}

/// In this thread, so that a panic is this test's.
#[test]
fn ten_thousand_broken_requests_cause_no_panic_and_no_hang() {
    let shared = Shared::new(Rule::own(), Fake::new().0, Limits { stall: LONG, ..Limits::default() });
    let mut random = fastrand::Rng::with_seed(20_260_301);
    for _ in 0..10_000 {
        let request = mutated(&mut random);
        // The one command of the fake that waits, and the one that panics, are not what this is about.
        if [&b"\"verify\""[..], b"\"lists\""].iter().any(|op| request.windows(op.len()).any(|w| w == *op)) {
            continue;
        }
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(&request).expect("it fits");
        ours.shutdown(Shutdown::Write).expect("open");
        connection::serve(Arc::new(theirs), &shared);
        let mut answer = Vec::new();
        let _ = ours.read_to_end(&mut answer);
        assert_answers(&request, &answer);
    }
}

#[test]
fn the_next_client_is_answered_after_any_broken_request() {
    let site = Site::new();
    let mut random = fastrand::Rng::with_seed(4_711);
    for n in 0..1_000 {
        let mut stream = site.stream();
        // It may be hung up on before all is sent.
        let _ = stream.write_all(&mutated(&mut random)).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if n % 50 == 0 {
            site.assert_well();
        }
    }
    site.assert_well();
}

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_passphrase_is_logged_or_told_whatever_is_wrong_with_its_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        send_secrets();
        // What another test's thread, which has no log, came by first would else be off in this one too.
        tracing::callsite::rebuild_interest_cache();
        send_secrets();
    });
    let text = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    assert!(text.contains("hung up on") && text.contains("a bug in watchlistd"), "{text}");
    assert!(!text.contains("tulip"), "{text}");
}

/// Requests with a passphrase in them, none of which is carried out. No answer may hold it.
fn send_secrets() {
    let with =
        |command: &str, body: u64| format!("{{\"op\":\"gallery\",\"command\":{command},\"body\":{body}}}\n");
    let shared = Shared::new(Rule::own(), Fake::new().0, Limits { body: 100, ..Limits::default() });
    for request in [
        with(r#"{"op":"key-export","recipients":[],"passphrase":"tulip"}"#, 0),
        with(r#"{"op":"key-export","recipients":[],"passphrase":["tulip"]}"#, 0),
        with(r#"{"op":"key-export","recipients":"tulip"}"#, 0),
        with(r#"{"op":"restore","key":"tulip"}"#, 101),
        with(r#"{"op":"restore","key":"tulip"}"#, 7),
        with(r#""tulip""#, 0),
        with(r#"{"op":"lists","passphrase":"tulip"}"#, 0),
        "tulip\n".to_owned(),
        "{\"op\":\"gallery\",\"command\":\"tulip".to_owned(),
    ] {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(request.as_bytes()).expect("it fits");
        ours.shutdown(Shutdown::Write).expect("open");
        connection::serve(Arc::new(theirs), &shared);
        let mut answer = String::new();
        let _ = ours.read_to_string(&mut answer);
        assert!(!answer.contains("tulip"), "{answer}");
    }
}
