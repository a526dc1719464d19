//! Every blob of a gallery, opened and attributed: to somebody who is enrolled, to a list, to the store itself.
//!
//! ```text
//!  all blobs of all tables ── those that open, or that can be computed again ──▶ nothing is left over
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use watchlistd::gallery::audit;
use watchlistd::gallery::crypt::Key;
use watchlistd::gallery::enrol::Chip;
use watchlistd::gallery::master::{self, KeySource};
use watchlistd::gallery::store::{Store, Tables};
use watchlistd::types::frame::RgbImage;
use watchlistd::types::ids::{IdentityId, ModelId};

use super::places::{self, Thing, Value};

/// What was sealed, and is somebody's.
#[derive(Default)]
pub struct Census {
    /// How many blobs of which kind.
    pub counts: BTreeMap<&'static str, usize>,
    /// Whose vectors.
    pub vectors: Vec<(String, Vec<f32>)>,
    /// Whose crops.
    pub crops: Vec<(String, RgbImage)>,
    /// What was sealed as text, opened, to be searched too.
    pub texts: Vec<Thing>,
    /// The sealed names of the audit log, by entry.
    pub names: BTreeMap<u64, Vec<u8>>,
}

/// Blobs that nobody has accounted for yet.
struct Left(Vec<Value>);

impl Left {
    /// These are accounted for: as many as `expected`, and each as `fits` says.
    fn claim(&mut self, table: &str, column: &str, expected: usize, fits: impl Fn(&[u8]) -> bool) -> usize {
        let (claimed, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|v: &Value| v.table == table && v.column == column);
        self.0 = left;
        let claimed: Vec<Value> = claimed;
        assert_eq!(claimed.len(), expected, "{table}.{column}");
        claimed.iter().for_each(|v| assert!(fits(&v.bytes), "{table}.{column} row {} is nobody's", v.row));
        expected
    }
}

/// One for each table but the audit log and the totals themselves, and one for the log's end.
const TOTALS: usize = 12;

/// Opens every blob in the gallery of a folder. `before` is the census of a time when those were enrolled who have been forgotten
/// since: what was sealed under their keys cannot be opened any more, but is what could be then.
pub fn take(folder: &Path, model: ModelId, before: Option<&Census>) -> Census {
    let (path, key) = (folder.join("gallery.db"), folder.join("gallery.key"));
    let key = master::load(&KeySource::File(key)).expect("the gallery's key");
    let store = Store::open_read_only(&path, &key).expect("the store's own keys open");
    let left = Left(places::values(&path).into_iter().filter(|value| value.blob).collect());
    store.read(|tables| Ok(count(tables, left, model, before))).expect("readable")
}

fn count(tables: &Tables<'_>, mut left: Left, model: ModelId, before: Option<&Census>) -> Census {
    let mut census = Census::default();
    let people = tables.identities().expect("every record opens");
    let ids: BTreeMap<IdentityId, (&str, &Key)> =
        people.iter().map(|p| (p.id, (p.record.name.as_str(), &p.key))).collect();
    let is_enrolled = |bytes: &[u8]| ids.keys().any(|id| id.0.as_bytes() == bytes);
    let tags: Vec<[u8; 32]> = people
        .iter()
        .filter_map(|p| p.record.external_id.as_ref())
        .map(|id| tables.external_tag(id))
        .collect();
    left.claim("identities", "id", people.len(), is_enrolled);
    left.claim("identities", "external_tag", tags.len(), |tag| tags.iter().any(|known| known == tag));
    let keys = left.claim("identities", "wrapped_key", people.len(), |_| true);
    let records = left.claim("identities", "record", people.len(), |_| true);
    for person in &people {
        let text = serde_json::to_vec(&person.record).expect("JSON");
        census.texts.push(Thing::new(format!("the record of {}", person.id), text));
    }

    let mut sources = BTreeSet::new();
    let key_of = |id| ids.get(&id).map(|(_, key)| (*key).clone());
    let each = |template: watchlistd::base::error::Result<watchlistd::gallery::store::StoredTemplate>| {
        let template = template.expect("every template opens");
        let (name, _) = ids[&template.row.identity];
        let tag = tables.source_tag(&template.source.sha256);
        assert!(tag == template.row.source_tag, "a template's tag is that of its source");
        sources.insert((template.row.identity, tag));
        census.vectors.push((name.to_owned(), template.embedding.as_slice().to_vec()));
        let text = serde_json::to_vec(&template.source).expect("JSON");
        census.texts.push(Thing::new(format!("the source of template {}", template.row.id), text));
        Ok(())
    };
    tables.each_template(None, &key_of, each).expect("readable");
    let templates = census.vectors.len();
    let of_a_source = |bytes: &[u8]| sources.iter().any(|(_, tag)| tag == bytes);
    left.claim("templates", "id", templates, |id| id.len() == 16);
    left.claim("templates", "identity", templates, is_enrolled);
    left.claim("templates", "model_id", templates, |id| id == model.0);
    left.claim("templates", "source_tag", templates, of_a_source);
    left.claim("templates", "sealed", templates, |_| true);

    for (identity, tag) in tables.crop_rows().expect("readable") {
        let (name, key) = ids[&identity];
        let bytes = tables.crop(identity, key, &tag).expect("every crop opens").expect("there");
        let chip = Chip::from_bytes(&bytes).expect("a crop");
        census.crops.push((name.to_owned(), chip.image().expect("a picture")));
    }
    let crops = census.crops.len();
    left.claim("crops", "identity", crops, is_enrolled);
    left.claim("crops", "source_tag", crops, of_a_source);
    left.claim("crops", "sealed", crops, |_| true);

    let lists = tables.lists().expect("every list opens");
    left.claim("lists", "sealed", lists.len(), |_| true);
    left.claim("keys", "wrapped", 3, |_| true);
    let forgotten = tables.forgotten().expect("readable");
    left.claim("forgotten", "identity", forgotten.len(), |id| !is_enrolled(id));
    let tags: Vec<[u8; 32]> = forgotten.iter().filter_map(|f| f.external_tag).collect();
    left.claim("forgotten", "external_tag", tags.len(), |tag| tags.iter().any(|known| known == tag));
    let pictures: Vec<Vec<u8>> =
        forgotten.iter().map(|f| f.templates.iter().flat_map(|id| *id.0.as_bytes()).collect()).collect();
    left.claim("forgotten", "templates", pictures.len(), |ids| pictures.iter().any(|known| known == ids));
    // Opening the store has looked at what they are.
    left.claim("totals", "mac", TOTALS, |mac| mac.len() == 32);

    let rows: Vec<audit::Row> = tables.audit_rows().map(|row| row.expect("readable")).collect();
    let verified = audit::verify(&tables.keys().audit, rows.iter().cloned().map(Ok), &[]);
    assert!(verified.is_clean(), "{:?}", verified.sentences());
    left.claim("audit", "mac", rows.len(), |_| true);
    let (mut named, mut of_forgotten) = (0, 0);
    for row in rows.iter().filter(|row| row.sealed.is_some()) {
        let identity = row.entry().expect("an entry").identity.expect("of somebody");
        let sealed = row.sealed.clone().expect("sealed");
        if let Some((_, key)) = ids.get(&identity) {
            let name = row.open(identity, key).expect("every name of somebody enrolled opens");
            let text = serde_json::to_vec(&name).expect("JSON");
            census.texts.push(Thing::new(format!("the name in audit entry {}", row.sequence), text));
            named += 1;
        } else {
            assert!(
                forgotten.iter().any(|f| f.identity == identity),
                "audit entry {} is nobody's",
                row.sequence
            );
            let then = before.and_then(|before| before.names.get(&row.sequence));
            assert_eq!(then, Some(&sealed), "audit entry {} never opened", row.sequence);
            of_forgotten += 1;
        }
        census.names.insert(row.sequence, sealed);
    }
    left.claim("audit", "sealed", named + of_forgotten, |_| true);

    let over: Vec<String> =
        left.0.iter().map(|v| format!("{}.{} row {}", v.table, v.column, v.row)).collect();
    assert!(over.is_empty(), "blobs that nobody accounts for: {over:?}");
    census.counts = BTreeMap::from([
        ("identities' keys", keys),
        ("records", records),
        ("templates", templates),
        ("crops", crops),
        ("names in the audit log", named),
        ("names of the forgotten, whose key is gone", of_forgotten),
        ("lists", lists.len()),
        ("the store's own keys", 3),
    ]);
    census
}
