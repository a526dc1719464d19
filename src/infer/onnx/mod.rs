//! ONNX files as data: read, rewritten, written.

pub mod prepare;
pub mod proto;

#[cfg(test)]
mod tests;
