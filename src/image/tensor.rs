//! From pixels to the planar (channel, row, column) f32 tensors that models take in.

use crate::types::frame::{Pixels, RgbImage};

/// Which colour a tensor's first channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (models trained with OpenCV).
    Bgr,
}

impl ChannelOrder {
    /// For each of the tensor's channels, which of red (0), green (1), blue (2) it holds.
    pub const fn channels(self) -> [usize; 3] {
        match self {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        }
    }
}

/// Fixed normalisation: `(x - mean) * scale` for each channel, `x` on 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalize {
    /// Order of the tensor's channels.
    pub order: ChannelOrder,
    /// Subtracted, in the tensor's channel order.
    pub mean: [f32; 3],
    /// Then multiplied, in the tensor's channel order.
    pub scale: [f32; 3],
}

impl Normalize {
    /// The same mean and scale for all channels.
    pub const fn uniform(order: ChannelOrder, mean: f32, scale: f32) -> Self {
        Self { order, mean: [mean; 3], scale: [scale; 3] }
    }

    /// The same map as `x * scale + offset`.
    pub fn offsets(&self) -> [f32; 3] {
        std::array::from_fn(|c| -self.mean[c] * self.scale[c])
    }

    /// What a pixel of gray `level` becomes.
    pub fn gray(&self, level: u8) -> [f32; 3] {
        std::array::from_fn(|c| (f32::from(level) - self.mean[c]) * self.scale[c])
    }
}

/// How an embedder wants its crops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CropScaling {
    /// With fixed numbers.
    Fixed(Normalize),
    /// Each crop by its own mean and standard deviation over all its samples (FaceNet's `prewhiten`):
    /// `(x - mean) / max(std, 1 / sqrt(samples))`.
    Whiten(ChannelOrder),
}

impl CropScaling {
    /// Writes the crop into `out`, which holds at least `3 * width * height` numbers. A shorter `out` is filled as far as it goes.
    pub fn write(&self, crop: &RgbImage, out: &mut [f32]) {
        match self {
            CropScaling::Fixed(normalize) => crop_to_tensor(crop, normalize, out),
            CropScaling::Whiten(order) => crop_to_tensor(crop, &whitening(crop, *order), out),
        }
    }
}

/// Writes a crop into `out` as planar channels, normalised. `out` holds at least `3 * width * height` numbers,
/// one slot of a batch; a shorter `out` is filled as far as it goes.
pub fn crop_to_tensor(crop: &RgbImage, normalize: &Normalize, out: &mut [f32]) {
    let plane = crop.size().area() as usize;
    let offsets = normalize.offsets();
    for (channel, target) in out.chunks_mut(plane).take(3).enumerate() {
        let (scale, offset) = (normalize.scale[channel], offsets[channel]);
        channel_to_plane(crop.data(), normalize.order.channels()[channel], scale, offset, target);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn channel_to_plane(rgb: &[u8], channel: usize, scale: f32, offset: f32, out: &mut [f32]) {
    let (pixels, _) = rgb.as_chunks::<3>();
    let channel = channel.min(2);
    for (target, pixel) in out.iter_mut().zip(pixels) {
        *target = f32::from(pixel[channel]) * scale + offset;
    }
}

/// The fixed normalisation that whitens this crop.
fn whitening(crop: &RgbImage, order: ChannelOrder) -> Normalize {
    let samples = crop.data();
    let (sum, squares) = samples
        .iter()
        .fold((0u64, 0u64), |(sum, squares), &x| (sum + u64::from(x), squares + u64::from(x) * u64::from(x)));
    let count = samples.len() as f64;
    let mean = sum as f64 / count;
    let deviation = (squares as f64 / count - mean * mean).max(0.0).sqrt();
    let scale = 1.0 / deviation.max(1.0 / count.sqrt());
    Normalize::uniform(order, mean as f32, scale as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::noise;
    use crate::types::geometry::Size;

    fn crop() -> RgbImage {
        RgbImage::new(Size::new(2, 2), vec![255, 0, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9]).expect("a picture")
    }

    #[test]
    fn channels_and_numbers_land_where_they_belong() {
        let normalize =
            Normalize { order: ChannelOrder::Bgr, mean: [10.0, 0.0, 5.0], scale: [1.0, 2.0, 0.5] };
        let mut out = [9.0; 13];
        crop_to_tensor(&crop(), &normalize, &mut out);
        assert_eq!(out[..4], [0.0, -7.0, -4.0, -1.0], "blue - 10");
        assert_eq!(out[4..8], [0.0, 4.0, 10.0, 16.0], "green * 2");
        assert_eq!(out[8..12], [125.0, -2.0, -0.5, 1.0], "(red - 5) / 2");
        assert_eq!(out[12], 9.0, "what follows is left alone");
        assert_eq!(normalize.gray(10), [0.0, 20.0, 2.5]);
    }

    #[test]
    fn rgb_keeps_the_order() {
        let mut out = [0.0; 12];
        crop_to_tensor(&crop(), &Normalize::uniform(ChannelOrder::Rgb, 0.0, 1.0), &mut out);
        assert_eq!(out, [255.0, 1.0, 4.0, 7.0, 0.0, 2.0, 5.0, 8.0, 10.0, 3.0, 6.0, 9.0]);
    }

    #[test]
    fn a_whitened_crop_has_mean_zero_and_deviation_one() {
        let picture = noise(Size::new(40, 30), 3);
        let mut out = vec![0.0; 3600];
        CropScaling::Whiten(ChannelOrder::Rgb).write(&picture, &mut out);
        let mean = out.iter().sum::<f32>() / 3600.0;
        let variance = out.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 3600.0;
        assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");

        let flat = RgbImage::new(Size::new(4, 4), vec![77; 48]).expect("a picture");
        let mut out = vec![1.0; 48];
        CropScaling::Whiten(ChannelOrder::Rgb).write(&flat, &mut out);
        assert!(out.iter().all(|x| x.abs() < 1e-3), "a flat crop is no division by zero");
    }

    #[test]
    fn a_short_slot_is_no_panic() {
        for length in 0..13 {
            crop_to_tensor(&crop(), &Normalize::uniform(ChannelOrder::Rgb, 0.0, 1.0), &mut vec![0.0; length]);
        }
    }
}
