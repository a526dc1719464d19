//! `watchlistd calibrate FOLDER`

mod own;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::console::Console;
use super::eval::common::{CommonArgs, Document};
use super::eval::setup::Setup;
use super::eval::tables;
use super::output;
use super::table::{self, Column};
use crate::base::durable;
use crate::base::error::Result;
use crate::calibrate::table::{Row, Table};
use crate::err;
use crate::eval::acquire::{Acquisition, Template, similarity};
use crate::eval::bootstrap::PeopleTrial;
use crate::eval::protocol::{People, Protocol, sample};
use crate::infer::manifest::{Calibration, Rates};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(
    mut_arg("folder", |folder| folder.required(false).required_unless_present("own_scores")),
    after_help = "Examples:\n  watchlistd calibrate people/ --write\n  watchlistd calibrate --own-scores\n\ndocs/budget.md says how to read the table, and how a threshold follows from a \
    budget of false alerts instead."
)]
pub struct CalibrateArgs {
    /// Most non-mated pairs; if the folder allows more, so many are drawn.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    non_mated: u64,
    /// From what the daemon has counted itself: the best scores of tracks that were no match. Takes no pictures.
    #[arg(long, conflicts_with_all = ["folder", "non_mated", "matrix", "aligned", "face", "failures", "seed", "bootstrap", "cache", "input", "min_score"])]
    own_scores: bool,
    /// Store the table beside the embedder's manifest, from where it is read with the model.
    #[arg(long)]
    write: bool,
    /// Write the similarities of all pictures there, a line for each, with its person's number before them; scores, no templates.
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What was compared, in the JSON.
#[derive(Debug, Serialize)]
struct Compared {
    people: usize,
    possible_non_mated: Option<u64>,
    seed: u64,
    bootstrap: u32,
}

/// Runs it.
///
/// # Errors
/// A folder or a target that is wrong, models that are not there; `Data`, when --write has nothing to write; `Temporary`, when it was
/// stopped.
pub fn run(args: &CalibrateArgs) -> Result<ExitCode> {
    let common = &args.common;
    if args.own_scores {
        return own::run(common, args.write);
    }
    common.check_targets("--json", None)?;
    if let Some(path) = &args.matrix {
        output::check_target("--matrix", path, &["txt"])?;
    }
    let mut console = Console::of_process(false);
    let people = People::read(common.folder())?;
    people.can_be_compared(common.folder())?;
    people.passed_over_note(common.folder()).iter().for_each(|note| console.tell(&table::plain(note)));
    let protocol = sample::protocol(
        &people,
        &sample::Choice { non_mated: args.non_mated, folds: 2, seed: common.seed },
    )?;
    let setup = Setup::open(common)?;
    let paths: Vec<&Path> = protocol.pictures.iter().map(|picture| picture.path.as_path()).collect();
    let acquired = setup.acquire(&paths, common)?;
    let trials = trials(&protocol, &acquired.of);
    let found = Table::of(&trials, protocol.people.len(), common.bootstrap as usize, common.seed)?;
    let compared = Compared {
        people: protocol.people.len(),
        possible_non_mated: protocol.possible_non_mated,
        seed: common.seed,
        bootstrap: common.bootstrap,
    };
    let document = Document::new("calibrate", common, compared, (&setup, &paths, &acquired), &found);
    console.print(&summary(&document, &protocol))?;
    let shown = console.table(&COLUMNS, found.rows.iter().map(row).collect());
    console.print(&shown)?;
    if let Some(path) = &args.matrix {
        durable::write(path, matrix(&protocol, &acquired.of).as_bytes(), 0o644)?;
    }
    document.publish(common)?;
    if args.write {
        let path = Calibration::path_of(setup.embedder_manifest());
        durable::write(&path, calibration(&found, &protocol, &setup)?.to_text().as_bytes(), 0o644)?;
        console.tell(&format!("watchlistd: wrote {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn trials(protocol: &Protocol, of: &[Acquisition]) -> Vec<PeopleTrial> {
    protocol.trials.iter().map(|trial| protocol.of_people(trial, similarity(of, trial))).collect()
}

fn calibration(found: &Table, protocol: &Protocol, setup: &Setup) -> Result<Calibration> {
    let rates = found.rates();
    let intervals = rates.iter().map(|[threshold, _]| {
        let row = found.rows.iter().rev().find(|row| row.threshold == Some(*threshold));
        row.and_then(|row| row.interval).unwrap_or([-1.0, 1.0])
    });
    let intervals = intervals.collect();
    let mates = found.mates.filter(|_| !rates.is_empty());
    let (Some(mates), Some(rates)) = (mates, Rates::new(rates)) else {
        return Err(err!(
            Data,
            "{} mated and {} non-mated pairs are too few for any threshold; nothing was written",
            found.mated,
            found.non_mated
        ));
    };
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Calibration {
        model: setup.model_id(),
        made_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        people: number(protocol.people.len() as u64),
        mated: number(found.mated),
        non_mated: number(found.non_mated),
        mates: Some([mates.mean as f32, mates.deviation as f32]),
        rates,
        intervals,
    })
}

/// A line a picture that has a template: the person's number, then the similarity to each such picture.
fn matrix(protocol: &Protocol, of: &[Acquisition]) -> String {
    let made: Vec<(u32, &Template)> =
        protocol.pictures.iter().zip(of).filter_map(|(p, a)| Some((p.person, a.template()?))).collect();
    let mut text =
        "# a line a picture: the person's number, then the similarity to each picture\n".to_owned();
    for (person, own) in &made {
        // Writing to a string cannot fail.
        let _ = write!(text, "{person}");
        for (_, other) in &made {
            let score = own.embedding.similarity(&other.embedding).unwrap_or(0.0);
            let _ = write!(text, " {score:.4}");
        }
        text.push('\n');
    }
    text
}

fn summary(document: &Document<'_, Compared, Table>, protocol: &Protocol) -> String {
    let (models, found) = (&document.models, document.figures);
    let [detector, embedder] = models.fields();
    let drawn = protocol.possible_non_mated.filter(|possible| *possible > found.non_mated);
    let drawn = drawn.map_or_else(String::new, |possible| format!(" (of {possible})"));
    let mates = found.mates.map(|m| format!("{:.3}, standard deviation {:.3}", m.mean, m.deviation));
    let fields = [
        detector,
        embedder,
        ("people", Some(protocol.people.len().to_string())),
        ("pictures", Some(tables::pictures(&document.pictures))),
        ("failures to acquire", Some(tables::failures(&document.pictures))),
        ("pairs", Some(format!("{} mated, {} non-mated{drawn}", found.mated, found.non_mated))),
        ("mated scores", mates),
    ];
    table::fields(&fields) + "\n"
}

const COLUMNS: [Column; 6] = [
    Column::number("FMR"),
    Column::number("THRESHOLD"),
    Column::number("95 % BY PEOPLE"),
    Column::number("FALSE MATCHES"),
    Column::number("TRUE MATCHES, %"),
    Column::words("NOTE").if_any(),
];

fn row(row: &Row) -> Vec<String> {
    let none = || tables::NONE.to_owned();
    vec![
        format!("{:e}", row.fmr),
        tables::threshold(row.threshold),
        row.interval.map_or_else(none, |[low, high]| format!("{low:.4} to {high:.4}")),
        row.false_matches.map_or_else(none, |s| format!("{} of {}", s.count, s.trials)),
        row.true_matches.and_then(|s| s.rate).map_or_else(none, |rate| format!("{:.2}", rate * 100.0)),
        tables::claim(row.claim, row.trials_needed),
    ]
}
