//! The statements of the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use zeroize::Zeroizing;

use super::name::Name;
use super::sql::Place;
use super::store::{Added, Identity, NewTemplate, Template};
use crate::base::error::Result;
use crate::err;
use crate::types::embedding::Embedding;
use crate::types::ids::{IdentityId, ModelId};

/// The statements, on a connection or inside a transaction.
pub(super) struct Queries<'a> {
    pub(super) connection: &'a Connection,
    pub(super) place: &'a Place,
}

impl Queries<'_> {
    pub(super) fn generation(&self) -> Result<u64> {
        let sql = "SELECT value FROM meta WHERE key = 'generation'";
        self.place.sql("read", self.connection.query_row(sql, [], |row| count(row, 0)))
    }

    pub(super) fn identities(&self) -> Result<Vec<Identity>> {
        let sql = "SELECT i.id, i.name, i.created, count(t.id) FROM identities i
                   LEFT JOIN templates t ON t.identity = i.id GROUP BY i.id ORDER BY i.name";
        let mut statement = self.place.sql("read", self.connection.prepare(sql))?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?, count(row, 3)?))
        });
        let mut all = Vec::new();
        for row in self.place.sql("read", rows)? {
            let (id, name, created, templates) = self.place.sql("read", row)?;
            let created = created.parse().map_err(|e: jiff::Error| {
                err!(Data, "{}: {created:?} of identity {id} is no time", self.place).because(e)
            })?;
            all.push(Identity { id: id.parse()?, name, created, templates });
        }
        Ok(all)
    }

    pub(super) fn models(&self) -> Result<BTreeMap<ModelId, u64>> {
        let sql = "SELECT model_id, count(*) FROM templates GROUP BY model_id";
        let mut statement = self.place.sql("read", self.connection.prepare(sql))?;
        let rows = statement.query_map([], |row| Ok((ModelId(row.get(0)?), count(row, 1)?)));
        self.place.sql("read", rows)?.map(|row| self.place.sql("read", row)).collect()
    }

    pub(super) fn each_template(
        &self,
        model: ModelId,
        mut each: impl FnMut(Template) -> Result<()>,
    ) -> Result<()> {
        let sql = "SELECT id, identity, vector, quality, source FROM templates
                   WHERE model_id = ?1 ORDER BY identity, id";
        let mut statement = self.place.sql("read", self.connection.prepare(sql))?;
        let mut rows = self.place.sql("read", statement.query([&model.0[..]]))?;
        while let Some(row) = self.place.sql("read", rows.next())? {
            each(self.parse_template(model, row)?)?;
        }
        Ok(())
    }

    fn parse_template(&self, model: ModelId, row: &Row<'_>) -> Result<Template> {
        let id: i64 = self.place.sql("read", row.get(0))?;
        let identity: String = self.place.sql("read", row.get(1))?;
        let blob = self.place.sql("read", row.get_ref(2))?.as_blob().unwrap_or_default();
        let embedding = decode(model, blob).ok_or_else(|| {
            err!(
                Data,
                "{}: template {id} of identity {identity} is damaged: restore a backup, or enrol again",
                self.place
            )
        })?;
        let quality = self.place.sql("read", row.get(3))?;
        let source = self.place.sql("read", row.get(4))?;
        Ok(Template { id, identity: identity.parse()?, embedding, quality, source })
    }

    pub(super) fn identity(&self, name: &Name) -> Result<Option<IdentityId>> {
        let sql = "SELECT id FROM identities WHERE name = ?1";
        let found = self.connection.query_row(sql, [name.as_str()], |row| row.get::<_, String>(0)).optional();
        self.place.sql("read", found)?.map(|id| id.parse()).transpose()
    }

    pub(super) fn expect_identity(&self, id: IdentityId) -> Result<()> {
        let sql = "SELECT 1 FROM identities WHERE id = ?1";
        let found = self.connection.query_row(sql, [id.to_string()], |_| Ok(())).optional();
        self.place.sql("read", found)?.ok_or_else(|| err!(Data, "{} has no identity {id}", self.place))
    }

    pub(super) fn template(
        &self,
        identity: IdentityId,
        model: ModelId,
        source_sha256: &[u8; 32],
    ) -> Result<Option<i64>> {
        let sql = "SELECT id FROM templates WHERE identity = ?1 AND model_id = ?2 AND source_sha256 = ?3";
        let key = (identity.to_string(), &model.0[..], &source_sha256[..]);
        self.place.sql("read", self.connection.query_row(sql, key, |row| row.get(0)).optional())
    }

    pub(super) fn insert_identity(&self, name: &Name) -> Result<IdentityId> {
        let id = IdentityId::generate();
        let row = (id.to_string(), name.as_str(), Timestamp::now().to_string());
        let sql = "INSERT INTO identities (id, name, created) VALUES (?1, ?2, ?3)";
        self.place.sql("change", self.connection.execute(sql, row))?;
        Ok(id)
    }

    pub(super) fn insert_template(&self, identity: IdentityId, new: &NewTemplate<'_>) -> Result<Added> {
        let model = new.embedding.model();
        if let Some(id) = self.template(identity, model, &new.source_sha256)? {
            return Ok(Added::AlreadyThere(id));
        }
        let vector = encode(new.embedding);
        let sql =
            "INSERT INTO templates (identity, model_id, vector, quality, source, source_sha256, created)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = (
            identity.to_string(),
            &model.0[..],
            vector.as_slice(),
            new.quality,
            new.source,
            &new.source_sha256[..],
            Timestamp::now().to_string(),
        );
        self.place.sql("change", self.connection.execute(sql, row))?;
        Ok(Added::New(self.connection.last_insert_rowid()))
    }

    /// Removes the identity and its templates; how many these were.
    pub(super) fn delete_identity(&self, identity: IdentityId) -> Result<u64> {
        let id = identity.to_string();
        let templates = self.connection.execute("DELETE FROM templates WHERE identity = ?1", [&id]);
        let templates = self.place.sql("change", templates)?;
        self.place.sql("change", self.connection.execute("DELETE FROM identities WHERE id = ?1", [&id]))?;
        Ok(templates as u64)
    }
}

/// The vector as little-endian f32.
fn encode(embedding: &Embedding) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(embedding.dimension() * 4));
    embedding.as_slice().iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
    bytes
}

/// The vector back; `None` unless it has the length 1 it was stored with.
fn decode(model: ModelId, bytes: &[u8]) -> Option<Embedding> {
    let (numbers, []) = bytes.as_chunks::<4>() else { return None };
    let vector: Vec<f32> = numbers.iter().map(|&n| f32::from_le_bytes(n)).collect();
    let squared: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let embedding = Embedding::new(model, vector).ok()?;
    ((squared - 1.0).abs() < 1e-3).then_some(embedding)
}

/// SQLite's numbers are signed; a count is not.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0))
}
