//! Which embedder follows which: the traits of whoever has models at hand, and the switch that the gallery remembers.
//!
//! ```text
//!  models switch B ─▶ the gallery remembers: from A (its manifest) to B (its manifest)
//!  at start:  models.embedder = A ─▶ B is used, with a warning to change the configuration
//!             models.embedder = B ─▶ B
//!             models.embedder = C ─▶ C: the configuration wins
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::enrol::Chip;
use super::keeper::Model;
use super::master::{self, KeySource};
use super::store::{Found, Store, Tables};
use crate::align::Aligner;
use crate::base::error::Result;
use crate::config::{self, Config};
use crate::infer::Embedder;
use crate::infer::manifest::Manifest;
use crate::infer::models::Models;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// Loads other embedders: given to a keeper by whoever has models at hand.
pub trait Embedders: Send + Sync {
    /// The manifest that the configuration names.
    fn configured(&self) -> PathBuf;
    /// The model that a manifest describes. Weights are not opened.
    ///
    /// # Errors
    /// What is wrong with the manifest.
    fn identify(&self, manifest: &Path) -> Result<ModelId>;
    /// Opens the embedder of a manifest, and everything that is needed once it is the gallery's: after this nothing can keep it
    /// from taking over.
    ///
    /// # Errors
    /// What is wrong with manifest or weights; `Unavailable`, when the device cannot be had.
    fn load(&self, manifest: &Path) -> Result<Box<dyn Successor>>;
}

/// An embedder that may become the gallery's.
pub trait Successor: Send {
    /// Its model.
    fn model(&self) -> &Model;
    /// Embeds kept crops, in order. The inner error: that crop gives no embedding.
    ///
    /// # Errors
    /// The outer error: inference failed as a whole.
    fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>>;
    /// The gallery is searched with this model from now on: whatever embeds faces changes over.
    fn take_over(self: Box<Self>);
}

/// Embeds kept crops as the pipeline embeds shots: the face cut out of the chip by the model's own alignment.
pub struct ChipEmbedder {
    aligner: Aligner,
    embedder: Box<dyn Embedder>,
}

impl ChipEmbedder {
    /// With an aligner for the embedder's crops.
    pub fn new(aligner: Aligner, embedder: Box<dyn Embedder>) -> Self {
        Self { aligner, embedder }
    }

    /// As [`Successor::embed`]. A face that was good enough to be enrolled is not measured again.
    ///
    /// # Errors
    /// As there.
    pub fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>> {
        let mut results: Vec<Result<Embedding>> = Vec::with_capacity(chips.len());
        let mut crops = Vec::with_capacity(chips.len());
        let mut places = Vec::with_capacity(chips.len());
        for chip in chips {
            let cut = chip.image().and_then(|picture| {
                let crop = self.aligner.align(&picture, chip.detection());
                crop.map_err(|refusal| err!(Data, "a kept crop cannot be aligned: {}", refusal.as_str()))
            });
            match cut {
                Ok(crop) => {
                    crops.push(crop);
                    places.push(results.len());
                    // Until its batch is through.
                    results.push(Err(err!(Software, "the embedder gave no answer for a crop")));
                }
                Err(error) => results.push(Err(error)),
            }
        }
        let most = self.embedder.max_batch().max(1);
        for (crops, places) in crops.chunks(most).zip(places.chunks(most)) {
            for (answer, place) in self.embedder.embed(crops)?.into_iter().zip(places) {
                if let Some(result) = results.get_mut(*place) {
                    *result = answer;
                }
            }
        }
        Ok(results)
    }

    /// The embedder back, for other work.
    pub fn into_embedder(self) -> Box<dyn Embedder> {
        self.embedder
    }
}

/// Opens another embedder beside the configured detector.
///
/// # Errors
/// As [`Models::load`].
pub fn load_models(config: &Config, manifest: &Path) -> Result<Models> {
    if !manifest.exists() {
        bail!(NoInput, "no manifest at {}", manifest.display());
    }
    let models = config::Models { embedder: manifest.to_owned(), ..config.models.clone() };
    Models::load(&models, &config.inference)
}

/// A tool's models: opened when they are asked for, and nobody else's business.
pub struct ToolEmbedders {
    config: Config,
}

impl ToolEmbedders {
    /// For this configuration.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Embedders for ToolEmbedders {
    fn configured(&self) -> PathBuf {
        self.config.models.embedder.clone()
    }

    fn identify(&self, manifest: &Path) -> Result<ModelId> {
        Manifest::read(manifest)?.model_id()
    }

    fn load(&self, manifest: &Path) -> Result<Box<dyn Successor>> {
        let models = load_models(&self.config, manifest)?;
        let aligner = Aligner::new(models.alignment().clone(), self.config.quality.clone())?;
        Ok(Box::new(Alone {
            model: Model::configured(&models, &self.config.decide),
            chips: ChipEmbedder::new(aligner, models.embedder()?),
        }))
    }
}

struct Alone {
    model: Model,
    chips: ChipEmbedder,
}

impl Successor for Alone {
    fn model(&self) -> &Model {
        &self.model
    }

    fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>> {
        self.chips.embed(chips)
    }

    fn take_over(self: Box<Self>) {
        // A tool looks at no camera: the next one opens the model that the gallery remembers.
    }
}

/// The last switch, as the gallery remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Succession {
    /// The model before.
    pub from: ModelId,
    /// Its manifest; `None` where it was not known: then there is no way back.
    pub from_manifest: Option<PathBuf>,
    /// The model since.
    pub to: ModelId,
    /// Its manifest.
    pub to_manifest: PathBuf,
}

/// The setting that remembers the switch.
pub(in crate::gallery) const SETTING: &str = "model.switch";

impl Succession {
    /// Reads it.
    pub(in crate::gallery) fn read(tables: &Tables<'_>) -> Result<Option<Self>> {
        Ok(tables.setting(SETTING)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The setting's value.
    pub(in crate::gallery) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| err!(Software, "a switch that is no JSON").because(e))
    }
}

/// The gallery's settings. Whoever has its key believes only what the program wrote: no model is opened because somebody wrote
/// its path into the file. Without the key, beside a daemon that has it, they are taken as they are: what is embedded with
/// another model the daemon does not take.
fn remembered(config: &Config) -> Result<HashMap<String, String>> {
    let path = &config.gallery.path;
    let key = match Store::look(path)? {
        Found::Sealed(id) => master::load_for(&KeySource::of_process(&config.gallery), id).ok(),
        Found::Nothing | Found::Plain => None,
    };
    Store::settings(path, key.as_ref())
}

/// The configured models, but for the embedder that took over from the configured one; then there is a warning, too. For the
/// daemon and for all tools that open models.
///
/// # Errors
/// `Config`, when the embedder that took over is not to be had, or is another one now. A store that cannot be read is no error
/// here: whoever opens it says so.
pub fn models_in_use(config: &Config) -> Result<(config::Models, Option<String>)> {
    let configured = config.models.clone();
    let settings = remembered(config).unwrap_or_default();
    let switch = settings.get(SETTING).and_then(|text| serde_json::from_str::<Succession>(text).ok());
    let Some(switch) = switch else {
        return Ok((configured, None));
    };
    // A manifest that is wrong is told of by whoever loads it.
    let id = Manifest::read(&configured.embedder).and_then(|manifest| manifest.model_id());
    let searched = settings.get("model.id").and_then(|text| ModelId::from_hex(text));
    if id.ok() != Some(switch.from) || searched != Some(switch.to) || switch.from == switch.to {
        return Ok((configured, None));
    }
    let what_to_do = format!(
        "the gallery was switched from {} to {}: set models.embedder to {:?}",
        configured.embedder.display(),
        switch.to_manifest.display(),
        switch.to_manifest
    );
    let now = Manifest::read(&switch.to_manifest).and_then(|manifest| manifest.model_id());
    match now {
        Ok(id) if id == switch.to => {
            let models = config::Models { embedder: switch.to_manifest, ..configured };
            Ok((models, Some(what_to_do)))
        }
        Ok(id) => Err(err!(
            Config,
            "{} describes model {id} now, and the gallery was switched to {}: put that manifest back, or set models.embedder to \
             the one that is meant",
            switch.to_manifest.display(),
            switch.to
        )),
        Err(cause) => Err(err!(
            Config,
            "the gallery was switched to the model of {}, which cannot be used: put it back, or set models.embedder to the one \
             that is meant",
            switch.to_manifest.display()
        )
        .because(cause)),
    }
}

#[cfg(test)]
mod tests;
