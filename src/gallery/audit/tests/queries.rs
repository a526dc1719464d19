//! Who was on which list then, and which entries fit.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::gallery::command::AuditFilter;
use crate::gallery::report::Member;

/// A log about people, written line by line.
struct Book {
    chain: Chain,
    rows: Vec<Row>,
    people: Vec<Person>,
}

impl Book {
    fn new(count: usize) -> Self {
        Self { chain: Chain::resume(key(1), None), rows: Vec::new(), people: people(count) }
    }

    fn write(&mut self, at: &str, draft: Draft, person: Option<usize>) {
        let key = person.map(|i| &self.people[i].key);
        self.rows.push(self.chain.append(time(at), &actor(), 1, draft, key).expect("appended"));
    }

    /// Person `i` is on these lists from now on, under a name.
    fn put(&mut self, at: &str, i: usize, lists: &[&str]) {
        let draft = Draft::new(Action::Changed).about(self.people[i].id, named(&self.people[i].name));
        self.write(at, draft.member(lists, Standing::Active), Some(i));
    }

    fn at(&self, at: &str) -> Vec<Member> {
        let name = |row: &Row, id: IdentityId| row.open(id, &self.key_of(id)?).map(|part| part.name);
        members_at(ok(&self.rows), time(at), name).expect("members")
    }

    fn key_of(&self, id: IdentityId) -> Option<Key> {
        self.people.iter().find(|person| person.id == id).map(|person| person.key.clone())
    }

    /// As `Person 0: watchlist, staff`.
    fn shown(&self, at: &str) -> Vec<String> {
        self.at(at).iter().map(|member| format!("{}: {}", member.name, member.lists.join(", "))).collect()
    }
}

#[test]
fn who_was_on_which_list_then() {
    let mut book = Book::new(3);
    book.put("2026-01-01T00:00:00Z", 0, &["watchlist"]);
    book.put("2026-02-01T00:00:00Z", 1, &["staff", "watchlist"]);
    book.put("2026-03-01T00:00:00Z", 0, &["staff"]);
    book.put("2026-04-01T00:00:00Z", 1, &[]);
    let cases: [(&str, &[&str]); 6] = [
        ("2025-12-31T23:59:59Z", &[]),
        ("2026-01-01T00:00:00Z", &["Person 0: watchlist"]),
        ("2026-01-31T23:59:59.999999999Z", &["Person 0: watchlist"]),
        ("2026-02-15T00:00:00Z", &["Person 0: watchlist", "Person 1: staff, watchlist"]),
        ("2026-03-01T00:00:00Z", &["Person 0: staff", "Person 1: staff, watchlist"]),
        ("2030-01-01T00:00:00Z", &["Person 0: staff"]),
    ];
    for (at, expected) in cases {
        assert_eq!(book.shown(at), expected, "{at}");
    }
}

#[test]
fn the_standing_and_the_name_are_those_of_that_time() {
    let mut book = Book::new(1);
    let id = book.people[0].id;
    let entry = |action, standing| Draft::new(action).about_id(id).member(["watchlist"], standing);
    book.put("2026-01-01T00:00:00Z", 0, &["watchlist"]);
    book.write("2026-02-01T00:00:00Z", entry(Action::Expired, Standing::Expired), None);
    let renamed =
        Draft::new(Action::Changed).about(id, named("Renamed")).member(["watchlist"], Standing::Active);
    book.write("2026-03-01T00:00:00Z", renamed, Some(0));
    book.write("2026-04-01T00:00:00Z", Draft::new(Action::TemplateAdded).about_id(id), None);
    let state = |at: &str| book.at(at).into_iter().map(|m| (m.name, m.standing)).collect::<Vec<_>>();
    assert_eq!(state("2026-01-15T00:00:00Z"), [("Person 0".to_owned(), Standing::Active)]);
    assert_eq!(state("2026-02-15T00:00:00Z"), [("Person 0".to_owned(), Standing::Expired)]);
    assert_eq!(state("2026-03-15T00:00:00Z"), [("Renamed".to_owned(), Standing::Active)]);
    assert_eq!(state("2026-04-15T00:00:00Z"), [("Renamed".to_owned(), Standing::Active)]);
}

#[test]
fn somebody_forgotten_later_was_a_member_without_a_name() {
    let mut book = Book::new(2);
    book.put("2026-01-01T00:00:00Z", 0, &["watchlist"]);
    book.put("2026-01-01T00:00:00Z", 1, &["watchlist"]);
    let gone = book.people[0].id;
    book.write("2026-02-01T00:00:00Z", Draft::new(Action::Forgotten).about_id(gone), None);
    book.people.remove(0);
    assert_eq!(book.shown("2026-01-15T00:00:00Z"), ["Person 1: watchlist", "forgotten: watchlist"]);
    assert_eq!(book.at("2026-01-15T00:00:00Z")[1].identity, gone);
    assert_eq!(book.shown("2026-02-01T00:00:00Z"), ["Person 1: watchlist"]);
    assert!(verify(&key(1), ok(&book.rows), &[]).is_clean());
}

#[test]
fn a_restored_backup_is_what_its_entries_say() {
    let mut book = Book::new(2);
    book.put("2026-01-01T00:00:00Z", 0, &["watchlist"]);
    book.put("2026-02-01T00:00:00Z", 1, &["watchlist"]);
    // Back to January: 0 on another list, 1 not there.
    book.write("2026-03-01T00:00:00Z", Draft::new(Action::Restored), None);
    book.put("2026-03-01T00:00:00Z", 0, &["staff"]);
    book.put("2026-03-01T00:00:00Z", 1, &[]);
    assert_eq!(book.shown("2026-02-15T00:00:00Z"), ["Person 0: watchlist", "Person 1: watchlist"]);
    assert_eq!(book.shown("2026-03-01T00:00:00Z"), ["Person 0: staff"]);
}

/// The box started without a clock once, and enrolled a thousand people in 1970.
#[test]
fn a_clock_that_was_behind_for_a_day_does_not_move_the_past() {
    let mut book = Book::new(4);
    book.put("2026-01-01T00:00:00Z", 0, &["january"]);
    book.put("2026-02-01T00:00:00Z", 1, &["february"]);
    book.put("2026-03-01T00:00:00Z", 0, &["march"]);
    (0..1000).for_each(|_| book.put("1970-01-01T00:01:00Z", 2, &["lost"]));
    book.put("2026-04-01T00:00:00Z", 3, &["april"]);
    assert_eq!(book.shown("1970-01-01T00:02:00Z"), [""; 0]);
    assert_eq!(book.shown("2026-01-15T00:00:00Z"), ["Person 0: january"]);
    assert_eq!(book.shown("2026-03-15T00:00:00Z")[2..], ["Person 2: lost"]);
    assert_eq!(book.shown("2026-04-01T00:00:00Z").len(), 4);
}

/// Somebody set the box to 2036, enrolled, saw it and set it back.
#[test]
fn a_clock_that_was_ahead_for_a_day_hides_nothing() {
    let mut book = Book::new(4);
    book.put("2026-01-01T00:00:00Z", 0, &["january"]);
    (0..1000).for_each(|_| book.put("2036-01-02T00:00:00Z", 1, &["ahead"]));
    book.put("2026-02-01T00:00:00Z", 2, &["february"]);
    assert_eq!(book.shown("2026-01-15T00:00:00Z"), ["Person 0: january"]);
    assert_eq!(book.shown("2026-02-01T00:00:00Z").len(), 3);
}

/// Set back by seconds: what stands before a later entry of an earlier time had happened by then.
#[test]
fn within_a_day_the_order_of_entries_counts() {
    let mut book = Book::new(3);
    book.put("2026-01-01T00:00:10Z", 0, &["one"]);
    book.put("2026-01-01T00:00:12Z", 1, &["two"]);
    book.put("2026-01-01T00:00:11Z", 2, &["three"]);
    assert_eq!(book.shown("2026-01-01T00:00:10Z"), ["Person 0: one"]);
    assert_eq!(book.shown("2026-01-01T00:00:11Z").len(), 3);
}

#[test]
fn what_no_entry_can_say_is_an_error() {
    let mut book = Book::new(1);
    let id = book.people[0].id;
    book.write("2026-01-01T00:00:00Z", Draft::new(Action::Exported).with("lists", vec!["watchlist"]), None);
    assert_eq!(book.shown("2026-01-02T00:00:00Z"), [""; 0], "an export of a list makes nobody a member");
    let odd = Draft::new(Action::Changed).about_id(id).with("lists", 7).with("standing", "active");
    book.write("2026-01-01T00:00:00Z", odd, None);
    let failed = members_at(ok(&book.rows), time("2026-01-02T00:00:00Z"), |_, _| None).expect_err("no lists");
    assert!(failed.to_string().contains("audit entry 2"), "{failed}");
}

#[test]
fn filters_select_by_each_of_their_parts() {
    let mut book = Book::new(2);
    let (kept, gone) = (book.people[0].id, book.people[1].id);
    book.put("2026-01-01T00:00:00Z", 0, &["watchlist"]);
    book.put("2026-01-02T00:00:00Z", 1, &["watchlist"]);
    let merged = Draft::new(Action::Merged).about_id(gone).with("into", kept.to_string());
    book.write("2026-01-03T00:00:00Z", merged, None);
    book.write("2026-01-04T00:00:00Z", Draft::new(Action::BackedUp), None);
    let found = |asked: AuditFilter, who: Option<IdentityId>| -> Vec<u64> {
        let filter = Filter::new(&asked, who).expect("a filter");
        select(ok(&book.rows), &filter).expect("selected").iter().map(|(row, _)| row.sequence).collect()
    };
    let all = AuditFilter::default;
    assert_eq!(found(all(), None), [1, 2, 3, 4]);
    assert_eq!(found(all(), Some(kept)), [1, 3], "also where it is the one that was merged into");
    assert_eq!(found(all(), Some(gone)), [2, 3]);
    assert_eq!(found(AuditFilter { action: Some("changed".into()), ..all() }, None), [1, 2]);
    assert_eq!(found(AuditFilter { since: Some(time("2026-01-02T00:00:00Z")), ..all() }, None), [2, 3, 4]);
    assert_eq!(found(AuditFilter { until: Some(time("2026-01-02T00:00:00Z")), ..all() }, None), [1]);
    assert_eq!(found(AuditFilter { most: Some(2), ..all() }, None), [3, 4]);
    assert_eq!(found(AuditFilter { most: Some(0), ..all() }, None), [0; 0]);
    assert!(Filter::new(&AuditFilter { action: Some("chnaged".into()), ..all() }, None).is_err());

    let (row, entry) = select(ok(&book.rows), &Filter::default()).expect("selected").remove(0);
    let shown = entry.report(row.name(kept, Some(&book.people[0].key)));
    assert_eq!(
        (shown.name.as_deref(), shown.action.as_str(), shown.actor.as_str()),
        (Some("Person 0"), "changed", "root")
    );
}

proptest! {
    /// While the clock only goes forward, the answer is that of replaying everything up to the time.
    #[test]
    fn it_agrees_with_a_replay(steps in vec((0..5usize, 0..4u8, 0..40i64), 0..60), asked in 0..1500i64) {
        let mut book = Book::new(5);
        let (start, mut hours) = (time("2026-01-01T00:00:00Z"), 0);
        let mut replayed: BTreeMap<IdentityId, String> = BTreeMap::new();
        let mut forgotten = Vec::new();
        for (i, what, pause) in steps {
            hours += pause;
            let at = (start + SignedDuration::from_hours(hours)).to_string();
            let id = book.people[i].id;
            if forgotten.contains(&i) {
                continue;
            }
            if what == 0 {
                book.write(&at, Draft::new(Action::Forgotten).about_id(id), None);
                forgotten.push(i);
            } else {
                book.put(&at, i, &["a", "b", "c"][..usize::from(what) - 1]);
            }
            if hours <= asked {
                match what {
                    0 | 1 => replayed.remove(&id),
                    _ => replayed.insert(id, ["a", "b", "c"][..usize::from(what) - 1].join(", ")),
                };
            }
        }
        let found = book.at(&(start + SignedDuration::from_hours(asked)).to_string());
        let found: BTreeMap<_, _> = found.into_iter().map(|m| (m.identity, m.lists.join(", "))).collect();
        prop_assert_eq!(found, replayed);
    }
}
