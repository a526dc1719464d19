//! Loading as a whole: layers, mistakes, credentials, the documented file.

mod documented;
mod layers;
mod mistakes;
mod readers;
mod secrets;
mod sinks;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::load::{Loaded, load};
use super::place::Place;
use super::{Camera, ConfigErrors};

/// A folder with a main file, drop-ins and whatever else a test puts there, and an environment.
struct Setting {
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Setting {
    fn new(main: &str) -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() };
        fs::write(this.main(), main).unwrap();
        this
    }

    fn main(&self) -> PathBuf {
        self.dir.path().join("w.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn drop_in(self, name: &str, text: &str) -> Self {
        let folder = self.path("w.toml.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
        self
    }

    fn var(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.env.push((name.into(), value.as_ref().to_str().unwrap().into()));
        self
    }

    /// A file of the given mode beside the main file.
    fn file(self, name: &str, text: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(Some(&self.main()), self.env.clone(), &Place::default())
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|e| panic!("refused:\n{e}"))
    }

    /// The mistakes, with this test's folder shown as `DIR`.
    fn mistakes(&self) -> Vec<String> {
        let errors = self.load().expect_err("accepted");
        let folder = format!("{}/", self.dir.path().display());
        errors.to_string().lines().map(|line| line.replace(&folder, "DIR/")).collect()
    }

    /// The only mistake.
    fn mistake(&self) -> String {
        let mistakes = self.mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        mistakes.into_iter().next().unwrap()
    }
}

fn only_camera(loaded: Loaded) -> Camera {
    assert_eq!(loaded.config.cameras.len(), 1);
    loaded.config.cameras.into_iter().next().unwrap()
}
