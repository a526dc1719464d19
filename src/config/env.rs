//! The environment as a layer: `WATCHLISTD__SECTION__KEY=value`.
//!
//! A variable's name holds no `-` and no `.`, and is usually in capitals. So `CAMERAS__FRONT_DOOR__URL` is for the
//! camera whose id is `front-door`, `front.door`, `Front_Door`, ...: the one that a file names, if there is just one.
//! Sinks and readers are found likewise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::raw::{Node, Origin, Raw, Report, Table};

const PREFIX: &str = "WATCHLISTD__";

/// The names that the files give.
#[derive(Default)]
pub(super) struct Known {
    /// Ids of cameras.
    pub cameras: BTreeSet<String>,
    /// Names of sinks.
    pub sinks: BTreeSet<String>,
    /// Names of readers.
    pub readers: BTreeSet<String>,
}

/// What matters of the environment.
#[derive(Default)]
pub(super) struct Environment {
    /// `WATCHLISTD__...`, by name.
    settings: BTreeMap<String, String>,
    /// systemd's folder for state.
    pub state_dir: Option<PathBuf>,
    /// systemd's folder for sockets.
    pub runtime_dir: Option<PathBuf>,
    /// systemd's folder of credentials.
    pub credentials_dir: Option<PathBuf>,
}

impl Environment {
    /// Picks what matters out of all variables.
    pub fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut this = Self::default();
        for (name, value) in vars {
            match name.as_str() {
                "STATE_DIRECTORY" => this.state_dir = first_folder(&value),
                "RUNTIME_DIRECTORY" => this.runtime_dir = first_folder(&value),
                "CREDENTIALS_DIRECTORY" => this.credentials_dir = first_folder(&value),
                _ if name.starts_with(PREFIX) => {
                    this.settings.insert(name, value);
                }
                _ => {}
            }
        }
        this
    }

    /// The layer. `known`: what the files name.
    pub fn layer(&self, known: &Known, report: &Report) -> Table {
        let mut root = Table::new();
        for (name, value) in &self.settings {
            let origin = Origin { text: name.as_str().into(), from_env: true };
            let problem = |message: &str| report.problem("", message, Some(name.clone()));
            let Some(path) = key_path(name, known, &problem) else { continue };
            let node = Node { value: Raw::Text(value.clone()), origin: Some(origin) };
            if !insert(&mut root, &path, node) {
                problem("another variable sets the same key or one inside it");
            }
        }
        root
    }
}

/// systemd gives a list, separated by colons; the first is the daemon's.
fn first_folder(value: &str) -> Option<PathBuf> {
    value.split(':').next().filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// `WATCHLISTD__CAMERAS__FRONT_DOOR__URL` to `cameras`, `front-door`, `url`.
fn key_path(name: &str, known: &Known, problem: &dyn Fn(&str)) -> Option<Vec<String>> {
    let lower = name.strip_prefix(PREFIX)?.to_lowercase();
    let segments: Vec<&str> = lower.split("__").collect();
    if segments.iter().any(|s| s.is_empty()) {
        problem("expected WATCHLISTD__SECTION__KEY");
        return None;
    }
    let mut path: Vec<String> = segments.iter().map(|s| (*s).to_owned()).collect();
    match segments.as_slice() {
        ["cameras", id, _] => path[1] = the_one(id, "camera", &known.cameras, problem)?,
        ["sinks", name, _] | ["sinks", name, _, _] => {
            path[1] = the_one(name, "sink", &known.sinks, problem)?;
        }
        ["http", "readers", name, _] => path[2] = the_one(name, "reader", &known.readers, problem)?,
        ["cameras", ..] => {
            problem("expected WATCHLISTD__CAMERAS__ID__KEY");
            return None;
        }
        ["sinks", ..] => {
            problem("expected WATCHLISTD__SINKS__NAME__KEY");
            return None;
        }
        [_] => {
            problem("expected WATCHLISTD__SECTION__KEY");
            return None;
        }
        _ => {}
    }
    Some(path)
}

/// The one camera, sink or reader of the files whose name reads like `written`; else a new one of that name.
fn the_one(written: &str, what: &str, named: &BTreeSet<String>, problem: &dyn Fn(&str)) -> Option<String> {
    let fold = |id: &str| id.to_lowercase().replace(['-', '.'], "_");
    let wanted = fold(written);
    let mut alike = named.iter().filter(|id| fold(id) == wanted);
    match (alike.next(), alike.next()) {
        (None, _) => Some(written.to_owned()),
        (Some(id), None) => Some(id.clone()),
        (Some(a), Some(b)) => {
            problem(&format!("may mean {what} {a} or {b}; set this key in a file instead"));
            None
        }
    }
}

/// Puts the node at the path; false if something is there already.
fn insert(table: &mut Table, path: &[String], node: Node) -> bool {
    match path {
        [] => false,
        [key] => match table.contains_key(key) {
            true => false,
            false => table.insert(key.clone(), node).is_none(),
        },
        [key, rest @ ..] => {
            let empty = || Node { value: Raw::Table(Table::new()), origin: None };
            match &mut table.entry(key.clone()).or_insert_with(empty).value {
                Raw::Table(inner) => insert(inner, rest, node),
                _ => false,
            }
        }
    }
}
