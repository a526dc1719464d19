//! Which execution provider each node of a model landed on, read from the runtime's log.
//!
//! ONNX Runtime gives nodes its provider has no kernel for to the CPU without a word. It is right to for shape
//! arithmetic, which it keeps on the CPU on purpose; a convolution there means that the device is not in use.

use std::collections::BTreeMap;

use crate::bail;
use crate::base::error::Result;
use crate::config::Device;

/// The CPU's provider.
pub const CPU: &str = "CPUExecutionProvider";

/// Operators that are the work of a network: none may run on the CPU when another device was asked for.
const WORK: [&str; 10] = [
    "Conv",
    "FusedConv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "FusedMatMul",
    "PRelu",
    "LeakyRelu",
    "BatchNormalization",
    "Resize",
];

/// Nodes by provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    nodes: BTreeMap<String, Provider>,
    reading: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Provider {
    count: usize,
    // Empty when all nodes are on one provider: the log then lists none.
    operators: BTreeMap<String, usize>,
}

impl Placement {
    /// Takes one line of the log; lines that are about something else end a list.
    pub(super) fn read(&mut self, line: &str) {
        if let Some((provider, count)) = heading(line) {
            self.reading = Some(provider.to_owned());
            self.nodes.entry(provider.to_owned()).or_default().count += count;
            return;
        }
        let operator = line.strip_prefix("  ").and_then(|rest| rest.split_once(" (")).map(|(op, _)| op);
        let (Some(operator), Some(provider)) = (operator, &self.reading) else {
            self.reading = None;
            return;
        };
        let operators = &mut self.nodes.entry(provider.clone()).or_default().operators;
        *operators.entry(operator.trim().to_owned()).or_default() += 1;
    }

    /// Number of nodes on a provider.
    pub fn on(&self, provider: &str) -> usize {
        self.nodes.get(provider).map_or(0, |p| p.count)
    }

    /// Refuses a model whose work landed on the CPU although `device` was asked for.
    ///
    /// # Errors
    /// `Unavailable`, naming the device, the model and the operators.
    pub(super) fn check(&self, model: &str, device: &Device) -> Result<()> {
        if self.nodes.is_empty() {
            tracing::warn!(model, %device, "the runtime does not say where nodes run; check the device's own load");
            return Ok(());
        }
        let Some(cpu) = self.nodes.get(CPU) else { return Ok(()) };
        if self.nodes.len() == 1 {
            bail!(
                Unavailable,
                "inference.device {device}: all {} nodes of {model} landed on the CPU",
                cpu.count
            );
        }
        let work: Vec<String> =
            WORK.iter().filter_map(|op| Some(format!("{} {op}", cpu.operators.get(*op)?))).collect();
        if !work.is_empty() {
            bail!(
                Unavailable,
                "inference.device {device}: part of {model} landed on the CPU ({}); its ONNX Runtime or driver lacks \
                 these operators",
                work.join(", ")
            );
        }
        Ok(())
    }
}

/// ` All nodes placed on [P]. Number of nodes: 7` and ` Node(s) placed on [P]. Number of nodes: 7`.
fn heading(line: &str) -> Option<(&str, usize)> {
    let (_, rest) = line.split_once(" placed on [")?;
    let (provider, rest) = rest.split_once(']')?;
    let (_, count) = rest.split_once("Number of nodes: ")?;
    Some((provider, count.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    fn placement(lines: &[&str]) -> Placement {
        let mut placement = Placement::default();
        lines.iter().for_each(|line| placement.read(line));
        placement
    }

    #[test]
    fn shape_arithmetic_may_stay_on_the_cpu_but_no_convolution() {
        let head = ["Node placements", " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2"];
        let cuda = [" Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 1", "  Conv (Conv_0)"];
        let fine = [&head[..], &["  Shape (Shape_1)", "  Gather (Gather_2)"], &cuda].concat();
        let split = [&head[..], &["  Conv (Conv_1)", "  Gather (Gather_2)"], &cuda].concat();

        placement(&fine).check("m", &Device::Cuda(0)).expect("only shapes");
        assert_eq!(placement(&fine).on("CUDAExecutionProvider"), 1);
        let error = placement(&split).check("m", &Device::Cuda(0)).expect_err("a convolution");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("cuda:0") && error.to_string().contains("1 Conv"), "{error}");
    }

    #[test]
    fn a_model_that_is_wholly_on_the_cpu_is_refused() {
        let all =
            placement(&[" All nodes placed on [CPUExecutionProvider]. Number of nodes: 9", "other (news)"]);
        assert_eq!(all.on(CPU), 9);
        assert!(all.check("m", &Device::TensorRt(1)).is_err());
    }
}
