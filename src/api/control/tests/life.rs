//! The socket's file, and how a server begins and ends.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::super::client;
use super::*;

fn start(path: &std::path::Path) -> Result<Server> {
    Server::start(path, Rule::own(), Fake::new().0)
}

#[test]
fn it_is_there_for_user_and_group_and_cleans_up() {
    let mut site = Site::new();
    assert_eq!(fs::metadata(&site.path).expect("there").permissions().mode() & 0o777, 0o660);
    drop(site.server.take());
    assert!(!site.path.exists(), "it cleans up");
    assert_eq!(client::query(&site.path, LONG).expect_err("gone").kind(), Kind::Unavailable);
    assert_eq!(Client::connect(&site.path, LONG).expect_err("gone").kind(), Kind::Unavailable);
}

#[test]
fn a_stale_socket_is_replaced_and_a_running_daemon_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    // What a killed daemon leaves behind.
    drop(UnixListener::bind(&path).expect("bound"));
    assert_eq!(Client::connect(&path, LONG).expect_err("nobody listens").kind(), Kind::Unavailable);
    let first = start(&path).expect("replaces the stale socket");
    let error = start(&path).expect_err("one is enough");
    assert!(error.to_string().contains("another watchlistd is running"), "{error}");
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(client::query(&path, LONG).is_ok(), "the first is unharmed");
    drop(first);
    // Somebody who holds no lock of ours, but listens.
    let _other = UnixListener::bind(&path).expect("bound");
    assert!(start(&path).is_err());
    assert!(path.exists());
}

#[test]
fn a_file_in_the_way_is_not_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    fs::write(&path, "precious").expect("written");
    let error = start(&path).expect_err("in the way").to_string();
    assert!(error.contains("control.socket") && error.contains("is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    let missing = folder.path().join("no/such/folder/s");
    assert_eq!(start(&missing).expect_err("no folder").kind(), Kind::CannotCreate);
}

#[test]
fn at_its_end_it_hangs_up_on_the_idle_and_lets_a_command_finish() {
    let mut site = Site::new();
    let mut idle = site.stream();
    let mut half = site.stream();
    half.write_all(b"{\"op\":\"gallery\",").expect("sent");
    let mut client = site.client();
    let long = std::thread::spawn(move || {
        let reply = ask(&mut client, Command::Verify, b"");
        (reply, ask(&mut client, Command::Describe, b""))
    });
    site.gate.begun.recv_timeout(LONG).expect("under way");
    let server = site.server.take();
    let ending = std::thread::spawn(move || drop(server));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("hung up on");
    // A reset is how the system says that what was sent before had not been read yet.
    let ended = half.read_to_end(&mut rest);
    assert!(
        ended.as_ref().is_ok_and(|n| *n == 0) || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
    );
    assert!(rest.is_empty());
    site.gate.open.send(()).expect("it waits");
    let (reply, next) = long.join().expect("no panic");
    reply.expect("the command that ran is answered");
    assert_eq!(next.expect_err("and no other").kind(), Kind::Unavailable);
    ending.join().expect("it ends");
}

#[test]
fn a_command_that_takes_too_long_does_not_keep_it_from_ending() {
    let mut site = Site::with(Limits { grace: SHORT, ..Limits::default() });
    let mut client = site.client();
    let long = std::thread::spawn(move || ask(&mut client, Command::Verify, b""));
    site.gate.begun.recv_timeout(LONG).expect("under way");
    drop(site.server.take());
    assert_eq!(site.fake.done(), 0, "it ended before the command");
    site.gate.open.send(()).expect("it still runs");
    long.join().expect("no panic").expect("answered all the same");
}

/// The daemon at the other end is killed, or is something else.
#[test]
fn a_client_is_told_when_the_daemon_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let answers: [(&[u8], Kind, &str); 6] = [
        (b"", Kind::Unavailable, "hung up without an answer"),
        (b"{\"ok\":", Kind::Unavailable, "hung up without an answer"),
        (b"{\"ok\":1,\"body\":9}\nshort", Kind::Unavailable, "broke off"),
        (b"{\"error\":\"unknown op\"}\n", Kind::Data, "another version"),
        (b"220 smtp ready\n", Kind::Data, "another version"),
        (b"{\"error\":{\"kind\":\"data\",\"message\":\"\x1b\"}}\n", Kind::Data, "another version"),
    ];
    for (answer, kind, words) in answers {
        let mut client = Client::connect(&path, LONG).expect("connected");
        let (mut theirs, _) = listener.accept().expect("a client");
        let told = std::thread::spawn(move || ask(&mut client, Command::Describe, b"body"));
        // All of the request: what is left unread would be an error of its own.
        let mut byte = [0];
        while byte != *b"\n" {
            theirs.read_exact(&mut byte).expect("the line");
        }
        theirs.read_exact(&mut [0; 4]).expect("the body");
        theirs.write_all(answer).expect("sent");
        drop(theirs);
        let error = told.join().expect("no panic").expect_err("no answer");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
