//! `watchlistd eval` on real models and real pictures, after a kill, and on what people get wrong.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use watchlistd::calibrate::book::Book;
use watchlistd::calibrate::scores::{Ended, Judged};
use watchlistd::cli::{ConfigArgs, context};
use watchlistd::types::ids::{CameraId, ModelId};

use support::{Running, Site, errors, shared, var, wait_for};

fn eval(site: &Site, verb: &str, arguments: &[&str]) -> Output {
    let mut command = support::watchlistd(["eval", verb, "--config"]);
    command.arg(&site.config).args(arguments).output().expect("it runs")
}

fn report(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn works(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// One line on standard error, with these words in it, and this exit code.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "one clear line: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// `people/<name>/<name>_0001.jpg`, ... from set-up's pictures, and two that have no face or are no picture.
struct Album {
    site: Site,
    people: PathBuf,
}

impl Album {
    fn new(var: &Path) -> Self {
        let site = Site::new(var, "");
        let people = site.folder.path().join("people");
        let album = Self { site, people };
        for (name, picture) in [
            ("Obama/Obama_0001.jpg", "obama.jpg"),
            ("Obama/Obama_0002.jpg", "obama2.jpg"),
            ("Obama/Obama_0003.jpg", "obama3.jpg"),
            ("Biden/Biden_0001.jpg", "biden.jpg"),
            ("Astronaut/Astronaut_0001.png", "astronaut.png"),
            ("Party/Party_0001.jpg", "t1.jpg"),
        ] {
            album.write(name, &std::fs::read(var.join("images").join(picture)).expect("set-up fetched it"));
        }
        album
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.people.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    /// As many pictures of each of three people, all different files.
    fn copies(&self, var: &Path, each: usize) {
        for picture in ["obama.jpg", "obama2.jpg", "biden.jpg"] {
            let bytes = std::fs::read(var.join("images").join(picture)).expect("set-up fetched it");
            for n in 0..each {
                // What follows the end of a JPEG does not count, but it is another file.
                self.write(&format!("{picture}/{n:03}.jpg"), &[&bytes[..], &n.to_le_bytes()].concat());
            }
        }
    }

    fn path(&self, name: &str) -> String {
        self.site.path(name)
    }
}

#[test]
fn a_pairs_file_is_measured_and_no_picture_is_dropped() {
    let Some(var) = var() else { return };
    let album = Album::new(&var);
    let blank = watchlistd::types::frame::RgbImage::new(
        watchlistd::types::geometry::Size::new(250, 250),
        vec![128; 250 * 250 * 3],
    );
    let bytes = watchlistd::image::codec::encode_jpeg(&blank.expect("a picture"), 90).expect("a JPEG");
    album.write("Biden/Biden_0002.jpg", &bytes);
    album.write("Biden/Biden_0003.jpg", b"not a picture at all");
    let pairs = "2 3\n\
        Obama 1 2\nObama 1 3\nBiden 1 2\n\
        Obama 1 Biden 1\nObama 2 Astronaut 1\nBiden 1 Party 1\n\
        Obama 2 3\nObama 1 2\nBiden 1 3\n\
        Obama 3 Astronaut 1\nBiden 1 Astronaut 1\nObama 3 Biden 2\n";
    std::fs::write(album.path("pairs.txt"), pairs).expect("written");
    let people = album.people.display().to_string();
    let (pairs, json, roc) = (album.path("pairs.txt"), album.path("a.json"), album.path("roc.svg"));
    let arguments = [&*people, "--pairs", &pairs, "--json", &json, "--roc", &roc];
    let output = eval(&album.site, "verify", &arguments);
    let said = works(&output);
    assert!(said.contains("accuracy") && said.contains("not enough trials"), "{said}");
    assert!(errors(&output).contains("Biden_0002.jpg: no face found"), "{}", errors(&output));
    assert!(errors(&output).contains("Biden_0003.jpg: unreadable: "), "{}", errors(&output));

    let whole = report(json.as_ref());
    let figures = &whole["figures"];
    assert_eq!(whole["pictures"]["pictures"], 8);
    assert_eq!((&whole["pictures"]["no_face"], &whole["pictures"]["unreadable"]), (&1.into(), &1.into()));
    assert_eq!(whole["pictures"]["several_faces"], 1, "the party");
    assert_eq!(whole["failed"].as_array().map(Vec::len), Some(2));
    assert_eq!((&figures["mated"], &figures["non_mated"]), (&6.into(), &6.into()));
    assert_eq!(figures["not_compared"]["count"], 3);
    // In each fold one mated pair is wrong because of its picture; in the second a non-mated one, too.
    let folds: Vec<f64> = figures["accuracy"]["folds"]
        .as_array()
        .expect("folds")
        .iter()
        .map(|f| f["accuracy"].as_f64().expect("one"))
        .collect();
    assert!((folds[0] - 5.0 / 6.0).abs() < 1e-9 && (folds[1] - 4.0 / 6.0).abs() < 1e-9, "{folds:?}");
    let svg = std::fs::read_to_string(&roc).expect("written");
    assert!(svg.starts_with("<svg") && svg.contains("false accept rate"), "{svg}");

    let left_out = eval(&album.site, "verify", &[&arguments[..], &["--failures", "left-out"]].concat());
    works(&left_out);
    let figures = report(json.as_ref())["figures"].clone();
    assert_eq!((&figures["accuracy"]["mean"], &figures["auc"]), (&1.0.into(), &1.0.into()), "{figures}");
}

#[test]
fn a_folder_is_searched_with_the_same_figures_each_time() {
    let Some(var) = var() else { return };
    let album = Album::new(&var);
    for (copy, of) in [
        ("Biden/Biden_0002.jpg", "Biden/Biden_0001.jpg"),
        ("Astronaut/Astronaut_0002.png", "Astronaut/Astronaut_0001.png"),
        ("Party/Party_0002.jpg", "Party/Party_0001.jpg"),
    ] {
        album.write(copy, &std::fs::read(album.people.join(of)).expect("written"));
    }
    let people = album.people.display().to_string();
    let (json, det) = (album.path("a.json"), album.path("det.svg"));
    let run = |more: &[&str]| {
        let arguments = [&[&*people, "--json", &json, "--det", &det], more].concat();
        let said = works(&eval(&album.site, "identify", &arguments));
        (said, report(json.as_ref()))
    };
    let (said, whole) = run(&["--workers", "1"]);
    assert!(said.contains("FPIR") && said.contains("rank 1") && said.contains("sharpness"), "{said}");
    let figures = &whole["figures"];
    assert_eq!((&whole["protocol"]["people"], &figures["identities"]), (&4.into(), &2.into()), "{whole}");
    assert_eq!(
        (&figures["rank_1"]["rate"], &figures["failed_to_acquire"]["count"]),
        (&1.0.into(), &0.into())
    );
    assert!(std::fs::read_to_string(&det).expect("written").contains("false negative identification rate"));
    let (again, other) = run(&["--workers", "3"]);
    assert_eq!((again, &other["figures"]), (said, figures), "any number of workers");
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let Some(var) = var() else { return };
    let album = Album::new(&var);
    album.copies(&var, 40);
    let people = album.people.display().to_string();
    let (cache, key, json) = (album.path("cache"), album.path("cache.key"), album.path("a.json"));
    let arguments = [
        "eval",
        "verify",
        "--config",
        &album.path("watchlistd.toml"),
        &people,
        "--cache",
        &cache,
        "--cache-key",
        &key,
    ]
    .map(str::to_owned);
    let size = || {
        let files = std::fs::read_dir(&cache).ok()?;
        Some(files.flatten().filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum::<u64>())
    };
    // A record of 512 numbers has 2,153 bytes: at least ten are there.
    let mut running = Running::start(support::watchlistd(&arguments));
    wait_for("ten records", || {
        assert!(running.exited().is_none(), "it ended: {}", running.errors());
        size().filter(|bytes| *bytes > 22_000)
    });
    running.kill();

    let run = |more: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        works(&support::watchlistd(arguments).output().expect("it runs"))
    };
    run(&["--json", &json]);
    let (figures, stats) = {
        let whole = report(json.as_ref());
        (whole["figures"].clone(), whole["stats"].clone())
    };
    let kept = stats["from_cache"].as_u64().expect("a number");
    assert!((10..126).contains(&kept), "{stats}");
    run(&["--json", &json, "--workers", "1"]);
    let whole = report(json.as_ref());
    assert_eq!(whole["stats"]["made"], 0, "all of them are known now");
    assert_eq!(whole["figures"], figures);
    let without = [&people[..], "--json", &json];
    works(&eval(&album.site, "verify", &without));
    assert_eq!(report(json.as_ref())["figures"], figures, "a cache changes no figure");
}

#[test]
fn mistakes_are_told_in_one_line_before_any_model_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let site_config = folder.path().join("watchlistd.toml");
    std::fs::write(&site_config, "[models]\ndetector = \"none.toml\"\nembedder = \"none.toml\"\n")
        .expect("written");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let run = |arguments: &[&str]| {
        let mut command = support::watchlistd(["eval"]);
        command.args(arguments).args(["--config", &site_config.display().to_string()]);
        command.output().expect("it runs")
    };
    for name in [
        "one/a/1.jpg",
        "one/a/2.jpg",
        "flat/1.jpg",
        "single/a/1.jpg",
        "single/b/1.jpg",
        "two/a/a_0001.jpg",
        "two/a/a_0002.jpg",
        "two/b/b_0001.jpg",
    ] {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, b"").expect("written");
    }
    std::fs::write(path("pairs.txt"), "1 1\na 1 2\na 1 c 7\n").expect("written");
    std::fs::write(path("wrong.txt"), "Obama,1,2\n").expect("written");
    for verb in ["verify", "identify"] {
        refused(&run(&[verb, &path("gone")]), 66, &["gone", "no such folder", "sub-folder for each person"]);
        refused(&run(&[verb, &path("flat")]), 66, &["flat", "sub-folder for each person"]);
        refused(&run(&[verb, &path("one")]), 65, &["only one person"]);
        refused(&run(&[verb, &path("single")]), 65, &["nobody has two pictures"]);
        refused(
            &run(&[verb, &path("two"), "--json", &path("gone/a.json")]),
            73,
            &["--json", "make it first"],
        );
        refused(&run(&[verb, &path("two")]), 66, &["models.detector", "make setup"]);
    }
    refused(&run(&["verify", &path("two"), "--pairs", &path("pairs.txt")]), 66, &["c/c_0007.jpg (line 3)"]);
    refused(
        &run(&["verify", &path("two"), "--pairs", &path("wrong.txt")]),
        65,
        &["wrong.txt line 1", "10 300"],
    );
    refused(&run(&["verify", &path("two"), "--pairs", &path("none.txt")]), 66, &["none.txt"]);
    refused(&run(&["verify", &path("two"), "--roc", &path("a.png")]), 64, &["--roc", ".svg"]);
    refused(
        &run(&["identify", &path("two"), "--det", &path("a.svg/b.svg")]),
        73,
        &["--det", "make it first"],
    );
}

#[test]
fn the_shipped_embedder_on_aligned_faces_has_the_figures_of_the_documentation() {
    let (Some(var), Some(shared)) = (var(), shared()) else { return };
    let site = Site::new(&var, "");
    let (faces, json) = (shared.join("data/aligned_faces").display().to_string(), site.path("a.json"));
    works(&eval(&site, "verify", &[&faces, "--aligned", "--json", &json]));
    let figures = report(json.as_ref())["figures"].clone();
    assert_eq!((&figures["mated"], &figures["non_mated"]), (&1_002.into(), &24_876.into()));
    let at_least =
        |value: &Value, least: f64| assert!(value.as_f64().is_some_and(|v| v >= least), "{value} {least}");
    // As docs/accuracy.md has them, but for the last digits of another processor's scores.
    at_least(&figures["accuracy"]["mean"], 0.965);
    at_least(&figures["auc"], 0.994);
    at_least(&figures["at"][1]["tar"]["rate"], 0.935);
    assert_eq!(figures["at"][3]["claim"], "not_enough_trials");
    works(&eval(&site, "identify", &[&faces, "--aligned", "--json", &json]));
    let figures = report(json.as_ref())["figures"].clone();
    at_least(&figures["rank_1"]["rate"], 0.97);
    assert_eq!(
        (&figures["identities"], &figures["mated"], &figures["non_mated"]),
        (&12.into(), &104.into(), &112.into())
    );
}

/// A camera's scores of 20 days: of strangers, 60 an hour, compared with 50 identities. Single comparisons are logistic with a scale of
/// 0.055.
fn scores(model: ModelId) -> Book {
    let (mut book, camera) = (Book::default(), CameraId::new("door").expect("a name"));
    let mut random = fastrand::Rng::with_seed(3);
    book.of_model(model);
    for hour in 0..24 * 20 {
        for _ in 0..60 {
            let best_of_fifty = random.f64().powf(1.0 / 50.0);
            let score = 0.055 * (best_of_fifty / (1.0 - best_of_fifty)).ln();
            let judged = Judged { hour, threshold: 0.9, identities: 50 };
            book.ended(&camera, model, judged, Ended::NonMatch(score as f32));
        }
    }
    book
}

#[test]
fn thresholds_follow_from_the_boxs_own_scores() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let own = |more: &[&str]| site.run("calibrate", &[&["--own-scores"], more].concat());
    refused(&own(&[]), 66, &["scores.json", "false_alerts_per_day"]);
    assert_eq!(own(&["people"]).status.code(), Some(64), "a folder is something else");
    assert_eq!(site.run("calibrate", &[]).status.code(), Some(64), "a folder is missing");

    let file = site.folder.path().join("scores.json");
    let write =
        |book: &Book| std::fs::write(&file, serde_json::to_vec(book).expect("JSON")).expect("written");
    write(&scores(ModelId([7; 32])));
    let output = own(&[]);
    refused(&output, 65, &["scores.json", "say nothing of each other"]);

    // The manifests' copies: what is written lies beside them.
    let manifests = site.folder.path().join("manifests");
    std::fs::create_dir(&manifests).expect("made");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    for name in ["retinaface-mobilenet025.toml", "mobilefacenet-512.toml"] {
        std::fs::copy(ours.join(name), manifests.join(name)).expect("copied");
    }
    let text = std::fs::read_to_string(&site.config).expect("there");
    let text = text.replace(&ours.display().to_string(), &manifests.display().to_string());
    std::fs::write(&site.config, text).expect("written");
    let config = context::load_for_tools(&ConfigArgs { config: Some(site.config.clone()) });
    let model = context::models(&config.expect("a configuration")).expect("the models").model_id();
    write(&scores(model));
    let json = site.folder.path().join("own.json");
    let shown = works(&own(&["--write", "--json", &json.display().to_string()]));
    assert!(shown.contains("comparisons") && shown.contains("extrapolated"), "{shown}");
    let figures = &report(&json)["figures"];
    assert_eq!((&figures["basis"], &figures["scores"]), (&Value::from("scores"), &Value::from(28_800)));
    // The true threshold of a rate f is 0.055 ln((1 - f) / f).
    for row in figures["rows"].as_array().expect("rows").iter().filter(|row| !row["threshold"].is_null()) {
        let (fmr, threshold) =
            (row["fmr"].as_f64().expect("a rate"), row["threshold"].as_f64().expect("one"));
        let truth = 0.055 * ((1.0 - fmr) / fmr).ln();
        assert!((threshold - truth).abs() < 0.06, "{fmr}: {threshold}, in truth {truth}");
    }
    assert!(manifests.join("mobilefacenet-512.calibration").is_file());
    let compared = site.run(
        "compare",
        &["obama.jpg", "obama2.jpg"]
            .map(|name| var.join("images").join(name).display().to_string().leak() as &str),
    );
    assert!(works(&compared).contains("false match rate"), "it is read with the model");
}
