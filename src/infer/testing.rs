//! What the tests of this module and of `detect` need: the fetched assets, and models made on the spot.

use std::path::{Path, PathBuf};

use super::Alignment;
use super::embedder::OnnxEmbedder;
use super::manifest::Manifest;
use super::onnx::proto::{
    Attribute, Dimension, Graph, Model, Node, Shape, Tensor, TensorType, Type, ValueInfo,
};
use super::ort::{Runtime, Session, SessionOptions};
use super::plan::PoolPlan;
use crate::config::{Device, Inference};
use crate::detect::{DetectOptions, Detector, make_detector};
use crate::image::affine::Similarity;
use crate::image::warp::warp_to_rgb;
use crate::types::face::Detection;
use crate::types::frame::RgbImage;
use crate::types::geometry::{Point, Size};

/// The folder that `make setup` fills.
pub fn var() -> PathBuf {
    std::env::var_os("WATCHLISTD_VAR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("var"), PathBuf::from)
}

/// A file or folder of the measuring data (`WATCHLISTD_SHARED`); `None`, with a line that says so, where it is absent.
pub fn shared(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("WATCHLISTD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is missing (set WATCHLISTD_SHARED)", path.display());
        return None;
    }
    Some(path)
}

/// Says that a test is skipped. `make test` sets `WATCHLISTD_REQUIRE_MODELS`: there, that is a failure.
fn missing(path: &Path) {
    let required = std::env::var_os("WATCHLISTD_REQUIRE_MODELS").is_some();
    assert!(!required, "{} is missing, run `make setup`", path.display());
    eprintln!("skipped: {} is missing, run `make setup`", path.display());
}

/// The runtime; `None`, with a line that says so, when it was not fetched.
pub fn runtime() -> Option<&'static Runtime> {
    let library = var().join("lib/libonnxruntime.so");
    if !library.is_file() {
        missing(&library);
        return None;
    }
    Some(Runtime::get(Some(&library)).expect("the runtime loads"))
}

/// A file under `var`; `None`, with a line that says so, when it was not fetched.
pub fn asset(name: &str) -> Option<PathBuf> {
    let path = var().join(name);
    if !path.is_file() {
        missing(&path);
        return None;
    }
    Some(path)
}

/// A picture under `var/images`.
pub fn picture(name: &str) -> Option<RgbImage> {
    Some(read_picture(&asset(&format!("images/{name}"))?))
}

/// A picture file.
pub fn read_picture(path: &Path) -> RgbImage {
    let picture = ::image::open(path).expect("a picture").into_rgb8();
    let size = Size::new(picture.width(), picture.height());
    RgbImage::new(size, picture.into_raw()).expect("within the limits")
}

/// A manifest that ships.
pub fn manifest(name: &str) -> Manifest {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    Manifest::read(&folder.join(name)).expect("a manifest")
}

/// `[inference]` with nothing set.
pub fn inference(device: Device) -> Inference {
    let max_crop_age = std::time::Duration::from_secs(1);
    Inference { device, workers: None, max_batch: None, max_wait: None, max_crop_age }
}

/// A value of fixed f32 shape.
pub fn value(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = dims.iter().map(|&d| Dimension { dim_value: Some(d), ..Default::default() }).collect();
    let tensor_type = Some(TensorType { elem_type: Some(1), shape: Some(Shape { dim }) });
    ValueInfo {
        name: Some(name.to_owned()),
        r#type: Some(Type { tensor_type, ..Default::default() }),
        ..Default::default()
    }
}

/// A model of operator set 11.
pub fn model(input: ValueInfo, output: ValueInfo, node: Vec<Node>, initializer: Vec<Tensor>) -> Model {
    let graph = Graph {
        node,
        initializer,
        input: vec![input],
        output: vec![output],
        name: Some("g".into()),
        ..Default::default()
    };
    // OperatorSetIdProto { domain: "", version: 11 }
    let opset_import = vec![vec![0x0a, 0x00, 0x10, 11]];
    Model { ir_version: Some(7), graph: Some(graph), opset_import, ..Default::default() }
}

/// A 1x1 convolution from `x` to `y` with these weights, a square matrix.
pub fn convolution(weights: Vec<f32>) -> Model {
    let channels = weights.len().isqrt() as i64;
    let conv = Node::new("Conv", &["x", "w"], "y".into(), vec![Attribute::ints("kernel_shape", &[1, 1])]);
    let w = Tensor::floats("w".into(), vec![channels, channels, 1, 1], weights);
    model(value("x", &[1, channels, 4, 4]), value("y", &[1, channels, 4, 4]), vec![conv], vec![w])
}

/// A folder with all models, the prepared ones made from what was fetched.
pub fn models_folder() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["retinaface-mobilenet025.onnx", "mobilefacenet-512.original.onnx"] {
        std::os::unix::fs::symlink(
            asset(&format!("models/{name}"))?.canonicalize().ok()?,
            folder.path().join(name),
        )
        .expect("linked");
    }
    let manifest = manifest("mobilefacenet-512.toml");
    super::prepare(&manifest.path, folder.path()).expect("prepares");
    Some(folder)
}

/// The embedder of a folder, with a plan.
pub fn embedder(folder: &Path, plan: PoolPlan) -> Option<OnnxEmbedder> {
    let manifest = manifest("mobilefacenet-512.toml");
    let model = manifest.load(folder, &Device::Cpu).expect("loads");
    let session =
        Session::open(runtime()?, &manifest.name, &model, &SessionOptions::new(Device::Cpu)).expect("opens");
    Some(OnnxEmbedder::new(&manifest, session, plan).expect("fits its manifest"))
}

/// The shipped detector on the CPU.
pub fn detector() -> Option<Box<dyn Detector>> {
    let manifest = manifest("retinaface-mobilenet025.toml");
    let model = std::fs::read(asset("models/retinaface-mobilenet025.onnx")?).expect("read");
    let options = SessionOptions { varying_shapes: true, ..SessionOptions::new(Device::Cpu) };
    let session = Session::open(runtime()?, &manifest.name, &model, &options).expect("opens");
    Some(make_detector(&manifest, session).expect("the model fits its manifest"))
}

/// The faces of a picture under `var/images`, cut out by the shipped manifest's five points.
pub fn crops(detector: &mut dyn Detector, name: &str) -> Option<Vec<RgbImage>> {
    let picture = picture(name)?;
    let Alignment::FivePoint { size, template } =
        manifest("mobilefacenet-512.toml").embedder().ok()?.alignment.clone()
    else {
        return None;
    };
    let options = DetectOptions { input: Size::new(640, 640), min_score: 0.7, roi: None };
    let faces = detector.detect(&picture, &options).expect("detects");
    let cut = |face: &Detection| {
        let back = similarity(&face.landmarks, &template).inverse().expect("not one point");
        warp_to_rgb(&picture, &back.to_affine().on_pixel_centres(), size).expect("a crop")
    };
    Some(faces.iter().map(cut).collect())
}

/// The similarity transform that takes `from` nearest to `to` (least squares; points as complex numbers).
fn similarity(from: &[Point; 5], to: &[Point; 5]) -> Similarity {
    let mean = |points: &[Point; 5]| {
        let sum = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x / 5.0, y + p.y / 5.0));
        Point { x: sum.0, y: sum.1 }
    };
    let (f, t) = (mean(from), mean(to));
    let (mut a, mut b, mut square) = (0.0, 0.0, 0.0);
    for (p, q) in from.iter().zip(to) {
        let (px, py, qx, qy) = (p.x - f.x, p.y - f.y, q.x - t.x, q.y - t.y);
        a += px * qx + py * qy;
        b += px * qy - py * qx;
        square += px * px + py * py;
    }
    let (a, b) = (a / square, b / square);
    Similarity { a, b, tx: t.x - a * f.x + b * f.y, ty: t.y - b * f.x - a * f.y }
}
