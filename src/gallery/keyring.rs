//! The identities' keys, for those who seal and open what is about somebody outside the gallery: the event log.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::crypt::Key;
use super::store::StoredIdentity;
use crate::events::log::Ring;
use crate::types::ids::IdentityId;

/// Keys by identity, the newest first. Shared; whoever is forgotten is gone from it before the command returns.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<RwLock<HashMap<IdentityId, Vec<Key>>>>);

impl KeyRing {
    /// Of these.
    pub fn of(identities: &[StoredIdentity]) -> Self {
        let ring = Self::default();
        ring.replace(identities.iter());
        ring
    }

    /// Somebody is there, with these keys.
    pub(super) fn put(&self, identity: &StoredIdentity) {
        let keys = std::iter::once(&identity.key).chain(&identity.older).cloned().collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(identity.id, keys);
    }

    /// Somebody is gone.
    pub(super) fn remove(&self, identity: IdentityId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&identity);
    }

    /// These and nobody else are there.
    pub(super) fn replace<'i>(&self, identities: impl Iterator<Item = &'i StoredIdentity>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
        identities.for_each(|identity| self.put(identity));
    }
}

impl Ring for KeyRing {
    fn sealing(&self, identity: IdentityId) -> Option<Key> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&identity)?.first().cloned()
    }

    fn opening(&self, identity: IdentityId) -> Vec<Key> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned().unwrap_or_default()
    }
}
