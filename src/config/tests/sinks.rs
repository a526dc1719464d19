//! The log's keys, `[sinks.NAME]`, and that their secrets are shown nowhere.

use std::path::Path;
use std::time::Duration;

use super::Setting;
use crate::base::secret::Secret;
use crate::config::load::load_without_credentials;
use crate::config::place::Place;
use crate::config::{
    Compression, Config, EventFile, EventSocket, Events, FileSync, Retry, Sink, SinkKind, Start,
};
use crate::events::EventType;
use crate::gallery::record::ListName;
use crate::sinks::nats::Login;
use crate::sinks::shape::{Fields, Omit, Shape};

const DAY: u64 = 86_400;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * DAY)
}

fn names(config: &Config) -> Vec<&str> {
    config.sinks.iter().map(|sink| sink.name.as_str()).collect()
}

/// The only sink that is not built in.
fn sink(main: &str) -> Sink {
    sink_of(&Setting::new(main))
}

fn sink_of(setting: &Setting) -> Sink {
    let mut sinks = setting.loaded().config.sinks;
    sinks.retain(|sink| !sink.is_built_in());
    assert_eq!(sinks.len(), 1, "{sinks:?}");
    sinks.remove(0)
}

#[test]
fn the_log_is_beside_the_gallery_unless_somebody_says_otherwise() {
    let path = |setting: Setting| setting.loaded().config.events.path;
    assert_eq!(path(Setting::new("")), Path::new("/var/lib/watchlistd/events.db"));
    assert_eq!(path(Setting::new("[gallery]\npath = '/srv/g.db'")), Path::new("/srv/events.db"));
    assert_eq!(path(Setting::new("").var("STATE_DIRECTORY", "/state")), Path::new("/state/events.db"));
    let setting = Setting::new("[events]\npath = 'log/e.db'");
    assert_eq!(setting.loaded().config.events.path, setting.path("log/e.db"));
}

#[test]
fn retention_is_in_days_and_by_list() {
    let config = Setting::new(
        "[events]\nretention = '14d'\nbudget = '1GiB'\n[events.lists]\nvip = '90d'\nguests = '36h'",
    )
    .var("WATCHLISTD__EVENTS__LISTS__STAFF", "1d")
    .loaded()
    .config;
    let Events { retention, budget, lists, .. } = config.events;
    assert_eq!((retention, budget), (days(14), 1 << 30));
    let list = |name: &str, time| (ListName::new(name).unwrap(), time);
    let expected = [list("guests", days(1) + days(1) / 2), list("staff", days(1)), list("vip", days(90))];
    assert_eq!(lists.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn sinks_are_the_built_in_ones_and_then_the_others_by_name() {
    let main = "[events.file]\npath = '/e.jsonl'\n[sinks.z]\ntype = 'jsonl'\npath = '/z'\n\
                [sinks.a]\ntype = 'unix'\n[sinks.b]\ntype = 'jsonl'\npath = '/b'\nenabled = false";
    assert_eq!(names(&Setting::new(main).loaded().config), ["stdout", "journal", "file", "a", "z"]);
    let quiet = Setting::new("[events]\nstdout = false\njournal = false").loaded().config;
    assert!(quiet.sinks.is_empty() && !quiet.goes_to_journal());
    assert_eq!(Config::default().sinks, [Sink::stdout(), Sink::journal()]);
}

#[test]
fn every_common_key_arrives() {
    let sink = sink(
        "[sinks.Archive-2]\ntype = 'jsonl'\npath = '/e'\nrequired = true\nstart = 'oldest'\n\
         types = ['recognized', 'left']\nlists = ['vip']\ncameras = ['door']\nmin_score = 0.6\n\
         fields = 'pseudonym'\nomit = ['bbox', 'frames']\nrate = 2.5\nbatch = 100\ndead_letters = 'retry'\n\
         backoff = { first = '2s', most = '10m' }\nmax_size = '1MiB'\nkeep = 9\nrotate_every = '1d'\n\
         compress = 'zstd'\nsync = 'each'\n[cameras.door]\nurl = 'rtsp://door/1'",
    );
    assert_eq!((sink.name.as_str(), sink.required, sink.start), ("Archive-2", true, Start::Oldest));
    assert_eq!(
        sink.shape,
        Shape {
            types: Some(vec![EventType::Recognized, EventType::Left]),
            lists: Some(vec![ListName::new("vip").unwrap()]),
            cameras: Some(
                vec!["door"].into_iter().map(|id| crate::types::ids::CameraId::new(id).unwrap()).collect()
            ),
            min_score: Some(0.6),
            fields: Fields::Pseudonym,
            omit: vec![Omit::Bbox, Omit::Frames],
        }
    );
    let (first, most) = (Duration::from_secs(2), Duration::from_secs(600));
    let retry = Retry { first, most, rate: Some(2.5), batch: Some(100), dead_letters: None };
    assert_eq!(sink.retry, retry);
    let file = EventFile {
        path: "/e".into(),
        max_bytes: 1 << 20,
        keep: 9,
        rotate_every: Some(days(1)),
        compress: Compression::Zstd,
        sync: FileSync::Each,
    };
    assert_eq!(sink.kind, SinkKind::Jsonl(file));
    assert_eq!((sink.key(), sink.kind.as_str()), ("sinks.Archive-2".into(), "jsonl"));
}

#[test]
fn the_built_in_file_has_a_shape_too() {
    let config = Setting::new(
        "[events.file]\npath = '/e.jsonl'\nrequired = true\nfields = 'count'\ntypes = ['lost']\ncompress = 'gzip'",
    )
    .loaded()
    .config;
    let file = config.sinks.iter().find(|sink| sink.name == "file").unwrap();
    assert!(file.required && file.is_built_in());
    assert_eq!((file.shape.fields, &file.shape.types), (Fields::Count, &Some(vec![EventType::Lost])));
    assert_eq!(file.key(), "events.file");
    assert!(matches!(&file.kind, SinkKind::Jsonl(f) if f.compress == Compression::Gzip));
}

#[test]
fn the_environment_reaches_into_a_sink_by_its_name_in_the_files() {
    let setting = Setting::new("[sinks.My-Archive]\ntype = 'jsonl'\npath = '/e'")
        .var("WATCHLISTD__SINKS__MY_ARCHIVE__REQUIRED", "true")
        .var("WATCHLISTD__SINKS__MY_ARCHIVE__TYPES", "['lost', 'health']")
        .var("WATCHLISTD__SINKS__MY_ARCHIVE__BACKOFF__MOST", "2h")
        .var("WATCHLISTD__SINKS__MY_ARCHIVE__MIN_SCORE", "0.7");
    let sink = sink_of(&setting);
    assert!(sink.required);
    assert_eq!(sink.shape.types, Some(vec![EventType::Lost, EventType::Health]));
    assert_eq!((sink.retry.most, sink.shape.min_score), (Duration::from_secs(7200), Some(0.7)));
    let line = Setting::new("").var("WATCHLISTD__SINKS__ARCHIVE", "x").mistake();
    assert!(line.starts_with("WATCHLISTD__SINKS__ARCHIVE: expected WATCHLISTD__SINKS__NAME__KEY"), "{line}");
}

#[test]
fn a_socket_is_beside_the_control_socket() {
    let socket = |main| match sink(main).kind {
        SinkKind::Unix(socket) => socket,
        other => panic!("{other:?}"),
    };
    let near = socket("[control]\nsocket = '/r/c.sock'\n[sinks.s]\ntype = 'unix'");
    assert_eq!(near, EventSocket::new("/r/events.sock"));
    let set = socket("[sinks.s]\ntype = 'unix'\npath = '/x.sock'\ngroup = 'watch'\nreaders = 3");
    assert_eq!(set, EventSocket { path: "/x.sock".into(), group: Some("watch".into()), readers: 3 });
}

/// Each of these is refused with a message that starts and goes on like this.
#[test]
fn wrong_values_are_refused() {
    let file = |line: &str| format!("[sinks.a]\ntype = 'jsonl'\npath = '/e'\n{line}");
    let mqtt = |line: &str| format!("[sinks.a]\ntype = 'mqtt'\nbroker = 'mqtt://b'\n{line}");
    let hook = |line: &str| format!("[sinks.a]\ntype = 'webhook'\nurl = 'https://r/'\n{line}");
    let nats = |line: &str| format!("[sinks.a]\ntype = 'nats'\nservers = ['nats://b']\n{line}");
    let kafka = |line: &str| format!("[sinks.a]\ntype = 'kafka'\nbrokers = ['b:9092']\n{line}");
    let cases = [
        (
            "[events]\nretention = '10s'".into(),
            "events.retention: expected a duration from 1m to 3650d, as \"12h\"",
        ),
        ("[events]\nretention = '30 days'".into(), "events.retention: expected a duration"),
        ("[events]\nbudget = '15MiB'".into(), "events.budget: expected a size from 16MiB"),
        ("[events]\npath = '/g.db'\n[gallery]\npath = '/g.db'".into(), "events.path: is the gallery's store"),
        ("[events]\nlists = 5".into(), "events.lists: expected a table [events.lists], found 5"),
        ("[events.lists]\nvip = 5".into(), "events.lists.vip: expected a duration from 1m"),
        ("[events.lists]\n'V I P' = '1d'".into(), "events.lists.\"V I P\": list \"V I P\": expected 1 to 64"),
        ("[events]\nretenton = '1d'".into(), "events.retenton: unknown key; did you mean retention?"),
        ("[events.file]\nstart = 'now'".into(), "events.file.start: unknown key"),
        ("sinks = 5".into(), "sinks: expected tables such as [sinks.archive], found 5"),
        ("[sinks]\na = 5".into(), "sinks.a: expected a table [sinks.a], found 5"),
        (
            "[sinks.file]\ntype = 'unix'".into(),
            "sinks.file: is the name of a sink that is built in, and set by events.file",
        ),
        ("[sinks.'a b']\ntype = 'unix'".into(), "sinks.\"a b\": a sink's name is 1 to 64"),
        ("[sinks.a]\nenabled = true".into(), "sinks.a.type: missing; expected \"jsonl\" or"),
        ("[sinks.a]\ntype = 'json'\nwhatever = 1".into(), "sinks.a.type: expected \"jsonl\" or"),
        ("[sinks.a]\ntype = 'jsonl'".into(), "sinks.a.path: missing; expected the path of a file"),
        (
            "[sinks.a]\ntype = 'unix'\nrequired = true".into(),
            "sinks.a.required: is for sinks that events are sent to",
        ),
        ("[sinks.a]\ntype = 'unix'\nbackoff = { first = '1s' }".into(), "sinks.a.backoff: is for sinks"),
        (
            "[sinks.a]\ntype = 'unix'\npath = '/run/watchlistd/control.sock'".into(),
            "sinks.a.path: is the control socket",
        ),
        (format!("[sinks.a]\ntype = 'unix'\npath = '/{}'", "s".repeat(120)), "sinks.a.path: /sss"),
        (file("requierd = true"), "sinks.a.requierd: unknown key; did you mean required?"),
        (file("start = 'then'"), "sinks.a.start: expected \"now\" or \"oldest\""),
        (
            file("types = []"),
            "sinks.a.types: expected \"all\" or a list of types of events that is not empty",
        ),
        (file("types = 'recognized'"), "sinks.a.types: expected \"all\" or a list of types of events"),
        (file("types = ['recognised']"), "sinks.a.types: expected appeared, recognized, unknown"),
        (file("types = ['lost', 'lost']"), "sinks.a.types: names the text \"lost\" twice"),
        (file("lists = ['V I P']"), "sinks.a.lists: expected a list's name"),
        (file("cameras = [5]"), "sinks.a.cameras: expected a text"),
        (file("min_score = 2"), "sinks.a.min_score: expected \"off\" or a number from 0 to 1, found 2"),
        (file("fields = 'all'"), "sinks.a.fields: expected \"name\" or \"pseudonym\" or \"count\""),
        (file("omit = ['box']"), "sinks.a.omit: expected external_id, score"),
        (file("rate = 0"), "sinks.a.rate: expected \"off\" or a number from 0.01"),
        (file("batch = 1001"), "sinks.a.batch: expected \"auto\" or a whole number from 1 to 1000"),
        (file("dead_letters = 0"), "sinks.a.dead_letters: expected \"retry\" or a whole number"),
        (file("backoff = 5"), "sinks.a.backoff: expected a table"),
        (file("backoff = { frist = '1s' }"), "sinks.a.backoff.frist: unknown key; did you mean first?"),
        (
            file("backoff = { first = '2m', most = '1m' }"),
            "sinks.a.backoff.most: expected at least backoff.first (2m), found 1m",
        ),
        (file("rotate_every = '1s'"), "sinks.a.rotate_every: expected \"off\" or a duration from 1m"),
        (file("compress = 'bzip2'"), "sinks.a.compress: expected \"none\" or"),
        (file("sync = 'always'"), "sinks.a.sync: expected \"each\" or"),
        (file("broker = 'mqtt://b'"), "sinks.a.broker: unknown key"),
        (
            file("[sinks.b]\ntype = 'jsonl'\npath = '/e'"),
            "sinks.b.path: is the path of sinks.a as well; each needs its own",
        ),
        (
            file("[events.file]\npath = '/e'"),
            "sinks.a.path: is the path of events.file as well; each needs its own",
        ),
        (
            "[events.file]\npath = '/g.db'\n[gallery]\npath = '/g.db'".into(),
            "events.file.path: is the path of gallery.path as well; each needs its own",
        ),
        ("[sinks.a]\ntype = 'mqtt'".into(), "sinks.a.broker: missing; expected an address"),
        (
            "[sinks.a]\ntype = 'mqtt'\nbroker = 'http://b'".into(),
            "sinks.a.broker: expected an address, as \"mqtt://",
        ),
        (mqtt("version = '4'"), "sinks.a.version: expected \"5\" or \"3.1.1\""),
        (mqtt("topic = 'a/#'"), "sinks.a.topic: \"a/#\"; expected a topic"),
        (mqtt("camera_topic = 'a'"), "sinks.a.camera_topic: \"a\": {camera} is not in it"),
        (mqtt("home_assistant = { persons = true }"), "sinks.a.home_assistant.persons: needs person_topic"),
        (mqtt("tls = { ca = '/ca.pem' }"), "sinks.a.tls.ca: is for mqtts:// brokers only"),
        ("[sinks.a]\ntype = 'webhook'".into(), "sinks.a.url: missing; expected an address"),
        (
            "[sinks.a]\ntype = 'webhook'\nurl = 'ftp://r/'".into(),
            "sinks.a.url: expected an http or https address",
        ),
        (hook("url_file = 'p'"), "sinks.a.url: and url_file are both set; keep one"),
        (
            "[sinks.a]\ntype = 'webhook'\nurl_file = 'p'".into(),
            "sinks.a.url_file: must hold an http or https address",
        ),
        (hook("mode = 'many'"), "sinks.a.mode: expected \"single\" or \"batch\""),
        (hook("max_bytes = '1MiB'"), "sinks.a.max_bytes: is for mode = \"batch\" only"),
        (hook("mode = 'batch'\nmax_bytes = '1B'"), "sinks.a.max_bytes: expected a size from 1KiB to 16MiB"),
        (
            hook("secret_files = ['p']"),
            "sinks.a.secret_files: a secret in one of them: expected at least 16 bytes",
        ),
        (hook("secret_files = ['p', 'q', 'r', 's']"), "sinks.a.secret_files: expected at most 3 files"),
        (
            hook("secret_files = 'p'"),
            "sinks.a.secret_files: expected a list of files that hold a secret each",
        ),
        (hook("password_file = 'p'"), "sinks.a.password_file: expected with user"),
        (hook("token_file = 'p'\nuser = 'u'"), "sinks.a.type: token and user: expected one of the two"),
        (hook("timeout = '1s'"), "sinks.a.timeout: expected at least connect_timeout"),
        (hook("proxy_user = 'u'"), "sinks.a.type: proxy_user and proxy_password: expected with proxy"),
        (hook("headers = { 'X y' = 'v' }"), "sinks.a.headers.\"X y\": is no name of a header"),
        (
            hook("headers = { X-Api-Key = 'v' }"),
            "sinks.a.headers.X-Api-Key: a header of this name holds a secret",
        ),
        (hook("headers = { Host = 'v' }"), "sinks.a.headers.Host: the sink writes this header itself"),
        (hook("headers = { X-Y = 'ü' }"), "sinks.a.headers.X-Y: expected a text of printable ASCII"),
        (hook("tls = { certificate = '/c.pem' }"), "sinks.a.tls.certificate: and key go together"),
        (
            "[sinks.a]\ntype = 'webhook'\nurl = 'http://r/'\ntls = { ca = '/c.pem' }".into(),
            "sinks.a.tls.ca: is for https:// receivers only",
        ),
        ("[sinks.a]\ntype = 'nats'".into(), "sinks.a.servers: missing; expected a list of servers"),
        (
            "[sinks.a]\ntype = 'nats'\nservers = ['nats://b/x']".into(),
            "sinks.a.servers: expected an address with nothing",
        ),
        (nats("subject = '{list}.x'"), "sinks.a.subject: expected tokens with dots"),
        (nats("stream = { name = 'a.b' }"), "sinks.a.stream.name: expected a stream's name"),
        (nats("stream = { create = true, check = false }"), "sinks.a.stream.create: needs check = true"),
        (nats("stream = { max_age = '1m' }"), "sinks.a.stream.duplicate_window: expected at most max_age"),
        (nats("tls = { key = '/k.pem' }"), "sinks.a.tls.certificate: and key go together"),
        (nats("user = 'u'"), "sinks.a.user: and password_file go together"),
        ("[sinks.a]\ntype = 'kafka'".into(), "sinks.a.brokers: missing; expected a list of brokers"),
        ("[sinks.a]\ntype = 'kafka'\nbrokers = ['b']".into(), "sinks.a.brokers: expected HOST:PORT"),
        (kafka("topic = 'a b'"), "sinks.a.topic: \"a b\": expected up to 100 of"),
        (kafka("topic = '{source}'"), "sinks.a.topic: \"{source}\": {source} is none of {box}"),
        (kafka("topic = '{box}'\nbox = 'a b'"), "sinks.a.box: \"a b\": expected a name"),
        (kafka("compression = 'gzip'"), "sinks.a.compression: expected \"none\" or \"lz4\""),
        (kafka("tls = { key = '/k.pem' }"), "sinks.a.tls.certificate: and key go together"),
        (kafka("tls = { enabled = false, ca = '/c.pem' }"), "sinks.a.tls.ca: is for tls.enabled = true only"),
        (kafka("user = 'u'"), "sinks.a.user: and password_file go together"),
        (kafka("password = 'x'"), "sinks.a.password: a secret does not stand here"),
        (
            kafka("user = 'u'\npassword_file = 'p'\nmechanism = 'plain'"),
            "sinks.a.mechanism: plain sends the password as it is",
        ),
        (kafka("timeout = '1ms'"), "sinks.a.timeout: expected a duration from 100ms"),
        (nats("credentials = '/c'\nuser = 'u'\npassword_file = 'p'"), "sinks.a.user: expected one of user"),
    ];
    for (main, start) in cases {
        let setting = Setting::new(&main).file("p", "x", 0o600);
        let line = setting.mistake();
        assert!(line.starts_with(start), "{main}\n gave {line}\n not  {start}");
    }
}

#[test]
fn what_is_wrong_in_a_sink_is_told_at_once_and_with_its_place() {
    let setting = Setting::new(
        "[sinks.a]\ntype = 'jsonl'\nmin_score = 2\nkepp = 1\nbackoff = { first = '2m', most = '1m' }\n[sinks.b]\ntype = 'unix'\nreaders = 0",
    )
    .var("WATCHLISTD__SINKS__A__RATE", "fast");
    assert_eq!(
        setting.mistakes(),
        [
            "sinks.a.min_score: expected \"off\" or a number from 0 to 1, found 2 (DIR/w.toml:3)",
            "sinks.a.backoff.most: expected at least backoff.first (2m), found 1m (DIR/w.toml:5)",
            "sinks.a.rate: expected \"off\" or a number from 0.01 to 100000, found the text \"fast\" (WATCHLISTD__SINKS__A__RATE)",
            "sinks.a.path: missing; expected the path of a file",
            "sinks.a.kepp: unknown key; did you mean keep? (DIR/w.toml:4)",
            "sinks.b.readers: expected a whole number from 1 to 1000, found 0 (DIR/w.toml:8)",
        ]
    );
}

#[test]
fn there_are_at_most_thirty_two() {
    let tables = |n: u32| {
        (1..=n).map(|i| format!("[sinks.s{i}]\ntype = 'jsonl'\npath = '/{i}'\n")).collect::<String>()
    };
    assert_eq!(Setting::new(&tables(32)).loaded().config.sinks.len(), 34);
    assert_eq!(Setting::new(&tables(33)).mistake(), "sinks: expected at most 32 sinks, found 33");
}

#[test]
fn a_camera_that_is_not_there_is_warned_of() {
    let warnings = Setting::new(
        "[cameras.door]\nurl = 'rtsp://door/1'\nenabled = false\n[sinks.a]\ntype = 'jsonl'\npath = '/e'\ncameras = ['door', 'dor']",
    )
    .loaded()
    .warnings;
    assert_eq!(warnings, ["sinks.a.cameras: dor is no camera of this configuration; did you mean door?"]);
}

const CANARY: &str = "c4n4ry";

fn hub(keys: &str) -> Setting {
    Setting::new(&format!("[sinks.hub]\ntype = 'nats'\nservers = ['tls://hub:4222']\n{keys}"))
}

fn login(setting: &Setting) -> Login {
    match sink_of(setting).kind {
        SinkKind::Nats(nats) => nats.login,
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_come_from_files_and_from_systemd() {
    let token = |text: &str| Login::Token(Secret::new(text));
    let setting = hub("token_file = 'keys/token'").file("keys/token", "t0ken\n", 0o600);
    assert_eq!(login(&setting), token("t0ken"));
    let setting = setting.file("creds/token", "the copy", 0o440);
    let folder = setting.path("creds");
    assert_eq!(
        login(&setting.var("CREDENTIALS_DIRECTORY", folder)),
        token("the copy"),
        "as credentials.file"
    );

    let setting = hub("token_file = '$CREDENTIALS_DIRECTORY/hub'").file("creds/hub", "s3cret", 0o440);
    assert!(setting.mistake().starts_with("sinks.hub.token_file: needs $CREDENTIALS_DIRECTORY"));
    let folder = setting.path("creds");
    assert_eq!(login(&setting.var("CREDENTIALS_DIRECTORY", folder)), token("s3cret"));

    let setting = hub("user = 'box'\npassword_file = 'p'").file("p", "pw", 0o600);
    assert_eq!(login(&setting), Login::User { user: "box".into(), password: Secret::new("pw") });
}

#[test]
fn a_secret_file_that_others_may_read_or_that_holds_no_line_is_refused() {
    for (content, mode, told) in [
        ("x", 0o640, "sinks.hub.token_file: DIR/token can be read or written by others"),
        ("", 0o600, "sinks.hub.token_file: DIR/token must hold one line, the secret"),
        ("a\nb", 0o600, "sinks.hub.token_file: DIR/token must hold one line, the secret"),
    ] {
        let line = hub("token_file = 'token'").file("token", content, mode).mistake();
        assert!(line.starts_with(told) && line.ends_with("(DIR/w.toml:4)"), "{line}");
    }
}

#[test]
fn without_credentials_no_secret_file_is_opened() {
    let setting = hub("token_file = 'nowhere'");
    assert!(setting.mistake().starts_with("sinks.hub.token_file: cannot read DIR/nowhere"));
    let loaded = load_without_credentials(Some(&setting.main()), [], &Place::default()).unwrap();
    assert!(names(&loaded.config).contains(&"hub"));
}

#[test]
fn no_secret_of_a_sink_is_ever_shown() {
    let c = CANARY;
    let hook = |keys: &str| Setting::new(&format!("[sinks.h]\ntype = 'webhook'\n{keys}"));
    let mqtt = |keys: &str| Setting::new(&format!("[sinks.m]\ntype = 'mqtt'\nbroker = 'mqtts://b'\n{keys}"));
    let settings = [
        // Right ones.
        hub("token_file = 't'").file("t", c, 0o600),
        hub("nkey_file = 't'").file("t", c, 0o600),
        hub("user = 'u'\npassword_file = 't'").file("t", c, 0o600),
        mqtt("user = 'u'\npassword_file = 't'").file("t", c, 0o600),
        hook(&format!("url = 'https://r/{c}?{c}={c}'")),
        hook("url_file = 't'").file("t", &format!("https://r/{c}"), 0o600),
        hook("url = 'https://r/'\ntoken_file = 't'\nsecret_files = ['s']\nheader_files = { X-Key = 't' }")
            .file("t", c, 0o600)
            .file("s", &format!("sixteen bytes and {c}"), 0o600),
        // Where none may stand.
        hook(&format!("url = 'https://r/'\nsecrets = ['{c}']")),
        hook(&format!("url = 'https://r/'\ntoken = '{c}'")),
        hook(&format!("url = 'https://r/'\nproxy_password = '{c}'")),
        hook(&format!("url = 'https://r/'\nheaders = {{ X-Token = '{c}' }}")),
        hook(&format!("url = 'https://u:{c}@r/'")),
        hook(&format!("url = 'htps://r/{c}'")),
        hook(&format!("url = 'https:/r{c}'\nproxy = 'http://u:{c}@p'")),
        hook("url_file = 't'").file("t", &format!("ftp://r/{c}"), 0o600),
        hook("url = 'https://r/'\nsecret_files = ['t']").file("t", c, 0o600),
        hook("url = 'https://r/'\nsecret_files = ['t']").file("t", &format!("whsec_{c}!"), 0o600),
        hub(&format!("token = '{c}'")),
        hub(&format!("nkey = '{c}'")),
        hub(&format!("user = 'u'\npassword = '{c}'")),
        hub(&format!("passwort = '{c}'")),
        mqtt(&format!("password = '{c}'")),
        Setting::new(&format!("[sinks.m]\ntype = 'mqtt'\nbroker = 'mqtt://u:{c}@b'")),
        Setting::new(&format!("[sinks.m]\ntype = 'mqtt'\nbroker = 'mqt://u:{c}@b'")),
        Setting::new(&format!("[sinks.m]\ntype = 'mqtt'\nbroker = 'mqtt//u:{c}@b'")),
        Setting::new(&format!("[sinks.n]\ntype = 'nats'\nservers = ['nats://u:{c}@b']")),
        Setting::new(&format!("[sinks.n]\ntype = 'nats'\nservers = ['nats://b', 'nats//u:{c}@b']")),
        Setting::new("").var("WATCHLISTD__SINKS__HUB__TOKEN", c),
        // Wrong files.
        hub("token_file = 't'").file("t", &format!("{c}\n{c}"), 0o600),
        hub("token_file = 't'").file("t", c, 0o644),
    ];
    let mut loaded = 0;
    for (i, setting) in settings.iter().enumerate() {
        let shown = match setting.load() {
            Ok(config) => {
                loaded += 1;
                format!("{config:?} {config:#?}")
            }
            Err(errors) => format!("{errors} {errors:?}"),
        };
        assert!(!shown.contains(CANARY), "setting {i}: {shown}");
    }
    assert_eq!(loaded, 7, "the right ones load, the wrong ones do not");
    let line = hub("token = 'x'").mistake();
    let told = "sinks.hub.token: a secret does not stand here; name a file that holds it by token_file (DIR/w.toml:4)";
    assert_eq!(line, told);
}
