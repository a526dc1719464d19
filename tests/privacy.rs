//! Who is not enrolled leaves no picture and no embedding behind: not on the disk, not in a log, not in an event.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::{DemoCamera, Running, Site, is_recognized, until_ready, var, wait_for};

/// A landmark set has ten numbers and an event at most 32 frames; the shortest embedding in use has 128.
const MOST_NUMBERS: usize = 64;
/// A SHA-256 has 64 characters. An embedding, written in any way, has hundreds.
const LONGEST_WORD: usize = 256;

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The gallery's files and what is in them.
fn gallery(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let of = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("gallery.db"));
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("readable");
        (path, bytes)
    };
    files(site.folder.path()).into_iter().filter(of).map(read).collect()
}

/// The longest row of numbers in a line, whatever separates them.
fn longest_row(line: &str) -> usize {
    let words = line.split(|c: char| c.is_whitespace() || ",;[](){}\"".contains(c)).filter(|w| !w.is_empty());
    let (mut longest, mut row) = (0, 0);
    for word in words {
        row = if word.parse::<f64>().is_ok() { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    longest
}

#[track_caller]
fn assert_harmless(text: &str, whence: &str) {
    for line in text.lines() {
        let start: String = line.chars().take(200).collect();
        assert!(longest_row(line) <= MOST_NUMBERS, "{whence}: a row of numbers: {start}");
        let longest =
            line.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_-".contains(c)).map(str::len).max();
        assert!(longest <= Some(LONGEST_WORD), "{whence}: a long word: {start}");
    }
}

fn is_picture(bytes: &[u8]) -> bool {
    [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"JFIF", b"Exif\0", b"WEBP", b"ftyp"]
        .iter()
        .any(|magic| bytes.windows(magic.len()).any(|window| window == *magic))
}

#[test]
fn the_checks_see_what_they_are_for() {
    let vector: Vec<String> = (0..128).map(|i| format!("{:.3}", f64::from(i) / 128.0)).collect();
    assert_eq!(longest_row(&format!("{{\"embedding\":[{}]}}", vector.join(","))), 128);
    assert_eq!(longest_row(&format!("embedding [{}] of a track", vector.join(", "))), 128);
    assert!(std::panic::catch_unwind(|| assert_harmless(&"QUJD".repeat(128), "a line")).is_err());
    assert!(is_picture(b"...\xff\xd8\xff\xe0..JFIF") && !is_picture(b"{\"specversion\":\"1.0\"}"));
}

#[test]
fn strangers_leave_nothing_behind() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, "[quality]\nmax_pitch = 45\n");
    site.enrol_demo(&var);
    // The pictures people were enrolled with are the operator's; from here on only the daemon writes.
    std::fs::remove_dir_all(site.folder.path().join("gallery")).expect("made by the enrolment");
    // Several strangers from second 4 on, among the enrolled.
    let camera = DemoCamera::start(0, 3);
    site.rewrite(
        &var,
        &format!(
            "[http]\nlisten = \"off\"\n[quality]\nmax_pitch = 45\n[decide]\ncooldown = \"100ms\"\n\
             [log]\nfilter = \"trace\"\n[events]\njournal = true\n[events.file]\npath = \"events.jsonl\"\n\
             [cameras.door]\nurl = {:?}\ndetect_fps = 10\n",
            camera.url
        ),
    );
    let enrolled = gallery(&site);
    let temporary = tempfile::tempdir().expect("a folder");
    let home = tempfile::tempdir().expect("a folder");
    let mut command = site.command("run");
    command.env("TMPDIR", temporary.path()).env("HOME", home.path());
    // Libraries have to be kept quiet by the daemon itself, not by the test's surroundings.
    for quieting in ["ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env_remove(quieting);
    }
    let mut daemon = Running::start(command);
    until_ready(&mut daemon);
    wait_for("a stranger and somebody enrolled", || {
        assert!(daemon.exited().is_none(), "the daemon ended: {}", daemon.errors());
        let events = daemon.events();
        let strangers = events.iter().filter(|e| e["type"] == "io.watchlistd.unknown.v1").count();
        (strangers >= 2 && events.iter().any(|e| is_recognized(e, "door"))).then_some(())
    });
    let status = site.camera("door").expect("its status");
    assert!(status["embedded"].as_u64() > Some(4), "faces were cut out and embedded: {status}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());

    assert_eq!(files(temporary.path()), Vec::<PathBuf>::new(), "nothing under TMPDIR");
    // GStreamer keeps its list of plug-ins there, GLib its settings; ONNX Runtime would keep its reports.
    let expected = [".cache/gstreamer-1.0", ".cache/dconf"].map(|folder| home.path().join(folder));
    for path in files(home.path()) {
        assert!(expected.iter().any(|folder| path.starts_with(folder)), "{} was written", path.display());
    }
    let left = gallery(&site);
    for (path, bytes) in &left {
        // The index of SQLite's journal may stay; its journal may be there, and empty.
        let unchanged = enrolled.get(path).is_some_and(|before| before == bytes);
        let index = path.extension().is_some_and(|e| e == "db-shm");
        assert!(unchanged || index || bytes.is_empty(), "{} was written to", path.display());
    }
    let written: Vec<PathBuf> =
        files(site.folder.path()).into_iter().filter(|path| !left.contains_key(path)).collect();
    assert!(written.iter().any(|path| path.ends_with("events.jsonl")), "{written:?}");
    for path in &written {
        let bytes = std::fs::read(path).expect("readable");
        assert!(!is_picture(&bytes), "{} holds a picture", path.display());
        let text = String::from_utf8(bytes).unwrap_or_else(|_| panic!("{} is not text", path.display()));
        assert_harmless(&text, &path.display().to_string());
    }
    assert_harmless(&daemon.lines().join("\n"), "standard output");
    assert_harmless(&daemon.errors(), "the log");
    assert!(
        daemon.errors().contains("DEBUG") || daemon.errors().contains("TRACE"),
        "the log is a detailed one"
    );
}
