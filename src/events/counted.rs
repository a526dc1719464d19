//! What is left of an event about somebody for a sink that only counts.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json_schema::Time;
use super::schema::{DecisionName, Who};
use crate::types::decision::Stage;

/// Data of an event about people of which nothing is left that tells them apart: of any type that has a `visit`. What does
/// not apply is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// The camera's name.
    pub camera: String,
    /// What was decided, or holds of who left. Not of `appeared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionName>,
    /// How sure a recognition is, so that one which was told twice is counted once, and one that was withdrawn is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

impl Counted {
    /// `subject` of such an event: a track's would tell which events are about the same person.
    pub const SUBJECT: &'static str = "count";
}
