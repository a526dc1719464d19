//! Rewrites of a model that change how fast it runs and what it accepts, never what it computes.
//!
//! The result depends on the file alone: the same bytes come out each time, and their SHA-256 stands in the manifest.

use std::collections::HashMap;

use prost::Message;

use super::proto::{Attribute, Dimension, Graph, Model, Node, Tensor};
use crate::base::error::Result;
use crate::{bail, err};

/// A rewrite, by its name in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rewrite {
    /// `symbolic-batch`: the batch dimension, fixed to 1 in the file, becomes symbolic.
    SymbolicBatch,
    /// `symbolic-size`: the width and height of a detector's input, fixed in the file, become symbolic.
    SymbolicSize,
    /// `prelu-to-depthwise`: each PReLU becomes two depthwise 1x1 convolutions, two ReLUs and a sum, which ONNX
    /// Runtime keeps in its blocked layout on a CPU. A PReLU costs two reorders there, and half the model's time.
    PreluToDepthwise,
}

impl Rewrite {
    /// All of them.
    pub const ALL: [Rewrite; 3] = [Rewrite::SymbolicBatch, Rewrite::SymbolicSize, Rewrite::PreluToDepthwise];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rewrite::SymbolicBatch => "symbolic-batch",
            Rewrite::SymbolicSize => "symbolic-size",
            Rewrite::PreluToDepthwise => "prelu-to-depthwise",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rewrite| rewrite.as_str() == name)
    }
}

/// Applies rewrites to a model file's bytes, in the order given.
///
/// # Errors
/// `Data`, when the bytes are no ONNX model, a rewrite does not apply to it, or something would be lost.
pub fn rewrite(bytes: &[u8], rewrites: &[Rewrite]) -> Result<Vec<u8>> {
    let mut model = Model::decode_exact(bytes)?;
    let graph = model.graph.as_mut().ok_or_else(|| err!(Data, "the model holds no graph"))?;
    for step in rewrites {
        match step {
            Rewrite::SymbolicBatch => symbolic_batch(graph)?,
            Rewrite::SymbolicSize => symbolic_size(graph)?,
            Rewrite::PreluToDepthwise => prelu_to_depthwise(graph)?,
        }
    }
    Ok(model.encode_to_vec())
}

/// Frees the batch dimension: of the input, of the output, and of each Reshape to a constant shape that begins with 1. Whether that was
/// the batch in each of them shows when a batch is run: whoever rewrites compares it with its pictures one by one.
fn symbolic_batch(graph: &mut Graph) -> Result<()> {
    // Shapes of values in between say "1" too. They are only hints: without them the runtime works them out.
    graph.value_info.clear();
    let constants: Vec<Option<String>> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for input in graph.input.iter_mut().filter(|input| !constants.contains(&input.name)) {
        free_first_dimension(input.dims_mut())?;
    }
    let mut outputs = HashMap::new();
    for output in &mut graph.output {
        let width = free_first_dimension(output.dims_mut())?;
        outputs.insert(output.name.clone().unwrap_or_default(), width);
    }
    free_reshapes(graph, &outputs)
}

/// Makes the first dimension symbolic; gives the second, if there are two and it is fixed.
fn free_first_dimension(dims: Option<&mut Vec<Dimension>>) -> Result<Option<i64>> {
    let Some([batch, rest @ ..]) = dims.map(Vec::as_mut_slice) else {
        bail!(Data, "symbolic-batch: an input or output has no batch dimension");
    };
    match batch.dim_value {
        Some(1) | None => {}
        Some(n) => bail!(Data, "symbolic-batch: the batch dimension is fixed to {n}, expected 1"),
    }
    batch.dim_value = None;
    batch.dim_param.get_or_insert_with(|| "batch".to_owned());
    Ok(match rest {
        [width] => width.dim_value,
        _ => None,
    })
}

/// A Reshape that makes an output of known width to [1, -1] becomes one to [-1, width]; others keep the batch they are given (0), or,
/// where all other sides are constant, take it from what is left (-1).
fn free_reshapes(graph: &mut Graph, outputs: &HashMap<String, Option<i64>>) -> Result<()> {
    let constants = constant_shapes(graph);
    let mut freed: Vec<Freed> = Vec::new();
    for node in graph.node.iter_mut().filter(|n| n.op_type.as_deref() == Some("Reshape")) {
        let (Some(target), Some(output)) = (node.input.get_mut(1), node.output.first()) else { continue };
        // A shape that is computed follows the input.
        let Some((at, shape)) = constants.get(target) else { continue };
        let [1, rest @ ..] = shape.as_slice() else { continue };
        let zero_is_zero =
            node.attribute.iter().any(|a| a.name.as_deref() == Some("allowzero") && a.i == Some(1));
        if zero_is_zero || rest.is_empty() {
            bail!(Data, "symbolic-batch: the Reshape that makes {output:?} fixes the batch inside the model");
        }
        let shape = match (outputs.get(output), rest) {
            (Some(Some(width)), [_]) => vec![-1, *width],
            _ if rest.contains(&-1) => [&[0], rest].concat(),
            _ => [&[-1], rest].concat(),
        };
        *target = Freed::name(&mut freed, target, *at, shape);
    }
    // From behind, so that places stay true; each before the one that it takes the place of.
    freed.sort_by_key(|one| std::cmp::Reverse(one.at));
    for Freed { at, name, shape, .. } in freed {
        graph.initializer.insert(at, Tensor::integers(name, &shape));
    }
    drop_unused_constants(graph);
    Ok(())
}

/// `prelu(x) = relu(x) + conv(-a)(relu(conv(-1)(x)))`, with depthwise 1x1 convolutions.
///
/// Exact to the bit: for x >= 0 the second term is a zero; for x < 0 the first is, and (-a) * (-x) rounds as a * x
/// does. Neither adds a rounding.
fn prelu_to_depthwise(graph: &mut Graph) -> Result<()> {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        if node.op_type.as_deref() == Some("PRelu") {
            nodes.extend(without_prelu(&node, &mut graph.initializer)?);
        } else {
            nodes.push(node);
        }
    }
    graph.node = nodes;
    drop_unused_constants(graph);
    Ok(())
}

fn without_prelu(prelu: &Node, constants: &mut Vec<Tensor>) -> Result<[Node; 5]> {
    let ([x, slope], [y]) = (prelu.input.as_slice(), prelu.output.as_slice()) else {
        bail!(Data, "prelu-to-depthwise: a PRelu has {} inputs, expected two", prelu.input.len());
    };
    let constant = constants.iter().find(|t| t.name.as_ref() == Some(slope));
    let slopes = match constant.map(|t| (t.dims.as_slice(), t.as_floats())) {
        Some(([_, 1, 1] | [1, _, 1, 1], Some(slopes))) if !slopes.is_empty() => slopes,
        _ => bail!(Data, "prelu-to-depthwise: the slope of {y:?} is not a constant with one f32 a channel"),
    };
    let channels = slopes.len() as i64;
    let part = |name: &str| format!("{y}/{name}");
    let weights = |name: &str, values: Vec<f32>| Tensor::floats(part(name), vec![channels, 1, 1, 1], values);
    constants.push(weights("minus_one", vec![-1.0; slopes.len()]));
    constants.push(weights("minus_slope", slopes.iter().map(|a| -a).collect()));
    let depthwise = || {
        vec![
            Attribute::ints("dilations", &[1, 1]),
            Attribute::int("group", channels),
            Attribute::ints("kernel_shape", &[1, 1]),
            Attribute::ints("pads", &[0, 0, 0, 0]),
            Attribute::ints("strides", &[1, 1]),
        ]
    };
    Ok([
        Node::new("Relu", &[x], part("positive"), Vec::new()),
        Node::new("Conv", &[x, &part("minus_one")], part("negated"), depthwise()),
        Node::new("Relu", &[&part("negated")], part("negative"), Vec::new()),
        Node::new("Conv", &[&part("negative"), &part("minus_slope")], part("sloped"), depthwise()),
        Node::new("Add", &[&part("positive"), &part("sloped")], y.clone(), Vec::new()),
    ])
}

/// A shape that takes the place of a constant one, in some of the nodes that read it.
struct Freed {
    of: String,
    at: usize,
    name: String,
    shape: Vec<i64>,
}

impl Freed {
    /// The name of the constant with this shape in the place of `of`: one there is, or a new one.
    fn name(all: &mut Vec<Self>, of: &str, at: usize, shape: Vec<i64>) -> String {
        if let Some(same) = all.iter().find(|one| one.of == of && one.shape == shape) {
            return same.name.clone();
        }
        let name = match all.iter().filter(|one| one.of == of).count() {
            0 => format!("{of}_batch"),
            n => format!("{of}_batch_{n}"),
        };
        all.push(Self { of: of.to_owned(), at, name: name.clone(), shape });
        name
    }
}

/// Constant lists of integers by their name, with the place of a new initializer beside them: initializers, and what a node `Constant`
/// makes.
fn constant_shapes(graph: &Graph) -> HashMap<String, (usize, Vec<i64>)> {
    let end = graph.initializer.len();
    let initial = graph
        .initializer
        .iter()
        .enumerate()
        .filter_map(|(at, tensor)| Some((tensor.name.clone()?, (at, tensor.as_integers()?))));
    let nodes =
        graph.node.iter().filter(|node| node.op_type.as_deref() == Some("Constant")).filter_map(|node| {
            let value = node.attribute.iter().find(|a| a.name.as_deref() == Some("value"))?.t.as_deref()?;
            let tensor = Tensor::decode(value).ok()?;
            Some((node.output.first()?.clone(), (end, tensor.as_integers()?)))
        });
    initial.chain(nodes).collect()
}

/// Frees width and height of the inputs, and what follows from them in the outputs. Constants inside the graph stay: whether any of
/// them fixes the size too shows when another size is run.
fn symbolic_size(graph: &mut Graph) -> Result<()> {
    graph.value_info.clear();
    let constants: Vec<Option<String>> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for input in graph.input.iter_mut().filter(|input| !constants.contains(&input.name)) {
        let Some([_, _, height, width]) = input.dims_mut().map(Vec::as_mut_slice) else {
            bail!(Data, "symbolic-size: an input is no picture [batch, 3, height, width]");
        };
        for (side, name) in [(height, "height"), (width, "width")] {
            side.dim_value = None;
            side.dim_param = Some(name.to_owned());
        }
    }
    for output in &mut graph.output {
        let Some([rows @ .., _]) = output.dims_mut().map(Vec::as_mut_slice) else { continue };
        for dimension in rows.iter_mut().skip(1) {
            (dimension.dim_value, dimension.dim_param) = (None, None);
        }
    }
    Ok(())
}

/// Drops constants nothing reads any more. Those that are also inputs stay: they may be read from outside.
fn drop_unused_constants(graph: &mut Graph) {
    let Graph { node, initializer, input, output, .. } = graph;
    // A subgraph could read any of them.
    if node.iter().flat_map(|n| &n.attribute).any(|a| a.g.is_some() || !a.graphs.is_empty()) {
        return;
    }
    let read: std::collections::HashSet<&String> = node.iter().flat_map(|n| &n.input).collect();
    let outside = |name: &String| input.iter().chain(output.iter()).any(|v| v.name.as_ref() == Some(name));
    initializer.retain(|t| t.name.as_ref().is_some_and(|name| read.contains(name) || outside(name)));
}
