//! Dot products of 8-bit codes, exact in integers, by whatever the processor has for them.
//!
//! ```text
//!  avx512vnni   64 codes an instruction (vpdpbusd)               server parts, some desktops
//!  avxvnni      32 codes an instruction (vpdpbusd, VEX)          Alder Lake-N and what came after it
//!  avx2         32 codes in three instructions (vpmaddubsw)      everything else since 2013
//!  portable     the compiler's own; on ARM sdot, where it is     NEON, and what is not named above
//! ```
//!
//! `vpdpbusd` multiplies unsigned with signed: the probe comes in as code + 128, and 128 times the row's sum goes off again. `vpmaddubsw`
//! adds two products in 16 bits and saturates: the magnitude of the probe is multiplied with the row under the probe's sign, so that two
//! products of 127 by 127 fit. All ways give the same numbers.
//!
//! Four rows are summed side by side: four streams from memory, and one reduction for the four.
#![allow(
    unsafe_code,
    reason = "intrinsics: a way is made only where the processor has it, and loads are of whole aligned chunks"
)]

use multiversion::multiversion;

use super::{CHUNK, Chunk};

/// Computes `out[r] = probe · row r`. A row is `probe.len()` chunks; `offsets[r]` is 128 times the sum of row r.
type Dots = unsafe fn(probe: &[Chunk], rows: &[Chunk], offsets: &[i32], out: &mut [i32]);

/// A way to compute dot products that this processor has.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    name: &'static str,
    dots: Dots,
}

impl Kernel {
    /// The fastest there is.
    pub(super) fn best() -> Self {
        Self::all().next().unwrap_or(PORTABLE)
    }

    /// All that this processor has, the fastest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        native().into_iter().flatten().chain([PORTABLE])
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Writes the dot product of the probe with each row to `out`, for as many rows as there are in all three.
    pub(super) fn dots(self, probe: &[Chunk], rows: &[Chunk], offsets: &[i32], out: &mut [i32]) {
        // SAFETY: `native` gives only what the processor has.
        unsafe { (self.dots)(probe, rows, offsets, out) }
    }
}

const PORTABLE: Kernel = Kernel { name: "portable", dots: portable };

#[cfg(target_arch = "x86_64")]
fn native() -> [Option<Kernel>; 3] {
    let has = |all: &[bool]| all.iter().all(|&one| one);
    let avx2 = is_x86_feature_detected!("avx2");
    let vnni512 = has(&[
        avx2,
        is_x86_feature_detected!("avx512f"),
        is_x86_feature_detected!("avx512bw"),
        is_x86_feature_detected!("avx512vl"),
        is_x86_feature_detected!("avx512vnni"),
    ]);
    let vnni256 = avx2 && is_x86_feature_detected!("avxvnni");
    [
        vnni512.then_some(Kernel { name: "avx512vnni", dots: x86::avx512vnni }),
        vnni256.then_some(Kernel { name: "avxvnni", dots: x86::avxvnni }),
        avx2.then_some(Kernel { name: "avx2", dots: x86::avx2 }),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn native() -> [Option<Kernel>; 0] {
    []
}

fn portable(probe: &[Chunk], rows: &[Chunk], _offsets: &[i32], out: &mut [i32]) {
    compiled(probe, rows, out);
}

#[multiversion(targets("aarch64+neon+dotprod", "aarch64+neon"))]
fn compiled(probe: &[Chunk], rows: &[Chunk], out: &mut [i32]) {
    rest(probe, rows, out);
}

#[inline(always)]
fn rest(probe: &[Chunk], rows: &[Chunk], out: &mut [i32]) {
    // `chunks_exact` does not take zero; a probe always has a chunk.
    for (row, out) in rows.chunks_exact(probe.len().max(1)).zip(out) {
        let mut sum = 0;
        for (x, y) in probe.iter().zip(row) {
            for at in 0..CHUNK {
                sum += i32::from(x.0[at]) * i32::from(y.0[at]);
            }
        }
        *out = sum;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::{CHUNK, Chunk};
    use super::rest;

    /// Walks the rows by fours; the last one to three are left to the portable way. `$unsigned`: the probe goes in as code + 128.
    macro_rules! by_fours {
        ($name:ident, $features:literal, $register:ty, $zero:ident, $probe:ident, $row:ident, $step:ident, $reduce:ident, $unsigned:literal) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name(probe: &[Chunk], rows: &[Chunk], offsets: &[i32], out: &mut [i32]) {
                let stride = probe.len().max(1);
                let fours = (rows.len() / stride / 4).min(offsets.len() / 4).min(out.len() / 4);
                let (rows, last_rows) = rows.split_at(fours * 4 * stride);
                let (out, last_out) = out.split_at_mut(fours * 4);
                let groups = rows.chunks_exact(4 * stride).zip(offsets.as_chunks::<4>().0);
                for ((four, offsets), out) in groups.zip(out.as_chunks_mut::<4>().0) {
                    let (first, second) = four.split_at(2 * stride);
                    let ((a, b), (c, d)) = (first.split_at(stride), second.split_at(stride));
                    let mut sums: [$register; 4] = [$zero(); 4];
                    for ((((p, a), b), c), d) in probe.iter().zip(a).zip(b).zip(c).zip(d) {
                        let p = $probe(p);
                        sums[0] = $step(sums[0], p, $row(a));
                        sums[1] = $step(sums[1], p, $row(b));
                        sums[2] = $step(sums[2], p, $row(c));
                        sums[3] = $step(sums[3], p, $row(d));
                    }
                    let [a, b, c, d] = sums;
                    let dots = $reduce(a, b, c, d);
                    let [oa, ob, oc, od] = if $unsigned { *offsets } else { [0; 4] };
                    let dots = _mm_sub_epi32(dots, _mm_setr_epi32(oa, ob, oc, od));
                    *out = [
                        _mm_extract_epi32::<0>(dots),
                        _mm_extract_epi32::<1>(dots),
                        _mm_extract_epi32::<2>(dots),
                        _mm_extract_epi32::<3>(dots),
                    ];
                }
                rest(probe, last_rows, last_out);
            }
        };
    }

    by_fours!(
        avx512vnni,
        "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
        __m512i,
        _mm512_setzero_si512,
        plus_128_wide,
        wide,
        _mm512_dpbusd_epi32,
        sum_wide,
        true
    );
    by_fours!(avxvnni, "avx2,avxvnni", Pair, no_pair, plus_128, pair, dpbusd_pair, sum_pair, true);
    by_fours!(avx2, "avx2", Pair, no_pair, magnitude_and_sign, pair, maddubs_pair, sum_pair, false);

    /// A chunk in two registers.
    type Pair = [__m256i; 2];

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn wide(chunk: &Chunk) -> __m512i {
        const { assert!(CHUNK == size_of::<__m512i>() && align_of::<Chunk>() == 64) }
        // SAFETY: a chunk is 64 bytes, aligned to 64.
        unsafe { _mm512_load_si512(std::ptr::from_ref(chunk).cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn plus_128_wide(chunk: &Chunk) -> __m512i {
        _mm512_add_epi8(wide(chunk), _mm512_set1_epi8(i8::MIN))
    }

    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    fn sum_wide(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> __m128i {
        sum_four(halved(a), halved(b), halved(c), halved(d))
    }

    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    fn halved(sum: __m512i) -> __m256i {
        _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn no_pair() -> Pair {
        [_mm256_setzero_si256(); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn pair(chunk: &Chunk) -> Pair {
        let start: *const __m256i = std::ptr::from_ref(chunk).cast();
        // SAFETY: a chunk is 64 bytes, aligned to 64: two registers of 32.
        unsafe { [_mm256_load_si256(start), _mm256_load_si256(start.add(1))] }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus_128(chunk: &Chunk) -> Pair {
        let [low, high] = pair(chunk);
        let half = _mm256_set1_epi8(i8::MIN);
        [_mm256_add_epi8(low, half), _mm256_add_epi8(high, half)]
    }

    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    fn dpbusd_pair(sum: Pair, probe: Pair, row: Pair) -> Pair {
        let ([s, t], [p, q], [x, y]) = (sum, probe, row);
        [_mm256_dpbusd_avx_epi32(s, p, x), _mm256_dpbusd_avx_epi32(t, q, y)]
    }

    /// The probe's codes, for the sign, and their magnitudes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn magnitude_and_sign(chunk: &Chunk) -> (Pair, Pair) {
        let [low, high] = pair(chunk);
        ([_mm256_abs_epi8(low), _mm256_abs_epi8(high)], [low, high])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn maddubs_pair(sum: Pair, (magnitude, sign): (Pair, Pair), row: Pair) -> Pair {
        let ([s, t], [m, n], [p, q], [x, y]) = (sum, magnitude, sign, row);
        let ones = _mm256_set1_epi16(1);
        // Two products a sum: at most 2 * 127 * 127, which 16 bits hold.
        let low = _mm256_maddubs_epi16(m, _mm256_sign_epi8(x, p));
        let high = _mm256_maddubs_epi16(n, _mm256_sign_epi8(y, q));
        [
            _mm256_add_epi32(s, _mm256_madd_epi16(low, ones)),
            _mm256_add_epi32(t, _mm256_madd_epi16(high, ones)),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_pair(a: Pair, b: Pair, c: Pair, d: Pair) -> __m128i {
        sum_four(both(a), both(b), both(c), both(d))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn both([low, high]: Pair) -> __m256i {
        _mm256_add_epi32(low, high)
    }

    /// The sum of each, in order.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_four(a: __m256i, b: __m256i, c: __m256i, d: __m256i) -> __m128i {
        let four = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(row: &[Chunk]) -> i64 {
        row.iter().flat_map(|chunk| chunk.0).map(i64::from).sum()
    }

    #[test]
    fn every_way_gives_the_sum_of_products() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (stride, count) in [(1, 1), (1, 3), (1, 64), (2, 5), (8, 64), (8, 63), (9, 7)] {
            // Random codes, and the largest ones, where 16 bits would overflow.
            for extreme in [false, true] {
                let mut code = || match (extreme, rng.bool()) {
                    (false, _) => rng.i8(-127..=127),
                    (true, true) => 127,
                    (true, false) => -127,
                };
                let mut draw = |chunks: usize| -> Vec<Chunk> {
                    (0..chunks).map(|_| Chunk(std::array::from_fn(|_| code()))).collect()
                };
                let (probe, rows) = (draw(stride), draw(stride * count));
                let each = || rows.chunks_exact(stride);
                let offsets: Vec<i32> = each().map(|row| 128 * sum_of(row) as i32).collect();
                let product = |row: &[Chunk]| -> i64 {
                    let pairs = probe.iter().zip(row).flat_map(|(x, y)| x.0.into_iter().zip(y.0));
                    pairs.map(|(x, y)| i64::from(x) * i64::from(y)).sum()
                };
                let expected: Vec<i64> = each().map(product).collect();
                for kernel in Kernel::all() {
                    let mut out = vec![0; count];
                    kernel.dots(&probe, &rows, &offsets, &mut out);
                    let out: Vec<i64> = out.into_iter().map(i64::from).collect();
                    assert_eq!(out, expected, "{}: {count} rows of {stride}", kernel.name());
                }
            }
        }
    }
}
