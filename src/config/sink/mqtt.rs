//! `type = "mqtt"`

use std::time::Duration;

use super::address::server;
use super::read::Around;
use super::secret::{self, Named};
use super::tls::Files;
use super::{Retry, millis};
use crate::config::raw::{Node, Section, expected};
use crate::config::read::{self, Read};
use crate::sinks::mqtt::{HomeAssistant, MqttConfig, Version};

/// Reads the keys of the sink `name`; `None` if what it cannot do without is missing or wrong.
pub(super) fn read(
    s: &mut Section<'_>,
    name: &str,
    around: &Around<'_>,
    retry: &Retry,
) -> Option<MqttConfig> {
    const BROKER: &str = "mqtt://127.0.0.1:1883";
    const VERSIONS: [(&str, Version); 2] = [("5", Version::V5), ("3.1.1", Version::V311)];
    if !s.has("broker") {
        s.missing("broker", &format!("an address, as {BROKER:?}"));
    }
    let broker = s.read("broker", server(&["mqtt", "mqtts"], BROKER));
    let complete = broker.is_some();
    // Nobody knows what it is, so everything is allowed, and checked.
    let broker = broker.or_else(|| url::Url::parse("mqtts://unknown").ok())?;
    let d = MqttConfig::new(broker, format!("{}-{name}", around.box_name()), around.source);
    let source = s.get("source", d.source, text);
    let files = Files::read(s.table("tls"), around.base, d.broker.scheme() == "mqtts", "mqtts:// brokers");
    let (user, password) = login(s, around);
    let config = MqttConfig {
        version: s.get("version", d.version, read::word(&VERSIONS)),
        client_id: s.get("client_id", d.client_id, text),
        user,
        password,
        ca: files.ca,
        certificate: files.certificate,
        key: files.key,
        keep_alive: s.get("keep_alive", d.keep_alive, read::duration(seconds(5)..=seconds(64_800))),
        connect_timeout: s.get("connect_timeout", d.connect_timeout, limit),
        timeout: s.get("timeout", d.timeout, limit),
        batch: retry.batch.unwrap_or(d.batch),
        max_packet: s.get("max_packet", d.max_packet as u64, read::bytes(1 << 10..=256 << 20)) as usize,
        topic: s.get("topic", d.topic, text),
        availability_topic: s.get("availability_topic", d.availability_topic, read::unless("off", text)),
        camera_topic: s.get("camera_topic", d.camera_topic, read::unless("off", text)),
        person_topic: s.get("person_topic", d.person_topic, read::unless("off", text)),
        home_assistant: home_assistant(s, &source),
        source,
        broker: d.broker,
    };
    if s.clean() {
        super::told_by(s, config.check());
    }
    complete.then_some(config)
}

fn login(s: &mut Section<'_>, around: &Around<'_>) -> (Option<String>, Option<crate::base::secret::Secret>) {
    secret::forbid(s, "password", "password_file");
    let user = s.read("user", text);
    let password = around.vault().one(s, "password_file").map(Named::secret);
    if password.is_some() && user.is_none() && s.clean() {
        s.conflict("user", "missing; there is a password but nobody to use it");
    }
    (user, password)
}

fn home_assistant(s: &mut Section<'_>, source: &str) -> Option<HomeAssistant> {
    // Whoever writes one of its keys wants it.
    let wanted = s.has("home_assistant");
    let mut s = s.table("home_assistant");
    let enabled = s.get("enabled", wanted, read::flag);
    let home = HomeAssistant {
        prefix: s.get("prefix", "homeassistant".into(), text),
        name: s.get("name", format!("watchlistd {source}"), text),
        persons: s.get("persons", false, read::flag),
    };
    s.finish();
    enabled.then_some(home)
}

fn limit(node: &Node) -> Read<Duration> {
    read::duration(millis(1)..=seconds(600))(node)
}

fn text(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => expected("a text without control characters that is not empty"),
    }
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
