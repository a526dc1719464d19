//! The enrolment pictures: other photographs of the people than those shown, or the same one altered.

use std::path::{Path, PathBuf};

use watchlistd::base::error::{Error, Result};
use watchlistd::err;

use crate::scene::{Enrolment, Scene};
use crate::show::photo::Photo;

/// JPEG quality of what is made.
const QUALITY: u8 = 92;

/// A picture in the gallery folder.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What it was made from, for a person.
    pub origin: String,
    /// False if the same picture was already there.
    pub written: bool,
}

/// Makes `out/gallery/<identity>/NN.jpg` for everybody who is enrolled. What is there already is kept;
/// folders of other people are left alone.
///
/// # Errors
/// When a photograph is missing or broken, or the folder cannot be written.
pub fn prepare(scene: &Scene, images: &Path, out: &Path) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for person in &scene.people {
        let folder = out.join("gallery").join(&person.name);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        for (picture, number) in person.pictures.iter().zip(1..) {
            let path = folder.join(format!("{number:02}.jpg"));
            let jpeg = picture_of(picture, images)?.to_jpeg(QUALITY)?;
            let written = write_if_new(&path, &jpeg)?;
            made.push(Made { path, origin: describe(picture), written });
        }
    }
    Ok(made)
}

fn picture_of(picture: &Enrolment, images: &Path) -> Result<Photo> {
    let path = images.join(&picture.image);
    let photo = Photo::open(&path)?;
    let photo = match &picture.crop {
        Some(crop) => photo.crop(crop).ok_or_else(|| {
            err!(Config, "{}: the scene's crop lies outside the picture of {}", path.display(), photo.size())
        })?,
        None => photo,
    };
    Ok(if picture.altered { photo.mirrored().relit() } else { photo })
}

fn describe(picture: &Enrolment) -> String {
    let how = if picture.altered { ", mirrored and relit" } else { "" };
    format!("from {}{how}", picture.image)
}

/// True if it was written. The file appears whole or not at all.
fn write_if_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let part = path.with_extension("part");
    std::fs::write(&part, bytes).map_err(|e| Error::io("write", &part, e))?;
    std::fs::rename(&part, path).map_err(|e| Error::io("write", path, e))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("01.jpg");
        assert!(write_if_new(&path, b"one").expect("written"));
        assert!(!write_if_new(&path, b"one").expect("kept"));
        assert!(write_if_new(&path, b"two").expect("replaced"));
        let names: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
        assert_eq!(names.len(), 1, "no part is left behind");
    }
}
