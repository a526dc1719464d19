//! The scene file as it is written, and the checks that turn it into a [`super::Scene`].

use serde::Deserialize;
use watchlistd::types::geometry::{Rect, Size};

use super::{Enrolment, Keyframe, Person, Placement, Trajectory, Visit};

/// A colour: red, green, blue.
pub type Color = [u8; 3];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    length: f64,
    size: [u32; 2],
    backdrop: [Color; 2],
    people: Vec<RawPerson>,
    visits: Vec<RawVisit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    name: String,
    pictures: Vec<RawPicture>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPicture {
    image: String,
    crop: Option<[f32; 4]>,
    #[serde(default)]
    altered: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVisit {
    who: String,
    #[serde(default)]
    stranger: bool,
    image: String,
    crop: [f32; 4],
    face: [f32; 4],
    #[serde(default)]
    tilt: f32,
    path: Vec<RawKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    t: f64,
    x: f32,
    y: f32,
    width: f32,
    #[serde(default = "one")]
    light: f32,
}

fn one() -> f32 {
    1.0
}

impl Scene {
    /// Checks everything; the message says which visit or person is wrong, and how.
    pub fn check(self) -> Result<super::Scene, String> {
        let [width, height] = self.size;
        check_size((width, height)).map_err(|e| format!("size: {e}"))?;
        if !(1.0..=3600.0).contains(&self.length) {
            return Err(format!("length: {}: expected 1 to 3600 seconds", self.length));
        }
        let people = self.people.into_iter().map(RawPerson::check).collect::<Result<Vec<_>, _>>()?;
        let size = Size::new(width, height);
        let visits = self
            .visits
            .into_iter()
            .enumerate()
            .map(|(i, v)| {
                let place = format!("visits[{i}] ({})", v.who);
                v.check(&people, self.length, size).map_err(|e| format!("{place}: {e}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let [top, bottom] = self.backdrop;
        Ok(super::Scene {
            length: self.length,
            size: (width, height),
            backdrop: (top, bottom),
            people,
            visits,
        })
    }
}

impl RawPerson {
    fn check(self) -> Result<Person, String> {
        // The name becomes a folder's.
        if self.name.is_empty() || self.name.contains(['/', '\\', '\0']) || self.name.starts_with('.') {
            return Err(format!("people: {:?} cannot be a folder's name", self.name));
        }
        if self.pictures.is_empty() {
            return Err(format!("people: {} has no picture to enrol", self.name));
        }
        let pictures = self.pictures.into_iter().map(|p| {
            let crop = p.crop.map(|c| boxed(c, "crop")).transpose()?;
            Ok(Enrolment { image: p.image, crop, altered: p.altered })
        });
        let pictures = pictures.collect::<Result<Vec<_>, String>>()?;
        Ok(Person { name: self.name, pictures })
    }
}

impl RawVisit {
    fn check(self, people: &[Person], length: f64, size: Size) -> Result<Visit, String> {
        let enrolled = people.iter().any(|p| p.name == self.who);
        if enrolled == self.stranger {
            return Err("expected either a name of `people` or `stranger = true`".into());
        }
        let crop = boxed(self.crop, "crop")?;
        let face = boxed(self.face, "face")?;
        if crop.intersect(&face) != face {
            return Err("the face lies outside the crop".into());
        }
        let path = Trajectory::new(self.path.into_iter().map(RawKey::keyframe).collect())
            .ok_or("path: expected two or more keyframes with rising t")?;
        let bad_key = |k: &Keyframe| {
            !(4.0..=4096.0).contains(&k.placement.width) || !(0.1..=2.0).contains(&k.placement.light)
        };
        if path.keys().iter().any(bad_key) {
            return Err("path: expected width 4 to 4096 and light 0.1 to 2".into());
        }
        if !(-180.0..=180.0).contains(&self.tilt) {
            return Err(format!("tilt: {}: expected -180 to 180 degrees", self.tilt));
        }
        let (first, last) = path.span();
        if first < 0.0 || last > length {
            return Err(format!("path: from {first} to {last} s does not fit into 0 to {length} s"));
        }
        let mut visit = Visit {
            who: self.who,
            enrolled,
            image: self.image,
            crop,
            face,
            tilt: self.tilt,
            path,
            visible: (first, first),
        };
        visit.visible = visible(&visit, size).ok_or("the whole face is never inside the picture")?;
        Ok(visit)
    }
}

impl RawKey {
    fn keyframe(self) -> Keyframe {
        let placement = Placement { x: self.x, y: self.y, width: self.width, light: self.light };
        Keyframe { time: self.t, placement }
    }
}

/// Sides whose planes need no padding, and that an encoder takes.
pub fn check_size((width, height): (u32, u32)) -> Result<(), String> {
    let good = |side: u32| (64..=4096).contains(&side) && side.is_multiple_of(8);
    let error = || format!("{width}x{height}: expected multiples of 8 from 64 to 4096");
    (good(width) && good(height)).then_some(()).ok_or_else(error)
}

/// Left, top, right, bottom.
fn boxed(sides: [f32; 4], key: &str) -> Result<Rect, String> {
    let [x1, y1, x2, y2] = sides;
    let good = sides.iter().all(|s| s.is_finite() && *s >= 0.0) && x2 - x1 >= 8.0 && y2 - y1 >= 8.0;
    good.then(|| Rect::new(x1, y1, x2, y2))
        .ok_or_else(|| format!("{key}: expected [left, top, right, bottom] with 8 pixels or more between"))
}

/// First and last time at which the whole face is inside the picture, to a fiftieth of a second.
pub fn visible(visit: &Visit, size: Size) -> Option<(f64, f64)> {
    const STEP: f64 = 0.02;
    let (first, last) = visit.path.span();
    let steps = ((last - first) / STEP) as u32;
    let inside = |time: &f64| {
        visit.face_at(*time).is_some_and(|face| face.clamp_to(size) == face && face.area() > 0.0)
    };
    let times = (0..=steps).map(|i| first + f64::from(i) * STEP);
    let mut seen = times.filter(inside);
    let from = seen.next()?;
    Some((from, seen.next_back().unwrap_or(from)))
}
