//! The tail of a stranger's best score, and how likely what was seen is under it.
//!
//! ```text
//!   probability density of a track's score
//!        ▁▃▆█▇▅▃▂▁                         ▁▂▃▅▆▅▃▂▁
//!        strangers ▔▔▔▔▀▀▀▄▄▄▁▁▁   ▁▁▁▂▂▂▃▀▀ mates
//!   ────────────────┬──────────────┬────────────────▶ score
//!      only counted u    binned    T  not seen: alerts
//! ```
//!
//! Model. The comparisons of one stranger with all enrolled identities that score above `s` are a Poisson number with mean Λ(s), and above
//! a high `u`
//!
//! > Λ(s) = N/M e^a (1 + ξ (s - u)/σ)^(-1/ξ),
//!
//! so that the best of them stays under `s` with probability exp(-Λ(s)): the point process of peaks over a threshold (Pickands 1975;
//! Balkema and de Haan 1974; Smith 1989; Coles 2001, chapter 7). Far out it is a generalised Pareto tail, and it stays right where a gallery
//! is so large that most strangers score above `u`. Λ grows with the identities N that are searched, as if their scores were independent;
//! M is a size of reference. A cosine has an end, so ξ should not be above 0 far out; the prior leans there and lets the scores say otherwise.
//!
//! Strangers are seen only below the threshold T in force (of those above, the share ρ that operators judged). Among them hide mates
//! that were missed: with the density c φ((s - m)/d)/d a track, where the shape m, d of mates' scores is given and c is not. This is the
//! mixture with which Manmatha, Rath and Feng (2001) and Arampatzis and Robertson (2011) take retrieval scores apart.

use super::normal;
use super::scores::{BINS, WIDTH, bin_of, edge};

/// The shape of mates' scores, as a normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MateShape {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

impl MateShape {
    /// Where nobody has measured it: wide enough for the small models that there are.
    pub const USUAL: Self = Self { mean: 0.6, deviation: 0.15 };
}

impl From<[f32; 2]> for MateShape {
    fn from([mean, deviation]: [f32; 2]) -> Self {
        Self { mean: f64::from(mean), deviation: f64::from(deviation) }
    }
}

/// A tail: the unknowns, each on a scale on which it is free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// a: logarithm of the comparisons above `u`, for the gallery of reference.
    pub level: f64,
    /// ln σ.
    pub scale: f64,
    /// ξ, above [`LEAST_SHAPE`].
    pub shape: f64,
    /// ln c: missed and other mates for each track.
    pub mates: f64,
}

/// Least ξ: below it likelihoods have no maximum with a curvature (Smith 1985).
pub const LEAST_SHAPE: f64 = -0.5;
/// Number of unknowns.
pub const UNKNOWNS: usize = 4;

impl Tail {
    /// From the vector that is searched.
    pub fn of(x: &[f64; UNKNOWNS]) -> Self {
        Self { level: x[0], scale: x[1], shape: LEAST_SHAPE + x[2].exp(), mates: x[3] }
    }

    /// The shape as it is searched: the logarithm of what it is above [`LEAST_SHAPE`].
    pub fn free(shape: f64) -> f64 {
        (shape - LEAST_SHAPE).max(1e-6).ln()
    }

    /// Λ at `above` over `u`.
    pub fn intensity(&self, above: f64) -> f64 {
        let z = above / self.scale.exp();
        let log = if self.shape.abs() < 1e-6 {
            -z
        } else {
            let base = 1.0 + self.shape * z;
            if base <= 0.0 {
                return if self.shape < 0.0 { 0.0 } else { f64::INFINITY };
            }
            -base.ln() / self.shape
        };
        (self.level + log).exp()
    }

    /// How far above `u` the intensity is `wanted`. Negative, if it is less at `u`.
    pub fn place_of(&self, wanted: f64) -> f64 {
        let log = wanted.max(1e-300).ln() - self.level;
        let z = if self.shape.abs() < 1e-6 { -log } else { (-self.shape * log).exp_m1() / self.shape };
        z * self.scale.exp()
    }
}

/// What was seen under one threshold and one size of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Lower end of the bin that the threshold in force is in: what lies above was seen in part, or not at all.
    pub end: u16,
    /// Identities searched.
    pub identities: u32,
    /// Non-matches by bin.
    pub seen: Vec<u32>,
    /// Rejected alerts by bin.
    pub rejected: Vec<u32>,
    /// Alerts, and how many of them an operator judged.
    pub alerts: u32,
    /// See `alerts`.
    pub judged: u32,
}

impl Group {
    /// Nothing seen yet.
    pub fn new(threshold: f32, identities: u32) -> Self {
        let end = bin_of(threshold);
        Self { end, identities, seen: vec![0; BINS], rejected: vec![0; BINS], alerts: 0, judged: 0 }
    }

    fn share_judged(&self) -> f64 {
        if self.alerts == 0 { 0.0 } else { (f64::from(self.judged) / f64::from(self.alerts)).min(1.0) }
    }
}

/// What was seen, ready for one `u`.
#[derive(Debug, Clone)]
pub struct View {
    /// The bin whose lower end is `u`.
    pub first: u16,
    groups: Vec<Seen>,
    /// Mates' probability of each bin from `first` on.
    mates: Vec<f64>,
    /// Each score counts as this part of one.
    weight: f64,
}

#[derive(Debug, Clone)]
struct Seen {
    /// Identities searched, by those of reference.
    ratio: f64,
    under: f64,
    /// Bins from `u` to the threshold.
    cells: Vec<f64>,
    /// Rejected: bins from the threshold to the end.
    rejected: Vec<f64>,
    judged: f64,
}

/// Weak prior knowledge: what holds if the scores say nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Mean and standard deviation of ξ.
    pub shape: (f64, f64),
    /// Mean and standard deviation of ln σ.
    pub scale: (f64, f64),
    /// Mean share of tracks that are mates (exponential).
    pub mates: f64,
}

impl Default for Prior {
    /// Tails of similarities that are normal are nearly generalised Pareto with ξ of -0.15 to -0.05 where one in 10 to one in 10,000
    /// tracks reaches them, and σ of 0.02 to 0.06.
    fn default() -> Self {
        Self { shape: (-0.05, 0.15), scale: (0.04f64.ln(), 0.7), mates: 0.02 }
    }
}

impl View {
    /// Scores from bin `first` on; what lies below is only counted. `weight`: what a score counts, 0 to 1.
    pub fn new(groups: &[Group], first: u16, reference: u32, mates: MateShape, weight: f64) -> Self {
        let seen = groups.iter().filter(|group| group.end > first).map(|group| {
            let (u, end) = (usize::from(first), usize::from(group.end));
            let number = |n: &u32| f64::from(*n);
            Seen {
                ratio: f64::from(group.identities.max(1)) / f64::from(reference.max(1)),
                under: group.seen[..u].iter().map(number).sum(),
                cells: group.seen[u..end].iter().map(number).collect(),
                rejected: group.rejected[end..].iter().map(number).collect(),
                judged: group.share_judged(),
            }
        });
        let above = |bin: usize| normal::above((edge(bin as u16) - mates.mean) / mates.deviation);
        let mates = (usize::from(first)..BINS).map(|bin| above(bin) - above(bin + 1)).collect();
        Self { first, groups: seen.collect(), mates, weight }
    }

    /// The same, in which all scores above `u` together count as so many at most.
    #[must_use]
    pub fn counting_at_most(mut self, most: f64) -> Self {
        self.weight = self.weight.min(most / self.peaks().max(1.0));
        self
    }

    /// Scores seen above `u`.
    pub fn peaks(&self) -> f64 {
        self.groups.iter().map(|g| g.cells.iter().sum::<f64>() + g.rejected.iter().sum::<f64>()).sum()
    }

    /// Λ at the lower end of each bin, and at the end of the last.
    fn intensities(&self, tail: &Tail) -> Vec<f64> {
        (0..=self.mates.len()).map(|bin| tail.intensity(bin as f64 * WIDTH)).collect()
    }

    /// Logarithm of the posterior density but for a constant.
    pub fn log_posterior(&self, tail: &Tail, prior: &Prior) -> f64 {
        let penalty = |x: f64, (mean, deviation): (f64, f64)| -0.5 * ((x - mean) / deviation).powi(2);
        let c = tail.mates.exp();
        let before = penalty(tail.shape, prior.shape)
            + penalty(tail.scale, prior.scale)
            + Tail::free(tail.shape)
            + tail.mates
            - c / prior.mates;
        let lambda = self.intensities(tail);
        let likelihood: f64 = self.groups.iter().map(|group| self.log_likelihood(group, &lambda, c)).sum();
        let sum = before + self.weight * likelihood;
        if sum.is_nan() { f64::NEG_INFINITY } else { sum }
    }

    fn log_likelihood(&self, group: &Seen, lambda: &[f64], c: f64) -> f64 {
        let end = group.cells.len();
        let mut sum = 0.0;
        let mut seen = 0.0;
        let mut hidden = 0.0;
        let mut below = (-group.ratio * lambda[0]).exp();
        if group.under > 0.0 {
            sum += group.under * below.ln();
            seen += group.under;
        }
        for (bin, count) in group.cells.iter().enumerate() {
            let next = (-group.ratio * lambda[bin + 1]).exp();
            let mates = c * self.mates[bin];
            hidden += mates;
            if *count > 0.0 {
                sum += count * (next - below + mates).max(1e-300).ln();
                seen += count;
            }
            below = next;
        }
        let total = below + hidden + group.judged * (1.0 - below);
        for (bin, count) in group.rejected.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let bounds = [lambda[end + bin], lambda[end + bin + 1]].map(|l| (-group.ratio * l).exp());
            sum += count * (group.judged * (bounds[1] - bounds[0])).max(1e-300).ln();
            seen += count;
        }
        sum - seen * total.ln()
    }

    /// For each bin from `u` on: scores seen, and how many a tail expects of as many as there are.
    pub fn expected(&self, tail: &Tail) -> Vec<(f64, f64)> {
        let lambda = self.intensities(tail);
        let c = tail.mates.exp();
        let mut all = vec![(0.0, 0.0); self.mates.len()];
        for group in &self.groups {
            let bounds: Vec<f64> = lambda.iter().map(|l| (-group.ratio * l).exp()).collect();
            let parts: Vec<f64> = (0..group.cells.len())
                .map(|bin| bounds[bin + 1] - bounds[bin] + c * self.mates[bin])
                .collect();
            let (sum, count) = (parts.iter().sum::<f64>(), group.cells.iter().sum::<f64>());
            for (bin, part) in parts.iter().enumerate() {
                all[bin].0 += group.cells[bin];
                all[bin].1 += count * part / sum.max(1e-300);
            }
        }
        all
    }
}
