//! Configuration files: reading them, the drop-in folder, and TOML with the line of each value.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::raw::{Node, Origin, Raw, Report, Table};

/// Largest file that is read; a configuration is a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// Syntax errors told of one file: the first few are the cause, the rest follow from them.
const MAX_SYNTAX_ERRORS: usize = 8;

/// Reads a file of at most 1 MiB that is a plain file.
///
/// # Errors
/// A message without the path.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Asked for first: opening a FIFO would wait for its writer.
    let meta = fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?;
    if meta.is_dir() {
        return Err("is a folder; expected a file".into());
    }
    if !meta.is_file() {
        return Err("is not a plain file".into());
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(|e| format!("cannot be read: {e}"))?;
    if content.len() as u64 > MAX_BYTES {
        return Err("is larger than 1 MiB; this is no configuration".into());
    }
    Ok(content)
}

/// The drop-ins of `main`: `*.toml` in the folder `<main>.d`, by name.
///
/// # Errors
/// A message without the path, if the folder is there and cannot be read.
pub(super) fn drop_ins(main: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(drop_in_folder(main)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(format!("cannot be read: {e}")),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("cannot be read: {e}"))?.path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// `<main>.d`
pub(super) fn drop_in_folder(main: &Path) -> PathBuf {
    let mut name = main.as_os_str().to_owned();
    name.push(".d");
    name.into()
}

/// Parses a file's content. Mistakes go to the report; `None` if it is no TOML.
pub(super) fn parse(path: &Path, content: &[u8], report: &Report) -> Option<Table> {
    let name = path.display();
    let text = match std::str::from_utf8(content) {
        Ok(text) => text,
        Err(e) => {
            let line = Lines::new(content).position(e.valid_up_to()).0;
            report.problem("", "is not UTF-8", Some(format!("{name}:{line}")));
            return None;
        }
    };
    let lines = Lines::new(content);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MAX_SYNTAX_ERRORS) {
        // The message alone: the library's own display quotes the line, which may hold a password.
        let (line, column) = lines.position(error.span().map_or(0, |s| s.start));
        report.problem("", error.message(), Some(format!("{name}:{line}:{column}")));
    }
    if !errors.is_empty() {
        return None;
    }
    let origin = |offset: usize| {
        Some(Origin { text: format!("{name}:{}", lines.position(offset).0).into(), from_env: false })
    };
    Some(Converter { origin: &origin, report }.table(table.get_ref()))
}

/// A list as TOML writes it, for the environment. Its items have no origin.
pub(super) fn parse_list(text: &str) -> Option<Vec<Node>> {
    let value = DeValue::parse(text.trim()).ok()?;
    let report = Report::default();
    let node = Converter { origin: &|_| None, report: &report }.node(&value)?;
    match node.value {
        Raw::List(items) if report.count() == 0 => Some(items),
        _ => None,
    }
}

/// From the parser's values to ours. What we have no use for is a mistake, and is left out.
struct Converter<'a> {
    origin: &'a dyn Fn(usize) -> Option<Origin>,
    report: &'a Report,
}

impl Converter<'_> {
    fn table(&self, table: &DeTable<'_>) -> Table {
        table.iter().filter_map(|(key, value)| Some((key.get_ref().to_string(), self.node(value)?))).collect()
    }

    fn node(&self, value: &toml::Spanned<DeValue<'_>>) -> Option<Node> {
        let origin = (self.origin)(value.span().start);
        let raw = match value.get_ref() {
            DeValue::Boolean(b) => Ok(Raw::Bool(*b)),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
                .map(Raw::Whole)
                .map_err(|_| "a number beyond 64 bits"),
            DeValue::Float(n) => {
                n.as_str().parse().map(Raw::Number).map_err(|_| "a number that cannot be read")
            }
            DeValue::String(text) => Ok(Raw::Text(text.to_string())),
            DeValue::Datetime(_) => {
                Err("a date or a time, which no key takes; is it a text without its quotes?")
            }
            DeValue::Array(items) => Ok(Raw::List(items.iter().filter_map(|item| self.node(item)).collect())),
            DeValue::Table(table) => Ok(Raw::Table(self.table(table))),
        };
        match raw {
            Ok(value) => Some(Node { value, origin }),
            Err(message) => {
                self.report.problem("", message, origin.map(|o| o.text.to_string()));
                None
            }
        }
    }
}

/// Finds lines and columns, both from 1.
pub(super) struct Lines<'a> {
    content: &'a [u8],
    starts: Arc<[usize]>,
}

impl<'a> Lines<'a> {
    /// Prepares a file's content.
    pub fn new(content: &'a [u8]) -> Self {
        let after = content.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
        Self { content, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Line and column of a byte; a column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        let before = self.content.get(start..offset.min(self.content.len())).unwrap_or_default();
        // Bytes that continue a character of UTF-8 do not count.
        let column = before.iter().filter(|b| (**b & 0xC0) != 0x80).count() + 1;
        (line.max(1), column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let text = "a = 1\nüb = 2\n";
        let lines = Lines::new(text.as_bytes());
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(6), (2, 1));
        assert_eq!(lines.position(8), (2, 2), "after the two bytes of ü");
        assert_eq!(lines.position(10_000), (3, 1));
        assert_eq!(Lines::new(b"").position(0), (1, 1));
    }

    #[test]
    fn drop_ins_are_the_toml_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("w.toml");
        assert!(drop_ins(&main).unwrap().is_empty(), "no folder, no drop-ins");
        let folder = drop_in_folder(&main);
        fs::create_dir(&folder).unwrap();
        for name in ["20-b.toml", "10-a.toml", "note.txt", ".10-a.toml.swp", ".hidden.toml"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let names: Vec<_> =
            drop_ins(&main).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["10-a.toml", "20-b.toml"]);
    }

    #[test]
    fn a_folder_a_missing_file_and_a_huge_one_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().contains("is a folder"));
        assert!(read(&dir.path().join("none")).unwrap_err().contains("cannot be read"));
        let huge = dir.path().join("huge.toml");
        fs::File::create(&huge).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(read(&huge).unwrap_err().contains("larger than 1 MiB"));
    }
}
