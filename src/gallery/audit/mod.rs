//! The audit log: who did what to the gallery, and when. What an entry is, how entries hang together, and what can be
//! asked of them; the store keeps the rows and knows nothing else of them.
//!
//! ```text
//!             sequence 1        sequence 2        sequence 3
//!  start ──▶ body, sealed ──▶ body, sealed ──▶ body, sealed ──▶ head = (3, mac 3)
//!      └mac─▶   mac 1   └─mac─▶   mac 2   └─mac─▶   mac 3       kept in gallery.head, in the journal, off the box
//!
//!  body   JSON, readable by whoever reads the store: action, actor, time, the identity's id; no name
//!  sealed name and external id under the identity's key; forgetting destroys that key, the bytes stay and still verify
//!  mac    HMAC-SHA-256 with the audit key over the mac before, the sequence, the body and what is sealed
//! ```
//!
//! A chain shows that something in it was changed, put in, left out or moved. Only a [`Head`] kept elsewhere shows that its end
//! was cut off, and only one kept where the audit key is not shows that all of it was written anew.

mod action;
mod chain;
mod compare;
mod entry;
mod head;
mod head_file;
mod members;
mod problem;
mod select;
mod verify;

pub use action::Action;
pub use chain::Chain;
pub use compare::{HeadState, compare};
pub use entry::{Draft, Entry, FORGOTTEN, Row, SealedPart, UNREADABLE};
pub use head::Head;
pub use head_file::HeadFile;
pub use members::members_at;
pub use problem::Problem;
pub use select::{Filter, select};
pub use verify::{MOST_PROBLEMS, Report, verify};

#[cfg(test)]
mod tests;
