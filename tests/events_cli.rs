//! `watchlistd events` as an operator meets it: with a daemon and without one, in pipes, and on a log that something else changed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use support::{Running, Site, errors, json_lines, until_ready, var, wait_for, watchlistd};
use uuid::Uuid;
use watchlistd::base::clock::{Clock, SystemClock};
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::events::log::{EventLog, Options, Ring, Rules, SinkPlace};
use watchlistd::events::{EventMaker, Ids};
use watchlistd::gallery::crypt::Key;
use watchlistd::gallery::keyring::KeyRing;
use watchlistd::gallery::master::KeySource;
use watchlistd::stats::Stats;
use watchlistd::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use watchlistd::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use watchlistd::types::matching::{IndexKind, Publish};

const CONFIG: &str = "[http]\nlisten = \"off\"\n[events]\njournal = false\n[events.file]\npath = \"out.jsonl\"\n\
                      [cameras.test]\nurl = \"test://smpte?size=320x240&fps=5\"\n";

/// `watchlistd events LINE --config ...`
fn command(site: &Site, line: &str) -> Command {
    let mut command = watchlistd(["events"]);
    command.args(line.split(' ')).arg("--config").arg(&site.config).current_dir(site.folder.path());
    command
}

fn events(site: &Site, line: &str) -> Output {
    command(site, line).output().expect("it runs")
}

#[track_caller]
fn printed(site: &Site, line: &str) -> String {
    let output = events(site, line);
    assert!(output.status.success(), "{line}: {}", errors(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn refused(site: &Site, line: &str, status: i32, words: &[&str]) {
    let output = events(site, line);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(status), "{line}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{line}: {word:?} is missing in: {said}"));
}

fn lines(output: &str) -> Vec<String> {
    output.lines().map(str::to_owned).collect()
}

/// Reloads so often, and waits until each is an event.
fn reload(site: &Site, daemon: &Running, times: usize) {
    let reloaded =
        || lines(&printed(site, "export --type health")).iter().filter(|l| l.contains("reloaded")).count();
    for _ in 0..times {
        let before = reloaded();
        daemon.signal("HUP");
        wait_for("the reload to be an event", || (reloaded() > before).then_some(()));
    }
}

#[test]
fn a_pipe_gets_every_event_once_and_the_same_is_shown_with_and_without_a_daemon() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, CONFIG);
    // No daemon has been here yet: that is said, and nothing is made.
    for line in ["tail", "head", "verify", "export", "sinks"] {
        refused(
            &site,
            line,
            66,
            &["no daemon answers", "control.sock", "there is no event log", "events.db"],
        );
    }
    assert_eq!(std::fs::read_dir(site.folder.path()).expect("readable").count(), 1, "the configuration");

    let mut daemon = Running::start(site.command("run"));
    until_ready(&mut daemon);
    wait_for("the camera", || (site.camera("test")?["state"] == "connected").then_some(()));
    let mut pipe = Running::start(command(&site, "tail --follow --json --after 0"));
    reload(&site, &daemon, 3);
    let count = || lines(&printed(&site, "export")).len();
    let so_far = count();
    wait_for("the pipe to have them", || (pipe.lines().len() >= so_far).then_some(()));

    // The very bytes that a sink gets, in order, and nothing twice.
    let piped = pipe.lines();
    wait_for("standard output to have them", || (daemon.lines().len() >= piped.len()).then_some(()));
    assert_eq!(piped, daemon.lines()[..piped.len()]);
    let ids: BTreeSet<String> = pipe.events().iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), piped.len());

    // One event, by number and by id; sinks; a head to keep.
    let third: Value = serde_json::from_str(&piped[2]).expect("an event");
    let by_number = json_lines(&events(&site, "show 3 --json"));
    let by_id = json_lines(&events(&site, &format!("show {} --json", third["id"].as_str().expect("an id"))));
    assert_eq!((&by_number[0]["event"], &by_id[0]["event"]), (&third, &third));
    assert!(printed(&site, "show 3").contains("sink file: "));
    refused(&site, "show 100000", 66, &["the log ends at"]);
    let sinks = json_lines(&events(&site, "sinks --json"));
    let names: Vec<&str> = sinks.iter().filter_map(|sink| sink["name"].as_str()).collect();
    assert_eq!(names, ["file", "stdout"]);
    assert_eq!(printed(&site, "dead --json"), "");
    let head = printed(&site, "head");
    let verify = format!("verify --json --head {}", head.trim());
    let verified = json_lines(&events(&site, &verify));
    assert_eq!(
        (&verified[0]["problems"], &verified[0]["head_given"]["state"]),
        (&Value::Array(vec![]), &"agrees".into())
    );
    refused(&site, "tail --key-file /nowhere", 64, &["--key-file", "the daemon"]);

    // A reader that has enough is no failure, and is noticed while nothing comes.
    let mut first = command(&site, "tail --follow --json --after 0");
    let mut child = first.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    drop(out);
    let status = wait_for("whoever follows for nobody to end", || child.try_wait().expect("a child of ours"));
    assert_eq!((line.trim_end(), status.code()), (piped[0].as_str(), Some(141)));

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    assert_eq!(pipe.wait().code(), Some(69), "{}", pipe.errors());
    wait_for("the reason to be told", || pipe.errors().contains("the daemon ended").then_some(()));

    // Without a daemon the log says the same, to the byte, and is not touched.
    let files = ["events.db", "events.head"].map(|name| site.folder.path().join(name));
    let bytes = || files.clone().map(|file| std::fs::read(file).expect("there"));
    let before = bytes();
    let all = lines(&printed(&site, "tail --json --after 0"));
    // What a sink has no time for at the end it sends after the next start.
    assert_eq!(daemon.lines(), all[..daemon.lines().len()], "what standard output got");
    assert_eq!(pipe.lines(), all[..pipe.lines().len()], "in order, and none twice");
    assert!(pipe.lines().len() >= so_far);
    let table = printed(&site, "tail -n 2");
    assert!(table.lines().count() == 3 && table.contains("health"), "{table}");
    refused(&site, "tail --follow", 69, &["no daemon runs"]);
    for line in ["export --format csv", "export --fields count", "sinks", "dead", "head", verify.as_str()] {
        printed(&site, line);
        assert!(bytes() == before, "{line}");
    }
    export_to_a_file(&site, &all);
    changed(&site, &head);
}

fn export_to_a_file(site: &Site, all: &[String]) {
    use std::os::unix::fs::PermissionsExt;
    let file = site.folder.path().join("export.jsonl");
    printed(site, "export --out export.jsonl");
    assert_eq!(lines(&std::fs::read_to_string(&file).expect("there")), all);
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    refused(site, "export --out export.jsonl --format csv", 73, &["not overwritten", "--force"]);
    printed(site, "export --out export.jsonl --format csv --force");
    let table = std::fs::read_to_string(&file).expect("there");
    assert!(table.starts_with("sequence,id,time,type,"), "{table}");
    assert_eq!(table.lines().count(), all.len() + 1);
}

/// A log that something else changed, and a copy whose tail was cut off.
fn changed(site: &Site, head: &str) {
    let log = site.folder.path().join("events.db");
    let copy = site.folder.path().join("copy.db");
    std::fs::copy(&log, &copy).expect("copied");
    let edit = |path: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(path).expect("opens");
        assert!(connection.execute(sql, []).expect("changed") > 0, "{sql}");
    };
    // One bit of one event.
    edit(&log, "UPDATE events SET at = at | 1 << 40 WHERE sequence = 2");
    refused(site, "verify", 65, &[]);
    let said = String::from_utf8(events(site, "verify").stdout).expect("UTF-8");
    assert!(said.contains("Problem: event 2 is damaged or missing"), "{said}");
    let lost = json_lines(&events(site, "tail --json --after 1 -n 1"));
    assert!(
        lost.iter().all(|event| event["data"]["sequence"] != 2 || event["data"]["reason"] == "damaged"),
        "{lost:?}"
    );
    refused(site, "show 2", 65, &["event 2 cannot be shown", "events verify"]);
    // The copy is whole, until its tail goes.
    let verify = format!("verify --log copy.db --head {}", head.trim());
    let said = printed(site, &verify);
    assert!(
        said.contains("head beside it  missing") && said.contains("The log is as it was written"),
        "{said}"
    );
    edit(&copy, "DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)");
    let output = events(site, &verify);
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8(output.stdout).expect("UTF-8").contains("is damaged or missing"));
}

/// A log that the gallery's keys are for, without a daemon.
fn log_of(site: &Site) -> (EventLog, EventMaker, Arc<dyn Clock>) {
    let folder = site.folder.path();
    let key = KeySource::File(folder.join("gallery.key"));
    let (key, ring): (Key, KeyRing) =
        KeyRing::of_gallery(&folder.join("gallery.db"), &key).expect("a gallery");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stats = Arc::new(Stats::new(clock.now()));
    let teller = EventMaker::new("/test", Uuid::now_v7(), Ids::random());
    let options = Options {
        path: folder.join("events.db"),
        key,
        ring: Arc::new(ring) as Arc<dyn Ring>,
        rules: Rules { keep: Duration::from_secs(86_400), lists: [].into(), budget: 64 << 20 },
        sinks: vec![SinkPlace { name: "file".to_owned(), required: true, from_oldest: true }],
        tell: Arc::new(move |lost, at| {
            teller.lost(*lost, watchlistd::base::clock::Moment { mono: Duration::ZERO, wall: at })
        }),
        clock: clock.clone(),
        stats,
    };
    let beat = Heartbeats::new(clock.clone()).register("log", Duration::from_secs(60));
    let log = EventLog::open(options, beat).expect("opens");
    (log, EventMaker::new("/test", Uuid::now_v7(), Ids::random()), clock)
}

fn recognized(
    maker: &EventMaker,
    clock: &dyn Clock,
    who: IdentityId,
    name: &str,
) -> watchlistd::events::Event {
    let now = clock.now();
    let decision = Decision {
        track: TrackId { camera: CameraId::new("door").expect("a name"), epoch: 1, number: 1 },
        visit: Uuid::now_v7(),
        lists: vec!["watchlist".into()],
        verdict: Verdict::Recognized {
            identity: who,
            name: Some(name.into()),
            external_id: Some("HR-1815".into()),
            stage: Stage::Confirmed,
        },
        publish: Publish::Name,
        score: Some(0.61),
        margin: Some(0.23),
        threshold: 0.42,
        threshold_origin: ThresholdOrigin::Model,
        asked: Asked::default(),
        looked: Duration::ZERO,
        shots: 3,
        agreeing: 3,
        quality: Some(0.87),
        captured: now,
        frames: vec![1, 2, 3],
        bbox: None,
        model: ModelId([7; 32]),
        generation: 1,
        index: IndexKind::Exact,
    };
    maker.decision(&decision, now).expect("it may be published")
}

/// By every command, without a daemon; also where an older gallery was put back, which has the key again.
#[test]
fn names_are_shown_while_people_are_enrolled_and_never_after() {
    let Some(var) = var() else { return };
    let site = Site::new(&var, CONFIG);
    let picture = var.join("images/obama.jpg");
    let enrolled = site.command("enroll").arg("Ada Lovelace").arg(picture).output().expect("it runs");
    assert!(enrolled.status.success(), "{}", errors(&enrolled));
    let people = json_lines(&site.command("gallery").args(["list", "--json"]).output().expect("it runs"));
    let who: IdentityId = people[0]["id"].as_str().expect("an id").parse().expect("an id");
    let (log, maker, clock) = log_of(&site);
    log.accept(recognized(&maker, &*clock, who, "Ada Lovelace")).expect("accepted");
    let dead = vec![(1, "410 Gone".to_owned())];
    assert!(log.reading().had(&Arc::from("file"), 1, dead));
    log.finish(Duration::from_secs(60)).expect("ended");

    let every = [
        "tail",
        "tail --json",
        "show 1",
        "show 1 --json",
        "export",
        "export --format csv",
        "sinks",
        "dead",
        "verify",
    ];
    let key = std::fs::read_to_string(site.folder.path().join("gallery.key")).expect("there");
    let secret = key.split_whitespace().max_by_key(|word| word.len()).expect("a key").to_owned();
    let named = |line: &str| {
        let output = events(&site, line);
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), errors(&output));
        assert_eq!(output.status.code(), Some(0), "{line}: {all}");
        assert!(!all.contains(&secret), "{line} shows the key");
        all.contains("Ada Lovelace") || all.contains("HR-1815")
    };
    for line in every {
        assert_eq!(named(line), !["sinks", "dead", "verify"].contains(&line), "{line}");
    }
    assert!(printed(&site, "tail --who HR-1815").contains("Ada Lovelace (watchlist)"));
    assert!(!printed(&site, "export --fields pseudonym").contains("Ada"));
    assert!(printed(&site, "dead").contains("410 Gone"));

    let gallery = site.folder.path().join("gallery.db");
    let before = std::fs::read(&gallery).expect("there");
    let forgot = site.command("gallery").args(["forget", "Ada Lovelace", "--yes"]).output().expect("it runs");
    assert!(forgot.status.success(), "{}", errors(&forgot));
    for line in every {
        assert!(!named(line), "{line} names who was forgotten");
    }
    assert!(printed(&site, "verify").contains("1 closed for good"));
    // The gallery of before is put back, with the key; the list of the forgotten is not.
    let mut beside = gallery.clone().into_os_string();
    beside.push("-wal");
    let _ = std::fs::remove_file(beside);
    std::fs::write(&gallery, before).expect("put back");
    for line in every {
        assert!(!named(line), "{line} names who was forgotten, by an older gallery");
    }

    // Without the key there is nothing to be read, and that is said.
    std::fs::rename(site.folder.path().join("gallery.key"), site.folder.path().join("elsewhere.key"))
        .expect("moved");
    refused(&site, "tail", 66, &["the gallery's key is missing", "--key-file"]);
    assert!(printed(&site, "tail --key-file elsewhere.key").contains("recognized"));
}
