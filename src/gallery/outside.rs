//! What is kept of the enrolled outside the gallery, under their keys, and has to go with them: the snapshots.
//!
//! ```text
//!  Keeper ── forget ──▶ Outside ── deletes the rows ──▶ the receipt says how many
//!         ── fetch  ──▶         ── the sealed picture, opened ──▶ an entry of the audit log, then the picture
//! ```

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::types::ids::IdentityId;

/// Which picture of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The face.
    Face,
    /// What was around it.
    Scene,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Face, Kind::Scene];

    /// The name in addresses, in the audit log, and in what is sealed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Face => "face",
            Kind::Scene => "scene",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A picture that was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Who is in it; `None`: nobody who is enrolled.
    pub identity: Option<IdentityId>,
    /// The picture.
    pub jpeg: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched({:?}, {} bytes)", self.identity, self.jpeg.len())
    }
}

/// Where that is. Never waits for the gallery.
pub trait Outside: Send + Sync {
    /// How much there is of these identities.
    ///
    /// # Errors
    /// When it cannot be read.
    fn count(&self, identities: &[IdentityId]) -> Result<u64>;

    /// Deletes all of it; how much it was. Whoever cannot be deleted now is deleted later, and cannot be opened meanwhile: the key
    /// is gone.
    ///
    /// # Errors
    /// When it cannot be deleted now.
    fn forget(&self, identities: &[IdentityId]) -> Result<u64>;

    /// A picture; `None`, if there is none of that id, if it may be kept no longer, or if whoever is in it is not in the gallery.
    ///
    /// # Errors
    /// When it cannot be read.
    fn fetch(&self, id: Uuid, kind: Kind) -> Result<Option<Fetched>>;
}

/// Where that is, once somebody says so.
pub(super) type Place = Option<Arc<dyn Outside>>;
