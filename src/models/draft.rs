//! The text of a manifest: what `models add` writes, and [`Manifest::read`] reads again.

use std::fmt::Write as _;

use crate::image::tensor::{ChannelOrder, CropScaling};
use crate::infer::manifest::{DetectorOutputs, DeviceKind, EmbedderSpec, Import, Manifest, Role};
use crate::infer::{Alignment, BoxFit};
use crate::types::geometry::Size;
use crate::types::ids::ModelId;

/// A manifest as TOML.
pub fn text(manifest: &Manifest) -> String {
    let mut text = Text::default();
    text.line("name", quoted(&manifest.name));
    let role = if matches!(manifest.role, Role::Detector(_)) { "detector" } else { "embedder" };
    text.line("role", quoted(role));
    text.line("family", quoted(manifest.family.as_str()));
    text.line("file", quoted(&manifest.file.to_string_lossy()));
    text.line("sha256", quoted(&ModelId(manifest.sha256).hex()));
    let source = &manifest.source;
    text.section("source");
    text.line("package", quoted(&source.package));
    text.line("version", quoted(&source.version));
    text.line("item", quoted(&source.item));
    text.line("licence", quoted(&source.licence));
    text.line("training_data", quoted(&source.training_data));
    if let Some(import) = &manifest.import {
        text.import(import);
    }
    text.input(manifest);
    match &manifest.role {
        Role::Detector(spec) => {
            text.section("output");
            text.outputs(&spec.outputs);
            text.line("nms_iou", number(spec.nms_iou));
        }
        Role::Embedder(spec) => text.embedder(spec),
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn section(&mut self, name: &str) {
        let _ = write!(self.0, "\n[{name}]\n");
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn import(&mut self, import: &Import) {
        self.section("import");
        self.line("original", quoted(&import.original.to_string_lossy()));
        self.line("sha256", quoted(&ModelId(import.sha256).hex()));
        if let Some(converter) = &import.converter {
            self.line("converter", quoted(converter));
        }
        self.line("rewrites", list(import.rewrites.iter().map(|step| quoted(step.as_str()))));
        let devices = import.original_on.iter().map(|kind| quoted(DeviceKind::as_str(*kind)));
        self.line("original_on", list(devices));
    }

    fn input(&mut self, manifest: &Manifest) {
        let input = &manifest.input;
        self.section("input");
        self.line("name", quoted(&input.name));
        if let Some(size) = input.size {
            self.line("size", sides(size));
        }
        if let Some(batch) = input.batch {
            self.line("batch", batch);
        }
        self.line("layout", quoted("nchw"));
        let order = |order| quoted(if order == ChannelOrder::Rgb { "rgb" } else { "bgr" });
        match input.scaling {
            CropScaling::Fixed(normalize) => {
                self.line("order", order(normalize.order));
                self.line("mean", list(normalize.mean.map(number)));
                self.line("scale", list(normalize.scale.map(number)));
            }
            CropScaling::Whiten(channels) => {
                self.line("order", order(channels));
                self.line("whiten", true);
            }
        }
    }

    fn outputs(&mut self, outputs: &DetectorOutputs) {
        let names = |names: &[String; 3]| list(names.iter().map(|name| quoted(name)));
        match outputs {
            DetectorOutputs::RetinaFace(o) => {
                let all = [("boxes", &o.boxes), ("scores", &o.scores), ("landmarks", &o.landmarks)];
                all.into_iter().for_each(|(key, name)| self.line(key, quoted(name)));
            }
            DetectorOutputs::YuNet(o) => {
                self.line("classes", names(&o.classes));
                self.line("objects", names(&o.objects));
                self.line("boxes", names(&o.boxes));
                self.line("landmarks", names(&o.landmarks));
            }
            DetectorOutputs::Scrfd(o) => {
                self.line("scores", names(&o.scores));
                self.line("boxes", names(&o.boxes));
                self.line("landmarks", names(&o.landmarks));
            }
        }
    }

    fn embedder(&mut self, spec: &EmbedderSpec) {
        self.section("alignment");
        self.line(
            "kind",
            quoted(if matches!(spec.alignment, Alignment::FivePoint { .. }) {
                "five-point"
            } else {
                "box-margin"
            }),
        );
        self.line("size", sides(spec.alignment.size()));
        match &spec.alignment {
            Alignment::FivePoint { template, .. } => {
                self.line("template", list(template.map(|p| list([p.x, p.y].map(number)))));
            }
            Alignment::BoxMargin { margin, fit, .. } => {
                self.line("margin", number(*margin));
                if *fit == BoxFit::Letterbox {
                    self.line("fit", quoted("letterbox"));
                }
            }
        }
        self.section("output");
        self.line("name", quoted(&spec.output));
        self.line("dimension", spec.dimension);
        self.line("normalizes", spec.normalizes);
        self.section("thresholds");
        self.line("similarity", number(spec.threshold));
        self.line("basis", quoted(&spec.threshold_basis));
        if !spec.rates.points().is_empty() {
            self.line("rates", list(spec.rates.points().iter().map(|point| list(point.map(number)))));
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// The shortest text that reads as the same number.
fn number(x: f32) -> String {
    let text = x.to_string();
    if text.contains(['.', 'e']) { text } else { text + ".0" }
}

fn sides(size: Size) -> String {
    format!("[{}, {}]", size.width, size.height)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Those that ship, and what they do not say: a fixed batch and size, another family, whitening, a converter, odd texts.
    #[test]
    fn what_is_written_is_read_again() {
        let mut manifests: Vec<Manifest> = ["mobilefacenet-512.toml", "retinaface-mobilenet025.toml"]
            .map(crate::infer::testing::manifest)
            .into();
        let mut odd = manifests[0].clone();
        odd.input.scaling = CropScaling::Whiten(ChannelOrder::Rgb);
        odd.input.batch = Some(4);
        odd.source.training_data = "\"Quotes\"\nand lines, = [ ], ü".to_owned();
        if let Some(import) = &mut odd.import {
            import.converter = Some("tf2onnx 1.17.0".to_owned());
        }
        if let Role::Embedder(spec) = &mut odd.role {
            spec.rates = crate::infer::manifest::Rates::new(vec![[0.2, 0.01], [0.3, 0.001]]).expect("rates");
            let size = Size::new(112, 112);
            spec.alignment = Alignment::BoxMargin { size, margin: 0.15, fit: BoxFit::Letterbox };
        }
        manifests.push(odd);
        for manifest in manifests {
            let again =
                Manifest::parse(&manifest.path, &text(&manifest)).unwrap_or_else(|e| panic!("{}", e.chain()));
            assert_eq!(again, manifest);
        }
        assert!(Manifest::parse(Path::new("x"), "").is_err());
    }
}
