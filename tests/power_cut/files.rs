//! Small files: ways to replace one, and the shim's eye for everything that the standard library does to files.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::faults::journal::Record;
use super::faults::{Recording, quick_folder, record};
use super::{assert_success, child_that};

fn tell(what: u32) {
    let mut file = OpenOptions::new().create(true).append(true).open("acks").expect("acks");
    file.write_all(what.to_string().as_bytes()).expect("acks");
}

/// The child: twenty versions of a file, each acknowledged, written in the way of that name.
pub fn replace(way: &str) {
    for version in 1..=20 {
        let text = format!("version {version} {}", "x".repeat(3000));
        if way == "in place" {
            let mut file = File::create("head").expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            file.sync_all().expect("synced");
        } else {
            let mut file = File::create("head.new").expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            if way != "without sync of the file" {
                file.sync_all().expect("synced");
            }
            fs::rename("head.new", "head").expect("renamed");
            if way != "without sync of the folder" {
                File::open(".").and_then(|folder| folder.sync_all()).expect("synced");
            }
        }
        tell(version);
    }
}

/// In 200 cuts: how often an acknowledged version is gone, and how often the file is not any version as a whole.
fn losses(way: &str) -> (usize, usize) {
    let folder = quick_folder();
    let (journal, output) = record(&mut child_that(&format!("files {way}"), folder.path()), folder.path());
    assert_success(&output);
    let (mut lost, mut torn) = (0, 0);
    for cut in journal.cuts(3, 200) {
        let told: u32 = cut.acknowledged().last().map_or(0, |text| text.parse().expect("a number"));
        let tree = cut.tree();
        let text = tree.get(Path::new("head")).map(|bytes| bytes.clone().expect("a file"));
        let version = text.as_deref().map(|text| {
            let text = String::from_utf8_lossy(text).into_owned();
            let whole = text.len() > 3000 && text.ends_with(&"x".repeat(3000));
            whole.then(|| text.split(' ').nth(1)?.parse::<u32>().ok()).flatten()
        });
        match version {
            Some(None) => torn += 1,
            Some(Some(version)) => lost += usize::from(version < told),
            None => lost += usize::from(told > 0),
        }
    }
    eprintln!("{way}: of 200 cuts {lost} lose an acknowledged version, {torn} leave a torn file");
    (lost, torn)
}

#[test]
fn a_small_file_survives_only_when_it_and_its_folder_are_synced() {
    assert_eq!(losses("right"), (0, 0));
    let (lost, torn) = losses("without sync of the folder");
    assert!(lost > 0 && torn == 0, "{lost} {torn}");
    let (_, torn) = losses("without sync of the file");
    assert!(torn > 0);
    let (_, torn) = losses("in place");
    assert!(torn > 0);
}

/// The child: everything that the standard library can do to files and their names.
pub fn do_everything() {
    fs::create_dir_all("a/b/c").expect("folders");
    fs::write("a/plain", b"one two three").expect("written");
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open("a/b/file").expect("new");
    file.write_all(&[7; 10_000]).expect("written");
    assert!(
        file.write_vectored(&[IoSlice::new(b"several "), IoSlice::new(b"pieces")]).is_ok_and(|n| n == 14)
    );
    file.seek(SeekFrom::Start(5)).expect("seek");
    file.write_all(b"after a seek").expect("written");
    file.write_all_at(b"at a place", 20_000).expect("written");
    file.try_clone().expect("a second fd").write_all(b"through another fd").expect("written");
    file.set_len(15_000).expect("shorter");
    file.set_len(16_000).expect("longer");
    file.sync_data().expect("synced");
    file.sync_all().expect("synced");
    let mut log = OpenOptions::new().create(true).append(true).open("log").expect("new");
    log.write_all(b"one\n").expect("written");
    log.write_all_at(b"two\n", 0).expect("appended, whatever the place");
    fs::rename("a/b/file", "a/c").expect("renamed");
    file.write_all_at(b"open across a rename", 3).expect("written");
    fs::hard_link("a/c", "a/second").expect("linked");
    fs::copy("a/c", "a/copy").expect("copied");
    fs::rename("a", "moved").expect("a folder renamed");
    fs::write("moved/plain", b"written over").expect("written");
    fs::write("moved/b/below a renamed folder", b"new").expect("written");
    fs::remove_file("moved/second").expect("removed");
    fs::write("gone", b"content").expect("written");
    let gone = File::options().write(true).open("gone").expect("open");
    fs::remove_file("gone").expect("removed");
    gone.write_all_at(b"without a name", 0).expect("written");
    fs::write("gone", b"another file of that name").expect("written");
    File::create("gone").expect("empty again").write_all(b"short").expect("written");
    fs::create_dir_all("tree/x/y").expect("folders");
    fs::write("tree/x/y/z", b"").expect("written");
    fs::remove_dir_all("tree").expect("removed");
    File::open("moved").and_then(|folder| folder.sync_all()).expect("a folder synced");
    all_at_once();
    // And what is none of the shim's business.
    fs::write(std::env::temp_dir().join(format!("faults-outside-{}", std::process::id())), b"outside")
        .expect("written");
    fs::remove_file(std::env::temp_dir().join(format!("faults-outside-{}", std::process::id())))
        .expect("removed");
}

/// Several threads append to one file, and write to the same bytes of another: in which order, the journal has to know.
pub fn all_at_once() {
    let appended = OpenOptions::new().create(true).append(true).open("appended").expect("a file");
    let contested =
        OpenOptions::new().create(true).truncate(false).write(true).open("contested").expect("a file");
    let one = |thread: u8| {
        for round in 0..100 {
            (&appended).write_all(&[thread; 10]).expect("written");
            contested.write_all_at(&[thread, round], u64::from(round % 3)).expect("written");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|thread| drop(scope.spawn(move || one(thread)))));
}

#[test]
fn threads_and_programs_at_once_are_journalled_in_the_order_of_the_disk() {
    let folder = quick_folder();
    let recording = Recording::of(folder.path());
    let start =
        |_| recording.watch(&mut child_that("files at once", folder.path())).spawn().expect("it starts");
    for mut child in [1, 2, 3].map(start) {
        assert!(child.wait().expect("a child").success());
    }
    recording.finish();
}

#[test]
fn the_shim_sees_everything_that_the_standard_library_does() {
    sees_everything(quick_folder());
    // And where inode numbers are used again, as they are not in memory.
    sees_everything(tempfile::tempdir().expect("a folder"));
}

fn sees_everything(folder: tempfile::TempDir) {
    fs::create_dir(folder.path().join("old")).expect("a folder");
    fs::write(folder.path().join("old/content"), b"from before").expect("written");
    // Compares the journal, played from the start, with the folder.
    let (journal, output) = record(&mut child_that("files all", folder.path()), folder.path());
    assert_success(&output);
    assert_eq!(journal.syncs(), 3);
    let writes = |r: &&Record| matches!(r, Record::Write { .. });
    assert!(journal.records().iter().filter(writes).count() > 15);
}

/// The child: a write by a system call of its own, past libc.
pub fn write_behind_the_shim() {
    let file = File::create("unseen").expect("a file");
    rustix::io::write(&file, b"past libc").expect("written");
}

#[test]
#[should_panic = "the shim missed a write to unseen"]
fn what_the_shim_cannot_see_is_found_and_not_taken_for_durable() {
    let folder = quick_folder();
    record(&mut child_that("files behind", folder.path()), folder.path());
}

#[test]
fn acknowledgements_stand_in_the_journal_where_they_were_given() {
    let folder = quick_folder();
    let recording = Recording::of(folder.path());
    let shell = |script: &str| {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(folder.path()).env("WATCHLISTD_SHIM_STDOUT", "1");
        assert_success(&recording.run(&mut command));
    };
    shell("printf first; : > one; printf second > acks");
    recording.acknowledge("third");
    shell(": > two; printf fourth");
    let journal = recording.finish();
    let told = |after| journal.cut(after, 0).acknowledged();
    assert_eq!(told(journal.records().len()), ["first", "second", "third", "fourth"]);
    // first, one, second, third, two, fourth
    assert_eq!(told(2), ["first"]);
    assert_eq!(told(5), ["first", "second", "third"]);
}
