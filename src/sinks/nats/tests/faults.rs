//! What breaks between the sink and the server.

use std::collections::HashSet;

use uuid::Uuid;

use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::contract::{Setup, keeps_the_contract};
use crate::sinks::testing::{Fault, FaultProxy, eventually};

const PASSWORD: &str = "hunter2-of-the-box";

/// A server with a login behind a proxy.
struct Behind {
    server: Server,
    proxy: FaultProxy,
}

impl Behind {
    fn new() -> Self {
        let server = Server::new();
        let proxy = FaultProxy::start(server.address());
        Self { server, proxy }
    }

    fn config(&self, timeout: Duration) -> NatsConfig {
        let mut config = config(&self.server);
        config.servers = vec![format!("nats://{}", self.proxy.address()).parse().expect("valid")];
        config.timeout = timeout;
        // The server wants none, and takes any.
        config.login = Login::User { user: "box".to_owned(), password: Secret::new(PASSWORD) };
        config
    }
}

impl Setup for Behind {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(sink(self.config(Duration::from_secs(1))))
    }

    fn received(&self) -> Vec<Uuid> {
        self.server.stored().iter().map(|s| s.header("ce-id").parse().expect("an id")).collect()
    }

    fn proxy(&self) -> Option<&FaultProxy> {
        Some(&self.proxy)
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[test]
fn the_sink_keeps_the_contract() {
    let behind = Behind::new();
    keeps_the_contract(&behind);
    let ids = behind.received();
    let unique: HashSet<&Uuid> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "within the window nothing is stored twice");
}

#[test]
fn lost_acknowledgements_leave_no_duplicate_and_no_gap() {
    let behind = Behind::new();
    let mut sink = sink(behind.config(Duration::from_secs(1)));
    deliver(&mut sink, &deliveries(1, 3));
    behind.proxy.set(Fault::Swallow);
    let sent = send(&mut sink, &[at("door", 4), at("yard", 5), at("door", 6)]);
    assert_eq!(sent.taken, 0);
    assert!(later(&sent).contains("no acknowledgement"), "{}", later(&sent));
    eventually("both cameras' events are stored", || behind.server.numbers().len() == 5);
    behind.proxy.set(Fault::None);
    deliver(&mut sink, &[at("door", 4), at("yard", 5), at("door", 6)]);
    let mut numbers = behind.server.numbers();
    assert_eq!(numbers.pop(), Some(6), "what was not begun came last");
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=5).collect::<Vec<_>>());
}

#[test]
fn a_connection_that_breaks_again_and_again_keeps_the_order_of_each_camera() {
    let behind = Behind::new();
    let mut sink = sink(behind.config(Duration::from_secs(5)));
    let cameras = ["a", "b", "c", "d"];
    let all: Vec<Delivery> = (1..=400).map(|n| at(cameras[n as usize % 4], n)).collect();
    let mut taken = 0;
    let mut breaks = 0;
    while taken < all.len() {
        // Each time a little further into the batch; the connection itself takes some 1,500 bytes.
        if breaks < 12 {
            behind.proxy.set(if breaks % 2 == 0 {
                Fault::CutUp(2_000 + 900 * breaks)
            } else {
                Fault::CutDown(1_900 + 70 * breaks)
            });
        } else {
            behind.proxy.set(Fault::None);
        }
        let end = all.len().min(taken + sink.batch());
        let sent = send(&mut sink, &all[taken..end]);
        taken += sent.taken;
        breaks += u64::from(sent.trouble.is_some());
    }
    assert!(breaks >= 12, "{breaks} breaks");
    let stored = behind.server.stored();
    assert_eq!(stored.len(), all.len(), "each once");
    for camera in cameras {
        let of_it: Vec<u64> =
            stored.iter().filter(|s| s.header("Watchlistd-Camera") == camera).map(|s| s.number()).collect();
        assert!(of_it.len() == 100 && of_it.is_sorted(), "{camera}: {of_it:?}");
    }
}

#[test]
fn the_first_server_that_answers_is_used() {
    let behind = Behind::new();
    behind.proxy.set(Fault::Refuse);
    let mut config = behind.config(Duration::from_secs(20));
    config.servers.push(behind.server.url());
    deliver(&mut sink(config), &deliveries(1, 1));
    assert_eq!(behind.server.numbers(), [1]);
}
