//! The chain: what makes a row follow the one before it.

use jiff::Timestamp;

use super::entry::{Draft, Entry, Row};
use super::head::Head;
use crate::bail;
use crate::base::error::Result;
use crate::err;
use crate::gallery::command::Actor;
use crate::gallery::crypt::{self, Bound, Key};

/// The MAC of a row after the one with the MAC `previous`.
pub(super) fn link(key: &Key, previous: &[u8; 32], row: &Row) -> [u8; 32] {
    let bound = Bound::to("watchlistd audit entry v1")
        .field(previous)
        .field(row.sequence.to_le_bytes())
        .field(&row.body)
        .optional(row.sealed.as_ref());
    crypt::tag(key, &bound)
}

/// The end of the log, where entries are appended. It moves when an entry is made: append to a clone, and keep that once the
/// rows are stored.
#[derive(Debug, Clone)]
pub struct Chain {
    key: Key,
    head: Head,
}

impl Chain {
    /// Goes on after the last row that is stored; starts a log if there is none.
    pub fn resume(key: Key, last: Option<&Row>) -> Self {
        let head = last.map_or_else(|| Head::start(&key), |row| Head { count: row.sequence, mac: row.mac });
        Self { key, head }
    }

    /// Where it is.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The row of the next entry. `identity_key` seals the draft's name; it is not needed if there is none.
    ///
    /// # Errors
    /// `Software`, when there is a name and no identity or no key for it; `Unavailable`, when the system gives no randomness.
    pub fn append(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        generation: u64,
        draft: Draft,
        identity_key: Option<&Key>,
    ) -> Result<Row> {
        let Some(sequence) = self.head.count.checked_add(1) else { bail!(Software, "the audit log is full") };
        let sealed = match (&draft.name, draft.identity, identity_key) {
            (None, ..) => None,
            (Some(name), Some(identity), Some(key)) => Some(name.seal(key, sequence, identity)?),
            _ => bail!(Software, "an audit entry `{}` has a name and no key to seal it", draft.action),
        };
        let entry = Entry {
            action: draft.action.as_str().to_owned(),
            actor: actor.0.clone(),
            at,
            detail: draft.detail,
            generation,
            identity: draft.identity,
            sealed: sealed.is_some(),
            sequence,
        };
        let body = serde_json::to_string(&entry)
            .map_err(|e| err!(Software, "an audit entry cannot be written").because(e))?;
        let mut row = Row { sequence, body, sealed, mac: [0; 32] };
        row.mac = link(&self.key, &self.head.mac, &row);
        self.head = Head { count: sequence, mac: row.mac };
        Ok(row)
    }
}
