//! `torch.save` before PyTorch 1.6, and since with `_use_new_zipfile_serialization=False`: one stream.
//!
//! ```text
//!  pickles: magic number | protocol, 1001 | about the machine | the object | keys of the storages
//!  then, a storage each, in the order of the keys: number of elements (i64, little endian), elements
//! ```

use std::collections::{BTreeMap, HashMap};

use super::object::{Pickled, Value};
use super::tensor::Element;
use super::{Storages, Tensor, gather, pickle};
use crate::base::error::Result;
use crate::{bail, err};

/// 0x1950a86a20f9469cfc6c as LONG1 with its length.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const PROTOCOL: i64 = 1001;

pub(super) fn is_one(bytes: &[u8]) -> bool {
    // PROTO and FRAME may stand before it.
    bytes.get(..32).unwrap_or(bytes).windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// Its tensors.
///
/// # Errors
/// `Data`, when it is damaged, cut off, or not from a little-endian machine.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let mut rest = bytes;
    let mut next = || -> Result<Pickled> {
        let (pickled, after) = pickle::load(rest)?;
        rest = after;
        Ok(pickled)
    };
    let (_magic, protocol, machine, object, keys) = (next()?, next()?, next()?, next()?, next()?);
    if protocol.root != Value::Int(PROTOCOL) {
        bail!(Data, "its protocol is none that is known: expected {PROTOCOL}");
    }
    if machine.heap.item(machine.root, "little_endian") != Some(Value::Bool(true)) {
        bail!(Data, "its numbers are big endian; save it on another machine");
    }
    let elements: HashMap<&str, Element> =
        object.heap.storages().map(|storage| (storage.key.as_str(), storage.element)).collect();
    let mut storages = Storages::new();
    for key in keys.heap.texts(keys.root).ok_or_else(|| err!(Data, "its list of storages is none"))? {
        let element = elements.get(key);
        let element = element.ok_or_else(|| err!(Data, "its storage {key:?} belongs to no tensor"))?;
        let (storage, after) =
            storage(rest, *element).ok_or_else(|| err!(Data, "its storage {key:?} is cut off"))?;
        rest = after;
        storages.insert(key.to_owned(), storage);
    }
    gather(object.state_dictionary()?, &storages, bytes.len())
}

/// The bytes of the next storage, and what follows.
fn storage(rest: &[u8], element: Element) -> Option<(&[u8], &[u8])> {
    let (elements, rest) = rest.split_first_chunk()?;
    let elements = usize::try_from(i64::from_le_bytes(*elements)).ok()?;
    rest.split_at_checked(elements.checked_mul(element.size())?)
}
