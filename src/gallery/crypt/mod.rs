//! The gallery's cryptography: keys, what is sealed under them, and what is bound to it.
//!
//! ```text
//!  master key (credential or file) ─HKDF─▶ wrapping key ─▶ wraps the store's own keys: audit, index, signing
//!                                                      └▶ wraps one key for each identity
//!                                                            └▶ seals its record, templates, crops, names in the audit log
//! ```
//!
//! Destroying an identity's wrapped key destroys everything that was sealed under it, wherever a copy of that lies.
//! Sealing is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with random nonces; tags are HMAC-SHA-256 (RFC 2104);
//! derivation is HKDF-SHA-256 (RFC 5869). All of it is RustCrypto's.

mod bound;
mod key;
mod seal;

pub use bound::Bound;
pub use key::{Key, KeyId};
pub use seal::{OVERHEAD, open, open_key, seal, seal_key, tag, tag_begins_with};

#[cfg(test)]
mod tests;
