//! Whose bundles are imported.

use super::super::Keeper;
use super::super::change::ChangeSet;
use crate::bail;
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::bundle::{PublicKey, SigningKey};
use crate::gallery::command::Actor;
use crate::gallery::report::{Signer, Trust};
use crate::gallery::store::StoredSigner;

/// Most characters of a label.
const MAX_LABEL: usize = 128;

impl Keeper {
    /// This box's key, and the others.
    pub(in crate::gallery::keeper) fn trusted(&self) -> Result<Trust> {
        let report = |signer: StoredSigner| Signer {
            key: PublicKey::claimed(signer.key).to_string(),
            label: signer.label,
            added: signer.added,
            generation: signer.generation,
        };
        let own = SigningKey::from_seed(&self.store.keys().signing).public();
        Ok(Trust {
            own: own.to_string(),
            fingerprint: own.fingerprint(),
            signers: self.signers()?.into_iter().map(report).collect(),
        })
    }

    /// Takes bundles of that signer in from now on; a signer that is known gets the label. One that was distrusted gives nothing
    /// older than before that.
    pub(in crate::gallery::keeper) fn trust(
        &mut self,
        actor: &Actor,
        key: &str,
        label: &str,
    ) -> Result<Trust> {
        let key: PublicKey = key.parse()?;
        let label = checked(label)?;
        let signers = self.signers()?;
        if let Some(other) = signers.iter().find(|s| s.label == label && s.key != *key.as_bytes()) {
            bail!(
                Usage,
                "{label:?} is the label of another key ({}): give this one another, or distrust that one first",
                PublicKey::claimed(other.key)
            );
        }
        let known = self.known_signers()?.into_iter().find(|signer| signer.key == *key.as_bytes());
        if known.as_ref().is_some_and(|known| known.trusted && known.label == label) {
            return self.trusted();
        }
        let since = known.as_ref().filter(|known| known.trusted).map(|known| known.added);
        let mut change = ChangeSet::default();
        change.say(draft(Action::Trusted, &key, label));
        change.signers.push(StoredSigner {
            key: *key.as_bytes(),
            label: label.to_owned(),
            added: since.unwrap_or_else(|| self.clock.now().wall),
            generation: known.and_then(|known| known.generation),
            trusted: true,
        });
        self.commit(actor, change)?;
        self.trusted()
    }

    /// Takes no more bundles of that signer, who is named by key or label. What came from it stays.
    pub(in crate::gallery::keeper) fn distrust(&mut self, actor: &Actor, who: &str) -> Result<Trust> {
        let who = who.trim();
        let signers = self.signers()?;
        let named = |signer: &&StoredSigner| {
            signer.label == who || PublicKey::claimed(signer.key).to_string().eq_ignore_ascii_case(who)
        };
        let Some(signer) = signers.iter().find(named) else {
            let known: Vec<String> = signers.iter().map(|signer| format!("{:?}", signer.label)).collect();
            let known = if known.is_empty() { "nobody".to_owned() } else { known.join(", ") };
            bail!(NoInput, "no signer is {who:?}; trusted are: {known}");
        };
        let mut change = ChangeSet::default();
        change.say(draft(Action::Distrusted, &PublicKey::claimed(signer.key), &signer.label));
        change.signers.push(StoredSigner { trusted: false, ..signer.clone() });
        self.commit(actor, change)?;
        self.trusted()
    }

    /// Those who are trusted.
    pub(super) fn signers(&self) -> Result<Vec<StoredSigner>> {
        Ok(self.known_signers()?.into_iter().filter(|signer| signer.trusted).collect())
    }

    fn known_signers(&self) -> Result<Vec<StoredSigner>> {
        self.store.read(|tables| tables.signers())
    }
}

fn draft(action: Action, key: &PublicKey, label: &str) -> Draft {
    Draft::new(action)
        .with("key", key.to_string())
        .with("fingerprint", key.fingerprint())
        .with("label", label)
}

fn checked(label: &str) -> Result<&str> {
    let label = label.trim();
    let count = label.chars().count();
    if !(1..=MAX_LABEL).contains(&count) || label.contains(char::is_control) {
        bail!(
            Usage,
            "label {label:?}: expected 1 to {MAX_LABEL} characters, none of them a control character"
        );
    }
    Ok(label)
}
