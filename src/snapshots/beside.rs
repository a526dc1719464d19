//! The store for a tool, where no daemon has it: opened for each question, and not at all where there is none.

use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::store::Store;
use super::{Keys, thread};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::gallery::outside::{Fetched, Kind, Outside};
use crate::types::ids::IdentityId;

/// A store that nobody has open.
pub struct Beside {
    path: PathBuf,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

impl Beside {
    /// The one at that path.
    pub fn new(path: PathBuf, keys: Keys, clock: Arc<dyn Clock>) -> Self {
        Self { path, keys, clock }
    }

    fn open(&self) -> Result<Option<Store>> {
        Store::open_existing(&self.path)
    }
}

impl Outside for Beside {
    fn count(&self, identities: &[IdentityId]) -> Result<u64> {
        self.open()?.map_or(Ok(0), |store| store.count_of(identities))
    }

    fn forget(&self, identities: &[IdentityId]) -> Result<u64> {
        let Some(mut store) = self.open()? else { return Ok(0) };
        let gone = store.remove_of(identities)?;
        store.checkpoint();
        Ok(gone)
    }

    fn fetch(&self, id: Uuid, kind: Kind) -> Result<Option<Fetched>> {
        let now = self.clock.now().wall;
        self.open()?.map_or(Ok(None), |store| thread::fetch(&store, &self.keys, id, kind, now))
    }
}
