//! Python's pickle (protocols 2 to 5), as far as a state dictionary needs it.
//!
//! ```text
//!  opcodes ─▶ stack of values ─ REDUCE ─▶ Heap::call: a dictionary, a tensor, a parameter ─▶ stack
//!                │      └ BINPERSID ─▶ Heap::storage
//!                └ GLOBAL ─▶ Global::named, or refused by name
//! ```
//!
//! Nothing is imported, called or built but what `object` knows. Each opcode makes at most one value, and their number is
//! limited: so is the memory.

use std::collections::HashMap;

use super::object::{Global, Heap, Object, Pickled, Value};
use crate::base::error::Result;
use crate::{bail, err};

/// Most opcodes of a pickle; a state dictionary has some forty a tensor. What they make has 120 MB at most.
const MAX_OPCODES: usize = 1 << 20;
/// Longest name that an error repeats.
const MAX_SHOWN: usize = 100;

/// Reads one pickle; what follows it is given back.
///
/// # Errors
/// `Data`, when it is cut off or none, or asks for something to be run.
pub(super) fn load(input: &[u8]) -> Result<(Pickled, &[u8])> {
    Machine { input, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), heap: Heap::default() }.run()
}

struct Machine<'a> {
    input: &'a [u8],
    stack: Vec<Value>,
    /// Lengths of the stack where a MARK stands.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    heap: Heap,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<(Pickled, &'a [u8])> {
        for _ in 0..MAX_OPCODES {
            match self.byte()? {
                // STOP
                b'.' => {
                    let root = self.pop()?;
                    return Ok((Pickled { root, heap: self.heap }, self.input));
                }
                opcode => self.step(opcode)?,
            }
        }
        bail!(Data, "its pickle has more than {MAX_OPCODES} opcodes: it is no state dictionary's")
    }

    /// Names of opcodes are those of Python's `pickletools`.
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME
            0x80 => self.protocol(),
            0x95 => self.take(8).map(drop),
            // MARK, POP
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' | b'K' | b'M' | 0x8a | b'G' => self.number(opcode),
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' => self.string(opcode),
            b')' | 0x85 | 0x86 | 0x87 | b't' => self.tuple(opcode),
            // EMPTY_LIST, EMPTY_DICT
            b']' => self.make(Object::List(Vec::new())),
            b'}' => self.make(Object::Dictionary(Vec::new())),
            b'a' | b'e' => self.append(opcode),
            b's' | b'u' => self.set_items(opcode),
            b'h' | b'j' | b'q' | b'r' | 0x94 => self.memory(opcode),
            b'c' | 0x93 => self.global(opcode),
            b'R' | b'b' | b'Q' => self.call(opcode),
            _ => bail!(
                Data,
                "its pickle has the opcode {opcode:#04x}, which no state dictionary needs: refused"
            ),
        }
    }

    fn protocol(&mut self) -> Result<()> {
        match self.byte()? {
            2..=5 => Ok(()),
            other => bail!(Data, "its pickle has the protocol {other}, expected 2 to 5"),
        }
    }

    /// BININT, BININT1, BININT2, LONG1, BINFLOAT
    fn number(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => {
                let length = usize::from(self.byte()?);
                long(self.take(length)?)
            }
            _ => self.take(8).map(|_| Value::Opaque)?,
        };
        self.push(value)
    }

    /// BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; SHORT_BINSTRING and BINSTRING of Python 2; SHORT_BINBYTES, BINBYTES
    fn string(&mut self, opcode: u8) -> Result<()> {
        let length = match opcode {
            0x8c | b'U' | b'C' => u64::from(self.byte()?),
            0x8d => u64::from_le_bytes(self.array()?),
            _ => u64::from(u32::from_le_bytes(self.array()?)),
        };
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if matches!(opcode, b'C' | b'B') {
            return self.push(Value::Opaque);
        }
        let text =
            str::from_utf8(bytes).map_err(|_| err!(Data, "its pickle holds a text that is not UTF-8"))?;
        self.make(Object::Text(text.to_owned()))
    }

    /// EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
    fn tuple(&mut self, opcode: u8) -> Result<()> {
        let items = match opcode {
            b')' => Vec::new(),
            0x85..=0x87 => {
                let mut items = (0x84..opcode).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                items.reverse();
                items
            }
            _ => self.pop_to_mark()?,
        };
        self.make(Object::Tuple(items))
    }

    /// APPEND, APPENDS
    fn append(&mut self, opcode: u8) -> Result<()> {
        let new = if opcode == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
        let list = self.top()?;
        match self.heap.get_mut(list) {
            Some(Object::List(items)) => items.extend(new),
            _ => bail!(Data, "its pickle appends to something that is no list"),
        }
        Ok(())
    }

    /// SETITEM, SETITEMS
    fn set_items(&mut self, opcode: u8) -> Result<()> {
        let new = if opcode == b's' {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        } else {
            self.pop_to_mark()?
        };
        let (pairs, rest) = new.as_chunks::<2>();
        let dictionary = self.top()?;
        match (self.heap.get_mut(dictionary), rest) {
            (Some(Object::Dictionary(items)), []) => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)))
            }
            _ => bail!(Data, "its pickle sets items of something that is no dictionary"),
        }
        Ok(())
    }

    /// BINGET, LONG_BINGET, BINPUT, LONG_BINPUT, MEMOIZE
    fn memory(&mut self, opcode: u8) -> Result<()> {
        let index = match opcode {
            b'h' | b'q' => u32::from(self.byte()?),
            b'j' | b'r' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        if matches!(opcode, b'h' | b'j') {
            let known = self.memo.get(&index).copied();
            return self.push(known.ok_or_else(|| err!(Data, "its pickle gets what it never put"))?);
        }
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    /// GLOBAL, STACK_GLOBAL
    fn global(&mut self, opcode: u8) -> Result<()> {
        let (module, name) = if opcode == b'c' {
            (self.line()?.to_owned(), self.line()?.to_owned())
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |value| self.heap.text(value).map(str::to_owned);
            text(module)
                .zip(text(name))
                .ok_or_else(|| err!(Data, "its pickle asks for a name that is no text"))?
        };
        let known = Global::named(&module, &name);
        self.push(Value::Global(known.ok_or_else(|| refused(&module, &name))?))
    }

    /// REDUCE, BUILD, BINPERSID
    fn call(&mut self, opcode: u8) -> Result<()> {
        let argument = self.pop()?;
        match opcode {
            b'R' => {
                let Value::Global(global) = self.pop()? else {
                    bail!(Data, "its pickle calls something that is no name: refused");
                };
                let made = self.heap.call(global, argument)?;
                self.push(made)
            }
            // Attributes of the dictionary: `_metadata`, the versions of its modules.
            b'b' => {
                let built = self.top()?;
                match self.heap.get(built) {
                    Some(Object::Dictionary(_)) => Ok(()),
                    _ => {
                        bail!(Data, "its pickle sets attributes of something that is no dictionary: refused")
                    }
                }
            }
            _ => {
                let storage = self.heap.storage(argument)?;
                self.push(storage)
            }
        }
    }

    fn make(&mut self, object: Object) -> Result<()> {
        let value = self.heap.add(object);
        self.push(value)
    }

    /// Never fails: as all that an opcode does, it gives a result.
    fn push(&mut self, value: Value) -> Result<()> {
        self.stack.push(value);
        Ok(())
    }

    /// The last value above the last mark.
    fn pop(&mut self) -> Result<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn top(&self) -> Result<Value> {
        let above = self.stack.get(self.marks.last().copied().unwrap_or(0)..);
        above
            .and_then(<[Value]>::last)
            .copied()
            .ok_or_else(|| err!(Data, "its pickle takes from an empty stack"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self
            .stack
            .split_off(mark.ok_or_else(|| err!(Data, "its pickle has no mark where one is needed"))?))
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.input.split_first_chunk().ok_or_else(cut_off)?;
        self.input = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.input.split_at_checked(length).ok_or_else(cut_off)?;
        self.input = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a str> {
        let length = self.input.iter().position(|byte| *byte == b'\n').ok_or_else(cut_off)?;
        let line = self.take(length)?;
        self.byte()?;
        str::from_utf8(line).map_err(|_| err!(Data, "its pickle asks for a name that is not UTF-8"))
    }
}

/// A two's complement, little endian, of any length.
fn long(bytes: &[u8]) -> Value {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::Opaque,
    }
}

fn cut_off() -> crate::base::error::Error {
    err!(Data, "its pickle is cut off")
}

fn refused(module: &str, name: &str) -> crate::base::error::Error {
    let asked: String = format!("{module}.{name}").chars().take(MAX_SHOWN).collect();
    err!(
        Data,
        "it asks to run {asked:?}: refused; expected a state dictionary, as torch.save(model.state_dict(), FILE) writes"
    )
}
