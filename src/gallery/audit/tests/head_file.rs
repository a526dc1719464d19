//! The head beside the store: found when it is tampered with, and only ever moved forward.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::base::error::Kind;

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    Place { path: folder.path().join("gallery.head"), _folder: folder }
}

fn now() -> Timestamp {
    time("2026-03-01T12:00:00Z")
}

/// What opening a gallery does.
fn open(place: &Place, rows: &[Row]) -> (HeadFile, HeadState) {
    let mut file = HeadFile::new(&place.path, key(1));
    let last = Chain::resume(key(1), rows.last()).head();
    let mac_at = |sequence: u64| rows.iter().find(|row| row.sequence == sequence).map(|row| row.mac);
    let state = compare(file.read().expect("read"), mac_at, last);
    file.settle(&state, last, now()).expect("settled");
    (file, state)
}

#[test]
fn it_follows_the_log_and_catches_up_after_a_kill_between_commit_and_head() {
    let (place, rows) = (place(), log(9));
    let (mut file, state) = open(&place, &[]);
    assert_eq!(state, HeadState::Fresh);
    assert_eq!(file.read().expect("read"), Some(Head::start(&key(1))));
    for row in &rows[..5] {
        file.advance(head_of(row), now()).expect("advanced");
    }
    assert_eq!(file.read().expect("read"), Some(head_of(&rows[4])));
    let mode = fs::metadata(&place.path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(
        fs::read_dir(place.path.parent().expect("a folder")).expect("read").count(),
        1,
        "nothing is left beside"
    );

    assert_eq!(open(&place, &rows[..5]).1, HeadState::Same);
    assert_eq!(open(&place, &rows).1, HeadState::Behind { by: 4 });
    assert_eq!(open(&place, &rows).1, HeadState::Same);
}

#[test]
fn it_never_goes_back() {
    let (place, rows) = (place(), log(9));
    let (mut file, _) = open(&place, &rows);
    let back = file.advance(head_of(&rows[3]), now()).expect_err("back");
    assert_eq!(back.kind(), Kind::Software);
    let other = file.advance(Head { count: 9, mac: [0; 32] }, now()).expect_err("another of the same count");
    assert_eq!(other.kind(), Kind::Software);
    file.advance(head_of(&rows[8]), now()).expect("where it is");
    assert_eq!(file.read().expect("read"), Some(head_of(&rows[8])));
}

/// A log that was cut does not heal by growing past the head.
#[test]
fn a_log_that_was_cut_or_exchanged_never_moves_it() {
    let (place, rows) = (place(), log(9));
    open(&place, &rows);
    let (mut file, state) = open(&place, &rows[..6]);
    assert_eq!(state, HeadState::Ahead { kept: 9, count: 6 });
    let mut regrown = rows[..6].to_vec();
    extend(&mut Chain::resume(key(1), regrown.last()), &mut regrown, &people(3), 6, &mut Rng::with_seed(1));
    for row in &regrown[6..] {
        assert_eq!(file.advance(head_of(row), now()).expect_err("refused").kind(), Kind::Data);
    }
    let (mut file, state) = open(&place, &regrown);
    assert_eq!(state, HeadState::Other { kept: 9 });
    assert_eq!(file.read().expect("read"), Some(head_of(&rows[8])), "as it was");
    assert!(state.problem("gallery.head").is_some() && !state.follows());

    file.accept(head_of(&regrown[11]), now()).expect("accepted");
    assert_eq!(open(&place, &regrown).1, HeadState::Same);
}

#[test]
fn a_missing_one_is_told_and_written() {
    let (place, rows) = (place(), log(9));
    let (_, state) = open(&place, &rows);
    assert_eq!(state, HeadState::Missing { count: 9 });
    assert!(state.problem("gallery.head").is_some());
    assert_eq!(open(&place, &rows).1, HeadState::Same);
}

/// Who has not the key cannot make the head fit a log that was cut.
#[test]
fn every_changed_byte_of_it_is_refused() {
    let (place, rows) = (place(), log(9));
    open(&place, &rows);
    let honest = fs::read(&place.path).expect("read");
    let file = HeadFile::new(&place.path, key(1));
    let head = file.read().expect("read");
    for at in 0..honest.len() {
        for replacement in [b'0', b'9', b'a', b' ', b'"', honest[at] ^ 1] {
            let mut edited = honest.clone();
            edited[at] = replacement;
            fs::write(&place.path, &edited).expect("written");
            // The same values in other letters are the same head.
            let read = file.read();
            assert!(read.is_err() || read.is_ok_and(|read| read == head), "byte {at}");
        }
    }
    let text = String::from_utf8(honest.clone()).expect("text");
    for (from, to) in [
        ("\"count\":9", "\"count\":8"),
        ("2026-03-01T12", "2026-03-01T13"),
        ("\"count\"", "\"more\":1,\"count\""),
    ] {
        assert!(text.contains(from));
        fs::write(&place.path, text.replace(from, to)).expect("written");
        let refused = file.read().expect_err(to);
        assert_eq!(refused.kind(), Kind::Data);
        assert!(refused.to_string().contains("gallery.head"), "{refused}");
    }
    for cut in 0..honest.len() - 1 {
        fs::write(&place.path, &honest[..cut]).expect("written");
        assert!(file.read().is_err(), "cut to {cut} bytes");
    }
    fs::write(&place.path, &honest).expect("written");
    assert!(HeadFile::new(&place.path, key(2)).read().is_err(), "another gallery's");
}

#[test]
fn a_write_that_fails_is_made_up_for_by_the_next() {
    let (place, rows) = (place(), log(9));
    let (mut file, _) = open(&place, &rows[..5]);
    let folder = place.path.parent().expect("a folder");
    let away = folder.with_extension("away");
    fs::rename(folder, &away).expect("moved away");
    assert!(file.advance(head_of(&rows[5]), now()).is_err());
    fs::rename(&away, folder).expect("moved back");
    assert_eq!(file.read().expect("read"), Some(head_of(&rows[4])));
    file.advance(head_of(&rows[6]), now()).expect("advanced");
    assert_eq!(file.read().expect("read"), Some(head_of(&rows[6])));
}
