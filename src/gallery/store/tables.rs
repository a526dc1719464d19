//! What can be read and written in one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::identities::{self, NewIdentity, StoredIdentity};
use super::keys::Keys;
use super::opener::{Open, Sealed, open_all};
use super::sql::Place;
use super::templates::{self, NewTemplate, StoredTemplate, TemplateRow};
use super::totals::{Large, Pending};
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::audit::Row as AuditRow;
use crate::gallery::crypt::{Bound, Key, open, seal};
use crate::gallery::list::List;
use crate::gallery::record::{ExternalId, ListName};
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// The tables, on a connection or inside a transaction.
pub struct Tables<'a> {
    pub(super) connection: &'a Connection,
    pub(super) place: &'a Place,
    pub(super) keys: &'a Keys,
    pub(super) totals: &'a Pending,
}

/// Somebody who is never to come back by himself.
#[derive(Debug, Clone, PartialEq)]
pub struct Forgotten {
    /// Who it was.
    pub identity: IdentityId,
    /// Keyed tag of the external id.
    pub external_tag: Option<[u8; 32]>,
    /// When.
    pub at: Timestamp,
    /// Templates that were pictures of this person, whomever an older copy has them under.
    pub templates: Vec<TemplateId>,
}

impl Forgotten {
    /// An external id that somebody who was forgotten had before, so that no bundle brings them in under it. It has no identity of
    /// its own: the id follows from the tag, and is nobody's.
    pub fn of_tag(tag: [u8; 32], at: Timestamp) -> Self {
        let identity = IdentityId(
            uuid::Builder::from_custom_bytes(tag.first_chunk().copied().unwrap_or_default()).into_uuid(),
        );
        Self { identity, external_tag: Some(tag), at, templates: Vec::new() }
    }
}

/// Somebody whose bundles are imported, or were.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSigner {
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// Whose it is.
    pub label: String,
    /// Since when.
    pub added: Timestamp,
    /// Generation of the last bundle imported.
    pub generation: Option<u64>,
    /// False: no more. The generation is kept, so that an older bundle is none that is taken when this one is trusted again.
    pub trusted: bool,
}

impl Tables<'_> {
    /// The store's keys.
    pub fn keys(&self) -> &Keys {
        self.keys
    }

    // --- generation and settings -------------------------------------------------------------------------------------

    /// Counts the changes since the store was made.
    pub fn generation(&self) -> Result<u64> {
        let sql = "SELECT value FROM meta WHERE key = 'generation'";
        self.read(self.connection.query_row(sql, [], |row| count(row, 0)))
    }

    pub(super) fn set_generation(&self, generation: u64) -> Result<()> {
        let sql = "UPDATE meta SET value = ?1 WHERE key = 'generation'";
        self.change(self.connection.execute(sql, [i64::try_from(generation).unwrap_or(i64::MAX)])).map(drop)
    }

    /// A setting the store keeps for itself.
    pub fn setting(&self, key: &str) -> Result<Option<String>> {
        let sql = "SELECT value FROM settings WHERE key = ?1";
        self.read(self.connection.query_row(sql, [key], |row| row.get(0)).optional())
    }

    /// Sets it; `None` takes it away.
    pub fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()> {
        let done = match value {
            Some(value) => {
                let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                self.connection.execute(sql, [key, value])
            }
            None => self.connection.execute("DELETE FROM settings WHERE key = ?1", [key]),
        };
        self.change(done).map(drop)
    }

    /// Wraps the store's own keys under another master key.
    pub fn write_keys(&self, keys: &Keys) -> Result<()> {
        keys.write(self.connection, self.place)
    }

    // --- identities --------------------------------------------------------------------------------------------------

    /// All identities, by id. `Err` inside: a row that does not open, with its id as far as it can be told.
    pub fn each_identity(&self, mut each: impl FnMut(Result<StoredIdentity>) -> Result<()>) -> Result<()> {
        let sql = format!("SELECT {} FROM identities ORDER BY id", identities::COLUMNS);
        let mut statement = self.read(self.connection.prepare(&sql))?;
        let mut rows = self.read(statement.query([]))?;
        while let Some(row) = self.read(rows.next())? {
            let raw = self.read(identities::raw(row))?;
            let opened = identities::open_row(self.keys, &raw);
            each(opened.ok_or_else(|| self.damaged("identity", &raw.id)))?;
        }
        Ok(())
    }

    /// All identities, by id.
    ///
    /// # Errors
    /// `Data`, naming the first that does not open.
    pub fn identities(&self) -> Result<Vec<StoredIdentity>> {
        let mut all = Vec::new();
        self.each_identity(|identity| {
            all.push(identity?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Stores a new identity.
    pub fn insert_identity(&self, new: &NewIdentity<'_>) -> Result<()> {
        let insert = || identities::insert(self.connection, self.place, self.keys, new);
        self.changing(Large::Identities, "id = ?1", &[new.id.0.as_bytes()], insert)
    }

    /// Replaces what is stored of an identity.
    pub fn update_identity(&self, new: &NewIdentity<'_>) -> Result<()> {
        let update = || identities::update(self.connection, self.place, self.keys, new);
        self.changing(Large::Identities, "id = ?1", &[new.id.0.as_bytes()], update)
    }

    /// Takes its external id's tag off an identity whose row is replaced or removed in the same transaction: somebody else
    /// gets it there first.
    pub fn release_external_id(&self, id: IdentityId) -> Result<()> {
        let sql = "UPDATE identities SET external_tag = NULL WHERE id = ?1";
        self.change(self.connection.execute(sql, [id.0.as_bytes()])).map(drop)
    }

    /// Removes the identity with its key, templates and crops: how many templates and crops these were.
    pub fn delete_identity(&self, id: IdentityId) -> Result<(u64, u64)> {
        let values: [&dyn ToSql; 1] = [id.0.as_bytes()];
        self.changing(Large::Identities, "id = ?1", &values, || {
            self.changing(Large::Templates, "identity = ?1", &values, || {
                self.changing(Large::Crops, "identity = ?1", &values, || {
                    identities::delete(self.connection, self.place, id)
                })
            })
        })
    }

    /// Keyed tag of an external id.
    pub fn external_tag(&self, id: &ExternalId) -> [u8; 32] {
        identities::external_tag(self.keys, id)
    }

    // --- templates and crops -----------------------------------------------------------------------------------------

    /// What stands beside the sealed part of every template, by identity and id. Nothing of it is verified.
    pub fn template_rows(&self) -> Result<Vec<TemplateRow>> {
        let sql = format!("SELECT {} FROM templates ORDER BY identity, id", templates::COLUMNS)
            .replace("sealed", "x''");
        let mut statement = self.read(self.connection.prepare(&sql))?;
        let rows = self.read(statement.query_map([], templates::raw))?;
        rows.map(|raw| {
            let raw = self.read(raw)?;
            raw.row().ok_or_else(|| self.damaged("template", raw.id()))
        })
        .collect()
    }

    /// As [`Tables::template_rows`], of all models but this one.
    pub fn template_rows_of_others(&self, model: ModelId) -> Result<Vec<TemplateRow>> {
        // Two ranges of the index: `<>` would walk all of the table.
        let sql = format!(
            "SELECT {0} FROM templates WHERE model_id < ?1 UNION ALL SELECT {0} FROM templates WHERE model_id > ?1",
            templates::COLUMNS.replace("sealed", "x''")
        );
        let mut statement = self.read(self.connection.prepare(&sql))?;
        let rows = self.read(statement.query_map([&model.0[..]], templates::raw))?;
        rows.map(|raw| {
            let raw = self.read(raw)?;
            raw.row().ok_or_else(|| self.damaged("template", raw.id()))
        })
        .collect()
    }

    /// Templates with their vectors, as they lie in the file: a model's, or all. `key_of` gives the identities' keys. `Err`
    /// inside: one that does not open.
    pub fn each_template(
        &self,
        model: Option<ModelId>,
        key_of: &dyn Fn(IdentityId) -> Option<Key>,
        mut each: impl FnMut(Result<StoredTemplate>) -> Result<()>,
    ) -> Result<()> {
        self.each_row(model, key_of, templates::Raw::open, &mut each)
    }

    /// As [`Tables::each_template`] of a model, without where each comes from.
    pub fn each_vector(
        &self,
        model: ModelId,
        key_of: &dyn Fn(IdentityId) -> Option<Key>,
        mut each: impl FnMut(Result<(TemplateRow, Embedding)>) -> Result<()>,
    ) -> Result<()> {
        self.each_row(Some(model), key_of, templates::Raw::open_vector, &mut each)
    }

    fn each_row<T: Send>(
        &self,
        model: Option<ModelId>,
        key_of: &dyn Fn(IdentityId) -> Option<Key>,
        open: Open<T>,
        each: &mut dyn FnMut(Result<T>) -> Result<()>,
    ) -> Result<()> {
        // In the order of the index each row would be looked up by itself, which takes longer than reading all of them.
        let sql = format!(
            "SELECT {} FROM templates NOT INDEXED WHERE ?1 IS NULL OR model_id = ?1",
            templates::COLUMNS
        );
        let mut statement = self.read(self.connection.prepare(&sql))?;
        let mut rows = self.read(statement.query([model.as_ref().map(|model| &model.0[..])]))?;
        // An identity's templates mostly lie together: one key serves several.
        let mut last: Option<(Vec<u8>, Option<Key>)> = None;
        let next = || {
            let Some(row) = self.read(rows.next())? else { return Ok(None) };
            let raw = self.read(templates::raw(row))?;
            if last.as_ref().is_none_or(|(identity, _)| identity != raw.identity()) {
                let key = Uuid::from_slice(raw.identity()).ok().and_then(|id| key_of(IdentityId(id)));
                last = Some((raw.identity().to_owned(), key));
            }
            let key = last.as_ref().and_then(|(_, key)| key.clone());
            Ok(Some(Sealed { raw, key }))
        };
        open_all(open, next, |opened| each(opened.map_err(|id| self.damaged("template", &id))))
    }

    /// An identity's templates, opened.
    ///
    /// # Errors
    /// `Data`, naming the first that does not open.
    pub fn templates_of(&self, identity: IdentityId, key: &Key) -> Result<Vec<StoredTemplate>> {
        let sql = format!("SELECT {} FROM templates WHERE identity = ?1 ORDER BY id", templates::COLUMNS);
        let mut statement = self.read(self.connection.prepare(&sql))?;
        let rows = self.read(statement.query_map([identity.0.as_bytes()], templates::raw))?;
        rows.map(|raw| {
            let raw = self.read(raw)?;
            raw.open(key).ok_or_else(|| self.damaged("template", raw.id()))
        })
        .collect()
    }

    /// The identity's template of that model made from that picture.
    pub fn template_from(
        &self,
        identity: IdentityId,
        model: ModelId,
        sha256: &str,
    ) -> Result<Option<TemplateId>> {
        let sql = "SELECT id FROM templates WHERE identity = ?1 AND model_id = ?2 AND source_tag = ?3";
        let key = (identity.0.as_bytes(), &model.0[..], &templates::source_tag(self.keys, sha256)[..]);
        let id = self.connection.query_row(sql, key, |row| row.get::<_, [u8; 16]>(0)).optional();
        Ok(self.read(id)?.map(|id| TemplateId(Uuid::from_bytes(id))))
    }

    /// Stores a template whose source is new to the identity and model.
    pub fn insert_template(
        &self,
        identity: IdentityId,
        key: &Key,
        new: &NewTemplate<'_>,
    ) -> Result<TemplateRow> {
        let insert = || templates::insert(self.connection, self.place, self.keys, identity, key, new);
        self.changing(Large::Templates, "id = ?1", &[new.id.0.as_bytes()], insert)
    }

    /// Seals a template again, under another key or for another identity.
    pub fn reseal_template(&self, to: IdentityId, key: &Key, template: &StoredTemplate) -> Result<()> {
        let reseal = || templates::reseal(self.connection, self.place, to, key, template);
        self.changing(Large::Templates, "id = ?1", &[template.row.id.0.as_bytes()], reseal)
    }

    /// Removes a template, and its crop if no other was made from it.
    pub fn delete_template(&self, row: &TemplateRow) -> Result<()> {
        let delete = || templates::delete(self.connection, self.place, row);
        self.changing(Large::Templates, "id = ?1", &[row.id.0.as_bytes()], || {
            self.changing_crop(row.identity, &row.source_tag, delete)
        })
    }

    fn changing_crop<T>(
        &self,
        identity: IdentityId,
        tag: &[u8; 32],
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let values: [&dyn ToSql; 2] = [identity.0.as_bytes(), tag];
        self.changing(Large::Crops, "identity = ?1 AND source_tag = ?2", &values, change)
    }

    /// Keyed tag of a picture's SHA-256.
    pub fn source_tag(&self, sha256: &str) -> [u8; 32] {
        templates::source_tag(self.keys, sha256)
    }

    /// Stores the crop a template was made from.
    pub fn put_crop(&self, identity: IdentityId, key: &Key, tag: &[u8; 32], crop: &[u8]) -> Result<()> {
        let put = || templates::put_crop(self.connection, self.place, identity, key, tag, crop);
        self.changing_crop(identity, tag, put)
    }

    /// The crop of that source.
    ///
    /// # Errors
    /// `Data`, when it does not open.
    pub fn crop(
        &self,
        identity: IdentityId,
        key: &Key,
        tag: &[u8; 32],
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match templates::crop(self.connection, self.place, identity, key, tag)? {
            Some(None) => Err(self.damaged("crop of identity", identity.0.as_bytes())),
            found => Ok(found.flatten()),
        }
    }

    /// Whose crops are kept, and of which sources.
    pub fn crop_rows(&self) -> Result<Vec<(IdentityId, [u8; 32])>> {
        let sql = "SELECT identity, source_tag FROM crops ORDER BY identity, source_tag";
        let mut statement = self.read(self.connection.prepare(sql))?;
        let rows = statement
            .query_map([], |row| Ok((IdentityId(Uuid::from_bytes(row.get::<_, [u8; 16]>(0)?)), row.get(1)?)));
        self.read(rows)?.map(|row| self.read(row)).collect()
    }

    /// Removes a crop.
    pub fn delete_crop(&self, identity: IdentityId, tag: &[u8; 32]) -> Result<()> {
        let sql = "DELETE FROM crops WHERE identity = ?1 AND source_tag = ?2";
        let delete = || self.change(self.connection.execute(sql, (identity.0.as_bytes(), tag))).map(drop);
        self.changing_crop(identity, tag, delete)
    }

    // --- lists -------------------------------------------------------------------------------------------------------

    /// All lists, by name.
    ///
    /// # Errors
    /// `Data`, when the settings of one do not open.
    pub fn lists(&self) -> Result<Vec<List>> {
        let mut statement =
            self.read(self.connection.prepare("SELECT name, sealed FROM lists ORDER BY name"))?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)));
        self.read(rows)?
            .map(|row| {
                let (name, sealed) = self.read(row)?;
                self.open_list(&name, &sealed).ok_or_else(|| self.damaged("list", name.as_bytes()))
            })
            .collect()
    }

    pub(super) fn open_list(&self, name: &str, sealed: &[u8]) -> Option<List> {
        let plain = open(&self.keys.index, &Bound::to("list").field(name), sealed)?;
        let list: List = serde_json::from_slice(&plain).ok()?;
        (list.name.as_str() == name).then_some(list)
    }

    /// Makes a list, or replaces its settings.
    pub fn put_list(&self, list: &List) -> Result<()> {
        let name = list.name.as_str();
        let plain =
            serde_json::to_vec(list).map_err(|e| err!(Software, "a list that is no JSON").because(e))?;
        let sealed = seal(&self.keys.index, &Bound::to("list").field(name), &plain)?;
        let sql = "INSERT INTO lists (name, sealed) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed";
        self.change(self.connection.execute(sql, (name, sealed))).map(drop)
    }

    /// Removes a list.
    pub fn delete_list(&self, name: &ListName) -> Result<()> {
        self.change(self.connection.execute("DELETE FROM lists WHERE name = ?1", [name.as_str()])).map(drop)
    }

    // --- the forgotten, signers, audit -------------------------------------------------------------------------------

    /// Everybody who was forgotten.
    pub fn forgotten(&self) -> Result<Vec<Forgotten>> {
        let sql = "SELECT identity, external_tag, at, templates FROM forgotten ORDER BY at, identity";
        let mut statement = self.read(self.connection.prepare(sql))?;
        let rows = statement.query_map([], |row| {
            let templates: Vec<u8> = row.get(3)?;
            Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?, row.get::<_, String>(2)?, templates))
        });
        self.read(rows)?
            .map(|row| {
                let (identity, external_tag, at, templates) = self.read(row)?;
                let identity = IdentityId(Uuid::from_bytes(identity));
                let (ids, _) = templates.as_chunks::<16>();
                let templates = ids.iter().map(|id| TemplateId(Uuid::from_bytes(*id))).collect();
                Ok(Forgotten { identity, external_tag, at: self.time(&at)?, templates })
            })
            .collect()
    }

    /// Remembers that somebody was forgotten.
    pub fn insert_forgotten(&self, forgotten: &Forgotten) -> Result<()> {
        let sql = "INSERT INTO forgotten (identity, external_tag, at, templates) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (identity) DO NOTHING";
        let id = forgotten.identity.0.as_bytes();
        let templates: Vec<u8> = forgotten.templates.iter().flat_map(|id| *id.0.as_bytes()).collect();
        let row = (id, forgotten.external_tag, forgotten.at.to_string(), templates);
        let insert = || self.change(self.connection.execute(sql, row)).map(drop);
        self.changing(Large::Forgotten, "identity = ?1", &[id], insert)
    }

    /// Whose bundles are imported, and whose were.
    pub fn signers(&self) -> Result<Vec<StoredSigner>> {
        let sql = "SELECT key, label, added, generation, trusted FROM signers ORDER BY label, key";
        let mut statement = self.read(self.connection.prepare(sql))?;
        let rows = statement.query_map([], |row| {
            let generation: Option<i64> = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, generation, row.get(4)?))
        });
        self.read(rows)?
            .map(|row| {
                let (key, label, added, generation, trusted) = self.read(row)?;
                let generation = generation.map(|g| u64::try_from(g).unwrap_or(0));
                Ok(StoredSigner { key, label, added: self.time(&added)?, generation, trusted })
            })
            .collect()
    }

    /// Adds a signer, or replaces what is known of one.
    pub fn put_signer(&self, signer: &StoredSigner) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO signers (key, label, added, generation, trusted)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let generation = signer.generation.map(|g| i64::try_from(g).unwrap_or(i64::MAX));
        let row = (&signer.key, &signer.label, signer.added.to_string(), generation, signer.trusted);
        self.change(self.connection.execute(sql, row)).map(drop)
    }

    /// The audit log's rows in the order of their numbers, a page at a time: a log of any length needs the memory of a page.
    pub fn audit_rows(&self) -> impl Iterator<Item = Result<AuditRow>> {
        let mut page = Vec::new().into_iter();
        let (mut after, mut ended) = (i64::MIN, false);
        std::iter::from_fn(move || {
            if let Some(row) = page.next() {
                return Some(row);
            }
            if ended {
                return None;
            }
            match self.audit_page(after) {
                Ok((rows, last)) => {
                    (ended, after) = (rows.is_empty(), last);
                    page = rows.into_iter();
                    page.next()
                }
                Err(error) => {
                    ended = true;
                    Some(Err(error))
                }
            }
        })
    }

    /// A row that cannot be read is an error in its place; the others are told all the same.
    fn audit_page(&self, after: i64) -> Result<(Vec<Result<AuditRow>>, i64)> {
        let sql =
            "SELECT sequence, body, sealed, mac FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT 1000";
        let mut statement = self.read(self.connection.prepare_cached(sql))?;
        let rows = statement.query_map([after], |row| Ok((row.get::<_, i64>(0)?, audit_row(row))));
        let rows: Vec<(i64, rusqlite::Result<AuditRow>)> =
            self.read(rows)?.map(|row| self.read(row)).collect::<Result<_>>()?;
        let last = rows.last().map_or(after, |(sequence, _)| *sequence);
        Ok((rows.into_iter().map(|(_, row)| self.read(row)).collect(), last))
    }

    /// The last row of the audit log.
    pub fn last_audit_row(&self) -> Result<Option<AuditRow>> {
        let sql = "SELECT sequence, body, sealed, mac FROM audit ORDER BY sequence DESC LIMIT 1";
        self.read(self.connection.query_row(sql, [], audit_row).optional())
    }

    /// One row of it.
    pub fn audit_row(&self, sequence: u64) -> Result<Option<AuditRow>> {
        let sql = "SELECT sequence, body, sealed, mac FROM audit WHERE sequence = ?1";
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        self.read(self.connection.query_row(sql, [sequence], audit_row).optional())
    }

    /// Appends a row.
    pub fn insert_audit_row(&self, row: &AuditRow) -> Result<()> {
        let sql = "INSERT INTO audit (sequence, body, sealed, mac) VALUES (?1, ?2, ?3, ?4)";
        let sequence = i64::try_from(row.sequence).unwrap_or(i64::MAX);
        let values = (sequence, &row.body, row.sealed.as_deref(), &row.mac);
        self.change(self.connection.execute(sql, values)).map(drop)
    }

    pub(super) fn read<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        self.place.sql("read", result)
    }

    pub(super) fn change<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        self.place.sql("change", result)
    }

    fn time(&self, text: &str) -> Result<Timestamp> {
        text.parse().map_err(|e: jiff::Error| err!(Data, "{}: {text:?} is no time", self.place).because(e))
    }

    pub(super) fn damaged(&self, what: &str, id: &[u8]) -> Error {
        let id = match (Uuid::from_slice(id), std::str::from_utf8(id)) {
            (Ok(id), _) => id.to_string(),
            (_, Ok(text)) => format!("{text:?}"),
            _ => "of no known id".to_owned(),
        };
        err!(Data, "{}: {what} {id} was changed or damaged: restore a backup, or remove it", self.place)
    }
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow { sequence: count(row, 0)?, body: row.get(1)?, sealed: row.get(2)?, mac: row.get(3)? })
}

/// SQLite's numbers are signed; a count is not.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0))
}
