//! A snapshot as it is stored: sealed, and bound to everything that stands beside it.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::events::log::Ring;
use crate::gallery::crypt::{self, Bound, Key};
use crate::gallery::outside::Kind;
use crate::types::ids::IdentityId;

/// Under what snapshots are sealed.
#[derive(Clone)]
pub struct Keys {
    /// The gallery's own key for those of nobody who is enrolled.
    pub own: Key,
    /// The identities' keys.
    pub ring: Arc<dyn Ring>,
}

/// What stands beside the sealed pictures, in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    /// The snapshot.
    pub id: Uuid,
    /// Who is in it; `None`: nobody who is enrolled.
    pub identity: Option<IdentityId>,
    /// The event that refers to it.
    pub event: Uuid,
    /// When it was kept, in milliseconds since 1970.
    pub taken: i64,
    /// When it goes.
    pub until: i64,
}

/// A row of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub about: About,
    pub face: Vec<u8>,
    pub scene: Option<Vec<u8>>,
}

/// Milliseconds since 1970.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

impl About {
    fn bound(&self, kind: Kind) -> Bound {
        Bound::to("snapshot")
            .field(self.id.as_bytes())
            .optional(self.identity.map(|id| *id.0.as_bytes()))
            .field(self.event.as_bytes())
            .field(self.taken.to_le_bytes())
            .field(self.until.to_le_bytes())
            .field(kind.as_str())
    }
}

impl Keys {
    /// Seals a JPEG; `None`, if whoever is in it is not in the gallery any more.
    ///
    /// # Errors
    /// As [`crypt::seal`].
    pub(super) fn seal(&self, about: &About, kind: Kind, jpeg: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = match about.identity {
            Some(identity) => self.ring.sealing(identity),
            None => Some(self.own.clone()),
        };
        key.map(|key| crypt::seal(&key, &about.bound(kind), jpeg)).transpose()
    }

    /// The JPEG again. `None`, if whoever is in it is not in the gallery any more, or anything of the row was changed.
    pub(super) fn open(&self, about: &About, kind: Kind, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bound = about.bound(kind);
        match about.identity {
            Some(id) => self.ring.opening(id).iter().find_map(|key| crypt::open(key, &bound, sealed)),
            None => crypt::open(&self.own, &bound, sealed),
        }
    }
}
