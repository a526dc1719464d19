use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;
use crate::config::Gallery;

fn key(n: u8) -> Key {
    Key::from_bytes(&std::array::from_fn::<u8, 32, _>(|i| n.wrapping_mul(31).wrapping_add(i as u8)))
        .expect("32 bytes")
}

struct Here {
    folder: TempDir,
}

impl Here {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with this content and mode, as a key file.
    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> KeySource {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        KeySource::File(path)
    }

    fn key_file(&self, key: &Key) -> KeySource {
        self.file("gallery.key", text::write(key).as_bytes(), 0o600)
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn guarded_by_systemd(source: &KeySource) -> KeySource {
    KeySource::Credential(source.path().to_owned())
}

fn refused(result: Result<Key>) -> (Kind, String) {
    let error = result.expect_err("refused");
    (error.kind(), error.chain())
}

// ---- where it is ----

#[test]
fn auto_is_the_credential_where_there_is_one_and_else_a_file_beside_the_store() {
    let here = Here::new();
    let config = Gallery { path: "/var/lib/watchlistd/gallery.db".into(), ..Gallery::default() };
    let file = KeySource::File("/var/lib/watchlistd/gallery.key".into());
    assert_eq!(KeySource::of(&config, None), file);
    assert_eq!(KeySource::of(&config, Some(here.folder.path())), file, "systemd gives other credentials");
    here.file("gallery-key", "", 0o400);
    let credential = KeySource::Credential(here.path("gallery-key"));
    assert_eq!(KeySource::of(&config, Some(here.folder.path())), credential);
}

#[test]
fn a_store_of_any_name_has_a_key_file_of_its_own() {
    for (store, expected) in
        [("a/g.db", "a/g.key"), ("g", "g.key"), ("g.key", "g.key.key"), ("g.old.db", "g.old.key")]
    {
        let config = Gallery { path: store.into(), ..Gallery::default() };
        assert_eq!(KeySource::of(&config, None), KeySource::File(expected.into()), "{store}");
    }
}

#[test]
fn a_path_is_a_file_or_the_copy_that_systemd_hands_over() {
    let here = Here::new();
    let with = |path: PathBuf| Gallery { key_file: Some(path), ..Gallery::default() };
    let config = with("/etc/watchlistd/site.key".into());
    let file = KeySource::File("/etc/watchlistd/site.key".into());
    assert_eq!(
        (KeySource::of(&config, None), KeySource::of(&config, Some(here.folder.path()))),
        (file.clone(), file)
    );
    here.file("site.key", "", 0o400);
    let copy = KeySource::Credential(here.path("site.key"));
    assert_eq!(KeySource::of(&config, Some(here.folder.path())), copy);
    assert_eq!(KeySource::of(&with(here.path("site.key")), Some(here.folder.path())), copy);

    let named = with("$CREDENTIALS_DIRECTORY/other".into());
    assert_eq!(KeySource::of(&named, Some(here.folder.path())), KeySource::Credential(here.path("other")));
    let (kind, message) = refused(load(&KeySource::of(&named, None)));
    assert_eq!(kind, Kind::NoInput);
    assert!(message.contains("$CREDENTIALS_DIRECTORY is not set"), "{message}");
}

// ---- what it holds ----

#[test]
fn a_key_is_read_as_it_was_written_and_in_the_forms_people_write() {
    let here = Here::new();
    let wanted = key(1);
    let file = text::write(&wanted);
    let digits = file.lines().last().expect("a line");
    let forms = [
        file.to_string(),
        digits.to_owned(),
        format!("{}\n", digits.to_uppercase()),
        format!("# mine\r\n\r\n  {digits}  \r\n# end\r\n"),
    ];
    for form in &forms {
        assert!(load(&here.file("k", form, 0o600)).expect(form) == wanted, "{form}");
        assert!(parse(&SecretText::new(form.as_str())).expect(form) == wanted, "{form}");
    }
    let raw = here.file("raw", wanted.expose(), 0o400);
    assert!(
        load(&guarded_by_systemd(&raw)).expect("raw") == wanted,
        "32 bytes, as a credential may hold them"
    );
    assert!(load(&raw).is_err(), "but not as a file");
}

/// A key file may hold half a key, a password, another program's key: whatever it is, nobody is told.
#[test]
fn no_message_about_a_malformed_key_holds_any_of_its_content() {
    let here = Here::new();
    let canary = "7c4na1ry";
    let hex = "c0ffee".repeat(11);
    let contents: Vec<Vec<u8>> = vec![
        canary.into(),
        format!("{canary}\n{canary}\n").into(),
        format!("{}\n{}\n", &hex[..64], &hex[..64]).into(),
        hex[..63].into(),
        hex[..65].into(),
        format!("{canary}{}", &hex[..56]).into(),
        format!("{}é", &hex[..62]).into(),
        format!("key = \"{}\"\n", &hex[..64]).into(),
        format!("# {canary}\n").into(),
        [canary.as_bytes(), &[0xff, 0xfe]].concat(),
        canary.repeat(4)[..31].into(),
        vec![b'c'; 17 << 10],
        Vec::new(),
    ];
    for content in contents {
        let file = here.file("k", &content, 0o600);
        let as_text = SecretText::new(String::from_utf8_lossy(&content));
        for result in [
            load(&file),
            load(&guarded_by_systemd(&file)),
            load_or_make(&file).map(|(key, _)| key),
            parse(&as_text),
        ] {
            let error = result.expect_err("malformed");
            let told = format!("{error} {error:?} {}", error.chain());
            assert_eq!(error.kind(), Kind::Data, "{told}");
            for secret in [canary, "c0ffee", "ccc"] {
                assert!(!told.to_lowercase().contains(secret), "{told}");
            }
        }
    }
}

// ---- who may read it ----

#[test]
fn a_key_file_that_others_may_read_or_change_is_refused_and_a_credential_is_systemd_s_to_guard() {
    let here = Here::new();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610] {
        let source = here.file("k", text::write(&key(1)).as_bytes(), mode);
        let (kind, message) = refused(load(&source));
        assert_eq!(kind, Kind::Permission);
        assert!(message.contains("run chmod 600"), "{message}");
        assert!(load(&guarded_by_systemd(&source)).is_ok(), "{mode:o}");
    }
    for mode in [0o600, 0o400] {
        assert!(load(&here.file("k", text::write(&key(1)).as_bytes(), mode)).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_key_file_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let here = Here::new();
    let source = here.key_file(&key(1));
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(61184), Some(61184)).expect("given away");
    give(source.path());
    let (kind, message) = refused(load(&source));
    assert_eq!(kind, Kind::Permission);
    assert!(message.contains("belongs to the user 61184"), "{message}");
    give(here.folder.path());
    assert!(load(&source).is_ok(), "root's tool in the daemon's folder");
}

#[test]
fn a_folder_a_pipe_and_a_link_to_nothing_are_no_keys() {
    let here = Here::new();
    fs::create_dir(here.path("folder")).expect("made");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        here.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("made");
    symlink("nowhere", here.path("link")).expect("linked");
    for name in ["folder", "pipe", "link"] {
        let source = KeySource::File(here.path(name));
        assert_eq!(refused(load(&source)).0, Kind::NoInput, "{name}");
        assert!(load_or_make(&source).is_err(), "{name}: nothing is made in its place");
    }
    here.key_file(&key(1));
    symlink("gallery.key", here.path("good")).expect("linked");
    assert!(load(&KeySource::File(here.path("good"))).is_ok(), "a link to a key file is one");
}

// ---- the first start ----

#[test]
fn a_missing_key_is_made_for_a_new_store_only_and_the_operator_is_told() {
    let here = Here::new();
    let source = KeySource::File(here.path("gallery.key"));
    let (kind, message) = refused(load(&source));
    assert_eq!(kind, Kind::NoInput);
    assert!(message.contains("gallery key export") && message.contains("gallery.key"), "{message}");
    assert_eq!(here.entries(), [""; 0], "loading makes nothing");

    let (made, notice) = load_or_make(&source).expect("made");
    let mode = fs::metadata(source.path()).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode, here.entries()), (0o600, vec!["gallery.key".to_owned()]));
    let notice = notice.expect("a notice").to_string();
    let path = source.path().display().to_string();
    let digits = text::write(&made).lines().last().expect("a line").to_owned();
    for needed in [
        path.as_str(),
        &made.id().to_string(),
        "whoever has the disk has both",
        "systemd-creds encrypt --name=gallery-key",
        "LoadCredentialEncrypted=gallery-key:",
        "A backup of the gallery never holds the key",
        "watchlistd gallery key export --out FILE --passphrase",
    ] {
        assert!(notice.contains(needed), "{needed}:\n{notice}");
    }
    assert!(!notice.contains(&digits));
    let file = fs::read_to_string(source.path()).expect("text");
    assert!(
        file.contains("backup") && file.contains("watchlistd gallery key export --out FILE --passphrase"),
        "{file}"
    );

    let (again, notice) = load_or_make(&source).expect("there");
    assert!(again == made && notice.is_none());
    assert!(load(&source).expect("there") == made);
}

#[test]
fn each_made_key_is_another() {
    let here = Here::new();
    let made: Vec<_> = (0..8)
        .map(|n| load_or_make(&KeySource::File(here.path(&n.to_string()))).expect("made").0.id())
        .collect();
    let different: std::collections::BTreeSet<_> = made.iter().collect();
    assert_eq!(different.len(), made.len());
}

#[test]
fn a_missing_credential_is_never_made() {
    let here = Here::new();
    let source = KeySource::Credential(here.path("gallery-key"));
    let (kind, message) = refused(load_or_make(&source).map(|(key, _)| key));
    assert_eq!(kind, Kind::NoInput);
    assert!(message.contains("LoadCredentialEncrypted=gallery-key"), "{message}");
    assert_eq!(here.entries(), [""; 0]);
}

// ---- rotation ----

/// The picture at the top of the module, row by row: the process ends after any step, and the gallery opens.
#[test]
fn a_rotation_that_ends_after_any_step_leaves_a_gallery_that_opens_and_rotates_again() {
    let (a, b, c) = (key(1), key(2), key(3));
    for steps in 0..=3 {
        let here = Here::new();
        let source = here.key_file(&a);
        let mut wrapped_by = &a;
        if steps >= 1 {
            replace(&source, &a, &b).expect("pending");
            assert!(load_pending(&source).expect("readable") == Some(b.clone()));
        }
        if steps >= 2 {
            wrapped_by = &b;
        }
        if steps >= 3 {
            promote(&source, &b).expect("promoted");
        }
        let opened = load_for(&source, wrapped_by.id()).expect("it opens");
        assert!(opened == *wrapped_by, "after {steps} steps");
        assert!(load(&source).expect("there") == *wrapped_by, "a rotation cut short is finished");
        assert_eq!(here.path("gallery.key.next").exists(), steps == 1, "after {steps} steps");

        // And the next rotation, cut short at the worst moment, finds its key as well.
        replace(&source, &opened, &c).expect("pending");
        assert!(load_for(&source, opened.id()).expect("it opens") == opened);
        assert!(load_for(&source, c.id()).expect("it opens") == c);
        assert_eq!(here.entries(), ["gallery.key"]);
    }
}

/// The store is wrapped by the pending key and promoting failed, as on a file system that was read-only just then.
#[test]
fn a_pending_key_that_is_in_use_is_never_written_over() {
    let (a, b, c) = (key(1), key(2), key(3));
    let here = Here::new();
    let source = here.key_file(&a);
    replace(&source, &a, &b).expect("pending");
    replace(&source, &b, &c).expect("b is put in place first");
    assert!(load(&source).expect("there") == b && load_pending(&source).expect("there") == Some(c));
    let error = replace(&source, &a, &key(4)).expect_err("a is nowhere any more");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(load_pending(&source).expect("there") == Some(key(3)), "nothing was changed");
}

#[test]
fn promoting_twice_is_once_and_another_key_is_never_promoted() {
    let (a, b) = (key(1), key(2));
    let here = Here::new();
    let source = here.key_file(&a);
    replace(&source, &a, &b).expect("pending");
    assert!(promote(&source, &key(3)).is_err());
    assert!(load(&source).expect("there") == a);
    promote(&source, &b).expect("promoted");
    promote(&source, &b).expect("done already");
    assert!(load(&source).expect("there") == b);
    let mode = fs::metadata(source.path()).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn the_key_that_is_replaced_is_overwritten_unless_somebody_keeps_a_link_to_it() {
    use std::io::Read as _;
    let (a, b, c) = (key(1), key(2), key(3));
    let here = Here::new();
    let source = here.key_file(&a);
    let mut old = fs::File::open(source.path()).expect("open");
    replace(&source, &a, &b).expect("pending");
    promote(&source, &b).expect("promoted");
    let mut left = Vec::new();
    old.read_to_end(&mut left).expect("readable");
    assert!(left.len() > 64 && left.iter().all(|byte| *byte == 0));

    fs::hard_link(source.path(), here.path("kept.key")).expect("linked");
    replace(&source, &b, &c).expect("pending");
    promote(&source, &c).expect("promoted");
    assert!(load(&KeySource::File(here.path("kept.key"))).expect("kept") == b);
}

#[test]
fn a_link_to_the_key_file_stays_one_through_a_rotation() {
    let (a, b) = (key(1), key(2));
    let here = Here::new();
    here.key_file(&a);
    symlink(here.path("gallery.key"), here.path("link")).expect("linked");
    let source = KeySource::File(here.path("link"));
    replace(&source, &a, &b).expect("pending");
    promote(&source, &b).expect("promoted");
    assert!(
        load(&source).expect("there") == b
            && load(&KeySource::File(here.path("gallery.key"))).expect("there") == b
    );
    assert!(here.path("link").is_symlink());
    assert_eq!(here.entries(), ["gallery.key", "link"]);
}

#[test]
fn the_wrong_key_is_told_by_its_id() {
    let here = Here::new();
    let source = here.key_file(&key(1));
    let error = load_for(&source, key(2).id()).expect_err("another");
    assert_eq!(error.kind(), Kind::Config);
    for id in [key(1).id(), key(2).id()] {
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }
}

#[test]
fn a_lost_key_file_is_not_needed_where_the_pending_key_is_the_store_s() {
    let here = Here::new();
    let source = here.key_file(&key(1));
    replace(&source, &key(1), &key(2)).expect("pending");
    fs::remove_file(source.path()).expect("lost");
    assert_eq!(refused(load_for(&source, key(1).id())).0, Kind::NoInput);
    assert!(load_for(&source, key(2).id()).expect("it opens") == key(2));
    assert!(load(&source).expect("in place") == key(2));
}

#[test]
fn a_credential_is_the_operator_s_to_replace_and_a_pending_one_counts() {
    let here = Here::new();
    let source = guarded_by_systemd(&here.file("gallery-key", text::write(&key(1)).as_bytes(), 0o440));
    let error = replace(&source, &key(1), &key(2)).expect_err("not ours");
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("LoadCredentialEncrypted=gallery-key.next:"), "{error}");
    assert_eq!(here.entries(), ["gallery-key"]);

    here.file("gallery-key.next", key(2).expose(), 0o440);
    replace(&source, &key(1), &key(2)).expect("the operator gave it");
    assert!(load_for(&source, key(1).id()).expect("before") == key(1));
    assert!(load_for(&source, key(2).id()).expect("after") == key(2));
    promote(&source, &key(2)).expect("nothing to do");
    assert_eq!(here.entries(), ["gallery-key", "gallery-key.next"]);
}

#[test]
fn a_pending_key_that_cannot_be_written_changes_nothing() {
    let here = Here::new();
    let source = here.key_file(&key(1));
    fs::create_dir(here.path("gallery.key.next")).expect("made");
    assert!(replace(&source, &key(1), &key(2)).is_err());
    assert!(load(&source).expect("there") == key(1));
}
