//! `watchlistd enroll`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::faces::LookArgs;
use super::{ConfigArgs, context, output};
use crate::align::Aligner;
use crate::bail;
use crate::base::error::{Kind, Result};
use crate::config::QualityLimits;
use crate::gallery::enrol::{Choice, Enroller, Models as FinderModels, Options, Outcome, Report};
use crate::gallery::{Name, Store};

/// Arguments of `enroll`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd enroll \"Ada Lovelace\" ada1.jpg ada2.jpg\n  \
    watchlistd enroll --dir gallery/        # gallery/<identity>/*.jpg")]
pub struct EnrollArgs {
    /// The identity's name, in any script.
    #[arg(value_name = "NAME", required_unless_present = "dir")]
    name: Option<String>,
    /// Pictures of that person.
    #[arg(value_name = "IMAGE", required_unless_present = "dir")]
    images: Vec<PathBuf>,
    /// Enrol a folder of folders: DIR/<identity>/*.jpg, *.jpeg, *.png.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "images", "face"])]
    dir: Option<PathBuf>,
    /// Take this face: 1 is the leftmost.
    #[arg(long, value_name = "N", conflicts_with = "largest")]
    face: Option<usize>,
    /// Take the largest face.
    #[arg(long)]
    largest: bool,
    /// Enrol faces that are small, blurred, badly lit or turned away too.
    #[arg(long)]
    any_quality: bool,
    /// One line of JSON for each picture.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs it.
///
/// # Errors
/// Models or gallery that cannot be opened. What is wrong with a picture is printed, and is in the exit status.
pub fn run(args: &EnrollArgs) -> Result<ExitCode> {
    let name = args.name.as_deref().map(a_name).transpose()?;
    if args.face == Some(0) {
        bail!(Usage, "--face 0: faces are counted from 1");
    }
    let config = context::load_for_tools(&args.config)?;
    let models = context::models(&config)?;
    let mut store = Store::open(&config.gallery.path)?;
    let (mut detector, mut embedder) = (models.detector()?, models.embedder()?);
    let limits = if args.any_quality { QualityLimits::none() } else { config.quality.clone() };
    let mut finder = FinderModels {
        detector: detector.as_mut(),
        input: args.look.input,
        aligner: &Aligner::new(models.alignment().clone(), limits)?,
        embedder: embedder.as_mut(),
    };
    let options = Options {
        min_score: args.look.min_score,
        choice: match (args.face, args.largest) {
            (Some(number), _) => Choice::Number(number),
            (None, true) => Choice::Largest,
            (None, false) => Choice::Only,
        },
        alike: Some(config.decide.threshold.unwrap_or(models.default_threshold())),
    };
    let mut enroller = Enroller::new(&mut finder, &mut store, options)?;
    let reports = match (&args.dir, &name) {
        (Some(dir), _) => enrol_dir(&mut enroller, dir, args.json)?,
        (None, Some(name)) => enrol_files(&mut enroller, name, args)?,
        (None, None) => bail!(Usage, "NAME is missing"),
    };
    summarise(&reports);
    let refused = reports.iter().any(|report| matches!(report.outcome, Outcome::Refused { .. }));
    Ok(if refused { ExitCode::from(Kind::Data.exit_code()) } else { ExitCode::SUCCESS })
}

/// The name, unless it is a picture's: somebody who forgot it would enrol the second picture's face as the first one.
fn a_name(text: &str) -> Result<Name> {
    let lower = text.to_lowercase();
    if [".jpg", ".jpeg", ".png"].iter().any(|end| lower.ends_with(end)) || Path::new(text).is_file() {
        bail!(
            Usage,
            "{text:?} is a file, and NAME comes first: watchlistd enroll \"Ada Lovelace\" {text:?} ..."
        );
    }
    Name::new(text)
}

fn enrol_files(enroller: &mut Enroller<'_>, name: &Name, args: &EnrollArgs) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for image in &args.images {
        let report = enroller.enrol_file(name, image)?;
        say(&report, args.json)?;
        reports.push(report);
    }
    Ok(reports)
}

fn enrol_dir(enroller: &mut Enroller<'_>, dir: &Path, json: bool) -> Result<Vec<Report>> {
    let bar = ProgressBar::no_length();
    // The bar draws itself on standard error, and only on a terminal.
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} left {eta}") {
        bar.set_style(style);
    }
    let mut failure = None;
    let reports = enroller.enrol_dir(dir, |done, of, report| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        let said = bar.suspend(|| say(report, json));
        failure = failure.take().or(said.err());
    })?;
    bar.finish_and_clear();
    failure.map_or(Ok(reports), Err)
}

fn say(report: &Report, json: bool) -> Result<()> {
    if json {
        return output::json(report);
    }
    output::print(&format!("{report}\n"))
}

fn summarise(reports: &[Report]) {
    let count = |wanted: fn(&Outcome) -> bool| reports.iter().filter(|r| wanted(&r.outcome)).count();
    output::tell(&format!(
        "{} enrolled, {} already there, {} refused",
        count(|o| matches!(o, Outcome::Enrolled { .. })),
        count(|o| matches!(o, Outcome::AlreadyThere)),
        count(|o| matches!(o, Outcome::Refused { .. })),
    ));
}
