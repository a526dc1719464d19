//! Import: from a published model to the one that is loaded.
//!
//! ```text
//!  NAME.original.onnx ──SHA-256 of [import]──▶ rewrites ──SHA-256 of the manifest──▶ NAME.onnx (new file, renamed)
//!          │                                                                              │
//!          └─────────────────── same crops, same embeddings: `check_prepared` ────────────┘
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256 as Hasher};

use super::manifest::Manifest;
use super::onnx::prepare::rewrite;
use super::ort::{Runtime, Session, SessionOptions};
use crate::base::error::{Error, Kind, Result};
use crate::config::Device;
use crate::types::frame::RgbImage;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// Largest difference of any number of an embedding between the published and the prepared model.
pub const MAX_DIFFERENCE: f32 = 1e-6;

/// What [`prepare`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepareReport {
    /// The model is used as it was published.
    NothingToDo,
    /// The prepared file was there, with the right hash.
    AlreadyThere(PathBuf),
    /// The prepared file was made.
    Made(PathBuf),
}

/// Makes a manifest's file from the published one, unless it is there. The published file stays. An interrupted
/// run leaves nothing that looks finished.
///
/// # Errors
/// `NoInput` or `Data`, when the published file is missing or another; `Data`, when a rewrite does not apply or its
/// result is not the one the manifest names; `CannotCreate`, when it cannot be written.
pub fn prepare(manifest: &Path, folder: &Path) -> Result<PrepareReport> {
    let manifest = Manifest::read(manifest)?;
    let Some(import) = &manifest.import else {
        manifest.load(folder, &Device::Cpu)?;
        return Ok(PrepareReport::NothingToDo);
    };
    let target = folder.join(&manifest.file);
    if target.is_file() && manifest.load(folder, &Device::Cpu).is_ok() {
        return Ok(PrepareReport::AlreadyThere(target));
    }
    if let Some(converter) = &import.converter {
        bail!(
            NoInput,
            "{}: {} is not there, or is another file; it was made by {converter}: add the model again with `watchlistd models add`",
            manifest.path.display(),
            target.display()
        );
    }
    let published = manifest.load_original(folder)?;
    let prepared = rewrite(&published, &import.rewrites).map_err(|e| {
        let original = folder.join(&import.original);
        err!(Data, "{}: cannot prepare {}", manifest.path.display(), original.display()).because(e)
    })?;
    let found: [u8; 32] = Hasher::digest(&prepared).into();
    if found != manifest.sha256 {
        bail!(
            Data,
            "{}: {} was prepared to SHA-256 {}, expected {}",
            manifest.path.display(),
            import.original.display(),
            ModelId(found).hex(),
            ModelId(manifest.sha256).hex()
        );
    }
    write_whole(&target, &prepared)?;
    Ok(PrepareReport::Made(target))
}

/// Writes beside the target, then renames: the target is never half a file.
fn write_whole(target: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = target.with_file_name(name);
    let written = File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, target));
    written.map_err(|e| {
        let _ = fs::remove_file(&part);
        Error::new(Kind::CannotCreate, format!("cannot write {}", target.display())).because(e)
    })
}

/// The tensor an embedder makes of a crop: what [`check_prepared`] takes.
pub fn crop_tensor(manifest: &Manifest, crop: &RgbImage) -> Vec<f32> {
    let mut tensor = vec![0.0; crop.data().len()];
    manifest.input.scaling.write(crop, &mut tensor);
    tensor
}

/// How the prepared model's answers compare with the published one's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Crops compared.
    pub crops: usize,
    /// Largest difference of any number of an embedding, before normalisation.
    pub from_original: f32,
    /// The same, between a batch of all crops and one crop at a time, where the batch is free; else 0.
    pub batch_from_single: f32,
}

/// Runs both models on real crops, as tensors ([`crop_tensor`]).
///
/// # Errors
/// `Data`, when there is no tensor or the models differ by more than [`MAX_DIFFERENCE`]; errors of loading.
pub fn check_prepared(
    runtime: &Runtime,
    manifest: &Manifest,
    folder: &Path,
    tensors: &[Vec<f32>],
) -> Result<Comparison> {
    let output = &manifest.embedder()?.output;
    let size = manifest.embedder()?.alignment.size();
    let shape = |batch: usize| [batch, 3, size.height as usize, size.width as usize];
    let options = SessionOptions::new(Device::Cpu);
    let mut original =
        Session::open(runtime, "the published model", &manifest.load_original(folder)?, &options)?;
    let loaded = manifest.load(folder, &Device::Cpu)?;
    let mut prepared = Session::open(runtime, "the prepared model", &loaded, &options)?;

    let answer = |session: &mut Session, tensor: &[f32], batch: usize| -> Result<Vec<f32>> {
        let outputs = session.run(tensor, shape(batch))?;
        Ok(outputs.tensor(output)?.1.to_vec())
    };
    let (mut singles, mut from_original) = (Vec::new(), 0.0f32);
    for tensor in tensors {
        let expected = answer(&mut original, tensor, 1)?;
        let found = answer(&mut prepared, tensor, 1)?;
        from_original = from_original.max(largest_difference(&expected, &found)?);
        singles.extend(found);
    }
    if singles.is_empty() {
        bail!(Data, "no crop to compare the published and the prepared {} on", manifest.name);
    }
    let batch = match prepared.input().shape.first() {
        Some(None) => answer(&mut prepared, &tensors.concat(), tensors.len())?,
        _ => singles.clone(),
    };
    let batch_from_single = largest_difference(&singles, &batch)?;
    if from_original > MAX_DIFFERENCE || batch_from_single > MAX_DIFFERENCE {
        bail!(
            Data,
            "the prepared {} is not the published one: embeddings differ by {from_original:e}, in a batch by \
             {batch_from_single:e}, at most {MAX_DIFFERENCE:e} is expected",
            manifest.name
        );
    }
    Ok(Comparison { crops: tensors.len(), from_original, batch_from_single })
}

/// The largest difference of any two numbers; infinite for a NaN.
///
/// # Errors
/// `Data`, when there are more of one than of the other.
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> Result<f32> {
    if a.len() != b.len() {
        bail!(Data, "{} numbers where {} were expected", b.len(), a.len());
    }
    let difference = |(x, y): (&f32, &f32)| if (x - y).is_nan() { f32::INFINITY } else { (x - y).abs() };
    Ok(a.iter().zip(b).map(difference).fold(0.0, f32::max))
}
