//! Which models there are.
//!
//! ```text
//!  folder of models.detector ─┐
//!  folder of models.embedder ─┼─ *.toml, by name ─▶ Standing { manifest, file }
//!  models.folder (added ones) ┘
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::config;
use crate::infer::manifest::{Manifest, Role};
use crate::{bail, err};

/// The folders in which models are looked for.
#[derive(Debug, Clone)]
pub struct Shelf {
    folders: Vec<PathBuf>,
    weights: PathBuf,
}

/// What of a model is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Its file. Whether it is the right one only its hash says.
    There,
    /// The published file, which has to be prepared first.
    Unprepared,
    /// Nothing.
    Missing,
}

impl FileState {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            FileState::There => "ready",
            FileState::Unprepared => "not prepared",
            FileState::Missing => "file missing",
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It finds faces.
    Detector,
    /// It makes templates.
    Embedder,
}

impl Kind {
    /// Of a manifest.
    pub const fn of(manifest: &Manifest) -> Self {
        match manifest.role {
            Role::Detector(_) => Kind::Detector,
            Role::Embedder(_) => Kind::Embedder,
        }
    }

    /// The word in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Detector => "detector",
            Kind::Embedder => "embedder",
        }
    }
}

/// A manifest that was found.
#[derive(Debug)]
pub struct Standing {
    /// Its file.
    pub path: PathBuf,
    /// What it says, or what is wrong with it.
    pub manifest: Result<Manifest>,
}

impl Shelf {
    /// The folders that a configuration means.
    pub fn of(models: &config::Models) -> Self {
        let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let (mut folders, mut known) = (Vec::new(), BTreeSet::new());
        for folder in [parent(&models.detector), parent(&models.embedder), models.folder.clone()] {
            if known.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
                folders.push(folder);
            }
        }
        Self { folders, weights: models.folder.clone() }
    }

    /// Where weights are, and where models that are added go.
    pub fn home(&self) -> &Path {
        &self.weights
    }

    /// Every manifest, by the name of its file.
    ///
    /// # Errors
    /// As reading a folder; one that is not there has no manifests.
    pub fn all(&self) -> Result<Vec<Standing>> {
        let mut paths = Vec::new();
        for folder in &self.folders {
            match std::fs::read_dir(folder) {
                Ok(entries) => paths.extend(
                    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_manifest(path)),
                ),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("read", folder, e)),
            }
        }
        paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then(a.cmp(b)));
        Ok(paths.into_iter().map(|path| Standing { manifest: Manifest::read(&path), path }).collect())
    }

    /// The manifest that is meant: a file, or the name of a model that is for this.
    ///
    /// # Errors
    /// As [`Manifest::read`]; `NoInput`, for a name that no model has, with those there are; `Config`, for a model of the other kind.
    pub fn find(&self, kind: Option<Kind>, asked: &str) -> Result<Manifest> {
        let path = Path::new(asked);
        let manifest = if is_manifest(path) || asked.contains('/') {
            Manifest::read(path)?
        } else {
            self.named(kind, asked)?
        };
        match kind {
            Some(kind) if kind != Kind::of(&manifest) => bail!(
                Config,
                "{asked} is the model of {} and not of {}",
                article(Kind::of(&manifest)),
                article(kind)
            ),
            _ => Ok(manifest),
        }
    }

    fn named(&self, kind: Option<Kind>, asked: &str) -> Result<Manifest> {
        let mut others = Vec::new();
        for standing in self.all()? {
            match standing.manifest {
                Ok(manifest) if manifest.name == asked => return Ok(manifest),
                Ok(manifest) if kind.is_none_or(|kind| kind == Kind::of(&manifest)) => {
                    others.push(manifest.name)
                }
                // One that is broken is told of where it is asked for by name.
                Err(error) if standing.path.file_stem() == Some(OsStr::new(asked)) => return Err(error),
                _ => {}
            }
        }
        let what = kind.map_or("model", Kind::as_str);
        Err(err!(NoInput, "there is no {what} {asked:?}; there are: {}", others.join(", ")))
    }

    /// Whether a model's file is there.
    pub fn file_of(&self, manifest: &Manifest) -> FileState {
        let there = |name: &Path| self.weights.join(name).is_file();
        let original = manifest.import.as_ref().is_some_and(|import| there(&import.original));
        match (there(&manifest.file), original) {
            (true, _) => FileState::There,
            (false, true) => FileState::Unprepared,
            (false, false) => FileState::Missing,
        }
    }
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Detector => "a detector",
        Kind::Embedder => "an embedder",
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("toml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind as Status;

    /// A checkout's: two manifests in one folder, and a models folder with one that was added.
    fn shelf(folder: &Path) -> Shelf {
        let (manifests, weights) = (folder.join("config"), folder.join("weights"));
        for folder in [&manifests, &weights] {
            std::fs::create_dir_all(folder).expect("made");
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
        for name in ["mobilefacenet-512.toml", "retinaface-mobilenet025.toml"] {
            std::fs::copy(shipped.join(name), manifests.join(name)).expect("copied");
        }
        let text = std::fs::read_to_string(shipped.join("mobilefacenet-512.toml")).expect("read");
        std::fs::write(weights.join("mine.toml"), text.replace("\"mobilefacenet-512\"", "\"mine\""))
            .expect("written");
        Shelf::of(&config::Models {
            detector: manifests.join("retinaface-mobilenet025.toml"),
            embedder: manifests.join("mobilefacenet-512.toml"),
            folder: weights,
            runtime: None,
        })
    }

    #[test]
    fn shipped_and_added_models_are_found_by_name_and_by_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let shelf = shelf(dir.path());
        let names: Vec<String> = shelf
            .all()
            .expect("read")
            .into_iter()
            .map(|one| one.manifest.expect("a manifest").name)
            .collect();
        assert_eq!(names, ["mine", "mobilefacenet-512", "retinaface-mobilenet025"]);
        let mine = shelf.find(Some(Kind::Embedder), "mine").expect("found");
        assert_eq!(mine.path, dir.path().join("weights/mine.toml"));
        assert_eq!(shelf.find(None, mine.path.to_str().expect("UTF-8")).expect("a file").name, "mine");
        assert_eq!(shelf.file_of(&mine), FileState::Missing);
        std::fs::write(shelf.home().join("mobilefacenet-512.original.onnx"), "x").expect("written");
        assert_eq!(shelf.file_of(&mine), FileState::Unprepared);
        std::fs::write(shelf.home().join("mobilefacenet-512.onnx"), "x").expect("written");
        assert_eq!(shelf.file_of(&mine), FileState::There);
    }

    #[test]
    fn what_is_not_there_of_the_other_kind_or_broken_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let shelf = shelf(dir.path());
        let missing = shelf.find(Some(Kind::Embedder), "facenet").expect_err("none");
        assert_eq!(missing.kind(), Status::NoInput);
        assert_eq!(
            missing.to_string(),
            "there is no embedder \"facenet\"; there are: mine, mobilefacenet-512"
        );
        let other = shelf.find(Some(Kind::Detector), "mine").expect_err("another kind");
        assert!(other.to_string().contains("of an embedder and not of a detector"), "{other}");
        std::fs::write(shelf.home().join("broken.toml"), "role = 7").expect("written");
        let broken = shelf.find(Some(Kind::Embedder), "broken").expect_err("broken");
        assert!(broken.to_string().contains("role"), "{broken}");
        assert_eq!(shelf.all().expect("read").len(), 4, "the others are listed all the same");
    }
}
