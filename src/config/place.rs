//! Where the program runs: in a checkout, under a prefix, or anywhere. Default paths depend on it and on nothing else.
//!
//! ```text
//!  no file, and the working directory is a checkout after set-up ─▶ config/models, var/models, var/gallery.db, var/control.sock
//!  PREFIX/bin/watchlistd beside PREFIX/share/watchlistd/models   ─▶ that folder
//!  else                                                          ─▶ /usr/local/share/watchlistd/models
//! ```

use std::path::{Path, PathBuf};

use super::{Control, Gallery, Models};

/// The default paths. They lie below every layer: what a file or the environment says wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// `[models]`
    pub models: Models,
    /// `[gallery]`
    pub gallery: Gallery,
    /// `[control]`
    pub control: Control,
}

impl Place {
    /// This process's. `file` is the main file: whoever writes one says where things are, and gets an installation's defaults.
    pub fn of_process(file: Option<&Path>) -> Self {
        let program = std::env::current_exe().ok();
        let installed = Self::installed(program.as_deref().and_then(Path::parent));
        if file.is_some() || installed.models.detector.is_file() {
            return installed;
        }
        Self::checkout(Path::new("")).unwrap_or(installed)
    }

    /// An installation's: models in `../share/watchlistd/models` of the program's folder if they are there.
    pub fn installed(program: Option<&Path>) -> Self {
        let prefix = program.filter(|folder| folder.ends_with("bin")).and_then(Path::parent);
        let share =
            prefix.map(|prefix| prefix.join("share/watchlistd/models")).filter(|share| share.is_dir());
        let models = share.map_or_else(Models::default, |share| Models::default().moved(&share, &share));
        Self { models, ..Self::default() }
    }

    /// A checkout's after set-up, with paths that start from `folder`; `None`, if that is none.
    pub fn checkout(folder: &Path) -> Option<Self> {
        let weights = folder.join("var/models");
        if !is_checkout(folder) || !weights.is_dir() {
            return None;
        }
        Some(Self {
            models: Models::default().moved(&folder.join("config/models"), &weights),
            gallery: Gallery { path: folder.join("var/gallery.db"), ..Gallery::default() },
            control: Control { socket: folder.join("var/control.sock"), ..Control::default() },
        })
    }
}

impl Models {
    /// The same models with manifests and weights in other folders.
    fn moved(self, manifests: &Path, weights: &Path) -> Self {
        let into = |path: PathBuf| path.file_name().map_or(path.clone(), |name| manifests.join(name));
        Self {
            detector: into(self.detector),
            embedder: into(self.embedder),
            folder: weights.to_owned(),
            runtime: self.runtime,
        }
    }
}

/// True for a folder that holds this project: a `var/` anywhere else is somebody else's.
pub fn is_checkout(folder: &Path) -> bool {
    folder.join("config/models").is_dir() && folder.join("Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;

    fn folder_with(folders: &[&str], files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in folders {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in files {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        dir
    }

    #[test]
    fn models_are_found_under_the_program_s_own_prefix() {
        let dir = folder_with(&["bin", "share/watchlistd/models"], &[]);
        let share = dir.path().join("share/watchlistd/models");
        let models = Place::installed(Some(&dir.path().join("bin"))).models;
        assert_eq!(models.detector, share.join("retinaface-mobilenet025.toml"));
        assert_eq!(models.embedder, share.join("mobilefacenet-512.toml"));
        assert_eq!(models.folder, share);
        assert_eq!(Place::installed(Some(Path::new("/nowhere/bin"))), Place::default());
        assert_eq!(Place::installed(None), Place::default());
    }

    #[test]
    fn a_checkout_is_one_with_models_and_nothing_else_is() {
        assert_eq!(Place::checkout(folder_with(&["var/models"], &[]).path()), None);
        assert_eq!(Place::checkout(folder_with(&["var/models", "config/models"], &[]).path()), None);
        assert_eq!(
            Place::checkout(folder_with(&["config/models"], &["Cargo.toml"]).path()),
            None,
            "no set-up"
        );
    }

    #[test]
    fn a_checkout_s_paths_lie_below_the_environment() {
        let dir = folder_with(&["var/models", "config/models"], &["Cargo.toml"]);
        let place = Place::checkout(dir.path()).unwrap();
        let with = |vars: &[(&str, &str)]| {
            let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            load(None, vars.collect::<Vec<_>>(), &place).unwrap().config
        };
        let config = with(&[]);
        assert_eq!(config.models.folder, dir.path().join("var/models"));
        assert_eq!(config.gallery.path, dir.path().join("var/gallery.db"));
        assert_eq!(config.control.socket, dir.path().join("var/control.sock"));

        let config = with(&[
            ("WATCHLISTD__GALLERY__PATH", "/g.db"),
            ("WATCHLISTD__CONTROL__SOCKET", "/s.sock"),
            ("WATCHLISTD__MODELS__DETECTOR", "/d.toml"),
            ("WATCHLISTD__MODELS__FOLDER", "/weights"),
        ]);
        assert_eq!(config.gallery.path, Path::new("/g.db"));
        assert_eq!(config.control.socket, Path::new("/s.sock"));
        assert_eq!(config.models.detector, Path::new("/d.toml"));
        assert_eq!(config.models.folder, Path::new("/weights"));
        assert_eq!(config.models.embedder, dir.path().join("config/models/mobilefacenet-512.toml"));
    }
}
