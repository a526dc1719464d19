//! The event of a threshold that was estimated anew.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json_schema::Time;
use super::maker::{EventMaker, rounded, to_millis};
use super::schema::{Data, Event, EventType, Who};
use crate::base::clock::Moment;
use crate::calibrate::budget::{Basis, Estimate};
use crate::types::ids::{CameraId, ModelId};

/// Data of `threshold`: a camera's threshold is another one from now on, so that a budget of false alerts is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdData {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// The camera's name.
    pub camera: String,
    /// The list that it is for, at this camera. Absent for the camera's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The threshold from now on, four decimals.
    pub threshold: f64,
    /// The threshold before.
    pub threshold_before: f64,
    /// Why it is what it is.
    pub basis: Basis,
    /// The budget: most false alerts a day.
    pub false_alerts_per_day: f64,
    /// False alerts a day that are to be expected. Absent without an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// The lower end of its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_low: Option<f64>,
    /// The upper end of its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_high: Option<f64>,
    /// Tracks a day at the camera.
    pub tracks_per_day: f64,
    /// Whole days that it was estimated from.
    pub days: u64,
    /// Scores of tracks that were no match that it was estimated from.
    pub scores: u64,
    /// SHA-256 that identifies the embedding model, in hexadecimal.
    pub model: String,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

/// A threshold that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdNews {
    /// The camera.
    pub camera: CameraId,
    /// The list, if it is for one.
    pub list: Option<String>,
    /// The threshold before.
    pub from: f32,
    /// Most false alerts a day.
    pub budget: f64,
    /// The new threshold, and what is to be expected of it.
    pub estimate: Estimate,
    /// The model that it is for.
    pub model: ModelId,
}

impl EventMaker {
    /// The event of a threshold that is another one from now on.
    pub fn threshold(&self, news: &ThresholdNews, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let ThresholdNews { camera, list, from, budget, estimate, model } = news;
        let number = |value: f64| rounded(value as f32, 4);
        let range = estimate.per_day;
        let data = ThresholdData {
            who: self.who(),
            camera: camera.to_string(),
            list: list.clone(),
            threshold: rounded(estimate.threshold, 4),
            threshold_before: rounded(*from, 4),
            basis: estimate.basis,
            false_alerts_per_day: number(*budget),
            expected: range.map(|range| number(range.median)),
            expected_low: range.map(|range| number(range.low)),
            expected_high: range.map(|range| number(range.high)),
            tracks_per_day: rounded(estimate.tracks_per_day as f32, 1),
            days: estimate.days as u64,
            scores: estimate.scores,
            model: model.hex(),
            published_at: time,
        };
        let kind = EventType::Threshold;
        self.of_camera(kind, camera, "threshold", time, Data::Threshold(Box::new(data)))
    }
}
