//! `watchlistd models ...`

mod add;
mod import;
mod input;
mod list;
mod remove;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::faces::{Eyes, LookArgs};
use super::{output, switch};
use crate::base::error::{Error, Result};
use crate::config;
use crate::infer::manifest::Manifest;
use crate::infer::models::Models;
use crate::infer::prepare::{self, Comparison, PrepareReport};
use crate::types::face::FaceCrop;
use crate::{bail, err};

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Which models there are, and which are in use.
    List(list::ListArgs),
    /// Are they what they say? Hashes, shapes, and a test on real faces.
    ///
    /// Exit status 1, when a model fails.
    Verify(verify::VerifyArgs),
    /// What whoever answers for a model has to know: where it comes from, its licence, its training data, its threshold.
    Card(list::CardArgs),
    /// Add a model, from an ONNX file or a package.
    ///
    /// What the file tells is taken from it, what can be measured on real faces is proposed, the rest is asked. A batch or size that the
    /// file fixes is freed where the graph allows it. A model that fails the test on real faces is not added.
    Add(Box<add::AddArgs>),
    /// Remove a model that was added.
    Remove(remove::RemoveArgs),
    /// Prepare fetched models for this machine, once.
    ///
    /// Rewrites an embedder's PReLUs and fixed batch dimension into an equal graph that runs faster on a CPU, verifies its
    /// SHA-256, and checks its embeddings against the original's on real faces. Does nothing when that was done before.
    /// `make setup` runs this; it is needed by hand only for models of your own.
    Prepare(PrepareArgs),
    /// Make an ONNX file and the draft of its manifest from PyTorch weights.
    ///
    /// Reads a state dictionary as `torch.save` or safetensors wrote it, runs nothing that is in it, and needs no Python. The
    /// network is the one that --family names; weights that do not fit it are refused, with the names that are wrong.
    /// docs/models.md says which networks these are, and what to look at in the draft.
    Import(import::ImportArgs),
    /// Make another model the gallery's, without a gap.
    ///
    /// Templates of the new model are made from the kept crops while the old ones are still searched, both models are compared
    /// on the gallery, and then the search changes over at once. Identities without a kept crop are named: they need new
    /// pictures, and without --force nothing is switched. Exit status 1 when nothing was switched.
    Switch(switch::SwitchArgs),
    /// Make the model before the last switch the gallery's again.
    ///
    /// Whoever was forgotten stays forgotten.
    Rollback(switch::RollbackArgs),
}

/// Arguments of `models prepare`.
#[derive(Debug, Args)]
pub(super) struct PrepareArgs {
    /// Folder of manifests.
    #[arg(long, value_name = "DIR")]
    manifests: PathBuf,
    /// Folder of the weights.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// The ONNX Runtime library.
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// Pictures with faces, to compare the prepared graph with the original on.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
}

/// Runs it.
///
/// # Errors
/// A manifest, a file or a comparison that is wrong.
pub fn run(args: &ModelsArgs) -> Result<ExitCode> {
    match &args.command {
        Command::List(args) => list::list(args),
        Command::Verify(args) => verify::verify(args),
        Command::Card(args) => list::show_card(args),
        Command::Add(args) => add::add(args),
        Command::Remove(args) => remove::remove(args),
        Command::Prepare(args) => prepare_all(args),
        Command::Import(args) => import::import(args),
        Command::Switch(args) => switch::switch(args),
        Command::Rollback(args) => switch::rollback(args),
    }
}

fn prepare_all(args: &PrepareArgs) -> Result<ExitCode> {
    let manifests = manifests_in(&args.manifests)?;
    let detector = manifests.iter().find(|m| m.detector().is_ok());
    for manifest in &manifests {
        if let PrepareReport::Made(made) = prepare::prepare(&manifest.path, &args.models)? {
            let compared = detector
                .ok_or_else(|| err!(Config, "{}: no detector's manifest in it", args.manifests.display()))
                .and_then(|detector| compare(manifest, detector, args));
            match compared {
                Ok(comparison) => say(manifest, &made, &comparison)?,
                Err(error) => {
                    // What did not pass must not be found by the next run.
                    let _ = std::fs::remove_file(&made);
                    return Err(error);
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(manifest: &Manifest, made: &Path, comparison: &Comparison) -> Result<()> {
    output::print(&format!(
        "set-up: {} prepared into {}; on {} faces its numbers differ from the original's by at most {:e}, in a batch by \
         {:e}\n",
        manifest.name,
        made.display(),
        comparison.crops,
        comparison.from_original,
        comparison.batch_from_single
    ))
}

fn manifests_in(folder: &Path) -> Result<Vec<Manifest>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.is_empty() {
        bail!(NoInput, "{}: no manifest (*.toml) in it", folder.display());
    }
    paths.iter().map(|path| Manifest::read(path)).collect()
}

/// The prepared embedder against the published one, on every face of the pictures.
fn compare(manifest: &Manifest, detector: &Manifest, args: &PrepareArgs) -> Result<Comparison> {
    let paths = config::Models {
        detector: detector.path.clone(),
        embedder: manifest.path.clone(),
        folder: args.models.clone(),
        runtime: args.runtime.clone(),
    };
    let models = Models::load(&paths, &config::Inference::default())?;
    let crops = crops_of(&models, &args.images)?;
    let size = models.alignment().size().area() as usize * 3;
    let tensors: Vec<Vec<f32>> = crops
        .iter()
        .map(|crop| {
            let mut tensor = vec![0.0; size];
            manifest.input.scaling.write(crop.image(), &mut tensor);
            tensor
        })
        .collect();
    prepare::check_prepared(models.runtime(), manifest, &args.models, &tensors)
}

fn crops_of(models: &Models, folder: &Path) -> Result<Vec<FaceCrop>> {
    let mut eyes = Eyes::open(models, &config::QualityLimits::default(), &LookArgs::default())?;
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut crops = Vec::new();
    for path in paths {
        let faces = eyes.find(&Eyes::read(&path)?)?;
        crops.extend(faces.into_iter().filter_map(|face| face.crop));
    }
    Ok(crops)
}
