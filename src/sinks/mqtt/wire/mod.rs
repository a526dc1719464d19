//! MQTT on the wire, as much of it as a publisher needs, in both versions.
//!
//! ```text
//!   we write: CONNECT  PUBLISH (QoS 1)  PINGREQ  DISCONNECT          bytes ─▶ Frames ─▶ Answer
//!   we read:  CONNACK  PUBACK           PINGRESP DISCONNECT
//! ```
//!
//! It is ours and no crate's for two reasons. Which packet id belongs to which event must be decided in one place and seen by it.
//! And brokers answer with reasons that the standard does not have for that packet (mosquitto 2.0: PUBACK with `Packet too large`),
//! which a strict decoder takes for a broken connection: the one event that is refused would be sent for ever. What we write is
//! compared with another codec in the tests.
//!
//! Source: MQTT 3.1.1 and MQTT 5.0, OASIS standards; section numbers are those of 5.0.

mod decode;
mod encode;

pub use decode::{Answer, Connack, Frames};
pub use encode::{Connect, DISCONNECT, PINGREQ, Publish};

/// Largest packet there can be: four bytes of remaining length, and the header (2.1.4).
pub const MAX_PACKET: usize = 268_435_455 + 5;

/// Largest packet that we take. What is sent to us is small: we subscribe to nothing.
pub const MAX_INCOMING: u32 = 64 << 10;

/// Property ids (2.2.2.2).
mod property {
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTH_METHOD: u8 = 0x15;
    pub const AUTH_DATA: u8 = 0x16;
    pub const RESPONSE_INFORMATION: u8 = 0x1A;
    pub const SERVER_REFERENCE: u8 = 0x1C;
    pub const REASON: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER: u8 = 0x26;
    pub const MAXIMUM_PACKET: u8 = 0x27;
    pub const WILDCARDS: u8 = 0x28;
    pub const SUBSCRIPTION_IDS: u8 = 0x29;
    pub const SHARED: u8 = 0x2A;
}
