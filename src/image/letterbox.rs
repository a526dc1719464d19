//! A part of a picture in a crop of other proportions, undistorted.

use super::warp::{Affine, Border, warp_into};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Rect, Size};

/// What is around it: mid grey.
const GREY: u8 = 128;

/// Fits the part `source` of the picture into the crop, in its middle, with grey borders. All pixels of the crop are
/// written. Gives what stands between the borders; `None` where the part is too narrow for one pixel of the crop.
pub fn letterbox(picture: &dyn Pixels, source: &Rect, crop: &mut RgbImage) -> Option<RgbImage> {
    let size = crop.size();
    crop.data_mut().fill(GREY);
    let scale = (size.width as f32 / source.width()).min(size.height as f32 / source.height());
    // Down to whole pixels, but for what rounding takes from a side that fits exactly.
    let side = |length: f32, most: u32| ((length * scale + 1e-3) as u32).min(most);
    let inner = Size::new(side(source.width(), size.width), side(source.height(), size.height));
    let mut part = RgbImage::new(inner, vec![0; inner.area() as usize * 3]).ok()?;
    warp_into(picture, &Affine::from_crop_to_rect(inner, source), Border::Nearest, &mut part);
    let (left, top) = ((size.width - inner.width) / 2, (size.height - inner.height) / 2);
    let [left, width, inner_width] = [left, size.width, inner.width].map(|pixels| pixels as usize * 3);
    let rows = crop.data_mut().chunks_exact_mut(width).skip(top as usize);
    for (row, from) in rows.zip(part.data().chunks_exact(inner_width)) {
        row.get_mut(left..left + inner_width)?.copy_from_slice(from);
    }
    Some(part)
}
