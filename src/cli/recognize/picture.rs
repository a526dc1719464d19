//! A picture: every face on its own.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::RecognizeArgs;
use crate::base::error::Result;
use crate::cli::faces::{self, Eyes, Face, FaceReport};
use crate::cli::output;
use crate::config::Config;
use crate::gallery::SharedGallery;
use crate::image::codec;
use crate::image::draw;
use crate::infer::Embedder;
use crate::infer::models::Models;
use crate::pipeline::budget;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::Size;
use crate::types::ids::IdentityId;

#[derive(Serialize)]
struct Report<'a> {
    image: &'a Path,
    size: Size,
    threshold: f32,
    model: String,
    gallery_generation: u64,
    faces: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    #[serde(flatten)]
    face: FaceReport,
    decision: &'static str,
    identity: Option<Identity>,
    similarity: Option<f32>,
    margin: Option<f32>,
}

#[derive(Serialize)]
struct Identity {
    id: IdentityId,
    name: Arc<str>,
}

/// Prints the report, and writes the annotated picture.
pub(super) fn recognize(
    file: &Path,
    args: &RecognizeArgs,
    config: &Config,
    models: &Models,
    gallery: &SharedGallery,
) -> Result<()> {
    let mut picture = Eyes::read(file)?;
    let mut eyes = Eyes::open(models, &config.quality, &args.look)?;
    let mut embedder = models.embedder()?;
    let threshold = config.decide.threshold.unwrap_or(models.default_threshold());
    let found = eyes.find(&picture)?;
    let mut named = Vec::new();
    for face in &found {
        named.push(name(face, file, embedder.as_mut(), gallery, threshold, config.decide.margin)?);
    }
    if let Some(out) = &args.out {
        found.iter().zip(&named).for_each(|(face, named)| annotate(&mut picture, face, named));
        codec::write_image(out, &picture)?;
    }
    output::json(&Report {
        image: file,
        size: picture.size(),
        threshold,
        model: models.model_id().to_string(),
        gallery_generation: gallery.current().generation(),
        faces: named,
    })
}

/// One face against the gallery. A single picture has no track to wait for: a poor face is named too, and its quality says
/// how far to trust that.
fn name(
    face: &Face,
    file: &Path,
    embedder: &mut dyn Embedder,
    gallery: &SharedGallery,
    threshold: f32,
    least_margin: f32,
) -> Result<Named> {
    let report = FaceReport::of(face);
    if face.crop.is_none() {
        return Ok(Named {
            face: report,
            decision: "refused",
            identity: None,
            similarity: None,
            margin: None,
        });
    }
    let probe = faces::embed(embedder, face, file)?;
    let found = gallery.current().search(&probe, budget::CANDIDATES);
    let best = found.best().cloned();
    let margin = best.as_ref().map(|_| found.margin());
    let over = best.as_ref().is_some_and(|candidate| candidate.score >= threshold);
    let decision = match margin {
        Some(margin) if over && margin >= least_margin => "recognized",
        Some(_) if over => "ambiguous",
        _ => "unknown",
    };
    Ok(Named {
        face: report,
        decision,
        similarity: best.as_ref().map(|candidate| candidate.score),
        margin,
        identity: best
            .filter(|_| decision == "recognized")
            .map(|candidate| Identity { id: candidate.identity, name: candidate.name }),
    })
}

fn annotate(picture: &mut RgbImage, face: &Face, named: &Named) {
    let score = named.similarity.unwrap_or(0.0);
    match &named.identity {
        Some(identity) => {
            let label = format!("{} {score:.2}", identity.name);
            draw::detection(picture, &face.detection, Some(&label), draw::GREEN);
        }
        None => draw::detection(picture, &face.detection, Some(named.decision), draw::RED),
    }
}
