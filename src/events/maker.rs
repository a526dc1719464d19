//! From a decision, or a camera's change of state, to an event.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{Timestamp, Unit};
use uuid::{ContextV7, Uuid};

use super::schema::{
    Area, CameraData, DATA_SCHEMA, Data, DecisionName, Event, EventType, Identity, SCHEMA, Sighting, Who,
};
use crate::base::clock::Moment;
use crate::source::{SourceError, StreamInfo};
use crate::stats::CameraState;
use crate::types::decision::{Decision, Verdict};
use crate::types::geometry::Rect;
use crate::types::ids::CameraId;
use crate::types::matching::Publish;

/// Most frame numbers in one event.
const MAX_FRAMES: usize = 32;

/// Where events' ids come from.
#[derive(Debug)]
pub enum Ids {
    /// UUIDv7 from the time of publication, with a counter and random bits (RFC 9562, 6.2).
    Random(Mutex<ContextV7>),
    /// UUIDv7 from the time of publication and the event's number: the same input gives the same ids.
    /// For videos and tests; two runs at the same time would collide.
    Numbered,
}

impl Ids {
    /// For the daemon.
    pub fn random() -> Self {
        Ids::Random(Mutex::new(ContextV7::new()))
    }

    fn next(&self, at: Timestamp, number: u64) -> Uuid {
        match self {
            Ids::Random(context) => {
                let seconds = u64::try_from(at.as_second()).unwrap_or(0);
                let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
                Uuid::new_v7(uuid::Timestamp::from_unix(context, seconds, nanos))
            }
            Ids::Numbered => {
                let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
                let mut tail = [0u8; 10];
                tail.iter_mut().skip(2).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
                uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
            }
        }
    }
}

/// A camera's change of state.
#[derive(Debug, Clone, Copy)]
pub struct CameraChange<'a> {
    /// The camera.
    pub camera: &'a CameraId,
    /// Number of the connection; 0 before the first.
    pub epoch: u32,
    /// The new state.
    pub state: CameraState,
    /// Why, where it failed.
    pub error: Option<&'a SourceError>,
    /// Time until it is tried again.
    pub retry: Option<Duration>,
    /// What is known of the stream, where it is connected.
    pub info: Option<&'a StreamInfo>,
}

/// Makes events and numbers them. One for each run, shared by reference.
#[derive(Debug)]
pub struct EventMaker {
    source: String,
    run: Uuid,
    ids: Ids,
    last: AtomicU64,
}

impl EventMaker {
    /// `source` is `events.source` of the configuration; a slash at its end is dropped.
    pub fn new(source: &str, run: Uuid, ids: Ids) -> Self {
        Self { source: source.trim_end_matches('/').to_owned(), run, ids, last: AtomicU64::new(0) }
    }

    /// The event of a decision that is published at `published`; `None` where the lists of who was recognised publish nothing.
    /// Such a decision has no number, so that no gap tells of it.
    pub fn decision(&self, decision: &Decision, published: Moment) -> Option<Event> {
        if decision.publish == Publish::Nothing {
            return None;
        }
        let time = to_millis(published.wall);
        let track = &decision.track;
        let said = Said::of(decision);
        let who = self.who(&track.camera, track.epoch);
        let skipped = decision.frames.len().saturating_sub(MAX_FRAMES);
        let data = Sighting {
            track: track.to_string(),
            visit: decision.visit,
            decision: said.decision,
            stage: said.stage,
            identity: said.identity,
            reason: said.reason,
            refusal: said.refusal,
            score: decision.score.map(|s| rounded(s, 4)),
            margin: decision.margin.map(|m| rounded(m, 4)),
            threshold: rounded(decision.threshold, 4),
            threshold_origin: decision.threshold_origin,
            shots: decision.shots,
            agreeing: decision.agreeing,
            quality: decision.quality.map(|q| rounded(q, 2)),
            frames: decision.frames.iter().copied().skip(skipped).collect(),
            bbox: decision.bbox.map(area),
            model: decision.model.hex(),
            gallery_generation: decision.generation,
            index: decision.index,
            captured_at: to_millis(decision.captured.wall),
            published_at: time,
            latency_ms: millis(published.since(decision.captured)),
            who,
        };
        let subject = format!("track/{}/{}", track.epoch, track.number);
        let (number, data) = (data.sequence, Data::Sighting(Box::new(data)));
        Some(self.envelope(said.kind, &track.camera, subject, time, number, data))
    }

    /// The event of a camera's change of state that is published at `published`.
    pub fn camera(&self, change: &CameraChange<'_>, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let size = change.info.and_then(|i| i.size);
        let data = CameraData {
            who: self.who(change.camera, change.epoch),
            state: change.state,
            failure: change.error.map(|e| e.failure.as_str().to_owned()),
            message: change.error.map(|e| e.message.clone()),
            retry_s: change.retry.map(|r| rounded(r.as_secs_f32(), 1)),
            decoder: change.info.and_then(|i| i.decoder.clone()),
            codec: change.info.and_then(|i| i.codec.clone()),
            width: size.map(|s| s.width),
            height: size.map(|s| s.height),
            published_at: time,
        };
        let number = data.sequence;
        let data = Data::Camera(Box::new(data));
        self.envelope(EventType::Camera, change.camera, "camera".to_owned(), time, number, data)
    }

    fn who(&self, camera: &CameraId, epoch: u32) -> Who {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Who { schema: SCHEMA, run: self.run, sequence, camera: camera.to_string(), epoch }
    }

    fn envelope(
        &self,
        kind: EventType,
        camera: &CameraId,
        subject: String,
        time: Timestamp,
        number: u64,
        data: Data,
    ) -> Event {
        Event {
            specversion: "1.0".to_owned(),
            id: self.ids.next(time, number),
            source: format!("{}/{camera}", self.source),
            kind,
            time,
            subject,
            datacontenttype: "application/json".to_owned(),
            dataschema: DATA_SCHEMA.to_owned(),
            data,
        }
    }
}

/// A verdict in the schema's words.
struct Said {
    kind: EventType,
    decision: DecisionName,
    stage: Option<crate::types::decision::Stage>,
    identity: Option<Identity>,
    reason: Option<crate::types::decision::Undecided>,
    refusal: Option<crate::types::face::Refusal>,
}

impl Said {
    fn of(decision: &Decision) -> Self {
        let nothing = |kind, decision| Said {
            kind,
            decision,
            stage: None,
            identity: None,
            reason: None,
            refusal: None,
        };
        match &decision.verdict {
            Verdict::Recognized { identity, name, external_id, stage } => Said {
                stage: Some(*stage),
                identity: Some(Identity {
                    id: *identity,
                    name: if_named(name, decision.publish),
                    external_id: if_named(external_id, decision.publish),
                    lists: decision.lists.iter().map(|list| list.to_string()).collect(),
                }),
                ..nothing(EventType::Recognized, DecisionName::Recognized)
            },
            Verdict::Unknown => nothing(EventType::Unknown, DecisionName::Unknown),
            Verdict::Undecided { reason, refusal } => Said {
                reason: Some(*reason),
                refusal: *refusal,
                ..nothing(EventType::Undecided, DecisionName::Undecided)
            },
        }
    }
}

/// What points to a person outside the gallery, where that may be said.
fn if_named(text: &Option<std::sync::Arc<str>>, publish: Publish) -> Option<String> {
    text.as_ref().filter(|_| publish == Publish::Name).map(|text| text.to_string())
}

/// To `decimals` decimals, without a negative zero. What is not finite becomes zero: JSON has no word for it.
fn rounded(value: f32, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    let value = (f64::from(value) * scale).round() / scale;
    if value.is_finite() { value + 0.0 } else { 0.0 }
}

fn area(rect: Rect) -> Area {
    Area {
        x1: rounded(rect.x1, 1),
        y1: rounded(rect.y1, 1),
        x2: rounded(rect.x2, 1),
        y2: rounded(rect.y2, 1),
    }
}

fn to_millis(time: Timestamp) -> Timestamp {
    // Fails only within a millisecond of the year 9999's end.
    time.round(Unit::Millisecond).unwrap_or(time)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
