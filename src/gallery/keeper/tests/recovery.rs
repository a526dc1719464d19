//! Ways back: from a head that the log does not follow, and from a gallery that does not open.

use std::fs;

use super::*;
use crate::gallery::audit::Action;
use crate::gallery::command::AuditFilter;
use crate::gallery::report::{AuditEntry, BackedUp, Examination};

fn head_file(site: &Site) -> PathBuf {
    site.folder().join("gallery.head")
}

fn log_problems(keeper: &mut Keeper) -> Vec<String> {
    ask::<AuditReport>(keeper, Command::AuditVerify { head: None }, &[]).problems
}

#[test]
fn a_head_file_that_was_edited_is_told_and_left_and_recognition_goes_on() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    drop(keeper);
    let torn = &fs::read(head_file(&site)).expect("there")[..20];
    for spoilt in [torn, b"", b"nonsense\n", &[b'x'; 8192]] {
        fs::write(head_file(&site), spoilt).expect("written");
        let mut keeper = site.open();
        assert_eq!(best(&keeper, &site.people.template(1)).as_deref(), Some("Ana"));
        site.enrol(&mut keeper, record("Ben"), 2);
        let problems = log_problems(&mut keeper);
        assert!(problems.iter().any(|problem| problem.contains("gallery.head")), "{problems:?}");
        assert_eq!(fs::read(head_file(&site)).expect("there"), spoilt, "it stays as it is");
    }
}

fn entries(keeper: &mut Keeper, action: Action) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_string()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

fn accept(keeper: &mut Keeper) -> Result<AuditReport> {
    try_ask(keeper, Command::AuditAcceptHead, &[])
}

#[test]
fn an_old_copy_is_taken_for_the_log_only_when_somebody_says_so_and_that_is_on_record() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    assert_eq!(accept(&mut keeper).expect_err("it fits").kind(), Kind::Usage);
    keeper.store.checkpoint();
    let old = site.folder().join("old.db");
    keeper.store.copy_to(&old).expect("copied");
    site.enrol(&mut keeper, record("Ben"), 2);
    let kept: String = ask(&mut keeper, Command::AuditHead, &[]);
    drop(keeper);
    fs::rename(&old, site.path()).expect("put back");
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Cleo"), 3);
    drop(keeper);
    let mut keeper = site.open();
    assert_eq!(log_problems(&mut keeper).len(), 1, "it does not heal by itself");
    let accepted: String = ask(&mut keeper, Command::AuditHead, &[]);
    assert_eq!(accept(&mut keeper).expect("accepted").problems, Vec::<String>::new());
    let entry = &entries(&mut keeper, Action::HeadAccepted)[0];
    assert_eq!((&entry.detail["kept"], &entry.detail["accepted"]), (&kept.into(), &accepted.into()));
    assert_eq!(entry.actor, actor().0);
    drop(keeper);
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Dora"), 4);
    assert_eq!(log_problems(&mut keeper), Vec::<String>::new());
    // One that was edited, too.
    drop(keeper);
    fs::write(head_file(&site), "nonsense").expect("written");
    let mut keeper = site.open();
    assert_eq!(accept(&mut keeper).expect("accepted").problems, Vec::<String>::new());
    assert_eq!(entries(&mut keeper, Action::HeadAccepted)[1].detail["kept"], "unreadable");
}

fn restore(site: &Site, bytes: &[u8]) -> Result<BackedUp> {
    let why = site.try_open().err().expect("it does not open");
    assert_eq!(why.kind(), Kind::Data, "{}", why.chain());
    let mut desk = Damaged::open(site.opening(), actor(), why)?;
    let reply = desk.ask(Command::Restore { key: None }, bytes.to_vec(), &mut |_| {})?;
    Ok(serde_json::from_value(reply.value).expect("a report"))
}

/// But for what comes and goes with a look at them.
fn files(site: &Site) -> Vec<(String, Vec<u8>)> {
    let file = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).expect("readable");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    let mut files: Vec<_> = fs::read_dir(site.folder()).expect("readable").flatten().map(file).collect();
    files.retain(|(name, _)| ![".lock", "-wal", "-shm"].iter().any(|end| name.ends_with(end)));
    files.sort();
    files
}

/// Ana and Ben, of whom Ben was forgotten after the backup that is given back.
fn lived_in(site: &mut Site) -> Vec<u8> {
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let backup = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup").body;
    site.enrol(&mut keeper, record("Cleo"), 3);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ben"), reason: None }, &[]);
    backup
}

type Harm = fn(&Path);

const HARMS: [Harm; 4] = [
    |path| {
        let store = rusqlite::Connection::open(path).expect("a database");
        store.execute("UPDATE identities SET record = x'00'", []).expect("damaged");
    },
    |path| fs::write(path, &fs::read(path).expect("there")[..6000]).expect("cut short"),
    |path| fs::write(path, "").expect("emptied"),
    |path| fs::remove_file(path).expect("there"),
];

#[test]
fn a_backup_takes_the_place_of_a_gallery_that_does_not_open_and_the_forgotten_stay_away() {
    for (number, harm) in HARMS.into_iter().enumerate() {
        let mut site = Site::new();
        let backup = lived_in(&mut site);
        harm(&site.path());
        // What a kill left beside it belongs to it, and to no other store.
        fs::write(site.folder().join("gallery.db-wal"), "of the damaged one").expect("written");
        let damaged = fs::read(site.path()).ok();
        let report = restore(&site, &backup).unwrap_or_else(|error| panic!("{number}: {}", error.chain()));
        assert_eq!((report.identities, report.templates), (1, 1), "{number}");
        let aside: Vec<_> = files(&site).into_iter().filter(|(name, _)| name.contains("damaged")).collect();
        if let Some(damaged) = damaged {
            assert!(aside.iter().any(|(_, bytes)| *bytes == damaged), "{number}: it is kept to be looked at");
        }
        let mut keeper = site.open();
        assert_eq!(best(&keeper, &site.people.template(1)).as_deref(), Some("Ana"));
        assert_eq!(best(&keeper, &site.people.template(2)), None, "{number}: forgotten");
        assert_eq!(ask::<Examination>(&mut keeper, Command::Verify, &[]).problems, Vec::<String>::new());
        assert_eq!(entries(&mut keeper, Action::HeadAccepted).len(), 1, "{number}");
        let restored = entries(&mut keeper, Action::Restored);
        assert_eq!(restored.len(), 1);
        assert_eq!(restored[0].actor, actor().0);
    }
}

#[test]
fn a_backup_that_is_none_or_of_another_key_takes_the_place_of_nothing() {
    let mut site = Site::new();
    let backup = lived_in(&mut site);
    let mut other = Site::new();
    let others = lived_in(&mut other);
    HARMS[0](&site.path());
    assert!(site.try_open().is_err());
    let before = files(&site);
    let mut changed = backup.clone();
    let end = changed.len() - 1000;
    changed[end..].fill(0x5a);
    for (bytes, kind) in [(&others[..], Kind::Config), (&changed, Kind::Data), (b"", Kind::Data)] {
        let refused = restore(&site, bytes).expect_err("refused");
        assert_eq!(refused.kind(), kind, "{}", refused.chain());
        assert!(files(&site) == before, "something was changed");
    }
    // Nor is a list of the forgotten passed over that cannot be read.
    fs::write(site.folder().join("gallery.forgotten"), "nonsense").expect("written");
    assert!(restore(&site, &backup).is_err());
    assert!(!files(&site).iter().any(|(name, _)| name.contains("damaged")));
}

#[test]
fn another_programs_file_is_not_taken_for_a_gallery() {
    let mut site = Site::new();
    let backup = lived_in(&mut site);
    let elsewhere = Site::new();
    fs::copy(site.folder().join("gallery.key"), elsewhere.folder().join("gallery.key")).expect("copied");
    fs::write(elsewhere.path(), "somebody's notes, and no database at all").expect("written");
    let before = files(&elsewhere);
    assert!(restore(&elsewhere, &backup).is_err());
    assert!(files(&elsewhere) == before, "something was changed");
}
