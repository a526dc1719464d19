//! Elements of storages, by type, and the strided views that tensors are.

use half::{bf16, f16};

use super::count;
use super::object::View;

/// Type of a storage's elements, which are little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I8,
    I16,
    I32,
    I64,
    Bool,
}

impl Element {
    /// By the name of PyTorch's class of storages.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => Element::F16,
            "BFloat16Storage" => Element::Bf16,
            "FloatStorage" => Element::F32,
            "DoubleStorage" => Element::F64,
            "ByteStorage" => Element::U8,
            "CharStorage" => Element::I8,
            "ShortStorage" => Element::I16,
            "IntStorage" => Element::I32,
            "LongStorage" => Element::I64,
            "BoolStorage" => Element::Bool,
            _ => return None,
        })
    }

    /// Bytes of one.
    pub(super) const fn size(self) -> usize {
        match self {
            Element::U8 | Element::I8 | Element::Bool => 1,
            Element::F16 | Element::Bf16 | Element::I16 => 2,
            Element::F32 | Element::I32 => 4,
            Element::F64 | Element::I64 => 8,
        }
    }

    /// The `index`th element, rounded to f32; `None` beyond the end.
    pub(super) fn at(self, bytes: &[u8], index: usize) -> Option<f32> {
        let rest = bytes.get(index.checked_mul(self.size())?..)?;
        Some(match self {
            Element::F16 => f16::from_le_bytes(*rest.first_chunk()?).to_f32(),
            Element::Bf16 => bf16::from_le_bytes(*rest.first_chunk()?).to_f32(),
            Element::F32 => f32::from_le_bytes(*rest.first_chunk()?),
            Element::F64 => f64::from_le_bytes(*rest.first_chunk()?) as f32,
            Element::U8 => f32::from(*rest.first()?),
            Element::I8 => f32::from(i8::from_le_bytes(*rest.first_chunk()?)),
            Element::I16 => f32::from(i16::from_le_bytes(*rest.first_chunk()?)),
            Element::I32 => i32::from_le_bytes(*rest.first_chunk()?) as f32,
            Element::I64 => i64::from_le_bytes(*rest.first_chunk()?) as f32,
            Element::Bool => f32::from(u8::from(*rest.first()? != 0)),
        })
    }
}

/// The view's elements in row-major order; `None` if one lies outside the storage.
pub(super) fn read(view: &View, storage: &[u8]) -> Option<Vec<f32>> {
    let elements = count(&view.shape)?;
    if elements == 0 {
        return Some(Vec::new());
    }
    let first = view.storage.start.checked_add(view.offset)?;
    let dimensions: Vec<(usize, usize)> =
        view.shape.iter().copied().zip(view.stride.iter().copied()).collect();
    let last = dimensions
        .iter()
        .try_fold(view.offset, |at, (size, stride)| at.checked_add((size - 1).checked_mul(*stride)?))?;
    if last >= view.storage.count || view.storage.start.checked_add(last).is_none() {
        return None;
    }
    let mut values = Vec::with_capacity(elements);
    walk(&dimensions, first, &mut |at| values.extend(view.storage.element.at(storage, at)));
    (values.len() == elements).then_some(values)
}

/// Visits where the elements lie, for dimensions of (size, stride) from the element at `at` on.
fn walk(dimensions: &[(usize, usize)], at: usize, visit: &mut impl FnMut(usize)) {
    match dimensions {
        [] => visit(at),
        [(size, stride), inner @ ..] => (0..*size).for_each(|i| walk(inner, at + i * stride, visit)),
    }
}
