//! Reading a TOML table key by key: every mistake is noted with its path, and none stops the reading.

use std::cell::RefCell;

use toml::{Table, Value};

/// What is wrong with a file: one line a mistake.
pub(super) type Mistakes = RefCell<Vec<String>>;

/// A table that is read key by key. A key that was never asked for is a mistake.
pub(super) struct Fields<'a> {
    path: String,
    table: Option<&'a Table>,
    asked: RefCell<Vec<&'static str>>,
    mistakes: &'a Mistakes,
}

impl<'a> Fields<'a> {
    /// The file's top level.
    pub(super) fn root(table: &'a Table, mistakes: &'a Mistakes) -> Self {
        Self { path: String::new(), table: Some(table), asked: RefCell::default(), mistakes }
    }

    /// A table below this one; a missing one is a mistake, and reads as empty without further ones.
    pub(super) fn section(&self, key: &'static str) -> Fields<'a> {
        let table = self.get_hidden(key, "a table", Value::as_table);
        Fields { path: self.path_of(key), table, asked: RefCell::default(), mistakes: self.mistakes }
    }

    /// True if the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// A text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> String {
        let good = |value: &'a Value| value.as_str().filter(|text| !text.trim().is_empty());
        self.get(key, "a text", good).unwrap_or_default().to_owned()
    }

    /// `N` texts that are not empty.
    pub(super) fn texts<const N: usize>(&self, key: &'static str) -> [String; N] {
        let good = |value: &'a Value| -> Option<[String; N]> {
            let text = |item: &Value| item.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
            value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?.try_into().ok()
        };
        self.get(key, &format!("a list of {N} texts"), good)
            .unwrap_or_else(|| std::array::from_fn(|_| String::new()))
    }

    /// One of several names.
    pub(super) fn choice<T>(
        &self,
        key: &'static str,
        names: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.get(key, names, |value| value.as_str().and_then(&parse))
    }

    /// Several of several names; empty if the key is missing and `required` is false.
    pub(super) fn choices<T>(
        &self,
        key: &'static str,
        names: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let list = |value: &'a Value| -> Option<Vec<T>> {
            value.as_array()?.iter().map(|item| item.as_str().and_then(&parse)).collect()
        };
        self.get(key, names, list).unwrap_or_default()
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        self.get(key, "true or false", Value::as_bool).unwrap_or_default()
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, key: &'static str, most: u32) -> u32 {
        let good = |value: &'a Value| {
            value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=most).contains(n))
        };
        self.get(key, &format!("a whole number from 1 to {most}"), good).unwrap_or_default()
    }

    /// A number in a range, ends included.
    pub(super) fn number(&self, key: &'static str, least: f32, most: f32) -> f32 {
        let good = |value: &'a Value| float(value).filter(|x| (least..=most).contains(x));
        self.get(key, &format!("a number from {least} to {most}"), good).unwrap_or_default()
    }

    /// `N` numbers.
    pub(super) fn numbers<const N: usize>(&self, key: &'static str) -> [f32; N] {
        let good = |value: &'a Value| floats::<N>(value);
        self.get(key, &format!("{N} numbers"), good).unwrap_or([0.0; N])
    }

    /// `N` lists of `M` numbers.
    pub(super) fn lists<const N: usize, const M: usize>(&self, key: &'static str) -> [[f32; M]; N] {
        let good = |value: &'a Value| -> Option<[[f32; M]; N]> {
            let lists: Option<Vec<[f32; M]>> = value.as_array()?.iter().map(floats::<M>).collect();
            lists?.try_into().ok()
        };
        self.get(key, &format!("{N} lists of {M} numbers"), good).unwrap_or([[0.0; M]; N])
    }

    /// A list of lists of `M` numbers, of any length.
    pub(super) fn rows<const M: usize>(&self, key: &'static str) -> Vec<[f32; M]> {
        let good = |value: &'a Value| -> Option<Vec<[f32; M]>> {
            value.as_array()?.iter().map(floats::<M>).collect()
        };
        self.get(key, &format!("a list of lists of {M} numbers"), good).unwrap_or_default()
    }

    /// A mistake at a key of this table.
    pub(super) fn mistake(&self, key: &str, what: &str) {
        self.mistakes.borrow_mut().push(format!("{}: {what}", self.path_of(key)));
    }

    /// Notes the keys nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.iter().flat_map(|table| table.keys()) {
            if !asked.iter().any(|known| known == key) {
                self.mistake(key, &format!("unknown key, expected one of {}", asked.join(", ")));
            }
        }
    }

    fn get<T>(&self, key: &'static str, expected: &str, good: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        self.get_shown(key, expected, good, shortened)
    }

    /// Without showing what is there instead.
    fn get_hidden<T>(
        &self,
        key: &'static str,
        expected: &str,
        good: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        self.get_shown(key, expected, good, |value| format!("this {}", value.type_str()))
    }

    fn get_shown<T>(
        &self,
        key: &'static str,
        expected: &str,
        good: impl Fn(&'a Value) -> Option<T>,
        shown: impl Fn(&Value) -> String,
    ) -> Option<T> {
        self.asked.borrow_mut().push(key);
        let table = self.table?;
        let Some(value) = table.get(key) else {
            self.mistake(key, &format!("missing, expected {expected}"));
            return None;
        };
        let read = good(value);
        if read.is_none() {
            self.mistake(key, &format!("{} is not {expected}", shown(value)));
        }
        read
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn float(value: &Value) -> Option<f32> {
    let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64))? as f32;
    number.is_finite().then_some(number)
}

fn floats<const N: usize>(value: &Value) -> Option<[f32; N]> {
    let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(float).collect();
    numbers?.try_into().ok()
}

/// The value; of one that has parts only what it is, for it may be another program's.
fn shortened(value: &Value) -> String {
    if matches!(value, Value::Table(_) | Value::Array(_)) {
        return format!("this {}", value.type_str());
    }
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
