//! What the commands share: the configuration, and the models it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ConfigArgs, output};
use crate::base::error::Result;
use crate::config::load::{self, Loaded};
use crate::config::place::Place;
use crate::config::{Config, ConfigErrors};
use crate::gallery::succession::models_in_use;
use crate::gallery::{SharedGallery, reading};
use crate::infer::models::Models;
use crate::models::shelf::{Kind, Shelf};
use crate::{bail, err};

/// Where the configuration is when nobody says otherwise.
pub const SYSTEM_CONFIG: &str = "/etc/watchlistd/watchlistd.toml";

/// Loads the configuration a command works with.
///
/// # Errors
/// `Config`, with every mistake.
pub fn load(args: &ConfigArgs) -> Result<Loaded, ConfigErrors> {
    let path = file(args);
    load::load(path.as_deref(), load::environment(), &Place::of_process(path.as_deref()))
}

/// The same without opening credentials.
///
/// # Errors
/// `Config`, with every mistake.
pub fn load_without_credentials(args: &ConfigArgs) -> Result<Loaded, ConfigErrors> {
    let path = file(args);
    load::load_without_credentials(path.as_deref(), load::environment(), &Place::of_process(path.as_deref()))
}

/// The configuration for commands that open no camera: secrets are not read, and need not be readable.
///
/// # Errors
/// `Config`, with every mistake.
pub fn load_for_tools(args: &ConfigArgs) -> Result<Config> {
    Ok(load_without_credentials(args)?.config)
}

/// The file that [`load`] reads, if any.
pub fn file(args: &ConfigArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| Path::new(SYSTEM_CONFIG).is_file().then(|| SYSTEM_CONFIG.into()))
}

/// Which models a tool works with, where not with the configured ones.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ModelArgs {
    /// Detector: the name of a model that `models list` shows, or its manifest. The configured one without it.
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    pub detector: Option<String>,
    /// Embedder, likewise.
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    pub embedder: Option<String>,
}

/// [`models`], or those that were asked for.
///
/// # Errors
/// As [`models`]; `NoInput`, for a name that no model has.
pub fn models_asked_for(config: &mut Config, asked: &ModelArgs) -> Result<Models> {
    let shelf = Shelf::of(&config.models);
    if let Some(name) = &asked.detector {
        config.models.detector = shelf.find(Some(Kind::Detector), name)?.path;
    }
    let Some(name) = &asked.embedder else { return models(config) };
    config.models.embedder = shelf.find(Some(Kind::Embedder), name)?.path;
    // Whatever the gallery was switched to: this one is meant.
    manifests_are_there(config)?;
    Models::load(&config.models, &config.inference)
}

/// Loads the models, with the daemon's settings.
///
/// # Errors
/// What is missing or wrong, and what to do about it.
pub fn models(config: &Config) -> Result<Models> {
    manifests_are_there(config)?;
    let (chosen, other) = models_in_use(config)?;
    if let Some(warning) = other {
        output::tell(&format!("watchlistd: {warning}"));
    }
    Models::load(&chosen, &config.inference)
}

/// The mistake of a program that was never installed or set up, told as such.
///
/// # Errors
/// `NoInput`, with what to do.
pub fn manifests_are_there(config: &Config) -> Result<()> {
    let models = &config.models;
    for (key, path) in [("models.detector", &models.detector), ("models.embedder", &models.embedder)] {
        if !path.exists() {
            bail!(
                NoInput,
                "{key}: no manifest at {}; run `make setup` in a checkout or `make install`, or set {key} in a file that \
                 --config names",
                path.display()
            );
        }
    }
    Ok(())
}

/// Opens the gallery for a command that searches it; what an operator should know goes to standard error.
///
/// # Errors
/// A store that cannot be read.
pub fn gallery(config: &Config, models: &Models) -> Result<Arc<SharedGallery>> {
    let (gallery, warnings) = reading::configured(config, models)?;
    for warning in warnings {
        output::tell(&format!("watchlistd: {}: {warning}", config.gallery.path.display()));
    }
    Ok(Arc::new(gallery))
}

/// The number of workers a tool uses: what was asked for, else one a core.
///
/// # Errors
/// `Usage`, for zero.
pub fn workers(asked: Option<usize>) -> Result<usize> {
    match asked {
        Some(0) => Err(err!(Usage, "--workers 0: expected 1 or more")),
        Some(n) => Ok(n),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}
