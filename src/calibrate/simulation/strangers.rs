//! How strangers' comparisons with the enrolled score.

use crate::calibrate::normal;

/// Step of the grid.
const STEP: f64 = 0.002;
/// Points of the grid, from -1 to 1.
const POINTS: usize = 1_001;
/// A measured score stands for those near it: the deviation of a normal kernel.
const KERNEL: f64 = 0.012;

/// Similarity of a stranger and an enrolled identity: its distribution.
#[derive(Debug, Clone)]
pub struct Comparisons {
    /// What it is like.
    pub name: &'static str,
    /// ln of the probability to score above each point of the grid; falls strictly.
    logs: Vec<f64>,
}

impl Comparisons {
    /// From the probability to score above a similarity.
    pub fn new(name: &'static str, above: impl Fn(f64) -> f64) -> Self {
        let mut last = 0.0;
        let point = |i: usize| {
            let log = above(i as f64 * STEP - 1.0).max(1e-250).ln();
            last = f64::min(log, last - 1e-9);
            last
        };
        Self { name, logs: (0..POINTS).map(point).collect() }
    }

    /// Of measured scores.
    pub fn measured(name: &'static str, scores: &[f64]) -> Self {
        let above = |s: f64| scores.iter().map(|score| normal::above((s - score) / KERNEL)).sum::<f64>();
        Self::new(name, |s| above(s) / scores.len() as f64)
    }

    /// Probability to score above `s`.
    fn above(&self, s: f64) -> f64 {
        let place = ((s + 1.0) / STEP).clamp(0.0, (POINTS - 1) as f64);
        let i = (place as usize).min(POINTS - 2);
        let part = place - i as f64;
        (self.logs[i] + part * (self.logs[i + 1] - self.logs[i])).exp()
    }

    /// Where the probability to score above is `p`.
    fn place(&self, p: f64) -> f64 {
        let log = p.max(1e-300).ln();
        let i = self.logs.partition_point(|at| *at > log);
        if i == 0 || i >= POINTS {
            return if i == 0 { -1.0 } else { 1.0 };
        }
        let (a, b) = (self.logs[i - 1], self.logs[i]);
        (i as f64 - 1.0 + (log - a) / (b - a)) * STEP - 1.0
    }

    /// Probability that the best of `n` independent comparisons scores above `s`.
    pub fn best_above(&self, s: f64, n: f64) -> f64 {
        -(n * (-self.above(s)).ln_1p()).exp_m1()
    }

    /// Where the best of `n` is above with probability `p`.
    pub fn best_place(&self, p: f64, n: f64) -> f64 {
        self.place(-((-p).ln_1p() / n).exp_m1())
    }
}

/// A normal body as MobileFaceNet's (mean 0.010, standard deviation 0.098), and from `start` on another tail.
fn spliced(name: &'static str, start: f64, scale: f64, shape: f64) -> Comparisons {
    let body = |s: f64| normal::above((s - 0.01) / 0.098);
    let first = body(start);
    let tail = move |s: f64| {
        let z = (s - start) / scale;
        if shape == 0.0 { (-z).exp() } else { (1.0 + shape * z).max(0.0).powf(-1.0 / shape) }
    };
    // No similarity is above 1.
    let cut = move |s: f64| first * (tail(s) - tail(1.0)) / (1.0 - tail(1.0));
    Comparisons::new(name, move |s| if s <= start { body(s) } else { cut(s) })
}

/// Distributions that need no data.
pub fn families() -> Vec<Comparisons> {
    // One in ten comparisons is of two people of one kind, who are more alike.
    let cohorts = |s: f64| 0.9 * normal::above((s + 0.005) / 0.09) + 0.1 * normal::above((s - 0.09) / 0.105);
    vec![
        Comparisons::new("normal", |s| normal::above((s - 0.01) / 0.098)),
        spliced("light", 0.22, 0.045, -0.2),
        spliced("exponential", 0.25, 0.035, 0.0),
        spliced("heavy", 0.25, 0.035, 0.12),
        Comparisons::new("cohorts", cohorts),
    ]
}
