//! What `scripts/install` puts in place works from there, and a checkout's defaults lie below the environment.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Running, var, wait_for};

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `scripts/install` for this build's program; `None` where the checkout's own `var/` was not set up.
fn install(arguments: &[&str]) -> Option<Output> {
    var()?;
    if !project("var/models/mobilefacenet-512.onnx").is_file() {
        eprintln!("skipped: scripts/install takes the models from the checkout's var/, which is empty");
        return None;
    }
    let mut command = Command::new(project("scripts/install"));
    command.args(["--program", env!("CARGO_BIN_EXE_watchlistd")]).args(arguments);
    Some(command.output().expect("it runs"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777
}

#[test]
fn an_installation_under_any_prefix_works_and_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    let (etc, units) = (format!("{root}/etc"), format!("{root}/units"));
    let places = ["--prefix", &root, "--sysconfdir", &etc, "--unitdir", &units];
    let Some(installed) = install(&places) else { return };
    assert!(installed.status.success(), "{}", text(&installed));

    // No model, manifest or library is named: everything is found from where the program lies.
    let config = folder.path().join("etc/watchlistd/watchlistd.toml");
    std::fs::write(&config, "[gallery]\npath = \"gallery.db\"\n").expect("writable");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let check = Command::new(folder.path().join("bin/watchlistd"))
        .args(["check", "--no-cameras", "--config"])
        .arg(&config)
        .current_dir(elsewhere.path())
        .env_remove("ORT_DYLIB_PATH")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("it runs");
    assert!(check.status.success(), "{}", text(&check));
    assert!(text(&check).contains("lib/watchlistd/libonnxruntime.so"), "{}", text(&check));

    let page = folder.path().join("share/man/man1/watchlistd-check.1");
    let manual = std::fs::read_to_string(&page).expect("a man page");
    assert!(manual.contains("Opens everything the daemon would open"), "the program's own: {manual}");
    let unit = folder.path().join("units/watchlistd.service");
    let exec = format!("ExecStart={root}/bin/watchlistd run --config {etc}/watchlistd/watchlistd.toml");
    assert!(std::fs::read_to_string(&unit).expect("a unit").lines().any(|line| line == exec), "{exec}");
    assert_eq!((mode(&page), mode(&unit)), (0o644, 0o644));

    let again = install(&places).expect("as before");
    assert!(again.status.success(), "{}", text(&again));
    let kept = std::fs::read_to_string(&config).expect("there");
    assert!(kept.contains("gallery.db"), "a configuration is never overwritten");

    let removed = install(&[&["--remove"], &places[..]].concat()).expect("as before");
    assert!(removed.status.success(), "{}", text(&removed));
    assert!(config.is_file(), "the configuration stays");
    assert!(!folder.path().join("bin/watchlistd").exists() && !folder.path().join("lib/watchlistd").exists());
    assert!(!unit.exists() && !page.exists());
}

#[test]
fn a_package_s_files_name_the_place_they_are_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let destination = folder.path().display().to_string();
    let Some(installed) = install(&["--prefix", "/usr", "--destdir", &destination]) else { return };
    assert!(installed.status.success(), "{}", text(&installed));
    let unit = folder.path().join("etc/systemd/system/watchlistd.service");
    let unit = std::fs::read_to_string(unit).expect("a unit");
    assert!(
        unit.contains("ExecStart=/usr/bin/watchlistd run --config /etc/watchlistd/watchlistd.toml"),
        "{unit}"
    );
    assert!(!unit.contains(&destination));
    assert!(folder.path().join("usr/lib/watchlistd/libonnxruntime.so").is_file());
}

/// A checkout after set-up, of links to this one.
fn checkout(var: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let link = |from: PathBuf, to: &str| symlink(from, folder.path().join(to)).expect("linked");
    std::fs::create_dir(folder.path().join("var")).expect("writable");
    link(project("Cargo.toml"), "Cargo.toml");
    link(project("config"), "config");
    link(var.join("models"), "var/models");
    link(var.join("lib"), "var/lib");
    folder
}

#[test]
fn in_a_checkout_the_environment_wins_also_at_a_reload() {
    let Some(var) = var() else { return };
    if Path::new("/etc/watchlistd/watchlistd.toml").exists()
        || Path::new("/usr/local/share/watchlistd/models").exists()
    {
        eprintln!("skipped: watchlistd is installed here, so a checkout's defaults are not used");
        return;
    }
    let folder = checkout(&var);
    let socket = folder.path().join("mine.sock");
    let mut command = support::watchlistd(["run"]);
    command
        .current_dir(folder.path())
        .env("WATCHLISTD__CONTROL__SOCKET", &socket)
        .env("WATCHLISTD__GALLERY__PATH", "mine.db")
        .env("WATCHLISTD__HTTP__LISTEN", "off")
        .env("WATCHLISTD__LOG__FORMAT", "human");
    let mut daemon = Running::start(command);
    wait_for("the daemon to be ready", || {
        assert!(daemon.exited().is_none(), "{}", daemon.errors());
        daemon.errors().contains("ready").then_some(())
    });
    assert!(socket.exists() && folder.path().join("mine.db").exists());
    assert!(
        !folder.path().join("var/control.sock").exists() && !folder.path().join("var/gallery.db").exists()
    );

    daemon.signal("HUP");
    wait_for("the reload", || daemon.errors().contains("configuration reloaded").then_some(()));
    assert!(!daemon.errors().contains("at the next restart"), "nothing has changed: {}", daemon.errors());
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}
