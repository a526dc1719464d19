//! An entry: before it is written, as it is stored, and as it is read.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::action::Action;
use crate::base::error::Result;
use crate::gallery::crypt::{self, Bound, Key};
use crate::gallery::record::{Record, Standing};
use crate::gallery::report::AuditEntry;
use crate::types::ids::IdentityId;
use crate::{bail, err};

/// Stands for a name whose key was destroyed.
pub const FORGOTTEN: &str = "forgotten";

/// Stands for a name that does not open although its key is there: `audit verify` says more.
pub const UNREADABLE: &str = "unreadable";

/// Sealed text is filled up to a multiple of this, so that its length says little about the name.
const BLOCK: usize = 128;

/// What of an entry identifies a person to people. It is sealed under the identity's key and prints as `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPart {
    /// The name at that time.
    pub name: String,
    /// The external id at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whatever else names the person: a file's name, say.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An entry that is not written yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What is done.
    pub action: Action,
    /// About whom.
    pub identity: Option<IdentityId>,
    /// Anything else that may be read by whoever reads the store: no names, no file names.
    pub detail: Map<String, Value>,
    /// What only the identity's key opens.
    pub name: Option<SealedPart>,
}

/// A row of the log, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts from 1 without a gap.
    pub sequence: u64,
    /// The entry: JSON. The MAC is over this very text.
    pub body: String,
    /// The sealed part, if there is one. It stays when its key is destroyed.
    pub sealed: Option<Vec<u8>>,
    /// HMAC-SHA-256 over the MAC before and the other columns.
    pub mac: [u8; 32],
}

/// An entry as it is read from a row's body.
// In the order of the alphabet, so that the text has its keys sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The name of an [`Action`]; of none if a later version wrote it.
    pub action: String,
    /// Who did it.
    pub actor: String,
    /// When, by the box's clock. May be before the entry before, if the clock was set.
    pub at: Timestamp,
    /// Anything else.
    pub detail: Map<String, Value>,
    /// The gallery's generation after it.
    pub generation: u64,
    /// About whom.
    pub identity: Option<IdentityId>,
    /// True if there is a sealed part.
    pub sealed: bool,
    /// Counts from 1 without a gap.
    pub sequence: u64,
}

impl SealedPart {
    /// A record's name and external id.
    pub fn of(record: &Record) -> Self {
        Self {
            name: record.name.to_string(),
            external_id: record.external_id.as_ref().map(ToString::to_string),
            more: Map::new(),
        }
    }

    /// Adds something that names the person.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Sealed for one entry about one identity: it opens in no other.
    pub(super) fn seal(&self, key: &Key, sequence: u64, identity: IdentityId) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)
            .map_err(|e| err!(Software, "an audit entry's name cannot be written").because(e))?;
        // White space after JSON means nothing.
        text.resize(text.len().next_multiple_of(BLOCK), b' ');
        crypt::seal(key, &bound(sequence, identity), &text)
    }
}

fn bound(sequence: u64, identity: IdentityId) -> Bound {
    Bound::to("audit entry").field(sequence.to_le_bytes()).field(identity.0.as_bytes())
}

impl fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedPart(***)")
    }
}

impl Draft {
    /// An action, about nobody, with no detail.
    pub fn new(action: Action) -> Self {
        Self { action, identity: None, detail: Map::new(), name: None }
    }

    /// About this identity, whose name is sealed.
    #[must_use]
    pub fn about(mut self, identity: IdentityId, name: SealedPart) -> Self {
        self.identity = Some(identity);
        self.name = Some(name);
        self
    }

    /// About this identity, by its id only: `forgotten`, whose key is gone.
    #[must_use]
    pub fn about_id(mut self, identity: IdentityId) -> Self {
        self.identity = Some(identity);
        self
    }

    /// With a detail that anybody may read.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    /// On these lists in this standing from now on. Every entry that changes either says both: this is what
    /// [`members_at`](super::members_at) answers from. On no list: not a member any more.
    #[must_use]
    pub fn member<L: ToString>(self, lists: impl IntoIterator<Item = L>, standing: Standing) -> Self {
        let lists: Vec<Value> = lists.into_iter().map(|list| list.to_string().into()).collect();
        self.with("lists", lists).with("standing", standing.as_str())
    }
}

impl Row {
    /// The entry in the body.
    ///
    /// # Errors
    /// `Data`, when it is none, or another row's.
    pub fn entry(&self) -> Result<Entry> {
        let entry: Entry = serde_json::from_str(&self.body).map_err(|e| {
            err!(Data, "audit entry {} cannot be read: run `watchlistd audit verify`", self.sequence)
                .because(e)
        })?;
        if entry.sequence != self.sequence {
            let says = entry.sequence;
            bail!(
                Data,
                "audit entry {} says it is entry {says}: run `watchlistd audit verify`",
                self.sequence
            );
        }
        Ok(entry)
    }

    /// The sealed part, if the key opens it for this entry about this identity.
    pub fn open(&self, identity: IdentityId, key: &Key) -> Option<SealedPart> {
        let text = crypt::open(key, &bound(self.sequence, identity), self.sealed.as_deref()?)?;
        serde_json::from_slice(&text).ok()
    }

    /// The name at that time, for people. `None` if the entry never had one; [`FORGOTTEN`] without a key; [`UNREADABLE`] if
    /// the key does not open it.
    pub fn name(&self, identity: IdentityId, key: Option<&Key>) -> Option<String> {
        self.sealed.as_ref()?;
        let Some(key) = key else { return Some(FORGOTTEN.to_owned()) };
        Some(self.open(identity, key).map_or_else(|| UNREADABLE.to_owned(), |part| part.name))
    }
}

impl Entry {
    /// The action, if this version knows it.
    pub fn action(&self) -> Option<Action> {
        self.action.parse().ok()
    }

    /// True if it is about this identity, or its detail names it (whom another was merged into, say).
    pub fn concerns(&self, identity: IdentityId) -> bool {
        let id = identity.to_string();
        self.identity == Some(identity) || self.detail.values().any(|value| value.as_str() == Some(&id))
    }

    /// For people and programs, with the name that [`Row::name`] gave.
    pub fn report(self, name: Option<String>) -> AuditEntry {
        AuditEntry {
            sequence: self.sequence,
            at: self.at,
            actor: self.actor,
            action: self.action,
            identity: self.identity,
            name,
            generation: self.generation,
            detail: self.detail,
        }
    }
}
