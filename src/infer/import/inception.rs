//! Inception-ResNet-v1 (Szegedy et al., AAAI 2017), with the channels of David Sandberg's FaceNet.

use super::network::{Convolution, Network, Then, pads};
use crate::infer::onnx::proto::Attribute;

/// Channels of the features.
pub(super) const CHANNELS: usize = 1792;
/// TensorFlow's default, which the original had.
const EPSILON: f64 = 0.001;

/// A convolution, batch normalisation and ReLU: channels out, kernel, stride, padding.
type Layer = (usize, [usize; 2], usize, [usize; 2]);

const fn point(channels: usize) -> Layer {
    (channels, [1, 1], 1, [0, 0])
}

const fn square(channels: usize) -> Layer {
    (channels, [3, 3], 1, [1, 1])
}

/// 3 x 3 without padding.
const fn valid(channels: usize, stride: usize) -> Layer {
    (channels, [3, 3], stride, [0, 0])
}

const fn row(channels: usize, width: usize) -> Layer {
    (channels, [1, width], 1, [0, width / 2])
}

const fn column(channels: usize, height: usize) -> Layer {
    (channels, [height, 1], 1, [height / 2, 0])
}

/// A residual block: its branches, the factor of their sum, whether a ReLU follows.
struct Residual<'b> {
    channels: usize,
    branches: &'b [&'b [Layer]],
    factor: f64,
    relu: bool,
}

const BLOCK_35: Residual<'_> = Residual {
    channels: 256,
    branches: &[&[point(32)], &[point(32), square(32)], &[point(32), square(32), square(32)]],
    factor: 0.17,
    relu: true,
};
const BLOCK_17: Residual<'_> = Residual {
    channels: 896,
    branches: &[&[point(128)], &[point(128), row(128, 7), column(128, 7)]],
    factor: 0.10,
    relu: true,
};
const BLOCK_8: Residual<'_> = Residual {
    channels: CHANNELS,
    branches: &[&[point(192)], &[point(192), row(192, 3), column(192, 3)]],
    factor: 0.20,
    relu: true,
};

/// Features of 3 x 3 x 1792 for a crop of 160 x 160. `path` is the module's.
pub(super) fn backbone(network: &mut Network<'_>, x: &str, path: &str) -> String {
    let stem =
        [("conv2d_1a", 3, valid(32, 2)), ("conv2d_2a", 32, valid(32, 1)), ("conv2d_2b", 32, square(64))];
    let mut x = x.to_owned();
    for (name, from, to) in stem {
        x = layer(network, &x, &format!("{path}.{name}"), from, to);
    }
    x = max_pool(network, &x, format!("{path}.maxpool_3a"));
    let stem =
        [("conv2d_3b", 64, point(80)), ("conv2d_4a", 80, valid(192, 1)), ("conv2d_4b", 192, valid(256, 2))];
    for (name, from, to) in stem {
        x = layer(network, &x, &format!("{path}.{name}"), from, to);
    }
    x = repeat(network, &x, &format!("{path}.repeat_1"), 5, &BLOCK_35);
    let branches: [&[Layer]; 2] = [&[valid(384, 2)], &[point(192), square(192), valid(256, 2)]];
    x = reduction(network, &x, &format!("{path}.mixed_6a"), 256, &branches);
    x = repeat(network, &x, &format!("{path}.repeat_2"), 10, &BLOCK_17);
    let branches: [&[Layer]; 3] = [
        &[point(256), valid(384, 2)],
        &[point(256), valid(256, 2)],
        &[point(256), square(256), valid(256, 2)],
    ];
    x = reduction(network, &x, &format!("{path}.mixed_7a"), 896, &branches);
    x = repeat(network, &x, &format!("{path}.repeat_3"), 5, &BLOCK_8);
    residual(network, &x, &format!("{path}.block8"), &Residual { factor: 1.0, relu: false, ..BLOCK_8 })
}

fn repeat(network: &mut Network<'_>, x: &str, path: &str, times: usize, block: &Residual<'_>) -> String {
    (0..times).fold(x.to_owned(), |x, index| residual(network, &x, &format!("{path}.{index}"), block))
}

/// The branches side by side, brought to as many channels as `x` has, and added to it.
fn residual(network: &mut Network<'_>, x: &str, path: &str, block: &Residual<'_>) -> String {
    let parts = branches(network, x, path, block.channels, block.branches);
    let joined = network.concat(&parts, 1, format!("{path}.cat"));
    let width = block.branches.iter().filter_map(|branch| branch.last()).map(|(channels, ..)| channels).sum();
    let name = format!("{path}.conv2d");
    let up = Convolution::pointwise(&name, [width, block.channels], Then::Bias(block.factor));
    let up = network.convolution(&joined, &up);
    let sum = network.add("Add", &[&up, x], format!("{path}.add"), Vec::new());
    if block.relu { network.relu(&sum) } else { sum }
}

/// The branches and a maximum side by side, half as high and wide.
fn reduction(network: &mut Network<'_>, x: &str, path: &str, channels: usize, layers: &[&[Layer]]) -> String {
    let mut parts = branches(network, x, path, channels, layers);
    parts.push(max_pool(network, x, format!("{path}.branch{}", layers.len())));
    network.concat(&parts, 1, format!("{path}.cat"))
}

/// `PATH.branchN`, or `PATH.branchN.M` where a branch has more than one layer.
fn branches(
    network: &mut Network<'_>,
    x: &str,
    path: &str,
    channels: usize,
    branches: &[&[Layer]],
) -> Vec<String> {
    let branch = |(number, layers): (usize, &&[Layer])| {
        let (mut x, mut from) = (x.to_owned(), channels);
        for (index, &to) in layers.iter().enumerate() {
            let name = match layers.len() {
                1 => format!("{path}.branch{number}"),
                _ => format!("{path}.branch{number}.{index}"),
            };
            x = layer(network, &x, &name, from, to);
            from = to.0;
        }
        x
    };
    branches.iter().enumerate().map(branch).collect()
}

/// `PATH.conv`, `PATH.bn`, ReLU.
fn layer(network: &mut Network<'_>, x: &str, path: &str, from: usize, to: Layer) -> String {
    let (channels, kernel, stride, padding) = to;
    let (name, norm) = (format!("{path}.conv"), format!("{path}.bn"));
    let channels = [from, channels];
    let then = Then::Normalise(&norm, EPSILON);
    let sum = network
        .convolution(x, &Convolution { name: &name, channels, kernel, stride, padding, groups: 1, then });
    network.relu(&sum)
}

/// 3 x 3, stride 2, without padding.
fn max_pool(network: &mut Network<'_>, x: &str, output: String) -> String {
    let attributes = vec![
        Attribute::ints("kernel_shape", &[3, 3]),
        Attribute::ints("pads", &pads([0, 0])),
        Attribute::ints("strides", &[2, 2]),
    ];
    network.add("MaxPool", &[x], output, attributes)
}
