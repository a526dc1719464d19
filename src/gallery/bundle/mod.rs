//! Bundles: the file in which identities move from box to box. Bytes in, bytes out; no store and no socket.
//!
//! ```text
//!  Content ─▶ write ─▶ signed bytes ─▶ encrypt (age) ─▶ file ─▶ decrypt ─▶ open ─▶ Opened ─▶ plan ─▶ Plan ─▶ the keeper
//!             checks   Ed25519         if recipients are       limits,    signature, signer,  beside what
//!             first                    given                   identity   then every bound    is here
//! ```
//!
//! The format is described for other programs in `docs/bundle-format.md`. In short: a magic line with the version, the
//! signer's public key, five sections (JSON, JSON Lines, raw vectors, raw crops), an Ed25519 signature over all of it.
//! Nothing behind the public key is looked at before the signature holds and the signer is known to be trusted.

mod age_file;
mod check;
mod content;
mod frame;
mod keys;
mod merge;
mod open;
mod plan;
mod wire;
mod write;

pub use age_file::{decrypt, encrypt, is_encrypted};
pub use content::{
    BundledCrop, BundledIdentity, BundledTemplate, Content, Header, MediaType, ModelContract, Opened,
};
pub use keys::{PublicKey, SigningKey};
pub use open::{open, receive};
pub use plan::{Here, Plan, Planned, PlannedTemplate, What, plan};
pub use write::write;

/// Most bytes of a bundle: 1 GiB.
pub const MAX_BYTES: usize = 1 << 30;
/// Most identities in a bundle.
pub const MAX_IDENTITIES: usize = 100_000;
/// Most templates in a bundle.
pub const MAX_TEMPLATES: usize = 1_000_000;
/// Most lists in a bundle.
pub const MAX_LISTS: usize = 10_000;
/// Most models in a bundle.
pub const MAX_MODELS: usize = 64;
/// Most bytes of one crop: 4 MiB.
pub const MAX_CROP: usize = 4 << 20;

#[cfg(test)]
mod tests;
