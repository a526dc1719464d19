//! Bundles, backups and keys: from files and into files.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::samples::{self, value};
use super::{Canned, Ran, run_words, words};
use crate::gallery::command::{Command, Reply, SecretText};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn holds(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        std::fs::write(self.path(name), text).expect("writable");
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).expect("ours");
        self.path(name)
    }

    /// Runs a command line in which `@name` is a file of this folder.
    #[track_caller]
    fn run(&self, desk: &Canned, line: &str, types: Option<Vec<&'static str>>) -> Ran {
        let in_folder = |word: String| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word,
        };
        let line: Vec<String> = words(line).into_iter().map(in_folder).collect();
        run_words(desk, &line, types)
    }
}

fn giving(report: Value, body: &[u8]) -> Canned {
    let desk = Canned::default();
    desk.and(Ok(Reply { value: report, body: body.to_vec() }));
    desk
}

#[test]
fn what_is_written_is_for_its_owner_and_never_over_another_file() {
    let cases = [
        ("gallery export --out @file", value(samples::exported(true))),
        ("gallery backup @file", value(samples::backed_up())),
        ("gallery key export --out @file --to age1abc", Value::Null),
    ];
    for (line, report) in cases {
        let folder = Folder::new();
        let ran = folder.run(&giving(report.clone(), b"\x00 the body \xff"), line, None);
        assert_eq!(ran.status(), 0, "{line}: {:?}", ran.result);
        assert_eq!(std::fs::read(folder.path("file")).expect("written"), b"\x00 the body \xff");
        let mode = std::fs::metadata(folder.path("file")).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{line}");

        let desk = giving(report.clone(), b"another");
        let ran = folder.run(&desk, line, None);
        assert_eq!(
            (ran.status(), desk.commands().len()),
            (73, 0),
            "{line}: refused before anything was opened"
        );
        assert!(ran.refusal().contains("file"), "{}", ran.refusal());
        assert_eq!(std::fs::read(folder.path("file")).expect("there"), b"\x00 the body \xff");

        let nowhere = folder.run(&giving(report, b"x"), &line.replace("@file", "@missing/file"), None);
        assert_eq!(nowhere.status(), 73, "{line}");
    }
}

#[test]
fn an_export_says_what_is_in_it_and_warns_when_anybody_can_read_it() {
    let folder = Folder::new();
    let desk = giving(value(samples::exported(false)), b"bundle");
    let ran = folder.run(&desk, "gallery export --out @a --list staff --list vip --crops", None);
    assert!(ran.out.contains("3 identities, 18 templates of generation 12"), "{}", ran.out);
    assert!(ran.out.contains("fingerprint of that key: e18b-0d4a"), "{}", ran.out);
    assert!(ran.err.contains("not encrypted") && ran.err.contains("--to"), "{}", ran.err);
    let lists = ["staff", "vip"].map(|list| list.parse().expect("a list")).into();
    assert_eq!(desk.commands(), [Command::Export { lists, recipients: vec![], crops: true }]);

    let desk = giving(value(samples::exported(true)), b"bundle");
    let ran = folder.run(&desk, "gallery export --out @b --to age1abc --to age1def", None);
    assert!(ran.out.contains("encrypted") && ran.err.is_empty(), "{}{}", ran.out, ran.err);
    let recipients = vec!["age1abc".to_owned(), "age1def".to_owned()];
    assert_eq!(desk.commands(), [Command::Export { lists: [].into(), recipients, crops: false }]);
}

#[test]
fn a_backup_says_that_the_key_is_not_in_it() {
    let folder = Folder::new();
    let ran = folder.run(&giving(value(samples::backed_up()), b"backup"), "gallery backup @a", None);
    for words in ["does not hold the master key 0011223344556677", "watchlistd gallery key export"] {
        assert!(ran.err.contains(words), "{}", ran.err);
    }
    let ran = folder.run(&giving(value(samples::backed_up()), b"backup"), "gallery backup @b --json", None);
    assert!(ran.err.contains("does not hold the master key"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
}

#[test]
fn a_bundle_goes_to_the_desk_with_the_identity_that_opens_it() {
    let folder = Folder::new();
    folder.holds("bundle", "the bundle", 0o644);
    folder.holds("age.key", "# mine\nAGE-SECRET-KEY-1TULIP\n", 0o600);
    let desk = giving(value(samples::imported(false)), b"");
    let ran = folder.run(&desk, "gallery import @bundle --force --identity @age.key", None);
    assert_eq!(ran.status(), 0, "{:?}", ran.result);
    let identity = Some(SecretText::new("AGE-SECRET-KEY-1TULIP"));
    let command = Command::Import { dry_run: false, force: true, identity };
    assert_eq!(*desk.asked.borrow(), [(command, b"the bundle".to_vec())]);
    assert!(!format!("{}{}", ran.out, ran.err).contains("TULIP"));
    assert_eq!(
        ran.out,
        "From gate  north, generation 7: 1 added, 1 merged, 0 unchanged, 5 templates, 1 stay forgotten\n"
    );

    for (line, status) in [
        ("gallery import @missing", 66),
        ("gallery import @empty", 65),
        ("gallery import @bundle --identity @open.key", 77),
    ] {
        folder.holds("empty", "", 0o600);
        folder.holds("open.key", "AGE-SECRET-KEY-1TULIP\n", 0o644);
        let desk = Canned::default();
        let ran = folder.run(&desk, line, None);
        assert_eq!((ran.status(), desk.commands().len()), (status, 0), "{line}: {:?}", ran.result);
        assert!(!ran.refusal().contains("TULIP"), "{}", ran.refusal());
    }
}

#[test]
fn a_preview_shows_what_each_identity_gets() {
    let folder = Folder::new();
    folder.holds("bundle", "the bundle", 0o644);
    let desk = giving(value(samples::imported(true)), b"");
    let ran = folder.run(&desk, "gallery import @bundle --dry-run", None);
    let expected = "\
NAME          EXTERNAL ID  WHAT       NEW TEMPLATES
王小明        E-7          merged                 2
Ada Lovelace               added                  3
Bob                        forgotten              0

From gate  north, generation 7: 1 added, 1 merged, 0 unchanged, 5 templates, 1 stay forgotten; nothing was changed
New here, with the sender's settings: lists staff, vip
";
    assert_eq!(ran.out, expected);
    assert_eq!(desk.commands(), [Command::Import { dry_run: true, force: false, identity: None }]);
}

#[test]
fn a_restore_brings_the_file_and_the_key_of_its_time() {
    let folder = Folder::new();
    folder.holds("backup", "the backup", 0o600);
    folder.holds("key", &"5a".repeat(32), 0o600);
    let desk = giving(value(samples::backed_up()), b"");
    let ran = folder.run(&desk, "gallery restore @backup --backup-key-file @key --yes", None);
    assert_eq!(
        ran.out,
        "Restored generation 12: 3 identities, 18 templates; 1 stay forgotten. The gallery's generation is 15 now.\n"
    );
    let key = Some(SecretText::new("5a".repeat(32)));
    assert_eq!(*desk.asked.borrow(), [(Command::Restore { key }, b"the backup".to_vec())]);

    for (file, text, mode, status) in [("short", "5a", 0o600, 65), ("open", &*"5a".repeat(32), 0o640, 77)] {
        folder.holds(file, text, mode);
        let desk = Canned::default();
        let line = format!("gallery restore @backup --backup-key-file @{file} --yes");
        let ran = folder.run(&desk, &line, None);
        assert_eq!((ran.status(), desk.commands().len()), (status, 0), "{:?}", ran.result);
        assert!(!ran.refusal().contains("5a5a"), "{}", ran.refusal());
    }
}

#[test]
fn a_passphrase_comes_from_the_terminal_or_a_file_of_the_owners() {
    let folder = Folder::new();
    folder.holds("passphrase", "hunter2 and more\n", 0o600);
    folder.holds("open", "hunter2\n", 0o644);
    let asked = |passphrase: &str| Command::KeyExport {
        recipients: vec![],
        passphrase: Some(SecretText::new(passphrase)),
    };
    let desk = giving(Value::Null, b"age");
    let ran = folder.run(&desk, "gallery key export --out @a --passphrase-file @passphrase", None);
    assert_eq!((ran.status(), desk.commands()), (0, vec![asked("hunter2 and more")]), "{:?}", ran.result);

    let desk = giving(Value::Null, b"age");
    let ran = folder.run(
        &desk,
        "gallery key export --out @b --passphrase",
        Some(vec!["hunter2 twice", "hunter2 twice"]),
    );
    assert_eq!((ran.status(), desk.commands()), (0, vec![asked("hunter2 twice")]), "{:?}", ran.result);
    assert!(!format!("{}{}", ran.out, ran.err).contains("hunter2"));

    for (line, types, status) in [
        ("gallery key export --out @c --passphrase", None, 64),
        ("gallery key export --out @c --passphrase", Some(vec!["hunter2 twice", "hunter3 twice"]), 65),
        ("gallery key export --out @c --passphrase-file @open", None, 77),
        ("gallery key export --out @c --passphrase-file @missing", None, 66),
    ] {
        let desk = Canned::default();
        let ran = folder.run(&desk, line, types);
        assert_eq!((ran.status(), desk.commands().len()), (status, 0), "{line}: {:?}", ran.result);
        assert!(!ran.refusal().contains("hunter"), "{}", ran.refusal());
    }
    assert!(!folder.path("c").exists());
}

#[test]
fn a_new_master_key_comes_from_a_file_of_the_owners() {
    let folder = Folder::new();
    folder.holds("key", &format!("{}\n", "5a".repeat(32)), 0o600);
    let desk = giving(value(samples::rotated()), b"");
    let ran = folder.run(&desk, "gallery key rotate --new-key-file @key", None);
    let key = Some(SecretText::new("5a".repeat(32)));
    assert_eq!(desk.commands(), [Command::KeyRotate { key, deep: false }], "{:?}", ran.result);
    assert_eq!(
        ran.out,
        "Master key 8899aabbccddeeff instead of 0011223344556677: 6 keys wrapped again, 0 values encrypted again\n\
         The new key: the key file /var/lib/watchlistd/gallery.key\n"
    );
    assert!(ran.err.contains("Earlier backups") && ran.err.contains("credential"), "{}", ran.err);
    assert!(!format!("{}{}", ran.out, ran.err).contains("5a5a"));
}

#[test]
fn an_exported_key_becomes_a_key_file_again() {
    use crate::gallery::crypt::Key;
    use crate::gallery::escrow::{To, export};
    use crate::gallery::master::{self, KeySource};
    // A pair that was made for tests.
    let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let folder = Folder::new();
    folder.holds("identity", &format!("# for tests\n{identity}\n"), 0o600);
    folder.holds("wrong", "tulip\n", 0o600);
    let key = Key::generate().expect("random");
    let exported = export(&key, &To::Recipients(vec![recipient.to_owned()])).expect("exported");
    std::fs::write(folder.path("key.age"), exported).expect("writable");

    let desk = Canned::default();
    let ran = folder.run(&desk, "gallery key recover @key.age --out @gallery.key --identity @identity", None);
    assert_eq!((ran.status(), desk.commands().len()), (0, 0), "{:?}", ran.result);
    assert!(ran.out.contains(&key.id().to_string()), "{}", ran.out);
    let file = KeySource::File(folder.path("gallery.key"));
    assert!(master::load(&file).expect("a key file") == key, "of mode 0600");
    for (line, status) in [
        ("gallery key recover @key.age --out @gallery.key --identity @identity", 73),
        ("gallery key recover @key.age --out @other --passphrase-file @wrong", 64),
        ("gallery key recover @key.age --out @other", 64),
        ("gallery key recover @identity --out @other --identity @identity", 65),
        ("gallery key recover @missing --out @other --identity @identity", 66),
    ] {
        let ran = folder.run(&desk, line, None);
        assert_eq!(ran.status(), status, "{line}: {:?}", ran.result);
        assert!(!ran.refusal().contains("SECRET-KEY-1G"), "{}", ran.refusal());
    }
    assert!(!folder.path("other").exists());
}
