//! What a broker's numbers mean (MQTT 5.0, 2.4; MQTT 3.1.1, 3.2.2.3), and what becomes of an event.

use crate::base::error::{Error, Kind};
use crate::sinks::mqtt::Version;

/// What becomes of an event after its PUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The broker has it.
    Taken,
    /// It may have it later.
    Later,
    /// It will never have this one.
    Refused,
}

/// The fate of the message with this PUBACK.
///
/// `Not authorized` is for the broker's administrator to put right, and is about a topic rather than about one event: the event waits,
/// and is not given up. A code that is not known counts by its nature: refusals of this very message are the exception.
pub const fn fate(code: u8) -> Fate {
    match code {
        0..0x80 => Fate::Taken,
        // Implementation specific ("the PUBLISH is valid but the receiver is not willing to accept it"), Topic Name invalid,
        // Packet too large, Payload format invalid.
        0x83 | IN_TOPIC | TOO_LARGE | IN_PAYLOAD => Fate::Refused,
        _ => Fate::Later,
    }
}

/// Not authorized.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// Topic Name invalid.
pub const IN_TOPIC: u8 = 0x90;
/// Packet too large.
pub const TOO_LARGE: u8 = 0x95;
/// Payload format invalid.
pub const IN_PAYLOAD: u8 = 0x99;

/// True if a DISCONNECT with this code is about one of the messages in flight, which would be refused again.
pub const fn blames_a_message(code: u8) -> bool {
    matches!(code, IN_TOPIC | TOO_LARGE | IN_PAYLOAD)
}

/// The standard's name of a reason code from 0x80 on, and of `0x00`.
pub const fn name(code: u8) -> &'static str {
    match code {
        0x00 => "normal disconnection",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        NOT_AUTHORIZED => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8A => "banned",
        0x8B => "server shutting down",
        0x8C => "bad authentication method",
        0x8D => "keep alive timeout",
        0x8E => "session taken over",
        0x8F => "topic filter invalid",
        IN_TOPIC => "topic name invalid",
        0x91 => "packet identifier in use",
        0x92 => "packet identifier not found",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        TOO_LARGE => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        IN_PAYLOAD => "payload format invalid",
        0x9A => "retain not supported",
        0x9B => "QoS not supported",
        0x9C => "use another server",
        0x9D => "server moved",
        0x9F => "connection rate exceeded",
        0xA0 => "maximum connect time",
        _ => "a reason that the standard does not have",
    }
}

/// Name, number and the broker's own words.
pub fn words(code: u8, reason: Option<&str>) -> String {
    let own = reason.map(|text| format!(": {text}")).unwrap_or_default();
    format!("{} (0x{code:02X}){own}", name(code))
}

/// Why a CONNECT was refused, and what to do. A connection may work later in every case: somebody puts it right, here or there.
pub fn connack(version: Version, code: u8, reason: Option<&str>) -> Error {
    // MQTT 3.1.1 has five numbers of its own.
    let code = match (version, code) {
        (Version::V311, 1) => 0x84,
        (Version::V311, 2) => 0x85,
        (Version::V311, 3) => 0x88,
        (Version::V311, 4) => 0x86,
        (Version::V311, 5) => 0x87,
        (_, code) => code,
    };
    let (kind, advice) = match code {
        0x84 => (Kind::Config, "; set version to the other one"),
        0x85 => (Kind::Config, "; set another client_id"),
        0x86 => (Kind::Permission, "; check user and password"),
        NOT_AUTHORIZED | 0x8A => {
            (Kind::Permission, "; check user, password, certificate, and the broker's access rules")
        }
        TOO_LARGE => (Kind::Config, "; make client_id and topics shorter"),
        0x9A => (
            Kind::Config,
            "; this broker retains nothing: unset availability_topic, camera_topic and person_topic",
        ),
        0x9B => (Kind::Config, "; this broker takes no QoS 1, and without it nothing would be acknowledged"),
        _ => (Kind::Temporary, ""),
    };
    Error::new(kind, format!("the broker refused the connection: {}{advice}", words(code, reason)))
}

/// What a DISCONNECT of the broker means.
pub fn disconnect(code: u8, reason: Option<&str>) -> Error {
    let advice = match code {
        0x8E => "; another client has the same client_id",
        TOO_LARGE => "; an event is larger than it allows",
        _ => "",
    };
    Error::new(Kind::Temporary, format!("the broker ended the connection: {}{advice}", words(code, reason)))
}
