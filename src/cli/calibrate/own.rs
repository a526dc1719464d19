//! `watchlistd calibrate --own-scores`

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::base::durable;
use crate::base::error::Result;
use crate::calibrate::book::Book;
use crate::calibrate::budget::{Basis, Goal};
use crate::calibrate::own::{OwnRow, OwnTable};
use crate::calibrate::scores::Scores;
use crate::calibrate::tail::MateShape;
use crate::cli::console::Console;
use crate::cli::context;
use crate::cli::eval::common::CommonArgs;
use crate::cli::eval::tables;
use crate::cli::table::{self, Column};
use crate::err;
use crate::infer::manifest::{Calibration, Rates};
use crate::infer::models::Models;
use crate::pipeline::calibrator;

/// The JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    measurement: &'static str,
    model: String,
    cameras: Vec<String>,
    identities: u32,
    figures: &'a OwnTable,
}

/// Runs it.
///
/// # Errors
/// `NoInput`, without scores; `Data`, when they are damaged, of another model, or too few; models that are not there.
pub(super) fn run(common: &CommonArgs, write: bool) -> Result<ExitCode> {
    common.check_targets("--json", None)?;
    let mut config = context::load_for_tools(&common.config)?;
    let models = context::models_asked_for(&mut config, &common.models)?;
    let path = calibrator::path_beside(&config.gallery.path);
    let book = read(&path, &models)?;
    let scores = Scores::joined(book.scores().map(|(_, scores)| scores));
    let identities = scores.blocks().map(|block| block.judged.identities).last().unwrap_or(0);
    let found = OwnTable::of(&scores, &goal(&models, identities));
    let mut console = Console::of_process(false);
    let cameras: Vec<String> = book.scores().map(|(camera, _)| camera.to_string()).collect();
    console.print(&summary(&models, &cameras, identities, &found))?;
    console.print(&console.table(&COLUMNS, found.rows.iter().map(row).collect()))?;
    if let Some(file) = &common.json {
        let model = models.model_id().hex();
        let report = Report { measurement: "own_scores", model, cameras, identities, figures: &found };
        let text = serde_json::to_vec_pretty(&report).map_err(|e| err!(Software, "the report").because(e))?;
        durable::write(file, &text, 0o644)?;
    }
    if write {
        let target = Calibration::path_of(&models.embedder_manifest().path);
        durable::write(&target, calibration(&found, &models, identities)?.to_text().as_bytes(), 0o644)?;
        console.tell(&format!("watchlistd: wrote {}", target.display()));
    }
    Ok(if found.basis == Basis::Scores { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path, models: &Models) -> Result<Book> {
    let bytes = std::fs::read(path).map_err(|e| {
        err!(
            NoInput,
            "{}: {e}; the daemon counts scores where a camera or a list has a budget of false alerts \
             (threshold = {{ false_alerts_per_day = 1 }}), and writes them every six hours and when it ends",
            path.display()
        )
    })?;
    let book: Book = serde_json::from_slice(&bytes)
        .map_err(|e| err!(Data, "{}: damaged; the daemon begins a new one", path.display()).because(e))?;
    match book.model() {
        Some(model) if model != models.model_id() => Err(err!(
            Data,
            "{}: scores of the model {model}, and {} is configured; they say nothing of each other",
            path.display(),
            models.model_id()
        )),
        _ => Ok(book),
    }
}

fn goal(models: &Models, identities: u32) -> Goal {
    let mates = models.mates().map_or(MateShape::USUAL, MateShape::from);
    let model = models.default_threshold();
    Goal { per_day: 1.0, identities, floor: 0.0, between_enrolled: None, model, in_force: model, mates }
}

fn calibration(found: &OwnTable, models: &Models, identities: u32) -> Result<Calibration> {
    let (rates, intervals): (Vec<_>, Vec<_>) = found.rates().into_iter().unzip();
    let Some(rates) = Rates::new(rates).filter(|rates| !rates.points().is_empty()) else {
        return Err(err!(Data, "{} scores give no threshold; nothing was written", found.scores));
    };
    Ok(Calibration {
        model: models.model_id(),
        made_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        people: identities,
        mated: 0,
        non_mated: u32::try_from(found.comparisons).unwrap_or(u32::MAX),
        // Of mates nothing was measured now; what was before goes on.
        mates: models.calibration().and_then(|before| before.mates),
        rates,
        intervals,
    })
}

fn summary(models: &Models, cameras: &[String], identities: u32, found: &OwnTable) -> String {
    let tail = match found.basis {
        Basis::Scores => format!("fits, p = {:.2}", found.fitness),
        Basis::NoFit => "none fits: no threshold".to_owned(),
        _ => "too few scores: no threshold".to_owned(),
    };
    let fields = [
        ("embedder", Some(models.embedder_manifest().name.clone())),
        ("cameras", Some(cameras.join(", "))),
        ("identities", Some(identities.to_string())),
        ("tracks that were no match", Some(found.scores.to_string())),
        ("comparisons", Some(found.comparisons.to_string())),
        ("tail", Some(tail)),
    ];
    table::fields(&fields) + "\n"
}

const COLUMNS: [Column; 4] = [
    Column::number("FMR"),
    Column::number("THRESHOLD"),
    Column::number("95 % OF TAILS"),
    Column::words("NOTE").if_any(),
];

fn row(row: &OwnRow) -> Vec<String> {
    let interval = row.interval.map(|[low, high]| format!("{low:.4} to {high:.4}"));
    let note = match (row.threshold, row.extrapolated) {
        (None, _) => "below the tail",
        (_, true) => "extrapolated",
        (_, false) => "",
    };
    vec![
        format!("{:e}", row.fmr),
        tables::threshold(row.threshold),
        interval.unwrap_or_else(|| tables::NONE.to_owned()),
        note.to_owned(),
    ]
}
