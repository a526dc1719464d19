//! Import of a model, on the real files.

use std::fs;

use crate::base::error::Kind;
use crate::config::Device;
use crate::infer::prepare::{PrepareReport, check_prepared, crop_tensor, prepare};
use crate::infer::testing::{crops, detector, manifest, models_folder, runtime};

const MANIFEST: &str = "mobilefacenet-512.toml";

#[test]
fn preparing_again_does_nothing_and_a_broken_file_is_made_again() {
    let Some(folder) = models_folder() else { return };
    let path = manifest(MANIFEST).path;
    let target = folder.path().join("mobilefacenet-512.onnx");
    let made = fs::read(&target).expect("made");
    assert_eq!(prepare(&path, folder.path()).expect("there"), PrepareReport::AlreadyThere(target.clone()));

    fs::write(&target, &made[..1000]).expect("broken");
    let error = manifest(MANIFEST).load(folder.path(), &Device::Cpu).expect_err("broken");
    assert!(error.to_string().contains("watchlistd models prepare"), "{error}");
    assert_eq!(prepare(&path, folder.path()).expect("made"), PrepareReport::Made(target.clone()));
    assert_eq!(fs::read(&target).expect("made"), made, "the same bytes each time");
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 3, "no part files: {left:?}");

    let detector = manifest("retinaface-mobilenet025.toml").path;
    assert_eq!(prepare(&detector, folder.path()).expect("as published"), PrepareReport::NothingToDo);
}

#[test]
fn a_missing_original_and_an_unexpected_result_are_named() {
    let empty = tempfile::tempdir().expect("a folder");
    let missing = prepare(&manifest(MANIFEST).path, empty.path()).expect_err("missing");
    assert_eq!(missing.kind(), Kind::NoInput);
    assert!(missing.to_string().contains("mobilefacenet-512.original.onnx"), "{missing}");

    let Some(folder) = models_folder() else { return };
    let text = fs::read_to_string(manifest(MANIFEST).path).expect("read");
    let other = folder.path().join("other.toml");
    fs::write(
        &other,
        text.replace("[\"symbolic-batch\", ", "[").replace("\"mobilefacenet-512.onnx\"", "\"x.onnx\""),
    )
    .expect("written");
    let error = prepare(&other, folder.path()).expect_err("another result");
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.to_string().contains("was prepared to SHA-256"), "{error}");
    assert!(!folder.path().join("x.onnx").exists());
}

#[test]
fn the_prepared_model_gives_the_published_ones_bits_on_real_faces() {
    let (Some(folder), Some(mut detector)) = (models_folder(), detector()) else { return };
    let manifest = manifest(MANIFEST);
    let mut tensors = Vec::new();
    for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png", "t1.jpg"] {
        let Some(faces) = crops(&mut *detector, name) else { return };
        tensors.extend(faces.iter().map(|crop| crop_tensor(&manifest, crop)));
    }
    assert_eq!(tensors.len(), 11);
    let runtime = runtime().expect("a runtime");
    let same = check_prepared(runtime, &manifest, folder.path(), &tensors).expect("equal");
    assert_eq!((same.crops, same.from_original, same.batch_from_single), (11, 0.0, 0.0));
    assert_eq!(
        check_prepared(runtime, &manifest, folder.path(), &[]).expect_err("nothing").kind(),
        Kind::Data
    );
}
