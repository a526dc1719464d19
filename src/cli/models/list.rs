//! `watchlistd models list`, `models card`, `models verify`, `models remove`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::base::error::{Error, Kind as Status, Result};
use crate::cli::console::Console;
use crate::cli::table::{self, Column};
use crate::cli::{ConfigArgs, context, output};
use crate::config::{Config, Device};
use crate::gallery::succession::models_in_use;
use crate::infer::manifest::{Manifest, Role};
use crate::infer::models::Models;
use crate::infer::ort::Runtime;
use crate::models::add::{self, Bench, Report};
use crate::models::shelf::{Kind, Shelf};
use crate::models::{card, pictures};
use crate::{bail, err};

/// Arguments of `models list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Print JSON, one model a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Arguments of `models card`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CardArgs {
    /// The model's name, or its manifest.
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    config: ConfigArgs,
}

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

/// Arguments of `models remove`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// The model's name.
    #[arg(value_name = "MODEL")]
    model: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Serialize)]
struct Row {
    name: String,
    role: Option<&'static str>,
    family: Option<&'static str>,
    size: Option<String>,
    dimension: Option<usize>,
    licence: Option<String>,
    state: String,
    in_use: bool,
    manifest: PathBuf,
}

const COLUMNS: [Column; 8] = [
    Column::whole("NAME"),
    Column::whole("ROLE"),
    Column::whole("FAMILY"),
    Column::whole("INPUT"),
    Column::number("DIM"),
    Column::words("LICENCE"),
    Column::words("STATE"),
    Column::whole("IN USE"),
];

/// Runs `models list`.
pub(super) fn list(args: &ListArgs) -> Result<ExitCode> {
    let config = context::load_for_tools(&args.config)?;
    let (used, _) = models_in_use(&config)?;
    let shelf = Shelf::of(&config.models);
    let same = |a: &PathBuf, b: &PathBuf| a.canonicalize().ok() == b.canonicalize().ok();
    let rows: Vec<Row> = shelf
        .all()?
        .into_iter()
        .map(|standing| {
            let in_use = same(&standing.path, &used.detector) || same(&standing.path, &used.embedder);
            match &standing.manifest {
                Ok(manifest) => row(manifest, &shelf, in_use),
                Err(error) => broken(&standing.path, error, in_use),
            }
        })
        .collect();
    let mut console = Console::of_process(args.json);
    console.show_all(&COLUMNS, &rows, |_, row| cells(row))?;
    Ok(ExitCode::SUCCESS)
}

fn row(manifest: &Manifest, shelf: &Shelf, in_use: bool) -> Row {
    let dimension = match &manifest.role {
        Role::Embedder(spec) => Some(spec.dimension),
        Role::Detector(_) => None,
    };
    Row {
        name: manifest.name.clone(),
        role: Some(Kind::of(manifest).as_str()),
        family: Some(manifest.family.as_str()),
        size: manifest.input.size.map(|size| size.to_string()),
        dimension,
        licence: Some(manifest.source.licence.clone()),
        state: shelf.file_of(manifest).as_str().to_owned(),
        in_use,
        manifest: manifest.path.clone(),
    }
}

fn broken(path: &PathBuf, error: &Error, in_use: bool) -> Row {
    Row {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        role: None,
        family: None,
        size: None,
        dimension: None,
        licence: None,
        state: error.to_string(),
        in_use,
        manifest: path.clone(),
    }
}

fn cells(row: &Row) -> Vec<String> {
    let or = |value: Option<&str>, none: &str| value.unwrap_or(none).to_owned();
    vec![
        row.name.clone(),
        or(row.role, "-"),
        or(row.family, "-"),
        or(row.size.as_deref(), if row.role.is_some() { "any" } else { "-" }),
        row.dimension.map_or_else(String::new, |n| n.to_string()),
        or(row.licence.as_deref(), "-"),
        row.state.clone(),
        if row.in_use { "yes".to_owned() } else { String::new() },
    ]
}

/// Runs `models card`.
pub(super) fn show_card(args: &CardArgs) -> Result<ExitCode> {
    let config = context::load_for_tools(&args.config)?;
    let manifest = Shelf::of(&config.models).find(None, &args.model)?;
    output::print(&card::text(&manifest)?)?;
    Ok(ExitCode::SUCCESS)
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
pub(super) fn open_bench(config: &Config, folder: Option<&std::path::Path>) -> Result<Bench> {
    context::manifests_are_there(config)?;
    let reference = Models::load(&config.models, &config.inference)?.detector()?;
    // Set-up's pictures lie beside the models.
    let beside = || config.models.folder.parent().map(|place| place.join("images")).unwrap_or_default();
    let folder = folder.map_or_else(beside, std::path::Path::to_owned);
    Ok(Bench { reference, pictures: pictures::read(&folder)? })
}

/// Runs `models remove`.
pub(super) fn remove(args: &RemoveArgs) -> Result<ExitCode> {
    let config = context::load_for_tools(&args.config)?;
    let shelf = Shelf::of(&config.models);
    let manifest = shelf.find(None, &args.model)?;
    refuse_needed(&config, &shelf, &manifest)?;
    let mut console = Console::of_process(false);
    let question = format!("Removes {}, with its files.\nType its name to go on: ", manifest.path.display());
    if !console.confirm(args.yes, &question, &manifest.name)? {
        return Ok(ExitCode::FAILURE);
    }
    // The manifest first: without it there is no model, whatever is left of its files.
    let original = manifest.import.as_ref().map(|import| import.original.clone());
    let files =
        [Some(manifest.file.clone()), original].into_iter().flatten().map(|name| shelf.home().join(name));
    for path in std::iter::once(manifest.path.clone()).chain(files) {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(
                    Error::new(Status::CannotCreate, format!("cannot remove {}", path.display())).because(e)
                );
            }
            _ => {}
        }
    }
    console.tell(&format!("{} is removed.", manifest.name));
    Ok(ExitCode::SUCCESS)
}

/// A model that is in use, that the gallery can go back to, or whose files another one needs stays.
fn refuse_needed(config: &Config, shelf: &Shelf, manifest: &Manifest) -> Result<()> {
    let (used, _) = models_in_use(config)?;
    let is = |path: &PathBuf| path.canonicalize().ok() == manifest.path.canonicalize().ok();
    for (key, path) in [
        ("models.detector", &config.models.detector),
        ("models.embedder", &config.models.embedder),
        ("the gallery's switch", &used.embedder),
    ] {
        if is(path) {
            bail!(Usage, "{} is in use: {key} names it", manifest.name);
        }
    }
    let home = shelf.home().canonicalize().ok();
    if manifest.path.parent().and_then(|folder| folder.canonicalize().ok()) != home {
        bail!(
            Usage,
            "{} was not added by `models add`: its manifest is {}, outside {}",
            manifest.name,
            manifest.path.display(),
            shelf.home().display()
        );
    }
    for other in shelf.all()?.into_iter().filter(|other| !is(&other.path)) {
        let shares = other.manifest.as_ref().is_ok_and(|other| other.file == manifest.file);
        if shares {
            return Err(err!(Usage, "{} needs {}, too", other.path.display(), manifest.file.display()));
        }
    }
    Ok(())
}
