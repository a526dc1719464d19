//! `config/watchlistd.toml` and `docs/configuration.md` say what the code does.

use std::path::{Path, PathBuf};

use super::Setting;
use crate::config::credentials::Access;
use crate::config::load::{load, load_with};
use crate::config::place::Place;
use crate::config::{Camera, CameraSource, Config, Rtsp};
use crate::types::geometry::Size;

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The file with every setting in force: `#key = ...` and `#[section]` lose their `#`.
fn uncommented() -> String {
    let text = std::fs::read_to_string(project("config/watchlistd.toml")).unwrap();
    let setting = |line: &&str| {
        line.starts_with('#') && line[1..].starts_with(|c: char| c == '[' || c.is_alphanumeric())
    };
    text.lines().map(|line| if setting(&line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

fn everything() -> Setting {
    let setting = Setting::new(&uncommented()).file("creds/door-password", "p", 0o400);
    let folder = setting.path("creds");
    setting.var("CREDENTIALS_DIRECTORY", folder)
}

#[test]
fn as_it_is_shipped_it_is_the_defaults() {
    let loaded = load(Some(&project("config/watchlistd.toml")), [], &Place::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn with_every_setting_in_force_it_still_is_the_defaults() {
    let loaded = everything().loaded();
    assert_eq!(loaded.warnings, [""; 0]);
    let cameras = loaded.config.cameras.clone();
    assert_eq!(Config { cameras: Vec::new(), ..loaded.config }, Config::default());

    let ids: Vec<_> = cameras.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["desk", "door", "pattern", "recording"]);
    for camera in &cameras {
        assert_eq!(
            *camera,
            Camera::new(camera.id.clone(), camera.source.clone()),
            "options at their defaults"
        );
    }
    let [desk, door, pattern, recording] = cameras.map_sources();
    assert_eq!(desk, CameraSource::V4l2 { device: "/dev/video0".into() });
    assert_eq!(recording, CameraSource::File { path: "/srv/video/entrance.mp4".into(), repeat: false });
    assert_eq!(pattern, CameraSource::Test { pattern: "smpte".into(), size: Size::new(640, 360), fps: 25 });
    let CameraSource::Rtsp(rtsp) = door else { panic!("{door:?}") };
    let bare = Rtsp { user: None, password: None, ..rtsp.clone() };
    assert_eq!(bare, Rtsp::new("rtsp://10.0.0.9:554/stream2".parse().unwrap()));
    assert!(rtsp.user.is_some() && rtsp.password.is_some());
}

trait MapSources {
    fn map_sources(self) -> [CameraSource; 4];
}

impl MapSources for Vec<Camera> {
    fn map_sources(self) -> [CameraSource; 4] {
        let sources: Vec<_> = self.into_iter().map(|c| c.source).collect();
        sources.try_into().expect("four cameras")
    }
}

#[test]
fn it_holds_every_key_of_the_schema() {
    let setting = everything();
    let (_, asked) =
        load_with(Some(&setting.main()), setting.env.clone(), &Place::default(), Access::Read).unwrap();
    // A camera's `password` is known only to be refused.
    let missing: Vec<_> = asked.iter().filter(|(key, set)| !**set && *key != "cameras.*.password").collect();
    assert!(missing.is_empty(), "config/watchlistd.toml lacks {missing:?}");
    assert!(asked.len() > 60, "{} keys", asked.len());
}

/// What stands between fences of this kind.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}

#[test]
fn the_first_camera_of_the_readme_has_its_password() {
    let page = std::fs::read_to_string(project("README.md")).unwrap();
    let (configuration, credentials) = (blocks(&page, "toml"), blocks(&page, "toml credentials"));
    let setting = Setting::new(&configuration[0]).file("credentials.toml", &credentials[0], 0o600);
    let loaded = setting.loaded();
    assert_eq!(loaded.warnings, [""; 0]);
    assert!(
        matches!(&loaded.config.cameras[0].source, CameraSource::Rtsp(r) if r.user.is_some() && r.password.is_some())
    );

    let drop_in = std::fs::read_to_string(project("systemd/drop-ins/credentials.conf")).unwrap();
    let copy = "LoadCredential=credentials.toml:/etc/watchlistd/credentials.toml";
    assert!(
        drop_in.lines().any(|line| line == copy) && page.contains("drop-ins/credentials.conf"),
        "{drop_in}"
    );
}

#[test]
fn every_example_of_the_manual_is_read() {
    let manual = std::fs::read_to_string(project("docs/configuration.md")).unwrap();
    let (examples, credentials) = (blocks(&manual, "toml"), blocks(&manual, "toml credentials"));
    assert!(examples.len() >= 8 && credentials.len() == 1, "{} and {}", examples.len(), credentials.len());
    for example in examples {
        let setting = Setting::new(&example)
            .file("credentials.toml", &credentials[0], 0o600)
            .file("creds/door-password", "p", 0o400)
            .file("creds/cameras", &credentials[0], 0o400);
        let folder = setting.path("creds");
        let setting = setting.var("CREDENTIALS_DIRECTORY", folder);
        assert!(setting.load().is_ok(), "{example}\n{}", setting.load().unwrap_err());
    }
}
