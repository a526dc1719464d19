//! Which layer wins, and what the environment can say.

use std::path::Path;
use std::time::Duration;

use super::{Setting, only_camera};
use crate::base::secret::Secret;
use crate::config::load::load;
use crate::config::place::Place;
use crate::config::{CameraSource, Config, Device, LogFormat, SinkKind, Tls};
use crate::gallery::command::Review;
use crate::types::geometry::Size;

#[test]
fn nothing_at_all_is_the_defaults() {
    let loaded = load(None, [], &Place::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.files.is_empty() && loaded.warnings.is_empty());
    assert_eq!(Setting::new("").loaded().config, Config::default());
}

#[test]
fn the_environment_beats_drop_ins_and_they_beat_the_file_key_by_key() {
    let setting = Setting::new("[track]\nmin_hits = 3\nmax_shots = 3\nmin_iou = 0.3\nhigh_score = 0.8")
        .drop_in("20.toml", "[track]\nmin_iou = 0.5")
        .drop_in("10.toml", "[track]\nmin_iou = 0.4\nmax_shots = 4")
        .var("WATCHLISTD__TRACK__MIN_HITS", "6");
    let loaded = setting.loaded();
    let track = &loaded.config.track;
    assert_eq!((track.min_hits, track.max_shots, track.min_iou, track.high_score), (6, 4, 0.5, 0.8));
    let names: Vec<_> = loaded.files.iter().map(|f| f.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["w.toml", "10.toml", "20.toml"]);
}

#[test]
fn a_drop_in_adds_a_camera_overrides_one_key_of_another_and_switches_a_third_off() {
    let setting = Setting::new(
        "[cameras.door]\nurl = 'rtsp://door/1'\ndetect_fps = 2\n[cameras.yard]\nurl = 'rtsp://yard/1'",
    )
    .drop_in("site.toml", "[cameras.attic]\nurl='rtsp://attic/1'\n[cameras.door]\ndetect_fps = 9\n[cameras.yard]\nenabled = false");
    let cameras = setting.loaded().config.cameras;
    let ids: Vec<_> = cameras.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["attic", "door"], "by id");
    assert_eq!(cameras[1].detect_fps, 9.0);
    assert!(matches!(&cameras[1].source, CameraSource::Rtsp(rtsp) if rtsp.url.as_str() == "rtsp://door/1"));
}

#[test]
fn the_environment_takes_the_type_that_is_expected() {
    let setting = Setting::new("")
        .var("WATCHLISTD__INFERENCE__WORKERS", "3")
        .var("WATCHLISTD__INFERENCE__DEVICE", "cuda:1")
        .var("WATCHLISTD__QUALITY__MIN_FACE", "48.5")
        .var("WATCHLISTD__EVENTS__STDOUT", "false")
        .var("WATCHLISTD__EVENTS__FILE__PATH", "/e.jsonl")
        .var("WATCHLISTD__EVENTS__FILE__MAX_SIZE", "2MiB")
        .var("WATCHLISTD__TRACK__MAX_AGE", "750ms")
        .var("WATCHLISTD__DECIDE__THRESHOLD", "auto")
        .var("WATCHLISTD__HTTP__LISTEN", "off")
        .var("WATCHLISTD__LOG__FORMAT", "human")
        .var("WATCHLISTD__CAMERAS__DOOR__URL", "rtsp://door/1")
        .var("WATCHLISTD__CAMERAS__DOOR__USER", "12345")
        .var("WATCHLISTD__CAMERAS__DOOR__ROI", "[0.1, 0, 1, 0.9]")
        .var("WATCHLISTD__CAMERAS__DOOR__MASKS", "[[[0,0],[0.5,0],[0,0.5]]]")
        .var("WATCHLISTD__CAMERAS__DOOR__INPUT", "320x192")
        .var("WATCHLISTD_VAR", "not ours: one underscore")
        .var("RUST_LOG", "trace");
    let loaded = setting.loaded();
    let config = &loaded.config;
    assert_eq!((config.inference.workers, &config.inference.device), (Some(3), &Device::Cuda(1)));
    assert_eq!(config.quality.min_face, 48.5);
    let names: Vec<_> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["journal", "file"]);
    let SinkKind::Jsonl(file) = &config.sinks[1].kind else { panic!("{:?}", config.sinks) };
    assert_eq!((file.path.as_path(), file.max_bytes), (Path::new("/e.jsonl"), 2 << 20));
    assert_eq!(config.track.max_age, Duration::from_millis(750));
    assert_eq!((config.decide.threshold, config.http.listen), (None, None));
    assert_eq!(config.log.format, LogFormat::Human);
    let camera = only_camera(loaded);
    assert_eq!(camera.roi, Some([0.1, 0.0, 1.0, 0.9]));
    assert_eq!((camera.masks.len(), camera.masks[0].len()), (1, 3));
    assert_eq!(camera.input, Size::new(320, 192));
    assert!(matches!(&camera.source, CameraSource::Rtsp(r) if r.user == Some(Secret::new("12345"))));
}

#[test]
fn a_file_takes_no_text_for_a_number_though_the_environment_does() {
    let line = Setting::new("[track]\nmin_hits = \"3\"").mistake();
    assert_eq!(
        line,
        "track.min_hits: expected a whole number from 1 to 100, found the text \"3\" (DIR/w.toml:2)"
    );
}

#[test]
fn a_variable_finds_the_camera_whose_id_no_variable_can_spell() {
    let files = "[cameras.Front-Door]\nurl = 'rtsp://a/1'";
    let setting = Setting::new(files).var("WATCHLISTD__CAMERAS__FRONT_DOOR__DETECT_FPS", "7");
    let camera = only_camera(setting.loaded());
    assert_eq!((camera.id.as_str(), camera.detect_fps), ("Front-Door", 7.0));

    let two = Setting::new(&format!("{files}\n[cameras.'front.door']\nurl='rtsp://b/1'"))
        .var("WATCHLISTD__CAMERAS__FRONT_DOOR__DETECT_FPS", "7");
    let line = two.mistake();
    assert!(line.starts_with("WATCHLISTD__CAMERAS__FRONT_DOOR__DETECT_FPS: may mean camera"), "{line}");
}

#[test]
fn relative_paths_start_from_the_main_file_in_every_layer() {
    let setting = Setting::new("[models]\nfolder = '../var/models'\n[cameras.a]\nurl = 'clip.mp4'")
        .drop_in("x.toml", "[models]\ndetector = 'd.toml'")
        .var("WATCHLISTD__MODELS__EMBEDDER", "e.toml");
    let loaded = setting.loaded();
    let models = &loaded.config.models;
    assert_eq!(models.folder, setting.path("../var/models"));
    assert_eq!(models.detector, setting.path("d.toml"));
    assert_eq!(models.embedder, setting.path("e.toml"));
    let clip = setting.path("clip.mp4");
    assert!(matches!(only_camera(loaded).source, CameraSource::File { path, repeat: false } if path == clip));
}

#[test]
fn the_gallery_s_key_is_a_path_or_a_credential_and_either_need_not_be_there() {
    let key = |main: &str| Setting::new(main).loaded().config.gallery.key_file;
    assert_eq!(key("[gallery]\nkey_file = 'auto'"), None);
    let setting =
        Setting::new("[gallery]\nkey_file = 'keys/gallery.key'\nreview = 'strict'\nkeep_crops = true");
    let gallery = setting.loaded().config.gallery;
    assert_eq!(gallery.key_file, Some(setting.path("keys/gallery.key")));
    assert_eq!((gallery.review, gallery.keep_crops), (Review::Strict, true));
    let credential = "$CREDENTIALS_DIRECTORY/gallery-key";
    assert_eq!(key(&format!("[gallery]\nkey_file = '{credential}'")), Some(credential.into()));
    let setting = Setting::new("").var("WATCHLISTD__CONTROL__GROUP", "watchlist");
    assert_eq!(setting.loaded().config.control.group.as_deref(), Some("watchlist"));
}

#[test]
fn systemd_s_folders_move_the_defaults_and_nothing_that_is_set() {
    let systemd = |main| {
        Setting::new(main)
            .var("STATE_DIRECTORY", "/state:/second")
            .var("RUNTIME_DIRECTORY", "/runtime")
            .loaded()
            .config
    };
    let config = systemd("");
    assert_eq!(config.gallery.path, Path::new("/state/gallery.db"));
    assert_eq!(config.control.socket, Path::new("/runtime/control.sock"));
    let config = systemd("[gallery]\npath = '/g.db'\n[control]\nsocket = '/s.sock'");
    assert_eq!(config.gallery.path, Path::new("/g.db"));
    assert_eq!(config.control.socket, Path::new("/s.sock"));
}

#[test]
fn a_pinned_certificate_is_read_with_and_without_colons() {
    let plain = "ab".repeat(32);
    let colons = vec!["AB"; 32].join(":");
    for digits in [plain, colons] {
        let camera =
            only_camera(Setting::new(&format!("[cameras.a]\nurl='rtsps://a/'\ntls='pin:{digits}'")).loaded());
        assert!(matches!(camera.source, CameraSource::Rtsp(r) if r.tls == Tls::Pin([0xAB; 32])));
    }
}

#[test]
fn the_whole_picture_is_no_region() {
    let camera = only_camera(Setting::new("[cameras.a]\nurl='a.mp4'\nroi=[0, 0, 1, 1.0]").loaded());
    assert_eq!(camera.roi, None);
}

#[test]
fn two_cameras_of_one_picture_are_warned_of() {
    let setting = Setting::new(
        "[cameras.a]\nurl='rtsp://x/1'\n[cameras.b]\nurl='rtsp://x/1'\n[cameras.c]\nurl='rtsp://x/2'",
    );
    assert_eq!(setting.loaded().warnings, ["cameras.b.url: leads to the same picture as cameras.a.url"]);
}

#[test]
fn a_shadow_takes_from_decide_what_it_does_not_say_and_is_off_unless_it_is_switched_on() {
    let load = |text: &str| Setting::new(text).loaded().config;
    let config = load("[decide]\nmargin = 0.1\n[shadow]\nenabled = true\nthreshold = 0.7\nconfirm = 3");
    let shadow = config.shadow.expect("it is on");
    assert_eq!((shadow.score(), shadow.margin, shadow.confirm), (Some(0.7), 0.1, 3));
    assert_eq!(shadow.cooldown, config.decide.cooldown);
    assert_eq!(load("[shadow]\nthreshold = 0.7").shadow, None);
}

#[test]
fn cameras_of_a_place_name_it_and_a_place_has_a_name() {
    let camera = |place: &str| format!("[cameras.door]\nurl = \"rtsp://door/1\"\nplace = \"{place}\"");
    assert_eq!(only_camera(Setting::new(&camera("entrance")).loaded()).place.as_deref(), Some("entrance"));
    assert_eq!(only_camera(Setting::new(&camera("auto")).loaded()).place, None);
    let wrong = Setting::new(&camera("")).load().expect_err("no name").to_string();
    assert!(wrong.contains("cameras.door.place") && wrong.contains("1 to 64"), "{wrong}");
}
