//! What the integration tests share: the real programs as children, a configuration in a folder of its own, and waiting for
//! conditions with a deadline instead of sleeping for a guess.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest any condition is waited for; a busy machine is slow, not wrong.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The folder that set-up filled; `None`, with a message, where it did not run. `make test` sets
/// `WATCHLISTD_REQUIRE_MODELS`: there, that is a failure.
pub fn var() -> Option<PathBuf> {
    let var = std::env::var_os("WATCHLISTD_VAR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("var"), PathBuf::from);
    let there =
        var.join("models/mobilefacenet-512.onnx").is_file() && var.join("lib/libonnxruntime.so").exists();
    if !there {
        let required = std::env::var_os("WATCHLISTD_REQUIRE_MODELS").is_some();
        assert!(!required, "{} holds no models; run make setup", var.display());
        eprintln!("skipped: {} holds no models; run make setup", var.display());
    }
    there.then_some(var)
}

/// The folder of measuring data (`WATCHLISTD_SHARED`); `None`, with a message, where there is none.
pub fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("WATCHLISTD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let there = shared.join("data").is_dir();
    if !there {
        eprintln!("skipped: no measuring data at {} (WATCHLISTD_SHARED names the folder)", shared.display());
    }
    there.then_some(shared)
}

/// `watchlistd` with these arguments.
pub fn watchlistd<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchlistd"));
    command.args(arguments).env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command
}

/// Waits until `probe` gives something; panics with `what` when it never does.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The standard error of a program that has ended.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of JSON it printed; anything else among them is a failure.
#[track_caller]
pub fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}

/// A time in an event.
#[track_caller]
pub fn time_of(value: &Value) -> jiff::Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

/// True for an event that recognises somebody at the camera.
pub fn is_recognized(event: &Value, camera: &str) -> bool {
    event["type"] == "io.watchlistd.recognized.v1" && event["data"]["camera"] == camera
}

/// Frames in a camera's status that arrived and were neither looked at, nor skipped by sampling, nor counted as lost: those
/// that are on their way. Counters are read one after the other, so it may be a little below zero.
#[track_caller]
pub fn frames_unaccounted(camera: &Value) -> i64 {
    let count = |key: &str| camera[key].as_i64().unwrap_or_else(|| panic!("{key} in {camera}"));
    let dropped: i64 =
        camera["frames_dropped"].as_object().expect("counts").values().filter_map(Value::as_i64).sum();
    count("frames_received") - count("frames_inferred") - count("frames_not_sampled") - dropped
}

/// Waits for the daemon's own word that it is ready.
#[track_caller]
pub fn until_ready(daemon: &mut Running) {
    wait_for("the daemon to be ready", || {
        assert!(daemon.exited().is_none(), "the daemon ended: {}", daemon.errors());
        daemon.errors().contains("ready cameras=").then_some(())
    });
}

/// A child that is killed when the test is over, however it ends.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts it and collects its standard output and error.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = collect(child.stdout.take().expect("piped"));
        let errors = collect(child.stderr.take().expect("piped"));
        Self { child, lines, errors }
    }

    /// Starts it with a standard output of the test's own; only its standard error is collected.
    pub fn start_printing_to(mut command: Command, output: impl Into<Stdio>) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = collect(child.stderr.take().expect("piped"));
        Self { child, lines: Arc::default(), errors }
    }

    /// What it printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic in the reader").clone()
    }

    /// What it printed that is JSON.
    pub fn events(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Its standard error so far.
    pub fn errors(&self) -> String {
        self.errors.lock().expect("no panic in the reader").join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name}");
    }

    /// Its exit status, if it is over.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the child's end", || self.exited())
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let theirs = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            theirs.lock().expect("no panic in the test").push(line);
        }
    });
    lines
}

/// The demo's RTSP camera.
pub struct DemoCamera {
    process: Running,
    /// Its address.
    pub url: String,
}

impl DemoCamera {
    /// Starts one on `port` (0: any), `start` seconds into the scene.
    pub fn start(port: u16, start: u32) -> Self {
        Self::start_with(port, start, &["--loop"])
    }

    /// The same, with further arguments.
    pub fn start_with(port: u16, start: u32, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchlistd-demo"));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
            .args(["camera", "--listen", &format!("127.0.0.1:{port}"), "--start", &start.to_string()])
            .args(more);
        let mut process = Running::start(command);
        let url = wait_for("the camera to be ready", || {
            assert!(process.exited().is_none(), "the camera ended: {}", process.errors());
            process.lines().iter().find_map(|line| line.strip_prefix("ready ").map(str::to_owned))
        });
        Self { process, url }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let after = self.url.trim_start_matches("rtsp://").split('/').next().unwrap_or_default();
        after.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port in the address")
    }

    /// Pulls its plug.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// A folder with a configuration, a gallery and sockets for one daemon.
pub struct Site {
    /// Gone with the test.
    pub folder: tempfile::TempDir,
    /// The configuration file.
    pub config: PathBuf,
}

impl Site {
    /// Writes a configuration: models from set-up, everything else in the folder, then `more`.
    pub fn new(var: &Path, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("watchlistd.toml");
        let site = Self { folder, config };
        site.rewrite(var, more);
        site
    }

    /// Replaces the configuration.
    pub fn rewrite(&self, var: &Path, more: &str) {
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models");
        let text = format!(
            "[models]\ndetector = {:?}\nembedder = {:?}\nfolder = {:?}\nruntime = {:?}\n\
             [gallery]\npath = \"gallery.db\"\n[control]\nsocket = \"control.sock\"\n{more}",
            manifests.join("retinaface-mobilenet025.toml"),
            manifests.join("mobilefacenet-512.toml"),
            var.join("models"),
            var.join("lib/libonnxruntime.so"),
        );
        std::fs::write(&self.config, text).expect("a writable folder");
    }

    /// `watchlistd VERB --config ...`
    pub fn command(&self, verb: &str) -> Command {
        let mut command = watchlistd([verb, "--config"]);
        command.arg(&self.config).current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// `watchlistd VERB --config ... ARGUMENTS`, run to its end.
    pub fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb).args(arguments).output().expect("it runs")
    }

    /// The path of something in the folder, as text.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Enrols the demo's people.
    pub fn enrol_demo(&self, var: &Path) {
        let gallery = self.folder.path().join("gallery");
        let demo = Command::new(env!("CARGO_BIN_EXE_watchlistd-demo"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["prepare", "--images"])
            .arg(var.join("images"))
            .arg("--out")
            .arg(self.folder.path())
            .output()
            .expect("the demo program runs");
        assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
        let enrolled = self.command("enroll").arg("--dir").arg(&gallery).output().expect("it runs");
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    }

    /// What `watchlistd status --json` says; `None` while the daemon does not answer.
    pub fn status(&self) -> Option<Value> {
        let output = self.command("status").arg("--json").output().ok()?;
        output.status.success().then(|| serde_json::from_slice(&output.stdout).ok()).flatten()
    }

    /// A camera's part of the status.
    pub fn camera(&self, id: &str) -> Option<Value> {
        let status = self.status()?;
        status["cameras"].as_array()?.iter().find(|c| c["id"] == id || c["camera"] == id).cloned()
    }
}
