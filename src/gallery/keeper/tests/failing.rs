//! What stands when something fails on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::change::{ChangeSet, NewTemplate, TemplateChange};
use super::*;
use crate::base::clock::{Clock, Moment};
use crate::gallery::report::Examination;
use crate::types::ids::TemplateId;

fn problems(keeper: &mut Keeper) -> Vec<String> {
    ask::<Examination>(keeper, Command::Verify, &[]).problems
}

fn forget(keeper: &mut Keeper, name: &str) -> Result<Receipt> {
    try_ask(keeper, Command::Forget { who: who(name), reason: None }, &[])
}

fn damage(site: &Site, sql: &str) {
    let connection = rusqlite::Connection::open(site.path()).expect("a database");
    connection.pragma_update(None, "ignore_check_constraints", 1).expect("set");
    assert!(connection.execute(sql, []).expect("changed") > 0, "{sql}");
}

#[test]
fn only_the_change_whose_forgotten_could_not_be_listed_says_so() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let soon = site.clock.now().wall + jiff::SignedDuration::from_secs(60);
    for (person, name) in ["Ana", "Ben", "Cleo"].into_iter().enumerate() {
        let valid_until = (name == "Cleo").then_some(soon);
        site.enrol(&mut keeper, Record { valid_until, ..record(name) }, person);
    }
    let list = site.folder().join("gallery.forgotten");
    std::fs::create_dir(&list).expect("in the way");
    let told = forget(&mut keeper, "Ana").expect_err("not listed").to_string();
    assert!(told.contains("list beside it"), "{told}");
    assert!(best(&keeper, &site.people.template(0)).is_none(), "she is forgotten all the same");
    // What others do is none of it: it stands, and is said to.
    let change = Change { notes: Some(Some("a note".to_owned())), ..Change::default() };
    ask::<Person>(&mut keeper, Command::Change { who: who("Ben"), change: Box::new(change) }, &[]);
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(keeper.tick().expect("on record"), 1);
    assert_eq!(keeper.tick().expect("nothing to do"), 0, "a step that stands is not taken again");
    std::fs::remove_dir(&list).expect("out of the way");
    forget(&mut keeper, "Ben").expect("listed");
    assert_eq!(std::fs::read_to_string(&list).expect("a file").lines().count(), 2, "with who was owed");
    assert_eq!(problems(&mut keeper), Vec::<String>::new());
}

#[test]
fn a_change_that_searches_could_not_follow_is_not_made() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let short = NewTemplate {
        id: TemplateId::generate(),
        embedding: Embedding::new(MODEL, vec![1.0, 0.0]).expect("a vector"),
        quality: 0.5,
        source: Source { kind: SourceKind::File, name: "short.jpg".to_owned(), sha256: "0".repeat(64) },
        created: site.clock.now().wall,
    };
    let mut change = ChangeSet::default();
    change.templates.push(TemplateChange::Add { identity: ana, template: short });
    assert_eq!(keeper.commit(&actor(), change).expect_err("2 is not 128").kind(), Kind::Data);
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    assert_eq!(problems(&mut keeper), Vec::<String>::new());
    drop(keeper);
    assert_eq!(best(&site.open(), &site.people.template(1)).as_deref(), Some("Ana"));
}

/// Panics at one of the times it is asked.
struct Trap {
    clock: Arc<SimulatedClock>,
    /// Asked so often until it does; `usize::MAX`: never.
    left: AtomicUsize,
}

impl Clock for Trap {
    fn now(&self) -> Moment {
        let left = self.left.load(Ordering::SeqCst);
        if left != usize::MAX {
            self.left.store(left.wrapping_sub(1), Ordering::SeqCst);
            assert!(left > 0, "the clock fell off the wall");
        }
        self.clock.now()
    }
}

#[test]
fn a_command_that_panics_leaves_a_gallery_that_is_what_is_stored() {
    let mut site = Site::new();
    let trap = Arc::new(Trap { clock: site.clock.clone(), left: AtomicUsize::new(usize::MAX) });
    let opening = Opening { clock: trap.clone(), ..site.opening() };
    let seen = Arc::new(AtomicUsize::new(usize::MAX));
    let told = seen.clone();
    let on_swap = move |_| assert_ne!(told.fetch_sub(1, Ordering::SeqCst), 0, "nobody listens");
    let keeper = Mutex::new(Keeper::open(opening, Box::new(on_swap)).expect("a gallery").0);
    let mut panicked = 0;
    for round in 0..8usize {
        let (template, body, probe) = site.picture(round);
        let name = format!("Person {round}");
        let subject = Subject { record: record(&name) };
        let command = Command::Enrol { subject, template, review: Review::Off };
        if round < 6 {
            trap.left.store(round, Ordering::SeqCst);
        } else {
            seen.store(0, Ordering::SeqCst);
        }
        let asked = catch_unwind(AssertUnwindSafe(|| {
            execute_shared(&keeper, &actor(), command, &body, &mut |_| {}).map(drop)
        }));
        trap.left.store(usize::MAX, Ordering::SeqCst);
        seen.store(usize::MAX, Ordering::SeqCst);
        panicked += usize::from(asked.is_err());
        let reply = execute_shared(&keeper, &actor(), Command::Verify, &[], &mut |_| {}).expect("a report");
        let report: Examination = serde_json::from_value(reply.value).expect("a report");
        assert_eq!(report.problems, Vec::<String>::new(), "round {round}");
        let list = Command::List { list: None, standing: None, text: Some(name.clone()) };
        let reply = execute_shared(&keeper, &actor(), list, &[], &mut |_| {}).expect("a list");
        let there: Vec<Person> = serde_json::from_value(reply.value).expect("a list");
        let keeper = keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert_eq!(best(&keeper, &probe).is_some(), there.len() == 1, "round {round}");
    }
    assert!(panicked >= 3, "{panicked}");
}

#[test]
fn a_head_that_cannot_be_read_stops_nobody_and_stays_as_it_is() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    drop(keeper);
    let head = site.folder().join("gallery.head");
    let whole = std::fs::read(&head).expect("a head");
    for bad in [&b"nonsense"[..], b"", &whole[..whole.len() / 2]] {
        std::fs::write(&head, bad).expect("written");
        let mut keeper = site.open();
        assert_eq!(best(&keeper, &site.people.template(1)).as_deref(), Some("Ana"));
        site.enrol(&mut keeper, record("Ben"), 2);
        let report: AuditReport = ask(&mut keeper, Command::AuditVerify { head: None }, &[]);
        assert!(report.problems.iter().any(|problem| problem.contains("gallery.head")), "{report:?}");
        assert_eq!(std::fs::read(&head).expect("a head"), bad, "it is what somebody has to look at");
    }
}

#[test]
fn an_audit_row_that_cannot_be_read_keeps_nobody_from_being_forgotten() {
    let mut site = Site::new();
    let mut keeper = site.open();
    for (person, name) in ["Ana", "Ben", "Cleo", "Dan"].into_iter().enumerate() {
        site.enrol(&mut keeper, record(name), person);
    }
    ask::<Person>(&mut keeper, Command::Merge { from: who("Dan"), into: who("Cleo") }, &[]);
    damage(&site, "UPDATE audit SET body = 'nonsense' WHERE sequence = 3");
    let receipt = forget(&mut keeper, "Ana").expect("forgotten");
    assert!(receipt.beyond.iter().any(|what| what.contains("1 entry of the audit log")), "{receipt:?}");
    damage(&site, "UPDATE audit SET mac = x'00' WHERE sequence = 4");
    let receipt = forget(&mut keeper, "Ben").expect("forgotten");
    assert!(receipt.beyond.iter().any(|what| what.contains("2 entries of the audit log")), "{receipt:?}");
    // What stands after the unreadable ones is still seen.
    forget(&mut keeper, "Cleo").expect("forgotten");
    let listed = std::fs::read_to_string(site.folder().join("gallery.forgotten")).expect("a file");
    assert_eq!(listed.lines().count(), 4, "who was merged into her too: {listed}");
}

#[test]
fn a_tool_that_opens_the_gallery_shows_standings_as_of_now() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let soon = site.clock.now().wall + jiff::SignedDuration::from_secs(60);
    site.enrol(&mut keeper, Record { valid_until: Some(soon), ..record("Ana") }, 1);
    drop(keeper);
    site.clock.advance(Duration::from_secs(60));
    let mut own = Own::new(site.open(), actor());
    let list = Command::List { list: None, standing: None, text: None };
    let reply = own.ask(list, Vec::new(), &mut |_| {}).expect("a list");
    let people: Vec<Person> = serde_json::from_value(reply.value).expect("people");
    assert_eq!(people.iter().map(|person| person.standing).collect::<Vec<_>>(), [Standing::Expired]);
}
