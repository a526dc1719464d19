//! Which threshold applies to a camera, and where it came from.
//!
//! ```text
//!  of a camera:  its score ─▶ else its budget: the estimate, once there is one ─▶ else decide.threshold, likewise ─▶ else the model's
//!  of a list:    its budget: the estimate at the camera, once there is one ─▶ else its own threshold ─▶ else the camera's
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, AlertBudget};
use crate::gallery::record::ListName;
use crate::types::decision::ThresholdOrigin;
use crate::types::ids::CameraId;
use crate::types::matching::ListRule;
use crate::types::scope::Scope;

/// A threshold and its origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Least similarity score of a recognition, -1 to 1.
    pub value: f32,
    /// Who set it.
    pub origin: ThresholdOrigin,
}

/// What a camera asks for: its own threshold, and what lists with a budget ask for there instead of theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct AtCamera {
    /// The camera's own.
    pub own: Threshold,
    lists: Arc<BTreeMap<String, f32>>,
}

impl From<Threshold> for AtCamera {
    fn from(own: Threshold) -> Self {
        Self { own, lists: Arc::default() }
    }
}

impl AtCamera {
    /// The threshold of a list.
    pub fn of_list(&self, rule: &ListRule) -> Threshold {
        if let Some(&value) = self.lists.get(&*rule.name) {
            return Threshold { value, origin: ThresholdOrigin::Budget };
        }
        rule.threshold.map_or(self.own, |value| Threshold { value, origin: ThresholdOrigin::List })
    }
}

/// Thresholds that were estimated for budgets.
pub type Estimates = BTreeMap<Scope, f32>;

/// The thresholds of all cameras: a camera's own, else the configuration's, else the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    default: Threshold,
    cameras: BTreeMap<CameraId, f32>,
    /// Cameras with a budget instead, and lists at each camera.
    budgets: BTreeMap<Scope, AlertBudget>,
    model: f32,
    estimates: Estimates,
    /// Of these, those of lists.
    lists: BTreeMap<CameraId, Arc<BTreeMap<String, f32>>>,
}

impl Thresholds {
    /// `model` is the threshold of the model's manifest. Without estimates, it holds where there is a budget.
    pub fn new(model: f32, decide: &config::Decide, cameras: &[config::Camera]) -> Self {
        let own = |camera: &config::Camera| Some((camera.id.clone(), camera.threshold?.score()?));
        let mut thresholds = Self::from_parts(model, decide.score(), cameras.iter().filter_map(own));
        let budget = |camera: &config::Camera| match camera.threshold.or(decide.threshold) {
            Some(config::Threshold::Budget(budget)) => Some((Scope::from(camera.id.clone()), budget)),
            _ => None,
        };
        let of_lists = cameras.iter().flat_map(|camera| {
            let scope =
                |list: &ListName| Scope { camera: camera.id.clone(), list: Some(list.as_str().to_owned()) };
            decide.lists.iter().map(move |(list, budget)| (scope(list), *budget))
        });
        thresholds.budgets = cameras.iter().filter_map(budget).chain(of_lists).collect();
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
            lists: BTreeMap::new(),
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

    /// The lowest that applies to any camera, or was estimated for a list.
    pub fn least(&self) -> f32 {
        let budgets = self.budgets.keys().map(|scope| self.of(&scope.camera).own.value);
        let lists = self.lists.values().flat_map(|lists| lists.values().copied());
        self.cameras.values().copied().chain(budgets).chain(lists).fold(self.default.value, f32::min)
    }

    /// The same, where these thresholds were estimated.
    #[must_use]
    pub fn with_estimates(mut self, estimates: Estimates) -> Self {
        let mut lists: BTreeMap<CameraId, BTreeMap<String, f32>> = BTreeMap::new();
        // What has no budget any more counts no more.
        for (scope, value) in estimates.iter().filter(|(scope, _)| self.budgets.contains_key(scope)) {
            if let Some(list) = &scope.list {
                lists.entry(scope.camera.clone()).or_default().insert(list.clone(), *value);
            }
        }
        self.lists = lists.into_iter().map(|(camera, lists)| (camera, Arc::new(lists))).collect();
        self.estimates = estimates;
        self
    }

    /// Whose threshold is to keep a budget.
    pub fn budgets(&self) -> &BTreeMap<Scope, AlertBudget> {
        &self.budgets
    }

    /// What applies to `camera`.
    pub fn of(&self, camera: &CameraId) -> AtCamera {
        AtCamera { own: self.own(camera), lists: self.lists.get(camera).cloned().unwrap_or_default() }
    }

    fn own(&self, camera: &CameraId) -> Threshold {
        let scope = Scope::from(camera.clone());
        if self.budgets.contains_key(&scope) {
            let estimated =
                self.estimates.get(&scope).map(|&value| Threshold { value, origin: ThresholdOrigin::Budget });
            return estimated.unwrap_or(Threshold { value: self.model, origin: ThresholdOrigin::Model });
        }
        let own = self.cameras.get(camera);
        own.map_or(self.default, |&value| Threshold { value, origin: ThresholdOrigin::Camera })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::matching::Publish;

    #[test]
    fn the_camera_goes_before_the_configuration_before_the_model() {
        let door = CameraId::new("door").unwrap();
        let hall = CameraId::new("hall").unwrap();
        let model = Thresholds::from_parts(0.4, None, []);
        assert_eq!(model.of(&door).own, Threshold { value: 0.4, origin: ThresholdOrigin::Model });
        let all = Thresholds::from_parts(0.4, Some(0.5), [(door.clone(), 0.6)]);
        assert_eq!(all.of(&door).own, Threshold { value: 0.6, origin: ThresholdOrigin::Camera });
        assert_eq!(all.of(&hall).own, Threshold { value: 0.5, origin: ThresholdOrigin::Config });
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
        assert_eq!(before.of(&id("door")).own, Threshold { value: 0.45, origin: ThresholdOrigin::Model });
        assert_eq!(before.of(&id("hall")).own, Threshold { value: 0.6, origin: ThresholdOrigin::Camera });
        let after =
            before.clone().with_estimates([(id("door").into(), 0.52), (id("hall").into(), 0.7)].into());
        assert_eq!(after.of(&id("door")).own, Threshold { value: 0.52, origin: ThresholdOrigin::Budget });
        assert_eq!(after.of(&id("hall")).own.value, 0.6, "its own score is not touched");
        let other = before.with_model(0.3);
        assert_eq!(other.of(&id("door")).own.value, 0.3);
        assert_eq!(other.budgets().len(), 1);
    }

    #[test]
    fn a_list_with_a_budget_asks_for_the_estimate_at_each_camera() {
        let id = |name: &str| CameraId::new(name).unwrap();
        let rule = |name: &str, threshold| ListRule {
            name: name.into(),
            threshold,
            priority: 0,
            publish: Publish::Name,
        };
        let list = ListName::new("vip").unwrap();
        let budget = AlertBudget { per_day: 0.2, floor: None };
        let decide = config::Decide { lists: [(list, budget)].into(), ..config::Decide::default() };
        let device = |name: &str| {
            config::Camera::new(id(name), config::CameraSource::V4l2 { device: "/dev/video0".into() })
        };
        let before = Thresholds::new(0.45, &decide, &[device("door"), device("hall")]);
        assert_eq!(before.budgets().len(), 2, "one at each camera");
        let vip = rule("vip", Some(0.6));
        assert_eq!(before.of(&id("door")).of_list(&vip).value, 0.6, "its own until there is an estimate");
        assert_eq!(before.of(&id("door")).of_list(&rule("vip", None)).value, 0.45);
        let at = |camera: &str, list: &str| Scope { camera: id(camera), list: Some(list.to_owned()) };
        let after = before.with_estimates([(at("door", "vip"), 0.41), (at("hall", "staff"), 0.1)].into());
        let door = after.of(&id("door"));
        assert_eq!(door.of_list(&vip), Threshold { value: 0.41, origin: ThresholdOrigin::Budget });
        assert_eq!(door.own.value, 0.45, "of the camera itself nothing was asked");
        assert_eq!(after.of(&id("hall")).of_list(&vip).value, 0.6);
        assert_eq!(after.of(&id("hall")).of_list(&rule("staff", None)).value, 0.45, "without a budget");
        assert_eq!(after.least(), 0.41);
    }
}
