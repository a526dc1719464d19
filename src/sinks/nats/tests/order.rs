//! What is sent is stored once and in order.

use super::deliveries::recognized;
use super::*;
use crate::sinks::testing::{FaultProxy, eventually};

#[test]
fn events_are_stored_in_order_with_what_is_needed_to_route_them() {
    let server = Server::new();
    let mut sink = sink(config(&server));
    let batch = [recognized("yard.front", 1, &["vip", "my guests"]), at("door", 2), at("door", 3)];
    deliver(&mut sink, &batch);
    let stored = server.stored();
    let mut subjects: Vec<&str> = stored.iter().map(|s| s.subject.as_str()).collect();
    subjects.sort_unstable();
    let wanted = [
        "watchlistd.box-7._.door.camera",
        "watchlistd.box-7._.door.camera",
        "watchlistd.box-7.vip.yard%2Efront.recognized",
    ];
    assert_eq!(subjects, wanted);
    for message in &stored {
        let sent = &batch[usize::try_from(message.number()).expect("small") - 1];
        assert_eq!(message.json, sent.json, "the body is the whole event");
        let event = message.value();
        for attribute in ["id", "source", "specversion", "type", "time", "subject", "dataschema"] {
            assert_eq!(message.header(&format!("ce-{attribute}")), event[attribute].as_str().expect("text"));
        }
        assert_eq!(message.header("Nats-Msg-Id"), event["id"].as_str().expect("text"));
        assert_eq!(message.header("Content-Type"), message::CONTENT_TYPE);
        assert_eq!(message.header("Watchlistd-Log"), sent.log.to_string());
        assert_eq!(message.header("Watchlistd-Camera"), event["data"]["camera"].as_str().expect("text"));
    }
    let lists: Vec<&str> =
        stored.iter().map(|s| s.header("Watchlistd-Lists")).filter(|l| !l.is_empty()).collect();
    assert_eq!(lists, ["vip,my%20guests"]);
}

#[test]
fn a_camera_keeps_its_order_in_large_batches_of_many() {
    let server = Server::new();
    let mut sink = sink(config(&server));
    let cameras = ["a", "b", "c"];
    let all: Vec<Delivery> = (1..=300).map(|n| at(cameras[n as usize % 3], n)).collect();
    for batch in all.chunks(sink.batch()) {
        deliver(&mut sink, batch);
    }
    let stored = server.stored();
    assert_eq!(stored.len(), all.len());
    for camera in cameras {
        let of_it: Vec<u64> =
            stored.iter().filter(|s| s.header("Watchlistd-Camera") == camera).map(|s| s.number()).collect();
        assert!(of_it.len() == 100 && of_it.is_sorted(), "{camera}: {of_it:?}");
    }
}

#[test]
fn the_same_batch_again_is_taken_and_stored_once() {
    let server = Server::new();
    let batch = deliveries(1, 20);
    deliver(&mut sink(config(&server)), &batch);
    // A daemon that was killed before its cursor moved.
    let mut again = sink(config(&server));
    deliver(&mut again, &batch);
    deliver(&mut again, &deliveries(15, 25));
    assert_eq!(server.numbers(), (1..=25).collect::<Vec<_>>());
}

#[test]
fn beyond_the_duplicate_window_an_event_is_stored_twice_with_one_id() {
    let server = Server::new();
    let mut config = config(&server);
    config.stream.duplicate_window = Duration::from_millis(100);
    let mut sink = sink(config);
    let batch = deliveries(1, 1);
    let start = Instant::now();
    // The server forgets ids by a timer of its own; how soon after the window is its matter.
    while server_has_one(&server, &mut sink, &batch) {
        assert!(start.elapsed() < server::PATIENCE, "the window never closes");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ids: Vec<String> = server.stored().iter().map(|s| s.header("Nats-Msg-Id").to_owned()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

fn server_has_one(server: &Server, sink: &mut Nats, batch: &[Delivery]) -> bool {
    deliver(sink, batch);
    server.stored().len() == 1
}

#[test]
fn a_server_that_restarts_in_the_middle_loses_nothing() {
    let mut server = Server::new();
    let mut sink = sink(config(&server));
    deliver(&mut sink, &deliveries(1, 50));
    server.stop();
    let down = send(&mut sink, &deliveries(51, 60));
    assert_eq!(down.taken, 0);
    let why = later(&down);
    assert!(why.contains("127.0.0.1"), "{why}");
    server.start();
    deliver(&mut sink, &deliveries(51, 100));
    assert_eq!(server.numbers(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_connection_that_ended_unused_is_noticed_before_it_is_used() {
    let mut server = Server::new();
    let mut sink = sink(config(&server));
    deliver(&mut sink, &deliveries(1, 1));
    server.stop();
    server.start();
    deliver(&mut sink, &deliveries(2, 2));
    assert_eq!(server.numbers(), [1, 2]);
}

#[test]
fn an_idle_connection_answers_the_servers_pings() {
    // Without an answer to two pings the server ends the connection.
    let server = Server::more("ping_interval: \"100ms\"\nping_max: 2");
    let proxy = FaultProxy::start(server.address());
    let mut config = config(&server);
    config.servers = vec![format!("nats://{}", proxy.address()).parse().expect("valid")];
    let mut sink = sink(config);
    deliver(&mut sink, &deliveries(1, 1));
    let ten_more = proxy.seen() + 10 * "PONG\r\n".len() as u64;
    eventually("ten pings are answered", || {
        sink.idle();
        proxy.seen() >= ten_more
    });
    deliver(&mut sink, &deliveries(2, 2));
    assert_eq!(proxy.connections(), 1, "the same connection all the time");
    sink.close();
    assert!(sink.link.is_none());
}
