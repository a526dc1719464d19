//! A row of the log: what it holds, what binds it, and how an event becomes one and comes back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ring::Ring;
use crate::base::error::Result;
use crate::err;
use crate::events::Event;
use crate::gallery::crypt::{self, Bound, Key};
use crate::types::ids::IdentityId;

/// The kind of a row that stands for events that retention took.
const EXPIRED: &str = "expired";
/// The type of the event that stands for others that were lost.
pub(super) const LOST: &str = "io.watchlistd.lost.v1";

/// What is stored, and bound by a MAC. It stands for the events `first..=sequence`: one, or those that are no more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub first: u64,
    pub sequence: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub at: i64,
    /// The event's type, or [`EXPIRED`].
    pub kind: String,
    /// The names of its lists, as a JSON array; empty without any.
    pub lists: String,
    pub identity: Option<IdentityId>,
    /// The event's JSON without what points to a person outside the gallery.
    pub body: Vec<u8>,
    /// That part, sealed under the identity's key.
    pub personal: Option<Vec<u8>>,
}

/// What points to a person outside the gallery.
#[derive(Default, Serialize, Deserialize)]
struct Personal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

impl Row {
    /// The row of an event, which gets its place. Without the identity's key the name is not kept: who is not in the gallery any
    /// more has no name.
    ///
    /// # Errors
    /// `Unavailable`, when the system gives no randomness.
    pub fn of(mut event: Event, log: Uuid, sequence: u64, at: Timestamp, ring: &dyn Ring) -> Result<Self> {
        event.place(log, sequence);
        let personal = take_personal(&mut event);
        let identity = event.identity().map(|identity| identity.id);
        let lists = event.identity().map(|identity| identity.lists.as_slice()).unwrap_or_default();
        let lists = if lists.is_empty() { String::new() } else { json(&lists)? };
        let sealed = match (identity, personal) {
            (Some(identity), Some(personal)) => match ring.sealing(identity) {
                Some(key) => {
                    let plain = zeroize::Zeroizing::new(json(&personal)?.into_bytes());
                    Some(crypt::seal(&key, &personal_bound(log, sequence, identity), &plain)?)
                }
                None => None,
            },
            _ => None,
        };
        Ok(Self {
            first: sequence,
            sequence,
            at: at.as_millisecond(),
            kind: event.kind.as_str().to_owned(),
            lists,
            identity,
            body: event.to_line().into_bytes(),
            personal: sealed,
        })
    }

    /// The row that stands for events that retention took.
    pub fn expired(first: u64, sequence: u64, at: i64) -> Self {
        let kind = EXPIRED.to_owned();
        let lists = String::new();
        Self { first, sequence, at, kind, lists, identity: None, body: Vec::new(), personal: None }
    }

    /// The row of a loss event, which stands for the events that were lost.
    ///
    /// # Errors
    /// As [`Row::of`].
    pub fn lost(
        event: Event,
        log: Uuid,
        first: u64,
        sequence: u64,
        at: Timestamp,
        ring: &dyn Ring,
    ) -> Result<Self> {
        Ok(Self { first, ..Self::of(event, log, sequence, at, ring)? })
    }

    /// True if it stands for events that retention took.
    pub fn is_expired(&self) -> bool {
        self.kind == EXPIRED
    }

    /// The MAC that binds all of it to its place in the log.
    pub fn mac(&self, key: &Key, log: Uuid) -> [u8; 32] {
        let bound = Bound::to("watchlistd event v1")
            .field(log.as_bytes())
            .field(self.first.to_le_bytes())
            .field(self.sequence.to_le_bytes())
            .field(self.at.to_le_bytes())
            .field(&self.kind)
            .field(&self.lists)
            .optional(self.identity.map(|id| *id.0.as_bytes()))
            .field(&self.body)
            .optional(self.personal.as_ref());
        crypt::tag(key, &bound)
    }

    /// The epoch that the event says it is of, which nothing vouches for.
    pub fn epoch_in_body(&self) -> Option<Uuid> {
        Some(serde_json::from_slice::<Event>(&self.body).ok()?.log())
    }

    /// Whether the name opens; `None`, where none is kept.
    pub fn name_opens(&self, log: Uuid, ring: &dyn Ring) -> Option<bool> {
        let (identity, sealed) = (self.identity?, self.personal.as_ref()?);
        let bound = personal_bound(log, self.sequence, identity);
        Some(ring.opening(identity).iter().any(|key| crypt::open(key, &bound, sealed).is_some()))
    }

    /// The event, with the name if it was kept and the identity is still there.
    ///
    /// # Errors
    /// `Data`, when it is none: nothing that this program wrote.
    pub fn event(&self, log: Uuid, ring: &dyn Ring) -> Result<Event> {
        let mut event: Event = serde_json::from_slice(&self.body).map_err(|e| {
            err!(Data, "event {} of the log is of a version that this program does not read", self.sequence)
                .because(e)
        })?;
        let bound = |id| personal_bound(log, self.sequence, id);
        if let (Some(id), Some(sealed)) = (self.identity, &self.personal)
            && let Some(plain) = ring.opening(id).iter().find_map(|key| crypt::open(key, &bound(id), sealed))
            && let Ok(personal) = serde_json::from_slice::<Personal>(&plain)
            && let Some(identity) = event.identity_mut()
        {
            (identity.name, identity.external_id) = (personal.name, personal.external_id);
        }
        Ok(event)
    }
}

fn take_personal(event: &mut Event) -> Option<Personal> {
    let identity = event.identity_mut()?;
    let personal = Personal { name: identity.name.take(), external_id: identity.external_id.take() };
    (personal.name.is_some() || personal.external_id.is_some()).then_some(personal)
}

fn personal_bound(log: Uuid, sequence: u64, identity: IdentityId) -> Bound {
    Bound::to("event's person")
        .field(log.as_bytes())
        .field(sequence.to_le_bytes())
        .field(identity.0.as_bytes())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| err!(Software, "a value that is no JSON").because(e))
}
