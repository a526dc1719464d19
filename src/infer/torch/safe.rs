//! safetensors: a header in JSON, then the elements, little endian.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::tensor::Element;
use super::{Tensor, count};
use crate::base::error::Result;
use crate::{bail, err};

pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// Its tensors.
///
/// # Errors
/// `Data`, when it is damaged or cut off, or its elements have a type that is not known here.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| err!(Data, "not a whole file of safetensors").because(e))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let Some(element) = element(view.dtype()) else {
            bail!(Data, "{name:?} has elements of type {:?}; save it as f32", view.dtype());
        };
        let elements = count(view.shape()).unwrap_or(0);
        let values = (0..elements).map_while(|index| element.at(view.data(), index)).collect();
        tensors.insert(name.to_owned(), Tensor::new(view.shape().to_vec(), values)?);
    }
    Ok(tensors)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
