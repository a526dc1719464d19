//! ONNX files as data: read, rewritten, built, written.

pub mod build;
pub mod prepare;
pub mod proto;

#[cfg(test)]
mod tests;
