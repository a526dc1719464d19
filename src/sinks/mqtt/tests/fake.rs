//! A broker that does what a test says. It reads with another codec than ours.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mqtt_proto::{QosPid, v3, v5};

use super::*;

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// Which connection it came on, from 0.
    pub connection: usize,
    pub id: u16,
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    pub dup: bool,
}

impl Got {
    /// The number of the event in it.
    pub fn sequence(&self) -> u64 {
        serde_json::from_slice::<Event>(&self.payload).expect("an event").sequence()
    }
}

/// A packet as it came.
#[derive(Debug)]
pub enum Packet {
    Connect { clean: bool, keep_alive: u16, will: Option<(String, Vec<u8>, bool)>, user: Option<String> },
    Publish(Got),
    Ping,
    Disconnect,
}

/// The broker.
pub struct Fake {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

/// One connection, as the script sees it. A script ends when the client does.
pub struct Peer {
    pub version: Version,
    pub number: usize,
    socket: TcpStream,
    bytes: Vec<u8>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Fake {
    /// Runs the script for each connection, in a thread of its own.
    pub fn start(version: Version, script: impl Fn(&mut Peer) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (got, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let shared = got.clone();
        std::thread::spawn(move || {
            for (number, socket) in listener.incoming().flatten().enumerate() {
                let mut peer = Peer { version, number, socket, bytes: Vec::new(), got: shared.clone() };
                let script = script.clone();
                std::thread::spawn(move || script(&mut peer));
            }
        });
        Self { port, got }
    }

    /// All messages that came.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().expect("lock").clone()
    }

    /// The numbers of the events in them.
    pub fn sequences(&self) -> Vec<u64> {
        self.got().iter().map(Got::sequence).collect()
    }
}

impl Peer {
    /// The next packet; `None` once the client has gone.
    pub fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some(length) = frame(&self.bytes) {
                let bytes: Vec<u8> = self.bytes.drain(..length).collect();
                return Some(self.decode(&bytes));
            }
            let mut buffer = [0; 65536];
            let n = self.socket.read(&mut buffer).ok().filter(|n| *n > 0)?;
            self.bytes.extend(&buffer[..n]);
        }
    }

    /// True if the client sends nothing more for a while. It can only be wrong in favour of the client.
    pub fn is_quiet(&mut self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        let mut buffer = [0; 65536];
        let n = self.socket.read(&mut buffer).unwrap_or(0);
        self.bytes.extend(&buffer[..n]);
        self.socket.set_read_timeout(None).expect("set");
        self.bytes.is_empty()
    }

    /// Reads CONNECT and lets the client in.
    pub fn admit(&mut self) -> Option<Packet> {
        let connect = self.read()?;
        assert!(matches!(connect, Packet::Connect { .. }), "{connect:?}");
        let five = [0x20, 3, 0, 0, 0];
        self.send(if self.version == Version::V5 { &five } else { &[0x20, 2, 0, 0] });
        Some(connect)
    }

    /// Lets the client in with these properties of MQTT 5.
    pub fn admit_with(&mut self, properties: &[u8]) -> Option<()> {
        self.read()?;
        let n = properties.len() as u8;
        self.send(&[&[0x20, n + 3, 0, 0, n], properties].concat());
        Some(())
    }

    /// The next message.
    pub fn publish(&mut self) -> Option<Got> {
        loop {
            match self.read()? {
                Packet::Publish(got) => return Some(got),
                Packet::Ping => self.send(&[0xD0, 0]),
                other => assert!(matches!(other, Packet::Disconnect), "{other:?}"),
            }
        }
    }

    /// The next `n` messages.
    pub fn publishes(&mut self, n: usize) -> Option<Vec<Got>> {
        (0..n).map(|_| self.publish()).collect()
    }

    /// Answers a message.
    pub fn ack(&mut self, id: u16, code: u8) {
        let [high, low] = id.to_be_bytes();
        match code {
            0 => self.send(&[0x40, 2, high, low]),
            code => self.send(&[0x40, 3, high, low, code]),
        }
    }

    /// Answers every message with this code until the client goes.
    pub fn serve(&mut self, code: impl Fn(&Got) -> u8) -> Option<()> {
        loop {
            let got = self.publish()?;
            self.ack(got.id, code(&got));
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The client may have gone.
        let _ = self.socket.write_all(bytes);
    }

    fn decode(&mut self, bytes: &[u8]) -> Packet {
        let packet = match self.version {
            Version::V311 => three(v3::Packet::decode(bytes).expect("valid").expect("whole"), self.number),
            Version::V5 => five(v5::Packet::decode(bytes).expect("valid").expect("whole"), self.number),
        };
        if let Packet::Publish(got) = &packet {
            self.got.lock().expect("lock").push(got.clone());
        }
        packet
    }
}

fn id(qos: QosPid) -> u16 {
    let QosPid::Level1(id) = qos else { panic!("not QoS 1: {qos:?}") };
    id.value()
}

fn three(packet: v3::Packet, connection: usize) -> Packet {
    match packet {
        v3::Packet::Connect(c) => Packet::Connect {
            clean: c.clean_session,
            keep_alive: c.keep_alive,
            will: c.last_will.map(|w| (w.topic_name.to_string(), w.message.to_vec(), w.retain)),
            user: c.username.map(|u| u.to_string()),
        },
        v3::Packet::Publish(p) => Packet::Publish(Got {
            connection,
            id: id(p.qos_pid),
            topic: p.topic_name.to_string(),
            payload: p.payload.to_vec(),
            retain: p.retain,
            dup: p.dup,
        }),
        v3::Packet::Pingreq => Packet::Ping,
        v3::Packet::Disconnect => Packet::Disconnect,
        other => panic!("a publisher does not send {other:?}"),
    }
}

fn five(packet: v5::Packet, connection: usize) -> Packet {
    match packet {
        v5::Packet::Connect(c) => Packet::Connect {
            clean: c.clean_start,
            keep_alive: c.keep_alive,
            will: c.last_will.map(|w| (w.topic_name.to_string(), w.payload.to_vec(), w.retain)),
            user: c.username.map(|u| u.to_string()),
        },
        v5::Packet::Publish(p) => Packet::Publish(Got {
            connection,
            id: id(p.qos_pid),
            topic: p.topic_name.to_string(),
            payload: p.payload.to_vec(),
            retain: p.retain,
            dup: p.dup,
        }),
        v5::Packet::Pingreq => Packet::Ping,
        v5::Packet::Disconnect(_) => Packet::Disconnect,
        other => panic!("a publisher does not send {other:?}"),
    }
}

/// Bytes of the first packet, if it is whole.
fn frame(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(length + at + 2).filter(|whole| *whole <= bytes.len());
        }
    }
    None
}
