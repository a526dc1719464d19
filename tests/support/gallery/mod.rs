//! Judges the real gallery after kills, power cuts and full disks, by an oracle that has no code in common with it.
//!
//! ```text
//!   seed ─▶ Script ─▶ steps, each with the State after it (the oracle's own arithmetic)
//!             │
//!             └─▶ Job ─▶ a child: opens the gallery, carries the steps out, tells `begin N` and `ok N`
//!                           ╳ killed, cut, disk full
//!   judge(folder, the two states that can be) ◀─ opens it again: people, lists, log, searches, rows, files
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "each test uses its part")]

pub mod access;
pub mod driver;
pub mod judge;
pub mod model;
pub mod models;
pub mod script;
