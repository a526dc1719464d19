//! Other keys in place of those there are, inside one transaction.
//!
//! ```text
//!  rewrap     master A ─▶ master B     wraps the store's keys and every identity's; what they seal stays as it is
//!  give_key   identity's key ─▶ its next    seals its record, templates and crops; the key before goes to the older ones
//! ```

use uuid::Uuid;

use super::identities::NewIdentity;
use super::keys::Keys;
use super::{StoredIdentity, Tables};
use crate::base::error::Result;
use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

impl Tables<'_> {
    /// Wraps the store's own keys and every identity's again, so that `keys`' master key opens them: how many.
    ///
    /// # Errors
    /// `Data`, naming the first identity whose key does not unwrap: it would be lost.
    pub fn rewrap(&self, keys: &Keys) -> Result<u64> {
        let mut statement = self.read(self.connection.prepare("SELECT id, wrapped_key FROM identities"))?;
        let rows = self.read(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))))?;
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.read(rows.collect())?;
        let sql = "UPDATE identities SET wrapped_key = ?2 WHERE id = ?1";
        let mut update = self.change(self.connection.prepare(sql))?;
        for (id, wrapped) in &rows {
            let identity = Uuid::from_slice(id).ok().map(IdentityId);
            let key = identity.and_then(|id| Some((id, self.keys.unwrap_key(id, wrapped)?)));
            let (identity, key) = key.ok_or_else(|| self.damaged("identity", id))?;
            self.change(update.execute((id, keys.wrap(identity, &key)?)))?;
        }
        self.write_keys(keys)?;
        Ok(rows.len() as u64 + Keys::OWN)
    }

    /// Seals everything of the identity under its `next` key, and keeps the one before with the older ones: the identity as it
    /// is then, and how many values were sealed.
    ///
    /// # Errors
    /// `Data`, naming the first row that does not open.
    pub fn give_key(&self, identity: &StoredIdentity, next: Key) -> Result<(StoredIdentity, u64)> {
        let before = &identity.key;
        let mut after = StoredIdentity { key: next, ..identity.clone() };
        after.older.insert(0, before.clone());
        let new = NewIdentity {
            id: after.id,
            record: &after.record,
            standing: after.standing,
            created: after.created,
            revision: after.revision,
            key: &after.key,
            older: &after.older,
        };
        self.update_identity(&new)?;
        let mut sealed = 1;
        for template in self.templates_of(after.id, before)? {
            self.reseal_template(after.id, &after.key, &template)?;
            sealed += 1;
        }
        // One at a time: a gallery's crops are larger than the memory of a small box.
        for tag in self.crop_tags(after.id)? {
            if let Some(crop) = self.crop(after.id, before, &tag)? {
                self.put_crop(after.id, &after.key, &tag, &crop)?;
                sealed += 1;
            }
        }
        Ok((after, sealed))
    }

    /// Of which sources the identity's crops are.
    fn crop_tags(&self, identity: IdentityId) -> Result<Vec<[u8; 32]>> {
        let sql = "SELECT source_tag FROM crops WHERE identity = ?1";
        let mut statement = self.read(self.connection.prepare(sql))?;
        let rows = self.read(statement.query_map([identity.0.as_bytes()], |row| row.get(0)))?;
        self.read(rows.collect())
    }
}
