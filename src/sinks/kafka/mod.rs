//! `kafka`: each event a record of a topic, taken when all in-sync replicas have it. Needs the cargo feature `kafka` (librdkafka).
//!
//! ```text
//!   send(batch) ─▶ Producer (idempotent, acks=all; made when needed, thrown away at a failure)
//!      │              key = camera: its events share a partition, and so an order
//!      │                door 1, door 2, .. ─▶ partition 3 ─▶ delivery report of each
//!      │                yard 1, ..         ─▶ partition 0 ─▶ delivery report of each
//!      ▼
//!   Sent: the longest prefix that is reported delivered; the first failure behind it
//! ```
//!
//! librdkafka tries again by itself within the sink's time limit, and the broker drops what comes twice of that. What has no report by
//! then is purged, and the producer goes with it: nothing of an old batch is sent while the next attempt is made.

#[cfg(feature = "kafka")]
mod answer;
mod config;
#[cfg(feature = "kafka")]
mod message;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
#[cfg(test)]
pub(in crate::sinks) mod tests;
mod topic;

pub(crate) use config::is_broker;
pub use config::{Codec, KafkaConfig, Login, Mechanism, TOPIC, TlsConfig};
#[cfg(feature = "kafka")]
pub use sink::Kafka;
