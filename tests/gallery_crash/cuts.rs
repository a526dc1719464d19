//! Power cuts: everything that was acknowledged is there, the command in flight wholly or not at all.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::faults::journal::{PowerCut, Record};
use crate::faults::{Journal, Recording, quick_folder};
use crate::gallery::driver::Job;
use crate::gallery::judge::judge;
use crate::gallery::model::{State, Step};
use crate::gallery::script::Script;
use crate::{Table, aside, every_kind, how_many};

/// What cuts through a script did.
#[derive(Default)]
struct Outcome {
    table: Table,
    harm: Vec<String>,
}

/// Runs the script in a folder that holds only a master key.
fn recorded(job: &Job<'_>, synchronous: &str) -> Journal {
    let folder = quick_folder();
    // The key comes to its name by a call that the shim does not see; what a cut does to it, is durable.rs's to prove.
    let first = quick_folder();
    drop(crate::gallery::access::open(first.path()).expect("a gallery"));
    std::fs::copy(first.path().join("gallery.key"), folder.path().join("gallery.key")).expect("a key");
    restrict(folder.path());
    let recording = Recording::of(folder.path());
    let output = recording.run(job.in_folder(folder.path()).env("WATCHLISTD_SYNCHRONOUS", synchronous));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let journal = recording.finish();
    eprintln!("synchronous={synchronous}: {} records, {} syncs", journal.records().len(), journal.syncs());
    journal
}

fn judged<'a>(job: &Job<'_>, cuts: impl Iterator<Item = PowerCut<'a>>) -> Outcome {
    let mut outcome = Outcome::default();
    for cut in cuts {
        let told = lines(&cut);
        let after = quick_folder();
        cut.write_to(after.path());
        restrict(after.path());
        match judge(after.path(), &job.possible(&told)) {
            Ok(found) => outcome.table.count(job.in_flight(&told), if found == 0 { "old" } else { "new" }),
            Err(wrong) => outcome.harm.push(format!("{cut:?}, after {:?}: {wrong}", told.last())),
        }
    }
    outcome
}

fn lines(cut: &PowerCut<'_>) -> Vec<String> {
    cut.acknowledged().iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

/// The model of the disk has no modes.
fn restrict(folder: &Path) {
    for key in ["gallery.key", "gallery.key.next"].map(|name| folder.join(name)) {
        if key.exists() {
            std::fs::set_permissions(key, Permissions::from_mode(0o600)).expect("its mode");
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let start = State::new();
    let cuts = how_many("WATCHLISTD_CUTS", 200);
    let job = Job { before: &start, steps: every_kind(), aside: aside(), closes: false };
    let outcome = judged(&job, recorded(&job, "full").cuts(11, cuts / 2));
    outcome.table.print("power cuts in the script with every command");
    assert!(outcome.harm.is_empty(), "{} cuts did harm: {:#?}", outcome.harm.len(), outcome.harm);
    for seed in [12, 13] {
        let steps = Script::new(seed, State::new(), 0).take(40);
        let job = Job { before: &start, steps: &steps, aside: aside(), closes: true };
        let outcome = judged(&job, recorded(&job, "full").cuts(seed, cuts / 4));
        outcome.table.print(&format!("power cuts in script {seed}"));
        assert!(outcome.harm.is_empty(), "{} cuts did harm: {:#?}", outcome.harm.len(), outcome.harm);
    }
}

/// The cuts are cruel enough: the same test fails where SQLite does not wait for the disk.
#[test]
fn without_synchronisation_power_cuts_are_seen_to_lose_what_was_acknowledged() {
    let start = State::new();
    let steps = Script::new(14, State::new(), 0).take(30);
    let job = Job { before: &start, steps: &steps, aside: aside(), closes: false };
    let outcome = judged(&job, recorded(&job, "off").cuts(14, 60));
    eprintln!("synchronous=off: {} of 60 cuts do harm", outcome.harm.len());
    assert!(!outcome.harm.is_empty(), "no cut of 60 lost anything");
}

/// The list of the forgotten is a file of its own: torn in whatever way, it must neither lose anybody nor keep the gallery shut.
#[test]
fn a_power_cut_while_somebody_is_put_on_the_list_of_the_forgotten_harms_nothing() {
    let start = State::new();
    let mut script = Script::new(15, State::new(), 0);
    let mut steps: Vec<_> = (0..16).map(|_| script.newcomer()).collect();
    let names = (1..=16).map(|n| Step::Forget { name: format!("Person {n}") });
    steps.extend(names);
    let mut state = State::new();
    let steps: Vec<_> = steps
        .into_iter()
        .map(|step| {
            state = state.after(&step);
            (step, state.clone())
        })
        .collect();
    let job = Job { before: &start, steps: &steps, aside: aside(), closes: false };
    let journal = recorded(&job, "full");
    // Who, the tag of an external id or none, when, and which templates.
    let is_line = |data: &[u8]| {
        let text =
            std::str::from_utf8(data).ok().and_then(|text| text.strip_suffix('\n')).unwrap_or_default();
        let words: Vec<&str> = text.split(' ').collect();
        words.len() > 2 && words[0].len() == 36 && words[1] == "-" && words[2].ends_with('Z')
    };
    let writes = journal.records().iter().enumerate().filter_map(|(at, record)| match record {
        Record::Write { data, .. } if is_line(data) => Some(at + 1),
        _ => None,
    });
    let writes: Vec<usize> = writes.collect();
    assert_eq!(writes.len(), 16, "a write for each of the forgotten");
    let each = how_many("WATCHLISTD_CUTS", 200) as u64 / 20;
    let cuts = writes.iter().flat_map(|&at| (0..each).map(move |seed| (at, seed)));
    let outcome = judged(&job, cuts.map(|(at, seed)| journal.cut(at, seed)));
    outcome.table.print("power cuts while the list of the forgotten is written");
    assert!(outcome.harm.is_empty(), "{} cuts did harm: {:#?}", outcome.harm.len(), outcome.harm);
}
