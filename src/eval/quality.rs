//! Scores by what was measured of the probe.

use serde::Serialize;

use super::interval::Share;
use crate::align::Look;
use crate::types::face::Quality;
use crate::types::frame::RgbImage;

/// What is known of an acquired face; of a crop that was given as one, only what its pixels tell. Units as in [`Quality`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured([Option<f32>; Measure::ALL.len()]);

/// A measure of quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The one figure for ranking shots, 0 to 1.
    Score,
    /// Shorter side of the face's box, pixels.
    FacePixels,
    /// Variance of the Laplacian.
    Sharpness,
    /// Mean luma, 0 to 255.
    Brightness,
    /// Turn of the head to either side, degrees.
    Yaw,
    /// Nod, degrees.
    Pitch,
    /// In-plane rotation to either side, degrees.
    Roll,
}

impl Measure {
    /// All of them, in the order of the tables.
    pub const ALL: [Measure; 7] = [
        Measure::Score,
        Measure::FacePixels,
        Measure::Sharpness,
        Measure::Brightness,
        Measure::Yaw,
        Measure::Pitch,
        Measure::Roll,
    ];

    /// The heading in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Measure::Score => "quality score",
            Measure::FacePixels => "face, pixels",
            Measure::Sharpness => "sharpness",
            Measure::Brightness => "brightness",
            Measure::Yaw => "|yaw|, degrees",
            Measure::Pitch => "|pitch|, degrees",
            Measure::Roll => "|roll|, degrees",
        }
    }
}

impl Measured {
    /// Of a face that was found.
    pub fn of(quality: &Quality) -> Self {
        let Quality { face_pixels, sharpness, yaw, pitch, roll, brightness, score, refusal: _ } = *quality;
        Self([score, face_pixels, sharpness, brightness, yaw.abs(), pitch.abs(), roll.abs()].map(Some))
    }

    /// Of an aligned crop.
    pub fn of_crop(crop: &RgbImage) -> Self {
        let Look { sharpness, brightness } = Look::new(crop);
        Self([None, None, Some(sharpness), Some(brightness), None, None, None])
    }

    /// One of them.
    pub fn get(&self, measure: Measure) -> Option<f32> {
        self.0.get(measure as usize).copied().flatten()
    }

    /// The numbers, NaN for what is not known.
    pub fn to_numbers(self) -> [f32; Measure::ALL.len()] {
        self.0.map(|value| value.unwrap_or(f32::NAN))
    }

    /// From such numbers.
    pub fn from_numbers(numbers: [f32; Measure::ALL.len()]) -> Self {
        Self(numbers.map(|number| (!number.is_nan()).then_some(number)))
    }
}

/// A search as a bin sees it.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// What was measured of it.
    pub measured: Measured,
    /// True if the person is enrolled.
    pub mated: bool,
    /// Of a mated probe the score of its own identity, of a non-mated one the highest.
    pub score: f32,
    /// Of a mated probe: not found at the threshold. Of a non-mated one: found.
    pub wrong: bool,
}

/// Probes whose measure lies in one quarter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// The measure.
    pub measure: Measure,
    /// Least value in it.
    pub from: f32,
    /// Largest value in it.
    pub to: f32,
    /// Median score of mated probes with their own identity.
    pub mated_median: Option<f32>,
    /// Mated probes that were missed.
    pub misses: Share,
    /// Highest score of the non-mated probes with anybody.
    pub non_mated_most: Option<f32>,
    /// Non-mated probes that found somebody.
    pub false_positives: Share,
}

/// For each measure the quarters of the probes, by its value. Measures that no probe has are left out.
pub fn bins(probes: &[Probe]) -> Vec<Bin> {
    Measure::ALL.into_iter().flat_map(|measure| quarters(measure, probes)).collect()
}

fn quarters(measure: Measure, probes: &[Probe]) -> Vec<Bin> {
    let mut known: Vec<(f32, &Probe)> =
        probes.iter().filter_map(|probe| Some((probe.measured.get(measure)?, probe))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let edge = |quarter: usize| known.len() * quarter / 4;
    let quarter = |n: usize| known.get(edge(n)..edge(n + 1)).unwrap_or_default();
    (0..4).filter_map(|n| bin(measure, quarter(n))).collect()
}

/// Of probes in the order of their values.
fn bin(measure: Measure, probes: &[(f32, &Probe)]) -> Option<Bin> {
    let (from, to) = (probes.first()?.0, probes.last()?.0);
    let of = |mated: bool| probes.iter().map(|(_, probe)| *probe).filter(move |probe| probe.mated == mated);
    let share = |mated| Share::of(of(mated).filter(|p| p.wrong).count() as u64, of(mated).count() as u64);
    Some(Bin {
        measure,
        from,
        to,
        mated_median: median(of(true).map(|probe| probe.score).collect()),
        misses: share(true),
        non_mated_most: of(false).map(|probe| probe.score).max_by(f32::total_cmp),
        false_positives: share(false),
    })
}

/// Of an even number the mean of the two in the middle.
fn median(mut scores: Vec<f32>) -> Option<f32> {
    scores.sort_by(f32::total_cmp);
    let upper = *scores.get(scores.len() / 2)?;
    let lower = *scores.get(scores.len().saturating_sub(1) / 2)?;
    Some(f32::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(value: f32, mated: bool, score: f32) -> Probe {
        let mut numbers = [f32::NAN; Measure::ALL.len()];
        numbers[Measure::Sharpness as usize] = value;
        Probe { measured: Measured::from_numbers(numbers), mated, score, wrong: mated == (score < 0.5) }
    }

    #[test]
    fn each_quarter_holds_a_quarter_of_the_probes() {
        let mut probes: Vec<Probe> = (0..20).map(|n| probe(n as f32, true, 0.4 + 0.02 * n as f32)).collect();
        probes.push(probe(0.5, false, 0.7));
        let bins = bins(&probes);
        assert_eq!(bins.len(), 4, "one measure is known");
        assert!(bins.iter().all(|bin| bin.measure == Measure::Sharpness));
        assert_eq!(
            bins.iter().map(|b| b.misses.trials + b.false_positives.trials).collect::<Vec<_>>(),
            [5, 5, 5, 6]
        );
        assert_eq!((bins[0].from, bins[0].to), (0.0, 3.0));
        assert_eq!((bins[0].misses.count, bins[0].misses.trials, bins[0].false_positives.count), (4, 4, 1));
        assert_eq!((bins[0].non_mated_most, bins[1].non_mated_most), (Some(0.7), None));
        assert!(bins[0].mated_median.is_some_and(|median| (median - 0.43).abs() < 1e-6));
    }

    #[test]
    fn what_is_not_known_stays_unknown() {
        let measured = probe(3.0, true, 0.5).measured;
        let numbers = measured.to_numbers();
        assert_eq!(Measured::from_numbers(numbers), measured);
        assert_eq!((measured.get(Measure::Sharpness), measured.get(Measure::Yaw)), (Some(3.0), None));
        assert!(bins(&[]).is_empty());
    }
}
