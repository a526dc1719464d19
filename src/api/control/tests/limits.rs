//! What a client cannot take: time, memory, places.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::super::client;
use super::*;

/// All that comes until the server hangs up.
fn rest(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    // An error after the answer is the system's word for what was not read.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).expect("text")
}

#[test]
fn nonsense_gets_an_error_and_the_next_client_an_answer() {
    let site = Site::new();
    let told = |request: &[u8]| {
        let mut stream = site.stream();
        stream.write_all(request).expect("sent");
        rest(stream)
    };
    assert!(told(b"{\"op\":\"reboot\"}\n").contains("known: status, gallery, events"));
    assert!(told(b"GET / HTTP/1.1\n").contains("expected one line of JSON"));
    assert!(told(b"{\"op\":\"gallery\",\"command\":{\"op\":\"dance\"}}\n").contains("near byte"));
    assert!(told(b"{\"op\":\"gallery\",\"version\":7}\n").contains("version 7"));
    drop(site.stream());
    site.assert_well();
}

#[test]
fn an_endless_line_is_refused() {
    let site = Site::new();
    let mut stream = site.stream();
    let sent = (0..10_000).take_while(|_| stream.write_all(&[b'x'; 4096]).is_ok()).count();
    assert!(sent < 10_000, "the server hangs up");
    assert!(rest(stream).contains("longer than 1048576 bytes"));
    site.assert_well();
}

#[test]
fn a_body_that_is_too_large_is_refused_unread() {
    let site = Site::new();
    for length in ["1073741825", "18446744073709551615"] {
        let mut stream = site.stream();
        let line = format!("{{\"op\":\"gallery\",\"command\":{{\"op\":\"describe\"}},\"body\":{length}}}\n");
        stream.write_all(line.as_bytes()).expect("sent");
        // Not a byte of it is needed.
        let text = rest(stream);
        assert!(text.contains("\"kind\":\"data\"") && text.contains("at most 1073741824"), "{text}");
    }
    // A client that sends on learns why it was stopped.
    let site = Site::with(Limits { body: 10, ..Limits::default() });
    let error = ask(&mut site.client(), Command::Describe, &vec![0; 8 << 20]).expect_err("too large");
    assert!(error.to_string().contains("a body of 8388608 bytes"), "{error}");
    assert_eq!(site.fake.done(), 0);
}

#[test]
fn who_stalls_in_a_request_is_hung_up_on() {
    let site = Site::with(Limits { stall: SHORT, ..Limits::default() });
    let stalled: [&[u8]; 3] = [
        b"{",
        b"{\"op\":\"gallery\",\"command\":{\"op\":\"describe\"},\"body\":10}\n",
        b"{\"op\":\"gallery\",\"command\":{\"op\":\"describe\"},\"body\":1073741824}\n123456789",
    ];
    for part in stalled {
        let mut stream = site.stream();
        stream.write_all(part).expect("sent");
        let text = rest(stream);
        assert!(text.contains("\"kind\":\"temporary\"") && text.contains("in time"), "{text}");
    }
    assert_eq!(site.fake.done(), 0, "half a request is none");
    let mut stream = site.stream();
    stream.write_all(b"{\"op\":\"status\"}\n").expect("sent");
    assert!(rest(stream).starts_with("{\"status\""));
}

#[test]
fn who_asks_nothing_for_too_long_is_hung_up_on() {
    let site = Site::with(Limits { idle: SHORT, ..Limits::default() });
    // Before the first request, and after one.
    assert_eq!(rest(site.stream()), "");
    let mut stream = site.stream();
    let request = b"{\"op\":\"gallery\",\"command\":{\"op\":\"confusable\",\"most\":0}}\n";
    stream.write_all(request).expect("sent");
    assert_eq!(rest(stream), "{\"ok\":null,\"body\":0}\n");
}

#[test]
fn one_more_than_there_are_places_is_told_so_and_served_when_one_leaves() {
    let site = Site::new();
    // Each has been answered, so each has a place.
    let mut clients: Vec<Client> = (0..16).map(|_| site.client()).collect();
    clients.iter_mut().for_each(|client| drop(ask(client, Command::Describe, b"").expect("a reply")));
    let error = client::query(&site.path, LONG).expect_err("one too many");
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.to_string().contains("busy"), "{error}");
    let error = ask(&mut site.client(), Command::Describe, &vec![0; 8 << 20]).expect_err("one too many");
    assert_eq!(error.kind(), Kind::Temporary, "{error}");
    clients.iter_mut().for_each(|client| drop(ask(client, Command::Describe, b"").expect("not disturbed")));
    drop(clients.pop());
    until("a place is free", || client::query(&site.path, LONG).is_ok());
}

#[test]
fn who_vanishes_in_the_middle_of_a_body_leaves_nothing_behind() {
    let site = Site::with(Limits { connections: 200, ..Limits::default() });
    for _ in 0..100 {
        let mut stream = site.stream();
        let line = b"{\"op\":\"gallery\",\"command\":{\"op\":\"describe\"},\"body\":1000000}\n";
        stream.write_all(line).and_then(|()| stream.write_all(&[1; 1000])).expect("sent");
    }
    // Accepted after all of them.
    client::query(&site.path, LONG).expect("a status");
    until("all places are free", || site.server.as_ref().is_some_and(|server| server.clients() == 0));
    assert_eq!(site.fake.done(), 0, "none was carried out");
    site.assert_well();
}

#[test]
fn a_command_goes_on_when_its_client_goes_away() {
    let site = Site::new();
    let mut stream = site.stream();
    stream.write_all(b"{\"op\":\"gallery\",\"command\":{\"op\":\"verify\"}}\n").expect("sent");
    site.gate.begun.recv_timeout(LONG).expect("under way");
    drop(stream);
    site.gate.open.send(()).expect("it still runs");
    until("it is done", || site.fake.done() == 1);
    site.assert_well();
}

/// It holds the gallery for its time, and not for its client's.
#[test]
fn a_client_that_does_not_read_its_progress_does_not_hold_up_the_command() {
    let site = Site::new();
    let mut stream = site.stream();
    let line = b"{\"op\":\"gallery\",\"command\":{\"op\":\"confusable\",\"most\":100000}}\n";
    stream.write_all(line).expect("sent");
    until("it is done", || site.fake.done() == 1);
    // What it reads then are whole lines all the same, and the answer.
    let mut wire = super::super::wire::Wire::new(Arc::new(stream));
    let mut lines = 0;
    loop {
        let text = wire.line(1000, LONG).expect("a line");
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        if value.get("ok").is_some() {
            break;
        }
        assert_eq!(value["progress"]["of"], 100_000);
        lines += 1;
    }
    assert!(lines < 100_000);
}
