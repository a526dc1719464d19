//! The unit is one that systemd accepts without a word, and a tight one, alone and with each drop-in.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest exposure accepted, in tenths (0 to 100).
const THRESHOLD: &str = "20";
const INSTALLED: &str = "/usr/local/bin/watchlistd";

fn systemd() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// A folder with the unit, its program where this build has it, and the drop-ins named.
fn unit(drop_ins: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(systemd().join("watchlistd.service")).expect("the unit");
    assert!(text.contains(INSTALLED));
    let path = folder.path().join("watchlistd.service");
    fs::write(&path, text.replace(INSTALLED, env!("CARGO_BIN_EXE_watchlistd"))).expect("written");
    let target = folder.path().join("watchlistd.service.d");
    fs::create_dir(&target).expect("made");
    for name in drop_ins {
        let file = format!("{name}.conf");
        fs::copy(systemd().join("drop-ins").join(&file), target.join(&file)).expect("copied");
    }
    (folder, path)
}

/// `None` where there is no systemd-analyze.
fn analyze(folder: &Path, arguments: &[&str], unit: &Path) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    // The colon at the end keeps the system's own units, which ours refers to.
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display())).args(arguments).arg(unit);
    match command.output() {
        Ok(output) => Some(output),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: systemd-analyze is not installed");
            None
        }
        Err(e) => panic!("systemd-analyze: {e}"),
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const COMBINATIONS: [&[&str]; 7] = [
    &[],
    &["nvidia"],
    &["v4l2"],
    &["vaapi"],
    &["nvidia", "v4l2", "vaapi"],
    &["gallery-group"],
    &["gallery-group", "credentials"],
];

/// Those that let the daemon see devices.
const DEVICES: [&str; 3] = ["nvidia", "v4l2", "vaapi"];

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    for drop_ins in COMBINATIONS {
        let (folder, unit) = unit(drop_ins);
        let Some(output) = analyze(folder.path(), &["verify", "--man=no"], &unit) else { return };
        let said = said(&output);
        assert!(output.status.success() && said.trim().is_empty(), "with {drop_ins:?}:\n{said}");
    }
}

#[test]
fn a_mistake_in_the_unit_would_be_seen() {
    let (folder, unit) = unit(&[]);
    fs::write(folder.path().join("watchlistd.service.d/bad.conf"), "[Service]\nProtectSytem=strict\n")
        .expect("written");
    let Some(output) = analyze(folder.path(), &["verify", "--man=no"], &unit) else { return };
    assert!(said(&output).contains("ProtectSytem"), "drop-ins are read:\n{}", said(&output));
}

#[test]
fn the_unit_is_tight_alone_and_with_each_drop_in() {
    for drop_ins in COMBINATIONS {
        let (folder, unit) = unit(drop_ins);
        let arguments = ["security", "--offline=true", "--no-pager", "--threshold", THRESHOLD];
        let Some(output) = analyze(folder.path(), &arguments, &unit) else { return };
        let said = said(&output);
        let verdict = said.lines().rfind(|l| l.contains("exposure level")).unwrap_or("no verdict").to_owned();
        eprintln!("{drop_ins:?}: {verdict}");
        assert!(output.status.success() && verdict.contains("exposure level"), "with {drop_ins:?}:\n{said}");
        let private = said.lines().any(|l| l.contains("PrivateDevices=") && l.contains('✗'));
        assert_eq!(
            private,
            drop_ins.iter().any(|name| DEVICES.contains(name)),
            "with {drop_ins:?} the drop-ins are what was judged:\n{said}"
        );
    }
}

/// With `PrivateUsers=` the daemon would see every operator as the user `nobody` (user_namespaces(7)), and so would the audit log.
#[test]
fn the_group_of_the_gallery_is_the_unit_s_own_and_its_members_reach_the_socket_and_nothing_else() {
    let drop_in = fs::read_to_string(systemd().join("drop-ins/gallery-group.conf")).expect("the drop-in");
    let settings: Vec<&str> =
        drop_in.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(settings, ["[Service]", "Group=watchlist", "PrivateUsers=no"]);
    let unit = fs::read_to_string(systemd().join("watchlistd.service")).expect("the unit");
    for line in ["PrivateUsers=yes", "RuntimeDirectoryMode=0750", "StateDirectoryMode=0700"] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}

/// The commented line for the gallery's key is one that systemd takes, under the name that the daemon looks for.
#[test]
fn the_gallery_s_key_can_be_a_credential_of_the_unit() {
    let (folder, unit) = unit(&[]);
    let text = fs::read_to_string(&unit).expect("the unit");
    let line = format!(
        "LoadCredentialEncrypted={0}:/etc/credstore.encrypted/{0}",
        watchlistd::gallery::master::CREDENTIAL
    );
    assert!(text.lines().any(|l| l == format!("#{line}")), "{line}");
    fs::write(&unit, text.replace(&format!("#{line}"), &line)).expect("written");
    let Some(output) = analyze(folder.path(), &["verify", "--man=no"], &unit) else { return };
    let said = said(&output);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// What other parts of the project rely on.
#[test]
fn the_unit_says_what_the_daemon_expects() {
    let text = fs::read_to_string(systemd().join("watchlistd.service")).expect("the unit");
    for line in [
        "Type=notify",
        "ExecStart=/usr/local/bin/watchlistd run --config /etc/watchlistd/watchlistd.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus=78",
        "LimitCORE=0",
        "DynamicUser=yes",
        "Environment=GST_REGISTRY=%C/watchlistd/gst-registry.bin",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}
