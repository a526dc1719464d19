//! `watchlistd detect IMAGE...`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::faces::{Eyes, Face, FaceReport, LookArgs};
use super::{ConfigArgs, context, output};
use crate::bail;
use crate::base::error::Result;
use crate::image::codec;
use crate::image::draw;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::Size;

/// Arguments of `detect`.
#[derive(Debug, Args)]
#[command(after_help = "Example: watchlistd detect party.jpg --out boxes.png | jq '.faces | length'")]
pub struct DetectArgs {
    /// Pictures.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Write the picture with boxes and landmarks there (.jpg or .png); for one picture.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
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
    if args.out.is_some() && args.images.len() > 1 {
        bail!(Usage, "--out takes one picture, {} were given", args.images.len());
    }
    if let Some(out) = &args.out {
        output::check_target("--out", out, output::PICTURES)?;
    }
    let config = context::load_for_tools(&args.config)?;
    let mut eyes = Eyes::open(&context::models(&config)?, &config.quality, &args.look)?;
    for image in &args.images {
        let mut picture = Eyes::read(image)?;
        let found = eyes.find(&picture)?;
        let faces = found.iter().map(FaceReport::of).collect();
        output::json(&Report { image, size: picture.size(), faces })?;
        if let Some(out) = &args.out {
            draw_faces(&mut picture, &found);
            codec::write_image(out, &picture)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn draw_faces(picture: &mut RgbImage, found: &[Face]) {
    for face in found {
        let label = format!("{}: {:.2}", face.number, face.detection.score);
        draw::detection(picture, &face.detection, Some(&label), draw::GREEN);
    }
}
