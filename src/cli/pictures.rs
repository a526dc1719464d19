//! The pictures that a command is given: files, folders with everything in them, and standard input as `-`.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::output;
use crate::base::error::{Error, Kind, Result};
use crate::image::codec;
use crate::types::frame::RgbImage;
use crate::{bail, err};

/// What standard input is called.
const STANDARD_INPUT: &str = "-";
/// Largest picture from standard input, in bytes.
const MAX_BYTES: u64 = 256 << 20;
/// Names of pictures in folders.
const NAMES: [&str; 3] = ["jpg", "jpeg", "png"];

/// Pictures, in the order in which they are looked at.
#[derive(Debug)]
pub struct Pictures {
    paths: Vec<PathBuf>,
}

impl Pictures {
    /// What was asked for; a folder is every picture in it and in its folders, by name. Other files of a folder are left alone.
    ///
    /// # Errors
    /// `NoInput` or `Permission`, when something is not there or a folder holds no picture; `Usage`, for standard input twice.
    pub fn of(asked: &[PathBuf]) -> Result<Self> {
        let mut paths = Vec::new();
        for path in asked {
            if is_standard_input(path) || !path.is_dir() {
                paths.push(path.clone());
                continue;
            }
            let before = paths.len();
            walk(path, &mut paths)?;
            if paths.len() == before {
                bail!(NoInput, "{}: no pictures (.jpg, .png) in it", path.display());
            }
        }
        if paths.iter().filter(|path| is_standard_input(path)).count() > 1 {
            bail!(Usage, "standard input (-) can be read once, and was asked for twice");
        }
        Ok(Self { paths })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Does the work on each. Of several, one that is broken is told of, and the others go on.
    ///
    /// # Errors
    /// What one alone gives; of several `Data`, when some were broken; whatever is not the picture's fault at once.
    pub fn each(&self, mut work: impl FnMut(&Path) -> Result<()>) -> Result<()> {
        let mut broken = 0;
        for path in self.iter() {
            match work(path) {
                Err(error) if self.len() > 1 && is_the_pictures(&error) => {
                    output::tell(&format!("watchlistd: {}", error.chain()));
                    broken += 1;
                }
                done => done?,
            }
        }
        if broken > 0 {
            bail!(Data, "{broken} of {} pictures could not be looked at", self.len());
        }
        Ok(())
    }
}

fn is_the_pictures(error: &Error) -> bool {
    matches!(error.kind(), Kind::Data | Kind::NoInput | Kind::Permission)
}

/// True for `-`.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// Reads a picture, from its file or from standard input.
///
/// # Errors
/// `NoInput` or `Data`, in one line.
pub fn read(path: &Path) -> Result<RgbImage> {
    if !is_standard_input(path) {
        return codec::read_image(path);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| err!(Io, "cannot read standard input").because(e))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!(Data, "standard input is larger than {MAX_BYTES} bytes, which is the most that is read");
    }
    if bytes.is_empty() {
        bail!(Data, "standard input is empty (0 bytes)");
    }
    codec::decode_image(&bytes, "standard input")
}

/// Where annotated pictures go: one file, or for several a folder that is there.
#[derive(Debug)]
pub struct Targets<'a> {
    out: Option<&'a Path>,
    given: BTreeSet<PathBuf>,
}

impl<'a> Targets<'a> {
    /// For `count` pictures.
    ///
    /// # Errors
    /// `Usage` or `CannotCreate`, for a name that does not go with that.
    pub fn new(out: Option<&'a Path>, count: usize) -> Result<Self> {
        match out {
            Some(out) if !out.is_dir() && count > 1 => {
                bail!(
                    Usage,
                    "--out {}: for {count} pictures it has to be a folder that is there",
                    out.display()
                )
            }
            Some(out) if !out.is_dir() => output::check_target("--out", out, output::PICTURES)?,
            _ => {}
        }
        Ok(Self { out, given: BTreeSet::new() })
    }

    /// Where this picture goes, if pictures are asked for: in a folder under its own name, with a number where that is given already.
    pub fn of(&mut self, picture: &Path) -> Option<PathBuf> {
        let out = self.out?;
        if !out.is_dir() {
            return Some(out.to_owned());
        }
        let name = if is_standard_input(picture) { Path::new("stdin.png") } else { picture };
        let (stem, extension) = (name.file_stem()?.to_string_lossy(), name.extension()?.to_string_lossy());
        let names = std::iter::once(format!("{stem}.{extension}"))
            .chain((2..).map(|n| format!("{stem}-{n}.{extension}")));
        let path = names.map(|name| out.join(name)).find(|path| !self.given.contains(path))?;
        self.given.insert(path.clone());
        Some(path)
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        // A link may lead back to where we are.
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            walk(&path, found)?;
        } else if is_picture(&path) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_all_pictures_in_it_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("b")).expect("made");
        for name in ["c.PNG", "a.jpg", "b/x.jpeg", "notes.txt"] {
            std::fs::write(dir.path().join(name), "x").expect("written");
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("b/again")).expect("linked");
        let pictures = Pictures::of(&[dir.path().to_owned(), "-".into()]).expect("pictures");
        let names: Vec<_> =
            pictures.iter().map(|path| path.strip_prefix(dir.path()).unwrap_or(path).to_owned()).collect();
        assert_eq!(names, ["a.jpg", "b/x.jpeg", "c.PNG", "-"].map(PathBuf::from));
        let empty = tempfile::tempdir().expect("a folder");
        assert_eq!(Pictures::of(&[empty.path().to_owned()]).expect_err("none").kind(), Kind::NoInput);
        assert_eq!(Pictures::of(&["-".into(), "-".into()]).expect_err("twice").kind(), Kind::Usage);
    }

    #[test]
    fn one_that_is_broken_does_not_stop_the_others() {
        let pictures = Pictures::of(&["a.png".into(), "b.png".into(), "c.png".into()]).expect("names");
        let mut seen = Vec::new();
        let error = pictures.each(|path| {
            seen.push(path.to_owned());
            if path == Path::new("b.png") { Err(err!(Data, "broken")) } else { Ok(()) }
        });
        assert_eq!(error.expect_err("one").to_string(), "1 of 3 pictures could not be looked at");
        assert_eq!(seen.len(), 3);
        let mut count = 0;
        let fault = pictures.each(|_| {
            count += 1;
            Err(err!(Unavailable, "no runtime"))
        });
        assert_eq!((fault.expect_err("at once").kind(), count), (Kind::Unavailable, 1));
    }

    #[test]
    fn several_annotated_pictures_go_into_a_folder_without_taking_each_other_s_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut targets = Targets::new(Some(dir.path()), 3).expect("a folder");
        let names = ["x/a.png", "y/a.png", "-"].map(|name| targets.of(Path::new(name)).expect("a place"));
        assert_eq!(names, ["a.png", "a-2.png", "stdin.png"].map(|name| dir.path().join(name)));
        assert_eq!(Targets::new(Some(Path::new("out.png")), 2).expect_err("a file").kind(), Kind::Usage);
        assert!(Targets::new(None, 2).expect("none").of(Path::new("a.png")).is_none());
    }
}
