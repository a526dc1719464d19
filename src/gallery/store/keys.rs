//! The store's own keys: made with the store, kept in it, wrapped by the master key.

use rusqlite::{Connection, OptionalExtension};

use super::sql::Place;
use crate::bail;
use crate::base::error::Result;
use crate::err;
use crate::gallery::crypt::{Bound, Key, KeyId, open_key, seal_key};
use crate::types::ids::IdentityId;

/// The setting that names the master key.
const MASTER: &str = "master_key";

/// What everything in the store is opened with.
#[derive(Debug, Clone)]
pub struct Keys {
    wrapping: Key,
    master: KeyId,
    /// Of the audit log's chain.
    pub audit: Key,
    /// Of keyed tags (external ids, pictures), and of the lists' settings.
    pub index: Key,
    /// Seed of the box's Ed25519 key.
    pub signing: Key,
    /// Of the tables' totals. From the audit log's key, which never changes: the log's end is in them.
    totals: Key,
}

impl Keys {
    /// How many keys are the store's own.
    pub const OWN: u64 = 3;

    /// New ones, under that master key.
    pub(super) fn generate(master: &Key) -> Result<Self> {
        let audit = Key::generate()?;
        Ok(Self {
            wrapping: wrapping(master),
            master: master.id(),
            totals: totals(&audit),
            audit,
            index: Key::generate()?,
            signing: Key::generate()?,
        })
    }

    /// Those of the store.
    pub(super) fn read(connection: &Connection, place: &Place, master: &Key) -> Result<Self> {
        Self::read_under(connection, place, wrapping(master), master.id())
    }

    /// Those of another store under the same master key.
    pub(super) fn read_same(&self, connection: &Connection, place: &Place) -> Result<Self> {
        Self::read_under(connection, place, self.wrapping.clone(), self.master)
    }

    fn read_under(connection: &Connection, place: &Place, wrapping: Key, master: KeyId) -> Result<Self> {
        let id = master_id(connection, place)?;
        if id != master.to_string() {
            bail!(
                Config,
                "{place} is encrypted under master key {id}, and the key at hand is {master}: \
                 gallery.key_file, --key-file or the credential gallery-key must give the gallery's own"
            );
        }
        let key = |name: &str| -> Result<Key> {
            let sql = "SELECT wrapped FROM keys WHERE name = ?1";
            let wrapped = connection.query_row(sql, [name], |row| row.get::<_, Vec<u8>>(0)).optional();
            place
                .sql("read", wrapped)?
                .and_then(|wrapped| open_key(&wrapping, &bound(name), &wrapped))
                .ok_or_else(|| err!(Data, "{place}: the key {name:?} is damaged or gone: restore a backup"))
        };
        let audit = key("audit")?;
        let totals = totals(&audit);
        Ok(Self { audit, index: key("index")?, signing: key("signing")?, totals, wrapping, master })
    }

    /// Puts them into the store.
    pub(super) fn write(&self, connection: &Connection, place: &Place) -> Result<()> {
        for (name, key) in [("audit", &self.audit), ("index", &self.index), ("signing", &self.signing)] {
            let wrapped = seal_key(&self.wrapping, &bound(name), key)?;
            let sql = "INSERT INTO keys (name, wrapped) VALUES (?1, ?2)
                       ON CONFLICT (name) DO UPDATE SET wrapped = excluded.wrapped";
            place.sql("change", connection.execute(sql, (name, wrapped)))?;
        }
        let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        place.sql("change", connection.execute(sql, (MASTER, self.master.to_string()))).map(drop)
    }

    /// The same keys under another master key.
    pub fn under(&self, master: &Key) -> Self {
        Self { wrapping: wrapping(master), master: master.id(), ..self.clone() }
    }

    /// The key that binds the event log. From the audit log's key, so that it is another one only in another gallery.
    pub fn events(&self) -> Key {
        self.audit.derive("watchlistd event log v1")
    }

    /// The key of snapshots of nobody who is enrolled. Another one only in another gallery.
    pub fn snapshots(&self) -> Key {
        self.audit.derive("watchlistd snapshots v1")
    }

    /// The key of the tables' totals.
    pub(super) fn totals(&self) -> &Key {
        &self.totals
    }

    /// The same keys under the master key of `other`.
    pub(super) fn wrapped_as(&self, other: &Self) -> Self {
        Self { wrapping: other.wrapping.clone(), master: other.master, ..self.clone() }
    }

    /// The master key's id.
    pub fn master(&self) -> KeyId {
        self.master
    }

    /// Wraps an identity's key.
    ///
    /// # Errors
    /// `Unavailable`, when the system gives no randomness.
    pub fn wrap(&self, identity: IdentityId, key: &Key) -> Result<Vec<u8>> {
        seal_key(&self.wrapping, &identity_bound(identity), key)
    }

    /// Unwraps it; `None`, if it is not that identity's or was changed.
    pub fn unwrap_key(&self, identity: IdentityId, wrapped: &[u8]) -> Option<Key> {
        open_key(&self.wrapping, &identity_bound(identity), wrapped)
    }
}

/// Id of the master key that a store needs.
pub(super) fn master_id(connection: &Connection, place: &Place) -> Result<String> {
    let sql = "SELECT value FROM settings WHERE key = ?1";
    place.sql("read", connection.query_row(sql, [MASTER], |row| row.get(0)))
}

fn wrapping(master: &Key) -> Key {
    master.derive("watchlistd gallery wrapping v1")
}

fn totals(audit: &Key) -> Key {
    audit.derive("watchlistd gallery totals v1")
}

fn bound(name: &str) -> Bound {
    Bound::to("store key").field(name)
}

fn identity_bound(identity: IdentityId) -> Bound {
    Bound::to("identity key").field(identity.0.as_bytes())
}
