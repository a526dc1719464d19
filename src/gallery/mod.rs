//! The enrolled identities: kept, searched, changed, and accounted for.
//!
//! ```text
//!  command line ─▶ Desk ─▶ Keeper ─▶ Store (SQLite, sealed)        audit log, head, list of the forgotten
//!                          one owner, one change = one transaction
//!                             └─▶ SharedGallery ─▶ Arc<GallerySnapshot> ─▶ Match
//!                                                  immutable: people, rows, indexes
//! ```

pub mod audit;
pub mod bundle;
pub mod command;
pub mod crypt;
pub mod custody;
pub mod dates;
pub mod enrol;
pub mod escrow;
pub mod keeper;
pub mod keyring;
pub mod life;
pub mod list;
pub mod lock;
pub mod master;
pub mod name;
pub mod outside;
pub mod reading;
pub mod record;
pub mod report;
pub mod review;
pub mod rounds;
pub mod shared;
pub mod snapshot;
pub mod store;
pub mod succession;
mod tombstones;

pub use keeper::Keeper;
pub use name::Name;
pub use shared::SharedGallery;
pub use snapshot::GallerySnapshot;
