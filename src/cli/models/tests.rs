//! `models import`, from a file of weights to the files that are made.

use clap::Parser;
use safetensors::tensor::{Dtype, TensorView};

use super::Command;
use super::import::{ImportArgs, import_to};
use crate::base::error::Kind;
use crate::cli::{Cli, Command as Verb};
use crate::infer::import::Architecture;
use crate::infer::import::testing::drawn;
use crate::infer::manifest::Manifest;
use crate::infer::torch::StateDictionary;

fn arguments(line: &[&str]) -> ImportArgs {
    let words = ["watchlistd", "models", "import", "--family", "retinaface-mobilenet"].iter().chain(line);
    match Cli::try_parse_from(words).expect("a command line").command {
        Verb::Models(super::ModelsArgs { command: Command::Import(args) }) => args,
        other => panic!("{other:?}"),
    }
}

fn safetensors(weights: &StateDictionary) -> Vec<u8> {
    let bytes = weights.names().filter_map(|name| {
        let tensor = weights.get(name)?;
        let bytes: Vec<u8> = tensor.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        Some((name, tensor.shape().to_vec(), bytes))
    });
    let bytes: Vec<_> = bytes.collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize(views, None).expect("written")
}

#[test]
fn weights_become_a_model_and_a_manifest_that_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("face.safetensors");
    std::fs::write(&weights, safetensors(&drawn(Architecture::RetinaFaceMobileNet))).expect("written");
    let line = [weights.to_str().expect("text")];
    let said = import_to(&arguments(&line)).expect("imported");
    let (onnx, manifest) = (folder.path().join("face.onnx"), folder.path().join("face.toml"));
    let next = format!("watchlistd models add {} --manifest {}", onnx.display(), manifest.display());
    assert!(said.contains("retinaface-mobilenet") && said.contains(&next), "{said}");
    let read = Manifest::read(&manifest).expect("a manifest");
    assert_eq!(
        (read.name.as_str(), read.source.package.as_str()),
        ("face", "imported from face.safetensors")
    );
    read.load(folder.path(), &crate::config::Device::Cpu).expect("the file that it names");

    let made = std::fs::read(&onnx).expect("made");
    std::fs::remove_file(&manifest).expect("removed");
    let there = import_to(&arguments(&line)).expect_err("there is a model");
    assert_eq!(there.kind(), Kind::CannotCreate);
    assert!(there.to_string().contains("face.onnx is there already; --force"), "{there}");
    assert!(!manifest.exists());
    import_to(&arguments(&[line[0], "--force"])).expect("written over");
    assert_eq!(std::fs::read(&onnx).expect("made"), made);
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("face.pth");
    std::fs::write(&weights, include_bytes!("../../../tests/torch/zip.pth")).expect("written");
    let path = weights.to_str().expect("text");
    let other = import_to(&arguments(&[path])).expect_err("another network's");
    assert_eq!(other.kind(), Kind::Data);
    assert!(other.chain().contains("face.pth cannot be imported") && other.chain().contains("missing"));
    let wrong = import_to(&arguments(&[path, "--output", "face.model"])).expect_err("not .onnx");
    assert_eq!(wrong.kind(), Kind::Usage);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    let itself = folder.path().join("face.onnx");
    std::fs::rename(&weights, &itself).expect("renamed");
    let itself = import_to(&arguments(&[itself.to_str().expect("text"), "--force"])).expect_err("itself");
    assert!(itself.to_string().contains("is the file of weights"), "{itself}");
}
