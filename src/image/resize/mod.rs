//! From a frame to a detector's tensor in one pass: scale, convert, normalise.
//!
//! ```text
//!  for each output row
//!    rows of a plane (u8) ── weighted sum ─▶ one row (u16) ── split U|V, R|G|B ─▶ average along the row (f32)
//!    Y, U, V rows (f32) ── matrix, clamp, normalise ─▶ three rows of the tensor
//! ```
//!
//! The filter is an area average, exact up to the 8-bit weights of the rows. Luma and chroma are averaged apart:
//! conversion is linear, so this is the average of the converted picture (but for clamping). Chroma is taken as
//! constant over its 2 x 2 pixels.

mod geometry;
pub(super) mod kernels;
mod spans;

use self::geometry::Window;
use self::kernels::Across;
use self::spans::Spans;
use super::layers::{Layer, Layers};
use super::tensor::Normalize;
use crate::types::frame::Pixels;
use crate::types::geometry::{Rect, Size};

pub use self::geometry::Fit;

/// The least side of a tensor made with [`Pad::None`]: below this a detector's coarsest feature map vanishes.
pub const MIN_SIDE: u32 = 32;

/// What surrounds the fitted picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pad {
    /// Nothing: the tensor is as large as the fitted picture (a side under [`MIN_SIDE`] is padded to it, black).
    None,
    /// The tensor's sides are the next multiples of `of`, padded at the right and bottom.
    Multiple {
        /// In pixels, 1 or more.
        of: u32,
        /// As below.
        level: u8,
    },
    /// The tensor is as large as the target, padded at the right and bottom.
    Full {
        /// Gray level of the padding before normalisation, 0 to 255.
        level: u8,
    },
}

/// Fits pictures into tensors, and keeps its tables and scratch memory from frame to frame. One for each thread.
#[derive(Default)]
pub struct Resizer {
    plan: Option<Plan>,
    scratch: Scratch,
}

impl Resizer {
    /// Without tables yet; the first frame of a geometry makes them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `roi` of the picture (all of it if `None`), fitted into `target` with its aspect kept and never
    /// enlarged, to `out` as planar channels, and says how it was fitted. `out` gets the tensor's length; what it
    /// held does not matter. The region is widened to whole pixels with even left and top.
    ///
    /// A picture whose planes are shorter than its size says is taken as black.
    pub fn fit(
        &mut self,
        picture: &dyn Pixels,
        roi: Option<Rect>,
        target: Size,
        pad: Pad,
        normalize: &Normalize,
        out: &mut Vec<f32>,
    ) -> Fit {
        let window = Window::new(picture.size(), roi);
        let fit = window.fit(target, pad);
        out.resize(fit.size.area() as usize * 3, 0.0);
        let level = match pad {
            Pad::None => 0,
            Pad::Multiple { level, .. } | Pad::Full { level } => level,
        };
        match Layers::of(picture) {
            Some(layers) => {
                let plan = Plan::cached(&mut self.plan, window, fit.content);
                self.scratch.fill(&layers, plan, &fit, normalize, out);
                pad_tensor(&fit, normalize.gray(level), out);
            }
            None => pad_tensor(&Fit { content: Size::new(0, 0), ..fit }, normalize.gray(level), out),
        }
        fit
    }
}

/// [`Resizer::fit`] for a single picture.
pub fn fit_to_tensor(
    picture: &dyn Pixels,
    roi: Option<Rect>,
    target: Size,
    pad: Pad,
    normalize: &Normalize,
    out: &mut Vec<f32>,
) -> Fit {
    Resizer::new().fit(picture, roi, target, pad, normalize, out)
}

/// Fills what lies to the right of and below the content.
fn pad_tensor(fit: &Fit, values: [f32; 3], out: &mut [f32]) {
    let (width, plane) = (fit.size.width as usize, fit.size.area() as usize);
    if fit.content == fit.size {
        return;
    }
    for (plane, value) in out.chunks_exact_mut(plane).zip(values) {
        let (content, below) = plane.split_at_mut(fit.content.height as usize * width);
        below.fill(value);
        for row in content.chunks_exact_mut(width) {
            row[fit.content.width as usize..].fill(value);
        }
    }
}

/// The tables for one geometry.
struct Plan {
    window: Window,
    content: Size,
    full: LayerPlan,
    half: LayerPlan,
}

impl Plan {
    /// The plan in the slot if it is for this geometry, else a new one in its place.
    fn cached(slot: &mut Option<Plan>, window: Window, content: Size) -> &Plan {
        let plan = match slot.take() {
            Some(plan) if plan.window == window && plan.content == content => plan,
            _ => Plan {
                window,
                content,
                full: LayerPlan::new(window, content, 1),
                half: LayerPlan::new(window, content, 2),
            },
        };
        slot.insert(plan)
    }
}

/// The tables for the layers of one subsampling.
struct LayerPlan {
    left: usize,
    top: usize,
    /// Samples read of a row.
    columns: usize,
    rows: Spans,
    across: Columns,
}

enum Columns {
    Ratio(Across),
    Table(Spans),
}

impl LayerPlan {
    /// `step`: picture pixels per sample.
    fn new(window: Window, content: Size, step: usize) -> Self {
        let axis = |side: usize, outputs: u32| {
            let extent = side as f64 / step as f64;
            (side.div_ceil(step), extent, extent / f64::from(outputs))
        };
        let (columns, width, across) = axis(window.width, content.width);
        let (lines, height, down) = axis(window.height, content.height);
        let (p, q) = reduced(window.width, content.width as usize * step);
        let table = || {
            Columns::Table(Spans::new(content.width as usize, across, columns, width, kernels::COLUMN_TOTAL))
        };
        // A fast kernel needs whole groups: those of p samples to q outputs, from the first to the last.
        let whole = window.width.is_multiple_of(step) && columns.is_multiple_of(p);
        Self {
            left: window.left / step,
            top: window.top / step,
            columns,
            rows: Spans::new(content.height as usize, down, lines, height, kernels::ROW_TOTAL),
            across: kernels::ratio_kernel(p, q).filter(|_| whole).map_or_else(table, Columns::Ratio),
        }
    }
}

/// The fraction in lowest terms.
fn reduced(p: usize, q: usize) -> (usize, usize) {
    let (mut a, mut b) = (p, q);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (p / a.max(1), q / a.max(1))
}

/// Rows on their way through the kernels.
#[derive(Default)]
struct Scratch {
    acc: Vec<u16>,
    lanes: [Vec<u16>; 3],
    samples: [Vec<f32>; 3],
}

impl Scratch {
    fn fill(&mut self, layers: &Layers<'_>, plan: &Plan, fit: &Fit, normalize: &Normalize, out: &mut [f32]) {
        let (width, content) = (fit.size.width as usize, fit.content.width as usize);
        self.samples.iter_mut().for_each(|row| row.resize(content, 0.0));
        let offsets = normalize.offsets();
        for y in 0..fit.content.height as usize {
            self.read(layers, plan, y);
            let [a, b, c] = &self.samples;
            // Three rows, at the same place of the three planes.
            let planes = out.chunks_exact_mut(fit.size.area() as usize);
            for (channel, plane) in planes.enumerate().take(3) {
                let Some(row) = plane.get_mut(y * width..y * width + content) else { return };
                let colour = layers.to_rgb.rows[normalize.order.channels()[channel]];
                kernels::colour([a, b, c], colour, normalize.scale[channel], offsets[channel], row);
            }
        }
    }

    /// Averages what output row `y` covers into `samples`.
    fn read(&mut self, layers: &Layers<'_>, plan: &Plan, y: usize) {
        self.read_layer(&layers.full, &plan.full, y, 0);
        // Two output rows within one chroma row have the same chroma.
        if y > 0 && plan.half.rows.get(y) == plan.half.rows.get(y - 1) {
            return;
        }
        for (i, layer) in layers.half.iter().flatten().enumerate() {
            self.read_layer(layer, &plan.half, y, 1 + i);
        }
    }

    /// Averages one layer; its first channel goes to `samples[slot]`.
    fn read_layer(&mut self, layer: &Layer<'_>, plan: &LayerPlan, y: usize, slot: usize) {
        let taps = match &plan.across {
            Columns::Ratio(_) => 0,
            Columns::Table(spans) => spans.taps,
        };
        let used = plan.columns * layer.channels;
        let acc = zero_tailed(&mut self.acc, used, taps * layer.channels);
        blend_span(layer, plan, y, &mut acc[..used]);
        let [a, b, c] = &mut self.lanes;
        match layer.channels {
            2 => {
                kernels::split(acc, [zero_tailed(a, plan.columns, taps), zero_tailed(b, plan.columns, taps)])
            }
            3 => {
                let lanes = [a, b, c].map(|lane| zero_tailed(lane, plan.columns, taps));
                kernels::split(acc, lanes);
            }
            _ => return average(acc, plan, self.samples.get_mut(slot)),
        }
        for (lane, samples) in self.lanes.iter().take(layer.channels).zip(self.samples.iter_mut().skip(slot))
        {
            average(lane, plan, Some(samples));
        }
    }
}

/// The weighted sum of the rows that output row `y` covers.
fn blend_span(layer: &Layer<'_>, plan: &LayerPlan, y: usize, acc: &mut [u16]) {
    let (start, weights) = plan.rows.get(y);
    let row = |j: usize| layer.row(plan.top + start + j, plan.left, plan.left + plan.columns);
    if let [_, _, _, _, _, ..] = weights {
        let rows: Vec<&[u8]> = (0..weights.len()).map(row).collect();
        return kernels::blend_rows(&rows, weights, acc);
    }
    let rows: [&[u8]; 4] = std::array::from_fn(|j| if j < weights.len() { row(j) } else { &[] });
    kernels::blend_rows(&rows[..weights.len()], weights, acc);
}

fn average(acc: &[u16], plan: &LayerPlan, out: Option<&mut Vec<f32>>) {
    let Some(out) = out else { return };
    match &plan.across {
        Columns::Ratio(kernel) => kernel(acc, out),
        Columns::Table(spans) => kernels::table(acc, spans, out),
    }
}

/// `used` elements followed by `tail` zeros.
fn zero_tailed(buffer: &mut Vec<u16>, used: usize, tail: usize) -> &mut [u16] {
    buffer.resize(used + tail, 0);
    buffer[used..].fill(0);
    buffer
}

#[cfg(test)]
mod tests;
