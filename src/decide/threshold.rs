//! Which threshold applies to a camera, and where it came from.

use std::collections::BTreeMap;

use crate::config;
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

/// The thresholds of all cameras: a camera's own, else the configuration's, else the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    default: Threshold,
    cameras: BTreeMap<CameraId, f32>,
}

impl Thresholds {
    /// `model` is the threshold of the model's manifest.
    pub fn new(model: f32, decide: &config::Decide, cameras: &[config::Camera]) -> Self {
        let own = |camera: &config::Camera| Some((camera.id.clone(), camera.threshold?));
        Self::from_parts(model, decide.threshold, cameras.iter().filter_map(own))
    }

    /// The same from single values.
    pub fn from_parts(
        model: f32,
        configured: Option<f32>,
        cameras: impl IntoIterator<Item = (CameraId, f32)>,
    ) -> Self {
        let default = match configured {
            Some(value) => Threshold { value, origin: ThresholdOrigin::Config },
            None => Threshold { value: model, origin: ThresholdOrigin::Model },
        };
        Self { default, cameras: cameras.into_iter().collect() }
    }

    /// The same, where another model's own threshold holds.
    #[must_use]
    pub fn with_model(mut self, threshold: f32) -> Self {
        if self.default.origin == ThresholdOrigin::Model {
            self.default.value = threshold;
        }
        self
    }

    /// The lowest that applies to any camera.
    pub fn least(&self) -> f32 {
        self.cameras.values().copied().fold(self.default.value, f32::min)
    }

    /// The one that applies to `camera`.
    pub fn of(&self, camera: &CameraId) -> Threshold {
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
}
