//! What is decided about a track.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::face::Refusal;
use super::ids::{IdentityId, ModelId, TrackId};
use super::matching::{IndexKind, Publish};
use crate::base::clock::Moment;
use crate::types::geometry::Rect;

/// How sure a recognition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The score and margin suffice; not enough shots agree yet.
    Preliminary,
    /// Enough shots agree.
    Confirmed,
    /// An earlier recognition of this track no longer holds.
    Withdrawn,
}

/// Why nothing could be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// No shot was good enough to embed.
    NoGoodShot,
    /// The track ended before there was a fair look.
    TooShort,
    /// The best two identities are too near each other.
    Ambiguous,
    /// Crops were dropped under load before they were embedded.
    Overload,
}

/// The verdict about a track.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Somebody who is enrolled.
    Recognized {
        /// Who.
        identity: IdentityId,
        /// Display name. `None` of a withdrawal, if the identity is no longer among the nearest: it may have been forgotten.
        name: Option<Arc<str>>,
        /// The id another system knows the person by; known when the name is.
        external_id: Option<Arc<str>>,
        /// How sure.
        stage: Stage,
    },
    /// Nobody who is enrolled, after a fair look.
    Unknown,
    /// Nothing can be said, and why.
    Undecided {
        /// The reason.
        reason: Undecided,
        /// Where `reason` is `NoGoodShot`: what was wrong with most shots.
        refusal: Option<Refusal>,
    },
}

/// Where a threshold came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdOrigin {
    /// A list's setting.
    List,
    /// The camera's own setting.
    Camera,
    /// `decide.threshold` in the configuration.
    Config,
    /// The model's manifest.
    Model,
    /// Estimated from the camera's own scores, for a budget of false alerts.
    Budget,
}

/// What the policy asks for beside the threshold, as it was when a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Asked {
    /// Least distance to the second identity's score.
    pub margin: f32,
    /// Shots that must agree before a recognition is confirmed.
    pub confirm: u32,
    /// Shots before a track may be called unknown ...
    pub fair_shots: u32,
    /// ... and time it must have been looked at.
    pub fair_look: Duration,
}

/// A decision with everything needed to say why it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The track.
    pub track: TrackId,
    /// Joins every event of one visit of one identity to one camera, or to cameras that belong together.
    pub visit: uuid::Uuid,
    /// What was decided.
    pub verdict: Verdict,
    /// Of a recognition: the lists for which it is one, the highest priority first. Of a withdrawal: those it is taken back for.
    pub lists: Vec<Arc<str>>,
    /// What events may say of it. Always all, where nobody was recognised: nothing in such a decision points to anybody.
    pub publish: Publish,
    /// Fused similarity score of the best identity, -1 to 1; `None` if nothing was embedded or nobody is enrolled.
    /// Of a withdrawal: the present score of the identity withdrawn, `None` if that is no longer among the nearest.
    pub score: Option<f32>,
    /// Distance to the second identity's score; of a withdrawal it may be negative.
    pub margin: Option<f32>,
    /// Threshold applied. Of a recognition: that of the first of its lists; of a withdrawal: the highest of its lists', which is
    /// the first to be missed; else the lowest of the best identity's lists. Where no list sets one, the camera's.
    pub threshold: f32,
    /// Where it came from.
    pub threshold_origin: ThresholdOrigin,
    /// What else was asked for.
    pub asked: Asked,
    /// From the first shot to the last.
    pub looked: Duration,
    /// Shots embedded so far, and how many of them agree with the verdict.
    pub shots: u32,
    /// See `shots`.
    pub agreeing: u32,
    /// Quality of the best shot, 0 to 1.
    pub quality: Option<f32>,
    /// Capture time of the newest shot; of a track without one: when it was last seen.
    pub captured: Moment,
    /// Frame sequence numbers of the shots behind the decision.
    pub frames: Vec<u64>,
    /// The face's box in the last of these frames.
    pub bbox: Option<Rect>,
    /// Model that made the embeddings.
    pub model: ModelId,
    /// Gallery generation searched.
    pub generation: u64,
    /// Index that answered.
    pub index: IndexKind,
}

/// What the decider tells of a track. Each that begins with `Appeared` ends with exactly one `Left`.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Somebody is there.
    Appeared(Appearance),
    /// What is decided of them.
    Decided(Box<Decision>),
    /// They are gone.
    Left(Box<Departure>),
}

impl Notice {
    /// The decision, if it is one.
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Notice::Decided(decision) => Some(decision),
            Notice::Appeared(_) | Notice::Left(_) => None,
        }
    }
}

/// How a track was seen when it began to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// Its first detection.
    pub since: Moment,
    /// When the frame was captured in which it began to count.
    pub captured: Moment,
    /// That frame's sequence number within the epoch.
    pub sequence: u64,
    /// The face's box in it, in pixels.
    pub bbox: Rect,
}

/// A track began to count.
#[derive(Debug, Clone, PartialEq)]
pub struct Appearance {
    /// The track.
    pub track: TrackId,
    /// The visit id that it begins with. If it turns out to be somebody whose visit goes on, what is said later has that one's.
    pub visit: uuid::Uuid,
    /// How it was seen.
    pub sight: Sight,
}

/// A track that had appeared is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Departure {
    /// The track.
    pub track: TrackId,
    /// The visit id of its last word; the one it appeared with, if nothing was said.
    pub visit: uuid::Uuid,
    /// Its first detection.
    pub first_seen: Moment,
    /// Its last detection.
    pub last_seen: Moment,
    /// Shots embedded.
    pub shots: u32,
    /// What holds of it at its end. `None` if that may not be said.
    pub word: Option<Word>,
}

/// A verdict as far as events may tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The verdict.
    pub verdict: Verdict,
    /// Of a recognition: the lists for which it is one, the highest priority first.
    pub lists: Vec<Arc<str>>,
    /// What events may say of it; never nothing.
    pub publish: Publish,
}
