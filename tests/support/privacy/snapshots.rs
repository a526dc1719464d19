//! Every value of the snapshot store, accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use watchlistd::base::clock::SystemClock;
use watchlistd::gallery::keyring::KeyRing;
use watchlistd::gallery::master::{self, KeySource};
use watchlistd::gallery::outside::{Kind, Outside as _};
use watchlistd::gallery::store::Store;
use watchlistd::image::codec::decode_image;
use watchlistd::snapshots::{Beside, Keys};
use watchlistd::types::frame::RgbImage;
use watchlistd::types::ids::IdentityId;

use super::places;

/// What a snapshot store may hold.
const BLOBS: [(&str, &str); 5] = [
    ("snapshots", "id"),
    ("snapshots", "identity"),
    ("snapshots", "event"),
    ("snapshots", "face"),
    ("snapshots", "scene"),
];

/// A picture that was kept.
pub struct Kept {
    /// The name of whoever it is said to show.
    pub name: String,
    /// Which picture.
    pub kind: Kind,
    /// The picture.
    pub image: RgbImage,
}

/// Opens every picture in the store of a folder: each is of somebody who is enrolled there, and under that one's key.
pub fn account(folder: &Path) -> Vec<Kept> {
    let key = master::load(&KeySource::File(folder.join("gallery.key"))).expect("the gallery's key");
    let gallery = Store::open_read_only(&folder.join("gallery.db"), &key).expect("opens");
    let people = gallery.read(|tables| tables.identities()).expect("readable");
    let names: BTreeMap<IdentityId, String> =
        people.iter().map(|who| (who.id, who.record.name.to_string())).collect();
    let keys = Keys { own: gallery.keys().snapshots(), ring: Arc::new(KeyRing::of(&people)) };
    let path = folder.join("snapshots.db");
    let values = places::values(&path);
    let mut ids = BTreeSet::new();
    for value in values.into_iter().filter(|value| value.blob) {
        let column = (value.table.as_str(), value.column.as_str());
        assert!(BLOBS.contains(&column), "{column:?}");
        match column {
            ("snapshots", "identity") => {
                let known = names.keys().any(|id| id.0.as_bytes() == value.bytes.as_slice());
                assert!(known, "row {} is of nobody who is enrolled", value.row);
            }
            ("snapshots", "id") => {
                ids.insert(uuid::Uuid::from_slice(&value.bytes).expect("an id"));
            }
            _ => {}
        }
    }
    let store = Beside::new(path, keys, Arc::new(SystemClock::new()));
    let mut kept = Vec::new();
    for id in ids {
        for kind in Kind::ALL {
            let Some(fetched) = store.fetch(id, kind).expect("readable") else {
                assert!(kind == Kind::Scene, "{id} does not open");
                continue;
            };
            let image = decode_image(&fetched.jpeg, "a snapshot").expect("a JPEG");
            let name = fetched.identity.and_then(|id| names.get(&id)).expect("somebody's").clone();
            kept.push(Kept { name, kind, image });
        }
    }
    kept
}
