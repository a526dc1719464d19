//! What became of a picture, for people and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::QualityLimits;
use crate::gallery::report::Doubt;
use crate::types::face::{Quality, Refusal};
use crate::types::geometry::Rect;
use crate::types::ids::{IdentityId, TemplateId};

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
        /// The template.
        template: TemplateId,
        /// What was measured of the face.
        quality: Quality,
        /// What somebody should look at all the same.
        doubts: Vec<Doubt>,
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

/// What became of many pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Stored.
    pub enrolled: usize,
    /// There before.
    pub already_there: usize,
    /// Refused.
    pub refused: usize,
    /// Not looked at, because the run was stopped before.
    pub untouched: usize,
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Enrolled { .. } => self.enrolled += 1,
            Outcome::AlreadyThere => self.already_there += 1,
            Outcome::Refused { .. } => self.refused += 1,
        }
    }

    /// All that were looked at.
    pub fn reported(&self) -> usize {
        self.enrolled + self.already_there + self.refused
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { enrolled, already_there, refused, untouched } = self;
        write!(f, "{enrolled} enrolled, {already_there} already there, {refused} refused")?;
        if *untouched > 0 { write!(f, ", {untouched} not looked at") } else { Ok(()) }
    }
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
    /// What is enrolled speaks against the face.
    Doubtful {
        /// What exactly.
        doubts: Vec<Doubt>,
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
    /// The metadata names a folder or a picture, and it is not there.
    Missing {
        /// Where it is named.
        detail: String,
    },
    /// The folder's name is no name for an identity.
    BadName {
        /// What is wrong with it.
        detail: String,
    },
    /// Several identities may be meant.
    Ambiguous {
        /// Which.
        detail: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Enrolled { new_identity, quality, doubts, .. } => {
                f.write_str(if *new_identity { "enrolled (new)" } else { "enrolled" })?;
                write!(f, ", quality {:.2}", quality.score)?;
                doubts.iter().try_for_each(|doubt| {
                    f.write_str("; WARNING: ")?;
                    explain_doubt(f, doubt)
                })
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
            Reason::Doubtful { doubts } => doubts.iter().enumerate().try_for_each(|(nth, doubt)| {
                f.write_str(if nth == 0 { "" } else { "; " })?;
                explain_doubt(f, doubt)
            }),
            Reason::Quality { detail, .. } => f.write_str(detail),
            Reason::NoEmbedding { detail }
            | Reason::Unreadable { detail }
            | Reason::Misplaced { detail }
            | Reason::Missing { detail }
            | Reason::BadName { detail }
            | Reason::Ambiguous { detail } => f.write_str(detail),
        }
    }
}

fn explain_doubt(f: &mut fmt::Formatter<'_>, doubt: &Doubt) -> fmt::Result {
    match doubt {
        Doubt::Duplicate { template, score } => {
            write!(f, "a duplicate of template {template} (score {score:.2})")
        }
        Doubt::NearerToAnother { name, score, own: None, .. } => {
            write!(f, "very like {name} (score {score:.2}): check both names")
        }
        Doubt::NearerToAnother { name, score, own: Some(own), .. } if score > own => {
            write!(
                f,
                "more like {name} than like its own identity (scores {score:.2}, {own:.2}): check both names"
            )
        }
        Doubt::NearerToAnother { name, score, .. } => {
            write!(f, "like enough to {name} to be taken for them (score {score:.2})")
        }
        Doubt::Outlier { own, least } => {
            write!(f, "unlike the identity's other pictures (score {own:.2} < {least:.2})")
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
    /// In a few words, for counts.
    pub fn in_short(&self) -> String {
        let short = match self {
            Reason::NoFace { .. } => "no face",
            Reason::SeveralFaces { .. } => "several faces",
            Reason::NoSuchFace { .. } => "no such face",
            Reason::Quality { refusal, .. } => return refusal.as_str().replace('_', " "),
            Reason::Doubtful { .. } => "doubtful",
            Reason::NoEmbedding { .. } => "no embedding",
            Reason::Unreadable { .. } => "unreadable",
            Reason::Misplaced { .. } => "misplaced",
            Reason::Missing { .. } => "not there",
            Reason::BadName { .. } => "no name",
            Reason::Ambiguous { .. } => "ambiguous",
        };
        short.to_owned()
    }

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
