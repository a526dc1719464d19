//! What we read. Nothing in it is believed: lengths are checked, and reasons that the standard does not know are kept as numbers.

use thiserror::Error;

use super::{MAX_INCOMING, property};
use crate::sinks::mqtt::Version;

/// What came is no MQTT, or nothing that a broker may send to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the broker broke the protocol: {0}")]
pub struct Malformed(&'static str);

/// A packet from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It answers our CONNECT.
    Connack(Connack),
    /// It has taken, or refuses, the message with this id.
    Puback {
        /// The packet id of that message.
        id: u16,
        /// The reason code; 0 in MQTT 3.1.1. From 0x80 on it is refused.
        code: u8,
        /// The broker's words.
        reason: Option<String>,
    },
    /// It is there.
    Pingresp,
    /// It ends the connection; only in MQTT 5.
    Disconnect {
        /// The reason code.
        code: u8,
        /// The broker's words.
        reason: Option<String>,
    },
}

/// CONNACK (3.2). What the broker does not say is as the standard has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connack {
    /// 0, or why not.
    pub code: u8,
    /// The broker's words.
    pub reason: Option<String>,
    /// Most messages in flight.
    pub receive_maximum: u16,
    /// Largest packet.
    pub maximum_packet: Option<u32>,
    /// Highest QoS.
    pub maximum_qos: u8,
    /// Messages can be retained.
    pub retain: bool,
    /// Keep-alive in seconds to use instead of ours.
    pub keep_alive: Option<u16>,
}

impl Connack {
    fn new(code: u8) -> Self {
        Self {
            code,
            reason: None,
            receive_maximum: u16::MAX,
            maximum_packet: None,
            maximum_qos: 2,
            retain: true,
            keep_alive: None,
        }
    }
}

/// Bytes as they come, cut into packets.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// More bytes came.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet, if it is all there.
    ///
    /// # Errors
    /// It is malformed, larger than we take, or of a kind that a publisher is not sent.
    pub fn next(&mut self, version: Version) -> Result<Option<Answer>, Malformed> {
        let mut rest = Bytes(&self.bytes);
        let Some(head) = rest.byte() else { return Ok(None) };
        // Before its length is waited for: what speaks another protocol is found out at once.
        check(head, version)?;
        let length = match rest.number() {
            Number::Is(length) if length <= MAX_INCOMING => length as usize,
            Number::Is(_) => return Err(Malformed("its packet is larger than we take")),
            Number::Short => return Ok(None),
            Number::Bad => return Err(Malformed("a length of more than four bytes")),
        };
        let Some(body) = rest.take(length) else { return Ok(None) };
        let answer = decode(head, Bytes(body), version)?;
        let used = self.bytes.len() - rest.0.len();
        self.bytes.drain(..used);
        Ok(Some(answer))
    }
}

const CONNACK: u8 = 0x20;
const PUBACK: u8 = 0x40;
const PINGRESP: u8 = 0xD0;
const DISCONNECT: u8 = 0xE0;

/// Only these come to a publisher.
fn check(head: u8, version: Version) -> Result<(), Malformed> {
    match head {
        CONNACK | PUBACK | PINGRESP => Ok(()),
        DISCONNECT if version == Version::V5 => Ok(()),
        0xF0 => Err(Malformed("it asks for enhanced authentication, which we do not have")),
        _ => Err(Malformed("a packet that is not for a publisher")),
    }
}

fn decode(head: u8, mut body: Bytes<'_>, version: Version) -> Result<Answer, Malformed> {
    let five = version == Version::V5;
    let answer = match head {
        CONNACK => connack(&mut body, five).ok_or(Malformed("a broken CONNACK"))?,
        PUBACK => puback(&mut body, five).ok_or(Malformed("a broken PUBACK"))?,
        DISCONNECT => disconnect(&mut body).ok_or(Malformed("a broken DISCONNECT"))?,
        _ => Answer::Pingresp,
    };
    if body.0.is_empty() { Ok(answer) } else { Err(Malformed("a packet that is longer than what is in it")) }
}

fn connack(body: &mut Bytes<'_>, five: bool) -> Option<Answer> {
    let _session_present = body.byte()?;
    let mut connack = Connack::new(body.byte()?);
    if five {
        properties(body, |id, value| match (id, value) {
            (property::REASON, Value::Text(text)) => connack.reason = Some(text),
            (property::RECEIVE_MAXIMUM, Value::Number(n)) => {
                connack.receive_maximum = u16::try_from(n).unwrap_or(1).max(1)
            }
            (property::MAXIMUM_PACKET, Value::Number(n)) => connack.maximum_packet = Some(n),
            (property::MAXIMUM_QOS, Value::Number(n)) => connack.maximum_qos = u8::try_from(n).unwrap_or(0),
            (property::RETAIN_AVAILABLE, Value::Number(n)) => connack.retain = n != 0,
            (property::SERVER_KEEP_ALIVE, Value::Number(n)) => connack.keep_alive = u16::try_from(n).ok(),
            _ => {}
        })?;
    }
    Some(Answer::Connack(connack))
}

fn puback(body: &mut Bytes<'_>, five: bool) -> Option<Answer> {
    let id = body.pair()?;
    let (code, reason) = if five { reason(body)? } else { (0, None) };
    Some(Answer::Puback { id, code, reason })
}

fn disconnect(body: &mut Bytes<'_>) -> Option<Answer> {
    let (code, reason) = reason(body)?;
    Some(Answer::Disconnect { code, reason })
}

/// A reason code and properties, both of which may be left out (3.4.2.1, 3.14.2.1).
fn reason(body: &mut Bytes<'_>) -> Option<(u8, Option<String>)> {
    let Some(code) = body.byte() else { return Some((0, None)) };
    let mut reason = None;
    if !body.0.is_empty() {
        properties(body, |id, value| {
            if let (property::REASON, Value::Text(text)) = (id, value) {
                reason = Some(text);
            }
        })?;
    }
    Some((code, reason))
}

enum Value {
    Number(u32),
    Text(String),
    Nothing,
}

/// Reads all properties; `None` when they are broken.
fn properties(body: &mut Bytes<'_>, mut found: impl FnMut(u8, Value)) -> Option<()> {
    let Number::Is(length) = body.number() else { return None };
    let mut rest = Bytes(body.take(length as usize)?);
    while let Some(id) = rest.byte() {
        let value = match id {
            property::MAXIMUM_QOS
            | property::RETAIN_AVAILABLE
            | property::WILDCARDS
            | property::SUBSCRIPTION_IDS
            | property::SHARED => Value::Number(rest.byte()?.into()),
            property::RECEIVE_MAXIMUM | property::TOPIC_ALIAS_MAXIMUM | property::SERVER_KEEP_ALIVE => {
                Value::Number(rest.pair()?.into())
            }
            property::SESSION_EXPIRY | property::MAXIMUM_PACKET => {
                Value::Number(u32::from_be_bytes(rest.take(4)?.try_into().ok()?))
            }
            property::REASON
            | property::ASSIGNED_CLIENT_ID
            | property::RESPONSE_INFORMATION
            | property::SERVER_REFERENCE
            | property::AUTH_METHOD => Value::Text(shown(rest.block()?)),
            property::AUTH_DATA => rest.block().map(|_| Value::Nothing)?,
            property::USER => rest.block().and_then(|_| rest.block()).map(|_| Value::Nothing)?,
            _ => return None,
        };
        found(id, value);
    }
    Some(())
}

/// The broker's words as they may stand in a message of ours: short, on one line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

enum Number {
    Is(u32),
    /// Its end is not there yet.
    Short,
    Bad,
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn pair(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.pair()?;
        self.take(length.into())
    }

    /// A variable byte integer (1.5.5).
    fn number(&mut self) -> Number {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let Some(byte) = self.byte() else { return Number::Short };
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Number::Is(value);
            }
        }
        Number::Bad
    }
}
