//! What shots are cut out for: the embedder in use, its alignment and its threshold, which change together.
//!
//! ```text
//!  install(M2, one embedder a worker) ─▶ current: M2 ──▶ each worker, before its next job: takes its embedder of M2
//!                                                    ──▶ each lane, at its next frame: cuts by M2's alignment, shots begin anew
//!                                                    ──▶ the judge: M2's threshold, from the first answer about M2 on
//! ```
//!
//! A shot carries the model it was cut for. It is never embedded by another one, and what one model made is never compared with
//! another's templates: a shot that comes too late for its model is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::align::Aligner;
use crate::infer::Embedder;
use crate::types::ids::ModelId;

/// A model, and how faces are cut out for it.
#[derive(Debug, Clone)]
pub struct Fitting {
    /// The model.
    pub model: ModelId,
    /// Cuts faces out for it. A camera's limits replace this one's.
    pub aligner: Aligner,
    /// The manifest's threshold: least similarity of a recognition where nothing is configured.
    pub threshold: f32,
}

/// The fitting in use, shared by workers, lanes and judge.
pub struct Fittings {
    current: ArcSwap<Fitting>,
    /// Embedders of the fitting in use that no worker has taken yet.
    waiting: Mutex<Vec<Box<dyn Embedder>>>,
}

impl Fittings {
    /// The first one. Workers bring their embedders of it along.
    pub fn new(fitting: Fitting) -> Self {
        Self { current: ArcSwap::from_pointee(fitting), waiting: Mutex::default() }
    }

    /// The one in use.
    pub fn current(&self) -> Arc<Fitting> {
        self.current.load_full()
    }

    /// Puts another into use, with an embedder of its model for each worker. The gallery is searched with that model already.
    pub fn install(&self, fitting: Fitting, embedders: Vec<Box<dyn Embedder>>) {
        let mut waiting = self.lock();
        *waiting = embedders;
        self.current.store(Arc::new(fitting));
    }

    /// The fitting in use and an embedder for it, once for each worker, if it is another than `known`.
    pub fn follow(&self, known: &Arc<Fitting>) -> Option<(Arc<Fitting>, Box<dyn Embedder>)> {
        if Arc::ptr_eq(&self.current.load(), known) {
            return None;
        }
        let mut waiting = self.lock();
        Some((self.current(), waiting.pop()?))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn Embedder>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
