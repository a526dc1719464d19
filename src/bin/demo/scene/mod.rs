//! The scene: who comes into the picture, when, where and how large. Read from TOML and checked once.

mod path;
mod raw;

use std::path::Path;

use watchlistd::base::error::{Error, Result};
use watchlistd::err;
use watchlistd::types::geometry::{Rect, Size};

pub use path::{Keyframe, Placement, Trajectory};
pub use raw::{Color, check_size};

/// A checked scene. Times are seconds from its start; lengths are pixels of the frame.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Seconds until it is over, or starts again.
    pub length: f64,
    /// Frame width and height, multiples of 8.
    pub size: (u32, u32),
    /// Colours of the backdrop, top and bottom.
    pub backdrop: (Color, Color),
    /// Everybody who is enrolled.
    pub people: Vec<Person>,
    /// Who comes, in the order of the file.
    pub visits: Vec<Visit>,
}

/// Somebody who is enrolled.
#[derive(Debug, Clone)]
pub struct Person {
    /// The identity's name, and its folder's.
    pub name: String,
    /// What is enrolled.
    pub pictures: Vec<Enrolment>,
}

/// A picture for the gallery.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// File in the folder of photographs.
    pub image: String,
    /// The part of it that is taken; `None`: all.
    pub crop: Option<Rect>,
    /// Mirrored and lit differently, because there is only the photograph that is also shown.
    pub altered: bool,
}

/// One person in front of the camera, from entering to leaving.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The name that the demo shows: an enrolled identity's, or a description of a stranger.
    pub who: String,
    /// True if `who` is enrolled.
    pub enrolled: bool,
    /// File in the folder of photographs.
    pub image: String,
    /// The part of the photograph that is shown.
    pub crop: Rect,
    /// The face in the photograph.
    pub face: Rect,
    /// Degrees that the cut-out is turned around the face, clockwise.
    pub tilt: f32,
    /// Where the face is, and when.
    pub path: Trajectory,
    /// When the whole face is inside the picture: from, to.
    pub visible: (f64, f64),
}

impl Scene {
    /// Reads and checks a scene file.
    ///
    /// # Errors
    /// `NoInput` when it cannot be read, `Config` when it does not describe a scene.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| Error::io("read the scene", file, e))?;
        let raw: raw::Scene = toml::from_str(&text)
            .map_err(|e| err!(Config, "{}: not a scene: {}", file.display(), e.to_string().trim_end()))?;
        raw.check().map_err(|e| err!(Config, "{}: {e}", file.display()))
    }

    /// The same scene in another frame size: everything is scaled by the height.
    pub fn resized(mut self, size: (u32, u32)) -> Self {
        let ratio = |new: u32, old: u32| new as f32 / old.max(1) as f32;
        let (x, y) = (ratio(size.0, self.size.0), ratio(size.1, self.size.1));
        for visit in &mut self.visits {
            visit.path.rescale(x, y);
            let fitted = raw::visible(visit, Size::new(size.0, size.1));
            visit.visible = fitted.unwrap_or(visit.visible);
        }
        self.size = size;
        self
    }
}

impl Visit {
    /// The face's box at `time`, whether or not it is inside the picture.
    pub fn face_at(&self, time: f64) -> Option<Rect> {
        let at = self.path.at(time)?;
        let (w, h) = (at.width, at.width * self.face.height() / self.face.width());
        Some(Rect::new(at.x - w / 2.0, at.y - h / 2.0, at.x + w / 2.0, at.y + h / 2.0))
    }
}

#[cfg(test)]
mod tests;
