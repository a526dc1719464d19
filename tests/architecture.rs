//! The pages about the code against the code: what they name is there, and a library is named only where they say.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What stands between backticks in a page, outside its code blocks.
fn quoted(page: &str) -> Vec<String> {
    let text = read(page);
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn is_path(word: &str) -> bool {
    ["src/", "tests/", "config/", "docs/", "systemd/", "benches/"].iter().any(|start| word.starts_with(start))
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    for page in ["ARCHITECTURE.md", "docs/guarantees.md"] {
        let paths: Vec<String> = quoted(page).into_iter().filter(|word| is_path(word)).collect();
        assert!(paths.len() > 5, "{page} names no files");
        for path in paths {
            let file = path.split("::").next().unwrap_or_default();
            assert!(root().join(file).exists(), "{page} names {file}");
        }
    }
}

#[test]
fn every_promise_has_the_test_it_names() {
    for (page, least) in [("docs/guarantees.md", 40), ("docs/events.md", 25)] {
        let tests: Vec<String> = quoted(page).into_iter().filter(|w| w.contains(".rs::")).collect();
        let tests: Vec<(&str, &str)> = tests.iter().filter_map(|t| t.split_once(".rs::")).collect();
        assert!(tests.len() > least, "{page}: {tests:?}");
        for (file, name) in tests {
            let text = read(format!("{file}.rs"));
            let found = text.contains(&format!("fn {name}(")) && text.contains("#[test]");
            assert!(found, "{page}: {file}.rs has no test {name}");
        }
    }
    // And each row of a table of promises names one.
    let events = read("docs/events.md");
    let contract = events.split("## The contract").nth(1).and_then(|rest| rest.split("\n## ").next());
    for text in [read("docs/guarantees.md").as_str(), contract.expect("a contract")] {
        for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
            let heads = ["| promise | test |", "| | the daemon | test |", "| | a consumer |"];
            assert!(row.contains(".rs::") || heads.iter().any(|head| row.starts_with(head)), "{row}");
        }
    }
}

/// All sources of the library and the program, without the demo.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() && !path.ends_with("src/bin") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// True if a line of code names the crate: `name::` or `name as`, not as a part of another path or name.
fn names(line: &str, library: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(library).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + library.len()..];
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || "_:\"".contains(c));
        whole && (after.starts_with("::") || after.starts_with(" as "))
    })
}

#[test]
fn one_place_names_each_library() {
    let places: &[(&[&str], &[&str])] = &[
        (&["gstreamer", "gstreamer_app", "gstreamer_video", "gstreamer_rtsp", "gio"], &["src/source/gst/"]),
        (&["ort"], &["src/infer/ort.rs"]),
        (&["hnsw_rs"], &["src/index/hnsw.rs"]),
        // The others are tests, of what a changed bit in a row does, and a row that goes or comes.
        (
            &["rusqlite"],
            &[
                "src/base/sqlite.rs",
                "src/gallery/store/",
                "src/events/log/",
                "src/snapshots/",
                "src/gallery/keeper/verify/flips.rs",
                "src/gallery/keeper/verify/rows.rs",
            ],
        ),
        (&["chacha20poly1305", "hkdf", "getrandom"], &["src/gallery/crypt/"]),
        (&["hmac"], &["src/gallery/crypt/", "src/sinks/webhook/sign.rs"]),
        (&["ed25519_dalek"], &["src/gallery/bundle/"]),
        (&["age"], &["src/gallery/bundle/", "src/gallery/escrow.rs"]),
        (&["libc"], &["src/api/control/peer.rs"]),
        (&["async_nats"], &["src/sinks/nats/"]),
        (&["axum", "futures_core"], &["src/api/http.rs", "src/api/http/"]),
        (&["rdkafka"], &["src/sinks/kafka/"]),
        (&["flate2", "zstd"], &["src/sinks/jsonl/packer.rs"]),
        (&["crc32fast"], &["src/infer/torch/zip.rs"]),
        (&["safetensors"], &["src/infer/torch/safe.rs"]),
        (&["half"], &["src/infer/torch/tensor.rs"]),
        (&["clap"], &["src/cli/", "src/main.rs"]),
        (&["signal_hook"], &["src/daemon/signals.rs"]),
        (&["sd_notify"], &["src/daemon/systemd.rs"]),
        (&["rustls", "rustls_native_certs"], &["src/sinks/"]),
        (&["ureq"], &["src/sinks/webhook/client.rs"]),
        (&["tracing_journald"], &["src/daemon/logging.rs"]),
    ];
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    for path in &files {
        let file = path.strip_prefix(root()).expect("inside").display().to_string();
        // A test may reach behind what it tests.
        if file.contains("/tests") {
            continue;
        }
        let text = read(path);
        for (libraries, allowed) in places {
            let named = libraries.iter().find(|library| text.lines().any(|line| names(line, library)));
            if let Some(library) = named {
                assert!(allowed.iter().any(|place| file.starts_with(place)), "{file} names {library}");
            }
        }
        // Our own module has the crate's name: the crate is what is imported by that name alone.
        let config = text.lines().any(|line| line.trim_start().starts_with("use config::"));
        assert!(!config || file == "src/config/load.rs", "{file} names the crate config");
    }
    for (libraries, allowed) in places {
        let somewhere = files.iter().any(|path| {
            let file = path.strip_prefix(root()).expect("inside").display().to_string();
            allowed.iter().any(|place| file.starts_with(place))
                && read(path).lines().any(|line| names(line, libraries[0]))
        });
        assert!(somewhere, "{} is named nowhere: is this test out of date?", libraries[0]);
    }
}
