//! The stage: the backdrop and everybody on it, painted for a moment of the scene.

use std::collections::HashMap;
use std::path::Path;

use watchlistd::base::error::Result;
use watchlistd::err;
use watchlistd::types::geometry::Rect;

use super::photo::Photo;
use super::sprite::{Sprite, Target, bt709};
use crate::scene::{Color, Scene, Visit};

/// Ready to paint frames in planar YCbCr 4:2:0 (I420, BT.709, limited range), without padding.
pub struct Stage {
    size: (usize, usize),
    backdrop: Vec<u8>,
    actors: Vec<Actor>,
}

struct Actor {
    visit: Visit,
    sprite: Sprite,
}

impl Stage {
    /// Loads the photographs and cuts the people out.
    ///
    /// # Errors
    /// When a photograph is missing or broken, or a crop lies outside it.
    pub fn new(scene: &Scene, images: &Path) -> Result<Self> {
        let mut photos: HashMap<&str, Photo> = HashMap::new();
        let mut actors = Vec::new();
        for visit in &scene.visits {
            let path = images.join(&visit.image);
            if !photos.contains_key(visit.image.as_str()) {
                photos.insert(&visit.image, Photo::open(&path)?);
            }
            let photo = photos.get(visit.image.as_str()).and_then(|p| cut(p, visit));
            let photo = photo.ok_or_else(|| {
                err!(Config, "{}: the scene's crop for {} lies outside", path.display(), visit.who)
            })?;
            actors.push(Actor { visit: visit.clone(), sprite: Sprite::new(&photo) });
        }
        let size = (scene.size.0 as usize, scene.size.1 as usize);
        Ok(Self { size, backdrop: gradient(size, scene.backdrop), actors })
    }

    /// Bytes of a frame.
    pub fn frame_bytes(&self) -> usize {
        self.backdrop.len()
    }

    /// Paints the moment `time` (seconds; `None`: nobody is there) into `frame` of [`Self::frame_bytes`].
    pub fn paint(&self, time: Option<f64>, frame: &mut [u8]) {
        let luma_bytes = self.size.0 * self.size.1;
        if frame.len() != self.backdrop.len() {
            return;
        }
        frame.copy_from_slice(&self.backdrop);
        let Some(time) = time else { return };
        let (luma, chroma) = frame.split_at_mut(luma_bytes);
        let (blue, red) = chroma.split_at_mut(luma_bytes / 4);
        for actor in &self.actors {
            let Some((place, light)) = actor.place_at(time) else { continue };
            let half = Rect::new(place.x1 / 2.0, place.y1 / 2.0, place.x2 / 2.0, place.y2 / 2.0);
            let (full_width, half_width) = (self.size.0, self.size.0 / 2);
            actor.sprite.paint(&mut Target { samples: luma, width: full_width }, &place, 0, light);
            actor.sprite.paint(&mut Target { samples: blue, width: half_width }, &half, 1, light);
            actor.sprite.paint(&mut Target { samples: red, width: half_width }, &half, 2, light);
        }
    }
}

/// The part of the photograph that is shown, turned as the scene says.
fn cut(photo: &Photo, visit: &Visit) -> Option<Photo> {
    // Checks the crop before anything is turned.
    let part = photo.crop(&visit.crop)?;
    if visit.tilt == 0.0 {
        return Some(part);
    }
    photo.turned(visit.face.center(), visit.tilt).crop(&visit.crop)
}

impl Actor {
    /// Where the whole cut-out goes, and its light.
    fn place_at(&self, time: f64) -> Option<(Rect, f32)> {
        let at = self.visit.path.at(time)?;
        let (crop, face) = (&self.visit.crop, &self.visit.face);
        let scale = at.width / face.width();
        let center = face.center();
        let x = |side: f32| at.x + (side - center.x) * scale;
        let y = |side: f32| at.y + (side - center.y) * scale;
        Some((Rect::new(x(crop.x1), y(crop.y1), x(crop.x2), y(crop.y2)), at.light))
    }
}

/// From one colour to another, top to bottom, dithered so that no bands show.
fn gradient((width, height): (usize, usize), (top, bottom): (Color, Color)) -> Vec<u8> {
    const DITHER: [[f32; 2]; 2] = [[0.0, 0.5], [0.75, 0.25]];
    let plane = |channel: usize, width: usize, height: usize| {
        let value = |color: Color| f32::from(bt709(color).get(channel).copied().unwrap_or_default());
        let (from, to) = (value(top), value(bottom));
        (0..height * width).map(move |i| {
            let (x, y) = (i % width, i / width);
            let threshold = DITHER.get(y % 2).and_then(|row| row.get(x % 2)).copied().unwrap_or_default();
            (from + (to - from) * y as f32 / height as f32 + threshold) as u8
        })
    };
    let luma = plane(0, width, height);
    luma.chain(plane(1, width / 2, height / 2)).chain(plane(2, width / 2, height / 2)).collect()
}
