//! The enrolled identities: stored, searched, and added to.
//!
//! ```text
//!  pictures ─▶ Enroller ─▶ Store (SQLite) ──generation──▶ SharedGallery ─▶ Arc<GallerySnapshot> ─▶ Match
//!              refuses      one change =                  reloads when it    immutable: rows, their
//!              with reason  one transaction               changed            identities, an index
//! ```

pub mod enrol;
pub mod name;
mod open;
mod queries;
mod schema;
pub mod shared;
pub mod snapshot;
mod sql;
pub mod store;

pub use name::Name;
pub use shared::SharedGallery;
pub use snapshot::GallerySnapshot;
pub use store::Store;

#[cfg(test)]
mod store_tests;
