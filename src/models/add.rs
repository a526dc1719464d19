//! A model joins: looked at, made free where it can be, tested on real faces, and put among the others as a whole or not at all.
//!
//! ```text
//!  Candidate::open(FILE) ─▶ guess ─┐
//!  what is asked and proposed ─────┴─▶ Manifest ─▶ fit: rewrites that are proved ─▶ test ─▶ put: NAME.onnx, NAME.toml
//! ```

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::draft;
use super::free::{Freed, Proof};
use super::guess::Guess;
use super::pictures::Picture;
use super::self_test::{self, DetectorReport, EmbedderReport, Face};
use super::shelf::Shelf;
use crate::align::Aligner;
use crate::base::durable;
use crate::base::error::{Error, Kind, Result};
use crate::config::{Device, QualityLimits};
use crate::detect::{self, Detector};
use crate::image::tensor::CropScaling;
use crate::infer::Alignment;
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::manifest::{DeviceKind, Import, Manifest, Role};
use crate::infer::onnx::prepare::{Rewrite, rewrite};
use crate::infer::ort::{Runtime, Session, SessionOptions};
use crate::infer::plan::PoolPlan;
use crate::types::geometry::Size;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// Largest model file.
const MAX_BYTES: u64 = 1 << 31;
/// Crops that rewrites are proved on.
const CROPS: usize = 4;

/// A model file that may join.
pub struct Candidate {
    /// Where it was read.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What can be seen of it.
    pub guess: Guess,
    runtime: &'static Runtime,
}

/// What it is tested with.
pub struct Bench {
    /// A detector that is known to work.
    pub reference: Box<dyn Detector>,
    /// Pictures with faces.
    pub pictures: Vec<Picture>,
}

/// What a test found.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(untagged)]
pub enum Report {
    /// Of a detector.
    Detector(DetectorReport),
    /// Of an embedder.
    Embedder(EmbedderReport),
}

impl Candidate {
    /// Reads a file and looks at it.
    ///
    /// # Errors
    /// `NoInput` and its kin; `Data`, when it is no model of faces, with what it is.
    pub fn open(runtime: &'static Runtime, path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        if !about.is_file() || about.len() > MAX_BYTES {
            bail!(Data, "{} is not a model: expected a file of at most 2 GiB", path.display());
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Self::of(runtime, path.to_owned(), bytes)
    }

    /// The same of bytes that are there already.
    ///
    /// # Errors
    /// As [`Candidate::open`].
    pub fn of(runtime: &'static Runtime, path: PathBuf, bytes: Vec<u8>) -> Result<Self> {
        let wrong = |e: Error| err!(Data, "{}", path.display()).because(e);
        let session = Session::open(runtime, "the model", &bytes, &options()).map_err(wrong)?;
        let guess = Guess::of(&session).map_err(wrong)?;
        drop(session);
        Ok(Self { path, bytes, guess, runtime })
    }

    /// Its hash.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// An embedder of it that cuts faces out in this way, whatever its pixels mean; for [`super::tune`].
    ///
    /// # Errors
    /// As opening it.
    pub fn embedder(&self, manifest: &Manifest) -> Result<OnnxEmbedder> {
        embedder(self.runtime, manifest, &self.bytes)
    }

    /// Faces of the bench's pictures, cut out in this way.
    ///
    /// # Errors
    /// When inference fails.
    pub fn faces(&self, bench: &mut Bench, alignment: &Alignment) -> Result<Vec<Face>> {
        let aligner = Aligner::new(alignment.clone(), QualityLimits::default())?;
        self_test::faces(&mut *bench.reference, &aligner, &bench.pictures)
    }

    /// Frees what can be freed, and says in the manifest what was done and what stays fixed. The file that is to be loaded.
    ///
    /// # Errors
    /// `Data`, when the model does not run on what its manifest says.
    pub fn fit(&self, manifest: &mut Manifest, bench: &mut Bench) -> Result<Vec<u8>> {
        let size = manifest.input.size.or(self.guess.size).unwrap_or(Size::new(640, 384));
        let (tensors, wanted) = match &manifest.role {
            Role::Embedder(spec) => {
                let faces = self.faces(bench, &spec.alignment)?;
                let tensors =
                    faces.iter().take(CROPS).map(|face| tensor(face.crop(), &manifest.input.scaling));
                (tensors.collect::<Vec<_>>(), vec![Rewrite::SymbolicBatch, Rewrite::PreluToDepthwise])
            }
            Role::Detector(_) => {
                let picture = bench.pictures.first().map(|picture| &picture.pixels);
                let picture = picture.ok_or_else(|| err!(NoInput, "no picture to test the model on"))?;
                let fitted = crate::image::warp::stretch(picture, size)?;
                (vec![tensor(&fitted, &manifest.input.scaling)], vec![Rewrite::SymbolicSize])
            }
        };
        let wanted: Vec<Rewrite> = wanted.into_iter().filter(|step| self.needs(*step)).collect();
        let proof = Proof { runtime: self.runtime, size, tensors: &tensors };
        let Freed { bytes, rewrites } = proof.apply(self.bytes.clone(), &wanted)?;
        let fixed = |step| wanted.contains(&step) && !rewrites.contains(&step);
        manifest.input.batch = self.guess.batch.filter(|_| fixed(Rewrite::SymbolicBatch));
        if matches!(manifest.role, Role::Detector(_)) {
            manifest.input.size = self.guess.size.filter(|_| fixed(Rewrite::SymbolicSize));
        }
        describe(manifest, self.sha256(), &bytes, rewrites);
        Ok(bytes)
    }

    fn needs(&self, step: Rewrite) -> bool {
        match step {
            Rewrite::SymbolicBatch => self.guess.batch.is_some(),
            Rewrite::SymbolicSize => self.guess.size.is_some(),
            Rewrite::PreluToDepthwise => rewrite(&self.bytes, &[step]).is_ok_and(|bytes| bytes != self.bytes),
        }
    }

    /// The file that is to be loaded, made as a manifest says that came with the model.
    ///
    /// # Errors
    /// `Data`, when the file, or what is made of it, is another than the manifest's.
    pub fn as_described(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let is = |bytes: &[u8], expected: &[u8; 32], what: &str| -> Result<()> {
            let found: [u8; 32] = Sha256::digest(bytes).into();
            if found != *expected {
                bail!(
                    Data,
                    "{}: {what} has the SHA-256 {}, and the manifest describes {}",
                    self.path.display(),
                    ModelId(found).hex(),
                    ModelId(*expected).hex()
                );
            }
            Ok(())
        };
        let Some(import) = manifest.import.as_ref().filter(|import| import.converter.is_none()) else {
            is(&self.bytes, &manifest.sha256, "the file")?;
            return Ok(self.bytes.clone());
        };
        is(&self.bytes, &import.sha256, "the file")?;
        let bytes = rewrite(&self.bytes, &import.rewrites)?;
        is(&bytes, &manifest.sha256, "what its rewrites make of it")?;
        Ok(bytes)
    }

    /// Tests the file that is to be loaded.
    ///
    /// # Errors
    /// `Data`, when it fails, with what it did.
    pub fn test(&self, manifest: &Manifest, bytes: &[u8], bench: &mut Bench) -> Result<Report> {
        test(self.runtime, manifest, bytes, bench)
    }
}

/// A model's self-test, on the bytes that its manifest describes.
///
/// # Errors
/// `Data`, when it fails, with what it did; when the model does not open.
pub fn test(runtime: &Runtime, manifest: &Manifest, bytes: &[u8], bench: &mut Bench) -> Result<Report> {
    match &manifest.role {
        Role::Detector(_) => {
            let session = Session::open(runtime, &manifest.name, bytes, &options())?;
            let mut detector = detect::make_detector(manifest, session)?;
            self_test::detector(&mut *detector, &mut *bench.reference, &bench.pictures).map(Report::Detector)
        }
        Role::Embedder(spec) => {
            let aligner = Aligner::new(spec.alignment.clone(), QualityLimits::default())?;
            let faces = self_test::faces(&mut *bench.reference, &aligner, &bench.pictures)?;
            let report = self_test::embedder(&mut embedder(runtime, manifest, bytes)?, &faces)?;
            report.check()?;
            Ok(Report::Embedder(report))
        }
    }
}

fn embedder(runtime: &Runtime, manifest: &Manifest, bytes: &[u8]) -> Result<OnnxEmbedder> {
    let session = Session::open(runtime, &manifest.name, bytes, &options())?;
    let plan = PoolPlan::for_device(&Device::Cpu, 1, &crate::config::Inference::default())
        .for_batch(manifest.input.batch);
    OnnxEmbedder::new(manifest, session, plan)
}

fn options() -> SessionOptions {
    SessionOptions { varying_shapes: true, ..SessionOptions::new(Device::Cpu) }
}

fn tensor(picture: &crate::types::frame::RgbImage, scaling: &CropScaling) -> Vec<f32> {
    use crate::types::frame::Pixels as _;
    let mut tensor = vec![0.0; picture.size().area() as usize * 3];
    scaling.write(picture, &mut tensor);
    tensor
}

/// The files of a model that was rewritten are two: the published one stays, and is what the model's id is made of.
fn describe(manifest: &mut Manifest, published: [u8; 32], bytes: &[u8], rewrites: Vec<Rewrite>) {
    manifest.sha256 = Sha256::digest(bytes).into();
    manifest.file = format!("{}.onnx", manifest.name).into();
    let converted = manifest.import.take().filter(|import| import.converter.is_some());
    manifest.import = match converted {
        Some(import) => Some(Import { rewrites, ..import }),
        None if rewrites.is_empty() => None,
        None => Some(Import {
            original: format!("{}.original.onnx", manifest.name).into(),
            sha256: published,
            converter: None,
            original_on: match rewrites.contains(&Rewrite::PreluToDepthwise) {
                true => vec![DeviceKind::Cuda, DeviceKind::TensorRt],
                false => Vec::new(),
            },
            rewrites,
        }),
    };
}

/// A name that is that of a file, too.
///
/// # Errors
/// `Usage`, for any other.
pub fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) || name.starts_with(['.', '-']) {
        bail!(
            Usage,
            "--name {name:?}: expected up to 64 of a-z, A-Z, 0-9, - _ and ., beginning with a letter or a digit"
        );
    }
    Ok(())
}

/// Puts a model's files among the others; the manifest last, so that a model is there as a whole or not at all.
///
/// # Errors
/// `CannotCreate`, when there is a model or file of that name, or the folder cannot be written.
pub fn put(shelf: &Shelf, manifest: &Manifest, published: &[u8], bytes: &[u8]) -> Result<PathBuf> {
    let home = shelf.home();
    let path = home.join(format!("{}.toml", manifest.name));
    let mut files: Vec<(PathBuf, &[u8])> = Vec::new();
    if let Some(import) = manifest.import.as_ref().filter(|import| import.converter.is_none()) {
        files.push((home.join(&import.original), published));
    }
    files.push((home.join(&manifest.file), bytes));
    let text = draft::text(manifest);
    files.push((path.clone(), text.as_bytes()));
    if shelf.find(None, &manifest.name).is_ok() || files.iter().any(|(path, _)| path.exists()) {
        bail!(
            CannotCreate,
            "there is a model {0} already; take another --name, or `watchlistd models remove {0}` first",
            manifest.name
        );
    }
    let mut written: Vec<&PathBuf> = Vec::new();
    for (path, bytes) in &files {
        if let Err(error) = durable::create(path, bytes, 0o644) {
            written.iter().for_each(|path| drop(std::fs::remove_file(path)));
            return Err(
                Error::new(Kind::CannotCreate, format!("cannot write {}", path.display())).because(error)
            );
        }
        written.push(path);
    }
    Ok(path)
}

/// True if an embedder makes unit vectors itself.
///
/// # Errors
/// When inference fails.
pub fn normalizes(embedder: &mut OnnxEmbedder, faces: &[Face]) -> Result<bool> {
    let crops: Vec<_> = faces.iter().take(CROPS).map(Face::crop).collect();
    embedder.are_unit(&crops)
}
