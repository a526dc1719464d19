//! The sink against a scripted broker, and against mosquitto.

mod codec;
mod contract;
mod fake;
mod faults;
mod messages;
pub(in crate::sinks) mod mosquitto;
mod pairing;
mod real;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use uuid::Uuid;

use super::*;
use crate::base::clock::{Clock, Moment, SimulatedClock};
use crate::base::secret::Secret;
use crate::base::shutdown::{self, Stopper};
use crate::events::{CameraChange, Event, EventMaker, Ids};
use crate::sinks::testing::LOG;
use crate::stats::CameraState;
use crate::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use crate::types::ids::{CameraId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// A sink of nothing but events, that gives up soon.
fn plain(port: u16, version: Version) -> MqttConfig {
    let mut config = MqttConfig::new(address("mqtt", port), "box-7", "/watchlistd/box-7");
    config.version = version;
    (config.availability_topic, config.camera_topic) = (None, None);
    (config.timeout, config.connect_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
    config
}

/// All that is retained too, for a broker that answers.
fn full(port: u16, version: Version) -> MqttConfig {
    let mut config = MqttConfig::new(address("mqtt", port), "box-7", "box-7");
    config.version = version;
    config.person_topic = Some("watchlistd/{source}/person/{identity}".into());
    let home = HomeAssistant { prefix: "homeassistant".into(), name: "Gate house".into(), persons: true };
    config.home_assistant = Some(home);
    config
}

fn address(scheme: &str, port: u16) -> Url {
    Url::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("valid")
}

fn running() -> (Stopper, Stop) {
    shutdown::channel()
}

fn now() -> Moment {
    SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("valid")).now()
}

fn delivery(sequence: u64, make: impl Fn(&EventMaker) -> Event) -> Delivery {
    let maker = EventMaker::new("/watchlistd/box-7", Uuid::nil(), Ids::Numbered);
    // Its number is in its id: the same number is the same event.
    (1..sequence).for_each(|_| drop(camera_event(&maker, "door", CameraState::Connected)));
    let event = make(&maker);
    Delivery { log: LOG, sequence, json: event.to_line(), event }
}

fn camera_event(maker: &EventMaker, camera: &str, state: CameraState) -> Event {
    let camera = CameraId::new(camera).expect("valid");
    let change = CameraChange { camera: &camera, epoch: 1, state, error: None, retry: None, info: None };
    maker.camera(&change, now())
}

/// A camera's change of state.
fn changed(sequence: u64, camera: &str, state: CameraState) -> Delivery {
    delivery(sequence, |maker| camera_event(maker, camera, state))
}

/// Somebody at a camera, with the name where it is told.
fn seen(sequence: u64, camera: &str, identity: IdentityId, name: Option<&str>, stage: Stage) -> Delivery {
    let decision = Decision {
        track: TrackId { camera: CameraId::new(camera).expect("valid"), epoch: 2, number: 17 },
        visit: Uuid::from_u128(0x42),
        verdict: Verdict::Recognized { identity, name: name.map(Arc::from), external_id: None, stage },
        lists: vec!["vip".into()],
        publish: if name.is_some() { Publish::Name } else { Publish::Pseudonym },
        score: Some(0.6),
        margin: Some(0.2),
        threshold: 0.42,
        threshold_origin: ThresholdOrigin::Model,
        asked: Asked::default(),
        looked: Duration::ZERO,
        shots: 3,
        agreeing: 3,
        quality: Some(0.9),
        captured: now(),
        frames: vec![1, 2, 3],
        bbox: None,
        model: ModelId([7; 32]),
        generation: 41,
        index: IndexKind::Exact,
    };
    delivery(sequence, |maker| maker.decision(&decision, now()).expect("published"))
}

fn identity(n: u128) -> IdentityId {
    IdentityId(Uuid::from_u128(n))
}

/// Sends, and says what was taken and why no more.
fn send(sink: &mut Mqtt, batch: &[Delivery]) -> (usize, Option<Trouble>) {
    let (_stopper, stop) = running();
    let sent = sink.send(batch, &stop);
    (sent.taken, sent.trouble)
}

/// All of it is taken.
fn deliver(sink: &mut Mqtt, batch: &[Delivery]) {
    let (taken, trouble) = send(sink, batch);
    assert!(trouble.is_none() && taken == batch.len(), "{taken} of {}: {trouble:?}", batch.len());
}

/// What the runner does with a batch that does not get through: again, from the first that was not taken.
fn persist(sink: &mut Mqtt, batch: &[Delivery]) {
    let (end, mut left) = (Instant::now() + crate::sinks::testing::DEADLINE, batch);
    while !left.is_empty() {
        let part = &left[..left.len().min(sink.batch())];
        let (taken, trouble) = send(sink, part);
        left = &left[taken..];
        if let Some(trouble) = trouble {
            assert!(matches!(trouble, Trouble::Later { .. }) && Instant::now() < end, "{trouble}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn later(trouble: Option<Trouble>) -> String {
    match trouble {
        Some(Trouble::Later { error, .. }) => error.chain(),
        other => panic!("not later: {other:?}"),
    }
}

fn refused(trouble: Option<Trouble>) -> String {
    match trouble {
        Some(Trouble::Refused { error }) => error.chain(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let config = || full(1883, Version::V5);
    let cases: Vec<(&str, MqttConfig)> = vec![
        ("broker", MqttConfig { broker: Url::parse("http://h").expect("valid"), ..config() }),
        ("broker", MqttConfig { broker: Url::parse("mqtt://me:hunter2@h").expect("valid"), ..config() }),
        ("client_id", MqttConfig { client_id: String::new(), ..config() }),
        ("password", MqttConfig { password: Some(Secret::new("hunter2")), ..config() }),
        ("ca", MqttConfig { ca: Some("ca.pem".into()), ..config() }),
        ("key", MqttConfig { broker: address("mqtts", 1), certificate: Some("c.pem".into()), ..config() }),
        (
            "ca.pem",
            MqttConfig { broker: address("mqtts", 1), ca: Some("/nowhere/ca.pem".into()), ..config() },
        ),
        ("keep_alive", MqttConfig { keep_alive: Duration::from_secs(1), ..config() }),
        ("timeout", MqttConfig { timeout: Duration::ZERO, ..config() }),
        ("batch", MqttConfig { batch: 0, ..config() }),
        ("max_packet", MqttConfig { max_packet: 10, ..config() }),
        ("source", MqttConfig { source: "a/b".into(), ..config() }),
        ("topic", MqttConfig { topic: "a/#".into(), ..config() }),
        ("{nmae}", MqttConfig { topic: "a/{nmae}".into(), ..config() }),
        ("a brace is open", MqttConfig { topic: "a/{name".into(), ..config() }),
        ("{camera}", MqttConfig { camera_topic: Some("a/b".into()), ..config() }),
        ("person_topic", MqttConfig { person_topic: Some("a/{identity}/{camera}".into()), ..config() }),
        ("availability_topic", MqttConfig { availability_topic: None, ..config() }),
        ("person_topic", MqttConfig { person_topic: None, ..config() }),
    ];
    for (word, config) in cases {
        let error = Mqtt::new(config).err().unwrap_or_else(|| panic!("{word} passed"));
        assert!(error.chain().contains(word), "{word}: {}", error.chain());
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
        assert_eq!(error.kind(), crate::base::error::Kind::Config);
    }
    config().check().expect("good");
}
