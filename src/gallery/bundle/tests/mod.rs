//! What the tests of bundles share.

mod open_rules;
mod plan_rules;
mod round_trip;
mod tampering;

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::frame::{CROPS, HEADER, IDENTITIES, LISTS, MAGIC, Sections, VECTORS};
use super::*;
use crate::base::error::Result;
use crate::gallery::Name;
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::crypt::Key;
use crate::gallery::list::List;
use crate::gallery::record::{ExternalId, ListName, Record, Standing};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// Names that have gone wrong elsewhere: combining marks, joiners, right to left, outside the basic plane, quotes, NUL-free oddities.
const NAMES: [&str; 12] = [
    "Ana",
    "José-María Ñuñez",
    "王小明",
    "علی‌رضا",
    "Ἑλένη",
    "O'Neill, J. \"Jim\"",
    "Łukasz \\ Żak",
    "ไพลิน",
    "ஆனந்த்",
    "𠮷野家",
    "Ægir {}",
    "👩‍🚒 Åsa",
];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Key::from_bytes(&[seed; 32]).expect("32 bytes"))
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

fn list(name: &str) -> ListName {
    ListName::new(name).expect("a list")
}

fn external(id: &str) -> ExternalId {
    ExternalId::new(id).expect("an external id")
}

fn model(number: u8, dimension: usize) -> ModelContract {
    ModelContract { id: ModelId([number; 32]), name: format!("model-{number}"), dimension, threshold: 0.35 }
}

fn embedding(rng: &mut Rng, model: &ModelContract) -> Embedding {
    let numbers = (0..model.dimension).map(|_| rng.f32() - 0.5).collect();
    Embedding::new(model.id, numbers).expect("a vector")
}

fn source(rng: &mut Rng) -> Source {
    let sha256 = (0..64).map(|_| rng.digit(16).to_string()).collect();
    Source { kind: SourceKind::File, name: "портрет.jpg".to_owned(), sha256 }
}

fn template(rng: &mut Rng, model: &ModelContract) -> BundledTemplate {
    BundledTemplate {
        id: TemplateId(Uuid::from_u128(rng.u128(..))),
        quality: rng.f32(),
        source: source(rng),
        created: time(rng.i64(0..1_000_000)),
        embedding: embedding(rng, model),
    }
}

fn crop(rng: &mut Rng, of: &BundledTemplate) -> BundledCrop {
    let mut bytes = Zeroizing::new(b"\x89PNG\r\n\x1a\n".to_vec());
    bytes.extend((0..100).map(|_| rng.u8(..)));
    BundledCrop { source: of.source.sha256.clone(), media_type: MediaType::Png, bytes }
}

fn identity(rng: &mut Rng, name: &str, models: &[ModelContract]) -> BundledIdentity {
    let templates: Vec<_> = models.iter().map(|model| template(rng, model)).collect();
    BundledIdentity {
        id: IdentityId(Uuid::from_u128(rng.u128(..))),
        record: Record::new(Name::new(name).expect("a name")),
        created: time(rng.i64(0..1_000_000)),
        revision: rng.u64(..),
        standing: Standing::Active,
        crops: Vec::new(),
        templates,
    }
}

/// Identities of every kind: with all fields and none, with crops and without, of two models.
fn sample(seed: u64, identities: usize) -> Content {
    let mut rng = Rng::with_seed(seed);
    let models = vec![model(1, 512), model(2, 128)];
    let identities = (0..identities)
        .map(|i| {
            let mut identity = identity(&mut rng, NAMES[i % NAMES.len()], &models);
            if i % 2 == 0 {
                identity.crops = identity.templates.iter().map(|of| crop(&mut rng, of)).collect();
                identity.record = Record {
                    external_id: Some(external(&format!("hr-{i}"))),
                    lists: BTreeSet::from([list("watchlist"), list("staff")]),
                    purpose: Some("a theft on 3 May\nand another".to_owned()),
                    authority: Some("§ 100h StPO".to_owned()),
                    valid_from: Some(time(1)),
                    valid_until: Some(time(2)),
                    ..identity.record
                };
            }
            identity
        })
        .collect();
    let mut staff = List::new(list("staff"));
    (staff.threshold, staff.priority) = (Some(0.55), -3);
    Content {
        header: Header { origin: "hq.example".to_owned(), generation: 41, created: time(0), models },
        lists: vec![List::new(ListName::default()), staff],
        identities,
    }
}

fn written(content: &Content) -> Vec<u8> {
    write(content, &key(1)).expect("a bundle").to_vec()
}

/// Trusts the signer that [`written`] signs with, and nobody else.
fn trust_hq(signer: &PublicKey) -> Option<String> {
    (*signer == key(1).public()).then(|| "headquarters".to_owned())
}

fn opened(bytes: &[u8]) -> Result<Opened> {
    open(bytes, &trust_hq)
}

/// A bundle's sections, to be changed and signed again: what a faulty or bad box that is trusted may send.
struct Raw {
    header: Vec<u8>,
    lists: Vec<u8>,
    identities: Vec<u8>,
    vectors: Vec<u8>,
    crops: Vec<u8>,
}

impl Raw {
    fn of(bundle: &[u8]) -> Self {
        let body = &bundle[MAGIC.len() + 32..bundle.len() - 64];
        let mut sections = Sections(body);
        let mut take = |tag| sections.take(tag).expect("a section").to_vec();
        Self {
            header: take(HEADER),
            lists: take(LISTS),
            identities: take(IDENTITIES),
            vectors: take(VECTORS),
            crops: take(CROPS),
        }
    }

    fn signed(&self) -> Vec<u8> {
        let mut bytes = [MAGIC, key(1).public().as_bytes()].concat();
        let sections = [
            (HEADER, &self.header),
            (LISTS, &self.lists),
            (IDENTITIES, &self.identities),
            (VECTORS, &self.vectors),
            (CROPS, &self.crops),
        ];
        for (tag, section) in sections {
            frame::begin(&mut bytes, tag, section.len());
            bytes.extend_from_slice(section);
        }
        write::sign(&mut bytes, &key(1));
        bytes
    }

    fn edit_header(&mut self, edit: impl FnOnce(&mut Value)) {
        edit_json(&mut self.header, edit);
    }

    /// Changes the line of one identity.
    fn edit_identity(&mut self, number: usize, edit: impl FnOnce(&mut Value)) {
        let mut lines: Vec<Vec<u8>> = self.identities.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        edit_json(&mut lines[number], edit);
        self.identities = lines.join(&b'\n');
    }
}

fn edit_json(section: &mut Vec<u8>, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(section).expect("JSON");
    edit(&mut value);
    *section = serde_json::to_vec(&value).expect("JSON");
}
