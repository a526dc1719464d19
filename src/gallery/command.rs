//! What can be asked of the gallery. A command is the same whether it comes over the control socket of a running daemon
//! or from a tool that opened the store itself.
//!
//! ```text
//!  command line ─▶ Desk ─┬─ a daemon holds the gallery ─▶ control socket ─▶ Keeper::execute
//!                        └─ nobody does ─▶ opens it, with the key ────────▶ Keeper::execute
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::list::List;
use super::name::Name;
use super::outside;
use super::record::{ExternalId, ListName, Record, Standing};
use super::review::EventReview;
use crate::base::error::Result;
use crate::types::ids::ModelId;

/// Who asks, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The daemon itself, when something's time has come.
    pub fn daemon() -> Self {
        Self("daemon".to_owned())
    }
}

/// An answer: JSON for programs, and bytes where the command gives some (a bundle, a backup).
#[derive(Debug, Default)]
pub struct Reply {
    /// A report; each command has its own type for it.
    pub value: serde_json::Value,
    /// What does not belong into JSON.
    pub body: Vec<u8>,
}

/// How far a long command has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub what: String,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

/// Whoever can be asked: the keeper itself, or a daemon over its socket.
pub trait Desk {
    /// Has the command carried out; `body` goes with it.
    ///
    /// # Errors
    /// What the command gives, with the same kind however it was asked.
    fn ask(&mut self, command: Command, body: Vec<u8>, progress: &mut dyn FnMut(Progress)) -> Result<Reply>;
}

/// Names an identity on the command line: its id, its external id, or its name, if only one has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Who(pub String);

/// Whom a template is for. The identity of that external id, else the only one of that name, else a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The record of a new identity. Of one that is there already, nothing is changed.
    pub record: Record,
}

/// How strictly a new template is looked at beside what is enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    /// What is doubtful is refused.
    Strict,
    /// What is nearly certainly wrong is refused; what is doubtful is told.
    #[default]
    Standard,
    /// Nothing is refused; everything is told.
    Off,
}

/// Where a template comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What it was made from.
    pub kind: SourceKind,
    /// The picture file's name, the event's id, or the bundle's origin: for people.
    pub name: String,
    /// SHA-256 of the picture file, in hexadecimal; of an event: of its id; of one face among several in a picture: of the file's
    /// digest and the face's box.
    pub sha256: String,
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A picture file.
    File,
    /// An event of a camera.
    Event,
    /// A bundle from another box.
    Import,
    /// A kept crop, embedded by another model.
    Crop,
}

/// A template to enrol. The command's body holds the vector (little-endian f32), and after it the crop's file, if any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemplateData {
    /// The model that made the vector.
    pub model: ModelId,
    /// Numbers in the vector.
    pub dimension: usize,
    /// Quality of the face, 0 to 1.
    pub quality: f32,
    /// Where it comes from.
    pub source: Source,
}

/// Most templates in one [`Command::EnrolMany`]. Sixteen records as long as they may be fit one line of the control protocol.
pub const MOST_OFFERS: usize = 16;

/// One of several templates to enrol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// For whom.
    pub subject: Subject,
    /// What; its vector and crop are the next `body` bytes of the command's body.
    pub template: TemplateData,
    /// Bytes of its vector and crop.
    pub body: usize,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Command {
    /// What the gallery is: generation, models, counts, whether crops are kept.
    Describe,
    /// Which of these pictures (SHA-256, hexadecimal) are enrolled for the subject and the model. Answers a list of booleans.
    Known {
        /// For whom.
        subject: Subject,
        /// By which model.
        model: ModelId,
        /// The pictures.
        sources: Vec<String>,
    },
    /// Enrols a template.
    Enrol {
        /// For whom.
        subject: Subject,
        /// What, with its vector and crop in the body.
        template: TemplateData,
        /// How strictly.
        review: Review,
    },
    /// Enrols several templates, at most [`MOST_OFFERS`], as if one after the other, but in one transaction: all that is not
    /// refused is stored, or nothing. Answers a list, in their order. A disk is waited for once, not once for each.
    EnrolMany {
        /// The templates; the body is theirs, one after the other.
        offers: Vec<Offer>,
        /// How strictly.
        review: Review,
    },
    /// All identities, or those that fit.
    List {
        /// On this list.
        list: Option<ListName>,
        /// In this standing.
        standing: Option<Standing>,
        /// Whose name, external id or id holds this.
        text: Option<String>,
    },
    /// An identity with its templates.
    Show {
        /// Whom.
        who: Who,
    },
    /// Changes an identity's record.
    Change {
        /// Whose.
        who: Who,
        /// What.
        change: Box<Change>,
    },
    /// Somebody looked whether the identity still belongs here.
    Reviewed {
        /// Whom.
        who: Who,
        /// When to look again.
        next: Option<Timestamp>,
    },
    /// Moves everything of one identity to another, which keeps its record.
    Merge {
        /// Dissolved.
        from: Who,
        /// Kept.
        into: Who,
    },
    /// Moves some templates to a new identity, which is on the same lists for the same time and purpose.
    Split {
        /// From whom.
        who: Who,
        /// Which templates: ids, or parts of them that only one has.
        templates: Vec<String>,
        /// The new one's name.
        name: Name,
    },
    /// Moves a template to another identity.
    MoveTemplate {
        /// Which.
        template: String,
        /// To whom.
        to: Who,
    },
    /// Removes a template.
    RemoveTemplate {
        /// Which.
        template: String,
    },
    /// Destroys an identity's key and everything of it. Of whom was forgotten before, by id or external id: the receipt again.
    Forget {
        /// Whom.
        who: Who,
        /// Why, for the audit log; it is kept, so it should not name the person.
        reason: Option<String>,
    },
    /// All lists with their settings and how many identities are on each.
    Lists,
    /// Makes a list, or changes its settings.
    SetList {
        /// Its settings.
        list: List,
    },
    /// Removes a list nobody is on.
    RemoveList {
        /// Which.
        name: ListName,
    },
    /// The closest pairs of identities.
    Confusable {
        /// How many pairs.
        most: usize,
    },
    /// Looks at everything that is stored.
    Verify,
    /// Identities into a signed bundle.
    Export {
        /// Only those on these lists; all, if empty.
        lists: BTreeSet<ListName>,
        /// Encrypted to these age recipients; not encrypted, if empty.
        recipients: Vec<String>,
        /// With the enrolment crops.
        crops: bool,
    },
    /// A bundle, which is the body, into the gallery.
    Import {
        /// Only says what would be done.
        dry_run: bool,
        /// Also a generation older than the last one from that box.
        force: bool,
        /// Opens an encrypted bundle: an age identity (`AGE-SECRET-KEY-1...`).
        identity: Option<SecretText>,
    },
    /// Public key of this box, and whose bundles it imports.
    Trusted,
    /// Imports bundles signed by this key from now on.
    Trust {
        /// Ed25519 public key, 64 hexadecimal digits.
        key: String,
        /// Whose it is.
        label: String,
    },
    /// Does so no longer.
    Distrust {
        /// The key or its label.
        key: String,
    },
    /// The store as a file, in the answer's body. It never holds the master key.
    Backup,
    /// What a restore of the backup in the body would do.
    RestorePreview {
        /// The master key of that time, 64 hexadecimal digits, if it was another.
        key: Option<SecretText>,
    },
    /// A backup, which is the body, in place of what is stored. Who was forgotten stays forgotten.
    Restore {
        /// The master key of that time, 64 hexadecimal digits, if it was another.
        key: Option<SecretText>,
    },
    /// The master key, encrypted with age, in the answer's body.
    KeyExport {
        /// To these recipients ...
        recipients: Vec<String>,
        /// ... or with this passphrase.
        passphrase: Option<SecretText>,
    },
    /// Another master key.
    KeyRotate {
        /// The new one, 64 hexadecimal digits, for a key that comes from a credential; else one is made and written to the key
        /// file.
        key: Option<SecretText>,
        /// Also gives each identity a new key and encrypts everything again.
        deep: bool,
    },
    /// Checks the audit log.
    AuditVerify {
        /// Against a head kept elsewhere: `count:hex`.
        head: Option<String>,
    },
    /// Count and MAC of the last entry, to be kept elsewhere.
    AuditHead,
    /// Takes the audit log as it is, although the head kept beside the gallery says otherwise. That it was done is on record.
    AuditAcceptHead,
    /// Entries that fit, oldest first.
    AuditShow {
        /// Which.
        filter: AuditFilter,
    },
    /// A picture of a snapshot, in the answer's body. That it was looked at is on record.
    Snapshot {
        /// The snapshot.
        id: Uuid,
        /// Which picture.
        kind: outside::Kind,
    },
    /// What an operator says of a recognition.
    ReviewEvent {
        /// The verdict, and what it is about.
        review: Box<EventReview>,
    },
    /// What operators said of all events: how many were right.
    Reviews,
    /// Who was on which list then.
    AuditAt {
        /// When.
        at: Timestamp,
    },
    /// Makes another model the gallery's.
    SwitchModel {
        /// The new model's manifest.
        manifest: PathBuf,
        /// Only says what it would mean.
        dry_run: bool,
        /// Even if identities would be lost.
        force: bool,
    },
    /// Makes the model before the last switch the gallery's again.
    RollbackModel,
}

/// What of a record changes. `Some(None)` takes a field away.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Another name.
    pub name: Option<Name>,
    /// Another external id.
    #[serde(with = "twice")]
    pub external_id: Option<Option<ExternalId>>,
    /// Onto these lists.
    pub onto: BTreeSet<ListName>,
    /// Off these lists.
    pub off: BTreeSet<ListName>,
    /// Another purpose.
    #[serde(with = "twice")]
    pub purpose: Option<Option<String>>,
    /// Another authority.
    #[serde(with = "twice")]
    pub authority: Option<Option<String>>,
    /// Another source of the pictures.
    #[serde(with = "twice")]
    pub image_source: Option<Option<String>>,
    /// Another start.
    #[serde(with = "twice")]
    pub valid_from: Option<Option<Timestamp>>,
    /// Another end.
    #[serde(with = "twice")]
    pub valid_until: Option<Option<Timestamp>>,
    /// Another review date.
    #[serde(with = "twice")]
    pub review: Option<Option<Timestamp>>,
    /// Other notes.
    #[serde(with = "twice")]
    pub notes: Option<Option<String>>,
}

impl Change {
    /// The record after the change.
    pub fn applied(self, mut record: Record) -> Record {
        record.lists.extend(self.onto);
        record.lists.retain(|list| !self.off.contains(list));
        if let Some(name) = self.name {
            record.name = name;
        }
        replace(&mut record.external_id, self.external_id);
        replace(&mut record.purpose, self.purpose);
        replace(&mut record.authority, self.authority);
        replace(&mut record.image_source, self.image_source);
        replace(&mut record.valid_from, self.valid_from);
        replace(&mut record.valid_until, self.valid_until);
        replace(&mut record.review, self.review);
        replace(&mut record.notes, self.notes);
        record
    }
}

fn replace<T>(field: &mut Option<T>, with: Option<Option<T>>) {
    if let Some(value) = with {
        *field = value;
    }
}

/// Which entries of the audit log.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditFilter {
    /// About this identity (also one that was forgotten, by its id).
    pub who: Option<Who>,
    /// Of this action.
    pub action: Option<String>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    /// At most so many, the newest of them.
    pub most: Option<usize>,
}

/// A secret that goes over the control socket and nowhere else. It prints as `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(zeroize::Zeroizing<String>);

impl SecretText {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(zeroize::Zeroizing::new(text.into()))
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `Option<Option<T>>` as JSON: missing, or a list of none or one.
mod twice {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::ref_option, reason = "serde's own signature")]
    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(|inner| inner.iter().collect::<Vec<_>>()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        let list = Option::<Vec<T>>::deserialize(deserializer)?;
        Ok(list.map(|list| list.into_iter().next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_wire_and_tells_untouched_from_taken_away() {
        let change = Change {
            purpose: Some(None),
            notes: Some(Some("a note".to_owned())),
            onto: BTreeSet::from([ListName::new("staff").expect("a list")]),
            ..Change::default()
        };
        let text = serde_json::to_string(&change).expect("JSON");
        assert_eq!(serde_json::from_str::<Change>(&text).expect("a change"), change);
        let mut record = Record::new(Name::new("Ana").expect("a name"));
        record.purpose = Some("gone".to_owned());
        record.authority = Some("stays".to_owned());
        let after = change.applied(record);
        assert_eq!((after.purpose, after.authority.as_deref()), (None, Some("stays")));
        assert_eq!((after.notes.as_deref(), after.lists.len()), (Some("a note"), 2));
    }

    #[test]
    fn as_many_offers_as_may_be_sent_fit_a_line_of_the_control_protocol() {
        let text = Some("\"".repeat(crate::gallery::record::MAX_TEXT));
        let mut record = Record::new(Name::new(&"\u{10400}".repeat(200)).expect("a name"));
        record.lists = (0..100).map(|n| ListName::new(&format!("list-{n}")).expect("a list")).collect();
        record.purpose = text.clone();
        record.authority = text.clone();
        record.image_source = text.clone();
        record.notes = text;
        record.check().expect("a record");
        let source = Source { kind: SourceKind::File, name: "\u{10400}".repeat(200), sha256: "0".repeat(64) };
        let template =
            TemplateData { model: ModelId([255; 32]), dimension: 4096, quality: 0.123_456_79, source };
        let offer = Offer { subject: Subject { record }, template, body: 600_000 };
        let command = Command::EnrolMany { offers: vec![offer; MOST_OFFERS], review: Review::Standard };
        let line = serde_json::to_string(&command).expect("JSON");
        assert!(line.len() < (1 << 20) - 1024, "{}", line.len());
    }

    #[test]
    fn no_secret_is_printed() {
        let command = Command::KeyExport { recipients: vec![], passphrase: Some(SecretText::new("tulip")) };
        assert!(!format!("{command:?}").contains("tulip"));
    }
}
