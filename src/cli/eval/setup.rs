//! The models and the cache of a run.

use std::path::Path;

use super::common::{CommonArgs, ModelsUsed};
use crate::base::error::{Error, Kind, Result};
use crate::cli::{context, output, progress};
use crate::config::Config;
use crate::eval::acquire::{Acquired, ModelExaminer, acquire};
use crate::eval::cache::{self, Cache, Space};
use crate::infer::models::Models;
use crate::types::ids::ModelId;

/// Name of the cache's key, beside the gallery.
const KEY_NAME: &str = "evaluation-cache.key";

/// What pictures are measured with.
pub struct Setup {
    models: Models,
    config: Config,
    aligned: bool,
}

impl Setup {
    /// Loads the models that were asked for, else the configured ones.
    ///
    /// # Errors
    /// What is missing or wrong, and what to do about it.
    pub fn open(args: &CommonArgs) -> Result<Self> {
        let mut config = context::load_for_tools(&args.config)?;
        let models = context::models_asked_for(&mut config, &args.models)?;
        Ok(Self { models, config, aligned: args.aligned })
    }

    /// The threshold in use: `decide.threshold`, else the embedder's own.
    pub fn threshold(&self) -> f32 {
        self.config.decide.score().unwrap_or(self.models.default_threshold())
    }

    /// The embedder's manifest.
    pub fn embedder_manifest(&self) -> &Path {
        &self.models.embedder_manifest().path
    }

    /// The embedding model.
    pub fn model_id(&self) -> ModelId {
        self.models.model_id()
    }

    /// Their names.
    pub fn models_used(&self) -> ModelsUsed {
        ModelsUsed {
            detector: (!self.aligned).then(|| self.models.detector_manifest().name.clone()),
            embedder: self.models.embedder_manifest().name.clone(),
            model: self.models.model_id().hex(),
        }
    }

    /// Makes the templates, with a bar on a terminal. A stop lets the pictures in hand come to their end.
    ///
    /// # Errors
    /// As [`acquire`]; the models' and the cache's.
    pub fn acquire(&self, pictures: &[&Path], args: &CommonArgs) -> Result<Acquired> {
        let cache = self.cache(args)?;
        let workers = context::workers(args.workers.or(Some(self.models.plan().workers)))?;
        let examiner = |_| match args.aligned {
            true => ModelExaminer::of_crops(&self.models),
            false => ModelExaminer::of_photographs(&self.models, args.look.options(), args.face.into()),
        };
        let workers = workers.min(pictures.len()).max(1);
        let mut examiners = (0..workers).map(examiner).collect::<Result<Vec<_>>>()?;
        let bar = progress::bar(pictures.len());
        let (_signals, stop) = progress::stop_on_signals()?;
        let acquired = acquire(pictures, &mut examiners, cache.as_ref(), &stop, &mut |done| {
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let hint = match cache {
            Some(_) => "the same command goes on from there",
            None => "with --cache FOLDER a run that is stopped can go on where it was",
        };
        acquired.map_err(|cause| match cause.kind() {
            Kind::Temporary => Error::new(Kind::Temporary, format!("{}; {hint}", cause.chain())),
            _ => cause,
        })
    }

    fn cache(&self, args: &CommonArgs) -> Result<Option<Cache>> {
        let Some(folder) = &args.cache else { return Ok(None) };
        let key = match &args.cache_key {
            Some(path) => cache::key(path)?,
            None => cache::key(&self.config.gallery.path.with_file_name(KEY_NAME)).map_err(|cause| {
                Error::new(cause.kind(), format!("{}; --cache-key names another file", cause.chain()))
            })?,
        };
        let cache = Cache::open(folder, &key, &self.space(args)?)?;
        if cache.damaged() > 0 {
            output::tell(&format!(
                "watchlistd: {}: {} damaged records; their pictures are looked at again",
                folder.display(),
                cache.damaged()
            ));
        }
        Ok(Some(cache))
    }

    fn space(&self, args: &CommonArgs) -> Result<Space> {
        let (model, dimension) = (self.models.model_id(), self.models.dimension());
        if args.aligned {
            return Ok(Space::of_crops(model, dimension));
        }
        let manifest = &self.models.detector_manifest().path;
        Space::of_photographs(model, dimension, manifest, &args.look.options(), args.face.into())
    }
}
