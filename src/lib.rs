//! `watchlistd`: face recognition against a watchlist, on live cameras, on a box at the edge.
//!
//! ```text
//!  one thread per camera        inference workers            one thread          one thread per sink
//!  Source ──Frame──▶ Mailbox(1) ─▶ Detector ─▶ Tracker ─▶ Aligner ─▶ Embedder ─▶ Index ─▶ Decider ─▶ Sink
//!           newest wins            Detection    Track      FaceCrop   Embedding   Match    Decision   Event
//! ```
//!
//! See ARCHITECTURE.md for the map and the rules each module keeps.

pub mod base;
pub mod types;

pub mod align;
pub mod api;
pub mod calibrate;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod detect;
pub mod eval;
pub mod events;
pub mod gallery;
pub mod image;
pub mod index;
pub mod infer;
pub mod models;
pub mod pipeline;
pub mod pull;
pub mod sinks;
pub mod snapshots;
pub mod source;
pub mod stats;
pub mod track;
