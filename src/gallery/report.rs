//! What commands answer, the same over the control socket and in the tool's own process. `--json` prints these as they are.
//! None of them holds a vector or a pixel.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::Source;
use super::list::List;
use super::outside::Kind;
use super::record::{Record, Standing};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// Of `Describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Counts the changes since the store was made.
    pub generation: u64,
    /// The model whose templates are searched.
    pub model: Option<ModelId>,
    /// Templates by model.
    pub templates: BTreeMap<ModelId, u64>,
    /// Identities by standing.
    pub standings: BTreeMap<Standing, u64>,
    /// Identities whose review date has come.
    #[serde(default)]
    pub reviews_due: u64,
    /// True if enrolment crops are kept.
    pub keeps_crops: bool,
    /// Id of the master key, 16 hexadecimal digits.
    pub master_key: String,
    /// Entries in the audit log.
    pub audit: u64,
}

/// An identity in a table. Of `List`, `Change`, `Reviewed`, `Split` (the new one), `RemoveTemplate` (the owner).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Its id.
    pub id: IdentityId,
    /// What is known of it.
    #[serde(flatten)]
    pub record: Record,
    /// Where it is in its life.
    pub standing: Standing,
    /// When it was enrolled.
    pub created: Timestamp,
    /// Counts the changes of its record.
    pub revision: u64,
    /// Templates of all models.
    pub templates: u64,
}

/// Who has the templates of another now. Of `Merge` and `MoveTemplate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Who has them.
    #[serde(flatten)]
    pub person: Person,
    /// Whose they were.
    pub from: IdentityId,
    /// Templates that moved.
    pub moved: u64,
    /// Templates that went with the one that was dissolved, because the other has them already: of the same face in the same
    /// picture.
    pub repeated: u64,
    /// Templates left with whom they came from; `None` if that identity was dissolved.
    pub left: Option<u64>,
}

/// An identity with all that is stored of it. Of `Show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Portrait {
    /// The identity.
    #[serde(flatten)]
    pub person: Person,
    /// Its templates.
    pub stored: Vec<StoredTemplate>,
}

/// A template, without its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredTemplate {
    /// Its id.
    pub id: TemplateId,
    /// The model that made it.
    pub model: ModelId,
    /// Quality of the face, 0 to 1.
    pub quality: f32,
    /// Where it comes from.
    pub source: Source,
    /// When it was stored.
    pub created: Timestamp,
    /// True if the enrolment crop is kept.
    pub crop: bool,
    /// Similarity score with the nearest other template of its identity and model; `None` without one.
    pub nearest_own: Option<f32>,
}

/// What enrolling a template did. Of `Enrol`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "enrolment", rename_all = "snake_case")]
pub enum Enrolment {
    /// It is stored, and searched from now on.
    Stored {
        /// Whose it is.
        identity: IdentityId,
        /// True if the identity is new.
        new_identity: bool,
        /// The template.
        template: TemplateId,
        /// What somebody should look at all the same.
        doubts: Vec<Doubt>,
        /// Generation of the gallery in which it is.
        generation: u64,
    },
    /// The same picture was enrolled for this identity and model before.
    AlreadyThere {
        /// Whose it is.
        identity: IdentityId,
        /// The template.
        template: TemplateId,
    },
    /// Nothing was stored.
    Refused {
        /// Why.
        doubts: Vec<Doubt>,
    },
}

/// What speaks against a template beside those that are enrolled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "snake_case")]
pub enum Doubt {
    /// The identity has this picture, or one that gives the same template, already.
    Duplicate {
        /// The template it repeats.
        template: TemplateId,
        /// Similarity score of the two.
        score: f32,
    },
    /// Another identity is nearer than its own, or near enough to be taken for it.
    NearerToAnother {
        /// That identity.
        identity: IdentityId,
        /// Its name.
        name: String,
        /// Similarity score with that identity.
        score: f32,
        /// Similarity score with its own; `None` if it has no template yet.
        own: Option<f32>,
    },
    /// Far from the identity's other templates.
    Outlier {
        /// Similarity score with the nearest of them.
        own: f32,
        /// What it should be at least.
        least: f32,
    },
}

/// A list and how many are on it. Of `Lists`, `SetList`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListUse {
    /// Its settings.
    #[serde(flatten)]
    pub list: List,
    /// Identities on it, in any standing.
    pub identities: u64,
}

/// A list that was made or changed. Of `SetList`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListSet {
    /// The list.
    #[serde(flatten)]
    pub used: ListUse,
    /// Threshold of the model in use; `None` before the first start with one.
    #[serde(default)]
    pub model_threshold: Option<f32>,
}

/// Two identities that are hard to tell apart. Of `Confusable`, the closest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Similarity score of their closest templates.
    pub score: f32,
    /// The two, by id and name.
    pub identities: [(IdentityId, String); 2],
    /// True at or above the threshold in force: each may be taken for the other.
    pub above_threshold: bool,
}

/// What was forgotten, and what was not. Of `Forget`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who it was.
    pub identity: IdentityId,
    /// When.
    pub at: Timestamp,
    /// Templates destroyed.
    pub templates: u64,
    /// Crops destroyed.
    pub crops: u64,
    /// Snapshots deleted.
    #[serde(default)]
    pub snapshots: u64,
    /// True: the key is gone, and the store's write-ahead log is emptied.
    pub wiped: bool,
    /// Its own templates were searched for after the removal, so often ...
    pub probes: u64,
    /// ... and it was returned so often. Always 0, or the command fails.
    pub returned: u64,
    /// First generation without it.
    pub generation: u64,
    /// The entry of the audit log.
    pub audit: u64,
    /// Ids of those who were merged into it, which are forgotten with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dissolved: Vec<IdentityId>,
    /// What this command cannot reach, in words: backups, exports and events made before.
    pub beyond: Vec<String>,
    /// True if the identity was forgotten before, and the audit log gave this receipt: `probes` were not made again.
    #[serde(default)]
    pub again: bool,
}

/// Of `Verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examination {
    /// What was looked at: templates, identities, crops, lists, audit entries.
    pub looked_at: BTreeMap<String, u64>,
    /// What is wrong, one sentence each. None: all is well.
    pub problems: Vec<String>,
    /// What is as it was stored and may not be what is wanted, one sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Size of the audit log and the MAC of its last entry: `count:hex`.
    pub head: String,
}

/// Of `Export`; the bundle is the answer's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Identities in it.
    pub identities: u64,
    /// Templates in it.
    pub templates: u64,
    /// The gallery's generation.
    pub generation: u64,
    /// Public key it is signed with, 64 hexadecimal digits.
    pub signer: String,
    /// That key's fingerprint, for comparing by eye or by telephone.
    #[serde(default)]
    pub fingerprint: String,
    /// True if it is encrypted.
    pub encrypted: bool,
}

/// What an import did, or would do. Of `Import`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// True if nothing was changed.
    pub dry_run: bool,
    /// Label of the signer.
    pub signer: String,
    /// The sender's generation.
    pub generation: u64,
    /// New identities.
    pub added: u64,
    /// Identities that were here already, by external id or id, and got something new.
    pub merged: u64,
    /// Identities in which nothing was new.
    pub unchanged: u64,
    /// New templates.
    pub templates: u64,
    /// Identities that were forgotten here, and stay so.
    pub forgotten: u64,
    /// Lists that are made of the bundle's settings, because there are none of these names here.
    #[serde(default)]
    pub lists: Vec<String>,
    /// What each identity gets, for a preview.
    pub changes: Vec<ImportChange>,
}

/// One identity of an import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportChange {
    /// Its name in the bundle.
    pub name: String,
    /// Its external id.
    pub external_id: Option<String>,
    /// `added`, `merged`, `unchanged` or `forgotten`.
    pub what: String,
    /// New templates.
    pub templates: u64,
}

/// Whose bundles are imported. Of `Trusted`, `Trust`, `Distrust`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// This box's own public key.
    pub own: String,
    /// Its fingerprint, for comparing by eye or by telephone.
    #[serde(default)]
    pub fingerprint: String,
    /// The others.
    pub signers: Vec<Signer>,
}

/// Somebody whose bundles are imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signer {
    /// Ed25519 public key, 64 hexadecimal digits.
    pub key: String,
    /// Whose it is.
    pub label: String,
    /// Since when.
    pub added: Timestamp,
    /// Generation of the last bundle imported.
    pub generation: Option<u64>,
}

/// Of `Backup`, `RestorePreview` and `Restore`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Generation of the backup.
    pub generation: u64,
    /// The gallery's generation now.
    pub now: u64,
    /// Identities in it.
    pub identities: u64,
    /// Templates in it.
    pub templates: u64,
    /// Identities of the backup that were forgotten since, and stay so.
    pub forgotten: u64,
    /// Id of the master key it needs.
    pub master_key: String,
    /// Identities that a restore takes away, by id and name: they are here and not in the backup.
    #[serde(default)]
    pub gone: Vec<(IdentityId, String)>,
    /// True if the audit log, the signing key and the trusted signers are the backup's, too. A restore into a gallery that was used
    /// keeps that gallery's own.
    #[serde(default)]
    pub whole: bool,
}

/// Of `KeyRotate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rotated {
    /// Id of the old master key.
    pub from: String,
    /// Id of the new one.
    pub to: String,
    /// Keys wrapped again.
    pub rewrapped: u64,
    /// Values encrypted again (`--deep`).
    pub reencrypted: u64,
    /// Where the new key is, in words. Backups made before still need the old one.
    pub kept_in: String,
}

/// Of `KeyExport`; the age file is the answer's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyExported {
    /// Id of the key.
    pub master_key: String,
    /// Number of recipients that can open it.
    pub recipients: u64,
    /// True if it opens with a passphrase.
    pub passphrase: bool,
}

/// Of `AuditVerify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Entries that were looked at.
    pub entries: u64,
    /// `count:hex` of the last.
    pub head: String,
    /// What is wrong, one sentence each. None: all is well.
    pub problems: Vec<String>,
}

/// An entry of the audit log, for people and programs. Of `AuditShow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts from 1 without a gap.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// About whom.
    pub identity: Option<IdentityId>,
    /// The name at that time; of whom is not here any more, why: `forgotten`, `removed by a restore`, `merged into ...`.
    pub name: Option<String>,
    /// The gallery's generation after it.
    pub generation: u64,
    /// The rest.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// Of `Snapshot`; the picture is the answer's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotShown {
    /// The snapshot.
    pub id: Uuid,
    /// Which picture.
    pub kind: Kind,
    /// Who is in it; `None`: nobody who is enrolled.
    pub identity: Option<IdentityId>,
    /// Bytes of the JPEG.
    pub bytes: u64,
}

/// Somebody on a list at some time. Of `AuditAt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub identity: IdentityId,
    /// The name at that time; of whom is not here any more, why: `forgotten`, `removed by a restore`, `merged into ...`.
    pub name: String,
    /// On which lists.
    pub lists: Vec<String>,
    /// In which standing.
    pub standing: Standing,
}

/// What a model switch means. Of `SwitchModel` and `RollbackModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switched {
    /// True if the gallery uses the new model now.
    pub switched: bool,
    /// The old model.
    pub from: ModelId,
    /// The new model.
    pub to: ModelId,
    /// Identities with a template of the new model.
    pub ready: u64,
    /// Identities that would be lost, for want of a kept crop: they need new pictures.
    pub lost: Vec<(IdentityId, String)>,
    /// Templates made for it.
    pub embedded: u64,
    /// Scores under the old and the new model.
    pub scores: Vec<ModelScores>,
}

/// How a model sees the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScores {
    /// The model.
    pub model: ModelId,
    /// Its threshold.
    pub threshold: f32,
    /// Mean similarity score of each template with the nearest other one of its identity.
    pub mated: Option<f32>,
    /// Mean similarity score of each identity with the nearest other one.
    pub non_mated: Option<f32>,
    /// Pairs of identities at or above the threshold.
    pub confusable: Vec<Pair>,
}
