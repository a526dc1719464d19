//! The built program's commands about the gallery, up to where a gallery is needed: what is refused, with which exit status, and
//! what is generated from the commands.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::process::{Output, Stdio};

use support::{errors, watchlistd};

/// A folder with a configuration that names a gallery and a socket which are not there.
fn nowhere() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "[gallery]\npath = {:?}\n[control]\nsocket = {:?}\n",
        path("no-gallery.db"),
        path("no-control.sock")
    );
    std::fs::write(dir.path().join("watchlistd.toml"), text).expect("writable");
    dir
}

/// Runs it without a terminal.
fn run(dir: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let config = dir.path().join("watchlistd.toml").display().to_string();
    let arguments = arguments.iter().copied().chain(["--config", &config]);
    watchlistd(arguments).current_dir(dir).stdin(Stdio::null()).output().expect("it runs")
}

#[track_caller]
fn refused(output: &Output, status: i32, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().count(), 1, "one clear line: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is missing in: {said}"));
    assert!(output.stdout.is_empty());
}

#[test]
fn what_cannot_be_undone_is_refused_without_a_terminal_and_a_yes() {
    let dir = nowhere();
    // A manifest is looked at before anybody is asked.
    let manifest =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/mobilefacenet-512.toml");
    std::fs::copy(manifest, dir.path().join("model.toml")).expect("copied");
    for command in [
        &["gallery", "forget", "Ana"][..],
        &["gallery", "restore", "backup"],
        &["models", "switch", "model.toml"],
        &["models", "rollback"],
    ] {
        refused(&run(&dir, command), 64, &["--yes"]);
    }
}

#[test]
fn without_a_gallery_it_is_said_where_it_was_looked_for() {
    let dir = nowhere();
    for command in [&["gallery", "list"][..], &["gallery", "verify", "--json"], &["audit", "head"]] {
        refused(&run(&dir, command), 66, &["no-gallery.db", "no-control.sock", "--config"]);
    }
    let names: Vec<_> = std::fs::read_dir(&dir).expect("readable").collect();
    assert_eq!(names.len(), 1, "nothing is made: {names:?}");
}

#[test]
fn a_file_that_is_there_is_not_overwritten() {
    let dir = nowhere();
    std::fs::write(dir.path().join("mine"), b"mine").expect("writable");
    for command in [
        &["gallery", "export", "--out", "mine"][..],
        &["gallery", "backup", "mine"],
        &["gallery", "key", "export", "--out", "mine", "--to", "age1abc"],
        &["gallery", "forget", "Ana", "--yes", "--receipt", "mine"],
    ] {
        refused(&run(&dir, command), 73, &["mine", "not overwritten"]);
    }
    assert_eq!(std::fs::read(dir.path().join("mine")).expect("there"), b"mine");
}

#[test]
fn a_wrong_command_line_is_wrong_usage() {
    let dir = nowhere();
    for command in [&["gallery", "list", "--standing", "dead"][..], &["audit", "verify", "--head", "7"]] {
        let output = run(&dir, command);
        assert_eq!(output.status.code(), Some(64), "{}", errors(&output));
    }
    refused(&run(&dir, &["gallery", "change", "Ana"]), 64, &["--onto"]);
}

#[test]
fn each_command_has_a_man_page_and_is_completed() {
    let dir = nowhere();
    let made = watchlistd(["man", "pages"]).current_dir(&dir).output().expect("it runs");
    assert!(made.status.success(), "{}", errors(&made));
    for page in ["gallery", "gallery-forget", "gallery-key-export", "audit-verify", "models-switch"] {
        let text =
            std::fs::read_to_string(dir.path().join(format!("pages/watchlistd-{page}.1"))).expect(page);
        assert!(text.contains("SYNOPSIS") && text.contains("\\-\\-config"), "{page}");
    }
    let script = watchlistd(["completions", "bash"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&script.stdout);
    assert!(text.contains("move-template") && text.contains("pending active expired"), "{}", text.len());
}
