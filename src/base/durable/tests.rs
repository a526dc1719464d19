use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::base::error::Kind;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// Everything in the folder, by name.
fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_file_is_written_with_its_mode_and_nothing_is_left_beside_it() {
    let folder = folder();
    let path = folder.path().join("head");
    for (content, wanted) in [("first", 0o600), ("the second", 0o400), ("", 0o600)] {
        write(&path, content.as_bytes(), wanted).expect("written");
        assert_eq!((fs::read_to_string(&path).expect("text"), mode(&path)), (content.to_owned(), wanted));
    }
    assert_eq!(entries(folder.path()), ["head"]);
}

#[test]
fn the_old_file_is_replaced_and_not_written_into() {
    let folder = folder();
    let path = folder.path().join("key");
    write(&path, b"old", 0o600).expect("written");
    let old = File::open(&path).expect("open");
    write(&path, b"new", 0o600).expect("written");
    assert_ne!(old.metadata().expect("old").ino(), fs::metadata(&path).expect("new").ino());
    assert_eq!(io::read_to_string(old).expect("text"), "old", "who has it open still sees all of it");
}

#[test]
fn a_write_that_fails_half_way_leaves_the_old_content_and_no_temporary() {
    let folder = folder();
    let path = folder.path().join("head");
    write(&path, b"the old content", 0o600).expect("written");
    let error = put(&path, 0o600, Existing::Replaced, |file| {
        file.write_all(b"the new con")?;
        Err(io::Error::from(rustix::io::Errno::NOSPC))
    })
    .expect_err("the disk is full");
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(fs::read(&path).expect("there"), b"the old content");
    assert_eq!(entries(folder.path()), ["head"]);
}

#[test]
fn a_file_in_a_missing_folder_and_one_over_a_folder_are_refused_by_name() {
    let folder = folder();
    let path = folder.path().join("none/head");
    for error in [write(&path, b"x", 0o600), create(&path, b"x", 0o600)].map(|r| r.expect_err("no folder")) {
        assert_eq!(error.kind(), Kind::CannotCreate);
        assert!(
            error.to_string().contains("none/head") && error.to_string().contains("is not there"),
            "{error}"
        );
    }
    let inner = folder.path().join("folder");
    fs::create_dir(&inner).expect("made");
    let error = write(&inner, b"x", 0o600).expect_err("a folder is there");
    assert_eq!(error.kind(), Kind::CannotCreate, "{}", error.chain());
    assert_eq!(entries(folder.path()), ["folder"]);
    assert_eq!(write(Path::new("/"), b"x", 0o600).expect_err("no name").kind(), Kind::CannotCreate);
}

#[test]
fn each_cause_has_its_kind() {
    use rustix::io::Errno;
    let cases = [
        (Errno::NOSPC, Kind::Io, "the disk is full"),
        (Errno::DQUOT, Kind::Io, "the disk is full"),
        (Errno::ACCESS, Kind::Permission, "cannot write a/b"),
        (Errno::ROFS, Kind::CannotCreate, "read-only"),
        (Errno::NOENT, Kind::CannotCreate, "its folder a is not there"),
        (Errno::NOTDIR, Kind::CannotCreate, "its folder a is not there"),
        (Errno::IO, Kind::Io, "cannot write a/b"),
    ];
    for (cause, kind, words) in cases {
        let error = failed("write", Path::new("a/b"), cause.into());
        assert_eq!(error.kind(), kind, "{cause:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_there_is_never_replaced_by_create() {
    let folder = folder();
    let path = folder.path().join("gallery.key");
    create(&path, b"the key", 0o600).expect("new");
    let error = create(&path, b"another", 0o600).expect_err("it is there");
    assert_eq!(error.kind(), Kind::CannotCreate);
    assert_eq!((fs::read(&path).expect("there"), mode(&path)), (b"the key".to_vec(), 0o600));
    let link = folder.path().join("link");
    symlink("nowhere", &link).expect("linked");
    assert!(create(&link, b"x", 0o600).is_err(), "a link that leads nowhere is there as well");
    assert_eq!(entries(folder.path()), ["gallery.key", "link"]);
}

#[test]
fn a_killed_writer_s_temporary_is_taken_away_and_a_living_one_s_is_not() {
    let folder = folder();
    let path = folder.path().join("head");
    let leftover = folder.path().join(".head.new");
    fs::write(&leftover, b"half of it").expect("written");
    write(&path, b"whole", 0o600).expect("over the leftover");
    assert_eq!(entries(folder.path()), ["head"]);

    let living = Temporary::beside(&path, 0o600).expect("first");
    let error = write(&path, b"second", 0o600).expect_err("the first is at it");
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(leftover.exists(), "the living one's stays");
    drop(living);
    write(&path, b"second", 0o600).expect("the first is gone");
    assert_eq!(fs::read(&path).expect("there"), b"second");

    symlink(folder.path().join("elsewhere"), &leftover).expect("linked");
    write(&path, b"third", 0o600).expect("a link is a leftover as well");
    assert_eq!(entries(folder.path()), ["head"], "and nothing was written where it leads");
}

#[test]
fn cleaning_up_takes_a_killed_writer_s_temporary_away_and_nothing_else() {
    let folder = folder();
    let path = folder.path().join("head");
    clean_up(&path);
    for name in ["head", ".head.new", ".head.new.old", "head.new", ".tail.new"] {
        fs::write(folder.path().join(name), name).expect("written");
    }
    clean_up(&path);
    let others = [".head.new.old", ".tail.new", "head", "head.new"];
    assert_eq!(entries(folder.path()), others);
    let living = Temporary::beside(&path, 0o600).expect("a writer");
    clean_up(&path);
    assert!(living.path.exists(), "a living writer's stays");
    drop(living);
    assert_eq!(entries(folder.path()), others);
    // Neither is worth a panic.
    clean_up(Path::new("/"));
    clean_up(&folder.path().join("none/head"));
}

/// Of many writers at once each either writes all of its content or says to try again; never a mixture.
#[test]
fn writers_at_the_same_time_never_mix() {
    let folder = folder();
    let path = folder.path().join("head");
    let wrote: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u8)
            .map(|n| {
                let path = &path;
                scope.spawn(move || {
                    let write = |_: &u8| match write(path, &vec![b'a' + n; 5000], 0o600) {
                        Ok(()) => true,
                        Err(e) if e.kind() == Kind::Temporary => false,
                        Err(e) => panic!("{}", e.chain()),
                    };
                    (0..50).filter(write).count()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
    });
    let content = fs::read(&path).expect("there");
    assert!(wrote > 0 && content.len() == 5000 && content.iter().all(|byte| *byte == content[0]));
    assert_eq!(entries(folder.path()), ["head"]);
}

#[test]
fn a_rename_takes_the_place_of_what_was_there() {
    let folder = folder();
    let (from, to) = (folder.path().join("key.next"), folder.path().join("key"));
    write(&to, b"old", 0o600).expect("written");
    write(&from, b"new", 0o600).expect("written");
    rename(&from, &to).expect("renamed");
    assert_eq!(fs::read(&to).expect("there"), b"new");
    assert!(rename(&from, &to).is_err(), "it is gone");
    assert_eq!(entries(folder.path()), ["key"]);
}

#[test]
fn root_leaves_files_to_those_whose_they_were() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let folder = folder();
    std::os::unix::fs::chown(folder.path(), Some(61184), Some(61185)).expect("given away");
    let path = folder.path().join("key");
    let owner = || fs::metadata(&path).map(|m| (m.uid(), m.gid())).expect("there");
    write(&path, b"by root", 0o600).expect("written");
    assert_eq!(owner().0, 0);
    hand_over(&path).expect("handed over");
    assert_eq!(owner(), (61184, 61185));
    write(&path, b"by root again", 0o600).expect("written");
    assert_eq!((owner(), mode(&path)), ((61184, 61185), 0o600));
}

#[test]
fn only_a_file_of_its_own_is_handed_over() {
    let folder = folder();
    let (theirs, link) = (folder.path().join("theirs"), folder.path().join("link"));
    fs::write(&theirs, "x").expect("written");
    let put: [fn(&Path, &Path); 2] = [
        |theirs, link| std::os::unix::fs::symlink(theirs, link).expect("linked"),
        |theirs, link| fs::hard_link(theirs, link).expect("linked"),
    ];
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(folder.path(), Some(7654), Some(7654)).expect("root may");
    }
    for put in put {
        put(&theirs, &link);
        assert_eq!(hand_over(&link).is_err(), root, "others have nothing to hand over");
        let owner = fs::metadata(&theirs).expect("there").uid();
        assert_eq!(owner == 0, root, "it is whose it was");
        fs::remove_file(&link).expect("there");
    }
}
