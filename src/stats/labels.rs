//! The closed sets of names that counters are split by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counter::Label;
use crate::gallery::review::OperatorVerdict;
use crate::types::decision::{Stage, Verdict};
use crate::types::face::Refusal;

/// What a camera's supervisor is doing. Whether anything is *recognised* is a state of its own:
/// see [`CameraStats::recognising`](super::CameraStats::recognising).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(description = "What is being done to get a camera's frames.")]
pub enum CameraState {
    /// Opening the stream; no frame yet.
    Connecting,
    /// Frames arrive.
    Connected,
    /// It failed and is tried again later.
    Waiting,
    /// The camera refused user or password; tried again much later, because cameras lock accounts.
    Refused,
    /// A file was played to its end.
    Ended,
    /// Not wanted any more: removed from the configuration, or the daemon stops.
    Stopped,
}

impl Label for CameraState {
    const ALL: &'static [Self] = &[
        CameraState::Connecting,
        CameraState::Connected,
        CameraState::Waiting,
        CameraState::Refused,
        CameraState::Ended,
        CameraState::Stopped,
    ];

    fn as_str(self) -> &'static str {
        match self {
            CameraState::Connecting => "connecting",
            CameraState::Connected => "connected",
            CameraState::Waiting => "waiting",
            CameraState::Refused => "refused",
            CameraState::Ended => "ended",
            CameraState::Stopped => "stopped",
        }
    }
}

/// Why a frame was never looked at. A frame that the sampling rate skips is no drop and is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameDrop {
    /// A newer frame took its place in the mailbox.
    Replaced,
    /// A newer frame took its place between the decoder and us.
    DecoderQueue,
    /// Inference failed on it.
    Failed,
    /// The camera or the daemon stopped while it waited.
    Stopped,
}

impl Label for FrameDrop {
    const ALL: &'static [Self] =
        &[FrameDrop::Replaced, FrameDrop::DecoderQueue, FrameDrop::Failed, FrameDrop::Stopped];

    fn as_str(self) -> &'static str {
        match self {
            FrameDrop::Replaced => "replaced",
            FrameDrop::DecoderQueue => "decoder_queue",
            FrameDrop::Failed => "failed",
            FrameDrop::Stopped => "stopped",
        }
    }
}

/// Why a crop that was good enough was never embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CropDrop {
    /// A better crop of the same track took its place in the queue.
    Replaced,
    /// It waited longer than `inference.max_crop_age`.
    TooOld,
    /// The queue was full.
    Overload,
    /// Inference failed on it.
    Failed,
    /// The daemon stopped while it waited.
    Stopped,
    /// It was cut out for a model that was switched from while it waited.
    OtherModel,
}

impl Label for CropDrop {
    const ALL: &'static [Self] = &[
        CropDrop::Replaced,
        CropDrop::TooOld,
        CropDrop::Overload,
        CropDrop::Failed,
        CropDrop::Stopped,
        CropDrop::OtherModel,
    ];

    fn as_str(self) -> &'static str {
        match self {
            CropDrop::Replaced => "replaced",
            CropDrop::TooOld => "too_old",
            CropDrop::Overload => "overload",
            CropDrop::Failed => "failed",
            CropDrop::Stopped => "stopped",
            CropDrop::OtherModel => "other_model",
        }
    }
}

/// Why there is no snapshot, or none of what was around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotMiss {
    /// Another face was too near to be left out.
    Crowded,
    /// Somebody else could still be found in the scene.
    Unclear,
    /// More tracks were seen at the same time than memory is for.
    Memory,
    /// The track had no picture when it was recognised.
    NoPicture,
    /// The disk did not take it in time.
    Late,
    /// It could not be made or stored.
    Failed,
}

impl Label for SnapshotMiss {
    const ALL: &'static [Self] = &[
        SnapshotMiss::Crowded,
        SnapshotMiss::Unclear,
        SnapshotMiss::Memory,
        SnapshotMiss::NoPicture,
        SnapshotMiss::Late,
        SnapshotMiss::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            SnapshotMiss::Crowded => "crowded",
            SnapshotMiss::Unclear => "unclear",
            SnapshotMiss::Memory => "memory",
            SnapshotMiss::NoPicture => "no_picture",
            SnapshotMiss::Late => "late",
            SnapshotMiss::Failed => "failed",
        }
    }
}

/// Why a snapshot was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotGone {
    /// It was kept as long as it may be.
    Expired,
    /// The store reached its budget, and it was the oldest.
    Budget,
    /// Whoever is in it is not in the gallery any more.
    Forgotten,
    /// The recognition was withdrawn.
    Withdrawn,
    /// It came to the disk too late for its event to refer to it.
    Unreferred,
}

impl Label for SnapshotGone {
    const ALL: &'static [Self] = &[
        SnapshotGone::Expired,
        SnapshotGone::Budget,
        SnapshotGone::Forgotten,
        SnapshotGone::Withdrawn,
        SnapshotGone::Unreferred,
    ];

    fn as_str(self) -> &'static str {
        match self {
            SnapshotGone::Expired => "expired",
            SnapshotGone::Budget => "budget",
            SnapshotGone::Forgotten => "forgotten",
            SnapshotGone::Withdrawn => "withdrawn",
            SnapshotGone::Unreferred => "unreferred",
        }
    }
}

/// What another policy (`[shadow]`) says of a track beside the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShadowVerdict {
    /// The same.
    Same,
    /// Something else.
    Different,
}

impl Label for ShadowVerdict {
    const ALL: &'static [Self] = &[ShadowVerdict::Same, ShadowVerdict::Different];

    fn as_str(self) -> &'static str {
        match self {
            ShadowVerdict::Same => "same",
            ShadowVerdict::Different => "different",
        }
    }
}

impl Label for OperatorVerdict {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

/// What was decided, without about whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// Recognised, not yet confirmed.
    Preliminary,
    /// Recognised and confirmed.
    Confirmed,
    /// A recognition that no longer holds.
    Withdrawn,
    /// Nobody who is enrolled.
    Unknown,
    /// Nothing could be said.
    Undecided,
}

impl From<&Verdict> for DecisionKind {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Recognized { stage: Stage::Preliminary, .. } => DecisionKind::Preliminary,
            Verdict::Recognized { stage: Stage::Confirmed, .. } => DecisionKind::Confirmed,
            Verdict::Recognized { stage: Stage::Withdrawn, .. } => DecisionKind::Withdrawn,
            Verdict::Unknown => DecisionKind::Unknown,
            Verdict::Undecided { .. } => DecisionKind::Undecided,
        }
    }
}

impl Label for DecisionKind {
    const ALL: &'static [Self] = &[
        DecisionKind::Preliminary,
        DecisionKind::Confirmed,
        DecisionKind::Withdrawn,
        DecisionKind::Unknown,
        DecisionKind::Undecided,
    ];

    fn as_str(self) -> &'static str {
        match self {
            DecisionKind::Preliminary => "preliminary",
            DecisionKind::Confirmed => "confirmed",
            DecisionKind::Withdrawn => "withdrawn",
            DecisionKind::Unknown => "unknown",
            DecisionKind::Undecided => "undecided",
        }
    }
}

impl Label for Refusal {
    const ALL: &'static [Self] = &Refusal::ALL;

    fn as_str(self) -> &'static str {
        Refusal::as_str(self)
    }
}
