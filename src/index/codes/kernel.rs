//! Dot products of a probe's codes with halves of rows' codes, exact in integers, by whatever the processor has for them.
//!
//! ```text
//!  avx512vnni   64 codes an instruction (vpdpbusd)               server parts, some desktops
//!  avxvnni      32 codes an instruction (vpdpbusd, VEX)          Alder Lake-N and what came after it
//!  avx2         32 codes in three instructions (vpmaddubsw)      everything else since 2013
//!  portable     the compiler's own; on ARM sdot, where it is     NEON, and what is not named above
//! ```
//!
//! The instructions multiply unsigned with signed: halves are 0 to 15, a probe's codes -127 to 127. `vpmaddubsw` adds products in 16 bits
//! and would saturate; four of 15 by 127 are far from it. All ways give the same numbers.
//!
//! Four rows are summed side by side: four streams from memory, and one reduction for the four.
#![allow(
    unsafe_code,
    reason = "intrinsics: a way is made only where the processor has it, and loads are of whole aligned chunks"
)]

use multiversion::multiversion;

use super::encode::{CHUNK, Chunk, Halves};

/// Computes `out[n] = probe · row rows[n]` of a plane. A row is half as many lines as the probe has chunks, which are an even number.
/// Of a row that is not in the plane it says 0.
type Dots = unsafe fn(probe: &[Chunk], plane: &[Halves], rows: &[u32], out: &mut [i32]);

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

    /// Writes the dot product of the probe with each of these rows of the plane to `out`, which has room for as many.
    pub(super) fn dots(self, probe: &[Chunk], plane: &[Halves], rows: &[u32], out: &mut [i32]) {
        // SAFETY: `native` gives only what the processor has.
        unsafe { (self.dots)(probe, plane, rows, out) }
    }
}

/// Rows one after the other are asked for so many before they are needed: the processor's own prefetching ends at each page.
const AHEAD: u32 = 12;
/// Lines of a plane that lie in the second cache, 1 MiB: to ask for those costs more than it brings.
const NEAR: usize = 1 << 14;

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

fn portable(probe: &[Chunk], plane: &[Halves], rows: &[u32], out: &mut [i32]) {
    compiled(probe, plane, rows, out);
}

#[multiversion(targets("aarch64+neon+dotprod", "aarch64+neon"))]
fn compiled(probe: &[Chunk], plane: &[Halves], rows: &[u32], out: &mut [i32]) {
    for (&row, out) in rows.iter().zip(out) {
        let (mut first, mut second) = (0, 0);
        for ([p, q], line) in probe.as_chunks::<2>().0.iter().zip(line(plane, probe.len() / 2, row)) {
            for at in 0..CHUNK {
                first += i32::from(p.0[at]) * i32::from((line.0[at] & 15).cast_signed());
                second += i32::from(q.0[at]) * i32::from((line.0[at] >> 4).cast_signed());
            }
        }
        *out = first + second;
    }
}

/// Has a row of a plane on its way to the first cache when it is asked for, where the processor can be told so.
#[inline(always)]
pub(super) fn prefetch(plane: &[Halves], stride: usize, row: u32) {
    #[cfg(target_arch = "x86_64")]
    for line in line(plane, stride, row) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: nothing is read or written.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (plane, stride, row);
}

/// A row of a plane, `stride` lines.
#[inline(always)]
fn line(plane: &[Halves], stride: usize, row: u32) -> &[Halves] {
    let start = row as usize * stride;
    plane.get(start..start + stride).unwrap_or_default()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::encode::{CHUNK, Chunk, Halves};
    use super::{AHEAD, NEAR, line, prefetch};

    /// Walks the rows by fours; where fewer are left the last one is taken again, and not written. `$step` adds the products of a line
    /// with two chunks of the probe, `$reduce` makes one number of each of four sums.
    macro_rules! by_fours {
        ($name:ident, $features:literal, $sum:ty, $zero:ident, $register:ident, $step:ident, $reduce:ident) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name(probe: &[Chunk], plane: &[Halves], rows: &[u32], out: &mut [i32]) {
                #[inline]
                #[target_feature(enable = $features)]
                fn four(probe: &[[Chunk; 2]], plane: &[Halves], [a, b, c, d]: [u32; 4]) -> [i32; 4] {
                    let (a, b) = (line(plane, probe.len(), a), line(plane, probe.len(), b));
                    let (c, d) = (line(plane, probe.len(), c), line(plane, probe.len(), d));
                    let mut sums: [$sum; 4] = [$zero(); 4];
                    for (((([p, q], a), b), c), d) in probe.iter().zip(a).zip(b).zip(c).zip(d) {
                        let (p, q) = ($register(&p.0), $register(&q.0));
                        sums[0] = $step(sums[0], p, q, $register(&a.0));
                        sums[1] = $step(sums[1], p, q, $register(&b.0));
                        sums[2] = $step(sums[2], p, q, $register(&c.0));
                        sums[3] = $step(sums[3], p, q, $register(&d.0));
                    }
                    let [a, b, c, d] = sums;
                    let dots = $reduce(a, b, c, d);
                    [
                        _mm_extract_epi32::<0>(dots),
                        _mm_extract_epi32::<1>(dots),
                        _mm_extract_epi32::<2>(dots),
                        _mm_extract_epi32::<3>(dots),
                    ]
                }
                let (probe, far) = (probe.as_chunks::<2>().0, plane.len() > NEAR);
                let (fours, last) = rows.as_chunks::<4>();
                let (outs, _) = out.as_chunks_mut::<4>();
                for (rows, out) in fours.iter().zip(outs) {
                    if far && rows[3] == rows[0] + 3 {
                        rows.iter().for_each(|row| prefetch(plane, probe.len(), row.saturating_add(AHEAD)));
                    }
                    *out = four(probe, plane, *rows);
                }
                let Some(&end) = last.last() else { return };
                let mut padded = [end; 4];
                padded.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
                let dots = four(probe, plane, padded);
                out.iter_mut()
                    .skip(4 * fours.len())
                    .zip(&dots)
                    .take(last.len())
                    .for_each(|(to, from)| *to = *from);
            }
        };
    }

    by_fours!(
        avx512vnni,
        "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
        [__m512i; 2],
        no_wide,
        wide,
        dpbusd_wide,
        sum_wide
    );
    by_fours!(avxvnni, "avx2,avxvnni", [Pair; 2], no_pairs, pair, dpbusd_pairs, sum_pairs);
    by_fours!(avx2, "avx2", Pair, no_pair, pair, maddubs_pair, sum_pair);

    /// 64 bytes in two registers.
    type Pair = [__m256i; 2];

    /// 64 bytes that lie on a cache line.
    trait Line {}
    impl Line for [i8; CHUNK] {}
    impl Line for [u8; CHUNK] {}

    const _: () = assert!(CHUNK == 64 && align_of::<Chunk>() == 64 && align_of::<Halves>() == 64);

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn wide<L: Line>(line: &L) -> __m512i {
        // SAFETY: both kinds of line are 64 bytes; the load needs no alignment, though it has it.
        unsafe { _mm512_loadu_si512(std::ptr::from_ref(line).cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn no_wide() -> [__m512i; 2] {
        [_mm512_setzero_si512(); 2]
    }

    /// The halves above go in as they stand, sixteen times too large: it saves a shift for each line, and the sum is put right.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn dpbusd_wide([below, above]: [__m512i; 2], p: __m512i, q: __m512i, line: __m512i) -> [__m512i; 2] {
        let mask = _mm512_set1_epi8(15);
        [
            _mm512_dpbusd_epi32(below, _mm512_and_si512(line, mask), p),
            _mm512_dpbusd_epi32(above, _mm512_andnot_si512(mask, line), q),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    fn sum_wide(a: [__m512i; 2], b: [__m512i; 2], c: [__m512i; 2], d: [__m512i; 2]) -> __m128i {
        sum_four(halved(a), halved(b), halved(c), halved(d))
    }

    #[inline]
    #[target_feature(enable = "avx2,avx512f")]
    fn halved([below, above]: [__m512i; 2]) -> __m256i {
        let sum = _mm512_add_epi32(below, _mm512_srai_epi32::<4>(above));
        _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn no_pair() -> Pair {
        [_mm256_setzero_si256(); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn no_pairs() -> [Pair; 2] {
        [no_pair(); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn pair<L: Line>(line: &L) -> Pair {
        let start: *const __m256i = std::ptr::from_ref(line).cast();
        // SAFETY: both kinds of line are 64 bytes: two registers of 32; the loads need no alignment, though they have it.
        unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
    }

    /// As `dpbusd_wide`.
    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    fn dpbusd_pairs([below, above]: [Pair; 2], p: Pair, q: Pair, line: Pair) -> [Pair; 2] {
        let mask = _mm256_set1_epi8(15);
        let step = |n: usize| {
            [
                _mm256_dpbusd_avx_epi32(below[n], _mm256_and_si256(line[n], mask), p[n]),
                _mm256_dpbusd_avx_epi32(above[n], _mm256_andnot_si256(mask, line[n]), q[n]),
            ]
        };
        let ([b0, a0], [b1, a1]) = (step(0), step(1));
        [[b0, b1], [a0, a1]]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum_pairs(a: [Pair; 2], b: [Pair; 2], c: [Pair; 2], d: [Pair; 2]) -> __m128i {
        sum_four(joined(a), joined(b), joined(c), joined(d))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn joined([below, above]: [Pair; 2]) -> __m256i {
        _mm256_add_epi32(both(below), _mm256_srai_epi32::<4>(both(above)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn maddubs_pair(sum: Pair, p: Pair, q: Pair, line: Pair) -> Pair {
        let (mask, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let step = |n: usize| {
            let below = _mm256_maddubs_epi16(_mm256_and_si256(line[n], mask), p[n]);
            let above = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(line[n]), mask), q[n]);
            // Four products a number: at most 4 * 15 * 127, which 16 bits hold.
            _mm256_add_epi32(sum[n], _mm256_madd_epi16(_mm256_add_epi16(below, above), ones))
        };
        [step(0), step(1)]
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

    #[test]
    fn every_way_gives_the_sum_of_products() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (stride, count) in [(1, 1), (1, 3), (1, 64), (2, 5), (4, 64), (4, 63), (5, 7)] {
            // Random codes, and the largest ones, where 16 bits could overflow.
            for extreme in [false, true] {
                let sign = |code: i8, rng: &mut fastrand::Rng| if rng.bool() { code } else { -code };
                let code =
                    |rng: &mut fastrand::Rng| if extreme { sign(127, rng) } else { rng.i8(-127..=127) };
                let probe: Vec<Chunk> =
                    (0..2 * stride).map(|_| Chunk(std::array::from_fn(|_| code(&mut rng)))).collect();
                let mut half = || if extreme { 255 } else { rng.u8(..) };
                let plane: Vec<Halves> =
                    (0..stride * count).map(|_| Halves(std::array::from_fn(|_| half()))).collect();
                // Some of them, in another order, and one twice.
                let rows: Vec<u32> = (0..count as u32).rev().step_by(2).chain([0]).collect();
                let product = |row: &u32| -> i64 {
                    let lines = &plane[*row as usize * stride..][..stride];
                    let pairs = probe.as_chunks::<2>().0.iter().zip(lines);
                    let each = pairs.flat_map(|([p, q], line)| {
                        (0..CHUNK).map(|at| {
                            i64::from(p.0[at]) * i64::from(line.0[at] & 15)
                                + i64::from(q.0[at]) * i64::from(line.0[at] >> 4)
                        })
                    });
                    each.sum()
                };
                let expected: Vec<i64> = rows.iter().map(product).collect();
                for kernel in Kernel::all() {
                    let mut out = vec![0; rows.len()];
                    kernel.dots(&probe, &plane, &rows, &mut out);
                    let out: Vec<i64> = out.into_iter().map(i64::from).collect();
                    assert_eq!(out, expected, "{}: {} rows of {stride}", kernel.name(), rows.len());
                }
            }
        }
    }
}
