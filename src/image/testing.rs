//! Pictures made from numbers, for tests.

use crate::types::frame::{Colorimetry, Matrix, Pixels, Plane, Planes, RgbImage};
use crate::types::geometry::Size;

/// A picture of random samples, the same for the same seed.
pub(crate) fn noise(size: Size, seed: u64) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(seed);
    let data = (0..size.area() * 3).map(|_| random.u8(..)).collect();
    RgbImage::new(size, data).expect("a size within the limits")
}

/// A picture whose colours come from a function of the pixel.
pub(crate) fn painted(size: Size, color: impl Fn(u32, u32) -> [u8; 3]) -> RgbImage {
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    let data = pixels.flat_map(|(x, y)| color(x, y)).collect();
    RgbImage::new(size, data).expect("a size within the limits")
}

/// A smooth picture with edges: what photographs are made of.
pub(crate) fn scene(size: Size) -> RgbImage {
    painted(size, |x, y| {
        let (fx, fy) = (x as f32 / size.width as f32, y as f32 / size.height as f32);
        let disc = (fx - 0.4).hypot(fy - 0.5) < 0.25;
        let base = 120.0 + 80.0 * (fx * 9.0).sin() * (fy * 7.0).cos();
        if disc { [220, 150, (base * 0.6) as u8] } else { [base as u8, (fy * 200.0) as u8, 90] }
    })
}

/// A 4:2:0 picture in either layout, with padding after each row.
pub(crate) struct Yuv {
    pub size: Size,
    pub color: Colorimetry,
    pub interleaved: bool,
    luma: (Vec<u8>, usize),
    chroma: [(Vec<u8>, usize); 2],
}

impl Yuv {
    /// Lays samples out; the row padding is filled with `0xA5`, which must never be read.
    pub fn new(
        size: Size,
        interleaved: bool,
        padding: usize,
        color: Colorimetry,
        sample: impl Fn(usize, u32, u32) -> u8,
    ) -> Self {
        let half = Size::new(size.width.div_ceil(2), size.height.div_ceil(2));
        let plane = |size: Size, kinds: &[usize]| {
            let stride = size.width as usize * kinds.len() + padding;
            let mut data = Vec::new();
            for y in 0..size.height {
                (0..size.width).for_each(|x| data.extend(kinds.iter().map(|&kind| sample(kind, x, y))));
                data.resize(data.len() + if y + 1 < size.height { padding } else { 0 }, 0xA5);
            }
            (data, stride)
        };
        let chroma = if interleaved {
            [plane(half, &[1, 2]), (Vec::new(), 0)]
        } else {
            [plane(half, &[1]), plane(half, &[2])]
        };
        Self { size, color, interleaved, luma: plane(size, &[0]), chroma }
    }

    /// Random samples, the same for both layouts.
    pub fn noise(size: Size, interleaved: bool, padding: usize) -> Self {
        let color = Colorimetry { matrix: Matrix::Bt709, full_range: false };
        Self::new(size, interleaved, padding, color, |kind, x, y| {
            let mixed =
                (u64::from(x) << 32 | u64::from(y) << 2 | kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed >> 56) as u8 ^ (mixed >> 24) as u8
        })
    }

    /// The same content as an RGB picture, roughly: forward BT.709, limited range, chroma averaged over 2 x 2.
    pub fn of(picture: &RgbImage, interleaved: bool, padding: usize) -> Self {
        let size = picture.size();
        let color = Colorimetry { matrix: Matrix::Bt709, full_range: false };
        let rgb = |x: u32, y: u32| {
            let at = (y.min(size.height - 1) * size.width + x.min(size.width - 1)) as usize * 3;
            [0, 1, 2].map(|c| f32::from(picture.data()[at + c]))
        };
        let luma = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
        Self::new(size, interleaved, padding, color, |kind, x, y| {
            if kind == 0 {
                return (16.0 + luma(rgb(x, y)) * 219.0 / 255.0).round() as u8;
            }
            let block = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| rgb(2 * x + dx, 2 * y + dy));
            let difference = |p: [f32; 3]| match kind {
                1 => (p[2] - luma(p)) / 1.8556,
                _ => (p[0] - luma(p)) / 1.5748,
            };
            (128.0 + block.map(difference).iter().sum::<f32>() / 4.0 * 224.0 / 255.0).round() as u8
        })
    }
}

impl Pixels for Yuv {
    fn size(&self) -> Size {
        self.size
    }

    fn planes(&self) -> Planes<'_> {
        fn plane((data, stride): &(Vec<u8>, usize)) -> Plane<'_> {
            Plane { data, stride: *stride }
        }
        let (y, [u, v]) = (plane(&self.luma), &self.chroma);
        if self.interleaved {
            Planes::Nv12 { y, uv: plane(u), color: self.color }
        } else {
            Planes::I420 { y, u: plane(u), v: plane(v), color: self.color }
        }
    }
}

/// An RGB picture with padding after each row.
pub(crate) struct Strided {
    pub size: Size,
    pub data: Vec<u8>,
    pub stride: usize,
}

impl Strided {
    pub fn of(picture: &RgbImage, padding: usize) -> Self {
        let size = picture.size();
        let row = size.width as usize * 3;
        let mut data: Vec<u8> =
            picture.data().chunks(row).flat_map(|r| r.iter().copied().chain(vec![0xA5; padding])).collect();
        data.truncate(data.len() - padding);
        Self { size, data, stride: row + padding }
    }
}

impl Pixels for Strided {
    fn size(&self) -> Size {
        self.size
    }

    fn planes(&self) -> Planes<'_> {
        Planes::Rgb { rgb: Plane { data: &self.data, stride: self.stride } }
    }
}
