//! Snapshots from the camera to the file that somebody asked for, and away again: on the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/privacy/mod.rs"]
mod search;
mod support;

use std::path::Path;
use std::process::Command;

use search::people::{Eyes, configuration};
use search::trial::Trial;
use serde_json::Value;
use support::{DemoCamera, var, watchlistd};
use watchlistd::image::codec::read_image;

/// Recognised by the camera.
const WHO: &str = "Barack Obama";

/// The demo's enrolment pictures, in a folder for each person.
fn album(var: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Command::new(env!("CARGO_BIN_EXE_watchlistd-demo"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["prepare", "--images"])
        .arg(var.join("images"))
        .arg("--out")
        .arg(folder.path())
        .output()
        .expect("the demo program runs");
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    folder
}

/// What the recognitions of that person refer to.
fn referred(trial: &Trial) -> Vec<Value> {
    let of = |event: &Value| event["data"]["identity"]["name"] == WHO;
    let events = trial.events();
    let snapshots = events.iter().filter(|e| of(e)).map(|e| e["data"]["snapshot"].clone());
    snapshots.filter(Value::is_object).collect()
}

/// Asks for a picture; the exit status.
fn fetch(trial: &Trial, id: &str, more: &[&str], out: &Path) -> Option<i32> {
    let mut command = watchlistd(["events", "snapshot", id]);
    command.args(more).arg("--out").arg(out).arg("--config").arg(trial.config());
    command.env("WATCHLISTD__CONTROL__SOCKET", trial.root().join("runtime/control.sock"));
    command.output().expect("it runs").status.code()
}

#[test]
fn a_snapshot_is_fetched_by_its_id_and_is_gone_with_whoever_is_in_it() {
    let Some(var) = var() else { return };
    let album = album(&var);
    let door = DemoCamera::start(0, 3);
    let trial = Trial::new(&var, &[("door", &door.url)]);
    let people = album.path().join("gallery").display().to_string();
    trial.tool("enrol-folder", &["enroll", "--json", "--dir", &people]);
    let mut daemon = trial.start();
    trial.until(&mut daemon, "a snapshot", |trial| !referred(trial).is_empty());
    let snapshot = referred(&trial).remove(0);
    let id = snapshot["id"].as_str().expect("an id").to_owned();

    // Whoever may command the gallery has it, as the file that was asked for.
    let out = tempfile::tempdir().expect("a folder");
    let (face, scene) = (out.path().join("face.jpg"), out.path().join("scene.jpg"));
    assert_eq!(fetch(&trial, &id, &[], &face), Some(0));
    let (_, mut eyes) = Eyes::open(&configuration(trial.config()));
    let picture = |n: &str| read_image(&album.path().join("gallery").join(WHO).join(n)).expect("a picture");
    let (_, enrolled) = eyes.face(&picture("01.jpg"));
    let (_, seen) = eyes.face(&read_image(&face).expect("a JPEG"));
    let score: f32 = enrolled.iter().zip(&seen).map(|(a, b)| a * b).sum();
    assert!(score > 0.4, "the picture shows {WHO}: {score:.2}");
    if snapshot["scene"] == true {
        assert_eq!(fetch(&trial, &id, &["--scene"], &scene), Some(0));
        read_image(&scene).expect("a JPEG");
    }
    // And it is on record who had it.
    let shown = trial.tool("audit", &["audit", "show", "--json", "--action", "snapshot-fetched"]);
    let shown = String::from_utf8(shown).expect("text");
    assert!(shown.contains(&id) && shown.contains("\"picture\":\"face\""), "{shown}");

    // With the person, while the daemon runs.
    let receipt = trial.tool("forget", &["gallery", "forget", "--json", "--yes", WHO]);
    let receipt: Value = serde_json::from_slice(&receipt).expect("JSON");
    assert!(receipt["snapshots"].as_u64() > Some(0), "{receipt}");
    assert_eq!(fetch(&trial, &id, &[], &out.path().join("again.jpg")), Some(66));
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", trial.log());
    assert_eq!(fetch(&trial, &id, &[], &out.path().join("again.jpg")), Some(66), "nor without the daemon");
    let left = search::snapshots::account(trial.root());
    assert!(left.iter().all(|kept| kept.name != WHO), "rows of somebody who was forgotten");
}
