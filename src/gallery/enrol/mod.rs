//! From pictures to templates, strictly: one picture, one face, good enough, or a refusal that says why.
//!
//! ```text
//!  file ─ bounded read ─ SHA-256 ─ known already? ─▶ examine: decode ─ detect ─ choose ─ crop ─ quality ─ embed (─ chip)
//!                                        │               (needs models only: any number of workers)        │
//!                                        └────────────── Desk ◀── vector, chip, source: one template ◀──────┘
//!                                          who keeps the gallery looks at the neighbours (gate) and stores or refuses
//! ```
//!
//! The tool has the models and no key; the desk has the key and runs no model. [`Enroller`] does one picture at a time,
//! [`bulk`] a folder with all cores.

mod body;
pub mod bulk;
mod chip;
mod details;
mod enroller;
mod examine;
mod faces;
pub mod gate;
mod metadata;
mod models;
mod offer;
mod outcome;
mod walk;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod tests;

pub use body::{MAX_DIMENSION, pack, unpack};
pub use chip::Chip;
pub use details::{Details, moment};
pub use enroller::Enroller;
pub use examine::{Examined, MAX_FILE, examine};
pub use faces::Choice;
pub use metadata::{COLUMNS, Sheet};
pub use models::{FaceFinder, Models};
pub use offer::{describe, expect_lists};
pub use outcome::{Outcome, Reason, Report, Seen, Tally};
pub use walk::{Job, plan};

use super::command::Review;

/// How pictures are enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Least detector score of a face, 0 to 1. Faces under it do not count.
    pub min_score: f32,
    /// Which face, where there are several.
    pub choice: Choice,
    /// True if the gallery keeps enrolment crops: [`describe`] tells.
    pub chips: bool,
    /// How strictly a template is looked at beside what is enrolled.
    pub review: Review,
}
