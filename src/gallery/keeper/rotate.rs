//! Another master key in place of the one there is, and the master key for a place elsewhere.
//!
//! ```text
//!  key file     gallery.key: A      A + .next: B        A + .next: B           B
//!  store        under A             under A             under B                under B
//!               ├── replace ───────▶├── one transaction ▶├── promote ──────────▶│
//!  killed:      A opens             A opens; B is made   B opens, and the next  B opens
//!                                   anew next time       opening promotes it
//! ```
//!
//! A rotation wraps keys again and touches nothing that they seal. A deep one also gives every identity another key and seals
//! its record, templates and crops with it, some identities at a time before that transaction, for when an identity's key may be
//! known to somebody; one that was killed has given some of them their next key, and is done again. The store's own keys stay:
//! under them are the audit log's chain and the tags of what was forgotten, which cannot be made again. A backup made before
//! needs the old master key.

use super::held::Held;
use super::{Keeper, steps};
use crate::base::error::{Error, Result};
use crate::base::faults;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::{Actor, Progress, Reply, SecretText};
use crate::gallery::crypt::{Key, KeyId};
use crate::gallery::escrow::{self, To};
use crate::gallery::master::{self, KeySource};
use crate::gallery::report::{KeyExported, Rotated};
use crate::gallery::store::{Content, Keys};
use crate::types::ids::IdentityId;
use crate::{bail, err};

use super::ChangeSet;

/// Identities that get another key under one lock, in one transaction.
const AT_A_TIME: usize = 64;

/// Wraps every key under another master key: the one that is `given`, else the pending credential, else one that is made.
/// `deep` also gives each identity another key, some at a time, with others in between.
pub(super) fn key_rotate(
    held: &mut impl Held,
    actor: &Actor,
    given: Option<&SecretText>,
    deep: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rotated> {
    // What cannot end well does not begin.
    let next = held.with(|keeper| keeper.begin_rotation(given))?;
    let mut reencrypted = 0;
    let people: Vec<IdentityId> = match deep {
        true => held.with(|keeper| keeper.directory.iter().map(|entry| entry.identity.id).collect()),
        false => Vec::new(),
    };
    let mut done = 0;
    for some in people.chunks(AT_A_TIME) {
        reencrypted += held.with(|keeper| keeper.give_keys(some))?;
        done += some.len() as u64;
        let what = "identities sealed again".to_owned();
        progress(Progress { what, done, of: people.len() as u64 });
    }
    held.with(|keeper| keeper.end_rotation(actor, &next, deep.then_some(reencrypted)))
}

/// The master key, encrypted for somebody else. A passphrase takes a second of work, beside the others.
pub(super) fn key_export(
    held: &mut impl Held,
    actor: &Actor,
    recipients: Vec<String>,
    passphrase: Option<SecretText>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Reply> {
    let count = recipients.len() as u64;
    let to = match passphrase {
        Some(passphrase) if recipients.is_empty() => To::Passphrase(passphrase),
        Some(_) => bail!(Usage, "recipients or a passphrase, not both"),
        None => To::Recipients(recipients),
    };
    let key = held.with(|keeper| keeper.master_key())?;
    steps::tell(progress, "encrypting the key");
    let body = escrow::export(&key, &to)?;
    let report = KeyExported {
        master_key: key.id().to_string(),
        recipients: count,
        passphrase: matches!(to, To::Passphrase(_)),
    };
    // On record before it is given out.
    let mut change = ChangeSet::default();
    change.say(
        Draft::new(Action::KeyExported)
            .with("master_key", report.master_key.as_str())
            .with("recipients", report.recipients)
            .with("passphrase", report.passphrase),
    );
    held.with(|keeper| {
        if keeper.store.keys().master() != key.id() {
            bail!(Temporary, "the master key was rotated meanwhile: export the new one");
        }
        keeper.on_record(actor, change)
    })?;
    Ok(Reply { body, ..super::json(&report)? })
}

impl Keeper {
    /// The key to come, chosen and put where it is found after a kill.
    fn begin_rotation(&self, given: Option<&SecretText>) -> Result<Next> {
        self.check_place()?;
        let current = self.master_key()?;
        let next = Next::choose(&self.key_source, &current, given)?;
        next.put_beside(&self.key_source, &current)?;
        faults::point("rotate.next-written");
        Ok(next)
    }

    /// Another key for each of these who is still there: how many values were sealed.
    fn give_keys(&mut self, some: &[IdentityId]) -> Result<u64> {
        self.check_place()?;
        let directory = &self.directory;
        let (renewed, sealed) = self.store.write(|tables, _| {
            let (mut renewed, mut sealed) = (Vec::with_capacity(some.len()), 0);
            for entry in some.iter().filter_map(|id| directory.get(*id)) {
                let (identity, count) = tables.give_key(&entry.identity, Key::generate()?)?;
                renewed.push(identity);
                sealed += count;
            }
            Ok(((renewed, sealed), Content::Same))
        })?;
        for identity in renewed {
            if let Some(entry) = self.directory.get_mut(identity.id) {
                entry.identity = identity;
            }
        }
        Ok(sealed)
    }

    fn end_rotation(&mut self, actor: &Actor, next: &Next, reencrypted: Option<u64>) -> Result<Rotated> {
        self.check_place()?;
        if self.store.keys().master() != next.current {
            bail!(
                Temporary,
                "the master key was rotated by another command meanwhile: look at it, and try again"
            );
        }
        let mut rotated = self.wrap_under(actor, &next.key, reencrypted)?;
        faults::point("rotate.rewrapped");
        // The keys wrapped under the old one are not to lie about in the write-ahead log.
        self.wipe();
        next.put_in_place(&self.key_source)?;
        faults::point("rotate.promoted");
        rotated.kept_in = next.place(&self.key_source);
        Ok(rotated)
    }

    /// The transaction that changes the master key.
    fn wrap_under(&mut self, actor: &Actor, master: &Key, reencrypted: Option<u64>) -> Result<Rotated> {
        let keys = self.store.keys().under(master);
        let at = self.clock.now().wall;
        let mut chain = self.chain.clone();
        let people = self.directory.iter().count() as u64;
        let mut rotated = Rotated {
            from: self.store.keys().master().to_string(),
            to: keys.master().to_string(),
            rewrapped: 0,
            reencrypted: reencrypted.unwrap_or(0),
            kept_in: String::new(),
        };
        self.store.write(|tables, generation| {
            rotated.rewrapped = tables.rewrap(&keys)?;
            if rotated.rewrapped != people + Keys::OWN {
                let stored = rotated.rewrapped - Keys::OWN;
                bail!(
                    Data,
                    "the store has {stored} identities, and {people} are known: run watchlistd gallery verify"
                );
            }
            let draft = Draft::new(Action::KeyRotated)
                .with("from", rotated.from.as_str())
                .with("to", rotated.to.as_str())
                .with("deep", reencrypted.is_some())
                .with("rewrapped", rotated.rewrapped)
                .with("reencrypted", rotated.reencrypted);
            // Who is searched for, and how, is as before: so is the generation.
            tables.insert_audit_row(&chain.append(at, actor, generation, draft, None)?)?;
            Ok(((), Content::Same))
        })?;
        self.store.use_keys(keys);
        self.chain = chain;
        self.advance_head();
        Ok(rotated)
    }

    /// The master key, read again: the keeper holds only what is derived from it.
    fn master_key(&self) -> Result<Key> {
        master::load_for(&self.key_source, self.store.keys().master())
    }
}

/// The key that comes, and who keeps it.
struct Next {
    key: Key,
    /// The one it replaces.
    current: KeyId,
    keeper: KeptBy,
}

enum KeptBy {
    /// A key file, which this program writes.
    File,
    /// A credential beside the present one, `gallery-key.next`.
    Pending,
    /// Whoever gave it, for a credential that only he can replace.
    Operator,
}

impl Next {
    fn choose(source: &KeySource, current: &Key, given: Option<&SecretText>) -> Result<Self> {
        let given = given.map(master::parse).transpose()?;
        let next = match (source, given) {
            (KeySource::File(_), Some(key)) => Self { key, current: current.id(), keeper: KeptBy::File },
            (KeySource::File(_), None) => {
                Self { key: Key::generate()?, current: current.id(), keeper: KeptBy::File }
            }
            (KeySource::Credential(_), given) => Self::of_credential(source, current.id(), given)?,
        };
        if next.key == *current {
            bail!(Usage, "the gallery is under the key {} already: give another one", current.id());
        }
        Ok(next)
    }

    fn of_credential(source: &KeySource, current: KeyId, given: Option<Key>) -> Result<Self> {
        match (master::load_pending(source)?, given) {
            (Some(pending), Some(given)) if pending != given => bail!(
                Usage,
                "the credential beside {source} holds the key {}, and the one given is {}: take one of them away",
                pending.id(),
                given.id()
            ),
            (Some(key), _) => Ok(Self { key, current, keeper: KeptBy::Pending }),
            (None, Some(key)) => Ok(Self { key, current, keeper: KeptBy::Operator }),
            // Refused, with what to do, when it is to be put beside.
            (None, None) => Ok(Self { key: Key::generate()?, current, keeper: KeptBy::Pending }),
        }
    }

    fn put_beside(&self, source: &KeySource, current: &Key) -> Result<()> {
        match self.keeper {
            KeptBy::File | KeptBy::Pending => master::replace(source, current, &self.key),
            KeptBy::Operator => Ok(()),
        }
    }

    /// The rotation stands whatever happens here: the next opening finds the key beside the old one.
    fn put_in_place(&self, source: &KeySource) -> Result<()> {
        // A tool that opened the gallery between the two steps may have been first; the second try sees that.
        let promoted = master::promote(source, &self.key).or_else(|_| master::promote(source, &self.key));
        promoted.map_err(|cause| self.left_beside(source, cause))
    }

    fn left_beside(&self, source: &KeySource, cause: Error) -> Error {
        let id = self.key.id();
        err!(
            Io,
            "the gallery is under its new key {id} now, and that key still lies beside {source}, as .next: it is put in place \
             when the gallery is opened again"
        )
        .because(cause)
    }

    fn place(&self, source: &KeySource) -> String {
        match self.keeper {
            KeptBy::File => source.to_string(),
            KeptBy::Pending => {
                format!("{source}.next: make it the credential itself before that one is taken away")
            }
            KeptBy::Operator => {
                format!("where you gave it from: make it {source} before the gallery is opened again")
            }
        }
    }
}

#[cfg(test)]
mod tests;
