//! A command that takes long lets the others in.

use std::sync::Mutex;

use super::exchange::export;
use super::*;
use crate::gallery::command::SecretText;
use crate::gallery::report::{Examination, Exported, Imported, KeyExported, Pair, Rotated, Trust};

fn filled(site: &mut Site) -> Mutex<Keeper> {
    let mut keeper = site.open();
    for (person, name) in ["Ana", "Ben", "Cleo"].into_iter().enumerate() {
        site.enrol(&mut keeper, record(name), person);
    }
    Mutex::new(keeper)
}

/// Carries the command out; the answer, and during which steps somebody else could have had the keeper.
fn asked<T: DeserializeOwned>(
    keeper: &Mutex<Keeper>,
    command: Command,
    body: &[u8],
) -> (T, BTreeSet<String>) {
    let mut free = BTreeSet::new();
    let reply = execute_shared(keeper, &actor(), command, body, &mut |progress| {
        if try_hold(keeper).is_some() {
            free.insert(progress.what);
        }
    });
    let reply = reply.unwrap_or_else(|error| panic!("{}", error.chain()));
    (serde_json::from_value(reply.value).expect("the command's report"), free)
}

fn export_all() -> Command {
    Command::Export { lists: BTreeSet::new(), recipients: Vec::new(), crops: false }
}

#[test]
fn others_have_the_keeper_while_a_long_command_works() {
    let mut site = Site::new();
    let keeper = filled(&mut site);
    let said = |free: &BTreeSet<String>, what: &str| assert!(free.contains(what), "{what}: {free:?}");
    let (pairs, free) = asked::<Vec<Pair>>(&keeper, Command::Confusable { most: 3 }, &[]);
    assert_eq!(pairs.len(), 3);
    said(&free, "comparing everybody with everybody");
    let (report, free) = asked::<Examination>(&keeper, Command::Verify, &[]);
    assert_eq!(report.problems, Vec::<String>::new());
    said(&free, "identities");
    said(&free, "templates");
    let passphrase = Some(SecretText::new("correct horse battery staple"));
    let command = Command::KeyExport { recipients: Vec::new(), passphrase };
    let (report, free) = asked::<KeyExported>(&keeper, command, &[]);
    assert!(report.passphrase);
    said(&free, "encrypting the key");
    let (report, free) = asked::<Exported>(&keeper, export_all(), &[]);
    assert_eq!(report.identities, 3);
    said(&free, "opening templates");
    said(&free, "signing");
    let (report, free) = asked::<Rotated>(&keeper, Command::KeyRotate { key: None, deep: true }, &[]);
    assert_eq!(report.reencrypted, 6);
    said(&free, "identities sealed again");
    let bundle = export(&mut hold(&keeper));
    let trusted = asked::<Trust>(&keeper, Command::Trusted, &[]).0;
    let trust = Command::Trust { key: trusted.own, label: "ourselves".to_owned() };
    asked::<Trust>(&keeper, trust, &[]);
    let import = Command::Import { dry_run: false, force: true, identity: None };
    let (report, free) = asked::<Imported>(&keeper, import, &bundle);
    assert_eq!(report.unchanged, 3);
    said(&free, "opening the bundle");
    assert_eq!(asked::<Examination>(&keeper, Command::Verify, &[]).0.problems, Vec::<String>::new());
}

#[test]
fn nobody_leaves_in_a_bundle_who_was_forgotten_while_it_was_made() {
    let mut site = Site::new();
    let keeper = filled(&mut site);
    let mut forgotten = false;
    let late = execute_shared(&keeper, &actor(), export_all(), &[], &mut |progress| {
        if progress.what == "opening templates" && !std::mem::replace(&mut forgotten, true) {
            let forget = Command::Forget { who: who("Ben"), reason: None };
            ask::<Receipt>(&mut hold(&keeper), forget, &[]);
        }
    });
    assert_eq!(late.map(drop).expect_err("somebody is gone").kind(), Kind::Temporary);
    assert_eq!(asked::<Exported>(&keeper, export_all(), &[]).0.identities, 2);
}

#[test]
fn what_changes_while_everything_is_looked_at_is_no_problem() {
    let mut site = Site::new();
    let keeper = filled(&mut site);
    let mut people = ["Ana", "Ben", "Cleo"].into_iter();
    let reply = execute_shared(&keeper, &actor(), Command::Verify, &[], &mut |progress| {
        // While the last look is had, nobody else can have the keeper.
        if progress.what == "identities"
            && let Some(mut keeper) = try_hold(&keeper)
            && let Some(name) = people.next()
        {
            ask::<Receipt>(&mut keeper, Command::Forget { who: who(name), reason: None }, &[]);
        }
    });
    let report: Examination = serde_json::from_value(reply.expect("a report").value).expect("a report");
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(people.next(), None);
    assert!(hold(&keeper).wipe(), "nobody reads any more");
}
