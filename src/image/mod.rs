//! From decoded pictures to what the models take in, and pictures in and out of files.
//!
//! ```text
//!  frame (NV12, I420, RGB; the decoder's own memory)
//!    ├─ resize ─▶ planar f32 tensor for the detector     one pass: scale, colour, normalise
//!    └─ warp ───▶ aligned RGB crop ── tensor ─▶ planar f32 tensor for the embedder
//!  file ── codec ─▶ RGB picture ── draw ─▶ codec ─▶ file
//! ```
//!
//! No full frame is ever converted or copied. Only `codec` does I/O.

pub mod affine;
pub mod codec;
pub mod color;
pub mod draw;
mod jpeg;
pub mod labels;
mod layers;
pub mod letterbox;
pub mod obscure;
pub mod resize;
pub mod tensor;
pub mod text;
pub mod warp;

#[cfg(test)]
pub(crate) mod testing;
