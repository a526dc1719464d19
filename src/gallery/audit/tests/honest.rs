//! Whatever is written honestly verifies, opens with its key, and says forgotten without.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Action, whom it is about, the name if it has one, details, minutes since the entry before (the clock may go back), generation.
type Made = (usize, Option<usize>, Option<String>, std::collections::BTreeMap<String, String>, i64, u64);

fn made() -> impl Strategy<Value = Vec<Made>> {
    let one = (
        0..Action::ALL.len(),
        proptest::option::of(0..4usize),
        proptest::option::of(".{0,40}"),
        btree_map(".{0,8}", ".{0,20}", 0..4),
        -500..5000i64,
        any::<u64>(),
    );
    vec(one, 0..40)
}

fn write(made: &[Made], people: &[Person]) -> Vec<Row> {
    let mut at = time("2026-01-01T00:00:00Z");
    let mut rows: Vec<Row> = Vec::new();
    for (action, person, name, detail, minutes, generation) in made {
        at += SignedDuration::from_mins(*minutes);
        let mut draft = Draft::new(Action::ALL[*action]);
        detail.iter().for_each(|(key, value)| draft = draft.clone().with(key, value.as_str()));
        let person = person.map(|i| &people[i]);
        draft = match (person, name) {
            (Some(person), Some(name)) => draft.about(person.id, named(name).with("file", "a.jpg")),
            (Some(person), None) => draft.about_id(person.id),
            (None, _) => draft,
        };
        // A log is resumed from its last row at any time.
        let mut chain = Chain::resume(key(1), rows.last());
        rows.push(chain.append(at, &actor(), *generation, draft, person.map(|p| &p.key)).expect("appended"));
    }
    rows
}

proptest! {
    #[test]
    fn any_honest_log_verifies_whoever_was_forgotten(made in made(), forgotten in 0..4usize) {
        let people = people(4);
        let rows = write(&made, &people);
        let head = ("a head", rows.last().map_or(Head::start(&key(1)), head_of));
        let report = verify(&key(1), ok(&rows), &[head]);
        prop_assert!(report.is_clean(), "{:?}", report.sentences());
        prop_assert_eq!(report.head, head.1);

        for (row, (action, _, name, detail, _, generation)) in rows.iter().zip(&made) {
            let entry = row.entry().expect("an entry");
            prop_assert_eq!(entry.action(), Some(Action::ALL[*action]));
            prop_assert_eq!((entry.generation, entry.detail.len()), (*generation, detail.len()));
            let sorted: serde_json::Value = serde_json::from_str(&row.body).expect("JSON");
            prop_assert_eq!(&sorted.to_string(), &row.body, "keys are sorted");

            let Some(person) = people.iter().find(|person| Some(person.id) == entry.identity) else { continue };
            let key = (person.id != people[forgotten].id).then_some(&person.key);
            let expected = name.as_deref().map(|name| if key.is_some() { name } else { FORGOTTEN });
            let shown = row.name(person.id, key);
            prop_assert_eq!(shown.as_deref(), expected);
        }
    }
}

#[test]
fn a_name_opens_with_its_key_in_its_entry_about_its_person_only() {
    let (people, mut chain) = (people(2), Chain::resume(key(1), None));
    let part = named("Ana").with("file", "ana.jpg");
    let draft = Draft::new(Action::Enrolled).about(people[0].id, part.clone());
    let mut append = || {
        let at = time("2026-01-01T00:00:00Z");
        chain.append(at, &actor(), 1, draft.clone(), Some(&people[0].key)).expect("appended")
    };
    let (one, two) = (append(), append());
    assert!(one.open(people[0].id, &people[0].key) == Some(part));
    assert!(one.open(people[1].id, &people[0].key).is_none());
    assert!(one.open(people[0].id, &people[1].key).is_none());
    assert_eq!(one.name(people[0].id, Some(&people[1].key)).as_deref(), Some(UNREADABLE));
    let moved = Row { sealed: two.sealed, ..one };
    assert!(moved.open(people[0].id, &people[0].key).is_none());
}

#[test]
fn neither_the_text_nor_the_length_gives_a_name_away() {
    let (people, mut chain) = (people(1), Chain::resume(key(1), None));
    let mut row = |name: &str| {
        let draft = Draft::new(Action::Enrolled).about(people[0].id, named(name));
        assert!(!format!("{draft:?}").contains(name), "{draft:?}");
        chain
            .append(time("2026-01-01T00:00:00Z"), &actor(), 1, draft, Some(&people[0].key))
            .expect("appended")
    };
    let (short, long) = (row("Bo"), row("Wolfeschlegelsteinhausenbergerdorff"));
    assert_eq!(short.sealed.as_ref().map(Vec::len), long.sealed.as_ref().map(Vec::len));
    for (row, name) in [(short, "Bo"), (long, "Wolfeschlegel")] {
        assert!(!row.body.contains(name), "{}", row.body);
        let sealed = row.sealed.expect("sealed");
        assert!(!sealed.windows(name.len()).any(|window| window == name.as_bytes()));
    }
}

#[test]
fn a_name_without_a_key_is_refused_and_the_chain_stays_where_it_was() {
    let (person, mut chain) = (&people(1)[0], Chain::resume(key(1), None));
    let draft = Draft::new(Action::Enrolled).about(person.id, named("Ana"));
    let at = time("2026-01-01T00:00:00Z");
    let refused = chain.append(at, &actor(), 1, draft.clone(), None).expect_err("no key");
    assert!(!refused.chain().contains("Ana"), "{}", refused.chain());
    assert_eq!(chain.head(), Head::start(&key(1)));
}

#[test]
fn a_rolled_back_entry_leaves_no_gap() {
    let (mut chain, at) = (Chain::resume(key(1), None), time("2026-01-01T00:00:00Z"));
    let append = |chain: &mut Chain| {
        chain.append(at, &actor(), 1, Draft::new(Action::BackedUp), None).expect("appended")
    };
    let one = append(&mut chain);
    // As a commit does it: the clone goes where its rows go.
    append(&mut chain.clone());
    let two = append(&mut chain);
    assert!(verify(&key(1), ok(&[one, two]), &[]).is_clean());
}
