//! The models at hand: which there are, whether they are what they say, and how another one joins them.
//!
//! ```text
//!  FILE.onnx ─▶ Sight (ports, sizes) ─▶ guess: role, family, outputs ─▶ Draft ─┬─ what nobody can see is asked
//!                                                                              ├─ free: batch and size, proved by running
//!                                                                              ├─ tune: the input that tells people apart best
//!                                                                              └─ self_test on real faces ─▶ Shelf::put
//!  Shelf: manifests beside the configured ones, and in the models folder ─▶ list, find by name, verify, card, remove
//! ```

pub mod add;
pub mod card;
pub mod draft;
pub mod free;
pub mod guess;
pub mod pictures;
pub mod recipe;
pub mod self_test;
pub mod shelf;
pub mod tune;
