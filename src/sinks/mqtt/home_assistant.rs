//! Home Assistant's MQTT discovery: retained messages that say which sensors there are.
//!
//! ```text
//!   PREFIX/device/NODE/config                the box:     binary_sensor connectivity
//!   PREFIX/device/NODE/camera-CAMERA/config  each camera: binary_sensor connectivity, sensor "Last seen"     via the box
//!   PREFIX/device/NODE/person-UUID/config    each person: sensors "Last seen" and "Last camera"              via the box
//! ```
//!
//! One message for each device ("device discovery"; home-assistant.io/integrations/mqtt, "Device discovery payload"), so that an
//! empty one removes a device with all its sensors.

use serde_json::{Value, json};

use super::config::HomeAssistant;
use super::session::{OFFLINE, ONLINE};
use crate::types::ids::IdentityId;

/// A topic and a payload.
pub type Config = (String, String);

/// Makes discovery messages.
#[derive(Debug, Clone)]
pub struct Home {
    prefix: String,
    node: String,
    name: String,
    persons: bool,
    availability: String,
}

impl Home {
    /// For this box.
    pub fn new(config: &HomeAssistant, source: &str, availability: &str) -> Self {
        Self {
            prefix: format!("{}/device/", config.prefix),
            node: format!("watchlistd-{}", plain(source)),
            name: config.name.clone(),
            persons: config.persons,
            availability: availability.to_owned(),
        }
    }

    /// What all its topics begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The box.
    pub fn device(&self) -> Config {
        let node = &self.node;
        let device = json!({ "identifiers": [node], "name": self.name, "manufacturer": "watchlistd", "model": "watchlistd",
            "sw_version": env!("CARGO_PKG_VERSION") });
        let sensors = json!({ "connection": {
            "platform": "binary_sensor", "unique_id": format!("{node}-connection"), "name": "Connection",
            "device_class": "connectivity", "entity_category": "diagnostic", "state_topic": self.availability,
            "payload_on": ONLINE, "payload_off": OFFLINE } });
        let config = json!({ "device": device, "origin": origin(), "components": sensors, "qos": 1 });
        (format!("{}{node}/config", self.prefix), config.to_string())
    }

    /// A camera, whose newest event is retained at `topic`.
    pub fn camera(&self, camera: &str, topic: &str) -> Config {
        let id = format!("{}-camera-{}", self.node, plain(camera));
        let sensors = json!({
            "connection": { "platform": "binary_sensor", "unique_id": format!("{id}-connection"), "name": "Connection",
                "device_class": "connectivity", "entity_category": "diagnostic", "state_topic": topic,
                "value_template": "{{ 'ON' if value_json.data.state == 'connected' else 'OFF' }}" },
            "last_seen": { "platform": "sensor", "unique_id": format!("{id}-last_seen"), "name": "Last seen",
                "device_class": "timestamp", "icon": "mdi:face-recognition", "state_topic": format!("{topic}/last_seen") },
        });
        let device = self.part(&id, camera, "Camera");
        (format!("{}{}/camera-{}/config", self.prefix, self.node, plain(camera)), self.whole(device, sensors))
    }

    /// A person, of whom it is retained at `topic` when and where they were last seen. `None` where persons are not wanted.
    pub fn person(&self, person: IdentityId, name: &str, topic: &str) -> Option<Config> {
        let id = format!("{}-person-{person}", self.node);
        let sensors = json!({
            "last_seen": { "platform": "sensor", "unique_id": format!("{id}-last_seen"), "name": "Last seen",
                "device_class": "timestamp", "state_topic": topic, "value_template": "{{ value_json.last_seen }}" },
            "last_camera": { "platform": "sensor", "unique_id": format!("{id}-last_camera"), "name": "Last camera",
                "icon": "mdi:cctv", "state_topic": topic, "value_template": "{{ value_json.camera }}" },
        });
        let device = self.part(&id, name, "Person");
        self.persons.then(|| (self.person_topic(person), self.whole(device, sensors)))
    }

    /// Where a person's discovery is retained, also if persons are not wanted any more.
    pub fn person_topic(&self, person: IdentityId) -> String {
        format!("{}{}/person-{person}/config", self.prefix, self.node)
    }

    fn part(&self, id: &str, name: &str, model: &str) -> Value {
        json!({ "identifiers": [id], "name": name, "manufacturer": "watchlistd", "model": model, "via_device": self.node })
    }

    fn whole(&self, device: Value, sensors: Value) -> String {
        let config = json!({ "device": device, "origin": origin(), "components": sensors, "qos": 1,
            "availability_topic": self.availability, "payload_available": ONLINE, "payload_not_available": OFFLINE });
        config.to_string()
    }
}

fn origin() -> Value {
    json!({ "name": "watchlistd", "sw_version": env!("CARGO_PKG_VERSION") })
}

/// A name as Home Assistant takes it in a topic, `[a-zA-Z0-9_-]`, different for different names: `_` becomes `__`, and what else is
/// not allowed `_` with its number in hexadecimal and `-`.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for c in name.chars() {
        match c {
            '_' => plain.push_str("__"),
            c if c.is_ascii_alphanumeric() || c == '-' => plain.push(c),
            c => plain.push_str(&format!("_{:x}-", u32::from(c))),
        }
    }
    plain
}
