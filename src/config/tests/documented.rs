//! `config/watchlistd.toml` and `docs/configuration.md` say what the code does.

use std::path::{Path, PathBuf};

use super::Setting;
use crate::config::credentials::Access;
use crate::config::load::{load, load_with};
use crate::config::place::Place;
use crate::config::{Camera, CameraSource, Config, EventFile, EventSocket, HttpReader, Rtsp, Sink, SinkKind};
use crate::sinks::kafka::KafkaConfig;
use crate::sinks::mqtt::MqttConfig;
use crate::sinks::nats::{Login, NatsConfig};
use crate::sinks::webhook::{Mode, WebhookConfig};
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

/// The secrets that its sinks and readers name.
const SECRETS: [&str; 12] = [
    "door-password",
    "broker-password",
    "nats-password",
    "nats-token",
    "nats-seed",
    "kafka-password",
    "desk-signing",
    "desk-token",
    "desk-key",
    "desk-password",
    "proxy-password",
    "dashboard-token",
];

fn everything() -> Setting {
    let address = "https://desk.example.org/s";
    let setting = Setting::new(&uncommented()).file("creds/desk-address", address, 0o400);
    let setting = SECRETS.iter().fold(setting, |setting, name| {
        setting.file(&format!("creds/{name}"), "longer-than-a-key-has-to-be", 0o400)
    });
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
    let mut loaded = everything().loaded();
    assert_eq!(loaded.warnings, [""; 0]);
    let cameras = std::mem::take(&mut loaded.config.cameras);
    let budgets = std::mem::take(&mut loaded.config.decide.lists);
    assert_eq!(budgets.into_keys().map(String::from).collect::<Vec<_>>(), ["watchlist"]);
    let lists = std::mem::take(&mut loaded.config.events.lists);
    assert_eq!(lists.into_keys().map(String::from).collect::<Vec<_>>(), ["vip"]);
    let readers = std::mem::take(&mut loaded.config.http.readers);
    let token = readers[0].token.clone();
    assert!(token.expose().len() >= 16);
    assert_eq!(readers, [HttpReader::new("dashboard", token)], "options at their defaults");
    let kept = std::mem::take(&mut loaded.config.snapshots.lists);
    assert_eq!(kept.into_keys().map(String::from).collect::<Vec<_>>(), ["vip"]);
    let (built_in, sinks) = loaded.config.sinks.into_iter().partition(Sink::is_built_in);
    assert_eq!(Config { sinks: built_in, ..loaded.config }, Config::default());
    sinks_are_at_their_defaults(sinks);

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

fn sinks_are_at_their_defaults(sinks: Vec<Sink>) {
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "archive",
            "desk",
            "desk-in-batches",
            "home",
            "hub",
            "hub-by-jwt",
            "hub-by-nkey",
            "hub-by-token",
            "local",
            "stream"
        ]
    );
    for sink in sinks {
        assert_eq!(sink, Sink::new(&*sink.name, sink.kind.clone()), "options at their defaults");
        match sink.kind {
            SinkKind::Jsonl(file) => assert_eq!(file, EventFile::new("/var/log/watchlistd/events.jsonl")),
            SinkKind::Unix(socket) => assert_eq!(socket, EventSocket::new("/run/watchlistd/events.sock")),
            SinkKind::Kafka(kafka) => {
                let default = KafkaConfig::new(kafka.brokers.clone(), "watchlistd", "watchlistd-stream");
                assert!(kafka.login.is_some());
                assert_eq!(kafka.tls, Some(crate::sinks::kafka::TlsConfig::default()));
                assert_eq!(KafkaConfig { login: None, tls: None, ..*kafka }, default);
            }
            SinkKind::Mqtt(mqtt) => {
                let default = MqttConfig::new(mqtt.broker.clone(), "watchlistd-home", "watchlistd");
                assert!(mqtt.user.is_some() && mqtt.password.is_some());
                assert_eq!(MqttConfig { user: None, password: None, ..*mqtt }, default);
            }
            SinkKind::Nats(nats) => {
                let default = NatsConfig::new(nats.servers.clone(), "watchlistd", "watchlistd");
                assert!(nats.login != Login::None);
                assert_eq!(NatsConfig { login: Login::None, ..*nats }, default);
            }
            SinkKind::Webhook(hook) => {
                let known = (hook.signing_secrets.len(), hook.headers.len(), hook.token.is_some());
                let login = (hook.user.is_some(), hook.password.is_some());
                let proxy = [hook.proxy.is_some(), hook.proxy_user.is_some(), hook.proxy_password.is_some()];
                match sink.name.as_str() {
                    "desk" => {
                        assert_eq!((hook.mode, known, login), (Mode::Single, (1, 2, true), (false, false)))
                    }
                    _ => assert_eq!(
                        (hook.mode, known, login, proxy),
                        (Mode::BATCH, (0, 0, false), (true, true), [true; 3])
                    ),
                }
                let default = WebhookConfig::new(hook.url.clone());
                let kept = WebhookConfig {
                    connect_timeout: hook.connect_timeout,
                    timeout: hook.timeout,
                    ca_file: hook.ca_file,
                    client_certificate: hook.client_certificate,
                    client_key: hook.client_key,
                    ..default.clone()
                };
                assert_eq!(kept, default);
            }
            SinkKind::Stdout | SinkKind::Journal => panic!("built in"),
        }
    }
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
    // Known only to be refused.
    let refused = [
        "cameras.*.password",
        "sinks.*.password",
        "sinks.*.token",
        "sinks.*.nkey",
        "sinks.*.secret",
        "sinks.*.secrets",
        "sinks.*.proxy_password",
        "http.readers.*.token",
        // A table, of which only a socket has to be refused.
        "sinks.*.backoff",
    ];
    let missing: Vec<_> =
        asked.iter().filter(|(key, set)| !**set && !refused.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "config/watchlistd.toml lacks {missing:?}");
    assert!(asked.len() > 150, "{} keys", asked.len());
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
    let (mut examples, credentials) = (blocks(&manual, "toml"), blocks(&manual, "toml credentials"));
    assert!(examples.len() >= 8 && credentials.len() == 1, "{} and {}", examples.len(), credentials.len());
    examples.extend(blocks(&std::fs::read_to_string(project("docs/pull.md")).unwrap(), "toml"));
    for example in examples {
        let setting = Setting::new(&example)
            .file("credentials.toml", &credentials[0], 0o600)
            .file("creds/door-password", "p", 0o400)
            .file("creds/hub-password", "p", 0o400)
            .file("creds/desk-secret", "sixteen bytes or more", 0o400)
            .file("creds/dashboard-token", "sixteen-bytes-or-more", 0o400)
            .file("creds/footfall-token", "another-sixteen-bytes", 0o400)
            .file("creds/cameras", &credentials[0], 0o400);
        let folder = setting.path("creds");
        let setting = setting.var("CREDENTIALS_DIRECTORY", folder);
        assert!(setting.load().is_ok(), "{example}\n{}", setting.load().unwrap_err());
    }
}
