//! From events to messages.
//!
//! ```text
//!   camera event       ─▶ [discovery of the camera]  event  camera_topic (retained: the event)
//!   somebody was seen  ─▶ [discovery of the camera]  event  camera_topic/last_seen (retained: a time)
//!     and is named     ─▶ [discovery of the person]         person_topic (retained: when and where)
//! ```
//!
//! An event counts as taken once the broker has all of its messages. Retained topics of a person follow from the person's id alone,
//! so that they can be removed without knowing what was ever published.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::json;
use uuid::Uuid;

use super::flight::Ack;
use super::home_assistant::Home;
use super::reasons::Fate;
use super::session::{Bounds, OFFLINE, ONLINE};
use super::topics::{self, Field, Template};
use super::{MqttConfig, Version};
use crate::base::error::{Error, Result};
use crate::err;
use crate::events::{Data, Event, Identity, Sighting};
use crate::sinks::sink::Delivery;
use crate::types::decision::Stage;
use crate::types::ids::IdentityId;

/// CloudEvents in structured mode (CloudEvents, MQTT protocol binding, 3.2).
const EVENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the event.
    Event,
    /// It is retained beside it.
    Retained,
}

/// A message to publish with QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Index in the batch of the event that it belongs to.
    pub of: usize,
    /// What it is for.
    pub role: Role,
    /// Where to.
    pub topic: String,
    /// UTF-8.
    pub payload: Cow<'a, [u8]>,
    /// MIME type.
    pub content_type: Option<&'static str>,
    /// The broker keeps the newest.
    pub retain: bool,
}

impl Message<'_> {
    fn retained(
        of: usize,
        topic: String,
        payload: impl Into<Vec<u8>>,
        kind: &'static str,
    ) -> Message<'static> {
        let payload = Cow::Owned(payload.into());
        Message { of, role: Role::Retained, topic, payload, content_type: Some(kind), retain: true }
    }

    /// Removes what is retained there.
    fn empty(topic: String) -> Message<'static> {
        Message {
            of: 0,
            role: Role::Retained,
            topic,
            payload: Cow::Owned(Vec::new()),
            content_type: None,
            retain: true,
        }
    }
}

/// A batch as messages.
#[derive(Debug)]
pub struct Plan<'a> {
    /// In the order in which to send them.
    pub messages: Vec<Message<'a>>,
    /// The first event that cannot be sent at all, and why; nothing of it or of what follows is among the messages.
    pub refused: Option<(usize, Error)>,
}

/// Makes messages.
#[derive(Debug)]
pub struct Mapper {
    version: Version,
    source: String,
    topic: Template,
    availability: Option<String>,
    camera: Option<Template>,
    person: Option<Template>,
    home: Option<Home>,
    /// Discovery that this connection's broker has, by topic: a hash of the payload.
    announced: HashMap<String, u64>,
    /// Topics that it refused, so that each is logged once.
    complained: HashSet<String>,
    /// The visit of which a person's topic speaks. Bounded by the gallery.
    visits: HashMap<IdentityId, Uuid>,
}

impl Mapper {
    /// For the configuration, which is checked.
    ///
    /// # Errors
    /// `Config`, when a topic is none.
    pub fn new(config: &MqttConfig) -> Result<Self> {
        let fixed = |key, text: &Option<String>| {
            text.as_ref().map(|t| Template::new(key, t, &Field::ALL, None)).transpose()
        };
        let source = config.source.clone();
        let availability = fixed("availability_topic", &config.availability_topic)?;
        let availability = availability.map(|topic| topic.fill(|_| source.clone()));
        let home = config.home_assistant.as_ref();
        Ok(Self {
            version: config.version,
            topic: Template::new("topic", &config.topic, &Field::ALL, None)?,
            camera: fixed("camera_topic", &config.camera_topic)?,
            person: fixed("person_topic", &config.person_topic)?,
            home: home.zip(availability.as_ref()).map(|(home, topic)| Home::new(home, &source, topic)),
            availability,
            source,
            announced: HashMap::new(),
            complained: HashSet::new(),
            visits: HashMap::new(),
        })
    }

    /// Where it stands whether we are there.
    pub fn availability(&self) -> Option<&str> {
        self.availability.as_deref()
    }

    /// What a connection begins with.
    pub fn hello(&self) -> Vec<Message<'static>> {
        let online = self.availability.iter().map(|topic| Message::retained(0, topic.clone(), ONLINE, TEXT));
        let device = self
            .home
            .iter()
            .map(Home::device)
            .map(|(topic, config)| Message::retained(0, topic, config, JSON));
        device.chain(online).collect()
    }

    /// What it ends with.
    pub fn goodbye(&self) -> Vec<Message<'static>> {
        self.availability.iter().map(|topic| Message::retained(0, topic.clone(), OFFLINE, TEXT)).collect()
    }

    /// A new connection: its broker may have lost what it retained.
    pub fn connected(&mut self) {
        self.announced.clear();
        self.complained.clear();
    }

    /// The batch as messages.
    pub fn plan<'a>(&mut self, batch: &'a [Delivery], bounds: Bounds) -> Plan<'a> {
        let (mut messages, mut announcing) = (Vec::new(), self.announced.clone());
        for (of, delivery) in batch.iter().enumerate() {
            let event = self.event(of, delivery);
            if event.size(self.version).is_none_or(|size| size > bounds.packet) {
                let size = delivery.json.len();
                let error = err!(
                    Data,
                    "an event of {size} bytes is larger than a packet may be, {} bytes; see max_packet",
                    bounds.packet
                );
                return Plan { messages, refused: Some((of, error)) };
            }
            let (mut before, after) = self.beside(of, delivery);
            // What is news goes with the first event that it is news for: later ones are not taken before that one is.
            before.retain(|message| {
                let hash = hash(&message.payload);
                announcing.insert(message.topic.clone(), hash) != Some(hash)
            });
            before.push(event);
            before.extend(after);
            messages.extend(before.into_iter().filter(|message| self.fits(message, bounds)));
        }
        Plan { messages, refused: None }
    }

    /// The broker said this.
    pub fn answered(&mut self, message: &Message<'_>, ack: &Ack) {
        if message.role == Role::Event {
            return;
        }
        if message.fate(ack) != Fate::Taken {
            if self.complained.insert(message.topic.clone()) {
                message.warn_if_refused(ack);
            }
            return;
        }
        if self.home.as_ref().is_some_and(|home| message.topic.starts_with(home.prefix())) {
            self.announced.insert(message.topic.clone(), hash(&message.payload));
        }
    }

    /// What removes all that is retained of a person, whenever it was published.
    pub fn forget(&mut self, id: IdentityId) -> Vec<Message<'static>> {
        self.visits.remove(&id);
        let discovery = self.home.as_ref().map(|home| home.person_topic(id));
        if let Some(topic) = &discovery {
            self.announced.remove(topic);
        }
        discovery.into_iter().chain(self.person_topic(id)).map(Message::empty).collect()
    }

    fn event<'a>(&self, of: usize, delivery: &'a Delivery) -> Message<'a> {
        let topic = self.topic.fill(|field| topics::of_event(field, &self.source, &delivery.event));
        let payload = Cow::Borrowed(delivery.json.as_bytes());
        Message { of, role: Role::Event, topic, payload, content_type: Some(EVENT_TYPE), retain: false }
    }

    /// What goes before an event, and what after it.
    fn beside(&mut self, of: usize, delivery: &Delivery) -> (Vec<Message<'static>>, Vec<Message<'static>>) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let event = &delivery.event;
        if let (Some(camera), Some(topic)) = (event.camera(), self.camera_topic(event)) {
            before.extend(
                self.home
                    .iter()
                    .map(|home| home.camera(camera, &topic))
                    .map(|(t, c)| Message::retained(of, t, c, JSON)),
            );
            if let Data::Camera(_) = &event.data {
                after.push(Message::retained(of, topic, delivery.json.as_bytes(), EVENT_TYPE));
            } else if let Data::Sighting(seen) = &event.data {
                after.push(Message::retained(
                    of,
                    format!("{topic}/last_seen"),
                    seen.captured_at.to_string(),
                    TEXT,
                ));
            }
        }
        if let Data::Sighting(seen) = &event.data
            && let Some(identity) = &seen.identity
        {
            before.extend(self.person_discovery(of, identity));
            after.extend(self.person_state(of, event, seen, identity));
        }
        (before, after)
    }

    fn camera_topic(&self, event: &Event) -> Option<String> {
        Some(self.camera.as_ref()?.fill(|field| topics::of_event(field, &self.source, event)))
    }

    fn person_topic(&self, id: IdentityId) -> Option<String> {
        Some(self.person.as_ref()?.fill(|field| topics::of_person(field, &self.source, id)))
    }

    fn person_discovery(&self, of: usize, identity: &Identity) -> Option<Message<'static>> {
        let (home, name) = (self.home.as_ref()?, identity.name.as_deref()?);
        let (topic, config) = home.person(identity.id, name, &self.person_topic(identity.id)?)?;
        Some(Message::retained(of, topic, config, JSON))
    }

    /// When and where somebody was last recognised, which a withdrawal takes back: what was true before it is not known here.
    fn person_state(
        &mut self,
        of: usize,
        event: &Event,
        seen: &Sighting,
        identity: &Identity,
    ) -> Option<Message<'static>> {
        let topic = self.person_topic(identity.id)?;
        let state = match (seen.stage?, &identity.name) {
            (Stage::Confirmed, Some(name)) => {
                self.visits.insert(identity.id, seen.visit);
                json!({ "identity": identity.id, "name": name, "camera": seen.camera, "last_seen": seen.captured_at,
                    "visit": seen.visit, "event": event.id })
            }
            // Without the name too: who was forgotten is not found any more. Then nothing may be retained again.
            (Stage::Withdrawn, _) if self.visits.get(&identity.id) == Some(&seen.visit) => {
                json!({ "identity": identity.id, "camera": null, "last_seen": null, "visit": seen.visit, "event": event.id })
            }
            _ => return None,
        };
        Some(Message::retained(of, topic, state.to_string(), JSON))
    }

    /// What is retained is left out where it is too large: the event goes its way.
    fn fits(&self, message: &Message<'_>, bounds: Bounds) -> bool {
        let fits = message.size(self.version).is_some_and(|size| size <= bounds.packet);
        if !fits {
            tracing::warn!(
                topic = message.topic,
                "a retained message is larger than a packet may be; left out"
            );
        }
        fits
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
