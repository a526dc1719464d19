//! Writing.

use serde::Serialize;
use zeroize::Zeroizing;

use super::content::Content;
use super::frame::{self, CROPS, FRAME, HEADER, IDENTITIES, LISTS, MAGIC, SECTION_HEAD, VECTORS};
use super::keys::SigningKey;
use super::wire::{HeaderJson, IdentityJson};
use super::{MAX_BYTES, check};
use crate::base::error::Result;
use crate::{bail, err};

/// The content as a signed bundle. The same content and key give the same bytes.
///
/// # Errors
/// `Data`: something in it breaks a rule that every reader holds it to, or it is larger than a bundle may be.
pub fn write(content: &Content, signer: &SigningKey) -> Result<Zeroizing<Vec<u8>>> {
    check::content(content)?;
    let header = json(&HeaderJson::of(content, signer.public()))?;
    let lists = json(&content.lists)?;
    let identities = lines(content)?;
    let (vectors, crops) = (vector_bytes(content), crop_bytes(content));

    let sections = [header.len(), lists.len(), identities.len(), vectors, crops];
    let total = FRAME + sections.iter().map(|length| SECTION_HEAD + length).sum::<usize>();
    if total > MAX_BYTES {
        bail!(
            Data,
            "the bundle would have {total} bytes; at most {MAX_BYTES} are read: export some lists at a time, or without crops"
        );
    }
    // All of it at once: a buffer that grows leaves vectors behind where it was.
    let mut bytes = Zeroizing::new(Vec::with_capacity(total));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(signer.public().as_bytes());
    for (tag, section) in [(HEADER, &header), (LISTS, &lists), (IDENTITIES, &identities)] {
        frame::begin(&mut bytes, tag, section.len());
        bytes.extend_from_slice(section);
    }
    frame::begin(&mut bytes, VECTORS, vectors);
    for template in content.identities.iter().flat_map(|identity| &identity.templates) {
        template
            .embedding
            .as_slice()
            .iter()
            .for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }
    frame::begin(&mut bytes, CROPS, crops);
    for crop in content.identities.iter().flat_map(|identity| &identity.crops) {
        bytes.extend_from_slice(&crop.bytes);
    }
    sign(&mut bytes, signer);
    Ok(bytes)
}

/// Adds the signature over everything so far.
pub(super) fn sign(bytes: &mut Vec<u8>, signer: &SigningKey) {
    let signature = signer.sign(bytes);
    bytes.extend_from_slice(&signature);
}

/// One identity a line.
fn lines(content: &Content) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for identity in &content.identities {
        lines.extend(json(&IdentityJson::of(identity))?);
        lines.push(b'\n');
    }
    Ok(lines)
}

fn vector_bytes(content: &Content) -> usize {
    let templates = content.identities.iter().flat_map(|identity| &identity.templates);
    templates.map(|template| 4 * template.embedding.dimension()).sum()
}

fn crop_bytes(content: &Content) -> usize {
    content.identities.iter().flat_map(|identity| &identity.crops).map(|crop| crop.bytes.len()).sum()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| err!(Software, "a part of the bundle is no JSON").because(e))
}
