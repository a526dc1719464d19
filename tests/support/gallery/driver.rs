//! A child that carries a script out on a gallery in its folder and tells in `acks` how far it is.
//!
//! ```text
//!   open                       the gallery is being opened
//!   failed open KIND: TEXT     it could not be
//!   begin N                    the N-th command is on its way
//!   ok N                       it is done, and must never be lost
//!   failed N old|new KIND: TEXT    it was refused, and the open gallery is in the state before or after it
//!   half N TEXT                it was refused, and the open gallery is in neither
//!   stopped                    a backup was noted in the log and could not be written: the script cannot go on
//!   end                        the script is done
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use watchlistd::base::error::Kind;
use watchlistd::gallery::Keeper;

use super::access::{carry_out, look, open};
use super::judge::agrees;
use super::model::{State, Step};

const CHILD: &str = "WATCHLISTD_TEST_CHILD";
/// Failures in a row after which the child gives up.
const PATIENCE: u32 = 3;

/// What the child is to do.
#[derive(Serialize, Deserialize)]
struct Plan {
    before: State,
    steps: Vec<(Step, State)>,
    aside: PathBuf,
    /// True if the gallery is closed at the end, false if the process just ends.
    closes: bool,
}

/// A script, and where it starts.
pub struct Job<'a> {
    pub before: &'a State,
    pub steps: &'a [(Step, State)],
    /// Outside the gallery's folder.
    pub aside: &'a Path,
    pub closes: bool,
}

impl Job<'_> {
    /// This program as a child that does it in `folder`.
    pub fn in_folder(&self, folder: &Path) -> Command {
        let plan = Plan {
            before: self.before.clone(),
            steps: self.steps.to_vec(),
            aside: self.aside.to_owned(),
            closes: self.closes,
        };
        let path = self.aside.join(format!("plan-{}", fastrand::u64(..)));
        std::fs::write(&path, serde_json::to_vec(&plan).expect("JSON")).expect("written");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(CHILD, path).current_dir(folder);
        command
    }

    /// The states that are possible where `acks` ends: before and after the command that was on its way.
    pub fn possible(&self, acks: &[String]) -> [&State; 2] {
        let done = acks.iter().filter_map(|line| line.strip_prefix("ok ")?.parse::<usize>().ok());
        let settled = acks.iter().filter_map(|line| {
            let mut words = line.strip_prefix("failed ")?.split(' ');
            let number = words.next()?.parse::<usize>().ok()?;
            (words.next() == Some("new")).then_some(number)
        });
        let next = done.chain(settled).max().map_or(0, |last| last + 1);
        let state = |number: usize| number.checked_sub(1).map_or(self.before, |at| &self.steps[at].1);
        [state(next), state((next + 1).min(self.steps.len()))]
    }

    /// What kind of command was on its way where `acks` ends.
    pub fn in_flight(&self, acks: &[String]) -> &'static str {
        match acks.last().and_then(|line| line.strip_prefix("begin ")) {
            Some(number) => self.steps[number.parse::<usize>().expect("a number")].0.kind(),
            None if acks.last().is_none_or(|line| line == "open") => "open",
            None => "between",
        }
    }
}

/// What the child in `folder` told, line by line.
pub fn acks(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("acks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn tell(what: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open("acks").expect("acks");
    file.write_all(format!("{what}\n").as_bytes()).expect("acks");
}

/// The child's work; nothing in a process that is none.
pub fn run_if_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let plan: Plan = serde_json::from_slice(&std::fs::read(path).expect("a plan")).expect("a plan");
    let Some(mut keeper) = open_patiently() else { return };
    for number in 0..plan.steps.len() {
        let Some(next) = step(&plan, number, keeper) else { return };
        keeper = next;
    }
    tell("end");
    if !plan.closes {
        std::process::exit(0);
    }
}

fn open_patiently() -> Option<Keeper> {
    for _ in 0..PATIENCE {
        tell("open");
        match open(Path::new(".")) {
            Ok(keeper) => return Some(keeper),
            Err(error) => tell(&format!("failed open {:?}: {}", error.kind(), error.chain())),
        }
    }
    None
}

/// Carries a step out, again if it was refused and changed nothing.
fn step(plan: &Plan, number: usize, mut keeper: Keeper) -> Option<Keeper> {
    let (step, after) = &plan.steps[number];
    let before = number.checked_sub(1).map_or(&plan.before, |at| &plan.steps[at].1);
    for _ in 0..PATIENCE {
        tell(&format!("begin {number}"));
        if *step == Step::Reopen {
            drop(keeper);
            keeper = open_patiently()?;
            tell(&format!("ok {number}"));
            return Some(keeper);
        }
        let Err(error) = carry_out(&mut keeper, step, &plan.aside) else {
            tell(&format!("ok {number}"));
            return Some(keeper);
        };
        assert!(error.kind() != Kind::Software && error.kind() != Kind::Usage, "{step:?}: {}", error.chain());
        let told = format!("{:?}: {}", error.kind(), error.chain());
        match settled(&mut keeper, before, after) {
            Ok(true) => {
                tell(&format!("failed {number} new {told}"));
                if *step == Step::Backup {
                    tell("stopped");
                    return None;
                }
                return Some(keeper);
            }
            Ok(false) => tell(&format!("failed {number} old {told}")),
            Err(wrong) => {
                tell(&format!("half {number} {told}; {wrong}"));
                return None;
            }
        }
    }
    None
}

/// Whether the open gallery is in the state after the command, which was refused; all its parts agree.
fn settled(keeper: &mut Keeper, before: &State, after: &State) -> Result<bool, String> {
    let held = look(keeper).map_err(|error| error.chain())?;
    let is_new = held == after.held && held != before.held;
    if !is_new && held != before.held {
        return Err(format!("{held:?}"));
    }
    agrees(keeper, if is_new { after } else { before })?;
    Ok(is_new)
}
