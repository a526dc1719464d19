//! One librdkafka producer, and what was heard from it.
//!
//! ```text
//!   open ─▶ enqueue 0, 1, 2, .. ─▶ poll ─▶ report of 1, of 0, ..   errors, logs ─▶ tracing
//!                                   └─▶ the end: all brokers down, a login refused, a fatal error
//! ```
//!
//! Its callbacks run on the thread that polls, which is the sink's.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};

use super::answer;
use super::config::{Codec, KafkaConfig, Mechanism};
use super::message;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::err;
use crate::sinks::sink::Delivery;

/// What became of the record with that index.
pub(super) type Report = (usize, Option<Code>);

/// How long purged records may take to be reported. They are at once, unless the system is very busy.
const GRACE: Duration = Duration::from_secs(2);

/// How often a wait looks whether it should end.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// What was heard.
struct Heard {
    reports: Mutex<Vec<Report>>,
    /// The last trouble, and whether it is the end.
    trouble: Mutex<(Option<String>, bool)>,
    password: Option<Secret>,
}

impl Heard {
    /// Without the password, wherever it may have come from.
    fn clean(&self, text: &str) -> String {
        let text = text.replace(['\n', '\r'], " ");
        match &self.password {
            Some(password) if !password.expose().is_empty() => text.replace(password.expose(), "***"),
            _ => text,
        }
    }
}

impl ClientContext for Heard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = self.clean(message);
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            // A broker that is down is told of by the sink, once; here it would be at each attempt.
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" says less than what was heard of one before.
        if code != Code::AllBrokersDown || trouble.0.is_none() {
            trouble.0 = Some(self.clean(reason));
        }
        trouble.1 |= answer::is_the_end(code);
    }
}

impl ProducerContext for Heard {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let code = match result {
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push((index, code));
    }
}

/// The producer. Thrown away with whatever still waits in it.
pub(super) struct Producer {
    /// Set until dropped.
    inner: Option<BaseProducer<Heard>>,
    heard: Arc<Heard>,
}

impl Producer {
    /// Makes one. It connects by itself, when there is something to send.
    pub fn open(config: &KafkaConfig) -> Result<Self> {
        let heard = Heard {
            reports: Mutex::default(),
            trouble: Mutex::default(),
            password: config.login.as_ref().map(|login| login.password.clone()),
        };
        let made = BaseProducer::<Heard>::from_config_and_context(&client_config(config)?, heard);
        let inner = made.map_err(|error| {
            // Without the value: it may be the password.
            match error {
                KafkaError::ClientConfig(_, why, key, _) => err!(Config, "librdkafka refuses {key}: {why}"),
                KafkaError::ClientCreation(why) => err!(Config, "librdkafka: {why}"),
                other => err!(Unavailable, "librdkafka: {other}"),
            }
        })?;
        let heard = inner.context().clone();
        Ok(Self { inner: Some(inner), heard })
    }

    /// Hands a record over; its report comes by [`Producer::reports`] under that index.
    pub fn enqueue(&self, topic: &str, delivery: &Delivery, index: usize) -> std::result::Result<(), Code> {
        let Some(inner) = &self.inner else { return Err(Code::Fail) };
        let record = BaseRecord::with_opaque_to(topic, index)
            .key(message::key(delivery))
            .payload(&delivery.json)
            .headers(message::headers(delivery));
        inner.send(record).map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(Code::Fail))
    }

    /// The reports that have come, within a moment.
    pub fn reports(&self, within: Duration) -> Vec<Report> {
        self.inner.iter().for_each(|inner| inner.poll(within));
        std::mem::take(&mut *self.heard.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why nothing more is to be hoped for, if so.
    pub fn ended(&self) -> Option<String> {
        let trouble = self.heard.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.1.then(|| trouble.0.clone().unwrap_or_else(|| "the client ended".to_owned()))
    }

    /// The last trouble that was heard of, if any.
    pub fn trouble(&self) -> Option<String> {
        self.heard.trouble.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Takes back what has no report; from then on it is not sent any more. The reports that came until then.
    pub fn purge(&self, mut open: usize) -> Vec<Report> {
        let Some(inner) = &self.inner else { return Vec::new() };
        inner.purge(PurgeConfig::default().queue().inflight().non_blocking());
        let (end, mut all) = (Instant::now() + GRACE, Vec::new());
        while open > 0 && Instant::now() < end {
            let reports = self.reports(TICK);
            open = open.saturating_sub(reports.len());
            all.extend(reports);
        }
        all
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        // Its threads may be in the midst of looking up a name, and nobody waits for that. Without a thread it is done here.
        let _ = std::thread::Builder::new().name("kafka-close".into()).spawn(move || drop(inner));
    }
}

fn client_config(config: &KafkaConfig) -> Result<ClientConfig> {
    let mut client = ClientConfig::new();
    let mut set = |key: &str, value: &str| {
        client.set(key, value);
    };
    set("bootstrap.servers", &config.brokers.join(","));
    set("client.id", &config.client_id);
    set("acks", "all");
    set("enable.idempotence", "true");
    // A record that fails ends all behind it: nothing overtakes it in its partition.
    set("enable.gapless.guarantee", "true");
    // As Java's clients do it, so that a camera has one partition whoever writes.
    set("partitioner", "murmur2_random");
    set("compression.type", codec(config.compression));
    set("message.max.bytes", &config.max_message.clamp(1_000, 1_000_000_000).to_string());
    set("queue.buffering.max.ms", "1");
    // The sink ends a batch, not librdkafka one record of it after the other.
    set("message.timeout.ms", &millis(config.timeout.saturating_mul(2) + GRACE, 1_000));
    set("request.timeout.ms", &millis(config.timeout.min(Duration::from_secs(300)), 1));
    set("socket.timeout.ms", &millis(config.timeout.min(Duration::from_secs(300)), 10));
    set("socket.connection.setup.timeout.ms", &millis(config.connect_timeout, 1_000));
    // In time for the report to say that there is no such topic.
    set("topic.metadata.propagation.max.ms", &millis(config.timeout / 2, 1));
    set("reconnect.backoff.ms", "50");
    set("reconnect.backoff.max.ms", "1000");
    set("retry.backoff.ms", "50");
    set("socket.keepalive.enable", "true");
    set("socket.nagle.disable", "true");
    // Tells nobody about this box.
    set("enable.metrics.push", "false");
    let (tls, login) = (config.tls.is_some(), config.login.is_some());
    set("security.protocol", protocol(tls, login));
    if let Some(login) = &config.login {
        set("sasl.mechanism", mechanism(login.mechanism));
        set("sasl.username", &login.user);
        set("sasl.password", login.password.expose());
    }
    if let Some(tls) = &config.tls {
        let files = [
            ("ca", "ssl.ca.location", &tls.ca),
            ("certificate", "ssl.certificate.location", &tls.certificate),
            ("key", "ssl.key.location", &tls.key),
        ];
        for (key, property, file) in files {
            if let Some(file) = file {
                set(property, readable(key, file)?);
            }
        }
    }
    client.set_log_level(RDKafkaLogLevel::Info);
    Ok(client)
}

/// librdkafka's errors about files name no key.
fn readable<'a>(key: &str, file: &'a Path) -> Result<&'a str> {
    File::open(file).map_err(|e| Error::io(&format!("read tls.{key} ="), file, e))?;
    file.to_str().ok_or_else(|| err!(Config, "tls.{key}: {}: expected a path of UTF-8", file.display()))
}

fn millis(time: Duration, least: u64) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    millis.clamp(least, 2_147_483_647).to_string()
}

const fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "none",
        Codec::Lz4 => "lz4",
        Codec::Snappy => "snappy",
        Codec::Zstd => "zstd",
    }
}

const fn protocol(tls: bool, login: bool) -> &'static str {
    match (tls, login) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    }
}

const fn mechanism(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}
