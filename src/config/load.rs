//! Loading: the layers are read, merged by the `config` crate (named nowhere else) and checked.
//!
//! ```text
//!  built-in defaults < FILE < FILE.d/*.toml, by name < WATCHLISTD__SECTION__KEY
//! ```
//!
//! The layers are sources of our own rather than `config::File` and `config::Environment`, because those keep no
//! line numbers, guess the types of variables, and read a top-level key such as `"x[9999999999]"` as a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::env::{Environment, Known};
use super::error::ConfigErrors;
use super::place::Place;
use super::raw::{Node, Origin, Raw, Report, Table, show_key};
use super::{Config, credentials, file, suggest, validate};

/// A configuration that holds, and what is to be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but is likely not meant: a sentence each, starting with the key.
    pub warnings: Vec<String>,
    /// The files it was read from, in the order they were applied.
    pub files: Vec<PathBuf>,
}

/// This process's environment for [`load`]. What is no UTF-8 gets replacement characters rather than a panic.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Loads the configuration and the cameras' credentials.
///
/// `path` is the main file; without one there are only defaults and environment. `env` are the variables to look at
/// (see [`environment`]): `WATCHLISTD__...` and systemd's `STATE_DIRECTORY`, `RUNTIME_DIRECTORY` and
/// `CREDENTIALS_DIRECTORY`. `place` gives the default paths. No file but the configuration and the credentials is opened.
///
/// # Errors
/// Every mistake at once; as [`crate::base::error::Error`] they are of kind `Config` (exit code 78).
pub fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    place: &Place,
) -> Result<Loaded, ConfigErrors> {
    load_with(path, env, place, credentials::Access::Read).map(|(loaded, _)| loaded)
}

/// [`load`] without opening credentials, for commands that need no camera and may run as somebody who must not read
/// them. Cameras then lack what the credentials file and systemd's credentials hold.
///
/// # Errors
/// As [`load`].
pub fn load_without_credentials(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    place: &Place,
) -> Result<Loaded, ConfigErrors> {
    load_with(path, env, place, credentials::Access::Skip).map(|(loaded, _)| loaded)
}

/// Also returns the keys that were asked for, and whether they were set.
pub(super) fn load_with(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    place: &Place,
    access: credentials::Access,
) -> Result<(Loaded, BTreeMap<String, bool>), ConfigErrors> {
    let report = Report::default();
    let env = Environment::new(env);
    let (files, mut layers) = read_files(path, &report);
    // Half a file is not worth checking: what it misses would be reported as missing.
    let readable = report.count() == 0;
    let known = Known {
        cameras: names(&layers, &["cameras"]),
        sinks: names(&layers, &["sinks"]),
        readers: names(&layers, &["http", "readers"]),
    };
    layers.push(env.layer(&known, &report));
    for layer in &mut layers {
        check_shape(layer, &report);
    }
    let config = match (readable, merge(layers)) {
        (true, Ok(root)) => {
            let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
            Some(validate::config(root, folder, &env, place, access, &report))
        }
        (false, _) => None,
        (true, Err(e)) => {
            report.problem("", e, None);
            None
        }
    };
    let (problems, warnings, asked) = report.into_parts();
    match config {
        Some(config) if problems.is_empty() => Ok((Loaded { config, warnings, files }, asked)),
        _ => Err(ConfigErrors::new(problems)),
    }
}

fn read_files(path: Option<&Path>, report: &Report) -> (Vec<PathBuf>, Vec<Table>) {
    let Some(main) = path else { return (Vec::new(), Vec::new()) };
    let mut files = vec![main.to_owned()];
    match file::drop_ins(main) {
        Ok(drop_ins) => files.extend(drop_ins),
        Err(e) => report.problem("", e, Some(file::drop_in_folder(main).display().to_string())),
    }
    let read = |path: &PathBuf| match file::read(path) {
        Ok(content) => file::parse(path, &content, report),
        Err(e) => {
            report.problem("", e, Some(path.display().to_string()));
            None
        }
    };
    let layers = files.iter().filter_map(read).collect();
    (files, layers)
}

/// The names in a section of tables, over all layers.
fn names(layers: &[Table], section: &[&str]) -> BTreeSet<String> {
    let table = |layer: &'_ Table, key: &&str| match layer.get(*key).map(|node| &node.value) {
        Some(Raw::Table(table)) => table.clone(),
        _ => Table::new(),
    };
    let tables =
        layers.iter().map(|layer| section.iter().fold(layer.clone(), |inner, key| table(&inner, key)));
    tables.flat_map(Table::into_keys).collect()
}

/// Takes out of a layer what is no section, and says so: merging would let a later layer's table cover it silently.
fn check_shape(layer: &mut Table, report: &Report) {
    layer.retain(|name, node| {
        if !validate::SECTIONS.contains(&name.as_str()) {
            let hint = suggest::hint(name, validate::SECTIONS);
            report.problem(show_key(name), format!("unknown section{hint}"), node.origin_text());
            return false;
        }
        is_table(name, node, report)
    });
    retain_tables(layer, "cameras", |_| true, report);
    retain_tables(layer, "sinks", |_| true, report);
    retain_tables(layer, "events", |key| matches!(key, "file" | "lists"), report);
    retain_tables(layer, "http", |key| key == "readers", report);
    retain_tables(layer, "http.readers", |_| true, report);
}

/// `section` may be a table of a table, as `http.readers`.
fn retain_tables(layer: &mut Table, section: &str, wanted: impl Fn(&str) -> bool, report: &Report) {
    let mut inner = layer;
    for key in section.split('.') {
        let Some(Node { value: Raw::Table(table), .. }) = inner.get_mut(key) else { return };
        inner = table;
    }
    inner.retain(|key, node| !wanted(key) || is_table(&format!("{section}.{}", show_key(key)), node, report));
}

fn is_table(key: &str, node: &Node, report: &Report) -> bool {
    let table = matches!(node.value, Raw::Table(_));
    if !table {
        let example = match key {
            "cameras" => "tables such as [cameras.door]".into(),
            "sinks" => "tables such as [sinks.archive]".into(),
            "http.readers" => "tables such as [http.readers.dashboard]".into(),
            _ => format!("a table [{key}]"),
        };
        report.problem(key, format!("expected {example}, found {}", node.found()), node.origin_text());
    }
    table
}

/// Later layers win, key by key; lists are replaced as a whole.
fn merge(layers: Vec<Table>) -> Result<Table, String> {
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(Layer(layer));
    }
    // The crate's messages are not passed on: they may quote values.
    let merged = builder.build().map_err(|_| "the layers cannot be merged".to_owned())?;
    match from_value(merged.cache).map(|node| node.value) {
        Some(Raw::Table(table)) => Ok(table),
        _ => Ok(Table::new()),
    }
}

/// One layer as the `config` crate takes it.
#[derive(Clone)]
struct Layer(Table);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may hold secrets.
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(to_map(&self.0))
    }
}

fn to_map(table: &Table) -> Map<String, Value> {
    table.iter().map(|(key, node)| (key.clone(), to_value(node))).collect()
}

fn to_value(node: &Node) -> Value {
    let kind = match &node.value {
        Raw::Bool(b) => ValueKind::Boolean(*b),
        Raw::Whole(n) => ValueKind::I64(*n),
        Raw::Number(n) => ValueKind::Float(*n),
        Raw::Text(text) => ValueKind::String(text.clone()),
        Raw::List(items) => ValueKind::Array(items.iter().map(to_value).collect()),
        Raw::Table(table) => ValueKind::Table(to_map(table)),
    };
    Value::new(node.origin.as_ref().map(encode).as_ref(), kind)
}

fn from_value(value: Value) -> Option<Node> {
    let origin = value.origin().map(decode);
    let value = match value.kind {
        ValueKind::Boolean(b) => Raw::Bool(b),
        ValueKind::I64(n) => Raw::Whole(n),
        ValueKind::Float(n) => Raw::Number(n),
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::Array(items) => Raw::List(items.into_iter().filter_map(from_value).collect()),
        ValueKind::Table(table) => {
            Raw::Table(table.into_iter().filter_map(|(key, value)| Some((key, from_value(value)?))).collect())
        }
        // No layer makes any of these.
        ValueKind::Nil | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => return None,
    };
    Some(Node { value, origin })
}

/// The crate keeps one text for an origin; its first letter tells the environment from a file.
fn encode(origin: &Origin) -> String {
    format!("{}{}", if origin.from_env { 'e' } else { 'f' }, origin.text)
}

fn decode(text: &str) -> Origin {
    Origin { text: text.get(1..).unwrap_or_default().into(), from_env: text.starts_with('e') }
}
