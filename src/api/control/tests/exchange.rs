//! What is asked and what is answered.

use std::io::{Read, Write};

use super::super::protocol::KINDS;
use super::super::{client, peer};
use super::*;

#[test]
fn the_client_gets_what_the_daemon_counts() {
    let site = Site::new();
    assert_eq!(client::query(&site.path, LONG).expect("answered"), site.fake.report.snapshot());
}

/// What a client of the first version sends and waits for: a line, and the end.
#[test]
fn the_old_request_for_the_status_is_still_one() {
    let site = Site::new();
    let mut stream = site.stream();
    stream.write_all(b"{\"op\":\"status\"}\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read to the end");
    assert!(text.starts_with("{\"status\":{\"version\":") && text.ends_with("}\n"), "{text}");
}

#[test]
fn bodies_go_both_ways_byte_for_byte_and_requests_follow_each_other() {
    let site = Site::new();
    let mut client = site.client();
    for length in [0, 1, 2, 4095, 4096, 65_535, 65_536, 65_537, 1 << 20, (5 << 20) + 3] {
        // Line breaks and zeros among them.
        let body: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let reply = ask(&mut client, Command::Describe, &body).expect("a reply");
        assert_eq!(reply.value["length"], length);
        assert!(reply.body.iter().rev().eq(&body), "of {length} bytes");
    }
    for n in 0..2_000u32 {
        let reply = ask(&mut client, Command::Describe, &n.to_be_bytes()).expect("a reply");
        assert_eq!(reply.body, n.to_le_bytes());
    }
    assert_eq!(site.fake.done(), 2_010);
}

#[test]
fn the_handler_knows_who_asks() {
    let site = Site::new();
    let reply = ask(&mut site.client(), Command::Describe, b"").expect("a reply");
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let own = peer::Peer::of(&ours).expect("credentials");
    assert_eq!(reply.value["actor"], own.actor().0);
}

#[test]
fn an_error_has_its_kind_and_words_and_the_connection_goes_on() {
    let site = Site::new();
    let mut client = site.client();
    for (kind, name) in KINDS {
        let error = ask(&mut client, failing(name), b"a body").expect_err("a failure");
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), format!("a failure of kind {name}: disk full"));
    }
    assert!(ask(&mut client, Command::Describe, b"").is_ok());
}

#[test]
fn progress_comes_in_order_before_the_answer() {
    let site = Site::new();
    let mut steps = Vec::new();
    let command = Command::Confusable { most: 20 };
    site.client().ask(command, Vec::new(), &mut |step| steps.push(step)).expect("a reply");
    let expected = |done| Progress { what: "pairs".into(), done, of: 20 };
    assert_eq!(steps, (1..=20).map(expected).collect::<Vec<_>>());
}

#[test]
fn a_daemon_without_a_gallery_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let report = fixture::ready().0;
    let _server = Server::start(&path, Rule::own(), Arc::new(report.clone())).expect("started");
    let mut client = Client::connect(&path, LONG).expect("connected");
    let error = ask(&mut client, Command::Describe, b"").expect_err("none");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Unavailable, "this watchlistd serves no gallery")
    );
    assert_eq!(client::query(&path, LONG).expect("answered"), report.snapshot());
}

#[test]
fn a_panic_costs_one_connection() {
    let site = Site::new();
    let (mut other, mut unlucky) = (site.client(), site.client());
    let error = ask(&mut unlucky, Command::Lists, b"").expect_err("a bug");
    assert_eq!(error.kind(), Kind::Software);
    assert!(!error.to_string().contains("tulip"), "{error}");
    assert_eq!(ask(&mut unlucky, Command::Describe, b"").expect_err("over").kind(), Kind::Unavailable);
    assert!(ask(&mut other, Command::Describe, b"").is_ok());
    site.assert_well();
}

#[test]
fn the_status_is_answered_beside_a_long_command_and_silent_clients() {
    let site = Site::new();
    let _silent: Vec<_> = (0..5).map(|_| site.stream()).collect();
    let mut client = site.client();
    let long = std::thread::spawn(move || ask(&mut client, Command::Verify, b""));
    site.gate.begun.recv_timeout(LONG).expect("under way");
    assert!(client::query(&site.path, LONG).is_ok());
    assert!(ask(&mut site.client(), Command::Describe, b"").is_ok());
    assert_eq!(site.fake.done(), 1, "the long one still runs");
    site.gate.open.send(()).expect("it waits");
    long.join().expect("no panic").expect("a reply");
}

#[test]
fn questions_about_events_are_answered_like_commands() {
    let site = Site::new();
    let mut client = site.client();
    let reply = ask_events(&mut client, &Question::Head).expect("a head");
    assert_eq!((reply.value, reply.body.as_slice()), (json!("a head"), &b"a line\n"[..]));
    let error = ask_events(&mut client, &Question::Find { id: uuid::Uuid::nil() }).expect_err("none");
    assert_eq!(error.kind(), Kind::NoInput);
    // The connection goes on, also between commands about the gallery.
    assert_eq!(ask(&mut client, Command::Describe, b"abc").expect("a reply").body, b"cba");
    let bug = ask_events(&mut client, &Question::Sinks).expect_err("a bug");
    assert_eq!(bug.kind(), Kind::Software);
    site.assert_well();
}
