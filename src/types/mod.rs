//! The values that flow from a camera to an event. No I/O and no threads in here: each type is made at an
//! edge that checks it, and holds only what it may hold.

pub mod decision;
pub mod embedding;
pub mod face;
pub mod frame;
pub mod geometry;
pub mod ids;
pub mod matching;
pub mod scope;
