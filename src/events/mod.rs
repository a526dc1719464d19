//! Events: what other programs learn from us.
//!
//! ```text
//!   Decision ─────┐                      one envelope, one data schema each
//!   camera state ─┴─▶ EventMaker ─▶ Event { CloudEvents 1.0 | data } ─▶ one line of JSON ─▶ sinks
//!                     run, sequence, id
//! ```
//!
//! An event holds neither pixels nor a vector, and enough to act on without asking back. docs/events.md has
//! every field.

mod maker;
mod schema;

#[cfg(test)]
mod tests;

pub use maker::{CameraChange, EventMaker, Ids};
pub use schema::{Area, CameraData, Data, DecisionName, Event, EventType, Identity, SCHEMA, Sighting, Who};
