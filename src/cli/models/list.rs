//! `watchlistd models list`, `models card`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::cli::console::Console;
use crate::cli::table::Column;
use crate::cli::{ConfigArgs, context, output};
use crate::gallery::succession::models_in_use;
use crate::infer::manifest::{Manifest, Role};
use crate::models::card;
use crate::models::shelf::{Kind, Shelf};

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

fn broken(path: &Path, error: &Error, in_use: bool) -> Row {
    Row {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        role: None,
        family: None,
        size: None,
        dimension: None,
        licence: None,
        state: error.to_string(),
        in_use,
        manifest: path.to_owned(),
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
