//! The tools on real models and real pictures, and on what people feed them by mistake.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{Site, var};

fn run(site: &Site, verb: &str, arguments: &[&str]) -> Output {
    site.command(verb).args(arguments).output().expect("it runs")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {text}\n{}", errors(output)))
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One line on standard error, with these words in it, and this exit code.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let lines = said.lines().filter(|line| !line.contains("the gallery is empty")).count();
    assert_eq!(lines, 1, "one clear line: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn image(var: &Path, name: &str) -> String {
    var.join("images").join(name).display().to_string()
}

/// A PNG that says it is 30,000 by 30,000 and holds nothing.
fn huge_png(path: &Path) {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(30_000u32.to_be_bytes());
    png.extend(30_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&png[12..29]);
    png.extend(crc.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    std::fs::write(path, png).expect("a writable folder");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

#[test]
fn detect_finds_the_faces_and_draws_them() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let out = site.folder.path().join("boxes.png");
    let output = run(&site, "detect", &[&image(&var, "t1.jpg"), "--out", out.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", errors(&output));
    let faces = json(&output)["faces"].as_array().expect("a list").clone();
    assert_eq!(faces.len(), 6);
    for face in &faces {
        assert!(face["score"].as_f64().is_some_and(|s| s > 0.9), "{face}");
        let (x1, x2) = (face["box"]["x1"].as_f64().expect("x1"), face["box"]["x2"].as_f64().expect("x2"));
        let nose = face["landmarks"][2][0].as_f64().expect("a nose");
        assert!(x1 < nose && nose < x2, "{face}");
    }
    assert!(std::fs::metadata(out).is_ok_and(|m| m.len() > 10_000), "an annotated picture");
}

#[test]
fn compare_knows_the_same_person_from_another() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let same = run(&site, "compare", &[&image(&var, "obama.jpg"), &image(&var, "obama2.jpg"), "--json"]);
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    let report = json(&same);
    assert_eq!(report["same"], true);
    let (cosine, distance) =
        (report["similarity"].as_f64().expect("a"), report["distance"].as_f64().expect("b"));
    assert!((distance * distance - (2.0 - 2.0 * cosine)).abs() < 1e-4, "{report}");

    let out = site.folder.path().join("both.jpg");
    let arguments = [
        &image(&var, "obama.jpg"),
        &image(&var, "biden.jpg"),
        "--json",
        "--out",
        out.to_str().expect("UTF-8"),
    ];
    let different = run(&site, "compare", &arguments);
    assert_eq!(different.status.code(), Some(1), "different people: exit status 1");
    assert_eq!(json(&different)["same"], false);
    assert!(out.is_file());
}

#[test]
fn enrolled_people_are_named_and_others_are_not() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let enrolled = run(&site, "enroll", &["Barack Obama", &image(&var, "obama.jpg")]);
    assert!(enrolled.status.success(), "{}", errors(&enrolled));

    let known = json(&run(&site, "recognize", &[&image(&var, "obama3.jpg")]));
    assert_eq!(known["faces"][0]["identity"]["name"], "Barack Obama", "{known}");
    let stranger = json(&run(&site, "recognize", &[&image(&var, "biden.jpg")]));
    assert!(stranger["faces"][0]["identity"].is_null(), "{stranger}");

    let again = run(&site, "enroll", &["Barack Obama", &image(&var, "obama.jpg")]);
    assert!(
        again.status.success(),
        "the same picture again changes nothing and is no error: {}",
        errors(&again)
    );

    let several = run(&site, "enroll", &["Somebody", &image(&var, "t1.jpg")]);
    assert_eq!(several.status.code(), Some(65), "six faces and nobody said which: {}", errors(&several));
    let chosen = run(&site, "enroll", &["Somebody", &image(&var, "t1.jpg"), "--face", "1"]);
    assert!(chosen.status.success(), "{}", errors(&chosen));
}

#[test]
fn an_empty_gallery_makes_everybody_unknown() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let output = run(&site, "recognize", &[&image(&var, "obama.jpg")]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("empty"), "it warns: {}", errors(&output));
    let face = &json(&output)["faces"][0];
    assert!(face["identity"].is_null());
    assert_eq!(face["decision"], "unknown");
}

#[test]
fn broken_pictures_get_one_clear_line() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let folder = site.folder.path();
    let path = |name: &str| folder.join(name).display().to_string();
    let whole = std::fs::read(var.join("images/obama.jpg")).expect("set-up fetched it");
    std::fs::write(folder.join("half.jpg"), &whole[..whole.len() / 2]).expect("writable");
    std::fs::write(folder.join("empty.jpg"), b"").expect("writable");
    std::fs::write(folder.join("text.png"), b"not a picture at all").expect("writable");
    huge_png(&folder.join("huge.png"));

    refused(&run(&site, "detect", &[&path("half.jpg")]), 65, &["half.jpg"]);
    refused(&run(&site, "detect", &[&path("empty.jpg")]), 65, &["empty.jpg"]);
    refused(&run(&site, "detect", &[&path("text.png")]), 65, &["text.png"]);
    refused(&run(&site, "detect", &[&path("huge.png")]), 65, &["huge.png", "30000x30000"]);
    refused(&run(&site, "detect", &[&path("missing.jpg")]), 66, &["missing.jpg"]);
    std::fs::create_dir(folder.join("nothing")).expect("writable");
    refused(&run(&site, "detect", &[&path("nothing")]), 66, &["nothing", "no pictures"]);
    refused(&run(&site, "compare", &[&image(&var, "obama.jpg"), &path("half.jpg")]), 65, &["half.jpg"]);
    refused(&run(&site, "recognize", &[&path("text.png")]), 65, &["text.png"]);
    refused(&run(&site, "detect", &[&image(&var, "obama.jpg"), "--out", &path("out.gif")]), 64, &[".png"]);
}

/// A folder with two good pictures and a broken one; the others are looked at.
#[test]
fn a_folder_is_looked_at_whole_and_a_broken_picture_costs_no_other() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let (folder, out) = (site.folder.path().join("in"), site.folder.path().join("out"));
    std::fs::create_dir_all(folder.join("more")).expect("writable");
    std::fs::create_dir(&out).expect("writable");
    std::fs::copy(var.join("images/obama.jpg"), folder.join("a.jpg")).expect("copied");
    std::fs::copy(var.join("images/biden.jpg"), folder.join("more/a.jpg")).expect("copied");
    std::fs::write(folder.join("broken.png"), "no picture").expect("writable");
    let (folder, out_text) = (folder.display().to_string(), out.display().to_string());
    for verb in ["detect", "recognize"] {
        let output = run(&site, verb, &[&folder, "--out", &out_text]);
        assert_eq!(output.status.code(), Some(65), "{}", errors(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2, "{}", errors(&output));
        assert!(errors(&output).contains("1 of 3 pictures could not be looked at"), "{}", errors(&output));
        for name in ["a.jpg", "a-2.jpg"] {
            assert!(std::fs::remove_file(out.join(name)).is_ok(), "{verb}: {name} is annotated");
        }
    }
    refused(&run(&site, "detect", &[&folder, "--out", "one.png"]), 64, &["--out", "folder"]);
    // One against several: each for itself, and all have to be the same person.
    let compared = run(&site, "compare", &[&image(&var, "obama2.jpg"), &folder, "--json"]);
    let text = String::from_utf8_lossy(&compared.stdout).into_owned();
    let same: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line)["same"].clone()).collect();
    assert_eq!((compared.status.code(), same), (Some(65), vec![true.into(), false.into()]), "{text}");
}

#[test]
fn a_picture_comes_from_standard_input_too() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let piped = |verb: &str, arguments: &[&str], file: &str| {
        let picture = std::fs::File::open(image(&var, file)).expect("a picture");
        site.command(verb).args(arguments).stdin(picture).output().expect("it runs")
    };
    assert_eq!(json(&piped("detect", &["-"], "t1.jpg"))["faces"].as_array().map(Vec::len), Some(6));
    assert_eq!(json(&piped("recognize", &["-"], "t1.jpg"))["faces"].as_array().map(Vec::len), Some(6));
    let compared = piped("compare", &["-", &image(&var, "obama2.jpg"), "--json"], "obama.jpg");
    let report = json(&compared);
    assert_eq!((&report["same"], compared.status.code()), (&true.into(), Some(0)), "{report}");
    assert!(
        report["false_match_rate"].as_f64().is_some_and(|rate| (0.9e-4..1.1e-4).contains(&rate)),
        "{report}"
    );
    refused(&piped("compare", &["-", "-"], "obama.jpg"), 64, &["standard input"]);
    refused(
        &site.command("detect").arg("-").stdin(std::process::Stdio::null()).output().expect("it runs"),
        65,
        &["empty"],
    );
}

#[test]
fn broken_videos_get_one_clear_line() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let path = |name: &str| site.folder.path().join(name).display().to_string();
    std::fs::write(path("zero.mp4"), b"").expect("writable");
    std::fs::write(path("noise.mp4"), (0..60_000u32).map(|i| ((i * 7919) >> 3) as u8).collect::<Vec<_>>())
        .expect("writable");
    std::fs::create_dir(path("folder.mp4")).expect("writable");
    refused(&run(&site, "recognize", &[&path("zero.mp4")]), 65, &["zero.mp4"]);
    refused(&run(&site, "recognize", &[&path("noise.mp4")]), 65, &["noise.mp4"]);
    refused(&run(&site, "recognize", &[&path("folder.mp4")]), 66, &["folder.mp4"]);
    refused(&run(&site, "recognize", &[&path("missing.mp4")]), 66, &["missing.mp4"]);
}

#[test]
fn a_wrong_model_is_refused_before_anything_runs() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let models = site.folder.path().join("models");
    std::fs::create_dir(&models).expect("writable");
    for name in ["retinaface-mobilenet025.onnx", "mobilefacenet-512.onnx"] {
        std::fs::copy(var.join("models").join(name), models.join(name)).expect("writable");
    }
    let config = std::fs::read_to_string(&site.config).expect("written");
    let theirs = config.replace(&format!("{:?}", var.join("models")), "\"models\"");
    std::fs::write(&site.config, &theirs).expect("writable");
    let obama = image(&var, "obama.jpg");
    assert!(run(&site, "detect", &[&obama]).status.success());

    let mut bytes = std::fs::read(models.join("retinaface-mobilenet025.onnx")).expect("copied");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(models.join("retinaface-mobilenet025.onnx"), bytes).expect("writable");
    let output = run(&site, "detect", &[&obama]);
    assert!(!output.status.success());
    assert!(errors(&output).contains("SHA-256"), "{}", errors(&output));

    std::fs::remove_file(models.join("retinaface-mobilenet025.onnx")).expect("there");
    let output = run(&site, "detect", &[&obama]);
    assert!(errors(&output).contains("make setup"), "it says what to do: {}", errors(&output));
}

#[test]
fn a_gallery_of_another_model_is_said_and_matches_nobody() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    assert!(run(&site, "enroll", &["Barack Obama", &image(&var, "obama.jpg")]).status.success());
    // Another preprocessing makes another model: its embeddings do not compare with these.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/mobilefacenet-512.toml");
    let text = std::fs::read_to_string(&manifest).expect("in the repository");
    let other = site.folder.path().join("other.toml");
    assert!(text.contains("127.5"), "the test changes the mean");
    std::fs::write(&other, text.replace("127.5", "120.0")).expect("writable");
    let config = std::fs::read_to_string(&site.config).expect("written");
    std::fs::write(&site.config, config.replace(&format!("{manifest:?}"), "\"other.toml\""))
        .expect("writable");

    let output = run(&site, "recognize", &[&image(&var, "obama2.jpg")]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("enrol"), "it says what to do: {}", errors(&output));
    assert!(json(&output)["faces"][0]["identity"].is_null(), "{}", json(&output));
}

#[test]
fn a_device_that_is_not_there_is_an_error_never_a_silent_cpu() {
    let Some(var) = var() else { return };
    if Path::new("/dev/nvidia0").exists() {
        eprintln!("skipped: this machine has a GPU");
        return;
    }
    let site = Site::new(&var, "[inference]\ndevice = \"cuda:0\"\n");
    let output = run(&site, "detect", &[&image(&var, "obama.jpg")]);
    assert_eq!(output.status.code(), Some(69), "{}", errors(&output));
    assert!(errors(&output).contains("cuda"), "{}", errors(&output));
}

/// A pipe whose reader is gone, as that of `watchlistd ... | head -0`.
fn without_reader() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn a_reader_that_leaves_ends_a_tool_quietly() {
    for arguments in [["completions", "bash"], ["detect", "--help"], ["detect", "--frobnicate"]] {
        let output = support::watchlistd(arguments)
            .stdout(without_reader())
            .stderr(without_reader())
            .status()
            .expect("it runs");
        assert!(output.code().is_some_and(|code| [0, 64, 141].contains(&code)), "{arguments:?}: {output:?}");
    }
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let obama = image(&var, "obama.jpg");
    // A gallery that is there, so that nothing has to be said of a new one.
    let biden = image(&var, "biden.jpg");
    assert!(site.command("enroll").args(["Joe Biden", &biden]).output().expect("it runs").status.success());
    for (verb, arguments) in [
        ("detect", vec![obama.as_str()]),
        ("compare", vec![&obama, &obama]),
        ("recognize", vec![&obama]),
        ("enroll", vec!["Barack Obama", &obama]),
        ("check", vec!["--no-cameras"]),
    ] {
        let mut command = site.command(verb);
        let output = command.args(arguments).stdout(without_reader()).stderr(std::process::Stdio::piped());
        let output = output.spawn().and_then(|child| child.wait_with_output()).expect("it runs");
        assert_eq!(output.status.code(), Some(141), "{verb}: {}", errors(&output));
        let said = errors(&output);
        assert!(
            said.lines().all(|line| line.contains("the gallery is empty")),
            "{verb} says nothing: {said}"
        );
    }
}

/// This test binary again, for one test of its own that needs models, where there are none.
fn without_models(required: bool) -> Output {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", "an_empty_gallery_makes_everybody_unknown"])
        .env("WATCHLISTD_VAR", "/nonexistent");
    command.env_remove("WATCHLISTD_REQUIRE_MODELS");
    if required {
        command.env("WATCHLISTD_REQUIRE_MODELS", "1");
    }
    command.output().expect("it runs")
}

#[test]
fn make_test_does_not_pass_without_models() {
    let makefile =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).expect("there");
    assert!(makefile.lines().any(|line| line == "test: export WATCHLISTD_REQUIRE_MODELS := 1"));
    let required = without_models(true);
    assert!(!required.status.success(), "{}", String::from_utf8_lossy(&required.stdout));
    assert!(without_models(false).status.success(), "a bare cargo test skips");
}

#[test]
fn faces_are_numbered_from_left_to_right_everywhere() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let group = image(&var, "t1.jpg");
    let detected = json(&run(&site, "detect", &[&group]));
    let centres: Vec<f64> = detected["faces"]
        .as_array()
        .expect("a list")
        .iter()
        .enumerate()
        .map(|(i, face)| {
            assert_eq!(face["number"], i + 1);
            face["box"]["x1"].as_f64().expect("x1") + face["box"]["x2"].as_f64().expect("x2")
        })
        .collect();
    assert!(centres.is_sorted() && centres.len() == 6, "{centres:?}");
    let recognized = json(&run(&site, "recognize", &[&group]));
    assert_eq!(recognized["faces"][5]["number"], 6);

    // The face that enroll calls 2 is the one that compare and recognize call 2.
    let enrolled = run(&site, "enroll", &["Second", &group, "--face", "2", "--any-quality"]);
    assert!(enrolled.status.success(), "{}", errors(&enrolled));
    let named = json(&run(&site, "recognize", &[&group]));
    assert_eq!(named["faces"][1]["identity"]["name"], "Second", "{named}");
    let same = json(&run(&site, "compare", &[&group, &group, "--face-a", "2", "--face-b", "2", "--json"]));
    assert_eq!((&same["same"], &same["a"]["face"]["number"]), (&Value::Bool(true), &Value::from(2)));
    assert_eq!(same["a"]["face"]["box"], detected["faces"][1]["box"]);
}

#[test]
fn a_name_that_is_a_picture_is_refused() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let obama = image(&var, "obama.jpg");
    refused(&run(&site, "enroll", &[&obama, &obama]), 64, &["NAME", "obama.jpg"]);
    refused(&run(&site, "enroll", &["Ada.JPEG", &obama]), 64, &["NAME"]);
    let config = site.config.display().to_string();
    refused(&run(&site, "enroll", &[&config, &obama]), 64, &["NAME"]);
    assert!(!site.folder.path().join("gallery.db").exists(), "nothing was opened");
}

#[test]
fn what_is_to_be_written_is_looked_at_before_anything_is_done() {
    let Some(var) = var() else { return };
    // Without models: whoever gets as far as loading them says so.
    let site = Site::new(&var, "");
    std::fs::write(&site.config, "[models]\ndetector = \"none.toml\"\n").expect("writable");
    let (obama, path) =
        (image(&var, "obama.jpg"), |name: &str| site.folder.path().join(name).display().to_string());
    std::fs::write(path("clip.mkv"), "no picture").expect("writable");
    refused(&run(&site, "detect", &[&obama, "--out", &path("x.bmp")]), 64, &["--out", ".png"]);
    refused(&run(&site, "detect", &[&obama, "--out", &path("no/x.png")]), 73, &["--out", "folder"]);
    refused(&run(&site, "compare", &[&obama, &obama, "--out", &path("x.gif")]), 64, &["--out"]);
    refused(&run(&site, "recognize", &[&obama, "--out", &path("x.mp4")]), 64, &[".png"]);
    refused(&run(&site, "recognize", &[&path("clip.mkv"), "--out", &path("x.avi")]), 64, &[".mp4"]);
    refused(&run(&site, "recognize", &[&path("clip.mkv"), "--detail", &path("no/x")]), 73, &["--detail"]);
    refused(
        &run(&site, "detect", &[&obama, "--out", &path("x.png")]),
        66,
        &["models.detector", "make setup"],
    );
    refused(&run(&site, "run", &[]), 66, &["models.detector", "make install", "--config"]);
}

#[test]
fn a_path_is_told_once() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let path = |name: &str| site.folder.path().join(name).display().to_string();
    let once = |said: &str, name: &str| assert_eq!(said.matches(name).count(), 1, "{said}");
    std::fs::write(path("text.toml"), "a = 1").expect("writable");
    once(&errors(&run(&site, "recognize", &[&path("text.toml")])), "text.toml");
    let whole = std::fs::read(var.join("images/obama.jpg")).expect("set-up fetched it");
    std::fs::write(path("half.jpg"), &whole[..whole.len() / 2]).expect("writable");
    for name in ["half.jpg", "gone.jpg"] {
        let output = run(&site, "enroll", &["Ada", &path(name)]);
        assert_eq!(output.status.code(), Some(65));
        once(&String::from_utf8_lossy(&output.stdout), name);
    }
}

#[test]
fn every_mistake_of_a_configuration_is_a_line_of_ours() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "[track]\nmin_hits = 0\nmin_iou = 7\n[log]\nflter = \"info\"\n");
    let output = run(&site, "check", &["--no-cameras"]);
    assert_eq!(output.status.code(), Some(78));
    let said = errors(&output);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.lines().all(|line| line.starts_with("watchlistd: ")), "{said}");
}

/// The rows of `check` with this verdict.
fn rows(output: &Output, verdict: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|row| Some(row.strip_prefix(verdict)?.trim().to_owned())).collect()
}

#[test]
fn check_goes_on_without_a_credential() {
    let Some(var) = var() else { return };
    let cameras = "[cameras.door]\nurl = \"rtsp://127.0.0.1:9/1\"\nuser = \"viewer\"\npassword_credential = \"door\"\n\
                   [cameras.'north.gate']\nurl = \"rtsp://127.0.0.1:9/2\"\nuser = \"viewer\"\npassword_credential = \"gate\"\n\
                   [cameras.pattern]\nurl = \"test://smpte\"\n";
    let site = Site::new(&var, cameras);
    let mut command = site.command("check");
    let output = command.env_remove("CREDENTIALS_DIRECTORY").output().expect("it runs");
    assert_eq!(output.status.code(), Some(78), "{}", errors(&output));
    let wrong = rows(&output, "FAIL");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].starts_with("credentials") && wrong[0].contains("cameras.door.password_credential"),
        "{wrong:?}"
    );
    let not_tried = rows(&output, "-");
    assert_eq!(not_tried.len(), 2, "{not_tried:?}");
    let well = rows(&output, "ok");
    for what in ["detector", "embedder", "gallery", "camera pattern"] {
        assert!(well.iter().any(|row| row.starts_with(what)), "{what} is missing in {well:?}");
    }
}

#[test]
fn check_does_not_say_that_a_silent_host_was_connected() {
    let Some(var) = var() else { return };
    // Takes the connection (the system does) and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let site = Site::new(&var, &format!("[cameras.door]\nurl = \"rtsp://127.0.0.1:{port}/1\"\n"));
    let output = run(&site, "check", &["--timeout", "1"]);
    let wrong = rows(&output, "FAIL");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("within 1 s") && !wrong[0].contains("connected"), "{wrong:?}");
}

#[test]
fn a_daemon_that_cannot_start_says_which_key_helps() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let config = std::fs::read_to_string(&site.config).expect("written");
    std::fs::write(&site.config, config.replace("\"control.sock\"", "\"no/folder/control.sock\""))
        .expect("writable");
    let output = run(&site, "run", &[]);
    assert_eq!(output.status.code(), Some(73), "{}", errors(&output));
    assert!(errors(&output).contains("set control.socket to a path"), "{}", errors(&output));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("bound");
    std::fs::write(&site.config, format!("{config}[http]\nlisten = \"{listen}\"\n")).expect("writable");
    let output = run(&site, "run", &[]);
    assert_eq!(output.status.code(), Some(69), "{}", errors(&output));
    assert!(errors(&output).contains("turn it off with \"off\""), "{}", errors(&output));
}

/// A sentence of each command's prose.
const PROSE: [(&str, &str); 8] = [
    ("run", "SIGHUP reads cameras"),
    ("enroll", "an interrupted run is simply run again"),
    ("check", "Opens everything the daemon would open"),
    ("status", "over its Unix socket"),
    ("detect", "Prints one line of JSON for each picture"),
    ("compare", "Takes the largest face of each picture"),
    ("recognize", "whatever the number of workers"),
    ("models", "change the one the gallery uses"),
];

fn words(text: &str) -> String {
    text.replace("\\-", "-").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn help_and_man_pages_hold_the_prose_of_each_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let man = support::watchlistd(["man", folder.path().to_str().expect("UTF-8")]).status().expect("it runs");
    assert!(man.success());
    for (verb, sentence) in PROSE {
        let help = support::watchlistd([verb, "--help"]).output().expect("it runs");
        let help = words(&String::from_utf8_lossy(&help.stdout));
        assert!(help.contains(sentence), "{verb} --help: {help}");
        assert!(!help.contains("Arguments of"), "{verb} --help: {help}");
        let page =
            std::fs::read_to_string(folder.path().join(format!("watchlistd-{verb}.1"))).expect("a page");
        assert!(words(&page).contains(sentence), "watchlistd-{verb}.1: {page}");
    }
}

#[test]
fn the_schema_of_events_is_the_published_one() {
    let output = support::watchlistd(["events", "schema"]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/event-v1.json");
    assert!(output.stdout == std::fs::read(published).expect("docs/schema"));
}

#[test]
fn help_completions_and_man_pages_are_there() {
    for verb in [
        "run",
        "enroll",
        "check",
        "status",
        "detect",
        "compare",
        "recognize",
        "models",
        "events",
        "completions",
        "man",
    ] {
        let output = support::watchlistd([verb, "--help"]).output().expect("it runs");
        assert!(output.status.success() && output.stdout.len() > 200, "{verb} --help");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = support::watchlistd(["completions", shell]).output().expect("it runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("recognize"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        support::watchlistd(["man", folder.path().to_str().expect("UTF-8")]).output().expect("it runs");
    assert!(output.status.success());
    assert!(folder.path().join("watchlistd-recognize.1").is_file());
    assert_eq!(support::watchlistd(["frobnicate"]).output().expect("it runs").status.code(), Some(64));
}
