//! The runtime, the devices, and the real models end to end.

mod faces;
mod preparing;

use prost::Message;

use super::models::Models;
use super::ort::{Runtime, Session, SessionOptions};
use super::placement::CPU;
use super::testing::{asset, convolution, inference, manifest, runtime};
use crate::base::error::Kind;
use crate::config::{self, Device};

fn open(model: &[u8], options: &SessionOptions) -> Option<crate::base::error::Result<Session>> {
    Some(Session::open(runtime()?, "test.onnx", model, options))
}

fn cpu() -> SessionOptions {
    SessionOptions::new(Device::Cpu)
}

#[test]
fn a_missing_runtime_is_unavailable_and_nothing_hangs() {
    let Some(runtime) = runtime() else { return };
    assert!(runtime.providers().contains(&CPU));
    let missing = Runtime::get(Some(std::path::Path::new("/nowhere/libonnxruntime.so")));
    assert_eq!(missing.expect_err("missing").kind(), Kind::Unavailable);
    let dir = tempfile::tempdir().expect("a folder");
    let other = dir.path().join("libonnxruntime.so");
    std::fs::write(&other, b"x").expect("written");
    assert_eq!(Runtime::get(Some(&other)).expect_err("another").kind(), Kind::Config);
}

#[test]
fn what_is_no_model_is_one_clear_data_error() {
    let whole = convolution(vec![1.0; 9]).encode_to_vec();
    for bad in [&b""[..], b"hello, this is a JPEG really", &whole[..whole.len() - 20], &[0u8; 4096]] {
        let Some(result) = open(bad, &cpu()) else { return };
        let error = result.expect_err("no model");
        assert_eq!(error.kind(), Kind::Data, "{}", error.chain());
        assert!(error.to_string().contains("test.onnx"), "{error}");
    }
}

#[test]
fn a_model_whose_weights_lie_outside_the_file_is_refused() {
    let mut model = convolution(vec![1.0; 9]);
    let weights = &mut model.graph.as_mut().expect("a graph").initializer[0];
    weights.raw_data = None;
    weights.data_location = Some(1);
    // StringStringEntryProto { key: "location", value: "/etc/passwd" }
    weights.external_data = vec![b"\x0a\x08location\x12\x0b/etc/passwd".to_vec()];
    let Some(result) = open(&model.encode_to_vec(), &cpu()) else { return };
    assert_eq!(result.expect_err("refused").kind(), Kind::Data);
}

#[test]
fn a_device_that_cannot_be_had_is_unavailable_by_name() {
    let Some(runtime) = runtime() else { return };
    let model = convolution(vec![1.0; 9]).encode_to_vec();
    for (device, provider) in [
        (Device::Cuda(0), "CUDAExecutionProvider"),
        (Device::TensorRt(0), "TensorrtExecutionProvider"),
        (Device::OpenVino, "OpenVINOExecutionProvider"),
    ] {
        if runtime.providers().contains(&provider) {
            eprintln!("skipped: this ONNX Runtime has {provider}");
            continue;
        }
        let error =
            Session::open(runtime, "m", &model, &SessionOptions::new(device.clone())).expect_err("not there");
        assert_eq!(error.kind(), Kind::Unavailable);
        for part in [device.to_string().as_str(), provider, "built without"] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn where_nodes_landed_can_be_read_from_this_runtimes_log() {
    let options = SessionOptions { check_placement: true, ..cpu() };
    let Some(session) = open(&convolution(vec![1.0; 9]).encode_to_vec(), &options) else { return };
    let session = session.expect("opens");
    assert!(session.placement().is_some_and(|p| p.on(CPU) >= 1), "{:?}", session.placement());
}

#[test]
fn a_tensor_that_does_not_fit_is_an_error_not_a_panic() {
    let Some(session) = open(&convolution(vec![1.0; 9]).encode_to_vec(), &cpu()) else { return };
    let mut session = session.expect("opens");
    for (numbers, shape) in [(47, [1, 3, 4, 4]), (48, [1, 4, 3, 4]), (0, [0, 3, 4, 4])] {
        let error = session.run(&vec![0.0; numbers], shape).expect_err("does not fit");
        assert_eq!(error.kind(), Kind::Software);
    }
    let outputs = session.run(&[1.0; 48], [1, 3, 4, 4]).expect("fits");
    assert_eq!(outputs.tensor("y").expect("an output").1[0], 3.0);
    assert_eq!(outputs.tensor("z").expect_err("no such output").kind(), Kind::Data);
    assert!(outputs.tensor("").is_err());
}

#[test]
fn denormals_count_as_zero_on_any_thread_while_a_model_runs_and_only_then() {
    // In bits: where denormals count as zero, 4e-40 == 0.0.
    let bits = |session: &mut Session| -> Vec<u32> {
        let outputs = session.run(&[1e-40; 64], [1, 4, 4, 4]).expect("runs");
        outputs.tensor("y").expect("an output").1.iter().map(|y| y.to_bits()).collect()
    };
    let ours = || std::hint::black_box(1e-40f32) * std::hint::black_box(0.5);
    let (send, receive) = std::sync::mpsc::channel::<Session>();
    let before =
        std::thread::spawn(move || receive.recv().ok().map(|mut session| (bits(&mut session), ours())));
    let Some(session) = open(&convolution(vec![1.0; 16]).encode_to_vec(), &cpu()) else { return };
    assert!(ours().to_bits() > 0, "making a session leaves this thread's mode alone");
    send.send(session.expect("opens")).expect("the thread lives");
    let (found, after) = before.join().expect("no panic").expect("a session");
    assert_eq!(found, vec![0; 64], "0.0, not 4e-40");
    assert!(after.to_bits() > 0, "and so does running one");
}

fn models(folder: &std::path::Path) -> config::Models {
    let manifests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    config::Models {
        detector: manifests.join("retinaface-mobilenet025.toml"),
        embedder: manifests.join("mobilefacenet-512.toml"),
        folder: folder.to_path_buf(),
        runtime: asset("lib/libonnxruntime.so"),
    }
}

#[test]
fn the_configured_pair_loads_and_says_what_it_is() {
    let Some(folder) = super::testing::models_folder() else { return };
    let models = Models::load(&models(folder.path()), &inference(Device::Cpu)).expect("loads");
    assert_eq!((models.dimension(), models.device()), (512, &Device::Cpu));
    assert_eq!(models.model_id(), manifest("mobilefacenet-512.toml").model_id().expect("an embedder"));
    assert_eq!(models.alignment().size().width, 112);
    assert!((0.2..0.6).contains(&models.default_threshold()));
    let embedder = models.embedder().expect("opens");
    assert_eq!((embedder.dimension(), embedder.max_batch(), embedder.model()), (512, 1, models.model_id()));
    models.detector().expect("opens");
}

#[test]
fn what_is_wrong_with_both_models_is_said_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = Models::load(&models(dir.path()), &inference(Device::Cpu)).err().expect("nothing there");
    assert_eq!(error.kind(), Kind::NoInput);
    for part in ["retinaface-mobilenet025.onnx", "mobilefacenet-512.onnx", "make setup"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let Some(folder) = super::testing::models_folder() else { return };
    let mut swapped = models(folder.path());
    std::mem::swap(&mut swapped.detector, &mut swapped.embedder);
    let error = Models::load(&swapped, &inference(Device::Cpu)).err().expect("swapped");
    assert!(
        error.to_string().contains("models.detector") && error.to_string().contains("models.embedder"),
        "{error}"
    );
}

#[test]
fn a_gpu_is_given_the_published_graph_with_a_free_batch() {
    let Some(folder) = super::testing::models_folder() else { return };
    let manifest = manifest("mobilefacenet-512.toml");
    let bytes = manifest.load(folder.path(), &Device::Cuda(0)).expect("loads");
    let session = open(&bytes, &cpu()).expect("a runtime").expect("opens");
    assert_eq!(session.input().shape, [None, Some(3), Some(112), Some(112)]);
    let graph = super::onnx::proto::Model::decode_exact(&bytes).expect("a model").graph.expect("a graph");
    assert_eq!(graph.node.iter().filter(|n| n.op_type.as_deref() == Some("PRelu")).count(), 33);
}
