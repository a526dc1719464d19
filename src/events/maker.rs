//! From a decision, or a camera's change of state, to an event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{Timestamp, Unit};
use uuid::{ContextV7, Uuid};

use super::own::source_of_daemon;
use super::schema::{
    Area, AskedFor, AtCamera, CameraData, DATA_SCHEMA, Data, DecisionName, Event, EventType, Identity,
    SCHEMA, Sighting, Who,
};
use crate::base::clock::Moment;
use crate::source::{SourceError, StreamInfo};
use crate::stats::CameraState;
use crate::types::decision::{Asked, Decision, Stage, Undecided, Verdict, Word};
use crate::types::face::Refusal;
use crate::types::geometry::Rect;
use crate::types::ids::{CameraId, TrackId};
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

/// Makes events. One for each run, shared by reference.
///
/// It numbers them as if the run were a log of its own. That is final where there is no log (a recorded video); the log of the
/// daemon gives each event its place there with [`Event::place`].
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
        let at = self.at(&track.camera, track.epoch);
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
            asked: Some(asked(&decision.asked)),
            looked_ms: Some(millis(decision.looked)),
            shots: decision.shots,
            agreeing: decision.agreeing,
            quality: decision.quality.map(|q| rounded(q, 2)),
            frames: decision.frames.iter().copied().skip(skipped).collect(),
            bbox: decision.bbox.map(area),
            snapshot: None,
            model: decision.model.hex(),
            gallery_generation: decision.generation,
            index: decision.index,
            captured_at: to_millis(decision.captured.wall),
            published_at: time,
            latency_ms: millis(published.since(decision.captured)),
            at,
        };
        Some(self.of_track(said.kind, track, time, Data::Sighting(Box::new(data))))
    }

    /// The event of a camera's change of state that is published at `published`.
    pub fn camera(&self, change: &CameraChange<'_>, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let size = change.info.and_then(|i| i.size);
        let data = CameraData {
            at: self.at(change.camera, change.epoch),
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
        let source = format!("{}/{}", self.source, change.camera);
        self.envelope(EventType::Camera, source, "camera".to_owned(), time, Data::Camera(Box::new(data)))
    }

    pub(super) fn who(&self) -> Who {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Who { schema: SCHEMA, log: self.run, sequence, run: self.run }
    }

    pub(super) fn at(&self, camera: &CameraId, epoch: u32) -> AtCamera {
        AtCamera { who: self.who(), camera: camera.to_string(), epoch }
    }

    pub(super) fn of_track(&self, kind: EventType, track: &TrackId, time: Timestamp, data: Data) -> Event {
        let source = format!("{}/{}", self.source, track.camera);
        let subject = format!("track/{}/{}", track.epoch, track.number);
        self.envelope(kind, source, subject, time, data)
    }

    pub(super) fn of_camera(
        &self,
        kind: EventType,
        camera: &CameraId,
        subject: &str,
        time: Timestamp,
        data: Data,
    ) -> Event {
        let source = format!("{}/{camera}", self.source);
        self.envelope(kind, source, subject.to_owned(), time, data)
    }

    pub(super) fn of_daemon(&self, kind: EventType, subject: &str, time: Timestamp, data: Data) -> Event {
        self.envelope(kind, source_of_daemon(&self.source), subject.to_owned(), time, data)
    }

    fn envelope(
        &self,
        kind: EventType,
        source: String,
        subject: String,
        time: Timestamp,
        data: Data,
    ) -> Event {
        Event {
            specversion: "1.0".to_owned(),
            id: self.ids.next(time, data.who().sequence),
            source,
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
pub(super) struct Said {
    kind: EventType,
    pub(super) decision: DecisionName,
    pub(super) stage: Option<Stage>,
    pub(super) identity: Option<Identity>,
    pub(super) reason: Option<Undecided>,
    pub(super) refusal: Option<Refusal>,
}

impl Said {
    fn of(decision: &Decision) -> Self {
        Self::new(&decision.verdict, &decision.lists, decision.publish)
    }

    pub(super) fn of_word(word: &Word) -> Self {
        Self::new(&word.verdict, &word.lists, word.publish)
    }

    fn new(verdict: &Verdict, lists: &[Arc<str>], publish: Publish) -> Self {
        let nothing = |kind, decision| Said {
            kind,
            decision,
            stage: None,
            identity: None,
            reason: None,
            refusal: None,
        };
        match verdict {
            Verdict::Recognized { identity, name, external_id, stage } => Said {
                stage: Some(*stage),
                identity: Some(Identity {
                    id: *identity,
                    name: if_named(name, publish),
                    external_id: if_named(external_id, publish),
                    lists: lists.iter().map(|list| list.to_string()).collect(),
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
fn if_named(text: &Option<Arc<str>>, publish: Publish) -> Option<String> {
    text.as_ref().filter(|_| publish == Publish::Name).map(|text| text.to_string())
}

/// To `decimals` decimals, without a negative zero. What is not finite becomes zero: JSON has no word for it.
pub(super) fn rounded(value: f32, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    let value = (f64::from(value) * scale).round() / scale;
    if value.is_finite() { value + 0.0 } else { 0.0 }
}

fn asked(asked: &Asked) -> AskedFor {
    AskedFor {
        margin: rounded(asked.margin, 4),
        confirm: asked.confirm,
        fair_shots: asked.fair_shots,
        fair_look_ms: millis(asked.fair_look),
    }
}

pub(super) fn area(rect: Rect) -> Area {
    Area {
        x1: rounded(rect.x1, 1),
        y1: rounded(rect.y1, 1),
        x2: rounded(rect.x2, 1),
        y2: rounded(rect.y2, 1),
    }
}

pub(super) fn to_millis(time: Timestamp) -> Timestamp {
    // Fails only within a millisecond of the year 9999's end.
    time.round(Unit::Millisecond).unwrap_or(time)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
