//! From scores to decisions: pure policy, no clock, no I/O, no threads.
//!
//! ```text
//!   shot ──▶ Evidence of its track ──▶ judge ──▶ Standing of the track ──▶ Visit ──▶ Decision
//!            best shots, fused score,  rules     what the track says now   what was  (published)
//!            votes of single shots                                         published
//!
//!   what one track publishes:
//!
//!     start ──▶ unknown ──▶ preliminary ──▶ confirmed ──▶ withdrawn ──▶ any of them again, as another visit
//!       │          │             └──────────────┬──────────▲
//!       └──────────┴────────────────────────────┘          (also straight to confirmed)
//!     at the track's end, without a standing recognition: unknown, or undecided with the reason
//! ```
//!
//! Rules a consumer can rely on, each tested:
//! - **Nothing is contradicted silently.** A recognition ends only by `withdrawn` with the same visit id. An `unknown` is
//!   the one verdict that a later event replaces without a withdrawal, and that event has the same visit id: a
//!   recognition of the same track, or at its end `undecided`. `withdrawn` is the last event of its visit id.
//! - **The last event of a track is its final verdict.** A `preliminary` that never got enough agreeing shots stays
//!   `preliminary` if the evidence still supports it at the end: to withdraw it would say something untrue.
//! - **The final verdict depends on the shots and not on their order** (for one gallery and one policy). While
//!   the track lives, a recognition is kept down to [`HYSTERESIS`] under the threshold, so that it does not flicker; at
//!   the end the threshold holds strictly.
//! - **One visit is one identity at one camera, and one event for each stage.** A new track of the identity that is
//!   recognised while another is live or within `cooldown` of its last sighting continues the visit and says nothing
//!   again. Only a track that has said something else before (`unknown`, or a recognition that it withdrew) says who
//!   it is all the same, under a visit id of its own.
//! - **Only one live track speaks for a visit**; when it ends, the next one may take the visit from preliminary to
//!   confirmed. When it withdraws, the visit is over, and other live tracks that still hold the identity open a new one.

mod decider;
mod evidence;
mod judge;
mod publish;
mod threshold;
mod visits;

#[cfg(test)]
mod tests;

pub use decider::{Decider, Gallery, MAX_TRACKS, NewVisitId};
pub use evidence::{MAX_KEPT, Shot};
pub use judge::{AGREE_SLACK, HYSTERESIS};
pub use threshold::{Threshold, Thresholds};
