//! An event as a Kafka record: the value is the CloudEvent in structured mode; the headers say enough of it to route and to drop
//! duplicates without reading the value (CloudEvents Kafka protocol binding 1.0.2, sections 3.2 and 3.3).

use rdkafka::message::{Header, OwnedHeaders};

use crate::sinks::sink::Delivery;

/// The value's media type. Says that the event is in the value, not in the `ce_` headers.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// The record's key: the camera, so that its events share a partition; of an event of no camera the box.
pub(super) fn key(delivery: &Delivery) -> &str {
    delivery.event.camera().unwrap_or(&delivery.event.source)
}

pub(super) fn headers(delivery: &Delivery) -> OwnedHeaders {
    let event = &delivery.event;
    let fields: [(&str, String); 9] = [
        ("content-type", CONTENT_TYPE.to_owned()),
        ("ce_specversion", event.specversion.to_string()),
        ("ce_id", event.id.to_string()),
        ("ce_source", event.source.to_string()),
        ("ce_type", event.kind.as_str().to_owned()),
        ("ce_time", event.time.to_string()),
        ("ce_subject", event.subject.to_string()),
        ("watchlistd_log", delivery.log.to_string()),
        ("watchlistd_sequence", delivery.sequence.to_string()),
    ];
    let empty = OwnedHeaders::new_with_capacity(fields.len());
    fields.iter().fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
