//! Which threshold applies to a camera, and where it came from.
//!
//! ```text
//!  a camera's score ─▶ else its budget: the estimate, once there is one ─▶ else decide.threshold, likewise ─▶ else the model's
//! ```

use std::collections::BTreeMap;

use crate::config::{self, AlertBudget};
use crate::types::decision::ThresholdOrigin;
use crate::types::ids::CameraId;

/// A threshold and its origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Least similarity score of a recognition, -1 to 1.
    pub value: f32,
    /// Who set it.
    pub origin: ThresholdOrigin,
}

/// Thresholds that were estimated for budgets, by camera.
pub type Estimates = BTreeMap<CameraId, f32>;

/// The thresholds of all cameras: a camera's own, else the configuration's, else the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    default: Threshold,
    cameras: BTreeMap<CameraId, f32>,
    /// Cameras with a budget instead.
    budgets: BTreeMap<CameraId, AlertBudget>,
    model: f32,
    estimates: Estimates,
}

impl Thresholds {
    /// `model` is the threshold of the model's manifest. Without estimates, it holds where there is a budget.
    pub fn new(model: f32, decide: &config::Decide, cameras: &[config::Camera]) -> Self {
        let own = |camera: &config::Camera| Some((camera.id.clone(), camera.threshold?.score()?));
        let mut thresholds = Self::from_parts(model, decide.score(), cameras.iter().filter_map(own));
        let budget = |camera: &config::Camera| match camera.threshold.or(decide.threshold) {
            Some(config::Threshold::Budget(budget)) => Some((camera.id.clone(), budget)),
            _ => None,
        };
        thresholds.budgets = cameras.iter().filter_map(budget).collect();
        thresholds
    }

    /// The same from single values, without budgets.
    pub fn from_parts(
        model: f32,
        configured: Option<f32>,
        cameras: impl IntoIterator<Item = (CameraId, f32)>,
    ) -> Self {
        let default = match configured {
            Some(value) => Threshold { value, origin: ThresholdOrigin::Config },
            None => Threshold { value: model, origin: ThresholdOrigin::Model },
        };
        Self {
            default,
            cameras: cameras.into_iter().collect(),
            budgets: BTreeMap::new(),
            model,
            estimates: Estimates::new(),
        }
    }

    /// The same, where another model's own threshold holds.
    #[must_use]
    pub fn with_model(mut self, threshold: f32) -> Self {
        self.model = threshold;
        if self.default.origin == ThresholdOrigin::Model {
            self.default.value = threshold;
        }
        self
    }

    /// The lowest that applies to any camera.
    pub fn least(&self) -> f32 {
        let budgets = self.budgets.keys().map(|camera| self.of(camera).value);
        self.cameras.values().copied().chain(budgets).fold(self.default.value, f32::min)
    }

    /// The same, where these thresholds were estimated.
    #[must_use]
    pub fn with_estimates(mut self, estimates: Estimates) -> Self {
        self.estimates = estimates;
        self
    }

    /// Cameras whose threshold is to keep a budget.
    pub fn budgets(&self) -> &BTreeMap<CameraId, AlertBudget> {
        &self.budgets
    }

    /// The one that applies to `camera`.
    pub fn of(&self, camera: &CameraId) -> Threshold {
        if self.budgets.contains_key(camera) {
            let estimated =
                self.estimates.get(camera).map(|&value| Threshold { value, origin: ThresholdOrigin::Budget });
            return estimated.unwrap_or(Threshold { value: self.model, origin: ThresholdOrigin::Model });
        }
        let own = self.cameras.get(camera);
        own.map_or(self.default, |&value| Threshold { value, origin: ThresholdOrigin::Camera })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_goes_before_the_configuration_before_the_model() {
        let door = CameraId::new("door").unwrap();
        let hall = CameraId::new("hall").unwrap();
        let model = Thresholds::from_parts(0.4, None, []);
        assert_eq!(model.of(&door), Threshold { value: 0.4, origin: ThresholdOrigin::Model });
        let all = Thresholds::from_parts(0.4, Some(0.5), [(door.clone(), 0.6)]);
        assert_eq!(all.of(&door), Threshold { value: 0.6, origin: ThresholdOrigin::Camera });
        assert_eq!(all.of(&hall), Threshold { value: 0.5, origin: ThresholdOrigin::Config });
    }

    #[test]
    fn a_budget_has_the_models_threshold_until_there_is_an_estimate() {
        let id = |name: &str| CameraId::new(name).unwrap();
        let camera = |name: &str, threshold| config::Camera {
            threshold,
            ..config::Camera::new(id(name), config::CameraSource::V4l2 { device: "/dev/video0".into() })
        };
        let budget = config::Threshold::Budget(AlertBudget { per_day: 1.0, floor: None });
        let decide = config::Decide { threshold: Some(budget), ..config::Decide::default() };
        let cameras = [camera("door", None), camera("hall", Some(config::Threshold::Score(0.6)))];
        let before = Thresholds::new(0.45, &decide, &cameras);
        assert_eq!(before.of(&id("door")), Threshold { value: 0.45, origin: ThresholdOrigin::Model });
        assert_eq!(before.of(&id("hall")), Threshold { value: 0.6, origin: ThresholdOrigin::Camera });
        let after = before.clone().with_estimates([(id("door"), 0.52), (id("hall"), 0.7)].into());
        assert_eq!(after.of(&id("door")), Threshold { value: 0.52, origin: ThresholdOrigin::Budget });
        assert_eq!(after.of(&id("hall")).value, 0.6, "its own score is not touched");
        let other = before.with_model(0.3);
        assert_eq!(other.of(&id("door")).value, 0.3);
        assert_eq!(other.budgets().len(), 1);
    }
}
