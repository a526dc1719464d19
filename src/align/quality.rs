//! How good a shot of a face is: what is measured, what is refused, and one figure to rank shots by.
//!
//! What sharpness means, over 228 aligned 112 x 112 crops of 24 people (5th, 50th, 95th percentile): as they are
//! 105, 473, 1455; from a face of 56 pixels 28, 71, 170; of 40 pixels 16, 31, 68; of 24 pixels 6, 11, 23; blurred
//! (Gaussian, sigma 2 and 3) 6, 11, 21 and 3, 5, 7. A limit of 8 so keeps 99 % of the sharp faces of 40 pixels and
//! refuses 95 % of those blurred by 3. Their brightness is 88, 136, 179.

use crate::config::QualityLimits;
use crate::types::face::{Quality, Refusal};
use crate::types::frame::{Pixels, RgbImage};

use super::pose::Pose;

/// Face pixels at which the size term of the score reaches 63 %.
const SIZE_SCALE: f32 = 60.0;
/// Sharpness at which the sharpness term reaches one half.
const SHARPNESS_HALF: f32 = 60.0;
/// Degrees of yaw, pitch and roll at which the pose term falls to 37 %. Roll is undone by the alignment.
const POSE_SCALE: [f32; 3] = [35.0, 40.0, 90.0];
/// Brightness without loss, and how far outside it the exposure term falls to 37 %.
const EXPOSURE: (f32, f32, f32) = (75.0, 190.0, 50.0);

/// What the crop's pixels tell. Units as in [`Quality`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Variance of the Laplacian of the luma.
    pub sharpness: f32,
    /// Mean luma.
    pub brightness: f32,
}

impl Look {
    /// Measures the face area of an aligned crop: an ellipse from forehead to chin, so that hair, background and
    /// collars do not count.
    pub fn new(crop: &RgbImage) -> Self {
        let width = crop.size().width as usize;
        let luma = luma(crop);
        let rows: Vec<&[i16]> = luma.chunks_exact(width).collect();
        let (mut light, mut edges) = (Sums::default(), Sums::default());
        for (y, window) in rows.windows(3).enumerate() {
            let [above, row, below] = window else { continue };
            let (from, to) = face_columns(y + 1, rows.len(), width);
            if from < to {
                laplacian([&above[from - 1..=to], &row[from - 1..=to], &below[from - 1..=to]], &mut edges);
                row[from..to].iter().for_each(|&l| light.add(i32::from(l)));
            }
        }
        // A crop of one or two rows has no inside.
        if light.count == 0 {
            luma.iter().for_each(|&l| light.add(i32::from(l)));
        }
        Self { sharpness: edges.variance(), brightness: light.mean() }
    }
}

/// Columns of the face area in row `y`, at least one away from the border.
fn face_columns(y: usize, height: usize, width: usize) -> (usize, usize) {
    const CENTER: (f32, f32) = (0.5, 0.58);
    const RADIUS: (f32, f32) = (0.36, 0.40);
    let dy = ((y as f32 + 0.5) / height as f32 - CENTER.1) / RADIUS.1;
    let half = RADIUS.0 * (1.0 - dy * dy).max(0.0).sqrt();
    let from = ((CENTER.0 - half) * width as f32).ceil() as usize;
    let to = ((CENTER.0 + half) * width as f32) as usize;
    (from.max(1), to.min(width.saturating_sub(1)))
}

/// BT.601 luma, 0 to 255.
fn luma(crop: &RgbImage) -> Vec<i16> {
    let (pixels, _) = crop.data().as_chunks::<3>();
    pixels
        .iter()
        .map(|&[r, g, b]| ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8) as i16)
        .collect()
}

/// Adds the four-neighbour Laplacian of the inner columns.
fn laplacian([above, row, below]: [&[i16]; 3], sums: &mut Sums) {
    let neighbours = row.windows(3).zip(above.iter().skip(1)).zip(below.iter().skip(1));
    for ((window, &up), &down) in neighbours {
        let [left, centre, right] = window else { continue };
        sums.add(i32::from(left + right + up + down) - 4 * i32::from(*centre));
    }
}

#[derive(Default)]
struct Sums {
    count: i64,
    sum: i64,
    squares: i64,
}

impl Sums {
    fn add(&mut self, x: i32) {
        self.count += 1;
        self.sum += i64::from(x);
        self.squares += i64::from(x * x);
    }

    fn mean(&self) -> f32 {
        (self.sum as f64 / self.count.max(1) as f64) as f32
    }

    fn variance(&self) -> f32 {
        let count = self.count.max(1) as f64;
        let mean = self.sum as f64 / count;
        (self.squares as f64 / count - mean * mean).max(0.0) as f32
    }
}

/// Puts together what was measured. `geometry` is the refusal found before pixels were looked at; it comes first.
pub(super) fn assess(
    face_pixels: f32,
    confidence: f32,
    pose: &Pose,
    look: &Look,
    geometry: Option<Refusal>,
    limits: &QualityLimits,
) -> Quality {
    Quality {
        face_pixels,
        sharpness: look.sharpness,
        yaw: pose.yaw,
        pitch: pose.pitch,
        roll: pose.roll,
        brightness: look.brightness,
        score: score(face_pixels, confidence, pose, look),
        refusal: geometry.or_else(|| refusal_of(look, limits)),
    }
}

/// What is wrong with the pixels. Exposure comes before sharpness: a face in the dark is blurred because it is dark.
fn refusal_of(look: &Look, limits: &QualityLimits) -> Option<Refusal> {
    if look.brightness < limits.min_brightness {
        Some(Refusal::TooDark)
    } else if look.brightness > limits.max_brightness {
        Some(Refusal::TooBright)
    } else if look.sharpness < limits.min_sharpness {
        Some(Refusal::Blurred)
    } else {
        None
    }
}

/// One figure, 0 to 1, for ranking shots of one track: the product of smooth terms, each 0 to 1, none of which
/// has a cliff, so that a small change of the face never turns the ranking over.
///
/// | term | form |
/// | --- | --- |
/// | size | `1 - exp(-pixels / 60)` |
/// | sharpness | `s / (s + 60)` |
/// | pose | `exp(-(yaw / 35)^2 - (pitch / 40)^2 - (roll / 90)^2)` |
/// | exposure | 1 from 75 to 190, `exp(-(d / 50)^2)` at a distance d outside |
/// | confidence | the detector's score: low where the face is covered |
fn score(face_pixels: f32, confidence: f32, pose: &Pose, look: &Look) -> f32 {
    let size = 1.0 - (-face_pixels.max(0.0) / SIZE_SCALE).exp();
    let sharpness = look.sharpness / (look.sharpness + SHARPNESS_HALF);
    let turns = [pose.yaw, pose.pitch, pose.roll].into_iter().zip(POSE_SCALE);
    let turned: f32 = turns.map(|(angle, scale)| (angle / scale).powi(2)).sum();
    let (dark, bright, softness) = EXPOSURE;
    let off = (dark - look.brightness).max(look.brightness - bright).max(0.0) / softness;
    let product = size * sharpness * (-turned - off * off).exp() * confidence.clamp(0.0, 1.0);
    if product.is_finite() { product.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests;
