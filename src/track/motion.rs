//! How one face moves: a constant-velocity Kalman filter (Kalman 1960) whose axes are independent.
//!
//! ```text
//!  x, y        position and velocity of the centre, pixels
//!  ln height   size and its rate of change: walking up to a camera is a constant rate
//!  ln aspect   width / height, a random walk
//! ```
//!
//! All noise is in units of the face's own height, because a face is about 0.22 m high wherever it stands:
//! a walk of 1.4 m/s is 6 heights a second. So one set of figures serves all distances and resolutions.

use crate::types::geometry::Rect;

/// A detector's box is off by about this part of the height (standard deviation).
const CENTER_SD: f64 = 0.08;
/// The same of the logarithm of the height.
const HEIGHT_SD: f64 = 0.07;
/// The same of the logarithm of width / height.
const ASPECT_SD: f64 = 0.12;
/// Speed of a face seen once, heights a second (standard deviation).
const START_SPEED: f64 = 4.0;
/// Rate of change of ln height of a face seen once, a second.
const START_GROWTH: f64 = 0.5;
/// How much the speed of somebody who stands changes in a second: heights a second (standard deviation) ...
const SPEED_CHANGE: f64 = 1.0;
/// ... and what is added for somebody who walks, as a part of the speed: those who move fast can also stop fast.
const SPEED_CHANGE_PART: f64 = 0.6;
/// Squared distance beyond which somebody is taken to have stopped or turned, and the filter to know less.
const SURPRISE: f64 = 8.0;
/// How far somebody who turns or stops may be from the prediction, heights a second since last seen.
const TURN: f64 = 2.5;
/// How much the rate of growth changes in a second.
const GROWTH_CHANGE: f64 = 0.5;
/// How much ln aspect changes in a second: a head turns.
const ASPECT_CHANGE: f64 = 0.4;
/// No step of time is longer: beyond it nothing can be predicted anyway.
const MAX_STEP: f64 = 10.0;
/// Smallest side, pixels: keeps the logarithm finite.
const MIN_SIDE: f64 = 1.0;

/// A box as the filter sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    x: f64,
    y: f64,
    ln_height: f64,
    ln_aspect: f64,
}

impl Observed {
    pub(super) fn new(bbox: &Rect) -> Self {
        let width = f64::from(bbox.x2) - f64::from(bbox.x1);
        let height = (f64::from(bbox.y2) - f64::from(bbox.y1)).max(MIN_SIDE);
        Self {
            x: (f64::from(bbox.x1) + f64::from(bbox.x2)) / 2.0,
            y: (f64::from(bbox.y1) + f64::from(bbox.y2)) / 2.0,
            ln_height: height.ln(),
            ln_aspect: (width.max(MIN_SIDE) / height).ln(),
        }
    }

    fn height(&self) -> f64 {
        self.ln_height.exp()
    }

    fn half_sides(&self) -> (f64, f64) {
        let height = self.height();
        (height * self.ln_aspect.exp() / 2.0, height / 2.0)
    }
}

/// Value and rate of one axis with their covariance.
#[derive(Debug, Clone, Copy)]
struct Axis {
    value: f64,
    rate: f64,
    value_var: f64,
    covariance: f64,
    rate_var: f64,
}

impl Axis {
    fn new(value: f64, value_sd: f64, rate_sd: f64) -> Self {
        Self {
            value,
            rate: 0.0,
            value_var: value_sd * value_sd,
            covariance: 0.0,
            rate_var: rate_sd * rate_sd,
        }
    }

    /// White noise of acceleration; `change` is the standard deviation of the rate's change in a second.
    fn predict(&mut self, dt: f64, change: f64) {
        let q = change * change;
        self.value += self.rate * dt;
        self.value_var += dt * (2.0 * self.covariance + dt * self.rate_var) + q * dt.powi(3) / 3.0;
        self.covariance += dt * self.rate_var + q * dt * dt / 2.0;
        self.rate_var += q * dt;
    }

    fn update(&mut self, measured: f64, sd: f64) {
        let total = self.value_var + sd * sd;
        let (value_gain, rate_gain) = (self.value_var / total, self.covariance / total);
        let innovation = measured - self.value;
        self.value += value_gain * innovation;
        self.rate += rate_gain * innovation;
        self.rate_var = (self.rate_var - rate_gain * self.covariance).max(0.0);
        self.covariance *= 1.0 - value_gain;
        self.value_var *= 1.0 - value_gain;
    }

    /// Multiplies all variances.
    fn doubt(&mut self, by: f64) {
        self.value_var *= by;
        self.covariance *= by;
        self.rate_var *= by;
    }

    fn scale(&mut self, by: f64) {
        self.value *= by;
        self.rate *= by;
        self.value_var *= by * by;
        self.covariance *= by * by;
        self.rate_var *= by * by;
    }

    /// Squared Mahalanobis distance, and how much wider than the measurement's own the prediction's variance is.
    fn distance(&self, measured: f64, sd: f64) -> (f64, f64) {
        let total = self.value_var + sd * sd;
        let innovation = measured - self.value;
        (innovation * innovation / total, total / (sd * sd))
    }
}

/// The filter of one face.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    x: Axis,
    y: Axis,
    ln_height: Axis,
    ln_aspect: f64,
    aspect_var: f64,
    /// Seconds since it was last seen.
    unseen: f64,
}

/// How a detection compares with a prediction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likeness {
    /// Squared Mahalanobis distance of centre and ln height; chi-squared with 3 degrees of freedom.
    pub(super) distance: f64,
    /// Logarithm of the prediction's volume over the measurement's: 0 for a perfect prediction, and growing with doubt.
    pub(super) doubt: f64,
}

impl Motion {
    pub(super) fn new(seen: &Observed) -> Self {
        let height = seen.height();
        Self {
            x: Axis::new(seen.x, CENTER_SD * height, START_SPEED * height),
            y: Axis::new(seen.y, CENTER_SD * height, START_SPEED * height),
            ln_height: Axis::new(seen.ln_height, HEIGHT_SD, START_GROWTH),
            ln_aspect: seen.ln_aspect,
            aspect_var: ASPECT_SD * ASPECT_SD,
            unseen: 0.0,
        }
    }

    /// Moves on by `seconds`.
    pub(super) fn predict(&mut self, seconds: f64) {
        let dt = seconds.clamp(0.0, MAX_STEP);
        self.unseen += dt;
        let height = self.height();
        let change = SPEED_CHANGE * height + SPEED_CHANGE_PART * self.x.rate.hypot(self.y.rate);
        self.x.predict(dt, change);
        self.y.predict(dt, change);
        self.ln_height.predict(dt, GROWTH_CHANGE);
        self.aspect_var += ASPECT_CHANGE * ASPECT_CHANGE * dt;
    }

    /// Takes a detection in.
    pub(super) fn update(&mut self, seen: &Observed) {
        let sd = CENTER_SD * seen.height();
        self.unseen = 0.0;
        let surprise = (self.x.distance(seen.x, sd).0 + self.y.distance(seen.y, sd).0) / SURPRISE;
        if surprise > 1.0 {
            self.x.doubt(surprise);
            self.y.doubt(surprise);
        }
        self.x.update(seen.x, sd);
        self.y.update(seen.y, sd);
        self.ln_height.update(seen.ln_height, HEIGHT_SD);
        let gain = self.aspect_var / (self.aspect_var + ASPECT_SD * ASPECT_SD);
        self.ln_aspect += gain * (seen.ln_aspect - self.ln_aspect);
        self.aspect_var *= 1.0 - gain;
    }

    /// Follows a change of the picture's size.
    pub(super) fn scale(&mut self, horizontal: f64, vertical: f64) {
        self.x.scale(horizontal);
        self.y.scale(vertical);
        self.ln_height.value += vertical.ln();
        self.ln_aspect += (horizontal / vertical).ln();
    }

    pub(super) fn likeness(&self, seen: &Observed) -> Likeness {
        let sd = CENTER_SD * seen.height();
        let axes = [
            self.x.distance(seen.x, sd),
            self.y.distance(seen.y, sd),
            self.ln_height.distance(seen.ln_height, HEIGHT_SD),
        ];
        Likeness {
            distance: axes.iter().map(|a| a.0).sum(),
            doubt: axes.iter().map(|a| a.1).product::<f64>().ln(),
        }
    }

    /// IoU of the predicted and the seen box, both grown on each side by `deviations` standard deviations of the
    /// predicted centre and by what somebody who turns may have moved ("buffered IoU": Yang et al. 2023, with the
    /// buffer from the filter). At 5 detections a second a walking face leaves its old box altogether, and the
    /// plain IoU is 0.
    pub(super) fn buffered_iou(&self, seen: &Observed, deviations: f64) -> f64 {
        let (width, height) = self.predicted().half_sides();
        let (seen_width, seen_height) = seen.half_sides();
        let turn = TURN * self.height() * self.unseen;
        let grow = |axis: &Axis| deviations * axis.value_var.sqrt() + turn;
        let (grow_x, grow_y) = (grow(&self.x), grow(&self.y));
        let sides = |center: f64, half: f64, grow: f64| (center - half - grow, center + half + grow);
        let a = (sides(self.x.value, width, grow_x), sides(self.y.value, height, grow_y));
        let b = (sides(seen.x, seen_width, grow_x), sides(seen.y, seen_height, grow_y));
        let overlap = |p: (f64, f64), q: (f64, f64)| (p.1.min(q.1) - p.0.max(q.0)).max(0.0);
        let area = |r: ((f64, f64), (f64, f64))| (r.0.1 - r.0.0) * (r.1.1 - r.1.0);
        let both = overlap(a.0, b.0) * overlap(a.1, b.1);
        both / (area(a) + area(b) - both)
    }

    /// Centre, pixels.
    pub(super) fn center(&self) -> (f64, f64) {
        (self.x.value, self.y.value)
    }

    /// Height, pixels.
    pub(super) fn height(&self) -> f64 {
        self.ln_height.value.exp()
    }

    fn predicted(&self) -> Observed {
        Observed {
            x: self.x.value,
            y: self.y.value,
            ln_height: self.ln_height.value,
            ln_aspect: self.ln_aspect,
        }
    }

    /// The face's box as the filter has it.
    pub(super) fn bbox(&self) -> Rect {
        let (width, height) = self.predicted().half_sides();
        Rect::new(
            (self.x.value - width) as f32,
            (self.y.value - height) as f32,
            (self.x.value + width) as f32,
            (self.y.value + height) as f32,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32, height: f32) -> Observed {
        Observed::new(&Rect::new(x - height * 0.4, y - height / 2.0, x + height * 0.4, y + height / 2.0))
    }

    #[test]
    fn it_learns_a_speed_and_predicts_over_irregular_gaps() {
        let mut motion = Motion::new(&face(100.0, 50.0, 40.0));
        let mut time = 0.0;
        for step in [0.2, 0.15, 0.25, 0.2, 0.3, 0.2] {
            time += step;
            motion.predict(step);
            motion.update(&face(100.0 + 200.0 * time as f32, 50.0, 40.0));
        }
        motion.predict(0.6);
        let truth = 100.0 + 200.0 * (time + 0.6);
        assert!((motion.center().0 - truth).abs() < 8.0, "{} for {truth}", motion.center().0);
        assert!((motion.center().1 - 50.0).abs() < 1.0);
        assert!((motion.height() - 40.0).abs() < 2.0);
    }

    #[test]
    fn doubt_grows_while_nothing_is_seen() {
        let mut motion = Motion::new(&face(100.0, 50.0, 40.0));
        let far = face(180.0, 50.0, 40.0);
        let first = motion.likeness(&far);
        motion.predict(0.2);
        let later = motion.likeness(&far);
        assert!(later.distance < first.distance && later.doubt > first.doubt);
        assert!(
            motion.buffered_iou(&far, 2.0) > 0.1,
            "two widths in 0.2 s after one sighting can be the same face"
        );
        assert_eq!(motion.bbox().iou(&Rect::new(164.0, 30.0, 196.0, 70.0)), 0.0);
    }

    #[test]
    fn another_size_of_the_picture_scales_the_state() {
        let mut motion = Motion::new(&face(100.0, 50.0, 40.0));
        motion.scale(2.0, 2.0);
        let scaled = face(200.0, 100.0, 80.0);
        assert!(motion.likeness(&scaled).distance < 1e-9);
        assert!(motion.buffered_iou(&scaled, 0.0) > 0.999);
    }
}
