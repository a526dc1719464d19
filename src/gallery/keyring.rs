//! The identities' keys, for those who seal and open what is about somebody outside the gallery: the event log.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::crypt::Key;
use super::master::{self, KeySource};
use super::store::{Found, Store, StoredIdentity};
use super::tombstones::Tombstones;
use crate::bail;
use crate::base::error::Result;
use crate::events::log::Ring;
use crate::types::ids::IdentityId;

/// Keys by identity, the newest first. Shared; whoever is forgotten is gone from it before the command returns.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<RwLock<Held>>);

#[derive(Default)]
struct Held {
    keys: HashMap<IdentityId, Vec<Key>>,
    /// Who had keys and has none, in the order in which that became known. Only grows.
    departed: Vec<IdentityId>,
}

impl KeyRing {
    /// Of these.
    pub fn of(identities: &[StoredIdentity]) -> Self {
        let ring = Self::default();
        ring.replace(identities.iter());
        ring
    }

    /// The key that binds the event log, and the ring, of the gallery at `path`. It is read, without its lock: beside a daemon it
    /// is as of now. Whoever is on a list of the forgotten has no key, also where an older store was put back.
    ///
    /// # Errors
    /// `NoInput`, where there is no gallery; as [`Store::open_read_only`] and [`master::load_for`].
    pub fn of_gallery(path: &Path, key: &KeySource) -> Result<(Key, Self)> {
        let id = match Store::look(path)? {
            Found::Sealed(id) => id,
            Found::Plain => bail!(
                Config,
                "gallery {} is of an older version: start the daemon, which brings it up",
                path.display()
            ),
            Found::Nothing => bail!(
                NoInput,
                "there is no gallery at {}, whose key binds the event log (gallery.path)",
                path.display()
            ),
        };
        let store = Store::open_read_only(path, &master::load_for(key, id)?)?;
        let (mut identities, stored) =
            store.read(|tables| Ok((tables.identities()?, tables.forgotten()?)))?;
        let gone: HashSet<IdentityId> = stored
            .iter()
            .chain(&Tombstones::beside(path).read()?)
            .map(|forgotten| forgotten.identity)
            .collect();
        identities.retain(|identity| !gone.contains(&identity.id));
        Ok((store.keys().events(), Self::of(&identities)))
    }

    /// Somebody is there, with these keys.
    pub(super) fn put(&self, identity: &StoredIdentity) {
        self.write().put(identity);
    }

    /// Somebody is gone.
    pub(super) fn remove(&self, identity: IdentityId) {
        let mut held = self.write();
        held.keys.remove(&identity);
        held.departed.push(identity);
    }

    /// These and nobody else are there.
    pub(super) fn replace<'i>(&self, identities: impl Iterator<Item = &'i StoredIdentity>) {
        let mut held = self.write();
        let before = std::mem::take(&mut held.keys);
        identities.for_each(|identity| held.put(identity));
        let gone = before.into_keys().filter(|id| !held.keys.contains_key(id)).collect::<Vec<_>>();
        held.departed.extend(gone);
    }

    /// These went before this ring was made.
    pub(super) fn departed_before(&self, identities: impl Iterator<Item = IdentityId>) {
        self.write().departed.extend(identities);
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn put(&mut self, identity: &StoredIdentity) {
        let keys = std::iter::once(&identity.key).chain(&identity.older).cloned().collect();
        self.keys.insert(identity.id, keys);
    }
}

impl Ring for KeyRing {
    fn sealing(&self, identity: IdentityId) -> Option<Key> {
        self.read().keys.get(&identity)?.first().cloned()
    }

    fn opening(&self, identity: IdentityId) -> Vec<Key> {
        self.read().keys.get(&identity).cloned().unwrap_or_default()
    }

    fn departed(&self, after: usize) -> Vec<IdentityId> {
        self.read().departed.get(after..).unwrap_or_default().to_vec()
    }
}
