//! `watchlistd compare A B`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::faces::{self, Eyes, Face, FaceReport, LookArgs};
use super::{ConfigArgs, context, output};
use crate::base::error::Result;
use crate::err;
use crate::image::codec;
use crate::image::draw;
use crate::types::frame::RgbImage;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Example: watchlistd compare passport.jpg selfie.jpg --out both.png")]
pub struct CompareArgs {
    /// First picture.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Second picture.
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Which face of the first picture: 1 is the leftmost, as `detect` numbers them.
    #[arg(long, value_name = "N")]
    face_a: Option<usize>,
    /// Which face of the second picture, likewise.
    #[arg(long, value_name = "N")]
    face_b: Option<usize>,
    /// Similarity score from which two faces are the same person; without it decide.threshold, else the model's.
    #[arg(long, value_name = "SCORE", value_parser = faces::parse_share)]
    threshold: Option<f32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write both faces side by side there (.jpg or .png).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
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
    same: bool,
    model: String,
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
    if let Some(out) = &args.out {
        output::check_target("--out", out, output::PICTURES)?;
    }
    let config = context::load_for_tools(&args.config)?;
    let models = context::models(&config)?;
    let mut eyes = Eyes::open(&models, &config.quality, &args.look)?;
    let mut embedder = models.embedder()?;

    let pictures = (Eyes::read(&args.a)?, Eyes::read(&args.b)?);
    let (face_a, count_a) = eyes.one(&pictures.0, &args.a, args.face_a)?;
    let (face_b, count_b) = eyes.one(&pictures.1, &args.b, args.face_b)?;
    let template = faces::embed(embedder.as_mut(), &face_a, &args.a)?;
    let probe = faces::embed(embedder.as_mut(), &face_b, &args.b)?;
    let similarity = template
        .similarity(&probe)
        .ok_or_else(|| err!(Software, "one embedder made embeddings of two models"))?;

    let threshold = args.threshold.or(config.decide.threshold).unwrap_or(models.default_threshold());
    let report = Report {
        a: Side { image: &args.a, faces_found: count_a, face: FaceReport::of(&face_a) },
        b: Side { image: &args.b, faces_found: count_b, face: FaceReport::of(&face_b) },
        similarity,
        distance: euclidean(similarity),
        threshold,
        same: similarity >= threshold,
        model: models.model_id().to_string(),
    };
    if args.json {
        output::json(&report)?
    } else {
        output::print(&for_people(&report))?
    }
    if let Some(out) = &args.out {
        codec::write_image(out, &side_by_side(pictures, &face_a, &face_b, &report)?)?;
    }
    Ok(ExitCode::from(u8::from(!report.same)))
}

/// Distance of two unit vectors with this cosine: |a - b|² = 2 - 2 cos.
fn euclidean(similarity: f32) -> f32 {
    (2.0 - 2.0 * similarity).max(0.0).sqrt()
}

fn for_people(report: &Report<'_>) -> String {
    let mut text = format!(
        "{}\nsimilarity {:.4}  (threshold {:.4})\ndistance   {:.4}  (threshold {:.4})\n",
        if report.same { "same person" } else { "different people" },
        report.similarity,
        report.threshold,
        report.distance,
        euclidean(report.threshold),
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

fn side_by_side(
    mut pictures: (RgbImage, RgbImage),
    a: &Face,
    b: &Face,
    report: &Report<'_>,
) -> Result<RgbImage> {
    let color = if report.same { draw::GREEN } else { draw::RED };
    let label = format!("{:.3}", report.similarity);
    draw::detection(&mut pictures.0, &a.detection, Some(&label), color);
    draw::detection(&mut pictures.1, &b.detection, Some(&label), color);
    draw::side_by_side(&pictures.0, &pictures.1)
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
