//! `type = "kafka"`

use std::time::Duration;

use super::read::Around;
use super::secret::{self, Named};
use super::tls::Files;
use super::{Retry, millis};
use crate::config::raw::{Node, Section, expected};
use crate::config::read::{self, Read};
use crate::sinks::kafka::{Codec, KafkaConfig, Login, Mechanism, TlsConfig};

/// Reads the keys of the sink `name`; `None` if what it cannot do without is missing or wrong.
pub(super) fn read(
    s: &mut Section<'_>,
    name: &str,
    around: &Around<'_>,
    retry: &Retry,
) -> Option<KafkaConfig> {
    const CODECS: [(&str, Codec); 4] =
        [("none", Codec::None), ("lz4", Codec::Lz4), ("snappy", Codec::Snappy), ("zstd", Codec::Zstd)];
    if !cfg!(feature = "kafka") {
        s.conflict("type", "kafka is no part of this program: it was built without the cargo feature kafka");
    }
    if !s.has("brokers") {
        s.missing("brokers", "a list of brokers, as [\"127.0.0.1:9092\"]");
    }
    let brokers = s.read("brokers", read::set("brokers", broker));
    let complete = brokers.is_some();
    let client_id = format!("{}-{name}", around.box_name());
    // Nobody knows where they are, so everything else is checked with some.
    let brokers = brokers.unwrap_or_else(|| vec!["unknown:9092".into()]);
    let d = KafkaConfig::new(brokers, around.box_name(), client_id);
    let config = KafkaConfig {
        box_name: s.get("box", d.box_name, text),
        topic: s.get("topic", d.topic, text),
        client_id: s.get("client_id", d.client_id, text),
        compression: s.get("compression", d.compression, read::word(&CODECS)),
        tls: tls(s, around),
        login: login(s, around),
        connect_timeout: s.get("connect_timeout", d.connect_timeout, read::duration(millis(1_000)..=LONGEST)),
        timeout: s.get("timeout", d.timeout, read::duration(millis(100)..=LONGEST)),
        batch: retry.batch.unwrap_or(d.batch),
        max_message: s.get("max_message", d.max_message as u64, read::bytes(1 << 10..=256 << 20)) as usize,
        brokers: d.brokers,
    };
    if s.clean() {
        super::told_by(s, config.check());
    }
    complete.then_some(config)
}

const LONGEST: Duration = Duration::from_secs(600);

fn tls(s: &mut Section<'_>, around: &Around<'_>) -> Option<TlsConfig> {
    // Whoever writes one of its keys wants it.
    let wanted = s.has("tls");
    let mut s = s.table("tls");
    let enabled = s.get("enabled", wanted, read::flag);
    let Files { ca, certificate, key } = Files::read_in(&mut s, around.base, enabled, "tls.enabled = true");
    s.finish();
    enabled.then_some(TlsConfig { ca, certificate, key })
}

fn login(s: &mut Section<'_>, around: &Around<'_>) -> Option<Login> {
    const MECHANISMS: [(&str, Mechanism); 3] = [
        ("plain", Mechanism::Plain),
        ("scram-sha-256", Mechanism::ScramSha256),
        ("scram-sha-512", Mechanism::ScramSha512),
    ];
    secret::forbid(s, "password", "password_file");
    let mechanism = s.get("mechanism", Mechanism::ScramSha512, read::word(&MECHANISMS));
    let user = s.read("user", text);
    let with_password = s.has("password_file");
    let password = around.vault().one(s, "password_file");
    if s.clean() && user.is_some() != with_password {
        s.conflict("user", "and password_file go together; one of them is missing");
    }
    user.map(|user| Login { mechanism, user, password: password.unwrap_or(Named::Unread).secret() })
}

fn broker(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if crate::sinks::kafka::is_broker(text) => Ok(text.to_owned()),
        _ => expected("HOST:PORT, as \"127.0.0.1:9092\""),
    }
}

fn text(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => expected("a text without control characters that is not empty"),
    }
}
