//! A configuration as it was written: values with their origins, and the section reader that checks them.
//!
//! ```text
//!  layers ──merge──▶ Table ──Section::get(key, default, reader)──▶ typed value
//!                                  │ wrong: a Problem, the default stands in and reading goes on
//!                                  └ finish(): keys nobody asked for are unknown
//! ```
//!
//! The keys a section was asked for *are* the schema; nothing lists them a second time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use super::error::Problem;
use super::suggest;
use crate::base::secret::{holds_secret, redact};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// `FILE:LINE`, or the variable's name.
    pub text: Arc<str>,
    /// True for the environment: its values are all text and take the type that is expected.
    pub from_env: bool,
}

/// A value and its origin. Without `Debug`: it may hold an address with a password in it.
#[derive(Clone)]
pub(super) struct Node {
    pub value: Raw,
    pub origin: Option<Origin>,
}

/// A table of TOML.
pub(super) type Table = BTreeMap<String, Node>;

/// A value of TOML.
#[derive(Clone)]
pub(super) enum Raw {
    Bool(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    /// The value in words for a message. What looks like an address is redacted.
    pub fn found(&self) -> String {
        match &self.value {
            Raw::Bool(b) => b.to_string(),
            Raw::Whole(n) => n.to_string(),
            Raw::Number(n) => n.to_string(),
            Raw::Text(text) if text.contains("://") => match Url::parse(text) {
                Ok(url) => format!("the address {}", redact(&url)),
                Err(_) => "an address".into(),
            },
            Raw::Text(text) if text.contains('@') || holds_secret(text) => {
                "a text that may hold a password".into()
            }
            Raw::Text(text) => {
                let short: String = text.chars().take(60).collect();
                let more = if short.len() < text.len() { " ..." } else { "" };
                format!("the text {short:?}{more}")
            }
            Raw::List(items) => format!("a list of {}", items.len()),
            Raw::Table(_) => "a table".into(),
        }
    }

    /// The origin; of a table the first one in it, as merging tables leaves them none of their own.
    pub fn origin_text(&self) -> Option<String> {
        if let Some(origin) = &self.origin {
            return Some(origin.text.to_string());
        }
        match &self.value {
            Raw::Table(table) => table.values().find_map(Node::origin_text),
            _ => None,
        }
    }

    /// True if the value came from the environment.
    pub fn is_from_env(&self) -> bool {
        self.origin.as_ref().is_some_and(|o| o.from_env)
    }
}

/// Why a value was refused.
pub(super) enum Wrong {
    /// What was expected; the message goes on with what was found.
    Expected(String),
    /// The whole message: for values that must not be shown.
    Says(String),
}

/// `Wrong::Expected`, in short.
pub(super) fn expected<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Expected(what.into()))
}

/// Everything there is to say about a configuration.
#[derive(Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
    /// Each key that was asked for, cameras as `cameras.*.key`, sinks as `sinks.*.key`, and whether anybody had set it.
    asked: RefCell<BTreeMap<String, bool>>,
}

impl Report {
    /// Adds a mistake.
    pub fn problem(&self, key: impl Into<String>, message: impl Into<String>, origin: Option<String>) {
        let problem = Problem { key: key.into(), message: message.into(), origin };
        self.problems.borrow_mut().push(problem);
    }

    /// Adds a warning: a sentence that starts with the key it is about.
    pub fn warn(&self, message: impl Into<String>) {
        self.warnings.borrow_mut().push(message.into());
    }

    /// Mistakes so far.
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Mistakes, warnings, keys asked for.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<String>, BTreeMap<String, bool>) {
        (self.problems.into_inner(), self.warnings.into_inner(), self.asked.into_inner())
    }
}

/// One table while it is read.
pub(super) struct Section<'r> {
    path: String,
    /// The path with a camera's or a sink's name replaced by `*`.
    schema: String,
    entries: Table,
    known: Vec<&'static str>,
    /// Where the values that were asked for stand.
    origins: BTreeMap<&'static str, String>,
    report: &'r Report,
    problems_before: usize,
}

impl<'r> Section<'r> {
    /// Starts reading `entries` of the table at `path`.
    pub fn new(
        path: impl Into<String>,
        schema: impl Into<String>,
        entries: Table,
        report: &'r Report,
    ) -> Self {
        let problems_before = report.count();
        Self {
            path: path.into(),
            schema: schema.into(),
            entries,
            known: Vec::new(),
            origins: BTreeMap::new(),
            report,
            problems_before,
        }
    }

    /// The report mistakes go to.
    pub fn report(&self) -> &'r Report {
        self.report
    }

    /// The key's full path.
    pub fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The value at `key` through `read`, or `default` if it is not set or is wrong.
    pub fn get<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Node) -> Result<T, Wrong>,
    ) -> T {
        self.read(key, read).unwrap_or(default)
    }

    /// The value at `key` through `read`; `None` if it is not set or is wrong.
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&Node) -> Result<T, Wrong>) -> Option<T> {
        let node = self.take(key)?;
        match read(&node) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.refuse(key, &node, wrong);
                None
            }
        }
    }

    /// True if `key` is set. Does not ask for it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Knows `key`, but refuses it here.
    pub fn forbid(&mut self, key: &'static str, why: &str) {
        if let Some(node) = self.take(key) {
            self.refuse(key, &node, Wrong::Says(why.into()));
        }
    }

    /// Says that `key` must be set.
    pub fn missing(&self, key: &str, what: &str) {
        self.report.problem(self.path_of(key), format!("missing; expected {what}"), None);
    }

    /// Says that values of this section do not go together.
    pub fn conflict(&self, key: &str, message: impl Into<String>) {
        self.report.problem(self.path_of(key), message, self.origins.get(key).cloned());
    }

    /// True if nothing in this section was wrong so far: only then are combinations worth checking.
    pub fn clean(&self) -> bool {
        self.report.count() == self.problems_before
    }

    /// The table at `key` as a section of its own; empty if it is not set.
    pub fn table(&mut self, key: &'static str) -> Section<'r> {
        self.known.push(key);
        let entries = match self.entries.remove(key) {
            Some(Node { value: Raw::Table(table), .. }) => table,
            Some(node) => {
                self.refuse(key, &node, Wrong::Expected("a table".into()));
                Table::new()
            }
            None => Table::new(),
        };
        Section::new(self.path_of(key), format!("{}.{key}", self.schema), entries, self.report)
    }

    /// Everything that nobody asked for yet, for a table whose keys are names: each name with its value through `read`.
    pub fn each<T>(&mut self, read: impl Fn(&str, &Node) -> Result<T, Wrong>) -> Vec<T> {
        let entries = std::mem::take(&mut self.entries);
        let mut asked = self.report.asked.borrow_mut();
        *asked.entry(format!("{}.*", self.schema)).or_default() |= !entries.is_empty();
        drop(asked);
        let value = |(key, node): (String, Node)| match read(&key, &node) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.refuse(&show_key(&key), &node, wrong);
                None
            }
        };
        entries.into_iter().filter_map(value).collect()
    }

    /// Ends reading: whatever is left is unknown. Values of unknown keys are not shown.
    pub fn finish(self) {
        for (key, node) in &self.entries {
            let hint = suggest::hint(key, self.known.iter().copied());
            let path = format!("{}.{}", self.path, show_key(key));
            self.report.problem(path, format!("unknown key{hint}"), node.origin_text());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let node = self.entries.remove(key);
        self.origins.extend(node.as_ref().and_then(Node::origin_text).map(|origin| (key, origin)));
        let mut asked = self.report.asked.borrow_mut();
        *asked.entry(format!("{}.{key}", self.schema)).or_default() |= node.is_some();
        node
    }

    fn refuse(&self, key: &str, node: &Node, wrong: Wrong) {
        let message = match wrong {
            Wrong::Expected(what) => format!("expected {what}, found {}", node.found()),
            Wrong::Says(message) => message,
        };
        self.report.problem(self.path_of(key), message, node.origin_text());
    }
}

/// A key as TOML writes it: quoted where it must be, so that no odd character reaches a terminal.
pub(super) fn show_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.into() } else { format!("{key:?}") }
}
