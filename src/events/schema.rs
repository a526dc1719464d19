//! The event's format: the CloudEvents 1.0 envelope (structured JSON) and our data in it.
//!
//! Within schema version 1 fields may be added and none is renamed, removed or given another meaning;
//! consumers ignore fields and types they do not know. docs/events.md describes each field.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::counted::Counted;
use super::json_schema::Time;
use super::maker::to_millis;
use super::own::{GalleryData, HealthData, LostData};
use super::presence::{AppearedData, LeftData};
use super::threshold::ThresholdData;
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
    /// Somebody is there, whoever it is: a track counts from now on.
    #[serde(rename = "io.watchlistd.appeared.v1")]
    Appeared,
    /// Somebody is gone: a track that had appeared is over.
    #[serde(rename = "io.watchlistd.left.v1")]
    Left,
    /// Another gallery is searched from now on.
    #[serde(rename = "io.watchlistd.gallery.v1")]
    Gallery,
    /// The daemon's own state changed, or that of a part of it.
    #[serde(rename = "io.watchlistd.health.v1")]
    Health,
    /// Events are no more.
    #[serde(rename = "io.watchlistd.lost.v1")]
    Lost,
    /// A threshold was estimated, and is another one from now on.
    #[serde(rename = "io.watchlistd.threshold.v1")]
    Threshold,
}

impl EventType {
    /// Every type.
    pub const ALL: [EventType; 10] = [
        EventType::Appeared,
        EventType::Recognized,
        EventType::Unknown,
        EventType::Undecided,
        EventType::Left,
        EventType::Camera,
        EventType::Gallery,
        EventType::Health,
        EventType::Lost,
        EventType::Threshold,
    ];

    /// The value of `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventType::Recognized => "io.watchlistd.recognized.v1",
            EventType::Unknown => "io.watchlistd.unknown.v1",
            EventType::Undecided => "io.watchlistd.undecided.v1",
            EventType::Camera => "io.watchlistd.camera.v1",
            EventType::Appeared => "io.watchlistd.appeared.v1",
            EventType::Left => "io.watchlistd.left.v1",
            EventType::Gallery => "io.watchlistd.gallery.v1",
            EventType::Health => "io.watchlistd.health.v1",
            EventType::Lost => "io.watchlistd.lost.v1",
            EventType::Threshold => "io.watchlistd.threshold.v1",
        }
    }

    /// The type that `name` is: as in `type`, or its middle alone, such as `recognized`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name || kind.short() == name)
    }

    /// The middle of the value of `type`, such as `recognized`: what people write and topics hold.
    pub fn short(self) -> &'static str {
        let name = self.as_str();
        name.strip_prefix("io.watchlistd.").and_then(|name| name.strip_suffix(".v1")).unwrap_or(name)
    }
}

/// One event. Its fields are those of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawEvent")]
#[schemars(!try_from)]
pub struct Event {
    /// `1.0`
    pub specversion: String,
    /// Unique; a UUIDv7, so that ids sort by time. A consumer that sees one twice drops the second.
    pub id: Uuid,
    /// `events.source` of the configuration; of an event of a camera, with a slash and the camera's name.
    pub source: String,
    /// What kind of event.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub kind: EventType,
    /// When it was published.
    #[schemars(with = "Time")]
    pub time: Timestamp,
    /// What it is about, within the source: `track/EPOCH/NUMBER`, `camera`, `gallery`, `daemon`, `log` or `threshold`.
    pub subject: String,
    /// `application/json`
    pub datacontenttype: String,
    /// Names the schema of the data; there is nothing to fetch.
    pub dataschema: String,
    /// Our part; what is in it follows from `type`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub data: Data,
}

impl Event {
    /// The event as one line of JSON, without a line break.
    pub fn to_line(&self) -> String {
        // Serialising cannot fail: no map with odd keys, no I/O. An empty line would be seen by every test.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Gives it its place: the log took it as number `sequence` of its epoch `log`. Whatever it had before was provisional.
    pub fn place(&mut self, log: Uuid, sequence: u64) {
        let who = self.data.who_mut();
        (who.log, who.sequence) = (log, sequence);
    }

    /// Where it belongs.
    pub fn who(&self) -> &Who {
        self.data.who()
    }

    /// The epoch of the log that it has its place in.
    pub fn log(&self) -> Uuid {
        self.data.who().log
    }

    /// Its number in that epoch, from 1.
    pub fn sequence(&self) -> u64 {
        self.data.who().sequence
    }

    /// The run of the daemon that made it.
    pub fn run(&self) -> Uuid {
        self.data.who().run
    }

    /// The camera, if it is of one.
    pub fn camera(&self) -> Option<&str> {
        match &self.data {
            Data::Sighting(data) => Some(&data.camera),
            Data::Camera(data) => Some(&data.camera),
            Data::Counted(data) => Some(&data.camera),
            Data::Appeared(data) => Some(&data.at.camera),
            Data::Left(data) => Some(&data.at.camera),
            Data::Threshold(data) => Some(&data.camera),
            Data::Gallery(_) | Data::Health(_) | Data::Lost(_) => None,
        }
    }

    /// Who is recognised in it, if anybody.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.data {
            Data::Sighting(data) => data.identity.as_ref(),
            Data::Left(data) => data.identity.as_ref(),
            _ => None,
        }
    }

    /// Refers to a snapshot, if it is a decision.
    pub fn refer_to(&mut self, snapshot: SnapshotRef) {
        if let Data::Sighting(data) = &mut self.data {
            data.snapshot = Some(snapshot);
        }
    }

    /// The same, to take from it what may not be told.
    pub fn identity_mut(&mut self) -> Option<&mut Identity> {
        match &mut self.data {
            Data::Sighting(data) => data.identity.as_mut(),
            Data::Left(data) => data.identity.as_mut(),
            _ => None,
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
    /// Of any type about people, for a sink that only counts.
    Counted(Box<Counted>),
    /// Of `appeared`.
    Appeared(Box<AppearedData>),
    /// Of `left`.
    Left(Box<LeftData>),
    /// Of `gallery`.
    Gallery(Box<GalleryData>),
    /// Of `health`.
    Health(Box<HealthData>),
    /// Of `lost`.
    Lost(Box<LostData>),
    /// Of `threshold`.
    Threshold(Box<ThresholdData>),
}

impl Data {
    pub(super) fn who(&self) -> &Who {
        match self {
            Data::Sighting(data) => data,
            Data::Camera(data) => data,
            Data::Counted(data) => &data.who,
            Data::Appeared(data) => &data.at,
            Data::Left(data) => &data.at,
            Data::Gallery(data) => &data.who,
            Data::Health(data) => &data.who,
            Data::Lost(data) => &data.who,
            Data::Threshold(data) => &data.who,
        }
    }

    fn who_mut(&mut self) -> &mut Who {
        match self {
            Data::Sighting(data) => &mut data.at.who,
            Data::Camera(data) => &mut data.at.who,
            Data::Counted(data) => &mut data.who,
            Data::Appeared(data) => &mut data.at.who,
            Data::Left(data) => &mut data.at.who,
            Data::Gallery(data) => &mut data.who,
            Data::Health(data) => &mut data.who,
            Data::Lost(data) => &mut data.who,
            Data::Threshold(data) => &mut data.who,
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Who {
    /// Version of the schema of the data: 1.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// The epoch of the event log that it has its place in, a UUIDv7. Another one begins where a log is replaced.
    pub log: Uuid,
    /// Its number in that epoch, from 1. There is no gap: what is no more is told by an event in its place.
    pub sequence: u64,
    /// The run of the daemon that made it; a restart makes a new one.
    pub run: Uuid,
}

/// The same of an event of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtCamera {
    /// Its place.
    #[serde(flatten)]
    pub who: Who,
    /// The camera's name.
    pub camera: String,
    /// The camera's connection, counted from 1 in each run; 0 before the first.
    pub epoch: u32,
}

/// Data of `recognized`, `unknown` and `undecided`. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sighting {
    /// Where it belongs.
    #[serde(flatten)]
    pub at: AtCamera,
    /// The track, `CAMERA/EPOCH/NUMBER`.
    pub track: String,
    /// Joins every event of one visit of one identity to one camera, or to cameras that belong together.
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
    /// What else the policy asked for. Absent from events of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedFor>,
    /// From the first shot to the last, in milliseconds. Absent from events of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_ms: Option<u64>,
    /// Shots embedded so far.
    pub shots: u32,
    /// How many of them agree with the decision.
    pub agreeing: u32,
    /// Quality of the best shot, 0 to 1, two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Sequence numbers, within the epoch, of the frames behind the decision; the last 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<u64>,
    /// The face's box in the last of these frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<Area>,
    /// The picture that was kept. Only of a confirmed recognition for a list that keeps snapshots, and of `unknown` where those
    /// are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotRef>,
    /// SHA-256 that identifies the embedding model, in hexadecimal.
    pub model: String,
    /// Generation of the gallery that was searched.
    pub gallery_generation: u64,
    /// Index that answered.
    pub index: IndexKind,
    /// When the frame that led to the decision was captured.
    #[schemars(with = "Time")]
    pub captured_at: Timestamp,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
    /// From capture to publication in milliseconds, on a clock that never jumps.
    pub latency_ms: u64,
}

/// What the policy asked for beside the threshold when a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskedFor {
    /// Least distance to the second identity's score, four decimals (`decide.margin`).
    pub margin: f64,
    /// Shots that must agree before a recognition is confirmed (`decide.confirm`).
    pub confirm: u32,
    /// Shots before somebody may be called unknown (`decide.fair_shots`).
    pub fair_shots: u32,
    /// Milliseconds of looking before somebody may be called unknown (`decide.fair_look`).
    pub fair_look_ms: u64,
}

/// A picture that was kept, to be fetched by its id by whoever may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotRef {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// When it is deleted. It may be gone before: whoever is in it was forgotten, the recognition was withdrawn, or there was no
    /// room.
    #[schemars(with = "Time")]
    pub until: Timestamp,
    /// True if there is a picture of the face.
    pub face: bool,
    /// True if there is one of what was around it, too.
    pub scene: bool,
}

impl SnapshotRef {
    /// The snapshot `id`, kept until then.
    pub fn new(id: Uuid, until: Timestamp, scene: bool) -> Self {
        Self { id, until: to_millis(until), face: true, scene }
    }
}

/// Data of `camera`. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraData {
    /// Where it belongs.
    #[serde(flatten)]
    pub at: AtCamera,
    /// The state it is in now.
    pub state: CameraState,
    /// Why it is `waiting` or `refused`: see docs/events.md for the names.
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
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

impl std::ops::Deref for AtCamera {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.who
    }
}

impl std::ops::Deref for Sighting {
    type Target = AtCamera;

    fn deref(&self) -> &AtCamera {
        &self.at
    }
}

impl std::ops::Deref for CameraData {
    type Target = AtCamera;

    fn deref(&self) -> &AtCamera {
        &self.at
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
            _ if raw.subject == Counted::SUBJECT => Data::Counted(serde_json::from_value(raw.data)?),
            EventType::Camera => Data::Camera(serde_json::from_value(raw.data)?),
            EventType::Appeared => Data::Appeared(serde_json::from_value(raw.data)?),
            EventType::Left => Data::Left(serde_json::from_value(raw.data)?),
            EventType::Gallery => Data::Gallery(serde_json::from_value(raw.data)?),
            EventType::Health => Data::Health(serde_json::from_value(raw.data)?),
            EventType::Lost => Data::Lost(serde_json::from_value(raw.data)?),
            EventType::Threshold => Data::Threshold(serde_json::from_value(raw.data)?),
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
