//! A picture: every face on its own.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::RecognizeArgs;
use crate::base::error::Result;
use crate::cli::faces::{self, Eyes, Face, FaceReport};
use crate::cli::output;
use crate::config::Config;
use crate::decide::{Glance, Threshold, Thresholds, at_a_glance, lists};
use crate::gallery::SharedGallery;
use crate::image::codec;
use crate::image::draw;
use crate::infer::Embedder;
use crate::infer::models::Models;
use crate::pipeline::budget;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::Size;
use crate::types::ids::{CameraId, IdentityId};

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
    /// The one that counts for the nearest identity: of its lists, if they set one.
    threshold: Option<f32>,
}

#[derive(Serialize)]
struct Identity {
    id: IdentityId,
    name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<Arc<str>>,
    /// Those whose threshold the score reaches, the highest priority first. Whatever they publish, this tool is the operator's own.
    lists: Vec<Arc<str>>,
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
    let thresholds = Thresholds::from_parts(models.default_threshold(), config.decide.threshold, []);
    let base = thresholds.of(&CameraId::new("file")?);
    let found = eyes.find(&picture)?;
    let mut named = Vec::new();
    for face in &found {
        named.push(name(face, file, embedder.as_mut(), gallery, base, config.decide.margin)?);
    }
    if let Some(out) = &args.out {
        found.iter().zip(&named).for_each(|(face, named)| annotate(&mut picture, face, named));
        codec::write_image(out, &picture)?;
    }
    output::json(&Report {
        image: file,
        size: picture.size(),
        threshold: base.value,
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
    base: Threshold,
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
            threshold: None,
        });
    }
    let probe = faces::embed(embedder, face, file)?;
    let found = gallery.current().search(&probe, budget::CANDIDATES);
    let (decision, rules) = match at_a_glance(&found, least_margin, base) {
        Glance::Somebody(rules) => ("recognized", Some(rules)),
        Glance::Ambiguous => ("ambiguous", None),
        Glance::Nobody => ("unknown", None),
    };
    let best = found.best();
    let identity = best.zip(rules.as_ref()).map(|(best, rules)| Identity {
        id: best.identity,
        name: best.name.clone(),
        external_id: best.external_id.clone(),
        lists: rules.iter().map(|rule| rule.name.clone()).collect(),
    });
    Ok(Named {
        face: report,
        decision,
        identity,
        similarity: best.map(|best| best.score),
        margin: best.map(|_| found.margin()),
        threshold: best.map(|best| lists::named(best, rules.as_deref().unwrap_or_default(), base).value),
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
