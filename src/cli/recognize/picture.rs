//! A picture: every face on its own.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::RecognizeArgs;
use crate::base::error::Result;
use crate::cli::faces::{self, Eyes, Face, FaceReport};
use crate::cli::{output, pictures};
use crate::config::Config;
use crate::decide::{AtCamera, Glance, Thresholds, at_a_glance, lists};
use crate::gallery::SharedGallery;
use crate::image::codec;
use crate::image::draw;
use crate::image::labels::{self, Annotation};
use crate::image::text::isolated;
use crate::infer::Embedder;
use crate::infer::models::Models;
use crate::pipeline::budget;
use crate::types::frame::Pixels;
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

/// Looks at pictures, one after the other.
pub(super) struct Viewer<'a> {
    eyes: Eyes,
    embedder: Box<dyn Embedder>,
    gallery: &'a SharedGallery,
    base: AtCamera,
    margin: f32,
    model: String,
}

impl<'a> Viewer<'a> {
    /// Opens what it takes.
    ///
    /// # Errors
    /// The models', as they give them.
    pub fn open(
        args: &RecognizeArgs,
        config: &Config,
        models: &Models,
        gallery: &'a SharedGallery,
    ) -> Result<Self> {
        let thresholds = Thresholds::from_parts(models.default_threshold(), config.decide.score(), []);
        Ok(Self {
            eyes: Eyes::open(models, &config.quality, &args.look)?,
            embedder: models.embedder()?,
            gallery,
            base: thresholds.of(&CameraId::new("file")?),
            margin: config.decide.margin,
            model: models.model_id().to_string(),
        })
    }

    /// Prints the report, and writes the annotated picture.
    ///
    /// # Errors
    /// When the picture cannot be read or written, or inference fails.
    pub fn recognize(&mut self, file: &Path, out: Option<&Path>) -> Result<()> {
        let mut picture = pictures::read(file)?;
        let found = self.eyes.find(&picture)?;
        let mut named = Vec::new();
        for face in &found {
            named.push(name(face, file, self.embedder.as_mut(), self.gallery, &self.base, self.margin)?);
        }
        if let Some(out) = out {
            let annotations: Vec<_> =
                found.iter().zip(&named).map(|(face, named)| annotation(face, named)).collect();
            labels::annotate(&mut picture, &annotations);
            codec::write_image(out, &picture)?;
        }
        output::json(&Report {
            image: file,
            size: picture.size(),
            threshold: self.base.own.value,
            model: self.model.clone(),
            gallery_generation: self.gallery.current().generation(),
            faces: named,
        })
    }
}

/// One face against the gallery. A single picture has no track to wait for: a poor face is named too, and its quality says
/// how far to trust that.
fn name(
    face: &Face,
    file: &Path,
    embedder: &mut dyn Embedder,
    gallery: &SharedGallery,
    base: &AtCamera,
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

fn annotation<'a>(face: &'a Face, named: &Named) -> Annotation<'a> {
    let (text, color) = match &named.identity {
        Some(identity) => {
            (format!("{} {:.2}", isolated(&identity.name), named.similarity.unwrap_or(0.0)), draw::GREEN)
        }
        None => (named.decision.to_owned(), draw::RED),
    };
    Annotation { face: &face.detection, text, color }
}
