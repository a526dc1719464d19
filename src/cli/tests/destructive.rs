//! What cannot be undone: asked for, or refused.

use super::samples::{self, id, value};
use super::{Canned, Ran, run, run_words, words};
use crate::gallery::command::{Command, Who};

/// Their command lines, in a folder with a backup and a manifest.
fn lines(dir: &tempfile::TempDir) -> Vec<(Vec<String>, &'static str)> {
    std::fs::write(dir.path().join("backup"), b"a backup").expect("writable");
    std::fs::write(dir.path().join("model.toml"), b"a manifest").expect("writable");
    let path = |name: &str| dir.path().join(name).display().to_string();
    vec![
        (words("gallery forget Ana"), "Ada Lovelace"),
        (words("gallery merge Ana Bob"), "merge"),
        ([words("gallery restore"), vec![path("backup")]].concat(), "restore"),
        ([words("models switch"), vec![path("model.toml")]].concat(), "switch"),
        (words("models rollback"), "rollback"),
        (words("audit accept-head"), "accept"),
    ]
}

/// A desk that knows the answer to each of them.
fn desk(line: &[String]) -> Canned {
    match line[1].as_str() {
        "forget" => {
            let mut portrait = samples::portrait();
            portrait.person = samples::person(1, "Ada Lovelace");
            Canned::answering([value(portrait), value(samples::receipt())])
        }
        "merge" => {
            let shown = || value(samples::portrait());
            Canned::answering([shown(), shown(), value(samples::moved(None))])
        }
        "restore" => Canned::answering([value(samples::backed_up()), value(samples::backed_up())]),
        "accept-head" => Canned::answering([value(samples::audit_report(&[]))]),
        _ => Canned::answering([value(samples::switched(true))]),
    }
}

/// True if the desk was asked to do it, not only asked about it.
fn done(desk: &Canned) -> bool {
    let looks = |command: &Command| matches!(command, Command::Show { .. } | Command::RestorePreview { .. });
    desk.commands().iter().any(|command| !looks(command))
}

#[test]
fn without_a_terminal_they_need_a_yes() {
    let dir = tempfile::tempdir().expect("a folder");
    for (mut line, _) in lines(&dir) {
        let refusing = desk(&line);
        let ran = run_words(&refusing, &line, None);
        assert_eq!(ran.status(), 64, "{line:?}: {:?}", ran.result);
        assert!(ran.refusal().contains("--yes"), "{}", ran.refusal());
        assert!(refusing.opened_for.borrow().is_empty(), "{line:?}: nothing was opened");

        let agreed = Canned::default();
        agreed.and(desk(&line).answers.borrow_mut().pop_back().expect("an answer"));
        line.push("--yes".to_owned());
        assert_eq!(run_words(&agreed, &line, None).status(), 0, "{line:?}");
        assert_eq!(agreed.commands().len(), 1, "{line:?}");
    }
}

#[test]
fn at_a_terminal_only_the_very_word_does_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for (line, word) in lines(&dir) {
        for wrong in ["", "y", "yes", "ada lovelace"] {
            let asking = desk(&line);
            let ran = run_words(&asking, &line, Some(vec![wrong]));
            assert_eq!(ran.status(), 1, "{line:?}: {:?}", ran.result);
            assert!(!done(&asking), "{line:?}: {wrong:?} did it");
            assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
        }
        let asking = desk(&line);
        let ran = run_words(&asking, &line, Some(vec![word]));
        assert_eq!(ran.status(), 0, "{line:?}: {:?}", ran.result);
        assert!(done(&asking), "{line:?}");
    }
}

#[test]
fn who_is_shown_is_who_is_forgotten() {
    let line = words("gallery forget Ada");
    let asking = desk(&line);
    let ran = run_words(&asking, &line, Some(vec!["Ada Lovelace"]));
    let shown = Command::Show { who: Who("Ada".to_owned()) };
    let forgotten = Command::Forget { who: Who(id(1).to_string()), reason: None };
    assert_eq!(asking.commands(), [shown, forgotten], "by its id, whatever the name means by then");
    assert!(ran.err.contains("Type the name to forget: ") && ran.err.contains("0190b5c6"), "{}", ran.err);
}

#[test]
fn the_receipt_says_what_went_and_what_it_cannot_reach() {
    let ran = run(&Canned::answering([value(samples::receipt())]), "gallery forget Ana --yes", None);
    let expected = "\
Forgotten on 2026-10-01 12:00:00: 0190b5c6-0000-7000-8000-000000000001
Removed: its key, its record, 3 templates, 1 crop; the store's write-ahead log is emptied.
Searched for with its own templates after that: 3 searches, returned by none of them (generation 12).
Entry 55 of the audit log says so, without the name.
What this cannot reach:
  - backups made before
  - events delivered before
";
    assert_eq!(ran.out, expected);

    let mut found = samples::receipt();
    found.returned = 1;
    let ran = run(&Canned::answering([value(found)]), "gallery forget Ana --yes", None);
    assert_eq!(ran.status(), 1, "a search that still finds it is no success");
}

#[test]
fn a_receipt_that_was_lost_can_be_had_again() {
    let line = format!("gallery forget {}", id(1));
    let again = crate::gallery::report::Receipt { again: true, probes: 0, ..samples::receipt() };
    // At a terminal: there is nobody to show, and nothing to agree to.
    let desk = Canned::default();
    desk.and(Err(crate::err!(NoInput, "nobody")));
    desk.and(Ok(crate::gallery::command::Reply { value: value(again), body: vec![] }));
    let ran = run(&desk, &line, Some(vec![]));
    assert_eq!(ran.status(), 0, "{:?}", ran.result);
    let expected = "\
Was forgotten on 2026-10-01 12:00:00: 0190b5c6-0000-7000-8000-000000000001
Removed then: its key, its record, 3 templates, 1 crop (generation 12).
Entry 55 of the audit log says so, without the name.
What this cannot reach:
  - backups made before
  - events delivered before
";
    assert_eq!(ran.out, expected);
    // A name or an external id may be somebody else's by now.
    let desk = Canned::default();
    desk.and(Err(crate::err!(NoInput, "nobody")));
    let ran = run(&desk, "gallery forget E-7", Some(vec![]));
    assert_eq!((ran.status(), desk.commands().len()), (66, 1));
}

#[test]
fn who_would_be_removed_by_a_restore_is_said_before_and_after() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut report = samples::backed_up();
    report.gone = vec![(id(7), "Zoë".to_owned())];
    let line = lines(&dir).into_iter().map(|(line, _)| line).find(|line| line[1] == "restore").expect("it");
    let told =
        "removed, because the backup does not have them:\n  - Zoë (0190b5c6-0000-7000-8000-000000000007)\n";
    let dry = [line.clone(), words("--dry-run")].concat();
    let desk = Canned::answering([value(&report)]);
    let ran = run_words(&desk, &dry, None);
    assert!(ran.status() == 0 && ran.out.contains(told), "{:?} {}", ran.result, ran.out);
    assert_eq!(desk.commands(), [Command::RestorePreview { key: None }]);
    let desk = Canned::answering([value(&report), value(&report)]);
    let ran = run_words(&desk, &line, Some(vec!["no"]));
    assert!(ran.err.contains(told.trim_end()) && ran.status() == 1, "{}", ran.err);
    let desk = Canned::answering([value(&report)]);
    let ran = run_words(&desk, &[line, words("--yes")].concat(), None);
    assert!(ran.out.contains(told), "{}", ran.out);
}

#[test]
fn the_receipt_is_written_for_its_owner_and_never_over_another_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("receipt.json");
    let line = [words("gallery forget Ana --yes --receipt"), vec![path.display().to_string()]].concat();
    let forget = |desk: &Canned| -> Ran { run_words(desk, &line, None) };
    assert_eq!(forget(&Canned::answering([value(samples::receipt())])).status(), 0);
    let text = std::fs::read_to_string(&path).expect("written");
    let receipt: crate::gallery::report::Receipt = serde_json::from_str(&text).expect("a receipt");
    assert_eq!(receipt, samples::receipt());

    let second = Canned::answering([value(samples::receipt())]);
    let ran = forget(&second);
    assert_eq!((ran.status(), second.commands().len()), (73, 0), "refused before anybody was forgotten");
}

#[test]
fn a_receipt_that_cannot_be_written_is_printed_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("gone");
    std::fs::create_dir(&folder).expect("writable");
    let line =
        [words("gallery forget Ana --yes --receipt"), vec![folder.join("r.json").display().to_string()]];
    let desk = Canned::answering([value(samples::receipt())]);
    *desk.meanwhile.borrow_mut() = Some(Box::new(move || std::fs::remove_dir(&folder).expect("empty")));
    let ran = run_words(&desk, &line.concat(), None);
    assert_eq!(ran.status(), 73);
    assert!(ran.refusal().contains("is forgotten, but its receipt"), "{}", ran.refusal());
    assert!(ran.out.contains("Removed: its key"), "{}", ran.out);
}

#[test]
fn a_switch_that_did_not_happen_is_told_from_one_that_did() {
    let dir = tempfile::tempdir().expect("a folder");
    let manifest = dir.path().join("model.toml");
    std::fs::write(&manifest, b"a manifest").expect("writable");
    let switch = |options: &str, switched: bool| {
        let desk = Canned::answering([value(samples::switched(switched))]);
        let line = [words("models switch"), vec![manifest.display().to_string()], words(options)].concat();
        (run_words(&desk, &line, None), desk.commands())
    };
    let (ran, asked) = switch("--dry-run", false);
    assert_eq!(ran.status(), 0, "a dry run changes nothing, and needs no yes: {:?}", ran.result);
    let manifest = manifest.canonicalize().expect("there");
    assert_eq!(asked, [Command::SwitchModel { manifest: manifest.clone(), dry_run: true, force: false }]);
    let (ran, asked) = switch("--yes", false);
    assert_eq!(ran.status(), 1, "{:?}", ran.result);
    assert!(ran.out.contains("Not switched") && ran.out.contains("--force"), "{}", ran.out);
    assert_eq!(asked, [Command::SwitchModel { manifest: manifest.clone(), dry_run: false, force: false }]);
    let (ran, asked) = switch("--yes --force", true);
    assert_eq!((ran.status(), asked.len()), (0, 1));

    let desk = Canned::default();
    let ran = run(&desk, "models switch /no/such/manifest.toml --yes", None);
    assert_eq!((ran.status(), desk.commands().len()), (66, 0));
}
