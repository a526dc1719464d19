//! Opening.
//!
//! ```text
//!  size, magic, version ─▶ signature ─▶ signer trusted? ─▶ header ─▶ counts ─▶ lists, identities ─▶ vectors, crops ─▶ rules
//!  └──────── of bytes that anybody may have made ─────┘    └────── of bytes that a trusted box signed, and still checked ──┘
//! ```

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use zeroize::{Zeroize as _, Zeroizing};

use super::content::{BundledCrop, BundledIdentity, BundledTemplate, Content, Header, Opened};
use super::frame::{CROPS, Frame, HEADER, IDENTITIES, LISTS, Sections, VECTORS};
use super::keys::PublicKey;
use super::wire::{Counts, CropJson, HeaderJson, IdentityJson, TemplateJson};
use super::{age_file, check};
use crate::base::error::{Error, Result};
use crate::gallery::command::SecretText;
use crate::gallery::list::List;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// How far from 1 the length of a unit vector may be.
const UNIT: f64 = 1e-3;

/// Opens a bundle as it came, encrypted or not.
///
/// # Errors
/// Those of [`age_file::decrypt`] and [`open`]; `Usage`, when it is encrypted and no identity was given.
pub fn receive(
    bytes: &[u8],
    identity: Option<&SecretText>,
    trusted: &dyn Fn(&PublicKey) -> Option<String>,
) -> Result<Opened> {
    match identity {
        Some(identity) if age_file::is_encrypted(bytes) => {
            open(&age_file::decrypt(bytes, identity)?, trusted)
        }
        _ => open(bytes, trusted),
    }
}

/// Opens a signed bundle. `trusted` gives the label of a signer whose bundles are imported.
///
/// # Errors
/// `Data`: no bundle, of a newer format, tampered with or cut short, or signed with something in it that breaks a rule.
/// `Permission`: the signer is not trusted. `Usage`: it is encrypted.
pub fn open(bytes: &[u8], trusted: &dyn Fn(&PublicKey) -> Option<String>) -> Result<Opened> {
    let frame = Frame::parse(bytes)?;
    let signer = frame.signer;
    // The signature first: nobody shall be told to trust a key that a flipped bit made up.
    if !frame.holds() {
        bail!(
            Data,
            "the bundle was changed or damaged after it was signed: the signature of {signer} does not hold; fetch it again from the sender"
        );
    }
    let label = trusted(&signer).ok_or_else(|| untrusted(&signer))?;
    let content = parse(&frame)
        .map_err(|e| check::within(format_args!("the bundle is signed by {label:?}, and still wrong"), &e))?;
    Ok(Opened { content, signer, label })
}

fn untrusted(signer: &PublicKey) -> Error {
    err!(
        Permission,
        "the bundle is whole, but nobody here trusts its signer: key {signer}, fingerprint {}. Compare the fingerprint with the \
         sender; if it is the same, run `watchlistd gallery trust {signer} --label WHO`, then import again",
        signer.fingerprint()
    )
}

fn parse(frame: &Frame<'_>) -> Result<Content> {
    let mut sections = Sections(frame.sections);
    let (header, counts) = header(sections.take(HEADER)?, &frame.signer)?;
    let dimensions = check::header(&header)?;
    let lists: Vec<List> = json("lists", sections.take(LISTS)?)?;
    let parsed = identities(sections.take(IDENTITIES)?, counts)?;
    let mut vectors = Vectors { rest: sections.take(VECTORS)?, dimensions };
    let mut crops = sections.take(CROPS)?;
    sections.end()?;

    vectors.suffice_for(&parsed)?;
    let identities = parsed
        .into_iter()
        .map(|identity| {
            let id = identity.id;
            assemble(identity, &mut vectors, &mut crops)
                .map_err(|e| check::within(format_args!("identity {id}"), &e))
        })
        .collect::<Result<Vec<_>>>()?;
    if !crops.is_empty() {
        bail!(Data, "{} bytes behind the last crop", crops.len());
    }
    let content = Content { header, lists, identities };
    if Counts::of(&content) != counts {
        bail!(Data, "the header says {counts:?}, and there are {:?}", Counts::of(&content));
    }
    check::content(&content)?;
    Ok(content)
}

fn header(section: &[u8], signer: &PublicKey) -> Result<(Header, Counts)> {
    let header: HeaderJson = json("header", section)?;
    if header.signer != *signer {
        bail!(Data, "the header names {} as signer", header.signer);
    }
    check::counts(header.counts)?;
    let HeaderJson { origin, generation, created, models, counts, .. } = header;
    Ok((Header { origin, generation, created, models }, counts))
}

/// The lines of the section; no more is parsed than the header says there is.
fn identities(section: &[u8], counts: Counts) -> Result<Vec<IdentityJson>> {
    let lines = match section.strip_suffix(b"\n") {
        Some(lines) => Some(lines),
        None if section.is_empty() => None,
        None => bail!(Data, "the last identity's line has no end"),
    };
    let mut identities = Vec::with_capacity(counts.identities);
    let mut templates = 0;
    for line in lines.into_iter().flat_map(|lines| lines.split(|&byte| byte == b'\n')) {
        let number = identities.len() + 1;
        let identity: IdentityJson = json(&format!("line {number} of the identities"), line)?;
        templates += identity.templates.len();
        if number > counts.identities || templates > counts.templates {
            bail!(Data, "more identities or templates than the header's {counts:?}");
        }
        identities.push(identity);
    }
    Ok(identities)
}

fn json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| err!(Data, "{what}: not as the format has it").because(e))
}

fn assemble(identity: IdentityJson, vectors: &mut Vectors<'_>, crops: &mut &[u8]) -> Result<BundledIdentity> {
    let templates = identity.templates.into_iter().map(|template| {
        let id = template.id;
        vectors.template(template).map_err(|e| check::within(format_args!("template {id}"), &e))
    });
    let templates = templates.collect::<Result<_>>()?;
    let crops = identity.crops.into_iter().map(|crop| self::crop(crop, crops)).collect::<Result<_>>()?;
    Ok(BundledIdentity {
        id: identity.id,
        record: identity.record,
        created: identity.created,
        revision: identity.revision,
        standing: identity.standing,
        templates,
        crops,
    })
}

fn crop(crop: CropJson, rest: &mut &[u8]) -> Result<BundledCrop> {
    let Some((file, behind)) = rest.split_at_checked(crop.length) else {
        bail!(Data, "the crop of {:?} has {} bytes, and {} are there", crop.source, crop.length, rest.len());
    };
    *rest = behind;
    Ok(BundledCrop { source: crop.source, media_type: crop.media_type, bytes: Zeroizing::new(file.to_vec()) })
}

/// Section VECT, from which templates take their vectors in turn.
struct Vectors<'a> {
    rest: &'a [u8],
    dimensions: BTreeMap<ModelId, usize>,
}

impl Vectors<'_> {
    /// The section has to be as long as these templates' vectors are.
    fn suffice_for(&self, identities: &[IdentityJson]) -> Result<()> {
        let templates = identities.iter().flat_map(|identity| &identity.templates);
        let needed = templates.map(|template| self.length(template.model)).sum::<Result<usize>>()?;
        if needed != self.rest.len() {
            bail!(Data, "{} bytes of vectors; the templates have {needed}", self.rest.len());
        }
        Ok(())
    }

    /// Bytes of a vector.
    fn length(&self, model: ModelId) -> Result<usize> {
        let dimension = self.dimensions.get(&model);
        let dimension = dimension.ok_or_else(|| err!(Data, "model {model} is not among the bundle's"))?;
        Ok(4 * dimension)
    }

    fn template(&mut self, template: TemplateJson) -> Result<BundledTemplate> {
        let length = self.length(template.model)?;
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            bail!(Data, "its vector is cut short");
        };
        self.rest = rest;
        let embedding = embedding(template.model, bytes)?;
        let TemplateJson { id, quality, source, created, .. } = template;
        Ok(BundledTemplate { id, quality, source: source.into_source(), created, embedding })
    }
}

fn embedding(model: ModelId, bytes: &[u8]) -> Result<Embedding> {
    let numbers = bytes.chunks_exact(4).filter_map(|chunk| Some(f32::from_le_bytes(chunk.try_into().ok()?)));
    let mut vector: Vec<f32> = Vec::with_capacity(bytes.len() / 4);
    vector.extend(numbers);
    let norm = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    // A comparison that a NaN fails.
    let unit = (norm - 1.0).abs() <= UNIT;
    if !unit {
        vector.zeroize();
        bail!(
            Data,
            "its vector is no unit vector (its length is not within {UNIT} of 1, or it holds what is no number)"
        );
    }
    Embedding::new(model, vector)
}
