//! A vector in 8-bit codes, and what that loses.

use multiversion::multiversion;
use zeroize::Zeroize;

use super::super::kernel::{LANE, Lane};

/// Codes in a [`Chunk`]: one AVX-512 register, two of AVX.
pub(super) const CHUNK: usize = 64;
const LARGEST_CODE: f32 = 127.0;
/// 1.5 * 2^23: numbers of that size are a whole one apart.
const ROUNDER: f32 = 12_582_912.0;

/// Sixty-four codes on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Chunk(pub(super) [i8; CHUNK]);

impl Chunk {
    /// Codes of zero.
    pub(super) const ZERO: Self = Self([0; CHUNK]);
}

impl Zeroize for Chunk {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// The half of 128 codes, a cache line: in byte n the half of code n below, of code n + 64 above. A half is 0 to 15.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Halves(pub(super) [u8; CHUNK]);

impl Halves {
    /// Halves that are all 0.
    pub(super) const ZERO: Self = Self([0; CHUNK]);
}

impl Zeroize for Halves {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// What a vector's codes are to it; letters as in the picture above this module.
pub(super) struct Encoded {
    /// s
    pub(super) scale: f32,
    /// ‖x - s·q‖
    pub(super) error: f64,
    /// ‖x‖
    pub(super) norm: f64,
    /// The sum of the codes.
    pub(super) sum: i32,
}

/// Writes the codes of a vector, which are at most as many as there is room for.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn encode(vector: &[Lane], chunks: &mut [Chunk]) -> Encoded {
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

/// ‖x - s·q'‖ of a vector and its codes.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn coarse_error(vector: &[Lane], scale: f32, chunks: &[Chunk]) -> f64 {
    let mut errors = [0.0f64; LANE];
    for (lanes, chunk) in vector.chunks(CHUNK / LANE).zip(chunks) {
        for (lane, codes) in lanes.iter().zip(chunk.0.as_chunks::<LANE>().0) {
            for at in 0..LANE {
                let lost = f64::from(lane.0[at]) - f64::from(scale) * f64::from(middle(codes[at]));
                errors[at] += lost * lost;
            }
        }
    }
    errors.iter().sum::<f64>().sqrt()
}

/// q': what a code is taken for when only its upper half is known, the middle of the sixteen that have it.
fn middle(code: i8) -> i32 {
    (i32::from(code) & !15) + 8
}

/// Takes codes, an even number of chunks, apart into their upper and lower halves: code + 128 = 16 * upper + lower.
pub(super) fn halve(codes: &[Chunk], upper: &mut [Halves], lower: &mut [Halves]) {
    for (([first, second], upper), lower) in codes.as_chunks::<2>().0.iter().zip(upper).zip(lower) {
        let of = |half: fn(u8) -> u8| {
            let each = |code: i8| half(code.cast_unsigned() ^ 0x80);
            Halves(std::array::from_fn(|at| each(first.0[at]) | each(second.0[at]) << 4))
        };
        *upper = of(|code| code >> 4);
        *lower = of(|code| code & 15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_their_codes() {
        let codes: [Chunk; 2] = std::array::from_fn(|n| {
            Chunk(std::array::from_fn(|at| i8::try_from(n * 64 + at).expect("0 to 127").wrapping_mul(-1)))
        });
        let (mut upper, mut lower) = ([Halves::ZERO], [Halves::ZERO]);
        halve(&codes, &mut upper, &mut lower);
        for at in 0..CHUNK {
            for (shift, chunk) in [(0, &codes[0]), (4, &codes[1])] {
                let of = |halves: &Halves| i32::from(halves.0[at] >> shift & 15);
                let code = i32::from(chunk.0[at]);
                assert_eq!(16 * of(&upper[0]) + of(&lower[0]) - 128, code);
                assert_eq!(16 * of(&upper[0]) - 120, middle(chunk.0[at]), "the middle of {code}'s sixteen");
                assert!((middle(chunk.0[at]) - code).abs() <= 8);
            }
        }
    }
}
