//! Who reaches the gallery of a daemon that runs as systemd would run it with `systemd/drop-ins/gallery-group.conf`: a user of its
//! own, the group of operators as its primary group, the runtime directory 0750 and the state directory 0700.
//!
//! Only root can be several users. Without root, without models, or where others may not look into the build folder, these say so
//! and pass.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Running, errors, until_ready, var};

/// Numbers that no account has: the daemon's user, the operators' group, two people, and the group of everybody.
const DAEMON: u32 = 987_661;
const OPERATORS: u32 = 987_662;
const ANA: u32 = 987_663;
const BEN: u32 = 987_664;
const PEOPLE: u32 = 987_665;

/// `watchlistd` as another user, in a primary and some further groups.
fn watchlistd_as(user: u32, group: u32, further: &[u32]) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
    let further: Vec<String> = further.iter().map(u32::to_string).collect();
    match further.as_slice() {
        [] => command.arg("--clear-groups"),
        further => command.arg(format!("--groups={}", further.join(","))),
    };
    command.arg("--inh-caps=-all").arg("--").arg(env!("CARGO_BIN_EXE_watchlistd"));
    command.env("HOME", "/nonexistent").current_dir("/");
    command
}

struct Site {
    folder: tempfile::TempDir,
    daemon: Running,
}

impl Site {
    /// The folders as systemd makes them for the unit with the drop-in, and the daemon in them.
    fn start() -> Option<Self> {
        let var = var()?;
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can be somebody else");
            return None;
        }
        let version = watchlistd_as(BEN, PEOPLE, &[]).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no setpriv, or others may not run {}", env!("CARGO_BIN_EXE_watchlistd"));
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
        for (name, mode) in [("run", 0o750), ("state", 0o700)] {
            let made = folder.path().join(name);
            std::fs::create_dir(&made).expect("ours");
            chown(&made, Some(DAEMON), Some(OPERATORS)).expect("root may");
            set_permissions(&made, Permissions::from_mode(mode)).expect("ours");
        }
        let config = folder.path().join("watchlistd.toml");
        std::fs::write(&config, configuration(&var, folder.path())).expect("ours");
        set_permissions(&config, Permissions::from_mode(0o644)).expect("ours");
        let mut command = watchlistd_as(DAEMON, OPERATORS, &[]);
        command.args(["run", "--config"]).arg(&config);
        let mut site = Self { daemon: Running::start(command), folder };
        until_ready(&mut site.daemon);
        Some(site)
    }

    fn ask(&self, user: u32, group: u32, further: &[u32], line: &str) -> Output {
        let mut command = watchlistd_as(user, group, further);
        command.args(line.split(' ')).arg("--config").arg(self.folder.path().join("watchlistd.toml"));
        command.output().expect("it runs")
    }
}

fn configuration(var: &Path, folder: &Path) -> String {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
    format!(
        "[models]\ndetector = {:?}\nembedder = {:?}\nfolder = {:?}\nruntime = {:?}\n[gallery]\npath = {:?}\n\
         [control]\nsocket = {:?}\n[http]\nlisten = \"off\"\n[cameras.test]\nurl = \"test://smpte?size=320x240&fps=5\"\n",
        manifests.join("retinaface-mobilenet025.toml"),
        manifests.join("mobilefacenet-512.toml"),
        var.join("models"),
        var.join("lib/libonnxruntime.so"),
        folder.join("state/gallery.db"),
        folder.join("run/control.sock"),
    )
}

#[test]
fn members_of_the_group_reach_the_gallery_of_the_unprivileged_daemon_and_others_do_not() {
    let Some(site) = Site::start() else { return };
    let socket = std::fs::metadata(site.folder.path().join("run/control.sock")).expect("there");
    assert_eq!((socket.uid(), socket.gid(), socket.mode() & 0o777), (DAEMON, OPERATORS, 0o660));

    // Ana is in the group besides her own, as `usermod --append --groups` does it.
    for line in ["status", "gallery info", "gallery list", "events tail", "events head", "events verify"] {
        let answered = site.ask(ANA, PEOPLE, &[PEOPLE, OPERATORS], line);
        assert!(answered.status.success(), "{line}: {}", errors(&answered));
    }
    let set = site.ask(ANA, PEOPLE, &[OPERATORS], "gallery set-list staff --priority 3");
    assert!(set.status.success(), "{}", errors(&set));
    // Somebody whose primary group it is.
    let shown = site.ask(BEN, OPERATORS, &[], "audit show --action list-set --json");
    assert!(shown.status.success(), "{}", errors(&shown));
    let entry: Value = serde_json::from_slice(&shown.stdout).expect("one entry");
    let actor = entry["actor"].as_str().expect("somebody");
    assert!(actor.starts_with(&format!("uid {ANA}, pid ")), "the audit log says who it was: {actor}");

    // Ben is in no such group: neither commands nor the status, and the message says what to do.
    for line in ["status", "gallery info", "audit head", "events tail", "events head", "events tail --follow"]
    {
        let refused = site.ask(BEN, PEOPLE, &[PEOPLE], line);
        let said = errors(&refused);
        assert_eq!(refused.status.code(), Some(77), "{line}: {said}");
        assert!(said.contains("is not for this user; use sudo, or join the socket's group"), "{said}");
        assert!(refused.stdout.is_empty());
    }
    // Members get no further than the socket: the gallery's files are the daemon's alone.
    let state = site.folder.path().join("state");
    assert_eq!(std::fs::metadata(&state).expect("there").mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&state).expect("root may").flatten() {
        let mode = file.metadata().expect("there").mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.file_name());
    }
    // Root needs no group.
    let root = site.ask(0, 0, &[], "gallery info");
    assert!(root.status.success(), "{}", errors(&root));
}
