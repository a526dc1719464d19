//! A picture's planes, checked once so that the loops below need not.

use super::color::ToRgb;
use crate::types::frame::{Pixels, Plane, Planes};
use crate::types::geometry::Size;

/// One plane: `height` rows of `width` groups of `channels` interleaved samples.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    plane: Plane<'a>,
    /// Samples of one kind in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Interleaved samples: 1 (Y, U or V), 2 (UV) or 3 (RGB).
    pub channels: usize,
}

impl<'a> Layer<'a> {
    /// `None` when the plane is shorter than its size says.
    fn new(plane: Plane<'a>, size: Size, channels: usize) -> Option<Self> {
        let (width, height) = (size.width as usize, size.height as usize);
        let row = width.checked_mul(channels)?;
        let needed = plane.stride.checked_mul(height.checked_sub(1)?)?.checked_add(row)?;
        let fits = row > 0 && plane.stride >= row && plane.data.len() >= needed;
        fits.then_some(Self { plane, width, height, channels })
    }

    /// Groups `from..to` of row `y`; empty outside the picture.
    pub fn row(&self, y: usize, from: usize, to: usize) -> &'a [u8] {
        let start = y * self.plane.stride;
        self.plane.data.get(start + from * self.channels..start + to * self.channels).unwrap_or(&[])
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.plane.stride
    }

    /// All bytes.
    pub fn data(&self) -> &'a [u8] {
        self.plane.data
    }
}

/// A picture's layers: the first at full size, those after it subsampled 2 x 2.
pub(super) struct Layers<'a> {
    /// RGB, or luma.
    pub full: Layer<'a>,
    /// Nothing for RGB; UV for NV12; U and V for I420.
    pub half: [Option<Layer<'a>>; 2],
    /// From samples to colours.
    pub to_rgb: ToRgb,
}

impl<'a> Layers<'a> {
    /// `None` for a picture without pixels, or whose planes are shorter than its size says: a bug of the
    /// source, which must not bring the daemon down. Callers treat such a picture as black.
    pub fn of(picture: &'a dyn Pixels) -> Option<Self> {
        let size = picture.size();
        let chroma = Size::new(size.width.div_ceil(2), size.height.div_ceil(2));
        Some(match picture.planes() {
            Planes::Rgb { rgb } => {
                Self { full: Layer::new(rgb, size, 3)?, half: [None, None], to_rgb: ToRgb::IDENTITY }
            }
            Planes::Nv12 { y, uv, color } => Self {
                full: Layer::new(y, size, 1)?,
                half: [Some(Layer::new(uv, chroma, 2)?), None],
                to_rgb: ToRgb::new(color),
            },
            Planes::I420 { y, u, v, color } => Self {
                full: Layer::new(y, size, 1)?,
                half: [Some(Layer::new(u, chroma, 1)?), Some(Layer::new(v, chroma, 1)?)],
                to_rgb: ToRgb::new(color),
            },
        })
    }
}
