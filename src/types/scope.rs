//! What a threshold is for.

use std::fmt;

use super::ids::CameraId;

/// A camera, or one list at a camera.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The camera.
    pub camera: CameraId,
    /// The list; `None`: the camera's own threshold, for all lists that ask for no other.
    pub list: Option<String>,
}

impl From<CameraId> for Scope {
    fn from(camera: CameraId) -> Self {
        Self { camera, list: None }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.list {
            None => write!(f, "{}", self.camera),
            Some(list) => write!(f, "{}, list {list}", self.camera),
        }
    }
}
