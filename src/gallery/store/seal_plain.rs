//! From version 1 to 2: templates that stood in the clear are sealed, each identity's under a key of its own.

use rusqlite::Transaction;
use zeroize::Zeroizing;

use super::identities::{self, NewIdentity};
use super::keys::Keys;
use super::sql::Place;
use super::templates::{self, NewTemplate};
use crate::base::error::Result;
use crate::err;
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::crypt::Key;
use crate::gallery::name::Name;
use crate::gallery::record::{Record, Standing};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// Model, vector, quality, file's name and hash, and time.
type PlainRow = ([u8; 32], Zeroizing<Vec<u8>>, f32, String, [u8; 32], String);

/// Seals every row of the old tables and drops these. `secure_delete` overwrites what they held.
pub(super) fn run(transaction: &Transaction<'_>, place: &Place, keys: &Keys) -> Result<()> {
    keys.write(transaction, place)?;
    let sql = "SELECT id, name, created FROM plain_identities ORDER BY id";
    let mut statement = place.sql("migrate", transaction.prepare(sql))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    for row in place.sql("migrate", rows)? {
        let (id, name, created): (String, String, String) = place.sql("migrate", row)?;
        let identity: IdentityId = id.parse()?;
        let key = Key::generate()?;
        let new = NewIdentity {
            id: identity,
            record: &Record::new(Name::new(&name)?),
            standing: Standing::Active,
            created: time(place, &created)?,
            revision: 1,
            key: &key,
            older: &[],
        };
        identities::insert(transaction, place, keys, &new)?;
        seal_templates(transaction, place, keys, identity, &id, &key)?;
    }
    drop(statement);
    let drop_old = "DROP TABLE plain_templates; DROP TABLE plain_identities;";
    place.sql("migrate", transaction.execute_batch(drop_old))
}

fn seal_templates(
    transaction: &Transaction<'_>,
    place: &Place,
    keys: &Keys,
    identity: IdentityId,
    old_id: &str,
    key: &Key,
) -> Result<()> {
    let sql = "SELECT model_id, vector, quality, source, source_sha256, created FROM plain_templates
               WHERE identity = ?1 ORDER BY id";
    let mut statement = place.sql("migrate", transaction.prepare(sql))?;
    let mut rows = place.sql("migrate", statement.query([old_id]))?;
    while let Some(row) = place.sql("migrate", rows.next())? {
        let read = || -> rusqlite::Result<PlainRow> {
            let vector = Zeroizing::new(row.get(1)?);
            Ok((row.get(0)?, vector, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let (model, vector, quality, name, sha256, created) = place.sql("migrate", read())?;
        let embedding = templates::decode(ModelId(model), &vector).ok_or_else(|| damaged(place, old_id))?;
        let source = Source { kind: SourceKind::File, name, sha256: ModelId(sha256).hex() };
        let new = NewTemplate {
            id: TemplateId::generate(),
            embedding: &embedding,
            quality,
            source: &source,
            created: time(place, &created)?,
        };
        templates::insert(transaction, place, keys, identity, key, &new)?;
    }
    Ok(())
}

fn damaged(place: &Place, identity: &str) -> crate::base::error::Error {
    err!(Data, "{place}: a template of identity {identity} is damaged: restore a backup, or enrol again")
}

fn time(place: &Place, text: &str) -> Result<jiff::Timestamp> {
    text.parse().map_err(|e: jiff::Error| err!(Data, "{place}: {text:?} is no time").because(e))
}
