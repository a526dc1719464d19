//! The draft of an imported model's manifest: what the architecture fixes is filled in, what only people know is not.

use super::{Architecture, facenet, retinaface};
use crate::infer::manifest::Sha256;
use crate::types::ids::ModelId;

/// A file's name and its hash.
pub type Named<'a> = (&'a str, &'a Sha256);

/// The manifest's text: of the model `name`, in the file `onnx` of the models folder, made from the file `weights`.
/// [`Manifest::parse`](crate::infer::manifest::Manifest::parse) accepts it as it is.
pub fn draft(architecture: Architecture, name: &str, onnx: Named<'_>, weights: Named<'_>) -> String {
    let (name, file) = (quoted(name), quoted(onnx.0));
    let package = quoted(&format!("imported from {}", weights.0));
    let [onnx, weights] = [onnx, weights].map(|(_, sha256)| ModelId(*sha256).hex());
    let (role, family, rest) = match architecture {
        Architecture::RetinaFaceMobileNet => ("detector", "retinaface", detector()),
        Architecture::FaceNetMobileNet | Architecture::FaceNetInceptionResNetV1 => {
            ("embedder", "facenet", embedder())
        }
    };
    let architecture = architecture.as_str();
    format!(
        r#"# A draft, written when the weights were imported. Say what you know where it says "not stated".
name = {name}
role = "{role}"
family = "{family}"
# The file in the models folder (`models.folder`), and what it must hash to.
file = {file}
sha256 = "{onnx}"

[source]
package = {package}
version = "SHA-256 {weights}"
item = "the state dictionary of a {architecture}"
licence = "not stated"
training_data = "not stated"
{rest}"#
    )
}

/// With quotes, as TOML wants it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn embedder() -> String {
    let (input, output, side, dimension) =
        (facenet::INPUT, facenet::OUTPUT, facenet::SIDE, facenet::DIMENSION);
    format!(
        r#"
[input]
name = "{input}"
size = [{side}, {side}]
layout = "nchw"
order = "rgb"
# (sample - mean) * scale: from 0 to 1.
mean = [0.0, 0.0, 0.0]
scale = [0.003921569, 0.003921569, 0.003921569]

# The detector's box, as large as it fits, between grey borders. Faces have to be cut out as they were for the training: if
# that was done in another way, say so here.
[alignment]
kind = "box-margin"
size = [{side}, {side}]
margin = 0.0
fit = "letterbox"

[output]
name = "{output}"
dimension = {dimension}
normalizes = true

[thresholds]
similarity = 0.6
basis = """\
Not calibrated: no pair of faces was compared. A distance of 0.9 between vectors of length 1, which is usual for such \
networks, is a similarity of 0.595. Calibrate on your own cameras and gallery."""
"#
    )
}

fn detector() -> String {
    use retinaface::{BOXES, INPUT, LANDMARKS, SCORES};
    format!(
        r#"
[input]
name = "{INPUT}"
# No size: the model takes any.
layout = "nchw"
# Weights that were trained on pictures as OpenCV reads them (biubug6/Pytorch_Retinaface) need "bgr".
order = "rgb"
# (sample - mean) * scale, by plane in the order above.
mean = [104.0, 117.0, 123.0]
scale = [1.0, 1.0, 1.0]

[output]
boxes = "{BOXES}"
scores = "{SCORES}"
landmarks = "{LANDMARKS}"
# Of two boxes that overlap more than this (intersection over union), the one with the lower score is dropped.
nms_iou = 0.4
"#
    )
}
