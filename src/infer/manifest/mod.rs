//! Model manifests: what a model is, where it came from, what goes in and what comes out.
//!
//! ```text
//!  config/models/NAME.toml ──read──▶ Manifest ──weights_for(device)──▶ file + SHA-256 ──read_verified──▶ bytes
//!                                       │
//!                                       └──▶ ModelId: everything that changes the embedding
//! ```
//!
//! A manifest is parsed once: unknown keys are refused, and all its mistakes are reported together.

mod calibration;
mod fields;
mod id;
mod rates;
mod weights;

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub use calibration::Calibration;
use fields::{Fields, Mistakes};
pub use rates::{Fmr, Rates};

use super::onnx::prepare::Rewrite;
use super::{Alignment, BoxFit};
use crate::base::error::{Error, Result};
use crate::config::Device;
use crate::image::tensor::{ChannelOrder, CropScaling, Normalize};
use crate::types::frame::MAX_SIDE;
use crate::types::geometry::{Point, Size};
use crate::{bail, err};

/// Largest manifest; ours have two or three KiB.
const MAX_BYTES: u64 = 64 << 10;
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// Largest batch that a file may be fixed to.
const MAX_BATCH: u32 = 256;

/// SHA-256 of a file.
pub type Sha256 = [u8; 32];

/// How the numbers of a model's answer are laid out: which decoder reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `retinaface`: boxes, scores and landmarks relative to anchors at strides 8, 16 and 32.
    RetinaFace,
    /// `yunet`: class, objectness, box and landmarks of each cell, at strides 8, 16 and 32.
    YuNet,
    /// `scrfd`: score, distances to the box's sides and landmarks, twice for each cell, at strides 8, 16 and 32.
    Scrfd,
    /// `mobilefacenet`: one vector a crop.
    MobileFaceNet,
    /// `arcface`: one vector a crop.
    ArcFace,
    /// `sface`: one vector a crop.
    SFace,
    /// `facenet`: one vector a crop.
    FaceNet,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 7] = [
        Family::RetinaFace,
        Family::YuNet,
        Family::Scrfd,
        Family::MobileFaceNet,
        Family::ArcFace,
        Family::SFace,
        Family::FaceNet,
    ];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::RetinaFace => "retinaface",
            Family::YuNet => "yunet",
            Family::Scrfd => "scrfd",
            Family::MobileFaceNet => "mobilefacenet",
            Family::ArcFace => "arcface",
            Family::SFace => "sface",
            Family::FaceNet => "facenet",
        }
    }

    /// True for families of detectors.
    pub const fn detects(self) -> bool {
        matches!(self, Family::RetinaFace | Family::YuNet | Family::Scrfd)
    }
}

/// `[input]`
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Name in the graph.
    pub name: String,
    /// Fixed size; `None` if the model takes any.
    pub size: Option<Size>,
    /// Crops that a file with a fixed batch dimension takes at once; `None` if it takes any number.
    pub batch: Option<usize>,
    /// From 8-bit samples to the tensor's numbers.
    pub scaling: CropScaling,
}

/// `[source]`: where the weights come from and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Package, with its registry.
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// File or value inside the package.
    pub item: String,
    /// Licence as declared by the package.
    pub licence: String,
    /// What is known, and what is not, of the data it was trained on.
    pub training_data: String,
}

/// `[import]`: how the file was made from the one that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The published file.
    pub original: PathBuf,
    /// Its hash.
    pub sha256: Sha256,
    /// The program that turned it into ONNX, where it was published in another format. Then the published file need not be kept, and
    /// what was made of it is as the other program made it.
    pub converter: Option<String>,
    /// Rewrites, in order.
    pub rewrites: Vec<Rewrite>,
    /// Devices that run the published graph, with only its batch dimension freed.
    pub original_on: Vec<DeviceKind>,
}

/// A kind of device, as `[import] original_on` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// `cpu`
    Cpu,
    /// `cuda`
    Cuda,
    /// `tensorrt`
    TensorRt,
    /// `openvino`
    OpenVino,
}

impl DeviceKind {
    /// The kind of a device.
    pub const fn of(device: &Device) -> Self {
        match device {
            Device::Cpu => DeviceKind::Cpu,
            Device::Cuda(_) => DeviceKind::Cuda,
            Device::TensorRt(_) => DeviceKind::TensorRt,
            Device::OpenVino => DeviceKind::OpenVino,
        }
    }

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Cuda => "cuda",
            DeviceKind::TensorRt => "tensorrt",
            DeviceKind::OpenVino => "openvino",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "cpu" => DeviceKind::Cpu,
            "cuda" => DeviceKind::Cuda,
            "tensorrt" => DeviceKind::TensorRt,
            "openvino" => DeviceKind::OpenVino,
            _ => return None,
        })
    }
}

/// Names of a detector's outputs, by family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectorOutputs {
    /// `retinaface`
    RetinaFace(RetinaFaceOutputs),
    /// `yunet`
    YuNet(YuNetOutputs),
    /// `scrfd`
    Scrfd(ScrfdOutputs),
}

/// RetinaFace's outputs, each with all strides in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetinaFaceOutputs {
    /// Four numbers an anchor: offset of the centre, logarithm of the size.
    pub boxes: String,
    /// Two numbers an anchor: background, face (softmax applied).
    pub scores: String,
    /// Ten numbers an anchor: five offsets.
    pub landmarks: String,
}

/// YuNet's outputs, each for the strides 8, 16 and 32. The score is the geometric mean of both probabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YuNetOutputs {
    /// One number a cell: that it is a face, if it is anything.
    pub classes: [String; 3],
    /// One number a cell: that it is anything.
    pub objects: [String; 3],
    /// Four numbers a cell: the centre's distance from the cell's corner, logarithm of the size; in strides.
    pub boxes: [String; 3],
    /// Ten numbers a cell: five distances from its corner, in strides.
    pub landmarks: [String; 3],
}

/// SCRFD's outputs, each for the strides 8, 16 and 32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrfdOutputs {
    /// One number an anchor (sigmoid applied).
    pub scores: [String; 3],
    /// Four numbers an anchor: distances from the cell's corner to left, top, right, bottom, in strides.
    pub boxes: [String; 3],
    /// Ten numbers an anchor: five distances from the cell's corner, in strides.
    pub landmarks: [String; 3],
}

/// What only a detector's manifest says.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorSpec {
    /// Names of the outputs.
    pub outputs: DetectorOutputs,
    /// Of two boxes with a larger IoU, the one with the lower score is dropped.
    pub nms_iou: f32,
}

/// What only an embedder's manifest says.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedderSpec {
    /// Name of the output.
    pub output: String,
    /// Length of the vector.
    pub dimension: usize,
    /// True if the model makes unit vectors itself; they are normalised here in any case.
    pub normalizes: bool,
    /// How a face is cut out.
    pub alignment: Alignment,
    /// Least similarity at which two faces are taken for one person, if nothing else is configured.
    pub threshold: f32,
    /// What that was derived from.
    pub threshold_basis: String,
    /// Measured false match rates; empty, if nobody has measured any.
    pub rates: Rates,
}

/// What a model is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// `detector`
    Detector(DetectorSpec),
    /// `embedder`
    Embedder(EmbedderSpec),
}

impl Role {
    /// True for `detector`.
    pub const fn is_detector(&self) -> bool {
        matches!(self, Role::Detector(_))
    }
}

/// A model's manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The manifest's own file, for messages.
    pub path: PathBuf,
    /// Name of the model.
    pub name: String,
    /// Decoder.
    pub family: Family,
    /// What it is for.
    pub role: Role,
    /// The file that is loaded, inside the models folder.
    pub file: PathBuf,
    /// Its hash.
    pub sha256: Sha256,
    /// Origin and licence.
    pub source: Source,
    /// Input.
    pub input: Input,
    /// How the file was made; `None` if it is as published.
    pub import: Option<Import>,
}

impl Manifest {
    /// Reads a manifest. Whoever may name one need not be allowed to read it: nothing but a regular file of a manifest's size
    /// is read, and no message holds a line of what was read.
    ///
    /// # Errors
    /// `NoInput`, when there is no such file; `Config`, when it is no manifest, with every mistake in it.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &text_of(path)?)
    }

    /// Parses a manifest's text; `path` is for messages.
    ///
    /// # Errors
    /// `Config`, with every mistake in it.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            // Not the parser's own message, which quotes the line: it may be of any file.
            let at = e.span().map_or_else(String::new, |span| place(text, span.start));
            err!(Config, "manifest {} is not TOML{at}", path.display())
        })?;
        let mistakes = Mistakes::default();
        let manifest = Self::from_table(path, &table, &mistakes);
        let mistakes = mistakes.into_inner();
        match manifest {
            Some(manifest) if mistakes.is_empty() => Ok(manifest),
            _ => Err(err!(Config, "manifest {}: {}", path.display(), mistakes.join("; "))),
        }
    }

    /// `None` only with at least one mistake noted.
    fn from_table(path: &Path, table: &toml::Table, mistakes: &Mistakes) -> Option<Self> {
        let root = Fields::root(table, mistakes);
        let name = root.text("name");
        let detects = root.choice("role", "detector or embedder", |role| match role {
            "detector" => Some(true),
            "embedder" => Some(false),
            _ => None,
        });
        let names = Family::ALL.map(Family::as_str).join(", ");
        let family = root.choice("family", &format!("one of {names}"), |name| {
            Family::ALL.into_iter().find(|family| family.as_str() == name)
        });
        if let (Some(detects), Some(family)) = (detects, family)
            && detects != family.detects()
        {
            root.mistake("family", &format!("{} does not go with this role", family.as_str()));
        }
        let file = file_name(&root, "file");
        let sha256 = hash(&root, "sha256");
        let source = source(root.section("source"));
        let input = input(root.section("input"), detects);
        let import = root.has("import").then(|| import(root.section("import")));
        let role = match detects {
            Some(true) => Some(Role::Detector(detector(&root, family))),
            Some(false) => Some(Role::Embedder(embedder(&root, input.as_ref()))),
            None => None,
        };
        // Which keys are known depends on the role.
        if role.is_some() {
            root.finish();
        }
        let path = path.to_path_buf();
        Some(Self { path, name, family: family?, role: role?, file, sha256, source, input: input?, import })
    }

    /// The embedder's part.
    ///
    /// # Errors
    /// `Config`, when it is the manifest of a detector.
    pub fn embedder(&self) -> Result<&EmbedderSpec> {
        match &self.role {
            Role::Embedder(spec) => Ok(spec),
            Role::Detector(_) => {
                Err(err!(Config, "models.embedder: {} describes a detector", self.path.display()))
            }
        }
    }

    /// The detector's part.
    ///
    /// # Errors
    /// `Config`, when it is the manifest of an embedder.
    pub fn detector(&self) -> Result<&DetectorSpec> {
        match &self.role {
            Role::Detector(spec) => Ok(spec),
            Role::Embedder(_) => {
                Err(err!(Config, "models.detector: {} describes an embedder", self.path.display()))
            }
        }
    }
}

fn text_of(path: &Path) -> Result<String> {
    let failed = |e| Error::io("read the manifest", path, e);
    // A pipe would keep us waiting for somebody to write.
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path);
    let file = opened.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        bail!(Config, "manifest {} is no regular file", path.display());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!(Config, "manifest {} has more than {} KiB: it is none", path.display(), MAX_BYTES >> 10);
    }
    String::from_utf8(bytes)
        .map_err(|_| err!(Config, "manifest {} is not TOML: it is no text", path.display()))
}

/// `: line 2, column 7`
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(": line {line}, column {column}")
}

fn source(fields: Fields<'_>) -> Source {
    let source = Source {
        package: fields.text("package"),
        version: fields.text("version"),
        item: fields.text("item"),
        licence: fields.text("licence"),
        training_data: fields.text("training_data"),
    };
    fields.finish();
    source
}

fn input(fields: Fields<'_>, detects: Option<bool>) -> Option<Input> {
    let name = fields.text("name");
    let size = match fields.has("size") || detects == Some(false) {
        true => Some(size(&fields, "size")),
        false => None,
    };
    let batch = fields.has("batch").then(|| fields.count("batch", MAX_BATCH) as usize);
    fields.choice("layout", "nchw", |layout| (layout == "nchw").then_some(()));
    let order = fields.choice("order", "rgb or bgr", |order| match order {
        "rgb" => Some(ChannelOrder::Rgb),
        "bgr" => Some(ChannelOrder::Bgr),
        _ => None,
    });
    let whiten = fields.has("whiten") && fields.flag("whiten");
    let fixed = if whiten { None } else { Some((fields.numbers("mean"), fields.numbers("scale"))) };
    fields.finish();
    let order = order?;
    let scaling = match fixed {
        Some((mean, scale)) => CropScaling::Fixed(Normalize { order, mean, scale }),
        None => CropScaling::Whiten(order),
    };
    Some(Input { name, size, batch, scaling })
}

fn import(fields: Fields<'_>) -> Import {
    let names = Rewrite::ALL.map(Rewrite::as_str).join(", ");
    let import = Import {
        original: file_name(&fields, "original"),
        sha256: hash(&fields, "sha256"),
        converter: fields.has("converter").then(|| fields.text("converter")),
        rewrites: fields.choices("rewrites", &format!("a list of {names}"), Rewrite::from_name),
        original_on: fields.choices(
            "original_on",
            "a list of cpu, cuda, tensorrt, openvino",
            DeviceKind::from_name,
        ),
    };
    fields.finish();
    import
}

fn detector(root: &Fields<'_>, family: Option<Family>) -> DetectorSpec {
    let output = root.section("output");
    let outputs = match family {
        Some(Family::YuNet) => DetectorOutputs::YuNet(YuNetOutputs {
            classes: output.texts("classes"),
            objects: output.texts("objects"),
            boxes: output.texts("boxes"),
            landmarks: output.texts("landmarks"),
        }),
        Some(Family::Scrfd) => DetectorOutputs::Scrfd(ScrfdOutputs {
            scores: output.texts("scores"),
            boxes: output.texts("boxes"),
            landmarks: output.texts("landmarks"),
        }),
        _ => DetectorOutputs::RetinaFace(RetinaFaceOutputs {
            boxes: output.text("boxes"),
            scores: output.text("scores"),
            landmarks: output.text("landmarks"),
        }),
    };
    let nms_iou = output.number("nms_iou", 0.05, 0.95);
    output.finish();
    DetectorSpec { outputs, nms_iou }
}

fn embedder(root: &Fields<'_>, input: Option<&Input>) -> EmbedderSpec {
    let output = root.section("output");
    let (name, dimension) = (output.text("name"), output.count("dimension", 8192) as usize);
    let normalizes = output.flag("normalizes");
    output.finish();
    let aligned = root.section("alignment");
    let alignment = alignment(&aligned);
    if input.is_some_and(|input| input.size != Some(alignment.size())) {
        aligned.mistake("size", "differs from input.size");
    }
    aligned.finish();
    let thresholds = root.section("thresholds");
    let (threshold, threshold_basis) = (thresholds.number("similarity", -1.0, 1.0), thresholds.text("basis"));
    let rates = if thresholds.has("rates") { thresholds.rows::<2>("rates") } else { Vec::new() };
    let rates = Rates::new(rates).unwrap_or_else(|| {
        thresholds.mistake("rates", "expected [similarity, false match rate] with similarities that rise and rates from 1 down to above 0");
        Rates::default()
    });
    thresholds.finish();
    EmbedderSpec { output: name, dimension, normalizes, alignment, threshold, threshold_basis, rates }
}

fn alignment(fields: &Fields<'_>) -> Alignment {
    let five_points = fields.choice("kind", "five-point or box-margin", |kind| match kind {
        "five-point" => Some(true),
        "box-margin" => Some(false),
        _ => None,
    });
    let size = size(fields, "size");
    match five_points {
        Some(false) => {
            Alignment::BoxMargin { size, margin: fields.number("margin", 0.0, 1.0), fit: box_fit(fields) }
        }
        _ => {
            let template = fields.lists::<5, 2>("template").map(|[x, y]| Point { x, y });
            Alignment::FivePoint { size, template }
        }
    }
}

/// `fit`, which may be left out.
fn box_fit(fields: &Fields<'_>) -> BoxFit {
    let parse = |fit: &str| match fit {
        "stretch" => Some(BoxFit::Stretch),
        "letterbox" => Some(BoxFit::Letterbox),
        _ => None,
    };
    let given = fields.has("fit").then(|| fields.choice("fit", "stretch or letterbox", parse)).flatten();
    given.unwrap_or(BoxFit::Stretch)
}

fn size(fields: &Fields<'_>, key: &'static str) -> Size {
    let [width, height] = fields.numbers::<2>(key);
    let good = |side: f32| side.fract() == 0.0 && (1.0..=MAX_SIDE as f32).contains(&side);
    if !(good(width) && good(height)) && fields.has(key) {
        fields.mistake(key, "expected [width, height] in whole pixels");
    }
    Size::new(width as u32, height as u32)
}

/// A file inside the models folder: one name, so that a manifest cannot reach outside.
fn file_name(fields: &Fields<'_>, key: &'static str) -> PathBuf {
    let name = PathBuf::from(fields.text(key));
    if fields.has(key) && name.file_name() != Some(name.as_os_str()) {
        fields.mistake(key, "expected the name of a file in the models folder, without folders");
    }
    name
}

fn hash(fields: &Fields<'_>, key: &'static str) -> Sha256 {
    let parse = |text: &str| crate::types::ids::ModelId::from_hex(text).map(|id| id.0);
    fields.choice(key, "64 hexadecimal digits", parse).unwrap_or_default()
}

#[cfg(test)]
mod tests;
