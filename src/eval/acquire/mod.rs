//! From pictures to templates, and what failed on the way.
//!
//! ```text
//!  N workers, each with its models                                              the caller's thread
//!  read ─ SHA-256 ─ cache? ─┬ yes ──────────────────────────────────────────────▶ collect ─▶ progress
//!                           └ no: prepare (decode ─ detect ─ crop) ─ batch ─ embed ─▶ │
//!                                                                                   └─▶ cache: one record more
//! ```
//!
//! What the workers do not share is the order of their answers: each lands in its picture's place, so that any number of them gives the
//! same templates. A picture is never dropped: it has a template, or a failure with its reason.

mod examiner;
mod run;

pub use examiner::{ModelExaminer, Which};
pub use run::{Acquired, acquire};

use std::fmt;

use serde::Serialize;

use super::protocol::Trial;
use super::quality::Measured;
use crate::base::error::Result;
use crate::types::embedding::Embedding;
use crate::types::frame::RgbImage;

/// What became of a picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquisition {
    /// A template.
    Template(Box<Template>),
    /// A failure to acquire.
    Failed(Failure),
}

impl Acquisition {
    /// The template, if there is one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Self::Template(template) => Some(template),
            Self::Failed(_) => None,
        }
    }
}

/// The template of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The embedding.
    pub embedding: Embedding,
    /// What was measured of the crop.
    pub measured: Measured,
    /// Faces that were found; the template is of one of them.
    pub faces: u32,
}

/// Cosine similarity of a trial's two pictures, -1 to 1; `None`, where either has no template.
pub fn similarity(of: &[Acquisition], trial: &Trial) -> Option<f32> {
    let template = |picture: u32| -> Option<&Template> { of.get(picture as usize)?.template() };
    template(trial.a)?.embedding.similarity(&template(trial.b)?.embedding)
}

/// Why a picture has no template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason", content = "detail")]
pub enum Failure {
    /// It cannot be read or decoded; why.
    Unreadable(String),
    /// No face was found.
    NoFace,
    /// The face's landmarks allow no crop.
    NoCrop,
    /// The embedder made no vector of the crop.
    NoVector,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(detail) => write!(f, "unreadable: {detail}"),
            Self::NoFace => f.write_str("no face found"),
            Self::NoCrop => f.write_str("the landmarks make no face"),
            Self::NoVector => f.write_str("the embedder made no vector of it"),
        }
    }
}

/// What is embedded of a picture.
pub struct Prepared {
    /// The aligned crop.
    pub crop: RgbImage,
    /// What was measured of it.
    pub measured: Measured,
    /// Faces that were found.
    pub faces: u32,
}

/// The models, as one worker has them.
pub trait Examiner: Send {
    /// From a picture file to the crop that is embedded. The inner error: why there is none.
    ///
    /// # Errors
    /// The outer error: inference failed, whatever the picture shows.
    fn prepare(&mut self, bytes: &[u8]) -> Result<Result<Prepared, Failure>>;

    /// Embeds up to [`Examiner::max_batch`] crops, in order. The inner error: no vector came out.
    ///
    /// # Errors
    /// The outer error: inference failed.
    fn embed(&mut self, crops: &[&RgbImage]) -> Result<Vec<Result<Embedding>>>;

    /// Most crops that are worth embedding together; at least 1.
    fn max_batch(&self) -> usize;
}

/// What became of all pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Pictures.
    pub pictures: u64,
    /// With a template.
    pub templates: u64,
    /// Of these, with several faces, of which one was taken.
    pub several_faces: u64,
    /// Without a face.
    pub no_face: u64,
    /// With landmarks that allow no crop.
    pub no_crop: u64,
    /// Of which the embedder made no vector.
    pub no_vector: u64,
    /// That could not be read or decoded.
    pub unreadable: u64,
}

impl Tally {
    /// Of acquisitions.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Acquisition>) -> Self {
        let mut tally = Self::default();
        for one in all {
            tally.pictures += 1;
            *match one {
                Acquisition::Template(template) => {
                    tally.several_faces += u64::from(template.faces > 1);
                    &mut tally.templates
                }
                Acquisition::Failed(Failure::Unreadable(_)) => &mut tally.unreadable,
                Acquisition::Failed(Failure::NoFace) => &mut tally.no_face,
                Acquisition::Failed(Failure::NoCrop) => &mut tally.no_crop,
                Acquisition::Failed(Failure::NoVector) => &mut tally.no_vector,
            } += 1;
        }
        tally
    }
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
