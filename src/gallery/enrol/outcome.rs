//! What became of a picture, for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::QualityLimits;
use crate::types::face::{Quality, Refusal};
use crate::types::geometry::Rect;
use crate::types::ids::IdentityId;

/// One picture and what was done with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The picture.
    pub path: PathBuf,
    /// The identity's name, as far as there is one.
    pub name: Option<String>,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("?");
        // A file's name may hold what drives a terminal.
        for c in self.path.to_string_lossy().chars() {
            if c.is_control() { write!(f, "{}", c.escape_unicode())? } else { write!(f, "{c}")? }
        }
        write!(f, ": {name}: {}", self.outcome)
    }
}

/// What was done with a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A template was stored.
    Enrolled {
        /// Whose it is.
        identity: IdentityId,
        /// True if the identity is new.
        new_identity: bool,
        /// The template's number.
        template: i64,
        /// What was measured of the face.
        quality: Quality,
        /// Somebody else this face is very like: one of the two may be enrolled under the wrong name.
        like: Option<Like>,
    },
    /// The same picture was enrolled for this identity and model before.
    AlreadyThere,
    /// Nothing was stored.
    Refused {
        /// Why.
        #[serde(flatten)]
        reason: Reason,
    },
}

/// Another identity's nearest template.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Like {
    /// Name of that identity.
    pub name: String,
    /// Cosine similarity, -1 to 1.
    pub score: f32,
}

/// A face that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Counts from 1, from left to right.
    pub number: usize,
    /// Its box, in the picture's pixels.
    pub bbox: Rect,
    /// The detector's score, 0 to 1.
    pub score: f32,
}

/// Why nothing was stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// No face reached the least score.
    NoFace {
        /// The best score of anything like a face.
        best: Option<f32>,
        /// The least score of a face.
        least: f32,
    },
    /// More than one face, and nothing said which.
    SeveralFaces {
        /// All of them.
        faces: Vec<Seen>,
    },
    /// There is no face of the number asked for.
    NoSuchFace {
        /// That number.
        asked: usize,
        /// Those that are there.
        faces: Vec<Seen>,
    },
    /// The face is not good enough.
    Quality {
        /// What is wrong with it.
        refusal: Refusal,
        /// The value measured and its limit.
        detail: String,
    },
    /// The model made no embedding of the face.
    NoEmbedding {
        /// What it said.
        detail: String,
    },
    /// The file cannot be read as a picture.
    Unreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// The file or folder is not where or what an enrolment folder has it.
    Misplaced {
        /// What was expected.
        detail: String,
    },
    /// The folder's name is no name for an identity.
    BadName {
        /// What is wrong with it.
        detail: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Enrolled { new_identity, quality, like, .. } => {
                f.write_str(if *new_identity { "enrolled (new)" } else { "enrolled" })?;
                write!(f, ", quality {:.2}", quality.score)?;
                match like {
                    Some(Like { name, score }) => {
                        write!(f, "; WARNING: very like {name} (score {score:.2}): check both names")
                    }
                    None => Ok(()),
                }
            }
            Outcome::AlreadyThere => f.write_str("already enrolled"),
            Outcome::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoFace { best: Some(best), least } => {
                write!(f, "no face found (best candidate score {best:.2}, {least:.2} is needed)")
            }
            Reason::NoFace { best: None, .. } => f.write_str("no face found (not even a candidate)"),
            Reason::SeveralFaces { faces } => {
                write!(f, "{} faces found, say which with --face N or --largest:", faces.len())?;
                list(f, faces)
            }
            Reason::NoSuchFace { asked, faces } => {
                write!(f, "there is no face {asked}, {} found:", faces.len())?;
                list(f, faces)
            }
            Reason::Quality { detail, .. } => f.write_str(detail),
            Reason::NoEmbedding { detail }
            | Reason::Unreadable { detail }
            | Reason::Misplaced { detail }
            | Reason::BadName { detail } => f.write_str(detail),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, faces: &[Seen]) -> fmt::Result {
    for Seen { number, bbox, score } in faces {
        let (x, y, width, height) = (bbox.x1, bbox.y1, bbox.width(), bbox.height());
        write!(f, " [{number}] {width:.0}x{height:.0} at {x:.0},{y:.0} (score {score:.2})")?;
    }
    Ok(())
}

impl Reason {
    /// A crop that is not good enough.
    pub(super) fn bad_face(refusal: Refusal, quality: &Quality, limits: &QualityLimits) -> Self {
        Reason::Quality { refusal, detail: explain(refusal, quality, limits) }
    }

    /// A face that could not even be cut out.
    pub(super) fn no_crop(refusal: Refusal) -> Self {
        let detail = match refusal {
            Refusal::BadLandmarks => BAD_LANDMARKS.to_owned(),
            other => format!("the face cannot be cut out: {}", other.as_str()),
        };
        Reason::Quality { refusal, detail }
    }
}

const BAD_LANDMARKS: &str = "the landmarks found do not make a face";

/// What was measured against which limit: `blurred: sharpness 12 < 40`.
fn explain(refusal: Refusal, quality: &Quality, limits: &QualityLimits) -> String {
    let under = |what: &str, value: f32, limit: f32| format!("{what} {value:.0} < {limit:.0}");
    let over = |what: &str, value: f32, limit: f32| format!("{what} {value:.0} > {limit:.0}");
    match refusal {
        Refusal::TooSmall => {
            format!("too small: {} pixels", under("face of", quality.face_pixels, limits.min_face))
        }
        Refusal::Blurred => {
            format!("blurred: {}", under("sharpness", quality.sharpness, limits.min_sharpness))
        }
        Refusal::TooDark => {
            format!("too dark: {}", under("brightness", quality.brightness, limits.min_brightness))
        }
        Refusal::TooBright => {
            format!("too bright: {}", over("brightness", quality.brightness, limits.max_brightness))
        }
        Refusal::ExtremePose => {
            let angles = [
                ("yaw", quality.yaw, limits.max_yaw),
                ("pitch", quality.pitch, limits.max_pitch),
                ("roll", quality.roll, limits.max_roll),
            ];
            let beyond = angles.iter().filter(|(_, angle, most)| angle.abs() > *most);
            let beyond: Vec<String> =
                beyond.map(|(what, angle, most)| over(what, angle.abs(), *most)).collect();
            format!("turned too far: {} degrees", beyond.join(", "))
        }
        Refusal::CutOff => "cut off: part of the face lies outside the picture".to_owned(),
        Refusal::BadLandmarks => BAD_LANDMARKS.to_owned(),
    }
}
