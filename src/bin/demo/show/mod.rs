//! Paints the scene: photographs, cut out softly and moved over a plain backdrop, straight into I420.

pub mod photo;
mod sprite;
pub mod stage;
