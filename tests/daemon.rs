//! The daemon as its operator meets it: start, signals, reload, wrong configurations, hostile cameras.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{
    DemoCamera, Running, Site, errors, frames_unaccounted, is_recognized, time_of, until_ready, var, wait_for,
};

/// A camera that needs no network.
const TEST_CAMERA: &str = "[cameras.test]\nurl = \"test://smpte?size=320x240&fps=25\"\n";

fn status_state(site: &Site, camera: &str) -> Option<String> {
    Some(site.camera(camera)?["state"].as_str()?.to_owned())
}

fn http_get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("received");
    let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok()).expect("a status line");
    (code, answer)
}

/// A file for its owner alone, as credentials have to be.
fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// Held for writing by the test that counts lost frames: other daemons beside it would make it lose some.
static QUIET: RwLock<()> = RwLock::new(());

#[test]
fn every_mistake_is_told_before_anything_opens() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let site = Site::new(
        &var,
        "[decide]\nthreshhold = 0.5\nconfirm = \"three\"\n[cameras.door]\nurl = \"http://x\"\ndetect_fps = 0\n",
    );
    let output = site.command("run").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for key in ["decide.threshhold", "decide.confirm", "cameras.door.url", "cameras.door.detect_fps"] {
        assert!(said.contains(key), "{key} is missing in:\n{said}");
    }
    assert!(!site.folder.path().join("control.sock").exists(), "nothing was opened");
}

#[test]
fn it_serves_status_metrics_and_health_and_stops_cleanly() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let port = free_port();
    let site = Site::new(&var, &format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{TEST_CAMERA}"));
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("the test camera to be recognising", || {
        (site.camera("test")?["recognising"] == true).then_some(())
    });

    let camera = site.camera("test").expect("its status");
    assert_eq!(camera["state"], "connected", "{camera}");
    let table = site.command("status").output().expect("it runs");
    assert!(String::from_utf8_lossy(&table.stdout).contains("test"), "the table names the camera");
    let (code, metrics) = http_get(port, "/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("camera=\"test\""), "{metrics}");
    assert_eq!(http_get(port, "/healthz").0, 200);
    assert_eq!(http_get(port, "/readyz").0, 200);
    assert_eq!(http_get(port, "/else").0, 404);
    assert!(daemon.errors().contains("empty"), "an empty gallery is warned of: {}", daemon.errors());

    let second = site.command("run").output().expect("it runs");
    assert_eq!(second.status.code(), Some(75), "{}", errors(&second));

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    assert!(site.status().is_none(), "nobody answers any more");
}

#[test]
fn a_reload_is_all_or_nothing_and_an_untouched_camera_does_not_notice() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let site = Site::new(&var, &format!("[http]\nlisten = \"off\"\n{TEST_CAMERA}"));
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("the first camera", || (status_state(&site, "test")? == "connected").then_some(()));

    // A wrong file changes nothing and says so.
    site.rewrite(
        &var,
        &format!("[decide]\nconfirm = 0\n{TEST_CAMERA}[cameras.more]\nurl = \"test://ball\"\n"),
    );
    daemon.signal("HUP");
    wait_for("the mistake to be told", || daemon.errors().contains("decide.confirm").then_some(()));
    assert!(site.camera("more").is_none(), "nothing of it was applied");

    // A right one adds a camera; thresholds change; the first camera keeps its connection.
    site.rewrite(
        &var,
        &format!("[http]\nlisten = \"off\"\n{TEST_CAMERA}threshold = 0.61\ndetect_fps = 10\n[cameras.more]\nurl = \"test://ball\"\n"),
    );
    daemon.signal("HUP");
    wait_for("the new camera", || (status_state(&site, "more")? == "connected").then_some(()));
    let first = site.camera("test").expect("its status");
    assert_eq!((&first["epoch"], &first["reconnects"]), (&1.into(), &0.into()), "{first}");

    // A camera that is taken out is gone; the other goes on.
    site.rewrite(&var, "[http]\nlisten = \"off\"\n[cameras.more]\nurl = \"test://ball\"\n");
    daemon.signal("HUP");
    wait_for("the first camera to go", || site.camera("test").is_none().then_some(()));
    assert_eq!(status_state(&site, "more").as_deref(), Some("connected"));

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
}

/// Other values of `[track]` and `[decide]`: the stream goes on, who is there keeps the track, who comes is recognised.
#[test]
fn a_reload_of_the_rules_loses_no_frame_and_no_decision() {
    let Some(var) = var() else { return };
    let _turn = QUIET.write();
    // Ten frames a second leave room on a busy machine: a frame lost here is lost by the reload.
    let camera = DemoCamera::start_with(0, 8, &["--loop", "--fps", "10"]);
    let rules = |more: &str| {
        format!(
            "[http]\nlisten = \"off\"\n[quality]\nmax_pitch = 45\n{more}\n[cameras.door]\nurl = {:?}\n",
            camera.url
        )
    };
    let site = Site::new(&var, &rules(""));
    site.enrol_demo(&var);
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);

    // Somebody has come and gone, and somebody else is there: tracks of both kinds meet the reload.
    let named = |events: &[Value], name: &str| {
        events.iter().any(|e| is_recognized(e, "door") && e["data"]["identity"]["name"] == name)
    };
    wait_for("the second person", || named(&daemon.events(), "Eileen Collins").then_some(()));
    assert!(named(&daemon.events(), "Barack Obama"), "the first person came before");
    let before = accounted(&site, "door");
    let reloaded_at = jiff::Timestamp::now();
    site.rewrite(
        &var,
        &rules(
            "[track]\nmax_shots = 5\nshot_interval = \"400ms\"\n[decide]\nmargin = 0.06\ncooldown = \"1s\"\n",
        ),
    );
    daemon.signal("HUP");
    wait_for("the reload", || daemon.errors().contains("configuration reloaded").then_some(()));

    let started = before["tracks_started"].as_u64().expect("a count");
    wait_for("somebody to come and everybody to go", || {
        let now = site.camera("door")?;
        (now["tracks_started"].as_u64()? > started && now["tracks_live"] == 0).then_some(())
    });
    let after = accounted(&site, "door");
    assert_eq!((&after["epoch"], &after["reconnects"]), (&1.into(), &0.into()), "{after}");
    assert_eq!(after["frames_dropped"], before["frames_dropped"], "{after}");
    assert!(after["frames_inferred"].as_u64() > before["frames_inferred"].as_u64(), "{after}");

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    let events = daemon.events();
    let later: Vec<&Value> = events
        .iter()
        .filter(|e| is_recognized(e, "door") && time_of(&e["data"]["captured_at"]) > reloaded_at)
        .collect();
    assert!(
        later
            .iter()
            .any(|e| e["data"]["identity"]["name"] == "Joe Biden" && e["data"]["stage"] == "confirmed"),
        "who came after the reload was recognised: {later:?}"
    );
    for event in &later {
        let other = events.iter().find(|e| {
            is_recognized(e, "door")
                && e["data"]["track"] == event["data"]["track"]
                && e["data"]["identity"] != event["data"]["identity"]
        });
        assert!(other.is_none(), "one track, two people: {event} and {other:?}");
    }
}

/// A camera's status once every frame in it is accounted for but the few on their way.
fn accounted(site: &Site, camera: &str) -> Value {
    let status = site.camera(camera).expect("its status");
    let unaccounted = frames_unaccounted(&status);
    assert!(unaccounted.abs() <= 3, "{unaccounted} frames are neither looked at nor counted: {status}");
    status
}

/// What systemd and people give a daemon before they kill it.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn it_stops_within_ten_seconds_whatever_its_cameras_do() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    // Accepts and never says a word: whoever waits for its answer waits long.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound");
    let open = std::thread::spawn(move || silent.incoming().take(64).flatten().collect::<Vec<_>>());
    let camera = DemoCamera::start(0, 6);
    let nobody = free_port();
    let site = Site::new(
        &var,
        &format!(
            "[http]\nlisten = \"off\"\n{TEST_CAMERA}[cameras.demo]\nurl = {:?}\n\
             [cameras.silent]\nurl = \"rtsp://{address}/x\"\n\
             [cameras.nobody]\nurl = \"rtsp://127.0.0.1:{nobody}/x\"\n",
            camera.url
        ),
    );
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("faces to be tracked", || (site.camera("demo")?["tracks_live"].as_u64()? > 0).then_some(()));

    let told = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    let took = told.elapsed();
    assert!(took < STOP_LIMIT, "it took {took:?}: {}", daemon.errors());
    // What was seen was decided: the tracks that were alive have their last word.
    let events = daemon.events();
    assert!(events.iter().any(|e| e["data"]["track"].is_string()), "{events:?}");
    drop(open);
}

/// A daemon whose standard output nobody reads: draining it takes its time.
fn with_a_stuck_consumer(site: &Site) -> (Running, std::io::PipeReader) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    // As much as a pipe holds (pipe(7)): the first event has no room.
    writer.write_all(&[b'\n'; 65_536]).expect("room for this");
    let daemon = Running::start_printing_to(site.command("run"), writer);
    (daemon, reader)
}

#[test]
fn a_stuck_consumer_does_not_keep_it_from_stopping() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let site = Site::new(&var, &format!("[http]\nlisten = \"off\"\n{TEST_CAMERA}"));
    let (mut daemon, reader) = with_a_stuck_consumer(&site);
    until_ready(&mut daemon);
    let told = Instant::now();
    daemon.signal("TERM");
    // What it was not given waits in the log, on the disk.
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    assert!(told.elapsed() < STOP_LIMIT, "{}", daemon.errors());
    assert!(daemon.errors().contains("is sent after the next start"), "{}", daemon.errors());
    drop(reader);
    let mut daemon = Running::start(site.command("run"));
    let first = wait_for("what was not read before", || daemon.events().into_iter().next());
    assert_eq!(first["data"]["sequence"], 1, "{first}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let site = Site::new(&var, &format!("[http]\nlisten = \"off\"\n{TEST_CAMERA}"));
    let (mut daemon, _reader) = with_a_stuck_consumer(&site);
    until_ready(&mut daemon);
    daemon.signal("TERM");
    wait_for("the drain to begin", || daemon.errors().contains("stopping: ").then_some(()));
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(143), "{}", daemon.errors());
    assert!(
        !daemon.errors().contains("service: stopped"),
        "it did not wait for the drain: {}",
        daemon.errors()
    );
}

#[test]
fn hostile_and_missing_cameras_get_a_state_and_leave_the_others_alone() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    // Accepts, sends noise, never speaks RTSP.
    let noise = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = noise.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in noise.incoming().map_while(Result::ok) {
            let _ = stream.write_all(
                &(0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
            );
        }
    });
    let nobody = free_port();
    let locked = DemoCamera::start_with(0, 0, &["--user", "viewer", "--password", "right horse"]);
    let site = Site::new(
        &var,
        &format!(
            "[http]\nlisten = \"off\"\n{TEST_CAMERA}\
             [cameras.noise]\nurl = \"rtsp://{address}/x\"\nstall = \"3s\"\n\
             [cameras.nobody]\nurl = \"rtsp://127.0.0.1:{nobody}/x\"\n\
             [cameras.folder]\nurl = \"file:///tmp\"\n\
             [cameras.locked]\nurl = {:?}\n[credentials]\nfile = \"secrets.toml\"\n",
            locked.url
        ),
    );
    let secrets = site.folder.path().join("secrets.toml");
    let login = |password: &str| format!("[cameras.locked]\nuser = \"viewer\"\npassword = {password:?}\n");
    write_private(&secrets, &login("wrong canary"));
    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("each to have its state", || {
        let waits = |camera| status_state(&site, camera).is_some_and(|s| s == "waiting" || s == "connecting");
        let failed = |camera: &str, failures: &[&str]| {
            let found = site.camera(camera)?;
            let failure = found["last_error"]["failure"].as_str()?.to_owned();
            failures.contains(&failure.as_str()).then_some(())
        };
        failed("noise", &["unreachable", "corrupt", "stalled", "unsupported"])?;
        failed("nobody", &["unreachable"])?;
        failed("folder", &["not_found", "corrupt", "unsupported"])?;
        failed("locked", &["unauthorized"])?;
        (waits("nobody") && status_state(&site, "locked")? == "refused").then_some(())
    });
    wait_for("the good camera to be recognising all the while", || {
        (site.camera("test")?["recognising"] == true).then_some(())
    });
    assert_eq!(site.camera("test").expect("its status")["reconnects"], 0);

    // A corrected password is tried at once after a reload, not in five minutes.
    write_private(&secrets, &login("right horse"));
    daemon.signal("HUP");
    wait_for("the locked camera to open", || (status_state(&site, "locked")? == "connected").then_some(()));

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    let said = daemon.errors() + &daemon.lines().join("\n");
    for secret in ["wrong canary", "right horse"] {
        assert!(!said.contains(secret), "a password was shown");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_consumer_that_goes_away_ends_the_daemon_with_a_reason() {
    let Some(var) = var() else { return };
    let _turn = QUIET.read();
    let site =
        Site::new(&var, &format!("[http]\nlisten = \"off\"\n[events]\njournal = false\n{TEST_CAMERA}"));
    let script = format!(
        "timeout 60 {:?} run --config {:?} 2>{:?} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_watchlistd"),
        site.config,
        site.folder.path().join("log")
    );
    let status = std::process::Command::new("bash").args(["-c", &script]).status().expect("bash");
    let log = std::fs::read_to_string(site.folder.path().join("log")).unwrap_or_default();
    assert_eq!(status.code(), Some(74), "{log}");
    assert!(log.contains("standard output"), "{log}");
}
