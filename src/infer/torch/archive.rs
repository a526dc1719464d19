//! `torch.save` since PyTorch 1.6: a zip archive of stored entries.
//!
//! ```text
//!  NAME/data.pkl    the pickle
//!  NAME/byteorder   "little" (since 2.1)
//!  NAME/data/KEY    a storage's bytes
//! ```

use std::collections::BTreeMap;

use super::zip::Zip;
use super::{Storages, Tensor, gather, pickle};
use crate::base::error::Result;
use crate::{bail, err};

const PICKLE: &str = "data.pkl";

pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Its tensors.
///
/// # Errors
/// `Data`, when it is no such archive, or an entry is missing, damaged or compressed.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let mut zip = Zip::open(bytes)?;
    let folder = zip.names().find_map(|name| name.strip_suffix(PICKLE));
    let folder = folder.ok_or_else(|| err!(Data, "a zip archive without {PICKLE}: not of torch.save"))?;
    let byte_order = format!("{folder}byteorder");
    let says_so = zip.names().any(|name| name == byte_order);
    if says_so && zip.read(&byte_order)? != b"little" {
        bail!(Data, "its numbers are big endian; save it on another machine");
    }
    let (pickled, _) = pickle::load(zip.read(&format!("{folder}{PICKLE}"))?)?;
    let views = pickled.state_dictionary()?;
    let mut storages = Storages::new();
    for (_, view) in &views {
        let key = &view.storage.key;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), zip.read(&format!("{folder}data/{key}"))?);
        }
    }
    gather(views, &storages, bytes.len())
}
