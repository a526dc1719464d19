//! Which input samples make an output sample, and how much each counts.

/// For each output of one axis: the inputs it covers with integer weights that add up to the same total.
///
/// The filter is the exact area average: output `i` covers the inputs from `origin + i * ratio` to
/// `origin + (i + 1) * ratio`, and each input counts with the part of it that is covered. Where the ratio is
/// under 1 (chroma of a picture that is not shrunk) this repeats samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Spans {
    /// First input of each output.
    pub starts: Vec<u32>,
    /// Weights of each output, `taps` each, zeros last.
    pub weights: Vec<u16>,
    /// Most inputs of an output.
    pub taps: usize,
}

impl Spans {
    /// `outputs` spans of `ratio` inputs each, from input 0; there are `inputs` inputs, of which the part up to
    /// `extent` is in the picture (an odd side cuts the last chroma sample in half).
    pub fn new(outputs: usize, ratio: f64, inputs: usize, extent: f64, total: u16) -> Self {
        let rows: Vec<(usize, Vec<u16>)> = (0..outputs)
            .map(|i| {
                let from = (i as f64 * ratio).min(extent);
                let to = ((i + 1) as f64 * ratio).min(extent);
                span(from, to, inputs, total)
            })
            .collect();
        let taps = rows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let mut spans = Self { taps, ..Self::default() };
        for (start, weights) in rows {
            spans.starts.push(start as u32);
            spans.weights.extend(&weights);
            spans.weights.resize(spans.starts.len() * taps, 0);
        }
        spans
    }

    /// First input and weights, without trailing zeros, of output `i`.
    pub fn get(&self, i: usize) -> (usize, &[u16]) {
        let start = self.starts.get(i).map_or(0, |&s| s as usize);
        let weights = self.weights.get(i * self.taps..(i + 1) * self.taps).unwrap_or(&[]);
        let used = weights.iter().rposition(|&w| w > 0).map_or(0, |last| last + 1);
        (start, weights.get(..used).unwrap_or(&[]))
    }
}

/// Weights are differences of the rounded running sum, so they add up to `total` whatever was rounded.
fn span(from: f64, to: f64, inputs: usize, total: u16) -> (usize, Vec<u16>) {
    let last = inputs.saturating_sub(1);
    let first = (from.floor() as usize).min(last);
    let end = (to.ceil() as usize).clamp(first + 1, inputs.max(first + 1));
    let width = (to - from).max(f64::EPSILON);
    let covered = |j: usize| {
        let part = ((j as f64).clamp(from, to) - from) / width;
        (part * f64::from(total)).round() as u16
    };
    let mut edges: Vec<u16> = (first..=end).map(covered).collect();
    // The ends are exact by definition; rounding in `from` and `to` must not lose a part.
    if let [start, .., stop] = edges.as_mut_slice() {
        (*start, *stop) = (0, total);
    }
    let weights: Vec<u16> = edges.windows(2).map(|e| e[1] - e[0]).collect();
    let skip = weights.iter().position(|&w| w > 0).unwrap_or(0);
    let keep = weights.iter().rposition(|&w| w > 0).map_or(1, |i| i + 1);
    (first + skip, weights[skip..keep].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_covered_parts() {
        let three = Spans::new(2, 3.0, 6, 6.0, 256);
        assert_eq!(three.get(0), (0, &[85, 86, 85][..]));
        assert_eq!(three.get(1), (3, &[85, 86, 85][..]));
        let half = Spans::new(2, 1.5, 3, 3.0, 300);
        assert_eq!(half.get(0), (0, &[200, 100][..]));
        assert_eq!(half.get(1), (1, &[100, 200][..]));
        let twice = Spans::new(4, 0.5, 2, 2.0, 256);
        assert_eq!((0..4).map(|i| twice.get(i).0).collect::<Vec<_>>(), [0, 0, 1, 1]);
        let same = Spans::new(3, 1.0, 3, 3.0, 256);
        assert_eq!((same.taps, same.get(2)), (1, (2, &[256][..])));
    }

    #[test]
    fn every_output_adds_up_and_stays_inside() {
        for (inputs, outputs) in
            [(1080, 360), (1080, 361), (1079, 33), (7, 7), (1, 1), (5, 3), (16_384, 32), (100, 99)]
        {
            for (ratio, extent) in [(1.0, 1.0), (0.5, 0.5)] {
                let scale = inputs as f64 / outputs as f64 * ratio;
                let samples = (inputs as f64 * extent).ceil() as usize;
                let spans = Spans::new(outputs, scale, samples, inputs as f64 * extent, 256);
                for i in 0..outputs {
                    let (start, weights) = spans.get(i);
                    assert_eq!(weights.iter().map(|&w| u32::from(w)).sum::<u32>(), 256);
                    assert!(start + weights.len() <= samples, "{inputs} {outputs} {i}");
                }
            }
        }
    }
}
