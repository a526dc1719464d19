//! Rows of templates and of enrolment crops.
//!
//! Sealed under the identity's key: where a template comes from, and its vector. Bound to it: its id, whose it is, the
//! model, quality, time, and the keyed tag of its source.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::Keys;
use super::sql::Place;
use crate::base::error::Result;
use crate::err;
use crate::gallery::command::Source;
use crate::gallery::crypt::{Bound, Key, open, seal, tag};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// A template to store.
pub struct NewTemplate<'a> {
    /// Its id.
    pub id: TemplateId,
    /// The vector and its model.
    pub embedding: &'a Embedding,
    /// Quality of the face it was made from, 0 to 1.
    pub quality: f32,
    /// Where it comes from.
    pub source: &'a Source,
    /// When.
    pub created: Timestamp,
}

/// What stands beside a template's sealed part.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateRow {
    /// Its id.
    pub id: TemplateId,
    /// Whose it is.
    pub identity: IdentityId,
    /// The model that made it.
    pub model: ModelId,
    /// Quality of the face, 0 to 1.
    pub quality: f32,
    /// When it was stored.
    pub created: Timestamp,
    /// Keyed tag of the picture it comes from.
    pub source_tag: [u8; 32],
}

/// A template, opened.
#[derive(Debug)]
pub struct StoredTemplate {
    /// What stands beside.
    pub row: TemplateRow,
    /// Where it comes from.
    pub source: Source,
    /// The vector.
    pub embedding: Embedding,
}

/// A row as it lies there, in one piece: a gallery has many, and all of them are read at a start.
pub(super) struct Raw {
    bytes: Vec<u8>,
    /// Where each of the columns ends that lie in there, in the order of [`At`].
    ends: [usize; 6],
    quality: f64,
}

/// The columns that lie in a row's bytes.
#[derive(Clone, Copy)]
enum At {
    Id,
    Identity,
    Model,
    Created,
    SourceTag,
    Sealed,
}

pub(super) const COLUMNS: &str = "id, identity, model_id, quality, created, source_tag, sealed";

pub(super) fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let blob = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_blob()?);
    let created = row.get_ref(4)?.as_str()?.as_bytes();
    let columns = [blob(0)?, blob(1)?, blob(2)?, created, blob(5)?, blob(6)?];
    let (mut bytes, mut ends) = (Vec::with_capacity(columns.iter().map(|bytes| bytes.len()).sum()), [0; 6]);
    for (column, end) in columns.into_iter().zip(&mut ends) {
        bytes.extend_from_slice(column);
        *end = bytes.len();
    }
    Ok(Raw { bytes, ends, quality: row.get(3)? })
}

impl Raw {
    /// Its id, whatever that is.
    pub(super) fn id(&self) -> &[u8] {
        self.column(At::Id)
    }

    /// Whose it says it is.
    pub(super) fn identity(&self) -> &[u8] {
        self.column(At::Identity)
    }

    fn column(&self, at: At) -> &[u8] {
        let at = at as usize;
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(begin..self.ends[at]).unwrap_or_default()
    }

    /// When it was stored, as it is written there.
    fn created(&self) -> Option<&str> {
        std::str::from_utf8(self.column(At::Created)).ok()
    }

    /// What stands beside the sealed part. It is believed only once the sealed part has opened.
    pub(super) fn row(&self) -> Option<TemplateRow> {
        Some(TemplateRow {
            id: TemplateId(Uuid::from_slice(self.id()).ok()?),
            identity: IdentityId(Uuid::from_slice(self.identity()).ok()?),
            model: ModelId(self.column(At::Model).try_into().ok()?),
            quality: self.quality as f32,
            created: self.created()?.parse().ok()?,
            source_tag: self.column(At::SourceTag).try_into().ok()?,
        })
    }

    /// Opens it. `None` says that a bit of it, or of its identity's key, is not what was written.
    pub(super) fn open(&self, key: &Key) -> Option<StoredTemplate> {
        self.examine(key).ok()
    }

    /// As [`Raw::open`], for who needs only the vector.
    pub(super) fn open_vector(&self, key: &Key) -> Option<(TemplateRow, Embedding)> {
        let (row, plain) = self.unseal(key).ok()?;
        let (_, vector) = split(&plain)?;
        let embedding = decode(row.model, vector)?;
        Some((row, embedding))
    }

    /// Opens it, or says at which step that failed.
    pub(super) fn examine(&self, key: &Key) -> Result<StoredTemplate, Wrong> {
        let (row, plain) = self.unseal(key)?;
        let (source, embedding) = content(row.model, &plain).ok_or(Wrong::Content)?;
        Ok(StoredTemplate { row, source, embedding })
    }

    fn unseal(&self, key: &Key) -> Result<(TemplateRow, Zeroizing<Vec<u8>>), Wrong> {
        let (row, created) = self.row().zip(self.created()).ok_or(Wrong::Columns)?;
        let bound = bound(&row, self.quality, created);
        let plain = open(key, &bound, self.column(At::Sealed)).ok_or(Wrong::Sealed)?;
        Ok((row, plain))
    }
}

/// Why a template does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What stands beside is none of the values it should be.
    Columns,
    /// It was sealed with another key, or beside other values, or a bit of it changed.
    Sealed,
    /// What was sealed is no template: a bug of whoever sealed it.
    Content,
}

fn content(model: ModelId, plain: &[u8]) -> Option<(Source, Embedding)> {
    let (source, vector) = split(plain)?;
    Some((serde_json::from_slice(source).ok()?, decode(model, vector)?))
}

/// The source's JSON, and the vector.
fn split(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Stores a template; the caller has looked that its source is new to the identity.
pub(super) fn insert(
    connection: &Connection,
    place: &Place,
    keys: &Keys,
    identity: IdentityId,
    key: &Key,
    new: &NewTemplate<'_>,
) -> Result<TemplateRow> {
    let row = TemplateRow {
        id: new.id,
        identity,
        model: new.embedding.model(),
        quality: new.quality,
        created: new.created,
        source_tag: source_tag(keys, &new.source.sha256),
    };
    write(connection, place, key, &row, new.source, new.embedding, INSERT)?;
    Ok(row)
}

const INSERT: &str = "INSERT INTO templates (id, identity, model_id, quality, created, source_tag, sealed)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UPDATE: &str = "UPDATE templates SET identity = ?2, model_id = ?3, quality = ?4, created = ?5,
                      source_tag = ?6, sealed = ?7 WHERE id = ?1";

/// Seals a template again, under another key or for another identity.
pub(super) fn reseal(
    connection: &Connection,
    place: &Place,
    identity: IdentityId,
    key: &Key,
    template: &StoredTemplate,
) -> Result<()> {
    let row = TemplateRow { identity, ..template.row.clone() };
    write(connection, place, key, &row, &template.source, &template.embedding, UPDATE)
}

fn write(
    connection: &Connection,
    place: &Place,
    key: &Key,
    row: &TemplateRow,
    source: &Source,
    embedding: &Embedding,
    sql: &str,
) -> Result<()> {
    let source =
        serde_json::to_vec(source).map_err(|e| err!(Software, "a source that is no JSON").because(e))?;
    let vector = encode(embedding);
    let mut plain = Zeroizing::new(Vec::with_capacity(4 + source.len() + vector.len()));
    plain.extend_from_slice(&u32::try_from(source.len()).unwrap_or(u32::MAX).to_le_bytes());
    plain.extend_from_slice(&source);
    plain.extend_from_slice(&vector);
    let (quality, created) = (f64::from(row.quality), row.created.to_string());
    let sealed = seal(key, &bound(row, quality, &created), &plain)?;
    let values = (
        row.id.0.as_bytes(),
        row.identity.0.as_bytes(),
        &row.model.0,
        quality,
        created,
        &row.source_tag,
        sealed,
    );
    let changed = place.sql("change", connection.execute(sql, values))?;
    if changed != 1 {
        return Err(err!(Software, "{place}: {changed} rows of template {}, not one", row.id));
    }
    Ok(())
}

/// Removes a template. Its crop goes too, if no other template was made from it.
pub(super) fn delete(connection: &Connection, place: &Place, row: &TemplateRow) -> Result<()> {
    let sql = "DELETE FROM templates WHERE id = ?1";
    place.sql("change", connection.execute(sql, [row.id.0.as_bytes()]))?;
    let sql = "DELETE FROM crops WHERE identity = ?1 AND source_tag = ?2 AND NOT EXISTS
               (SELECT 1 FROM templates t WHERE t.identity = ?1 AND t.source_tag = ?2)";
    place.sql("change", connection.execute(sql, (row.identity.0.as_bytes(), &row.source_tag))).map(drop)
}

/// Stores the crop a template was made from, in place of an earlier one.
pub(super) fn put_crop(
    connection: &Connection,
    place: &Place,
    identity: IdentityId,
    key: &Key,
    source_tag: &[u8; 32],
    crop: &[u8],
) -> Result<()> {
    let sealed = seal(key, &crop_bound(identity, source_tag), crop)?;
    let sql = "INSERT INTO crops (identity, source_tag, sealed) VALUES (?1, ?2, ?3)
               ON CONFLICT (identity, source_tag) DO UPDATE SET sealed = excluded.sealed";
    place.sql("change", connection.execute(sql, (identity.0.as_bytes(), source_tag, sealed))).map(drop)
}

/// The crop of that source; the inner `None` says that it does not open.
#[allow(clippy::option_option, reason = "there is none, and there is one that is damaged, are two things")]
pub(super) fn crop(
    connection: &Connection,
    place: &Place,
    identity: IdentityId,
    key: &Key,
    source_tag: &[u8; 32],
) -> Result<Option<Option<Zeroizing<Vec<u8>>>>> {
    let sql = "SELECT sealed FROM crops WHERE identity = ?1 AND source_tag = ?2";
    let row = connection.query_row(sql, (identity.0.as_bytes(), source_tag), |row| row.get::<_, Vec<u8>>(0));
    let sealed = place.sql("read", row.optional())?;
    Ok(sealed.map(|sealed| open_crop(identity, key, source_tag, &sealed)))
}

/// Opens a crop.
pub(super) fn open_crop(
    identity: IdentityId,
    key: &Key,
    source_tag: &[u8; 32],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    open(key, &crop_bound(identity, source_tag), sealed)
}

/// Tells pictures apart without saying which they are: whoever has the file, a picture and no key learns nothing.
pub(super) fn source_tag(keys: &Keys, sha256: &str) -> [u8; 32] {
    tag(&keys.index, &Bound::to("source").field(sha256.to_ascii_lowercase()))
}

fn bound(row: &TemplateRow, quality: f64, created: &str) -> Bound {
    Bound::to("template")
        .field(row.id.0.as_bytes())
        .field(row.identity.0.as_bytes())
        .field(row.model.0)
        .field(quality.to_bits().to_le_bytes())
        .field(created)
        .field(row.source_tag)
}

fn crop_bound(identity: IdentityId, source_tag: &[u8; 32]) -> Bound {
    Bound::to("crop").field(identity.0.as_bytes()).field(source_tag)
}

/// The vector as little-endian f32.
pub(super) fn encode(embedding: &Embedding) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(embedding.dimension() * 4));
    embedding.as_slice().iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
    bytes
}

/// The vector back, bit by bit; `None` unless it has the length 1 it was stored with.
pub(super) fn decode(model: ModelId, bytes: &[u8]) -> Option<Embedding> {
    let (numbers, []) = bytes.as_chunks::<4>() else { return None };
    Embedding::from_unit(model, numbers.iter().map(|&n| f32::from_le_bytes(n)).collect()).ok()
}
