//! The loops. Each is plain safe code that the compiler vectorises, compiled once for each kind of processor and
//! chosen at run time. None uses fused multiply-add, so all processors give the same bits.

use multiversion::multiversion;

use super::spans::Spans;

/// What the weights of an output row add up to. Rows times weights stay within u16: 255 * 256 < 2^16.
pub(super) const ROW_TOTAL: u16 = 256;
/// What the weights of an output column add up to.
pub(super) const COLUMN_TOTAL: u16 = 16_384;

/// `acc[i] = sum of rows[j][i] * weights[j]`. All rows are as long as `acc`.
pub(in crate::image) fn blend_rows(rows: &[&[u8]], weights: &[u16], acc: &mut [u16]) {
    let mut first = true;
    for (rows, weights) in rows.chunks(4).zip(weights.chunks(4)) {
        match (rows, weights, first) {
            ([a], [w], true) => blend([a], [*w], acc),
            ([a, b], [v, w], true) => blend([a, b], [*v, *w], acc),
            ([a, b, c], [u, v, w], true) => blend([a, b, c], [*u, *v, *w], acc),
            ([a, b, c, d], [t, u, v, w], true) => blend([a, b, c, d], [*t, *u, *v, *w], acc),
            _ => rows.iter().zip(weights).for_each(|(row, &weight)| blend_onto(row, weight, acc)),
        }
        first = false;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn blend<const N: usize>(rows: [&[u8]; N], weights: [u16; N], acc: &mut [u16]) {
    // Cut to one length, so that the loop has no bounds checks. A row that is missing counts as black.
    let length = rows.iter().fold(acc.len(), |length, row| length.min(row.len()));
    let rows = rows.map(|row| &row[..length]);
    let (acc, rest) = acc.split_at_mut(length);
    for (i, sum) in acc.iter_mut().enumerate() {
        let mut total = 0u16;
        for j in 0..N {
            total = total.wrapping_add(u16::from(rows[j][i]).wrapping_mul(weights[j]));
        }
        *sum = total;
    }
    rest.fill(0);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn blend_onto(row: &[u8], weight: u16, acc: &mut [u16]) {
    for (sum, &sample) in acc.iter_mut().zip(row) {
        *sum = sum.wrapping_add(u16::from(sample).wrapping_mul(weight));
    }
}

/// Takes interleaved samples apart.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn split<const C: usize>(mixed: &[u16], lanes: [&mut [u16]; C]) {
    let (groups, _) = mixed.as_chunks::<C>();
    for (c, lane) in lanes.into_iter().enumerate() {
        for (out, group) in lane.iter_mut().zip(groups) {
            *out = group[c];
        }
    }
}

/// Averages along a row: from `ROW_TOTAL` times the samples to samples on 0 to 255.
pub(super) type Across = fn(&[u16], &mut [f32]);

/// A kernel for `p` inputs to `q` outputs, where there is a fast one.
pub(super) fn ratio_kernel(p: usize, q: usize) -> Option<Across> {
    Some(match (p, q) {
        (1, 1) => ratio::<1, 1>,
        (2, 1) => ratio::<2, 1>,
        (3, 1) => ratio::<3, 1>,
        (4, 1) => ratio::<4, 1>,
        (6, 1) => ratio::<6, 1>,
        (3, 2) => ratio::<3, 2>,
        (1, 2) => ratio::<1, 2>,
        (3, 4) => ratio::<3, 4>,
        _ => return None,
    })
}

/// How much of input `j` output `q` covers, in parts of which an output has `P`.
const fn cover<const P: usize, const Q: usize>() -> [[u32; P]; Q] {
    let mut parts = [[0; P]; Q];
    let mut q = 0;
    while q < Q {
        let mut j = 0;
        while j < P {
            let from = if q * P > j * Q { q * P } else { j * Q };
            let to = if (q + 1) * P < (j + 1) * Q { (q + 1) * P } else { (j + 1) * Q };
            parts[q][j] = if to > from { (to - from) as u32 } else { 0 };
            j += 1;
        }
        q += 1;
    }
    parts
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn ratio<const P: usize, const Q: usize>(acc: &[u16], out: &mut [f32]) {
    let parts = const { cover::<P, Q>() };
    let scale = 1.0 / (P as f32 * f32::from(ROW_TOTAL));
    let (inputs, _) = acc.as_chunks::<P>();
    let (outputs, _) = out.as_chunks_mut::<Q>();
    for (output, input) in outputs.iter_mut().zip(inputs) {
        for q in 0..Q {
            let mut sum = 0u32;
            for j in 0..P {
                sum += parts[q][j] * u32::from(input[j]);
            }
            output[q] = sum as i32 as f32 * scale;
        }
    }
}

/// Averages along a row with any ratio. `acc` is longer than the row by `spans.taps` zeros.
pub(super) fn table(acc: &[u16], spans: &Spans, out: &mut [f32]) {
    match spans.taps {
        1 => table_of::<1>(acc, spans, out),
        2 => table_of::<2>(acc, spans, out),
        3 => table_of::<3>(acc, spans, out),
        4 => table_of::<4>(acc, spans, out),
        5 => table_of::<5>(acc, spans, out),
        6 => table_of::<6>(acc, spans, out),
        _ => table_of_many(acc, spans, out),
    }
}

const TABLE_SCALE: f32 = 1.0 / (ROW_TOTAL as f32 * COLUMN_TOTAL as f32);

fn table_of<const K: usize>(acc: &[u16], spans: &Spans, out: &mut [f32]) {
    let (weights, _) = spans.weights.as_chunks::<K>();
    for ((output, &start), weights) in out.iter_mut().zip(&spans.starts).zip(weights) {
        let Some(input) = acc.get(start as usize..).and_then(|rest| rest.first_chunk::<K>()) else { return };
        let sum: u32 = input.iter().zip(weights).map(|(&s, &w)| u32::from(s) * u32::from(w)).sum();
        *output = sum as f32 * TABLE_SCALE;
    }
}

#[cold]
fn table_of_many(acc: &[u16], spans: &Spans, out: &mut [f32]) {
    for (i, output) in out.iter_mut().enumerate() {
        let (start, weights) = spans.get(i);
        let inputs = acc.get(start..).unwrap_or(&[]);
        let sum: u32 = inputs.iter().zip(weights).map(|(&s, &w)| u32::from(s) * u32::from(w)).sum();
        *output = sum as f32 * TABLE_SCALE;
    }
}

/// One channel of one output row: colour conversion, clamping, normalisation.
///
/// `row` maps the three samples to the colour on 0..=255; `scale` and `offset` normalise it.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(in crate::image) fn colour(
    samples: [&[f32]; 3],
    row: [f32; 4],
    scale: f32,
    offset: f32,
    out: &mut [f32],
) {
    let [a, b, c] = samples;
    for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
        let colour = row[0] * a + row[1] * b + row[2] * c + row[3];
        *out = colour.clamp(0.0, 255.0) * scale + offset;
    }
}
