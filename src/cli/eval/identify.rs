//! `watchlistd eval identify FOLDER`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::common::{CommonArgs, Document};
use super::setup::Setup;
use super::tables;
use crate::bail;
use crate::base::durable;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::table::{self, Column};
use crate::eval::Failures;
use crate::eval::acquire::Acquisition;
use crate::eval::identify::{Identification, SearchPoint, Settings};
use crate::eval::looks::Fusing;
use crate::eval::partition::{Division, divide};
use crate::eval::protocol::People;
use crate::eval::quality::Bin;
use crate::eval::svg;

/// Arguments of `eval identify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd eval identify people/ --enrol-share 0.5 --templates-per-person 3 --det people.svg"
)]
pub struct IdentifyArgs {
    /// Part of the people who are enrolled, between 0 and 1. Who has one picture only is never enrolled.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = part)]
    enrol_share: f64,
    /// Pictures of each that are enrolled; one at least is left to search with.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    templates_per_person: u32,
    /// R of FNIR(N, R, T): among how many of the best candidates the right one has to be.
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rank: u32,
    /// Search with N pictures of a person at a time, as with the shots of a track.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    shots: u32,
    /// How several shots are searched as one.
    #[arg(long, value_enum, default_value_t = Fuse::Quality)]
    fuse: Fuse,
    /// An identity's score is the mean of its K best templates'; the daemon's is the best one's.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    best_templates: u32,
    /// Write the DET curve there (.svg).
    #[arg(long, value_name = "FILE")]
    det: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// [`Fusing`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fuse {
    /// The shot of the best quality alone; of shots without a quality score the sharpest.
    Best,
    /// The mean of all.
    Mean,
    /// The mean, each weighted by its quality score, as the daemon does it.
    Quality,
}

impl From<Fuse> for Fusing {
    fn from(fuse: Fuse) -> Self {
        match fuse {
            Fuse::Best => Self::Best,
            Fuse::Mean => Self::Mean,
            Fuse::Quality => Self::Quality,
        }
    }
}

fn part(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n < 1.0);
    number.ok_or_else(|| format!("{text:?}: expected a number between 0 and 1"))
}

/// How people were divided, in the JSON.
#[derive(Debug, Serialize)]
struct Divided {
    people: usize,
    enrol_share: f64,
    templates_per_person: u32,
    shots: u32,
    fuse: Fusing,
    best_templates: u32,
    rank: u32,
    failures: Failures,
    seed: u64,
    bootstrap: u32,
}

/// Runs it.
///
/// # Errors
/// A folder or a target that is wrong, models that are not there; `Temporary`, when it was stopped.
pub fn run(args: &IdentifyArgs) -> Result<ExitCode> {
    let common = &args.common;
    if args.shots > 1 && args.fuse == Fuse::Quality && common.aligned {
        bail!(
            Usage,
            "--fuse quality: aligned crops have no quality score; leave --aligned out, or take --fuse mean or best"
        );
    }
    common.check_targets("--det", args.det.as_deref())?;
    let mut console = Console::of_process(false);
    let people = People::read(common.folder())?;
    people.can_be_compared(common.folder())?;
    people.passed_over_note(common.folder()).iter().for_each(|note| console.tell(&table::plain(note)));
    let division = Division {
        enrol_share: args.enrol_share,
        templates_per_person: args.templates_per_person as usize,
        seed: common.seed,
    };
    let parts = divide(&people.counts(), &division)?;
    let setup = Setup::open(common)?;
    let paths: Vec<&Path> =
        people.people.iter().flat_map(|person| &person.pictures).map(PathBuf::as_path).collect();
    let acquired = setup.acquire(&paths, common)?;
    let by_person = by_person(&acquired.of, &people.counts());
    let of = |(person, picture): (u32, u32)| by_person.get(person as usize)?.get(picture as usize);
    let settings = Settings {
        failures: common.failures.into(),
        threshold: setup.threshold(),
        shots: args.shots as usize,
        fusing: args.fuse.into(),
        best_templates: args.best_templates as usize,
        rank: args.rank as usize,
        repeats: common.bootstrap as usize,
        seed: common.seed,
    };
    let figures = Identification::of(&parts, people.people.len(), of, &settings)?;
    let divided = Divided {
        people: people.people.len(),
        enrol_share: args.enrol_share,
        templates_per_person: args.templates_per_person,
        shots: args.shots,
        fuse: args.fuse.into(),
        best_templates: args.best_templates,
        rank: args.rank,
        failures: settings.failures,
        seed: common.seed,
        bootstrap: common.bootstrap,
    };
    let document = Document::new("identify", common, divided, (&setup, &paths, &acquired), &figures);
    if let Some(path) = &args.det {
        let title = format!("Identification: {} on {}", document.models.embedder, common.folder().display());
        durable::write(path, svg::det(&title, &figures).to_svg().as_bytes(), 0o644)?;
    }
    console.print(&summary(&document))?;
    let table = console.table(&COLUMNS, figures.at.iter().map(row).collect());
    let quality = console.table(&QUALITY, figures.quality.iter().map(quality_row).collect());
    console.print(&format!("{table}\n{quality}"))?;
    document.publish(common)?;
    Ok(ExitCode::SUCCESS)
}

/// The acquisitions of each person's pictures.
fn by_person<'a>(of: &'a [Acquisition], counts: &[usize]) -> Vec<&'a [Acquisition]> {
    let mut rest = of;
    let own = |count: &usize| {
        let (own, others) = rest.split_at_checked(*count).unwrap_or((rest, &[]));
        rest = others;
        own
    };
    counts.iter().map(own).collect()
}

fn summary(document: &Document<'_, Divided, Identification>) -> String {
    let (models, figures, divided) = (&document.models, document.figures, &document.protocol);
    let [detector, embedder] = models.fields();
    let in_use = &figures.in_use;
    let fields = [
        detector,
        embedder,
        ("people", Some(divided.people.to_string())),
        ("pictures", Some(tables::pictures(&document.pictures))),
        ("failures to acquire", Some(tables::failures(&document.pictures))),
        ("gallery", Some(format!("{} identities, {} templates", figures.identities, figures.templates))),
        ("failures to enrol", Some(tables::share(&figures.failed_to_enrol))),
        ("searches", Some(format!("{} mated, {} non-mated", figures.mated, figures.non_mated))),
        ("rank 1", Some(tables::share(&figures.rank_1))),
        ("rank 5", Some(tables::share(&figures.rank_5))),
        (
            "threshold in use",
            Some(format!(
                "{:.4}: FPIR {}; FNIR {}",
                in_use.threshold,
                tables::share(&in_use.fpir),
                tables::share(&in_use.fnir)
            )),
        ),
    ];
    table::fields(&fields) + "\n"
}

const COLUMNS: [Column; 7] = [
    Column::number("FPIR"),
    Column::number("FNIR, %"),
    Column::number("95 %"),
    Column::number("95 % BY PEOPLE"),
    Column::number("THRESHOLD"),
    Column::number("FALSE POSITIVES"),
    Column::words("NOTE").if_any(),
];

fn row(point: &SearchPoint) -> Vec<String> {
    let fnir = point.fnir.and_then(|fnir| fnir.rate);
    vec![
        format!("{:e}", point.target),
        fnir.map_or_else(|| tables::NONE.to_owned(), |fnir| format!("{:.2}", fnir * 100.0)),
        tables::range(point.fnir.and_then(|fnir| fnir.interval)),
        tables::range(point.fnir_interval),
        tables::threshold(point.threshold),
        point.fpir.map_or_else(|| tables::NONE.to_owned(), |s| format!("{} of {}", s.count, s.trials)),
        tables::claim(point.claim, point.trials_needed),
    ]
}

const QUALITY: [Column; 6] = [
    Column::whole("PROBES BY"),
    Column::number("FROM, TO"),
    Column::number("MATED, MEDIAN"),
    Column::number("MISSED"),
    Column::number("NON-MATED, MOST"),
    Column::number("FALSE POSITIVES"),
];

fn quality_row(bin: &Bin) -> Vec<String> {
    vec![
        bin.measure.as_str().to_owned(),
        format!("{} to {}", tables::measure(bin.from), tables::measure(bin.to)),
        tables::threshold(bin.mated_median),
        format!("{} of {}", bin.misses.count, bin.misses.trials),
        tables::threshold(bin.non_mated_most),
        format!("{} of {}", bin.false_positives.count, bin.false_positives.trials),
    ]
}
