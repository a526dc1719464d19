//! How a sink is set. It can be read and checked by a program that cannot run it.

use std::path::PathBuf;
use std::time::Duration;

use super::topic::Template;
use crate::bail;
use crate::base::error::Result;
use crate::base::secret::Secret;

/// The topic where nobody says otherwise.
pub const TOPIC: &str = "watchlistd.events";

/// Everything about a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to begin with, as `HOST:PORT`; they tell of the others.
    pub brokers: Vec<String>,
    /// Name of this box in topics. By default the last part of `events.source`.
    pub box_name: String,
    /// Topic of an event, [`TOPIC`] by default. Plain text of `a-z A-Z 0-9 . _ -`, with `{box}`, `{list}`, `{camera}` and `{type}`, each
    /// once at most.
    pub topic: String,
    /// By what name the brokers know this sink in their logs and quotas.
    pub client_id: String,
    /// How records are compressed. [`Codec::None`] by default.
    pub compression: Codec,
    /// TLS; `None`: in the clear.
    pub tls: Option<TlsConfig>,
    /// How to log in (SASL); `None`: not at all, or by the client certificate.
    pub login: Option<Login>,
    /// Longest wait for one connection with its handshakes. 10 s by default, 1 s to 10 min.
    pub connect_timeout: Duration,
    /// Longest wait for the reports of a batch. 30 s by default, 100 ms to 10 min. One call of `send` ends within about twice this.
    pub timeout: Duration,
    /// Most events in one call of `send`, 256 by default, 1 to 1,000.
    pub batch: usize,
    /// Largest record in bytes; an event that is larger is refused. 1,000,000 by default, which is what brokers take by default; 1 KiB
    /// to 256 MiB.
    pub max_message: usize,
}

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// `lz4`
    Lz4,
    /// `snappy`
    Snappy,
    /// `zstd`: brokers from 2.1 on.
    Zstd,
}

/// TLS. The files are PEM and are read at each connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate with its chain. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// Its key. Needs `certificate`.
    pub key: Option<PathBuf>,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// SASL mechanism.
    pub mechanism: Mechanism,
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password as it is: needs TLS.
    Plain,
    /// SCRAM (RFC 5802) with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl KafkaConfig {
    /// The defaults with what has none.
    pub fn new(brokers: Vec<String>, box_name: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers,
            box_name: box_name.into(),
            topic: TOPIC.to_owned(),
            client_id: client_id.into(),
            compression: Codec::None,
            tls: None,
            login: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            batch: 256,
            max_message: 1_000_000,
        }
    }

    /// Checks what can be checked without a broker.
    ///
    /// # Errors
    /// `Config`, with the key.
    pub fn check(&self) -> Result<()> {
        Template::new(&self.topic, &self.box_name)?;
        if self.brokers.is_empty() {
            bail!(Config, "brokers: expected at least one, as in \"127.0.0.1:9092\"");
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_broker(broker)) {
            bail!(Config, "brokers: {broker:?}: expected HOST:PORT, as in \"127.0.0.1:9092\"");
        }
        if self.client_id.is_empty() || self.client_id.chars().any(char::is_control) {
            bail!(Config, "client_id: expected a name without control characters");
        }
        if let Some(tls) = &self.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            bail!(Config, "tls.certificate and tls.key: expected both or neither");
        }
        if self.batch == 0 || self.timeout.is_zero() || self.connect_timeout.is_zero() {
            bail!(Config, "batch, timeout and connect_timeout: expected more than 0");
        }
        self.check_login()
    }

    fn check_login(&self) -> Result<()> {
        let Some(login) = &self.login else { return Ok(()) };
        if login.user.is_empty() || login.user.contains('\0') || login.password.expose().contains('\0') {
            bail!(Config, "user: expected a name and a password without the character NUL");
        }
        if login.mechanism == Mechanism::Plain && self.tls.is_none() {
            bail!(
                Config,
                "mechanism: plain sends the password as it is, and so needs TLS; set tls.enabled, or use scram-sha-512"
            );
        }
        Ok(())
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address; nothing that librdkafka would read as a list or a protocol.
pub(crate) fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    good && port.parse::<u16>().is_ok_and(|port| port > 0)
}
