//! What is known of an identity besides its templates. All of it is sealed under the identity's key.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::{self, Name};
use crate::bail;
use crate::base::error::{Error, Result};
use crate::types::ids::IdentityId;

/// Most bytes of one field of free text.
pub const MAX_TEXT: usize = 4096;

/// An identity's record: who it is, why it is looked for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Display name, in any script. Two identities may share one if external ids tell them apart.
    pub name: Name,
    /// The id another system knows the person by; unique in the gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// The lists it is on. On none it is not looked for.
    #[serde(default)]
    pub lists: BTreeSet<ListName>,
    /// Why the person is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// By whose authority, or the record of the consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Where the pictures come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_source: Option<String>,
    /// Looked for from then on; always, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Looked for until then (exclusive); for ever, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// When somebody should look whether it still belongs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Timestamp>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl Record {
    /// A record with a name, on the list that everybody is on who is not told otherwise.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            external_id: None,
            lists: BTreeSet::from([ListName::default()]),
            purpose: None,
            authority: None,
            image_source: None,
            valid_from: None,
            valid_until: None,
            review: None,
            notes: None,
        }
    }

    /// What cannot stand in a record: text that is too long or holds control characters, an end before the start.
    ///
    /// # Errors
    /// `Data`, naming the field.
    pub fn check(&self) -> Result<()> {
        let texts = [
            ("purpose", &self.purpose),
            ("authority", &self.authority),
            ("image source", &self.image_source),
            ("notes", &self.notes),
        ];
        for (field, text) in texts {
            let Some(text) = text else { continue };
            if text.len() > MAX_TEXT {
                bail!(Data, "{field}: {} bytes; expected at most {MAX_TEXT}", text.len());
            }
            if let Some(bad) = text.chars().find(|c| c.is_control() && *c != '\n') {
                bail!(Data, "{field}: holds the control character {:?}", bad.escape_unicode().to_string());
            }
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && until <= from
        {
            bail!(Data, "valid until {until} is not after valid from {from}");
        }
        Ok(())
    }

    /// What the validity says at `now`.
    pub fn standing_at(&self, now: Timestamp) -> Standing {
        if self.valid_until.is_some_and(|until| now >= until) {
            Standing::Expired
        } else if self.valid_from.is_some_and(|from| now < from) {
            Standing::Pending
        } else {
            Standing::Active
        }
    }
}

/// Where an identity is in its life. The daemon moves it on when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not looked for yet.
    Pending,
    /// Looked for, if it is on a list.
    Active,
    /// Not looked for any more. Only a changed validity brings it back.
    Expired,
}

impl Standing {
    /// The name in tables, JSON and the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Pending => "pending",
            Standing::Active => "active",
            Standing::Expired => "expired",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Another system's id of a person: 1 to 128 characters, none of them white space or control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(Arc<str>);

/// A list's name: 1 to 64 of `a-z 0-9 _ - .`, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName(Arc<str>);

impl ExternalId {
    /// Trims and checks.
    ///
    /// # Errors
    /// `Data`, when it is empty, too long, or holds a character that is refused.
    pub fn new(text: &str) -> Result<Self> {
        let id = text.trim();
        let count = id.chars().count();
        if count == 0 || count > 128 || id.chars().any(|c| c.is_control() || c.is_whitespace()) {
            bail!(Data, "external id {id:?}: expected 1 to 128 characters without white space");
        }
        if let Some(bad) = id.chars().find(|&c| !name::is_seen(c) || name::misleads(c)) {
            bail!(
                Data,
                "external id {id:?} holds {:?}, which cannot be seen: two that look the same would be two people",
                bad.escape_unicode().to_string()
            );
        }
        if id.parse::<IdentityId>().is_ok() {
            bail!(
                Data,
                "external id {id:?} has the form of this program's own ids: it could be taken for somebody else's"
            );
        }
        Ok(Self(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ExternalId {
    /// The id, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl ListName {
    /// Checks.
    ///
    /// # Errors
    /// `Data`, when it is empty, too long, or holds a character that is refused.
    pub fn new(text: &str) -> Result<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if text.len() > 64 || !starts_well || !text.chars().all(good) {
            bail!(Data, "list {text:?}: expected 1 to 64 of a-z 0-9 _ - . starting with a letter or digit");
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ListName {
    /// `watchlist`, which every gallery has.
    fn default() -> Self {
        Self("watchlist".into())
    }
}

macro_rules! text_like {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0.to_string()
            }
        }
    };
}

text_like!(ExternalId);
text_like!(ListName);
