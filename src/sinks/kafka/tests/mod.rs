//! The sink against librdkafka's own mock cluster, where needed through a proxy that breaks connections.

mod cluster;
mod contract;
mod faults;
mod records;
mod refusals;
mod tls;

use std::time::Duration;

use super::sink::Kafka;
use super::*;
use crate::base::clock::{Clock, SimulatedClock};
use crate::base::shutdown;
use crate::events::{CameraChange, Event, EventMaker, Ids};
use crate::sinks::sink::{Delivery, Sent, Sink, Trouble};
use crate::sinks::testing::{DEADLINE, LOG};
use crate::stats::CameraState;
use crate::types::ids::CameraId;
pub(in crate::sinks) use cluster::{Cluster, Got};

/// A sink of these brokers that gives up soon.
pub(in crate::sinks) fn config(brokers: &str) -> KafkaConfig {
    let brokers = brokers.split(',').map(str::to_owned).collect();
    let mut config = KafkaConfig::new(brokers, "box-7", "box-7-kafka");
    (config.timeout, config.connect_timeout) = (Duration::from_secs(2), Duration::from_secs(1));
    config
}

/// A sink that waits long enough for whatever works at all.
fn patient(cluster: &Cluster) -> Kafka {
    sink(KafkaConfig { timeout: DEADLINE, ..config(&cluster.brokers()) })
}

fn sink(config: KafkaConfig) -> Kafka {
    Kafka::new(config).expect("a good configuration")
}

/// Events of these cameras in turn.
fn of_cameras(cameras: &[&str], count: usize) -> Vec<Delivery> {
    let maker = EventMaker::new("/watchlistd/box-7", uuid::Uuid::nil(), Ids::Numbered);
    let now = SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("valid")).now();
    let event = |n: usize| -> Event {
        let camera = CameraId::new(cameras[n % cameras.len()]).expect("valid");
        let state = CameraState::Connecting;
        maker.camera(
            &CameraChange { camera: &camera, epoch: 1, state, error: None, retry: None, info: None },
            now,
        )
    };
    let all = (0..count).map(|n| {
        let event = event(n);
        Delivery { log: LOG, sequence: n as u64 + 1, json: event.to_line(), event }
    });
    all.collect()
}

fn send(sink: &mut Kafka, batch: &[Delivery]) -> Sent {
    let (_stopper, stop) = shutdown::channel();
    sink.send(batch, &stop)
}

/// All of it is taken.
fn deliver(sink: &mut Kafka, batch: &[Delivery]) {
    let sent = send(sink, batch);
    assert!(sent.trouble.is_none() && sent.taken == batch.len(), "{sent:?}");
}

/// As the runner does, until all is taken; what went wrong on the way.
fn deliver_at_last(sink: &mut Kafka, batch: &[Delivery]) -> Vec<String> {
    let (end, mut left, mut troubles) = (std::time::Instant::now() + DEADLINE, batch, Vec::new());
    while !left.is_empty() {
        let sent = send(sink, left);
        left = &left[sent.taken..];
        troubles.extend(sent.trouble.map(|trouble| trouble.to_string()));
        assert!(std::time::Instant::now() < end, "in vain: {troubles:?}");
    }
    troubles
}

fn later(sent: &Sent) -> String {
    match &sent.trouble {
        Some(Trouble::Later { error, .. }) => error.chain(),
        other => panic!("not later: {other:?}"),
    }
}

fn sequences(got: &[Got]) -> Vec<u64> {
    got.iter().map(|got| got.sequence).collect()
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let good = || config("127.0.0.1:9092");
    let login = |mechanism| {
        Some(Login { mechanism, user: "gate".into(), password: crate::base::secret::Secret::new("hunter2") })
    };
    let half = TlsConfig { certificate: Some("c.pem".into()), ..TlsConfig::default() };
    let cases: Vec<(&str, KafkaConfig)> = vec![
        ("brokers", KafkaConfig { brokers: Vec::new(), ..good() }),
        ("brokers", KafkaConfig { brokers: vec!["kafka".into()], ..good() }),
        ("brokers", KafkaConfig { brokers: vec!["SSL://kafka:9092".into()], ..good() }),
        ("brokers", KafkaConfig { brokers: vec!["a:1,b:2".into()], ..good() }),
        ("brokers", KafkaConfig { brokers: vec!["kafka:0".into()], ..good() }),
        ("client_id", KafkaConfig { client_id: String::new(), ..good() }),
        ("topic", KafkaConfig { topic: String::new(), ..good() }),
        ("topic", KafkaConfig { topic: "..".into(), ..good() }),
        ("topic", KafkaConfig { topic: "gate events".into(), ..good() }),
        ("topic", KafkaConfig { topic: "a".repeat(101), ..good() }),
        ("{nmae}", KafkaConfig { topic: "a.{nmae}".into(), ..good() }),
        ("a brace is open", KafkaConfig { topic: "a.{box".into(), ..good() }),
        ("once", KafkaConfig { topic: "{camera}.{camera}".into(), ..good() }),
        ("box", KafkaConfig { topic: "{box}".into(), box_name: "Box 7".into(), ..good() }),
        ("mechanism", KafkaConfig { login: login(Mechanism::Plain), ..good() }),
        ("tls.key", KafkaConfig { tls: Some(half), ..good() }),
        ("timeout", KafkaConfig { timeout: Duration::ZERO, ..good() }),
    ];
    for (word, config) in cases {
        let error = Kafka::new(config).err().unwrap_or_else(|| panic!("{word} passed"));
        assert!(error.chain().contains(word), "{word}: {}", error.chain());
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        assert_eq!(error.kind(), crate::base::error::Kind::Config);
    }
    for broker in ["kafka-1.lan:9092", "10.0.0.9:9092", "[fe80::1]:9092"] {
        good().check().expect("good");
        KafkaConfig { brokers: vec![broker.into()], ..good() }.check().expect(broker);
    }
}
