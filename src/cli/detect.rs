//! `watchlistd detect IMAGE...`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::ModelArgs;
use super::faces::{Eyes, Face, FaceReport, LookArgs};
use super::pictures::{self, Pictures, Targets};
use super::{ConfigArgs, context, output};
use crate::base::error::Result;
use crate::image::codec;
use crate::image::draw;
use crate::image::labels::{self, Annotation};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::Size;

/// Arguments of `detect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd detect party.jpg --out boxes.png | jq '.faces | length'\n  \
    curl -s http://camera/still.jpg | watchlistd detect - --detector scrfd_500m_kps")]
pub struct DetectArgs {
    /// Pictures, folders of pictures, or - for a picture from standard input.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Write the picture with boxes and landmarks there (.jpg or .png); for several, a folder.
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
    image: &'a Path,
    size: Size,
    faces: Vec<FaceReport>,
}

/// Runs it.
///
/// # Errors
/// A picture that cannot be read, models that are not there.
pub fn run(args: &DetectArgs) -> Result<ExitCode> {
    let pictures = Pictures::of(&args.images)?;
    let mut targets = Targets::new(args.out.as_deref(), pictures.len())?;
    let mut config = context::load_for_tools(&args.config)?;
    let models = context::models_asked_for(&mut config, &args.models)?;
    let mut eyes = Eyes::open(&models, &config.quality, &args.look)?;
    pictures.each(|image| {
        let mut picture = pictures::read(image)?;
        let found = eyes.find(&picture)?;
        let faces = found.iter().map(FaceReport::of).collect();
        output::json(&Report { image, size: picture.size(), faces })?;
        if let Some(out) = targets.of(image) {
            draw_faces(&mut picture, &found);
            codec::write_image(&out, &picture)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn draw_faces(picture: &mut RgbImage, found: &[Face]) {
    let annotations: Vec<Annotation<'_>> = found.iter().map(annotation).collect();
    labels::annotate(picture, &annotations);
}

fn annotation(face: &Face) -> Annotation<'_> {
    let text = format!("{}: {:.2}", face.number, face.detection.score);
    Annotation { face: &face.detection, text, color: draw::GREEN }
}
