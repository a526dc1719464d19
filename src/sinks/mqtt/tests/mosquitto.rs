//! A mosquitto of the test's own, and who listens to it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::sinks::testing::eventually;

/// Told where a program is missing: such a test fails, it does not skip.
const MISSING: &str = "is missing: run scripts/setup --tests";

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn program(name: &str) -> PathBuf {
    // Debian keeps servers where a user's path may not lead.
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} {MISSING}"))
}

/// The broker. It keeps what it has retained over a restart.
pub struct Mosquitto {
    /// Anybody may come in here.
    pub port: u16,
    /// For what the test adds.
    pub other: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

/// A message as a subscriber had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub payload: String,
    /// It was there before the subscriber was.
    pub old: bool,
}

/// A subscriber to everything.
pub struct Ear {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Mosquitto {
    /// With a port for anybody.
    pub fn start() -> Self {
        Self::with(|_, _| String::new())
    }

    /// And with further lines of configuration, made from a folder and a second port.
    pub fn with(lines: impl Fn(&Path, u16) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, other) = (free_port(), free_port());
        let user = if rustix::process::getuid().is_root() { "user root\n" } else { "" };
        let config = format!(
            "{user}per_listener_settings true\npersistence true\npersistence_location {}/\nlistener {port} 127.0.0.1\nallow_anonymous true\n{}",
            folder.path().display(),
            lines(folder.path(), other)
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("written");
        let mut broker = Self { port, other, folder, child: None };
        broker.run();
        broker
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, again.
    pub fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a file");
        let mut command = Command::new(program("mosquitto"));
        command.arg("-c").arg(self.folder.path().join("mosquitto.conf")).arg("-v");
        let both = log.try_clone().expect("a handle");
        self.child = Some(command.stdout(log).stderr(both).spawn().expect("mosquitto starts"));
        let (port, folder) = (self.port, self.folder.path().to_owned());
        let child = self.child.as_mut().expect("just started");
        eventually("mosquitto listens", || {
            let over = child.try_wait().expect("ours").is_some();
            assert!(!over, "{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Ends it in order: what it retains is on disk.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = rustix::process::Pid::from_child(&child);
            // Again and again: one that comes between its first connection and its loop is forgotten.
            eventually("mosquitto ends", || {
                rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("ours");
                child.try_wait().expect("ours").is_some()
            });
        }
    }

    /// A subscriber that is there when this returns. With a name, the broker keeps for it what comes while it is away.
    pub fn listen(&self, name: Option<&str>) -> Ear {
        let port = self.port.to_string();
        // A retained message that the subscriber sees first: then it is there.
        let ready = Command::new(program("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &port, "-r", "-q", "1", "-t", "ready", "-m", "1"])
            .status();
        assert!(ready.expect("mosquitto_pub runs").success());
        let mut command = Command::new(program("mosquitto_sub"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "#", "-F", "%r %t %p"]);
        if let Some(name) = name {
            command.args(["-c", "-i", name]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("mosquitto_sub runs");
        let (heard, output) = (Arc::new(Mutex::new(Vec::new())), child.stdout.take().expect("piped"));
        let shared = heard.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut parts = line.splitn(3, ' ');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let (old, topic, payload) = (part() == "1", part(), part());
                shared.lock().expect("lock").push(Heard { topic, payload, old });
            }
        });
        let ear = Ear { child, heard };
        eventually("the subscriber is there", || ear.heard().iter().any(|heard| heard.topic == "ready"));
        ear
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ear {
    /// All that came.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("lock").clone()
    }

    /// Payloads on this topic, old and new.
    pub fn on(&self, topic: &str) -> Vec<String> {
        self.heard().into_iter().filter(|heard| heard.topic == topic).map(|heard| heard.payload).collect()
    }

    /// Numbers of the events that came, in the order in which they came first.
    pub fn sequences(&self) -> Vec<u64> {
        let mut first = Vec::new();
        for event in self.events() {
            if !first.contains(&event.sequence()) {
                first.push(event.sequence());
            }
        }
        first
    }

    /// Events that came, also twice; what is retained beside them is not.
    pub fn events(&self) -> Vec<crate::events::Event> {
        let retained = |topic: &str| topic.contains("/camera/") || topic.contains("/person/");
        let heard = self.heard().into_iter().filter(|heard| !retained(&heard.topic));
        heard.filter_map(|heard| serde_json::from_str(&heard.payload).ok()).collect()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
