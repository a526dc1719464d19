//! Somebody is there (`appeared`), and is gone (`left`).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json_schema::Time;
use super::maker::{EventMaker, Said, area, millis, to_millis};
use super::schema::{Area, AtCamera, Data, DecisionName, Event, EventType, Identity};
use crate::base::clock::Moment;
use crate::types::decision::{Appearance, Departure, Stage, Undecided};
use crate::types::face::Refusal;

/// Data of `appeared`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppearedData {
    /// Where it belongs.
    #[serde(flatten)]
    pub at: AtCamera,
    /// The track, `CAMERA/EPOCH/NUMBER`; unique within a run.
    pub track: String,
    /// The visit id it begins with. What is decided later has the same, or that of a visit which goes on.
    pub visit: Uuid,
    /// When it was first detected. It counts once it was detected a few times.
    #[schemars(with = "Time")]
    pub first_seen: Timestamp,
    /// Number, within the epoch, of the frame in which it began to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// The face's box in that frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<Area>,
    /// When that frame was captured.
    #[schemars(with = "Time")]
    pub captured_at: Timestamp,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
    /// From capture to publication in milliseconds, on a clock that never jumps.
    pub latency_ms: u64,
}

/// Data of `left`. What does not apply is absent; so is all of a decision that may not be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftData {
    /// Where it belongs.
    #[serde(flatten)]
    pub at: AtCamera,
    /// The track, as its `appeared` named it.
    pub track: String,
    /// The visit id of the track's last word: of the identity's visit, if it was recognised.
    pub visit: Uuid,
    /// What holds of the track at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionName>,
    /// How sure this track's recognition is. Only of `recognized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Who left. Only of `recognized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Why nothing can be said. Only of `undecided`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Undecided>,
    /// What was wrong with most shots. Only with the reason `no_good_shot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// When the track was first detected.
    #[schemars(with = "Time")]
    pub first_seen: Timestamp,
    /// When it was last detected. The event comes later: a track is over when it was not seen for a while.
    #[schemars(with = "Time")]
    pub last_seen: Timestamp,
    /// From the first detection to the last in milliseconds, on a clock that never jumps.
    pub duration_ms: u64,
    /// Shots embedded.
    pub shots: u32,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

impl EventMaker {
    /// The event of a track that began to count.
    pub fn appeared(&self, appearance: &Appearance, published: Moment) -> Event {
        let (track, sight) = (&appearance.track, appearance.sight);
        let time = to_millis(published.wall);
        let data = AppearedData {
            at: self.at(&track.camera, track.epoch),
            track: track.to_string(),
            visit: appearance.visit,
            first_seen: to_millis(sight.since.wall),
            frame: Some(sight.sequence),
            bbox: Some(area(sight.bbox)),
            captured_at: to_millis(sight.captured.wall),
            published_at: time,
            latency_ms: millis(published.since(sight.captured)),
        };
        self.of_track(EventType::Appeared, track, time, Data::Appeared(Box::new(data)))
    }

    /// The event of a track that had appeared and is over.
    pub fn left(&self, departure: &Departure, published: Moment) -> Event {
        let track = &departure.track;
        let time = to_millis(published.wall);
        let said = departure.word.as_ref().map(Said::of_word);
        let (decision, stage) = (said.as_ref().map(|s| s.decision), said.as_ref().and_then(|s| s.stage));
        let (reason, refusal) = (said.as_ref().and_then(|s| s.reason), said.as_ref().and_then(|s| s.refusal));
        let data = LeftData {
            at: self.at(&track.camera, track.epoch),
            track: track.to_string(),
            visit: departure.visit,
            decision,
            stage,
            identity: said.and_then(|s| s.identity),
            reason,
            refusal,
            first_seen: to_millis(departure.first_seen.wall),
            last_seen: to_millis(departure.last_seen.wall),
            duration_ms: millis(departure.last_seen.since(departure.first_seen)),
            shots: departure.shots,
            published_at: time,
        };
        self.of_track(EventType::Left, track, time, Data::Left(Box::new(data)))
    }
}
