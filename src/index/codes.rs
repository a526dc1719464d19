//! The rows again in 8 bits a number, with bounds on what that loses.
//!
//! ```text
//!  row x:    x ≈ s·q,    q in -127..=127,   s = max|x| / 127,   e = ‖x - s·q‖       (q: 128 codes a line, zeros up to a whole one)
//!            x ≈ s·q',   q' = q but for its lower 4 bits,       e' = ‖x - s·q'‖
//!  probe p:  p ≈ t·r,    as q,                                  f = ‖p - t·r‖
//!
//!  p·x = t·s·(r·q) + (t·r)·(x - s·q) + (p - t·r)·x     so     |p·x - t·s·(r·q)|  ≤  ‖t·r‖·e + f·‖x‖      (Cauchy and Schwarz)
//!                                             and likewise    |p·x - t·s·(r·q')| ≤  ‖t·r‖·e' + f·‖x‖
//!
//!  upper halves of all rows ──▶ how high may it score? ──▶ those who may matter ──▶ their lower halves ──▶ Intervals
//! ```
//!
//! Halves of codes lie in planes of their own, so that the first look reads an eighth of the bytes of f32; few rows are looked at again.
//! Dot products of codes are exact. What they say of a score is an interval, never a guess: a row whose interval ends below the k-th best
//! lower end is none of the best k. Rounding in f32, of the estimates and of the score that they stand for, is part of the bounds.

mod encode;
mod fill;
mod kernel;

use multiversion::multiversion;
use zeroize::Zeroize;

use self::encode::{CHUNK, Chunk, Encoded, Halves, encode};
use self::fill::{Part, fill};
use self::kernel::{Kernel, prefetch};
use super::rows::{Probe, Rows};

/// Rows looked at together: 16 KiB of upper halves at 512 numbers, which stay in the first cache while several probes pass.
pub(super) const BLOCK: usize = 64;
/// Above this the 32 bits of a sum could overflow.
const LARGEST_DIMENSION: usize = 1 << 14;

/// Codes of some rows. They are the rows' people's as the rows are: wiped when dropped.
pub(super) struct Codes {
    kernel: Kernel,
    rows: usize,
    /// Lines of halves in a row.
    stride: usize,
    upper: Vec<Halves>,
    lower: Vec<Halves>,
    /// s of each row; here and below zeros up to a whole block.
    scales: Vec<f32>,
    /// e of each row.
    errors: Vec<f32>,
    /// e' of each row.
    coarse_errors: Vec<f32>,
    /// The largest ‖x‖.
    norm: f64,
    /// What rounding may add, for a probe of length 1.
    rounding: f64,
}

impl Codes {
    /// Of all rows; `None` for so many numbers in a row that sums could overflow.
    pub(super) fn of(rows: &Rows) -> Option<Self> {
        if rows.dimension() > LARGEST_DIMENSION {
            return None;
        }
        let stride = rows.dimension().div_ceil(2 * CHUNK);
        let room = rows.len().next_multiple_of(BLOCK);
        let mut codes = Self {
            kernel: Kernel::best(),
            rows: rows.len(),
            stride,
            upper: vec![Halves::ZERO; rows.len() * stride],
            lower: vec![Halves::ZERO; rows.len() * stride],
            scales: vec![0.0; room],
            errors: vec![0.0; room],
            coarse_errors: vec![0.0; room],
            norm: 1.0,
            // A score is a sum over 64 partial ones of dimension / 64 products each (`dots` in the other kernel), then of those: at most
            // dimension / 64 + 20 roundings of 2^-24 of a sum of magnitudes that is at most the lengths' product. An estimate takes four,
            // its two ends one more each.
            rounding: (rows.dimension() as f64 / 64.0 + 32.0) * f64::from(f32::EPSILON),
        };
        codes.norm = fill(rows, codes.part()).max(1.0);
        Some(codes)
    }

    fn part(&mut self) -> Part<'_> {
        let Self { stride, upper, lower, scales, errors, coarse_errors, .. } = self;
        Part { stride: *stride, upper, lower, scales, errors, coarse: coarse_errors }
    }

    /// The way that dot products are computed on this processor.
    pub(super) fn way(&self) -> &'static str {
        self.kernel.name()
    }

    /// The probe's codes, with what makes intervals of dot products.
    pub(super) fn probe(&self, probe: &Probe) -> ProbeCodes {
        let mut chunks = vec![Chunk::ZERO; 2 * self.stride];
        let Encoded { scale, error, norm, sum, .. } = encode(probe.lanes(), &mut chunks);
        let coded = norm + error;
        let fixed = error * self.norm + self.rounding * norm.max(1.0) * self.norm;
        ProbeCodes { chunks, scale, sum, coded: up(coded), fixed: up(fixed) }
    }

    /// The intervals of those rows from `BLOCK * block` on, as many as there are up to `BLOCK`, whose score may be `bar` or more.
    pub(super) fn intervals(&self, probe: &ProbeCodes, block: usize, bar: f32, into: &mut Intervals) {
        into.count = 0;
        let scales = self.scales.as_chunks::<BLOCK>().0.get(block);
        let errors = self.errors.as_chunks::<BLOCK>().0.get(block);
        let coarse = self.coarse_errors.as_chunks::<BLOCK>().0.get(block);
        let (Some(scales), Some(errors), Some(coarse)) = (scales, errors, coarse) else { return };
        let first = block * BLOCK;
        let rows = consecutive(first);
        let rows = rows.get(..self.rows.saturating_sub(first).min(BLOCK)).unwrap_or_default();
        let mut dots = [0; BLOCK];
        self.kernel.dots(&probe.chunks, &self.upper, rows, &mut dots);
        let mut ends = Ends::NONE;
        spread(&dots, (16, -120 * probe.sum), scales, coarse, probe, &mut ends);
        let mut reaching = reaching(&ends.high, bar);
        if reaching == 0 {
            return;
        }
        let (mut upper, mut picked) = ([0; BLOCK], [[0.0; BLOCK]; 2]);
        while reaching != 0 {
            let at = reaching.trailing_zeros() as usize;
            reaching &= reaching - 1;
            let Some(&row) = rows.get(at) else { break };
            prefetch(&self.lower, self.stride, row);
            into.rows[into.count] = row;
            upper[into.count] = 16 * dots[at];
            picked[0][into.count] = scales[at];
            picked[1][into.count] = errors[at];
            into.count += 1;
        }
        self.kernel.dots(
            &probe.chunks,
            &self.lower,
            into.rows.get(..into.count).unwrap_or_default(),
            &mut dots,
        );
        dots.iter_mut().zip(upper).for_each(|(dot, upper)| *dot += upper);
        spread(&dots, (1, -128 * probe.sum), &picked[0], &picked[1], probe, &mut into.ends);
    }
}

impl Drop for Codes {
    fn drop(&mut self) {
        self.upper.zeroize();
        self.lower.zeroize();
        self.scales.zeroize();
    }
}

/// A probe in codes. Wiped when dropped.
pub(super) struct ProbeCodes {
    chunks: Vec<Chunk>,
    /// t
    scale: f32,
    /// The sum of the codes.
    sum: i32,
    /// At least ‖t·r‖.
    coded: f32,
    /// The part of the bound that is the same for all rows.
    fixed: f32,
}

impl Drop for ProbeCodes {
    fn drop(&mut self) {
        self.chunks.zeroize();
        self.scale.zeroize();
        self.sum.zeroize();
    }
}

/// Where the scores of some rows of a block lie: none is outside its interval.
pub(super) struct Intervals {
    rows: [u32; BLOCK],
    ends: Ends,
    count: usize,
}

impl Intervals {
    /// Of no rows yet.
    pub(super) fn new() -> Self {
        Self { rows: [0; BLOCK], ends: Ends::NONE, count: 0 }
    }

    /// The rows in their order, with lower and upper end. Ends are in -1 to 1, as scores are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, f32, f32)> + '_ {
        let ends = self.ends.low.iter().zip(&self.ends.high);
        self.rows.iter().zip(ends).map(|(&row, (&low, &high))| (row, low, high)).take(self.count)
    }
}

/// Ends of intervals, lower and upper.
struct Ends {
    low: [f32; BLOCK],
    high: [f32; BLOCK],
}

impl Ends {
    const NONE: Self = Self { low: [0.0; BLOCK], high: [0.0; BLOCK] };
}

/// The places of those that are at least the bar, as bits.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn reaching(highs: &[f32; BLOCK], bar: f32) -> u64 {
    highs.iter().enumerate().fold(0, |bits, (at, &high)| bits | (u64::from(high >= bar) << at))
}

/// Intervals from dot products, of which `factor * dot + offset` is the codes' own.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn spread(
    dots: &[i32; BLOCK],
    (factor, offset): (i32, i32),
    scales: &[f32; BLOCK],
    errors: &[f32; BLOCK],
    probe: &ProbeCodes,
    into: &mut Ends,
) {
    for at in 0..BLOCK {
        let estimate = (factor * dots[at] + offset) as f32 * (scales[at] * probe.scale);
        let bound = errors[at] * probe.coded + probe.fixed;
        into.low[at] = (estimate - bound).clamp(-1.0, 1.0);
        into.high[at] = (estimate + bound).clamp(-1.0, 1.0);
    }
}

/// `BLOCK` row numbers from one on. A gallery has fewer than 2^32 rows.
fn consecutive(first: usize) -> [u32; BLOCK] {
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let mut rows = [0; BLOCK];
    (0..).zip(&mut rows).for_each(|(at, row)| *row = first.saturating_add(at));
    rows
}

/// As f32, and not less.
fn up(bound: f64) -> f32 {
    (bound * (1.0 + 1e-6)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::rows::score;
    use crate::index::synthetic::Population;
    use crate::types::embedding::Embedding;
    use crate::types::ids::ModelId;

    const MODEL: ModelId = ModelId([1; 32]);

    fn hold(templates: &[Embedding], probes: &[Embedding]) -> f32 {
        let mut rows =
            Rows::with_capacity(MODEL, templates[0].dimension(), templates.len()).expect("a dimension");
        templates.iter().for_each(|t| rows.push(t).expect("one model"));
        let codes = Codes::of(&rows).expect("few numbers");
        let mut widest = 0.0f32;
        for probe in probes {
            let probe = Probe::new(probe);
            let coded = codes.probe(&probe);
            let (mut row, bar) = (0, score(probe.lanes(), rows.row(7)));
            for block in 0..rows.len().div_ceil(BLOCK) {
                let mut intervals = Intervals::new();
                codes.intervals(&coded, block, bar, &mut intervals);
                let given: Vec<u32> = intervals.iter().map(|(row, ..)| row).collect();
                for row in (block * BLOCK..rows.len()).take(BLOCK) {
                    let row = row as u32;
                    let reaches = score(probe.lanes(), rows.row(row)) >= bar;
                    assert!(!reaches || given.contains(&row), "row {row} reaches {bar} and was left out");
                }
                codes.intervals(&coded, block, -1.0, &mut intervals);
                for (number, low, high) in intervals.iter() {
                    assert_eq!(number, row, "nobody may be left out");
                    let score = score(probe.lanes(), rows.row(row));
                    assert!((low..=high).contains(&score), "{score} is not in {low}..={high}");
                    widest = widest.max(high - low);
                    row += 1;
                }
            }
            assert_eq!(row as usize, rows.len());
        }
        widest
    }

    #[test]
    fn every_score_is_in_its_interval_and_faces_have_narrow_ones() {
        for dimension in [1, 2, 63, 64, 65, 128, 512] {
            let mut people = Population::new(MODEL, dimension, 9);
            let templates: Vec<Embedding> = (0..500).map(|n| people.template(n / 3)).collect();
            let probes: Vec<Embedding> = (0..40).map(|n| people.template(n * 5)).collect();
            let widest = hold(&templates, &probes);
            assert!(dimension != 512 || widest < 0.05, "an interval of {widest}");
        }
    }

    #[test]
    fn what_8_bits_hold_badly_has_wide_intervals_and_is_still_in_them() {
        let mut rng = fastrand::Rng::with_seed(2);
        // One number that dwarfs the others, two numbers only, numbers just between two codes.
        let shapes: Vec<Embedding> = (0..300)
            .map(|n| {
                let vector = (0..192).map(|at| match n % 3 {
                    0 => {
                        if at == n % 192 {
                            50.0
                        } else {
                            rng.f32() - 0.5
                        }
                    }
                    1 => {
                        if at == n % 192 || at == 7 {
                            1.0
                        } else {
                            0.0
                        }
                    }
                    _ => (f32::from(rng.i8(-127..127)) + 0.5) * if at == 0 { 2.0 } else { 1.0 },
                });
                Embedding::new(MODEL, vector.collect()).expect("a vector")
            })
            .collect();
        hold(&shapes, &shapes);
    }

    #[test]
    fn a_row_of_too_many_numbers_has_no_codes() {
        let rows = Rows::with_capacity(MODEL, LARGEST_DIMENSION + 1, 0).expect("a dimension");
        assert!(Codes::of(&rows).is_none());
    }
}
