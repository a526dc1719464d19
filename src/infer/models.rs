//! The configured pair of models: verified once, opened once for each worker.
//!
//! ```text
//!  config::Models ──▶ Models::load: runtime, two manifests, two verified files, a plan
//!                        │ detector() ──▶ Box<dyn Detector>   one session each call, warmed
//!                        └ embedder() ──▶ Box<dyn Embedder>
//! ```

use std::path::PathBuf;

use super::embedder::OnnxEmbedder;
use super::manifest::{Calibration, EmbedderSpec, Fmr, Manifest};
use super::ort::{Profile, Runtime, Session, SessionOptions};
use super::plan::PoolPlan;
use super::{Alignment, Embedder};
use crate::base::error::{Error, Kind, Result};
use crate::config;
use crate::config::Device;
use crate::detect::{self, Detector};
use crate::image::resize::MIN_SIDE;
use crate::types::ids::ModelId;

/// A detector and an embedder, ready to be opened by workers.
pub struct Models {
    runtime: &'static Runtime,
    device: Device,
    plan: PoolPlan,
    cache: PathBuf,
    detector: Loaded,
    embedder: Loaded,
    spec: EmbedderSpec,
    calibration: Option<Calibration>,
    id: ModelId,
}

/// A manifest and its verified bytes. They are kept, so that what a later worker opens is what was verified.
struct Loaded {
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl Loaded {
    fn read(path: &std::path::Path, models: &config::Models, device: &Device) -> Result<Self> {
        let manifest = Manifest::read(path)?;
        let bytes = manifest.load(&models.folder, device)?;
        Ok(Self { manifest, bytes })
    }
}

impl Models {
    /// Reads both manifests and their files, and the runtime.
    ///
    /// # Errors
    /// `Config`, `NoInput` or `Data` for what is wrong with manifests and files, both models' in one message;
    /// `Unavailable`, when there is no runtime.
    pub fn load(models: &config::Models, inference: &config::Inference) -> Result<Self> {
        let device = inference.device.clone();
        let detector = Loaded::read(&models.detector, models, &device)
            .and_then(|loaded| loaded.manifest.detector().map(drop).map(|()| loaded));
        let embedder = Loaded::read(&models.embedder, models, &device)
            .and_then(|loaded| loaded.manifest.embedder().cloned().map(|spec| (loaded, spec)));
        let (detector, (embedder, spec)) = both(detector, embedder)?;
        let runtime = Runtime::get(models.runtime.as_deref())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = PoolPlan::for_device(&device, cores, inference).for_batch(embedder.manifest.input.batch);
        let id = embedder.manifest.model_id()?;
        let calibration = Calibration::beside(&embedder.manifest.path, id)?;
        let cache = cache_folder(models);
        Ok(Self { runtime, device, plan, cache, detector, embedder, spec, calibration, id })
    }

    /// A new detector, for one worker. It has been run once.
    ///
    /// # Errors
    /// `Unavailable`, when the device cannot be had; `Data`, when the model is not what its manifest says.
    pub fn detector(&self) -> Result<Box<dyn Detector>> {
        detect::make_detector(&self.detector.manifest, self.detector_session()?)
    }

    /// The detector's bare session.
    ///
    /// # Errors
    /// As [`Models::detector`].
    pub fn detector_session(&self) -> Result<Session> {
        let manifest = &self.detector.manifest;
        let mut options = self.options()?;
        options.varying_shapes = manifest.input.size.is_none();
        let shape = |width: u32, height: u32| [1, 3, height as usize, width as usize];
        let [min, opt, max] = match manifest.input.size {
            Some(size) => [shape(size.width, size.height); 3],
            None => [shape(MIN_SIDE, MIN_SIDE), shape(640, 384), shape(1920, 1920)],
        };
        options.profile = Some(Profile { input: manifest.input.name.clone(), min, opt, max });
        Session::open(self.runtime, &manifest.name, &self.detector.bytes, &options)
    }

    /// A new embedder, for one worker, warmed up.
    ///
    /// # Errors
    /// As [`Models::detector`].
    pub fn embedder(&self) -> Result<Box<dyn Embedder>> {
        Ok(Box::new(self.onnx_embedder()?))
    }

    /// The same by its own type, which embeds pictures that no aligner made, too.
    ///
    /// # Errors
    /// As [`Models::detector`].
    pub fn onnx_embedder(&self) -> Result<OnnxEmbedder> {
        let session = self.embedder_session()?;
        let mut embedder = OnnxEmbedder::new(&self.embedder.manifest, session, self.plan.clone())?;
        embedder.warm_up()?;
        Ok(embedder)
    }

    /// The embedder's bare session.
    ///
    /// # Errors
    /// As [`Models::detector`].
    pub fn embedder_session(&self) -> Result<Session> {
        let manifest = &self.embedder.manifest;
        let mut options = self.options()?;
        options.varying_shapes = self.plan.ladder.len() > 1;
        let size = self.spec.alignment.size();
        let shape = |batch: usize| [batch, 3, size.height as usize, size.width as usize];
        let largest = self.plan.step(usize::MAX);
        options.profile = Some(Profile {
            input: manifest.input.name.clone(),
            min: shape(1),
            opt: shape(self.plan.step(8)),
            max: shape(largest),
        });
        Session::open(self.runtime, &manifest.name, &self.embedder.bytes, &options)
    }

    /// The pool's shape.
    pub fn plan(&self) -> &PoolPlan {
        &self.plan
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The runtime.
    pub fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    /// The embedding model.
    pub fn model_id(&self) -> ModelId {
        self.id
    }

    /// Length of the embeddings.
    pub fn dimension(&self) -> usize {
        self.spec.dimension
    }

    /// How faces are cut out for the embedder.
    pub fn alignment(&self) -> &Alignment {
        &self.spec.alignment
    }

    /// The manifest's threshold: least similarity of a recognition.
    pub fn default_threshold(&self) -> f32 {
        self.spec.threshold
    }

    /// What a threshold stands for, as far as that was measured: by a calibration, else by the manifest.
    pub fn false_match_rate(&self, threshold: f32) -> Fmr {
        let measured = self.calibration.as_ref().map_or(&self.spec.rates, |own| &own.rates);
        measured.at(threshold)
    }

    /// What `watchlistd calibrate` has stored beside the embedder's manifest.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Mean and standard deviation of the scores of the embedder's mated pairs, where that was measured.
    pub fn mates(&self) -> Option<[f32; 2]> {
        self.calibration().and_then(|own| own.mates)
    }

    /// The detector's manifest.
    pub fn detector_manifest(&self) -> &Manifest {
        &self.detector.manifest
    }

    /// The embedder's manifest.
    pub fn embedder_manifest(&self) -> &Manifest {
        &self.embedder.manifest
    }

    fn options(&self) -> Result<SessionOptions> {
        let mut options = SessionOptions::new(self.device.clone());
        if matches!(self.device, Device::TensorRt(_) | Device::OpenVino) {
            std::fs::create_dir_all(&self.cache).map_err(|e| {
                Error::new(
                    Kind::CannotCreate,
                    format!("cannot make the engine cache {}", self.cache.display()),
                )
                .because(e)
            })?;
            options.cache = Some(self.cache.clone());
        }
        Ok(options)
    }
}

/// Where built engines are kept: systemd's `CacheDirectory=`, else beside the models.
fn cache_folder(models: &config::Models) -> PathBuf {
    match std::env::var_os("CACHE_DIRECTORY") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder).join("engines"),
        _ => models.folder.join("engines"),
    }
}

/// Both values, or both errors in one.
fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(e), Ok(_)) | (Ok(_), Err(e)) => Err(e),
        (Err(a), Err(b)) => Err(Error::new(a.kind(), format!("{}; {}", a.chain(), b.chain()))),
    }
}
