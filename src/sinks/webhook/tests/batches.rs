//! How events are put together, and taken apart where the receiver does not like them so.

use super::*;
use crate::sinks::testing::{Fault, FaultProxy, deliveries};

fn batching(server: &Server, max_events: usize, max_bytes: usize) -> WebhookConfig {
    WebhookConfig { mode: Mode::Batch { max_events, max_bytes }, ..config("http", server.address) }
}

fn sizes(server: &Server) -> Vec<usize> {
    server.requests().iter().map(|request| request.events().len()).collect()
}

#[test]
fn a_batch_is_an_array_of_the_same_events_in_order() {
    let server = Server::start();
    let batch = deliveries(1..=10);
    assert!(all(&send(&mut open(&batching(&server, 10, 1 << 20)), &batch), &batch));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let events: Vec<_> = batch.iter().map(|delivery| delivery.event.clone()).collect();
    assert_eq!(requests[0].events(), events);
    assert_eq!(requests[0].line, "POST /events HTTP/1.1");
}

#[test]
fn no_request_is_larger_than_it_may_be_but_for_an_event_alone() {
    let server = Server::start();
    let batch = deliveries(1..=40);
    let config = batching(&server, 40, 1500);
    assert_eq!(open(&config).batch(), 40);
    assert!(all(&send(&mut open(&config), &batch), &batch));
    let sizes = sizes(&server);
    assert!(sizes.len() > 1 && sizes.iter().any(|&n| n > 1), "{sizes:?}");
    assert!(server.requests().iter().all(|request| request.body.len() <= 1500));
    let mut large = deliveries(41..=42);
    let padding = " ".repeat(4000);
    large[0].json.push_str(&padding);
    assert!(all(&send(&mut open(&config), &large), &large), "an event that is too large goes alone");
    assert_eq!(server.requests()[sizes.len()].ids(), [large[0].event.id]);
}

#[test]
fn too_large_halves_the_batch_and_the_sink_remembers() {
    let server = Server::start();
    server.answers(|request| Reply::status(if request.body.len() > 2500 { 413 } else { 200 }));
    let config = batching(&server, 32, 1 << 20);
    let (mut sink, batch) = (open(&config), deliveries(1..=32));
    assert!(all(&send(&mut sink, &batch), &batch));
    assert_eq!(server.taken(), batch.iter().map(|d| d.event.id).collect::<Vec<_>>());
    let before = server.requests().len();
    let more = deliveries(33..=64);
    assert!(all(&send(&mut sink, &more), &more));
    assert!(server.requests()[before..].iter().all(|request| request.status == 200), "it is not asked again");
    server.answers(|_| Reply::status(413));
    let sent = send(&mut sink, &more);
    assert!(sent.taken == 0 && matches!(sent.trouble, Some(Trouble::Refused { .. })), "{sent:?}");
}

#[test]
fn one_bad_event_is_found_with_few_requests_wherever_it_stands() {
    for place in [0, 1, 31, 62, 63] {
        let (server, batch) = (Server::start(), deliveries(1..=64));
        let bad = batch[place].event.id;
        server.answers(move |request| Reply::status(if request.ids().contains(&bad) { 400 } else { 200 }));
        let sent = send(&mut open(&batching(&server, 64, 1 << 20)), &batch);
        assert_eq!(sent.taken, place);
        assert!(matches!(sent.trouble, Some(Trouble::Refused { .. })), "{sent:?}");
        let expected: Vec<_> = batch[..place].iter().map(|d| d.event.id).collect();
        assert_eq!(server.taken(), expected);
        assert!(sizes(&server).len() <= 13, "64 events, {:?}", sizes(&server));
    }
}

#[test]
fn a_receiver_that_cuts_the_connection_over_size_gets_less() {
    let server = Server::start();
    server.answers(|request| Reply { hang_up: request.events().len() > 5, ..Reply::status(200) });
    let (mut sink, batch) = (open(&batching(&server, 32, 1 << 20)), deliveries(1..=32));
    let mut left = &batch[..];
    // What the runner does. Each call either takes something or halves.
    for _ in 0..40 {
        left = &left[send(&mut sink, left).taken..];
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "{} are left", left.len());
}

#[test]
fn the_key_of_a_batch_is_the_same_for_the_same_events_and_for_no_others() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address);
    let mut config = batching(&server, 100, 1 << 20);
    config.url.set_port(Some(proxy.port())).expect("a port");
    (config.connect_timeout, config.timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    proxy.set(Fault::Swallow);
    let (mut sink, batch) = (open(&config), deliveries(1..=5));
    later(send(&mut sink, &batch));
    proxy.set(Fault::None);
    config.timeout = PATIENT;
    assert!(all(&send(&mut open(&config), &batch), &batch));
    for others in [&batch[..4], &batch[1..], &batch[..1]] {
        assert!(all(&send(&mut open(&config), others), others));
    }
    let keys: Vec<String> =
        server.requests().iter().map(|r| r.header("idempotency-key").expect("a key").to_owned()).collect();
    assert_eq!(keys[0], keys[1], "an acknowledgement was lost: the same key again");
    let different: std::collections::BTreeSet<&String> = keys[1..].iter().collect();
    assert_eq!(different.len(), 4, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("batch_") && !key.contains('.')), "{keys:?}");
}
