//! What is told, in which words, and what is not told twice.

use super::*;

fn told(rows: &[Row], against: &[(&str, Head)]) -> Vec<String> {
    verify(&key(1), ok(rows), against).sentences()
}

#[test]
fn an_honest_log_passes_through_every_head_it_had() {
    let rows = log(30);
    let heads: Vec<_> = rows.iter().map(|row| ("a head", head_of(row))).collect();
    let report = verify(&key(1), ok(&rows), &heads);
    assert_eq!((report.entries, report.is_clean(), report.more), (30, true, 0));
    assert_eq!(report.head, head_of(&rows[29]));
    assert_eq!(told(&[], &[("a head", Head::start(&key(1)))]), [""; 0]);
    assert_eq!(verify(&key(1), ok(&[]), &[]).head, Head::start(&key(1)));
}

#[test]
fn one_edit_is_one_sentence_that_names_the_entry() {
    let honest = log(30);
    for at in [0, 7, 29] {
        let mut rows = honest.clone();
        rows[at].body.push(' ');
        let after = if at == 0 { "at the start of the log".to_owned() } else { format!("after entry {at}") };
        let expected = format!("entry {} was edited: it is not what was written {after}", at + 1);
        assert_eq!(told(&rows, &[]), std::slice::from_ref(&expected));

        let mut rows = honest.clone();
        rows[at].mac[5] ^= 1;
        assert_eq!(told(&rows, &[]), [expected]);
    }
    let mut rows = honest;
    rows[3].body.push(' ');
    rows[4].body.push(' ');
    rows[9].sealed = Some(vec![1]);
    assert_eq!(
        told(&rows, &[]),
        [
            "entries 4 to 5 are not what was written after entry 3: one or more of them was edited",
            "entry 10 was edited: it is not what was written after entry 9",
        ]
    );
}

#[test]
fn what_is_missing_and_what_was_cut_off_is_told_with_its_numbers() {
    let honest = log(30);
    let head = ("gallery.head", head_of(&honest[29]));
    let mut rows = honest.clone();
    rows.drain(10..13);
    assert_eq!(
        told(&rows, &[head]),
        ["entries 11 to 13 are missing, and without them entry 14 cannot be proven"]
    );
    rows.remove(5);
    assert_eq!(told(&rows, &[head])[0], "entry 6 is missing, and without it entry 7 cannot be proven");
    assert_eq!(
        told(&honest[..20], &[head]),
        [
            "the log ends at entry 20, and gallery.head says that entry 30 was written: what came after entry 20 was cut off"
        ]
    );
    let other = ("the head given", Head { count: 12, mac: honest[12].mac });
    assert_eq!(
        told(&honest, &[head, other]),
        [
            "entry 12 is not the one that the head given was taken from: the log was changed since, or the head is another log's"
        ]
    );
    let start = ("the head given", Head::start(&key(2)));
    assert_eq!(
        told(&honest, &[start]),
        ["the head given is the head of another log: it was started with another key"]
    );
}

#[test]
fn swapped_and_repeated_entries_are_told_by_their_places() {
    let honest = log(30);
    let mut rows = honest.clone();
    rows.swap(4, 9);
    (rows[4].sequence, rows[9].sequence) = (5, 10);
    assert_eq!(
        told(&rows, &[]),
        [
            "entry 5 says it is entry 10: entries were swapped, moved or repeated",
            "entry 10 says it is entry 5: entries were swapped, moved or repeated",
        ]
    );
    let mut rows = honest;
    rows.insert(9, rows[4].clone());
    assert_eq!(told(&rows, &[]), ["entry 5 comes after entry 9: it was put in, repeated or moved"]);
}

#[test]
fn another_key_is_one_problem() {
    let report = verify(&key(2), ok(&log(30)), &[]);
    assert_eq!(report.problems, [Problem::NothingFits { entries: 30 }]);
}

#[test]
fn a_row_that_cannot_be_read_is_told_and_the_rest_is_still_checked() {
    let honest = log(30);
    let broken = |at: usize| {
        let rows = honest.iter().enumerate().map(move |(i, row)| {
            if i == at { Err(crate::err!(Data, "its MAC is too short")) } else { Ok(row.clone()) }
        });
        verify(&key(1), rows, &[("a head", head_of(&honest[29]))]).sentences()
    };
    let why = |n: usize| format!("near entry {n}: its MAC is too short");
    assert_eq!(broken(6), [why(7)]);
    assert_eq!(broken(29).first(), Some(&why(30)));
    assert_eq!(broken(29).len(), 2, "nor is the head met");
}

#[test]
fn a_proven_row_that_contradicts_itself_is_told() {
    // Only who has the key can write one; it would be a mistake of ours.
    let mut rows = log(3);
    let mut relink = |at: usize, change: fn(&mut Row)| {
        change(&mut rows[at]);
        let mut previous = Head::start(&key(1)).mac;
        for row in &mut rows {
            row.mac = crate::gallery::audit::chain::link(&key(1), &previous, row);
            previous = row.mac;
        }
        told(&rows, &[])
    };
    assert_eq!(relink(1, |row| row.body = "{}".to_owned()).len(), 1);
    assert_eq!(relink(2, |row| row.body = row.body.replace("\"sequence\":3", "\"sequence\":4")).len(), 2);
}

#[test]
fn many_problems_are_counted_and_heads_are_told_all_the_same() {
    let mut rows = log(400);
    let head = ("gallery.head", head_of(&rows[399]));
    rows.truncate(390);
    rows.iter_mut().step_by(3).for_each(|row| row.body.push(' '));
    let report = verify(&key(1), ok(&rows), &[head]);
    assert_eq!((report.problems.len(), report.more), (MOST_PROBLEMS + 1, 30));
    let sentences = report.sentences();
    assert!(sentences[MOST_PROBLEMS].contains("cut off"), "{sentences:?}");
    assert_eq!(sentences[MOST_PROBLEMS + 1], "and 30 problems more");
}

/// The rows are made as they are read: nothing of them is kept.
#[test]
fn a_long_log_is_read_as_a_stream() {
    const COUNT: u64 = 100_000;
    let (mut chain, person) = (Chain::resume(key(1), None), &people(1)[0]);
    let at = time("2026-01-01T00:00:00Z");
    let mut rows = Vec::new();
    for _ in 0..1000 {
        let draft = Draft::new(Action::Enrolled)
            .about(person.id, named(&person.name))
            .member(["watchlist"], Standing::Active);
        rows.push(chain.append(at, &actor(), 1, draft, Some(&person.key)).expect("appended"));
    }
    let rest = (1000..COUNT).map(|_| {
        let draft = Draft::new(Action::Changed).about_id(person.id).member(["watchlist"], Standing::Active);
        chain.append(at, &actor(), 1, draft, None)
    });
    let report = verify(&key(1), ok(&rows).chain(rest), &[]);
    assert_eq!((report.entries, report.is_clean()), (COUNT, true));
    assert_eq!(report.head, chain.head());

    let start = std::time::Instant::now();
    let times = 50;
    (0..times).for_each(|_| assert!(verify(&key(1), ok(&rows), &[]).is_clean()));
    let speed = f64::from(times) * rows.len() as f64 / start.elapsed().as_secs_f64();
    eprintln!(
        "verify: {speed:.0} entries/s of {} bytes",
        rows[0].body.len() + rows[0].sealed.as_ref().map_or(0, Vec::len)
    );
}
