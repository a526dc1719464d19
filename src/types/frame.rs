//! A decoded picture, in the decoder's own memory.

use std::fmt;
use std::sync::Arc;

use super::geometry::Size;
use super::ids::CameraId;
use crate::bail;
use crate::base::clock::Moment;
use crate::base::error::Result;

/// The largest picture accepted, in pixels: an 8K frame (7680 x 4320) with room for portrait photographs.
pub const MAX_PIXELS: u64 = 50_000_000;
/// The longest side accepted.
pub const MAX_SIDE: u32 = 16_384;

/// Which YCbCr matrix the samples were coded with (ITU-R BT.601, BT.709, BT.2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// Standard definition.
    Bt601,
    /// High definition.
    Bt709,
    /// Ultra high definition.
    Bt2020,
}

/// How samples become light: matrix, and whether luma uses 16..=235 (limited) or 0..=255 (full).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    /// The matrix.
    pub matrix: Matrix,
    /// True for 0..=255.
    pub full_range: bool,
}

/// One plane of samples: rows of `stride` bytes.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    /// At least `stride * (rows - 1) + row length` bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// The samples of a picture. Chroma planes are subsampled 2 x 2, with `(w + 1) / 2` by `(h + 1) / 2` samples.
#[derive(Clone, Copy)]
pub enum Planes<'a> {
    /// Planar 4:2:0.
    I420 {
        /// Luma.
        y: Plane<'a>,
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
        /// Colour coding.
        color: Colorimetry,
    },
    /// Luma plane, and one plane of interleaved U and V.
    Nv12 {
        /// Luma.
        y: Plane<'a>,
        /// Chroma pairs.
        uv: Plane<'a>,
        /// Colour coding.
        color: Colorimetry,
    },
    /// Interleaved 8-bit red, green, blue (photographs).
    Rgb {
        /// Three bytes a pixel.
        rgb: Plane<'a>,
    },
}

/// Memory that holds a picture and can be read in place.
pub trait Pixels: Send + Sync {
    /// Width and height.
    fn size(&self) -> Size;
    /// The samples.
    fn planes(&self) -> Planes<'_>;
}

/// Checks a picture's size against the limits, before memory is taken for it.
///
/// # Errors
/// `Data`, with the size and the limit.
pub fn check_size(size: Size) -> Result<()> {
    if size.width == 0 || size.height == 0 {
        bail!(Data, "a picture of {size} pixels holds nothing");
    }
    if size.width > MAX_SIDE || size.height > MAX_SIDE || size.area() > MAX_PIXELS {
        bail!(
            Data,
            "a picture of {size} is larger than the limit of {MAX_SIDE} a side and {MAX_PIXELS} pixels"
        );
    }
    Ok(())
}

/// A frame of a camera. Cloning shares the pixels.
#[derive(Clone)]
pub struct Frame {
    /// Where it comes from.
    pub camera: CameraId,
    /// The connection it was received in; counts from 1.
    pub epoch: u32,
    /// Counts the frames of the epoch from 0, dropped ones included.
    pub sequence: u64,
    /// When it was captured (for a live camera: presentation time on the pipeline's clock; for a file: position).
    pub captured: Moment,
    pixels: Arc<dyn Pixels>,
}

impl Frame {
    /// Wraps decoded pixels.
    ///
    /// # Errors
    /// `Data`, when the size is outside the limits.
    pub fn new(
        camera: CameraId,
        epoch: u32,
        sequence: u64,
        captured: Moment,
        pixels: Arc<dyn Pixels>,
    ) -> Result<Self> {
        check_size(pixels.size())?;
        Ok(Self { camera, epoch, sequence, captured, pixels })
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.pixels.size()
    }

    /// The picture.
    pub fn pixels(&self) -> &dyn Pixels {
        &*self.pixels
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} epoch {} #{} {})", self.camera, self.epoch, self.sequence, self.size())
    }
}

/// An interleaved RGB picture in our own memory: photographs, and what we draw.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    size: Size,
    data: Vec<u8>,
}

impl RgbImage {
    /// Wraps `width * height * 3` bytes.
    ///
    /// # Errors
    /// `Data`, when the size is outside the limits or the bytes do not match it.
    pub fn new(size: Size, data: Vec<u8>) -> Result<Self> {
        check_size(size)?;
        if data.len() as u64 != size.area() * 3 {
            bail!(Data, "{} bytes do not make a picture of {size} with 3 bytes a pixel", data.len());
        }
        Ok(Self { size, data })
    }

    /// The bytes, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, to draw on.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives the bytes back.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({})", self.size)
    }
}

impl Pixels for RgbImage {
    fn size(&self) -> Size {
        self.size
    }

    fn planes(&self) -> Planes<'_> {
        Planes::Rgb { rgb: Plane { data: &self.data, stride: self.size.width as usize * 3 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded_before_anything_else() {
        assert!(check_size(Size::new(7680, 4320)).is_ok());
        assert!(check_size(Size::new(30_000, 30_000)).is_err());
        assert!(check_size(Size::new(0, 10)).is_err());
        assert!(RgbImage::new(Size::new(2, 2), vec![0; 11]).is_err());
    }
}
