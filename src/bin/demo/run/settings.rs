//! The three things the demo takes from the daemon's configuration. The daemon checks the rest.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;
use watchlistd::base::error::{Error, Result};
use watchlistd::{bail, err};

/// Where the daemon expects its camera, and where it keeps its gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The one camera's name.
    pub camera: String,
    /// Where that camera listens.
    pub listen: SocketAddr,
    /// Path of its address.
    pub path: String,
    /// The gallery's store.
    pub gallery: PathBuf,
}

#[derive(Deserialize)]
struct File {
    gallery: Gallery,
    cameras: BTreeMap<String, Camera>,
}

#[derive(Deserialize)]
struct Gallery {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Camera {
    url: String,
}

impl Settings {
    /// Reads the configuration. The gallery must lie in `out`, because the demo makes it anew.
    ///
    /// # Errors
    /// `NoInput` or `Config`, with the key and what was expected.
    pub fn load(config: &Path, out: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(config).map_err(|e| Error::io("read", config, e))?;
        let name = config.display();
        // The parser's message may quote the file, which may hold a password: only the place is told.
        let file: File = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(0, |s| text.get(..s.start).map_or(0, |t| t.matches('\n').count()));
            err!(Config, "{name}:{}: expected [gallery] path and one [cameras.NAME] with a url", line + 1)
        })?;
        let folder = config.parent().unwrap_or(Path::new(""));
        let gallery = folder.join(&file.gallery.path);
        if !lies_in(&gallery, out) {
            bail!(
                Config,
                "{name}: gallery.path: {} is not in {}: the demo only makes its own gallery anew",
                gallery.display(),
                out.display()
            );
        }
        let mut cameras = file.cameras.into_iter();
        let (Some((camera, entry)), None) = (cameras.next(), cameras.next()) else {
            bail!(Config, "{name}: cameras: expected exactly one, the demo's");
        };
        let listen = address(&entry.url).ok_or_else(|| {
            err!(Config, "{name}: cameras.{camera}.url: expected rtsp://127.0.0.1:PORT/PATH")
        })?;
        let path = Url::parse(&entry.url).map(|u| u.path().to_owned()).unwrap_or_default();
        Ok(Self { camera, listen, path, gallery })
    }
}

/// The loopback address in an `rtsp://` URL.
fn address(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok().filter(|u| u.scheme() == "rtsp" && u.path().len() > 1)?;
    let host = url.host_str()?;
    let port = url.port().unwrap_or(554);
    let mut found = (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?;
    found.find(|a| a.ip().is_loopback())
}

/// True if `file`'s folder is `folder` or below it, through links and `..`.
fn lies_in(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| std::path::absolute(path.canonicalize().unwrap_or_else(|_| path.into()));
    let parent = file.parent().unwrap_or(Path::new("."));
    matches!((real(parent), real(folder)), (Ok(inner), Ok(outer)) if inner.starts_with(&outer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings> {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("var/demo");
        std::fs::create_dir_all(&out).expect("a folder");
        std::fs::create_dir_all(folder.path().join("config")).expect("a folder");
        let config = folder.path().join("config/demo.toml");
        std::fs::write(&config, text).expect("written");
        Settings::load(&config, &out)
    }

    const GOOD: &str = "[gallery]\npath = '../var/demo/gallery.db'\nindex = 'exact'\n\
                        [cameras.door]\nurl = 'rtsp://127.0.0.1:8554/entrance'\n";

    #[test]
    fn the_camera_and_the_gallery_are_found() {
        let settings = load(GOOD).expect("good");
        assert_eq!((settings.camera.as_str(), settings.path.as_str()), ("door", "/entrance"));
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8554");
    }

    #[test]
    fn what_the_demo_cannot_work_with_is_refused_by_key() {
        let cases = [
            ("../var/demo/gallery.db", "../var/gallery.db", "gallery.path"),
            ("../var/demo/gallery.db", "/var/lib/watchlistd/gallery.db", "gallery.path"),
            ("127.0.0.1", "192.0.2.7", "cameras.door.url"),
            ("rtsp://", "http://", "cameras.door.url"),
            ("[cameras.door]", "[cameras.gate]\nurl = 'rtsp://127.0.0.1/x'\n[cameras.door]", "exactly one"),
            ("path", "paht", "[gallery] path"),
        ];
        for (from, to, expected) in cases {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = load(&text).expect_err(expected).chain();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_mistake_in_the_file_quotes_nothing_of_it() {
        let error = load(&GOOD.replace("'rtsp://127", "'rtsp://user:hunter2@127").replace("entrance'", "e"));
        let error = error.expect_err("no closing quote").chain();
        assert!(!error.contains("hunter2") && error.contains("demo.toml:"), "{error}");
    }

    #[test]
    fn the_shipped_configuration_is_good() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let settings = Settings::load(&root.join("config/demo.toml"), &root.join("config/../var/demo"));
        let settings = settings.expect("the shipped configuration");
        assert_eq!((settings.camera.as_str(), settings.path.as_str()), ("entrance", "/entrance"));
    }
}
