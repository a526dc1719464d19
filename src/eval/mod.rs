//! How well a detector and an embedder tell people apart, measured on folders of pictures.
//!
//! ```text
//!  folder, pairs.txt ─▶ protocol ─▶ pictures ─▶ acquire: decode ─ detect ─ crop ─ embed ─▶ templates, failures
//!                          │                       └ cache: what a killed run had done, sealed      │
//!                          ├ trials: who is compared with whom ────▶ verify ◀───────────────────────┤
//!                          └ partition: who is enrolled ───────────▶ identify ◀─────────────────────┘
//!                                                                    │
//!                       roc, accuracy, interval, claim, bootstrap ◀──┴──▶ report, svg
//! ```
//!
//! Terms and definitions are those of ISO/IEC 19795-1:2021 and of NIST FRTE 1:1 and 1:N; docs/evaluation.md has them. Everything below
//! `acquire` is pure: scores in, figures out, the same for the same seed.

pub mod accuracy;
pub mod acquire;
pub mod bootstrap;
pub mod cache;
pub mod claim;
mod enrolled;
pub mod folds;
pub mod identify;
pub mod interval;
pub mod looks;
pub mod partition;
pub mod protocol;
pub mod quality;
pub mod random;
pub mod roc;
pub mod svg;
pub mod verify;

#[cfg(test)]
mod tests;

use serde::Serialize;

/// What becomes of a comparison that could not be made, because of a failure to acquire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failures {
    /// It is an error: a mated one is a miss at every threshold, and in the accuracy a non-mated one is wrong, too.
    Wrong,
    /// It is in no figure but the rate of failures.
    LeftOut,
}
