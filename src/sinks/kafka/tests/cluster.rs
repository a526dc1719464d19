//! A mock cluster with a reader, and a way to it that can be broken.
//!
//! ```text
//!   sink ─▶ FaultProxy ─▶ relay ─▶ mock broker      the broker tells clients its own port; the relay writes the proxy's in its place
//! ```

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::TOPIC;
use crate::sinks::testing::FaultProxy;

const PARTITIONS: i32 = 4;

/// A record as a consumer had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sinks) struct Got {
    pub topic: String,
    pub partition: i32,
    pub key: String,
    pub json: String,
    pub headers: Vec<(String, String)>,
    /// The event's number in its log, from the header.
    pub sequence: u64,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// One mock broker.
pub(in crate::sinks) struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    reader: BaseConsumer,
    got: RefCell<Vec<Got>>,
}

impl Cluster {
    /// With the usual topic.
    pub fn start() -> Self {
        Self::with(&[TOPIC])
    }

    /// With these topics.
    pub fn with(topics: &[&str]) -> Self {
        let mock = MockCluster::new(1).expect("a mock cluster");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            mock.create_topic(topic, PARTITIONS, 1).expect("a topic");
            for partition in 0..PARTITIONS {
                list.add_partition_offset(topic, partition, Offset::Beginning).expect("in the list");
            }
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.bootstrap_servers());
        config.set("group.id", "reader").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        config.set("reconnect.backoff.max.ms", "100").set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        let reader: BaseConsumer = config.create().expect("a consumer");
        reader.assign(&list).expect("assigned");
        Self { mock, reader, got: RefCell::default() }
    }

    pub fn brokers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// All that has come so far; within a partition in its order.
    pub fn got(&self) -> Vec<Got> {
        let mut got = self.got.borrow_mut();
        while let Some(message) = self.reader.poll(Duration::from_millis(50)) {
            // A broker that is down is no record.
            got.extend(message.ok().map(|message| record(&message)));
        }
        got.clone()
    }

    /// What has come when so many different ones have.
    pub fn wait(&self, count: usize) -> Vec<Got> {
        let mut got = Vec::new();
        crate::sinks::testing::eventually("the records are there", || {
            got = self.got();
            got.iter().map(|got| got.header("ce_id")).collect::<std::collections::HashSet<_>>().len() >= count
        });
        got
    }

    /// A way to it that can be broken.
    pub fn proxy(&self) -> FaultProxy {
        let broker: SocketAddr = self.brokers().parse().expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let proxy = FaultProxy::start(listener.local_addr().expect("bound"));
        relay_all(listener, broker, proxy.port());
        proxy
    }

    /// A way to it by TLS: where it listens.
    pub fn behind_tls(&self, config: &Arc<ServerConfig>) -> SocketAddr {
        let broker: SocketAddr = self.brokers().parse().expect("an address");
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let outer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (plain, address) = (inner.local_addr().expect("bound"), outer.local_addr().expect("bound"));
        relay_all(inner, broker, address.port());
        let config = config.clone();
        std::thread::spawn(move || {
            for client in outer.incoming().flatten() {
                let session = ServerConnection::new(config.clone()).expect("a good configuration");
                let Ok(server) = TcpStream::connect(plain) else { continue };
                std::thread::spawn(move || drop(unwrapped(StreamOwned::new(session, client), server)));
            }
        });
        address
    }
}

fn record(message: &impl Message) -> Got {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let headers: Vec<(String, String)> = message
        .headers()
        .map(|headers| headers.iter().map(|h| (h.key.to_owned(), text(h.value))).collect())
        .unwrap_or_default();
    let number = headers.iter().find(|(key, _)| key == "watchlistd_sequence");
    Got {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        key: text(message.key()),
        json: text(message.payload()),
        sequence: number.and_then(|(_, value)| value.parse().ok()).expect("a number"),
        headers,
    }
}

fn relay_all(listener: TcpListener, broker: SocketAddr, shown: u16) {
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(broker) else { continue };
            relay(client, server, broker.port(), shown);
        }
    });
}

/// Passes on what is inside of TLS, both ways by turns, until one side ends it.
fn unwrapped(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    mut server: TcpStream,
) -> std::io::Result<()> {
    let turn = Some(Duration::from_millis(1));
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock)?;
    }
    client.sock.set_read_timeout(turn)?;
    server.set_read_timeout(turn)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        if let Some(n) = turned(client.read(&mut buffer))? {
            server.write_all(&buffer[..n])?;
        }
        if let Some(n) = turned(server.read(&mut buffer))? {
            client.write_all(&buffer[..n])?;
            client.flush()?;
        }
    }
}

/// What was read in this turn; an end is an error.
fn turned(read: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    use std::io::ErrorKind::{TimedOut, UnexpectedEof, WouldBlock};
    match read {
        Ok(0) => Err(UnexpectedEof.into()),
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), WouldBlock | TimedOut) => Ok(None),
        Err(e) => Err(e),
    }
}

fn relay(client: TcpStream, server: TcpStream, broker: u16, shown: u16) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut up, mut to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let (mut from, mut back) = (server, client);
        let _ = answers(&mut from, &mut back, broker, shown);
        let _ = back.shutdown(Shutdown::Both);
    });
}

/// Passes on answers, each with its length before it, with another port where the broker's address stands (the length of nothing
/// changes by that).
fn answers(from: &mut TcpStream, to: &mut TcpStream, broker: u16, shown: u16) -> std::io::Result<()> {
    let address = |port: u16| [&b"127.0.0.1"[..], &u32::from(port).to_be_bytes()].concat();
    let (own, other) = (address(broker), address(shown));
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut body)?;
        for at in 0..body.len().saturating_sub(own.len() - 1) {
            if body[at..].starts_with(&own) {
                body[at..at + other.len()].copy_from_slice(&other);
            }
        }
        to.write_all(&[&length[..], &body].concat())?;
    }
}
