//! One detector, aligner and embedder for the commands that work on pictures.

use std::path::Path;

use serde::Serialize;

use crate::align::Aligner;
use crate::base::error::Result;
use crate::config::QualityLimits;
use crate::detect::{DetectOptions, Detector};
use crate::image::codec;
use crate::infer::Embedder;
use crate::infer::models::Models;
use crate::types::embedding::Embedding;
use crate::types::face::{Detection, FaceCrop, Quality};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Rect, Size};
use crate::{bail, err};

/// How the commands look for faces in photographs, which are larger and stiller than a camera's frames.
#[derive(Debug, Clone, clap::Args)]
pub struct LookArgs {
    /// The picture is fitted into this size before faces are looked for; larger finds smaller faces and takes longer.
    #[arg(long, value_name = "WxH", default_value = "960x960", value_parser = parse_size)]
    pub input: Size,
    /// Least detector score of a face, 0 to 1.
    #[arg(long, value_name = "SCORE", default_value_t = 0.7, value_parser = parse_share)]
    pub min_score: f32,
}

impl Default for LookArgs {
    fn default() -> Self {
        Self { input: Size::new(960, 960), min_score: 0.7 }
    }
}

impl LookArgs {
    /// For the detector.
    pub fn options(&self) -> DetectOptions {
        DetectOptions { input: self.input, min_score: self.min_score, roi: None }
    }
}

/// `640x480`
pub fn parse_size(text: &str) -> std::result::Result<Size, String> {
    let wrong = || format!("{text:?}: expected a size like 640x384, each side 64 to 4096");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let side = |t: &str| t.parse::<u32>().ok().filter(|n| (64..=4096).contains(n)).ok_or_else(wrong);
    Ok(Size::new(side(width)?, side(height)?))
}

/// A number from 0 to 1.
pub fn parse_share(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or_else(|| format!("{text:?}: expected a number from 0 to 1"))
}

/// What the commands need to see.
pub struct Eyes {
    detector: Box<dyn Detector>,
    aligner: Aligner,
    look: DetectOptions,
}

/// A face that was found, with its crop where one could be cut.
pub struct Face {
    /// Counts from 1, from left to right, as `enroll --face` does.
    pub number: usize,
    /// Where.
    pub detection: Detection,
    /// The aligned crop.
    pub crop: Option<FaceCrop>,
}

impl Face {
    /// What was measured of the crop.
    pub fn quality(&self) -> Option<&Quality> {
        self.crop.as_ref().map(FaceCrop::quality)
    }
}

impl Eyes {
    /// Opens a detector, and an aligner for the embedder's crops.
    ///
    /// # Errors
    /// The models', as `Models` gives them.
    pub fn open(models: &Models, limits: &QualityLimits, look: &LookArgs) -> Result<Self> {
        Ok(Self {
            detector: models.detector()?,
            aligner: Aligner::new(models.alignment().clone(), limits.clone())?,
            look: look.options(),
        })
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// `NoInput` or `Data`, in one line.
    pub fn read(path: &Path) -> Result<RgbImage> {
        codec::read_image(path)
    }

    /// All faces, from left to right.
    ///
    /// # Errors
    /// When inference fails.
    pub fn find(&mut self, picture: &dyn Pixels) -> Result<Vec<Face>> {
        let mut found = self.detector.detect(picture, &self.look)?;
        left_to_right(&mut found);
        let cut = |detection: &Detection| self.aligner.align(picture, detection).ok();
        let numbered = (1..).zip(found);
        Ok(numbered.map(|(number, detection)| Face { number, crop: cut(&detection), detection }).collect())
    }

    /// The face that is meant: number `wanted` (from 1, left to right), or the largest.
    ///
    /// # Errors
    /// `Data`, when there is none; `Usage`, when there is no such number.
    pub fn one(&mut self, picture: &dyn Pixels, name: &Path, wanted: Option<usize>) -> Result<(Face, usize)> {
        let mut faces = self.find(picture)?;
        let count = faces.len();
        if count == 0 {
            bail!(
                Data,
                "{}: no face found; a larger --input or a lower --min-score finds more",
                name.display()
            );
        }
        let at = match wanted {
            Some(number) if (1..=count).contains(&number) => number - 1,
            Some(number) => bail!(Usage, "{}: there is no face {number}, only 1 to {count}", name.display()),
            None => largest(&faces),
        };
        Ok((faces.swap_remove(at), count))
    }
}

/// The order people count in; by score nobody could tell which is which.
fn left_to_right(found: &mut [Detection]) {
    found.sort_by(|a, b| {
        let (a, b) = (a.bbox.center(), b.bbox.center());
        a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y))
    });
}

fn largest(faces: &[Face]) -> usize {
    let area = |at: &usize| faces[*at].detection.bbox.area();
    (0..faces.len()).max_by(|a, b| area(a).total_cmp(&area(b))).unwrap_or(0)
}

/// Embeds one crop.
///
/// # Errors
/// When the face could not be aligned, or inference fails.
pub fn embed(embedder: &mut dyn Embedder, face: &Face, name: &Path) -> Result<Embedding> {
    let crop = face.crop.clone().ok_or_else(|| {
        err!(Data, "{}: the face's landmarks make no face; use another picture", name.display())
    })?;
    embedder
        .embed(&[crop])?
        .pop()
        .unwrap_or_else(|| Err(err!(Software, "the embedder answered nothing for {}", name.display())))
}

/// A face in the commands' JSON.
#[derive(Debug, Serialize)]
pub struct FaceReport {
    /// Counts from 1, from left to right: what `--face` takes.
    pub number: usize,
    /// The box, in pixels of the picture.
    #[serde(rename = "box")]
    pub bbox: Rect,
    /// Left eye, right eye, nose, left and right corner of the mouth, as the viewer sees them.
    pub landmarks: [[f32; 2]; 5],
    /// The detector's score.
    pub score: f32,
    /// What was measured of the aligned face; null if it could not be aligned.
    pub quality: Option<Quality>,
}

impl FaceReport {
    /// Of a face.
    pub fn of(face: &Face) -> Self {
        Self {
            number: face.number,
            bbox: face.detection.bbox,
            landmarks: face.detection.landmarks.map(|p| [p.x, p.y]),
            score: face.detection.score,
            quality: face.quality().copied(),
        }
    }
}
