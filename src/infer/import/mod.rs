//! Import: from a state dictionary of PyTorch to an ONNX file and the draft of its manifest.
//!
//! ```text
//!  WEIGHTS.pth ─torch─▶ StateDictionary ─▶ Parameters: each taken once, by name and shape
//!                                              │
//!                      facenet, retinaface ─▶ Network: nodes, with batch normalisation folded into them ─▶ NAME.onnx
//!                                                                                          draft ─▶ NAME.toml
//! ```
//!
//! A file of weights says nothing of the network they belong to: that is written here, an architecture a file. Same weights
//! give the same bytes.

mod draft;
mod facenet;
mod inception;
mod mobilenet;
mod network;
mod parameters;
mod retinaface;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use draft::draft;

use prost::Message as _;

use super::onnx::proto::Model;
use super::torch::StateDictionary;
use crate::base::error::Result;

use self::network::Network;
use self::parameters::Parameters;

/// A network whose weights can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// `facenet-mobilenet`: MobileNetV1 (Howard et al. 2017) and an embedding of 128 numbers (Schroff et al., CVPR 2015), as
    /// bubbliiiing/facenet-pytorch builds them.
    FaceNetMobileNet,
    /// `facenet-inception-resnetv1`: the same on Inception-ResNet-v1 (Szegedy et al., AAAI 2017).
    FaceNetInceptionResNetV1,
    /// `retinaface-mobilenet`: RetinaFace (Deng et al., CVPR 2020) on a MobileNetV1 of a quarter of the width, as
    /// bubbliiiing/retinaface-pytorch and biubug6/Pytorch_Retinaface build it.
    RetinaFaceMobileNet,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 3] = [
        Architecture::FaceNetMobileNet,
        Architecture::FaceNetInceptionResNetV1,
        Architecture::RetinaFaceMobileNet,
    ];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Architecture::FaceNetMobileNet => "facenet-mobilenet",
            Architecture::FaceNetInceptionResNetV1 => "facenet-inception-resnetv1",
            Architecture::RetinaFaceMobileNet => "retinaface-mobilenet",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.as_str() == name)
    }

    /// Name and shape of every parameter and buffer that its state dictionary must hold, sorted by name.
    pub fn parameters(self) -> Vec<(String, Vec<usize>)> {
        let none = StateDictionary::default();
        let mut network = Network::new(Parameters::of(&none));
        self.build(&mut network);
        network.parameters.expected()
    }

    /// True for what a state dictionary may hold beside them: what only training needs.
    fn ignores(self, name: &str) -> bool {
        let counts_batches = name.ends_with(".num_batches_tracked");
        counts_batches || (self != Architecture::RetinaFaceMobileNet && name.starts_with("classifier."))
    }

    fn build(self, network: &mut Network<'_>) {
        match self {
            Architecture::FaceNetMobileNet => facenet::mobilenet(network),
            Architecture::FaceNetInceptionResNetV1 => facenet::inception_resnet_v1(network),
            Architecture::RetinaFaceMobileNet => retinaface::mobilenet(network),
        }
    }
}

/// Writes the network with these weights as an ONNX file (operator set 13). The batch is symbolic.
///
/// | architecture | input `input` | outputs |
/// | --- | --- | --- |
/// | `facenet-*` | `[batch, 3, 160, 160]`, RGB, 0 to 1 | `embedding` `[batch, 128]`, of length 1 |
/// | `retinaface-mobilenet` | `[batch, 3, height, width]`, RGB minus (104, 117, 123) | `loc` `[batch, anchors, 4]`, `conf` `[batch, anchors, 2]` after the softmax, `landmarks` `[batch, anchors, 10]` |
///
/// Batch normalisation is folded into the layer before it, in f64: the answers agree with PyTorch's to rounding, not to the
/// bit.
///
/// # Errors
/// `Data`, when a parameter is missing, has another shape or is not finite, or there is one too many, with the first few names.
pub fn to_onnx(architecture: Architecture, weights: &StateDictionary) -> Result<Vec<u8>> {
    let mut network = Network::new(Parameters::of(weights));
    architecture.build(&mut network);
    let (graph, parameters) = network.finish(architecture.as_str());
    parameters.finish(architecture)?;
    Ok(Model::of(graph).encode_to_vec())
}
