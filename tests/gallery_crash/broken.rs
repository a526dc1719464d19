//! Files that are cut short, emptied or gone: an error that says so, and nothing made anew in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use watchlistd::base::error::Kind;

use crate::faults::quick_folder;
use crate::gallery::access::{audit_problems, look, open};
use crate::gallery::driver::Job;
use crate::gallery::judge::judge;
use crate::gallery::model::{State, Step};

/// A gallery of ten people, each enrolled in a transaction of its own, and the states it went through.
fn gallery(closes: bool) -> (tempfile::TempDir, Vec<State>) {
    let folder = quick_folder();
    let mut states = vec![State::new()];
    let mut steps = Vec::new();
    for number in 1..=10 {
        let name = format!("Person {number}");
        let step = Step::Enrol { name, external_id: None, pending: false, picture: number * 100 };
        let after = states[states.len() - 1].after(&step);
        states.push(after.clone());
        steps.push((step, after));
    }
    let job = Job { before: &states[0], steps: &steps, aside: crate::aside(), closes };
    let output = job.in_folder(folder.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    fs::remove_file(folder.path().join("acks")).expect("removed");
    (folder, states)
}

/// All files but the lock, which says who was last.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable"));
    let named = entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()));
    let kept = named.filter(|(name, _)| !name.ends_with(".lock") && !name.ends_with("-shm"));
    let read = kept.map(|(name, path)| (name, fs::read(path).expect("readable")));
    // SQLite makes an empty log for whoever reads.
    read.filter(|(name, bytes)| !(name.ends_with("-wal") && bytes.is_empty())).collect()
}

/// It does not open, for a reason that an operator can act on, and stays as it is.
fn assert_refused(folder: &Path, what: &str) -> String {
    let before = files(folder);
    let error = open(folder).err().unwrap_or_else(|| panic!("{what}: opens"));
    let said = error.chain();
    assert!(matches!(error.kind(), Kind::Data | Kind::NoInput), "{what}: {said}");
    assert!(said.contains("gallery.db") && said.contains("restore"), "{what}: {said}");
    assert!(files(folder) == before, "{what}: something was written");
    said
}

#[test]
fn a_database_that_is_emptied_or_gone_is_not_made_anew() {
    let (folder, states) = gallery(true);
    let store = folder.path().join("gallery.db");
    let whole = fs::read(&store).expect("there");
    fs::write(&store, b"").expect("emptied");
    eprintln!("emptied: {}", assert_refused(folder.path(), "emptied"));
    fs::remove_file(&store).expect("removed");
    eprintln!("removed: {}", assert_refused(folder.path(), "removed"));
    assert!(!store.exists());
    fs::write(&store, whole).expect("put back");
    assert_eq!(judge(folder.path(), &[&states[10]]), Ok(0));
}

#[test]
fn a_database_that_is_cut_short_is_not_opened() {
    let (folder, states) = gallery(true);
    let store = folder.path().join("gallery.db");
    let whole = fs::read(&store).expect("there");
    let mut rng = fastrand::Rng::with_seed(3);
    let pages = (1..whole.len() / 4096).map(|page| page * 4096);
    let lengths: Vec<usize> = pages.chain((0..20).map(|_| rng.usize(1..whole.len()))).collect();
    for &length in &lengths {
        fs::write(&store, &whole[..length]).expect("cut");
        assert_refused(folder.path(), &format!("cut to {length} of {}", whole.len()));
    }
    eprintln!("{} lengths of a database cut short, none opens", lengths.len());
    fs::write(&store, whole).expect("put back");
    assert_eq!(judge(folder.path(), &[&states[10]]), Ok(0));
}

/// What was acknowledged is gone with the write-ahead log; nobody can bring it back, but the head kept beside it tells.
#[test]
fn a_write_ahead_log_that_is_cut_short_or_gone_is_found_by_the_audit() {
    let (folder, states) = gallery(false);
    let whole = files(folder.path());
    let log = &whole["gallery.db-wal"];
    let mut rng = fastrand::Rng::with_seed(4);
    let lengths: Vec<usize> = [0].into_iter().chain((0..30).map(|_| rng.usize(1..log.len()))).collect();
    let mut found_at = Vec::new();
    for &length in &lengths {
        let copy = quick_folder();
        whole.iter().for_each(|(name, bytes)| fs::write(copy.path().join(name), bytes).expect("copied"));
        restrict(copy.path());
        let log = copy.path().join("gallery.db-wal");
        match length {
            0 => fs::remove_file(log).expect("removed"),
            _ => {
                fs::File::options().write(true).open(log).and_then(|f| f.set_len(length as u64)).expect("cut")
            }
        }
        let mut keeper = match open(copy.path()) {
            Ok(keeper) => keeper,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Data, "{}", error.chain());
                assert!(error.chain().contains("restore"), "{}", error.chain());
                continue;
            }
        };
        let held = look(&mut keeper).expect("readable");
        let at =
            states.iter().position(|state| state.held == held).expect("one of the states it went through");
        let problems = audit_problems(&mut keeper).expect("readable");
        assert_eq!(problems.is_empty(), at == 10, "cut to {length}, back to {at}: {problems:?}");
        found_at.push(at);
    }
    assert!(found_at.iter().any(|&at| at < 10));
    eprintln!(
        "{} logs cut short; back to the states {found_at:?} of 10, told by the audit unless 10",
        lengths.len()
    );
}

#[test]
fn the_index_of_the_write_ahead_log_is_not_needed() {
    let (folder, states) = gallery(false);
    fs::remove_file(folder.path().join("gallery.db-shm")).expect("there");
    assert_eq!(judge(folder.path(), &[&states[10]]), Ok(0));
}

/// The head and the list of the forgotten are small files; without them the gallery goes on, and says what is missing.
#[test]
fn a_head_that_is_gone_is_told_and_written_anew() {
    let (folder, states) = gallery(true);
    fs::remove_file(folder.path().join("gallery.head")).expect("there");
    let told = judge(folder.path(), &[&states[10]]).expect_err("by who opens it");
    assert!(told.contains("missing"), "{told}");
    assert_eq!(judge(folder.path(), &[&states[10]]), Ok(0));
    assert!(folder.path().join("gallery.head").exists());
}

fn restrict(folder: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.join("gallery.key"), mode).expect("its mode");
}
