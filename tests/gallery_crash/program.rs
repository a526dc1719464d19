//! The program itself, with real models: commands are killed at named points, and other processes of it tell what is there.
//!
//! ```text
//!   a gallery of two ─copy─▶ `enroll`, `gallery forget`, ... ╳ killed ─▶ `gallery list`, `info`, `verify`, `audit show`, `verify`:
//!                                                                      the old state or the new, never half
//!                                       the command again, where it was not done ─▶ the new; `recognize` finds who is there
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::faults::points::{every_kill, kill_at, points_hit};
use crate::support::{Site, errors, json_lines, var, watchlistd};
use crate::{Table, long, points};

/// Where a backup takes the place of a damaged gallery, in order.
const REPLACING: [&str; 3] = ["replace.verified", "replace.cleared", "replace.placed"];

/// People, each with a picture of set-up.
const PEOPLE: [(&str, &str); 3] =
    [("Barack", "obama.jpg"), ("Joe", "biden.jpg"), ("Eileen", "astronaut.png")];
/// Kills in the short form.
const SHORT: usize = 20;

/// What the program tells of a gallery.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    /// Templates that are searched, by name.
    people: BTreeMap<String, u64>,
    /// Audit entries, by action, that were written for the operator.
    log: Vec<String>,
    model: String,
    master_key: String,
}

/// What a command does, and what the gallery is after it.
struct Task {
    name: &'static str,
    arguments: Vec<String>,
    /// Templates by name.
    people: BTreeMap<String, u64>,
    /// What it adds to the audit log.
    log: &'static [&'static str],
    model_changes: bool,
    key_changes: bool,
}

/// A gallery of Barack and Joe; what every copy of it uses is beside it.
struct Bench {
    var: PathBuf,
    base: Site,
    before: Told,
}

fn site(var: &Path) -> Site {
    let site = Site::new(var, "");
    let text = fs::read_to_string(&site.config).expect("a configuration");
    fs::write(&site.config, text.replace("[gallery]\n", "[gallery]\nkeep_crops = true\n")).expect("writable");
    site
}

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = watchlistd(arguments);
    command.arg("--config").arg(&site.config).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(site: &Site, arguments: &[&str]) -> Output {
    let output = command(site, arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    output
}

#[track_caller]
fn report(site: &Site, arguments: &[&str]) -> Value {
    json_lines(&run(site, arguments)).pop().unwrap_or_else(|| panic!("{arguments:?}: no report"))
}

fn picture(var: &Path, name: &str) -> String {
    let file = PEOPLE.iter().find(|(known, _)| *known == name).expect("one of them").1;
    var.join("images").join(file).display().to_string()
}

fn enrol(site: &Site, var: &Path, name: &str) {
    run(site, &["enroll", name, &picture(var, name)]);
}

/// Asks a fresh process each time. That nothing is wrong is a part of what it tells.
#[track_caller]
fn tell(site: &Site) -> Told {
    let people = json_lines(&run(site, &["gallery", "list", "--json"]));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let people = people.iter().map(|row| (text(&row["name"]), row["templates"].as_u64().expect("a count")));
    let people: BTreeMap<String, u64> = people.collect();
    for arguments in [["gallery", "verify", "--json"], ["audit", "verify", "--json"]] {
        let report = report(site, &arguments);
        assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{arguments:?}: {report}");
    }
    let entries = json_lines(&run(site, &["audit", "show", "--json"]));
    let by_operator = entries.iter().filter(|entry| entry["actor"] != "daemon");
    let info = report(site, &["gallery", "info", "--json"]);
    Told {
        people,
        log: by_operator.map(|entry| text(&entry["action"])).collect(),
        model: text(&info["model"]),
        master_key: text(&info["master_key"]),
    }
}

impl Bench {
    fn new(var: PathBuf) -> Self {
        let base = site(&var);
        enrol(&base, &var, "Barack");
        enrol(&base, &var, "Joe");
        let other = site(&var);
        enrol(&other, &var, "Eileen");
        run(&other, &["gallery", "export", "--out", &base.path("bundle")]);
        let trust = report(&other, &["gallery", "trust", "--json"]);
        run(&base, &["gallery", "trust", trust["own"].as_str().expect("a key"), "--label", "other"]);
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/models/mobilefacenet-512.toml");
        let text = fs::read_to_string(own).expect("a manifest");
        // The same network fed with the colours in the other order: another model, and still faces.
        let manifest = text.replace("order = \"bgr\"", "order = \"rgb\"");
        assert_ne!(text, manifest);
        fs::write(base.path("other.toml"), manifest).expect("writable");
        let before = tell(&base);
        assert_eq!(before.people, counts(&[("Barack", 1), ("Joe", 1)]));
        assert_eq!(before.log, ["enrolled", "enrolled", "trusted"]);
        Self { var, base, before }
    }

    fn tasks(&self) -> Vec<Task> {
        let task = |name, arguments: &[&str], people: &[(&str, u64)], log| Task {
            name,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            people: counts(people),
            log,
            model_changes: name == "switch",
            key_changes: name == "rotate",
        };
        let three = [("Barack", 1), ("Joe", 1), ("Eileen", 1)];
        let eileen = picture(&self.var, "Eileen");
        vec![
            task("enrol", &["enroll", "Eileen", &eileen], &three, &["enrolled"]),
            task("forget", &["gallery", "forget", "Joe", "--yes"], &[("Barack", 1)], &["forgotten"]),
            task(
                "import",
                &["gallery", "import", &self.base.path("bundle")],
                &three,
                &["imported", "enrolled"],
            ),
            task("rotate", &["gallery", "key", "rotate"], &[("Barack", 1), ("Joe", 1)], &["key-rotated"]),
            task(
                "switch",
                &["models", "switch", &self.base.path("other.toml"), "--yes"],
                &[("Barack", 1), ("Joe", 1)],
                &["model-changed"],
            ),
        ]
    }

    /// The gallery in a folder of its own.
    fn copy(&self) -> Site {
        let copy = site(&self.var);
        for entry in fs::read_dir(self.base.folder.path()).expect("a folder") {
            let entry = entry.expect("readable");
            if entry.file_name().to_string_lossy().starts_with("gallery.") {
                fs::copy(entry.path(), copy.folder.path().join(entry.file_name())).expect("copied");
            }
        }
        copy
    }

    /// True if the gallery is as after the command, false if as before.
    #[track_caller]
    fn is_new(&self, told: &Told, task: &Task) -> bool {
        if *told == self.before {
            return false;
        }
        let log = self.before.log.iter().map(String::as_str).chain(task.log.iter().copied());
        let changes = (told.model != self.before.model, told.master_key != self.before.master_key);
        assert_eq!(
            (&told.people, changes),
            (&task.people, (task.model_changes, task.key_changes)),
            "{told:?}"
        );
        assert_eq!(told.log, log.collect::<Vec<_>>());
        true
    }

    /// Searches, with the models that a start chooses, find who is there and nobody else.
    #[track_caller]
    fn recognises(&self, site: &Site, people: &BTreeMap<String, u64>) {
        let pictures = PEOPLE.map(|(name, _)| picture(&self.var, name));
        let found = json_lines(&run(site, &["recognize", &pictures[0], &pictures[1], &pictures[2]]));
        assert_eq!(found.len(), PEOPLE.len());
        for ((name, _), seen) in PEOPLE.iter().zip(found) {
            let expected = people.contains_key(*name).then_some(*name);
            assert_eq!(seen["faces"][0]["identity"]["name"].as_str(), expected, "{name}: {seen}");
        }
    }
}

fn counts(people: &[(&str, u64)]) -> BTreeMap<String, u64> {
    people.iter().map(|&(name, templates)| (name.to_owned(), templates)).collect()
}

fn carry_out(site: &Site, task: &Task) -> Command {
    let arguments: Vec<&str> = task.arguments.iter().map(String::as_str).collect();
    command(site, &arguments)
}

/// As many kills, spread evenly over the points and then over the commands.
fn spread(mut all: Vec<(usize, String, usize)>, many: usize) -> Vec<(usize, String, usize)> {
    let mut chosen: Vec<(usize, String, usize)> = Vec::new();
    while chosen.len() < many && !all.is_empty() {
        let rarity = |(task, point, _): &(usize, String, usize)| {
            let of_point = chosen.iter().filter(|(_, known, _)| known == point).count();
            (of_point, chosen.iter().filter(|(known, ..)| known == task).count())
        };
        let next = (0..all.len()).min_by_key(|&at| rarity(&all[at])).expect("some are left");
        chosen.push(all.remove(next));
    }
    chosen
}

#[test]
fn the_killed_program_leaves_the_old_state_or_the_new_by_its_own_reports() {
    let Some(var) = var() else { return };
    let bench = Bench::new(var);
    let tasks = bench.tasks();
    let mut kills = Vec::new();
    for (number, task) in tasks.iter().enumerate() {
        let site = bench.copy();
        let (hit, output) = points_hit(&mut carry_out(&site, task));
        assert!(output.status.success(), "{}: {}", task.name, errors(&output));
        assert!(bench.is_new(&tell(&site), task), "{}", task.name);
        kills.extend(every_kill(&hit).into_iter().map(|(point, nth)| (number, point, nth)));
    }
    let all = kills.len();
    let kills = spread(kills, if long() { all } else { SHORT });
    let (mut commands, mut states) = (Table::default(), Table::default());
    for (number, point, nth) in &kills {
        let task = &tasks[*number];
        let site = bench.copy();
        kill_at(&mut carry_out(&site, task), point, *nth);
        let told = tell(&site);
        let is_new = bench.is_new(&told, task);
        bench.recognises(&site, &told.people);
        if !is_new {
            let again = carry_out(&site, task).output().expect("it runs");
            assert!(again.status.success(), "{} after {point}:{nth}: {}", task.name, errors(&again));
            assert!(bench.is_new(&tell(&site), task), "{} after {point}:{nth}", task.name);
        }
        commands.count(point, task.name);
        states.count(point, if is_new { "new" } else { "old" });
    }
    commands.print(&format!("kills of the program at named points ({all} places), by command"));
    states.print("states that it tells after them");
    // Folders are enrolled under kills in `bulk_gallery`.
    let of_others = ["backup.", "restore.", "replace.", "enrol.examined"];
    let own = points().filter(|point| !of_others.iter().any(|prefix| point.starts_with(prefix)));
    let missed: Vec<_> = own.filter(|point| commands.row(point) == 0).collect();
    assert!(missed.is_empty(), "no kill at {missed:?}");
}

#[test]
fn a_kill_while_a_backup_takes_the_place_of_a_damaged_gallery_leaves_one_of_them() {
    let Some(var) = var() else { return };
    let bench = Bench::new(var);
    run(&bench.base, &["gallery", "backup", &bench.base.path("backup")]);
    let backup = bench.base.path("backup");
    // Somebody of the backup is forgotten after it was made.
    run(&bench.base, &["gallery", "forget", "Joe", "--yes"]);
    let restore = ["gallery", "restore", &backup, "--yes"];
    for point in REPLACING {
        let site = bench.copy();
        let store = site.path("gallery.db");
        let whole = fs::read(&store).expect("a gallery");
        fs::write(&store, &whole[..whole.len() / 2]).expect("cut short");
        let refused = command(&site, &["gallery", "list"]).output().expect("it runs");
        assert!(!refused.status.success(), "half of it opens");
        kill_at(&mut command(&site, &restore), point, 1);
        if point == "replace.placed" {
            // The gallery is there; that its log is another one was not accepted yet.
            run(&site, &["audit", "accept-head", "--yes"]);
        } else {
            let still = command(&site, &["gallery", "list"]).output().expect("it runs");
            assert!(!still.status.success(), "{point}: neither of them");
            run(&site, &restore);
        }
        assert_eq!(tell(&site).people, counts(&[("Barack", 1)]), "{point}");
        let kept = fs::read_dir(site.path("")).expect("a folder").filter_map(Result::ok);
        let damaged =
            kept.filter(|file| file.file_name().to_string_lossy().starts_with("gallery.db.damaged-"));
        assert!(damaged.count() > 0, "{point}: what was damaged is kept");
    }
}
