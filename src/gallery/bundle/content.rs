//! What is in a bundle.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::PublicKey;
use crate::gallery::command::Source;
use crate::gallery::list::List;
use crate::gallery::record::{Record, Standing};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// What [`super::open`] gives: the signature holds, the signer is trusted, and the content keeps every rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What is in it.
    pub content: Content,
    /// Who signed it.
    pub signer: PublicKey,
    /// What the signer is called here.
    pub label: String,
}

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// Where it comes from, and what its templates need.
    pub header: Header,
    /// Settings of every list that somebody in it is on.
    pub lists: Vec<List>,
    /// The identities.
    pub identities: Vec<BundledIdentity>,
}

/// Where a bundle comes from, and what its templates need.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The sender's own name for itself, such as its host name: 1 to 128 characters. What counts is the signer.
    pub origin: String,
    /// Generation of the sender's gallery: a later bundle of the same box has the same or a higher one.
    pub generation: u64,
    /// When it was written, by the sender's clock.
    pub created: Timestamp,
    /// Every model that made a template in it.
    pub models: Vec<ModelContract>,
}

/// What identifies a model to a program (the id) and to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelContract {
    /// Its id: only templates with the same id compare.
    pub id: ModelId,
    /// Name in its manifest, 1 to 128 characters.
    pub name: String,
    /// Numbers in its vectors, 1 to 4096.
    pub dimension: usize,
    /// Similarity score from which on its manifest says that two faces are one person, 0 to 1.
    pub threshold: f32,
}

/// An identity with its templates and, if the sender keeps them and sends them, its crops.
#[derive(Debug, Clone, PartialEq)]
pub struct BundledIdentity {
    /// Its id, the same on every box.
    pub id: IdentityId,
    /// What is known of it.
    pub record: Record,
    /// When it was enrolled.
    pub created: Timestamp,
    /// Counts the sender's changes of the record.
    pub revision: u64,
    /// Where it was in its life when the bundle was written. The receiver works its own out from the record.
    pub standing: Standing,
    /// Its templates; each names its model.
    pub templates: Vec<BundledTemplate>,
    /// Its enrolment crops, at most one for each source of its templates.
    pub crops: Vec<BundledCrop>,
}

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub struct BundledTemplate {
    /// Its id, the same on every box.
    pub id: TemplateId,
    /// Quality of the face, 0 to 1.
    pub quality: f32,
    /// Where it comes from.
    pub source: Source,
    /// When it was stored.
    pub created: Timestamp,
    /// The vector and its model.
    pub embedding: Embedding,
}

/// An enrolment crop. Wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BundledCrop {
    /// SHA-256 of the source it was cut from, 64 hexadecimal digits: the `sha256` of a template's source.
    pub source: String,
    /// What kind of file it is.
    pub media_type: MediaType,
    /// The file.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for BundledCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundledCrop({}, {} bytes)", self.media_type.as_str(), self.bytes.len())
    }
}

/// What kind of file a crop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaType {
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// What galleries keep: a JPEG behind a line of JSON that says where in it the face is. Only these are kept by an import.
    #[serde(rename = "application/vnd.watchlistd.crop")]
    Crop,
}

impl MediaType {
    /// What the first bytes of a file say; `None` if it is neither.
    pub fn of(file: &[u8]) -> Option<Self> {
        if file.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if file.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if file.starts_with(b"{\"version\":") {
            Some(Self::Crop)
        } else {
            None
        }
    }

    /// The name, as in RFC 6838.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Crop => "application/vnd.watchlistd.crop",
        }
    }
}
