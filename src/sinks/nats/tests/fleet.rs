//! docs/fleet.md: its configuration files and its commands, with a hub and two boxes on this machine.
//!
//! ```text
//!   sink box-a ─▶ box.conf (box-a) ──FaultProxy──▶ hub.conf: stream WATCHLIST ─▶ consumers vip, staff
//!   sink box-b ─▶ box.conf (box-b) ───────────────▶
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;

use super::deliveries::recognized;
use super::server::{free_port, start, stored};
use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::{Fault, FaultProxy};

/// What the configuration files and the commands take from the environment.
const PASSWORDS: [(&str, &str); 3] =
    [("OPERATOR_PASSWORD", "hunter2-o"), ("VIP_PASSWORD", "hunter2-v"), ("BOX_PASSWORD", "hunter2-b")];

/// The example, running.
struct Fleet {
    folder: tempfile::TempDir,
    hub_port: u16,
    hub: Option<Child>,
    boxes: Vec<(&'static str, u16, Child)>,
    uplink: FaultProxy,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let boxes = self.boxes.iter_mut().map(|(_, _, child)| child);
        for child in self.hub.iter_mut().chain(boxes) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&root().join("config/fleet"), &folder.path().join("config/fleet"));
        let (hub_port, leaf_port) = (free_port(), free_port());
        let uplink = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], leaf_port)));
        let mut fleet = Self { folder, hub_port, hub: None, boxes: Vec::new(), uplink };
        fleet.run("certificates").expect("certificates: is openssl installed?");
        fs::rename(fleet.file("fleet-ca"), fleet.file("etc")).expect("put where the files say");
        fleet.fill(
            "config/fleet/hub.conf",
            "hub.conf",
            &[
                ("0.0.0.0:7422", leaf_port),
                ("localhost:7422", fleet.uplink.port()),
                ("127.0.0.1:4222", hub_port),
            ],
        );
        fleet.start_hub();
        fleet.run("box").expect("the other box's file");
        for (name, file, uplink) in
            [("box-a", "config/fleet/box.conf", fleet.uplink.port()), ("box-b", "box-b.conf", leaf_port)]
        {
            let port = free_port();
            let filled = format!("{name}-filled.conf");
            fleet.fill(file, &filled, &[("localhost:7422", uplink), ("127.0.0.1:4222", port)]);
            let child = start_with_passwords(&fleet.file(&filled), &fleet.file(&format!("{name}.log")), port);
            fleet.boxes.push((name, port, child));
        }
        fleet.run("stream").expect("the stream and its consumers");
        fleet
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration file with this machine's places in it.
    fn fill(&self, from: &str, to: &str, ports: &[(&str, u16)]) {
        let text = fs::read_to_string(self.file(from)).expect(from);
        let text = ports.iter().fold(self.here(&text), |text, (from, to)| {
            let host = from.split(':').next().unwrap_or_default();
            // With the quotation mark behind it: another port may begin with the same digits.
            text.replace(&format!("{from}\""), &format!("{host}:{to}\""))
        });
        fs::write(self.file(to), text).expect("written");
    }

    fn here(&self, text: &str) -> String {
        let place = |name: &str| self.file(name).display().to_string();
        text.replace("hub.example.org", "localhost")
            .replace("/etc/nats", &place("etc"))
            .replace("/var/lib/nats", &place("store"))
    }

    fn start_hub(&mut self) {
        let (file, log) = (self.file("hub.conf"), self.file("hub.log"));
        self.hub = Some(start_with_passwords(&file, &log, self.hub_port));
    }

    fn stop_hub(&mut self) {
        if let Some(mut hub) = self.hub.take() {
            hub.kill().expect("killed");
            hub.wait().expect("ended");
        }
    }

    /// Runs a block of commands of the page; returns what it prints.
    fn run(&self, name: &str) -> Result<String, String> {
        let commands = self.here(&block(name)).replace("4222", &self.hub_port.to_string());
        let output = Command::new("sh")
            .args(["-euc", &commands])
            .current_dir(self.folder.path())
            .envs(PASSWORDS)
            .output()
            .expect("a shell");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The sink of a box, as the page configures it.
    fn sink(&self, name: &str, called: &str) -> Nats {
        let port = self.boxes.iter().find(|(n, _, _)| *n == name).expect("the box").1;
        let server = format!("nats://127.0.0.1:{port}").parse().expect("valid");
        let mut config = NatsConfig::new(vec![server], "WATCHLIST", called);
        config.domain = Some("hub".to_owned());
        config.login = Login::User { user: "watchlistd".to_owned(), password: Secret::new("hunter2-b") };
        config.timeout = Duration::from_secs(3);
        sink(config)
    }

    /// Subjects and numbers of all that the hub has.
    fn stored(&self) -> Vec<(String, u64)> {
        let url = format!("nats://127.0.0.1:{}", self.hub_port).parse().expect("valid");
        let operator =
            async_nats::ConnectOptions::with_user_and_password("operator".to_owned(), "hunter2-o".to_owned());
        let all = server::operate(&url, operator, async |context| stored(&context, "WATCHLIST").await);
        all.into_iter().map(|s| (s.number(), s.subject)).map(|(n, s)| (s, n)).collect()
    }
}

fn start_with_passwords(file: &Path, log: &Path, port: u16) -> Child {
    // The files name them as variables; here they are filled in, as a unit's EnvironmentFile would.
    let text = fs::read_to_string(file).expect("the file");
    let text = PASSWORDS.iter().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value));
    fs::write(file, text).expect("written");
    start(file, log, port)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the example") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// The commands of docs/fleet.md behind `<!-- run: NAME -->`.
fn block(name: &str) -> String {
    let page = fs::read_to_string(root().join("docs/fleet.md")).expect("docs/fleet.md");
    let marker = format!("<!-- run: {name} -->\n```sh\n");
    let from = page.find(&marker).unwrap_or_else(|| panic!("docs/fleet.md has no {marker}")) + marker.len();
    page[from..].split("```").next().expect("the block").to_owned()
}

fn event(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

#[test]
fn two_boxes_feed_one_stream_and_each_list_has_its_consumer() {
    let fleet = Fleet::new();
    let (mut a, mut b) = (fleet.sink("box-a", "box-a"), fleet.sink("box-b", "box-b"));
    deliver_at_last(
        &mut a,
        &[recognized("door", 1, &["vip", "staff"]), recognized("door", 2, &["staff"]), at("door", 3)],
    );
    deliver_at_last(&mut b, &[recognized("gate", 4, &["vip"])]);

    let of_vip = [fleet.run("read").expect("the first"), fleet.run("read").expect("the second")];
    let cameras: Vec<Value> = of_vip.iter().map(|json| event(json)["data"]["camera"].clone()).collect();
    assert_eq!(cameras, ["door", "gate"], "of both boxes, each once");
    assert_eq!(event(&of_vip[0])["data"]["identity"]["lists"], serde_json::json!(["vip", "staff"]));
    assert!(fleet.run("read").expect_err("no more").contains("408"));

    // A box cannot speak for another.
    let before = fleet.stored();
    let mut liar = fleet.sink("box-a", "box-b");
    later(&send(&mut liar, &deliveries(5, 5)));
    assert_eq!(fleet.stored(), before);
    let subjects: Vec<&str> = before.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "watchlistd.box-a.vip.door.recognized",
            "watchlistd.box-a.staff.door.recognized",
            "watchlistd.box-a._.door.camera",
            "watchlistd.box-b.vip.gate.recognized",
        ]
    );
}

#[test]
fn what_happens_while_the_hub_is_away_arrives_afterwards_in_order_and_once() {
    let mut fleet = Fleet::new();
    let mut sink = fleet.sink("box-a", "box-a");
    deliver_at_last(&mut sink, &deliveries(1, 10));
    fleet.stop_hub();
    for _ in 0..3 {
        let why = later(&send(&mut sink, &deliveries(11, 20)));
        assert!(!why.contains("hunter2"), "{why}");
    }
    fleet.start_hub();
    deliver_at_last(&mut sink, &deliveries(11, 300));
    let numbers: Vec<u64> = fleet.stored().into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
}

#[test]
fn an_uplink_that_comes_and_goes_keeps_the_order_of_each_camera() {
    let fleet = Fleet::new();
    let mut sink = fleet.sink("box-a", "box-a");
    let cameras = ["door", "gate", "yard"];
    let all: Vec<Delivery> = (1..=240).map(|n| at(cameras[n as usize % 3], n)).collect();
    // The box's server stays; only its link to the hub breaks, in the midst of what passes and of what comes back.
    for (round, batch) in all.chunks(40).enumerate() {
        let bytes = 3_000 + 4_000 * round as u64;
        fleet.uplink.set(if round % 2 == 0 { Fault::CutUp(bytes) } else { Fault::CutDown(bytes / 8) });
        let sent = send(&mut sink, batch);
        fleet.uplink.set(Fault::None);
        deliver_at_last(&mut sink, &batch[sent.taken..]);
    }
    let stored = fleet.stored();
    assert_eq!(stored.len(), all.len(), "each once");
    for camera in cameras {
        let of_it: Vec<u64> = stored.iter().filter(|(s, _)| s.contains(camera)).map(|(_, n)| *n).collect();
        assert!(of_it.len() == 80 && of_it.is_sorted(), "{camera}: {of_it:?}");
    }
    let links = fleet.uplink.connections();
    assert!(links > 6, "the link broke in each round: {links}");
}
