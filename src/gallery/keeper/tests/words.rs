//! What is written down of whom, and what is told.

use super::*;
use crate::gallery::audit::Action;
use crate::gallery::command::AuditFilter;
use crate::gallery::report::{AuditEntry, BackedUp, Examination, Moved};
use crate::gallery::store::StoredIdentity;

/// Enrols a picture whose file has a name.
fn enrol_file(site: &mut Site, keeper: &mut Keeper, name: &str, person: usize, file: &str) -> IdentityId {
    let (template, body, _) = site.picture(person);
    let source = Source { name: file.to_owned(), ..template.source.clone() };
    let template = TemplateData { source, ..template };
    let subject = Subject { record: record(name) };
    match ask(keeper, Command::Enrol { subject, template, review: Review::Off }, &body) {
        Enrolment::Stored { identity, .. } => identity,
        other => panic!("{other:?}"),
    }
}

fn portrait(keeper: &mut Keeper, name: &str) -> Portrait {
    ask(keeper, Command::Show { who: who(name) }, &[])
}

/// All that a person's key opens: the record, the sources of the templates, the sealed parts of the audit log.
fn opened_by(keeper: &mut Keeper, name: &str) -> String {
    let shown = portrait(keeper, name);
    let identity: StoredIdentity = keeper.directory.get(shown.person.id).expect("there").identity.clone();
    let mut text = serde_json::to_string(&shown).expect("JSON");
    let sealed = keeper.store.read(|tables| {
        let rows = tables.audit_rows().map(|row| row.expect("readable"));
        Ok(rows.filter_map(|row| row.open(identity.id, &identity.key)).collect::<Vec<_>>())
    });
    for part in sealed.expect("read") {
        text += &serde_json::to_string(&part).expect("JSON");
    }
    text
}

#[test]
fn what_one_person_is_called_is_sealed_under_no_other_ones_key() {
    let mut site = Site::new();
    let mut keeper = site.open();
    for n in 0..4 {
        enrol_file(&mut site, &mut keeper, "Ana", 1, &format!("ana-{n}.jpg"));
    }
    enrol_file(&mut site, &mut keeper, "Ben", 2, "ben.jpg");
    enrol_file(&mut site, &mut keeper, "Dora", 3, "d.jpg");
    let anas: Vec<String> = portrait(&mut keeper, "Ana").stored.iter().map(|t| t.id.to_string()).collect();
    let name = Name::new("Cleo").expect("a name");
    let split = Command::Split { who: who("Ana"), templates: anas[..2].to_vec(), name };
    ask::<Person>(&mut keeper, split, &[]);
    let moved = Command::MoveTemplate { template: anas[2].clone(), to: who("Ben") };
    ask::<Moved>(&mut keeper, moved, &[]);
    ask::<Moved>(&mut keeper, Command::Merge { from: who("Dora"), into: who("Ben") }, &[]);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ana"), reason: None }, &[]);
    for other in ["Ben", "Cleo"] {
        let text = opened_by(&mut keeper, other);
        assert!(text.contains(other), "{text}");
        for gone in ["Ana", "ana-", "Dora"] {
            assert!(!text.contains(gone), "{gone} is still known by {other}'s key: {text}");
        }
    }
    // Whose it was is in the log by the id, and the picture is known when it comes again.
    let digests: Vec<String> =
        portrait(&mut keeper, "Cleo").stored.iter().map(|t| t.source.sha256.clone()).collect();
    assert_eq!(digests, [format!("{:064x}", 1), format!("{:064x}", 2)]);
}

fn log(keeper: &mut Keeper, action: Action) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_string()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

#[test]
fn a_merge_moves_what_is_new_and_counts_what_is_not() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let (template, body, _) = site.picture(1);
    let enrol = |keeper: &mut Keeper, name: &str, sha256: String| {
        let source = Source { sha256, ..template.source.clone() };
        let template = TemplateData { source, ..template.clone() };
        let subject = Subject { record: record(name) };
        ask::<Enrolment>(keeper, Command::Enrol { subject, template, review: Review::Off }, &body);
    };
    let (same, other) = ("0a".repeat(32), "0b".repeat(32));
    enrol(&mut keeper, "Ana", same.clone());
    enrol(&mut keeper, "Ben", same.clone());
    enrol(&mut keeper, "Ben", other);
    let moved: Moved = ask(&mut keeper, Command::Merge { from: who("Ben"), into: who("Ana") }, &[]);
    assert_eq!((moved.person.templates, moved.moved, moved.repeated, moved.left), (2, 1, 1, None));
    let detail = &log(&mut keeper, Action::Merged)[0].detail;
    assert_eq!((detail["templates"].as_u64(), detail["repeated"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn the_log_says_why_somebody_is_not_here_any_more() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let bytes = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup").body;
    let zoe = site.enrol(&mut keeper, record("Zoe"), 2);
    site.enrol(&mut keeper, record("Ben"), 3);
    site.enrol(&mut keeper, record("Cleo"), 4);
    ask::<Moved>(&mut keeper, Command::Merge { from: who("Ben"), into: who("Ana") }, &[]);
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Cleo"), reason: None }, &[]);
    let names = |keeper: &mut Keeper| -> Vec<Option<String>> {
        log(keeper, Action::Enrolled).into_iter().map(|entry| entry.name).collect()
    };
    let named = |names: [&str; 4]| names.map(|name| Some(name.to_owned())).to_vec();
    assert_eq!(names(&mut keeper), named(["Ana", "Zoe", "merged into Ana", "forgotten"]));
    let generation = keeper.shared().current().generation();
    let preview: BackedUp = ask(&mut keeper, Command::RestorePreview { key: None }, &bytes);
    assert_eq!((preview.gone, preview.now), (vec![(zoe, "Zoe".to_owned())], generation));
    assert_eq!(portrait(&mut keeper, "Zoe").person.id, zoe, "a preview changes nothing");
    let restored: BackedUp = ask(&mut keeper, Command::Restore { key: None }, &bytes);
    assert_eq!(restored.gone, [(zoe, "Zoe".to_owned())]);
    assert_eq!(names(&mut keeper), named(["Ana", "removed by a restore", "merged into Ana", "forgotten"]));
    // Whoever was merged into somebody goes with that one.
    ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ana"), reason: None }, &[]);
    assert_eq!(names(&mut keeper), named(["forgotten", "removed by a restore", "forgotten", "forgotten"]));
}

#[test]
fn a_receipt_is_given_again_by_id_and_external_id() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let external = Record { external_id: Some(ExternalId::new("E1").expect("an id")), ..record("Ana") };
    let ana = site.enrol(&mut keeper, external, 1);
    let ben = site.enrol(&mut keeper, record("Ben"), 2);
    ask::<Moved>(&mut keeper, Command::Merge { from: who("Ben"), into: who("Ana") }, &[]);
    let forget = |keeper: &mut Keeper, text: &str| {
        let command = Command::Forget { who: who(text), reason: None };
        try_ask::<Receipt>(keeper, command, &[])
    };
    let first = forget(&mut keeper, "E1").expect("forgotten");
    site.clock.advance(Duration::from_secs(60));
    keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup");
    let entries = keeper.chain.head().count;
    let again = Receipt { again: true, probes: 0, ..first };
    for text in [ana.to_string(), "E1".to_owned()] {
        assert_eq!(forget(&mut keeper, &text).expect("again"), again);
    }
    // Whoever was merged into somebody went with that one.
    let with = forget(&mut keeper, &ben.to_string()).expect("again");
    assert_eq!((with.identity, with.dissolved, with.audit), (ana, vec![ben], again.audit));
    assert_eq!(keeper.chain.head().count, entries, "nothing was done");
    assert_eq!(forget(&mut keeper, "Ana").expect_err("a name is gone").kind(), Kind::NoInput);
}

#[test]
fn a_backup_that_fails_is_on_record_as_failed_and_counts_for_nothing() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup");
    // Something that cannot be put away lies where the copy is made.
    let place = site.folder().join("gallery.db.backup-tmp");
    std::fs::create_dir(&place).expect("made");
    assert!(keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).is_err());
    let told = log(&mut keeper, Action::BackedUp);
    let stages: Vec<_> = told.iter().map(|entry| entry.detail["stage"].as_str().unwrap_or("")).collect();
    assert_eq!(stages, ["begun", "begun", "failed"]);
    let receipt: Receipt = ask(&mut keeper, Command::Forget { who: who("Ana"), reason: None }, &[]);
    assert!(receipt.beyond[0].starts_with("backups that may exist: 1,"), "{}", receipt.beyond[0]);
}

#[test]
fn the_log_is_not_asked_for_what_it_cannot_know() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let start = site.clock.now().wall;
    site.clock.advance(Duration::from_secs(60));
    let at = |keeper: &mut Keeper, seconds: i64| {
        let at = start + jiff::SignedDuration::from_secs(seconds);
        try_ask::<Vec<Member>>(keeper, Command::AuditAt { at }, &[])
    };
    let future = at(&mut keeper, 61).expect_err("still to come");
    assert!(future.kind() == Kind::Usage && future.to_string().contains("still to come"), "{future}");
    let before = at(&mut keeper, -1).expect_err("not on record");
    assert!(before.kind() == Kind::NoInput && before.to_string().contains(&start.to_string()), "{before}");
    for seconds in [0, 1, 60] {
        assert_eq!(at(&mut keeper, seconds).expect("on record").len(), 1, "{seconds}");
    }
}

#[test]
fn a_list_that_is_not_there_is_an_error_wherever_it_is_named() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let none = ListName::new("nolist").expect("a list");
    let on = Record { lists: BTreeSet::from([none.clone()]), ..record("Ana") };
    let off = Change { off: BTreeSet::from([none.clone()]), ..Change::default() };
    for command in [
        Command::List { list: Some(none), standing: None, text: None },
        Command::Change { who: who("Ana"), change: Box::new(off) },
        Command::Known { subject: Subject { record: on }, model: MODEL, sources: vec![] },
    ] {
        let error = try_ask::<serde_json::Value>(&mut keeper, command, &[]).expect_err("no such list");
        assert_eq!(error.kind(), Kind::NoInput);
        assert!(error.to_string().contains("there are: watchlist"), "{error}");
    }
}

#[test]
fn who_has_no_template_is_warned_of() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let verify = |keeper: &mut Keeper| ask::<Examination>(keeper, Command::Verify, &[]);
    assert!(verify(&mut keeper).warnings.is_empty());
    let template = portrait(&mut keeper, "Ana").stored[0].id.to_string();
    let moved: Moved = ask(&mut keeper, Command::MoveTemplate { template, to: who("Ben") }, &[]);
    assert_eq!((moved.from, moved.left, moved.person.templates), (ana, Some(0), 2));
    let found = verify(&mut keeper);
    assert!(found.problems.is_empty() && found.warnings.len() == 1, "{found:?}");
    assert!(found.warnings[0].contains(&ana.to_string()), "{found:?}");
}

#[test]
fn times_and_lists_are_on_record_before_and_after_and_nothing_else_is() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let until: Timestamp = "2027-01-01T00:00:00Z".parse().expect("a time");
    let limited = Record { valid_until: Some(until), ..record("Ana") };
    site.enrol(&mut keeper, limited, 1);
    assert_eq!(log(&mut keeper, Action::Enrolled)[0].detail["valid_until"], until.to_string());
    let staff = ListName::new("staff").expect("a list");
    ask::<ListUse>(&mut keeper, Command::SetList { list: List::new(staff.clone()) }, &[]);
    let change = Change {
        valid_until: Some(None),
        review: Some(Some(until)),
        onto: BTreeSet::from([staff]),
        notes: Some(Some("wears a hat".to_owned())),
        ..Change::default()
    };
    ask::<Person>(&mut keeper, Command::Change { who: who("Ana"), change: Box::new(change) }, &[]);
    let detail = log(&mut keeper, Action::Changed).remove(0).detail;
    let expected = serde_json::json!({
        "fields": ["lists", "valid_until", "review", "notes"], "revision": 2, "standing": "active",
        "lists": ["staff", "watchlist"], "lists_before": ["watchlist"],
        "valid_until": null, "valid_until_before": until.to_string(),
        "review": until.to_string(), "review_before": null,
    });
    assert_eq!(serde_json::Value::Object(detail), expected);
}
