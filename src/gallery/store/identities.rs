//! Rows of identities. What is known of one is sealed under its key; beside it stand only what the store itself needs.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use zeroize::Zeroizing;

use super::keys::Keys;
use super::sql::Place;
use crate::base::error::Result;
use crate::err;
use crate::gallery::crypt::{Bound, Key, open, seal, tag};
use crate::gallery::record::{ExternalId, Record, Standing};
use crate::types::ids::IdentityId;
use uuid::Uuid;

/// An identity to store.
pub struct NewIdentity<'a> {
    /// Its id.
    pub id: IdentityId,
    /// What is known of it.
    pub record: &'a Record,
    /// Where it is in its life.
    pub standing: Standing,
    /// When it was enrolled.
    pub created: Timestamp,
    /// Counts the changes of the record, from 1.
    pub revision: u64,
    /// Its key.
    pub key: &'a Key,
    /// Keys it had before, the last one first: names in the audit log are sealed under them.
    pub older: &'a [Key],
}

/// An identity as stored, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredIdentity {
    /// Its id.
    pub id: IdentityId,
    /// What is known of it.
    pub record: Record,
    /// Where it is in its life.
    pub standing: Standing,
    /// When it was enrolled.
    pub created: Timestamp,
    /// Counts the changes of the record.
    pub revision: u64,
    /// Its key.
    pub key: Key,
    /// Keys it had before, the last one first. The audit log cannot be sealed again, so the names in it stay under the keys of
    /// their time. These lie sealed under the present key, and so go with it when the identity is forgotten.
    pub older: Vec<Key>,
}

/// A row as it lies there.
pub(super) struct Raw {
    pub(super) id: Vec<u8>,
    revision: i64,
    standing: String,
    pub(super) external_tag: Option<Vec<u8>>,
    created: String,
    wrapped_key: Vec<u8>,
    record: Vec<u8>,
}

pub(super) const COLUMNS: &str = "id, revision, standing, external_tag, created, wrapped_key, record";

pub(super) fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        revision: row.get(1)?,
        standing: row.get(2)?,
        external_tag: row.get(3)?,
        created: row.get(4)?,
        wrapped_key: row.get(5)?,
        record: row.get(6)?,
    })
}

/// A row's id and key. `None` says that one of them, or the master key, is another.
pub(super) fn unwrap(keys: &Keys, raw: &Raw) -> Option<(IdentityId, Key)> {
    let id = IdentityId(Uuid::from_slice(&raw.id).ok()?);
    Some((id, keys.unwrap_key(id, &raw.wrapped_key)?))
}

/// Opens a row. `None` says that a bit of it, or of the keys, is not what was written.
pub(super) fn open_row(keys: &Keys, raw: &Raw) -> Option<StoredIdentity> {
    let (id, key) = unwrap(keys, raw)?;
    let standing = standing(&raw.standing)?;
    let revision = u64::try_from(raw.revision).ok()?;
    let bound = bound(id, revision, standing, raw.external_tag.as_deref(), &raw.created);
    let (older, record) = unpack(&open(&key, &bound, &raw.record)?)?;
    Some(StoredIdentity { id, record, standing, created: raw.created.parse().ok()?, revision, key, older })
}

/// What is sealed: how many older keys there are (u32, little-endian), these, and the record's JSON.
fn pack(record: &Record, older: &[Key]) -> Result<Zeroizing<Vec<u8>>> {
    let json = serde_json::to_vec(record)
        .map(Zeroizing::new)
        .map_err(|e| err!(Software, "a record that is no JSON").because(e))?;
    // In one piece: a vector that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(4 + older.len() * Key::LENGTH + json.len()));
    plain.extend_from_slice(&u32::try_from(older.len()).unwrap_or(u32::MAX).to_le_bytes());
    older.iter().for_each(|key| plain.extend_from_slice(key.expose()));
    plain.extend_from_slice(&json);
    Ok(plain)
}

fn unpack(plain: &[u8]) -> Option<(Vec<Key>, Record)> {
    let (count, rest) = plain.split_first_chunk::<4>()?;
    let length = (u32::from_le_bytes(*count) as usize).checked_mul(Key::LENGTH)?;
    let (older, record) = rest.split_at_checked(length)?;
    let older = older.chunks_exact(Key::LENGTH).map(Key::from_bytes).collect::<Option<_>>()?;
    Some((older, serde_json::from_slice(record).ok()?))
}

/// Stores a new identity.
pub(super) fn insert(
    connection: &Connection,
    place: &Place,
    keys: &Keys,
    new: &NewIdentity<'_>,
) -> Result<()> {
    let sql = "INSERT INTO identities (id, revision, standing, external_tag, created, wrapped_key, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    put(connection, place, keys, new, sql)
}

/// Replaces what is stored of an identity; its key too, if `new` has another.
pub(super) fn update(
    connection: &Connection,
    place: &Place,
    keys: &Keys,
    new: &NewIdentity<'_>,
) -> Result<()> {
    let sql = "UPDATE identities SET revision = ?2, standing = ?3, external_tag = ?4, created = ?5,
               wrapped_key = ?6, record = ?7 WHERE id = ?1";
    put(connection, place, keys, new, sql)
}

fn put(connection: &Connection, place: &Place, keys: &Keys, new: &NewIdentity<'_>, sql: &str) -> Result<()> {
    let external_tag = new.record.external_id.as_ref().map(|id| external_tag(keys, id));
    let created = new.created.to_string();
    let bound = bound(new.id, new.revision, new.standing, external_tag.as_ref().map(|t| &t[..]), &created);
    let sealed = seal(new.key, &bound, &pack(new.record, new.older)?)?;
    let row = (
        new.id.0.as_bytes(),
        i64::try_from(new.revision).unwrap_or(i64::MAX),
        new.standing.as_str(),
        external_tag,
        created,
        keys.wrap(new.id, new.key)?,
        sealed,
    );
    let changed = place.sql("change", connection.execute(sql, row))?;
    if changed != 1 {
        return Err(err!(Software, "{place}: {changed} rows of identity {}, not one", new.id));
    }
    Ok(())
}

/// Removes the identity with its key, templates and crops: how many templates and crops these were.
pub(super) fn delete(connection: &Connection, place: &Place, id: IdentityId) -> Result<(u64, u64)> {
    let remove = |sql: &str| place.sql("change", connection.execute(sql, [id.0.as_bytes()]));
    let templates = remove("DELETE FROM templates WHERE identity = ?1")?;
    let crops = remove("DELETE FROM crops WHERE identity = ?1")?;
    remove("DELETE FROM identities WHERE id = ?1")?;
    Ok((templates as u64, crops as u64))
}

/// Tells external ids apart without saying them.
pub(super) fn external_tag(keys: &Keys, id: &ExternalId) -> [u8; 32] {
    tag(&keys.index, &Bound::to("external id").field(id.as_str()))
}

fn bound(
    id: IdentityId,
    revision: u64,
    standing: Standing,
    external_tag: Option<&[u8]>,
    created: &str,
) -> Bound {
    Bound::to("record")
        .field(id.0.as_bytes())
        .field(revision.to_le_bytes())
        .field(standing.as_str())
        .optional(external_tag)
        .field(created)
}

fn standing(text: &str) -> Option<Standing> {
    [Standing::Pending, Standing::Active, Standing::Expired].into_iter().find(|s| s.as_str() == text)
}
