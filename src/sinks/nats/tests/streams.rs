//! The stream: missing, made, wrong, full, refusing.

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};

use super::deliveries::told;
use super::*;

/// A stream as an operator would make it.
fn stream(change: impl FnOnce(&mut Config)) -> Config {
    let mut config =
        Config { name: "EVENTS".to_owned(), subjects: vec!["watchlistd.>".to_owned()], ..Config::default() };
    change(&mut config);
    config
}

#[test]
fn without_the_stream_the_error_says_what_to_run() {
    let server = Server::new();
    let mut config = config(&server);
    config.stream.create = false;
    let mut sink = sink(config);
    let sent = send(&mut sink, &deliveries(1, 3));
    let why = later(&sent);
    assert_eq!(sent.taken, 0);
    for part in
        ["there is no stream EVENTS", "nats stream add EVENTS", "'watchlistd.*.*.*.*'", "stream.create"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    server.make(stream(|_| {}));
    deliver(&mut sink, &deliveries(1, 3));
    assert_eq!(server.numbers(), [1, 2, 3]);
}

#[test]
fn a_stream_is_made_as_asked_and_never_changed() {
    let server = Server::new();
    let mut config = config(&server);
    config.stream.duplicate_window = Duration::from_secs(7_200);
    config.stream.max_age = Some(Duration::from_secs(86_400));
    config.stream.max_bytes = Some(1 << 20);
    config.stream.storage = Storage::Memory;
    config.stream.discard = Discard::New;
    deliver(&mut sink(config.clone()), &deliveries(1, 1));
    let made = server.info("EVENTS").config;
    assert_eq!(made.subjects, ["watchlistd.*.*.*.*"]);
    assert_eq!(made.duplicate_window, Duration::from_secs(7_200));
    assert_eq!(made.max_age, Duration::from_secs(86_400));
    assert_eq!(
        (made.max_bytes, made.storage, made.discard),
        (1 << 20, StorageType::Memory, DiscardPolicy::New)
    );
    config.stream.max_age = None;
    config.stream.discard = Discard::Old;
    deliver(&mut sink(config), &deliveries(2, 2));
    assert_eq!(server.info("EVENTS").config, made, "what is there stays as it is");
}

#[test]
fn two_boxes_that_make_the_stream_at_once_share_it() {
    let server = Server::new();
    let boxes: Vec<_> = (1..=2u64)
        .map(|n| {
            let mut config = config(&server);
            config.box_name = format!("box-{n}");
            config.stream.duplicate_window = Duration::from_secs(60 * n);
            std::thread::spawn(move || deliver(&mut sink(config), &[at("door", n)]))
        })
        .collect();
    boxes.into_iter().for_each(|thread| thread.join().expect("delivered"));
    let mut subjects: Vec<String> = server.stored().into_iter().map(|s| s.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["watchlistd.box-1._.door.camera", "watchlistd.box-2._.door.camera"]);
}

#[test]
fn a_stream_of_other_subjects_is_told_apart() {
    let server = Server::new();
    server.make(stream(|s| s.subjects = vec!["orders.>".to_owned()]));
    let mut sink = sink(config(&server));
    let why = later(&send(&mut sink, &deliveries(1, 1)));
    for part in ["takes orders.>", "watchlistd.box-7.*.*.*", "nats stream edit EVENTS --subjects"] {
        assert!(why.contains(part), "{part}: {why}");
    }
}

#[test]
fn a_subject_that_no_stream_takes_stops_the_batch_there() {
    let server = Server::new();
    server.make(stream(|s| s.subjects = vec!["watchlistd.*.*.door.>".to_owned()]));
    let mut sink = sink(config(&server));
    let sent = send(&mut sink, &[at("door", 1), at("yard", 2), at("door", 3)]);
    assert_eq!(sent.taken, 1);
    let why = later(&sent);
    assert!(why.contains("no stream takes watchlistd.box-7._.yard.camera"), "{why}");
    // What was stored behind it comes again and is dropped by its id.
    server.operate(async |context| drop(context.update_stream(stream(|_| {})).await.expect("changed")));
    deliver(&mut sink, &[at("yard", 2), at("door", 3)]);
    let mut numbers = server.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn a_subject_of_another_stream_is_not_taken_for_ours() {
    let server = Server::new();
    server.make(Config {
        name: "OTHER".to_owned(),
        subjects: vec!["watchlistd.>".to_owned()],
        ..Config::default()
    });
    let mut config = config(&server);
    let why = later(&send(&mut sink(config.clone()), &deliveries(1, 1)));
    assert!(why.contains("another stream takes part of its subjects"), "{why}");
    (config.stream.create, config.stream.check) = (false, false);
    let sent = send(&mut sink(config), &deliveries(1, 1));
    assert_eq!(sent.taken, 0);
    let why = later(&sent);
    assert!(why.contains("belongs to another stream than EVENTS"), "{why}");
    assert_eq!(server.info("OTHER").state.messages, 0, "nothing of ours is in it");
}

#[test]
fn a_stream_without_acknowledgements_is_told_apart() {
    let server = Server::new();
    server.make(stream(|s| s.no_ack = true));
    let why = later(&send(&mut sink(config(&server)), &deliveries(1, 1)));
    assert!(why.contains("no_ack"), "{why}");
}

#[test]
fn a_server_without_jetstream_is_told_apart() {
    let server = Server::with(|_| String::new());
    let why = later(&send(&mut sink(config(&server)), &deliveries(1, 1)));
    assert!(why.contains("no JetStream answers") && why.contains("-js"), "{why}");
    let account = "accounts { A { users: [ { user: a, password: a } ] } }\nno_auth_user: a";
    let server = Server::more(account);
    let why = later(&send(&mut sink(config(&server)), &deliveries(1, 1)));
    assert!(why.contains("no JetStream answers") && why.contains("the account"), "{why}");
    let mut config = config(&server);
    config.domain = Some("hub".to_owned());
    let why = later(&send(&mut sink(config), &deliveries(1, 1)));
    assert!(why.contains("in the domain hub"), "{why}");
}

#[test]
fn a_full_stream_that_refuses_is_tried_again() {
    let server = Server::new();
    server.make(stream(|s| (s.max_messages, s.discard) = (2, DiscardPolicy::New)));
    let mut sink = sink(config(&server));
    let sent = send(&mut sink, &deliveries(1, 5));
    assert_eq!(sent.taken, 2);
    let why = later(&sent);
    assert!(why.contains("maximum messages exceeded"), "{why}");
    server.purge("EVENTS");
    assert_eq!(send(&mut sink, &deliveries(3, 5)).taken, 2);
    assert_eq!(server.numbers(), [3, 4]);
}

#[test]
fn an_event_that_is_too_large_is_refused_and_the_next_goes_on() {
    let server = Server::new();
    server.make(stream(|s| s.max_message_size = 4_096));
    let mut sink = sink(config(&server));
    let batch = [at("door", 1), told("door", 2, &"x".repeat(8_000)), at("door", 3)];
    let sent = send(&mut sink, &batch);
    assert_eq!(sent.taken, 1);
    let why = refused(&sent);
    assert!(why.contains("max_msg_size"), "{why}");
    deliver(&mut sink, &batch[2..]);
    assert_eq!(server.numbers(), [1, 3]);
}

#[test]
fn an_event_that_is_too_large_for_the_server_is_refused() {
    let server = Server::more("max_payload: 4096");
    let mut sink = sink(config(&server));
    let batch = [at("door", 1), told("door", 2, &"x".repeat(8_000)), at("door", 3)];
    let sent = send(&mut sink, &batch);
    assert_eq!(sent.taken, 1);
    let why = refused(&sent);
    assert!(why.contains("max_payload"), "{why}");
    deliver(&mut sink, &batch[2..]);
    assert_eq!(server.numbers(), [1, 3]);
}
