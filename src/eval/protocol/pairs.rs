//! Pairs files, as Labeled Faces in the Wild has them (`pairs.txt`).
//!
//! ```text
//!  10      300                                   folds, pairs of each kind in a fold; one number: pairs of one fold
//!  Abel_Pacheco    1       4                     mated: Abel_Pacheco/Abel_Pacheco_0001.jpg and .._0004.jpg
//!  ...                                           300 of them, then 300 non-mated:
//!  Abdel_Madi_Shabneh  1   Dean_Barker     1     and so on, fold after fold
//! ```
//!
//! Fields are separated by tabs, or by any blanks in a line without one.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{EXTENSIONS, Picture, Protocol, Trial};
use crate::base::error::{Error, Result};
use crate::{bail, err};

/// Largest pairs file, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// Most pairs.
const MAX_PAIRS: u64 = 10_000_000;
/// Most missing pictures that are named.
const NAMED: usize = 3;

/// A picture as a pairs file names it: the person, and the number of the picture.
type Named = (String, u32);

/// The pairs of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    folds: u16,
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, PartialEq)]
struct Pair {
    line: usize,
    a: Named,
    b: Named,
    fold: u16,
}

impl Pairs {
    /// Reads a pairs file.
    ///
    /// # Errors
    /// `NoInput` and its kin, when it cannot be read; `Data`, with the line, when it is no pairs file.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable = |cause| Error::io("read", path, cause);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            bail!(
                Data,
                "{}: larger than the limit of {} MiB for a pairs file",
                path.display(),
                MAX_FILE >> 20
            );
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| err!(Data, "{}: no text in UTF-8; expected a pairs file", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses the text of a pairs file; `name` is for messages.
    ///
    /// # Errors
    /// `Data`, with the line, what stands there and what was expected.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let numbered = (1..).zip(text.trim_start_matches('\u{feff}').lines());
        let mut lines = numbered.filter(|(_, line)| !line.trim().is_empty());
        let Some((first, head)) = lines.next() else { bail!(Data, "{name}: the file is empty") };
        let (folds, each) = parse_head(head).ok_or_else(|| {
            err!(
                Data,
                "{name} line {first}: {head:?}: expected the numbers of folds and of pairs of each kind in a fold, as \
                 \"10 300\", and at most {MAX_PAIRS} pairs in all"
            )
        })?;
        let mut pairs = Vec::new();
        for (fold, mated) in (0..folds).flat_map(|fold| [(fold, true), (fold, false)]) {
            for n in 1..=each {
                let kind = if mated { "mated" } else { "non-mated" };
                let Some((line, text)) = lines.next() else {
                    bail!(
                        Data,
                        "{name}: ends before {kind} pair {n} of {each} in fold {} of {folds}, which its first line promises",
                        fold + 1
                    );
                };
                let (a, b) = parse_pair(text, mated).map_err(|wrong| {
                    err!(
                        Data,
                        "{name} line {line}: {text:?}: {wrong} ({kind} pair {n} of {each} in fold {})",
                        fold + 1
                    )
                })?;
                pairs.push(Pair { line, a, b, fold });
            }
        }
        if let Some((line, _)) = lines.next() {
            bail!(Data, "{name} line {line}: more pairs than the {} of its first line", pairs.len());
        }
        Ok(Self { folds, pairs })
    }

    /// The comparisons of the pictures in a folder: `<person>/<person>_0001.jpg`, or `.png`, `.jpeg`.
    ///
    /// # Errors
    /// `NoInput`, with the first pictures that are not there.
    pub fn protocol(&self, name: &str, folder: &Path) -> Result<Protocol> {
        if !folder.is_dir() {
            bail!(NoInput, "{}: no such folder; expected <person>/<person>_0001.jpg in it", folder.display());
        }
        let (mut places, mut missing) = (Places::default(), Vec::new());
        let mut trials = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            let mut place = |named: &Named| {
                places.of(named, folder).unwrap_or_else(|wanted| {
                    missing.push((pair.line, wanted));
                    0
                })
            };
            let (a, b) = (place(&pair.a), place(&pair.b));
            trials.push(Trial { a, b, mated: pair.a.0 == pair.b.0, fold: Some(pair.fold) });
        }
        if !missing.is_empty() {
            return Err(not_there(name, folder, &missing));
        }
        let Places { people, pictures, .. } = places;
        let mut names = vec![String::new(); people.len()];
        for (name, position) in people {
            if let Some(place) = names.get_mut(position as usize) {
                *place = name;
            }
        }
        Ok(Protocol { people: names, pictures, trials, folds: self.folds, possible_non_mated: None })
    }
}

/// Pictures by the names that pairs have for them.
#[derive(Default)]
struct Places {
    people: HashMap<String, u32>,
    known: HashMap<Named, Result<u32, PathBuf>>,
    pictures: Vec<Picture>,
}

impl Places {
    /// The picture's position, or the file that is not there.
    fn of(&mut self, named: &Named, folder: &Path) -> Result<u32, PathBuf> {
        if let Some(known) = self.known.get(named) {
            return known.clone();
        }
        let position = self.find(named, folder);
        self.known.insert(named.clone(), position.clone());
        position
    }

    fn find(&mut self, (person, number): &Named, folder: &Path) -> Result<u32, PathBuf> {
        let file = |extension| folder.join(person).join(format!("{person}_{number:04}.{extension}"));
        let [usual, ..] = EXTENSIONS.map(file);
        let path = EXTENSIONS.map(file).into_iter().find(|path| path.is_file()).ok_or(usual)?;
        let next = self.people.len() as u32;
        let person = *self.people.entry(person.clone()).or_insert(next);
        self.pictures.push(Picture { path, person });
        Ok(self.pictures.len() as u32 - 1)
    }
}

fn not_there(name: &str, folder: &Path, missing: &[(usize, PathBuf)]) -> Error {
    let named: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|(line, path)| format!("{} (line {line})", path.strip_prefix(folder).unwrap_or(path).display()))
        .collect();
    let more = missing.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    err!(
        NoInput,
        "{name} names pictures that are not in {}: {}{more}; expected <person>/<person>_0001.jpg",
        folder.display(),
        named.join(", ")
    )
}

/// Folds, and pairs of each kind in a fold.
fn parse_head(line: &str) -> Option<(u16, u32)> {
    let numbers: Vec<u32> = line.split_whitespace().map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let (folds, each) = match numbers[..] {
        [each] => (1, each),
        [folds, each] => (u16::try_from(folds).ok()?, each),
        _ => return None,
    };
    let pairs = 2 * u64::from(folds) * u64::from(each);
    (1..=MAX_PAIRS).contains(&pairs).then_some((folds, each))
}

/// What a line says, or what is wrong with it.
fn parse_pair(line: &str, mated: bool) -> Result<(Named, Named), String> {
    let fields: Vec<&str> = match line.contains('\t') {
        true => line.split('\t').map(str::trim).collect(),
        false => line.split_whitespace().collect(),
    };
    match (mated, &fields[..]) {
        (true, [name, i, j]) => {
            let (a, b) = (named(name, i)?, named(name, j)?);
            if a == b { Err("a picture is compared with itself".to_owned()) } else { Ok((a, b)) }
        }
        (false, [one, i, other, j]) => {
            let (a, b) = (named(one, i)?, named(other, j)?);
            if a.0 == b.0 { Err("two names are expected, and these are one".to_owned()) } else { Ok((a, b)) }
        }
        (true, _) => Err("expected a name and two numbers of pictures".to_owned()),
        (false, _) => Err("expected a name and a number, and another name and its number".to_owned()),
    }
}

/// A name that stays inside the folder, and a number from 1 on.
fn named(name: &str, number: &str) -> Result<Named, String> {
    let strange = |c: char| matches!(c, '/' | '\\') || c.is_control();
    if name.is_empty() || name.starts_with('.') || name.contains(strange) {
        return Err(format!("{name:?} is no name of a folder"));
    }
    let number = number.parse().ok().filter(|n| *n >= 1);
    Ok((name.to_owned(), number.ok_or("expected numbers of pictures, from 1 on")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    const GOOD: &str = "2\t1\nAna\t1\t2\nAna\t1\tBen\t1\nBen 1 3\nBen\t2\tCid van Dam\t1\n";

    fn refused(text: &str) -> String {
        let error = Pairs::parse(text, "pairs.txt").expect_err("no pairs file");
        assert_eq!(error.kind(), Kind::Data);
        error.to_string()
    }

    #[test]
    fn a_pairs_file_says_who_is_compared_in_which_fold() {
        for text in [GOOD.to_owned(), GOOD.replace('\n', "\r\n"), format!("\u{feff}{GOOD}\n\n")] {
            let pairs = Pairs::parse(&text, "pairs.txt").expect("pairs");
            let named = |name: &str, number| (name.to_owned(), number);
            let expected = [
                (named("Ana", 1), named("Ana", 2), 0),
                (named("Ana", 1), named("Ben", 1), 0),
                (named("Ben", 1), named("Ben", 3), 1),
                (named("Ben", 2), named("Cid van Dam", 1), 1),
            ];
            assert_eq!(pairs.folds, 2);
            assert!(pairs.pairs.iter().map(|p| (p.a.clone(), p.b.clone(), p.fold)).eq(expected));
        }
        assert_eq!(Pairs::parse("1\nAna 1 2\nAna 1 Ben 2\n", "x").expect("one fold").folds, 1);
    }

    #[test]
    fn lfws_own_file_has_ten_folds_of_six_hundred_pairs() {
        let Some(path) = crate::infer::testing::shared("data/lfw_pairs.txt") else { return };
        let pairs = Pairs::read(&path).expect("LFW's pairs");
        assert_eq!((pairs.folds, pairs.pairs.len()), (10, 6_000));
        let in_fold = |fold| pairs.pairs.iter().filter(move |pair| pair.fold == fold);
        for fold in 0..10 {
            let mated = in_fold(fold).filter(|pair| pair.a.0 == pair.b.0).count();
            assert_eq!((in_fold(fold).count(), mated), (600, 300));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, parts) in [
            ("", &["empty"][..]),
            ("ten 300\n", &["line 1", "ten 300", "10 300"]),
            ("0 300\n", &["line 1"]),
            ("65535 4000000000\n", &["line 1", "at most"]),
            ("1 1\nAna 1 2\n", &["ends before non-mated pair 1 of 1 in fold 1 of 1"]),
            ("1 1\nAna 1\nAna 1 Ben 1\n", &["line 2", "two numbers", "mated pair 1 of 1 in fold 1"]),
            ("1 1\nAna 1 2\nAna 1 2\n", &["line 3", "another name"]),
            ("1 1\nAna 1 1\nAna 1 Ben 1\n", &["line 2", "itself"]),
            ("1 1\nAna 0 1\nAna 1 Ben 1\n", &["line 2", "from 1 on"]),
            ("1 1\nAna 1 99999999999\nAna 1 Ben 1\n", &["line 2", "from 1 on"]),
            ("1 1\nAna 1 2\nAna 1 Ana 2\n", &["line 3", "these are one"]),
            ("1 1\n../Ana 1 2\nAna 1 Ben 1\n", &["line 2", "no name"]),
            ("1 1\nA\u{1b}na 1 2\nAna 1 Ben 1\n", &["line 2", "no name"]),
            ("1 1\n\nAna 1 2\n\nAna 1 Ben 1\n\nCid 1 2\n", &["line 7", "more pairs than the 2"]),
        ] {
            let said = refused(text);
            assert!(parts.iter().all(|part| said.contains(part)), "{text:?}: {said}");
        }
    }

    #[test]
    fn pictures_are_found_and_those_that_are_not_there_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["Ana/Ana_0001.jpg", "Ana/Ana_0002.png", "Ben/Ben_0001.jpeg", "Ben/Ben_0003.jpg"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, b"").expect("written");
        }
        let pairs = Pairs::parse(GOOD, "pairs.txt").expect("pairs");
        let error = pairs.protocol("pairs.txt", folder.path()).expect_err("some are missing");
        let said = error.to_string();
        assert_eq!(error.kind(), Kind::NoInput);
        assert!(
            said.contains("Ben/Ben_0002.jpg (line 5), Cid van Dam/Cid van Dam_0001.jpg (line 5);"),
            "{said}"
        );

        std::fs::write(folder.path().join("Ben/Ben_0002.jpg"), b"").expect("written");
        std::fs::create_dir(folder.path().join("Cid van Dam")).expect("made");
        std::fs::write(folder.path().join("Cid van Dam/Cid van Dam_0001.jpg"), b"").expect("written");
        let protocol = pairs.protocol("pairs.txt", folder.path()).expect("all there");
        assert_eq!(protocol.people, ["Ana", "Ben", "Cid van Dam"]);
        assert_eq!((protocol.pictures.len(), protocol.folds), (6, 2));
        let trials: Vec<_> = protocol.trials.iter().map(|t| (t.a, t.b, t.mated, t.fold)).collect();
        assert_eq!(
            trials,
            [(0, 1, true, Some(0)), (0, 2, false, Some(0)), (2, 3, true, Some(1)), (4, 5, false, Some(1))]
        );
        let gone = pairs.protocol("pairs.txt", &folder.path().join("gone")).expect_err("no folder");
        assert!(gone.to_string().contains("no such folder"), "{gone}");
    }
}
