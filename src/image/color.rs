//! From YCbCr code values to R'G'B' (ITU-R BT.601-7, BT.709-6, BT.2020-2; 8 bits).

use crate::types::frame::{Colorimetry, Matrix};

/// An affine map from three samples (Y, Cb, Cr code values, or R, G, B) to red, green, blue on 0..=255,
/// before clamping: `rgb[c] = rows[c][0] * s0 + rows[c][1] * s1 + rows[c][2] * s2 + rows[c][3]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToRgb {
    /// One row for each of red, green, blue.
    pub rows: [[f32; 4]; 3],
}

impl ToRgb {
    /// For samples that are red, green and blue already.
    pub const IDENTITY: Self =
        Self { rows: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };

    /// For YCbCr of this coding. Limited range has 219 steps of luma from 16 and 224 of chroma around 128.
    pub fn new(color: Colorimetry) -> Self {
        let (kr, kb) = luma_weights(color.matrix);
        let kg = 1.0 - kr - kb;
        let (luma, black, chroma) =
            if color.full_range { (1.0, 0.0, 1.0) } else { (255.0 / 219.0, 16.0, 255.0 / 224.0) };
        let (red, blue) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
        let row = |cb: f64, cr: f64| {
            let offset = -luma * black - 128.0 * (cb + cr);
            [luma as f32, cb as f32, cr as f32, offset as f32]
        };
        Self { rows: [row(0.0, red), row(-blue * kb / kg, -red * kr / kg), row(blue, 0.0)] }
    }

    /// The colour of one pixel, clamped to 0..=255.
    pub fn apply(&self, samples: [f32; 3]) -> [f32; 3] {
        let [s0, s1, s2] = samples;
        self.rows.map(|[a, b, c, d]| (a * s0 + b * s1 + c * s2 + d).clamp(0.0, 255.0))
    }
}

/// Weights of red and blue in luma.
fn luma_weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(matrix: Matrix, full_range: bool, samples: [u8; 3]) -> [i32; 3] {
        let map = ToRgb::new(Colorimetry { matrix, full_range });
        map.apply(samples.map(f32::from)).map(|x| x.round() as i32)
    }

    /// Code values as the standards' forward equations give them, rounded to 8 bits.
    fn encode(matrix: Matrix, full_range: bool, rgb: [f64; 3]) -> [u8; 3] {
        let (kr, kb) = luma_weights(matrix);
        let y = kr * rgb[0] + (1.0 - kr - kb) * rgb[1] + kb * rgb[2];
        let (cb, cr) = ((rgb[2] - y) / (2.0 * (1.0 - kb)), (rgb[0] - y) / (2.0 * (1.0 - kr)));
        let (scale, black, chroma) = if full_range { (255.0, 0.0, 255.0) } else { (219.0, 16.0, 224.0) };
        [black + scale * y, 128.0 + chroma * cb, 128.0 + chroma * cr]
            .map(|x| x.round().clamp(0.0, 255.0) as u8)
    }

    #[test]
    fn the_published_code_values_give_the_published_colours() {
        // 100 % colour bars, limited range: the numbers printed in every table of BT.601 and BT.709.
        let bars = [
            (Matrix::Bt601, [[81, 90, 240], [145, 54, 34], [41, 240, 110]]),
            (Matrix::Bt709, [[63, 102, 240], [173, 42, 26], [32, 240, 118]]),
            (Matrix::Bt2020, [[74, 97, 240], [164, 47, 25], [29, 240, 119]]),
        ];
        for (matrix, codes) in bars {
            for (i, code) in codes.into_iter().enumerate() {
                let mut expected = [0; 3];
                expected[i] = 255;
                let got = decode(matrix, false, code);
                let off = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).max();
                assert!(off <= Some(2), "{matrix:?} {code:?}: {got:?}");
            }
            assert_eq!(decode(matrix, false, [16, 128, 128]), [0; 3]);
            assert_eq!(decode(matrix, false, [235, 128, 128]), [255; 3]);
            assert_eq!(decode(matrix, true, [0, 128, 128]), [0; 3]);
            assert_eq!(decode(matrix, true, [255, 128, 128]), [255; 3]);
        }
        // JFIF: full-range BT.601.
        let jfif = ToRgb::new(Colorimetry { matrix: Matrix::Bt601, full_range: true });
        assert!((jfif.rows[0][2] - 1.402).abs() < 1e-6 && (jfif.rows[2][1] - 1.772).abs() < 1e-6);
        assert!((jfif.rows[1][1] + 0.344_136).abs() < 1e-5 && (jfif.rows[1][2] + 0.714_136).abs() < 1e-5);
    }

    #[test]
    fn decoding_undoes_the_standards_encoding() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for full_range in [false, true] {
                for step in 0..27 {
                    let rgb = [step % 3, step / 3 % 3, step / 9].map(|i| f64::from(i) / 2.0);
                    let got = decode(matrix, full_range, encode(matrix, full_range, rgb));
                    let off = got.iter().zip(rgb).map(|(&g, x)| (f64::from(g) - 255.0 * x).abs());
                    assert!(off.fold(0.0, f64::max) <= 2.0, "{matrix:?} {full_range} {rgb:?}: {got:?}");
                }
            }
        }
    }
}
