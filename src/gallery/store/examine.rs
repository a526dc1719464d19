//! Every row as it lies there, whatever is wrong with one of them: what `gallery verify` looks at.
//!
//! Each function calls `each` once a row: with what the row holds, or with a sentence that says which row it is and what is
//! wrong with it. They fail only where SQLite cannot read on.

use rusqlite::Row;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::identities;
use super::templates::{self, Wrong};
use super::{StoredIdentity, StoredTemplate, Tables};
use crate::base::error::Result;
use crate::gallery::crypt::Key;
use crate::gallery::list::List;
use crate::types::ids::IdentityId;

/// Whose a row says it is.
pub enum Owner {
    /// Somebody, whose key this is.
    Known(Key),
    /// Somebody whose key does not unwrap.
    Locked,
    /// Nobody in the store.
    Nobody,
}

/// A crop, opened.
pub struct StoredCrop {
    /// Whose it is.
    pub identity: IdentityId,
    /// Keyed tag of its source.
    pub source_tag: [u8; 32],
    /// What was sealed.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What a row holds, or what is wrong with it.
pub type Looked<T> = Result<T, String>;

impl Tables<'_> {
    /// Every identity. The id is told where there is one, also if nothing else is as it was written.
    pub fn look_at_identities(
        &self,
        mut each: impl FnMut(Option<IdentityId>, Looked<StoredIdentity>),
    ) -> Result<()> {
        let sql = format!("SELECT {} FROM identities ORDER BY id", identities::COLUMNS);
        self.look(&sql, |row| {
            let raw = match identities::raw(row) {
                Ok(raw) => raw,
                Err(_) => return each(None, Err("an identity's row holds values of other types".to_owned())),
            };
            let id = id_in(&raw.id);
            let name = named(&raw.id);
            let looked = match identities::unwrap(self.keys, &raw) {
                None => Err(format!(
                    "identity {name}: its key does not unwrap: the id or the wrapped key was changed"
                )),
                Some(_) => identities::open_row(self.keys, &raw).ok_or_else(|| {
                    format!(
                        "identity {name}: its record does not open: it, or what stands beside it, was changed"
                    )
                }),
            };
            each(id, looked.and_then(|identity| self.tagged(identity, raw.external_tag.as_deref())));
        })
    }

    /// The tag beside the record is the one of the external id in it.
    fn tagged(&self, identity: StoredIdentity, tag: Option<&[u8]>) -> Looked<StoredIdentity> {
        let external = identity.record.external_id.as_ref();
        let expected = external.map(|id| identities::external_tag(self.keys, id));
        if expected.as_ref().map(|tag| &tag[..]) == tag {
            Ok(identity)
        } else {
            Err(format!("identity {}: the tag of its external id is another's", identity.id))
        }
    }

    /// Every template, with the id of whose it is, as far as that can be told.
    pub fn look_at_templates(
        &self,
        owner: impl Fn(IdentityId) -> Owner,
        mut each: impl FnMut(Option<IdentityId>, Looked<StoredTemplate>),
    ) -> Result<()> {
        let sql = format!("SELECT {} FROM templates ORDER BY identity, id", templates::COLUMNS);
        self.look(&sql, |row| {
            let Ok(raw) = templates::raw(row) else {
                return each(None, Err("a template's row holds values of other types".to_owned()));
            };
            let (name, of, id) = (named(raw.id()), named(raw.identity()), id_in(raw.identity()));
            let looked = match id.map_or(Owner::Nobody, &owner) {
                Owner::Nobody => {
                    Err(format!("template {name} belongs to {of}, and there is no such identity"))
                }
                Owner::Locked => {
                    Err(format!("template {name} cannot be opened: the key of its identity {of} is lost"))
                }
                Owner::Known(key) => {
                    self.template(&raw, &key).map_err(|why| format!("template {name} of identity {of} {why}"))
                }
            };
            each(id, looked);
        })
    }

    fn template(&self, raw: &templates::Raw, key: &Key) -> Result<StoredTemplate, &'static str> {
        let template = raw.examine(key).map_err(|wrong| match wrong {
            Wrong::Columns => "has an id, a model, a time or a tag that is none",
            Wrong::Sealed => "does not decrypt: it, or what stands beside it, was changed",
            Wrong::Content => "decrypts, and holds no source with a vector of length 1",
        })?;
        if templates::source_tag(self.keys, &template.source.sha256) != template.row.source_tag {
            return Err("has the tag of another picture than the one it says it was made from");
        }
        Ok(template)
    }

    /// How many rows a table has.
    pub fn count(&self, table: &'static str) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        self.read(count).map(i64::unsigned_abs)
    }

    /// Every crop, with the id of whose it is, as far as that can be told.
    pub fn look_at_crops(
        &self,
        owner: impl Fn(IdentityId) -> Owner,
        mut each: impl FnMut(Option<IdentityId>, Looked<StoredCrop>),
    ) -> Result<()> {
        self.look("SELECT identity, source_tag, sealed FROM crops ORDER BY identity, source_tag", |row| {
            let columns =
                || -> rusqlite::Result<(Vec<u8>, Vec<u8>, Vec<u8>)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
            let Ok((identity, tag, sealed)) = columns() else {
                return each(None, Err("a crop's row holds values of other types".to_owned()));
            };
            let of = named(&identity);
            let (Some(id), Ok(source_tag)) = (id_in(&identity), <[u8; 32]>::try_from(tag)) else {
                return each(None, Err(format!("a crop of {of}, and there is no such identity or source")));
            };
            let looked = match owner(id) {
                Owner::Nobody => Err(format!("a crop belongs to {of}, and there is no such identity")),
                Owner::Locked => Err(format!("a crop cannot be opened: the key of its identity {of} is lost")),
                Owner::Known(key) => match templates::open_crop(id, &key, &source_tag, &sealed) {
                    Some(bytes) => Ok(StoredCrop { identity: id, source_tag, bytes }),
                    None => Err(format!(
                        "the crop {} of identity {of} does not decrypt: it, or what stands beside it, was changed",
                        short(&source_tag)
                    )),
                },
            };
            each(Some(id), looked);
        })
    }

    /// Every list.
    pub fn look_at_lists(&self, mut each: impl FnMut(Looked<List>)) -> Result<()> {
        self.look("SELECT name, sealed FROM lists ORDER BY name", |row| {
            let columns = || -> rusqlite::Result<(String, Vec<u8>)> { Ok((row.get(0)?, row.get(1)?)) };
            let Ok((name, sealed)) = columns() else {
                return each(Err("a list's row holds values of other types".to_owned()));
            };
            let opened = self.open_list(&name, &sealed);
            each(opened.ok_or_else(|| format!("list {name:?} does not decrypt: it or its name was changed")));
        })
    }

    fn look(&self, sql: &str, mut each: impl FnMut(&Row<'_>)) -> Result<()> {
        let mut statement = self.read(self.connection.prepare(sql))?;
        let mut rows = self.read(statement.query([]))?;
        while let Some(row) = self.read(rows.next())? {
            each(row);
        }
        Ok(())
    }
}

fn id_in(bytes: &[u8]) -> Option<IdentityId> {
    Uuid::from_slice(bytes).ok().map(IdentityId)
}

/// An id for people, whatever the column holds.
fn named(bytes: &[u8]) -> String {
    id_in(bytes).map_or_else(|| format!("of an id of {} bytes", bytes.len()), |id| id.to_string())
}

/// The start of a source's tag: enough to tell an identity's crops apart.
pub fn short(tag: &[u8; 32]) -> String {
    tag.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
