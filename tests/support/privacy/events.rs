//! Every value of the event log, accounted for.

use std::collections::BTreeSet;
use std::path::Path;

use watchlistd::events::Event;
use watchlistd::events::log;
use watchlistd::gallery::keyring::KeyRing;
use watchlistd::gallery::master::{self, KeySource};
use watchlistd::gallery::store::Store;
use watchlistd::types::ids::IdentityId;

use super::places::{self, Thing};

/// What an event log may hold: each row is as it was accepted, which its MAC says, and of these columns.
const BLOBS: [(&str, &str); 7] = [
    ("state", "epoch"),
    ("state", "mac"),
    ("events", "identity"),
    ("events", "body"),
    ("events", "personal"),
    ("events", "mac"),
    ("sinks", "mac"),
];

/// Looks through the log of a folder. Names are of those who are enrolled there, and open; or of those who were when `before` was
/// copied and are not any more, and do not. The events' texts, to be looked at as any other text.
pub fn account(folder: &Path, before: &Path) -> Vec<Thing> {
    let store = |folder: &Path| {
        let key = master::load(&KeySource::File(folder.join("gallery.key"))).expect("the gallery's key");
        Store::open_read_only(&folder.join("gallery.db"), &key).expect("opens")
    };
    let (now, then) = (store(folder), store(before));
    let ids = |store: &Store| -> BTreeSet<IdentityId> {
        store.read(|tables| Ok(tables.identities()?.iter().map(|i| i.id).collect())).expect("readable")
    };
    let (enrolled, ever) = (ids(&now), ids(&then));
    let ring = now.read(|tables| Ok(KeyRing::of(&tables.identities()?))).expect("readable");
    let path = folder.join("events.db");
    let seen = log::verify(&path, &now.keys().events(), &ring, None).expect("a log");
    assert_eq!((seen.damaged.len(), seen.cut), (0, false));
    assert!(seen.events > 0 && !seen.names.is_empty(), "{seen:?}");
    for (id, (open, closed)) in &seen.names {
        let whole = if enrolled.contains(id) { *closed == 0 } else { ever.contains(id) && *open == 0 };
        assert!(whole, "{id}: {open} names open, {closed} do not");
    }
    let known = |bytes: &[u8]| ever.iter().any(|id| id.0.as_bytes() == bytes);
    let mut texts = Vec::new();
    for value in places::values(&path).into_iter().filter(|value| value.blob) {
        let column = (value.table.as_str(), value.column.as_str());
        assert!(BLOBS.contains(&column), "{column:?}");
        match column {
            ("events", "identity") => assert!(known(&value.bytes), "row {} is of nobody", value.row),
            ("events", "body") => {
                let event: Event = serde_json::from_slice(&value.bytes).expect("an event");
                let named =
                    event.identity().is_some_and(|who| who.name.is_some() || who.external_id.is_some());
                assert!(!named, "row {} holds a name", value.row);
                texts.push(Thing::new(format!("event {}", value.row), value.bytes));
            }
            _ => {}
        }
    }
    texts
}
