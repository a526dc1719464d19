use prost::Message;
use sha2::{Digest, Sha256};

use super::prepare::{Rewrite, rewrite};
use super::proto::{Attribute, FLOAT, Model, Node, Tensor};
use crate::base::error::Kind;
use crate::config::Device;
use crate::infer::ort::{Session, SessionOptions};
use crate::infer::testing::{asset, convolution, manifest, model, runtime, value};

/// x [1, 3, 2, 2] -> PRelu -> Reshape [1, -1] -> y [1, 12]
fn prelu_model(slope: Tensor) -> Model {
    let nodes = vec![
        Node::new("PRelu", &["x", "slope"], "p".into(), vec![]),
        Node::new("Reshape", &["p", "flat"], "y".into(), vec![]),
    ];
    let constants = vec![slope, Tensor::integers("flat".into(), &[1, -1])];
    model(value("x", &[1, 3, 2, 2]), value("y", &[1, 12]), nodes, constants)
}

fn slopes() -> Tensor {
    Tensor::floats("slope".into(), vec![3, 1, 1], [0.25, -1.5, 1.1])
}

fn run(model: &[u8], tensor: &[f32], batch: usize) -> Option<Vec<f32>> {
    let mut session =
        Session::open(runtime()?, "test", model, &SessionOptions::new(Device::Cpu)).expect("opens");
    let outputs = session.run(tensor, [batch, 3, 2, 2]).expect("runs");
    Some(outputs.tensor("y").expect("an output").1.to_vec())
}

#[test]
fn real_models_come_out_byte_for_byte() {
    for name in ["models/retinaface-mobilenet025.onnx", "models/mobilefacenet-512.original.onnx"] {
        let Some(path) = asset(name) else { return };
        let bytes = std::fs::read(path).expect("read");
        let model = Model::decode_exact(&bytes).expect("exact");
        assert!(model.graph.as_ref().is_some_and(|g| g.node.len() > 90 && g.initializer.len() > 100));
        assert_eq!(rewrite(&bytes, &[]).expect("no rewrite"), bytes);
    }
}

#[test]
fn the_prepared_model_has_the_hash_its_manifest_names() {
    let Some(path) = asset("models/mobilefacenet-512.original.onnx") else { return };
    let manifest = manifest("mobilefacenet-512.toml");
    let import = manifest.import.as_ref().expect("an import");
    let prepared = rewrite(&std::fs::read(path).expect("read"), &import.rewrites).expect("applies");
    let found: [u8; 32] = Sha256::digest(&prepared).into();
    assert_eq!(crate::types::ids::ModelId(found).hex(), crate::types::ids::ModelId(manifest.sha256).hex());
    let graph = Model::decode_exact(&prepared).expect("a model").graph.expect("a graph");
    let operators = |name: &str| graph.node.iter().filter(|n| n.op_type.as_deref() == Some(name)).count();
    assert_eq!(["PRelu", "Relu", "Conv", "Add", "Reshape"].map(operators), [0, 66, 116, 45, 1]);
}

#[test]
fn a_rewritten_prelu_gives_the_same_bits() {
    let bytes = prelu_model(slopes()).encode_to_vec();
    let tensor =
        [-3.0, -0.1, 0.0, 7.5, 1e-30, -1e-30, f32::MIN_POSITIVE, -2.5, -1e30, 1.0 / 3.0, -1.0 / 3.0, 9.0];
    let rewritten = rewrite(&bytes, &[Rewrite::PreluToDepthwise]).expect("applies");
    assert_ne!(rewritten, bytes);
    let (Some(expected), Some(found)) = (run(&bytes, &tensor, 1), run(&rewritten, &tensor, 1)) else {
        return;
    };
    assert_eq!(expected[0], -0.75, "0.25 * -3");
    assert_eq!(expected, found);
}

#[test]
fn a_freed_batch_gives_for_each_sample_what_it_gives_alone() {
    let bytes = prelu_model(slopes()).encode_to_vec();
    let freed = rewrite(&bytes, &[Rewrite::SymbolicBatch]).expect("applies");
    let graph = Model::decode_exact(&freed).expect("a model").graph.expect("a graph");
    assert_eq!(graph.initializer.len(), 2, "the old shape is gone");
    let tensor: Vec<f32> = (0..24).map(|i| i as f32 - 11.5).collect();
    let (Some(both), Some(first)) = (run(&freed, &tensor, 2), run(&bytes, &tensor[..12], 1)) else { return };
    assert_eq!(both.len(), 24);
    assert_eq!(both[..12], first);
}

#[test]
fn what_a_rewrite_does_not_fit_is_refused() {
    let refused = |model: &Model, step: Rewrite| {
        let error = rewrite(&model.encode_to_vec(), &[step]).expect_err("refused");
        assert_eq!(error.kind(), Kind::Data);
        error.to_string()
    };
    let shared = prelu_model(Tensor::floats("slope".into(), vec![1], [0.25]));
    assert!(refused(&shared, Rewrite::PreluToDepthwise).contains("one f32 a channel"));
    let missing = prelu_model(Tensor::floats("other".into(), vec![3, 1, 1], [0.25; 3]));
    assert!(refused(&missing, Rewrite::PreluToDepthwise).contains("slope"));

    let mut four = prelu_model(slopes());
    four.graph.as_mut().expect("a graph").input = vec![value("x", &[4, 3, 2, 2])];
    assert!(refused(&four, Rewrite::SymbolicBatch).contains("fixed to 4"));
    let mut literal = prelu_model(slopes());
    let graph = literal.graph.as_mut().expect("a graph");
    graph.node.last_mut().expect("a Reshape").attribute.push(Attribute::int("allowzero", 1));
    assert!(refused(&literal, Rewrite::SymbolicBatch).contains("inside the model"));
    assert!(refused(&vector(), Rewrite::SymbolicSize).contains("no picture"));
}

/// A model that takes a vector.
fn vector() -> Model {
    model(
        value("x", &[1, 4]),
        value("y", &[1, 4]),
        vec![Node::new("Relu", &["x"], "y".into(), vec![])],
        vec![],
    )
}

/// Between the PReLU and the output, as in converted FaceNets: flat, four-dimensional, and flat again, with one shape from a node.
#[test]
fn a_batch_is_freed_inside_the_model_too() {
    let mut nested = prelu_model(slopes());
    let graph = nested.graph.as_mut().expect("a graph");
    graph.node.pop();
    let shape = Tensor { name: None, ..Tensor::integers(String::new(), &[1, 3, 2, 2]) };
    let value = Attribute {
        name: Some("value".into()),
        t: Some(shape.encode_to_vec()),
        kind: Some(4),
        ..Default::default()
    };
    graph.initializer.retain(|tensor| tensor.data_type == Some(FLOAT));
    graph.initializer.push(Tensor::integers("flat".into(), &[1, -1]));
    graph.node.extend([
        Node::new("Reshape", &["p", "flat"], "one".into(), vec![]),
        Node::new("Constant", &[], "four".into(), vec![value]),
        Node::new("Reshape", &["one", "four"], "two".into(), vec![]),
        Node::new("Reshape", &["two", "flat"], "y".into(), vec![]),
    ]);
    let bytes = nested.encode_to_vec();
    let freed = rewrite(&bytes, &[Rewrite::SymbolicBatch]).expect("applies");
    let tensor: Vec<f32> = (0..24).map(|i| i as f32 - 11.5).collect();
    let (Some(both), Some(first), Some(second)) =
        (run(&freed, &tensor, 2), run(&bytes, &tensor[..12], 1), run(&bytes, &tensor[12..], 1))
    else {
        return;
    };
    assert_eq!(both, [first, second].concat());
}

#[test]
fn a_freed_size_is_any_size() {
    let bytes = convolution(vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]).encode_to_vec();
    let freed = rewrite(&bytes, &[Rewrite::SymbolicSize]).expect("applies");
    let Some(runtime) = runtime() else { return };
    let mut session =
        Session::open(runtime, "freed", &freed, &SessionOptions::new(Device::Cpu)).expect("opens");
    assert_eq!(session.input().shape, [Some(1), Some(3), None, None]);
    let outputs = session.run(&[1.0; 3 * 2 * 5], [1, 3, 2, 5]).expect("runs");
    let (shape, numbers) = outputs.tensor("y").expect("y");
    assert_eq!((shape, numbers.iter().sum::<f32>()), (&[1, 3, 2, 5][..], 60.0));
}

#[test]
fn what_is_no_model_or_would_lose_something_is_refused() {
    let whole = convolution(vec![1.0; 9]).encode_to_vec();
    let mut unknown = whole.clone();
    unknown.extend([0xa2, 0x06, 0x01, b'x']); // field 100, a string
    let cut = &whole[..whole.len() / 2];
    for (bytes, expected) in [
        (&b""[..], "no graph"),
        (b"\xff\xff\xff", "not an ONNX model"),
        (cut, "not an ONNX model"),
        (&unknown, "lose"),
    ] {
        let error = rewrite(bytes, &[]).expect_err("refused");
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
