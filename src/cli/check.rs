//! `watchlistd check`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::{ConfigArgs, context, output};
use crate::base::clock::SystemClock;
use crate::base::error::{Kind, Result};
use crate::config::load::Loaded;
use crate::config::{Camera, CameraSource, Config, ConfigErrors, Problem};
use crate::err;
use crate::gallery::reading;
use crate::infer::models::Models;
use crate::source::gst::{self, GstOpener};
use crate::source::supervisor::Opener;
use crate::source::{Next, Source, StreamInfo};
use crate::types::frame::RgbImage;
use crate::types::geometry::Size;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Do not connect to cameras.
    #[arg(long)]
    no_cameras: bool,
    /// How long a camera may take to deliver its first frame, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
    #[command(flatten)]
    config: ConfigArgs,
}

/// One line of the table.
struct Line {
    what: String,
    found: Found,
}

enum Found {
    Well(String),
    Wrong(Kind, String),
    NotTried(String),
}

impl Line {
    fn new(what: impl Into<String>, found: Result<String>) -> Self {
        let found = match found {
            Ok(text) => Found::Well(text),
            Err(error) => Found::Wrong(error.kind(), error.chain()),
        };
        Self { what: what.into(), found }
    }
}

/// Runs it.
///
/// # Errors
/// A wrong configuration; what else is wrong is in the table and in the exit status.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let (loaded, missing) = load(&args.config)?;
    let config = loaded.config;
    let from =
        context::file(&args.config).map_or("built-in defaults".to_owned(), |f| f.display().to_string());
    let mut lines = vec![Line::new("configuration", Ok(from))];
    lines.extend(loaded.warnings.into_iter().map(|warning| Line::new("warning", Ok(warning))));
    lines.extend(
        missing.as_ref().map(|errors| Line::new("credentials", Err(err!(Config, "{}", on_one_line(errors))))),
    );
    let models = check_models(&config, &mut lines);
    if let Some(models) = &models {
        lines.push(Line::new("gallery", check_gallery(&config, models)));
    }
    if !args.no_cameras {
        lines.extend(check_cameras(&config, missing.as_ref(), Duration::from_secs(args.timeout)));
    }
    output::print(&table(&lines))?;
    Ok(worst(&lines))
}

/// The configuration; without credentials, and with what is wrong, if nothing but these cannot be read.
fn load(args: &ConfigArgs) -> Result<(Loaded, Option<ConfigErrors>)> {
    match context::load(args) {
        Ok(loaded) => Ok((loaded, None)),
        Err(errors) => match context::load_without_credentials(args) {
            Ok(loaded) => Ok((loaded, Some(errors))),
            Err(_) => Err(errors.into()),
        },
    }
}

fn on_one_line(errors: &ConfigErrors) -> String {
    errors.to_string().lines().collect::<Vec<_>>().join("; ")
}

/// True if the camera may lack what could not be read.
fn lacks(camera: &Camera, missing: &ConfigErrors) -> bool {
    // As TOML writes the key: in quotes if there is a dot in it.
    let keys = [format!("cameras.{}.", camera.id), format!("cameras.{:?}.", camera.id.as_str())];
    let concerns = |problem: &Problem| {
        let elsewhere = ["cameras.", "sinks."].iter().any(|section| problem.key.starts_with(section));
        !elsewhere || keys.iter().any(|key| problem.key.starts_with(key))
    };
    matches!(camera.source, CameraSource::Rtsp(_)) && missing.problems().iter().any(concerns)
}

fn check_models(config: &Config, lines: &mut Vec<Line>) -> Option<Models> {
    let models = match context::models(config) {
        Ok(models) => models,
        Err(error) => {
            lines.push(Line::new("models", Err(error)));
            return None;
        }
    };
    lines.push(Line::new("runtime", Ok(models.runtime().library().display().to_string())));
    lines.push(Line::new("device", Ok(format!("{}, {} workers", models.device(), models.plan().workers))));
    lines.push(Line::new("detector", check_detector(&models)));
    lines.push(Line::new("embedder", check_embedder(&models)));
    Some(models)
}

/// A real inference over a gray picture.
fn check_detector(models: &Models) -> Result<String> {
    let size = Size::new(640, 384);
    let picture = RgbImage::new(size, vec![128; size.area() as usize * 3])?;
    let options = crate::detect::DetectOptions { input: size, min_score: 0.7, roi: None };
    let mut detector = models.detector()?;
    let started = Instant::now();
    let faces = detector.detect(&picture, &options)?;
    let took = started.elapsed();
    let name = &models.detector_manifest().name;
    Ok(format!(
        "{name}: hash and shapes right, {size} in {:.1} ms, {} faces in a gray picture",
        ms(took),
        faces.len()
    ))
}

fn check_embedder(models: &Models) -> Result<String> {
    // Opening it runs it once.
    let started = Instant::now();
    let embedder = models.embedder()?;
    let name = &models.embedder_manifest().name;
    Ok(format!(
        "{name}: hash and shapes right, {} dimensions, model {}, opened and run in {:.0} ms",
        embedder.dimension(),
        models.model_id(),
        ms(started.elapsed())
    ))
}

fn check_gallery(config: &Config, models: &Models) -> Result<String> {
    let (shared, warnings) = reading::configured(config, models)?;
    let snapshot = shared.current();
    let mut text = format!(
        "{}: {} identities, {} templates, generation {}",
        config.gallery.path.display(),
        snapshot.identities(),
        snapshot.templates(),
        snapshot.generation()
    );
    for warning in warnings {
        text += &format!("; {warning}");
    }
    Ok(text)
}

/// All cameras side by side: one that does not answer costs its own time only.
fn check_cameras(config: &Config, missing: Option<&ConfigErrors>, patience: Duration) -> Vec<Line> {
    if let Err(error) = gst::init() {
        return vec![Line::new("GStreamer", Err(error))];
    }
    let opener = GstOpener::new(Arc::new(SystemClock::new()));
    std::thread::scope(|scope| {
        let probes: Vec<_> = config
            .cameras
            .iter()
            .map(|camera| {
                let lacks = missing.is_some_and(|missing| lacks(camera, missing));
                (camera, (!lacks).then(|| scope.spawn(|| check_camera(camera, &opener, patience))))
            })
            .collect();
        probes
            .into_iter()
            .map(|(camera, probe)| {
                let what = format!("camera {}", camera.id);
                let Some(probe) = probe else {
                    return Line {
                        what,
                        found: Found::NotTried("its credentials cannot be read".to_owned()),
                    };
                };
                Line::new(what, probe.join().unwrap_or_else(|_| Err(err!(Software, "the probe panicked"))))
            })
            .collect()
    })
}

/// Connects and waits for one frame, then for a second's worth of them to tell the rate.
fn check_camera(camera: &Camera, opener: &GstOpener, patience: Duration) -> Result<String> {
    let failed = |e: crate::source::SourceError| err!(Unavailable, "{}: {}", e.failure.as_str(), e.message);
    let started = Instant::now();
    let mut source = opener.open(camera, 1).map_err(failed)?;
    let first = next_frame(source.as_mut(), started + patience).map_err(failed)?;
    let Some(size) = first else {
        return Err(err!(Unavailable, "timed out: no frame came within {} s", patience.as_secs()));
    };
    let connected = started.elapsed();
    let counting = Instant::now();
    let mut frames = 0u32;
    while counting.elapsed() < Duration::from_secs(1) {
        match next_frame(source.as_mut(), counting + Duration::from_secs(1)) {
            Ok(Some(_)) => frames += 1,
            _ => break,
        }
    }
    Ok(describe(&source.info(), size, frames, connected))
}

fn next_frame(
    source: &mut dyn Source,
    deadline: Instant,
) -> std::result::Result<Option<Size>, crate::source::SourceError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if let Next::Frame(frame) = source.next(left)? {
            return Ok(Some(frame.size()));
        }
    }
}

fn describe(info: &StreamInfo, size: Size, frames: u32, connected: Duration) -> String {
    let announced = info.fps.map_or(String::new(), |fps| format!(" ({fps:.0} announced)"));
    format!(
        "{size}, {} decoded by {}, over {}, {frames} frames in a second{announced}, first frame after {:.1} s",
        info.codec.as_deref().unwrap_or("raw"),
        info.decoder.as_deref().unwrap_or("nothing"),
        info.transport.unwrap_or("?"),
        connected.as_secs_f32()
    )
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.what.len()).max().unwrap_or(0);
    let row = |line: &Line| {
        let (verdict, text) = match &line.found {
            Found::Well(text) => ("ok", text),
            Found::Wrong(_, text) => ("FAIL", text),
            Found::NotTried(text) => ("-", text),
        };
        format!("{verdict:4}  {:width$}  {text}\n", line.what)
    };
    lines.iter().map(row).collect()
}

/// The exit code of the first thing that is wrong.
fn worst(lines: &[Line]) -> ExitCode {
    let wrong = lines.iter().find_map(|line| match line.found {
        Found::Wrong(kind, _) => Some(kind),
        _ => None,
    });
    wrong.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code()))
}
