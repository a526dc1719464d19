//! The sink against the real `nats-server` of Debian, and its pure parts alone.

mod deliveries;
mod faults;
mod fleet;
mod login;
mod order;
mod pure;
pub(in crate::sinks) mod server;
mod streams;
mod tls;

use std::time::Duration;

use super::*;
use crate::base::shutdown;
use deliveries::{at, deliveries};
use server::Server;

/// A sink of the server with the stream `EVENTS`, made by itself.
fn config(server: &Server) -> NatsConfig {
    let mut config = NatsConfig::new(vec![server.url()], "EVENTS", "box-7");
    config.stream.create = true;
    config.timeout = Duration::from_secs(20);
    config
}

fn sink(config: NatsConfig) -> Nats {
    Nats::new(config).expect("a good configuration")
}

/// Sends with nobody who stops it.
fn send(sink: &mut Nats, batch: &[Delivery]) -> Sent {
    let (_stopper, stop) = shutdown::channel();
    sink.send(batch, &stop)
}

/// Sends what has to be taken as a whole.
fn deliver(sink: &mut Nats, batch: &[Delivery]) {
    let sent = send(sink, batch);
    assert!(sent.trouble.is_none(), "{}", sent.trouble.map(|t| t.to_string()).unwrap_or_default());
    assert_eq!(sent.taken, batch.len());
}

/// Sends as the runner does, until all is taken; returns what went wrong on the way.
fn deliver_at_last(sink: &mut Nats, batch: &[Delivery]) -> Vec<String> {
    let start = Instant::now();
    let (mut taken, mut troubles) = (0, Vec::new());
    while taken < batch.len() {
        let sent = send(sink, &batch[taken..]);
        taken += sent.taken;
        if sent.trouble.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
        troubles.extend(sent.trouble.map(|t| t.to_string()));
        assert!(start.elapsed() < server::PATIENCE, "{taken} of {} taken; {troubles:#?}", batch.len());
    }
    troubles
}

/// Why the first was not taken, which may work later.
fn later(sent: &Sent) -> String {
    match &sent.trouble {
        Some(Trouble::Later { error, .. }) => error.chain(),
        other => panic!("expected that it may work later; {other:?}"),
    }
}

/// Why the first that was not taken is refused.
fn refused(sent: &Sent) -> String {
    match &sent.trouble {
        Some(Trouble::Refused { error }) => error.chain(),
        other => panic!("expected a refusal; {other:?}"),
    }
}
