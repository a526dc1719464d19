//! Another model under a running daemon, back again, and what the next start makes of it. The second model is the same network fed
//! with the colours in the other order: another id, other embeddings, still faces.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{DemoCamera, Running, Site, errors, is_recognized, until_ready, var, wait_for};

/// The other model's manifest, in the site's folder.
fn other_manifest(site: &Site) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/mobilefacenet-512.toml");
    let text = std::fs::read_to_string(own).expect("a manifest");
    let other = text.replace("name = \"mobilefacenet-512\"", "name = \"other\"");
    let other = other.replace("order = \"bgr\"", "order = \"rgb\"");
    assert_ne!(text, other);
    let path = site.folder.path().join("other.toml");
    std::fs::write(&path, other).expect("writable");
    path
}

fn models(site: &Site, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = support::watchlistd(["models"])
        .args(arguments)
        .args(["--yes", "--json", "--config"])
        .arg(&site.config)
        .output()
        .expect("it runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report, errors(&output))
}

fn embedder(site: &Site) -> Option<String> {
    Some(site.status()?["inference"]["embedder"].as_str()?.to_owned())
}

fn recognised(daemon: &Running, after: usize) -> Option<Value> {
    daemon.events().into_iter().skip(after).find(|event| is_recognized(event, "door"))
}

#[test]
fn a_running_daemon_changes_its_model_and_the_next_start_remembers() {
    let Some(var) = var() else { return };
    let camera = DemoCamera::start_with(0, 8, &["--loop", "--fps", "10"]);
    let site = Site::new(
        &var,
        &format!(
            "[http]\nlisten = \"off\"\n[quality]\nmax_pitch = 45\n[decide]\ncooldown = \"1s\"\n[cameras.door]\nurl = {:?}\n",
            camera.url
        ),
    );
    let text = std::fs::read_to_string(&site.config).expect("a configuration");
    let text = text.replace("[gallery]\n", "[gallery]\nkeep_crops = true\n");
    std::fs::write(&site.config, text).expect("writable");
    site.enrol_demo(&var);
    let other = other_manifest(&site);
    let other = other.to_str().expect("a plain path");
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    let first = wait_for("somebody to be recognised", || recognised(&daemon, 0));
    assert_eq!(embedder(&site).as_deref(), Some("mobilefacenet-512"));

    let (code, dry, said) = models(&site, &["switch", other, "--dry-run"]);
    assert_eq!((code, &dry["switched"]), (Some(0), &Value::Bool(false)), "{said}");
    let (code, report, said) = models(&site, &["switch", other]);
    assert_eq!((code, &report["switched"]), (Some(0), &Value::Bool(true)), "{report} {said}");
    assert_eq!((&report["from"], &report["to"]), (&dry["from"], &dry["to"]));
    assert_eq!(report["lost"].as_array().map(Vec::len), Some(0));
    assert_eq!(embedder(&site).as_deref(), Some("other"));
    let so_far = daemon.events().len();
    let later = wait_for("somebody to be recognised by the other model", || recognised(&daemon, so_far));
    assert_ne!(first["data"]["model"], later["data"]["model"], "{later}");
    let camera_status = site.camera("door").expect("its status");
    assert_eq!((&camera_status["epoch"], &camera_status["reconnects"]), (&1.into(), &0.into()));
    let withdrawn = |event: &Value| event["data"]["stage"] == "withdrawn";
    assert_eq!(daemon.events().iter().filter(|event| withdrawn(event)).count(), 0);
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());

    // The configuration names the old one still.
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    assert!(daemon.errors().contains("set models.embedder"), "{}", daemon.errors());
    assert_eq!(embedder(&site).as_deref(), Some("other"));
    let (code, back, said) = models(&site, &["rollback"]);
    assert_eq!((code, &back["switched"]), (Some(0), &Value::Bool(true)), "{said}");
    assert_eq!((&back["to"], &back["embedded"]), (&dry["from"], &0.into()));
    assert_eq!(embedder(&site).as_deref(), Some("mobilefacenet-512"));
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());

    // Without a daemon, the tool does it.
    let (code, report, said) = models(&site, &["switch", other]);
    assert_eq!((code, &report["switched"]), (Some(0), &Value::Bool(true)), "{said}");
    let checked = site.run("check", &["--no-cameras"]);
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(text.contains("other: hash and shapes right"), "{text} {}", errors(&checked));
}
