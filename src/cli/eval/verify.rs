//! `watchlistd eval verify FOLDER`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::common::{CommonArgs, Document};
use super::setup::Setup;
use super::tables;
use crate::base::durable;
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::table::{self, Column};
use crate::eval::Failures;
use crate::eval::acquire::similarity;
use crate::eval::protocol::{Pairs, People, Protocol, sample};
use crate::eval::svg;
use crate::eval::verify::{OperatingPoint, Settings, Verification};

/// Arguments of `eval verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd eval verify lfw/ --pairs pairs.txt --roc lfw.svg --json lfw.json"
)]
pub struct VerifyArgs {
    /// Compare the pairs of this file, in the format of LFW's pairs.txt; pictures are FOLDER/<person>/<person>_0001.jpg.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folds", "non_mated"])]
    pairs: Option<PathBuf>,
    /// Folds of the cross-validation; fewer, if there are too few people.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    folds: u16,
    /// Most non-mated pairs; if the folder allows more, so many are drawn.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    non_mated: u64,
    /// Write the ROC curve there (.svg).
    #[arg(long, value_name = "FILE")]
    roc: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What was compared, in the JSON.
#[derive(Debug, Serialize)]
struct Compared {
    pairs: Option<String>,
    people: usize,
    folds: u16,
    possible_non_mated: Option<u64>,
    failures: Failures,
    seed: u64,
    bootstrap: u32,
}

/// Runs it.
///
/// # Errors
/// A folder, a pairs file or a target that is wrong, models that are not there; `Temporary`, when it was stopped.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let common = &args.common;
    common.check_targets("--roc", args.roc.as_deref())?;
    let mut console = Console::of_process(false);
    let protocol = protocol(args, &mut console)?;
    let setup = Setup::open(common)?;
    let paths: Vec<&Path> = protocol.pictures.iter().map(|picture| picture.path.as_path()).collect();
    let acquired = setup.acquire(&paths, common)?;
    let scores: Vec<Option<f32>> =
        protocol.trials.iter().map(|trial| similarity(&acquired.of, trial)).collect();
    let settings = Settings {
        failures: common.failures.into(),
        threshold: setup.threshold(),
        repeats: common.bootstrap as usize,
        seed: common.seed,
    };
    let figures = Verification::of(&protocol, &scores, &settings)?;
    let compared = Compared {
        pairs: args.pairs.as_ref().map(|path| path.display().to_string()),
        people: protocol.people.len(),
        folds: protocol.folds,
        possible_non_mated: protocol.possible_non_mated,
        failures: settings.failures,
        seed: common.seed,
        bootstrap: common.bootstrap,
    };
    let document = Document::new("verify", common, compared, (&setup, &paths, &acquired), &figures);
    if let Some(path) = &args.roc {
        let title = format!("Verification: {} on {}", document.models.embedder, common.folder().display());
        durable::write(path, svg::roc(&title, &figures).to_svg().as_bytes(), 0o644)?;
    }
    console.print(&summary(&document))?;
    let table = console.table(&COLUMNS, rows(&figures));
    console.print(&table)?;
    document.publish(common)?;
    Ok(ExitCode::SUCCESS)
}

fn protocol(args: &VerifyArgs, console: &mut Console) -> Result<Protocol> {
    let folder = args.common.folder();
    if let Some(path) = &args.pairs {
        return Pairs::read(path)?.protocol(&path.display().to_string(), folder);
    }
    let people = People::read(folder)?;
    people.can_be_compared(folder)?;
    people.passed_over_note(folder).iter().for_each(|note| console.tell(&table::plain(note)));
    let choice = sample::Choice { non_mated: args.non_mated, folds: args.folds, seed: args.common.seed };
    sample::protocol(&people, &choice)
}

fn summary(document: &Document<'_, Compared, Verification>) -> String {
    let (models, figures, compared) = (&document.models, document.figures, &document.protocol);
    let [detector, embedder] = models.fields();
    let drawn = compared.possible_non_mated.filter(|possible| *possible > figures.non_mated);
    let drawn = drawn.map_or_else(String::new, |possible| format!(" (drawn from {possible})"));
    let accuracy = figures.accuracy.as_ref().map(|a| {
        format!(
            "{} ± {:.2} over {} folds (standard error {:.2})",
            tables::percent(a.mean),
            a.standard_deviation * 100.0,
            a.folds.len(),
            a.standard_error * 100.0
        )
    });
    let in_use = &figures.in_use;
    let auc =
        figures.auc.map(|auc| format!("{} ({})", tables::percent(auc), tables::range(figures.auc_interval)));
    let eer = figures.eer.map(|eer| {
        let rate = tables::percent(eer.rate);
        format!("{rate} ({}) at {:.4}", tables::range(figures.eer_interval), eer.threshold)
    });
    let fields = [
        detector,
        embedder,
        ("people", Some(compared.people.to_string())),
        ("pictures", Some(tables::pictures(&document.pictures))),
        ("failures to acquire", Some(tables::failures(&document.pictures))),
        ("pairs", Some(format!("{} mated, {} non-mated{drawn}", figures.mated, figures.non_mated))),
        ("not compared", Some(tables::share(&figures.not_compared))),
        ("accuracy", Some(accuracy.unwrap_or_else(|| "none: too few people or folds".to_owned()))),
        ("AUC", auc),
        ("EER", eer),
        (
            "threshold in use",
            Some(format!(
                "{:.4}: FAR {}; TAR {}",
                in_use.threshold,
                tables::share(&in_use.far),
                tables::share(&in_use.tar)
            )),
        ),
    ];
    table::fields(&fields) + "\n"
}

const COLUMNS: [Column; 7] = [
    Column::number("FAR"),
    Column::number("TAR, %"),
    Column::number("95 %"),
    Column::number("95 % BY PEOPLE"),
    Column::number("THRESHOLD"),
    Column::number("FALSE ACCEPTS"),
    Column::words("NOTE").if_any(),
];

fn rows(figures: &Verification) -> Vec<Vec<String>> {
    let row = |point: &OperatingPoint| {
        let tar = point.tar.and_then(|tar| tar.rate);
        vec![
            format!("{:e}", point.far),
            tar.map_or_else(|| tables::NONE.to_owned(), |tar| format!("{:.2}", tar * 100.0)),
            tables::range(point.tar.and_then(|tar| tar.interval)),
            tables::range(point.tar_interval),
            tables::threshold(point.threshold),
            point
                .false_accepts
                .map_or_else(|| tables::NONE.to_owned(), |s| format!("{} of {}", s.count, s.trials)),
            tables::claim(point.claim, point.trials_needed),
        ]
    };
    figures.at.iter().map(row).collect()
}
