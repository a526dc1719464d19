//! Events: what other programs learn from us.
//!
//! ```text
//!   Decision ─────┐                      one envelope, one data schema each
//!   camera state ─┴─▶ EventMaker ─▶ Event { CloudEvents 1.0 | data } ─▶ log ─▶ one line of JSON ─▶ sinks
//!                     run, id                                         gives it its place: epoch, sequence
//! ```
//!
//! An event holds neither pixels nor a vector, and enough to act on without asking back. docs/events.md has
//! every field.

pub mod cloud;
mod counted;
pub mod desk;
pub mod explain;
mod json_schema;
pub mod log;
mod maker;
mod missed;
mod own;
mod presence;
mod schema;
mod threshold;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use counted::Counted;
pub use json_schema::{SCHEMA_FILE, json_schema};
pub use maker::{CameraChange, EventMaker, Ids};
pub use own::{
    GalleryAction, GalleryChange, GalleryData, GalleryNews, HealthChange, HealthData, HealthState, Listed,
    Lost, LostData, LostReason, id_of_gap,
};
pub use presence::{AppearedData, LeftData};
pub use schema::{
    Area, AskedFor, AtCamera, CameraData, Data, DecisionName, Event, EventType, Identity, SCHEMA, Sighting,
    SnapshotRef, Who,
};
pub use threshold::{ThresholdData, ThresholdNews};
