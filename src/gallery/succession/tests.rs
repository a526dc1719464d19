//! Which embedder is opened at a start.

use std::time::{Duration, Instant};

use super::*;
use crate::base::error::Kind;
use crate::gallery::crypt::Key;
use crate::image::testing::noise;
use crate::types::face::Detection;
use crate::types::geometry::{Point, Rect, Size};

struct Site {
    folder: tempfile::TempDir,
    config: Config,
}

impl Site {
    /// Three manifests, of which `a` is configured, and a store.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/mobilefacenet-512.toml");
        let text = std::fs::read_to_string(own).expect("a manifest");
        for (name, order) in [("a", "bgr"), ("b", "rgb")] {
            let text = text.replace("order = \"bgr\"", &format!("order = {order:?}"));
            std::fs::write(folder.path().join(format!("{name}.toml")), text).expect("writable");
        }
        let third = text.replace("mean = [127.5,", "mean = [120.0,");
        std::fs::write(folder.path().join("c.toml"), third).expect("writable");
        let mut config = Config::default();
        config.gallery.path = folder.path().join("gallery.db");
        config.models.embedder = folder.path().join("a.toml");
        Self { folder, config }
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    fn id(&self, name: &str) -> ModelId {
        Manifest::read(&self.manifest(name)).and_then(|manifest| manifest.model_id()).expect("an embedder")
    }

    /// The gallery remembers a switch.
    fn remember(&self, from: &str, to: &str) {
        let key = self.key();
        let mut store = Store::open(&self.config.gallery.path, &key, Duration::ZERO).expect("a store");
        let switch = Succession {
            from: self.id(from),
            from_manifest: Some(self.manifest(from)),
            to: self.id(to),
            to_manifest: self.manifest(to),
        };
        let written = store.write(|tables, _| {
            tables.set_setting(SETTING, Some(&switch.text()?))?;
            tables.set_setting("model.id", Some(&switch.to.hex()))?;
            Ok(((), crate::gallery::store::Content::Same))
        });
        written.expect("written");
    }

    /// The gallery's key, which lies in its file.
    fn key(&self) -> Key {
        let source = KeySource::of_process(&self.config.gallery);
        master::load_or_make(&source).expect("a key").0
    }

    fn used(&self) -> (PathBuf, Option<String>) {
        let (models, warning) = models_in_use(&self.config).expect("models");
        (models.embedder, warning)
    }
}

#[test]
fn the_embedder_that_took_over_is_used_until_the_configuration_names_another() {
    let mut site = Site::new();
    assert_eq!(site.used(), (site.manifest("a"), None), "there is no store");
    site.remember("a", "b");
    let (used, warning) = site.used();
    assert_eq!(used, site.manifest("b"));
    assert!(warning.is_some_and(|warning| warning.contains("set models.embedder to")));
    for name in ["b", "c"] {
        site.config.models.embedder = site.manifest(name);
        assert_eq!(site.used(), (site.manifest(name), None), "the configuration wins");
    }
}

#[test]
fn an_embedder_that_took_over_and_is_gone_or_changed_is_no_silent_way_back() {
    let site = Site::new();
    site.remember("a", "b");
    std::fs::copy(site.manifest("c"), site.manifest("b")).expect("another one in its place");
    let changed = models_in_use(&site.config).expect_err("another model");
    assert_eq!(changed.kind(), Kind::Config, "{changed}");
    std::fs::remove_file(site.manifest("b")).expect("there");
    let gone = models_in_use(&site.config).expect_err("gone");
    assert_eq!(gone.kind(), Kind::Config, "{gone}");
    assert!(gone.to_string().contains("b.toml") && gone.to_string().contains("models.embedder"), "{gone}");
}

#[test]
fn a_path_that_somebody_wrote_into_the_file_opens_no_model() {
    let site = Site::new();
    site.remember("a", "b");
    let path = site.config.gallery.path.clone();
    let elsewhere = |from: &str, to: &str| {
        let connection = rusqlite::Connection::open(&path).expect("a database");
        let sql = "UPDATE settings SET value = replace(value, ?1, ?2) WHERE key = ?3";
        let changed = connection.execute(sql, (from, to, SETTING)).expect("changed");
        assert_eq!(changed, 1);
    };
    std::fs::copy(site.manifest("b"), site.manifest("elsewhere")).expect("copied");
    elsewhere("b.toml", "elsewhere.toml");
    assert_eq!(site.used(), (site.manifest("a"), None), "it is not believed");
    // Whoever has no key cannot tell.
    std::fs::rename(site.folder.path().join("gallery.key"), site.folder.path().join("away")).expect("moved");
    assert_eq!(site.used().0, site.manifest("elsewhere"));
    std::fs::rename(site.folder.path().join("away"), site.folder.path().join("gallery.key")).expect("back");
    elsewhere("elsewhere.toml", "b.toml");
    assert_eq!(site.used().0, site.manifest("b"));
}

fn chip() -> Chip {
    let landmarks = [(138.0, 142.0), (173.0, 142.0), (156.0, 162.0), (141.0, 182.0), (170.0, 182.0)];
    let landmarks = landmarks.map(|(x, y)| Point { x, y });
    let size = Size::new(320, 320);
    let face = Detection::new(Rect::new(100.0, 90.0, 212.0, 212.0), landmarks, 0.9, size).expect("a face");
    Chip::cut(&noise(size, 3), &face).expect("a chip")
}

#[test]
#[ignore = "a measurement; run it alone"]
fn crops_a_second() {
    let var = Path::new(env!("CARGO_MANIFEST_DIR")).join("var");
    let mut site = Site::new();
    site.config.models.folder = var.join("models");
    site.config.models.runtime = Some(var.join("lib/libonnxruntime.so"));
    site.config.models.detector =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/retinaface-mobilenet025.toml");
    let mut next = ToolEmbedders::new(site.config.clone()).load(&site.manifest("b")).expect("a model");
    let chips: Vec<Chip> = (0..200).map(|_| chip()).collect();
    let started = Instant::now();
    let embedded = next.embed(&chips).expect("embedded");
    let took = started.elapsed().as_secs_f64();
    assert!(embedded.iter().all(|e| e.as_ref().is_ok_and(|e| e.model() == site.id("b"))));
    eprintln!("{:.0} crops a second", chips.len() as f64 / took);
}
