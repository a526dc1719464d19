//! Snapshots, which are kept outside the gallery under its keys: what the gallery knows of them, and who looked at one.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{ChangeSet, Keeper};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Actor, Reply};
use crate::gallery::crypt::Key;
use crate::gallery::outside::{Kind, Outside};
use crate::gallery::report::SnapshotShown;
use crate::types::ids::IdentityId;
use crate::{bail, err};

/// The setting that remembers how long snapshots of strangers are kept, in seconds. Missing: none are.
const UNKNOWN: &str = "unknown_snapshots";

impl Keeper {
    /// From now on what is kept there goes with whoever is forgotten.
    pub fn set_outside(&mut self, outside: Arc<dyn Outside>) {
        self.outside = Some(outside);
    }

    /// The key of snapshots of nobody who is enrolled.
    pub fn snapshots_key(&self) -> Key {
        self.store.keys().snapshots()
    }

    /// Snapshots of strangers are kept for so long from now on, or not at all. A change of that, also one made while nothing ran, is
    /// on record.
    ///
    /// # Errors
    /// As a commit.
    pub fn note_unknown_snapshots(&mut self, now: Option<Duration>) -> Result<()> {
        if self.read_only() {
            return Ok(());
        }
        let before = self.store.read(|tables| tables.setting(UNKNOWN))?;
        let now = now.map(|time| time.as_secs().to_string());
        if before == now {
            return Ok(());
        }
        let value =
            |time: &Option<String>| time.as_ref().map_or("off".to_owned(), |secs| format!("{secs} s"));
        let draft = Draft::new(Action::UnknownSnapshots).with("from", value(&before)).with("to", value(&now));
        let mut change = ChangeSet { settings: vec![(UNKNOWN, now)], ..ChangeSet::default() };
        change.say(draft);
        self.commit(&Actor::daemon(), change).map(drop)
    }

    /// A picture of a snapshot. That somebody looked at it is on record before they have it.
    pub(super) fn snapshot(&mut self, actor: &Actor, id: Uuid, kind: Kind) -> Result<Reply> {
        let Some(outside) = &self.outside else { bail!(NoInput, "no snapshots are kept here") };
        let fetched = outside.fetch(id, kind)?.ok_or_else(|| {
            err!(
                NoInput,
                "there is no {kind} of a snapshot {id}: it may be over, its recognition withdrawn, or whoever was in it forgotten"
            )
        })?;
        let draft = Draft::new(Action::SnapshotFetched)
            .with("snapshot", id.to_string())
            .with("picture", kind.as_str());
        let mut change = ChangeSet::default();
        match fetched.identity {
            Some(identity) => {
                let entry = self.directory.expect(identity)?;
                let name = SealedPart::of(&entry.identity.record);
                change.say_of(&entry.identity, draft.about(identity, name));
            }
            None => change.say(draft),
        }
        self.on_record(actor, change)?;
        let shown = SnapshotShown { id, kind, identity: fetched.identity, bytes: fetched.jpeg.len() as u64 };
        let value = serde_json::to_value(&shown).map_err(|e| err!(Software, "a report").because(e))?;
        Ok(Reply { value, body: fetched.jpeg.to_vec() })
    }

    /// Snapshots of these identities; of what cannot be counted, none.
    pub(super) fn snapshots_of(&self, identities: &[IdentityId]) -> u64 {
        let count = |outside: &Arc<dyn Outside>| outside.count(identities).unwrap_or_default();
        self.outside.as_ref().map_or(0, count)
    }

    /// Deletes the snapshots of who was forgotten just now. Whatever becomes of that, nobody can open them any more.
    pub(super) fn forget_snapshots(&self, identities: &[IdentityId]) -> Result<u64> {
        self.outside.as_ref().map_or(Ok(0), |outside| outside.forget(identities))
    }
}
