//! Codes of many rows, written by several threads: a gallery's are made anew at each start.

use std::panic::resume_unwind;

use zeroize::Zeroizing;

use super::encode::{Chunk, Halves, coarse_error, encode, halve};
use super::up;
use crate::index::kernel::Lane;
use crate::index::rows::Rows;

/// So many rows are done before another thread has begun.
const ALONE: usize = 2048;

/// Codes of some rows one after another, to be written.
pub(super) struct Part<'a> {
    pub(super) stride: usize,
    pub(super) upper: &'a mut [Halves],
    pub(super) lower: &'a mut [Halves],
    pub(super) scales: &'a mut [f32],
    pub(super) errors: &'a mut [f32],
    pub(super) coarse: &'a mut [f32],
}

impl<'a> Part<'a> {
    /// The first rows of it, and the others.
    fn split(self, rows: usize) -> (Self, Self) {
        let Self { stride, upper, lower, scales, errors, coarse } = self;
        let (upper, lower) = (upper.split_at_mut(rows * stride), lower.split_at_mut(rows * stride));
        let numbers = [scales, errors, coarse].map(|numbers| numbers.split_at_mut(rows));
        let [scales, errors, coarse] = numbers;
        let first = Self {
            stride,
            upper: upper.0,
            lower: lower.0,
            scales: scales.0,
            errors: errors.0,
            coarse: coarse.0,
        };
        let rest = Self {
            stride,
            upper: upper.1,
            lower: lower.1,
            scales: scales.1,
            errors: errors.1,
            coarse: coarse.1,
        };
        (first, rest)
    }

    /// Writes the codes of these vectors; the largest ‖x‖ of them.
    fn write(self, vectors: std::slice::ChunksExact<'_, Lane>) -> f64 {
        let mut whole = Zeroizing::new(vec![Chunk::ZERO; 2 * self.stride]);
        let halves = self.upper.chunks_exact_mut(self.stride).zip(self.lower.chunks_exact_mut(self.stride));
        let numbers = self.scales.iter_mut().zip(self.errors).zip(self.coarse);
        let mut norm: f64 = 0.0;
        for ((vector, (upper, lower)), ((scale, error), coarse)) in vectors.zip(halves).zip(numbers) {
            let row = encode(vector, &mut whole);
            halve(&whole, upper, lower);
            *coarse = up(coarse_error(vector, row.scale, &whole));
            (*scale, *error) = (row.scale, up(row.error));
            norm = norm.max(row.norm);
        }
        norm
    }
}

/// Writes the codes of all rows, many of them on all processors; the largest ‖x‖.
pub(super) fn fill(rows: &Rows, part: Part<'_>) -> f64 {
    let stride = rows.stride();
    if rows.len() <= ALONE {
        return part.write(rows.lanes().chunks_exact(stride));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let each = rows.len().div_ceil(processors).max(ALONE);
    std::thread::scope(|scope| {
        let (mut rest, mut threads) = (part, Vec::new());
        for lanes in rows.lanes().chunks(each * stride) {
            let vectors = lanes.chunks_exact(stride);
            let (first, others) = rest.split(vectors.len());
            rest = others;
            threads.push(scope.spawn(move || first.write(vectors)));
        }
        let norms =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        norms.fold(0.0, f64::max)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Codes;
    use super::*;
    use crate::index::synthetic::Population;
    use crate::types::ids::ModelId;

    #[test]
    fn several_threads_write_what_each_row_alone_gives() {
        let model = ModelId([1; 32]);
        let mut people = Population::new(model, 24, 1);
        let all: Vec<_> = (0..3 * ALONE + 7).map(|number| people.template(number / 3)).collect();
        let of = |templates: &[_]| {
            let mut rows = Rows::with_capacity(model, 24, templates.len()).expect("a dimension");
            templates.iter().for_each(|template| rows.push(template).expect("a row"));
            Codes::of(&rows).expect("codes")
        };
        let together = of(&all);
        let mut norm: f64 = 1.0;
        for (row, template) in all.iter().enumerate() {
            let alone = of(std::slice::from_ref(template));
            assert_eq!(together.upper[row].0, alone.upper[0].0, "row {row}");
            assert_eq!(together.lower[row].0, alone.lower[0].0, "row {row}");
            let numbers = |codes: &Codes, row: usize| {
                [&codes.scales, &codes.errors, &codes.coarse_errors].map(|numbers| numbers[row])
            };
            assert_eq!(numbers(&together, row), numbers(&alone, 0), "row {row}");
            norm = norm.max(alone.norm);
        }
        assert_eq!(together.norm, norm);
    }
}
