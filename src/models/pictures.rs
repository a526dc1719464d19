//! Pictures with faces, for self-tests: who is on them is told by their names.
//!
//! A folder in the folder is a person. Besides, the name of a picture up to the first digit, `-` or `_` names who is on it, if only
//! one face is: `obama2.jpg` and `obama_partial_face.jpg` show one person, `biden.jpg` another. Several faces in one picture are
//! different people.

use std::path::{Path, PathBuf};

use crate::bail;
use crate::base::error::{Error, Result};
use crate::image::codec;
use crate::types::frame::RgbImage;

/// Names of pictures.
const NAMES: [&str; 3] = ["jpg", "jpeg", "png"];

/// A picture, and who is on it if it is one person.
pub struct Picture {
    /// Its file.
    pub path: PathBuf,
    /// The person.
    pub person: String,
    /// Its pixels.
    pub pixels: RgbImage,
}

/// Reads all pictures of a folder, and of the folders in it.
///
/// # Errors
/// `NoInput`, when there is none; as reading them.
pub fn read(folder: &Path) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            let person = name_of(&path);
            for path in entries(&path)?.into_iter().filter(|path| is_picture(path)) {
                pictures.push(Picture { pixels: codec::read_image(&path)?, person: person.clone(), path });
            }
        } else if is_picture(&path) {
            let person = person_of(&name_of(&path));
            pictures.push(Picture { pixels: codec::read_image(&path)?, person, path });
        }
    }
    if pictures.is_empty() {
        bail!(
            NoInput,
            "{}: no pictures (.jpg, .png) with faces in it, to test the model on; `make setup` fetches some, and --pictures takes a folder",
            folder.display()
        );
    }
    Ok(pictures)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(extension))
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn person_of(name: &str) -> String {
    let end = name.find(|c: char| c.is_ascii_digit() || c == '_' || c == '-').filter(|end| *end > 0);
    name.get(..end.unwrap_or(name.len())).unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_folders_say_who_is_on_a_picture() {
        let names = ["obama", "Obama2", "obama_partial_face", "biden-1", "007"].map(person_of);
        assert_eq!(names, ["obama", "obama", "obama", "biden", "007"]);
        let dir = tempfile::tempdir().expect("a folder");
        let one = RgbImage::new(crate::types::geometry::Size::new(8, 8), vec![9; 192]).expect("a picture");
        std::fs::create_dir(dir.path().join("Ana")).expect("made");
        for name in ["Ana/1.png", "Ana/2.PNG", "ben1.png"] {
            codec::write_image(&dir.path().join(name.to_lowercase().replace("ana/", "Ana/")), &one)
                .expect("written");
        }
        std::fs::write(dir.path().join("readme.txt"), "no picture").expect("written");
        let people: Vec<String> = read(dir.path()).expect("read").into_iter().map(|p| p.person).collect();
        assert_eq!(people, ["Ana", "Ana", "ben"]);
        assert!(read(&dir.path().join("nowhere")).is_err());
    }
}
