//! `watchlistd recognize IMAGE|VIDEO`

mod picture;
mod video;

pub(super) use video::{
    as_the_daemon as recording_settings, open as open_recording, with_name as recording_error,
};

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::context::ModelArgs;
use super::faces::LookArgs;
use super::pictures::{self, Pictures, Targets};
use super::{ConfigArgs, context, faces, output};
use crate::bail;
use crate::base::error::{Error, Result};
use crate::config::Threshold;

/// Arguments of `recognize`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd recognize party.jpg | jq -r '.faces[].identity.name'\n  \
    watchlistd recognize lobby.mp4 --out named.mp4")]
pub struct RecognizeArgs {
    /// Pictures or videos; folders of pictures; - for a picture from standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the annotated picture (.jpg, .png) or video (.mp4, H.264) there; for several pictures, a folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Similarity score from which a face is recognised; without it decide.threshold, else the model's.
    #[arg(long, value_name = "SCORE", value_parser = faces::parse_share)]
    threshold: Option<f32>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    video: VideoArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What concerns videos only.
#[derive(Debug, Clone, Args)]
struct VideoArgs {
    /// Worker threads; one a core without it.
    #[arg(long, value_name = "N", help_heading = "Videos")]
    workers: Option<usize>,
    /// Frames a second that are looked at; every frame without it.
    #[arg(long, value_name = "FPS", help_heading = "Videos")]
    fps: Option<f32>,
    /// Embed every face of every frame that is looked at, not each track's best shots.
    #[arg(long, help_heading = "Videos")]
    every_face: bool,
    /// Embed faces that are small, blurred or turned away too.
    #[arg(long, help_heading = "Videos")]
    any_quality: bool,
    /// When the recording began, for the events' times: 2026-11-23T08:00:00Z. 1970 without it.
    #[arg(long, value_name = "TIME", help_heading = "Videos")]
    start: Option<jiff::Timestamp>,
    /// Write every face of every frame with its track there, one line of JSON a frame.
    #[arg(long, value_name = "FILE", help_heading = "Videos")]
    detail: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// A file that cannot be read, models that are not there, a gallery that is broken.
pub fn run(args: &RecognizeArgs) -> Result<ExitCode> {
    let files = Pictures::of(&args.files)?;
    // Every file first: a mistyped name should not cost the loading of models.
    let kinds = files.iter().map(is_picture).collect::<Result<Vec<bool>>>()?;
    let mut targets = check_targets(args, &kinds)?;
    let mut config = context::load_for_tools(&args.config)?;
    config.decide.threshold = args.threshold.map(Threshold::Score).or(config.decide.threshold);
    let models = context::models_asked_for(&mut config, &args.models)?;
    let gallery = context::gallery(&config, &models)?;
    let mut viewer = picture::Viewer::open(args, &config, &models, &gallery)?;
    let mut kinds = kinds.into_iter();
    files.each(|file| {
        if kinds.next() == Some(true) {
            viewer.recognize(file, targets.of(file).as_deref())
        } else {
            video::recognize(file, args, &config, &models, &gallery)
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is to be written, before any work is done for it.
fn check_targets<'a>(args: &'a RecognizeArgs, kinds: &[bool]) -> Result<Targets<'a>> {
    let has_video = kinds.contains(&false);
    if kinds.len() > 1 && (args.video.detail.is_some() || args.out.is_some() && has_video) {
        bail!(Usage, "--detail, and --out of a video, take one file, {} were given", kinds.len());
    }
    args.video.detail.as_deref().map_or(Ok(()), |path| output::check_target("--detail", path, &[]))?;
    if let (Some(out), true) = (&args.out, has_video) {
        output::check_target("--out", out, output::VIDEOS)?;
        return Targets::new(None, kinds.len());
    }
    Targets::new(args.out.as_deref(), kinds.len())
}

/// By its first bytes, else by its name: a JPEG or PNG is a picture, anything else is for GStreamer.
fn is_picture(path: &Path) -> Result<bool> {
    use std::io::Read;
    if pictures::is_standard_input(path) {
        return Ok(true);
    }
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(8).read_to_end(&mut start))
        .map_err(|e| Error::io("read", path, e))?;
    if start.is_empty() {
        bail!(Data, "{} is empty (0 bytes)", path.display());
    }
    let named = path.extension().and_then(|e| e.to_str()).is_some_and(|extension| {
        ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    Ok(named || start.starts_with(b"\xff\xd8\xff") || start.starts_with(b"\x89PNG\r\n\x1a\n"))
}
