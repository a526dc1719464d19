//! Thresholds from the box's own scores: how strangers score, and which threshold keeps a budget of false alerts.
//!
//! ```text
//!  ended tracks, operators' verdicts ─▶ Scores ─┬─▶ groups ─▶ tail, fit, check ─┐
//!                                               └─▶ traffic ───────────────────┴─▶ budget: Estimate ─▶ book: changes
//! ```
//!
//! And which threshold keeps which false match rate, from labelled pictures (`table`) or from the box's own scores (`own`).
//!
//! Pure: no clock, no I/O, no threads; the same scores give the same estimate. What is kept are counts of scores by bin, never a template.
//! `docs/budget.md` has the model, its assumptions, and how well it does on simulated boxes (`simulation`).

pub mod book;
pub mod budget;
pub mod check;
pub mod fit;
mod groups;
pub mod normal;
pub mod own;
pub mod scores;
pub mod table;
pub mod tail;
mod traffic;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
