//! Files that PyTorch wrote (`tests/torch`), and files that nobody should have written.

mod hostile;

use serde_json::Value;

use super::*;
use crate::base::error::Kind;

pub(super) const ZIP: &[u8] = include_bytes!("../../../tests/torch/zip.pth");
pub(super) const LEGACY: &[u8] = include_bytes!("../../../tests/torch/legacy.pth");
pub(super) const CHECKPOINT: &[u8] = include_bytes!("../../../tests/torch/checkpoint.pth");
const MODULE: &[u8] = include_bytes!("../../../tests/torch/module.pth");
const TENSORS: &str = include_str!("../../../tests/torch/tensors.json");

#[track_caller]
pub(super) fn refused(bytes: &[u8]) -> String {
    let error = StateDictionary::parse(bytes).err().expect("refused");
    assert_eq!(error.kind(), Kind::Data);
    error.chain()
}

#[test]
fn every_tensor_is_what_pytorch_says_it_is() {
    let expected: Value = serde_json::from_str(TENSORS).expect("JSON");
    for (file, bytes) in [("zip.pth", ZIP), ("legacy.pth", LEGACY), ("checkpoint.pth", CHECKPOINT)] {
        let read = StateDictionary::parse(bytes).expect("reads");
        let held = expected[file].as_object().expect("tensors");
        assert_eq!(read.names().count(), held.len(), "{file}");
        for (name, expected) in held {
            let tensor = read.get(name).expect("there");
            assert_eq!(expected["shape"], serde_json::json!(tensor.shape()), "{file} {name}");
            let values = expected["values"].as_array().expect("numbers").iter();
            let values: Vec<f32> = values.map(|value| value.as_f64().expect("a number") as f32).collect();
            assert_eq!(tensor.values(), values, "{file} {name}");
        }
    }
}

#[test]
fn a_whole_module_is_refused_by_the_name_it_asks_for() {
    let error = refused(MODULE);
    assert!(error.contains("it asks to run \"torch.nn.modules.linear.Linear\": refused"), "{error}");
}

#[test]
fn a_file_is_read_and_named_in_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.pth");
    std::fs::write(&path, LEGACY).expect("written");
    assert!(StateDictionary::read(&path).expect("reads").get("plain.weight").is_some());
    std::fs::write(&path, b"weights").expect("written");
    let error = StateDictionary::read(&path).err().expect("none").chain();
    assert!(error.contains("weights.pth") && error.contains("expected a file of torch.save"), "{error}");
    assert_eq!(StateDictionary::read(folder.path()).err().expect("a folder").kind(), Kind::Data);
    let missing = StateDictionary::read(&folder.path().join("none")).err().expect("missing");
    assert_eq!(missing.kind(), Kind::NoInput);
}

#[test]
fn safetensors_are_read_too() {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let of = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).expect("a view");
    let half = [0x00, 0x3c];
    let file = |tensors: Vec<(&str, TensorView<'_>)>| safetensors::serialize(tensors, None).expect("written");
    let whole =
        file(vec![("module.a", of(Dtype::F32, &[1, 2], &bytes)), ("module.b", of(Dtype::F16, &[], &half))]);
    let read = StateDictionary::parse(&whole).expect("reads");
    assert_eq!(read.names().collect::<Vec<_>>(), ["a", "b"], "without DataParallel's prefix");
    let a = read.get("a").expect("there");
    assert_eq!((a.shape(), a.values()), (&[1, 2][..], &[1.5, -2.0][..]));
    assert_eq!(read.get("b").expect("there").values(), [1.0]);
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    let complex = file(vec![("c", of(Dtype::C64, &[1], &bytes))]);
    assert!(refused(&complex).contains("\"c\" has elements of type C64"));
}

#[test]
fn a_tensor_has_as_many_elements_as_its_shape() {
    assert!(Tensor::new(vec![2, 3], vec![0.0; 6]).is_ok());
    assert!(Tensor::new(vec![2, 3], vec![0.0; 5]).is_err());
    assert!(Tensor::new(vec![usize::MAX, 3], Vec::new()).is_err());
    assert!(Tensor::new(Vec::new(), vec![1.0]).is_ok(), "a scalar");
}
