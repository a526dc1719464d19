//! An event as a NATS message: the body is the CloudEvent in structured mode; the headers say enough of it to route and to drop
//! duplicates without reading the body (CloudEvents NATS protocol binding 1.0.2, section 3).

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;

use super::subject::{encode, lists, token};
use crate::sinks::sink::Delivery;

/// The body's media type. Says that the event is in the body, not in the `ce-` headers.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// The message for the stream of that name.
pub(super) fn message(delivery: &Delivery, stream: &str) -> PublishMessage {
    PublishMessage::build()
        .payload(delivery.json.clone().into())
        .headers(headers(delivery))
        .expected_stream(stream)
}

fn headers(delivery: &Delivery) -> HeaderMap {
    let event = &delivery.event;
    let id = event.id.to_string();
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| headers.insert(name, encode(value, is_plain).as_str());
    set("Nats-Msg-Id", &id);
    set("ce-specversion", &event.specversion);
    set("ce-id", &id);
    set("ce-source", &event.source);
    set("ce-type", event.kind.as_str());
    set("ce-time", &event.time.to_string());
    set("ce-subject", &event.subject);
    set("ce-dataschema", &event.dataschema);
    set("Watchlistd-Log", &delivery.log.to_string());
    set("Watchlistd-Sequence", &delivery.sequence.to_string());
    if let Some(camera) = event.camera() {
        set("Watchlistd-Camera", camera);
    }
    let tokens: Vec<String> = lists(event).iter().map(|list| token(list)).collect();
    if !tokens.is_empty() {
        // Their percent signs are of the encoding, not of the text.
        headers.insert("Watchlistd-Lists", tokens.join(",").as_str());
    }
    headers.insert("Content-Type", CONTENT_TYPE);
    headers
}

/// What a header may hold as it is: printable ASCII but blank, quotation mark and percent sign (CloudEvents HTTP binding, 3.1.3.2).
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%'
}
