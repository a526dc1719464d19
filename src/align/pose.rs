//! Where a head points, from five landmarks.
//!
//! ```text
//!      eyes  o-----+-----o   e: distance of the eyes
//!                  |\                       the nose's tip stands out of the plane of eyes and mouth by
//!                  | \ nose                 NOSE_DEPTH * e, and lies NOSE_DROP of the way from eyes to mouth
//!                  |
//!     mouth    o---+---o     h: from the eyes to the mouth
//! ```
//!
//! Turned by yaw, the nose moves from the midline by `NOSE_DEPTH * e * sin(yaw)` and the eyes' distance shrinks to
//! `e * cos(yaw)`: the quotient of the two gives the tangent. Pitch follows in the same way from how far down the
//! midline the nose is. Orthographic, for an average adult; people differ by some 10 degrees of pitch and 5 of yaw.

use crate::image::affine::Similarity;
use crate::types::face::Landmarks;
use crate::types::geometry::Point;

/// How far the nose's tip stands out, in distances of the eyes (30 mm of 63 mm; anthropometric means).
const NOSE_DEPTH: f32 = 0.48;
/// How far down between eyes and mouth the nose's tip is, seen from the front (the common template).
const NOSE_DROP: f32 = 0.495;
/// From the eyes to the mouth, in distances of the eyes (the common template).
const FACE_HEIGHT: f32 = 1.155;

/// Estimated angles of a head, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// 0 faces the camera, negative to the viewer's left; -90 to 90.
    pub yaw: f32,
    /// Positive looks down; -90 to 90.
    pub pitch: f32,
    /// In-plane rotation, clockwise; -180 to 180.
    pub roll: f32,
}

impl Pose {
    /// From the landmarks and the similarity that takes them to an upright template.
    pub fn new(landmarks: &Landmarks, upright: &Similarity) -> Self {
        let [left, right, nose, mouth_left, mouth_right] = landmarks.map(|p| upright.apply(p));
        let (eyes, mouth) = (middle(left, right), middle(mouth_left, mouth_right));
        let height = mouth.y - eyes.y;
        let drop = if height.abs() > f32::EPSILON { (nose.y - eyes.y) / height } else { NOSE_DROP };
        // The midline at the nose's height, so that a tilt that is left does not look like a turn.
        let midline = eyes.x + (mouth.x - eyes.x) * drop.clamp(0.0, 1.0);
        let yaw = (nose.x - midline).atan2(NOSE_DEPTH * (right.x - left.x).max(0.0));
        let pitch = ((drop - NOSE_DROP) * FACE_HEIGHT).atan2(NOSE_DEPTH);
        Self { yaw: yaw.to_degrees(), pitch: pitch.to_degrees(), roll: -upright.angle() }
    }
}

fn middle(a: Point, b: Point) -> Point {
    Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::super::similarity::{CANONICAL, fit};
    use super::*;

    /// A head of the geometry above, turned by yaw and then pitch about its middle, seen from afar, rolled, at
    /// `scale` pixels per distance of the eyes.
    fn seen(yaw: f32, pitch: f32, roll: f32, scale: f32) -> Landmarks {
        let nose_y = NOSE_DROP * FACE_HEIGHT;
        let head = [
            (-0.5, 0.0, 0.0),
            (0.5, 0.0, 0.0),
            (0.0, nose_y, NOSE_DEPTH),
            (-0.42, FACE_HEIGHT, 0.0),
            (0.42, FACE_HEIGHT, 0.0),
        ];
        let [(ys, yc), (ps, pc), (rs, rc)] = [yaw, pitch, roll].map(|d| d.to_radians().sin_cos());
        head.map(|(x, y, z)| {
            let (x, z) = (x * yc + z * ys, z * yc - x * ys);
            let y = y * pc + z * ps;
            Point { x: scale * (x * rc - y * rs) + 300.0, y: scale * (x * rs + y * rc) + 200.0 }
        })
    }

    fn estimate(landmarks: &Landmarks) -> Pose {
        let upright = fit(landmarks, &CANONICAL.map(|(x, y)| Point { x, y })).expect("a face");
        Pose::new(landmarks, &upright)
    }

    #[test]
    fn turns_of_a_model_head_are_found() {
        for (yaw, pitch, roll) in [
            (0.0, 0.0, 0.0),
            (30.0, 0.0, 0.0),
            (-45.0, 0.0, 0.0),
            (0.0, 25.0, 0.0),
            (0.0, -25.0, 0.0),
            (0.0, 0.0, 40.0),
            (0.0, 0.0, -120.0),
            (25.0, 15.0, 0.0),
            (-20.0, -10.0, 30.0),
        ] {
            let pose = estimate(&seen(yaw, pitch, roll, 60.0));
            let off = [pose.yaw - yaw, pose.pitch - pitch, pose.roll - roll].map(f32::abs);
            assert!(off[0] < 6.0 && off[1] < 7.0 && off[2] < 9.0, "{yaw} {pitch} {roll}: {pose:?}");
        }
    }

    #[test]
    fn size_does_not_matter() {
        let (small, large) =
            (estimate(&seen(20.0, 5.0, 10.0, 12.0)), estimate(&seen(20.0, 5.0, 10.0, 900.0)));
        assert!((small.yaw - large.yaw).abs() < 0.1 && (small.pitch - large.pitch).abs() < 0.1);
    }

    #[test]
    fn the_template_looks_straight_ahead() {
        let pose = estimate(&CANONICAL.map(|(x, y)| Point { x, y }));
        assert!(pose.yaw.abs() < 1.0 && pose.pitch.abs() < 1.0 && pose.roll.abs() < 0.1, "{pose:?}");
    }
}
