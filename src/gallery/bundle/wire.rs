//! The JSON of a bundle.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::content::{BundledIdentity, Content, MediaType, ModelContract};
use super::keys::PublicKey;
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::record::{Record, Standing};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// Section HEAD.
#[derive(Serialize, Deserialize)]
pub(super) struct HeaderJson {
    pub(super) signer: PublicKey,
    pub(super) origin: String,
    pub(super) generation: u64,
    pub(super) created: Timestamp,
    pub(super) models: Vec<ModelContract>,
    pub(super) counts: Counts,
}

/// How much is in the other sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) lists: usize,
    pub(super) identities: usize,
    pub(super) templates: usize,
    pub(super) crops: usize,
}

/// A line of section IDEN.
#[derive(Serialize, Deserialize)]
pub(super) struct IdentityJson {
    pub(super) id: IdentityId,
    pub(super) record: Record,
    pub(super) created: Timestamp,
    pub(super) revision: u64,
    pub(super) standing: Standing,
    pub(super) templates: Vec<TemplateJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) crops: Vec<CropJson>,
}

/// A template; its vector is in section VECT.
#[derive(Serialize, Deserialize)]
pub(super) struct TemplateJson {
    pub(super) id: TemplateId,
    pub(super) model: ModelId,
    pub(super) quality: f32,
    pub(super) source: SourceJson,
    pub(super) created: Timestamp,
}

/// Where a template comes from: `Source`, field by field, so that the format changes only on purpose.
#[derive(Serialize, Deserialize)]
pub(super) struct SourceJson {
    kind: SourceKind,
    name: String,
    sha256: String,
}

/// A crop; its file is in section CROP.
#[derive(Serialize, Deserialize)]
pub(super) struct CropJson {
    pub(super) source: String,
    pub(super) media_type: MediaType,
    pub(super) length: usize,
}

impl HeaderJson {
    pub(super) fn of(content: &Content, signer: PublicKey) -> Self {
        let header = content.header.clone();
        Self {
            signer,
            origin: header.origin,
            generation: header.generation,
            created: header.created,
            models: header.models,
            counts: Counts::of(content),
        }
    }
}

impl Counts {
    pub(super) fn of(content: &Content) -> Self {
        Self {
            lists: content.lists.len(),
            identities: content.identities.len(),
            templates: content.identities.iter().map(|identity| identity.templates.len()).sum(),
            crops: content.identities.iter().map(|identity| identity.crops.len()).sum(),
        }
    }
}

impl IdentityJson {
    pub(super) fn of(identity: &BundledIdentity) -> Self {
        let templates = identity.templates.iter().map(|template| TemplateJson {
            id: template.id,
            model: template.embedding.model(),
            quality: template.quality,
            source: SourceJson::of(&template.source),
            created: template.created,
        });
        let crops = identity.crops.iter().map(|crop| CropJson {
            source: crop.source.clone(),
            media_type: crop.media_type,
            length: crop.bytes.len(),
        });
        Self {
            id: identity.id,
            record: identity.record.clone(),
            created: identity.created,
            revision: identity.revision,
            standing: identity.standing,
            templates: templates.collect(),
            crops: crops.collect(),
        }
    }
}

impl SourceJson {
    /// A file may be called anything; what goes to another box can be shown there.
    fn of(source: &Source) -> Self {
        Self { kind: source.kind, name: shown(&source.name).into_owned(), sha256: source.sha256.clone() }
    }

    pub(super) fn into_source(self) -> Source {
        let name = shown(&self.name).into_owned();
        Source { kind: self.kind, name, sha256: self.sha256 }
    }
}

/// The text with U+FFFD for each control character.
fn shown(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}
