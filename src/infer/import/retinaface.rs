//! RetinaFace: three maps of a backbone, a feature pyramid, a context module (SSH, Najibi et al., ICCV 2017) and three heads a
//! map. `src/detect/retinaface.rs` decodes the answers.

use super::mobilenet::{self, Activation};
use super::network::{Convolution, Network, Then};
use crate::infer::onnx::proto::{Attribute, Dimension, Tensor, ValueInfo};

/// Names in the graph.
pub(super) const INPUT: &str = "input";
pub(super) const BOXES: &str = "loc";
pub(super) const SCORES: &str = "conf";
pub(super) const LANDMARKS: &str = "landmarks";

/// Channels of the first layer; the original MobileNet has four times as many.
const WIDTH: usize = 8;
/// Channels of the pyramid's maps.
const CHANNELS: usize = 64;
/// Anchors a cell.
const ANCHORS: usize = 2;
const LEAKY: Activation = Activation::LeakyRelu;

pub(super) fn mobilenet(network: &mut Network<'_>) {
    let [batch, height, width] = ["batch", "height", "width"].map(Dimension::symbolic);
    network.input(ValueInfo::floats(INPUT, [batch, Dimension::fixed(3), height, width]));
    let maps = mobilenet::stages(network, INPUT, "body", WIDTH, LEAKY);
    let maps = pyramid(network, &maps);
    let mut number = 0;
    let maps = maps.map(|map| {
        number += 1;
        context(network, &map, &format!("ssh{number}"))
    });
    head(network, &maps, "BboxHead", BOXES, 4);
    head(network, &maps, "ClassHead", SCORES, 2);
    head(network, &maps, "LandmarkHead", LANDMARKS, 10);
}

/// Each map with the coarser one, enlarged, added to it.
fn pyramid(network: &mut Network<'_>, [fine, middle, coarse]: &[String; 3]) -> [String; 3] {
    let mut level = |x: &str, name: &str, widths: usize| {
        mobilenet::pointwise_bn(network, x, &format!("fpn.{name}"), [widths * WIDTH, CHANNELS], LEAKY)
    };
    let (fine, middle, coarse) =
        (level(fine, "output1", 8), level(middle, "output2", 16), level(coarse, "output3", 32));
    let middle = merge(network, &middle, &coarse, "fpn.merge2");
    let fine = merge(network, &fine, &middle, "fpn.merge1");
    [fine, middle, coarse]
}

fn merge(network: &mut Network<'_>, map: &str, coarser: &str, path: &str) -> String {
    // Batch and channels are the same in both: the size of one is the size that the other gets.
    let size = network.add("Shape", &[map], format!("{path}.size"), Vec::new());
    // The element that PyTorch takes: floor(index * coarse / fine).
    let nearest = vec![
        Attribute::text("coordinate_transformation_mode", "asymmetric"),
        Attribute::text("mode", "nearest"),
        Attribute::text("nearest_mode", "floor"),
    ];
    let enlarged = network.add("Resize", &[coarser, "", "", &size], format!("{path}.enlarged"), nearest);
    let sum = network.add("Add", &[map, &enlarged], format!("{path}.sum"), Vec::new());
    mobilenet::convolution_bn(network, &sum, path, [CHANNELS; 2], 1, LEAKY)
}

/// Half of the channels see 3 x 3 cells, a quarter 5 x 5 and a quarter 7 x 7.
fn context(network: &mut Network<'_>, x: &str, path: &str) -> String {
    const HALF: usize = CHANNELS / 2;
    const QUARTER: usize = CHANNELS / 4;
    let [three, first, five, second, seven] = ["conv3X3", "conv5X5_1", "conv5X5_2", "conv7X7_2", "conv7x7_3"]
        .map(|layer| format!("{path}.{layer}"));
    let three = mobilenet::convolution_bn_linear(network, x, &three, [CHANNELS, HALF]);
    let first = mobilenet::convolution_bn(network, x, &first, [CHANNELS, QUARTER], 1, LEAKY);
    let five = mobilenet::convolution_bn_linear(network, &first, &five, [QUARTER; 2]);
    let second = mobilenet::convolution_bn(network, &first, &second, [QUARTER; 2], 1, LEAKY);
    let seven = mobilenet::convolution_bn_linear(network, &second, &seven, [QUARTER; 2]);
    let joined = network.concat(&[three, five, seven], 1, format!("{path}.cat"));
    network.relu(&joined)
}

/// `numbers` for each anchor of each map, one map after the other; of scores, the softmax.
fn head(network: &mut Network<'_>, maps: &[String; 3], path: &str, output: &str, numbers: usize) {
    let rows = network.constant(Tensor::integers(format!("{path}.rows"), &[0, -1, numbers as i64]));
    let mut level = 0;
    let parts = maps.each_ref().map(|map| {
        let name = format!("{path}.{level}.conv1x1");
        level += 1;
        let sum = Convolution::pointwise(&name, [CHANNELS, ANCHORS * numbers], Then::Bias(1.0));
        let sum = network.convolution(map, &sum);
        let last = vec![Attribute::ints("perm", &[0, 2, 3, 1])];
        let cells = network.add("Transpose", &[&sum], format!("{name}.cells"), last);
        network.add("Reshape", &[&cells, &rows], format!("{name}.rows"), Vec::new())
    });
    if output == SCORES {
        let joined = network.concat(&parts, 1, format!("{path}.cat"));
        network.add("Softmax", &[&joined], output.to_owned(), vec![Attribute::int("axis", -1)]);
    } else {
        network.concat(&parts, 1, output.to_owned());
    }
    let [batch, anchors] = ["batch", "anchors"].map(Dimension::symbolic);
    network.output(ValueInfo::floats(output, [batch, anchors, Dimension::fixed(numbers)]));
}
