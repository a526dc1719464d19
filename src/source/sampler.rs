//! Which frames are looked at: a steady `detect_fps` out of whatever a camera sends.
//!
//! ```text
//!  frames, 25/s  | | | | | | | | | | | | | | | |
//!  grid,    5/s  ^         ^         ^         ^     due += period, so rounding never adds up
//!  taken         *         *         *         *     the frame nearest to each mark
//! ```
//!
//! The grid moves by whole periods, not from the frame that was taken, so a camera whose timestamps jitter by a few
//! milliseconds still gives every fifth frame of five.

use std::time::Duration;

/// Share of a new interval in the running mean of intervals.
const SMOOTHING: f64 = 0.125;
/// The grid starts anew when timestamps leave it by more than this many periods.
const LOST: f64 = 2.0;

/// Chooses frames by their timestamps and sequence numbers. Pure: the same frames give the same choice.
#[derive(Debug, Clone)]
pub struct Sampler {
    period: f64,
    /// The next mark of the grid, seconds.
    due: Option<f64>,
    /// The frame before: timestamp and sequence.
    previous: Option<(f64, u64)>,
    /// Mean time between frames, seconds.
    interval: f64,
}

impl Sampler {
    /// Takes about `fps` frames a second (above 0; a value that is not positive and finite takes every frame).
    pub fn new(fps: f32) -> Self {
        let period = if fps.is_finite() && fps > 0.0 { 1.0 / f64::from(fps) } else { 0.0 };
        Self { period, due: None, previous: None, interval: 0.0 }
    }

    /// True if the frame with this timestamp and sequence is to be looked at.
    pub fn take(&mut self, at: Duration, sequence: u64) -> bool {
        let at = at.as_secs_f64();
        self.learn_interval(at, sequence);
        // A frame counts for the mark it is nearest to: half a frame early is early enough.
        let early = (self.interval / 2.0).min(self.period / 2.0);
        let Some(due) = self.due.filter(|due| (at - due).abs() <= LOST * self.period.max(self.interval))
        else {
            self.due = Some(at + self.period);
            return true;
        };
        if at < due - early {
            return false;
        }
        // A camera slower than the grid must not save up marks.
        self.due = Some((due + self.period).max(at - early));
        true
    }

    fn learn_interval(&mut self, at: f64, sequence: u64) {
        if let Some((before, number)) = self.previous {
            let frames = sequence.saturating_sub(number);
            let passed = at - before;
            if frames > 0 && passed > 0.0 {
                let each = passed / frames as f64;
                self.interval = if self.interval == 0.0 {
                    each
                } else {
                    self.interval + SMOOTHING * (each - self.interval)
                };
            }
        }
        self.previous = Some((at, sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(fps: f32, times: impl Iterator<Item = f64>) -> Vec<u64> {
        let mut sampler = Sampler::new(fps);
        (0..)
            .zip(times)
            .filter(|(i, t)| sampler.take(Duration::from_secs_f64(*t), *i))
            .map(|(i, _)| i)
            .collect()
    }

    #[test]
    fn five_of_twenty_five_is_each_fifth_for_a_day() {
        let frames = 25 * 86_400;
        let got = taken(5.0, (0..frames).map(|i| f64::from(i) * 0.04));
        assert_eq!(got.len(), 5 * 86_400);
        assert!(got.iter().enumerate().all(|(k, i)| *i == 5 * k as u64));
    }

    #[test]
    fn jittering_timestamps_keep_the_cadence() {
        let mut rng = fastrand::Rng::with_seed(7);
        let times: Vec<f64> =
            (0..25_000).map(|i| 1.0 + f64::from(i) * 0.04 + (rng.f64() - 0.5) * 0.016).collect();
        let got = taken(5.0, times.into_iter());
        assert_eq!(got.len(), 5_000);
        // Each mark may start one frame off after the first seconds, but never two frames within 3 or beyond 7.
        assert!(got.windows(2).all(|w| (4..=6).contains(&(w[1] - w[0]))), "{got:?}");
    }

    #[test]
    fn a_rate_that_does_not_divide_is_kept_on_average() {
        assert_eq!(taken(10.0, (0..2_500).map(|i| f64::from(i) * 0.04)).len(), 1_000);
        let thirty = taken(8.0, (0..3_000).map(|i| f64::from(i) / 30.0)).len();
        assert!((799..=801).contains(&thirty), "{thirty}");
    }

    #[test]
    fn a_slow_camera_gives_every_frame_and_saves_nothing_up() {
        assert_eq!(taken(5.0, (0..100).map(|i| f64::from(i) * 0.5)).len(), 100);
        // 2 frames a second for a minute, then 25: no burst follows.
        let slow = (0..120).map(|i| f64::from(i) * 0.5);
        let fast = (0..250).map(|i| 60.0 + f64::from(i) * 0.04);
        let got = taken(5.0, slow.chain(fast));
        let after = got.iter().filter(|i| **i >= 120).count();
        assert!((50..=53).contains(&after), "{after}");
    }

    #[test]
    fn a_jump_of_the_timestamps_does_not_silence_it() {
        let back = (0..50).map(|i| 1_000.0 + f64::from(i) * 0.04).chain((0..50).map(|i| f64::from(i) * 0.04));
        let got = taken(5.0, back);
        assert_eq!(got.iter().filter(|i| **i >= 50).count(), 10);
    }
}
