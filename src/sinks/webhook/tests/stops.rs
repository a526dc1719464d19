//! A stop ends whatever the sink waits for, long before its time limit.

use super::*;
use crate::sinks::testing::{Fault, FaultProxy, deliveries, eventually};

/// Stops while the sink waits for an answer, and gives back what `send` said.
fn stopped(sink: &mut Webhook, batch: &[Delivery], waits: impl FnMut() -> bool) -> Sent {
    let (mut stopper, stop) = shutdown::channel();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| sink.send(batch, &stop));
        eventually("the sink waits for the answer", waits);
        stopper.stop();
        // The time limit is ten times what `eventually` waits for.
        eventually("it is broken off", || sending.is_finished());
        sending.join().expect("no panic")
    })
}

#[test]
fn a_stop_breaks_off_the_request_and_the_sink_works_again() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address);
    let (mut sink, batch) = (open(&config("http", proxy.address())), deliveries(1..=8));
    for (fault, connected) in [(Fault::HalfOpen, false), (Fault::Stall, true), (Fault::Swallow, true)] {
        if connected {
            assert!(all(&send(&mut sink, &batch), &batch));
        }
        proxy.set(fault);
        let before = proxy.seen();
        let sent = stopped(&mut sink, &batch, || proxy.seen() > before);
        assert!(sent.taken == 0 && sent.trouble.is_none(), "a stop is no trouble: {sent:?}");
        proxy.set(Fault::None);
        assert!(all(&send(&mut sink, &batch), &batch), "after {fault:?}");
    }
}

#[test]
fn a_stop_breaks_off_a_handshake() {
    let authority = super::tls::Authority::new();
    let server = Server::with(Some(authority.server("localhost", None)));
    let proxy = FaultProxy::start(server.address);
    let mut config = config("https", proxy.address());
    authority.trusted_by(&mut config);
    proxy.set(Fault::Swallow);
    let (mut sink, batch) = (open(&config), deliveries(1..=1));
    let sent = stopped(&mut sink, &batch, || proxy.seen() > 0);
    assert!(sent.taken == 0 && sent.trouble.is_none(), "{sent:?}");
    proxy.set(Fault::None);
    assert!(all(&send(&mut sink, &batch), &batch));
}

#[test]
fn a_stop_between_two_requests_keeps_what_was_taken() {
    let server = Server::start();
    let (stopper, stop) = shutdown::channel();
    let (mut stopper, mut count) = (Some(stopper), 0);
    server.answers(move |_| {
        count += 1;
        if count == 3 {
            drop(stopper.take());
        }
        Reply::status(200)
    });
    let sent = open(&config("http", server.address)).send(&deliveries(1..=8), &stop);
    // The answer to the third and the stop are on their way at the same time.
    assert!([2, 3].contains(&sent.taken) && sent.trouble.is_none(), "{sent:?}");
    // The server notes a request after it has answered, which may be after the stop.
    eventually("the third is noted", || server.requests().len() >= 3);
    assert_eq!(server.requests().len(), 3);
}
