//! What has to be true of a bundle's content, whoever signed it. The writer asks too: what is written can be read.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::hash::Hash;

use super::content::{BundledCrop, BundledIdentity, BundledTemplate, Content, Header, MediaType};
use super::wire::Counts;
use super::{MAX_CROP, MAX_IDENTITIES, MAX_LISTS, MAX_MODELS, MAX_TEMPLATES};
use crate::bail;
use crate::base::error::{Error, Result};
use crate::gallery::record::MAX_TEXT;
use crate::types::ids::ModelId;

/// Most characters of the origin and of a model's name.
const MAX_LABEL: usize = 128;
/// Most numbers in a vector.
const MAX_DIMENSION: usize = 4096;

/// Refuses more of anything than is read, before memory is taken for it.
pub(super) fn counts(counts: Counts) -> Result<()> {
    at_most("lists", counts.lists, MAX_LISTS)?;
    at_most("identities", counts.identities, MAX_IDENTITIES)?;
    at_most("templates", counts.templates, MAX_TEMPLATES)?;
    at_most("crops", counts.crops, MAX_TEMPLATES)
}

fn at_most(what: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        bail!(Data, "{count} {what}; a bundle holds at most {most}: export some lists at a time");
    }
    Ok(())
}

/// Origin and models, and the models' dimensions by id.
pub(super) fn header(header: &Header) -> Result<BTreeMap<ModelId, usize>> {
    label("origin", &header.origin)?;
    at_most("models", header.models.len(), MAX_MODELS)?;
    let mut dimensions = BTreeMap::new();
    for model in &header.models {
        label("a model's name", &model.name)?;
        if !(1..=MAX_DIMENSION).contains(&model.dimension) {
            bail!(Data, "model {}: dimension {}: expected 1 to {MAX_DIMENSION}", model.name, model.dimension);
        }
        if !(0.0..=1.0).contains(&model.threshold) {
            bail!(Data, "model {}: threshold {}: expected 0 to 1", model.name, model.threshold);
        }
        if dimensions.insert(model.id, model.dimension).is_some() {
            bail!(Data, "model {} is there twice", model.name);
        }
    }
    Ok(dimensions)
}

fn label(what: &str, text: &str) -> Result<()> {
    let count = text.chars().count();
    if !(1..=MAX_LABEL).contains(&count) || text.contains(char::is_control) {
        bail!(
            Data,
            "{what} {text:?}: expected 1 to {MAX_LABEL} characters, none of them a control character"
        );
    }
    Ok(())
}

/// Everything.
///
/// # Errors
/// `Data`, naming the first thing that cannot be.
pub(super) fn content(content: &Content) -> Result<()> {
    counts(Counts::of(content))?;
    let dimensions = header(&content.header)?;
    let mut lists = HashSet::new();
    for list in &content.lists {
        list.check()?;
        once("list", &list.name, &mut lists)?;
    }
    let mut ids = HashSet::new();
    let mut external_ids = HashSet::new();
    let mut templates = HashSet::new();
    for identity in &content.identities {
        once("identity", &identity.id, &mut ids)?;
        let here = |e| within(format_args!("identity {}", identity.id), &e);
        if let Some(external_id) = &identity.record.external_id {
            once("external id", external_id, &mut external_ids).map_err(here)?;
        }
        if let Some(list) = identity.record.lists.iter().find(|list| !lists.contains(list)) {
            return Err(here(crate::err!(Data, "is on list {list}, whose settings are not in the bundle")));
        }
        for template in &identity.templates {
            once("template", &template.id, &mut templates).map_err(here)?;
        }
        self::identity(identity, &dimensions).map_err(here)?;
    }
    Ok(())
}

fn once<'a, T: Hash + Eq + Display>(what: &str, value: &'a T, seen: &mut HashSet<&'a T>) -> Result<()> {
    if !seen.insert(value) {
        bail!(Data, "{what} {value} is there twice");
    }
    Ok(())
}

fn identity(identity: &BundledIdentity, dimensions: &BTreeMap<ModelId, usize>) -> Result<()> {
    identity.record.check()?;
    for template in &identity.templates {
        self::template(template, dimensions)
            .map_err(|e| within(format_args!("template {}", template.id), &e))?;
    }
    let sources: HashSet<&str> =
        identity.templates.iter().map(|template| template.source.sha256.as_str()).collect();
    let mut cropped = HashSet::new();
    for crop in &identity.crops {
        if !sources.contains(crop.source.as_str()) {
            bail!(Data, "a crop of {:?}, from which no template is", crop.source);
        }
        once("the crop of", &crop.source, &mut cropped)?;
        self::crop(crop)?;
    }
    Ok(())
}

fn template(template: &BundledTemplate, dimensions: &BTreeMap<ModelId, usize>) -> Result<()> {
    let (model, dimension) = (template.embedding.model(), template.embedding.dimension());
    match dimensions.get(&model) {
        Some(&expected) if expected == dimension => {}
        Some(expected) => bail!(Data, "{dimension} numbers; model {model} gives {expected}"),
        None => bail!(Data, "model {model} is not among the bundle's"),
    }
    if !(0.0..=1.0).contains(&template.quality) {
        bail!(Data, "quality {}: expected 0 to 1", template.quality);
    }
    let source = &template.source;
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if source.sha256.len() != 64 || !source.sha256.bytes().all(digit) {
        bail!(Data, "source {:?}: expected a SHA-256, 64 digits of 0-9 a-f", source.sha256);
    }
    if source.name.len() > MAX_TEXT {
        bail!(Data, "source's name: {} bytes; expected at most {MAX_TEXT}", source.name.len());
    }
    Ok(())
}

fn crop(crop: &BundledCrop) -> Result<()> {
    if crop.bytes.len() > MAX_CROP {
        bail!(Data, "a crop of {} bytes; expected at most {MAX_CROP}", crop.bytes.len());
    }
    if MediaType::of(&crop.bytes) != Some(crop.media_type) {
        bail!(Data, "the crop of {} is no {}", crop.source, crop.media_type.as_str());
    }
    Ok(())
}

/// The error, with what it is about before it.
pub(super) fn within(what: impl Display, cause: &Error) -> Error {
    Error::new(cause.kind(), format!("{what}: {}", cause.chain()))
}
