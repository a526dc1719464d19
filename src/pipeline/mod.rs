//! The stages wired together, as the picture has it.
//!
//! ```text
//!  camera thread      worker (one of n)                                    decider thread          publisher
//!  Supervisor ─frame─▶ Lane ─▶ Detector ─▶ Analyser ─shots─▶ Pool ─▶ Embedder ─▶ Ledger ─▶ Decider ─▶ Sinks
//!                      newest              tracks, best       queue              nothing of a track
//!                      wins                shots, quality                        is forgotten
//! ```
//!
//! [`live`] is the daemon's wiring; [`offline`] runs the same stages over a file, at full speed and deterministically.

pub mod analyser;
pub mod budget;
pub mod calibrator;
pub mod fitting;
pub mod judge;
pub mod lane;
pub mod ledger;
pub mod live;
pub mod offline;
pub mod outlet;
pub mod pool;
pub mod queue;
pub mod roll;
pub mod self_check;
pub mod shadow;
pub mod succession;
pub mod tuning;
pub mod worker;
