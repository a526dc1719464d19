//! `[sinks.NAME]`: places that events go to, and how.
//!
//! ```text
//!   [sinks.NAME] ─┬─ type, enabled, required, start ──▶ Sink
//!                 ├─ types, lists, cameras, ... ──────▶ Sink.shape   which events, and what of them   shape.rs
//!                 ├─ backoff, rate, batch, ... ───────▶ Sink.retry   the runner's                     retry.rs
//!                 └─ what the type has besides ───────▶ Sink.kind    a file for each type
//! ```

mod address;
pub(super) mod jsonl;
mod kafka;
mod mqtt;
mod nats;
pub(super) mod readers;
mod secret;
pub(super) mod shape;
mod tls;
pub(super) mod unix;
mod webhook;

mod read;
mod retry;

use std::time::Duration;

pub(super) use self::read::{Around, all};
pub use self::retry::Retry;
use super::raw::Section;
use crate::base::error::Result;
use crate::sinks::kafka::KafkaConfig;
use crate::sinks::mqtt::MqttConfig;
use crate::sinks::nats::NatsConfig;
use crate::sinks::shape::Shape;
use crate::sinks::webhook::WebhookConfig;

/// Names of the sinks that `[events]` switches on; no other has one of these.
pub const BUILT_IN: [&str; 3] = [STDOUT, JOURNAL, FILE];
/// `events.stdout`
const STDOUT: &str = "stdout";
/// `events.journal`
const JOURNAL: &str = "journal";
/// `[events.file]`
pub(super) const FILE: &str = "file";

/// Most tables in `[sinks]`: each is a thread.
pub(super) const MOST: usize = 32;

/// A place that events go to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sink {
    /// Its name in metrics, logs and the log's cursors: 1 to 64 of `a-z A-Z 0-9 _ - .`.
    pub name: String,
    /// True if the log keeps what this sink has not had, within its budget. False: best effort.
    pub required: bool,
    /// Where it begins the first time that the log hears of it.
    pub start: Start,
    /// Which events it gets, and what of them.
    pub shape: Shape,
    /// How it is sent to.
    pub retry: Retry,
    /// What it is.
    pub kind: SinkKind,
}

/// Where a sink that is new begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    Now,
    /// With the oldest event that the log has.
    Oldest,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkKind {
    /// One event a line to standard output.
    Stdout,
    /// An entry for each event in the journal.
    Journal,
    /// `type = "jsonl"`: one event a line to a file.
    Jsonl(jsonl::EventFile),
    /// `type = "kafka"`: records of a topic.
    Kafka(Box<KafkaConfig>),
    /// `type = "mqtt"`: messages to a broker.
    Mqtt(Box<MqttConfig>),
    /// `type = "nats"`: messages in a JetStream stream.
    Nats(Box<NatsConfig>),
    /// `type = "webhook"`: HTTP requests to a receiver.
    Webhook(Box<WebhookConfig>),
    /// `type = "unix"`: a socket that readers connect to.
    Unix(unix::EventSocket),
}

impl SinkKind {
    /// The `type` of the configuration; of a sink that has none there, its name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            SinkKind::Stdout => STDOUT,
            SinkKind::Journal => JOURNAL,
            SinkKind::Jsonl(_) => "jsonl",
            SinkKind::Kafka(_) => "kafka",
            SinkKind::Mqtt(_) => "mqtt",
            SinkKind::Nats(_) => "nats",
            SinkKind::Webhook(_) => "webhook",
            SinkKind::Unix(_) => "unix",
        }
    }
}

impl Sink {
    /// With every option at its default: best effort, all of every event, from now on.
    pub fn new(name: impl Into<String>, kind: SinkKind) -> Self {
        Self {
            name: name.into(),
            required: false,
            start: Start::Now,
            shape: Shape::default(),
            retry: Retry::default(),
            kind,
        }
    }

    /// `events.stdout`
    pub fn stdout() -> Self {
        Self::new(STDOUT, SinkKind::Stdout)
    }

    /// `events.journal`
    pub fn journal() -> Self {
        Self::new(JOURNAL, SinkKind::Journal)
    }

    /// True for one that `[events]` switches on.
    pub fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.name.as_str())
    }

    /// The configuration's table or key that it comes from, for messages: `sinks.archive`, `events.file`.
    pub fn key(&self) -> String {
        let section = if self.is_built_in() { "events" } else { "sinks" };
        format!("{section}.{}", super::raw::show_key(&self.name))
    }
}

/// What a sink's own check of its settings says, if anything: `KEY: what was expected`.
fn told_by(s: &Section<'_>, checked: Result<()>) {
    let Err(error) = checked else { return };
    let text = error.to_string();
    match text.split_once(": ") {
        // These come from files.
        Some((key, message)) if key.starts_with("signing_secrets") => {
            s.conflict("secret_files", format!("a secret in one of them: {message}"));
        }
        Some((key @ ("password" | "proxy_password"), message)) => s.conflict(&format!("{key}_file"), message),
        Some((key, message)) if key.contains(' ') => s.conflict("type", format!("{key}: {message}")),
        Some((key, message)) => s.conflict(key, message),
        None => s.conflict("type", text),
    }
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
