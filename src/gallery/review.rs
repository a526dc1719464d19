//! What operators say of events: whether a recognition was right.
//!
//! ```text
//!  watchlistd review EVENT reject ─▶ an entry `event-reviewed` of the audit log ─▶ Tally: of each event the last verdict
//!                                    └─ the first verdict of an event, in a daemon ─▶ the estimate of alert budgets
//! ```

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::audit::Entry;
use crate::types::ids::IdentityId;

/// What an operator says of a recognition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperatorVerdict {
    /// It is that person.
    Confirm,
    /// It is not.
    Reject,
    /// It cannot be told.
    Unsure,
}

impl OperatorVerdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Confirm, Self::Reject, Self::Unsure];

    /// The word on the command line and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reject => "reject",
            Self::Unsure => "unsure",
        }
    }
}

/// A verdict, with what it is about: what of the event is needed once that is no longer in its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventReview {
    /// The event's id.
    pub event: Uuid,
    /// What is said of it.
    pub verdict: OperatorVerdict,
    /// Whom it recognised.
    pub identity: IdentityId,
    /// When the frame that led to it was captured.
    pub captured_at: Timestamp,
    /// The camera.
    pub camera: String,
    /// The track.
    pub track: String,
    /// The fused similarity score, if it has one.
    pub score: Option<f64>,
    /// The threshold that was applied.
    pub threshold: f64,
    /// The embedding model, SHA-256 in hexadecimal.
    pub model: String,
}

/// How often which verdict was given, each event with its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Recognitions that were right.
    pub confirmed: u64,
    /// That were wrong.
    pub rejected: u64,
    /// Of which it could not be told.
    pub unsure: u64,
}

impl Tally {
    /// From what was said, as in [`said`], the oldest first: of each event the last counts.
    pub fn of<'a>(said: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let last: HashMap<&str, &str> = said.into_iter().collect();
        let count =
            |verdict: OperatorVerdict| last.values().filter(|said| **said == verdict.as_str()).count() as u64;
        Self {
            confirmed: count(OperatorVerdict::Confirm),
            rejected: count(OperatorVerdict::Reject),
            unsure: count(OperatorVerdict::Unsure),
        }
    }
}

/// The event and the verdict that an entry of the audit log holds, as they are written there.
pub fn said(entry: &Entry) -> Option<(&str, &str)> {
    let text = |key: &str| entry.detail.get(key).and_then(serde_json::Value::as_str);
    text("event").zip(text("verdict"))
}

/// The answer to a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewTaken {
    /// The event.
    pub event: Uuid,
    /// What was said of it.
    pub verdict: OperatorVerdict,
    /// What is said of all, with this.
    pub tally: Tally,
}
