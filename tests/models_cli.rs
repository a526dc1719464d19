//! `watchlistd models ...` on real files: what is added is found, tested and used, and what does not work is refused as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{Site, shared, var, watchlistd};

/// A site whose models folder is its own, with what set-up prepared in it.
fn site(var: &Path) -> Site {
    let site = Site::new(var, "");
    let models = site.folder.path().join("models");
    std::fs::create_dir(&models).expect("made");
    for entry in std::fs::read_dir(var.join("models")).expect("listed").flatten() {
        let from = entry.path().canonicalize().expect("there");
        if from.extension().is_some_and(|extension| extension == "onnx") {
            std::os::unix::fs::symlink(from, models.join(entry.file_name())).expect("linked");
        }
    }
    std::os::unix::fs::symlink(
        var.join("images").canonicalize().expect("there"),
        site.folder.path().join("images"),
    )
    .expect("linked");
    let text = std::fs::read_to_string(&site.config).expect("read");
    let folder = format!("folder = {:?}", var.join("models"));
    assert!(text.contains(&folder));
    std::fs::write(&site.config, text.replace(&folder, "folder = \"models\"")).expect("written");
    site
}

fn models(site: &Site, arguments: &[&str]) -> Output {
    let mut command = watchlistd(["models"]);
    command.args(arguments).arg("--config").arg(&site.config).output().expect("it runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn what_set_up_prepared_is_listed_whole_and_has_a_card() {
    let Some(var) = var() else { return };
    let site = site(&var);
    let listed = rows(&models(&site, &["list", "--json"]));
    let names: Vec<&str> = listed.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["mobilefacenet-512", "retinaface-mobilenet025"]);
    assert!(listed.iter().all(|row| row["state"] == "ready" && row["in_use"] == true), "{listed:?}");
    let verified = models(&site, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    assert_eq!(said(&verified).matches(": whole;").count(), 2, "{}", said(&verified));
    let card = models(&site, &["card", "mobilefacenet-512"]);
    assert!(said(&card).contains("## Training data"), "{}", said(&card));
    let removed = models(&site, &["remove", "mobilefacenet-512", "--yes"]);
    assert_eq!(removed.status.code(), Some(64), "{}", said(&removed));
    assert!(said(&removed).contains("in use"), "{}", said(&removed));
}

/// The published MobileFaceNet under another name: its batch is freed, its PReLUs are rewritten, its input is measured.
#[test]
fn an_embedder_is_added_with_what_its_file_tells_and_what_faces_tell() {
    let Some(var) = var() else { return };
    let site = site(&var);
    let file = var.join("models/mobilefacenet-512.original.onnx");
    let arguments = ["add", file.to_str().unwrap(), "--name", "mine", "--licence", "MIT", "--yes"];
    let added = models(&site, &arguments);
    assert_eq!(added.status.code(), Some(0), "{}", said(&added));
    let text = std::fs::read_to_string(site.folder.path().join("models/mine.toml")).expect("a manifest");
    for line in [
        "order = \"bgr\"",
        "kind = \"five-point\"",
        "rewrites = [\"symbolic-batch\", \"prelu-to-depthwise\"]",
        "normalizes = false",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains("Not calibrated") && !text.contains("\nbatch ="), "{text}");
    // The same weights, read in the same way: the same vectors.
    let shipped = std::fs::read(var.join("models/mobilefacenet-512.onnx")).expect("read");
    assert!(
        std::fs::read(site.folder.path().join("models/mine.onnx")).expect("made") == shipped,
        "the same rewrites"
    );

    let again = models(&site, &arguments);
    assert_eq!(again.status.code(), Some(73), "{}", said(&again));
    let image = |name: &str| var.join("images").join(name).display().to_string();
    let compared =
        site.run("compare", &[&image("obama.jpg"), &image("obama2.jpg"), "--embedder", "mine", "--json"]);
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
    let removed = models(&site, &["remove", "mine", "--yes"]);
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    let left: Vec<_> =
        std::fs::read_dir(site.folder.path().join("models")).expect("listed").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains("mine")), "{left:?}");
}

#[test]
fn detectors_of_a_fixed_size_are_freed_and_used_by_name() {
    let (Some(var), Some(shared)) = (var(), shared()) else { return };
    let site = site(&var);
    for (name, family) in
        [("yunet_n_640_640", "yunet"), ("scrfd_500m_kps", "scrfd"), ("scrfd_2.5g_kps", "scrfd")]
    {
        let file = shared.join(format!("models/{name}.onnx"));
        let added = models(&site, &["add", file.to_str().unwrap(), "--yes"]);
        assert_eq!(added.status.code(), Some(0), "{}", said(&added));
        let text = std::fs::read_to_string(site.folder.path().join(format!("models/{name}.toml")))
            .expect("a manifest");
        assert!(text.contains(&format!("family = \"{family}\"")) && text.contains("symbolic-size"), "{text}");
        let found = site.run("detect", &[var.join("images/t1.jpg").to_str().unwrap(), "--detector", name]);
        assert_eq!(rows(&found)[0]["faces"].as_array().map(Vec::len), Some(6), "{}", said(&found));
    }
    let verified = models(&site, &["verify", "yunet_n_640_640", "--json"]);
    assert_eq!(
        rows(&verified)[0]["test"]["found"],
        rows(&verified)[0]["test"]["faces"],
        "{}",
        said(&verified)
    );
    // What changed on the disk since is found.
    std::fs::write(site.folder.path().join("models/yunet_n_640_640.onnx"), "something else")
        .expect("written");
    let broken = models(&site, &["verify", "yunet_n_640_640"]);
    assert_eq!(broken.status.code(), Some(1), "{}", said(&broken));
    assert!(said(&broken).contains("expected SHA-256"), "{}", said(&broken));
}

#[test]
fn what_is_no_model_of_faces_or_does_not_work_is_not_added() {
    let Some(var) = var() else { return };
    let site = site(&var);
    let text = site.path("words.onnx");
    std::fs::write(&text, "no model").expect("written");
    let (original, detector) =
        (var.join("models/mobilefacenet-512.original.onnx"), var.join("models/retinaface-mobilenet025.onnx"));
    let (original, detector) = (original.to_str().unwrap(), detector.to_str().unwrap());
    let cases: [(&[&str], i32, &str); 6] = [
        (&["add", "/nowhere/x.onnx", "--yes"], 66, "/nowhere/x.onnx"),
        (&["add", &text, "--yes"], 65, "words.onnx"),
        (&["add", original, "--name", "No Such", "--yes"], 64, "--name"),
        (&["add", original, "--name", "mine"], 64, "no terminal"),
        (&["add", detector, "--family", "yunet", "--name", "mine", "--yes"], 64, "answers as retinaface"),
        // Colours and scale that the model was never trained with: whatever it does then, it tells nobody apart.
        (
            &["add", original, "--name", "mine", "--mean", "0", "--scale", "0.00001", "--yes"],
            65,
            "does not tell people apart",
        ),
    ];
    for (arguments, code, word) in cases {
        let refused = models(&site, arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", said(&refused));
        assert!(said(&refused).contains(word), "{word} in {}", said(&refused));
    }
    let left: Vec<_> =
        std::fs::read_dir(site.folder.path().join("models")).expect("listed").flatten().collect();
    assert!(left.iter().all(|entry| entry.path().is_symlink()), "nothing is left of them: {left:?}");
}

/// FaceNet itself, where somebody ran `watchlistd models add facenet`: that takes a network, Python and minutes.
#[test]
fn facenet_tells_people_apart_where_it_was_added() {
    let Some(var) = var() else { return };
    if !var.join("models/facenet-512.toml").is_file() {
        eprintln!(
            "skipped: no facenet-512 in {}; `watchlistd models add facenet` makes it",
            var.join("models").display()
        );
        return;
    }
    let site = Site::new(&var, "");
    let image = |name: &str| var.join("images").join(name).display().to_string();
    for (other, code, same) in [("obama2.jpg", 0, true), ("biden.jpg", 1, false)] {
        let compared =
            site.run("compare", &[&image("obama.jpg"), &image(other), "--embedder", "facenet-512", "--json"]);
        assert_eq!(compared.status.code(), Some(code), "{}", said(&compared));
        assert_eq!(rows(&compared)[0]["same"], same, "{other}: {}", said(&compared));
    }
    let verified = models(&site, &["verify", "facenet-512"]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
}
