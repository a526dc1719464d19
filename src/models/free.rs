//! A file that fixes its batch or size is made to take any, where the graph allows it: proved by running both.
//!
//! ```text
//!  rewrite ─▶ opens? ─▶ at the fixed size: the same numbers? ─▶ two crops at once: as one by one? another size: runs? ─▶ kept
//!      any of it fails ─▶ the file stays as it is, and the manifest says what it fixes
//! ```

use crate::base::error::Result;
use crate::config::Device;
use crate::infer::onnx::prepare::{Rewrite, rewrite};
use crate::infer::ort::{Runtime, Session, SessionOptions};
use crate::infer::prepare::MAX_DIFFERENCE;
use crate::types::geometry::Size;

/// Largest difference of a detector's numbers, in strides and shares: with a free size the runtime fuses other operators.
const MAX_OF_A_SIZE: f32 = 1e-5;

/// A model file, and what was done to it.
pub struct Freed {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was done, in order.
    pub rewrites: Vec<Rewrite>,
}

/// Inputs that a rewrite is proved on: tensors `[1, 3, height, width]`.
pub struct Proof<'a> {
    /// The runtime.
    pub runtime: &'static Runtime,
    /// The size of the tensors.
    pub size: Size,
    /// Two or more of them, all different.
    pub tensors: &'a [Vec<f32>],
}

impl Proof<'_> {
    /// Does to a file what can be done of this, each where what was done before it still holds.
    ///
    /// # Errors
    /// `Data`, when the file itself does not run.
    pub fn apply(&self, bytes: Vec<u8>, wanted: &[Rewrite]) -> Result<Freed> {
        let expected = self.singles(&bytes)?;
        let mut freed = Freed { bytes, rewrites: Vec::new() };
        for step in wanted {
            let tried = rewrite(&freed.bytes, &[*step]).and_then(|bytes| {
                let holds = self.holds(&bytes, *step, &expected)?;
                Ok(holds.then_some(bytes))
            });
            match tried {
                Ok(Some(bytes)) if bytes != freed.bytes => {
                    freed.bytes = bytes;
                    freed.rewrites.push(*step);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(rewrite = step.as_str(), error = error.chain(), "does not apply")
                }
            }
        }
        Ok(freed)
    }

    fn holds(&self, bytes: &[u8], step: Rewrite, expected: &[Vec<Vec<f32>>]) -> Result<bool> {
        let found = self.singles(bytes)?;
        let most = if step == Rewrite::SymbolicSize { MAX_OF_A_SIZE } else { MAX_DIFFERENCE };
        let mut holds = near(&found.concat(), &expected.concat(), most);
        match step {
            Rewrite::SymbolicBatch => {
                let both = self.run(bytes, &self.tensors.concat(), self.tensors.len(), self.size)?;
                let by_output =
                    |n: usize| expected.iter().filter_map(|one| one.get(n)).flatten().copied().collect();
                let alone: Vec<Vec<f32>> = (0..both.len()).map(by_output).collect();
                holds &= near(&both, &alone, most);
            }
            Rewrite::SymbolicSize => {
                // Not square, and larger one way and smaller the other.
                let other = Size::new(self.size.width + 64, self.size.height.saturating_sub(64).max(64));
                let more = self.run(bytes, &vec![0.0; 3 * other.area() as usize], 1, other)?;
                let cells = |outputs: &[Vec<f32>]| outputs.iter().map(Vec::len).sum::<usize>() as f64;
                let before = cells(expected.first().map_or(&[][..], Vec::as_slice)) / self.size.area() as f64;
                holds &= (cells(&more) / other.area() as f64 / before - 1.0).abs() < 0.01;
            }
            Rewrite::PreluToDepthwise => {}
        }
        Ok(holds)
    }

    /// All outputs, for each tensor alone.
    fn singles(&self, bytes: &[u8]) -> Result<Vec<Vec<Vec<f32>>>> {
        self.tensors.iter().map(|tensor| self.run(bytes, tensor, 1, self.size)).collect()
    }

    fn run(&self, bytes: &[u8], tensor: &[f32], batch: usize, size: Size) -> Result<Vec<Vec<f32>>> {
        let options = SessionOptions { varying_shapes: true, ..SessionOptions::new(Device::Cpu) };
        let mut session = Session::open(self.runtime, "the model", bytes, &options)?;
        let names: Vec<String> = session.outputs().iter().map(|port| port.name.clone()).collect();
        let outputs = session.run(tensor, [batch, 3, size.height as usize, size.width as usize])?;
        names.iter().map(|name| Ok(outputs.tensor(name)?.1.to_vec())).collect()
    }
}

/// The same numbers but for rounding, which is larger where numbers are.
fn near(found: &[Vec<f32>], expected: &[Vec<f32>], most: f32) -> bool {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= most * b.abs().max(1.0);
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(close))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::infer::onnx::proto::{Node, Tensor};
    use crate::infer::testing::{model, runtime, shared, value};

    fn tensors(size: Size, many: u32) -> Vec<Vec<f32>> {
        let length = 3 * size.area() as usize;
        (0..many).map(|n| (0..length).map(|i| ((i as u32 * 7 + n * 31) % 255) as f32).collect()).collect()
    }

    #[test]
    fn detectors_of_a_fixed_size_take_any_and_find_the_same() {
        let Some(runtime) = runtime() else { return };
        for name in ["yunet_n_640_640", "scrfd_500m_kps", "scrfd_2.5g_kps"] {
            let Some(path) = shared(&format!("models/{name}.onnx")) else { return };
            let size = Size::new(640, 640);
            let proof = Proof { runtime, size, tensors: &tensors(size, 1) };
            let freed =
                proof.apply(std::fs::read(path).expect("read"), &[Rewrite::SymbolicSize]).expect("runs");
            assert_eq!(freed.rewrites, [Rewrite::SymbolicSize], "{name}");
        }
    }

    /// A graph that mixes the crops of a batch looks free, and gives other vectors than one crop alone.
    #[test]
    fn a_batch_that_is_not_one_is_not_freed() {
        let Some(runtime) = runtime() else { return };
        let graph = |shape: &[i64]| {
            let nodes = vec![
                Node::new("Reshape", &["x", "shape"], "r".into(), vec![]),
                Node::new(
                    "ReduceSum",
                    &["r"],
                    "s".into(),
                    vec![crate::infer::onnx::proto::Attribute::ints("axes", &[0])],
                ),
                Node::new("Reshape", &["s", "flat"], "y".into(), vec![]),
            ];
            let constants =
                vec![Tensor::integers("shape".into(), shape), Tensor::integers("flat".into(), &[1, -1])];
            model(value("x", &[1, 3, 2, 2]), value("y", &[1, 6]), nodes, constants).encode_to_vec()
        };
        let size = Size::new(2, 2);
        let proof = Proof { runtime, size, tensors: &tensors(size, 2) };
        let freed = proof.apply(graph(&[2, 6]), &[Rewrite::SymbolicBatch]).expect("runs");
        assert!(freed.rewrites.is_empty());
        assert_eq!(freed.bytes, graph(&[2, 6]), "as it was");
    }
}
