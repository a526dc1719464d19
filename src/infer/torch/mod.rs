//! Files of PyTorch weights as data: the tensors of a state dictionary, read without running anything.
//!
//! ```text
//!  .pth since 1.6: archive ─┬ data.pkl ─▶ pickle: makes values, calls nothing ─▶ object: tensors as views of storages
//!  .pth before:    legacy  ─┘     └ storages: bytes ─────────────▶ tensor: bounds checked, as f32 ◀──┘
//!                                                                     │
//!  .safetensors: safe ──────────────────────────────────────────────▶ StateDictionary
//! ```
//!
//! A pickle is a program. The one here knows the dozen names that a state dictionary is made with and refuses every other.

mod archive;
mod legacy;
mod object;
mod pickle;
mod safe;
mod tensor;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::base::error::{Error, Result};
use crate::{bail, err};

use self::object::View;

/// Largest file; an InceptionResnetV1 with its optimiser's state has a third of that.
const MAX_BYTES: u64 = 1 << 30;
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
/// Put before every name by `torch.nn.DataParallel`.
const DATA_PARALLEL: &str = "module.";

/// The bytes of a file of weights.
///
/// # Errors
/// `NoInput`, `Permission` or `Io`, when it cannot be read; `Data`, when it is no regular file or larger than 1 GiB.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io("read", path, e);
    // A pipe would keep us waiting for somebody to write.
    let opened = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path);
    let file = opened.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        bail!(Data, "{} is no regular file", path.display());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!(Data, "{} has more than {} GiB: these are no weights", path.display(), MAX_BYTES >> 30);
    }
    Ok(bytes)
}

/// A tensor of a state dictionary.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Tensor {
    /// A tensor of this shape, with its elements in row-major order.
    ///
    /// # Errors
    /// `Data`, when there are more or fewer elements than the shape has.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self> {
        if count(&shape) != Some(values.len()) {
            bail!(Data, "a tensor of shape {shape:?} with {} elements", values.len());
        }
        Ok(Self { shape, values })
    }

    /// Sizes of the dimensions, outermost first; none for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements in row-major order. Of other types than f32 they were rounded to it.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Number of elements; `None` beyond what can be counted.
fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
}

/// What `torch.nn.Module.state_dict()` gives: parameters and buffers, each under its module's path.
#[derive(Clone, PartialEq, Default)]
pub struct StateDictionary {
    tensors: BTreeMap<String, Tensor>,
}

impl StateDictionary {
    /// Reads a file of `torch.save` (both formats) or safetensors. It may hold the state dictionary itself or a checkpoint
    /// with one under `state_dict`, `model_state_dict` or `model`; `module.`, which `DataParallel` puts before each name,
    /// is taken away.
    ///
    /// # Errors
    /// `NoInput`, `Permission` or `Io`, when it cannot be read; `Data`, when it is larger than 1 GiB, is none of those
    /// files, or asks for anything to be run.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        Self::parse(&bytes).map_err(|e| err!(Data, "{} cannot be read", path.display()).because(e))
    }

    /// [`StateDictionary::read`] of a file's bytes ([`read_file`]).
    ///
    /// # Errors
    /// `Data`, as there.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let tensors = if archive::is_one(bytes) {
            archive::read(bytes)?
        } else if legacy::is_one(bytes) {
            legacy::read(bytes)?
        } else if safe::is_one(bytes) {
            safe::read(bytes)?
        } else {
            bail!(Data, "expected a file of torch.save, or safetensors");
        };
        Ok(Self { tensors: without_data_parallel(tensors) })
    }

    /// A tensor by its name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

impl FromIterator<(String, Tensor)> for StateDictionary {
    fn from_iter<T: IntoIterator<Item = (String, Tensor)>>(tensors: T) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }
}

fn without_data_parallel(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    if tensors.is_empty() || !tensors.keys().all(|name| name.starts_with(DATA_PARALLEL)) {
        return tensors;
    }
    tensors.into_iter().map(|(name, tensor)| (name.replacen(DATA_PARALLEL, "", 1), tensor)).collect()
}

/// The bytes of each storage, by its key.
type Storages<'a> = HashMap<String, &'a [u8]>;

/// Reads the views. A view may repeat elements, and views may share them: together they are at most as many as the file has
/// bytes, so that a small file never becomes a large allocation.
fn gather(
    views: Vec<(String, View)>,
    storages: &Storages<'_>,
    file: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let mut left = file;
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        let elements = count(&view.shape).filter(|&elements| elements <= left).ok_or_else(|| {
            err!(Data, "{name:?} has the shape {:?}: more elements than the file has bytes", view.shape)
        })?;
        left -= elements;
        let storage = storages.get(&view.storage.key);
        let storage =
            storage.ok_or_else(|| err!(Data, "{name:?}: storage {:?} is missing", view.storage.key))?;
        let values = tensor::read(&view, storage).ok_or_else(|| {
            err!(Data, "{name:?}, a view of shape {:?}, reaches beyond its storage", view.shape)
        })?;
        tensors.insert(name, Tensor::new(view.shape, values)?);
    }
    Ok(tensors)
}
