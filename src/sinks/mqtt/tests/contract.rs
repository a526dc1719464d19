//! The contract of all sinks, with mosquitto and with a broker that refuses.

use std::collections::HashSet;
use std::sync::Mutex;

use super::fake::Fake;
use super::mosquitto::{Ear, Mosquitto};
use super::*;
use crate::sinks::testing::contract::{Setup, keeps_the_contract};
use crate::sinks::testing::{Fault, FaultProxy};

struct Real {
    version: Version,
    proxy: FaultProxy,
    ear: Ear,
    _broker: Mosquitto,
}

impl Setup for Real {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Mqtt::new(config(self.proxy.port(), self.version)).expect("valid"))
    }

    fn received(&self) -> Vec<Uuid> {
        self.ear.events().iter().map(|event| event.id).collect()
    }

    fn proxy(&self) -> Option<&FaultProxy> {
        Some(&self.proxy)
    }

    fn secrets(&self) -> Vec<String> {
        vec!["hunter2".into()]
    }
}

fn config(port: u16, version: Version) -> MqttConfig {
    let mut config = full(port, version);
    (config.user, config.password) = (Some("gate".into()), Some(Secret::new("hunter2")));
    (config.timeout, config.connect_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    config
}

fn with_mosquitto(version: Version) {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(([127, 0, 0, 1], broker.port).into());
    proxy.set(Fault::None);
    let ear = broker.listen(None);
    keeps_the_contract(&Real { version, proxy, ear, _broker: broker });
}

#[test]
fn mqtt_3_1_1_keeps_the_contract_with_mosquitto() {
    with_mosquitto(Version::V311);
}

#[test]
fn mqtt_5_keeps_the_contract_with_mosquitto() {
    with_mosquitto(Version::V5);
}

struct Refusing {
    fake: Fake,
    refused: Arc<Mutex<HashSet<Uuid>>>,
}

impl Setup for Refusing {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Mqtt::new(plain(self.fake.port, Version::V5)).expect("valid"))
    }

    fn received(&self) -> Vec<Uuid> {
        let refused = self.refused.lock().expect("lock");
        let ids = self
            .fake
            .got()
            .into_iter()
            .map(|got| serde_json::from_slice::<Event>(&got.payload).expect("an event").id);
        ids.filter(|id| !refused.contains(id)).collect()
    }

    fn refuse(&self, ids: &[Uuid]) -> bool {
        self.refused.lock().expect("lock").extend(ids);
        true
    }
}

#[test]
fn mqtt_5_keeps_the_contract_with_a_broker_that_refuses() {
    let refused = Arc::new(Mutex::new(HashSet::<Uuid>::new()));
    let shared = refused.clone();
    let fake = Fake::start(Version::V5, move |peer| {
        peer.admit()?;
        peer.serve(|got| {
            let id = serde_json::from_slice::<Event>(&got.payload).expect("an event").id;
            if shared.lock().expect("lock").contains(&id) { 0x99 } else { 0 }
        })
    });
    keeps_the_contract(&Refusing { fake, refused });
}
