//! What a pickle of a state dictionary is made of.
//!
//! Objects lie side by side in a heap and refer to each other by number, so that nesting, however deep, or a list that holds
//! itself costs no recursion: not when it is made, read or dropped.

use super::tensor::Element;
use crate::base::error::Result;
use crate::{bail, err};

/// Most dimensions of a tensor; a convolution's weights have four.
const MAX_DIMENSIONS: usize = 8;
/// Longest name of a tensor, in bytes.
const MAX_NAME: usize = 512;
/// Longest key of a storage, in bytes: a number, or an address.
const MAX_KEY: usize = 64;
/// Most entries of a state dictionary.
const MAX_ENTRIES: usize = 1 << 16;
/// Where a checkpoint keeps the state dictionary, by custom.
const CHECKPOINT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// A value on the pickle machine's stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A float, bytes, a long integer: nothing that a tensor depends on.
    Opaque,
    Global(Global),
    Object(usize),
}

/// A name that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

impl Global {
    /// By module and name; `None` for all others.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch", "Size") => Global::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
            ("torch", class) => Global::Storage(Element::of_storage(class)?),
            _ => return None,
        })
    }
}

/// What a [`Value::Object`] refers to.
#[derive(Debug)]
pub(super) enum Object {
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(View),
}

/// A storage, or a part of one. Numbers count elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub element: Element,
    pub key: String,
    pub start: usize,
    pub count: usize,
}

/// A tensor: elements of a storage at `offset`, plus a multiple of each dimension's stride.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// All objects of one pickle.
#[derive(Debug, Default)]
pub(super) struct Heap(Vec<Object>);

impl Heap {
    pub(super) fn add(&mut self, object: Object) -> Value {
        self.0.push(object);
        Value::Object(self.0.len() - 1)
    }

    pub(super) fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(at) => self.0.get(at),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(at) => self.0.get_mut(at),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.get(value)? {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.get(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    fn dictionary(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.get(value)? {
            Object::Dictionary(items) => Some(items),
            _ => None,
        }
    }

    /// The value of the last item with this key.
    pub(super) fn item(&self, dictionary: Value, key: &str) -> Option<Value> {
        let items = self.dictionary(dictionary)?.iter().rev();
        items.into_iter().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// A list's texts.
    pub(super) fn texts(&self, value: Value) -> Option<Vec<&str>> {
        self.sequence(value)?.iter().map(|item| self.text(*item)).collect()
    }

    /// What calling a name with these arguments gives.
    ///
    /// # Errors
    /// `Data`, for arguments that no version of PyTorch writes.
    pub(super) fn call(&mut self, global: Global, arguments: Value) -> Result<Value> {
        // One list of arguments may be used for many calls: no more of it is looked at than a call needs.
        let given: Vec<Value> =
            self.sequence(arguments).unwrap_or_default().iter().copied().take(5).collect();
        match (global, given.as_slice()) {
            (Global::OrderedDict, []) => Ok(self.add(Object::Dictionary(Vec::new()))),
            // Python 2 gives the items along.
            (Global::OrderedDict, &[items]) => self.dictionary_of(items),
            (Global::Size, &[sizes]) => Ok(sizes),
            (Global::RebuildTensor, &[storage, offset, size, stride, ..]) => {
                let view = self.view(storage, offset, size, stride);
                Ok(self.add(Object::Tensor(view.ok_or_else(|| err!(Data, "a tensor with odd arguments"))?)))
            }
            (Global::RebuildParameter, &[tensor, ..]) => Ok(tensor),
            _ => bail!(Data, "{global:?} is called with {} odd arguments", given.len()),
        }
    }

    /// Takes the items, so that no list can be copied over and over.
    fn dictionary_of(&mut self, items: Value) -> Result<Value> {
        let items = match self.get_mut(items) {
            Some(Object::List(items)) => std::mem::take(items),
            _ => bail!(Data, "an OrderedDict of something else than a list"),
        };
        let pair = |item: &Value| match self.sequence(*item) {
            Some(&[key, value]) => Ok((key, value)),
            _ => Err(err!(Data, "an OrderedDict of something else than pairs")),
        };
        let pairs = items.iter().map(pair).collect::<Result<_>>()?;
        Ok(self.add(Object::Dictionary(pairs)))
    }

    fn view(&self, storage: Value, offset: Value, size: Value, stride: Value) -> Option<View> {
        let Some(Object::Storage(storage)) = self.get(storage) else { return None };
        let (shape, stride) = (self.sizes(size)?, self.sizes(stride)?);
        if shape.len() != stride.len() {
            return None;
        }
        Some(View { storage: storage.clone(), offset: size_of(offset)?, shape, stride })
    }

    fn sizes(&self, value: Value) -> Option<Vec<usize>> {
        let items = self.sequence(value).filter(|items| items.len() <= MAX_DIMENSIONS)?;
        items.iter().map(|item| size_of(*item)).collect()
    }

    /// The storage of a persistent id: `("storage", class, key, location, elements)`, and in the legacy format `None` or
    /// `(key, start, elements)` of a part.
    ///
    /// # Errors
    /// `Data`, for any other id.
    pub(super) fn storage(&mut self, id: Value) -> Result<Value> {
        let storage =
            self.storage_of(id).ok_or_else(|| err!(Data, "a persistent id that is no storage's"))?;
        Ok(self.add(Object::Storage(storage)))
    }

    fn storage_of(&self, id: Value) -> Option<Storage> {
        let &[kind, Value::Global(Global::Storage(element)), key, _, elements, ref part @ ..] =
            self.sequence(id)?
        else {
            return None;
        };
        let key = self.text(key).filter(|key| key.len() <= MAX_KEY && self.text(kind) == Some("storage"))?;
        let (start, count) = match part {
            [] | [Value::None] => (0, size_of(elements)?),
            &[part] => match self.sequence(part)? {
                &[_, start, count] => (size_of(start)?, size_of(count)?),
                _ => return None,
            },
            _ => return None,
        };
        Some(Storage { element, key: key.to_owned(), start, count })
    }

    /// The type of each storage that was named.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.0.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

fn size_of(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// What a pickle held.
#[derive(Debug)]
pub(super) struct Pickled {
    pub root: Value,
    pub heap: Heap,
}

impl Pickled {
    /// The tensors of the state dictionary, which is the root, or in a checkpoint under one of its usual keys.
    ///
    /// # Errors
    /// `Data`, when there is none, or a name is no name.
    pub(super) fn state_dictionary(&self) -> Result<Vec<(String, View)>> {
        let heap = &self.heap;
        let in_checkpoint = CHECKPOINT_KEYS.iter().filter_map(|key| heap.item(self.root, key));
        let found =
            in_checkpoint.chain([self.root]).find_map(|value| heap.dictionary(value)).unwrap_or_default();
        if found.len() > MAX_ENTRIES {
            bail!(Data, "its dictionary has {} entries: more than any network's", found.len());
        }
        let mut views = Vec::new();
        for (name, value) in found {
            let Some(Object::Tensor(view)) = heap.get(*value) else { continue };
            let name = heap.text(*name).filter(|name| name.len() <= MAX_NAME);
            let name =
                name.ok_or_else(|| err!(Data, "a tensor's name is no text of at most {MAX_NAME} bytes"))?;
            views.push((name.to_owned(), view.clone()));
        }
        if views.is_empty() {
            bail!(
                Data,
                "it holds no state dictionary: expected a dictionary of tensors, or one under {}",
                CHECKPOINT_KEYS.join(", ")
            );
        }
        Ok(views)
    }
}
