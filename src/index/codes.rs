//! The rows again in 8 bits a number, with a bound on what that loses.
//!
//! ```text
//!  row x:    x ≈ s·q,   q in -127..=127,   s = max|x| / 127,   e = ‖x - s·q‖        (q: 64 codes a chunk, zeros up to a whole one)
//!  probe p:  p ≈ t·r,   likewise,                              f = ‖p - t·r‖
//!
//!  p·x = t·s·(r·q) + (t·r)·(x - s·q) + (p - t·r)·x     so     |p·x - t·s·(r·q)|  ≤  ‖t·r‖·e + f·‖x‖      (Cauchy and Schwarz)
//! ```
//!
//! The dot product of the codes is exact, and a quarter of the bytes. What it says of the score is an interval, never a guess: a row whose
//! interval ends below the k-th best lower end is none of the best k. Rounding in f32, of this estimate and of the score that it stands for,
//! is part of the bound.

mod kernel;

use multiversion::multiversion;
use zeroize::Zeroize;

use self::kernel::Kernel;
use super::kernel::{LANE, Lane};
use super::rows::{Probe, Rows};

/// Codes in a [`Chunk`]: one AVX-512 register, two of AVX.
const CHUNK: usize = 64;
/// Rows whose intervals are computed before they are looked at: 32 KiB of codes at 512 numbers, which stay in the first cache while
/// several probes pass.
pub(super) const BLOCK: usize = 64;
/// Above this the 32 bits of a sum could overflow.
const LARGEST_DIMENSION: usize = 1 << 14;
const LARGEST_CODE: f32 = 127.0;
/// 1.5 * 2^23: numbers of that size are a whole one apart.
const ROUNDER: f32 = 12_582_912.0;

/// Sixty-four codes on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Chunk([i8; CHUNK]);

impl Zeroize for Chunk {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Codes of some rows. They are the rows' people's as the rows are: wiped when dropped.
pub(super) struct Codes {
    kernel: Kernel,
    stride: usize,
    chunks: Vec<Chunk>,
    /// s of each row.
    scales: Vec<f32>,
    /// e of each row.
    errors: Vec<f32>,
    /// 128 times the sum of each row's codes.
    offsets: Vec<i32>,
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
        let stride = rows.dimension().div_ceil(CHUNK);
        // Room for all at once: nothing is moved on the way, and no copy stays behind.
        let mut codes = Self {
            kernel: Kernel::best(),
            stride,
            chunks: Vec::with_capacity(rows.len() * stride),
            scales: Vec::with_capacity(rows.len()),
            errors: Vec::with_capacity(rows.len()),
            offsets: Vec::with_capacity(rows.len()),
            norm: 1.0,
            // A score is a sum over 64 partial ones of dimension / 64 products each (`dots` in the other kernel), then of those: at most
            // dimension / 64 + 20 roundings of 2^-24 of a sum of magnitudes that is at most the lengths' product. An estimate takes four,
            // its two ends one more each.
            rounding: (rows.dimension() as f64 / 64.0 + 32.0) * f64::from(f32::EPSILON),
        };
        for row in rows.lanes().chunks_exact(rows.stride()) {
            let start = codes.chunks.len();
            codes.chunks.resize(start + stride, Chunk([0; CHUNK]));
            let row = encode(row, codes.chunks.get_mut(start..).unwrap_or_default());
            codes.scales.push(row.scale);
            codes.errors.push(up(row.error));
            codes.offsets.push(128 * row.sum);
            codes.norm = codes.norm.max(row.norm);
        }
        Some(codes)
    }

    /// The way that dot products are computed on this processor.
    pub(super) fn way(&self) -> &'static str {
        self.kernel.name()
    }

    /// The probe's codes, with what makes intervals of dot products.
    pub(super) fn probe(&self, probe: &Probe) -> ProbeCodes {
        let mut chunks = vec![Chunk([0; CHUNK]); self.stride];
        let Encoded { scale, error, norm, .. } = encode(probe.lanes(), &mut chunks);
        let coded = norm + error;
        let fixed = error * self.norm + self.rounding * norm.max(1.0) * self.norm;
        ProbeCodes { chunks, scale, coded: up(coded), fixed: up(fixed) }
    }

    /// The intervals of the rows from `BLOCK * block` on, as many as there are up to `BLOCK`.
    pub(super) fn intervals(&self, probe: &ProbeCodes, block: usize, into: &mut Intervals) {
        let first = block * BLOCK;
        let count = self.scales.len().saturating_sub(first).min(BLOCK);
        let rows = self.chunks.get(first * self.stride..(first + count) * self.stride).unwrap_or_default();
        let of = |all: &'_ [f32]| -> [f32; BLOCK] {
            let mut block = [0.0; BLOCK];
            block.iter_mut().zip(all.iter().skip(first)).for_each(|(to, from)| *to = *from);
            block
        };
        let offsets = self.offsets.get(first..first + count).unwrap_or_default();
        let mut dots = [0; BLOCK];
        self.kernel.dots(&probe.chunks, rows, offsets, dots.get_mut(..count).unwrap_or_default());
        into.count = count;
        spread(&dots, &of(&self.scales), &of(&self.errors), probe, into);
    }
}

impl Drop for Codes {
    fn drop(&mut self) {
        self.chunks.zeroize();
        self.scales.zeroize();
    }
}

/// A probe in codes. Wiped when dropped.
pub(super) struct ProbeCodes {
    chunks: Vec<Chunk>,
    /// t
    scale: f32,
    /// At least ‖t·r‖.
    coded: f32,
    /// The part of the bound that is the same for all rows.
    fixed: f32,
}

impl Drop for ProbeCodes {
    fn drop(&mut self) {
        self.chunks.zeroize();
        self.scale.zeroize();
    }
}

/// Where the scores of a block of rows lie: none is outside its interval.
pub(super) struct Intervals {
    low: [f32; BLOCK],
    high: [f32; BLOCK],
    count: usize,
}

impl Intervals {
    /// Of no rows yet.
    pub(super) fn new() -> Self {
        Self { low: [0.0; BLOCK], high: [0.0; BLOCK], count: 0 }
    }

    /// Lower and upper end for each row. Ends are in -1 to 1, as scores are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        self.low.iter().copied().zip(self.high.iter().copied()).take(self.count)
    }

    /// True if a score may be that high.
    pub(super) fn reach(&self, bar: f32) -> bool {
        // Without `any`, which would stop at the first and cannot look at several at once.
        self.high.iter().take(self.count).fold(false, |reached, &high| reached | (high >= bar))
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn spread(
    dots: &[i32; BLOCK],
    scales: &[f32; BLOCK],
    errors: &[f32; BLOCK],
    probe: &ProbeCodes,
    into: &mut Intervals,
) {
    for at in 0..BLOCK {
        let estimate = dots[at] as f32 * (scales[at] * probe.scale);
        let bound = errors[at] * probe.coded + probe.fixed;
        into.low[at] = (estimate - bound).clamp(-1.0, 1.0);
        into.high[at] = (estimate + bound).clamp(-1.0, 1.0);
    }
}

struct Encoded {
    scale: f32,
    error: f64,
    norm: f64,
    sum: i32,
}

/// Writes the codes of a vector, which are at most as many as there is room for.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn encode(vector: &[Lane], chunks: &mut [Chunk]) -> Encoded {
    let mut largest = 0.0f32;
    for lane in vector {
        for x in lane.0 {
            largest = largest.max(x.abs());
        }
    }
    let scale = largest / LARGEST_CODE;
    // A vector is a unit one; one without length would have codes of zero.
    let inverse = if scale > f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
    // A sum for each place in a lane, so that an addition need not wait for the one before it.
    let (mut errors, mut norms, mut sum) = ([0.0f64; LANE], [0.0f64; LANE], 0);
    let scale_wide = f64::from(scale);
    for (lanes, chunk) in vector.chunks(CHUNK / LANE).zip(chunks) {
        for (lane, codes) in lanes.iter().zip(chunk.0.as_chunks_mut::<LANE>().0) {
            for at in 0..LANE {
                let x = lane.0[at];
                // Rounded to a whole number by the addition, which leaves it in the lowest bits. No product is beyond 127.4.
                let shifted = x * inverse + ROUNDER;
                let code = shifted.to_bits() as i8;
                codes[at] = code;
                sum += i32::from(code);
                let lost = f64::from(x) - scale_wide * f64::from(shifted - ROUNDER);
                errors[at] += lost * lost;
                norms[at] += f64::from(x) * f64::from(x);
            }
        }
    }
    let length = |squares: [f64; LANE]| squares.iter().sum::<f64>().sqrt();
    Encoded { scale, error: length(errors), norm: length(norms), sum }
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
            let mut row = 0;
            for block in 0..rows.len().div_ceil(BLOCK) {
                let mut intervals = Intervals::new();
                codes.intervals(&coded, block, &mut intervals);
                for (low, high) in intervals.iter() {
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
