//! Cutting an aligned crop out of a full-resolution frame in one pass.
//!
//! ```text
//!  for each row of the crop
//!    bilinear samples of luma, and of chroma at its own resolution (f32)  ── matrix, clamp ─▶ RGB row (u8)
//! ```
//!
//! A face much larger than the crop would alias: it is averaged over k x k pixels first, k being the rounded
//! scale, and only around the face. Outside the picture is black, as with OpenCV's `warpAffine`.

use std::borrow::Cow;

use super::layers::{Layer, Layers};
use super::resize::kernels;
use crate::base::error::Result;
use crate::types::frame::{Pixels, RgbImage, check_size};
use crate::types::geometry::{Point, Rect, Size};

pub use super::affine::{Affine, Similarity};

/// More than this is not averaged over: u16 holds the sum of so many rows.
const MAX_BOX: usize = 256;

/// What lies outside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Black, as with OpenCV's `warpAffine`.
    Black,
    /// The nearest pixel of the picture, as when a picture is resized.
    Nearest,
}

/// Cuts a crop of `size` out of the picture, with black around it; `dst_to_src` takes the crop's points to the picture's.
///
/// # Errors
/// `Data`, when `size` is outside the limits of a picture.
pub fn warp_to_rgb(picture: &dyn Pixels, dst_to_src: &Affine, size: Size) -> Result<RgbImage> {
    check_size(size)?;
    let mut crop = RgbImage::new(size, vec![0; size.area() as usize * 3])?;
    warp_into(picture, dst_to_src, Border::Black, &mut crop);
    Ok(crop)
}

/// The whole picture at another size, its sides stretched apart if need be.
///
/// # Errors
/// `Data`, when `size` is outside the limits of a picture.
pub fn stretch(picture: &dyn Pixels, size: Size) -> Result<RgbImage> {
    check_size(size)?;
    let mut stretched = RgbImage::new(size, vec![0; size.area() as usize * 3])?;
    let all = Rect::new(0.0, 0.0, picture.size().width as f32, picture.size().height as f32);
    warp_into(picture, &Affine::from_crop_to_rect(size, &all), Border::Nearest, &mut stretched);
    Ok(stretched)
}

/// [`warp_to_rgb`] into a crop that is there already. All its pixels are written. A transform that is not finite,
/// or a picture whose planes are shorter than its size says, gives black.
pub fn warp_into(picture: &dyn Pixels, dst_to_src: &Affine, border: Border, crop: &mut RgbImage) {
    let size = crop.size();
    let layers = Layers::of(picture).filter(|_| dst_to_src.is_finite());
    let Some(layers) = layers else { return crop.data_mut().fill(0) };
    let samplers = Samplers::new(&layers, dst_to_src, size, border);
    let mut row = RowBuffers::new(size.width as usize);
    let bytes = size.width as usize * 3;
    for (y, out) in crop.data_mut().chunks_exact_mut(bytes).enumerate() {
        samplers.read(y, &mut row);
        row.write(&layers, out);
    }
}

/// The part of the picture that the crop shows, and a little around it.
fn source_area(map: &Affine, size: Size, picture: Size) -> Rect {
    let (w, h) = (size.width as f32, size.height as f32);
    let corners = [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].map(|(x, y)| map.apply(Point { x, y }));
    let fold =
        |f: fn(f32, f32) -> f32, get: fn(&Point) -> f32| corners.iter().map(get).reduce(f).unwrap_or(0.0);
    let margin = 4.0 * map.scale().max(1.0);
    Rect {
        x1: fold(f32::min, |p| p.x) - margin,
        y1: fold(f32::min, |p| p.y) - margin,
        x2: fold(f32::max, |p| p.x) + margin,
        y2: fold(f32::max, |p| p.y) + margin,
    }
    .clamp_to(picture)
}

/// One for luma or RGB, and those for chroma.
struct Samplers<'a> {
    full: Sampler<'a>,
    half: [Option<Sampler<'a>>; 2],
    border: Border,
}

impl<'a> Samplers<'a> {
    fn new(layers: &Layers<'a>, map: &Affine, size: Size, border: Border) -> Self {
        let picture = Size::new(layers.full.width as u32, layers.full.height as u32);
        let area = source_area(map, size, picture);
        let sampler = |layer: &Layer<'a>, step: f32| Sampler::new(layer, step, map, size, &area);
        Self {
            border,
            full: sampler(&layers.full, 1.0),
            half: layers.half.each_ref().map(|layer| layer.as_ref().map(|layer| sampler(layer, 2.0))),
        }
    }

    fn read(&self, y: usize, row: &mut RowBuffers) {
        let ([a, b, c], at) = (&mut row.samples, &mut row.positions);
        row.partly_outside = self.border == Border::Black && !self.full.inside;
        if row.partly_outside {
            self.full.coverage(y, &mut row.coverage);
        }
        match &self.half {
            [None, _] => self.full.read::<3, 6>(y, at, [a, b, c]),
            [Some(uv), None] => {
                self.full.read::<1, 2>(y, at, [a]);
                uv.read::<2, 4>(y, at, [b, c]);
            }
            [Some(u), Some(v)] => {
                self.full.read::<1, 2>(y, at, [a]);
                u.read::<1, 2>(y, at, [b]);
                v.read::<1, 2>(y, at, [c]);
            }
        }
    }
}

/// Reads one layer, at full resolution or averaged, along the rows of the crop.
struct Sampler<'a> {
    data: Cow<'a, [u8]>,
    stride: usize,
    width: usize,
    height: usize,
    /// From the crop's pixel numbers to the layer's: whole numbers are centres on both sides.
    map: Affine,
    /// True if no sample lies beyond the centres of the layer's border.
    inside: bool,
}

impl<'a> Sampler<'a> {
    /// `step`: picture pixels per sample of the layer.
    fn new(layer: &Layer<'a>, step: f32, map: &Affine, size: Size, area: &Rect) -> Self {
        let ratio = map.scale() / step;
        let k = if ratio.is_finite() { (ratio.round() as usize).clamp(1, MAX_BOX) } else { 1 };
        let mut sampler = match k {
            1 => Self {
                data: Cow::Borrowed(layer.data()),
                stride: layer.stride(),
                width: layer.width,
                height: layer.height,
                map: numbered(map, 0.0, 0.0, step),
                inside: false,
            },
            k => Self::averaged(layer, k, step, map, area),
        };
        sampler.inside = sampler.covers(size);
        sampler
    }

    /// A copy of the layer around `area`, averaged over k x k samples.
    fn averaged(layer: &Layer<'a>, k: usize, step: f32, map: &Affine, area: &Rect) -> Self {
        let from = |x: f32, limit: usize| ((x / step) as usize).min(limit - 1);
        let to = |x: f32, from: usize, limit: usize| ((x / step).ceil() as usize).clamp(from + 1, limit);
        let (x0, y0) = (from(area.x1, layer.width), from(area.y1, layer.height));
        let (x1, y1) = (to(area.x2, x0, layer.width), to(area.y2, y0, layer.height));
        let (width, height) = ((x1 - x0).div_ceil(k), (y1 - y0).div_ceil(k));
        let mut data = Vec::with_capacity(width * height * layer.channels);
        let mut acc = vec![0u16; (x1 - x0) * layer.channels];
        for y in (y0..y1).step_by(k) {
            let rows: Vec<&[u8]> = (y..(y + k).min(y1)).map(|y| layer.row(y, x0, x1)).collect();
            kernels::blend_rows(&rows, &[1; MAX_BOX][..rows.len()], &mut acc);
            average_groups(&acc, layer.channels, k, rows.len(), &mut data);
        }
        let map = numbered(map, x0 as f32 * step, y0 as f32 * step, step * k as f32);
        Self { data: Cow::Owned(data), stride: width * layer.channels, width, height, map, inside: false }
    }

    fn covers(&self, size: Size) -> bool {
        let (w, h) = (size.width as f32 - 1.0, size.height as f32 - 1.0);
        let (right, bottom) = (self.width as f32 - 1.0, self.height as f32 - 1.0);
        [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].iter().all(|&(x, y)| {
            let p = self.map.apply(Point { x, y });
            p.x >= 0.001 && p.y >= 0.001 && p.x <= right - 0.001 && p.y <= bottom - 0.001
        })
    }

    /// Samples of crop row `y`, one lane for each of the layer's `C` channels; `PAIR` is `2 * C`.
    fn read<const C: usize, const PAIR: usize>(
        &self,
        y: usize,
        at: &mut Positions,
        lanes: [&mut Vec<f32>; C],
    ) {
        const { assert!(PAIR == 2 * C) };
        let first = self.map.apply(Point { x: 0.0, y: y as f32 });
        if self.inside {
            positions(first, (self.map.a, self.map.c), (self.stride as u32, C as u32), at);
            self.gather::<PAIR>(at);
            for (c, lane) in lanes.into_iter().enumerate() {
                interpolate(at, (c, C + c), lane);
            }
        } else {
            self.read_clamped(first, lanes);
        }
    }

    /// Fetches the samples around each position: the only step that cannot be vectorised.
    fn gather<const PAIR: usize>(&self, at: &mut Positions) {
        let (above, below) = (&*self.data, self.data.get(self.stride..).unwrap_or(&[]));
        let word = |row: &[u8], offset: u32| {
            let pair = row.get(offset as usize..).and_then(|rest| rest.first_chunk::<PAIR>());
            let mut word = [0; 8];
            word[..PAIR].copy_from_slice(pair.unwrap_or(&[0; PAIR]));
            u64::from_le_bytes(word)
        };
        let words = at.top.iter_mut().zip(&mut at.bottom);
        for (&offset, (top, bottom)) in at.offset.iter().zip(words).take(at.used) {
            (*top, *bottom) = (word(above, offset), word(below, offset));
        }
    }

    /// Positions beyond the border take the border's samples.
    fn read_clamped<const C: usize>(&self, first: Point, mut lanes: [&mut Vec<f32>; C]) {
        let (right, bottom) = (self.width - 1, self.height - 1);
        let sample = |x: usize, y: usize, c: usize| {
            f32::from(self.data.get(y * self.stride + x * C + c).copied().unwrap_or(0))
        };
        let count = lanes.first().map_or(0, |lane| lane.len());
        for i in 0..count {
            let x = (first.x + self.map.a * i as f32).clamp(0.0, right as f32);
            let y = (first.y + self.map.c * i as f32).clamp(0.0, bottom as f32);
            let (x0, y0) = (x as usize, y as usize);
            let (x1, y1) = ((x0 + 1).min(right), (y0 + 1).min(bottom));
            let (fx, fy) = (x - x0 as f32, y - y0 as f32);
            for (c, lane) in lanes.iter_mut().enumerate() {
                let along = |y: usize| lerp(sample(x0, y, c), sample(x1, y, c), fx);
                lane[i] = lerp(along(y0), along(y1), fy);
            }
        }
    }

    /// How much of each sample's bilinear weight lies inside the picture: what is outside is black.
    fn coverage(&self, y: usize, out: &mut [f32]) {
        let start = self.map.apply(Point { x: 0.0, y: y as f32 });
        let part = |x: f32, side: usize| (x + 1.0).clamp(0.0, 1.0) * (side as f32 - x).clamp(0.0, 1.0);
        for (i, out) in out.iter_mut().enumerate() {
            let (x, y) = (start.x + self.map.a * i as f32, start.y + self.map.c * i as f32);
            *out = part(x, self.width) * part(y, self.height);
        }
    }
}

/// The same transform between pixel numbers: of the crop, and of samples `step` apart from `(x0, y0)` on.
fn numbered(map: &Affine, x0: f32, y0: f32, step: f32) -> Affine {
    let first = map.apply(Point { x: 0.5, y: 0.5 });
    Affine {
        a: map.a / step,
        b: map.b / step,
        c: map.c / step,
        d: map.d / step,
        tx: (first.x - x0) / step - 0.5,
        ty: (first.y - y0) / step - 0.5,
    }
}

/// Averages `k` groups of samples at a time out of the sums of `rows` rows.
fn average_groups(acc: &[u16], channels: usize, k: usize, rows: usize, out: &mut Vec<u8>) {
    for group in acc.chunks(k * channels) {
        let count = (group.len() / channels * rows).max(1) as u32;
        for c in 0..channels {
            let sum: u32 = group.iter().skip(c).step_by(channels).map(|&x| u32::from(x)).sum();
            out.push(((sum + count / 2) / count) as u8);
        }
    }
}

#[inline(always)]
fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Samples of one row, before they are weighted. All rows are longer than the crop's, so that vector loops have no rest.
struct Positions {
    /// Pixels of the crop's row.
    used: usize,
    /// Byte of the upper left of four samples.
    offset: Vec<u32>,
    /// Distance from it to the right, 0 to 1.
    fx: Vec<f32>,
    /// Distance down.
    fy: Vec<f32>,
    /// The two upper groups of samples, as the bytes of a number, the first lowest.
    top: Vec<u64>,
    /// The two lower ones.
    bottom: Vec<u64>,
}

/// Bits after the point: a coordinate is under 2^14, so 32 bits are used to the last.
const FRACTION: u32 = 18;

/// Positions along a row that starts at `first`; all are inside the layer, so wrapping arithmetic ends where it
/// should. Whole numbers throughout: conversion from floating point would not be vectorised.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn positions(first: Point, step: (f32, f32), (stride, channels): (u32, u32), out: &mut Positions) {
    const ONE: f32 = (1 << FRACTION) as f32;
    let fixed = |x: f32| (f64::from(x) * f64::from(ONE)).round() as i64 as u32;
    let (x0, y0, dx, dy) = (fixed(first.x), fixed(first.y), fixed(step.0), fixed(step.1));
    let part = |x: u32| (x & ((1 << FRACTION) - 1)) as i32 as f32 * (1.0 / ONE);
    let outputs = out.offset.iter_mut().zip(&mut out.fx).zip(&mut out.fy);
    for (i, ((offset, fx), fy)) in outputs.enumerate() {
        let x = x0.wrapping_add(dx.wrapping_mul(i as u32));
        let y = y0.wrapping_add(dy.wrapping_mul(i as u32));
        *offset = (y >> FRACTION).wrapping_mul(stride).wrapping_add((x >> FRACTION).wrapping_mul(channels));
        (*fx, *fy) = (part(x), part(y));
    }
}

/// Weights the samples at bytes `left` and `right` of each word.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn interpolate(at: &Positions, (left, right): (usize, usize), out: &mut [f32]) {
    let (left, right) = (8 * left as u32 % 64, 8 * right as u32 % 64);
    let byte = |word: u64, shift: u32| f32::from((word >> shift) as u8);
    let weights = at.fx.iter().zip(&at.fy);
    for ((out, (&fx, &fy)), (&top, &bottom)) in out.iter_mut().zip(weights).zip(at.top.iter().zip(&at.bottom))
    {
        let upper = lerp(byte(top, left), byte(top, right), fx);
        let lower = lerp(byte(bottom, left), byte(bottom, right), fx);
        *out = lerp(upper, lower, fy);
    }
}

/// Interleaves colours of 0 to 255, rounded.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn pack([r, g, b]: [&[f32]; 3], out: &mut [u8]) {
    // At 2^23 the last bit of an f32 is worth 1: the addition rounds, and the low byte is the number. Unlike `as`,
    // this is vectorised.
    let byte = |x: f32| (x + 8_388_608.0).to_bits() as u8;
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (((pixel, &r), &g), &b) in pixels.iter_mut().zip(r).zip(g).zip(b) {
        *pixel = [byte(r), byte(g), byte(b)];
    }
}

/// One row of the crop on its way.
struct RowBuffers {
    positions: Positions,
    samples: [Vec<f32>; 3],
    colour: [Vec<f32>; 3],
    coverage: Vec<f32>,
    partly_outside: bool,
}

impl RowBuffers {
    fn new(width: usize) -> Self {
        let padded = width.next_multiple_of(64);
        let row = || vec![0.0; padded];
        Self {
            positions: Positions {
                used: width,
                offset: vec![0; padded],
                fx: row(),
                fy: row(),
                top: vec![0; padded],
                bottom: vec![0; padded],
            },
            samples: [row(), row(), row()],
            colour: [row(), row(), row()],
            coverage: row(),
            partly_outside: false,
        }
    }

    fn write(&mut self, layers: &Layers<'_>, out: &mut [u8]) {
        let [a, b, c] = &self.samples;
        for (colour, map) in self.colour.iter_mut().zip(layers.to_rgb.rows) {
            kernels::colour([a, b, c], map, 1.0, 0.0, colour);
            if self.partly_outside {
                colour.iter_mut().zip(&self.coverage).for_each(|(x, part)| *x *= part);
            }
        }
        let [r, g, b] = &self.colour;
        pack([r, g, b], out);
    }
}

#[cfg(test)]
mod tests;
