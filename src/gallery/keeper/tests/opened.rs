//! What a gallery says when it is opened: a head that is gone, a file system that nobody can write to.

use std::process::Command as Program;

use super::exchange::{all, export};
use super::*;
use crate::gallery::command::AuditFilter;
use crate::gallery::report::AuditEntry;

const MARK: &str = "WATCHLISTD_READ_ONLY_GALLERY";

#[test]
fn a_head_that_is_gone_is_on_record_and_the_one_written_instead_proves_nothing() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let entries = keeper.chain.head().count;
    drop(keeper);
    std::fs::remove_file(site.folder().join("gallery.head")).expect("there");
    let mut keeper = site.open();
    let verdict: AuditReport = ask(&mut keeper, Command::AuditVerify { head: None }, &[]);
    assert_eq!(verdict.problems.len(), 1, "{verdict:?}");
    assert!(verdict.problems[0].contains("missing"), "{verdict:?}");
    let filter = AuditFilter { action: Some("head-missing".to_owned()), ..AuditFilter::default() };
    let told: Vec<AuditEntry> = ask(&mut keeper, Command::AuditShow { filter: filter.clone() }, &[]);
    assert_eq!((told.len(), &told[0].detail["begun_again_at"]), (1, &entries.into()));
    drop(keeper);
    let mut keeper = site.open();
    assert!(ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
    assert_eq!(ask::<Vec<AuditEntry>>(&mut keeper, Command::AuditShow { filter }, &[]).len(), 1);
    // A new gallery has none to miss.
    let fresh = Site::new();
    let verdict: AuditReport = ask(&mut fresh.open(), Command::AuditVerify { head: None }, &[]);
    assert!(verdict.problems.is_empty(), "{verdict:?}");
}

/// Runs this test again where `folder` is mounted read-only; `None` where the system does not let us.
fn where_read_only(name: &str, folder: &Path) -> Option<std::process::Output> {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\" \"$3\" --exact --nocapture";
    let in_namespace = |arguments: &[&std::ffi::OsStr]| {
        let mut unshare = Program::new("unshare");
        unshare.args(["--map-root-user", "--mount"]).args(arguments).env(MARK, folder).output()
    };
    let probe = in_namespace(&["true".as_ref()]).ok().filter(|output| output.status.success());
    if probe.is_none() {
        eprintln!("skipped: no mount namespace of our own can be had here");
        return None;
    }
    let test = std::env::current_exe().expect("this program");
    let script: [&std::ffi::OsStr; 7] = [
        "sh".as_ref(),
        "-ec".as_ref(),
        script.as_ref(),
        "sh".as_ref(),
        folder.as_ref(),
        test.as_ref(),
        name.as_ref(),
    ];
    Some(in_namespace(&script).expect("started"))
}

#[test]
fn on_a_read_only_file_system_all_is_read_and_searched_and_nothing_changes() {
    let name = "gallery::keeper::tests::opened::on_a_read_only_file_system_all_is_read_and_searched_and_nothing_changes";
    if let Some(folder) = std::env::var_os(MARK) {
        return look_at_a_read_only_gallery(Path::new(&folder));
    }
    let mut site = Site::new();
    let mut keeper = site.open();
    let until = site.clock.now().wall + jiff::SignedDuration::from_hours(1);
    site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, Record { valid_until: Some(until), ..record("Guest") }, 2);
    drop(keeper);
    let Some(output) = where_read_only(name, site.folder()) else { return };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    // What is not in the file yet cannot be read, and is not passed over.
    std::fs::write(site.folder().join("gallery.db-wal"), "changes").expect("writable");
    let refused = where_read_only(name, site.folder()).expect("as before");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("gallery.db-wal"), "{said}");
}

fn look_at_a_read_only_gallery(folder: &Path) {
    let site = Site::new();
    let mut people = Population::new(MODEL, DIMENSION, 5);
    let opening = Opening {
        path: folder.join("gallery.db"),
        key: KeySource::File(folder.join("gallery.key")),
        ..site.opening()
    };
    let open = || Keeper::open(opening.clone(), Box::new(drop)).unwrap_or_else(|e| panic!("{}", e.chain())).0;
    let (mut keeper, beside) = (open(), open());
    assert!(keeper.read_only() && std::fs::write(folder.join("x"), "").is_err());
    drop(beside);
    assert_eq!(all(&mut keeper).len(), 2);
    for (person, name) in [(1, "Ana"), (2, "Guest")] {
        assert_eq!(best(&keeper, &people.template(person)).as_deref(), Some(name));
    }
    assert!(ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
    assert!(
        !ask::<Vec<AuditEntry>>(&mut keeper, Command::AuditShow { filter: Default::default() }, &[])
            .is_empty()
    );
    assert!(!export(&mut keeper).is_empty());
    // A backup of it is a backup as any other.
    let backup = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup").body;
    let elsewhere = Site::new();
    std::fs::copy(folder.join("gallery.key"), elsewhere.folder().join("gallery.key")).expect("copied");
    let mut other = elsewhere.open();
    ask::<report::BackedUp>(&mut other, Command::Restore { key: None }, &backup);
    assert_eq!(all(&mut other).len(), 2);

    let refused = try_ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ana"), reason: None }, &[]);
    let refused = refused.expect_err("nothing can be written");
    assert!(refused.kind() == Kind::Permission && refused.to_string().contains("read-only"), "{refused}");
    assert_eq!(best(&keeper, &people.template(1)).as_deref(), Some("Ana"), "as it was");
    site.clock.advance(Duration::from_secs(3600));
    assert_eq!(keeper.tick().expect("in memory"), 1);
    assert_eq!(best(&keeper, &people.template(2)), None, "validity ends all the same");
    drop(keeper);
    assert_eq!(best(&open(), &people.template(2)), None);
}
