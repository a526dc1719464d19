//! From a picture file to a face that may be offered: what needs models, and no gallery.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::chip::Chip;
use super::faces::{self, Chosen};
use super::models::FaceFinder;
use super::outcome::Reason;
use super::{Choice, Options};
use crate::base::error::{Kind, Result};
use crate::types::embedding::Embedding;
use crate::types::face::Quality;
use crate::types::geometry::Rect;

/// The largest picture file that is read, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// A face that may be stored.
pub struct Examined {
    /// Its embedding.
    pub embedding: Embedding,
    /// What was measured.
    pub quality: Quality,
    /// The face with room around it, if crops are kept.
    pub chip: Option<Chip>,
    /// Its box, in the picture's pixels, if there are other faces in the picture.
    pub among_others: Option<Rect>,
}

impl Examined {
    /// The digest that tells its source from others: the picture's own (SHA-256, hexadecimal), or of one face among several the
    /// SHA-256 of that digest and the face's box in whole pixels. Two people in one picture so have two sources.
    pub fn source(&self, picture: String) -> String {
        let Some(Rect { x1, y1, x2, y2 }) = self.among_others else { return picture };
        hexadecimal(format!("{picture} face {x1:.0},{y1:.0},{x2:.0},{y2:.0}").as_bytes())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Finds the face of a picture and embeds it, or says why not. `choice` overrules the options'; `name` is for messages.
///
/// # Errors
/// When a model fails; never because of what the picture shows.
pub fn examine(
    finder: &mut dyn FaceFinder,
    options: &Options,
    choice: Choice,
    bytes: &[u8],
    name: &str,
) -> Result<Result<Examined, Reason>> {
    let picture = match finder.decode(bytes, name) {
        Ok(picture) => picture,
        Err(cause) if cause.kind() == Kind::Data => {
            return Ok(Err(Reason::Unreadable { detail: without(&cause.chain(), name) }));
        }
        Err(cause) => return Err(cause),
    };
    let Chosen { face, of } = match faces::choose(finder.detect(&picture)?, options.min_score, choice) {
        Ok(chosen) => chosen,
        Err(reason) => return Ok(Err(reason)),
    };
    let crop = match finder.crop(&picture, &face) {
        Ok(crop) => crop,
        Err(refusal) => return Ok(Err(Reason::no_crop(refusal))),
    };
    let quality = *crop.quality();
    if let Some(refusal) = quality.refusal {
        return Ok(Err(Reason::bad_face(refusal, &quality, finder.limits())));
    }
    let embedding = match finder.embed(&crop)? {
        Ok(embedding) => embedding,
        Err(cause) => return Ok(Err(Reason::NoEmbedding { detail: cause.chain() })),
    };
    let chip = if options.chips { Some(Chip::cut(&picture, &face)?) } else { None };
    let among_others = (of > 1).then_some(face.bbox);
    Ok(Ok(Examined { embedding, quality, chip, among_others }))
}

/// A picture file as it was read.
pub(super) struct Picture {
    pub(super) bytes: Vec<u8>,
    /// Hexadecimal.
    pub(super) sha256: String,
}

impl Picture {
    /// Reads a file whole, if it is one and not too large. The message is without the name, which every report starts with.
    pub(super) fn read(path: &Path) -> Result<Self, Reason> {
        let bytes = read(path).map_err(|detail| Reason::Unreadable { detail })?;
        let sha256 = hexadecimal(&bytes);
        Ok(Self { bytes, sha256 })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |cause: std::io::Error| format!("cannot be read: {cause}");
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_FILE) as usize + 1);
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}

fn without(message: &str, name: &str) -> String {
    let rest = message.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(message).to_owned()
}
