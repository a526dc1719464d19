//! MobileNetV1 (Howard et al. 2017) in three stages, each half as high and wide as the one before in the end.

use super::network::{Convolution, Network, Then};
use crate::infer::onnx::proto::{Attribute, Tensor};

/// `torch.nn.BatchNorm2d`'s own.
const EPSILON: f64 = 1e-5;

/// What follows each convolution.
#[derive(Clone, Copy)]
pub(super) enum Activation {
    /// Not below 0, not above 6.
    Relu6,
    /// Below 0 a tenth.
    LeakyRelu,
}

impl Activation {
    pub(super) fn of(self, network: &mut Network<'_>, x: &str) -> String {
        let output = format!("{x}.act");
        match self {
            Activation::Relu6 => {
                let [least, most] = [("least", 0.0), ("most", 6.0)].map(|(name, value)| {
                    network.constant(Tensor::floats(format!("{output}.{name}"), Vec::new(), [value]))
                });
                network.add("Clip", &[x, &least, &most], output, Vec::new())
            }
            Activation::LeakyRelu => {
                network.add("LeakyRelu", &[x], output, vec![Attribute::float("alpha", 0.1)])
            }
        }
    }
}

/// The outputs of the three stages: 8, 16 and 32 times `width` channels at strides 8, 16 and 32. `path` is the module's.
pub(super) fn stages(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    width: usize,
    activation: Activation,
) -> [String; 3] {
    let first = convolution_bn(network, x, &format!("{path}.stage1.0"), [3, width], 2, activation);
    // Channels out, in widths, and stride.
    let stages: [(&str, &[(usize, usize)]); 3] = [
        ("stage1", &[(2, 1), (4, 2), (4, 1), (8, 2), (8, 1)]),
        ("stage2", &[(16, 2), (16, 1), (16, 1), (16, 1), (16, 1), (16, 1)]),
        ("stage3", &[(32, 2), (32, 1)]),
    ];
    let (mut x, mut channels) = (first, width);
    stages.map(|(stage, blocks)| {
        let before = usize::from(stage == "stage1");
        for (index, (widths, stride)) in blocks.iter().enumerate() {
            let block = format!("{path}.{stage}.{}", index + before);
            let to = widths * width;
            x = depthwise_separable(network, &x, &block, [channels, to], *stride, activation);
            channels = to;
        }
        x.clone()
    })
}

/// 3 x 3, batch normalisation, activation: `PATH.0`, `PATH.1`, `PATH.2`.
pub(super) fn convolution_bn(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    channels: [usize; 2],
    stride: usize,
    activation: Activation,
) -> String {
    let (name, norm) = (format!("{path}.0"), format!("{path}.1"));
    let sum = network
        .convolution(x, &Convolution::square(&name, channels, stride, Then::Normalise(&norm, EPSILON)));
    activation.of(network, &sum)
}

/// The same without an activation: `PATH.0`, `PATH.1`.
pub(super) fn convolution_bn_linear(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    channels: [usize; 2],
) -> String {
    let (name, norm) = (format!("{path}.0"), format!("{path}.1"));
    network.convolution(x, &Convolution::square(&name, channels, 1, Then::Normalise(&norm, EPSILON)))
}

/// 1 x 1, batch normalisation, activation: `PATH.0`, `PATH.1`, `PATH.2`.
pub(super) fn pointwise_bn(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    channels: [usize; 2],
    activation: Activation,
) -> String {
    pointwise_at(network, x, path, [0, 1], channels, activation)
}

fn pointwise_at(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    [convolution, norm]: [usize; 2],
    channels: [usize; 2],
    activation: Activation,
) -> String {
    let (name, norm) = (format!("{path}.{convolution}"), format!("{path}.{norm}"));
    let sum =
        network.convolution(x, &Convolution::pointwise(&name, channels, Then::Normalise(&norm, EPSILON)));
    activation.of(network, &sum)
}

/// 3 x 3 in each channel, then 1 x 1 across them: `PATH.0` to `PATH.5`.
fn depthwise_separable(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    [from, to]: [usize; 2],
    stride: usize,
    activation: Activation,
) -> String {
    let (name, norm) = (format!("{path}.0"), format!("{path}.1"));
    let depthwise = Convolution {
        groups: from,
        ..Convolution::square(&name, [from, from], stride, Then::Normalise(&norm, EPSILON))
    };
    let sum = network.convolution(x, &depthwise);
    let between = activation.of(network, &sum);
    pointwise_at(network, &between, path, [3, 4], [from, to], activation)
}
