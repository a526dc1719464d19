//! `watchlistd models verify`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::{ConfigArgs, context, table};
use crate::config::{Config, Device};
use crate::infer::manifest::Manifest;
use crate::infer::models::Models;
use crate::infer::ort::Runtime;
use crate::models::add::{self, Bench, Report};
use crate::models::pictures;
use crate::models::shelf::Shelf;

/// Arguments of `models verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Names of models, or their manifests; all there are without any.
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Pictures with faces; without it those that set-up fetched.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Print JSON, one model a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Serialize)]
struct Verdict {
    name: String,
    error: Option<String>,
    test: Option<Report>,
}

/// Runs `models verify`: hashes, shapes, and the self-test on real faces. Exit status 1, when a model fails.
pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let config = context::load_for_tools(&args.config)?;
    let shelf = Shelf::of(&config.models);
    let manifests: Vec<(String, Result<Manifest>)> = if args.models.is_empty() {
        let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        shelf.all()?.into_iter().map(|standing| (name(&standing.path), standing.manifest)).collect()
    } else {
        let asked = args.models.iter();
        asked.map(|name| Ok((name.clone(), Ok(shelf.find(None, name)?)))).collect::<Result<_>>()?
    };
    let mut bench = open_bench(&config, args.pictures.as_deref())?;
    let runtime = Runtime::get(config.models.runtime.as_deref())?;
    let mut console = Console::of_process(args.json);
    let mut all_pass = true;
    for (name, manifest) in manifests {
        let tested = manifest.and_then(|manifest| {
            let bytes = manifest.load(&config.models.folder, &Device::Cpu)?;
            add::test(runtime, &manifest, &bytes, &mut bench)
        });
        all_pass &= tested.is_ok();
        let (error, test) = match tested {
            Ok(report) => (None, Some(report)),
            Err(error) => (Some(error.chain()), None),
        };
        let verdict = Verdict { name, error, test };
        console.show(&verdict, |_| in_words(&verdict))?;
    }
    Ok(if all_pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn in_words(verdict: &Verdict) -> String {
    let result = match (&verdict.error, &verdict.test) {
        (Some(error), _) => format!("FAILS: {error}"),
        (None, Some(report)) => format!("whole; {}", report_in_words(report)),
        (None, None) => String::new(),
    };
    format!("{}: {}\n", table::plain(&verdict.name), table::plain(&result))
}

/// What a self-test found, in a line.
pub(super) fn report_in_words(report: &Report) -> String {
    match report {
        Report::Detector(test) => format!(
            "finds {} of {} faces and {} more; boxes overlap by {:.2}, landmarks are {:.1} % of the eye distance apart (medians)",
            test.found,
            test.faces,
            test.others,
            test.iou,
            test.landmarks * 100.0
        ),
        Report::Embedder(test) => format!(
            "{} pairs of one person score {:.3}, mirror images {:.3}, {} pairs of two people {:.3} (means); told apart with a probability of {:.3}",
            test.mated.pairs,
            test.mated.mean,
            test.mirrored.mean,
            test.non_mated.pairs,
            test.non_mated.mean,
            test.auc
        ),
    }
}

/// What models are tested with: the configured detector, and pictures with faces.
pub(super) fn open_bench(config: &Config, folder: Option<&Path>) -> Result<Bench> {
    context::manifests_are_there(config)?;
    let reference = Models::load(&config.models, &config.inference)?.detector()?;
    // Set-up's pictures lie beside the models.
    let beside = || config.models.folder.parent().map(|place| place.join("images")).unwrap_or_default();
    let folder = folder.map_or_else(beside, Path::to_owned);
    Ok(Bench { reference, pictures: pictures::read(&folder)? })
}
