//! The graphs against PyTorch: `tests/torch` has its networks, and their answers.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::testing::{blocks, drawn};
use super::{Architecture, draft, to_onnx};
use crate::base::error::Kind;
use crate::config::Device;
use crate::detect::make_detector;
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::manifest::Manifest;
use crate::infer::onnx::proto::Model;
use crate::infer::ort::{Session, SessionOptions};
use crate::infer::plan::PoolPlan;
use crate::infer::testing::{inference, runtime};
use crate::infer::torch::{StateDictionary, Tensor};

const ANSWERS: &str = include_str!("../../../tests/torch/answers.json");
/// What rounding may change; answers are at most 2.5.
const TOLERANCE: f32 = 1e-5;

fn answer(architecture: Architecture) -> Value {
    let mut answers: Value = serde_json::from_str(ANSWERS).expect("JSON");
    answers[architecture.as_str()].take()
}

fn session(onnx: &[u8]) -> Option<Session> {
    Some(Session::open(runtime()?, "imported", onnx, &SessionOptions::new(Device::Cpu)).expect("opens"))
}

/// Pictures as the fixture has them, with their shape.
fn pictures(architecture: Architecture) -> (Vec<f32>, [usize; 4]) {
    match architecture {
        Architecture::RetinaFaceMobileNet => (blocks("picture 0", [40, 56, 8], -10.0, 10.0), [1, 3, 40, 56]),
        _ => {
            let picture = |i: usize| blocks(&format!("picture {i}"), [160, 160, 16], 0.0, 1.0);
            ([picture(0), picture(1)].concat(), [2, 3, 160, 160])
        }
    }
}

/// The dictionary with one tensor changed, added or, without one, taken away.
fn with(weights: &StateDictionary, name: &str, tensor: Option<Tensor>) -> StateDictionary {
    let rest = weights.names().filter(|other| *other != name);
    let rest = rest.filter_map(|other| Some((other.to_owned(), weights.get(other)?.clone())));
    rest.chain(tensor.map(|tensor| (name.to_owned(), tensor))).collect()
}

fn ones(shape: &[usize]) -> Option<Tensor> {
    Some(Tensor::new(shape.to_vec(), vec![1.0; shape.iter().product()]).expect("a tensor"))
}

#[test]
fn the_parameters_are_those_of_pytorchs_networks() {
    for architecture in Architecture::ALL {
        let (answer, parameters) = (answer(architecture), architecture.parameters());
        assert_eq!(answer["parameters"], parameters.len(), "{architecture:?}");
        let names: String = parameters.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
        let hash: [u8; 32] = Sha256::digest(names).into();
        assert_eq!(answer["names_sha256"], crate::types::ids::ModelId(hash).hex(), "{architecture:?}");
    }
}

#[test]
fn an_imported_network_answers_as_pytorchs_does() {
    for architecture in Architecture::ALL {
        let onnx = to_onnx(architecture, &drawn(architecture)).expect("fits");
        let Some(mut session) = session(&onnx) else { return };
        let (tensor, shape) = pictures(architecture);
        let outputs = session.run(&tensor, shape).expect("runs");
        let answer = answer(architecture);
        for (name, expected) in answer["outputs"].as_object().expect("outputs") {
            let (shape, found) = outputs.tensor(name).expect("an output");
            assert_eq!(expected["shape"], serde_json::json!(shape), "{architecture:?} {name}");
            let expected = expected["values"].as_array().expect("numbers");
            assert_eq!(expected.len(), found.len());
            let expected = expected.iter().map(|number| number.as_f64().expect("a number") as f32);
            let off = expected.zip(found).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            eprintln!("{} {name}: off by at most {off:e}", architecture.as_str());
            assert!(off <= TOLERANCE, "{architecture:?} {name}: {off:e}");
        }
    }
}

#[test]
fn each_picture_of_a_batch_gets_what_it_gets_alone() {
    let detector = Architecture::RetinaFaceMobileNet;
    let onnx = to_onnx(detector, &drawn(detector)).expect("fits");
    let Some(mut session) = session(&onnx) else { return };
    let (first, [_, channels, height, width]) = pictures(detector);
    let second: Vec<f32> = first.iter().rev().copied().collect();
    let mut run = |tensor: &[f32], batch| {
        let outputs = session.run(tensor, [batch, channels, height, width]).expect("runs");
        ["loc", "conf", "landmarks"].map(|output| outputs.tensor(output).expect("an output").1.to_vec())
    };
    let (both, one, other) =
        (run(&[first.clone(), second.clone()].concat(), 2), run(&first, 1), run(&second, 1));
    for ((both, one), other) in both.iter().zip(&one).zip(&other) {
        let alone = one.iter().chain(other);
        assert_eq!(both.len(), one.len() + other.len());
        assert!(both.iter().zip(alone).all(|(x, y)| (x - y).abs() < 1e-5));
        assert_ne!(one, other);
    }
}

#[test]
fn the_same_weights_give_the_same_bytes_and_a_whole_model() {
    let architecture = Architecture::RetinaFaceMobileNet;
    let weights = drawn(architecture);
    let onnx = to_onnx(architecture, &weights).expect("fits");
    assert_eq!(onnx, to_onnx(architecture, &weights).expect("fits"));
    let graph = Model::decode_exact(&onnx).expect("a model").graph.expect("a graph");
    assert!(graph.node.iter().all(|node| node.op_type.as_deref() != Some("BatchNormalization")));
    assert!(graph.initializer.iter().all(|tensor| tensor.float_data.is_empty()));
}

#[test]
fn weights_that_do_not_fit_are_refused_with_what_is_wrong() {
    let architecture = Architecture::RetinaFaceMobileNet;
    let weights = drawn(architecture);
    let refused = |weights: &StateDictionary| {
        let error = to_onnx(architecture, weights).expect_err("refused");
        assert_eq!(error.kind(), Kind::Data);
        error.to_string()
    };
    let name = "fpn.merge1.0.weight";
    assert!(refused(&with(&weights, name, None)).contains("missing: fpn.merge1.0.weight [64, 64, 3, 3]"));
    let other = refused(&with(&weights, name, ones(&[64, 64, 1, 1])));
    assert!(other.contains("fpn.merge1.0.weight is [64, 64, 1, 1], expected [64, 64, 3, 3]"), "{other}");
    let more = refused(&with(&weights, "body.fc.weight", ones(&[1000, 256])));
    assert!(more.ends_with("unexpected: body.fc.weight"), "{more}");
    let nothing = refused(&StateDictionary::default());
    assert!(nothing.contains("BboxHead.0.conv1x1.weight [8, 64, 1, 1]") || nothing.contains("and 250 more"));
    for (name, value) in [("ssh1.conv3X3.1.running_var", -0.5), ("ssh1.conv3X3.1.bias", f32::NAN)] {
        let tensor = Tensor::new(vec![32], vec![value; 32]).expect("a tensor");
        let broken = refused(&with(&weights, name, Some(tensor)));
        assert!(broken.contains("not finite: ") && broken.contains(name), "{broken}");
    }
    let all = |value| Tensor::new(vec![32], vec![value; 32]).ok();
    let most = with(&weights, "ssh1.conv3X3.1.weight", all(f32::MAX));
    let folded = refused(&with(&most, "ssh1.conv3X3.1.running_var", all(0.0)));
    assert!(folded.contains("not finite: ssh1.conv3X3.0.weight"), "{folded}");
    let counted = with(&weights, "body.stage1.0.1.num_batches_tracked", ones(&[]));
    to_onnx(architecture, &counted).expect("only training needs it");
}

#[test]
fn a_classifier_is_left_out_of_an_embedder() {
    let architecture = Architecture::FaceNetMobileNet;
    let weights = drawn(architecture);
    let trained = with(&weights, "classifier.weight", ones(&[10, 128]));
    let bytes = |weights| to_onnx(architecture, weights).expect("fits");
    assert!(bytes(&trained) == bytes(&weights));
}

#[test]
fn the_draft_is_a_manifest_that_the_model_fits() {
    for architecture in Architecture::ALL {
        let onnx = to_onnx(architecture, &drawn(architecture)).expect("fits");
        let sha256: [u8; 32] = Sha256::digest(&onnx).into();
        let text = draft(architecture, "a \"name\"", ("a.onnx", &sha256), ("{role}\n.pth", &[7; 32]));
        let manifest = Manifest::parse(Path::new("a.toml"), &text).expect("a manifest");
        assert_eq!((manifest.name.as_str(), manifest.sha256), ("a \"name\"", sha256));
        assert_eq!(manifest.source.package, "imported from {role}\n.pth");
        let Some(session) = session(&onnx) else { return };
        if architecture == Architecture::RetinaFaceMobileNet {
            make_detector(&manifest, session).expect("its answers have the family's shape");
        } else {
            let plan = PoolPlan::for_device(&Device::Cpu, 1, &inference(Device::Cpu));
            let mut embedder = OnnxEmbedder::new(&manifest, session, plan).expect("fits");
            embedder.warm_up().expect("runs");
            assert!(manifest.embedder().expect("one").threshold_basis.starts_with("Not calibrated"));
        }
    }
}
