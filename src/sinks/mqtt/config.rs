//! What an `mqtt` sink is told.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::topics::{self, Field, Template};
use crate::bail;
use crate::base::error::Result;
use crate::base::secret::Secret;

/// Most events in flight that can be asked for.
pub const MAX_BATCH: usize = 1024;

/// The protocol spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1.1 (OASIS, 2014): every broker.
    V311,
    /// MQTT 5.0 (OASIS, 2019): refusals have a reason, and the broker says what it can take.
    #[default]
    V5,
}

/// Settings of an `mqtt` sink.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttConfig {
    /// `mqtt://HOST[:1883]`, or `mqtts://HOST[:8883]` for TLS. Without user, password, path or query.
    pub broker: Url,
    /// Default: 5.
    pub version: Version,
    /// Names this sink to the broker, which closes an older connection of the same name: one name for each sink of each box.
    /// 1 to 65535 bytes; a broker of 3.1.1 may refuse more than 23.
    pub client_id: String,
    /// User, if the broker wants one.
    pub user: Option<String>,
    /// Password; only with a user.
    pub password: Option<Secret>,
    /// PEM file with the certificates of authorities to trust instead of the system's. Only with `mqtts`.
    pub ca: Option<PathBuf>,
    /// PEM file with our certificate and what leads to its authority. Only with `mqtts` and `key`.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// The broker closes the connection, and publishes the last will, after one and a half of it without a sign of life.
    /// Default: 60 s; 5 s to 18 h. A broker of MQTT 5 may ask for less.
    pub keep_alive: Duration,
    /// Longest for a connection, from the look-up of the name to the broker's consent. Default: 10 s.
    pub connect_timeout: Duration,
    /// Longest for one batch, with the connection where there is none. Default: 30 s.
    pub timeout: Duration,
    /// Most events in one batch, and most messages in flight; the broker may allow fewer. 1 to 1024, default 64. With 1, order is kept
    /// even where a broker of MQTT 5 puts a single message off.
    pub batch: usize,
    /// Largest packet in bytes; an event that is larger is refused. A broker of MQTT 5 may ask for less. Default: 256 KiB.
    pub max_packet: usize,
    /// The box, as one level of topics: `{source}`.
    pub source: String,
    /// Where events go: `{source}`, `{camera}`, `{type}`, `{identity}`, `{list}`. Default: `watchlistd/{source}/{camera}/{type}`.
    pub topic: String,
    /// Where `online` and `offline` are retained: `{source}`. Default: `watchlistd/{source}/availability`.
    pub availability_topic: Option<String>,
    /// Where the newest `camera` event of each camera is retained; the time somebody was last seen there is retained one level
    /// below, at `last_seen`. `{source}`, and `{camera}`, which must be there. Default: `watchlistd/{source}/camera/{camera}`.
    pub camera_topic: Option<String>,
    /// Where it is retained when and where each person was last recognised, if the event names them. `{source}`, and
    /// `{identity}`, which must be there. Default: none.
    pub person_topic: Option<String>,
    /// Home Assistant's discovery, if wanted. Needs `availability_topic` and `camera_topic`.
    pub home_assistant: Option<HomeAssistant>,
}

/// Home Assistant's MQTT discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// Home Assistant's discovery prefix. Default: `homeassistant`.
    pub prefix: String,
    /// What the box is called there. Default: `watchlistd` and the source.
    pub name: String,
    /// Sensors for persons whom events name. Needs `person_topic`. Default: no.
    pub persons: bool,
}

impl MqttConfig {
    /// With every default; `source` becomes a level of topics, see [`topics::level`].
    pub fn new(broker: Url, client_id: impl Into<String>, source: &str) -> Self {
        Self {
            broker,
            version: Version::default(),
            client_id: client_id.into(),
            user: None,
            password: None,
            ca: None,
            certificate: None,
            key: None,
            keep_alive: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            batch: 64,
            max_packet: 256 << 10,
            source: topics::level(source.trim_matches('/')),
            topic: "watchlistd/{source}/{camera}/{type}".into(),
            availability_topic: Some("watchlistd/{source}/availability".into()),
            camera_topic: Some("watchlistd/{source}/camera/{camera}".into()),
            person_topic: None,
            home_assistant: None,
        }
    }

    /// True for `mqtts`.
    pub fn tls(&self) -> bool {
        self.broker.scheme() == "mqtts"
    }

    /// The port of the address, or that of its scheme.
    pub fn port(&self) -> u16 {
        self.broker.port().unwrap_or(if self.tls() { 8883 } else { 1883 })
    }

    /// Checks all that can be checked without the broker and the files.
    ///
    /// # Errors
    /// `Config`; the message names the key, the value and what was expected.
    pub fn check(&self) -> Result<()> {
        self.check_broker()?;
        self.check_limits()?;
        self.check_topics()
    }

    fn check_broker(&self) -> Result<()> {
        let url = &self.broker;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let scheme = matches!(url.scheme(), "mqtt" | "mqtts");
        if !scheme || url.host_str().is_none_or(str::is_empty) || !plain || !matches!(url.path(), "" | "/") {
            // Not shown: it may hold a password.
            bail!(
                Config,
                "broker: expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; user and password have their own keys"
            );
        }
        if self.client_id.is_empty()
            || self.client_id.len() > usize::from(u16::MAX)
            || !topics::is_text(&self.client_id)
        {
            bail!(Config, "client_id: expected 1 to 65535 bytes without control characters");
        }
        if self.password.is_some() && self.user.is_none() {
            bail!(Config, "password: there is no user; MQTT 3.1.1 allows no password without one");
        }
        let files = [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)];
        if let Some((key, _)) = files.iter().find(|(_, file)| file.is_some()).filter(|_| !self.tls()) {
            bail!(Config, "{key}: only with a broker at mqtts://");
        }
        if self.certificate.is_some() != self.key.is_some() {
            bail!(Config, "certificate and key: expected both or neither");
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<()> {
        if !(5..=64_800).contains(&self.keep_alive.as_secs()) {
            bail!(Config, "keep_alive: {:?}; expected 5 s to 18 h", self.keep_alive);
        }
        if self.connect_timeout.is_zero() || self.timeout.is_zero() {
            bail!(Config, "connect_timeout and timeout: expected more than 0");
        }
        if !(1..=MAX_BATCH).contains(&self.batch) {
            bail!(Config, "batch: {}; expected 1 to {MAX_BATCH}", self.batch);
        }
        if !(1024..=super::wire::MAX_PACKET).contains(&self.max_packet) {
            bail!(
                Config,
                "max_packet: {}; expected 1024 to {} bytes",
                self.max_packet,
                super::wire::MAX_PACKET
            );
        }
        Ok(())
    }

    fn check_topics(&self) -> Result<()> {
        if self.source != topics::level(&self.source) {
            bail!(
                Config,
                "source: {:?}; expected one level of a topic, without / + # and control characters",
                self.source
            );
        }
        Template::new("topic", &self.topic, &Field::ALL, None)?;
        self.fixed("availability_topic", &self.availability_topic, &[Field::Source], None)?;
        self.fixed("camera_topic", &self.camera_topic, &[Field::Source, Field::Camera], Some(Field::Camera))?;
        self.fixed(
            "person_topic",
            &self.person_topic,
            &[Field::Source, Field::Identity],
            Some(Field::Identity),
        )?;
        let Some(home) = &self.home_assistant else { return Ok(()) };
        Template::new("home_assistant.prefix", &home.prefix, &[], None)?;
        if self.availability_topic.is_none() || self.camera_topic.is_none() {
            bail!(Config, "home_assistant: needs availability_topic and camera_topic");
        }
        if home.persons && self.person_topic.is_none() {
            bail!(
                Config,
                "home_assistant.persons: needs person_topic, as in \"watchlistd/{{source}}/person/{{identity}}\""
            );
        }
        Ok(())
    }

    fn fixed(
        &self,
        key: &str,
        topic: &Option<String>,
        fields: &[Field],
        needed: Option<Field>,
    ) -> Result<()> {
        topic.as_ref().map_or(Ok(()), |text| Template::new(key, text, fields, needed).map(drop))
    }
}
