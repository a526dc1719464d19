//! FaceNet: a backbone, then an embedding of 128 numbers and length 1.

use super::inception;
use super::mobilenet::{self, Activation};
use super::network::Network;
use crate::infer::onnx::proto::{Attribute, Dimension, Tensor, ValueInfo};

/// Side of the crop, in pixels.
pub(super) const SIDE: usize = 160;
/// Numbers in an embedding.
pub(super) const DIMENSION: usize = 128;
/// Names in the graph.
pub(super) const INPUT: &str = "input";
pub(super) const OUTPUT: &str = "embedding";

/// TensorFlow's default, which the original had.
const EPSILON: f64 = 0.001;
/// Least length that a vector is divided by, as in `torch.nn.functional.normalize`.
const LEAST_LENGTH: f32 = 1e-12;

pub(super) fn mobilenet(network: &mut Network<'_>) {
    let x = crop(network);
    let [.., features] = mobilenet::stages(network, &x, "backbone.model", 32, Activation::Relu6);
    embedding(network, &features, 1024);
}

pub(super) fn inception_resnet_v1(network: &mut Network<'_>) {
    let x = crop(network);
    let features = inception::backbone(network, &x, "backbone.model");
    embedding(network, &features, inception::CHANNELS);
}

fn crop(network: &mut Network<'_>) -> String {
    let [side, batch] = [Dimension::fixed(SIDE), Dimension::symbolic("batch")];
    network.input(ValueInfo::floats(INPUT, [batch, Dimension::fixed(3), side.clone(), side]));
    INPUT.to_owned()
}

/// Mean of each channel, bottleneck, batch normalisation, length 1. Dropout does nothing outside training.
fn embedding(network: &mut Network<'_>, features: &str, channels: usize) {
    let pooled = network.add("GlobalAveragePool", &[features], "avg".to_owned(), Vec::new());
    let flat = network.add("Flatten", &[&pooled], "avg.flat".to_owned(), vec![Attribute::int("axis", 1)]);
    let vector = network.linear(&flat, "Bottleneck", [channels, DIMENSION], "last_bn", EPSILON);
    let along = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)];
    let length = network.add("ReduceL2", &[&vector], "length".to_owned(), along);
    let least = network.constant(Tensor::floats("length.least".to_owned(), Vec::new(), [LEAST_LENGTH]));
    let length = network.add("Clip", &[&length, &least], "length.clip".to_owned(), Vec::new());
    network.add("Div", &[&vector, &length], OUTPUT.to_owned(), Vec::new());
    network.output(ValueInfo::floats(OUTPUT, [Dimension::symbolic("batch"), Dimension::fixed(DIMENSION)]));
}
