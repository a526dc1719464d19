//! A model on real faces, before anybody relies on it.
//!
//! ```text
//!  detector: the faces that the configured detector finds ─▶ found again? where? landmarks where? anything else?
//!  embedder: mated pairs (one person in two pictures; a face and its mirror image) against non-mated ones (two people; two
//!            faces of one picture) ─▶ does the similarity score tell them apart?
//! ```
//!
//! It finds models that are described wrongly (colours, scale, alignment, outputs) or cannot do the work. It measures no accuracy: for
//! that there are far too few pictures.

use serde::Serialize;

use super::pictures::Picture;
use crate::align::Aligner;
use crate::bail;
use crate::base::error::Result;
use crate::detect::{DetectOptions, Detector};
use crate::infer::embedder::OnnxEmbedder;
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Size};

/// Both detectors look at pictures that are fitted into this.
const LOOK: Size = Size::new(960, 960);
/// A face of the reference: it is sure of it.
const SURE: f32 = 0.9;
/// A face of the candidate: scores differ between families.
const LIKELY: f32 = 0.5;
/// Intersection over union from which two boxes are of one face.
const SAME_FACE: f32 = 0.5;
/// Fewest faces and pairs that say anything.
const FEWEST: usize = 3;
/// Least share of the faces that a detector must find again.
const LEAST_FOUND: f32 = 0.8;
/// Most that landmarks may be away from the reference's, in the mean of five, in the median of faces, as a part of the eye distance.
const FARTHEST: f32 = 0.25;
/// Least probability that a mated pair scores higher than a non-mated one (the area under the ROC curve).
const LEAST_AUC: f32 = 0.95;

/// What a detector did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectorReport {
    /// Faces that the reference is sure of.
    pub faces: usize,
    /// Those of them that were found.
    pub found: usize,
    /// Others that were found.
    pub others: usize,
    /// Median intersection over union with the reference's boxes.
    pub iou: f32,
    /// Median over faces of the landmarks' mean distance from the reference's, as a part of the eye distance.
    pub landmarks: f32,
}

/// Shows pictures to a detector and to one that is known to work.
///
/// # Errors
/// `Data`, when there are too few faces, or the detector fails, with what it did; when inference fails.
pub fn detector(
    candidate: &mut dyn Detector,
    reference: &mut dyn Detector,
    pictures: &[Picture],
) -> Result<DetectorReport> {
    let look = |min_score| DetectOptions { input: LOOK, min_score, roi: None };
    let (mut faces, mut found, mut others) = (0, 0, 0);
    let (mut ious, mut distances) = (Vec::new(), Vec::new());
    for picture in pictures {
        let known = reference.detect(&picture.pixels, &look(LIKELY))?;
        let mut seen = candidate.detect(&picture.pixels, &look(LIKELY))?;
        for face in known {
            let sure = face.score >= SURE;
            faces += usize::from(sure);
            let Some((at, iou)) = nearest(&seen, &face).filter(|(_, iou)| *iou >= SAME_FACE) else {
                continue;
            };
            let same = seen.swap_remove(at);
            if sure {
                found += 1;
                ious.push(iou);
                distances.push(distance(&same, &face));
            }
        }
        others += seen.len();
    }
    let report = DetectorReport { faces, found, others, iou: median(ious), landmarks: median(distances) };
    report.check()?;
    Ok(report)
}

fn nearest(seen: &[Detection], face: &Detection) -> Option<(usize, f32)> {
    let with_iou = seen.iter().map(|other| other.bbox.iou(&face.bbox)).enumerate();
    with_iou.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn distance(one: &Detection, other: &Detection) -> f32 {
    let apart = |a: &Point, b: &Point| (a.x - b.x).hypot(a.y - b.y);
    let [left, right, ..] = &other.landmarks;
    let sum: f32 = one.landmarks.iter().zip(&other.landmarks).map(|(a, b)| apart(a, b)).sum();
    sum / 5.0 / apart(left, right).max(1.0)
}

impl DetectorReport {
    fn check(&self) -> Result<()> {
        let Self { faces, found, others, landmarks, .. } = *self;
        if faces < FEWEST {
            bail!(
                Data,
                "the pictures show {faces} faces, expected {FEWEST} or more: too few to test a detector on"
            );
        }
        if (found as f32) < LEAST_FOUND * faces as f32 {
            bail!(Data, "it finds {found} of {faces} faces, expected {:.0} % of them", LEAST_FOUND * 100.0);
        }
        if others > faces {
            bail!(Data, "it finds {found} of {faces} faces, and {others} where there are none");
        }
        if landmarks > FARTHEST {
            bail!(
                Data,
                "its landmarks are {:.0} % of the eye distance away from where they should be, expected {:.0} % at most",
                landmarks * 100.0,
                FARTHEST * 100.0
            );
        }
        Ok(())
    }
}

/// A face, cut out for an embedder.
pub struct Face {
    /// Which picture it is on.
    picture: usize,
    /// Who it is, if the picture shows one person.
    person: Option<String>,
    crop: RgbImage,
}

impl Face {
    /// Its pixels.
    pub fn crop(&self) -> &RgbImage {
        &self.crop
    }
}

/// Finds and cuts out the faces of pictures.
///
/// # Errors
/// When inference fails.
pub fn faces(detector: &mut dyn Detector, aligner: &Aligner, pictures: &[Picture]) -> Result<Vec<Face>> {
    let mut faces = Vec::new();
    for (number, picture) in pictures.iter().enumerate() {
        let found =
            detector.detect(&picture.pixels, &DetectOptions { input: LOOK, min_score: SURE, roi: None })?;
        let alone = found.len() == 1;
        let crops = found.iter().filter_map(|face| aligner.align(&picture.pixels, face).ok());
        faces.extend(crops.map(|crop| Face {
            picture: number,
            person: alone.then(|| picture.person.clone()),
            crop: crop.image().clone(),
        }));
    }
    Ok(faces)
}

/// Similarity scores of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Pairs.
    pub pairs: usize,
    /// Mean score.
    pub mean: f32,
    /// Standard deviation.
    pub sd: f32,
}

impl Scores {
    fn of(scores: &[f32]) -> Self {
        let n = scores.len().max(1) as f32;
        let mean = scores.iter().sum::<f32>() / n;
        let sd = (scores.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n).sqrt();
        Self { pairs: scores.len(), mean, sd }
    }
}

/// What an embedder did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EmbedderReport {
    /// Faces.
    pub faces: usize,
    /// One person in two pictures.
    pub mated: Scores,
    /// A face and its mirror image.
    pub mirrored: Scores,
    /// Two people.
    pub non_mated: Scores,
    /// Probability that a pair of `mated` scores higher than one of `non_mated`.
    pub auc: f32,
}

/// Shows faces to an embedder. The report says how well it tells them apart; [`EmbedderReport::check`] whether that will do.
///
/// # Errors
/// `Data`, when there are too few faces, or a vector is none; when inference fails.
pub fn embedder(embedder: &mut OnnxEmbedder, faces: &[Face]) -> Result<EmbedderReport> {
    let mirrors: Vec<RgbImage> = faces.iter().map(|face| mirrored(&face.crop)).collect::<Result<_>>()?;
    let mut vectors = |crops: Vec<&RgbImage>| -> Result<Vec<Embedding>> {
        embedder.embed_images(&crops)?.into_iter().collect()
    };
    let (ahead, back) =
        (vectors(faces.iter().map(|face| &face.crop).collect())?, vectors(mirrors.iter().collect())?);
    let score = |a: &Embedding, b: &Embedding| a.similarity(b).unwrap_or(f32::NAN);
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    for (n, (one, a)) in faces.iter().zip(&ahead).enumerate() {
        for (other, b) in faces.iter().zip(&ahead).skip(n + 1) {
            match (&one.person, &other.person) {
                _ if one.picture == other.picture => non_mated.push(score(a, b)),
                (Some(x), Some(y)) if x == y => mated.push(score(a, b)),
                (Some(_), Some(_)) => non_mated.push(score(a, b)),
                _ => {}
            }
        }
    }
    if mated.len() < FEWEST || non_mated.len() < FEWEST {
        bail!(
            Data,
            "the pictures show {} pairs of one person and {} of two, expected {FEWEST} of each: too few to test an embedder on",
            mated.len(),
            non_mated.len()
        );
    }
    let mirrored: Vec<f32> = ahead.iter().zip(&back).map(|(a, b)| score(a, b)).collect();
    Ok(EmbedderReport {
        faces: faces.len(),
        auc: area(&mated, &non_mated),
        mated: Scores::of(&mated),
        mirrored: Scores::of(&mirrored),
        non_mated: Scores::of(&non_mated),
    })
}

impl EmbedderReport {
    /// Whether it tells people apart at all.
    ///
    /// # Errors
    /// `Data`, when it does not.
    pub fn check(&self) -> Result<()> {
        // It is a share of pairs, and never NaN.
        if self.auc < LEAST_AUC {
            bail!(
                Data,
                "it does not tell people apart: pairs of one person score {:.3} in the mean, of two people {:.3}; one of the first scores \
                 higher than one of the second with a probability of {:.3}, expected {LEAST_AUC} or more",
                self.mated.mean,
                self.non_mated.mean,
                self.auc
            );
        }
        Ok(())
    }

    /// How far the means are apart, in standard deviations (d').
    pub fn separation(&self) -> f32 {
        let spread = ((self.mated.sd.powi(2) + self.non_mated.sd.powi(2)) / 2.0).sqrt();
        (self.mated.mean - self.non_mated.mean) / spread.max(1e-6)
    }
}

/// The area under the ROC curve (Mann and Whitney 1947), ties as a half; NaN counts as lost.
fn area(mated: &[f32], non_mated: &[f32]) -> f32 {
    let mut won = 0.0;
    for a in mated {
        for b in non_mated {
            won += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    won / (mated.len() * non_mated.len()).max(1) as f32
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn mirrored(crop: &RgbImage) -> Result<RgbImage> {
    let row = crop.size().width as usize * 3;
    let rows = crop.data().chunks_exact(row);
    let data = rows.flat_map(|row| row.as_chunks::<3>().0.iter().rev().flatten().copied()).collect();
    RgbImage::new(crop.size(), data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;
    use crate::infer::testing;

    #[test]
    fn the_area_counts_ties_as_halves_and_no_number_as_lost() {
        assert_eq!(area(&[0.9, 0.8], &[0.1, 0.2]), 1.0);
        assert_eq!(area(&[0.5], &[0.5, 0.4]), 0.75);
        assert_eq!(area(&[f32::NAN], &[0.5]), 0.0);
    }

    #[test]
    fn a_mirror_image_is_the_rows_backwards() {
        let picture = RgbImage::new(Size::new(2, 1), vec![1, 2, 3, 4, 5, 6]).expect("a picture");
        assert_eq!(mirrored(&picture).expect("a picture").data(), [4, 5, 6, 1, 2, 3]);
    }

    /// One that sees what another does, a little wrong.
    struct Distorted<F>(Box<dyn Detector>, F);

    impl<F: Fn(&mut Vec<Detection>) + Send> Detector for Distorted<F> {
        fn detect(&mut self, picture: &dyn Pixels, options: &DetectOptions) -> Result<Vec<Detection>> {
            let mut found = self.0.detect(picture, options)?;
            (self.1)(&mut found);
            Ok(found)
        }
    }

    fn verdict(distort: impl Fn(&mut Vec<Detection>) + Send + 'static) -> Option<Result<DetectorReport>> {
        let (Some(mut reference), Some(inner)) = (testing::detector(), testing::detector()) else {
            return None;
        };
        let pictures = super::super::pictures::read(&testing::var().join("images")).expect("pictures");
        Some(detector(&mut Distorted(inner, distort), &mut *reference, &pictures))
    }

    #[test]
    fn a_detector_that_misses_imagines_or_points_elsewhere_fails() {
        let Some(same) = verdict(|_| {}) else { return };
        let same = same.expect("the reference itself");
        assert_eq!((same.faces, same.others, same.iou, same.landmarks), (same.found, 0, 1.0, 0.0));
        assert!(same.faces >= 10, "{same:?}");
        let error = |distort: fn(&mut Vec<Detection>)| {
            verdict(distort).expect("models").expect_err("it fails").to_string()
        };
        assert!(error(|found| found.truncate(1)).contains("faces, expected 80 %"));
        assert!(
            error(|found| found.iter_mut().for_each(|face| face.landmarks.reverse())).contains("landmarks")
        );
        let imagines = |found: &mut Vec<Detection>| {
            let Some(real) = found.first().cloned() else { return };
            for n in 0..12 {
                let at = 40.0 * n as f32;
                found.push(Detection {
                    bbox: crate::types::geometry::Rect::new(at, 0.0, at + 20.0, 20.0),
                    ..real.clone()
                });
            }
        };
        assert!(error(imagines).contains("where there are none"));
    }
}
