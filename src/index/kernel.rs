//! The dot product that every search ends in, compiled for several instruction sets and chosen at run time.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use zeroize::Zeroize;

/// Numbers in a [`Lane`]: one AVX-512 register, two of AVX, four of NEON.
pub(super) const LANE: usize = 16;

/// Lanes summed side by side, so that an addition need not wait for the one before it.
const UNROLL: usize = 4;

/// Sixteen numbers on a cache line of their own.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(64))]
pub(super) struct Lane(pub(super) [f32; LANE]);

impl Zeroize for Lane {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Lanes that a vector of `dimension` numbers takes; the rest of the last one is zero.
pub(super) const fn lanes(dimension: usize) -> usize {
    dimension.div_ceil(LANE)
}

/// Writes the dot product of `probe` with each row of `rows` to `out`. A row is `probe.len()` lanes long.
///
/// The sum runs over 64 partial sums in f32: for unit vectors it is within 1e-5 of the sum in f64.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn dots(probe: &[Lane], rows: &[Lane], out: &mut [f32]) {
    // Without a fused instruction `mul_add` is a library call, slower by far.
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    if fused { dots_as::<true>(probe, rows, out) } else { dots_as::<false>(probe, rows, out) }
}

#[inline(always)]
fn dots_as<const FUSED: bool>(probe: &[Lane], rows: &[Lane], out: &mut [f32]) {
    // `chunks_exact` does not take zero; a probe always has a lane.
    for (row, score) in rows.chunks_exact(probe.len().max(1)).zip(out) {
        *score = dot_as::<FUSED>(probe, row);
    }
}

#[inline(always)]
fn dot_as<const FUSED: bool>(a: &[Lane], b: &[Lane]) -> f32 {
    let mut sums = [[0.0f32; LANE]; UNROLL];
    let (head_a, tail_a) = a.as_chunks::<UNROLL>();
    let (head_b, tail_b) = b.as_chunks::<UNROLL>();
    for (xs, ys) in head_a.iter().zip(head_b) {
        for ((sum, x), y) in sums.iter_mut().zip(xs).zip(ys) {
            accumulate::<FUSED>(sum, x, y);
        }
    }
    let [first, second, third, fourth] = &mut sums;
    for (x, y) in tail_a.iter().zip(tail_b) {
        accumulate::<FUSED>(first, x, y);
    }
    let mut total = 0.0;
    for (((p, q), r), s) in first.iter().zip(second.iter()).zip(third.iter()).zip(fourth.iter()) {
        total += (p + q) + (r + s);
    }
    total
}

#[inline(always)]
fn accumulate<const FUSED: bool>(sum: &mut [f32; LANE], x: &Lane, y: &Lane) {
    for ((s, &p), &q) in sum.iter_mut().zip(&x.0).zip(&y.0) {
        *s = if FUSED { p.mul_add(q, *s) } else { p * q + *s };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_add_agree_with_f64_at_every_length() {
        let mut rng = fastrand::Rng::with_seed(1);
        for length in 1..40 {
            let mut lane = || Lane(std::array::from_fn(|_| rng.f32() - 0.5));
            let a: Vec<Lane> = (0..length).map(|_| lane()).collect();
            let b: Vec<Lane> = (0..length).map(|_| lane()).collect();
            let pairs = a.iter().zip(&b).flat_map(|(x, y)| x.0.iter().zip(&y.0));
            let truth: f64 = pairs.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            let mut chosen = [0.0];
            dots(&a, &b, &mut chosen);
            for got in [dot_as::<true>(&a, &b), dot_as::<false>(&a, &b), chosen[0]] {
                assert!((f64::from(got) - truth).abs() < 1e-5, "{length} lanes: {got} for {truth}");
            }
        }
    }
}
