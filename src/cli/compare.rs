//! `watchlistd compare A B...`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::ModelArgs;
use super::faces::{self, Eyes, Face, FaceReport, LookArgs};
use super::pictures::{self, Pictures, Targets};
use super::{ConfigArgs, context, output, table};
use crate::base::error::Result;
use crate::image::codec;
use crate::image::draw;
use crate::infer::Embedder;
use crate::infer::manifest::Fmr;
use crate::infer::models::Models;
use crate::types::embedding::Embedding;
use crate::types::frame::RgbImage;
use crate::{bail, err};

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd compare passport.jpg selfie.jpg --out both.png\n  \
    watchlistd compare passport.jpg visits/ --json | jq 'select(.same) | .b.image'")]
pub struct CompareArgs {
    /// First picture; - for standard input.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Pictures that it is compared with, each for itself; folders of them; - for standard input.
    #[arg(value_name = "B", required = true)]
    b: Vec<PathBuf>,
    /// Which face of the first picture: 1 is the leftmost, as `detect` numbers them.
    #[arg(long, value_name = "N")]
    face_a: Option<usize>,
    /// Which face of the second picture, likewise; with one picture.
    #[arg(long, value_name = "N")]
    face_b: Option<usize>,
    /// Similarity score from which two faces are the same person; without it decide.threshold, else the model's.
    #[arg(long, value_name = "SCORE", value_parser = faces::parse_share)]
    threshold: Option<f32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write both faces side by side there (.jpg or .png); with several pictures, a folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    a: Side<'a>,
    b: Side<'a>,
    similarity: f32,
    distance: f32,
    threshold: f32,
    /// Share of comparisons of two people that reach the threshold; null where that was not measured.
    false_match_rate: Option<f32>,
    same: bool,
    model: String,
    #[serde(skip)]
    fmr: Fmr,
}

#[derive(Serialize)]
struct Side<'a> {
    image: &'a Path,
    faces_found: usize,
    face: FaceReport,
}

/// Runs it.
///
/// # Errors
/// A picture that cannot be read or shows no face, models that are not there.
pub fn run(args: &CompareArgs) -> Result<ExitCode> {
    let pictures = Pictures::of(&args.b)?;
    if args.face_b.is_some() && pictures.len() > 1 {
        bail!(Usage, "--face-b is for one picture, {} were given", pictures.len());
    }
    if pictures::is_standard_input(&args.a) && pictures.iter().any(pictures::is_standard_input) {
        bail!(Usage, "standard input (-) can be read once, and was asked for twice");
    }
    let mut targets = Targets::new(args.out.as_deref(), pictures.len())?;
    let mut config = context::load_for_tools(&args.config)?;
    let models = context::models_asked_for(&mut config, &args.models)?;
    let mut look = Look {
        eyes: Eyes::open(&models, &config.quality, &args.look)?,
        embedder: models.embedder()?,
        threshold: args.threshold.or(config.decide.score()).unwrap_or(models.default_threshold()),
    };
    let first = look.at(&args.a, args.face_a)?;
    let mut all_same = true;
    pictures.each(|path| {
        let second = look.at(path, args.face_b)?;
        let report = look.report(&first, &second, &models)?;
        all_same &= report.same;
        if args.json {
            output::json(&report)?
        } else {
            output::print(&for_people(&report, pictures.len() > 1))?
        }
        if let Some(out) = targets.of(path) {
            codec::write_image(&out, &side_by_side(&first, &second, &report)?)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::from(u8::from(!all_same)))
}

/// What it takes to look at pictures.
struct Look {
    eyes: Eyes,
    embedder: Box<dyn Embedder>,
    threshold: f32,
}

/// A picture that was looked at.
struct Looked<'a> {
    path: &'a Path,
    picture: RgbImage,
    face: Face,
    faces_found: usize,
    template: Embedding,
}

impl Look {
    fn at<'a>(&mut self, path: &'a Path, wanted: Option<usize>) -> Result<Looked<'a>> {
        let picture = pictures::read(path)?;
        let (face, faces_found) = self.eyes.one(&picture, path, wanted)?;
        let template = faces::embed(self.embedder.as_mut(), &face, path)?;
        Ok(Looked { path, picture, face, faces_found, template })
    }

    fn report<'a>(&self, a: &Looked<'a>, b: &Looked<'a>, models: &Models) -> Result<Report<'a>> {
        let similarity = a
            .template
            .similarity(&b.template)
            .ok_or_else(|| err!(Software, "one embedder made embeddings of two models"))?;
        let fmr = models.false_match_rate(self.threshold);
        Ok(Report {
            a: Side::of(a),
            b: Side::of(b),
            similarity,
            distance: euclidean(similarity),
            threshold: self.threshold,
            false_match_rate: fmr.value(),
            same: similarity >= self.threshold,
            model: models.model_id().to_string(),
            fmr,
        })
    }
}

impl<'a> Side<'a> {
    fn of(looked: &Looked<'a>) -> Self {
        Self { image: looked.path, faces_found: looked.faces_found, face: FaceReport::of(&looked.face) }
    }
}

/// Distance of two unit vectors with this cosine: |a - b|² = 2 - 2 cos.
fn euclidean(similarity: f32) -> f32 {
    (2.0 - 2.0 * similarity).max(0.0).sqrt()
}

fn for_people(report: &Report<'_>, of_several: bool) -> String {
    let name = |path: &Path| table::plain(&path.to_string_lossy());
    let heading = if of_several { format!("{}: ", name(report.b.image)) } else { String::new() };
    let mut text = format!(
        "{heading}{}\nsimilarity {:.4}  (threshold {:.4})\ndistance   {:.4}  (threshold {:.4})\nfalse match rate of the threshold: {}\n",
        if report.same { "same person" } else { "different people" },
        report.similarity,
        report.threshold,
        report.distance,
        euclidean(report.threshold),
        report.fmr,
    );
    for side in [&report.a, &report.b] {
        if side.faces_found > 1 {
            text += &format!(
                "note: {} shows {} faces; the largest was taken, or the one you named\n",
                side.image.display(),
                side.faces_found
            );
        }
        if let Some(refusal) = side.face.quality.and_then(|q| q.refusal) {
            text += &format!("note: the face in {} is {}\n", side.image.display(), refusal.as_str());
        }
    }
    text
}

fn side_by_side(a: &Looked<'_>, b: &Looked<'_>, report: &Report<'_>) -> Result<RgbImage> {
    let color = if report.same { draw::GREEN } else { draw::RED };
    let label = format!("{:.3}", report.similarity);
    let (mut left, mut right) = (a.picture.clone(), b.picture.clone());
    draw::detection(&mut left, &a.face.detection, Some(&label), color);
    draw::detection(&mut right, &b.face.detection, Some(&label), color);
    draw::side_by_side(&left, &right)
}

#[cfg(test)]
mod tests {
    use super::euclidean;

    #[test]
    fn the_distance_of_unit_vectors_follows_from_their_cosine() {
        assert_eq!(euclidean(1.0), 0.0);
        assert!((euclidean(0.0) - std::f32::consts::SQRT_2).abs() < 1e-6);
        assert_eq!(euclidean(-1.0), 2.0);
    }
}
