//! The event's format: the CloudEvents 1.0 envelope (structured JSON) and our data in it.
//!
//! Within schema version 1 fields may be added and none is renamed, removed or given another meaning;
//! consumers ignore fields they do not know. docs/events.md describes each field.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stats::CameraState;
use crate::types::decision::{Stage, ThresholdOrigin, Undecided};
use crate::types::face::Refusal;
use crate::types::ids::IdentityId;
use crate::types::matching::IndexKind;

/// Version of the data's schema; also at the end of each event's type.
pub const SCHEMA: u32 = 1;

/// `dataschema`: names the schema; there is nothing to fetch.
pub const DATA_SCHEMA: &str = "urn:watchlistd:events:v1";

/// What kind of event, as in CloudEvents `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// Somebody enrolled was seen. The stage in the data says how sure that is, or that it is withdrawn.
    #[serde(rename = "io.watchlistd.recognized.v1")]
    Recognized,
    /// Somebody was seen well enough, and is not enrolled.
    #[serde(rename = "io.watchlistd.unknown.v1")]
    Unknown,
    /// Somebody was seen and nothing can be said.
    #[serde(rename = "io.watchlistd.undecided.v1")]
    Undecided,
    /// A camera changed state.
    #[serde(rename = "io.watchlistd.camera.v1")]
    Camera,
}

impl EventType {
    /// Every type.
    pub const ALL: [EventType; 4] =
        [EventType::Recognized, EventType::Unknown, EventType::Undecided, EventType::Camera];

    /// The value of `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventType::Recognized => "io.watchlistd.recognized.v1",
            EventType::Unknown => "io.watchlistd.unknown.v1",
            EventType::Undecided => "io.watchlistd.undecided.v1",
            EventType::Camera => "io.watchlistd.camera.v1",
        }
    }
}

/// One event. Its fields are those of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEvent")]
pub struct Event {
    /// `1.0`
    pub specversion: String,
    /// Unique; a UUIDv7, so that ids sort by time. A consumer that sees one twice drops the second.
    pub id: Uuid,
    /// `events.source` of the configuration, a slash, and the camera.
    pub source: String,
    /// What kind of event.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When it was published.
    pub time: Timestamp,
    /// What it is about, within the source: `track/EPOCH/NUMBER` or `camera`.
    pub subject: String,
    /// `application/json`
    pub datacontenttype: String,
    /// [`DATA_SCHEMA`]
    pub dataschema: String,
    /// Our part.
    pub data: Data,
}

impl Event {
    /// The event as one line of JSON, without a line break.
    pub fn to_line(&self) -> String {
        // Serialising cannot fail: no map with odd keys, no I/O. An empty line would be seen by every test.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Number of the event within the run of the daemon, from 1.
    pub fn sequence(&self) -> u64 {
        match &self.data {
            Data::Sighting(data) => data.sequence,
            Data::Camera(data) => data.sequence,
        }
    }

    /// The camera.
    pub fn camera(&self) -> &str {
        match &self.data {
            Data::Sighting(data) => &data.camera,
            Data::Camera(data) => &data.camera,
        }
    }
}

/// The event's data; which one follows from its type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// Of `recognized`, `unknown` and `undecided`.
    Sighting(Box<Sighting>),
    /// Of `camera`.
    Camera(Box<CameraData>),
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionName {
    /// Somebody who is enrolled; see the stage.
    Recognized,
    /// Nobody who is enrolled.
    Unknown,
    /// Nothing can be said.
    Undecided,
}

/// An enrolled identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Stable id in the gallery.
    pub id: IdentityId,
    /// Display name, as enrolled. Absent where the lists publish no name, and of a withdrawal of somebody who is no longer found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id another system knows the person by. Absent without one, and wherever the name is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The lists whose threshold the score reaches, the highest priority first. Absent in a gallery without lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

/// A box in the frame, in pixels, to a tenth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Left.
    pub x1: f64,
    /// Top.
    pub y1: f64,
    /// Right.
    pub x2: f64,
    /// Bottom.
    pub y2: f64,
}

/// Where an event belongs: the same first fields in every event's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The run of the daemon; a restart makes a new one.
    pub run: Uuid,
    /// Counts the events of the run from 1; a gap means that an event was lost on its way.
    pub sequence: u64,
    /// The camera's name.
    pub camera: String,
    /// The camera's connection, counted from 1 in each run; 0 before the first.
    pub epoch: u32,
}

/// Data of `recognized`, `unknown` and `undecided`. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// The track, `CAMERA/EPOCH/NUMBER`.
    pub track: String,
    /// Joins every event of one visit of one identity to one camera.
    pub visit: Uuid,
    /// What was decided.
    pub decision: DecisionName,
    /// How sure a recognition is. Only of `recognized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Who was recognised. Only of `recognized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Why nothing can be said. Only of `undecided`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Undecided>,
    /// What was wrong with most shots. Only with the reason `no_good_shot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Fused similarity of the best identity, -1 to 1, four decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Distance to the score of the second identity, four decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Threshold that was applied, four decimals.
    pub threshold: f64,
    /// Where it came from.
    pub threshold_origin: ThresholdOrigin,
    /// Shots embedded so far.
    pub shots: u32,
    /// How many of them agree with the decision.
    pub agreeing: u32,
    /// Quality of the best shot, 0 to 1, two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Sequence numbers, within the epoch, of the frames behind the decision; the last 32 at most.
    pub frames: Vec<u64>,
    /// The face's box in the last of these frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<Area>,
    /// SHA-256 that identifies the embedding model, in hexadecimal.
    pub model: String,
    /// Generation of the gallery that was searched.
    pub gallery_generation: u64,
    /// Index that answered.
    pub index: IndexKind,
    /// When the frame that led to the decision was captured.
    pub captured_at: Timestamp,
    /// When the event was published; the same as the envelope's `time`.
    pub published_at: Timestamp,
    /// From capture to publication in milliseconds, on a clock that never jumps.
    pub latency_ms: u64,
}

/// Data of `camera`. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraData {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// The state it is in now.
    pub state: CameraState,
    /// Why it is `waiting` or `refused`: a name of [`crate::source::Failure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The same for a person; addresses in it are redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Seconds until it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_s: Option<f64>,
    /// Decoder in use. Only of `connected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Coded format. Only of `connected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Width of the picture in pixels. Only of `connected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the picture in pixels. Only of `connected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// When the event was published; the same as the envelope's `time`.
    pub published_at: Timestamp,
}

impl std::ops::Deref for Sighting {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.who
    }
}

impl std::ops::Deref for CameraData {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.who
    }
}

/// As read, before the type says what the data is.
#[derive(Deserialize)]
struct RawEvent {
    specversion: String,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    kind: EventType,
    time: Timestamp,
    subject: String,
    datacontenttype: String,
    dataschema: String,
    data: serde_json::Value,
}

impl TryFrom<RawEvent> for Event {
    type Error = serde_json::Error;

    fn try_from(raw: RawEvent) -> Result<Self, Self::Error> {
        let data = match raw.kind {
            EventType::Camera => Data::Camera(serde_json::from_value(raw.data)?),
            EventType::Recognized | EventType::Unknown | EventType::Undecided => {
                Data::Sighting(serde_json::from_value(raw.data)?)
            }
        };
        Ok(Event {
            specversion: raw.specversion,
            id: raw.id,
            source: raw.source,
            kind: raw.kind,
            time: raw.time,
            subject: raw.subject,
            datacontenttype: raw.datacontenttype,
            dataschema: raw.dataschema,
            data,
        })
    }
}
