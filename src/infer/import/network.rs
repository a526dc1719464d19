//! A graph that grows layer by layer. Values are named after the PyTorch modules that make them.

use super::parameters::Parameters;
use crate::infer::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};

/// A convolution without a bias, then batch normalisation; or with a bias, its sum scaled.
pub(super) struct Convolution<'n> {
    /// Path of the module: its weights are `NAME.weight`.
    pub name: &'n str,
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Height and width, in pixels.
    pub kernel: [usize; 2],
    /// In pixels.
    pub stride: usize,
    /// Zeros above and below, and left and right.
    pub padding: [usize; 2],
    /// As many as channels if it is depthwise, else 1.
    pub groups: usize,
    /// What follows.
    pub then: Then<'n>,
}

/// What follows a convolution's sum and is folded into it.
pub(super) enum Then<'n> {
    /// Batch normalisation with this path and this epsilon.
    Normalise(&'n str, f64),
    /// A bias, `NAME.bias`, and a factor.
    Bias(f64),
}

impl<'n> Convolution<'n> {
    /// One pixel, stride 1, one group.
    pub(super) fn pointwise(name: &'n str, channels: [usize; 2], then: Then<'n>) -> Self {
        Self { name, channels, kernel: [1, 1], stride: 1, padding: [0, 0], groups: 1, then }
    }

    /// 3 x 3 pixels, padded so that stride 1 keeps the size, one group.
    pub(super) fn square(name: &'n str, channels: [usize; 2], stride: usize, then: Then<'n>) -> Self {
        Self { name, channels, kernel: [3, 3], stride, padding: [1, 1], groups: 1, then }
    }
}

/// A factor and a summand for each channel.
pub(super) struct Scaling {
    factor: Vec<f64>,
    shift: Vec<f64>,
}

/// The network so far.
pub(super) struct Network<'a> {
    pub parameters: Parameters<'a>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueInfo>,
}

impl<'a> Network<'a> {
    pub(super) fn new(parameters: Parameters<'a>) -> Self {
        let (nodes, constants, inputs, outputs) = Default::default();
        Self { parameters, nodes, constants, inputs, outputs }
    }

    pub(super) fn input(&mut self, input: ValueInfo) {
        self.inputs.push(input);
    }

    pub(super) fn output(&mut self, output: ValueInfo) {
        self.outputs.push(output);
    }

    pub(super) fn finish(self, name: &str) -> (Graph, Parameters<'a>) {
        let graph = Graph {
            node: self.nodes,
            name: Some(name.to_owned()),
            initializer: self.constants,
            input: self.inputs,
            output: self.outputs,
            ..Default::default()
        };
        (graph, self.parameters)
    }

    /// Adds an operator with one output, whose name it gives back.
    pub(super) fn add(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: String,
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes.push(Node::new(op, inputs, output.clone(), attributes));
        output
    }

    pub(super) fn constant(&mut self, constant: Tensor) -> String {
        let name = constant.name.clone().unwrap_or_default();
        self.constants.push(constant);
        name
    }

    pub(super) fn relu(&mut self, x: &str) -> String {
        self.add("Relu", &[x], format!("{x}.relu"), Vec::new())
    }

    /// Side by side along a dimension.
    pub(super) fn concat(&mut self, parts: &[String], axis: i64, output: String) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.add("Concat", &parts, output, vec![Attribute::int("axis", axis)])
    }

    /// A convolution and what follows its sum, in one node.
    pub(super) fn convolution(&mut self, x: &str, convolution: &Convolution<'_>) -> String {
        let Convolution { name, channels: [from, to], kernel: [high, wide], .. } = *convolution;
        let shape = [to, from / convolution.groups, high, wide];
        let mut weights = self.parameters.take(format!("{name}.weight"), &shape);
        let scaling = match convolution.then {
            Then::Normalise(norm, epsilon) => self.batch_normalisation(norm, to, epsilon),
            Then::Bias(factor) => self.bias(name, to, factor),
        };
        scaling.scale_rows(&mut weights);
        let inputs = [x.to_owned(), self.weights(name, &shape, weights), self.shifts(name, &scaling)];
        let attributes = vec![
            Attribute::int("group", convolution.groups as i64),
            Attribute::ints("kernel_shape", &[high as i64, wide as i64]),
            Attribute::ints("pads", &pads(convolution.padding)),
            Attribute::ints("strides", &[convolution.stride as i64; 2]),
        ];
        let inputs = inputs.each_ref().map(String::as_str);
        self.add("Conv", &inputs, name.to_owned(), attributes)
    }

    /// A fully connected layer without a bias, then batch normalisation, in one node.
    pub(super) fn linear(
        &mut self,
        x: &str,
        name: &str,
        size: [usize; 2],
        norm: &str,
        epsilon: f64,
    ) -> String {
        let [from, to] = size;
        let mut weights = self.parameters.take(format!("{name}.weight"), &[to, from]);
        let scaling = self.batch_normalisation(norm, to, epsilon);
        scaling.scale_rows(&mut weights);
        let inputs = [x.to_owned(), self.weights(name, &[to, from], weights), self.shifts(name, &scaling)];
        let inputs = inputs.each_ref().map(String::as_str);
        self.add("Gemm", &inputs, name.to_owned(), vec![Attribute::int("transB", 1)])
    }

    /// `(x - mean) / sqrt(variance + epsilon) * weight + bias`, with the running figures of training, as a factor and a shift.
    fn batch_normalisation(&mut self, name: &str, channels: usize, epsilon: f64) -> Scaling {
        let [weight, bias, mean] = ["weight", "bias", "running_mean"]
            .map(|part| self.parameters.take(format!("{name}.{part}"), &[channels]));
        let variance = self.parameters.take_variances(format!("{name}.running_var"), channels);
        let factor =
            |(weight, variance): (&f32, &f32)| f64::from(*weight) / (f64::from(*variance) + epsilon).sqrt();
        let factor: Vec<f64> = weight.iter().zip(&variance).map(factor).collect();
        let shift =
            |((bias, mean), factor): ((&f32, &f32), &f64)| f64::from(*bias) - f64::from(*mean) * factor;
        let shift = bias.iter().zip(&mean).zip(&factor).map(shift).collect();
        Scaling { factor, shift }
    }

    fn bias(&mut self, name: &str, channels: usize, factor: f64) -> Scaling {
        let bias = self.parameters.take(format!("{name}.bias"), &[channels]);
        let shift = bias.iter().map(|bias| f64::from(*bias) * factor).collect();
        Scaling { factor: vec![factor; channels], shift }
    }

    fn weights(&mut self, name: &str, shape: &[usize], weights: Vec<f32>) -> String {
        let shape = shape.iter().map(|size| *size as i64).collect();
        self.floats(format!("{name}.weight"), shape, weights)
    }

    fn shifts(&mut self, name: &str, scaling: &Scaling) -> String {
        let shifts: Vec<f32> = scaling.shift.iter().map(|shift| *shift as f32).collect();
        self.floats(format!("{name}.bias"), vec![shifts.len() as i64], shifts)
    }

    /// Numbers that are finite may be folded into one that is not.
    fn floats(&mut self, name: String, shape: Vec<i64>, values: Vec<f32>) -> String {
        self.parameters.expect_finite(&name, &values);
        self.constant(Tensor::floats(name, shape, values))
    }
}

impl Scaling {
    /// Multiplies what makes each channel's sum by the channel's factor.
    fn scale_rows(&self, weights: &mut [f32]) {
        let row = (weights.len() / self.factor.len().max(1)).max(1);
        for (row, factor) in weights.chunks_exact_mut(row).zip(&self.factor) {
            row.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
        }
    }
}

/// As ONNX orders them: above, left, below, right.
pub(super) fn pads([vertical, horizontal]: [usize; 2]) -> [i64; 4] {
    [vertical as i64, horizontal as i64, vertical as i64, horizontal as i64]
}
