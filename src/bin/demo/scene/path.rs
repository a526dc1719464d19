//! Where somebody's face is over time: keyframes, joined smoothly.

/// A fixed point of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keyframe {
    /// Seconds from the scene's start.
    pub time: f64,
    /// What holds then.
    pub placement: Placement,
}

/// Where a face is and how it is lit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Centre, pixels of the frame.
    pub x: f32,
    /// Centre, pixels of the frame.
    pub y: f32,
    /// Width of the face, pixels of the frame.
    pub width: f32,
    /// Light: factor on the luma, 1 leaves it.
    pub light: f32,
}

/// Keyframes in order of time; at least two.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory(Vec<Keyframe>);

impl Trajectory {
    /// Takes keyframes whose times rise; `None` if they do not or there are fewer than two.
    pub fn new(keys: Vec<Keyframe>) -> Option<Self> {
        let rising = keys.iter().zip(keys.iter().skip(1)).all(|(a, b)| a.time < b.time);
        (keys.len() >= 2 && rising).then_some(Self(keys))
    }

    /// The first and the last time.
    pub fn span(&self) -> (f64, f64) {
        let time = |key: Option<&Keyframe>| key.map_or(0.0, |k| k.time);
        (time(self.0.first()), time(self.0.last()))
    }

    /// The keyframes.
    pub fn keys(&self) -> &[Keyframe] {
        &self.0
    }

    /// The placement at `time`; `None` before the first keyframe and after the last.
    pub fn at(&self, time: f64) -> Option<Placement> {
        let pair =
            self.0.windows(2).find(|pair| matches!(pair, [a, b] if a.time <= time && time <= b.time))?;
        let [a, b] = pair else { return None };
        let part = ((time - a.time) / (b.time - a.time)) as f32;
        Some(a.placement.mix(&b.placement, ease(part)))
    }

    /// Fits the path to a frame whose width and height grew by these factors.
    pub fn rescale(&mut self, x: f32, y: f32) {
        for key in &mut self.0 {
            key.placement.x *= x;
            key.placement.y *= y;
            key.placement.width *= y;
        }
    }
}

impl Placement {
    fn mix(&self, to: &Placement, part: f32) -> Placement {
        let mix = |a: f32, b: f32| a + (b - a) * part;
        Placement {
            x: mix(self.x, to.x),
            y: mix(self.y, to.y),
            width: mix(self.width, to.width),
            light: mix(self.light, to.light),
        }
    }
}

/// Half way between a constant speed and a soft start and stop: nobody walks with a jerk.
fn ease(t: f32) -> f32 {
    let smooth = t * t * (3.0 - 2.0 * t);
    f32::midpoint(t, smooth)
}
