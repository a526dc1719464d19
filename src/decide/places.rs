//! Cameras that belong together: who goes from one to another of the same place makes one visit.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config;
use crate::types::ids::CameraId;

/// Where a visit is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// At a camera that stands for itself.
    Camera(CameraId),
    /// At any of the cameras with that `place`.
    Named(Arc<str>),
}

/// The places of all cameras.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Places {
    named: BTreeMap<CameraId, Arc<str>>,
}

impl Places {
    /// As the cameras' `place` says.
    pub fn new(cameras: &[config::Camera]) -> Self {
        let named = |camera: &config::Camera| Some((camera.id.clone(), camera.place.as_deref()?.into()));
        Self { named: cameras.iter().filter_map(named).collect() }
    }

    /// The camera's.
    pub(super) fn of(&self, camera: &CameraId) -> Place {
        let named = self.named.get(camera).cloned();
        named.map_or_else(|| Place::Camera(camera.clone()), Place::Named)
    }
}
