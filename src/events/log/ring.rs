//! The keys of the identities that events are about.

use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

/// Where the log finds an identity's key. Whoever was forgotten has none, from the moment on that the command returns.
pub trait Ring: Send + Sync {
    /// The key that seals; `None` for somebody who is not in the gallery.
    fn sealing(&self, identity: IdentityId) -> Option<Key>;

    /// The keys that open, the newest first.
    fn opening(&self, identity: IdentityId) -> Vec<Key>;

    /// Who has had keys and has none any more, in the order in which they went, without the first `after`. Somebody may be among
    /// them twice, or be back: ask [`Ring::sealing`].
    fn departed(&self, after: usize) -> Vec<IdentityId> {
        let _ = after;
        Vec::new()
    }
}

/// A ring without keys: names are neither kept nor read.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeys;

impl Ring for NoKeys {
    fn sealing(&self, _: IdentityId) -> Option<Key> {
        None
    }

    fn opening(&self, _: IdentityId) -> Vec<Key> {
        Vec::new()
    }
}
