//! A running pipeline as the gallery's source of other embedders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fitting::{Fitting, Fittings};
use crate::align::Aligner;
use crate::base::error::Result;
use crate::config::Config;
use crate::err;
use crate::gallery::enrol::Chip;
use crate::gallery::keeper::Model;
use crate::gallery::succession::{ChipEmbedder, Embedders, Successor, load_models};
use crate::infer::Embedder;
use crate::infer::manifest::Manifest;
use crate::stats::{InferenceSetup, Stats};
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

/// Opens other embedders, one for each worker, and puts them into use.
pub struct LiveEmbedders {
    config: Config,
    workers: usize,
    fittings: Arc<Fittings>,
    stats: Arc<Stats>,
}

impl LiveEmbedders {
    /// For the workers that follow `fittings`.
    pub fn new(config: Config, workers: usize, fittings: Arc<Fittings>, stats: Arc<Stats>) -> Self {
        Self { config, workers, fittings, stats }
    }
}

impl Embedders for LiveEmbedders {
    fn configured(&self) -> PathBuf {
        self.config.models.embedder.clone()
    }

    fn identify(&self, manifest: &Path) -> Result<ModelId> {
        Manifest::read(manifest)?.model_id()
    }

    fn load(&self, manifest: &Path) -> Result<Box<dyn Successor>> {
        let models = load_models(&self.config, manifest)?;
        let aligner = Aligner::new(models.alignment().clone(), self.config.quality.clone())?;
        let mut embedders = (0..self.workers).map(|_| models.embedder()).collect::<Result<Vec<_>>>()?;
        // The first embeds the crops, and then shots.
        let first = embedders.pop().ok_or_else(|| err!(Software, "no worker embeds anything"))?;
        Ok(Box::new(LiveSuccessor {
            model: Model::configured(&models, &self.config.decide),
            fitting: Fitting {
                model: models.model_id(),
                aligner: aligner.clone(),
                threshold: models.default_threshold(),
            },
            chips: ChipEmbedder::new(aligner, first),
            others: embedders,
            setup: InferenceSetup {
                device: models.device().to_string(),
                detector: models.detector_manifest().name.clone(),
                embedder: models.embedder_manifest().name.clone(),
                workers: self.workers as u64,
            },
            fittings: self.fittings.clone(),
            stats: self.stats.clone(),
        }))
    }
}

struct LiveSuccessor {
    model: Model,
    fitting: Fitting,
    chips: ChipEmbedder,
    others: Vec<Box<dyn Embedder>>,
    setup: InferenceSetup,
    fittings: Arc<Fittings>,
    stats: Arc<Stats>,
}

impl Successor for LiveSuccessor {
    fn model(&self) -> &Model {
        &self.model
    }

    fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>> {
        self.chips.embed(chips)
    }

    fn take_over(self: Box<Self>) {
        let Self { fitting, chips, mut others, setup, fittings, stats, .. } = *self;
        others.push(chips.into_embedder());
        fittings.install(fitting, others);
        stats.inference.set_setup(setup);
    }
}
