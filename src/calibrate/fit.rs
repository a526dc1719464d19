//! From what was seen to all tails that could be behind it, each with its weight.
//!
//! ```text
//!  View ─▶ the likeliest tail (Nelder and Mead 1965) ─▶ curvature there ─▶ draws of a t distribution around it ─▶ weights
//! ```
//!
//! Importance sampling around the mode (Gelman et al., Bayesian Data Analysis, 3rd ed., 10.4), with a seed of its own: the same scores give
//! the same tails. Where few draws carry all the weight there is no answer.

use super::normal;
use super::tail::{Prior, Tail, UNKNOWNS, View};
use crate::eval::random::Random;

type Vector = [f64; UNKNOWNS];

/// Tails that are drawn.
const DRAWS: usize = 1_500;
/// Least effective number of draws (Kish).
const LEAST_EFFECTIVE: f64 = 60.0;
/// Degrees of freedom of the draws' distribution: its tails are heavier than the posterior's.
const FREEDOM: usize = 5;
/// Fixed, so that an estimate can be repeated.
const SEED: u64 = 1;

/// Tails with weights that sum to 1.
#[derive(Debug, Clone)]
pub struct Tails {
    /// The likeliest.
    pub mode: Tail,
    /// Drawn.
    pub drawn: Vec<(Tail, f64)>,
}

/// All that could be behind a view; `None` if there is no sharp answer.
pub fn fit(view: &View, prior: &Prior, level: f64) -> Option<Tails> {
    let worth = |x: &Vector| -view.log_posterior(&Tail::of(x), prior);
    let start = [level, prior.scale.0, Tail::free(prior.shape.0), prior.mates.ln() - 2.0];
    let mode = minimise(&worth, start, [0.3, 0.3, 0.2, 0.7]);
    let mode = minimise(&worth, mode, [0.1, 0.1, 0.1, 0.5]);
    let best = worth(&mode);
    if !best.is_finite() {
        return None;
    }
    let spread = cholesky_of_inverse(curvature(&worth, &mode))?;
    let mut random = Random::seeded(SEED);
    let mut drawn: Vec<(Tail, f64)> = Vec::with_capacity(DRAWS);
    let mut logs = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let z: Vector = std::array::from_fn(|_| normal::quantile(random.unit()));
        let chi: f64 = (0..FREEDOM).map(|_| normal::quantile(random.unit()).powi(2)).sum();
        let stretch = 1.15 * (FREEDOM as f64 / chi.max(1e-9)).sqrt();
        let mut x = mode;
        for (i, row) in spread.iter().enumerate() {
            x[i] += stretch * row.iter().zip(&z).map(|(s, z)| s * z).sum::<f64>();
        }
        let distance: f64 = z.iter().map(|z| (stretch * z / 1.15).powi(2)).sum();
        let log_proposal = -0.5 * (FREEDOM + UNKNOWNS) as f64 * (1.0 + distance / FREEDOM as f64).ln();
        logs.push(best - worth(&x) - log_proposal);
        drawn.push((Tail::of(&x), 0.0));
    }
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - top).exp()).sum();
    for ((_, weight), log) in drawn.iter_mut().zip(&logs) {
        *weight = (log - top).exp() / sum;
    }
    let effective = 1.0 / drawn.iter().map(|(_, weight)| weight * weight).sum::<f64>();
    (effective >= LEAST_EFFECTIVE).then(|| Tails { mode: Tail::of(&mode), drawn })
}

/// The value that the given part of the weight is not above.
pub fn weighted_quantile(values: &mut [(f64, f64)], part: f64) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    for (value, weight) in values.iter() {
        sum += weight;
        if sum >= part {
            return *value;
        }
    }
    values.last().map_or(f64::NAN, |(value, _)| *value)
}

/// Nelder and Mead's simplex.
fn minimise(f: &dyn Fn(&Vector) -> f64, start: Vector, steps: Vector) -> Vector {
    const MOST: usize = 600;
    const ENOUGH: f64 = 1e-6;
    let mut simplex: Vec<(f64, Vector)> = vec![(f(&start), start)];
    for i in 0..UNKNOWNS {
        let mut corner = start;
        corner[i] += steps[i];
        simplex.push((f(&corner), corner));
    }
    for _ in 0..MOST {
        simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (best, worst) = (simplex[0].0, simplex[UNKNOWNS]);
        if worst.0 - best < ENOUGH {
            break;
        }
        let centre: Vector = std::array::from_fn(|i| {
            simplex[..UNKNOWNS].iter().map(|(_, x)| x[i]).sum::<f64>() / UNKNOWNS as f64
        });
        let at = |t: f64| {
            let x: Vector = std::array::from_fn(|i| centre[i] + t * (worst.1[i] - centre[i]));
            (f(&x), x)
        };
        let reflected = at(-1.0);
        if reflected.0 < best {
            let expanded = at(-2.0);
            simplex[UNKNOWNS] = if expanded.0 < reflected.0 { expanded } else { reflected };
        } else if reflected.0 < simplex[UNKNOWNS - 1].0 {
            simplex[UNKNOWNS] = reflected;
        } else {
            let contracted = if reflected.0 < worst.0 { at(-0.5) } else { at(0.5) };
            if contracted.0 < worst.0.min(reflected.0) {
                simplex[UNKNOWNS] = contracted;
            } else {
                let first = simplex[0].1;
                for corner in &mut simplex[1..] {
                    let x: Vector = std::array::from_fn(|i| first[i] + 0.5 * (corner.1[i] - first[i]));
                    *corner = (f(&x), x);
                }
            }
        }
    }
    simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
    simplex[0].1
}

/// The matrix of second derivatives, by central differences.
fn curvature(f: &dyn Fn(&Vector) -> f64, x: &Vector) -> [Vector; UNKNOWNS] {
    const STEP: Vector = [0.02, 0.02, 0.03, 0.1];
    let moved = |moves: &[(usize, f64)]| {
        let mut x = *x;
        moves.iter().for_each(|(i, by)| x[*i] += by * STEP[*i]);
        f(&x)
    };
    let here = f(x);
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let second = if i == j {
                moved(&[(i, 1.0)]) - 2.0 * here + moved(&[(i, -1.0)])
            } else {
                let corner = |a: f64, b: f64| moved(&[(i, a), (j, b)]);
                (corner(1.0, 1.0) - corner(1.0, -1.0) - corner(-1.0, 1.0) + corner(-1.0, -1.0)) / 4.0
            };
            second / (STEP[i] * STEP[j])
        })
    })
}

/// L with L L' = the inverse of `m`; what makes `m` no curvature of a minimum is lifted away.
fn cholesky_of_inverse(mut m: [Vector; UNKNOWNS]) -> Option<[Vector; UNKNOWNS]> {
    if m.iter().flatten().any(|v| !v.is_finite()) {
        return None;
    }
    for _ in 0..40 {
        if let Some(upper) = cholesky(&m) {
            // m = U' U with U upper; the inverse is U^-1 U^-T, so L = U^-1.
            return Some(inverse_upper(&upper));
        }
        for (i, row) in m.iter_mut().enumerate() {
            row[i] += 1e-3 + 0.5 * row[i].abs();
        }
    }
    None
}

/// U, upper triangular, with U' U = m.
fn cholesky(m: &[Vector; UNKNOWNS]) -> Option<[Vector; UNKNOWNS]> {
    let mut u = [[0.0; UNKNOWNS]; UNKNOWNS];
    for i in 0..UNKNOWNS {
        for j in i..UNKNOWNS {
            let sum: f64 = (0..i).map(|k| u[k][i] * u[k][j]).sum();
            if i == j {
                let square = m[i][i] - sum;
                if square <= 1e-9 {
                    return None;
                }
                u[i][i] = square.sqrt();
            } else {
                u[i][j] = (m[i][j] - sum) / u[i][i];
            }
        }
    }
    Some(u)
}

fn inverse_upper(u: &[Vector; UNKNOWNS]) -> [Vector; UNKNOWNS] {
    let mut inverse = [[0.0; UNKNOWNS]; UNKNOWNS];
    for j in (0..UNKNOWNS).rev() {
        inverse[j][j] = 1.0 / u[j][j];
        for i in (0..j).rev() {
            let sum: f64 = (i + 1..=j).map(|k| u[i][k] * inverse[k][j]).sum();
            inverse[i][j] = -sum / u[i][i];
        }
    }
    inverse
}
