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
//!   recognition of the same track, or at its end `undecided`. `withdrawn` is the last decision under its visit id.
//! - **The last event of a track is its final verdict.** A `preliminary` that never got enough agreeing shots stays
//!   `preliminary` if the evidence still supports it at the end: to withdraw it would say something untrue.
//! - **The final verdict depends on the shots and not on their order** (for one gallery and one policy). While
//!   the track lives, a recognition is kept down to [`HYSTERESIS`] under the threshold, so that it does not flicker; at
//!   the end the threshold holds strictly.
//! - **One visit is one identity at one place, and one event for each stage.** A place is a camera, or all cameras that the
//!   configuration gives the same `place`. A new track of the identity that is
//!   recognised while another is live or within `cooldown` of its last sighting continues the visit and says nothing
//!   again. Only a track that has said something else before (`unknown`, or a recognition that it withdrew) says who
//!   it is all the same, under a visit id of its own.
//! - **A recognition is for lists.** Each list an identity is on has a threshold, its own or the camera's. The lowest makes the
//!   recognition, and decisions name the lists whose threshold the fused score reaches (down to [`HYSTERESIS`] under it,
//!   for those that are held). What single shots agree on is who it is, not for which list: they are counted against the lowest.
//!   A list that is reached later is said under the same visit id and stage, once that stage is the visit's; one that was
//!   named and is missed ends the visit with a withdrawal, and the rest opens another.
//! - **Only the best candidate is ever recognised.** If it misses its threshold, a second one that reaches a lower one of its
//!   own does not take its place. The verdict is `ambiguous` where the two are within the margin, and `unknown` where they are
//!   not: who is clearly further away than somebody it is not, is nobody.
//! - **Lists say what may be said.** Every decision is made and counted; [`crate::types::decision::Decision::publish`] tells
//!   what an event may hold. Of somebody whose lists publish nothing nothing is said, and such a person is not unknown either.
//! - **Who appeared leaves, once.** A track that counts begins with `appeared` and ends with one `left`, whatever comes between, and
//!   after it nothing is said of the track. A `left` tells what holds at the end, as far as lists allow.
//! - **Only one live track speaks for a visit**; when it ends, the next one may take the visit from preliminary to
//!   confirmed. When it withdraws, the visit is over, and other live tracks that still hold the identity open a new one.

mod decider;
mod evidence;
mod judge;
pub mod lists;
mod places;
mod presence;
mod publish;
mod threshold;
mod visits;

#[cfg(test)]
mod tests;

pub use decider::{Decider, Gallery, MAX_TRACKS, NewVisitId, Scored};
pub use evidence::{MAX_KEPT, Shot};
pub use judge::{AGREE_SLACK, Glance, HYSTERESIS, at_a_glance};
pub use places::Places;
pub use threshold::{AtCamera, Estimates, Threshold, Thresholds};
