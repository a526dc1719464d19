//! Mistakes: all at once, each with its key, its place, what was found and what was expected.

use proptest::prelude::*;

use super::Setting;
use crate::base::error::{Error, Kind};
use crate::config::load::load;
use crate::config::place::Place;

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let setting = Setting::new(
        "[track]\nlow_score = 2\n[cameras.door]\nurl = 'rtsp://door/1'\ndetct_fps = 3\ndetect_fps = 0\n\
         [cameras.yard]\nstall = 'five'\n[gallary]\npath = 'x'\n[inference]\nworkers = 'five'",
    )
    .drop_in("10.toml", "[decide]\nconfirm = 1.5")
    .var("WATCHLISTD__HTTP__LISTEN", "0.0.0.0:80")
    .var("WATCHLISTD__LOG__FLTER", "info");
    assert_eq!(
        setting.mistakes(),
        [
            "gallary: unknown section; did you mean gallery? (DIR/w.toml:9)",
            "inference.workers: expected \"auto\" or a whole number from 1 to 256, found the text \"five\" (DIR/w.toml:12)",
            "track.low_score: expected a number from 0 to 1, found 2 (DIR/w.toml:2)",
            "decide.confirm: expected a whole number from 1 to 100, found 1.5 (DIR/w.toml.d/10.toml:2)",
            "http.listen: expected \"off\" or a loopback address and port, as \"127.0.0.1:9464\" or \"[::1]:9464\", \
             found the text \"0.0.0.0:80\" (WATCHLISTD__HTTP__LISTEN)",
            "log.flter: unknown key; did you mean filter? (WATCHLISTD__LOG__FLTER)",
            "cameras.door.detect_fps: expected a number from 0.2 to 60, found 0 (DIR/w.toml:6)",
            "cameras.door.detct_fps: unknown key; did you mean detect_fps? (DIR/w.toml:5)",
            "cameras.yard.url: missing; expected an address, as \"rtsp://10.0.0.9/stream2\"",
            "cameras.yard.stall: expected a duration from 1s to 10m, as \"500ms\", \"5s\", \"2m\" or \"1h\", \
             found the text \"five\" (DIR/w.toml:8)",
        ]
    );
    let error = Error::from(setting.load().unwrap_err());
    assert_eq!((error.kind(), error.kind().exit_code()), (Kind::Config, 78));
    assert_eq!(error.to_string().lines().count(), 10);
}

/// Each of these is refused with a message that starts and goes on like this.
#[test]
fn wrong_values_are_refused() {
    let camera = |line: &str| format!("[cameras.a]\nurl = 'rtsp://a/1'\n{line}");
    let cases = [
        ("[inference]\ndevice = 'gpu'".into(), "inference.device: expected \"cpu\", \"cuda:N\""),
        ("[inference]\ndevice = 'cuda:-1'".into(), "inference.device: expected"),
        ("[inference]\nworkers = 0".into(), "inference.workers: expected"),
        (
            "[inference]\nmax_wait = '2s'".into(),
            "inference.max_wait: expected \"auto\" or a duration from 0s to 1s",
        ),
        (
            "[gallery]\nindex = 'flat'".into(),
            "gallery.index: expected \"auto\" or \"exact\" or \"hnsw\", found the text \"flat\"",
        ),
        ("[gallery]\npath = ''".into(), "gallery.path: expected a path"),
        ("[gallery]\nkey_file = ''".into(), "gallery.key_file: expected \"auto\" or a path"),
        ("[gallery]\nkey_file = 5".into(), "gallery.key_file: expected \"auto\" or a path, found 5"),
        (
            "[gallery]\nkey_file = '$CREDENTIALS_DIRECTORY/../k'".into(),
            "gallery.key_file: expected the name of a systemd credential",
        ),
        ("[gallery]\nkeep_crops = 'yes'".into(), "gallery.keep_crops: expected true or false"),
        (
            "[gallery]\nreview = 'lax'".into(),
            "gallery.review: expected \"strict\" or \"standard\" or \"off\", found the text \"lax\"",
        ),
        (
            "[control]\ngroup = 'a b'".into(),
            "control.group: expected \"auto\" or the name of a group, as \"watchlist\"",
        ),
        ("[control]\ngroup = '-x'".into(), "control.group: expected"),
        ("[control]\ngroup = 1000".into(), "control.group: expected"),
        (
            "[track]\nlow_score = 0.9\nhigh_score = 0.7".into(),
            "track.low_score: expected at most track.high_score (0.7), found 0.9",
        ),
        (
            "[quality]\nmin_brightness = 230\nmax_brightness = 220".into(),
            "quality.min_brightness: expected less than",
        ),
        ("[quality]\nmax_yaw = nan".into(), "quality.max_yaw: expected a number from 0 to 90, found NaN"),
        ("[quality]\nmax_yaw = inf".into(), "quality.max_yaw: expected a number from 0 to 90, found inf"),
        (
            "[decide]\nthreshold = { false_alerts_per_day = 0, floor = 2, flor = 1 }".into(),
            "decide.threshold: false_alerts_per_day: expected a number from 0.001 to 1000, found 0; floor: expected a number from 0 to 1, \
             found 2; flor: unknown key",
        ),
        (
            "[decide]\nthreshold = { floor = 0.3 }".into(),
            "decide.threshold: expected \"auto\" or a number from 0 to 1, or {",
        ),
        (
            "[decide]\nthreshold = 1.5".into(),
            "decide.threshold: expected \"auto\" or a number from 0 to 1, or { false_alerts_per_day = 1 }",
        ),
        ("[events]\nstdout = 'yes'".into(), "events.stdout: expected true or false, found the text \"yes\""),
        ("[events]\nsource = 'a b'".into(), "events.source: expected a URI reference"),
        ("[events]\nfile = '/e.jsonl'".into(), "events.file: expected a table [events.file], found the text"),
        ("[events.file]\nmax_size = '1KiB'".into(), "events.file.max_size: expected a size from 64KiB"),
        ("[http]\nlisten = '192.168.0.1:80'".into(), "http.listen: expected"),
        ("[http]\nlisten = 'localhost:80'".into(), "http.listen: expected"),
        (format!("[control]\nsocket = '/{}'", "s".repeat(120)), "control.socket: /sss"),
        ("[log]\nfilter = 'inof'".into(), "log.filter: expected a filter"),
        ("[log]\nfilter = 'a=b=c'".into(), "log.filter: expected a filter"),
        ("http = 5".into(), "http: expected a table [http], found 5"),
        (
            "[[cameras]]\nurl = 'rtsp://a/1'".into(),
            "cameras: expected tables such as [cameras.door], found a list of 1",
        ),
        (
            "[cameras]\ndoor = 'rtsp://a/1'".into(),
            "cameras.door: expected a table [cameras.door], found the address",
        ),
        (
            "[cameras.'a b']\nurl = 'rtsp://a/1'".into(),
            "cameras.\"a b\": camera id \"a b\": expected 1 to 64",
        ),
        ("[cameras.a]\nurl = 5".into(), "cameras.a.url: expected an address"),
        ("[cameras.a]\nurl = 'rstp://a/1'".into(), "cameras.a.url: expected rtsp://HOST/PATH"),
        ("[cameras.a]\nurl = 'a.mp4'\ntransport = 'udp'".into(), "cameras.a.transport: is for rtsp://"),
        (camera("repeat = true"), "cameras.a.repeat: is for video files only"),
        (camera("transport = 'http'"), "cameras.a.transport: expected \"tcp\" or \"udp\""),
        (camera("tls = 'insecure'"), "cameras.a.tls: is for rtsps:// only"),
        (camera("tls = 'pin:abcd'"), "cameras.a.tls: expected \"verify\""),
        (camera("decoder = 'a ! b'"), "cameras.a.decoder: expected \"auto\" or a GStreamer element"),
        (camera("input = '640x360'"), "cameras.a.input: expected WIDTHxHEIGHT, each a multiple of 32"),
        (camera("input = '32x32'"), "cameras.a.input: expected"),
        (camera("input = '8192x64'"), "cameras.a.input: expected"),
        (camera("detect_fps = 61"), "cameras.a.detect_fps: expected a number from 0.2 to 60"),
        (camera("roi = [0.5, 0, 0.5, 1]"), "cameras.a.roi: expected [left, top, right, bottom]"),
        (camera("roi = [0.6, 0, 0.5, 1]"), "cameras.a.roi: expected"),
        (camera("roi = [0, 0, 1.1, 1]"), "cameras.a.roi: expected"),
        (camera("roi = [0, 0, 1]"), "cameras.a.roi: expected"),
        (camera("roi = 'all'"), "cameras.a.roi: expected"),
        (
            camera("masks = [[[0, 0], [1, 1]]]"),
            "cameras.a.masks: expected 3 corners or more in polygon 1; it has 2",
        ),
        (
            camera("masks = [[[0, 0], [1, 1], [0.5, 0.5]]]"),
            "cameras.a.masks: expected polygon 1 to have an area",
        ),
        (camera("masks = [[[0, 0], [1, 1], [0, 2]]]"), "cameras.a.masks: expected every corner of polygon 1"),
        (camera("masks = [[0, 0, 1, 1]]"), "cameras.a.masks: expected every corner of polygon 1"),
    ];
    for (main, start) in cases {
        let line = Setting::new(&main).mistake();
        assert!(line.starts_with(start), "{main}\n gave {line}\n not  {start}");
    }
}

#[test]
fn a_combination_is_not_complained_of_where_a_part_is_wrong_already() {
    let line = Setting::new("[track]\nlow_score = 0.9\nhigh_score = 'x'").mistake();
    assert!(line.starts_with("track.high_score"), "{line}");
}

#[test]
fn a_list_of_cameras_is_not_covered_by_a_drop_in_s_table() {
    let setting =
        Setting::new("[[cameras]]\nurl = 'rtsp://a/1'").drop_in("1.toml", "[cameras.b]\nurl = 'rtsp://b/1'");
    assert!(setting.mistake().starts_with("cameras: expected tables"));
}

#[test]
fn syntax_errors_of_every_file_name_file_line_and_column() {
    let setting = Setting::new("[track]\nmin_hits = \n")
        .drop_in("1.toml", "a = 1\na = 2")
        .drop_in("2.toml", "[decide]\n");
    let lines = setting.mistakes();
    assert!(lines[0].starts_with("DIR/w.toml:2:"), "{lines:#?}");
    assert!(lines.iter().any(|l| l.starts_with("DIR/w.toml.d/1.toml:2:1: duplicate key")), "{lines:#?}");
}

#[test]
fn what_is_no_text_and_what_no_key_takes_is_told_by_its_line() {
    let setting = Setting::new("");
    std::fs::write(setting.main(), b"[log]\n# \xff\n").unwrap();
    assert_eq!(setting.mistake(), "DIR/w.toml:2: is not UTF-8");
    let setting = Setting::new("[track]\nmin_hits = 99999999999999999999\nmax_age = 2020-01-01");
    let lines = setting.mistakes();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().any(|l| l.starts_with("DIR/w.toml:2: a number beyond 64 bits")), "{lines:#?}");
    assert!(lines.iter().any(|l| l.starts_with("DIR/w.toml:3: a date or a time")), "{lines:#?}");
}

#[test]
fn a_missing_file_and_a_folder_are_told() {
    let setting = Setting::new("");
    let none = load(Some(&setting.path("none.toml")), [], &Place::default()).unwrap_err().to_string();
    assert!(none.contains("none.toml: cannot be read: "), "{none}");
    let folder = load(Some(setting.dir.path()), [], &Place::default()).unwrap_err().to_string();
    assert!(folder.contains("is a folder"), "{folder}");
}

#[test]
fn variables_that_name_no_key_are_refused() {
    for (name, start) in [
        ("WATCHLISTD__", "WATCHLISTD__: expected WATCHLISTD__SECTION__KEY"),
        ("WATCHLISTD__LOG", "WATCHLISTD__LOG: expected WATCHLISTD__SECTION__KEY"),
        ("WATCHLISTD__LOG____FILTER", "WATCHLISTD__LOG____FILTER: expected"),
        ("WATCHLISTD__CAMERAS__URL", "WATCHLISTD__CAMERAS__URL: expected WATCHLISTD__CAMERAS__ID__KEY"),
        ("WATCHLISTD__LGO__FILTER", "lgo: unknown section; did you mean log? (WATCHLISTD__LGO__FILTER)"),
    ] {
        let line = Setting::new("").var(name, "info").mistake();
        assert!(line.starts_with(start), "{line}");
    }
    let twice =
        Setting::new("").var("WATCHLISTD__LOG__FILTER", "info").var("WATCHLISTD__log__filter", "warn");
    assert!(twice.mistake().contains("another variable sets the same key"));
    let both =
        Setting::new("").var("WATCHLISTD__EVENTS__FILE", "x").var("WATCHLISTD__EVENTS__FILE__PATH", "y");
    assert!(both.mistakes().iter().any(|l| l.starts_with("events.file: expected a table")));
}

#[test]
fn keys_that_the_config_crate_would_read_as_paths_are_only_unknown() {
    // As an index this would make a list of that length.
    let line = Setting::new("\"cameras[9999999999999].url\" = 'rtsp://a/1'").mistake();
    assert!(line.starts_with("\"cameras[9999999999999].url\": unknown section"), "{line}");
    let line = Setting::new("[track]\n\"a[9999999999999]\" = 1").mistake();
    assert!(line.starts_with("track.\"a[9999999999999]\": unknown key"), "{line}");
}

#[test]
fn control_characters_reach_no_terminal() {
    let line =
        Setting::new("[log]\nformat = \"\\u001b[2J\"\n\"\\u001b[1m\" = 1").load().unwrap_err().to_string();
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

/// Pieces that, strung together, are now and then TOML that gets far.
fn toml_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[track]\n",
        "[cameras.a]\n",
        "[cameras]\n",
        "[[cameras]]\n",
        "[events.file]\n",
        "[events.lists]\n",
        "[sinks.a]\n",
        "[sinks]\n",
        "type = 'nats'\n",
        "type = 'mqtt'\n",
        "type = 'unix'\n",
        "servers",
        "broker",
        "types",
        "backoff",
        "[credentials]\n",
        "cameras.b.",
        "min_hits",
        "url",
        "roi",
        "masks",
        "path",
        "input",
        "filter",
        "tls",
        "\"\"",
        " = ",
        "0",
        "-1",
        "1e400",
        "nan",
        "'rtsp://u:p@h:99999/'",
        "'test://'",
        "'v4l2://'",
        "'file://%'",
        "'pin:é'",
        "'\u{0}'",
        "\"\\u0000\"",
        "'5s'",
        "'1x1'",
        "'🎥'",
        "[0, 0, 1, 1]",
        "[[]]",
        "[[[0,0],[1,0],[0,1]]]",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\n",
        ".",
        "#",
        "'",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in the files and the environment: an answer, or mistakes; never a panic.
    #[test]
    fn no_file_and_no_environment_makes_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        text in toml_like(),
        name in "(LOG|CAMERAS|X|_)(__[A-Za-zé_.0-9]{0,8}){0,3}",
        value in "\\PC{0,20}",
    ) {
        let setting = Setting::new("").drop_in("1.toml", &text).var(&format!("WATCHLISTD__{name}"), value);
        let told = |result: Result<_, crate::config::ConfigErrors>| match result {
            Ok(_) => true,
            Err(e) => !e.problems().is_empty() && !e.to_string().is_empty(),
        };
        prop_assert!(told(setting.load()));
        std::fs::write(setting.main(), &bytes).unwrap();
        prop_assert!(told(setting.load()));
    }
}
