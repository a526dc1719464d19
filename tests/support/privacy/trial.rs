//! A daemon with everything on that could write something: TRACE, every output, kept crops, gallery commands while it runs.
//!
//! ```text
//!  root ─┬ gallery.db, .key, .head, .forgotten, events.jsonl      state
//!        ├ runtime/   control socket
//!        ├ tmp/ home/ work/    TMPDIR, HOME, the working directory
//!        └ outputs/   standard output, log, metrics, what every command printed: byte by byte
//! ```

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::places;
use crate::support::{Running, Site, wait_for, watchlistd};

/// The site, and where everything of it is.
pub struct Trial {
    site: Site,
    port: u16,
    /// What libraries had in their folders before there was a face to be seen: GStreamer's list of its plug-ins.
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Trial {
    /// With these cameras.
    pub fn new(var: &Path, cameras: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let more = |cameras: &[(&str, &str)]| {
            let table =
                |(id, url): &(&str, &str)| format!("[cameras.{id}]\nurl = {url:?}\ndetect_fps = 10\n");
            format!(
                "[http]\nlisten = \"127.0.0.1:{port}\"\n[quality]\nmax_pitch = 45\n[decide]\ncooldown = \"100ms\"\n\
                 [log]\nfilter = \"trace\"\nformat = \"human\"\n[events]\nstdout = true\njournal = true\n\
                 [events.file]\npath = \"events.jsonl\"\n[snapshots.lists]\nwatchlist = \"30d\"\n{}",
                cameras.iter().map(table).collect::<String>()
            )
        };
        let pattern = [("pattern", "test://smpte?size=640x360&fps=25")];
        let mut trial = Self { site: Site::new(var, &more(&pattern)), port, before: BTreeMap::new() };
        for folder in ["runtime", "tmp", "home", "work", "outputs"] {
            std::fs::create_dir(trial.root().join(folder)).expect("a folder");
        }
        let checked = trial.command(&["check"]).output().expect("it runs");
        assert!(String::from_utf8_lossy(&checked.stdout).contains("pattern"), "it looked at the camera");
        let home = trial.root().join("home");
        trial.before = places::files(&home)
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
            .collect();
        trial.site.rewrite(var, &more(cameras));
        trial
    }

    /// The folder that everything is in.
    pub fn root(&self) -> &Path {
        self.site.folder.path()
    }

    /// True for a file, named by its path below the root, that is byte by byte what it was before there was a camera.
    pub fn is_as_before(&self, path: &Path) -> bool {
        let path = self.root().join(path);
        let now = || std::fs::read(&path).ok();
        self.before.get(&path).is_some_and(|before| now().as_ref() == Some(before))
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.site.config
    }

    fn surround(&self, command: &mut Command) {
        let path = |name: &str| self.root().join(name);
        command
            .current_dir(path("work"))
            .env("TMPDIR", path("tmp"))
            .env("HOME", path("home"))
            .env("WATCHLISTD__GALLERY__KEEP_CROPS", "true")
            .env("WATCHLISTD__CONTROL__SOCKET", path("runtime/control.sock"));
        // Libraries have to be kept quiet by the daemon itself, not by the test's surroundings.
        let quieting = ["ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];
        for name in quieting.iter().chain(&["XDG_RUNTIME_DIR", "JOURNAL_STREAM"]) {
            command.env_remove(name);
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = watchlistd(arguments);
        command.arg("--config").arg(self.config());
        self.surround(&mut command);
        command
    }

    /// Runs a tool to its end; all that it prints is kept as `outputs/NAME` and `outputs/NAME.errors`.
    #[track_caller]
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(arguments).output().expect("it runs");
        let keep = |name: String, bytes: &[u8]| std::fs::write(self.root().join("outputs").join(name), bytes);
        keep(name.to_owned(), &output.stdout)
            .and_then(|()| keep(format!("{name}.errors"), &output.stderr))
            .expect("kept");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Starts the daemon, without core dumps, as its unit does. It prints to files: a pipe that is read by lines would lose what
    /// is no text.
    pub fn start(&self) -> Running {
        let mut command = Command::new("sh");
        let script = "ulimit -c 0 && exec \"$0\" \"$@\" > \"$OUTPUTS/stdout\" 2> \"$OUTPUTS/log\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_watchlistd"), "run", "--config"]).arg(self.config());
        command.env("OUTPUTS", self.root().join("outputs")).env_remove("NOTIFY_SOCKET");
        self.surround(&mut command);
        let mut daemon = Running::start(command);
        self.until(&mut daemon, "the daemon to be ready", |trial| trial.log().contains("ready cameras="));
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("a process");
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
        daemon
    }

    /// Waits, as long as the daemon lives.
    pub fn until(&self, daemon: &mut Running, what: &str, is_so: impl Fn(&Self) -> bool) {
        wait_for(what, || {
            let over = daemon.exited();
            assert!(over.is_none(), "the daemon ended: {}", self.log().lines().last().unwrap_or_default());
            is_so(self).then_some(())
        });
    }

    /// What the daemon logged so far.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.root().join("outputs/log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The events it printed so far.
    pub fn events(&self) -> Vec<Value> {
        let printed = std::fs::read(self.root().join("outputs/stdout")).unwrap_or_default();
        printed.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Asks all of its web server, and keeps the answers.
    pub fn scrape(&self) {
        for page in ["metrics", "healthz", "readyz"] {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
            write!(stream, "GET /{page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{page}: {}", String::from_utf8_lossy(&answer));
            std::fs::write(self.root().join("outputs").join(page), answer).expect("kept");
        }
    }

    /// Files that the process holds open for writing and that lie outside the folders it was given.
    pub fn strange_files(&self, daemon: &Running) -> Vec<PathBuf> {
        let folder = PathBuf::from(format!("/proc/{}", daemon.pid()));
        let descriptors = std::fs::read_dir(folder.join("fd")).expect("a process of ours").flatten();
        let written = |number: &std::ffi::OsStr| {
            let info = std::fs::read_to_string(folder.join("fdinfo").join(number)).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            flags
                .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
                .is_some_and(|flags| flags & 3 != 0)
        };
        descriptors
            .filter(|descriptor| written(&descriptor.file_name()))
            .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
            // Sockets, pipes and memory have no path; devices are no files.
            .filter(|path| path.is_absolute() && !path.starts_with("/dev"))
            .filter(|path| {
                !path.display().to_string().starts_with("/memfd:") && !path.starts_with(self.root())
            })
            .collect()
    }
}
