//! From the merged layers to [`Config`]: every key, its type and range, and what goes together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::credentials::{self, Access, Credentials};
use super::env::Environment;
use super::place::Place;
use super::raw::{Node, Raw, Report, Section, Table, Wrong, expected, show_key};
use super::read::{self, Read, count};
use super::sink::Around;
use super::{
    AlertBudget, Camera, CameraSource, Config, Control, Decide, Device, Fusion, Gallery, Http,
    IN_CREDENTIALS, Inference, Log, LogFormat, Models, QualityLimits, Track, camera, defaults, events, sink,
    snapshots, suggest,
};
use crate::gallery::command::Review;
use crate::gallery::record::ListName;
use crate::types::ids::CameraId;
use crate::types::matching::{IndexChoice, IndexKind};

/// Every section, in the order of the documentation.
pub(super) const SECTIONS: [&str; 15] = [
    "models",
    "inference",
    "gallery",
    "track",
    "quality",
    "decide",
    "shadow",
    "events",
    "sinks",
    "snapshots",
    "http",
    "control",
    "log",
    "credentials",
    "cameras",
];

const FUSIONS: [(&str, Fusion); 2] = [("mean", Fusion::Mean), ("quality", Fusion::Quality)];

/// A Unix socket's path has to fit into `sockaddr_un` with its final zero (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// Checks everything. Mistakes and warnings go to `report`; the result holds only if no mistake was added.
pub(super) fn config(
    root: Table,
    base: &Path,
    env: &Environment,
    place: &Place,
    access: Access,
    report: &Report,
) -> Config {
    let mut reader = Reader { root, base, env, place, report };
    let (models, inference, gallery) = (reader.models(), reader.inference(), reader.gallery());
    let (track, quality, decide) = (reader.track(), reader.quality(), reader.decide());
    let shadow = reader.shadow(&decide);
    let (events, built_in) = events::read(reader.section("events"), base, &gallery.path);
    let (readers, mut http) = reader.http();
    let (control, log) = (reader.control(), reader.log());
    let stores = [("gallery.path", gallery.path.as_path()), ("events.path", events.path.as_path())];
    let snapshots = snapshots::read(reader.section("snapshots"), base, stores);
    let mut secrets = reader.credentials(access);
    let around = Around {
        stores: [
            ("gallery.path", &gallery.path),
            ("events.path", &events.path),
            ("snapshots.path", &snapshots.path),
        ],
        base,
        control: &control.socket,
        source: &events.source,
        cameras: &reader.camera_ids(),
        credentials: &secrets,
    };
    let sinks = sink::all(built_in, reader.tables("sinks"), &around, report);
    http.readers = sink::readers::all(readers, &around, report);
    warn_of_unheard_readers(&http, report);
    let cameras = reader.cameras(&mut secrets);
    warn_of_twins(&cameras, report);
    Config {
        models,
        inference,
        gallery,
        track,
        quality,
        decide,
        shadow,
        events,
        sinks,
        snapshots,
        http,
        control,
        log,
        cameras,
    }
}

struct Reader<'a> {
    root: Table,
    base: &'a Path,
    env: &'a Environment,
    place: &'a Place,
    report: &'a Report,
}

impl<'a> Reader<'a> {
    fn section(&mut self, name: &'static str) -> Section<'a> {
        Section::new(name, name, self.tables(name), self.report)
    }

    fn tables(&mut self, name: &str) -> Table {
        match self.root.remove(name) {
            Some(Node { value: Raw::Table(table), .. }) => table,
            _ => Table::new(),
        }
    }

    fn models(&mut self) -> Models {
        let (mut s, d) = (self.section("models"), self.place.models.clone());
        let models = Models {
            detector: s.get("detector", d.detector, read::path(self.base)),
            embedder: s.get("embedder", d.embedder, read::path(self.base)),
            folder: s.get("folder", d.folder, read::path(self.base)),
            runtime: s.get("runtime", d.runtime, read::unless("auto", read::path(self.base))),
        };
        s.finish();
        models
    }

    fn inference(&mut self) -> Inference {
        let (mut s, d) = (self.section("inference"), Inference::default());
        let seconds = |from, to| Duration::from_millis(from)..=Duration::from_secs(to);
        let inference = Inference {
            device: s.get("device", d.device, device),
            workers: s.get("workers", d.workers, read::unless("auto", count(1..=256))),
            max_batch: s.get("max_batch", d.max_batch, read::unless("auto", count(1..=256))),
            max_wait: s.get("max_wait", d.max_wait, read::unless("auto", read::duration(seconds(0, 1)))),
            max_crop_age: s.get("max_crop_age", d.max_crop_age, read::duration(seconds(100, 60))),
        };
        s.finish();
        inference
    }

    fn gallery(&mut self) -> Gallery {
        const INDEXES: [(&str, IndexChoice); 3] = [
            ("auto", IndexChoice::Auto),
            ("exact", IndexChoice::Always(IndexKind::Exact)),
            ("hnsw", IndexChoice::Always(IndexKind::Hnsw)),
        ];
        const REVIEWS: [(&str, Review); 3] =
            [("strict", Review::Strict), ("standard", Review::Standard), ("off", Review::Off)];
        let (mut s, mut d) = (self.section("gallery"), self.place.gallery.clone());
        if let Some(folder) = &self.env.state_dir {
            d.path = folder.join(defaults::GALLERY_FILE);
        }
        let gallery = Gallery {
            path: s.get("path", d.path, read::path(self.base)),
            index: s.get("index", d.index, read::word(&INDEXES)),
            key_file: s.get("key_file", d.key_file, read::unless("auto", key_file(self.base))),
            keep_crops: s.get("keep_crops", d.keep_crops, read::flag),
            review: s.get("review", d.review, read::word(&REVIEWS)),
        };
        s.finish();
        gallery
    }

    fn track(&mut self) -> Track {
        let (mut s, d) = (self.section("track"), Track::default());
        let track = Track {
            high_score: s.get("high_score", d.high_score, read::number(0.0..=1.0)),
            low_score: s.get("low_score", d.low_score, read::number(0.0..=1.0)),
            min_iou: s.get("min_iou", d.min_iou, read::number(0.0..=1.0)),
            min_hits: s.get("min_hits", d.min_hits, read::whole(1..=100)),
            max_age: s.get("max_age", d.max_age, read::duration(millis(100)..=millis(60_000))),
            shot_interval: s.get(
                "shot_interval",
                d.shot_interval,
                read::duration(millis(0)..=millis(60_000)),
            ),
            max_shots: s.get("max_shots", d.max_shots, read::whole(1..=1000)),
        };
        if s.clean() && track.low_score > track.high_score {
            let (low, high) = (track.low_score, track.high_score);
            s.conflict("low_score", format!("expected at most track.high_score ({high}), found {low}"));
        }
        s.finish();
        track
    }

    fn quality(&mut self) -> QualityLimits {
        let (mut s, d) = (self.section("quality"), QualityLimits::default());
        let quality = QualityLimits {
            min_face: s.get("min_face", d.min_face, read::number(1.0..=4096.0)),
            min_sharpness: s.get("min_sharpness", d.min_sharpness, read::number(0.0..=100_000.0)),
            max_yaw: s.get("max_yaw", d.max_yaw, read::number(0.0..=90.0)),
            max_pitch: s.get("max_pitch", d.max_pitch, read::number(0.0..=90.0)),
            max_roll: s.get("max_roll", d.max_roll, read::number(0.0..=180.0)),
            min_brightness: s.get("min_brightness", d.min_brightness, read::number(0.0..=255.0)),
            max_brightness: s.get("max_brightness", d.max_brightness, read::number(0.0..=255.0)),
        };
        if s.clean() && quality.min_brightness >= quality.max_brightness {
            let (min, max) = (quality.min_brightness, quality.max_brightness);
            s.conflict(
                "min_brightness",
                format!("expected less than quality.max_brightness ({max}), found {min}"),
            );
        }
        s.finish();
        quality
    }

    fn decide(&mut self) -> Decide {
        let (mut s, d) = (self.section("decide"), Decide::default());
        let decide = Decide {
            threshold: s.get("threshold", d.threshold, read::unless("auto", read::threshold)),
            lists: list_budgets(s.table("lists")),
            margin: s.get("margin", d.margin, read::number(0.0..=1.0)),
            confirm: s.get("confirm", d.confirm, read::whole(1..=100)),
            fuse: s.get("fuse", d.fuse, read::whole(1..=100)),
            fusion: s.get("fusion", d.fusion, read::word(&FUSIONS)),
            fair_shots: s.get("fair_shots", d.fair_shots, read::whole(1..=100)),
            fair_look: s.get("fair_look", d.fair_look, read::duration(millis(0)..=millis(600_000))),
            cooldown: s.get("cooldown", d.cooldown, read::duration(millis(0)..=millis(86_400_000))),
        };
        s.finish();
        decide
    }

    /// What it does not say is as in `[decide]`.
    fn shadow(&mut self, d: &Decide) -> Option<Decide> {
        let mut s = self.section("shadow");
        let enabled = s.get("enabled", false, read::flag);
        let mut own =
            |key, usual: u32| s.get(key, None, read::unless("auto", read::whole(1..=100))).unwrap_or(usual);
        let (confirm, fuse, fair_shots) =
            (own("confirm", d.confirm), own("fuse", d.fuse), own("fair_shots", d.fair_shots));
        let time = |most| read::unless("auto", read::duration(millis(0)..=millis(most)));
        let shadow = Decide {
            threshold: s
                .read("threshold", read::unless("auto", read::number(0.0..=1.0)))
                .flatten()
                .map(super::Threshold::Score),
            lists: BTreeMap::new(),
            margin: s.get("margin", None, read::unless("auto", read::number(0.0..=1.0))).unwrap_or(d.margin),
            confirm,
            fuse,
            fusion: s.get("fusion", None, read::unless("auto", read::word(&FUSIONS))).unwrap_or(d.fusion),
            fair_shots,
            fair_look: s.get("fair_look", None, time(600_000)).unwrap_or(d.fair_look),
            cooldown: d.cooldown,
        };
        s.finish();
        enabled.then_some(shadow)
    }

    /// With the tables of the readers, which need secrets to be read.
    fn http(&mut self) -> (Table, Http) {
        let mut tables = self.tables("http");
        let readers = match tables.remove("readers") {
            Some(Node { value: Raw::Table(readers), .. }) => readers,
            _ => Table::new(),
        };
        let (mut s, d) = (Section::new("http", "http", tables, self.report), Http::default());
        let http = Http { listen: s.get("listen", d.listen, read::unless("off", loopback)), ..d };
        s.finish();
        (readers, http)
    }

    fn control(&mut self) -> Control {
        let (mut s, mut d) = (self.section("control"), self.place.control.clone());
        if let Some(folder) = &self.env.runtime_dir {
            d.socket = folder.join(defaults::SOCKET_FILE);
        }
        let control = Control {
            socket: s.get("socket", d.socket, read::path(self.base)),
            group: s.get("group", d.group, read::unless("auto", group)),
        };
        fits_a_socket(&s, "socket", &control.socket);
        s.finish();
        control
    }

    fn log(&mut self) -> Log {
        const FORMATS: [(&str, LogFormat); 3] =
            [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("journald", LogFormat::Journald)];
        let (mut s, d) = (self.section("log"), Log::default());
        let log = Log {
            filter: s.get("filter", d.filter, filter),
            format: s.get("format", d.format, read::word(&FORMATS)),
        };
        s.finish();
        log
    }

    /// Opens the credentials file.
    fn credentials(&mut self, access: Access) -> Credentials {
        let mut s = self.section("credentials");
        let named = read::unless("off", |node| read::text(node).map(str::to_owned));
        let file = s.get("file", None, named);
        s.finish();
        let folder = self.env.credentials_dir.as_deref();
        Credentials::open(file.as_deref(), self.base, folder, access, self.report)
    }

    /// The ids of all cameras, switched on or not.
    fn camera_ids(&self) -> BTreeSet<String> {
        match self.root.get("cameras").map(|node| &node.value) {
            Some(Raw::Table(cameras)) => cameras.keys().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Cameras by id, with their credentials.
    fn cameras(&mut self, secrets: &mut Credentials) -> Vec<Camera> {
        let mut cameras = Vec::new();
        for (name, node) in self.tables("cameras") {
            let path = format!("cameras.{}", show_key(&name));
            match (CameraId::new(&name), node.value) {
                (Ok(id), Raw::Table(table)) => {
                    let section = Section::new(path, "cameras.*", table, self.report);
                    cameras.extend(camera::read(&id, section, self.base, secrets));
                }
                (Err(e), _) => {
                    self.report.problem(path, e.to_string(), node.origin.map(|o| o.text.to_string()))
                }
                // The layers' shape was checked: a camera is a table.
                (Ok(_), _) => {}
            }
        }
        secrets.warn_unused(self.report);
        cameras
    }
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A path, or a credential of systemd's. Whether it is there is for whoever opens the gallery to say: not every command
/// does, and in root's shell there are no credentials.
/// `[decide.lists]`
fn list_budgets(mut s: Section<'_>) -> BTreeMap<ListName, AlertBudget> {
    let read = |name: &str, node: &Node| {
        let list = ListName::new(name).map_err(|e| Wrong::Says(e.to_string()))?;
        match read::threshold(node)? {
            super::Threshold::Budget(budget) => Ok((list, budget)),
            super::Threshold::Score(_) => Err(Wrong::Says(format!(
                "expected {{ false_alerts_per_day = 1 }}; a score is the list's own: `watchlistd gallery set-list {name} --threshold`"
            ))),
        }
    };
    s.each(read).into_iter().collect()
}

fn key_file(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| match read::text(node).map(|text| (text, text.strip_prefix(IN_CREDENTIALS))) {
        Ok((text, Some(name))) => match credentials::credential_name(name) {
            Ok(_) => Ok(text.into()),
            Err(message) => Err(Wrong::Says(message)),
        },
        Ok((text, None)) if is_key(text) => {
            Err(Wrong::Says("expected the path of a file that holds the key, not the key itself".into()))
        }
        _ => read::path(base)(node),
    }
}

/// Says so if a Unix socket cannot be at `path`.
pub(super) fn fits_a_socket(s: &Section<'_>, key: &str, path: &Path) {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let path = path.display();
        s.conflict(key, format!("{path} is too long for a Unix socket: at most {MAX_SOCKET_PATH} bytes"));
    }
}

/// What looks like the key: as a path it would be shown in messages.
fn is_key(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The name of a group, as `groupadd` takes it.
pub(super) fn group(node: &Node) -> Read<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let starts_well = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match read::text(node) {
        Ok(text) if text.len() <= 32 && starts_well(text) && text.chars().all(good) => Ok(text.to_owned()),
        _ => expected("the name of a group, as \"watchlist\""),
    }
}

fn device(node: &Node) -> Read<Device> {
    let index = |text: &str| text.parse::<u32>().ok().filter(|n| *n < 64);
    let found = match read::text(node)?.split_once(':') {
        None if matches!(&node.value, Raw::Text(t) if t == "cpu") => Some(Device::Cpu),
        None if matches!(&node.value, Raw::Text(t) if t == "openvino") => Some(Device::OpenVino),
        Some(("cuda", n)) => index(n).map(Device::Cuda),
        Some(("tensorrt", n)) => index(n).map(Device::TensorRt),
        _ => None,
    };
    found.map_or_else(|| expected("\"cpu\", \"cuda:N\", \"tensorrt:N\" or \"openvino\""), Ok)
}

/// Figures are for whoever asks, and tokens go over the wire as they are: nothing here may be reached from elsewhere.
fn loopback(node: &Node) -> Read<SocketAddr> {
    match read::text(node).map(str::parse::<SocketAddr>) {
        Ok(Ok(address)) if address.ip().is_loopback() => Ok(address),
        _ => expected("a loopback address and port, as \"127.0.0.1:9464\" or \"[::1]:9464\""),
    }
}

fn filter(node: &Node) -> Read<String> {
    const WHAT: &str = "a filter, as \"info\" or \"watchlistd=debug,info\"";
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = read::text(node).or_else(|_| expected(WHAT))?;
    // A mistyped level is a valid filter: one for a module of that name, which silences everything else.
    for word in text.split(',').map(str::trim) {
        let level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        if let (false, Some(near)) = (level, suggest::nearest(word, LEVELS)) {
            return expected(format!("{WHAT}; did you mean {near}?"));
        }
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => expected(format!("{WHAT} ({e})")),
    }
}

/// Readers of an address that nobody listens at.
fn warn_of_unheard_readers(http: &Http, report: &Report) {
    if http.listen.is_none() && !http.readers.is_empty() {
        report.warn("http.readers: nobody can come for events, as http.listen is \"off\"");
    }
}

/// Two cameras that open the same thing: likely a copied entry. Some devices cannot be opened twice.
fn warn_of_twins(cameras: &[Camera], report: &Report) {
    for (i, a) in cameras.iter().enumerate() {
        for b in cameras.iter().skip(i + 1).filter(|b| same_source(&a.source, &b.source)) {
            report.warn(format!(
                "cameras.{}.url: leads to the same picture as cameras.{}.url",
                show_key(b.id.as_str()),
                show_key(a.id.as_str())
            ));
        }
    }
}

fn same_source(a: &CameraSource, b: &CameraSource) -> bool {
    match (a, b) {
        (CameraSource::Rtsp(a), CameraSource::Rtsp(b)) => a.url == b.url,
        (CameraSource::File { path: a, .. }, CameraSource::File { path: b, .. }) => a == b,
        (CameraSource::V4l2 { device: a }, CameraSource::V4l2 { device: b }) => a == b,
        _ => false,
    }
}
