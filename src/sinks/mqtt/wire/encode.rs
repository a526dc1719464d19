//! What we write.

use zeroize::Zeroizing;

use super::{MAX_INCOMING, MAX_PACKET, property};
use crate::base::secret::Secret;
use crate::sinks::mqtt::Version;

/// PINGREQ (3.12).
pub const PINGREQ: [u8; 2] = [0xC0, 0];

/// DISCONNECT (3.14): a normal end, in both versions. The broker forgets the last will.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];

/// CONNECT (3.1), with a clean start: a session kept by the broker would hold nothing for a publisher, whose events wait in the log.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// Names the client.
    pub client_id: &'a str,
    /// In seconds.
    pub keep_alive: u16,
    /// Topic and payload of the last will, retained, QoS 1.
    pub will: Option<(&'a str, &'a str)>,
    /// User.
    pub user: Option<&'a str>,
    /// Password.
    pub password: Option<&'a Secret>,
}

/// PUBLISH (3.3) with QoS 1. DUP is never set: it marks a message that is sent again in the same session, and ours end with their
/// connection (4.4).
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// The packet id; not 0.
    pub id: u16,
    /// The topic.
    pub topic: &'a str,
    /// The payload, UTF-8.
    pub payload: &'a [u8],
    /// MIME type of the payload; only MQTT 5 says it.
    pub content_type: Option<&'a str>,
    /// Retained: the broker keeps the newest for who subscribes later; an empty payload removes it.
    pub retain: bool,
}

impl Connect<'_> {
    /// The packet. It holds the password and is wiped when dropped.
    pub fn encode(&self, version: Version) -> Zeroizing<Vec<u8>> {
        // Enough that it never grows: a growing vector leaves copies behind.
        let password = self.password.map_or("", Secret::expose);
        let will = self.will.map_or(0, |(topic, payload)| topic.len() + payload.len());
        let room = 64 + self.client_id.len() + will + self.user.map_or(0, str::len) + password.len();
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        string(&mut body, "MQTT");
        body.push(if version == Version::V5 { 5 } else { 4 });
        body.push(self.flags());
        body.extend(self.keep_alive.to_be_bytes());
        if version == Version::V5 {
            body.extend([5, property::MAXIMUM_PACKET]);
            body.extend(MAX_INCOMING.to_be_bytes());
        }
        string(&mut body, self.client_id);
        if let Some((topic, payload)) = self.will {
            if version == Version::V5 {
                body.push(0);
            }
            string(&mut body, topic);
            string(&mut body, payload);
        }
        self.user.into_iter().for_each(|user| string(&mut body, user));
        self.password.into_iter().for_each(|password| string(&mut body, password.expose()));
        let mut packet = Zeroizing::new(Vec::with_capacity(body.len() + 5));
        packet.push(0x10);
        number(&mut packet, body.len());
        packet.extend_from_slice(&body);
        packet
    }

    fn flags(&self) -> u8 {
        const CLEAN_START: u8 = 0x02;
        const WILL_RETAINED_QOS_1: u8 = 0x04 | 0x08 | 0x20;
        let will = if self.will.is_some() { WILL_RETAINED_QOS_1 } else { 0 };
        let user = if self.user.is_some() { 0x80 } else { 0 };
        let password = if self.password.is_some() { 0x40 } else { 0 };
        CLEAN_START | will | user | password
    }
}

impl Publish<'_> {
    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(0x32 | u8::from(self.retain));
        number(out, self.remaining(version));
        string(out, self.topic);
        out.extend(self.id.to_be_bytes());
        if version == Version::V5 {
            number(out, self.properties());
            if let Some(kind) = self.content_type {
                out.extend([property::PAYLOAD_FORMAT, 1, property::CONTENT_TYPE]);
                string(out, kind);
            }
        }
        out.extend_from_slice(self.payload);
    }

    /// Bytes of the whole packet; `None` if there can be no such packet.
    pub fn size(&self, version: Version) -> Option<usize> {
        let size = 5 + self.remaining(version);
        (size <= MAX_PACKET && self.topic.len() <= usize::from(u16::MAX)).then_some(size)
    }

    fn remaining(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { 1 + self.properties() } else { 0 };
        2 + self.topic.len() + 2 + properties + self.payload.len()
    }

    /// Below 128, so that one byte holds their length: content types are ours and short.
    fn properties(&self) -> usize {
        self.content_type.map_or(0, |kind| 2 + 3 + kind.len())
    }
}

/// A variable byte integer (1.5.5); larger numbers than it can hold are refused before, by size.
fn number(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        out.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            break;
        }
    }
}

/// Text after its length (1.5.4). What is longer was refused by the configuration; it is cut here, so that the packet stays one.
fn string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(text.bytes().take(usize::from(length)));
}
