//! `watchlistd check`: one row for each thing the daemon would open, and the exit status of the first that is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::path::Path;
use std::process::Output;

use support::{DemoCamera, Site, errors, var};

const TEST_CAMERA: &str = "[cameras.test]\nurl = \"test://smpte?size=320x240&fps=25\"\n";

/// The table: `ok` or `FAIL`, what, and what was found.
#[track_caller]
fn rows(output: &Output) -> Vec<(bool, String, String)> {
    assert!(!errors(output).contains("panicked"), "{}", errors(output));
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let row = |line: &str| {
        let (state, rest) = line.split_at(6);
        let (what, found) = rest.split_once("  ").unwrap_or_else(|| panic!("no row: {line}"));
        assert!(["ok    ", "FAIL  "].contains(&state), "{line}");
        (state == "ok    ", what.trim().to_owned(), found.trim().to_owned())
    };
    text.lines().map(row).collect()
}

/// The row of a thing, which must be there once.
#[track_caller]
fn row(output: &Output, what: &str) -> (bool, String) {
    let rows = rows(output);
    let mut of = rows.iter().filter(|row| row.1 == what);
    let (well, _, found) = of.next().unwrap_or_else(|| panic!("no row {what:?} in {rows:?}"));
    assert!(of.next().is_none(), "{what:?} is there twice: {rows:?}");
    (*well, found.clone())
}

/// That thing is wrong, with these words in its row, and the exit status says so.
#[track_caller]
fn fails(output: &Output, what: &str, code: i32, words: &[&str]) {
    let (well, found) = row(output, what);
    assert!(!well, "{what}: {found}");
    assert_eq!(output.status.code(), Some(code), "{what}: {found}");
    for word in words {
        assert!(found.contains(word), "{word:?} is missing in {what}: {found}");
    }
}

/// The site with models, or manifests, of its own.
fn with_own(site: &Site, from: &Path, to: &str) {
    let config = std::fs::read_to_string(&site.config).expect("written");
    let changed = config.replace(&format!("{from:?}"), &format!("{to:?}"));
    assert_ne!(changed, config, "the configuration names {}", from.display());
    std::fs::write(&site.config, changed).expect("writable");
}

fn manifest(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models").join(name)
}

#[test]
fn a_good_site_has_a_row_for_each_thing_and_all_are_well() {
    let Some(var) = var() else { return };
    let camera = DemoCamera::start(0, 0);
    let site = Site::new(
        &var,
        &format!("[quality]\nmax_pitch = 45\n{TEST_CAMERA}[cameras.demo]\nurl = {:?}\n", camera.url),
    );
    site.enrol_demo(&var);
    let output = site.run("check", &[]);
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{rows:?}");
    let names: Vec<&str> = rows.iter().map(|row| row.1.as_str()).collect();
    assert_eq!(
        names,
        [
            "configuration",
            "runtime",
            "device",
            "detector",
            "embedder",
            "gallery",
            "camera demo",
            "camera test"
        ]
    );
    assert!(rows.iter().all(|row| row.0), "{rows:?}");
    let found = |what: &str| row(&output, what).1;
    assert!(found("device").starts_with("cpu, "), "{}", found("device"));
    assert!(found("embedder").contains("512 dimensions"), "{}", found("embedder"));
    assert!(found("gallery").contains("4 identities"), "{}", found("gallery"));
    assert!(found("camera test").starts_with("320x240, raw"), "{}", found("camera test"));
    let demo = found("camera demo");
    assert!(demo.starts_with("1280x720, H264 decoded by ") && demo.contains("over tcp"), "{demo}");

    let without = site.run("check", &["--no-cameras"]);
    assert!(self::rows(&without).iter().all(|row| row.0 && !row.1.starts_with("camera")));
}

#[test]
fn cameras_that_do_not_answer_fail_alone() {
    let Some(var) = var() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let locked = DemoCamera::start_with(0, 0, &["--user", "viewer", "--password", "right horse"]);
    let address = locked.url.replace("rtsp://", "rtsp://viewer:wrong%20canary@");
    let site = Site::new(
        &var,
        &format!(
            "{TEST_CAMERA}[cameras.nobody]\nurl = \"rtsp://{free}/x\"\n\
             [cameras.gone]\nurl = \"file:///nonexistent/a.mp4\"\n[cameras.locked]\nurl = {address:?}\n"
        ),
    );
    let output = site.run("check", &["--timeout", "20"]);
    fails(&output, "camera nobody", 69, &["unreachable", &free.to_string()]);
    fails(&output, "camera gone", 69, &["not_found", "/nonexistent/a.mp4"]);
    fails(&output, "camera locked", 69, &["unauthorized"]);
    assert!(row(&output, "camera test").0, "the good one is well");
    // The password in the address earns its warning and is never shown.
    let said = errors(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(row(&output, "warning").1.contains("cameras.locked") && !said.contains("canary"), "{said}");
}

#[test]
fn a_model_that_is_not_the_one_in_the_manifest_fails() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "");
    let models = site.folder.path().join("models");
    std::fs::create_dir(&models).expect("writable");
    for name in ["retinaface-mobilenet025.onnx", "mobilefacenet-512.onnx"] {
        std::fs::copy(var.join("models").join(name), models.join(name)).expect("set-up made it");
    }
    with_own(&site, &var.join("models"), "models");
    assert_eq!(site.run("check", &[]).status.code(), Some(0));

    let embedder = models.join("mobilefacenet-512.onnx");
    let mut bytes = std::fs::read(&embedder).expect("copied");
    bytes[1_000] ^= 1;
    std::fs::write(&embedder, &bytes).expect("writable");
    fails(&site.run("check", &[]), "models", 65, &["mobilefacenet-512.onnx", "SHA-256"]);
    std::fs::remove_file(&embedder).expect("there");
    fails(&site.run("check", &[]), "models", 66, &["mobilefacenet-512.onnx", "make setup"]);
}

#[test]
fn a_manifest_that_describes_another_model_fails() {
    let Some(var) = var() else { return };
    let original = manifest("mobilefacenet-512.toml");
    let text = std::fs::read_to_string(&original).expect("in the repository");
    let check = |from: &str, to: &str| {
        let site = Site::new(&var, "");
        let other = text.replace(from, to);
        assert_ne!(other, text, "the manifest has {from}");
        std::fs::write(site.folder.path().join("other.toml"), other).expect("writable");
        with_own(&site, &original, "other.toml");
        site.run("check", &[])
    };
    let dimension = check("dimension = 512", "dimension = 256");
    fails(&dimension, "embedder", 65, &["other.toml", "512", "expected", "256"]);
    assert!(row(&dimension, "detector").0, "the other model is well");
    let size = check("size = [112, 112]", "size = [160, 160]");
    fails(&size, "embedder", 65, &["other.toml", "112", "expected", "160"]);
    let output = check("name = \"output\"", "name = \"embedding\"");
    fails(&output, "embedder", 65, &["other.toml", "no output \"embedding\"", "output"]);
}

#[test]
fn a_broken_gallery_fails_and_is_left_as_it_is() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, TEST_CAMERA);
    let gallery = site.folder.path().join("gallery.db");
    let noise: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&gallery, &noise).expect("writable");
    let output = site.run("check", &[]);
    fails(&output, "gallery", 65, &["gallery.db"]);
    assert!(row(&output, "camera test").0, "the rest is looked at all the same");
    assert_eq!(std::fs::read(&gallery).expect("there"), noise);

    // The first thing that is wrong gives the status.
    std::fs::remove_file(&gallery).expect("there");
    std::fs::create_dir(&gallery).expect("writable");
    fails(&site.run("check", &["--no-cameras"]), "gallery", 78, &["folder"]);
}
