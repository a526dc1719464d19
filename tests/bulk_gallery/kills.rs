//! Kills in the middle of a folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use watchlistd::base::clock::SystemClock;
use watchlistd::config;
use watchlistd::gallery::Keeper;
use watchlistd::gallery::command::{Actor, Command, Desk, MOST_OFFERS, Reply, Who};
use watchlistd::gallery::keeper::{Opening, Own};
use watchlistd::gallery::lock::Holder;
use watchlistd::gallery::report::{Description, Person, Portrait};

use super::album::Album;
use super::support::{Running, Site, json_lines, var, wait_for};
use super::{enroll, last_word};

/// Most pictures that are looked at and not stored when a kill comes: all that may wait in the run.
const WINDOW: usize = watchlistd::gallery::enrol::bulk::WINDOW;
/// Where the program kills itself; otherwise it is killed from outside.
const POINTS: [&str; 6] =
    ["enrol.examined", "commit.begun", "commit.rows", "commit.audited", "commit.done", "commit.head"];

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}

#[test]
fn a_folder_is_enrolled_once_and_whole_however_often_the_program_is_killed() {
    let Some(var) = var() else { return };
    let (pictures, kills) = (number("WATCHLISTD_BULK", 60), number("WATCHLISTD_BULK_KILLS", 3));
    let people = (pictures / 100).max(6);
    let seed = number("WATCHLISTD_SEED", fastrand::usize(..1_000_000));
    eprintln!("WATCHLISTD_SEED={seed}");
    let album = Album::new(&var, people, pictures / people);
    let mut trial = Trial::new(&var, &album, people * (pictures / people), seed as u64);
    for kill in 0..kills {
        // What is left is shared out among the kills that are to come.
        let share = (trial.total - trial.stored) / (kills - kill + 1);
        if share > 0 {
            trial.killed(share);
        }
    }
    trial.finished();
    trial.everything_is_there_once();
}

/// A gallery that is being filled.
struct Trial<'a> {
    site: Site,
    album: &'a Album,
    total: usize,
    rng: fastrand::Rng,
    /// Templates in the gallery.
    stored: usize,
    /// Pictures that were decoded, detected and embedded.
    looked_at: usize,
    kills: BTreeMap<&'static str, usize>,
}

impl<'a> Trial<'a> {
    fn new(var: &Path, album: &'a Album, total: usize, seed: u64) -> Self {
        let (site, rng) = (Site::new(var, ""), fastrand::Rng::with_seed(seed));
        Self { site, album, total, rng, stored: 0, looked_at: 0, kills: BTreeMap::new() }
    }

    fn command(&self) -> std::process::Command {
        let mut command = enroll(&self.site, self.album.root());
        command.arg("--json").env("WATCHLISTD_POINTS", self.site.path("points"));
        command
    }

    /// Runs it and kills it when some of the next `share` pictures are done.
    fn killed(&mut self, share: usize) {
        let pictures = self.rng.usize(1..=share);
        let point = POINTS.get(self.rng.usize(..2 * POINTS.len())).copied();
        let said = match point {
            Some(point) => {
                // A commit takes one to MOST_OFFERS pictures.
                let hits = if point == "enrol.examined" { pictures } else { pictures.div_ceil(MOST_OFFERS) };
                let output = self
                    .command()
                    .env("WATCHLISTD_KILL_AT", format!("{point}:{hits}"))
                    .output()
                    .expect("it runs");
                assert_eq!(output.status.signal(), Some(9), "{point}:{hits}: {}", last_word(&output));
                output.stdout
            }
            // Those that are there are reported too.
            None => self.killed_after(self.stored + pictures),
        };
        *self.kills.entry(point.unwrap_or("from outside")).or_default() += 1;
        self.account(&said);
    }

    /// Kills it from outside once it has printed so many reports; what it printed until it was dead.
    fn killed_after(&self, reports: usize) -> Vec<u8> {
        let path = self.site.path("reports");
        let mut running =
            Running::start_printing_to(self.command(), File::create(&path).expect("a writable folder"));
        let (mut printed, mut said) = (File::open(&path).expect("there"), Vec::new());
        let mut lines = 0;
        wait_for("enough to be reported", || {
            let over = running.exited().is_some();
            let before = said.len();
            printed.read_to_end(&mut said).expect("readable");
            lines += said[before..].iter().filter(|&&byte| byte == b'\n').count();
            (over || lines >= reports).then_some(())
        });
        running.kill();
        printed.read_to_end(&mut said).expect("readable");
        said
    }

    /// What a run left, beside what it said.
    fn account(&mut self, said: &[u8]) {
        // The last line may be half a one.
        let lines = said.split(|&byte| byte == b'\n');
        let said: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let enrolled = said.iter().filter(|report| report["outcome"] == "enrolled").count();
        assert!(said.iter().all(|report| report["outcome"] != "refused"), "{said:?}");
        let before = self.stored;
        self.stored = self.templates();
        let new = self.stored - before;
        assert!(enrolled <= new, "{enrolled} were reported, {new} are there");
        assert!(new <= enrolled + MOST_OFFERS, "{new} are there, and only {enrolled} were reported");
        let looked_at = self.take_points();
        assert!(looked_at >= new && looked_at <= new + WINDOW, "{looked_at} were looked at for {new}");
        self.looked_at += looked_at;
    }

    /// How many pictures the last run looked at.
    fn take_points(&self) -> usize {
        let path = self.site.path("points");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        text.lines().filter(|line| *line == "enrol.examined").count()
    }

    /// Runs it to its end, and once more.
    fn finished(&mut self) {
        let there = self.stored;
        let output = self.command().output().expect("it runs");
        assert!(output.status.success(), "{}", super::support::errors(&output));
        let left = self.total - there;
        assert_eq!(last_word(&output), format!("{left} enrolled, {there} already there, 0 refused"));
        assert_eq!(json_lines(&output).len(), self.total);
        self.account(&output.stdout);
        let again = self.command().output().expect("it runs");
        assert_eq!(last_word(&again), format!("0 enrolled, {} already there, 0 refused", self.total));
        assert_eq!(self.take_points(), 0, "nothing is looked at again");
        let (looked_at, total) = (self.looked_at, self.total);
        eprintln!(
            "{total} pictures, {} kills {:?}: {looked_at} looked at, {} of them more than once ({:.2} %)",
            self.kills.values().sum::<usize>(),
            self.kills,
            looked_at - total,
            (looked_at - total) as f64 / total as f64 * 100.0
        );
    }

    fn desk(&self) -> Own {
        let config = config::Gallery {
            path: self.site.folder.path().join("gallery.db"),
            ..config::Config::default().gallery
        };
        let clock = Arc::new(SystemClock::new());
        let opening = Opening::configured(&config, None, Holder::this("test", None), clock);
        let (keeper, _) = Keeper::open(opening, Box::new(drop)).expect("a gallery");
        Own::new(keeper, Actor("test".to_owned()))
    }

    fn templates(&self) -> usize {
        if !self.site.folder.path().join("gallery.db").exists() {
            return 0;
        }
        let about: Description = ask(&mut self.desk(), Command::Describe);
        about.templates.values().sum::<u64>() as usize
    }

    /// Each file's template, once, with whom it belongs to; and an entry of the audit log for each.
    fn everything_is_there_once(&self) {
        let mut desk = self.desk();
        let people: Vec<Person> = ask(&mut desk, Command::List { list: None, standing: None, text: None });
        let found: BTreeMap<String, Vec<String>> = people
            .iter()
            .map(|person| {
                let shown: Portrait = ask(&mut desk, Command::Show { who: Who(person.id.to_string()) });
                let mut sources: Vec<String> = shown.stored.into_iter().map(|t| t.source.sha256).collect();
                sources.sort();
                (person.record.name.to_string(), sources)
            })
            .collect();
        assert_eq!(people.len(), found.len(), "nobody is there twice");
        assert!(found == self.album.people, "what is there is not what was in the folder");
        drop(desk);
        for (action, count) in [("enrolled", people.len()), ("template-added", self.total - people.len())] {
            let output = self.site.run("audit", &["show", "--json", "--action", action]);
            assert_eq!(json_lines(&output).len(), count, "{action}: {}", super::support::errors(&output));
        }
        for (verb, what) in [("audit", &["verify"][..]), ("gallery", &["verify"])] {
            let output = self.site.run(verb, what);
            assert!(output.status.success(), "{verb} verify: {}", super::support::errors(&output));
        }
    }
}

fn ask<T: serde::de::DeserializeOwned>(desk: &mut Own, command: Command) -> T {
    let Reply { value, .. } = desk.ask(command, Vec::new(), &mut |_| {}).expect("an answer");
    serde_json::from_value(value).expect("the command's report")
}
