//! `watchlistd models remove`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::base::error::{Error, Kind, Result};
use crate::cli::console::Console;
use crate::cli::{ConfigArgs, context};
use crate::config::Config;
use crate::gallery::succession::models_in_use;
use crate::infer::manifest::Manifest;
use crate::models::shelf::Shelf;
use crate::{bail, err};

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
                    Error::new(Kind::CannotCreate, format!("cannot remove {}", path.display())).because(e)
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
