//! Metadata beside the pictures: `metadata.csv` or `metadata.jsonl` in the enrolment folder.
//!
//! ```text
//!  folder,name,external_id,lists,valid_until          {"folder": "4711", "name": "Ana", "lists": ["staff"]}
//!  4711,Ana Beltrán,hr-4711,staff;visitors,2027-03-01
//!      └ the folder's pictures; with `file`: that picture alone; with neither: the folder named as `name`
//! ```
//!
//! Everything wrong with a file is told at once, with line numbers: nobody mends ten thousand rows one run at a time. A row about
//! nothing that is there is wrong only if it may be a typing mistake for what has no row; see [`Unnamed`].

mod text;
mod unnamed;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use csv::StringRecord;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use self::text::{column, delimiter, not_utf8, sentence};
pub(super) use self::unnamed::Unnamed;
use super::details::{Details, moment};
use crate::base::error::{Error, Result};
use crate::gallery::dates::Edge;
use crate::gallery::name::Name;
use crate::gallery::record::{ExternalId, ListName};
use crate::{bail, err};

/// The columns, or keys.
pub const COLUMNS: [&str; 12] = [
    "folder",
    "file",
    "name",
    "external_id",
    "lists",
    "purpose",
    "authority",
    "image_source",
    "valid_from",
    "valid_until",
    "review",
    "notes",
];
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Mistakes that are told one by one.
const MOST_TOLD: usize = 50;

/// The rows of a file, and what is wrong with it so far.
#[derive(Debug)]
pub struct Sheet {
    path: PathBuf,
    rows: Vec<Row>,
    /// By the folder's name, or `folder/file`, or `file`: composed, as names are.
    places: HashMap<String, usize>,
    mistakes: Vec<(u64, String)>,
}

/// What is said of a folder or of a picture.
#[derive(Debug)]
struct Row {
    line: u64,
    place: String,
    details: Details,
    used: bool,
}

/// A value as it is written down.
enum Cell {
    Text(String),
    List(Vec<String>),
}

impl Sheet {
    /// The file beside the pictures, if there is one.
    ///
    /// # Errors
    /// `Data`, when there are both a `metadata.csv` and a `metadata.jsonl`; and as [`Sheet::read`].
    pub fn beside(root: &Path) -> Result<Option<Self>> {
        let there: Vec<PathBuf> = ["metadata.csv", "metadata.jsonl"]
            .iter()
            .map(|name| root.join(name))
            .filter(|path| path.exists())
            .collect();
        match there.as_slice() {
            [] => Ok(None),
            [one] => Self::read(one).map(Some),
            _ => Err(err!(
                Data,
                "{} holds a metadata.csv and a metadata.jsonl: expected one of them; --metadata FILE says which",
                root.display()
            )),
        }
    }

    /// Reads a file: CSV with a header line (between the columns: a comma, a semicolon or a tab), or, if its name ends in
    /// `.jsonl`, an object a line. What is wrong with rows is kept for [`Sheet::finish`].
    ///
    /// # Errors
    /// `NoInput`, `Permission` or `Io`, when it cannot be read; `Data`, when it is too large.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable = |e| Error::io("read", path, e);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            bail!(Data, "{}: larger than {} MiB", path.display(), MAX_FILE >> 20);
        }
        let mut sheet =
            Self { path: path.to_owned(), rows: Vec::new(), places: HashMap::new(), mistakes: Vec::new() };
        if let Some(why) = not_utf8(&bytes) {
            sheet.mistake(1, why.to_owned());
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl")) {
            sheet.json(&bytes);
        } else {
            sheet.csv(&bytes);
        }
        Ok(sheet)
    }

    fn csv(&mut self, bytes: &[u8]) {
        let between = delimiter(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(between)
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(bytes);
        let columns = match reader.headers() {
            Ok(columns) => columns.iter().map(column).collect::<Vec<_>>(),
            Err(e) => return self.mistake(1, sentence(&e)),
        };
        if !self.knows(&columns) {
            return;
        }
        let mut row = StringRecord::new();
        loop {
            match reader.read_record(&mut row) {
                Ok(false) => return,
                Ok(true) => {
                    let line = row.position().map_or(0, csv::Position::line);
                    if row.len() == columns.len() {
                        let cells = columns.iter().zip(&row).filter(|(_, text)| !text.is_empty());
                        let cells = cells.map(|(c, text)| (c.clone(), Cell::Text(text.to_owned())));
                        self.row(line, cells, self.mistakes.len());
                    } else {
                        let (values, of) = (row.len(), columns.len());
                        let between = char::from(between).escape_default();
                        self.mistake(
                            line,
                            format!(
                                "{values} values for {of} columns; a value that holds a `{between}` stands in double quotes"
                            ),
                        );
                    }
                }
                Err(e) => {
                    let line = e.position().map_or(0, csv::Position::line);
                    self.mistake(line, sentence(&e));
                    if e.is_io_error() {
                        return;
                    }
                }
            }
        }
    }

    /// True if the header line holds nothing unknown and nothing twice.
    fn knows(&mut self, columns: &[String]) -> bool {
        let mut seen = BTreeSet::new();
        if columns.is_empty() {
            self.mistake(1, format!("expected a header line with some of {}", COLUMNS.join(", ")));
        }
        for column in columns {
            if !COLUMNS.contains(&column.as_str()) {
                self.mistake(1, unknown("column", column));
            } else if !seen.insert(column) {
                self.mistake(1, format!("the column {column:?} is there twice"));
            }
        }
        self.mistakes.is_empty()
    }

    fn json(&mut self, bytes: &[u8]) {
        for (line, text) in (1..).zip(bytes.split(|&b| b == b'\n')) {
            let text = text.strip_prefix(b"\xEF\xBB\xBF").filter(|_| line == 1).unwrap_or(text);
            if text.trim_ascii().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, Value> = match serde_json::from_slice(text) {
                Ok(object) => object,
                Err(e) => {
                    self.mistake(line, format!("expected a JSON object: {e}"));
                    continue;
                }
            };
            let (mut cells, before) = (Vec::new(), self.mistakes.len());
            for (key, value) in object {
                match cell(&key, value) {
                    Ok(Some(cell)) => cells.push((key, cell)),
                    Ok(None) => {}
                    Err(mistake) => self.mistake(line, mistake),
                }
            }
            self.row(line, cells.into_iter(), before);
        }
    }

    /// Takes a row over, unless there are more mistakes than `before` it.
    fn row(&mut self, line: u64, cells: impl Iterator<Item = (String, Cell)>, before: usize) {
        let (mut folder, mut file, mut details) = (None, None, Details::default());
        for (key, value) in cells {
            let read = match (key.as_str(), value) {
                ("folder", Cell::Text(text)) => place(&text, 1).map(|place| folder = Some(place)),
                ("file", Cell::Text(text)) => place(&text, 2).map(|place| file = Some(place)),
                (key, value) => detail(&mut details, key, value),
            };
            if let Err(mistake) = read {
                self.mistake(line, format!("{key}: {}", mistake.chain()));
            }
        }
        if self.mistakes.len() > before {
            return;
        }
        let place = match (folder, file, &details.name) {
            (Some(folder), Some(file), _) => format!("{folder}/{file}"),
            (Some(place), None, _) | (None, Some(place), _) => place,
            (None, None, Some(name)) => name.to_string(),
            (None, None, None) => {
                return self.mistake(line, "expected a folder, a file or a name".to_owned());
            }
        };
        if let Some(&first) = self.places.get(&place) {
            let first = self.rows.get(first).map_or(0, |row| row.line);
            return self.mistake(line, format!("{place:?} is in line {first} already"));
        }
        self.places.insert(place.clone(), self.rows.len());
        self.rows.push(Row { line, place, details, used: false });
    }

    fn mistake(&mut self, line: u64, what: String) {
        self.mistakes.push((line, what));
    }

    /// What is said of a picture (`file`), and of its folder, with the line that says it. Marks the rows as used.
    pub(super) fn about(&mut self, folder: Option<&str>, file: Option<&str>) -> (Details, Option<u64>) {
        let file = match (folder, file) {
            (Some(folder), Some(file)) => Some(format!("{folder}/{file}")),
            (_, file) => file.map(str::to_owned),
        };
        let mut told: (Details, Option<u64>) = Default::default();
        for place in [file.as_deref(), folder].into_iter().flatten() {
            let place: String = place.nfc().collect();
            if let Some(row) = self.places.get(&place).and_then(|&at| self.rows.get_mut(at)) {
                row.used = true;
                told = (told.0.over(&row.details), told.1.or(Some(row.line)));
            }
        }
        told
    }

    /// Notes what is wrong with a row in the light of the folder.
    pub(super) fn wrong(&mut self, line: u64, what: String) {
        if !self.mistakes.iter().any(|(l, w)| (*l, w) == (line, &what)) {
            self.mistake(line, what);
        }
    }

    /// Ends with all mistakes. Without one: the rows about nothing that is there, each with its line and what it names.
    ///
    /// # Errors
    /// `Data`, with each mistake and its line.
    pub(super) fn finish(mut self, unnamed: &Unnamed) -> Result<Vec<(u64, String)>> {
        let lost = self.rows.iter().filter(|row| !row.used).map(|row| (row.line, row.place.clone()));
        let lost: Vec<(u64, String)> = lost.collect();
        if self.mistakes.is_empty() && !lost.iter().any(|(_, place)| unnamed.instead_of(place).is_some()) {
            return Ok(lost);
        }
        for (line, place) in lost {
            let or =
                unnamed.instead_of(&place).map(|other| format!(", and {other:?} has no row: is it meant?"));
            let what = format!("there is no folder or picture {place:?} beside it{}", or.unwrap_or_default());
            self.mistakes.push((line, what));
        }
        self.mistakes.sort();
        let count = self.mistakes.len();
        let mut text =
            format!("{}: {count} mistake{}:", self.path.display(), if count == 1 { "" } else { "s" });
        for (line, what) in self.mistakes.iter().take(MOST_TOLD) {
            text.push_str(&format!("\n  line {line}: {what}"));
        }
        if count > MOST_TOLD {
            text.push_str(&format!("\n  and {} more", count - MOST_TOLD));
        }
        bail!(Data, "{text}")
    }
}

/// A key's value in JSON; nothing, for null and empty text.
fn cell(key: &str, value: Value) -> Result<Option<Cell>, String> {
    if !COLUMNS.contains(&key) {
        return Err(unknown("key", key));
    }
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Ok(Some(Cell::Text(text.trim().to_owned()))),
        Value::Array(items) if key == "lists" => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Ok(text),
                other => Err(format!("lists: expected a list of texts, there is {other}")),
            });
            Ok(Some(Cell::List(texts.collect::<Result<_, _>>()?)))
        }
        other => Err(format!("{key}: expected a text, there is {other}")),
    }
}

fn detail(details: &mut Details, key: &str, value: Cell) -> Result<()> {
    let text = match value {
        Cell::List(items) => {
            details.lists = Some(items.iter().map(|item| ListName::new(item)).collect::<Result<_>>()?);
            return Ok(());
        }
        Cell::Text(text) => text,
    };
    match key {
        "name" => details.name = Some(Name::new(&text)?),
        "external_id" => details.external_id = Some(ExternalId::new(&text)?),
        "lists" => details.lists = Some(lists(&text)?),
        "purpose" => details.purpose = Some(text),
        "authority" => details.authority = Some(text),
        "image_source" => details.image_source = Some(text),
        "valid_from" => details.valid_from = Some(moment(&text, Edge::Start)?),
        "valid_until" => details.valid_until = Some(moment(&text, Edge::End)?),
        "review" => details.review = Some(moment(&text, Edge::Start)?),
        "notes" => details.notes = Some(text),
        _ => bail!(Data, "expected a text"),
    }
    Ok(())
}

/// `staff;visitors`
fn lists(text: &str) -> Result<BTreeSet<ListName>> {
    text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(ListName::new).collect()
}

/// A path below the folder, of at most `most` parts, composed.
fn place(text: &str, most: usize) -> Result<String> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let parts = path.components().count();
    if !plain || parts == 0 || parts > most {
        let expected = if most == 1 { "a folder's name" } else { "a picture's name, or <folder>/<picture>" };
        bail!(Data, "{text:?}: expected {expected}, relative to the enrolment folder");
    }
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Ok(parts.join("/").nfc().collect())
}

fn unknown(what: &str, name: &str) -> String {
    format!("unknown {what} {name:?}; there are {}", COLUMNS.join(", "))
}
